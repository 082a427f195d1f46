//! Makes the files of a layer with everything that is theirs: owners, modes, times, attributes.
//! Does not know archives. Nothing is made outside of the layer's directory, whatever links lie in it.
//!
//! A name that the layer hides is there as overlayfs wants it: a character device 0:0 in its place,
//! or, for a directory that shows nothing of those below, an extended attribute.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstatat, futimens, makedev,
    mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, mkfifoat};
use rustix::fs::{XattrFlags, fsetxattr};

use crate::copy::{CopyError, copy};
use crate::sandbox::{Sandbox, clear};

/// Bits of a mode that are taken over: all that there are.
const PERMISSIONS: u32 = 0o7777;

/// Access to a file while it is made.
const UNFINISHED_MODE: u32 = 0o600;

/// Access to a directory that nobody has said anything of.
const DIRECTORY_MODE: u32 = 0o755;

/// How deep directories may be in one another, as names of an archive tell it; links can make it twice
/// as deep. Whoever walks through an image, or removes it, needs something for each level.
const MAX_DEPTH: usize = 200;

/// Tells overlayfs that a directory shows nothing of those below.
const OPAQUE: (&str, &[u8]) = ("trusted.overlay.opaque", b"y");

/// What belongs to a file besides its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds of the epoch.
    pub(super) modified: i64,
    /// Names and values.
    pub(super) extended: Vec<(String, Vec<u8>)>,
}

impl Attributes {
    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.mode & PERMISSIONS)
    }

    fn time(&self) -> TimeSpec {
        TimeSpec::new(self.modified, 0)
    }
}

/// A layer's directory.
pub(super) struct Tree {
    root: Sandbox,
    /// Times of directories, which are set when all is there.
    times: Vec<(PathBuf, TimeSpec)>,
    /// Names that this layer hides and has not brought anew.
    hidden: HashSet<PathBuf>,
    /// How deep the layer's directory itself is.
    depth: usize,
    has_links: bool,
}

