//! Makes and removes the directories of persistent volumes, and their links in sandboxes.
//! Chooses no path: the core does. Never follows a link that a task could have made.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, lchown};
use std::path::{Path, PathBuf};

use tepui_core::agent::volumes::{Volume, VolumeKind, VolumeLink, VolumesUpdate};

use super::{inner_sandbox, no_links};

/// Access to a volume before its first task owns it, and to the directories above.
const VOLUME_MODE: u32 = 0o755;

/// Makes a volume's directory if it is not there; says whether it was not.
///
/// # Errors
/// When it cannot be made, something else is there, or a mount point is missing.
pub(super) fn make(volume: &Volume) -> Result<bool, String> {
    let path = Path::new(&volume.path);
    let failed = |why: &dyn std::fmt::Display| {
        Err(format!(
            "Failed to create the persistent volume {} at '{}': {why}",
            volume.id, volume.path
        ))
    };
    let found = match volume.kind {
        VolumeKind::Directory => fs::symlink_metadata(path),
        VolumeKind::Mount => fs::metadata(path),
    };
    match (found, volume.kind) {
        (Ok(metadata), _) if metadata.is_dir() => Ok(false),
        (Ok(_), _) => failed(&"something that is not a directory is there"),
        // Made by the agent, it would be a directory of another disk.
        (Err(error), VolumeKind::Mount) => failed(&error),
        (Err(error), VolumeKind::Directory) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = DirBuilder::new();
            match builder.recursive(true).mode(VOLUME_MODE).create(path) {
                Ok(()) => Ok(true),
                Err(error) => failed(&error),
            }
        }
        (Err(error), VolumeKind::Directory) => failed(&error),
    }
}

/// Takes back directories that were made for volumes which did not come to be.
pub(super) fn unmake(made: &[PathBuf]) {
    for path in made {
        // Only an empty one goes: nothing but this agent knows of it.
        if let Err(error) = fs::remove_dir(path) {
            tracing::warn!(path = %path.display(), %error, "a volume's directory is left over");
        }
    }
}

/// Removes a volume's data: its directory, or everything below its mount point.
///
/// # Errors
/// When something of it cannot be removed.
pub(super) fn remove(volume: &Volume) -> Result<(), String> {
    let path = Path::new(&volume.path);
    let removed = match volume.kind {
        VolumeKind::Directory => remove_entry(path),
        VolumeKind::Mount => empty(path),
    };
    removed.map_err(|error| {
        format!(
            "Failed to remove persistent volume '{}' at '{}': {error}",
            volume.id, volume.path
        )
    })
}

/// Removes one file, link or whole directory, if it is there; links are not followed.
fn remove_entry(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        remove_entry(&entry?.path())?;
    }
    Ok(())
}

/// Removes empty directories that look like volumes but are not known: an agent that ended between
/// making one and checkpointing it left them. What holds data is kept.
pub(super) fn sweep(root: &Path, known: &[Volume]) {
    let known: BTreeSet<&Path> = known.iter().map(|volume| Path::new(&volume.path)).collect();
    for role in directories(&root.join("volumes/roles")) {
        for path in directories(&role) {
            if known.contains(path.as_path()) {
                continue;
            }
            match fs::remove_dir(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "left-over directory removed"),
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "data of no known persistent volume is kept");
                }
            }
        }
    }
}

/// The directories within a directory; none when it cannot be read.
fn directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Makes and removes the links of a container that exists.
///
/// # Errors
/// When a link cannot be made; those made before it stay.
pub(super) fn update(order: &VolumesUpdate) -> Result<(), String> {
    let directory = Path::new(&order.directory);
    let opened = open_sandbox(directory)?;
    let inside = no_links::by_descriptor(&opened);
    for (name, target) in &order.remove {
        unlink(&inside, &directory.join(name), name, Path::new(target));
    }
    order.add.iter().try_for_each(|link| show(directory, link))
}

