//! Quota of a role: what it can always get and what it can get at most.
//! Enforces nothing; the allocator does.

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
}
