//! Counts of what the agent saw and did since it started.
//! Their metric names are given where metrics are served.

use tepui_protocol::v1::TaskState;

/// Plain counters; a field's name is its metric's key below `slave/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Containers that could not be started.
    pub container_launch_errors: u64,
    /// Executors that ended.
    pub executors_terminated: u64,
    /// Executors' messages that were dropped, and frameworks' messages to unknown executors.
    pub invalid_framework_messages: u64,
    /// Messages passed on between frameworks and executors.
    pub valid_framework_messages: u64,
    /// Status updates that were dropped.
    pub invalid_status_updates: u64,
    /// Status updates taken over.
    pub valid_status_updates: u64,
    /// Tasks that ended as TASK_FAILED.
    pub tasks_failed: u64,
    /// Tasks that ended as TASK_FINISHED.
    pub tasks_finished: u64,
    /// Tasks that ended as TASK_GONE.
    pub tasks_gone: u64,
    /// Tasks that ended as TASK_KILLED.
    pub tasks_killed: u64,
    /// Tasks that ended as TASK_LOST.
    pub tasks_lost: u64,
}

impl Counters {
    /// Counts a task that ended in `state`.
    pub(super) fn count_end(&mut self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.tasks_finished += 1,
            TaskState::TaskFailed => self.tasks_failed += 1,
            TaskState::TaskKilled => self.tasks_killed += 1,
            TaskState::TaskLost => self.tasks_lost += 1,
            TaskState::TaskGone => self.tasks_gone += 1,
            // Mesos keeps no counter of these.
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskError
            | TaskState::TaskDropped
            | TaskState::TaskUnreachable
            | TaskState::TaskGoneByOperator
            | TaskState::TaskUnknown => {}
        }
    }
}
