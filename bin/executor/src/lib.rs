//! The built-in executor: runs the commands of tasks and task groups for an agent.
//! Decides nothing here: this file carries inputs to the state machine and performs its actions.
//!
//! It is a program of its own, but in the root file system of an image, where nothing that it is
//! linked with may be found, the agent's helper becomes it without executing anything.

mod checks;
mod clock;
mod command;
mod config;
mod connection;
mod containers;
mod docker;
mod exchange;
mod http;
mod ids;
mod link;
mod looks;
mod machine;
mod probe;
mod process;
mod spawn;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tepui_protocol::v1::ContainerId;

use crate::checks::Checks;
use crate::clock::Clock;
use crate::config::{Arguments, Asked, Config, USAGE};
use crate::containers::{Containers, Line};
use crate::docker::Docker;
use crate::exchange::Agent;
use crate::link::Link;
use crate::machine::{Action, Input, Machine, Start};
use crate::process::{Processes, StartError};

/// The status of an executor that cannot do its work.
const FAILURE: u8 = 1;

/// Longest sleep; only bounds the argument of poll(2).
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

pub use crate::config::Environment;

/// What an executor is told by whoever starts it.
#[derive(Debug)]
pub struct Told {
    /// Arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Environment,
    /// The working directory, which is the sandbox where the environment names none.
    pub directory: PathBuf,
}

/// The whole life of the program, told by this process's own arguments and environment.
pub fn main() -> ExitCode {
    let directory = match std::env::current_dir() {
        Ok(directory) => directory,
        Err(error) => return fail(&format!("no working directory: {error}")),
    };
    ExitCode::from(run_as(Told {
        arguments: std::env::args_os().skip(1).collect(),
        environment: std::env::vars_os().collect(),
        directory,
    }))
}

/// The whole life of an executor in this process, which must have one thread only; tells the status
/// to exit with.
pub fn run_as(told: Told) -> u8 {
    let ended = match config::arguments(told.arguments.into_iter()) {
        Ok(Arguments::Run(asked)) => run(told.environment, told.directory, &asked),
        Ok(Arguments::RunExecutor(docker)) => run_executor(&docker),
        Ok(Arguments::Help) => print(USAGE),
        Ok(Arguments::Version) => print(concat!("tepui-executor ", env!("CARGO_PKG_VERSION"))),
        Err(error) => Err(error),
    };
    ended.unwrap_or_else(|error| {
        log(&error);
        FAILURE
    })
}

/// Runs until the machine says how to exit.
fn run(environment: Environment, directory: PathBuf, asked: &Asked) -> Result<u8, String> {
    let config = config::from_environment(environment, directory)?;
    let docker = asked.docker.as_ref();
    let settings = machine::Settings {
        docker: docker.map(|docker| docker.stop_timeout),
        ..config.settings
    };
    let config = Config {
        switch_user: asked.switch_user,
        image: asked.image.clone(),
        settings,
        ..config
    };
    let docker = docker.map(Docker::new).transpose();
    let docker = docker.map_err(|error| format!("cannot make sockets: {error}"))?;
    let signals = watch_signals().map_err(|error| format!("cannot watch signals: {error}"))?;
    // Orphans of tasks come to this process, which ends them with their task.
    prctl::set_child_subreaper(true).map_err(|error| format!("cannot adopt orphans: {error}"))?;
    let seed = random_seed().map_err(|error| format!("cannot read /dev/urandom: {error}"))?;

    let clock = Clock::start();
    let mut actions = Vec::new();
    let machine = Machine::start(clock.now(), config.settings.clone(), seed, &mut actions);
    let link = Link::new(config.agent, config.host.clone(), config.token.clone());
    let agent = Agent::new(config.agent, config.host.clone(), config.token.clone());
    let containers = Containers::new(agent);
    let processes = Processes::default();
    let mut executor = Executor {
        config,
        clock,
        machine,
        link,
        processes,
        docker,
        checks: Checks::default(),
        containers,
        inputs: VecDeque::new(),
    };
    let code = executor.run(&signals, actions)?;
    executor.processes.kill_all();
    if let Some(docker) = &executor.docker {
        docker.kill_last();
    }
    Ok(code)
}

