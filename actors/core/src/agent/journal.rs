//! What of the agent must outlive its process: finds out what has changed, and puts it together
//! again. Writes and reads no file.
//!
//! Only what belongs to frameworks that ask for it (`FrameworkInfo.checkpoint`) is recorded, as in
//! Mesos; executors of others end with the agent. Histories are not recorded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::journal::{self, Record};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;

use super::model::{
    Executor, ExecutorKind, ExecutorState, Framework, FrameworkState, is_terminal, staged,
};
use super::status_updates::{Key, Streams};
use crate::ids::{ContainerId, ExecutorId, FrameworkId, TaskId};

/// What was recorded last, to be compared with what is.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The host's present boot.
    boot_id: Option<String>,
    agent: Option<Arc<v1::AgentInfo>>,
    frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    /// What happened to the streams of updates since.
    updates: Vec<Record>,
    /// True once the agent has left: then there is nothing to be recorded.
    is_closed: bool,
}

impl Journal {
    /// A journal in which nothing is written yet.
    pub(super) fn new(boot_id: Option<String>) -> Journal {
        Journal {
            boot_id,
            ..Journal::default()
        }
    }

    /// The agent has left the cluster for good.
    pub(super) fn close(&mut self) -> Record {
        self.is_closed = true;
        Record::Left
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A stream has taken a status.
    pub(super) fn updated(&mut self, framework: &FrameworkId, status: &v1::TaskStatus) {
        self.updates.push(Record::Update {
            framework_id: framework.to_string(),
            status: Pb(status.clone()),
        });
    }

    /// The head of a stream is acknowledged.
    pub(super) fn acknowledged(&mut self, key: &Key, uuid: &[u8]) {
        self.updates.push(Record::Acknowledged {
            framework_id: key.0.to_string(),
            task_id: key.1.to_string(),
            uuid: uuid.to_vec(),
        });
    }

    /// No update of a framework is passed on any more.
    pub(super) fn forgotten(&mut self, framework: &FrameworkId) {
        self.updates.push(Record::UpdatesForgotten {
            framework_id: framework.to_string(),
        });
    }

    /// What has changed since this was asked last. `info` is that of an admitted agent.
    pub(super) fn changes(
        &mut self,
        info: Option<&Arc<v1::AgentInfo>>,
        frameworks: &OrdMap<FrameworkId, Arc<Framework>>,
    ) -> Vec<Record> {
        if self.is_closed {
            return Vec::new();
        }
        let mut out = Vec::new();
        if let Some(info) = info
            && self.agent.as_ref().is_none_or(|known| known != info)
        {
            self.agent = Some(info.clone());
            out.push(Record::Agent {
                info: Pb(v1::AgentInfo::clone(info)),
                boot_id: self.boot_id.clone(),
            });
        }
        if !self.frameworks.ptr_eq(frameworks) {
            compare_frameworks(&self.frameworks, frameworks, &mut out);
            self.frameworks = frameworks.clone();
        }
        out.append(&mut self.updates);
        out
    }
}

/// Everything that is to be recorded, as if nothing had been.
pub(super) fn all(
    boot_id: Option<String>,
    info: Option<&Arc<v1::AgentInfo>>,
    frameworks: &OrdMap<FrameworkId, Arc<Framework>>,
    streams: &Streams<Key, v1::TaskStatus>,
) -> Vec<Record> {
    let mut journal = Journal::new(boot_id);
    let recorded = |id: &FrameworkId| frameworks.get(id).is_some_and(|f| is_recorded(f));
    streams.replay(&mut |key, status, acknowledged| {
        if !recorded(&key.0) {
            return;
        }
        journal.updated(&key.0, status);
        if acknowledged {
            journal.acknowledged(key, status.uuid());
        }
    });
    journal.changes(info, frameworks)
}

/// Whether a framework's doings are recorded.
pub(super) fn is_recorded(framework: &Framework) -> bool {
    framework.info.checkpoint()
}

fn compare_frameworks(
    old: &OrdMap<FrameworkId, Arc<Framework>>,
    new: &OrdMap<FrameworkId, Arc<Framework>>,
    out: &mut Vec<Record>,
) {
    for (id, framework) in new {
        let before = old.get(id);
        let same = before.is_some_and(|before| Arc::ptr_eq(before, framework));
        if same || !is_recorded(framework) {
            continue;
        }
        if before.is_none_or(|before| before.info != framework.info) {
            out.push(Record::Framework {
                info: Pb(v1::FrameworkInfo::clone(&framework.info)),
            });
        }
        compare_executors(before.map(|before| &**before), framework, out);
    }
    for (id, framework) in old {
        if is_recorded(framework) && !new.contains_key(id) {
            out.push(Record::FrameworkGone {
                framework_id: id.to_string(),
            });
        }
    }
}

fn compare_executors(old: Option<&Framework>, new: &Framework, out: &mut Vec<Record>) {
    for (id, executor) in &new.executors {
        let before = old.and_then(|old| old.executors.get(id));
        if before.is_some_and(|before| Arc::ptr_eq(before, executor)) {
            continue;
        }
        // Another run of the same executor is another executor.
        let before = before.filter(|before| before.container == executor.container);
        let record = record(&new.id, executor);
        if before.is_none_or(|before| self::record(&new.id, before) != record) {
            out.push(Record::Executor(Box::new(record)));
        }
        compare_tasks(new, before.map(|before| &**before), executor, out);
    }
    for id in old.iter().flat_map(|old| old.executors.keys()) {
        if !new.executors.contains_key(id) {
            out.push(Record::ExecutorGone {
                framework_id: new.id.to_string(),
                executor_id: id.to_string(),
            });
        }
    }
}

fn record(framework: &FrameworkId, executor: &Executor) -> journal::Executor {
    journal::Executor {
        framework_id: framework.to_string(),
        info: Pb(v1::ExecutorInfo::clone(&executor.info)),
        kind: match executor.kind {
            ExecutorKind::Command => journal::ExecutorKind::Command,
            ExecutorKind::Default => journal::ExecutorKind::Default,
            ExecutorKind::Custom => journal::ExecutorKind::Custom,
        },
        container: executor.container.to_string(),
        directory: executor.directory.clone(),
        pid: executor.pid,
        ever_sent: executor.ever_sent,
        ended: executor.state == ExecutorState::Terminated,
        volumes: executor.volumes.clone(),
    }
}

fn compare_tasks(
    framework: &Framework,
    old: Option<&Executor>,
    new: &Executor,
    out: &mut Vec<Record>,
) {
    let task = |task: v1::Task| Record::Task {
        executor_id: new.id.to_string(),
        task: Pb(task),
    };
    for (id, now) in new.launched.iter().chain(&new.terminated) {
        let before = old.and_then(|old| old.task(id));
        if !before.is_some_and(|before| Arc::ptr_eq(before, now)) {
            out.push(task(v1::Task::clone(now)));
        }
    }
    for info in new.queued.iter().flat_map(|queued| queued.tasks()) {
        let id = TaskId::from(&info.task_id);
        if old.is_none_or(|old| old.queued_with(&id).is_none()) {
            out.push(task(staged(info, &framework.info, new)));
        }
    }
    let Some(old) = old else {
        return;
    };
    let ids = old.launched.keys().chain(old.terminated.keys());
    for id in ids.filter(|id| new.task(id).is_none()) {
        out.push(Record::TaskGone {
            framework_id: framework.id.to_string(),
            task_id: id.to_string(),
        });
    }
}

/// What an agent's records say it was doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// The agent as it was admitted; none if it never was.
    pub(super) info: Option<v1::AgentInfo>,
    /// The host's boot in which it was written.
    boot_id: Option<String>,
    pub(super) frameworks: BTreeMap<FrameworkId, RestoredFramework>,
    /// Records that fit to nothing before them.
    misfits: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RestoredFramework {
    info: v1::FrameworkInfo,
    executors: BTreeMap<ExecutorId, RestoredExecutor>,
    updates: BTreeMap<TaskId, RestoredStream>,
}

#[derive(Debug, Clone, PartialEq)]
struct RestoredExecutor {
    record: journal::Executor,
    tasks: BTreeMap<TaskId, v1::Task>,
}

/// The updates of one task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RestoredStream {
    /// Names of those the framework has.
    pub(super) acknowledged: Vec<Vec<u8>>,
    /// Those it has not, oldest first.
    pub(super) pending: VecDeque<v1::TaskStatus>,
}

