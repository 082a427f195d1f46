//! Paths in a root file system that somebody else has made: no link leads out of it, whatever it
//! says. Knows nothing of what belongs where.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::super::helper::failed;
use super::super::mounts::{self, call};
use crate::agent::no_links::by_descriptor;

/// Attempts to find a path while something is moved below it.
const LOOK_UPS: usize = 16;

/// Access to directories and files that are made to mount something there.
const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);

/// What is hidden where something else than a directory was.
const NOTHING: &str = "/dev/null";

/// The directory that is to become a root.
pub(super) struct Inside {
    root: OwnedFd,
}

impl Inside {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let root = File::open(path).map_err(|error| {
            format!(
                "Failed to open the root file system '{}': {error}",
                path.display()
            )
        })?;
        Ok(Inside { root: root.into() })
    }

    /// Opens what is at a path.
    pub(super) fn look_up(&self, path: &Path, flags: OFlag) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut last = Errno::EAGAIN;
        for _ in 0..LOOK_UPS {
            match openat2(self.root.as_fd(), path, how) {
                Ok(found) => return Ok(found.into()),
                Err(error) => last = error,
            }
            if last != Errno::EAGAIN {
                break;
            }
        }
        Err(last)
    }

    pub(super) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.look_up(path.as_ref(), OFlag::O_PATH).is_ok()
    }

    /// Opens what is at a path, made if it is not there.
    pub(super) fn make(&self, path: &Path, is_directory: bool) -> Result<File, String> {
        let failed = |error: Errno| {
            format!(
                "Failed to make '{}' in the image's root: {error}",
                path.display()
            )
        };
        let mut done = PathBuf::new();
        let mut at = self
            .look_up(Path::new("."), OFlag::O_PATH)
            .map_err(failed)?;
        let mut parts = path
            .components()
            .filter(|part| *part != Component::RootDir)
            .peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else {
                return Err(format!(
                    "'{}' cannot be a place in the image's root: expected no '.' and no '..'",
                    path.display()
                ));
            };
            done.push(name);
            let is_inner = parts.peek().is_some() || is_directory;
            at = match self.look_up(&done, OFlag::O_PATH) {
                Ok(found) => found,
                Err(Errno::ENOENT) => {
                    make_one(&at, name, is_inner).map_err(failed)?;
                    self.look_up(&done, OFlag::O_PATH).map_err(failed)?
                }
                Err(error) => return Err(failed(error)),
            };
        }
        Ok(at)
    }

    /// Shows a file or directory of the host, whose path has no link, with what is mounted below.
    pub(super) fn bind(&self, source: &Path, target: &Path, read_only: bool) -> Result<(), String> {
        let opened = File::from(mounts::open(source)?);
        let found = opened
            .metadata()
            .map_err(|error| format!("Failed to look at '{}': {error}", source.display()))?;
        let at = self.make(target, found.is_dir())?;
        told(target, mounts::bind(&opened, &at))?;
        match read_only {
            true => told(
                target,
                mounts::make_read_only(&self.on_top(target)?.into(), target),
            ),
            false => Ok(()),
        }
    }

    /// Shows one of the kernel's own, below which nothing is mounted.
    fn bind_at(
        &self,
        source: &Path,
        at: &File,
        target: &Path,
        read_only: bool,
    ) -> Result<(), String> {
        let bind = MsFlags::MS_BIND;
        told(
            target,
            call(Some(source), &by_descriptor(at), None, bind, None),
        )?;
        match read_only {
            true => self.remount_read_only(target),
            false => Ok(()),
        }
    }

    /// The mount is found again: what was opened before lies below it.
    fn on_top(&self, target: &Path) -> Result<File, String> {
        self.look_up(target, OFlag::O_PATH).map_err(|error| {
            format!(
                "Failed to find the mount at '{}': {error}",
                target.display()
            )
        })
    }

    fn remount_read_only(&self, target: &Path) -> Result<(), String> {
        let on_top = self.on_top(target)?;
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        // What was guarded stays so: a remount says anew what holds.
        let now = fstatvfs(&on_top)
            .map_err(failed("look at a mount"))?
            .flags();
        for (held, kept) in [
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        ] {
            flags.set(kept, now.contains(held));
        }
        told(
            target,
            call(None, &by_descriptor(&on_top), None, flags, None),
        )
    }

    /// Mounts a file system of the kernel's.
    pub(super) fn mount(
        &self,
        target: &str,
        kind: &str,
        flags: MsFlags,
        data: Option<&str>,
    ) -> Result<(), String> {
        let target = Path::new(target);
        let at = self.make(target, true)?;
        let source = Some(kind.as_ref());
        told(
            target,
            call(source, &by_descriptor(&at), Some(kind), flags, data),
        )
    }

    /// Mounts memory of a size in bytes.
    pub(super) fn mount_tmpfs(
        &self,
        target: &str,
        data: &str,
        size: Option<u64>,
    ) -> Result<(), String> {
        let size = size.map_or_else(String::new, |bytes| format!(",size={bytes}"));
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_STRICTATIME;
        self.mount(target, "tmpfs", flags, Some(&format!("{data}{size}")))
    }

    /// Lets nobody write to what is at a path, if anything is.
    pub(super) fn make_read_only(&self, path: &str) -> Result<(), String> {
        let path = Path::new(path);
        let Ok(at) = self.look_up(path, OFlag::O_PATH) else {
            return Ok(());
        };
        self.bind_at(&by_descriptor(&at), &at, path, true)
    }

    /// Hides what is at a path, if anything is.
    pub(super) fn mask(&self, path: &str) -> Result<(), String> {
        let Ok(at) = self.look_up(Path::new(path), OFlag::O_PATH) else {
            return Ok(());
        };
        match at.metadata().is_ok_and(|found| found.is_dir()) {
            true => self.mount(path, "tmpfs", MsFlags::MS_RDONLY, Some("size=0")),
            false => self.bind_at(Path::new(NOTHING), &at, Path::new(path), true),
        }
    }

    /// Shows a file of the host at the same path. A link there that leads nowhere gives way.
    pub(super) fn show_host_file(&self, path: &str) -> Result<(), String> {
        let path = Path::new(path);
        if self.look_up(path, OFlag::O_PATH).is_err()
            && let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Ok(parent) = self.look_up(parent, OFlag::O_PATH)
        {
            // Nothing may be there at all.
            let _ = unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir);
        }
        let real = path
            .canonicalize()
            .map_err(|error| format!("Failed to look at '{}': {error}", path.display()))?;
        self.bind(&real, path, true)
    }
}

