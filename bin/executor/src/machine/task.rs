//! One task of the executor and where it is in its life.
//! Moves along only as the machine says.

use std::time::Duration;

use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::network_info::{IpAddress, Protocol};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{ContainerId, KillPolicy, NetworkInfo, TaskInfo, TaskState};

use super::checker::Checker;
use super::status::{Ended, Report};
use crate::clock::Now;

/// Why a task is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The framework, the agent or the task's group asked for it.
    Asked,
    /// It ran longer than its `max_completion_time`.
    MaxCompletionTime,
}

/// The life of a task; one that ended is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Its process is about to be started.
    Starting,
    /// Its process runs.
    Running {
        /// The process.
        pid: i32,
    },
    /// It was sent SIGTERM.
    Killing {
        /// The process.
        pid: i32,
        /// Why it is killed.
        cause: Cause,
        /// When SIGTERM was sent.
        since: Duration,
        /// When SIGKILL follows; `None` once it was sent.
        escalate_at: Option<Duration>,
    },
}

impl Life {
    pub(super) fn pid(self) -> Option<i32> {
        match self {
            Life::Starting => None,
            Life::Running { pid } | Life::Killing { pid, .. } => Some(pid),
        }
    }
}

/// What the Docker Engine has told of a task's container.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) text: String,
    pub(super) addresses: Vec<String>,
}

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Task {
    /// What the framework asked for.
    pub(super) info: TaskInfo,
    /// Number of its group; members end together.
    pub(super) group: Option<u64>,
    /// Its own container within a group.
    pub(super) container: Option<ContainerId>,
    /// Where it is.
    pub(super) life: Life,
    /// Grace of a kill that came before its process was started.
    pub(super) doomed: Option<Duration>,
    /// Whether the agent has acknowledged any of its updates.
    pub(super) acknowledged: bool,
    /// When its `max_completion_time` is over.
    pub(super) complete_at: Option<Duration>,
    /// Its checks, while its process runs and is not being killed.
    pub(super) checkers: Vec<Checker>,
    /// What its health check last said.
    pub(super) healthy: Option<bool>,
    /// Whether its health check, or that of a member of its group, had it killed.
    pub(super) unhealthy: bool,
    /// Its container, if the Docker Engine runs it.
    pub(super) inspected: Option<Inspected>,
    /// Whether its container used more memory than it may.
    pub(super) out_of_memory: bool,
}

impl Task {
    pub(super) fn new(
        now: Now,
        info: TaskInfo,
        group: Option<u64>,
        container: Option<ContainerId>,
    ) -> Self {
        let limit = info
            .max_completion_time
            .as_ref()
            .map_or(0, |limit| limit.nanoseconds);
        let limit = u64::try_from(limit).ok().filter(|nanos| *nanos > 0);
        Task {
            complete_at: limit.map(|nanos| now.mono + Duration::from_nanos(nanos)),
            info,
            group,
            container,
            life: Life::Starting,
            doomed: None,
            acknowledged: false,
            checkers: Vec::new(),
            healthy: None,
            unhealthy: false,
            inspected: None,
            out_of_memory: false,
        }
    }

    /// Whether this is the task of that id.
    pub(super) fn is(&self, id: &str) -> bool {
        self.info.task_id.value == id
    }

    /// Whether this is the task of that id and its process has not been started.
    pub(super) fn waits_for_start(&self, id: &str) -> bool {
        self.life == Life::Starting && self.is(id)
    }

