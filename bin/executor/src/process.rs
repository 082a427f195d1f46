//! The processes of single commands and of checks, and the sandboxes of tasks: starting, signalling,
//! reaping.
//! Decides nothing: the state machine says what to start and what to kill.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpgid, getpid, getsid};
use tepui_protocol::v1::CommandInfo;

use crate::command::{self, Place};
use crate::config::Config;
use crate::machine::{Ended, Start};
use crate::spawn::{self, Identity};

/// Mode of the sandbox of a task of a group, as Mesos makes it.
const SANDBOX_MODE: u32 = 0o750;

/// Most processes signalled at once; a larger tree is a fork bomb that its group's signal ends.
const MAX_TREE: usize = 65_536;

/// Why a task's process could not be started.
#[derive(Debug)]
pub enum StartError {
    /// What was asked for cannot be done; the text is for the message of TASK_FAILED.
    Refused(String),
    /// The program could not be executed.
    Execute(String),
}

impl From<String> for StartError {
    fn from(message: String) -> Self {
        StartError::Refused(message)
    }
}

/// The running tasks' processes.
#[derive(Debug, Default)]
pub struct Processes {
    children: BTreeMap<i32, Child>,
}

impl Processes {
    /// Starts the process of a single command and tells its id.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn start(&mut self, config: &Config, start: &Start) -> Result<i32, StartError> {
        let planned = command::for_task(&start.task, place(config))?;
        let (mut command, identity) = prepare(config, &planned)?;
        let child = spawn::spawn(&mut command, identity)
            .map_err(|error| StartError::Execute(not_executed(&planned, &error)))?;
        Ok(self.adopt(child)?)
    }

    /// Makes the sandbox of a task whose container the agent is to launch, and the link to it.
    ///
    /// # Errors
    /// Why it could not be made, for the message of TASK_FAILED.
    pub fn prepare_container(sandbox: &Path, task: &str, container: &str) -> Result<(), String> {
        make_directories(sandbox, &sandbox.join("containers").join(container), task)
            .map_err(|error| format!("Failed to make the sandbox of task '{task}': {error}"))
    }

    /// Starts a command that checks the task of a single command and tells its process id.
    ///
    /// Its output goes to the executor's `stderr`, as in Mesos.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn start_check(
        &mut self,
        config: &Config,
        of: &Start,
        check: &CommandInfo,
    ) -> Result<i32, String> {
        let planned = command::for_check(&of.task, check, place(config))?;
        let (mut command, identity) = prepare(config, &planned)?;
        command
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .stderr(Stdio::inherit());
        let child =
            spawn::spawn(&mut command, identity).map_err(|error| not_executed(&planned, &error))?;
        self.adopt(child)
    }

    /// Takes charge of a process that leads a session of its own, and tells its id.
    ///
    /// # Errors
    /// When the system gives ids that it cannot have given.
    pub fn adopt(&mut self, child: Child) -> Result<i32, String> {
        let pid = i32::try_from(child.id()).map_err(|_| "process id out of range")?;
        self.children.insert(pid, child);
        Ok(pid)
    }

    /// Signals a task's process, its group, and its descendants that left the group.
    pub fn signal(&self, pid: i32, signal: Signal) {
        if self.children.contains_key(&pid) {
            signal_tree(Pid::from_raw(pid), signal);
        }
    }

    /// Collects processes that ended; what a task left running is killed with it.
    pub fn reap(&mut self) -> Vec<(i32, Ended)> {
        let mut ended = Vec::new();
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let ready: Vec<i32> = self
            .children
            .keys()
            .copied()
            .filter(|pid| {
                let status = waitid(Id::Pid(Pid::from_raw(*pid)), flags);
                // EINVAL is a process ended by a signal that nix has no name for.
                !matches!(status, Ok(WaitStatus::StillAlive))
            })
            .collect();
        for pid in ready {
            // Until it is reaped its id cannot name another process or group.
            signal_tree(Pid::from_raw(pid), Signal::SIGKILL);
            let Some(mut child) = self.children.remove(&pid) else {
                continue;
            };
            match child.try_wait() {
                Ok(Some(status)) => ended.push((pid, ended_by(status))),
                // Its status is lost, which cannot be told from being killed.
                Ok(None) | Err(_) => {
                    let signal = Signal::SIGKILL as i32;
                    ended.push((
                        pid,
                        Ended::Signaled {
                            signal,
                            core_dumped: false,
                        },
                    ));
                }
            }
        }
        self.reap_adopted();
        ended
    }

    /// Kills everything that still runs below this process.
    pub fn kill_all(&mut self) {
        for pid in self.children.keys() {
            signal_tree(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for pid in descendants(vec![getpid()]) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Reaps what lost its parent within a task and was handed to this process.
    fn reap_adopted(&self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        // Ends at the first task process, whose own turn comes with the next signal, so that an
        // orphan may stay a zombie until then.
        while let Ok(status) = waitid(Id::All, flags) {
            let Some(pid) = status
                .pid()
                .filter(|pid| !self.children.contains_key(&pid.as_raw()))
            else {
                return;
            };
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD) {
                return;
            }
        }
    }
}

fn place(config: &Config) -> Place<'_> {
    Place {
        sandbox: &config.sandbox,
        inherited: &config.inherited,
        image: &config.image,
    }
}

