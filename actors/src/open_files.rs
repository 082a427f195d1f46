//! The number of files a server may open.
//! Opens none.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open files below which a server cannot hold a cluster of some size.
const FEW: u64 = 4_096;

/// Raises the number of files this process may open as far as it may by itself: each connection
/// is one, and the usual soft limit is for programs that know no better.
pub fn allow_many() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(files) if files < FEW => tracing::warn!(
            files,
            "few files may be open at a time, and each connection is one; raise the \
             limit (ulimit -Hn, or LimitNOFILE of systemd)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "limit of open files is as it was"),
    }
}
