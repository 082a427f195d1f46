//! Mounts within the helper's own namespace.
//! Chooses nothing, and is not seen by the host.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::helper::failed;
use super::isolator::{Mount, Plan};
use super::root;
use crate::agent::no_links;

/// Cuts the namespace off from the host's, and mounts in order. What is to be in a root file system
/// of its own is left to that; `at_first` is called once the root is there, and nothing else is.
pub(super) fn make<T>(
    plan: &Plan,
    at_first: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    // What the host mounts later is still seen here, and nothing the other way.
    call(
        None,
        "/".as_ref(),
        None,
        MsFlags::MS_SLAVE | MsFlags::MS_REC,
        None,
    )?;
    plan.trees.iter().try_for_each(root::make_tree)?;
    let first = at_first()?;
    let Some(root) = &plan.root else {
        plan.mounts.iter().try_for_each(one)?;
        return Ok(first);
    };
    let is_outer = |mount: &&Mount| matches!(mount, Mount::Bind { in_root: false, .. });
    let (outer, inner): (Vec<&Mount>, Vec<&Mount>) = plan.mounts.iter().partition(is_outer);
    // The sandbox is shown in the root with what is mounted in it.
    outer.into_iter().try_for_each(one)?;
    root::fill(root, &inner)?;
    Ok(first)
}

fn one(wanted: &Mount) -> Result<(), String> {
    let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    match wanted {
        Mount::Proc => {
            let flags = guarded | MsFlags::MS_NOEXEC;
            call(
                Some("proc".as_ref()),
                "/proc".as_ref(),
                Some("proc"),
                flags,
                None,
            )
        }
        Mount::Tmpfs { target, size } => {
            let size = size.map_or_else(String::new, |bytes| format!(",size={bytes}"));
            let data = format!("mode=1777{size}");
            let flags = guarded | MsFlags::MS_STRICTATIME;
            call(
                Some("tmpfs".as_ref()),
                target,
                Some("tmpfs"),
                flags,
                Some(&data),
            )
        }
        Mount::Bind {
            source,
            target,
            read_only,
            in_root: _,
        } => {
            bind(&open(source)?, &open(target)?)
                .map_err(|why| format!("{why} (at '{}')", target.display()))?;
            match read_only {
                // The mount is found again: what was opened before lies below it.
                true => make_read_only(&open(target)?, target),
                false => Ok(()),
            }
        }
    }
}

/// Opens what a plan names. Its path has no link; one that is there now was put there by somebody
/// who would have something else mounted.
pub(super) fn open(path: &Path) -> Result<OwnedFd, String> {
    no_links::open(path)
        .map_err(|error| format!("Failed to find '{}' to mount: {error}", path.display()))
}

/// Shows what is open at a second place, with what is mounted below it.
pub(super) fn bind(source: &impl AsRawFd, target: &impl AsRawFd) -> Result<(), String> {
    let (source, target) = (
        no_links::by_descriptor(source),
        no_links::by_descriptor(target),
    );
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    call(Some(&source), &target, None, flags, None)
}

/// A mount as the kernel lists it.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    id: u64,
    parent: u64,
    path: PathBuf,
    /// What guards it, which a remount must say anew.
    kept: MsFlags,
}

/// Lets nobody write to a mount, nor to those below it: each must be told by itself.
pub(super) fn make_read_only(top: &OwnedFd, path: &Path) -> Result<(), String> {
    let list = fs::read("/proc/self/mountinfo").map_err(failed("list mounts"))?;
    let list: Vec<Listed> = list
        .split(|byte| *byte == b'\n')
        .filter_map(listed)
        .collect();
    let id = mount_id(top)?;
    for mount in with_those_below(&list, id) {
        // The path of the topmost could lead elsewhere by now.
        let at = match mount.id == id {
            true => no_links::by_descriptor(top),
            false => mount.path.clone(),
        };
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | mount.kept;
        call(None, &at, None, flags, None)
            .map_err(|why| format!("{why} (read-only, at '{}')", path.display()))?;
    }
    Ok(())
}

