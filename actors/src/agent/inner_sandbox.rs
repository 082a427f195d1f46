//! Sandboxes in places where others than the agent may write: makes and removes them without
//! following any link on the way. Chooses no path: the core does.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::no_links::{by_descriptor, enter, enter_or_make, give};
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
    let (last, between) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let above = make_between(root, between)?;
    let (above, _) = enter_or_make(&above, last, SANDBOX_MODE)?;
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

/// Makes a link to `target` at `at`, which is below `root`, with the directories between.
pub(super) fn link(root: &Path, at: &Path, target: &Path) -> io::Result<()> {
    let names = names(root, at)?;
    let (last, between) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let above = make_between(root, between)?;
    Ok(symlinkat(target, &above, *last)?)
}

/// Removes a link to `target` at `at`, which is below `root`, if it is there.
pub(super) fn unlink(root: &Path, at: &Path, target: &Path) -> io::Result<()> {
    let names = names(root, at)?;
    let (last, between) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut above = top(root)?;
    for name in between {
        above = match enter(&above, name) {
            // Whoever owns the sandbox has put something else in its place.
            Err(_) => return Ok(()),
            Ok(inner) => inner,
        };
    }
    if readlinkat(&above, *last).is_ok_and(|found| Path::new(&found) == target) {
        match unlinkat(&above, *last, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes a directory at `at`, which is below `root`, with those between; it may be there already.
pub(super) fn make_directory(root: &Path, at: &Path) -> io::Result<()> {
    make_between(root, &names(root, at)?).map(drop)
}

/// Makes directories one in the other, and gives the innermost one.
fn make_between(root: &Path, names: &[&OsStr]) -> io::Result<OwnedFd> {
    let mut above = top(root)?;
    for name in names {
        let (inner, is_new) = enter_or_make(&above, name, BETWEEN_MODE)?;
        if is_new {
            let like = File::from(above.try_clone()?).metadata()?;
            give(&inner, Some((like.uid(), like.gid())))?;
        }
        above = inner;
    }
    Ok(above)
}

/// Removes `directory`, which is below `root`, with all in it; one that is not there is removed.
pub(super) fn remove(root: &Path, directory: &Path) -> io::Result<()> {
    let names = names(root, directory)?;
    let (last, between) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let mut above = top(root)?;
    for name in between {
        above = match enter(&above, name) {
            Err(error) if gone(&error) => return Ok(()),
            inner => inner?,
        };
    }
    // A link of this name is removed itself.
    match std::fs::remove_dir_all(by_descriptor(&above).join(last)) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The names of the directories from `root` to `directory`.
fn names<'a>(root: &Path, directory: &'a Path) -> io::Result<Vec<&'a OsStr>> {
    let below = directory.strip_prefix(root);
    let below = below.map_err(|_| io::ErrorKind::InvalidInput)?;
    let names = below.components().map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let names: Option<Vec<&OsStr>> = names.collect();
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

    #[test]
    fn a_link_is_made_below_a_sandbox_and_only_that_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let (at, target) = (dir.path().join("a/b"), elsewhere.path());
        link(dir.path(), &at, target).unwrap();
        assert_eq!(fs::read_link(&at).unwrap(), target);
        let again = link(dir.path(), &at, target).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        unlink(dir.path(), &at, Path::new("/other")).unwrap();
        assert!(at.is_symlink());
        unlink(dir.path(), &at, target).unwrap();
        unlink(dir.path(), &at, target).unwrap();
        assert!(!at.is_symlink() && dir.path().join("a").is_dir());

        // What is between is no way out.
        symlink(target, dir.path().join("out")).unwrap();
        assert!(link(dir.path(), &dir.path().join("out/x"), target).is_err());
        symlink(target, target.join("x")).unwrap();
        unlink(dir.path(), &dir.path().join("out/x"), target).unwrap();
        assert!(target.join("x").is_symlink());
        assert!(link(dir.path(), &dir.path().join("../x"), target).is_err());
    }
}