    /// When the task needs attention without anything happening to it.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.life {
            // Its start is reported before the next wait.
            Life::Starting => None,
            Life::Running { .. } => {
                let checks = self.checkers.iter().filter_map(Checker::deadline);
                checks.chain(self.complete_at).min()
            }
            Life::Killing { escalate_at, .. } => escalate_at,
        }
    }

    /// A report that the task is in `state`.
    pub(super) fn report(&self, state: TaskState) -> Report {
        Report {
            container: self.container.clone(),
            network: self.network().filter(|_| state == TaskState::TaskRunning),
            ..Report::of(&self.info, state)
        }
    }

    /// The first report that the task runs.
    pub(super) fn running_report(&self) -> Report {
        let inspected = self.inspected.as_ref();
        Report {
            data: inspected.map(|inspected| inspected.text.clone().into_bytes()),
            ..self.report(TaskState::TaskRunning)
        }
    }

    /// Where its container is found in the network it asked for.
    fn network(&self) -> Option<NetworkInfo> {
        let addresses = &self.inspected.as_ref()?.addresses;
        let asked = self.info.container.as_deref();
        let asked = asked.and_then(|container| container.network_infos.first());
        (!addresses.is_empty()).then(|| NetworkInfo {
            ip_addresses: addresses.iter().map(|text| ip_address(text)).collect(),
            ..asked.cloned().unwrap_or_default()
        })
    }

    /// A report that the task runs, with all that its checks said last.
    pub(super) fn checked_report(&self) -> Report {
        let report = self.report(TaskState::TaskRunning);
        let last = self.checkers.iter().find_map(Checker::last_result);
        Report {
            healthy: self.healthy,
            check: last.cloned().or(report.check),
            ..report
        }
    }

    /// Time between SIGTERM and SIGKILL: what a kill asks for, else what the task says.
    pub(super) fn kill_grace(&self, asked: Option<&KillPolicy>, default: Duration) -> Duration {
        grace_of(asked)
            .or_else(|| grace_of(self.info.kill_policy.as_ref()))
            .unwrap_or(default)
    }

    /// The last report of the task, after its process ended.
    pub(super) fn final_report(&self, ended: Ended) -> Report {
        let (state, reason) = match self.life {
            Life::Killing {
                cause: Cause::MaxCompletionTime,
                ..
            } => (
                TaskState::TaskFailed,
                Some(Reason::MaxCompletionTimeReached),
            ),
            Life::Killing {
                cause: Cause::Asked,
                ..
            } => (TaskState::TaskKilled, None),
            Life::Starting | Life::Running { .. } if ended == Ended::Exited(0) => {
                (TaskState::TaskFinished, None)
            }
            Life::Starting | Life::Running { .. } if self.out_of_memory => (
                TaskState::TaskFailed,
                Some(Reason::ContainerLimitationMemory),
            ),
            Life::Starting | Life::Running { .. } => (TaskState::TaskFailed, None),
        };
        let (what, more) = match (&self.inspected, self.out_of_memory) {
            (None, _) => ("Command", ""),
            (Some(_), false) => ("Container", ""),
            (Some(_), true) => ("Container", ": it used more memory than it may"),
        };
        Report {
            reason,
            healthy: self.unhealthy.then_some(false),
            ..self.report(state)
        }
        .message(&format!("{what} {ended}{more}"))
    }

    /// The last report of the task, after its container ended. (Mesos: `waited` of the default
    /// executor.)
    pub(super) fn container_report(&self, how: WaitContainer) -> Report {
        let known = how.exit_status.map(Ended::of_wait_status);
        let own = match known {
            Some(ended) => self.final_report(ended),
            None => {
                let killed = matches!(self.life, Life::Killing { .. });
                let report = self.final_report(Ended::Exited(1));
                let text = "Command terminated with unknown status";
                let text = if killed { None } else { Some(text.to_owned()) };
                Report { text, ..report }
            }
        };
        let state = how.state.and_then(|state| TaskState::try_from(state).ok());
        let reason = how.reason.and_then(|reason| Reason::try_from(reason).ok());
        let text = match (own.text, how.message) {
            (Some(own), Some(more)) => Some(format!("{own}: {more}")),
            (own, more) => own.or(more),
        };
        Report {
            state: state.unwrap_or(own.state),
            reason: reason.or(own.reason),
            text,
            limitation: how.limitation,
            healthy: own.healthy,
            ..self.report(own.state)
        }
    }
}

fn ip_address(text: &str) -> IpAddress {
    let is_new = text.contains(':');
    IpAddress {
        // What is of version 4 says nothing, as in Mesos.
        protocol: is_new.then_some(Protocol::IPv6 as i32),
        ip_address: Some(text.to_owned()),
    }
}

/// The grace period of a policy; a negative one counts as zero.
fn grace_of(policy: Option<&KillPolicy>) -> Option<Duration> {
    let nanos = policy?.grace_period.as_ref()?.nanoseconds;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}
