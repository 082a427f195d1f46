//! What an agent's records say it was doing, read in their order and put together again.
//! Reads no file; what is recorded is up to `journal`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::journal::{self, Record};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;

use super::model::{
    Drain, Executor, ExecutorKind, ExecutorState, Framework, FrameworkState,
    MAX_COMPLETED_FRAMEWORKS, MAX_COMPLETED_TASKS, is_terminal,
};
use super::survivors::Survivor;
use crate::ids::{ContainerId, ExecutorId, FrameworkId, TaskId};
use crate::time::Wall;
use crate::validation::container::is_docker;

/// What an agent's records say it was doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// The agent as it was admitted; none if it never was.
    pub(super) info: Option<v1::AgentInfo>,
    /// The host's boot in which it was written.
    boot_id: Option<String>,
    pub(super) drain: Option<Drain>,
    pub(super) frameworks: BTreeMap<FrameworkId, RestoredFramework>,
    /// Containers that were launched by calls.
    pub(super) containers: BTreeMap<ContainerId, journal::Container>,
    /// The last completed frameworks, oldest first.
    pub(super) completed: VecDeque<(FrameworkId, RestoredFramework)>,
    /// Records that fit to nothing before them.
    misfits: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RestoredFramework {
    info: v1::FrameworkInfo,
    executors: BTreeMap<ExecutorId, RestoredExecutor>,
    updates: BTreeMap<TaskId, RestoredStream>,
    /// Completed executors, oldest first.
    completed: Vec<RestoredExecutor>,
}

#[derive(Debug, Clone, PartialEq)]
struct RestoredExecutor {
    record: journal::Executor,
    tasks: BTreeMap<TaskId, v1::Task>,
    /// The last completed tasks, oldest first.
    completed: VecDeque<v1::Task>,
}

/// The updates of one task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RestoredStream {
    /// Names of those the framework has.
    pub(super) acknowledged: Vec<Vec<u8>>,
    /// Those it has not, oldest first.
    pub(super) pending: VecDeque<v1::TaskStatus>,
}

impl Restored {
    /// Reads records in their order.
    pub fn read(records: impl IntoIterator<Item = Record>) -> Restored {
        let mut restored = Restored::default();
        for record in records {
            if restored.take(record).is_none() {
                restored.misfits += 1;
            }
        }
        restored
    }

    /// The agent as it was admitted; none if it never was.
    pub fn info(&self) -> Option<&v1::AgentInfo> {
        self.info.as_ref()
    }

    /// Whether the host was started anew since; `boot_id` is that of its present boot. Where
    /// either is not known, it counts as running ever since.
    pub fn is_rebooted(&self, boot_id: Option<&str>) -> bool {
        let both = self.boot_id.as_deref().zip(boot_id);
        both.is_some_and(|(then, now)| then != now)
    }

    /// Records that fit to nothing before them; none, unless some are lost.
    pub fn misfits(&self) -> usize {
        self.misfits
    }

    /// How many tasks have not ended.
    pub fn tasks(&self) -> usize {
        let executors = self.frameworks.values().flat_map(|f| f.executors.values());
        let tasks = executors.flat_map(|executor| executor.tasks.values());
        tasks.filter(|task| !is_terminal(task.state())).count()
    }

    /// The containers that had not ended.
    pub fn survivors(&self) -> Vec<Survivor> {
        let executors = self.frameworks.values().flat_map(|f| f.executors.values());
        let mut all: Vec<Survivor> = executors
            .filter(|executor| !executor.record.ended)
            .map(|executor| Survivor {
                container: ContainerId::from(executor.record.container.as_str()),
                directory: executor.record.directory.clone(),
                pid: executor.record.pid,
                is_docker: executor
                    .record
                    .info
                    .0
                    .container
                    .as_deref()
                    .is_some_and(is_docker),
            })
            .collect();
        let called = self.containers.iter();
        let called = called.filter(|(_, container)| container.ended.is_none());
        all.extend(called.map(|(id, container)| Survivor {
            container: id.clone(),
            directory: container.directory.clone(),
            pid: container.pid,
            is_docker: false,
        }));
        all
    }

    /// All containers that were launched by calls, also those that have ended.
    pub fn called(&self) -> impl Iterator<Item = &ContainerId> {
        self.containers.keys()
    }

