//! What frameworks make of offers: tasks, groups, executors of their own, changes of resources.
//! Sends nothing. What changes there are is in `changes`.

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{Launch, LaunchGroup, Type};
use tepui_protocol::v1::{
    CommandInfo, ExecutorInfo, Offer, OperationId, Resource, TaskGroupInfo, TaskInfo, TaskState,
    executor_info,
};

use super::changes::{self, Pool};
use super::frameworks::Known;
use super::world::World;
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::resources::Resources;

/// Least that an executor of tasks in a group, or one of a framework's own, is given.
const EXECUTOR: &[(&str, u64)] = &[("cpus", 100), ("mem", 32_000), ("disk", 1_000)];

/// Most tasks in a group.
const MAX_GROUP: u64 = 3;

impl World {
    /// Some operations that fit the offers, which are of one agent and one role.
    pub(super) fn operations_on(&mut self, framework: usize, offers: &[Offer]) -> Vec<Operation> {
        let Some(first) = offers.first() else {
            return Vec::new();
        };
        let agent = AgentId::from(&first.agent_id);
        let list: Vec<Resource> = offers.iter().flat_map(|o| o.resources.clone()).collect();
        let role = first
            .allocation_info
            .as_ref()
            .and_then(|it| it.role.clone());
        let mut pool = Pool {
            left: Resources::from_v1(&list).unwrap_or_default(),
            role: role.unwrap_or_default(),
            format: self.format_of(framework),
            can_share: self.is_capable(framework, Capability::SharedResources),
        };
        let mut operations = Vec::new();
        for _ in 0..self.random.between(0, 3) {
            let operation = match self.random.below(16) {
                0..=4 => self.launch_tasks(framework, &agent, &mut pool),
                5 | 6 => self.launch_group(framework, &agent, &mut pool),
                7 | 8 => self.launch_own(framework, &agent, &mut pool),
                _ => self.change_resources(framework, &agent, &mut pool),
            };
            operations.extend(operation);
        }
        operations
    }

    /// A task that is remembered before anyone hears of it.
    fn new_task(
        &mut self,
        framework: usize,
        agent: &AgentId,
        resources: &Resources,
    ) -> Option<TaskInfo> {
        let id = TaskId::new(format!("t{}", self.number()));
        let known = Known {
            agent: agent.clone(),
            state: TaskState::TaskStaging,
            is_over: false,
            is_killed: false,
        };
        let host = self.frameworks.get_mut(framework)?;
        let owner = host.id.clone()?;
        host.tasks.insert(id.clone(), known);
        self.history.launched(&owner, &id, agent);
        self.counts.tasks_launched += 1;
        let shared = resources.shared();
        self.counts.volume_uses += u64::from(!resources.persistent_volumes().is_empty());
        self.counts.shared_uses += u64::from(!shared.is_empty());
        Some(TaskInfo {
            name: "t".to_owned(),
            task_id: id.to_v1(),
            agent_id: agent.to_v1(),
            resources: resources.to_v1(self.format_of(framework)),
            ..TaskInfo::default()
        })
    }

    fn task_size(&mut self) -> Vec<(&'static str, u64)> {
        let mut size = vec![
            ("cpus", 100 * self.random.between(1, 12)),
            ("mem", 1_000 * self.random.between(32, 256)),
        ];
        if self.random.per_mille(300) {
            size.push(("disk", 1_000 * self.random.between(1, 64)));
        }
        size
    }

