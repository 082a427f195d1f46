//! Sandboxes in places where others than the agent may write: makes and removes them without
//! following any link on the way. Chooses no path: the core does.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::no_links::{enter, enter_or_make, give};
use super::sandbox::{Output, Owner};

/// Access to a sandbox: its owner, and readers of its group.
const SANDBOX_MODE: u32 = 0o750;

/// Access to the directories between two sandboxes.
const BETWEEN_MODE: u32 = 0o755;

/// Access to the output files.
const FILE_MODE: u32 = 0o644;

/// Makes `directory`, which is below `root`, with its `stdout` and `stderr`. One that is there
/// already is used again. What is between belongs to whom what is above belongs to.
pub(super) fn make(root: &Path, directory: &Path, owner: Option<Owner>) -> io::Result<Output> {
    let names = names(root, directory)?;
    let mut above = top(root)?;
    for (at, name) in names.iter().enumerate() {
        let is_sandbox = at + 1 == names.len();
        let mode = if is_sandbox {
            SANDBOX_MODE
        } else {
            BETWEEN_MODE
        };
        let (inner, is_new) = enter_or_make(&above, OsStr::new(name), mode)?;
        if is_new && !is_sandbox {
            let like = File::from(above.try_clone()?).metadata()?;
            give(&inner, Some((like.uid(), like.gid())))?;
        }
        above = inner;
    }
    let owner = owner.map(|Owner { uid, gid }| (uid, gid));
    give(&above, owner)?;
    Ok(Output {
        stdout: output(&above, "stdout", owner)?,
        stderr: output(&above, "stderr", owner)?,
    })
}

/// Where both outputs go to the `stderr` of a sandbox that is there.
pub(super) fn to_stderr_of(sandbox: &Path) -> io::Result<Output> {
    let stderr = output(&top(sandbox)?, "stderr", None)?;
    Ok(Output {
        stdout: stderr.try_clone()?,
        stderr,
    })
}

/// Removes `directory`, which is below `root`, with all in it; one that is not there is removed.
pub(super) fn remove(root: &Path, directory: &Path) -> io::Result<()> {
    let names = names(root, directory)?;
    let (last, between) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let mut above = top(root)?;
    for name in between {
        above = match enter(&above, OsStr::new(name)) {
            Err(error) if gone(&error) => return Ok(()),
            inner => inner?,
        };
    }
    // A link of this name is removed itself.
    let path = format!("/proc/self/fd/{}/{last}", above.as_raw_fd());
    match std::fs::remove_dir_all(path) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The names of the directories from `root` to `directory`.
fn names<'a>(root: &Path, directory: &'a Path) -> io::Result<Vec<&'a str>> {
    let below = directory.strip_prefix(root);
    let below = below.map_err(|_| io::ErrorKind::InvalidInput)?;
    let names = below.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let names: Option<Vec<&str>> = names.collect();
    let names = names.filter(|names| !names.is_empty());
    names.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn top(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(root, flags, Mode::empty())?)
}

/// A file to append to. What else may lie at its place is not touched.
fn output(sandbox: &OwnedFd, name: &str, owner: Option<(u32, u32)>) -> io::Result<File> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_APPEND
        | OFlag::O_CREAT
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC;
    let file = openat(sandbox, name, flags, Mode::from_bits_truncate(FILE_MODE))?;
    let file = File::from(file);
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        let why = format!("'{name}' is there already, and is no file of its own");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    give(&file, owner)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_sandbox_is_made_and_removed_within_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("containers/a/containers/b");
        for _ in 0..2 {
            make(dir.path(), &inner, None).unwrap();
            assert!(inner.join("stdout").is_file() && inner.join("stderr").is_file());
            let mode = fs::metadata(&inner).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o750);
        }
        fs::write(inner.join("more"), "").unwrap();
        remove(dir.path(), &inner).unwrap();
        remove(dir.path(), &inner).unwrap();
        assert!(!inner.exists() && dir.path().join("containers/a").is_dir());
        remove(dir.path(), &dir.path().join("containers/x/containers/y")).unwrap();
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(elsewhere.path().join("a")).unwrap();
        symlink(elsewhere.path(), dir.path().join("containers")).unwrap();
        let inner = dir.path().join("containers/a");
        assert!(make(dir.path(), &inner, None).is_err());
        assert!(remove(dir.path(), &inner).is_err());
        assert!(elsewhere.path().join("a").is_dir());

        let inner = dir.path().join("real/a");
        make(dir.path(), &inner, None).unwrap();
        let target = elsewhere.path().join("file");
        fs::write(&target, "kept").unwrap();
        let planted = inner.join("stdout");
        for plant in [symlink::<&Path, &Path>, fs::hard_link] {
            fs::remove_file(&planted).unwrap();
            plant(&target, &planted).unwrap();
            assert!(make(dir.path(), &inner, None).is_err());
            assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        }
        assert!(make(dir.path(), elsewhere.path(), None).is_err());
        assert!(make(dir.path(), &dir.path().join("../x"), None).is_err());
        assert!(make(dir.path(), dir.path(), None).is_err());
    }
}
