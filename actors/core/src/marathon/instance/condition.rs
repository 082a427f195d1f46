//! The condition of an instance, and which one a status of Mesos leads to.
//! Says nothing about what follows from a condition.

use serde::{Deserialize, Serialize};
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Reason;

/// What an instance is doing, in Marathon's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// It waits for an offer; only instances that keep a reservation do.
    Scheduled,
    /// It is stored; Mesos was asked to launch it, or is about to be.
    Provisioned,
    /// Mesos has it; its executor does not.
    Staging,
    /// Its executor has it.
    Starting,
    /// It runs.
    Running,
    /// It was told to end.
    Killing,
    /// Its agent cannot be reached.
    Unreachable,
    /// Its agent cannot be reached for so long that it is replaced.
    UnreachableInactive,
    /// It ended by itself, well.
    Finished,
    /// It ended because it was told to.
    Killed,
    /// It ended by itself, badly.
    Failed,
    /// Mesos refused it.
    Error,
    /// It ended with its agent.
    Gone,
    /// It never reached its agent.
    Dropped,
    /// Mesos does not know it.
    Unknown,
}

impl Condition {
    /// Whether it may still use resources or is about to: Marathon's `isActive`.
    pub fn is_active(self) -> bool {
        match self {
            Condition::Scheduled
            | Condition::Provisioned
            | Condition::Staging
            | Condition::Starting
            | Condition::Running
            | Condition::Killing
            | Condition::Unreachable => true,
            Condition::UnreachableInactive
            | Condition::Finished
            | Condition::Killed
            | Condition::Failed
            | Condition::Error
            | Condition::Gone
            | Condition::Dropped
            | Condition::Unknown => false,
        }
    }

    /// Whether its task has ended for good.
    pub fn is_terminal(self) -> bool {
        !self.is_active() && self != Condition::UnreachableInactive
    }

    /// Whether its agent cannot be reached.
    pub fn is_unreachable(self) -> bool {
        matches!(
            self,
            Condition::Unreachable | Condition::UnreachableInactive
        )
    }

    /// Whether ending like this delays the next launch.
    pub fn delays_launches(self) -> bool {
        match self {
            Condition::Dropped
            | Condition::Error
            | Condition::Failed
            | Condition::Gone
            | Condition::Finished => true,
            Condition::Scheduled
            | Condition::Provisioned
            | Condition::Staging
            | Condition::Starting
            | Condition::Running
            | Condition::Killing
            | Condition::Unreachable
            | Condition::UnreachableInactive
            | Condition::Killed
            | Condition::Unknown => false,
        }
    }

    /// Whether getting here restarts the clock of an existing launch delay.
    pub fn advances_delay(self) -> bool {
        matches!(
            self,
            Condition::Provisioned | Condition::Staging | Condition::Starting | Condition::Running
        )
    }

    /// Its name in events and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Scheduled => "Scheduled",
            Condition::Provisioned => "Provisioned",
            Condition::Staging => "Staging",
            Condition::Starting => "Starting",
            Condition::Running => "Running",
            Condition::Killing => "Killing",
            Condition::Unreachable => "Unreachable",
            Condition::UnreachableInactive => "UnreachableInactive",
            Condition::Finished => "Finished",
            Condition::Killed => "Killed",
            Condition::Failed => "Failed",
            Condition::Error => "Error",
            Condition::Gone => "Gone",
            Condition::Dropped => "Dropped",
            Condition::Unknown => "Unknown",
        }
    }

    /// The state that tasks show in the API: `TASK_` and the condition in capitals.
    pub fn api_state(self) -> &'static str {
        match self {
            Condition::Scheduled => "TASK_SCHEDULED",
            Condition::Provisioned => "TASK_PROVISIONED",
            Condition::Staging => "TASK_STAGING",
            Condition::Starting => "TASK_STARTING",
            Condition::Running => "TASK_RUNNING",
            Condition::Killing => "TASK_KILLING",
            Condition::Unreachable | Condition::UnreachableInactive => "TASK_UNREACHABLE",
            Condition::Finished => "TASK_FINISHED",
            Condition::Killed => "TASK_KILLED",
            Condition::Failed => "TASK_FAILED",
            Condition::Error => "TASK_ERROR",
            Condition::Gone => "TASK_GONE",
            Condition::Dropped => "TASK_DROPPED",
            Condition::Unknown => "TASK_UNKNOWN",
        }
    }

    /// What a status of Mesos says about a task. The source of TASK_LOST's three meanings is Marathon.
    pub fn of_status(state: TaskState, reason: Option<Reason>) -> Condition {
        match state {
            TaskState::TaskStaging => Condition::Staging,
            TaskState::TaskStarting => Condition::Starting,
            TaskState::TaskRunning => Condition::Running,
            TaskState::TaskKilling => Condition::Killing,
            TaskState::TaskFinished => Condition::Finished,
            TaskState::TaskFailed => Condition::Failed,
            TaskState::TaskKilled => Condition::Killed,
            TaskState::TaskError => Condition::Error,
            TaskState::TaskUnreachable => Condition::Unreachable,
            TaskState::TaskGone | TaskState::TaskGoneByOperator => Condition::Gone,
            TaskState::TaskDropped => Condition::Dropped,
            TaskState::TaskUnknown => Condition::Unknown,
            TaskState::TaskLost => match reason {
                Some(Reason::Reconciliation | Reason::AgentDisconnected | Reason::AgentRemoved) => {
                    Condition::Unreachable
                }
                Some(Reason::TaskUnknown) => Condition::Unknown,
                _ => Condition::Gone,
            },
        }
    }

    /// How far a launch has come, for telling late news from new ones; none when it is over or unsure.
    pub(crate) fn progress(self) -> Option<u8> {
        match self {
            Condition::Scheduled => Some(0),
            Condition::Provisioned => Some(1),
            Condition::Staging => Some(2),
            Condition::Starting => Some(3),
            Condition::Running => Some(4),
            Condition::Killing => Some(5),
            Condition::Unreachable
            | Condition::UnreachableInactive
            | Condition::Finished
            | Condition::Killed
            | Condition::Failed
            | Condition::Error
            | Condition::Gone
            | Condition::Dropped
            | Condition::Unknown => None,
        }
    }
}
