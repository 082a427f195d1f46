//! Files and directories in places where others than the agent may write: no link on the way to them is
//! followed, so that nobody can lead the agent elsewhere. Chooses no path.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_at_root, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, fchown};

/// Opens what is at an absolute path, to mount it or to look at it. What `Path::canonicalize` has
/// given can be opened so, unless somebody has changed it since.
///
/// # Errors
/// When it is not there, or there is a link on the way.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let mut parts = path.components().peekable();
    if parts.next() != Some(Component::RootDir) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut at = open_at_root("/", flags, Mode::empty())?;
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = flags | OFlag::O_NOFOLLOW;
        at = match parts.peek() {
            Some(_) => openat(&at, name, flags, Mode::empty())?,
            None => last(&at, name)?,
        };
    }
    Ok(at)
}

/// Opens a directory as such where it can be: unlike a mere look, that has an automounter do its work.
fn last(above: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    enter(above, name).or_else(|_| look(above, name))
}

/// Opens what is in a directory, whatever it is, without touching it.
///
/// # Errors
/// When it is not there, or a link.
pub(super) fn look(above: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = File::from(openat(above, name, flags, Mode::empty())?);
    match found.metadata()?.is_symlink() {
        true => Err(Errno::ELOOP.into()),
        false => Ok(found.into()),
    }
}

/// Opens a directory in another one.
///
/// # Errors
/// When it is not there, or something else.
pub(super) fn enter(above: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(above, name, flags, Mode::empty())?)
}

/// Opens a directory in another one, and says whether it was made now.
///
/// # Errors
/// When it can be neither opened nor made.
pub(super) fn enter_or_make(
    above: &OwnedFd,
    name: &OsStr,
    mode: u32,
) -> io::Result<(OwnedFd, bool)> {
    match enter(above, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match mkdirat(above, name, Mode::from_bits_truncate(mode)) {
                // Somebody else was faster.
                Err(Errno::EEXIST) => Ok((enter(above, name)?, false)),
                made => made
                    .map_err(io::Error::from)
                    .and_then(|()| Ok((enter(above, name)?, true))),
            }
        }
        inner => Ok((inner?, false)),
    }
}

/// Makes an empty file in a directory, which must not be there.
///
/// # Errors
/// When it is there, or cannot be made.
pub(super) fn make_file(above: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<OwnedFd> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(above, name, flags, Mode::from_bits_truncate(mode))?)
}

/// Gives what is open to a user and a group, if any are named.
///
/// # Errors
/// When this process may not.
pub(super) fn give(file: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else {
        return Ok(());
    };
    Ok(fchown(
        file,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
    )?)
}

/// A path to what is open, which no link can lead elsewhere.
pub(super) fn by_descriptor(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_opened_by_way_of_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("a/b")).unwrap();
        fs::write(real.join("a/file"), "text").unwrap();
        symlink(real.join("a"), real.join("link")).unwrap();
        for path in ["a", "a/b", "a/file"] {
            let found = open(&real.join(path)).unwrap();
            let seen = fs::read_link(by_descriptor(&found)).unwrap();
            assert_eq!(seen, real.join(path));
        }
        for path in ["link", "link/b", "link/file", "a/../a", "a/file/b", "none"] {
            assert!(open(&real.join(path)).is_err(), "{path}");
        }
        assert!(open(Path::new("a")).is_err());
        open(Path::new("/")).unwrap();
    }
}
