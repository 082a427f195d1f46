//! The container of a task that the Docker Engine runs: what may take long is done on threads, which
//! tell the machine's loop. Decides nothing.
//!
//! The agent has made the container, with all that its task asks for. This process stays beside it:
//! it starts it, copies what it writes, checks it and says how it ended, whether the agent is there
//! or not.

mod container;
mod engine;
mod first;
mod output;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tepui_protocol::v1::CommandInfo;

use self::container::{Container, Seen, pause};
use self::engine::{Engine, EngineError, Patience};
use crate::machine::{Ended, Finding, Input};

/// Stack in bytes of a thread that waits for the Engine.
const STACK_BYTES: usize = 256 * 1024;

/// Milliseconds between two attempts to end a container.
const KILL_AGAIN_MS: u16 = 2000;

/// Time a check has whose container is not known to run.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a container is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The Engine's socket.
    pub socket: PathBuf,
    /// The container's name.
    pub name: String,
    /// Time between its stop signal and SIGKILL when nobody says.
    pub stop_timeout: Duration,
}

/// A container, and what its threads tell.
#[derive(Debug)]
pub struct Docker {
    container: Container,
    told: Receiver<Input>,
    teller: Teller,
    /// Readable when there is something to hear.
    bell: UnixStream,
    shared: Arc<Shared>,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    /// The container once it runs.
    seen: Mutex<Option<Seen>>,
    /// The commands that run in it to check it, by the number of the look.
    checks: Mutex<BTreeMap<u64, String>>,
}

/// Tells the machine's loop.
#[derive(Debug)]
struct Teller {
    inputs: Sender<Input>,
    bell: UnixStream,
}

impl Teller {
    fn tell(&self, input: Input) {
        // When nobody listens any more, this process ends.
        let _ = self.inputs.send(input);
        let _ = (&self.bell).write(&[0]);
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Teller {
            inputs: self.inputs.clone(),
            bell: self.bell.try_clone()?,
        })
    }
}

impl Docker {
    /// The container that `settings` name.
    ///
    /// # Errors
    /// When the system has no sockets left.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ringer.set_nonblocking(true)?;
        let (inputs, told) = channel();
        Ok(Docker {
            container: Container::new(Engine::at(settings.socket.clone()), settings.name.clone()),
            told,
            teller: Teller {
                inputs,
                bell: ringer,
            },
            bell,
            shared: Arc::default(),
        })
    }

    /// What the threads have told since the last time.
    pub fn heard(&mut self) -> Vec<Input> {
        let mut bytes = [0; 64];
        while matches!(self.bell.read(&mut bytes), Ok(count) if count > 0) {}
        self.told.try_iter().collect()
    }

    /// Starts the container for a task, of whose life is told until its end.
    pub fn start(&self, task: String) {
        let (container, shared) = (self.container.clone(), self.shared.clone());
        let failed = task.clone();
        let begun = self.aside(move |teller| run(&container, &shared, task, teller));
        if let Err(error) = begun {
            self.teller.tell(Input::StartFailed {
                task: failed,
                message: format!("Failed to start a thread: {error}"),
            });
        }
    }

    /// Asks the container to end.
    pub fn terminate(&self) {
        let container = self.container.clone();
        let signal = self
            .seen()
            .map_or_else(|| "SIGTERM".to_owned(), |seen| seen.stop_signal);
        let begun = self.aside(move |_| {
            // One that has ended cannot be signalled; SIGKILL follows where it has not.
            let _ = container.signal(&signal);
        });
        if begun.is_err() {
            self.kill();
        }
    }

    /// Ends the container at once; also when the Engine is gone, or does not do it. Waits for nobody.
    pub fn kill(&self) {
        let (container, shared) = (self.container.clone(), self.shared.clone());
        let begun = self.aside(move |_| end(&container, &shared));
        if begun.is_err() {
            self.kill_last();
        }
    }

    /// As [`Self::kill`], where nothing is done afterwards: waits for the Engine, but not long.
    pub fn kill_last(&self) {
        if self.container.signal("SIGKILL").is_err() {
            self.seen().unwrap_or_default().first.kill();
        }
    }

    /// Runs a command in the container to check it, of whose status is told.
    pub fn check(&self, run: u64, command: &CommandInfo) {
        let (container, shared) = (self.container.clone(), self.shared.clone());
        let arguments = arguments(command);
        let environment = environment(command);
        let patience = match self.seen() {
            Some(seen) => Patience::WhileRuns(seen.first),
            None => Patience::Within(CHECK_TIMEOUT),
        };
        let failed = |why: String| Input::Checked {
            run,
            found: Err(why),
        };
        let begun = self.aside(move |teller| {
            let found = arguments.and_then(|arguments| {
                let id = container.prepare(&arguments, &environment);
                let id = id.map_err(EngineError::into_text)?;
                locked(&shared.checks).insert(run, id.clone());
                container
                    .execute(&id, patience)
                    .map_err(EngineError::into_text)
            });
            // One that was stopped is not told of.
            locked(&shared.checks).remove(&run);
            let found = found.map(Finding::ExitCode);
            teller.tell(Input::Checked { run, found });
        });
        if let Err(error) = begun {
            self.teller
                .tell(failed(format!("Failed to start a thread: {error}")));
        }
    }

    /// Ends a command that checks the container.
    pub fn stop_check(&self, run: u64) {
        let Some(id) = locked(&self.shared.checks).remove(&run) else {
            return;
        };
        let container = self.container.clone();
        // Where there is no thread for it, it ends with its container.
        let _ = self.aside(move |_| {
            if let Some(pid) = container.process(&id) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        });
    }

    /// The network that the container is in, for sockets to be opened there.
    ///
    /// # Errors
    /// When it does not run.
    pub fn network(&self) -> Result<File, String> {
        let seen = self.seen().filter(|seen| seen.first.runs());
        let seen = seen.ok_or("the container does not run")?;
        let path = format!("/proc/{}/ns/net", seen.first.pid);
        File::open(path).map_err(|error| format!("Failed to find the container's network: {error}"))
    }

    fn seen(&self) -> Option<Seen> {
        locked(&self.shared.seen).clone()
    }

    fn aside(&self, work: impl FnOnce(&Teller) + Send + 'static) -> io::Result<()> {
        let teller = self.teller.try_clone()?;
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(move || work(&teller)).map(drop)
    }
}