/// The number of the mount that something is on.
fn mount_id(open: &OwnedFd) -> Result<u64, String> {
    let file = format!("/proc/self/fdinfo/{}", open.as_raw_fd());
    let text = fs::read_to_string(&file).map_err(failed("look at a mount"))?;
    let mut lines = text.lines();
    let id = lines.find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| format!("Failed to look at a mount: '{file}' does not name it"))
}

/// A mount and all below it, in no matter what order they are listed.
fn with_those_below(list: &[Listed], id: u64) -> Vec<&Listed> {
    let mut known = BTreeSet::from([id]);
    loop {
        let more = list.iter().filter(|it| known.contains(&it.parent));
        let more: BTreeSet<u64> = more.map(|it| it.id).chain(known.iter().copied()).collect();
        if more.len() == known.len() {
            return list.iter().filter(|it| known.contains(&it.id)).collect();
        }
        known = more;
    }
}

/// Reads a line of the kernel's list: numbers of the mount and of the one it is in, device, root,
/// path and options.
fn listed(line: &[u8]) -> Option<Listed> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [id, parent, _, _, path, options, ..] = fields[..] else {
        return None;
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let mut kept = MsFlags::empty();
    for option in options.split(|byte| *byte == b',') {
        kept |= match option {
            b"nosuid" => MsFlags::MS_NOSUID,
            b"nodev" => MsFlags::MS_NODEV,
            b"noexec" => MsFlags::MS_NOEXEC,
            b"noatime" => MsFlags::MS_NOATIME,
            b"nodiratime" => MsFlags::MS_NODIRATIME,
            b"relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        };
    }
    Some(Listed {
        id: number(id)?,
        parent: number(parent)?,
        path: PathBuf::from(OsString::from_vec(plain(path))),
        kept,
    })
}

/// The kernel writes blanks and the like as a backslash and three octal digits.
fn plain(escaped: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                all.push(byte);
                rest = &behind[3..];
            }
            None => {
                all.push(*first);
                rest = behind;
            }
        }
    }
    all
}

/// One call of the kernel.
pub(super) fn call(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), String> {
    mount(source, target, kind, flags, data)
        .map_err(|error| format!("Failed to mount '{}': {error}", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"20 1 0:5 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        31 30 0:7 /x /srv/a\\040b/deep rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n\
        30 20 0:6 / /srv/a\\040b rw,nosuid - tmpfs tmpfs rw\n\
        40 20 0:8 / /other rw - tmpfs tmpfs rw\nnonsense\n";

    #[test]
    fn mounts_below_one_are_found_with_what_guards_them() {
        let list: Vec<Listed> = LIST.split(|it| *it == b'\n').filter_map(listed).collect();
        assert_eq!(list.len(), 4);
        let found = with_those_below(&list, 30);
        let paths: Vec<&Path> = found.iter().map(|it| it.path.as_path()).collect();
        assert_eq!(paths, [Path::new("/srv/a b/deep"), Path::new("/srv/a b")]);
        let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        assert_eq!(found[0].kept, guarded);
        assert_eq!(found[1].kept, MsFlags::MS_NOSUID);
        assert_eq!(with_those_below(&list, 40).len(), 1);
        assert_eq!(with_those_below(&list, 20).len(), 4);
    }

    #[test]
    fn the_kernel_names_the_mount_of_what_is_open() {
        let id = mount_id(&no_links::open(Path::new("/proc")).unwrap()).unwrap();
        let list = fs::read("/proc/self/mountinfo").unwrap();
        let list: Vec<Listed> = list.split(|it| *it == b'\n').filter_map(listed).collect();
        let of_proc = list.iter().find(|it| it.id == id).unwrap();
        assert_eq!(of_proc.path, Path::new("/proc"));
    }
}
