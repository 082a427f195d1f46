//! The executor's decisions: an event and the time in, actions out.
//! Performs nothing: no socket, process or clock.

mod agent;
mod checker;
mod checks;
mod life;
mod status;
mod task;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{ContainerId, FrameworkInfo, TaskInfo};

pub use self::checker::{Finding, Found, Probe};
pub use self::status::Ended;
use self::task::{Inspected, Task};
use crate::clock::Now;
use crate::ids::IdSource;

/// Time between SIGTERM and SIGKILL when neither the kill nor the task says.
pub const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);

/// Part of the shutdown grace period kept for reporting, as Mesos keeps a reap interval and 1 s.
const SHUTDOWN_RESERVE: Duration = Duration::from_secs(2);

/// Longest wait for the last updates to be acknowledged, as in Mesos.
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(60);

/// Time an executor of groups stays after its last task, as Mesos's does, so that its framework
/// hears of the tasks' ends before it hears of the executor's.
const LINGER: Duration = Duration::from_secs(1);

/// Time between HEARTBEAT calls, which keep idle connections open.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);

/// Most tasks alive at once; further ones fail.
const MAX_TASKS: usize = 1024;

/// Most updates kept for an agent that does not acknowledge; beyond it the executor gives up.
const MAX_UNACKNOWLEDGED: usize = 8 * MAX_TASKS;

/// What the agent says of this executor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The framework the executor works for.
    pub framework_id: String,
    /// The executor's own id.
    pub executor_id: String,
    /// Whether the executor waits for a lost agent to come back.
    pub checkpoint: bool,
    /// Time to end when told to.
    pub shutdown_grace: Duration,
    /// Time to wait for a lost agent.
    pub recovery_timeout: Duration,
    /// Largest random delay before another attempt to reach the agent.
    pub backoff_max: Duration,
    /// Set when its task runs in a container of the Docker Engine: the time between stop signal and
    /// SIGKILL when neither the kill nor the task says.
    pub docker: Option<Duration>,
}

impl Settings {
    /// Time between SIGTERM and SIGKILL when neither the kill nor the task says.
    fn kill_grace(&self) -> Duration {
        self.docker.unwrap_or(DEFAULT_KILL_GRACE)
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// The agent sent an event.
    Event(Box<Event>),
    /// The connection to the agent ended or could not be opened.
    Lost(String),
    /// The agent is there, but asks to come again later (503) or had no time (408, 429).
    Busy(String),
    /// The agent refused the subscription or speaks another protocol.
    Garbage(String),
    /// The Docker Engine has told of a task's container; comes before `Started`.
    Inspected {
        /// The task's id.
        task: String,
        /// All it says.
        text: String,
        /// The container's addresses.
        addresses: Vec<String>,
    },
    /// A task's container used more memory than it may; comes before `Exited`.
    OutOfMemory {
        /// The task's id.
        task: String,
    },
    /// A task's process was started.
    Started {
        /// The task's id.
        task: String,
        /// Its process, which leads a session of its own, or the number of its container, which
        /// no process has.
        pid: i32,
    },
    /// A task's process was started, but its program could not be executed.
    NotExecutable {
        /// The task's id.
        task: String,
        /// Why.
        message: String,
    },
    /// A task's process could not be started.
    StartFailed {
        /// The task's id.
        task: String,
        /// Why.
        message: String,
    },
    /// A task's process ended.
    Exited {
        /// The process.
        pid: i32,
        /// How.
        ended: Ended,
    },
    /// A task's container ended.
    ContainerEnded {
        /// Its number.
        pid: i32,
        /// How, as far as the agent knows.
        how: Box<WaitContainer>,
    },
    /// A look at a task ended; comes once for each `Check` unless it was stopped.
    Checked {
        /// The number of the look.
        run: u64,
        /// What it found.
        found: Found,
    },
    /// The executor itself was asked to end by a signal.
    Terminate,
    /// A deadline may have passed.
    Tick,
}

/// Something to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Open a subscription with this call, dropping earlier connections and unsent calls.
    Subscribe(Box<Call>),
    /// Send this call.
    Send(Box<Call>),
    /// Start a task's process and answer with `Started` or `StartFailed`.
    Start(Box<Start>),
    /// Send SIGTERM to a process, its group and its descendants.
    Terminate(i32),
    /// Send SIGKILL to them.
    Kill(i32),
    /// Look at a task and answer with `Checked`.
    Check(Box<Check>),
    /// End the look of this number, with all its processes; no answer is wanted.
    StopCheck(u64),
    /// Tell whoever reads the sandbox.
    Log(String),
    /// End with this code; whatever still runs is killed.
    Exit(u8),
}

