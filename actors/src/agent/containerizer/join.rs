//! Joins the namespaces of another process, and the directory that it is in.
//! Makes none; `helper` does.

use std::fs::File;

use nix::sched::{CloneFlags, setns};
use nix::unistd::fchdir;

use super::helper::failed;
use super::isolator::Plan;

/// Joins what the plan says, as far as there is a process to join. All are found before any is
/// joined, as `/proc` may be another one then.
pub(super) fn join(plan: &Plan) -> Result<(), String> {
    let Some(leader) = plan.leader else {
        return Ok(());
    };
    let mut wanted = Vec::new();
    for (asked, name, kind) in [
        (plan.joins_ipc, "ipc", CloneFlags::CLONE_NEWIPC),
        (plan.joins_mounts, "mnt", CloneFlags::CLONE_NEWNS),
    ] {
        if asked {
            let file = open(leader, name).map_err(failed("find the parent's namespaces"))?;
            wanted.push((file, kind));
        }
    }
    let directory = plan
        .joins_directory
        .then(|| directory(leader))
        .transpose()?;
    for (file, kind) in wanted {
        setns(file, kind).map_err(failed("join the parent's namespaces"))?;
    }
    // Another mount namespace begins at its root.
    directory.map_or(Ok(()), |directory| {
        fchdir(directory).map_err(failed("enter the parent's directory"))
    })
}

/// What the calling thread starts is in the pid namespace of that process from then on.
pub(super) fn join_pids(leader: u32) -> std::io::Result<()> {
    Ok(setns(open(leader, "pid")?, CloneFlags::CLONE_NEWPID)?)
}

/// The directory that a process is in, by a path that leads there from any root.
fn directory(leader: u32) -> Result<File, String> {
    File::open(format!("/proc/{leader}/cwd")).map_err(failed("find the parent's directory"))
}

fn open(leader: u32, name: &str) -> std::io::Result<File> {
    File::open(format!("/proc/{leader}/ns/{name}"))
}
