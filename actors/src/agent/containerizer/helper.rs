//! The helper: runs as a container's first process, carries out the plan, becomes the program.
//! It is the agent's own program, started again; decides nothing, and logs nothing.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, dup2_stdin, fork, getgrouplist, setgroups, setpgid, setresgid,
    setresuid,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};
use serde::{Deserialize, Serialize};

use super::isolator::{Capabilities, Plan};
use super::{join, mounts, rlimits, root, stay};

/// The first argument that makes the agent's program a helper.
pub(super) const HELPER_ARG: &str = "--launch_container";

/// What a helper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) plan: Plan,
    /// Whether this process becomes the agent's own executor without running any program: in the
    /// root file system of an image there is nothing that the executor's needs.
    pub(super) is_executor: bool,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: String,
    /// Whom it is to become.
    pub(super) user: Option<User>,
}

/// A user that is not the agent's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whom a process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All groups.
    pub(super) groups: Vec<u32>,
}

/// The agent's own executor: is told its arguments, its environment and its sandbox, and tells the
/// status to exit with.
pub type ExecutorMain = fn(Vec<OsString>, BTreeMap<OsString, OsString>, PathBuf) -> u8;

/// What becomes of the helper once all is done.
enum Outcome {
    /// It stays until the program has ended, whose status it writes to the file.
    Stays(Pid, Option<File>, Rest),
    /// It is the executor from now on.
    BecomesExecutor,
}

/// Who ends what the program leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// This process, to which it is handed: nobody else could find it.
    IsOurs,
    /// The kernel with the pid namespace, or the agent by the cgroup.
    IsFound,
}

impl Rest {
    fn of(plan: &Plan) -> Result<Self, String> {
        if plan.pid_namespace || plan.joins_pids || !plan.cgroups.is_empty() {
            return Ok(Rest::IsFound);
        }
        prctl::set_child_subreaper(true).map_err(failed("adopt orphans"))?;
        Ok(Rest::IsOurs)
    }
}

/// Does the work of a helper if this process was started as one, and gives the status to end with.
pub(in super::super) fn run_as_helper(executor: ExecutorMain) -> Option<ExitCode> {
    let asked = std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == HELPER_ARG);
    asked.then(|| match work(executor) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(()) => ExitCode::FAILURE,
    })
}

/// A failure is told to the agent, which waits for the other end of the standard input to close.
fn work(executor: ExecutorMain) -> Result<i32, ()> {
    let Ok(report) = io::stdin().as_fd().try_clone_to_owned() else {
        return Err(());
    };
    let mut report = UnixStream::from(report);
    let order = read(&mut report);
    let started = order.and_then(|order| Ok((run(&order)?, order)));
    match started {
        Ok((Outcome::Stays(child, status, rest), _)) => {
            // From now on, signals are for the program.
            let stays = stay::prepare();
            // The program runs: nothing is left to tell.
            drop(report);
            let ended = stay::until_end_of(child, status, stays);
            if rest == Rest::IsOurs {
                stay::end_the_rest();
            }
            Ok(ended)
        }
        Ok((Outcome::BecomesExecutor, order)) => {
            drop(report);
            Ok(become_executor(executor, order))
        }
        Err(why) => {
            // An agent that has gone will find the process ended.
            let _ = report.write_all(why.as_bytes());
            Err(())
        }
    }
}

fn become_executor(executor: ExecutorMain, order: Order) -> i32 {
    let arguments = order.arguments.into_iter().skip(1).map(OsString::from);
    let variables = order.environment.into_iter();
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let sandbox = order.plan.root.map(|root| root.sandbox_directory);
    let sandbox = sandbox.unwrap_or_else(|| order.directory.into());
    executor(arguments.collect(), variables.collect(), sandbox).into()
}

fn read(report: &mut UnixStream) -> Result<Order, String> {
    let mut text = Vec::new();
    let order = report
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let order = order.map_err(|error| format!("Failed to read the order: {error}"))?;
    // The program is not to find the socket.
    let null = File::open("/dev/null").map_err(failed("open '/dev/null'"))?;
    dup2_stdin(null).map_err(failed("replace the standard input"))?;
    Ok(order)
}

/// Carries out the order; returns only where this process does not become the program, or when
/// something fails.
fn run(order: &Order) -> Result<Outcome, String> {
    // The container may neither find the file nor write to it.
    let status = order.plan.status.as_ref().map(File::create_new).transpose();
    let status = status.map_err(failed("make the file for its status"))?;
    let user = order.user.as_ref().map(identity).transpose()?;
    let user = isolate(&order.plan)?.or(user);
    if !order.plan.joins_directory {
        std::env::set_current_dir(&order.directory).map_err(|error| {
            let directory = &order.directory;
            format!("Failed to chdir into current working directory '{directory}': {error}")
        })?;
    }
    rlimits::set(&order.plan.rlimits)?;
    match &order.plan.capabilities {
        Some(wanted) => become_with(user.as_ref(), *wanted)?,
        None => user.as_ref().map_or(Ok(()), switch)?,
    }
    if order.plan.no_new_privs {
        prctl::set_no_new_privs().map_err(failed("set no_new_privs"))?;
    }
    let stays = order.plan.pid_namespace || status.is_some();
    if order.is_executor {
        return match stays {
            true => fork_executor(status, Rest::of(&order.plan)?),
            false => Ok(Outcome::BecomesExecutor),
        };
    }
    let mut command = Command::new(&order.program);
    if let Some((name, arguments)) = order.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().envs(&order.environment);
    let not_executed = |error| format!("Failed to execute '{}': {error}", order.program);
    if !stays {
        return Err(not_executed(command.exec()));
    }
    // The first process of a namespace hears no signal it does not ask for and inherits all
    // orphans, which programs do not expect. Elsewhere the group tells what belongs together.
    if order.plan.pid_namespace {
        command.process_group(0);
    }
    let rest = Rest::of(&order.plan)?;
    let child = command.spawn().map_err(not_executed)?;
    let pid = i32::try_from(child.id()).map_err(|_| "the pid is no pid".to_owned())?;
    Ok(Outcome::Stays(Pid::from_raw(pid), status, rest))
}

