//! Mounts within the helper's own namespace.
//! Chooses nothing, and is not seen by the host.

use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::isolator::Mount;

/// Cuts the namespace off from the host's, and mounts in order.
pub(super) fn make(mounts: &[Mount]) -> Result<(), String> {
    // What the host mounts later is still seen here, and nothing the other way.
    call(
        None,
        "/".as_ref(),
        None,
        MsFlags::MS_SLAVE | MsFlags::MS_REC,
        None,
    )?;
    mounts.iter().try_for_each(one)
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

fn call(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), String> {
    mount(source, target, kind, flags, data)
        .map_err(|error| format!("Failed to mount '{}': {error}", target.display()))
}