/// A process to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The task.
    pub task: TaskInfo,
    /// Name of the task's own sandbox below `containers/`; `None` uses the executor's sandbox.
    pub container: Option<String>,
    /// The executor's container, in which that of a task of a group is.
    pub parent: Option<Box<ContainerId>>,
}

/// A look at a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its number.
    pub run: u64,
    /// What to do.
    pub probe: Probe,
    /// How the task's own process was started: a command looks from its place.
    pub of: Start,
}

/// What the executor was started for; the first launch decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Undecided,
    Command,
    Group,
}

/// The connection to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// A SUBSCRIBE was sent or is about to be.
    Subscribing,
    /// The agent answered SUBSCRIBED.
    Subscribed,
    /// Another attempt follows at this time.
    Waiting(Duration),
    /// The agent is given up.
    Gone,
}

/// An update the agent has not acknowledged yet.
#[derive(Debug)]
struct Unacknowledged {
    uuid: Vec<u8>,
    update: call::Update,
    /// Whether it was sent on the present connection, be it within SUBSCRIBE.
    sent: bool,
}

/// The state of one executor.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    ids: IdSource,
    mode: Mode,
    link: Link,
    shutting_down: bool,
    framework: FrameworkInfo,
    container: Option<ContainerId>,
    tasks: Vec<Task>,
    groups: u64,
    /// The number of the next look at a task.
    runs: u64,
    unacknowledged: VecDeque<Unacknowledged>,
    give_up_at: Option<Duration>,
    exit_at: Option<Duration>,
    leave_at: Option<Duration>,
    heartbeat_at: Option<Duration>,
}