impl AsFd for Docker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The container's life, from its start to its end.
fn run(container: &Container, shared: &Shared, task: String, teller: &Teller) {
    let output = match container.start() {
        Ok(output) => output,
        Err(message) => return teller.tell(Input::StartFailed { task, message }),
    };
    let seen = container.inspect();
    *locked(&shared.seen) = Some(seen.clone());
    let pid = seen.first.pid;
    teller.tell(Input::Inspected {
        task: task.clone(),
        text: seen.text.clone(),
        addresses: seen.addresses.clone(),
    });
    teller.tell(Input::Started {
        task: task.clone(),
        pid,
    });
    let end = container.follow(output, &seen);
    if end.is_some_and(|end| end.out_of_memory) {
        teller.tell(Input::OutOfMemory { task });
    }
    let ended = match end {
        Some(end) => Ended::Exited(end.status),
        // Its status is lost, which cannot be told from being killed.
        None => Ended::Signaled {
            signal: Signal::SIGKILL as i32,
            core_dumped: false,
        },
    };
    teller.tell(Input::Exited { pid, ended });
}

/// Ends a container, as often as it takes.
fn end(container: &Container, shared: &Shared) {
    let first = || locked(&shared.seen).clone().unwrap_or_default().first;
    if container.signal("SIGKILL").is_err() {
        first().kill();
    }
    pause(KILL_AGAIN_MS);
    while first().runs() {
        // The Engine has said that it would.
        first().kill();
        let _ = container.signal("SIGKILL");
        pause(KILL_AGAIN_MS);
    }
}

/// Starts a container that is an executor itself, and ends with its status. `started` is closed once
/// it runs, or told why it does not.
///
/// # Errors
/// Why it does not run, or how it ended is not known.
pub fn run_executor(settings: &Settings, mut started: UnixStream) -> Result<u8, String> {
    let engine = Engine::at(settings.socket.clone());
    let container = Container::new(engine, settings.name.clone());
    let output = container.start().inspect_err(|why| {
        // The agent that waits for it may be gone.
        let _ = started.write_all(why.as_bytes());
    })?;
    let _ = started.shutdown(std::net::Shutdown::Both);
    drop(started);
    let seen = container.inspect();
    let end = container.follow(output, &seen);
    let end = end.ok_or("the Docker Engine does not tell how the container ended")?;
    Ok(u8::try_from(end.status).unwrap_or(u8::MAX))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program of a check and its arguments, the program first: it is looked for in the container.
fn arguments(command: &CommandInfo) -> Result<Vec<String>, String> {
    let value = command.value.clone().filter(|value| !value.is_empty());
    if command.shell() {
        let script = value.ok_or("'CommandInfo.value' is empty, expected a shell command")?;
        return Ok(vec!["/bin/sh".into(), "-c".into(), script]);
    }
    let program = value.ok_or("'CommandInfo.value' is empty, expected a program")?;
    // As for the container's own command, the arguments do not begin with the program's name.
    let rest = command.arguments.iter().cloned();
    Ok(std::iter::once(program).chain(rest).collect())
}

fn environment(command: &CommandInfo) -> Vec<String> {
    let variables = command.environment.iter().flat_map(|all| &all.variables);
    variables
        .map(|one| format!("{}={}", one.name, one.value.as_deref().unwrap_or_default()))
        .collect()
}
