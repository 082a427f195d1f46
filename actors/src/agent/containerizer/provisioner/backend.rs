//! How a file system is made of layers: mounted over each other, or copied
//! (Mesos: `--image_provisioner_backend`). Mounts nothing that stays.

use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::super::isolator::Tree;
use super::super::mounts::call;
use super::super::root::make_tree;
use super::{copy, make_directory, make_layered};

/// Stack in bytes of a thread that only mounts.
const STACK_BYTES: usize = 256 * 1024;

/// A way to make a file system of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The kernel shows them over each other, and keeps what is changed beside them.
    Overlay,
    /// They are copied over each other, for each container anew.
    Copy,
}

impl Backend {
    /// Makes a file system in a new directory.
    ///
    /// # Errors
    /// What the disk refuses, or that the container was killed meanwhile.
    pub(super) fn make(
        self,
        directory: &Path,
        layers: &[PathBuf],
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Tree, String> {
        if layers.is_empty() {
            return Err("Failed to provision the image: it has no layers".to_owned());
        }
        let failed = |error| format!("Failed to provision the image: {error}");
        match self {
            Backend::Overlay => make_layered(directory, layers).map_err(failed),
            Backend::Copy => {
                let rootfs = directory.join("rootfs");
                make_directory(&rootfs, super::ROOT_MODE).map_err(failed)?;
                for layer in layers {
                    copy::layer(layer, &rootfs, is_killed)?;
                }
                Ok(Tree {
                    directory: directory.to_owned(),
                    layers: 0,
                })
            }
        }
    }
}

/// The backend that was asked for, or the better one of those that work here.
pub(super) fn choose(asked: Option<Backend>, directory: &Path) -> Result<Backend, String> {
    match asked {
        Some(Backend::Copy) => Ok(Backend::Copy),
        Some(Backend::Overlay) => overlay_works(directory).map(|()| Backend::Overlay).map_err(
            |why| {
                format!(
                    "--image_provisioner_backend=overlay does not work in '{}' ({why}): expected a \
                 file system and a kernel that can, or the backend 'copy'",
                    directory.display()
                )
            },
        ),
        None => Ok(overlay_works(directory).map_or_else(
            |why| {
                tracing::warn!(
                    why,
                    "images are copied for each container: no overlay can be mounted"
                );
                Backend::Copy
            },
            |()| Backend::Overlay,
        )),
    }
}

/// Mounts an overlay where nobody sees it.
fn overlay_works(directory: &Path) -> Result<(), String> {
    let probe = directory.with_file_name("probe");
    let worked = try_overlay(&probe);
    if let Err(error) = std::fs::remove_dir_all(&probe) {
        tracing::warn!(%error, directory = %probe.display(), "cannot remove a directory");
    }
    worked
}

fn try_overlay(probe: &Path) -> Result<(), String> {
    let layers = [probe.join("a"), probe.join("b")];
    for layer in &layers {
        make_directory(layer, super::ROOT_MODE).map_err(|error| error.to_string())?;
    }
    // One that an agent has left which ended just then.
    let trees = tempfile_in(probe)?;
    let tree = make_layered(&trees, &layers).map_err(|error| error.to_string())?;
    let mounts = move || -> Result<(), String> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS)
            .map_err(|error| error.to_string())?;
        let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        call(None, "/".as_ref(), None, flags, None)?;
        make_tree(&tree)?;
        // What is whited out needs its own kind of files, and attributes that only root may set.
        std::fs::write(tree.rootfs().join("file"), "").map_err(|error| error.to_string())
    };
    // The namespace ends with its only thread.
    let thread = std::thread::Builder::new()
        .name("probe".into())
        .stack_size(STACK_BYTES)
        .spawn(mounts);
    let thread = thread.map_err(|error| error.to_string())?;
    let joined = thread.join();
    joined.unwrap_or_else(|_| Err("the thread that tries it has panicked".to_owned()))
}

fn tempfile_in(probe: &Path) -> Result<PathBuf, String> {
    let tree = probe.join("tree");
    match std::fs::remove_dir_all(&tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(tree),
    }
}