    fn launch_tasks(
        &mut self,
        framework: usize,
        agent: &AgentId,
        pool: &mut Pool,
    ) -> Option<Operation> {
        let mut tasks = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let size = self.task_size();
            let Some(mut resources) = pool.take(&size) else {
                break;
            };
            // A volume goes along with a task now and then.
            if self.random.per_mille(400)
                && let Some(volume) = pool.take_volume(&mut self.random)
            {
                resources.add_entry(volume);
            }
            let mut task = self.new_task(framework, agent, &resources)?;
            task.command = Some(Box::new(command()));
            tasks.push(task);
        }
        launch(tasks)
    }

    fn launch_group(
        &mut self,
        framework: usize,
        agent: &AgentId,
        pool: &mut Pool,
    ) -> Option<Operation> {
        let owner = self.frameworks.get(framework)?.id.clone()?;
        let resources = pool.take(EXECUTOR)?;
        let name = format!("g{}", self.number());
        let executor = executor(
            &owner,
            &name,
            resources.to_v1(pool.format),
            executor_info::Type::Default,
        );
        let key = (agent.clone(), ExecutorId::from(name.as_str()));
        let executors = &mut self.framework_process(framework)?.executors;
        executors.insert(key, executor.clone());
        let mut tasks = Vec::new();
        for _ in 0..self.random.between(1, MAX_GROUP) {
            let size = self.task_size();
            let Some(mut resources) = pool.take(&size) else {
                break;
            };
            if self.random.per_mille(200)
                && let Some(volume) = pool.take_volume(&mut self.random)
            {
                resources.add_entry(volume);
            }
            let mut task = self.new_task(framework, agent, &resources)?;
            task.command = Some(Box::new(command()));
            tasks.push(task);
        }
        if tasks.is_empty() {
            return None;
        }
        Some(Operation {
            r#type: Some(Type::LaunchGroup as i32),
            launch_group: Some(LaunchGroup {
                executor,
                task_group: TaskGroupInfo { tasks },
            }),
            ..Operation::default()
        })
    }

    /// A task for an executor of the framework's own, which may run already.
    fn launch_own(
        &mut self,
        framework: usize,
        agent: &AgentId,
        pool: &mut Pool,
    ) -> Option<Operation> {
        let owner = self.frameworks.get(framework)?.id.clone()?;
        // Per role, since its resources are of one.
        let name = format!("x{}-{}", self.random.below(2), pool.role.replace('/', "-"));
        let key = (agent.clone(), ExecutorId::from(name.as_str()));
        let running = self
            .framework_process(framework)?
            .executors
            .get(&key)
            .cloned();
        // Whether it still runs is not known, so what it needs is kept free for it.
        let resources = pool.take(EXECUTOR)?;
        let size = self.task_size();
        let of_task = pool.take(&size)?;
        let kind = executor_info::Type::Custom;
        let own = match running {
            Some(running) => running,
            None => {
                let mut own = executor(&owner, &name, resources.to_v1(pool.format), kind);
                own.command = Some(Box::new(command()));
                own
            }
        };
        let mut task = self.new_task(framework, agent, &of_task)?;
        task.executor = Some(Box::new(own.clone()));
        self.framework_process(framework)?
            .executors
            .insert(key, own);
        launch(vec![task])
    }

    fn change_resources(
        &mut self,
        framework: usize,
        agent: &AgentId,
        pool: &mut Pool,
    ) -> Option<Operation> {
        let mut operation = changes::change(&mut self.random, pool)?;
        if self.random.per_mille(600) {
            let id = OperationId {
                value: format!("o{}", self.number()),
            };
            let host = self.frameworks.get_mut(framework)?;
            host.operations.insert(id.value.clone(), agent.clone());
            operation.id = Some(id);
        }
        self.counts.operations += 1;
        Some(operation)
    }
}

fn launch(tasks: Vec<TaskInfo>) -> Option<Operation> {
    if tasks.is_empty() {
        return None;
    }
    Some(Operation {
        r#type: Some(Type::Launch as i32),
        launch: Some(Launch { task_infos: tasks }),
        ..Operation::default()
    })
}

fn command() -> CommandInfo {
    CommandInfo {
        value: Some("run".to_owned()),
        ..CommandInfo::default()
    }
}

fn executor(
    owner: &FrameworkId,
    name: &str,
    resources: Vec<Resource>,
    kind: executor_info::Type,
) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId::from(name).to_v1(),
        framework_id: Some(owner.to_v1()),
        resources,
        r#type: Some(kind as i32),
        ..ExecutorInfo::default()
    }
}