impl Machine {
    /// A new executor, and its first subscription.
    pub fn start(now: Now, settings: Settings, seed: [u8; 16], out: &mut Vec<Action>) -> Self {
        let mut machine = Machine {
            ids: IdSource::from_seed(seed),
            mode: Mode::Undecided,
            link: Link::Subscribing,
            shutting_down: false,
            framework: FrameworkInfo::default(),
            container: None,
            tasks: Vec::new(),
            groups: 0,
            runs: 0,
            unacknowledged: VecDeque::new(),
            give_up_at: Some(now.mono + settings.recovery_timeout),
            exit_at: None,
            leave_at: None,
            heartbeat_at: None,
            settings,
        };
        machine.subscribe(out);
        machine
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Event(event) => self.on_event(now, *event, out),
            Input::Lost(why) => self.on_lost(now, &why, out),
            Input::Busy(why) => {
                out.push(Action::Log(format!("the agent is not ready: {why}")));
                self.retry(now, out);
            }
            Input::Garbage(why) => {
                out.push(Action::Log(format!("cannot go on with this agent: {why}")));
                out.push(Action::Exit(1));
                return;
            }
            Input::Inspected {
                task,
                text,
                addresses,
            } => {
                if let Some(task) = self.task_mut(&task) {
                    task.inspected = Some(Inspected { text, addresses });
                }
            }
            Input::OutOfMemory { task } => {
                if let Some(task) = self.task_mut(&task) {
                    task.out_of_memory = true;
                }
            }
            Input::Started { task, pid } => self.on_started(now, &task, pid, out),
            Input::NotExecutable { task, message } => {
                self.on_not_executable(now, &task, &message, out);
            }
            Input::StartFailed { task, message } => {
                self.on_start_failed(now, &task, message, out);
            }
            Input::Exited { pid, ended } => self.on_exited(now, pid, ended, out),
            Input::ContainerEnded { pid, how } => self.on_container_ended(now, pid, *how, out),
            Input::Checked { run, found } => self.on_checked(now, run, &found, out),
            Input::Terminate => self.shut_down(now, out),
            Input::Tick => self.on_tick(now, out),
        }
        self.settle(now, out);
    }

    /// Whether the agent is given up: nothing is asked of it any more.
    pub fn has_given_up(&self) -> bool {
        self.link == Link::Gone
    }

    /// The time by which `Tick` must come, as [`Now::mono`].
    pub fn next_deadline(&self) -> Option<Duration> {
        let retry = match self.link {
            Link::Waiting(at) => Some(at),
            Link::Subscribing | Link::Subscribed | Link::Gone => None,
        };
        let own = [
            retry,
            self.give_up_at,
            self.exit_at,
            self.leave_at,
            self.heartbeat_at,
        ];
        own.into_iter()
            .flatten()
            .chain(self.tasks.iter().filter_map(Task::deadline))
            .min()
    }

    fn on_event(&mut self, now: Now, event: Event, out: &mut Vec<Action>) {
        use event::Type;
        let kind = event.r#type();
        let complete = match kind {
            Type::Subscribed => event.subscribed.map(|it| self.on_subscribed(now, it, out)),
            Type::Launch => event.launch.map(|it| self.on_launch(now, it.task, out)),
            Type::LaunchGroup => event
                .launch_group
                .map(|it| self.on_launch_group(now, it.task_group, out)),
            Type::Kill => event
                .kill
                .map(|it| self.on_kill(now, &it.task_id.value, it.kill_policy.as_ref(), out)),
            Type::Acknowledged => event
                .acknowledged
                .map(|it| self.on_acknowledged(&it.task_id.value, &it.uuid, out)),
            Type::Shutdown => {
                self.shut_down(now, out);
                Some(())
            }
            Type::Error => event
                .error
                .map(|it| out.push(Action::Log(format!("error from the agent: {}", it.message)))),
            // Commands cannot receive data from a framework, and heartbeats ask for nothing.
            Type::Message | Type::Heartbeat => Some(()),
            Type::Unknown => {
                out.push(Action::Log(
                    "ignoring an event of a type unknown here".into(),
                ));
                Some(())
            }
        };
        if complete.is_none() {
            let text = format!("event {} lacks its content", kind.as_str_name());
            out.push(Action::Log(text));
            out.push(Action::Exit(1));
        }
    }

    fn on_tick(&mut self, now: Now, out: &mut Vec<Action>) {
        let passed = |deadline: Option<Duration>| deadline.is_some_and(|at| at <= now.mono);
        if passed(self.exit_at) {
            let text = "the agent did not acknowledge the last status updates";
            out.push(Action::Log(text.into()));
            out.push(Action::Exit(1));
            return;
        }
        if passed(self.give_up_at) {
            out.push(Action::Log(
                "the agent did not come back in time, ending".into(),
            ));
            self.give_up(now, out);
        }
        if matches!(self.link, Link::Waiting(at) if at <= now.mono) {
            self.subscribe(out);
        }
        if passed(self.heartbeat_at) {
            self.heartbeat_at = Some(now.mono + HEARTBEAT);
            out.push(Action::Send(self.call(call::Type::Heartbeat)));
        }
        self.tick_tasks(now, out);
        self.tick_checks(now, out);
    }

    /// Ends the executor when there is nothing left to do or to tell.
    fn settle(&mut self, now: Now, out: &mut Vec<Action>) {
        let idle = self.mode != Mode::Undecided || self.shutting_down;
        if !idle || !self.tasks.is_empty() {
            self.exit_at = None;
            self.leave_at = None;
            return;
        }
        match self.link {
            Link::Gone => out.push(Action::Exit(1)),
            Link::Subscribed | Link::Subscribing | Link::Waiting(_)
                if self.unacknowledged.is_empty() =>
            {
                let stay = if self.mode == Mode::Group {
                    LINGER
                } else {
                    Duration::ZERO
                };
                let leave_at = *self.leave_at.get_or_insert(now.mono + stay);
                if leave_at <= now.mono {
                    out.push(Action::Exit(0));
                }
            }
            Link::Subscribed => {
                self.exit_at.get_or_insert(now.mono + LAST_ACKNOWLEDGEMENT);
            }
            // The recovery timeout bounds these.
            Link::Subscribing | Link::Waiting(_) => {}
        }
    }
}