    /// Another agent, of which nothing is known but that containers stand alone there.
    fn is_admitted(&mut self, info: v1::AgentInfo, boot_id: Option<String>) {
        let containers = std::mem::take(&mut self.containers);
        *self = Restored {
            containers,
            ..Restored::admitted(info, boot_id)
        };
    }

    fn drains(&mut self, config: Option<Pb<v1::DrainConfig>>, started_us: u64) {
        self.drain = config.map(|config| Drain {
            config: config.0,
            started: Wall(started_us),
        });
    }

    /// A framework's last acknowledgement may be what ended it here, and an update of one that was
    /// unknown when the update was made is not recorded.
    fn acknowledge(&mut self, framework: &str, task: &str, uuid: &[u8]) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.acknowledge(task, uuid);
        }
    }

    /// Nothing is known of it yet but that it was admitted.
    fn admitted(info: v1::AgentInfo, boot_id: Option<String>) -> Restored {
        Restored {
            info: Some(info),
            boot_id,
            ..Restored::default()
        }
    }

    /// None when the record fits to nothing.
    fn take(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Agent { info, boot_id } => self.is_admitted(info.0, boot_id),
            Record::Drain { config, started_us } => self.drains(config, started_us),
            Record::Container(container) => {
                let id = ContainerId::of_chain(&container.launch.container_id);
                self.containers.insert(id, *container);
            }
            Record::ContainerGone { container } => {
                self.containers.remove(container.as_str())?;
            }
            Record::Left => *self = Restored::default(),
            Record::Framework { info } => {
                let id = FrameworkId::from(info.id.as_ref()?);
                self.framework_is_here(id).info = info.0;
            }
            Record::FrameworkGone { framework_id } => {
                let gone = self.frameworks.remove_entry(framework_id.as_str())?;
                self.remember(gone);
            }
            Record::Executor(executor) => {
                let framework = self.frameworks.get_mut(executor.framework_id.as_str())?;
                framework.take_executor(*executor);
            }
            Record::ExecutorGone {
                framework_id,
                executor_id,
            } => {
                let framework = self.frameworks.get_mut(framework_id.as_str())?;
                framework.executor_is_gone(&executor_id)?;
            }
            Record::Task { executor_id, task } => {
                let framework = self.frameworks.get_mut(task.framework_id.value.as_str())?;
                let executor = framework.executors.get_mut(executor_id.as_str())?;
                executor.tasks.insert(TaskId::from(&task.task_id), task.0);
            }
            Record::TaskGone {
                framework_id,
                task_id,
            } => {
                let framework = self.frameworks.get_mut(framework_id.as_str())?;
                let mut executors = framework.executors.values_mut();
                executors.find_map(|executor| executor.task_is_gone(&task_id))?;
            }
            Record::Update {
                framework_id,
                status,
            } => {
                let framework = self.frameworks.get_mut(framework_id.as_str())?;
                framework.take_update(status.0);
            }
            Record::UpdatesForgotten { framework_id } => {
                // Said of one that is gone, it says nothing new.
                if let Some(framework) = self.frameworks.get_mut(framework_id.as_str()) {
                    framework.updates.clear();
                }
            }
            Record::Acknowledged {
                framework_id,
                task_id,
                uuid,
            } => self.acknowledge(&framework_id, &task_id, &uuid),
        }
        Some(())
    }

    /// One that comes again is what it was before.
    fn framework_is_here(&mut self, id: FrameworkId) -> &mut RestoredFramework {
        let completed = &mut self.completed;
        self.frameworks.entry(id).or_insert_with_key(|id| {
            let before = completed.iter().position(|(known, _)| known == id);
            let before = before.and_then(|at| completed.remove(at));
            before.map(|(_, framework)| framework).unwrap_or_default()
        })
    }

    fn remember(&mut self, (id, framework): (FrameworkId, RestoredFramework)) {
        let framework = RestoredFramework {
            executors: BTreeMap::new(),
            updates: BTreeMap::new(),
            ..framework
        };
        self.completed.push_back((id, framework));
        if self.completed.len() > MAX_COMPLETED_FRAMEWORKS {
            self.completed.pop_front();
        }
    }

    /// Forgets the oldest completed executors of each framework, so that at most `limit` are left.
    pub(super) fn forget_executors(&mut self, limit: usize) {
        let completed = self.completed.iter_mut().map(|(_, framework)| framework);
        for framework in self.frameworks.values_mut().chain(completed) {
            let too_many = framework.completed.len().saturating_sub(limit);
            framework.completed.drain(..too_many);
        }
    }
}

