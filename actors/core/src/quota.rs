//! Quota of a role: what it can always get and what it can get at most.
//! Enforces nothing; the allocator does.

use tepui_protocol::v1::quota::QuotaConfig;

use crate::resources::{Limits, Quantities};

/// Quota of a top-level role; it holds for the role with all of its subroles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    /// Amounts kept back for the role until it has them.
    pub guarantees: Quantities,
    /// Amounts the role does not get more of; what is not named is not limited.
    pub limits: Limits,
}

impl Quota {
    /// No guarantees and no limits: what every role has until an operator says otherwise.
    pub fn is_default(&self) -> bool {
        self.guarantees.is_empty() && self.limits.is_empty()
    }

    /// Whether these amounts are within the limits.
    pub fn allows(&self, amounts: &Quantities) -> bool {
        let mut limits = self.limits.0.iter();
        limits.all(|(name, limit)| amounts.get(name) <= *limit)
    }
}

impl From<&QuotaConfig> for Quota {
    /// Amounts must have been checked before: what is negative or no number counts as zero.
    fn from(config: &QuotaConfig) -> Self {
        let guarantees = config.guarantees.iter();
        let limits = config.limits.iter();
        Quota {
            guarantees: Quantities::from_amounts(
                guarantees.map(|(name, s)| (name.as_str(), s.value)),
            ),
            limits: Limits::from_amounts(limits.map(|(name, s)| (name.as_str(), s.value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_bound_only_what_they_name() {
        let quota = Quota {
            guarantees: Quantities::default(),
            limits: Limits::from_amounts([("cpus", 2.0), ("gpus", 0.0)]),
        };
        let amounts = |list: &[(&str, f64)]| Quantities::from_amounts(list.iter().copied());
        assert!(quota.allows(&amounts(&[("cpus", 2.0), ("mem", 1e9)])));
        assert!(!quota.allows(&amounts(&[("cpus", 2.001)])));
        assert!(!quota.allows(&amounts(&[("gpus", 1.0)])));
        assert!(!quota.is_default());
        assert!(Quota::default().is_default());
    }
}
