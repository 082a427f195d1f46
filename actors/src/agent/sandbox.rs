//! Makes sandboxes and the links beside them in the work directory.
//! Chooses no path: the core does.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::Path;

use tepui_core::agent::paths;
use tepui_core::ids::AgentId;

/// Who owns a sandbox, when it is not the agent's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Access to a sandbox: its owner, and readers of its group.
const SANDBOX_MODE: u32 = 0o750;

/// Access to the directories above, through which another owner must pass.
const PARENT_MODE: u32 = 0o755;

/// A new sandbox's open output files.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// Makes a sandbox with empty `stdout` and `stderr`, and points `runs/latest` to it.
pub(super) fn make(directory: &Path, owner: Option<Owner>) -> io::Result<Output> {
    let runs = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(PARENT_MODE)
        .create(runs)?;
    DirBuilder::new().mode(SANDBOX_MODE).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(SANDBOX_MODE))?;
    let output = Output {
        stdout: create(&directory.join("stdout"), owner)?,
        stderr: create(&directory.join("stderr"), owner)?,
    };
    if let Some(Owner { uid, gid }) = owner {
        chown(directory, Some(uid), Some(gid))?;
    }
    point(&runs.join("latest"), directory)?;
    Ok(output)
}

/// Makes the directory of an agent id, and points `slaves/latest` to it.
pub(super) fn link_latest(work_dir: &Path, agent: &AgentId) -> io::Result<()> {
    let directory = paths::agent_dir(&work_dir.to_string_lossy(), agent);
    let directory = Path::new(&directory);
    DirBuilder::new()
        .recursive(true)
        .mode(PARENT_MODE)
        .create(directory)?;
    let slaves = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    point(&slaves.join("latest"), directory)
}

/// Lets `link` point to `target`, whatever it was before.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    let new = link.with_file_name(".latest.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &new)?;
    fs::rename(&new, link)
}

fn create(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)?;
    if let Some(Owner { uid, gid }) = owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_private_and_latest_follows_the_newest_run() {
        let work = tempfile::tempdir().unwrap();
        let first = work.path().join("slaves/a/frameworks/f/executors/e/runs/1");
        let second = first.with_file_name("2");
        make(&first, None).unwrap();
        make(&second, None).unwrap();
        assert_eq!(
            fs::metadata(&second).unwrap().permissions().mode() & 0o777,
            0o750
        );
        assert!(second.join("stdout").is_file() && second.join("stderr").is_file());
        assert_eq!(
            fs::read_link(first.with_file_name("latest")).unwrap(),
            second
        );
        // A run's directory is never used twice.
        assert!(make(&second, None).is_err());
    }

    #[test]
    fn latest_agent_is_linked() {
        let work = tempfile::tempdir().unwrap();
        link_latest(work.path(), &AgentId::from("S1")).unwrap();
        link_latest(work.path(), &AgentId::from("S2")).unwrap();
        let target = fs::read_link(work.path().join("slaves/latest")).unwrap();
        assert_eq!(target, work.path().join("slaves/S2"));
    }
}