impl RestoredFramework {
    fn take_update(&mut self, status: v1::TaskStatus) {
        let task = TaskId::from(&status.task_id);
        let stream = self.updates.entry(task).or_default();
        stream.pending.push_back(status);
    }

    /// A completed executor has nothing left to do, nor has what was still queued for it.
    fn executor_is_gone(&mut self, id: &str) -> Option<()> {
        let executor = self.executors.remove(id)?;
        self.completed.push(RestoredExecutor {
            tasks: BTreeMap::new(),
            ..executor
        });
        Some(())
    }

    /// What changes of an executor leaves its tasks; another run begins without any.
    fn take_executor(&mut self, record: journal::Executor) {
        let id = ExecutorId::from(&record.info.executor_id);
        match self.executors.get_mut(&id) {
            Some(known) if known.record.container == record.container => known.record = record,
            _ => {
                let executor = RestoredExecutor {
                    record,
                    tasks: BTreeMap::new(),
                    completed: VecDeque::new(),
                };
                self.executors.insert(id, executor);
            }
        }
    }

    fn acknowledge(&mut self, task: &str, uuid: &[u8]) {
        let Some(stream) = self.updates.get_mut(task) else {
            return;
        };
        if stream
            .pending
            .front()
            .is_none_or(|head| head.uuid() != uuid)
        {
            return;
        }
        let Some(status) = stream.pending.pop_front() else {
            return;
        };
        match is_terminal(status.state()) {
            true => {
                self.updates.remove(task);
            }
            false => stream.acknowledged.push(uuid.to_vec()),
        }
    }

    /// The framework as it is now that the agent is back: nothing is known of its executors but
    /// that they were there.
    pub(super) fn into_framework(
        self,
        id: FrameworkId,
    ) -> (Framework, Vec<(TaskId, RestoredStream)>) {
        let mut framework = Framework {
            id,
            info: Arc::new(self.info),
            state: FrameworkState::Running,
            executors: OrdMap::new(),
            tasks: OrdMap::new(),
            completed_executors: Vector::new(),
        };
        for completed in self.completed {
            let id = ExecutorId::from(&completed.record.info.executor_id);
            let executor = completed.into_executor(id, &BTreeSet::new());
            framework.completed_executors.push_back(Arc::new(executor));
        }
        let waiting: BTreeSet<&TaskId> = self.updates.keys().collect();
        for (id, restored) in self.executors {
            let executor = restored.into_executor(id.clone(), &waiting);
            for task in executor.launched.keys().chain(executor.terminated.keys()) {
                framework.tasks.insert(task.clone(), id.clone());
            }
            framework.executors.insert(id, Arc::new(executor));
        }
        (framework, self.updates.into_iter().collect())
    }
}

impl RestoredExecutor {
    fn task_is_gone(&mut self, id: &str) -> Option<()> {
        self.completed.push_back(self.tasks.remove(id)?);
        if self.completed.len() > MAX_COMPLETED_TASKS {
            self.completed.pop_front();
        }
        Some(())
    }

    /// `waiting` are tasks of which an update waits. One that has ended without is done.
    fn into_executor(self, id: ExecutorId, waiting: &BTreeSet<&TaskId>) -> Executor {
        let record = self.record;
        let mut executor = Executor {
            id,
            info: Arc::new(record.info.0),
            kind: match record.kind {
                journal::ExecutorKind::Command => ExecutorKind::Command,
                journal::ExecutorKind::Default => ExecutorKind::Default,
                journal::ExecutorKind::Custom => ExecutorKind::Custom,
            },
            container: ContainerId::from(record.container.as_str()),
            directory: record.directory,
            state: match record.ended {
                true => ExecutorState::Terminated,
                false => ExecutorState::Registering,
            },
            recovered: true,
            pid: record.pid,
            queued: Vector::new(),
            launched: OrdMap::new(),
            terminated: OrdMap::new(),
            completed: self.completed.into_iter().map(Arc::new).collect(),
            termination: None,
            ever_sent: record.ever_sent,
            volumes: record.volumes,
            kills: Vec::new(),
            linking: 0,
        };
        for (id, task) in self.tasks {
            match is_terminal(task.state()) {
                false => {
                    executor.launched.insert(id, Arc::new(task));
                }
                true if waiting.contains(&id) => {
                    executor.terminated.insert(id, Arc::new(task));
                }
                true => executor.completed.push_back(Arc::new(task)),
            }
        }
        executor
    }
}
