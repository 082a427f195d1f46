//! Mounts within the helper's own namespace.
//! Chooses nothing, and is not seen by the host.

use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::isolator::{Mount, Plan};
use super::root;

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
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            call(Some(source), target, None, bind, None)?;
            if *read_only {
                let flags = bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
                call(None, target, None, flags, None)?;
            }
            Ok(())
        }
    }
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
