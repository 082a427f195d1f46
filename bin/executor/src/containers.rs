//! Tasks of groups that ask for more than a process: the agent launches a container in the
//! executor's own for each, and is asked about it by calls of its API.
//! Decides nothing about tasks, and keeps asking an agent that is away until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;
use tepui_protocol::prost::Message;
use tepui_protocol::v1::agent::call::{KillContainer, LaunchContainer, Type, WaitContainer};
use tepui_protocol::v1::agent::response;
use tepui_protocol::v1::agent::{Call, Response};
use tepui_protocol::v1::{ContainerId, ContainerInfo, TaskInfo};

use crate::connection::Connection;
use crate::http::{self, Piece};
use crate::machine::Input;

/// Numbers of containers begin here; no process has such an id.
const FIRST: i32 = 1 << 30;

/// Time between two attempts to reach an agent that is away.
const RETRY: Duration = Duration::from_millis(500);

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Whether a task asks for what only a container can give.
pub fn needs_container(task: &TaskInfo) -> bool {
    let command = task.command.as_deref();
    let fetches = command.is_some_and(|command| !command.uris.is_empty());
    let has_image = |container: &ContainerInfo| {
        let mesos = container.mesos.as_ref();
        mesos.is_some_and(|mesos| mesos.image.is_some())
    };
    let asks = task.container.as_deref().is_some_and(|container| {
        has_image(container)
            || container.linux_info.is_some()
            || container.rlimit_info.is_some()
            || !container.volumes.is_empty()
    });
    fetches || asks || !task.limits.is_empty()
}

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    connection: Connection,
    status: Option<u16>,
    body: Vec<u8>,
}

impl Exchange {
    /// Goes on as far as it can; the answer once it is complete.
    fn progress(&mut self) -> Result<Option<(u16, Vec<u8>)>, String> {
        let open = self
            .connection
            .progress()
            .map_err(|error| error.to_string())?;
        while let Some(piece) = self.connection.reader.next().map_err(|it| it.to_string())? {
            match piece {
                Piece::Head { status, .. } => self.status = Some(status),
                Piece::Body(bytes) => self.body.extend_from_slice(&bytes),
                Piece::End => {
                    let status = self.status.take().unwrap_or_default();
                    return Ok(Some((status, std::mem::take(&mut self.body))));
                }
            }
            if self.body.len() > MAX_ANSWER_BYTES {
                return Err("the answer is too long".to_owned());
            }
        }
        match open {
            true => Ok(None),
            false => Err("it closed the connection".to_owned()),
        }
    }
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
    agent: SocketAddr,
    host: String,
    token: Option<String>,
    all: BTreeMap<i32, Container>,
    next: i32,
}

impl Containers {
    /// Without any container.
    pub fn new(agent: SocketAddr, host: String, token: Option<String>) -> Self {
        Containers {
            agent,
            host,
            token,
            all: BTreeMap::new(),
            next: FIRST,
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

    /// The agent is given up: what becomes of the containers is not heard of any more.
    pub fn abandon(&mut self) -> Vec<Input> {
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
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        let exchanges = self.all.values();
        let exchanges = exchanges.flat_map(|one| one.exchange.iter().chain(&one.signalling));
        exchanges.map(|exchange| &exchange.connection)
    }

    /// When something is to be tried again.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.all.values().filter_map(|one| one.retry_at).min()
    }

    /// Goes on with all that can go on.
    pub fn progress(&mut self, now: Duration) -> Vec<Input> {
        let mut inputs = Vec::new();
        let numbers: Vec<i32> = self.all.keys().copied().collect();
        for number in numbers {
            self.begin(now, number);
            let Some(container) = self.all.get_mut(&number) else {
                continue;
            };
            if let Some(exchange) = &mut container.signalling {
                match exchange.progress() {
                    Ok(None) => {}
                    // One that cannot be found has ended, which is heard otherwise.
                    Ok(Some(_)) => {
                        container.signal = None;
                        container.signalling = None;
                    }
                    Err(_) => {
                        container.signalling = None;
                        container.retry_at.get_or_insert(now + RETRY);
                    }
                }
            }
            let Some(exchange) = &mut container.exchange else {
                continue;
            };
            match exchange.progress() {
                Ok(None) => {}
                Ok(Some((status, body))) => {
                    container.exchange = None;
                    inputs.extend(self.answered(now, number, status, &body));
                }
                Err(_) => {
                    container.exchange = None;
                    container.retry_at.get_or_insert(now + RETRY);
                }
            }
        }
        inputs
    }

    /// Makes the calls that are due.
    fn begin(&mut self, now: Duration, number: i32) {
        let request = |call: &Call| {
            let body = call.encode_to_vec();
            http::request_to(http::AGENT_PATH, &self.host, self.token.as_deref(), &body)
        };
        let agent = self.agent;
        let open = |call: &Call| {
            let mut connection = Connection::open(agent).ok()?;
            connection.send(&request(call)).ok()?;
            Some(Exchange {
                connection,
                status: None,
                body: Vec::new(),
            })
        };
        let Some(container) = self.all.get_mut(&number) else {
            return;
        };
        if container.retry_at.is_none_or(|at| at > now) {
            return;
        }
        container.retry_at = None;
        let id = &container.launch.container_id;
        if container.exchange.is_none() {
            container.exchange = open(&match container.phase {
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
            container.signalling = open(&Call {
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
        if matches!(status, 408 | 429 | 503) {
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
fn with_role(
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
