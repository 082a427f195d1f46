//! One check of one task: when it is due and what its results mean, by Mesos's rules.
//! Looks at nothing itself and sends nothing.

use std::time::Duration;

use tepui_protocol::v1::network_info::Protocol;
use tepui_protocol::v1::{
    CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, check_info, check_status_info,
    health_check,
};

use super::status::{Ended, empty_result};
use crate::clock::Now;

/// Shortest time between the end of one look and the beginning of the next: an interval of zero
/// must not keep a processor busy. Mesos takes this long to notice that a check ended.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Longest delay, interval, timeout and grace period; seconds beyond it count as this.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How to look at a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// Run a command; its exit status is the finding.
    Command(Box<CommandInfo>),
    /// Ask for a page on the loopback interface; the status code is the finding.
    Http {
        /// Whether with TLS (`https`).
        tls: bool,
        /// Whether at `::1` instead of `127.0.0.1`.
        ipv6: bool,
        /// The port.
        port: u32,
        /// The path, which may be empty.
        path: String,
    },
    /// Open a connection on the loopback interface.
    Tcp {
        /// Whether to `::1` instead of `127.0.0.1`.
        ipv6: bool,
        /// The port.
        port: u32,
    },
}

/// What a look at a task found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The command exited with this status.
    ExitCode(i32),
    /// The answer had this status code.
    StatusCode(u16),
    /// Whether the connection could be opened.
    Connected(bool),
}

/// What a look found, or in words why it found nothing.
pub type Found = Result<Finding, String>;

/// What follows from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The result of a check changed.
    Changed,
    /// A health check passed for the first time, or again after failures.
    Healthy,
    /// A health check failed and that counts.
    Unhealthy {
        /// Whether it was the last failure the task may have.
        kill: bool,
    },
}

/// Where a check is between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing happens before the agent is back.
    Paused,
    /// The next look begins at this time.
    Waiting(Duration),
    /// A look is under way.
    Looking {
        /// Its number.
        run: u64,
        /// When it took too long; `None` is never.
        give_up_at: Option<Duration>,
    },
}

/// What becomes of results.
#[derive(Debug)]
enum Kind {
    /// They are told when they change (`CheckInfo`).
    Check { last: CheckStatusInfo },
    /// They decide whether the task is healthy (`HealthCheck`).
    Health {
        /// Until when failures before the first success do not count.
        grace_until: Option<Duration>,
        /// Failures in a row that end the task.
        limit: u32,
        failures: u32,
        passed_before: bool,
    },
}

/// A check of a task whose process runs.
#[derive(Debug)]
pub(super) struct Checker {
    probe: Probe,
    name: String,
    interval: Duration,
    timeout: Option<Duration>,
    progress: Progress,
    kind: Kind,
}

