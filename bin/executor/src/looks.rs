//! Commands that check tasks in containers: the agent launches each as a container in the task's
//! own, whose processes, files and limits it shares; its sandbox is removed with it.
//! Decides nothing about tasks and keeps no time: the state machine says when to stop.
//!
//! Mesos: `CheckerProcess::nestedCommandCheck`.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use tepui_protocol::prost::Message;
use tepui_protocol::v1::agent::call::{
    KillContainer, LaunchContainer, RemoveContainer, Type, WaitContainer,
};
use tepui_protocol::v1::agent::{Call, Response};
use tepui_protocol::v1::{CommandInfo, ContainerId, ContainerInfo, LinuxInfo, TaskInfo};

use crate::connection::Connection;
use crate::containers::{RETRY, with_role};
use crate::exchange::{Agent, Exchange, is_busy};
use crate::machine::{Check, Ended, Finding, Found, Input};

/// How the name of such a container begins, by which the agent knows what it is for.
const PREFIX: &str = "check-";

/// Where a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its container is being launched.
    Launching,
    /// Its command runs, and its end is waited for.
    Waiting,
    /// It is being killed, as nobody wants its result any more.
    Killing,
    /// What is left of it is being removed.
    Removing,
}

/// A look at a task.
#[derive(Debug)]
struct Look {
    launch: LaunchContainer,
    phase: Phase,
    /// Whether nobody wants its result any more.
    is_stopped: bool,
    /// The call that its phase makes.
    exchange: Option<Exchange>,
    /// When that call is to be made.
    call_at: Option<Duration>,
}

/// The looks at tasks in containers, by their numbers.
#[derive(Debug, Default)]
pub struct Looks(BTreeMap<u64, Look>);

impl Looks {
    /// Begins a look with this command at a task in the container `seen`; `Checked` follows unless
    /// it is stopped.
    pub fn start(
        &mut self,
        now: Duration,
        check: &Check,
        command: &CommandInfo,
        seen: ContainerId,
    ) {
        let id = ContainerId {
            value: format!("{PREFIX}{}", check.run),
            parent: Some(Box::new(seen)),
        };
        let task = &check.of.task;
        let launch = LaunchContainer {
            container_id: id,
            command: Some(with_role(task, &command_for(task, command))),
            container: Some(rights_of(task)),
            ..LaunchContainer::default()
        };
        let look = Look {
            launch,
            phase: Phase::Launching,
            is_stopped: false,
            exchange: None,
            call_at: Some(now),
        };
        self.0.insert(check.run, look);
    }

    /// Ends a look with all its processes; no answer is wanted.
    pub fn stop(&mut self, now: Duration, run: u64) {
        let Some(look) = self.0.get_mut(&run) else {
            return;
        };
        look.is_stopped = true;
        match look.phase {
            // Before its launch is answered, a kill could overtake it.
            Phase::Launching if look.exchange.is_some() => {}
            Phase::Launching | Phase::Waiting => look.enter(Phase::Killing, now),
            Phase::Killing | Phase::Removing => {}
        }
    }

    /// Nobody is there to be asked any more.
    pub fn abandon(&mut self) {
        self.0.clear();
    }

    /// The open connections.
    pub fn connections(&self) -> impl Iterator<Item = (u64, &Connection)> {
        let exchanges = self.0.iter();
        let exchanges = exchanges.filter_map(|(run, look)| Some((*run, look.exchange.as_ref()?)));
        exchanges.map(|(run, exchange)| (run, exchange.connection()))
    }

    /// When a call is to be made.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.values().filter_map(|look| look.call_at).min()
    }

    /// Makes the calls that are due.
    pub fn begin(&mut self, now: Duration, agent: &Agent) {
        self.0.values_mut().for_each(|look| look.begin(now, agent));
    }

    /// Goes on with the look whose connection became ready.
    pub fn hear(&mut self, now: Duration, run: u64) -> Option<Input> {
        let look = self.0.get_mut(&run)?;
        match look.exchange.as_mut()?.progress() {
            Ok(None) => None,
            Ok(Some((status, body))) => {
                look.exchange = None;
                let (stays, found) = look.answered(now, status, &body);
                let found = found.filter(|_| !look.is_stopped);
                // One that was told is not told again.
                look.is_stopped |= look.phase == Phase::Removing;
                if !stays {
                    self.0.remove(&run);
                }
                found.map(|found| Input::Checked { run, found })
            }
            Err(_) => {
                look.lost(now);
                None
            }
        }
    }
}

