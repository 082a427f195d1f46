//! Tasks of groups: the agent launches a container in the executor's own for each, and is asked
//! about it by calls of its API.
//! Decides nothing about tasks, and keeps asking an agent that is away until it is told to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use tepui_protocol::prost::Message;
use tepui_protocol::v1::agent::call::{KillContainer, LaunchContainer, Type, WaitContainer};
use tepui_protocol::v1::agent::response;
use tepui_protocol::v1::agent::{Call, Response};
use tepui_protocol::v1::{ContainerId, TaskInfo};

use crate::connection::Connection;
use crate::exchange::{Agent, Exchange, is_busy};
use crate::looks::Looks;
use crate::machine::{Check, Input, Probe};

/// Numbers of containers begin here; no process has such an id.
const FIRST: i32 = 1 << 30;

/// Time between two attempts to reach an agent that is away.
pub const RETRY: Duration = Duration::from_millis(500);

/// A connection by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// The launch or the end of the container of this number.
    Life(i32),
    /// A signal to it.
    Signal(i32),
    /// The look of this number.
    Look(u64),
}

/// Where a container is.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// It is being launched.
    Launching,
    /// It runs, and its end is waited for.
    Waiting,
}

/// A container of a task.
#[derive(Debug)]
struct Container {
    task: String,
    launch: LaunchContainer,
    phase: Phase,
    /// The call that its phase makes.
    exchange: Option<Exchange>,
    /// A signal that the agent has not taken yet, and the call that says so.
    signal: Option<Signal>,
    signalling: Option<Exchange>,
    /// When what failed is tried again.
    retry_at: Option<Duration>,
}

/// The containers of all tasks, by number.
#[derive(Debug)]
pub struct Containers {
    agent: Agent,
    all: BTreeMap<i32, Container>,
    next: i32,
    looks: Looks,
}

impl Containers {
    /// Without any container.
    pub fn new(agent: Agent) -> Self {
        Containers {
            agent,
            all: BTreeMap::new(),
            next: FIRST,
            looks: Looks::default(),
        }
    }

    /// Asks the agent to launch a container; `Started` follows, or `StartFailed`.
    pub fn launch(&mut self, now: Duration, task: &TaskInfo, id: ContainerId) {
        let launch = LaunchContainer {
            container_id: id,
            command: task
                .command
                .as_deref()
                .map(|command| with_role(task, command)),
            container: task.container.as_deref().cloned(),
            resources: task.resources.clone(),
            limits: task.limits.clone(),
        };
        let container = Container {
            task: task.task_id.value.clone(),
            launch,
            phase: Phase::Launching,
            exchange: None,
            signal: None,
            signalling: None,
            retry_at: Some(now),
        };
        self.all.insert(self.next, container);
        self.next = self.next.wrapping_add(1).max(FIRST);
    }

    /// Sends a signal to a container's first process; false if there is no such container.
    pub fn signal(&mut self, now: Duration, number: i32, signal: Signal) -> bool {
        let Some(container) = self.all.get_mut(&number) else {
            return number >= FIRST;
        };
        container.signal = Some(signal);
        container.signalling = None;
        container.retry_at.get_or_insert(now);
        true
    }

    /// Begins a look at a task by a command, if the task is in a container; false if it is not.
    pub fn look(&mut self, now: Duration, check: &Check) -> bool {
        let (Probe::Command(command), of) = (&check.probe, &check.of) else {
            return false;
        };
        let Some(value) = of.container.clone() else {
            return false;
        };
        let parent = of.parent.clone();
        self.looks
            .start(now, check, command, ContainerId { value, parent });
        true
    }

    /// Ends such a look, if it is one.
    pub fn stop_look(&mut self, now: Duration, run: u64) {
        self.looks.stop(now, run);
    }

    /// The agent is given up: what becomes of the containers is not heard of any more.
    pub fn abandon(&mut self) -> Vec<Input> {
        self.looks.abandon();
        let all = std::mem::take(&mut self.all);
        let ended = all
            .into_iter()
            .map(|(number, container)| match container.phase {
                Phase::Launching => Input::StartFailed {
                    task: container.task,
                    message: "the agent is gone".to_owned(),
                },
                Phase::Waiting => Input::ContainerEnded {
                    pid: number,
                    how: Box::default(),
                },
            });
        ended.collect()
    }

    /// The open connections.
    pub fn connections(&self) -> impl Iterator<Item = (Line, &Connection)> {
        let exchanges = self.all.iter().flat_map(|(number, one)| {
            let life = one.exchange.iter().map(|it| (Line::Life(*number), it));
            let signal = one.signalling.iter();
            life.chain(signal.map(|it| (Line::Signal(*number), it)))
        });
        let exchanges = exchanges.map(|(line, exchange)| (line, exchange.connection()));
        let looks = self.looks.connections();
        exchanges.chain(looks.map(|(run, connection)| (Line::Look(run), connection)))
    }

    /// When something is to be tried again.
    pub fn next_deadline(&self) -> Option<Duration> {
        let tasks = self.all.values().filter_map(|one| one.retry_at);
        tasks.chain(self.looks.next_deadline()).min()
    }