/// What starts a planned program, and as whom.
fn prepare(
    config: &Config,
    planned: &command::Command,
) -> Result<(Command, Option<Identity>), String> {
    let identity = match planned.user.as_deref().filter(|_| config.switch_user) {
        Some(user) => spawn::identity(user)?,
        None => None,
    };
    let mut command = Command::new(&planned.program);
    if let Some((name, rest)) = planned.arguments.split_first() {
        command.arg0(name).args(rest);
    }
    let directory = config.image.working_directory.as_deref();
    command
        .env_clear()
        .envs(&planned.environment)
        .current_dir(directory.unwrap_or(&config.sandbox));
    Ok((command, identity))
}

fn not_executed(planned: &command::Command, error: &io::Error) -> String {
    format!("Failed to execute '{}': {error}", planned.program)
}

fn ended_by(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, signal) => Ended::Signaled {
            signal: signal.unwrap_or_default(),
            core_dumped: status.core_dumped(),
        },
    }
}

/// Makes the directory of a task of a group and the link by task id.
fn make_directories(executor: &Path, sandbox: &Path, task: &str) -> io::Result<()> {
    if !is_file_name(task) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its id cannot name a file",
        ));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(SANDBOX_MODE)
        .create(sandbox)?;
    let links = executor.join("tasks");
    DirBuilder::new()
        .recursive(true)
        .mode(SANDBOX_MODE)
        .create(&links)?;
    let link = links.join(task);
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    symlink(sandbox, link)
}

fn is_file_name(name: &str) -> bool {
    !(name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']))
}

/// Signals a session leader's group, then what else descends from it.
fn signal_tree(leader: Pid, signal: Signal) {
    // Looked up first: a dying parent hands its children to this process.
    let adopted = children_of(getpid())
        .into_iter()
        .filter(|pid| getsid(Some(*pid)) == Ok(leader));
    let mut roots: Vec<Pid> = adopted.filter(|pid| *pid != leader).collect();
    roots.push(leader);
    let mut others = roots.clone();
    others.extend(descendants(roots));
    others.retain(|pid| getpgid(Some(*pid)) != Ok(leader));
    let _ = killpg(leader, signal);
    for pid in others {
        let _ = kill(pid, signal);
    }
    if signal == Signal::SIGTERM {
        // A stopped process would take note of SIGTERM only once continued.
        let _ = killpg(leader, Signal::SIGCONT);
    }
}

/// All processes below these, without these.
fn descendants(mut open: Vec<Pid>) -> Vec<Pid> {
    let mut found = Vec::new();
    while let Some(pid) = open.pop() {
        if found.len() >= MAX_TREE {
            break;
        }
        let children = children_of(pid);
        open.extend(&children);
        found.extend(children);
    }
    found
}

/// Children of a process, by the kernel's own lists, one per thread.
fn children_of(pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|text| text.parse().ok())
                .map(Pid::from_raw)
                .collect::<Vec<_>>()
        })
        .collect()
}
