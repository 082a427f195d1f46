//! Decides which framework is to be offered which resources.
//! Makes no offers itself: it proposes, the master offers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{IdSource, Role};
use crate::resources::{Name, Quantities};
use crate::time::{Mono, Now};

mod capabilities;
mod check;
mod commands;
pub mod drf;
mod filters;
mod ledger;
pub mod messages;
mod run;
pub mod sorter;
#[cfg(test)]
mod tests;

use filters::Filters;
use ledger::{AgentKey, Ledger};
use messages::Proposals;
use run::Run;

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
    /// Weights of role paths; 1 for those not named.
    pub weights: BTreeMap<String, f64>,
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
            weights: BTreeMap::new(),
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

/// Figures for metrics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AllocatorFigures {
    /// Runs so far.
    pub runs: u64,
    /// All resources and what of them is offered or in use, in thousandths, by name.
    pub resources: BTreeMap<String, (i64, i64)>,
    /// Active offer filters by role.
    pub offer_filters: BTreeMap<Role, u64>,
    /// Dominant share by role, from 0 to 1, not weighted.
    pub dominant_shares: BTreeMap<Role, f64>,
}

/// The hierarchical allocator: the resource ledger, the filters, and who waits for a run.
///
/// Every command that could lead to an offer marks the agents concerned, and so does the end
/// of a filter. A run looks at marked agents only, so one without any costs nothing.
#[derive(Debug)]
pub struct Allocator {
    config: AllocatorConfig,
    ids: IdSource,
    ledger: Ledger,
    filters: Filters,
    candidates: Vec<AgentKey>,
    runs: u64,
}

impl Allocator {
    /// An allocator without agents or frameworks.
    pub fn new(config: AllocatorConfig) -> Self {
        let excluded = config.fair_sharing_excluded_resource_names.clone();
        Allocator {
            ids: IdSource::from_seed(config.seed),
            ledger: Ledger::new(config.weights.clone(), excluded),
            filters: Filters::default(),
            candidates: Vec::new(),
            runs: 0,
            config,
        }
    }

    /// Sets resources aside for frameworks. They stay set aside until they are released.
    pub fn allocate(&mut self, now: Now) -> Proposals {
        self.expire_filters(now);
        let mut agents = std::mem::take(&mut self.candidates);
        if agents.is_empty() {
            return Proposals::default();
        }
        self.runs += 1;
        agents.retain(|key| match self.ledger.agents.get_mut(key.0) {
            // A key may name a later agent in the same place, or be listed twice.
            Some(agent) => std::mem::take(&mut agent.is_candidate) && agent.active,
            None => false,
        });
        self.shuffle(&mut agents);
        let mut run = Run {
            ledger: &mut self.ledger,
            filters: &self.filters,
            minimum: &self.config.min_allocatable_resources,
            filter_gpus: self.config.filter_gpu_resources,
            proposals: Vec::new(),
        };
        run.fair_share_stage(&agents);
        Proposals {
            offers: run.proposals,
            ..Proposals::default()
        }
    }

    /// When a filter ends next; [`Allocator::allocate`] is due then.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.filters.next_end()
    }

    /// Whether a run could propose anything now.
    pub fn wants_run(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Figures for metrics; takes time in proportion to roles and filters.
    pub fn figures(&self) -> AllocatorFigures {
        let mut figures = AllocatorFigures {
            runs: self.runs,
            ..Default::default()
        };
        let used = self.used_by_kind();
        for ((name, total), used) in self.ledger.totals.iter().zip(used) {
            figures
                .resources
                .insert(Name::as_str(name).to_owned(), (total, used));
        }
        for (_, role) in &self.ledger.roles {
            let amounts = self.ledger.role_sorter.amounts(role.slot);
            let share = self.ledger.totals.dominant_share(amounts);
            figures.dominant_shares.insert(role.path.clone(), share);
            figures.offer_filters.insert(role.path.clone(), 0);
        }
        for (sub, count) in self.filters.refused_counts() {
            let role = &self.ledger.roles[self.ledger.subs[sub.0].role.0];
            *figures.offer_filters.entry(role.path.clone()).or_insert(0) += count;
        }
        figures
    }

    fn used_by_kind(&self) -> Vec<i64> {
        let mut sums = vec![0; self.ledger.totals.iter().count()];
        for (_, role) in &self.ledger.roles {
            let amounts = self.ledger.role_sorter.amounts(role.slot);
            for (sum, amount) in sums.iter_mut().zip(amounts) {
                *sum += amount;
            }
        }
        sums
    }

    fn expire_filters(&mut self, now: Now) {
        for agent in self.filters.expire(now.mono) {
            self.mark(agent);
        }
    }

    /// The agent is looked at in the next run.
    fn mark(&mut self, key: AgentKey) {
        let agent = &mut self.ledger.agents[key.0];
        if !agent.is_candidate && agent.active && !agent.free.is_empty() {
            agent.is_candidate = true;
            self.candidates.push(key);
        }
    }

    fn mark_all(&mut self) {
        let agents: Vec<usize> = self.ledger.agents.iter().map(|(key, _)| key).collect();
        for agent in agents {
            self.mark(AgentKey(agent));
        }
    }

    /// So that no agent is always first to be given away.
    fn shuffle(&mut self, agents: &mut [AgentKey]) {
        for last in (1..agents.len()).rev() {
            let other = (self.ids.next_u64() % (last as u64 + 1)) as usize;
            agents.swap(last, other);
        }
    }
}
