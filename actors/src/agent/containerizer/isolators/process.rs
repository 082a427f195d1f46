//! `posix/rlimits` and `linux/nnp`: what is set on a container's first process, for it and all that
//! it starts. Nothing of it outlives the process.

use tepui_protocol::v1::r_limit_info::RLimit;
use tepui_protocol::v1::r_limit_info::r_limit::Type;

use crate::agent::containerizer::isolator::{Container, Isolator, Plan, Rlimit};

/// Limits of processes, as frameworks ask for them. (Mesos: `PosixRLimitsIsolatorProcess`.)
pub(in super::super) struct Rlimits;

impl Isolator for Rlimits {
    fn name(&self) -> &'static str {
        "posix/rlimits"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        let asked = container
            .info
            .as_ref()
            .and_then(|info| info.rlimit_info.as_ref());
        for limit in asked.iter().flat_map(|asked| &asked.rlimits) {
            plan.rlimits.push(checked(limit)?);
        }
        Ok(())
    }
}

/// Both limits are given or none, and the first is not above the second.
fn checked(limit: &RLimit) -> Result<Rlimit, String> {
    let name = limit.r#type().as_str_name();
    if limit.r#type() == Type::Unknown {
        return Err("Invalid rlimit: its type is not known".to_owned());
    }
    if limit.soft.is_some() != limit.hard.is_some() {
        return Err(format!(
            "Invalid rlimit '{name}': expected both 'soft' and 'hard', or neither for no limit"
        ));
    }
    if limit.soft > limit.hard {
        return Err(format!(
            "Invalid rlimit '{name}': 'soft' must not be larger than 'hard'"
        ));
    }
    Ok(Rlimit {
        kind: limit.r#type() as i32,
        soft: limit.soft,
        hard: limit.hard,
    })
}

/// Programs that give nobody more rights, whatever their owner and mode are. (Mesos:
/// `LinuxNNPIsolatorProcess`.)
pub(in super::super) struct NoNewPrivileges;

impl Isolator for NoNewPrivileges {
    fn name(&self) -> &'static str {
        "linux/nnp"
    }

    fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), String> {
        plan.no_new_privs = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rlimits_are_checked() {
        let limit = |soft, hard| RLimit {
            r#type: Some(Type::RlmtNofile as i32),
            soft,
            hard,
        };
        let read = checked(&limit(Some(10), Some(20))).unwrap();
        let kind = Type::RlmtNofile as i32;
        let (soft, hard) = (Some(10), Some(20));
        assert_eq!(read, Rlimit { kind, soft, hard });
        assert_eq!(checked(&limit(None, None)).unwrap().hard, None);
        assert!(checked(&limit(Some(1), None)).is_err());
        assert!(checked(&limit(None, Some(1))).is_err());
        assert!(checked(&limit(Some(3), Some(2))).is_err());
        assert!(checked(&RLimit::default()).is_err());
    }
}
