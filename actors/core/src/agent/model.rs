//! What the agent knows: frameworks, executors, tasks.
//! Cheap to copy: readers get a [`Snapshot`] that shares memory with the live state.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::v1::task_status::Source;
use tepui_protocol::v1::{self, TaskState};

use super::counters::Counters;
use super::garbage::GarbageFigures;
use super::messages::ConnectionId;
pub use super::nested::Container;
use super::operation_state::OperationUuid;
use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use crate::resources::Resources;
use crate::time::Wall;

/// Completed frameworks remembered.
pub const MAX_COMPLETED_FRAMEWORKS: usize = 50;

/// Completed tasks remembered per executor.
pub const MAX_COMPLETED_TASKS: usize = 200;

/// Statuses remembered per task; states alternate at most, so few tasks ever have more.
pub const MAX_STATUSES: usize = 100;

/// Whether a task in this state has ended for good.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Life cycle of a framework on this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameworkState {
    /// It may launch tasks.
    Running,
    /// Its executors are being ended; its updates are dropped.
    Terminating,
}

/// Life cycle of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorState {
    /// Its process was ordered; it has not subscribed yet.
    Registering,
    /// It has subscribed; the stream may be down for the moment.
    Running(Option<ConnectionId>),
    /// It was told to end, or is being killed.
    Terminating(Option<ConnectionId>),
    /// Its process is gone; updates of its tasks wait for acknowledgement.
    Terminated,
}

/// How an executor came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    /// Made by the agent to run one command.
    Command,
    /// Tepui's own executor, for task groups.
    Default,
    /// The framework's own.
    Custom,
}

/// What waits for an executor to subscribe, or was just accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    /// One task.
    Task(Arc<v1::TaskInfo>),
    /// A group, delivered at once.
    Group(Arc<v1::TaskGroupInfo>),
}

impl Queued {
    /// Its tasks.
    pub fn tasks(&self) -> &[v1::TaskInfo] {
        match self {
            Queued::Task(task) => std::slice::from_ref(&**task),
            Queued::Group(group) => &group.tasks,
        }
    }
}

/// Why an executor's container was ended by the agent, for its remaining tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Termination {
    /// State its tasks get.
    pub state: TaskState,
    /// Reason given.
    pub reason: v1::task_status::Reason,
    /// Text given.
    pub message: String,
    /// What its container used too much of, if that is why.
    pub limited: Vec<v1::Resource>,
}

/// An executor.
#[derive(Debug, Clone)]
pub struct Executor {
    /// Its id.
    pub id: ExecutorId,
    /// Its description.
    pub info: Arc<v1::ExecutorInfo>,
    /// How it came to be.
    pub kind: ExecutorKind,
    /// Its run.
    pub container: ContainerId,
    /// Its sandbox.
    pub directory: String,
    /// Where it is in its life.
    pub state: ExecutorState,
    /// True until it has come back after a restart of the agent.
    pub recovered: bool,
    /// Its process, once started.
    pub pid: Option<u32>,
    /// Not yet delivered, in order.
    pub queued: Vector<Queued>,
    /// Delivered and not ended.
    pub launched: OrdMap<TaskId, Arc<v1::Task>>,
    /// Ended; the terminal update is not acknowledged yet.
    pub terminated: OrdMap<TaskId, Arc<v1::Task>>,
    /// Ended and acknowledged, oldest first, at most [`MAX_COMPLETED_TASKS`].
    pub completed: Vector<Arc<v1::Task>>,
    /// Why the agent ended it, if it did.
    pub termination: Option<Termination>,
    /// Whether any task was ever delivered to it.
    pub ever_sent: bool,
    /// Persistent volumes linked in its sandbox: name there, and the volume's path.
    pub volumes: BTreeMap<String, String>,
    /// Kills that wait for its stream, one per task at most.
    pub kills: Vec<v1::executor::event::Kill>,
    /// Changes of those links that are under way; no task is delivered meanwhile.
    pub linking: u32,
}

impl Executor {
    /// Whether a task may have come to it: one that was delivered and is not known to be lost, or of
    /// which it has said something. Mesos's `everSentTask`.
    pub fn has_received_tasks(&self) -> bool {
        let ended = self.terminated.values().chain(&self.completed);
        let mut statuses = ended.flat_map(|task| &task.statuses);
        let is_its_own = |status: &v1::TaskStatus| status.source() == Source::Executor;
        self.ever_sent && (!self.launched.is_empty() || statuses.any(is_its_own))
    }

    /// Whether any task is queued, running, or waits for its last acknowledgement.
    pub fn has_incomplete_tasks(&self) -> bool {
        !self.queued.is_empty() || !self.launched.is_empty() || !self.terminated.is_empty()
    }

