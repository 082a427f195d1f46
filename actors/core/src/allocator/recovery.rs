//! After a change of master, with quota: no allocation until enough agents are back.
//! Without quota there is nothing to protect, and allocation starts at once.

use super::Allocator;
use crate::ids::Role;
use crate::quota::Quota;
use crate::time::{Mono, Now};

/// A wait for agents.
///
/// Guarantees cannot be judged while most agents are missing: what roles hold on them is not
/// known yet. Source: Mesos's `HierarchicalAllocatorProcess::recover`.
#[derive(Debug)]
pub(super) struct Recovery {
    /// As many agents are enough.
    wanted: usize,
    /// When the wait ends in any case.
    pub deadline: Mono,
}

impl Allocator {
    pub(super) fn recover(
        &mut self,
        now: Now,
        expected_agents: usize,
        quotas: Vec<(Role, Quota)>,
        weights: Vec<(Role, f64)>,
    ) {
        self.update_weights(weights);
        for (role, quota) in quotas {
            self.ledger
                .quotas
                .set(&role, quota, &mut self.ledger.totals);
        }
        let wanted = (expected_agents as f64 * self.config.agent_recovery_factor).floor() as usize;
        if wanted > 0 && self.ledger.quotas.any() {
            self.recovery = Some(Recovery {
                wanted,
                deadline: now.mono + self.config.recovery_timeout,
            });
        }
    }

    /// Ends the wait if enough agents are there.
    pub(super) fn look_for_agents(&mut self) {
        let wanted = self.recovery.as_ref().map(|recovery| recovery.wanted);
        if wanted.is_some_and(|wanted| self.ledger.agents.len() >= wanted) {
            self.recovery = None;
        }
    }

    /// Whether a run must wait; ends the wait when its time is up.
    pub(super) fn is_paused(&mut self, now: Now) -> bool {
        let deadline = self.recovery.as_ref().map(|recovery| recovery.deadline);
        match deadline {
            Some(deadline) if deadline > now.mono => true,
            Some(_) => {
                self.recovery = None;
                false
            }
            None => false,
        }
    }
}
