//! Opens, reads and lists what lies below a directory that is shown, and nothing outside of it.
//! Knows no virtual paths and speaks no HTTP.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{Gid, Group, Uid, User};
use tepui_protocol::v1::{FileInfo, TimeInfo};

/// Most bytes of a file given at once, as in Mesos: 16 pages of 4 KiB.
pub const MAX_READ_BYTES: u64 = 16 * 4096;

/// Entries of a directory listed at most.
pub const MAX_LISTED: usize = 100_000;

/// How often a path is looked up again when somebody moves its directories meanwhile.
const LOOK_UPS: usize = 16;

/// A file or directory below one that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    inner: PathBuf,
    /// Links in the directory that may lead out of it, by name, and where they lead.
    links: BTreeMap<String, String>,
}

/// Why a file could not be had.
#[derive(Debug)]
pub enum FileError {
    /// It does not exist, or leads out of what is shown, or has no content of its own.
    NotFound,
    /// It is a directory.
    Directory,
    /// The system says otherwise.
    Io(io::Error),
}

impl Place {
    /// What is at `inner`, a path without `..`, below the directory `root`; an empty `inner` is
    /// `root` itself, which may be a file then.
    pub fn new(root: impl Into<PathBuf>, inner: impl Into<PathBuf>) -> Self {
        Place {
            root: root.into(),
            inner: inner.into(),
            links: BTreeMap::new(),
        }
    }

    /// Says what links in this directory lead to, so that a listing shows that instead.
    #[must_use]
    pub fn with_links(mut self, links: BTreeMap<String, String>) -> Self {
        self.links = links;
        self
    }

    /// Name of the file, for the one who saves it.
    pub(super) fn file_name(&self) -> String {
        let name = self.inner.file_name().or_else(|| self.root.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Opens what is there. Only regular files and directories are: a pipe would be waited for,
    /// and a device may do something when it is opened.
    fn open(&self) -> Result<(File, Metadata), FileError> {
        let root = self.open_root()?;
        let found = match self.inner.as_os_str().is_empty() {
            true => root,
            false => look_up(&root, &self.inner)?,
        };
        let metadata = found.metadata().map_err(from_io)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(FileError::NotFound);
        }
        // By its descriptor, which nobody can put something else in place of.
        let file = File::options()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(by_descriptor(&found))
            .map_err(from_io)?;
        Ok((file, metadata))
    }

    /// The root, for looking things up below it only.
    fn open_root(&self) -> Result<File, FileError> {
        let mut options = File::options();
        options.read(true).custom_flags(OFlag::O_PATH.bits());
        options.open(&self.root).map_err(from_io)
    }

    /// A regular file for reading, and its size.
    ///
    /// # Errors
    /// When there is none that may be read.
    pub fn open_file(&self) -> Result<(File, u64), FileError> {
        let (file, metadata) = self.open()?;
        match metadata.is_dir() {
            true => Err(FileError::Directory),
            false => Ok((file, metadata.len())),
        }
    }

    /// Size of the file, and at most `length` bytes of it from `offset` on, [`MAX_READ_BYTES`] at
    /// most; none of them at its end or behind it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, offset: u64, length: Option<u64>) -> Result<(u64, Vec<u8>), FileError> {
        let (mut file, size) = self.open_file()?;
        if offset >= size {
            return Ok((size, Vec::new()));
        }
        let wanted = length.unwrap_or(u64::MAX);
        let wanted = wanted.min(size - offset).min(MAX_READ_BYTES);
        file.seek(SeekFrom::Start(offset)).map_err(from_io)?;
        let mut data = Vec::new();
        file.take(wanted).read_to_end(&mut data).map_err(from_io)?;
        Ok((size, data))
    }

    /// The entries of a directory by name, with paths below `shown_as`; none for a file, as in
    /// Mesos (`FilesProcess::browse`).
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self, shown_as: &str) -> Result<Vec<FileInfo>, FileError> {
        let (directory, metadata) = self.open()?;
        if !metadata.is_dir() {
            return Ok(Vec::new());
        }
        let shown_as = shown_as.trim_end_matches('/');
        let root = self.open_root()?;
        let entries = std::fs::read_dir(by_descriptor(&directory)).map_err(from_io)?;
        let mut listed = Vec::new();
        for entry in entries.flatten().take(MAX_LISTED) {
            // It may have gone meanwhile.
            let Ok(own) = entry.metadata() else { continue };
            let name = entry.file_name();
            let metadata = match own.is_symlink() {
                true => self.target(&root, Path::new(&name)).unwrap_or(own),
                false => own,
            };
            let path = format!("{shown_as}/{}", name.to_string_lossy());
            listed.push(info(path, &metadata));
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    /// What a link in this directory leads to, if that is shown, too.
    fn target(&self, root: &File, name: &Path) -> Option<Metadata> {
        let known = name.to_str().and_then(|name| self.links.get(name));
        if let Some(path) = known {
            return std::fs::metadata(path).ok();
        }
        let target = look_up(root, &self.inner.join(name)).ok()?;
        target.metadata().ok()
    }
}

/// Finds a path without opening what is there; what leads out of the root is not found.
fn look_up(root: &impl AsFd, inner: &Path) -> Result<File, FileError> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    for _ in 0..LOOK_UPS {
        match openat2(root, inner, how) {
            Ok(found) => return Ok(File::from(found)),
            // Something was moved while a `..` of a link was followed.
            Err(Errno::EAGAIN) => {}
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::EINVAL) => {
                return Err(FileError::NotFound);
            }
            // The first: the path leads out of the root.
            Err(Errno::EXDEV | Errno::ELOOP) => return Err(FileError::NotFound),
            Err(error) => return Err(FileError::Io(error.into())),
        }
    }
    Err(FileError::NotFound)
}

fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn info(path: String, metadata: &Metadata) -> FileInfo {
    let (uid, gid) = owner_names(metadata.uid(), metadata.gid());
    FileInfo {
        path,
        nlink: Some(i32::try_from(metadata.nlink()).unwrap_or(i32::MAX)),
        size: Some(metadata.size()),
        mtime: Some(TimeInfo {
            nanoseconds: metadata.mtime().saturating_mul(1_000_000_000),
        }),
        mode: Some(metadata.mode()),
        uid: Some(uid),
        gid: Some(gid),
    }
}

/// Names of a file's owner and group, or their numbers when they have none.
fn owner_names(uid: u32, gid: u32) -> (String, String) {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    (
        user.map_or_else(|| uid.to_string(), |user| user.name),
        group.map_or_else(|| gid.to_string(), |group| group.name),
    )
}

fn from_io(error: io::Error) -> FileError {
    let is_a_loop = error.raw_os_error() == Some(Errno::ELOOP as i32);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NotFound,
        _ if is_a_loop => FileError::NotFound,
        _ => FileError::Io(error),
    }
}
