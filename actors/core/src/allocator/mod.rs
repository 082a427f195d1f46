//! Decides which framework is to be offered which resources.
//! Makes no offers itself: it proposes, the master offers.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::IdSource;
use crate::resources::Quantities;
use crate::time::{Mono, Now};

pub mod amounts;
mod candidates;
mod capabilities;
mod check;
mod commands;
pub mod drf;
mod figures;
mod filters;
mod holdings;
mod inverse;
mod keys;
mod ledger;
pub mod messages;
mod offer;
mod quotas;
pub mod random;
pub mod reasons;
mod recovery;
mod run;
pub mod sorter;
#[cfg(test)]
mod tests;
mod tree;

use candidates::Waiting;
use filters::Filters;
use inverse::Inverse;
use ledger::Ledger;
use messages::Proposals;
use recovery::Recovery;
use run::Run;

pub use check::Book;
pub use figures::{AllocatorFigures, QuotaFigures};

/// What an allocator is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct AllocatorConfig {
    /// Shortest time a filter lasts.
    pub allocation_interval: Duration,
    /// Alternatives for the smallest offer; none allows any offer.
    pub min_allocatable_resources: Vec<Quantities>,
    /// Whether agents with GPUs are kept for frameworks that ask for them.
    pub filter_gpu_resources: bool,
    /// Resources left out of the dominant share.
    pub fair_sharing_excluded_resource_names: Vec<String>,
    /// Region of the master's own fault domain.
    pub master_region: Option<String>,
    /// How roles are ordered.
    pub role_sorter: SorterKind,
    /// How the frameworks of a role are ordered.
    pub framework_sorter: SorterKind,
    /// After a change of master with quota: the part of the expected agents to wait for.
    pub agent_recovery_factor: f64,
    /// After a change of master with quota: the longest time to wait for agents.
    pub recovery_timeout: Duration,
    /// Seed of the order of agents in a run.
    pub seed: [u8; 32],
}

impl Default for AllocatorConfig {
    /// The defaults of Mesos's flags.
    fn default() -> Self {
        AllocatorConfig {
            allocation_interval: Duration::from_secs(1),
            min_allocatable_resources: vec![
                Quantities::from_amounts([("cpus", 0.01)]),
                Quantities::from_amounts([("mem", 32.0)]),
            ],
            filter_gpu_resources: true,
            fair_sharing_excluded_resource_names: Vec::new(),
            master_region: None,
            role_sorter: SorterKind::Drf,
            framework_sorter: SorterKind::Drf,
            agent_recovery_factor: 0.8,
            recovery_timeout: Duration::from_secs(600),
            seed: [0; 32],
        }
    }
}

/// The orders in which roles and frameworks can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SorterKind {
    /// The smallest weighted dominant share first.
    Drf,
    /// By lot, in proportion to weights.
    Random,
}

/// The hierarchical allocator: the resource ledger, the filters, and who waits for a run.
///
/// Every command that could lead to an offer marks whom it concerns, and so does the end of a
/// filter. A run looks at those only, so one without any costs nothing.
#[derive(Debug)]
pub struct Allocator {
    config: AllocatorConfig,
    random: IdSource,
    ledger: Ledger,
    filters: Filters,
    waiting: Waiting,
    inverse: Inverse,
    /// Set while agents are waited for after a change of master.
    recovery: Option<Recovery>,
    whitelist: Option<BTreeSet<String>>,
    runs: u64,
}

impl Allocator {
    /// An allocator without agents or frameworks.
    pub fn new(config: AllocatorConfig) -> Self {
        Allocator {
            random: IdSource::from_seed(config.seed),
            ledger: Ledger::new(&config),
            filters: Filters::default(),
            waiting: Waiting::default(),
            inverse: Inverse::default(),
            recovery: None,
            whitelist: None,
            runs: 0,
            config,
        }
    }

    /// Sets resources aside for frameworks. They stay set aside until they are released.
    pub fn allocate(&mut self, now: Now) -> Proposals {
        self.collect_due(now);
        if self.is_paused(now) {
            return Proposals::default();
        }
        self.reconsider_held_back();
        let candidates = self.take_candidates();
        let mut offers = Vec::new();
        if !candidates.is_empty() {
            self.runs += 1;
            let mut run = Run {
                ledger: &mut self.ledger,
                filters: &self.filters,
                config: &self.config,
                random: &mut self.random,
                held_back: &mut self.waiting.held_back,
                proposals: Vec::new(),
                shared_out: Default::default(),
                shut: Vec::new(),
            };
            run.run(candidates);
            offers = run.proposals;
            let shared_out = std::mem::take(&mut run.shared_out);
            self.offer_again_later(now, shared_out.into_keys());
        }
        self.inverse.is_due |= !offers.is_empty();
        Proposals {
            offers,
            inverse_offers: self.propose_inverse_offers(now),
        }
    }

    /// When a filter ends next, or the wait for agents; [`Allocator::allocate`] is due then.
    pub fn next_deadline(&self) -> Option<Mono> {
        let recovery = self.recovery.as_ref().map(|recovery| recovery.deadline);
        let again = self.waiting.next_again();
        let ends = [
            self.filters.next_end(),
            self.inverse.next_end(),
            recovery,
            again,
        ];
        ends.into_iter().flatten().min()
    }

    /// Whether a run could propose anything now.
    pub fn wants_run(&self) -> bool {
        self.recovery.is_none() && (self.has_candidates() || self.inverse.wants_run())
    }
}
