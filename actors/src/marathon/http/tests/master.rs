//! The master that tests play: it subscribes, offers, and tells of tasks.
//! Keeps no state; a test says what happens.

use tepui_core::ids::Role;
use tepui_core::marathon::manager::{Effect, Input};
use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1::{self, TaskState};

use super::support::Played;

impl Played {
    /// Subscribes.
    pub async fn connect(&self) {
        let connected = Input::Connected {
            framework_id: "f1".to_owned(),
            region: None,
            master: "m1".to_owned(),
        };
        self.tell(connected).await;
    }

    /// Offers what an agent has; the tasks that are launched on it come back.
    pub async fn offer(&self, agent: &str, resources: &str) -> Vec<v1::TaskInfo> {
        let mut resources = Resources::parse(resources, "*").expect("resources");
        resources.allocate(&Role::from("*"));
        let offer = v1::Offer {
            id: v1::OfferId {
                value: format!("o-{agent}"),
            },
            framework_id: v1::FrameworkId { value: "f1".into() },
            agent_id: v1::AgentId {
                value: agent.to_owned(),
            },
            hostname: format!("host-{agent}"),
            resources: resources.to_v1(Format::PreRefinement),
            allocation_info: Some(v1::resource::AllocationInfo {
                role: Some("*".to_owned()),
            }),
            ..v1::Offer::default()
        };
        let effects = self.tell(Input::Offers(vec![offer])).await.into_iter();
        let launched = effects.filter_map(|effect| match effect {
            Effect::Launch { tasks, .. } => Some(tasks),
            _ => None,
        });
        launched.flatten().collect()
    }

    /// Tells of a task's state.
    pub async fn update(&self, task: &v1::TaskInfo, state: TaskState, healthy: Option<bool>) {
        let status = v1::TaskStatus {
            task_id: task.task_id.clone(),
            state: state as i32,
            agent_id: Some(task.agent_id.clone()),
            message: Some("as the test says".to_owned()),
            healthy,
            uuid: Some(vec![1; 16]),
            ..v1::TaskStatus::default()
        };
        self.tell(Input::Update(Box::new(status))).await;
    }

    /// Offers enough for one task, which then runs.
    pub async fn run_one(&self, agent: &str) -> v1::TaskInfo {
        let mut tasks = self
            .offer(agent, "cpus:1;mem:128;ports:[31000-31001]")
            .await;
        assert_eq!(tasks.len(), 1);
        let task = tasks.remove(0);
        self.update(&task, TaskState::TaskRunning, None).await;
        task
    }
}
