//! The four numbers of tasks that apps show.
//! Counts nothing but single instances; who adds them up is the engine.

use std::ops::{AddAssign, SubAssign};

use serde::Serialize;
use tepui_protocol::v1::TaskState;

use super::{Condition, Instance};

/// How many instances of an app are staged, running, healthy and unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskCounts {
    /// Without a Mesos state, or TASK_STAGING.
    pub tasks_staged: u32,
    /// TASK_RUNNING.
    pub tasks_running: u32,
    /// With check results, all of them alive.
    pub tasks_healthy: u32,
    /// With some check result that is not alive.
    pub tasks_unhealthy: u32,
}

impl TaskCounts {
    /// What one instance adds. TASK_STARTING counts nowhere, nor does what only waits for an offer.
    pub fn of(instance: &Instance) -> TaskCounts {
        if instance.condition == Condition::Scheduled {
            return TaskCounts::default();
        }
        let state = instance.mesos_state;
        let is = |yes: bool| u32::from(yes);
        let mut results = instance.health.iter().filter_map(|check| check.alive);
        let some = results.clone().next().is_some();
        let all_alive = results.all(|alive| alive);
        TaskCounts {
            tasks_staged: is(matches!(state, None | Some(TaskState::TaskStaging))),
            tasks_running: is(state == Some(TaskState::TaskRunning)),
            tasks_healthy: is(some && all_alive),
            tasks_unhealthy: is(some && !all_alive),
        }
    }
}

impl AddAssign for TaskCounts {
    fn add_assign(&mut self, other: TaskCounts) {
        self.tasks_staged += other.tasks_staged;
        self.tasks_running += other.tasks_running;
        self.tasks_healthy += other.tasks_healthy;
        self.tasks_unhealthy += other.tasks_unhealthy;
    }
}

impl SubAssign for TaskCounts {
    fn sub_assign(&mut self, other: TaskCounts) {
        self.tasks_staged -= other.tasks_staged;
        self.tasks_running -= other.tasks_running;
        self.tasks_healthy -= other.tasks_healthy;
        self.tasks_unhealthy -= other.tasks_unhealthy;
    }
}