impl Checker {
    /// The checker of a `CheckInfo`, for a task that started now.
    ///
    /// # Errors
    /// What the check lacks.
    pub(super) fn of_check(now: Now, check: &CheckInfo) -> Result<Self, String> {
        use check_info::Type;
        let (name, probe) = match check.r#type() {
            Type::Command => (
                "COMMAND",
                check
                    .command
                    .as_ref()
                    .map(|it| Probe::Command(Box::new(it.command.clone()))),
            ),
            Type::Http => (
                "HTTP",
                check.http.as_ref().map(|it| Probe::Http {
                    tls: false,
                    ipv6: false,
                    port: it.port,
                    path: it.path().to_owned(),
                }),
            ),
            Type::Tcp => (
                "TCP",
                check.tcp.as_ref().map(|it| Probe::Tcp {
                    ipv6: false,
                    port: it.port,
                }),
            ),
            Type::Unknown => return Err("its check has no known type".into()),
        };
        let probe = probe.ok_or_else(|| format!("its {name} check does not say what to check"))?;
        Ok(Checker {
            probe,
            name: format!("{name} check"),
            interval: seconds(check.interval_seconds()).max(SHORTEST_INTERVAL),
            timeout: timeout(check.timeout_seconds()),
            progress: Progress::Waiting(now.mono + seconds(check.delay_seconds())),
            kind: Kind::Check {
                last: empty_result(check),
            },
        })
    }

    /// The checker of a `HealthCheck`, for a task that started now.
    ///
    /// # Errors
    /// What the check lacks.
    pub(super) fn of_health_check(now: Now, check: &HealthCheck) -> Result<Self, String> {
        use health_check::Type;
        let (name, probe) = match check.r#type() {
            Type::Command => (
                "COMMAND",
                check
                    .command
                    .as_ref()
                    .map(|it| Probe::Command(Box::new(it.clone()))),
            ),
            Type::Http => (
                "HTTP",
                check.http.as_ref().map(|it| Probe::Http {
                    tls: it.scheme() == "https",
                    ipv6: it.protocol() == Protocol::IPv6,
                    port: it.port,
                    path: it.path().to_owned(),
                }),
            ),
            Type::Tcp => (
                "TCP",
                check.tcp.as_ref().map(|it| Probe::Tcp {
                    ipv6: it.protocol() == Protocol::IPv6,
                    port: it.port,
                }),
            ),
            Type::Unknown => return Err("its health check has no known type".into()),
        };
        let probe =
            probe.ok_or_else(|| format!("its {name} health check does not say what to check"))?;
        let grace = seconds(check.grace_period_seconds());
        Ok(Checker {
            probe,
            name: format!("{name} health check"),
            interval: seconds(check.interval_seconds()).max(SHORTEST_INTERVAL),
            timeout: timeout(check.timeout_seconds()),
            progress: Progress::Waiting(now.mono + seconds(check.delay_seconds())),
            kind: Kind::Health {
                grace_until: (!grace.is_zero()).then_some(now.mono + grace),
                limit: check.consecutive_failures(),
                failures: 0,
                passed_before: false,
            },
        })
    }

    /// What kind of check it is, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The last result of a `CheckInfo`, empty before the first.
    pub(super) fn last_result(&self) -> Option<&CheckStatusInfo> {
        match &self.kind {
            Kind::Check { last } => Some(last),
            Kind::Health { .. } => None,
        }
    }

    /// When the check needs attention without anything happening.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.progress {
            Progress::Paused => None,
            Progress::Waiting(at) => Some(at),
            Progress::Looking { give_up_at, .. } => give_up_at,
        }
    }

    /// The number of the look that is under way.
    pub(super) fn run(&self) -> Option<u64> {
        match self.progress {
            Progress::Looking { run, .. } => Some(run),
            Progress::Paused | Progress::Waiting(_) => None,
        }
    }

    /// Stops looking; the number of the look that has become useless.
    pub(super) fn pause(&mut self) -> Option<u64> {
        let run = self.run();
        self.progress = Progress::Paused;
        run
    }

    /// Looks again at once if it was paused, as Mesos does.
    pub(super) fn resume(&mut self, now: Now) {
        if self.progress == Progress::Paused {
            self.progress = Progress::Waiting(now.mono);
        }
    }

    /// Begins a look with this number if one is due.
    pub(super) fn begin(&mut self, now: Now, run: u64) -> Option<Probe> {
        match self.progress {
            Progress::Waiting(at) if at <= now.mono => {
                self.progress = Progress::Looking {
                    run,
                    give_up_at: self.timeout.map(|timeout| now.mono + timeout),
                };
                Some(self.probe.clone())
            }
            Progress::Paused | Progress::Waiting(_) | Progress::Looking { .. } => None,
        }
    }

    /// The number of a look that took too long, and words for that.
    pub(super) fn timed_out(&self, now: Now) -> Option<(u64, String)> {
        match self.progress {
            Progress::Looking {
                run,
                give_up_at: Some(at),
            } if at <= now.mono => {
                let what = match self.probe {
                    Probe::Command(_) => "Command",
                    Probe::Http { .. } => "HTTP request",
                    Probe::Tcp { .. } => "TCP connection",
                };
                let after = self.timeout.unwrap_or_default().as_secs_f64();
                Some((run, format!("{what} timed out after {after}secs")))
            }
            Progress::Paused | Progress::Waiting(_) | Progress::Looking { .. } => None,
        }
    }

    /// Why a result is a failure, in Mesos's words where it has some.
    pub(super) fn failure(&self, found: &Found) -> Option<String> {
        let health = matches!(self.kind, Kind::Health { .. });
        match found {
            Err(why) => Some(why.clone()),
            Ok(Finding::ExitCode(code)) if health && *code != 0 => {
                Some(format!("Command {}", Ended::Exited(*code)))
            }
            Ok(Finding::StatusCode(code)) if health && !(200..400).contains(code) => {
                Some(format!("Unexpected HTTP response code: {code}"))
            }
            Ok(Finding::Connected(false)) if health => Some("TCP connection failed".into()),
            Ok(_) => None,
        }
    }

    /// Takes the result of the look under way and arranges the next one.
    pub(super) fn conclude(&mut self, now: Now, found: &Found) -> Option<Verdict> {
        let failed = self.failure(found).is_some();
        self.progress = Progress::Waiting(now.mono + self.interval);
        match &mut self.kind {
            Kind::Check { last } => {
                let result = result_of(last, found);
                let changed = result != *last;
                *last = result;
                changed.then_some(Verdict::Changed)
            }
            Kind::Health {
                grace_until,
                limit,
                failures,
                passed_before,
            } => {
                if !failed {
                    let news = !*passed_before || *failures > 0;
                    *passed_before = true;
                    *failures = 0;
                    return news.then_some(Verdict::Healthy);
                }
                if !*passed_before && grace_until.is_some_and(|until| now.mono <= until) {
                    return None;
                }
                *failures = failures.saturating_add(1);
                Some(Verdict::Unhealthy {
                    kill: failures >= limit,
                })
            }
        }
    }
}

/// The status of a check after a look; it is empty when nothing could be found.
fn result_of(last: &CheckStatusInfo, found: &Found) -> CheckStatusInfo {
    CheckStatusInfo {
        r#type: last.r#type,
        command: last.command.map(|_| check_status_info::Command {
            exit_code: match found {
                Ok(Finding::ExitCode(code)) => Some(*code),
                Ok(_) | Err(_) => None,
            },
        }),
        http: last.http.map(|_| check_status_info::Http {
            status_code: match found {
                Ok(Finding::StatusCode(code)) => Some(u32::from(*code)),
                Ok(_) | Err(_) => None,
            },
        }),
        tcp: last.tcp.map(|_| check_status_info::Tcp {
            succeeded: match found {
                Ok(Finding::Connected(connected)) => Some(*connected),
                Ok(_) | Err(_) => None,
            },
        }),
    }
}

/// Seconds as they stand in a check; what is no duration counts as none or as the longest.
fn seconds(value: f64) -> Duration {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) => duration.min(LONGEST),
        Err(_) if value > 0.0 => LONGEST,
        Err(_) => Duration::ZERO,
    }
}

/// A timeout of zero is none.
fn timeout(value: f64) -> Option<Duration> {
    Some(seconds(value)).filter(|timeout| !timeout.is_zero())
}