/// Starts a container that is an executor itself, and ends as it does. The agent waits at the other
/// end of the standard input to hear that it runs.
fn run_executor(docker: &docker::Settings) -> Result<u8, String> {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let agent = input.map_err(|error| format!("cannot use the standard input: {error}"))?;
    docker::run_executor(docker, agent.into())
}

/// The machine and all it acts upon.
struct Executor {
    config: Config,
    clock: Clock,
    machine: Machine,
    link: Link,
    processes: Processes,
    /// Where the task runs, if not in a process of this executor.
    docker: Option<Docker>,
    checks: Checks,
    containers: Containers,
    inputs: VecDeque<Input>,
}

impl Executor {
    fn run(&mut self, signals: &SignalFd, first: Vec<Action>) -> Result<u8, String> {
        let mut exit = self.perform(first);
        loop {
            while let (None, Some(input)) = (exit, self.inputs.pop_front()) {
                let mut actions = Vec::new();
                self.machine.handle(self.clock.now(), input, &mut actions);
                exit = self.perform(actions);
                if self.machine.has_given_up() {
                    self.inputs.extend(self.containers.abandon());
                }
            }
            if let Some(code) = exit {
                return Ok(code);
            }
            self.wait(signals)?;
        }
    }

    /// Performs actions in order; an exit code ends them.
    fn perform(&mut self, actions: Vec<Action>) -> Option<u8> {
        for action in actions {
            match action {
                Action::Subscribe(call) => self.inputs.extend(self.link.subscribe(&call)),
                Action::Send(call) => self.inputs.extend(self.link.send(&call)),
                Action::Start(start) => {
                    let input = self.start(&start);
                    self.inputs.extend(input);
                }
                Action::Terminate(pid) => self.signal(pid, Signal::SIGTERM),
                Action::Kill(pid) => self.signal(pid, Signal::SIGKILL),
                Action::Check(check) if self.containers.look(self.clock.now().mono, &check) => {}
                Action::Check(check) => {
                    let (config, processes) = (&self.config, &mut self.processes);
                    let docker = self.docker.as_ref();
                    let checked = self.checks.start(config, processes, docker, &check);
                    self.inputs.extend(checked);
                }
                Action::StopCheck(run) => {
                    self.checks.stop(&self.processes, run);
                    self.containers.stop_look(self.clock.now().mono, run);
                    if let Some(docker) = &self.docker {
                        docker.stop_check(run);
                    }
                }
                Action::Log(text) => log(&text),
                Action::Exit(code) => return Some(code),
            }
        }
        None
    }

    /// Starts a task's process, or has the agent launch its container, of which is heard later.
    fn start(&mut self, start: &Start) -> Option<Input> {
        let task = start.task.task_id.value.clone();
        if let Some(docker) = &self.docker {
            docker.start(task);
            return None;
        }
        if let Some(value) = start.container.clone() {
            let sandbox = &self.config.sandbox;
            if let Err(message) = Processes::prepare_container(sandbox, &task, &value) {
                return Some(Input::StartFailed { task, message });
            }
            let parent = start.parent.clone();
            let id = ContainerId { value, parent };
            let now = self.clock.now().mono;
            self.containers.launch(now, &start.task, id);
            return None;
        }
        Some(match self.processes.start(&self.config, start) {
            Ok(pid) => Input::Started { task, pid },
            Err(StartError::Refused(message)) => Input::StartFailed { task, message },
            Err(StartError::Execute(message)) => Input::NotExecutable { task, message },
        })
    }

    fn signal(&mut self, pid: i32, signal: Signal) {
        if let Some(docker) = &self.docker {
            return match signal {
                Signal::SIGKILL => docker.kill(),
                _ => docker.terminate(),
            };
        }
        let now = self.clock.now().mono;
        if !self.containers.signal(now, pid, signal) {
            self.processes.signal(pid, signal);
        }
    }