fn make_one(parent: &File, name: &OsStr, is_directory: bool) -> Result<(), Errno> {
    match is_directory {
        true => mkdirat(parent, name, DIRECTORY_MODE),
        false => mknodat(parent, name, SFlag::S_IFREG, FILE_MODE, 0),
    }
}

fn told(target: &Path, result: Result<(), String>) -> Result<(), String> {
    result.map_err(|why| format!("{why} ('{}' in the image's root)", target.display()))
}

/// The whole text of a file, which must be a plain one and not longer than this.
///
/// # Errors
/// When it is something else; a file that is not there is empty.
pub(super) fn read(inside: &Inside, path: &str, max_bytes: u64) -> io::Result<String> {
    use std::io::Read;
    // Something else, such as a pipe, is not waited for.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match inside.look_up(Path::new(path), flags) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes) {
        true => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        false => Err(io::Error::other(format!(
            "it has more than {max_bytes} bytes"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_path_leads_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        symlink(outside.path(), root.join("absolute")).unwrap();
        symlink("..", root.join("upwards")).unwrap();
        let inside = Inside::open(&root).unwrap();
        for path in ["absolute/secret", "upwards/secret", "../secret"] {
            assert_eq!(read(&inside, path, 10).unwrap(), "", "{path}");
        }
        inside.make(Path::new("/upwards/made/there"), true).unwrap();
        assert!(root.join("made/there").is_dir());
        inside.make(Path::new("/a/file"), false).unwrap();
        assert!(root.join("a/file").is_file());
        assert!(inside.make(Path::new("/a/../b"), true).is_err());
        assert!(inside.make(Path::new("/a/file/b"), true).is_err());
        // A link that leads nowhere is not followed by making what it names.
        assert!(inside.make(Path::new("/absolute/b"), true).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
    }

    #[test]
    fn files_are_read_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "1234").unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), Mode::S_IRUSR).unwrap();
        let inside = Inside::open(dir.path()).unwrap();
        assert_eq!(read(&inside, "/file", 4).unwrap(), "1234");
        assert!(read(&inside, "/file", 3).is_err());
        assert!(read(&inside, "/pipe", 4).is_err());
        assert!(read(&inside, "/", 4).is_err());
        assert_eq!(read(&inside, "/no/such", 4).unwrap(), "");
    }
}
