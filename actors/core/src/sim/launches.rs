//! What frameworks make of offers: tasks, groups, executors of their own, reservations, volumes.
//! Sends nothing.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{
    Create, Destroy, Launch, LaunchGroup, Reserve, Type, Unreserve,
};
use tepui_protocol::v1::resource::{ReservationInfo, disk_info::Persistence, reservation_info};
use tepui_protocol::v1::{
    CommandInfo, ExecutorInfo, Offer, OperationId, Resource, TaskGroupInfo, TaskInfo, TaskState,
    Volume, executor_info, resource::DiskInfo, volume,
};

use super::frameworks::Known;
use super::world::World;
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::resources::{Entry, Format, Resources};

/// Least that an executor of tasks in a group, or one of a framework's own, is given.
const EXECUTOR: &[(&str, u64)] = &[("cpus", 100), ("mem", 32_000), ("disk", 1_000)];

/// Most tasks in a group.
const MAX_GROUP: u64 = 3;

/// What is left of the offers that are being accepted.
struct Pool {
    left: Resources,
    role: String,
}

impl Pool {
    /// Takes these amounts in thousandths, or nothing.
    fn take(&mut self, amounts: &[(&str, u64)]) -> Option<Resources> {
        let mut taken = Resources::new();
        for (name, milli) in amounts {
            let milli = i64::try_from(*milli).ok()?;
            let fits = |entry: &&Entry| {
                entry.name() == *name
                    && !entry.is_persistent_volume()
                    && entry.scalar_milli().is_some_and(|has| has >= milli)
            };
            let entry = self.left.iter().find(fits)?.with_milli(milli);
            taken.add_entry(entry);
        }
        self.left.subtract(&taken);
        Some(taken)
    }
}

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
        };
        let mut operations = Vec::new();
        for _ in 0..self.random.between(0, 2) {
            let operation = match self.random.below(12) {
                0..=4 => self.launch_tasks(framework, &agent, &mut pool),
                5 | 6 => self.launch_group(framework, &agent, &mut pool),
                7 | 8 => self.launch_own(framework, &agent, &mut pool),
                _ => self.change_resources(&mut pool),
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
        Some(TaskInfo {
            name: "t".to_owned(),
            task_id: id.to_v1(),
            agent_id: agent.to_v1(),
            resources: resources.to_v1(Format::PostRefinement),
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
            if self.random.per_mille(300)
                && let Some(volume) = volume_in(&pool.left)
            {
                pool.left.subtract_entry(&volume);
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
        let executor = executor(&owner, &name, &resources, executor_info::Type::Default);
        let mut tasks = Vec::new();
        for _ in 0..self.random.between(1, MAX_GROUP) {
            let size = self.task_size();
            let Some(resources) = pool.take(&size) else {
                break;
            };
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
                let mut own = executor(&owner, &name, &resources, kind);
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

    fn change_resources(&mut self, pool: &mut Pool) -> Option<Operation> {
        let name = format!("o{}", self.number());
        let mut operation = match self.random.below(6) {
            0..=2 => self.reserve(pool),
            3 => unreserve(pool),
            4 => self.create(pool),
            _ => destroy(pool),
        }?;
        if self.random.per_mille(600) {
            operation.id = Some(OperationId { value: name });
        }
        self.counts.operations += 1;
        Some(operation)
    }

    fn reserve(&mut self, pool: &mut Pool) -> Option<Operation> {
        let role = pool.role.clone();
        if role == "*" {
            return None;
        }
        let name = *self.random.pick(&["cpus", "mem", "disk", "disk"])?;
        let milli = match name {
            "cpus" => 500,
            _ => 64_000,
        };
        let plain = |entry: &&Entry| {
            entry.name() == name
                && !entry.is_reserved()
                && entry.scalar_milli().is_some_and(|has| has >= milli)
        };
        let entry = pool.left.iter().find(plain)?.with_milli(milli);
        pool.left.subtract_entry(&entry);
        let mut resource = entry.to_v1(Format::PostRefinement);
        resource.reservations.push(ReservationInfo {
            role: Some(role),
            r#type: Some(reservation_info::Type::Dynamic as i32),
            ..ReservationInfo::default()
        });
        pool.left.add(&one(&resource)?);
        Some(Operation {
            r#type: Some(Type::Reserve as i32),
            reserve: Some(Reserve {
                resources: vec![resource],
                ..Reserve::default()
            }),
            ..Operation::default()
        })
    }

    fn create(&mut self, pool: &mut Pool) -> Option<Operation> {
        let reserved = |entry: &&Entry| {
            entry.name() == "disk" && entry.is_reserved() && !entry.is_persistent_volume()
        };
        let entry = pool.left.iter().find(reserved)?.clone();
        // Few names, so that a volume follows a destroyed one of the same name.
        let id = format!("v{}", self.random.below(6));
        let known = |other: &Entry| {
            let disk = other.disk().and_then(|disk| disk.persistence.as_ref());
            disk.is_some_and(|persistence| persistence.id == id)
        };
        if pool.left.iter().any(known) {
            return None;
        }
        pool.left.subtract_entry(&entry);
        let mut resource = entry.to_v1(Format::PostRefinement);
        resource.disk = Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id,
                principal: None,
            }),
            volume: Some(Volume {
                mode: volume::Mode::Rw as i32,
                container_path: "data".to_owned(),
                ..Volume::default()
            }),
            source: None,
        }));
        pool.left.add(&one(&resource)?);
        Some(Operation {
            r#type: Some(Type::Create as i32),
            create: Some(Create {
                volumes: vec![resource],
            }),
            ..Operation::default()
        })
    }
}

fn unreserve(pool: &mut Pool) -> Option<Operation> {
    let reserved =
        |entry: &&Entry| entry.is_dynamically_reserved() && !entry.is_persistent_volume();
    let entry = pool.left.iter().find(reserved)?.clone();
    pool.left.subtract_entry(&entry);
    Some(Operation {
        r#type: Some(Type::Unreserve as i32),
        unreserve: Some(Unreserve {
            resources: vec![entry.to_v1(Format::PostRefinement)],
        }),
        ..Operation::default()
    })
}

fn destroy(pool: &mut Pool) -> Option<Operation> {
    let volume = volume_in(&pool.left)?;
    pool.left.subtract_entry(&volume);
    Some(Operation {
        r#type: Some(Type::Destroy as i32),
        destroy: Some(Destroy {
            volumes: vec![volume.to_v1(Format::PostRefinement)],
        }),
        ..Operation::default()
    })
}

fn volume_in(resources: &Resources) -> Option<Entry> {
    let mut entries = resources.iter();
    entries.find(|entry| entry.is_persistent_volume()).cloned()
}

fn one(resource: &Resource) -> Option<Resources> {
    Resources::from_v1(std::slice::from_ref(resource)).ok()
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
    resources: &Resources,
    kind: executor_info::Type,
) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId::from(name).to_v1(),
        framework_id: Some(owner.to_v1()),
        resources: resources.to_v1(Format::PostRefinement),
        r#type: Some(kind as i32),
        ..ExecutorInfo::default()
    }
}
