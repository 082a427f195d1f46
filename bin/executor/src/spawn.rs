//! Starts a program as the leader of a session of its own, as another user if asked.
//! Knows nothing of tasks.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist, getpid, getppid, setgid, setgroups};
use nix::unistd::{setsid, setuid};

/// Who a program runs as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The user's main group.
    pub gid: Gid,
    groups: Vec<Gid>,
}

/// Looks a user up; `None` when the executor is that user already.
///
/// # Errors
/// When there is no such user or the executor may not become it.
pub fn identity(name: &str) -> Result<Option<Identity>, String> {
    let user = User::from_name(name)
        .map_err(|error| format!("Failed to look up user '{name}': {error}"))?
        .ok_or_else(|| format!("No such user '{name}'"))?;
    if user.uid == geteuid() {
        return Ok(None);
    }
    if !geteuid().is_root() {
        return Err(format!(
            "Cannot run as user '{name}': the executor does not run as root"
        ));
    }
    let c_name = CString::new(name).map_err(|_| format!("No such user '{name}'"))?;
    let groups = getgrouplist(&c_name, user.gid)
        .map_err(|error| format!("Failed to look up the groups of user '{name}': {error}"))?;
    Ok(Some(Identity {
        uid: user.uid,
        gid: user.gid,
        groups,
    }))
}

/// Starts the program.
///
/// # Errors
/// When the process cannot be made or the program cannot be executed.
pub fn spawn(command: &mut Command, identity: Option<Identity>) -> io::Result<Child> {
    spawn_in(command, identity, None)
}

/// Starts the program, in another network if one is given.
///
/// # Errors
/// When the process cannot be made or the program cannot be executed.
#[allow(
    unsafe_code,
    reason = "a session and supplementary groups can only be set between fork and exec"
)]
pub fn spawn_in(
    command: &mut Command,
    identity: Option<Identity>,
    network: Option<File>,
) -> io::Result<Child> {
    let parent = getpid();
    let prepare = move || {
        // The executor waits for its signals with them blocked; a task starts with none blocked.
        SigSet::empty().thread_set_mask()?;
        setsid()?;
        if let Some(network) = &network {
            setns(network, CloneFlags::CLONE_NEWNET)?;
        }
        if let Some(identity) = &identity {
            setgroups(&identity.groups)?;
            setgid(identity.gid)?;
            setuid(identity.uid)?;
        }
        // A task must not outlive its executor: nobody would report or end it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls and neither allocates nor takes a lock, which is
    // what a child of fork may do.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