    /// Sleeps until something happens and turns it into inputs.
    fn wait(&mut self, signals: &SignalFd) -> Result<(), String> {
        let (stream, calls) = self.link.connections();
        let mut watched = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(
            stream
                .iter()
                .chain(&calls)
                .map(|it| PollFd::new(it.as_fd(), it.interest())),
        );
        let docker = self.docker.iter();
        watched.extend(docker.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
        let probes = self.checks.probes();
        let first_probe = watched.len();
        watched.extend(probes.map(|(_, it)| PollFd::new(it.as_fd(), it.interest())));
        let first_asked = watched.len();
        let asked = self.containers.connections();
        watched.extend(asked.map(|(_, it)| PollFd::new(it.as_fd(), it.interest())));
        match poll(&mut watched, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("cannot wait for events: {error}")),
        }
        let ready = |index: usize| watched.get(index).and_then(PollFd::any) == Some(true);
        let stream_ready = stream.is_some() && ready(1);
        let calls_ready = calls.is_some() && ready(1 + usize::from(stream.is_some()));
        let signalled = ready(0);
        let probes_ready: Vec<u64> = (first_probe..)
            .zip(self.checks.probes())
            .filter_map(|(index, (run, _))| ready(index).then_some(run))
            .collect();
        let asked_ready: Vec<Line> = (first_asked..)
            .zip(self.containers.connections())
            .filter_map(|(index, (line, _))| ready(index).then_some(line))
            .collect();

        let mut inputs = Vec::new();
        if signalled {
            self.on_signals(signals, &mut inputs)?;
        }
        if stream_ready {
            self.link.on_stream(&mut inputs);
        }
        if calls_ready {
            self.link.on_calls(&mut inputs);
        }
        inputs.extend(
            probes_ready
                .into_iter()
                .filter_map(|run| self.checks.on_ready(run)),
        );
        let now = self.clock.now().mono;
        inputs.extend(self.containers.progress(now, &asked_ready));
        if let Some(docker) = &mut self.docker {
            inputs.extend(docker.heard());
        }
        if self
            .machine
            .next_deadline()
            .is_some_and(|at| at <= self.clock.now().mono)
        {
            inputs.push(Input::Tick);
        }
        self.inputs.extend(inputs);
        Ok(())
    }

    fn on_signals(&mut self, signals: &SignalFd, inputs: &mut Vec<Input>) -> Result<(), String> {
        let mut asked_to_end = false;
        loop {
            match signals.read_signal() {
                Ok(Some(info)) => asked_to_end |= info.ssi_signo != Signal::SIGCHLD as u32,
                Ok(None) => break,
                Err(error) => return Err(format!("cannot read signals: {error}")),
            }
        }
        let ended = self.processes.reap();
        inputs.extend(ended.into_iter().map(|(pid, ended)| {
            let checked = self.checks.on_exited(pid, ended);
            checked.unwrap_or(Input::Exited { pid, ended })
        }));
        if asked_to_end {
            inputs.push(Input::Terminate);
        }
        Ok(())
    }

    /// Time until the next deadline, rounded up so that it has passed when poll(2) returns.
    fn timeout(&self) -> PollTimeout {
        let deadlines = [
            self.machine.next_deadline(),
            self.containers.next_deadline(),
        ];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        let left = deadline
            .saturating_sub(self.clock.now().mono)
            .min(LONGEST_WAIT);
        let millis = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }
}

/// Turns the signals that matter into a readable descriptor.
fn watch_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

fn random_seed() -> std::io::Result<[u8; 16]> {
    let mut seed = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// Writes a line to the sandbox's `stderr`; that it cannot be written must not end tasks.
fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "tepui-executor: {text}");
}

fn print(text: &str) -> Result<u8, String> {
    let written = writeln!(std::io::stdout(), "{text}");
    written.map_err(|error| format!("cannot write to the standard output: {error}"))?;
    Ok(0)
}

fn fail(error: &str) -> ExitCode {
    log(error);
    ExitCode::from(FAILURE)
}
