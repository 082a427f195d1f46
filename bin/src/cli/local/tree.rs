//! What the programs of a local cluster leave behind: executors whose agent was killed.
//! Touches no process that is not a child of this one.

use std::fs;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid};

/// How often orphans are looked for: ending one may hand its own children over.
const MAX_ROUNDS: usize = 50;

/// Makes this process the parent of every descendant whose own parent ends, so that none escapes.
pub(super) fn adopt_orphans() -> nix::Result<()> {
    prctl::set_child_subreaper(true)
}

/// Kills all children of this process with their process groups. The cluster's own programs must
/// have ended before.
pub(super) fn end_orphans() {
    for _ in 0..MAX_ROUNDS {
        let orphans = children();
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            // It leads a group of its own when it is an executor; else this fails, harmlessly.
            let _ = killpg(orphan, Signal::SIGKILL);
            let _ = kill(orphan, Signal::SIGKILL);
            // An error means that someone else has taken notice of its end.
            let _ = waitpid(orphan, None);
        }
    }
    eprintln!("tepui: processes of tasks could not all be ended");
}

/// The processes whose parent is this one.
fn children() -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = getpid();
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| parent(*pid) == Some(own))
        .collect()
}

/// The parent of a process, from the field behind its name, which may itself hold any text.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_has_this_process_as_parent() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("started");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a small number"));
        assert!(children().contains(&pid));
        assert_eq!(parent(pid), Some(getpid()));
        child.kill().expect("killed");
        child.wait().expect("ended");
        assert!(!children().contains(&pid));
    }
}
