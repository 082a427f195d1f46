//! Kills processes with all they have started, as far as the kernel still knows of it.
//! Waits for a process that is no child of ours.

use std::collections::BTreeSet;
use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill as kill_one, killpg};
use nix::unistd::{Pid, getpgid, getpgrp};
use tokio::io::unix::AsyncFd;

/// Descendants looked at; more than that are left to their own group's end.
const MAX_DESCENDANTS: usize = 100_000;

/// Kills the process group of `leader`, and the groups its descendants have made.
pub(super) fn kill(leader: u32) {
    let Some(leader) = pid(leader) else { return };
    let own = getpgrp();
    let mut groups = BTreeSet::from([leader]);
    for descendant in descendants(leader) {
        groups.extend(getpgid(Some(descendant)).ok().filter(|group| *group != own));
    }
    groups.into_iter().for_each(signal);
}

/// Kills what is left of a group whose leader has ended.
pub(super) fn kill_group(leader: u32) {
    if let Some(leader) = pid(leader) {
        signal(leader);
    }
}

/// Sends a signal to a process alone.
///
/// # Errors
/// When the system refuses; that it has ended is no error.
pub(super) fn signal_one(raw: u32, signal: i32) -> Result<(), Errno> {
    let Some(pid) = pid(raw) else { return Ok(()) };
    let signal = Signal::try_from(signal)?;
    match kill_one(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for the end of a process that need not be a child.
///
/// # Errors
/// When the system does not tell of it.
#[allow(
    deprecated,
    reason = "the descriptor is owned and never replaced, which is all its unsafe successor asks for"
)]
pub(super) async fn ended(raw: u32) -> std::io::Result<()> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(raw).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(process) => AsyncFd::new(process)?.readable().await.map(|_| ()),
        Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn signal(group: Pid) {
    match killpg(group, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(%group, %error, "cannot kill a process group"),
    }
}

/// A process id that may be signalled; 0 and 1 would mean ourselves and everybody.
fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw)
        .ok()
        .filter(|pid| *pid > 1)
        .map(Pid::from_raw)
}

fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if found.len() >= MAX_DESCENDANTS {
                return found;
            }
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// Children of all threads of a process, as the kernel lists them.
fn children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut all = Vec::new();
    for list in lists {
        all.extend(
            list.split_whitespace()
                .filter_map(|text| pid(text.parse().ok()?)),
        );
    }
    all
}
