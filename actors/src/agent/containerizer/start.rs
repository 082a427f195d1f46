//! Starts the first process of a container: directly, or through the helper that carries out a plan.
//! Waits for no process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tepui_core::agent::messages::Launch;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::helper::{HELPER_ARG, Order, User};
use super::isolator::Plan;
use super::join;
use crate::agent::sandbox::{Output, Owner};

/// Stack in bytes of a thread that only starts a process.
const STACK_BYTES: usize = 256 * 1024;

/// Asks that the copy of the program may be executed, which kernels since 6.3 want to be told.
const MFD_EXEC: u32 = 0x10;

/// A process that was started.
#[derive(Debug)]
pub(in super::super) struct Started {
    pub(in super::super) pid: u32,
    pub(in super::super) child: Child,
    /// Where its helper tells of a failure; closed when the container's own program runs.
    report: Option<UnixStream>,
}

impl Started {
    /// A child; `report` is where the helper tells of a failure, if it is one.
    pub(super) fn of(child: Child, report: Option<UnixStream>) -> io::Result<Self> {
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Started { pid, child, report })
    }

    /// Waits until the container's program runs. Nothing to wait for if there is no helper.
    ///
    /// # Errors
    /// Why it does not run; then the process ends by itself.
    pub(in super::super) async fn confirmed(&mut self) -> Result<(), String> {
        let Some(report) = self.report.take() else {
            return Ok(());
        };
        let unreadable = |error: io::Error| format!("Failed to read the helper's report: {error}");
        report.set_nonblocking(true).map_err(unreadable)?;
        let mut report = tokio::net::UnixStream::from_std(report).map_err(unreadable)?;
        let mut said = String::new();
        report.read_to_string(&mut said).await.map_err(unreadable)?;
        match said.is_empty() {
            true => Ok(()),
            false => Err(said),
        }
    }

    /// Whether there is anything to wait for.
    pub(in super::super) fn has_helper(&self) -> bool {
        self.report.is_some()
    }
}

/// Starts the program itself.
///
/// # Errors
/// Why it cannot be started.
pub(super) fn directly(launch: &Launch, output: Output) -> Result<Started, String> {
    let mut command = Command::new(&launch.program);
    // The first argument is the program's own name.
    if let Some((name, arguments)) = launch.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(&launch.environment)
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(output.stdout)
        .stderr(output.stderr)
        .process_group(0);
    let child = command
        .spawn()
        .map_err(|error| format!("Failed to execute '{}': {error}", launch.program))?;
    let pid = child.id().ok_or("Failed to read the process id")?;
    let report = None;
    Ok(Started { pid, child, report })
}

/// What runs in the root file system of an image, where the launch itself leaves that open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InRoot {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(super) directory: String,
    /// Whether it is the agent's own executor.
    pub(super) is_executor: bool,
}

/// The agent's own program, to be started again as the helper of a container. It is a sealed copy in
/// memory: root in a container may find the file its first process was started from, and must not
/// be able to write to the host's.
#[derive(Debug)]
pub(super) struct Helper {
    program: OwnedFd,
}

impl Helper {
    /// Copies the program that runs now.
    pub(super) fn open() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let name = c"tepui-containerizer";
        let program = memfd_create(name, flags | MFdFlags::from_bits_retain(MFD_EXEC))
            // Older kernels do not know the question.
            .or_else(|_| memfd_create(name, flags))?;
        let mut copy = File::from(program);
        io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
        let program = OwnedFd::from(copy);
        let seals = SealFlag::F_SEAL_SEAL
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_WRITE;
        fcntl(&program, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Helper { program })
    }

    /// Starts a helper that carries out the plan and becomes the program: that of the launch, or
    /// what is to run in the root of an image.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn start(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        plan: Plan,
        in_root: Option<InRoot>,
    ) -> Result<Started, String> {
        let failed = |error: io::Error| format!("Failed to start the helper: {error}");
        let pids = Pids::of(&plan);
        let order = order(launch, owner, plan, in_root);
        let (mut own, its) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", self.program.as_raw_fd()));
        command
            .arg0("tepui-containerizer")
            .arg(HELPER_ARG)
            // The container's own environment could change what the helper does.
            .env_clear()
            .stdin(OwnedFd::from(its))
            .stdout(output.stdout)
            .stderr(output.stderr)
            .process_group(0);
        // Whatever the program is told, the helper is found by it.
        command.env("MESOS_SANDBOX", &launch.directory);
        let child = match pids {
            Pids::Own => spawn(command).map_err(failed)?,
            other => spawn_in_namespace(command, other).map_err(failed)?,
        };
        let pid = child.id().ok_or("Failed to read the process id")?;
        let text = serde_json::to_vec(&order).map_err(|error| error.to_string())?;
        let told = own
            .write_all(&text)
            .and_then(|()| own.shutdown(Shutdown::Write));
        if let Err(error) = told {
            // It says itself why it has ended, if it can.
            tracing::warn!(container = %launch.container, %error, "the helper takes no order");
        }
        let report = Some(own);
        Ok(Started { pid, child, report })
    }
}

fn order(launch: &Launch, owner: Option<Owner>, plan: Plan, in_root: Option<InRoot>) -> Order {
    let user = owner.map(|Owner { uid, gid }| User {
        name: launch.user.clone().unwrap_or_default(),
        uid,
        gid,
    });
    let runs = in_root.unwrap_or_else(|| InRoot {
        program: launch.program.clone(),
        arguments: launch.arguments.clone(),
        environment: launch.environment.clone(),
        directory: launch.directory.clone(),
        is_executor: false,
    });
    Order {
        plan,
        is_executor: runs.is_executor,
        program: runs.program,
        arguments: runs.arguments,
        environment: runs.environment,
        directory: runs.directory,
        user,
    }
}

/// The pid namespace that a process is started in.
#[derive(Debug, Clone, Copy)]
enum Pids {
    /// The agent's own.
    Own,
    /// A new one.
    New,
    /// That of another process.
    Of(u32),
}

impl Pids {
    fn of(plan: &Plan) -> Self {
        match (plan.pid_namespace, plan.joins_pids, plan.leader) {
            (true, ..) => Pids::New,
            (false, true, Some(leader)) => Pids::Of(leader),
            (false, ..) => Pids::Own,
        }
    }
}

/// Closes what only the child needs.
fn spawn(mut command: Command) -> io::Result<Child> {
    command.spawn()
}

/// Starts a process in another pid namespace, be it as its first process. What the calling thread starts goes there
/// from then on, so that it is a thread that ends.
fn spawn_in_namespace(command: Command, pids: Pids) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new()
        .name("namespace".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _entered = runtime.enter();
            match pids {
                Pids::Own => {}
                Pids::New => unshare(CloneFlags::CLONE_NEWPID)?,
                Pids::Of(leader) => join::join_pids(leader)?,
            }
            spawn(command)
        })?;
    let joined = thread.join();
    joined.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has panicked")))
}
