//! `/dev` of a container that has an image: the few devices that every program expects.
//! Shows none of the host's others.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, mknodat, umask};
use nix::unistd::symlinkat;

use super::super::helper::failed;
use super::inside::Inside;

/// Devices that are the host's too.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Names that stand for others.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Terminals of its own; 5 is the group `tty` of every distribution.
const TERMINALS: &str = "newinstance,ptmxmode=0666,mode=0620,gid=5";

/// Fills `/dev`.
pub(super) fn make(inside: &Inside) -> Result<(), String> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_STRICTATIME;
    inside.mount("/dev", "tmpfs", flags, Some("mode=755"))?;
    let directory = inside
        .look_up(Path::new("/dev"), OFlag::O_PATH)
        .map_err(failed("find '/dev' in the image's root"))?;
    // Everybody may use these devices, whatever files this process makes otherwise.
    let before = umask(Mode::empty());
    let made = DEVICES.into_iter().try_for_each(|name| {
        let of_the_host = Path::new("/dev").join(name).metadata();
        let device =
            of_the_host.map_err(|error| format!("Failed to look at '/dev/{name}': {error}"))?;
        let mode = Mode::from_bits_truncate(device.mode());
        mknodat(&directory, name, SFlag::S_IFCHR, mode, device.rdev())
            .map_err(|error| format!("Failed to make '/dev/{name}': {error}"))
    });
    umask(before);
    made?;
    for (target, name) in LINKS {
        symlinkat(target, &directory, name).map_err(failed("make links in '/dev'"))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    inside.mount("/dev/pts", "devpts", flags, Some(TERMINALS))
}
