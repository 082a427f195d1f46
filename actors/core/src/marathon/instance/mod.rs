//! Instances of apps: what is stored and shown of each, and the order in which they are given up.
//! Decides nothing about launches or kills.

mod condition;
mod counts;
mod mesos_state;
mod victims;

use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::{App, HealthProtocol, IpProtocol, PathId, Timestamp};
use tepui_protocol::v1::TaskState;

use crate::ids::TaskId;
use crate::marathon::ids::{InstanceId, task_id};
use crate::marathon::place::Place;

pub use condition::Condition;
pub use counts::TaskCounts;
pub use victims::{VictimKey, Victims};

/// What Marathon wants of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Goal {
    /// It shall run.
    Running,
    /// It shall not run; its reservation is kept.
    Stopped,
    /// It shall end and be forgotten.
    Decommissioned,
}

/// An address of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpAddress {
    /// In text form.
    pub ip_address: String,
    /// Its family.
    pub protocol: IpProtocol,
}

/// What one health check found out about one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The last verdict that counted; none before the first.
    pub alive: Option<bool>,
    /// Failures that counted since the last success.
    pub consecutive_failures: u32,
    /// The first success.
    pub first_success: Option<Timestamp>,
    /// The latest success.
    pub last_success: Option<Timestamp>,
    /// The latest failure that counted.
    pub last_failure: Option<Timestamp>,
    /// Why it failed then.
    pub last_failure_cause: Option<String>,
}

/// One place of an app, with its current task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The app it belongs to.
    pub app: PathId,
    /// Config version of the app's definition that it runs.
    pub version: Timestamp,
    /// The agent it runs on, or has its reservation on.
    pub place: Place,
    /// What it is doing.
    pub condition: Condition,
    /// What is wanted of it.
    pub goal: Goal,
    /// When it got into its condition.
    pub since: Timestamp,
    /// When it first ran; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Timestamp>,
    /// Which run this is, from 1; 0 while there was none.
    pub incarnation: u32,
    /// When the launch of this run was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_at: Option<Timestamp>,
    /// When this run was first seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The state Mesos told last; none before the first status.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "mesos_state")]
    pub mesos_state: Option<TaskState>,
    /// Ports of the host, in the order of the app's ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<u16>,
    /// Addresses of the task; empty until they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<IpAddress>,
    /// When the news came that its agent cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<Timestamp>,
    /// Per health check of its definition, in that order. Not stored: a new leader finds out anew.
    #[serde(skip)]
    pub health: Vec<Health>,
}

impl Instance {
    /// The id of its current task; none before the first launch.
    pub fn task(&self) -> Option<TaskId> {
        (self.incarnation > 0).then(|| task_id(&self.id, self.incarnation))
    }

    /// Whether it is meant to run and counts as one of the wanted number.
    pub fn counts(&self) -> bool {
        self.goal == Goal::Running && self.condition.is_active()
    }

    /// Whether it has a task, as far as is known.
    pub fn has_task(&self) -> bool {
        self.condition.is_active() && self.condition != Condition::Scheduled
    }

    /// Whether it has a task although it is meant to end.
    pub fn is_dying(&self) -> bool {
        self.goal != Goal::Running && self.has_task()
    }

    /// The verdict of all checks: none while some check said nothing and none said no.
    pub fn healthy(&self) -> Option<bool> {
        if self.health.iter().any(|check| check.alive == Some(false)) {
            return Some(false);
        }
        let all = self.health.iter().all(|check| check.alive == Some(true));
        (all && !self.health.is_empty()).then_some(true)
    }

    /// Whether it serves: it runs, and every check it has says so.
    pub fn serves(&self) -> bool {
        let alive = |check: &Health| check.alive == Some(true);
        self.condition == Condition::Running && self.health.iter().all(alive)
    }
}

/// The config version of a definition: when anything but the number of instances last changed.
pub fn config_version(app: &App) -> Timestamp {
    match &app.version_info {
        Some(info) => info.last_config_change_at,
        None => app.version,
    }
}

/// Whether instances of `app` keep their reservations when they end.
pub fn is_resident(app: &App) -> bool {
    app.residency.is_some()
}

/// Whether Marathon itself probes for some check of `app`.
pub fn has_own_checks(app: &App) -> bool {
    let own = |protocol: HealthProtocol| !protocol.is_of_executor();
    app.health_checks.iter().any(|check| own(check.protocol))
}

#[cfg(test)]
mod tests;
