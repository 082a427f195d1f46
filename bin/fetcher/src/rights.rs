//! Takes the rights of a task's user, and bounds what this process may use.
//! Fetches nothing.

use std::ffi::CString;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, User, initgroups, setresgid, setresuid};

/// Memory this process may ask for. Decompressors need up to a window of 128 MB; a forged archive
/// would have them take more.
const MAX_MEMORY_BYTES: u64 = 1 << 30;

/// Becomes this user for good, with all groups the user is in.
///
/// # Errors
/// When there is no such user, or the process may not.
pub(crate) fn take(name: &str) -> Result<(), String> {
    let failed = |what: &str, error| format!("Failed to {what} of user '{name}': {error}");
    let user = User::from_name(name)
        .map_err(|error| failed("look up the ids", error))?
        .ok_or_else(|| format!("Failed to get user information for '{name}': no such user"))?;
    if user.uid == Uid::effective() && user.uid == Uid::current() {
        return Ok(());
    }
    let c_name = CString::new(name).map_err(|_| format!("'{name}' is no name of a user"))?;
    initgroups(&c_name, user.gid).map_err(|error| failed("set the groups", error))?;
    setresgid(user.gid, user.gid, user.gid).map_err(|error| failed("set the group", error))?;
    setresuid(user.uid, user.uid, user.uid).map_err(|error| failed("take the rights", error))
}

/// Keeps this process from taking much memory; it is ended rather.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn bound_memory() -> Result<(), String> {
    getrlimit(Resource::RLIMIT_AS)
        .and_then(|(_, most)| {
            let limit = most.min(MAX_MEMORY_BYTES);
            setrlimit(Resource::RLIMIT_AS, limit, limit)
        })
        .map_err(|error| format!("Failed to limit the memory of the fetcher: {error}"))
}