impl Look {
    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.exchange = None;
        self.call_at = Some(now);
    }

    /// Makes the call of its phase if that is due.
    fn begin(&mut self, now: Duration, agent: &Agent) {
        if self.call_at.is_none_or(|at| at > now) {
            return;
        }
        self.exchange = agent.call(&self.call());
        self.call_at = self.exchange.is_none().then_some(now + RETRY);
    }

    fn call(&self) -> Call {
        let container_id = self.launch.container_id.clone();
        let call = Call::default();
        match self.phase {
            Phase::Launching => Call {
                r#type: Some(Type::LaunchContainer as i32),
                launch_container: Some(self.launch.clone()),
                ..call
            },
            Phase::Waiting => Call {
                r#type: Some(Type::WaitContainer as i32),
                wait_container: Some(WaitContainer { container_id }),
                ..call
            },
            Phase::Killing => Call {
                r#type: Some(Type::KillContainer as i32),
                kill_container: Some(KillContainer {
                    container_id,
                    signal: Some(Signal::SIGKILL as i32),
                }),
                ..call
            },
            Phase::Removing => Call {
                r#type: Some(Type::RemoveContainer as i32),
                remove_container: Some(RemoveContainer { container_id }),
                ..call
            },
        }
    }

    /// The agent is away, or has cut the connection: it is asked again.
    fn lost(&mut self, now: Duration) {
        let phase = match self.phase {
            Phase::Launching if self.is_stopped => Phase::Killing,
            same => same,
        };
        self.enter(phase, now + RETRY);
    }

    /// What an answer of the agent means: whether there is more to do, and what was found.
    fn answered(&mut self, now: Duration, status: u16, body: &[u8]) -> (bool, Option<Found>) {
        if is_busy(status) {
            self.lost(now);
            return (true, None);
        }
        match self.phase {
            Phase::Launching if matches!(status, 200 | 202) => {
                let next = match self.is_stopped {
                    true => Phase::Killing,
                    false => Phase::Waiting,
                };
                self.enter(next, now);
                (true, None)
            }
            Phase::Launching => {
                self.enter(Phase::Removing, now);
                let why = String::from_utf8_lossy(body);
                (
                    true,
                    Some(Err(format!("Command could not be launched: {why}"))),
                )
            }
            Phase::Waiting => {
                self.enter(Phase::Removing, now);
                let body = if status == 200 { body } else { &[] };
                (true, Some(found(body)))
            }
            Phase::Killing => {
                let next = match status {
                    200 => Phase::Waiting,
                    // It has ended, or there never was one.
                    _ => Phase::Removing,
                };
                self.enter(next, now);
                (true, None)
            }
            Phase::Removing => (false, None),
        }
    }
}

/// What the end of a command means.
fn found(answer: &[u8]) -> Found {
    let read = Response::decode(answer).ok();
    let how = read.and_then(|answer| answer.wait_container);
    let how = how.unwrap_or_default();
    // One that is ended for what it used has a status, too.
    if let Some(why) = how.message {
        return Err(format!("Command was ended: {why}"));
    }
    match how.exit_status.map(Ended::of_wait_status) {
        Some(Ended::Exited(code)) => Ok(Finding::ExitCode(code)),
        Some(ended) => Err(format!("Command {ended}")),
        None => Err("Command terminated with unknown status".to_owned()),
    }
}

/// The command as the task's user, in the task's environment with its own variables on top. The
/// user that it may name is ignored, as with tasks that are processes.
fn command_for(task: &TaskInfo, check: &CommandInfo) -> CommandInfo {
    let own = task.command.as_deref().cloned().unwrap_or_default();
    let mut environment = own.environment.unwrap_or_default();
    let more = check.environment.clone().unwrap_or_default();
    environment.variables.extend(more.variables);
    CommandInfo {
        user: own.user,
        environment: Some(environment),
        uris: Vec::new(),
        ..check.clone()
    }
}

