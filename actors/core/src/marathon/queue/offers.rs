//! What became of the offers that an app waiting in the queue was shown.
//! Matches none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use tepui_protocol::marathon::Timestamp;
use tepui_protocol::v1;

use crate::marathon::matching::Reason;

/// So many unused offers are remembered per app, one per agent.
const LAST_UNUSED_OFFERS: usize = 10;

/// One line of a reject summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RejectStep {
    /// The reason.
    pub reason: Reason,
    /// Offers that failed here.
    pub declined: u32,
    /// Offers that came this far.
    pub processed: u32,
}

/// An offer that was not used.
#[derive(Debug, Clone)]
pub struct UnusedOffer {
    /// The offer.
    pub offer: Arc<v1::Offer>,
    /// All reasons, in order.
    pub reasons: Vec<Reason>,
    /// When it was looked at.
    pub timestamp: Timestamp,
}

/// The figures of one app since it began to wait.
#[derive(Debug, Clone, Default)]
pub struct OfferStats {
    /// Offers looked at.
    pub processed: u32,
    /// Those of them that were not used.
    pub unused: u32,
    /// When one was last not used.
    pub last_unused_at: Option<Timestamp>,
    /// When one was last used.
    pub last_used_at: Option<Timestamp>,
    declined: BTreeMap<Reason, u32>,
    last: VecDeque<UnusedOffer>,
}

impl OfferStats {
    /// An offer was used.
    pub fn used(&mut self, at: Timestamp) {
        self.processed = self.processed.saturating_add(1);
        self.last_used_at = Some(at);
    }

    /// An offer was not used.
    pub fn unused(&mut self, mut unused: UnusedOffer) {
        self.processed = self.processed.saturating_add(1);
        self.unused = self.unused.saturating_add(1);
        self.last_unused_at = Some(unused.timestamp);
        unused.reasons.sort_unstable();
        unused.reasons.dedup();
        if let Some(first) = unused.reasons.first() {
            *self.declined.entry(*first).or_default() += 1;
        }
        self.last
            .retain(|other| other.offer.agent_id != unused.offer.agent_id);
        self.last.push_back(unused);
        if self.last.len() > LAST_UNUSED_OFFERS {
            self.last.pop_front();
        }
    }

    /// The latest unused offers, at most one per agent, the oldest first.
    pub fn last_unused(&self) -> impl Iterator<Item = &UnusedOffer> {
        self.last.iter()
    }

    /// For each reason, in order, how many of all offers came to it and how many failed there.
    pub fn launch_attempt(&self) -> Vec<RejectStep> {
        funnel(self.processed, &self.declined)
    }

    /// The same for the latest unused offers.
    pub fn last_offers(&self) -> Vec<RejectStep> {
        let mut declined = BTreeMap::new();
        for reason in self.last.iter().filter_map(|unused| unused.reasons.first()) {
            *declined.entry(*reason).or_default() += 1;
        }
        let processed = u32::try_from(self.last.len()).unwrap_or(u32::MAX);
        funnel(processed, &declined)
    }
}

fn funnel(processed: u32, declined: &BTreeMap<Reason, u32>) -> Vec<RejectStep> {
    let mut left = processed;
    let step = |reason| {
        let declined = declined.get(&reason).copied().unwrap_or(0);
        let step = RejectStep {
            reason,
            declined,
            processed: left,
        };
        left = left.saturating_sub(declined);
        step
    };
    Reason::ALL.into_iter().map(step).collect()
}
