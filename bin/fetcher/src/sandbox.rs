//! Makes files, directories and links below one directory and nowhere else, whatever links lie in it.
//! Does not know what is in them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, syncfs, unlinkat};

/// Access to directories that nobody has said anything of, before the umask.
const DIRECTORY_MODE: u32 = 0o755;

/// How often a path is looked up again when somebody moves its directories meanwhile.
const LOOK_UPS: usize = 16;

/// Bits of a mode that are taken over: nothing is set-user-id, and nothing sticks.
const PERMISSIONS: u32 = 0o777;

/// A directory that nothing leads out of. Paths below it are relative; links in it are followed as
/// long as they stay within.
pub(crate) struct Sandbox {
    directory: OwnedFd,
    /// How links are followed.
    resolve: ResolveFlag,
}

impl Sandbox {
    /// Opens the directory itself, with the rights that the process has now.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Sandbox {
            directory: open(path, flags, Mode::empty())?,
            resolve: ResolveFlag::RESOLVE_BENEATH,
        })
    }

    /// Opens a directory that will be the root of a file system: links that begin with a slash, or
    /// would lead above it, lead to what is in it.
    pub(crate) fn open_root(path: &Path) -> io::Result<Self> {
        let sandbox = Sandbox::open(path)?;
        Ok(Sandbox {
            resolve: ResolveFlag::RESOLVE_IN_ROOT,
            ..sandbox
        })
    }

    /// Bytes of its disk that a user without privileges may still fill.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let found = fstatvfs(&self.directory)?;
        Ok(found
            .blocks_available()
            .saturating_mul(found.fragment_size()))
    }

    /// Makes a new file; whatever else has its name goes, unless it is a directory.
    pub(crate) fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        clear(&parent, &name)?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let flags = flags | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(
            &parent,
            name.as_os_str(),
            flags,
            bits(mode),
        )?))
    }

    /// Opens a file for new content, keeping the one that is there: the output of the task may go
    /// to it already.
    pub(crate) fn overwrite(&self, path: &Path, mode: u32) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = File::from(openat(&parent, name.as_os_str(), flags, bits(mode))?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other(
                "something that is not a file has its name",
            )),
        }
    }

    /// Opens a file that is there, to add to it.
    pub(crate) fn append(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        Ok(File::from(self.look_up(path, flags)?))
    }

    /// Opens a file for reading; does not wait for somebody who writes to a pipe.
    pub(crate) fn read(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        Ok(File::from(self.look_up(path, flags)?))
    }

    /// Opens a directory that is there.
    pub(crate) fn open_directory(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        Ok(File::from(self.look_up(path, flags)?))
    }

    /// Makes a directory, and those above it, unless they are there. It is the owner's to write to
    /// until [`Sandbox::restrict`] takes that back.
    pub(crate) fn make_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.directory(path, mode | 0o700).map(drop)
    }

    /// Takes rights to a directory away that its mode does not give.
    pub(crate) fn restrict(&self, path: &Path, mode: u32) -> io::Result<()> {
        let directory = self.open_directory(path)?;
        let now = directory.metadata()?.mode();
        Ok(fchmod(&directory, bits(now & mode))?)
    }

    /// Removes a name, unless it is a directory's.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        clear(&parent, &name)
    }

    /// Waits until all that was written to its file system is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.directory)?)
    }

    /// Makes a link to wherever it is said to lead; nothing here goes where it leads out.
    pub(crate) fn link(&self, path: &Path, target: &OsStr) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        clear(&parent, &name)?;
        Ok(symlinkat(target, &parent, name.as_os_str())?)
    }

    /// Gives a file that is there another name.
    pub(crate) fn hard_link(&self, path: &Path, existing: &Path) -> io::Result<()> {
        let (old_parent, old_name) = match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => (self.look_up_directory(parent)?, name),
            _ => return Err(Errno::EINVAL.into()),
        };
        let (parent, name) = self.parent(path)?;
        clear(&parent, &name)?;
        let (old, new) = (old_name, name.as_os_str());
        Ok(linkat(&old_parent, old, &parent, new, AtFlags::empty())?)
    }

    /// The directory of a path, made if need be, and the name in it.
    pub(crate) fn parent(&self, path: &Path) -> io::Result<(OwnedFd, OsString)> {
        let name = path.file_name().ok_or(Errno::EINVAL)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.directory(parent, DIRECTORY_MODE)?, name.to_owned()))
    }

    /// Opens a directory, which is made with this mode if it is not there.
    fn directory(&self, path: &Path, mode: u32) -> io::Result<OwnedFd> {
        match self.look_up_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let mut above = self.look_up_directory(Path::new(""))?;
        let mut done = PathBuf::new();
        for part in path.components() {
            done.push(part);
            let is_last = done.as_os_str().len() >= path.as_os_str().len();
            let mode = if is_last { mode } else { DIRECTORY_MODE };
            match mkdirat(&above, part.as_os_str(), bits(mode)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            above = self.look_up_directory(&done)?;
        }
        Ok(above)
    }

    fn look_up_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.look_up(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
    }

    fn look_up(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(self.resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        for _ in 0..LOOK_UPS {
            match openat2(self.directory.as_fd(), path, how) {
                // Something was moved while a `..` of a link was followed.
                Err(Errno::EAGAIN) => {}
                Err(Errno::EXDEV) => break,
                Err(error) => return Err(error.into()),
                Ok(found) => return Ok(found),
            }
        }
        Err(io::Error::other("it leads out of the sandbox"))
    }
}

/// A path as an archive or an order names it, without what means nothing; empty for the sandbox
/// itself, and none when it leads out or is absolute.
pub(crate) fn relative(path: &[u8]) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(path)).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Removes whatever has this name, unless it is a directory.
pub(crate) fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Place {
        outer: tempfile::TempDir,
        sandbox: Sandbox,
    }

    impl Place {
        fn new() -> Self {
            let outer = tempfile::tempdir().unwrap();
            fs::create_dir(outer.path().join("box")).unwrap();
            fs::write(outer.path().join("secret"), "outside").unwrap();
            let sandbox = Sandbox::open(&outer.path().join("box")).unwrap();
            Place { outer, sandbox }
        }

        fn path(&self, inner: &str) -> PathBuf {
            self.outer.path().join("box").join(inner)
        }

        fn write(&self, path: &str, text: &str) -> io::Result<()> {
            let mut file = self.sandbox.create(Path::new(path), 0o644)?;
            file.write_all(text.as_bytes())
        }
    }

    #[test]
    fn files_come_with_their_directories_and_replace_others() {
        let place = Place::new();
        place.write("a/b/c", "one").unwrap();
        place.write("a/b/c", "two").unwrap();
        assert_eq!(fs::read_to_string(place.path("a/b/c")).unwrap(), "two");
        assert!(place.write("a/b", "x").is_err(), "a directory stays");
        let mut text = String::new();
        let mut file = place.sandbox.read(Path::new("a/b/c")).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "two");
    }

    #[test]
    fn overwriting_keeps_the_file_and_follows_no_link() {
        let place = Place::new();
        place.write("stdout", "before").unwrap();
        let before = fs::metadata(place.path("stdout")).unwrap().ino();
        let mut file = place.sandbox.overwrite(Path::new("stdout"), 0o644).unwrap();
        file.write_all(b"now").unwrap();
        assert_eq!(fs::read_to_string(place.path("stdout")).unwrap(), "now");
        assert_eq!(fs::metadata(place.path("stdout")).unwrap().ino(), before);
        symlink("../secret", place.path("out")).unwrap();
        assert!(place.sandbox.overwrite(Path::new("out"), 0o644).is_err());
        nix::unistd::mkfifo(&place.path("pipe"), bits(0o600)).unwrap();
        assert!(place.sandbox.overwrite(Path::new("pipe"), 0o644).is_err());
        let secret = fs::read_to_string(place.outer.path().join("secret")).unwrap();
        assert_eq!(secret, "outside");
    }

    #[test]
    fn links_within_are_followed_and_links_out_are_not() {
        let place = Place::new();
        place.write("lib64/x", "x").unwrap();
        place
            .sandbox
            .link(Path::new("lib"), OsStr::new("lib64"))
            .unwrap();
        place.write("lib/y", "y").unwrap();
        assert_eq!(fs::read_to_string(place.path("lib64/y")).unwrap(), "y");
        let absolute = place.outer.path().as_os_str();
        for target in [OsStr::new(".."), OsStr::new("lib/../.."), absolute] {
            place.sandbox.link(Path::new("out"), target).unwrap();
            let error = place.write("out/secret", "changed").unwrap_err();
            assert_eq!(error.to_string(), "it leads out of the sandbox");
            assert!(
                place
                    .sandbox
                    .make_directory(Path::new("out/d"), 0o755)
                    .is_err()
            );
            let stolen = place
                .sandbox
                .hard_link(Path::new("h"), Path::new("out/secret"));
            assert!(stolen.is_err());
        }
        assert!(!place.outer.path().join("d").exists());
        let secret = fs::read_to_string(place.outer.path().join("secret")).unwrap();
        assert_eq!(secret, "outside");
        // A file in the place of a link does not go where the link leads.
        place
            .sandbox
            .link(Path::new("f"), OsStr::new("../secret"))
            .unwrap();
        place.write("f", "inside").unwrap();
        assert_eq!(fs::read_to_string(place.path("f")).unwrap(), "inside");
    }

    #[test]
    fn no_special_bits_are_taken_over() {
        let place = Place::new();
        place.sandbox.create(Path::new("run"), 0o6755).unwrap();
        place
            .sandbox
            .make_directory(Path::new("d"), 0o1555)
            .unwrap();
        place.sandbox.restrict(Path::new("d"), 0o1555).unwrap();
        let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode("run") & 0o7000, 0);
        assert_eq!(mode("run") & 0o700, 0o700);
        assert_eq!(mode("d") & 0o7777, 0o555);
    }

    #[test]
    fn a_hard_link_is_another_name_of_what_is_within() {
        let place = Place::new();
        place.write("a/one", "1").unwrap();
        place
            .sandbox
            .hard_link(Path::new("two"), Path::new("a/one"))
            .unwrap();
        assert_eq!(fs::read_to_string(place.path("two")).unwrap(), "1");
        assert!(
            place
                .sandbox
                .hard_link(Path::new("x"), Path::new("none"))
                .is_err()
        );
    }

    #[test]
    fn paths_lead_nowhere_else() {
        let clean = |path: &str| relative(path.as_bytes());
        assert_eq!(clean("./a//b/."), Some(PathBuf::from("a/b")));
        assert_eq!(clean("./"), Some(PathBuf::new()));
        for path in ["/a", "..", "a/../b", "a/.."] {
            assert_eq!(clean(path), None, "{path}");
        }
    }
}