/// Shows a volume in a sandbox, and hands it to the sandbox's owner.
///
/// # Errors
/// When the volume is not there, cannot change hands, or something else has its name.
pub(super) fn show(sandbox: &Path, link: &VolumeLink) -> Result<(), String> {
    let target = Path::new(&link.volume.path);
    // Those above may belong to a task that runs, if the sandbox is in that one's.
    let opened = open_sandbox(sandbox)?;
    let inside = no_links::by_descriptor(&opened);
    let real = offer(&inside, link)?;
    let (at, within) = (sandbox.join(&link.name), inside.join(&link.name));
    match inner_sandbox::link(&inside, &within, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = within.canonicalize().map_err(|error| {
                format!(
                    "Failed to get the realpath of symlink '{}': {error}",
                    at.display()
                )
            })?;
            if found == real {
                return Ok(());
            }
            Err(format!(
                "The existing symlink '{}' points to '{}' and the new target is '{}'",
                at.display(),
                found.display(),
                real.display()
            ))
        }
        Err(error) => Err(format!(
            "Failed to symlink persistent volume from '{}' to '{}': {error}",
            target.display(),
            at.display()
        )),
    }
}

/// As [`show`], where the volume is mounted by others in a view of the sandbox that they make: makes
/// the directory that it is mounted on.
///
/// # Errors
/// When the volume is not there, cannot change hands, or something else has its name.
pub(super) fn prepare_mount(sandbox: &Path, link: &VolumeLink) -> Result<(), String> {
    let opened = open_sandbox(sandbox)?;
    let inside = no_links::by_descriptor(&opened);
    offer(&inside, link)?;
    inner_sandbox::make_directory(&inside, &inside.join(&link.name)).map_err(|error| {
        format!(
            "Failed to create persistent mount point at '{}': {error}",
            sandbox.join(&link.name).display()
        )
    })
}

/// Finds a volume, and hands it to the sandbox's owner if it is to change hands.
fn offer(inside: &Path, link: &VolumeLink) -> Result<PathBuf, String> {
    let target = Path::new(&link.volume.path);
    let real = target.canonicalize().map_err(|error| {
        format!(
            "Failed to get the realpath of volume '{}': {error}",
            target.display()
        )
    })?;
    if link.chown {
        hand_over(inside, &link.volume)?;
    }
    Ok(real)
}

/// Opens a sandbox, wherever somebody may have put a link meanwhile.
fn open_sandbox(sandbox: &Path) -> Result<OwnedFd, String> {
    no_links::open(sandbox).map_err(|error| {
        format!(
            "Failed to open the sandbox '{}': {error}",
            sandbox.display()
        )
    })
}

/// Removes a link, if it still leads where it did; a sandbox's owner may have put something else
/// in its place, which is theirs.
fn unlink(inside: &Path, at: &Path, name: &str, target: &Path) {
    if let Err(error) = inner_sandbox::unlink(inside, &inside.join(name), target) {
        tracing::warn!(path = %at.display(), %error, "the link to a volume is left over");
    }
}

/// Makes the sandbox's owner the volume's; root needs no ownership.
fn hand_over(sandbox: &Path, volume: &Volume) -> Result<(), String> {
    let owner = fs::metadata(sandbox).map_err(|error| {
        format!(
            "Failed to get ownership for '{}': {error}",
            sandbox.display()
        )
    })?;
    let (uid, gid) = (owner.uid(), owner.gid());
    let path = Path::new(&volume.path);
    let own = fs::metadata(path).is_ok_and(|now| (now.uid(), now.gid()) == (uid, gid));
    if uid == 0 || own {
        return Ok(());
    }
    let changed = match volume.kind {
        VolumeKind::Directory => lchown(path, Some(uid), Some(gid)),
        VolumeKind::Mount => chown(path, Some(uid), Some(gid)),
    };
    changed.map_err(|error| {
        format!(
            "Failed to change the ownership of the persistent volume at '{}' with uid {uid} and \
             gid {gid}: {error}",
            volume.path
        )
    })
}