impl Tree {
    /// Opens an empty directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = Sandbox::open_root(path)?;
        let directory = root.open_directory(Path::new(""))?;
        fchmod(&directory, Mode::from_bits_truncate(DIRECTORY_MODE))?;
        Ok(Tree {
            root,
            times: Vec::new(),
            hidden: HashSet::new(),
            depth: depth(&directory)?,
            has_links: false,
        })
    }

    pub(super) fn file(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.prepare(path)?;
        let mut file = self.root.create(path, UNFINISHED_MODE)?;
        copy(content, &mut file, u64::MAX).map_err(|error| match error {
            CopyError::TooLarge => io::ErrorKind::FileTooLarge.into(),
            CopyError::Failed(why) => io::Error::other(why),
        })?;
        finish(&file, attributes)?;
        Ok(futimens(&file, &attributes.time(), &attributes.time())?)
    }

    pub(super) fn directory(&mut self, path: PathBuf, attributes: Attributes) -> io::Result<()> {
        self.prepare_parents(&path)?;
        self.bring_anew(&path)?;
        self.root.make_directory(&path, DIRECTORY_MODE)?;
        finish(&self.root.open_directory(&path)?, &attributes)?;
        self.times.push((path, attributes.time()));
        Ok(())
    }

    pub(super) fn link(
        &mut self,
        path: &Path,
        target: &[u8],
        attributes: &Attributes,
    ) -> io::Result<()> {
        self.prepare(path)?;
        self.has_links = true;
        self.root.link(path, OsStr::from_bytes(target))?;
        let (parent, name) = self.root.parent(path)?;
        let (uid, gid) = attributes.owner();
        let (name, flags) = (name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        fchownat(&parent, name, uid, gid, flags)?;
        set_time(&parent, name, attributes)
    }

    pub(super) fn hard_link(&mut self, path: &Path, existing: &Path) -> io::Result<()> {
        self.prepare(path)?;
        self.root.hard_link(path, existing)
    }

    pub(super) fn pipe(&mut self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        self.prepare(path)?;
        let (parent, name) = self.root.parent(path)?;
        clear(&parent, &name)?;
        let name = name.as_os_str();
        mkfifoat(&parent, name, Mode::from_bits_truncate(UNFINISHED_MODE))?;
        let (uid, gid) = attributes.owner();
        fchownat(&parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        // It is the pipe made just now: nobody else changes this directory.
        let follow = FchmodatFlags::FollowSymlink;
        fchmodat(&parent, name, attributes.mode(), follow)?;
        set_time(&parent, name, attributes)
    }

    /// Hides what layers below have under this name. What this one has stays, in whichever order
    /// the two are told.
    pub(super) fn hide(&mut self, path: &Path) -> io::Result<()> {
        self.prepare_parents(path)?;
        let (parent, name) = self.root.parent(path)?;
        let name = name.as_os_str();
        match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => {
                let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
                return match kind == SFlag::S_IFDIR {
                    true => self.hide_all(path),
                    false => Ok(()),
                };
            }
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        mknodat(&parent, name, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?;
        self.hidden.insert(path.to_owned());
        Ok(())
    }

    /// Hides everything that layers below have in this directory.
    pub(super) fn hide_all(&mut self, path: &Path) -> io::Result<()> {
        self.prepare_parents(path)?;
        self.bring_anew(path)?;
        self.root.make_directory(path, DIRECTORY_MODE)?;
        self.set_opaque(path)
    }

    /// Sets what making other files has changed, the inner directories first.
    pub(super) fn finish(self) -> Result<(), (PathBuf, io::Error)> {
        for (path, time) in self.times.into_iter().rev() {
            let opened = self.root.open_directory(&path);
            let set = opened.and_then(|opened| Ok(futimens(&opened, &time, &time)?));
            set.map_err(|error| (path, error))?;
        }
        Ok(())
    }

    /// Prepares the place of something that is no directory and takes the place of what is hidden.
    fn prepare(&mut self, path: &Path) -> io::Result<()> {
        self.prepare_parents(path)?;
        self.hidden.remove(path);
        Ok(())
    }

    /// Has directories above a path that this layer hides, and brings anew, show only what it brings.
    fn prepare_parents(&mut self, path: &Path) -> io::Result<()> {
        self.check_depth(path)?;
        if self.hidden.is_empty() {
            return Ok(());
        }
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for parent in above.into_iter().rev() {
            self.bring_anew(parent)?;
        }
        Ok(())
    }

    fn check_depth(&self, path: &Path) -> io::Result<()> {
        let mut deepest = path.components().count();
        if self.has_links
            && let Some(parent) = path.parent()
            && let Ok(parent) = self.root.open_directory(parent)
        {
            deepest = deepest.max(depth(&parent)?.saturating_sub(self.depth) + 1);
        }
        match deepest > MAX_DEPTH {
            true => Err(io::Error::other(format!(
                "it is more than {MAX_DEPTH} directories deep"
            ))),
            false => Ok(()),
        }
    }

    /// Makes a directory in the place of a hidden one, if this is such a place.
    fn bring_anew(&mut self, path: &Path) -> io::Result<()> {
        if !self.hidden.remove(path) {
            return Ok(());
        }
        self.root.remove(path)?;
        self.root.make_directory(path, DIRECTORY_MODE)?;
        self.set_opaque(path)
    }

    fn set_opaque(&self, path: &Path) -> io::Result<()> {
        let directory = self.root.open_directory(path)?;
        let (name, value) = OPAQUE;
        Ok(fsetxattr(&directory, name, value, XattrFlags::empty())?)
    }
}

/// Gives a file or a directory what is its own. A change of the owner takes special bits and
/// capabilities away, so that they come last.
fn finish(file: &File, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = attributes.owner();
    fchown(file, uid, gid)?;
    fchmod(file, attributes.mode())?;
    for (name, value) in &attributes.extended {
        let set = fsetxattr(file, name.as_str(), value, XattrFlags::empty());
        set.map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("Failed to set '{name}': {error}"))
        })?;
    }
    Ok(())
}

/// How many directories an open one is in, whichever links led to it.
fn depth(directory: &File) -> io::Result<usize> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    Ok(path.components().count())
}

fn set_time(parent: impl AsFd, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
    let (time, flag) = (attributes.time(), UtimensatFlags::NoFollowSymlink);
    Ok(utimensat(parent, name, &time, &time, flag)?)
}