/// A container with the rights of a task's, and nothing of its own.
fn rights_of(task: &TaskInfo) -> ContainerInfo {
    let own = task.container.as_deref().cloned().unwrap_or_default();
    #[allow(
        deprecated,
        reason = "still part of the API, and older frameworks use it"
    )]
    let linux = own.linux_info.map(|linux| LinuxInfo {
        capability_info: linux.capability_info,
        bounding_capabilities: linux.bounding_capabilities,
        effective_capabilities: linux.effective_capabilities,
        ..LinuxInfo::default()
    });
    ContainerInfo {
        r#type: tepui_protocol::v1::container_info::Type::Mesos as i32,
        linux_info: linux,
        rlimit_info: own.rlimit_info,
        ..ContainerInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Probe, Start};
    use tepui_protocol::v1::agent::response;

    fn looks() -> Looks {
        let check = Check {
            run: 7,
            probe: Probe::Command(Box::default()),
            of: Start {
                task: TaskInfo::default(),
                container: Some("m".to_owned()),
                parent: None,
            },
        };
        let mut looks = Looks::default();
        let seen = ContainerId {
            value: "m".to_owned(),
            parent: None,
        };
        looks.start(Duration::ZERO, &check, &CommandInfo::default(), seen);
        looks
    }

    fn look(looks: &mut Looks) -> &mut Look {
        looks.0.get_mut(&7).unwrap()
    }

    fn ended(status: i32) -> Vec<u8> {
        let answer = Response {
            wait_container: Some(response::WaitContainer {
                exit_status: Some(status),
                ..response::WaitContainer::default()
            }),
            ..Response::default()
        };
        answer.encode_to_vec()
    }

    #[test]
    fn a_look_is_launched_waited_for_and_removed() {
        let mut looks = looks();
        let look = look(&mut looks);
        assert_eq!(
            look.call().launch_container.unwrap().container_id.value,
            "check-7"
        );
        assert_eq!(look.answered(Duration::ZERO, 200, &[]), (true, None));
        assert!(look.call().wait_container.is_some());
        let told = look.answered(Duration::ZERO, 200, &ended(3 << 8));
        assert_eq!(told, (true, Some(Ok(Finding::ExitCode(3)))));
        assert!(look.call().remove_container.is_some());
        assert_eq!(look.answered(Duration::ZERO, 200, &[]), (false, None));
    }

    #[test]
    fn one_that_is_stopped_is_killed_once_it_is_there() {
        let mut looks = looks();
        // The agent is away: there may be a container, or none.
        look(&mut looks).lost(Duration::ZERO);
        looks.stop(Duration::ZERO, 7);
        let look = look(&mut looks);
        assert!(look.call().kill_container.is_some());
        assert_eq!(look.answered(Duration::ZERO, 200, &[]), (true, None));
        assert!(look.call().wait_container.is_some());
        look.answered(Duration::ZERO, 200, &ended(9));
        assert!(look.call().remove_container.is_some());
        assert_eq!(look.answered(Duration::ZERO, 503, &[]), (true, None));
        assert!(look.call().remove_container.is_some());
    }

    #[test]
    fn what_is_not_an_exit_is_told_in_words() {
        assert_eq!(
            found(&ended(9)),
            Err("Command terminated with signal Killed".to_owned())
        );
        assert_eq!(
            found(&[]),
            Err("Command terminated with unknown status".to_owned())
        );
    }

    #[test]
    fn a_check_has_the_rights_of_its_task_and_no_more() {
        let mut task = TaskInfo::default();
        let container = task.container.get_or_insert_default();
        container.rlimit_info = Some(tepui_protocol::v1::RLimitInfo::default());
        container
            .volumes
            .push(tepui_protocol::v1::Volume::default());
        container.linux_info = Some(LinuxInfo {
            share_cgroups: Some(false),
            bounding_capabilities: Some(tepui_protocol::v1::CapabilityInfo::default()),
            ..LinuxInfo::default()
        });
        let rights = rights_of(&task);
        assert!(rights.rlimit_info.is_some() && rights.volumes.is_empty());
        let linux = rights.linux_info.unwrap();
        assert!(linux.bounding_capabilities.is_some() && linux.share_cgroups.is_none());
    }
}
