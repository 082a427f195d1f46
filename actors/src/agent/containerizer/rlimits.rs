//! Sets the limits of the helper's own process, which the program inherits.
//! Checks nothing; the isolator has.

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use tepui_protocol::v1::r_limit_info::r_limit::Type;

use super::isolator::Rlimit;

/// Sets all of them.
pub(super) fn set(limits: &[Rlimit]) -> Result<(), String> {
    for limit in limits {
        let kind = Type::try_from(limit.kind).unwrap_or(Type::Unknown);
        let resource = resource(kind)
            .ok_or_else(|| format!("Failed to set rlimits: no such limit as {}", limit.kind))?;
        let soft = limit.soft.unwrap_or(RLIM_INFINITY);
        let hard = limit.hard.unwrap_or(RLIM_INFINITY);
        setrlimit(resource, soft, hard).map_err(|error| {
            let name = kind.as_str_name();
            format!("Failed to set rlimit '{name}' to {soft}:{hard}: {error}")
        })?;
    }
    Ok(())
}

fn resource(kind: Type) -> Option<Resource> {
    Some(match kind {
        Type::Unknown => return None,
        Type::RlmtAs => Resource::RLIMIT_AS,
        Type::RlmtCore => Resource::RLIMIT_CORE,
        Type::RlmtCpu => Resource::RLIMIT_CPU,
        Type::RlmtData => Resource::RLIMIT_DATA,
        Type::RlmtFsize => Resource::RLIMIT_FSIZE,
        Type::RlmtLocks => Resource::RLIMIT_LOCKS,
        Type::RlmtMemlock => Resource::RLIMIT_MEMLOCK,
        Type::RlmtMsgqueue => Resource::RLIMIT_MSGQUEUE,
        Type::RlmtNice => Resource::RLIMIT_NICE,
        Type::RlmtNofile => Resource::RLIMIT_NOFILE,
        Type::RlmtNproc => Resource::RLIMIT_NPROC,
        Type::RlmtRss => Resource::RLIMIT_RSS,
        Type::RlmtRtprio => Resource::RLIMIT_RTPRIO,
        Type::RlmtRttime => Resource::RLIMIT_RTTIME,
        Type::RlmtSigpending => Resource::RLIMIT_SIGPENDING,
        Type::RlmtStack => Resource::RLIMIT_STACK,
    })
}
