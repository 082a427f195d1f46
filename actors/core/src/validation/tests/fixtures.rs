//! Small valid messages to be broken by the tests, and a cluster to validate them against.
//! Asserts nothing.

use std::collections::BTreeMap;

use tepui_protocol::v1;

use crate::ids::{AgentId, FrameworkId};
use crate::resources::Resources;
use crate::validation::task::{KnownTasks, TaskContext};

/// A scalar allocated to `*`.
pub fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_string(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".to_string()),
        }),
        ..Default::default()
    }
}

/// Ports allocated to `*`.
pub fn ports(begin: u64, end: u64) -> v1::Resource {
    v1::Resource {
        r#type: v1::value::Type::Ranges as i32,
        scalar: None,
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range { begin, end }],
        }),
        ..scalar("ports", 0.0)
    }
}

/// A persistent volume of 1 MB, reserved to `web`.
pub fn volume(id: &str) -> v1::Resource {
    v1::Resource {
        disk: Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence {
                id: id.to_string(),
                principal: None,
            }),
            volume: Some(v1::Volume {
                container_path: "data".to_string(),
                mode: v1::volume::Mode::Rw as i32,
                ..Default::default()
            }),
            source: None,
        })),
        reservations: vec![v1::resource::ReservationInfo {
            role: Some("web".to_string()),
            r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
            ..Default::default()
        }],
        ..scalar("disk", 1.0)
    }
}

/// A shell command.
pub fn command() -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some("sleep 1".to_string()),
        ..Default::default()
    }
}

/// A valid command task for agent `A`.
pub fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: "t".to_string(),
        task_id: v1::TaskId {
            value: id.to_string(),
        },
        agent_id: v1::AgentId {
            value: "A".to_string(),
        },
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        command: Some(Box::new(command())),
        ..Default::default()
    }
}

/// A valid custom executor of framework `F`.
pub fn custom_executor() -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: "ex".to_string(),
        },
        framework_id: Some(v1::FrameworkId {
            value: "F".to_string(),
        }),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        command: Some(Box::new(command())),
        r#type: Some(v1::executor_info::Type::Custom as i32),
        ..Default::default()
    }
}

/// A valid default executor of framework `F`, with disk.
pub fn default_executor() -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        resources: vec![
            scalar("cpus", 0.1),
            scalar("mem", 32.0),
            scalar("disk", 10.0),
        ],
        command: None,
        r#type: Some(v1::executor_info::Type::Default as i32),
        ..custom_executor()
    }
}

/// A Mesos container with nothing in it.
pub fn mesos_container() -> v1::ContainerInfo {
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos as i32,
        ..Default::default()
    }
}

/// A Mesos container that says whether it shares its parent's cgroups.
pub fn sharing_container(share_cgroups: bool) -> v1::ContainerInfo {
    v1::ContainerInfo {
        linux_info: Some(v1::LinuxInfo {
            share_cgroups: Some(share_cgroups),
            ..Default::default()
        }),
        ..mesos_container()
    }
}

/// Framework `F` on agent `A`, which offers 4 cpus, 2048 mem, 4096 disk and ports 31000-31100.
pub struct Cluster {
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub capabilities: Vec<String>,
    pub active: Vec<&'static str>,
    pub unreachable: Vec<&'static str>,
    pub executors: BTreeMap<String, v1::ExecutorInfo>,
    pub executor_tasks: Vec<v1::Task>,
    pub offered: Resources,
}

impl Cluster {
    pub fn new() -> Self {
        let mut offer = vec![
            scalar("cpus", 4.0),
            scalar("mem", 2048.0),
            scalar("disk", 4096.0),
            ports(31_000, 31_100),
        ];
        offer.push(volume("v1"));
        Cluster {
            framework_id: FrameworkId::from("F"),
            agent_id: AgentId::from("A"),
            capabilities: vec!["TASK_RESOURCE_LIMITS".to_string()],
            active: Vec::new(),
            unreachable: Vec::new(),
            executors: BTreeMap::new(),
            executor_tasks: Vec::new(),
            offered: Resources::from_v1(&offer).unwrap(),
        }
    }

    pub fn context(&self) -> TaskContext<'_> {
        TaskContext {
            framework_id: &self.framework_id,
            agent_id: &self.agent_id,
            agent_capabilities: &self.capabilities,
            tasks: self,
            offered: &self.offered,
        }
    }
}

impl KnownTasks for Cluster {
    fn is_active(&self, task: &str) -> bool {
        self.active.contains(&task)
    }

    fn is_unreachable(&self, task: &str) -> bool {
        self.unreachable.contains(&task)
    }

    fn executor(&self, executor: &str) -> Option<&v1::ExecutorInfo> {
        self.executors.get(executor)
    }

    fn each_task_of(&self, executor: &str, show: &mut dyn FnMut(&v1::Task)) {
        let of_executor = |task: &&v1::Task| {
            let id = task.executor_id.as_ref();
            id.is_some_and(|id| id.value == executor)
        };
        self.executor_tasks
            .iter()
            .filter(of_executor)
            .for_each(show);
    }
}
