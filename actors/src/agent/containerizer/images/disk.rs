//! The store's directory: layers that are whole, those that are being unpacked, those that go.
//! Does not know images.
//!
//! `layers/<digest>/rootfs` is a layer, moved there when all of it is on the disk. What is in
//! `staging` when the store is opened was not finished, and goes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::agent::fetcher::real_and_ours;
use crate::agent::garbage::{self, Moved};

/// Directories and files of the store.
const LAYERS: &str = "layers";
const STAGING: &str = "staging";
const REMOVED: &str = "removed";
const LOCK: &str = "lock";

/// Directory of a layer's files, below the layer's own.
const ROOTFS: &str = "rootfs";

/// Access to directories above the store's.
const PARENT_MODE: u32 = 0o755;

/// Access to what is in the store: programs in it may give whoever runs them other rights.
const OWN_MODE: u32 = 0o700;

/// Hexadecimal digits of a layer's name.
const DIGITS: usize = 64;

/// Tells overlayfs that a directory shows nothing of those below.
const OPAQUE: (&str, &[u8]) = ("trusted.overlay.opaque", b"y");

/// The directory.
pub(super) struct Disk {
    path: PathBuf,
    removed: Moved,
    next: AtomicU64,
    /// Keeps other agents away; what they had not finished would go.
    _lock: Flock<File>,
}

impl Disk {
    /// Opens or makes the directory, and removes what is not finished.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| {
            let path = path.display();
            format!("cannot use --docker_store_dir={path}: {error}")
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(PARENT_MODE).create(path);
        made.map_err(failed)?;
        let path = real_and_ours(path, "--docker_store_dir")?;
        let lock = lock(&path).map_err(failed)?;
        for name in [LAYERS, STAGING, REMOVED] {
            own(&path.join(name)).map_err(failed)?;
        }
        let removed = Moved::open(path.join(REMOVED)).map_err(failed)?;
        for entry in fs::read_dir(path.join(STAGING)).map_err(failed)? {
            let left = entry.map_err(failed)?.path();
            removed.take(&left).map_err(failed)?;
        }
        removed.delete_all();
        Ok(Disk {
            path,
            removed,
            next: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The store's directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds all layers.
    pub(super) fn layers_path(&self) -> PathBuf {
        self.path.join(LAYERS)
    }

    /// A layer's files.
    pub(super) fn rootfs(&self, layer: &str) -> PathBuf {
        self.layers_path().join(layer).join(ROOTFS)
    }

    /// The layer that a directory of files belongs to.
    pub(super) fn layer_of(&self, rootfs: &Path) -> Option<String> {
        let within = rootfs.strip_prefix(self.layers_path()).ok()?;
        let name = within.components().next()?.as_os_str().to_str()?;
        Some(name.to_owned())
    }

    /// Whether a layer is there.
    pub(super) fn has(&self, layer: &str) -> bool {
        is_name(layer) && self.rootfs(layer).is_dir()
    }

    /// Whether a layer shows nothing of those below it.
    pub(super) fn is_opaque(&self, layer: &str) -> bool {
        let mut value = [0; 2];
        let (name, yes) = OPAQUE;
        let read = rustix::fs::lgetxattr(self.rootfs(layer), name, &mut value[..]);
        read.is_ok_and(|count| value[..count] == *yes)
    }

    /// A new directory to unpack into.
    pub(super) fn stage(&self) -> io::Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(STAGING).join(number.to_string());
        DirBuilder::new().mode(OWN_MODE).create(&path)?;
        Ok(path)
    }

    /// Takes layers that are whole out of the directory that they were unpacked into.
    pub(super) fn adopt(&self, staged: &Path, layers: &[String]) -> io::Result<()> {
        for layer in layers {
            if self.has(layer) {
                continue;
            }
            if !is_name(layer) {
                return Err(io::Error::other(format!("'{layer}' is no name of a layer")));
            }
            let to = self.layers_path().join(layer);
            // Half of a layer is never there, but somebody may have emptied one.
            if to.exists() {
                let moved = self.removed.take(&to)?;
                self.delete(moved).map_err(io::Error::other)?;
            }
            fs::rename(staged.join(layer), to)?;
        }
        File::open(self.layers_path())?.sync_all()
    }

    /// All layers.
    pub(super) fn layers(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.layers_path())? {
            found.extend(entry?.file_name().into_string());
        }
        Ok(found)
    }

    /// Moves a layer away; [`Disk::delete`] deletes it.
    pub(super) fn remove(&self, layer: &str) -> io::Result<PathBuf> {
        self.removed.take(&self.layers_path().join(layer))
    }

    /// Deletes what was unpacked for nothing.
    pub(super) fn unstage(&self, staged: &Path) {
        let moved = self.removed.take(staged).map_err(|error| error.to_string());
        if let Err(why) = moved.and_then(|path| self.delete(path)) {
            tracing::warn!(
                why,
                "something of an image that was unpacked cannot be removed"
            );
        }
    }

    /// Deletes what was moved away.
    pub(super) fn delete(&self, moved: PathBuf) -> Result<(), String> {
        self.removed.delete(moved)
    }

    /// The share of its file system that is used.
    pub(super) fn used(&self) -> io::Result<f64> {
        Ok(garbage::used(&self.path)?)
    }
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => {
            io::Error::other("another agent uses it; give each agent a directory of its own")
        }
        error => error.into(),
    })
}

/// Makes a directory that is nobody else's to look into.
fn own(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(OWN_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(path, Permissions::from_mode(OWN_MODE)),
    }
}

fn is_name(layer: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    layer.len() == DIGITS && layer.bytes().all(is_digit)
}