    /// Goes on with all that can go on: with these connections, and with what is due.
    pub fn progress(&mut self, now: Duration, ready: &[Line]) -> Vec<Input> {
        let mut inputs = Vec::new();
        for line in ready {
            inputs.extend(match line {
                Line::Life(number) => self.hear(now, *number),
                Line::Signal(number) => {
                    self.hear_of_signal(now, *number);
                    None
                }
                Line::Look(run) => self.looks.hear(now, *run),
            });
        }
        self.looks.begin(now, &self.agent);
        let is_due = |one: &Container| one.retry_at.is_some_and(|at| at <= now);
        let due = self.all.iter().filter(|(_, one)| is_due(one));
        let due: Vec<i32> = due.map(|(number, _)| *number).collect();
        due.into_iter().for_each(|number| self.begin(now, number));
        inputs
    }

    fn hear(&mut self, now: Duration, number: i32) -> Option<Input> {
        let container = self.all.get_mut(&number)?;
        match container.exchange.as_mut()?.progress() {
            Ok(None) => None,
            Ok(Some((status, body))) => {
                container.exchange = None;
                self.answered(now, number, status, &body)
            }
            Err(_) => {
                container.exchange = None;
                container.retry_at.get_or_insert(now + RETRY);
                None
            }
        }
    }

    fn hear_of_signal(&mut self, now: Duration, number: i32) {
        let Some(container) = self.all.get_mut(&number) else {
            return;
        };
        match container.signalling.as_mut().map(Exchange::progress) {
            None | Some(Ok(None)) => {}
            // One that cannot be found has ended, which is heard otherwise.
            Some(Ok(Some(_))) => {
                container.signal = None;
                container.signalling = None;
            }
            Some(Err(_)) => {
                container.signalling = None;
                container.retry_at.get_or_insert(now + RETRY);
            }
        }
    }

    /// Makes the calls that are due.
    fn begin(&mut self, now: Duration, number: i32) {
        let agent = &self.agent;
        let Some(container) = self.all.get_mut(&number) else {
            return;
        };
        if container.retry_at.is_none_or(|at| at > now) {
            return;
        }
        container.retry_at = None;
        let id = &container.launch.container_id;
        if container.exchange.is_none() {
            container.exchange = agent.call(&match container.phase {
                Phase::Launching => Call {
                    r#type: Some(Type::LaunchContainer as i32),
                    launch_container: Some(container.launch.clone()),
                    ..Call::default()
                },
                Phase::Waiting => Call {
                    r#type: Some(Type::WaitContainer as i32),
                    wait_container: Some(WaitContainer {
                        container_id: id.clone(),
                    }),
                    ..Call::default()
                },
            });
        }
        // What is not there yet is killed once it is.
        let waits = container.phase == Phase::Waiting && container.signalling.is_none();
        if let Some(signal) = container.signal.filter(|_| waits) {
            container.signalling = agent.call(&Call {
                r#type: Some(Type::KillContainer as i32),
                kill_container: Some(KillContainer {
                    container_id: id.clone(),
                    signal: Some(signal as i32),
                }),
                ..Call::default()
            });
        }
        let is_missing = container.exchange.is_none()
            || (waits && container.signal.is_some() && container.signalling.is_none());
        if is_missing {
            container.retry_at = Some(now + RETRY);
        }
    }

    /// What an answer of the agent means.
    fn answered(&mut self, now: Duration, number: i32, status: u16, body: &[u8]) -> Option<Input> {
        let container = self.all.get_mut(&number)?;
        if is_busy(status) {
            container.retry_at.get_or_insert(now + RETRY);
            return None;
        }
        let text = || String::from_utf8_lossy(body).into_owned();
        match (&container.phase, status) {
            (Phase::Launching, 200 | 202) => {
                container.phase = Phase::Waiting;
                container.retry_at = Some(now);
                Some(Input::Started {
                    task: container.task.clone(),
                    pid: number,
                })
            }
            (Phase::Launching, _) => {
                let task = self.all.remove(&number)?.task;
                let message = text();
                Some(Input::StartFailed { task, message })
            }
            (Phase::Waiting, _) => {
                self.all.remove(&number);
                let read = Response::decode(body).ok().filter(|_| status == 200);
                let how = read.and_then(|answer| answer.wait_container);
                let unknown = || response::WaitContainer {
                    message: Some("Unable to retrieve command's termination information".into()),
                    ..response::WaitContainer::default()
                };
                Some(Input::ContainerEnded {
                    pid: number,
                    how: Box::new(how.unwrap_or_else(unknown)),
                })
            }
        }
    }
}

/// The command of a task, which is told for which role it runs.
pub fn with_role(
    task: &TaskInfo,
    command: &tepui_protocol::v1::CommandInfo,
) -> tepui_protocol::v1::CommandInfo {
    use tepui_protocol::v1::environment::Variable;
    let mut command = command.clone();
    let mut allocated = task.resources.iter();
    let role = allocated.find_map(|it| it.allocation_info.as_ref()?.role.clone());
    if let Some(role) = role {
        let variables = &mut command.environment.get_or_insert_default().variables;
        variables.retain(|known| known.name != "MESOS_ALLOCATION_ROLE");
        variables.push(Variable {
            name: "MESOS_ALLOCATION_ROLE".to_owned(),
            value: Some(role),
            ..Variable::default()
        });
    }
    command
}