/// The executor runs in a child, as a program would.
#[allow(
    unsafe_code,
    reason = "there is no program in the image that could be started in the child instead"
)]
fn fork_executor(status: Option<File>, rest: Rest) -> Result<Outcome, String> {
    // SAFETY: the helper has one thread, so that no lock can be held by another one.
    match unsafe { fork() }.map_err(failed("fork"))? {
        ForkResult::Parent { child } => Ok(Outcome::Stays(child, status, rest)),
        ForkResult::Child => {
            let own = Pid::from_raw(0);
            setpgid(own, own).map_err(failed("make a process group"))?;
            Ok(Outcome::BecomesExecutor)
        }
    }
}

/// A user of the host, with the groups that user has there.
fn identity(user: &User) -> Result<Identity, String> {
    let name = CString::new(user.name.as_str())
        .map_err(|_| "Failed to switch user: the name holds a zero byte".to_owned())?;
    let groups = getgrouplist(&name, Gid::from_raw(user.gid));
    let groups = groups.map_err(failed("find supplementary groups"))?;
    Ok(Identity {
        uid: user.uid,
        gid: user.gid,
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    })
}

/// Enters cgroups, namespaces and the root file system, and mounts. Gives the user that the image
/// names, where that counts.
fn isolate(plan: &Plan) -> Result<Option<Identity>, String> {
    for cgroup in &plan.cgroups {
        // 0 is the process that writes, whatever its number is in which namespace.
        fs::write(cgroup, "0").map_err(|error| {
            format!(
                "Failed to enter the cgroup of '{}': {error}",
                cgroup.display()
            )
        })?;
    }
    join::join(plan)?;
    let mut new = CloneFlags::empty();
    new.set(CloneFlags::CLONE_NEWIPC, plan.ipc_namespace);
    new.set(CloneFlags::CLONE_NEWNS, plan.mount_namespace);
    if !new.is_empty() {
        unshare(new).map_err(failed("make namespaces"))?;
    }
    if !plan.mount_namespace {
        return Ok(None);
    }
    let user = mounts::make(plan, || image_user(plan))?;
    if let Some(root) = &plan.root {
        root::enter(root)?;
    }
    Ok(user)
}

/// The user that the image names, who is given the sandbox.
fn image_user(plan: &Plan) -> Result<Option<Identity>, String> {
    let root = plan.root.as_ref();
    let Some((root, named)) = root.and_then(|root| Some((root, root.user.as_ref()?))) else {
        return Ok(None);
    };
    let identity = root::user::find(&root.path, named)?;
    if identity.uid != 0 {
        root::user::give(&root.sandbox, &identity)?;
        for volume in &root.volumes {
            root::user::give_volume(volume, &identity)?;
        }
    }
    Ok(Some(identity))
}

/// Becomes another user.
fn switch(user: &Identity) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(failed("set supplementary groups"))?;
    setresgid(gid, gid, gid).map_err(failed("set the group"))?;
    setresuid(uid, uid, uid).map_err(failed("set the user"))
}

/// Becomes a user with other capabilities than that user has.
fn become_with(user: Option<&Identity>, wanted: Capabilities) -> Result<(), String> {
    let bounding = CapabilitySet::from_bits_retain(wanted.bounding);
    let known = last_capability()?;
    let all = (0..=known).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    let every = CapabilitySet::from_bits_retain(u64::MAX >> (63 - known));
    for one in all.clone().filter(|one| !bounding.contains(*one)) {
        remove_capability_from_bounding_set(one).map_err(failed("drop bounding capabilities"))?;
    }
    if let Some(user) = user {
        prctl::set_keepcaps(true).map_err(failed("keep capabilities"))?;
        switch(user)?;
    }
    let now = capabilities(None).map_err(failed("read capabilities"))?;
    let user = user.filter(|user| user.uid != 0);
    let effective = match (wanted.effective, user) {
        (Some(effective), _) => CapabilitySet::from_bits_retain(effective) & every,
        // Nothing is said of them: root keeps what is within the bounds, others have none.
        (None, None) => now.permitted & bounding,
        (None, Some(_)) => CapabilitySet::empty(),
    };
    let sets = CapabilitySets {
        effective,
        permitted: effective,
        inheritable: effective,
    };
    set_capabilities(None, sets).map_err(failed("set capabilities"))?;
    clear_ambient_capability_set().map_err(failed("clear ambient capabilities"))?;
    for one in all.filter(|one| effective.contains(*one)) {
        // These are what a program of a user that is not root starts with.
        configure_capability_in_ambient_set(one, true)
            .map_err(failed("raise ambient capabilities"))?;
    }
    Ok(())
}

/// The number of the last capability that this kernel knows.
fn last_capability() -> Result<u32, String> {
    let file = "/proc/sys/kernel/cap_last_cap";
    let text = fs::read_to_string(file).map_err(failed("count capabilities"))?;
    let number = text.trim().parse().ok().filter(|last| *last < u64::BITS);
    number.ok_or_else(|| {
        format!(
            "Failed to count capabilities: '{file}' says '{}'",
            text.trim()
        )
    })
}

/// What to say of an error.
pub(super) fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("Failed to {what}: {error}")
}