/// A container that may still have a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The container.
    pub container: ContainerId,
    /// Its sandbox, which its processes name in their environment.
    pub directory: String,
    /// The process it had, if that was recorded.
    pub pid: Option<u32>,
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
        executors
            .filter(|executor| !executor.record.ended)
            .map(|executor| Survivor {
                container: ContainerId::from(executor.record.container.as_str()),
                directory: executor.record.directory.clone(),
                pid: executor.record.pid,
            })
            .collect()
    }

    /// None when the record fits to nothing.
    fn take(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Agent { info, boot_id } => {
                *self = Restored {
                    info: Some(info.0),
                    boot_id,
                    ..Restored::default()
                };
            }
            Record::Left => *self = Restored::default(),
            Record::Framework { info } => {
                let id = FrameworkId::from(info.id.as_ref()?);
                self.frameworks.entry(id).or_default().info = info.0;
            }
            Record::FrameworkGone { framework_id } => {
                self.frameworks.remove(framework_id.as_str())?;
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
                framework.executors.remove(executor_id.as_str())?;
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
                executors.find_map(|executor| executor.tasks.remove(task_id.as_str()))?;
            }
            Record::Update {
                framework_id,
                status,
            } => {
                let framework = self.frameworks.get_mut(framework_id.as_str())?;
                let task = TaskId::from(&status.task_id);
                let stream = framework.updates.entry(task).or_default();
                stream.pending.push_back(status.0);
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
            } => {
                let framework = self.frameworks.get_mut(framework_id.as_str());
                // A framework's last acknowledgement may be what ended it here, and an update of one
                // that was unknown when the update was made is not recorded.
                if let Some(framework) = framework {
                    framework.acknowledge(&task_id, &uuid);
                }
            }
        }
        Some(())
    }
}

impl RestoredFramework {
    /// What changes of an executor leaves its tasks; another run begins without any.
    fn take_executor(&mut self, record: journal::Executor) {
        let id = ExecutorId::from(&record.info.executor_id);
        match self.executors.get_mut(&id) {
            Some(known) if known.record.container == record.container => known.record = record,
            _ => {
                let tasks = BTreeMap::new();
                self.executors
                    .insert(id, RestoredExecutor { record, tasks });
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
            completed: Vector::new(),
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
