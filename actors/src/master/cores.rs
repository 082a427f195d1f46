//! The decisions this master runs: the real cores behind the actors' traits, and their settings.
//! Decides nothing itself.

use std::collections::BTreeMap;

use tepui_core::allocator::messages::{Command, Notice, Proposals};
use tepui_core::allocator::reasons::Explanation;
use tepui_core::allocator::{Allocator, AllocatorConfig, AllocatorFigures};
use tepui_core::ids::{FrameworkId, Role};
use tepui_core::master::messages::{Effect, Input};
use tepui_core::master::model::Snapshot;
use tepui_core::master::{Master, MasterSettings};
use tepui_core::resources::Quantities;
use tepui_core::time::{Mono, Now, Wall};
use tepui_protocol::v1;

use super::MasterCore;
use super::config::MasterConfig;
use crate::allocator::AllocatorCore;

/// What the actors run.
pub struct Cores {
    /// Behind the master's actor.
    pub master: Box<dyn MasterCore>,
    /// Behind the allocator's actor.
    pub allocator: Box<dyn AllocatorCore>,
}

/// Makes the cores for these settings, to lead from now on in a process that started earlier.
pub fn make(
    config: &MasterConfig,
    info: v1::MasterInfo,
    seed: [u8; 32],
    started: Wall,
    now: Now,
) -> Cores {
    let master = Master::new(master_settings(config), info, now);
    Cores {
        master: Box::new(master.started_at(started)),
        allocator: Box::new(Allocator::new(allocator_config(config, seed))),
    }
}

fn master_settings(config: &MasterConfig) -> MasterSettings {
    MasterSettings {
        offer_timeout: config.offer_timeout,
        agent_ping_timeout: config.agent_ping_timeout,
        max_agent_ping_timeouts: config.max_agent_ping_timeouts,
        agent_reregister_timeout: config.agent_reregister_timeout,
        recovery_agent_removal_limit: config.recovery_agent_removal_limit,
        agent_removal_rate_limit: config.agent_removal_rate_limit,
        mass_removal_limit: config.mass_removal_limit,
        registry_gc_interval: config.registry_gc_interval,
        registry_max_agent_age: config.registry_max_agent_age,
        registry_max_agent_count: config.registry_max_agent_count,
        max_completed_frameworks: config.max_completed_frameworks,
        max_completed_tasks_per_framework: config.max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework: config.max_unreachable_tasks_per_framework,
        roles: config
            .roles
            .as_ref()
            .map(|roles| roles.iter().cloned().collect()),
        weights: config.weights.clone(),
        require_agent_domain: config.require_agent_domain,
        root_submissions: config.root_submissions,
        offer_constraints_re2_max_mem: config.offer_constraints_re2_max_mem as u64,
        offer_constraints_re2_max_program_size: config.offer_constraints_re2_max_program_size
            as u64,
    }
}

fn allocator_config(config: &MasterConfig, seed: [u8; 32]) -> AllocatorConfig {
    AllocatorConfig {
        allocation_interval: config.allocation_interval,
        min_allocatable_resources: config
            .min_allocatable_resources
            .iter()
            .map(quantities)
            .collect(),
        filter_gpu_resources: config.filter_gpu_resources,
        fair_sharing_excluded_resource_names: config.fair_sharing_excluded_resource_names.clone(),
        master_region: config.domain.as_ref().and_then(region),
        role_sorter: config.role_sorter,
        framework_sorter: config.framework_sorter,
        agent_recovery_factor: config.allocator_agent_recovery_factor,
        recovery_timeout: config.allocator_recovery_timeout,
        seed,
    }
}

fn region(domain: &v1::DomainInfo) -> Option<String> {
    let domain = domain.fault_domain.as_ref()?;
    Some(domain.region.name.clone())
}

fn quantities(amounts: &BTreeMap<String, f64>) -> Quantities {
    Quantities::from_amounts(
        amounts
            .iter()
            .map(|(name, amount)| (name.as_str(), *amount)),
    )
}

impl MasterCore for Master {
    fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        Master::handle(self, now, input, effects);
    }

    fn next_deadline(&self) -> Option<Mono> {
        Master::next_deadline(self)
    }

    fn snapshot(&self) -> Snapshot {
        Master::snapshot(self)
    }
}

impl AllocatorCore for Allocator {
    fn apply(&mut self, now: Now, command: Command) -> Option<Notice> {
        Allocator::apply(self, now, command)
    }

    fn allocate(&mut self, now: Now) -> Proposals {
        Allocator::allocate(self, now)
    }

    fn wants_run(&self) -> bool {
        Allocator::wants_run(self)
    }

    fn next_deadline(&self) -> Option<Mono> {
        Allocator::next_deadline(self)
    }

    fn figures(&self) -> AllocatorFigures {
        Allocator::figures(self)
    }

    fn explain(&self, framework: &FrameworkId, role: &Role) -> Option<Vec<Explanation>> {
        Allocator::explain(self, framework, role)
    }
}
