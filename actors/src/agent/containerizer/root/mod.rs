//! The root file system of a container that has an image: fills it with what every program expects,
//! and makes it the helper's own root.
//! Makes no layers, and follows no link out of it.

mod devices;
mod inside;
pub(super) mod user;

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{chdir, pivot_root};

use super::helper::failed;
use super::isolator::{Mount, Root, Tree};
use super::mounts::call;
use inside::Inside;

/// What of the kernel's a container may read, but not write.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What of the kernel's a container does not see.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// What of the host's says how others are found, as a container has the host's network.
const OF_THE_HOST: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// Where shared memory is.
const SHM: &str = "/dev/shm";

/// Mounts the layers of an image over each other. All paths are relative, as the kernel takes no
/// more than a page of them.
pub(super) fn make_tree(tree: &Tree) -> Result<(), String> {
    let directory = &tree.directory;
    if tree.layers == 0 {
        return Ok(());
    }
    chdir(directory)
        .map_err(|error| format!("Failed to enter '{}': {error}", directory.display()))?;
    call(
        Some("overlay".as_ref()),
        "rootfs".as_ref(),
        Some("overlay"),
        MsFlags::empty(),
        Some(&tree.options()),
    )
    .map_err(|why| format!("{why} (an overlay in '{}')", directory.display()))?;
    chdir("/").map_err(failed("leave the directory of layers"))
}

/// Mounts all that is in the root beside the image's own.
pub(super) fn fill(root: &Root, mounts: &[&Mount]) -> Result<(), String> {
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    call(Some(&root.path), &root.path, None, bind, None)?;
    let inside = Inside::open(&root.path)?;
    fill_kernel(&inside)?;
    devices::make(&inside)?;
    let wanted = mounts.iter().find_map(|mount| match mount {
        Mount::Tmpfs { target, size } if target == Path::new(SHM) => Some(*size),
        _ => None,
    });
    inside.mount_tmpfs(SHM, "mode=1777", wanted.flatten())?;
    for path in OF_THE_HOST {
        if Path::new(path).is_file() {
            inside.show_host_file(path)?;
        }
    }
    inside.bind(&root.sandbox, &root.sandbox_directory, false)?;
    for mount in mounts {
        if let Mount::Bind {
            source,
            target,
            read_only,
            ..
        } = mount
        {
            inside.bind(source, target, *read_only)?;
        }
    }
    Ok(())
}

/// Processes and devices as the kernel tells of them, with what could change the host hidden.
fn fill_kernel(inside: &Inside) -> Result<(), String> {
    let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    inside.mount("/proc", "proc", guarded, None)?;
    for path in READ_ONLY {
        inside.make_read_only(path)?;
    }
    inside.mount("/sys", "sysfs", guarded | MsFlags::MS_RDONLY, None)?;
    if inside.has("/sys/fs/cgroup") {
        inside.mount("/sys/fs/cgroup", "tmpfs", guarded, Some("mode=755"))?;
    }
    MASKED.into_iter().try_for_each(|path| inside.mask(path))
}

/// Makes it the root of this process, from which nothing of the host's is found any more.
pub(super) fn enter(root: &Root) -> Result<(), String> {
    chdir(&root.path).map_err(failed("enter the root file system"))?;
    // Both are the same directory: the old root comes to lie on the new one, and is taken away.
    pivot_root(".", ".").map_err(failed("change the root file system"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("leave the host's file system"))?;
    chdir("/").map_err(failed("enter the new root file system"))?;
    if let Some(directory) = &root.working_directory {
        std::fs::create_dir_all(directory).map_err(|error| {
            let directory = directory.display();
            format!("Failed to create working directory '{directory}': {error}")
        })?;
    }
    Ok(())
}