    /// Whether its program does not run yet: it may be waiting for what is fetched into its sandbox,
    /// for its image, or for a disk that does not answer.
    pub(super) fn is_made_ready(&self) -> bool {
        self.pid.is_none() && !self.recovered
    }

    /// Forgets completed tasks beyond those that are remembered.
    pub(super) fn forget_oldest_tasks(&mut self) {
        while self.completed.len() > MAX_COMPLETED_TASKS {
            self.completed.pop_front();
        }
    }

    /// The stream to it, if one is open.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            ExecutorState::Running(connection) | ExecutorState::Terminating(connection) => {
                connection
            }
            ExecutorState::Registering | ExecutorState::Terminated => None,
        }
    }

    /// The queued task or group that holds this task.
    pub fn queued_with(&self, task: &TaskId) -> Option<&Queued> {
        self.queued.iter().find(|queued| {
            queued
                .tasks()
                .iter()
                .any(|candidate| candidate.task_id.value == task.as_str())
        })
    }

    /// The task, unless it is queued or completed.
    pub fn task(&self, task: &TaskId) -> Option<&Arc<v1::Task>> {
        self.launched
            .get(task)
            .or_else(|| self.terminated.get(task))
    }
}

/// A framework.
#[derive(Debug, Clone)]
pub struct Framework {
    /// Its id.
    pub id: FrameworkId,
    /// Its description; `id` is set.
    pub info: Arc<v1::FrameworkInfo>,
    /// Where it is in its life.
    pub state: FrameworkState,
    /// Its executors that are not completed.
    pub executors: OrdMap<ExecutorId, Arc<Executor>>,
    /// The executor of each task that is not completed.
    pub tasks: OrdMap<TaskId, ExecutorId>,
    /// The last completed executors, oldest first, bounded by the setting.
    pub completed_executors: Vector<Arc<Executor>>,
}

impl Framework {
    /// Whether it has the capability PARTITION_AWARE.
    pub fn is_partition_aware(&self) -> bool {
        is_partition_aware(&self.info)
    }

    /// The executor of a task that is not completed.
    pub fn executor_of(&self, task: &TaskId) -> Option<&Arc<Executor>> {
        self.executors.get(self.tasks.get(task)?)
    }
}

/// Whether a framework has the capability PARTITION_AWARE.
pub fn is_partition_aware(info: &v1::FrameworkInfo) -> bool {
    use v1::framework_info::capability::Type;
    info.capabilities
        .iter()
        .any(|capability| capability.r#type() == Type::PartitionAware)
}

/// The agent ends all its tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drain {
    /// Within which limits.
    pub config: v1::DrainConfig,
    /// Since when.
    pub started: Wall,
}

/// A consistent view of the agent for readers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The agent's description; `id` is set once it has one.
    pub info: Arc<v1::AgentInfo>,
    /// Its id, once it has one.
    pub agent_id: Option<AgentId>,
    /// All its resources: those it was started with, and what was reserved and created since.
    pub total: Resources,
    /// Operations on them that have ended and wait for acknowledgement.
    pub operations: OrdMap<OperationUuid, v1::Operation>,
    /// When this agent process started.
    pub start_time: Wall,
    /// The master it is registered with, or was last.
    pub master: Option<Arc<v1::MasterInfo>>,
    /// Whether it drains, and how.
    pub drain: Option<Drain>,
    /// Whether it is registered now.
    pub registered: bool,
    /// Frameworks with executors here.
    pub frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    /// The last completed frameworks, oldest first.
    pub completed_frameworks: Vector<Arc<Framework>>,
    /// Containers in others, and those that stand alone.
    pub containers: OrdMap<ContainerId, Arc<Container>>,
    /// Counts of what happened since start.
    pub counters: Counters,
    /// Counts of sandboxes that were removed.
    pub garbage: GarbageFigures,
}

/// The task's form in the API when it is handed to an executor, and while it waits for that.
pub fn staged(task: &v1::TaskInfo, framework: &v1::FrameworkInfo, executor: &Executor) -> v1::Task {
    let command_user = task
        .command
        .as_ref()
        .and_then(|command| command.user.clone());
    let executor_user = task
        .executor
        .as_ref()
        .and_then(|executor| executor.command.as_ref())
        .and_then(|command| command.user.clone());
    v1::Task {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        framework_id: framework.id.clone().unwrap_or_default(),
        // Schedulers never see the executor that the agent makes for a command.
        executor_id: match executor.kind {
            ExecutorKind::Command => None,
            ExecutorKind::Default | ExecutorKind::Custom => Some(executor.id.to_v1()),
        },
        agent_id: task.agent_id.clone(),
        state: TaskState::TaskStaging as i32,
        resources: task.resources.clone(),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        container: task.container.clone(),
        user: command_user.or(executor_user),
        health_check: task.health_check.clone(),
        kill_policy: task.kill_policy,
        limits: task.limits.clone(),
        ..v1::Task::default()
    }
}
