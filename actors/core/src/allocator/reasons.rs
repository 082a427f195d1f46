//! Why a framework is not offered an agent, in the words of the rule that says so.
//! Nothing is recorded for this: the answer is worked out from the ledger when asked, by the
//! same code that a run decides with, so it costs nothing until then and is never out of date.

use super::Allocator;
use super::keys::{AgentKey, SubKey};
use super::offer::{Rules, Stage};
use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::Resources;
use crate::time::{Mono, Now};

/// Why an agent is not offered to a framework in one of its roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is allocated yet: after a change of master, agents are waited for.
    Recovering,
    /// The framework is not subscribed to the role.
    NotSubscribed,
    /// The framework is disconnected.
    FrameworkInactive,
    /// The framework suppressed the role.
    Suppressed,
    /// The agent is disconnected, draining or deactivated.
    AgentInactive,
    /// The agent's host is not on the whitelist.
    NotWhitelisted,
    /// The framework has all that was free.
    HeldByItself,
    /// Others hold all there is: their share was smaller when it was free, or it is theirs still.
    HeldByOthers,
    /// What is free is reserved for other roles, or offered as shared volume in this run.
    NothingForRole,
    /// The agent has GPUs, and the framework lacks GPU_RESOURCES.
    NeedsGpuResources,
    /// The agent is in another region, and the framework lacks REGION_AWARE.
    NeedsRegionAware,
    /// The agent lacks MULTI_ROLE.
    AgentLacksMultiRole,
    /// The role has a `/`, and the agent lacks HIERARCHICAL_ROLE.
    AgentLacksHierarchicalRole,
    /// What is free is of kinds (shared, revocable, refined) that the framework cannot use.
    NothingUsable,
    /// What is free is less than the smallest offer.
    BelowMinimum,
    /// The role has what its quota allows.
    QuotaLimit,
    /// What is free is kept for the guarantees of others.
    Headroom,
    /// The framework refused as much, or more, until then.
    Filtered {
        /// When the filter ends.
        until: Mono,
    },
    /// The role's offer constraints exclude the agent.
    OfferConstraints,
    /// The role's guarantees are met, so it waits for its fair share.
    GuaranteesMet,
    /// Nothing speaks against it: the next run decides.
    InTurn,
}

impl Reason {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Recovering => "RECOVERING",
            Reason::NotSubscribed => "NOT_SUBSCRIBED",
            Reason::FrameworkInactive => "FRAMEWORK_INACTIVE",
            Reason::Suppressed => "SUPPRESSED",
            Reason::AgentInactive => "AGENT_INACTIVE",
            Reason::NotWhitelisted => "NOT_WHITELISTED",
            Reason::HeldByItself => "HELD_BY_ITSELF",
            Reason::HeldByOthers => "HELD_BY_OTHERS",
            Reason::NothingForRole => "NOTHING_FOR_ROLE",
            Reason::NeedsGpuResources => "NEEDS_GPU_RESOURCES",
            Reason::NeedsRegionAware => "NEEDS_REGION_AWARE",
            Reason::AgentLacksMultiRole => "AGENT_LACKS_MULTI_ROLE",
            Reason::AgentLacksHierarchicalRole => "AGENT_LACKS_HIERARCHICAL_ROLE",
            Reason::NothingUsable => "NOTHING_USABLE",
            Reason::BelowMinimum => "BELOW_MINIMUM",
            Reason::QuotaLimit => "QUOTA_LIMIT",
            Reason::Headroom => "HEADROOM",
            Reason::Filtered { .. } => "FILTERED",
            Reason::OfferConstraints => "OFFER_CONSTRAINTS",
            Reason::GuaranteesMet => "GUARANTEES_MET",
            Reason::InTurn => "IN_TURN",
        }
    }

    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Recovering => "nothing is offered yet after a change of master",
            Reason::NotSubscribed => "the framework is not subscribed to the role",
            Reason::FrameworkInactive => "the framework is disconnected",
            Reason::Suppressed => "the framework asked for no offers in the role",
            Reason::AgentInactive => "the agent is disconnected, drained or deactivated",
            Reason::NotWhitelisted => "the agent's host is not on the whitelist",
            Reason::HeldByItself => "the framework has all there is, in tasks or offers",
            Reason::HeldByOthers => "others have all there is, in tasks or offers",
            Reason::NothingForRole => "what is free is reserved for other roles",
            Reason::NeedsGpuResources => {
                "the agent has GPUs, which are kept for frameworks that use them"
            }
            Reason::NeedsRegionAware => "the agent is in another region than the master",
            Reason::AgentLacksMultiRole => "the agent lacks MULTI_ROLE",
            Reason::AgentLacksHierarchicalRole => {
                "the agent lacks HIERARCHICAL_ROLE, and the role has a parent"
            }
            Reason::NothingUsable => {
                "what is free is shared, revocable or refined, which the framework cannot use"
            }
            Reason::BelowMinimum => "what is free is less than the smallest offer",
            Reason::QuotaLimit => "the role has all that its quota allows",
            Reason::Headroom => "what is free is kept for the guarantees of other roles",
            Reason::Filtered { .. } => "the framework declined as much on this agent",
            Reason::OfferConstraints => "the framework's offer constraints exclude the agent",
            Reason::GuaranteesMet => {
                "the role's guarantees are met, and it waits for its fair share"
            }
            Reason::InTurn => "nothing speaks against it",
        }
    }

    /// What would change it.
    pub fn remedy(self) -> &'static str {
        match self {
            Reason::Recovering => {
                "wait until most agents are back, or for --allocator_recovery_timeout"
            }
            Reason::NotSubscribed => {
                "subscribe with the role, or change the roles with UPDATE_FRAMEWORK"
            }
            Reason::FrameworkInactive => {
                "start its scheduler, or look why it cannot reach the master"
            }
            Reason::Suppressed => "it gets offers again when it calls REVIVE",
            Reason::AgentInactive => "bring the agent back, or reactivate it",
            Reason::NotWhitelisted => "add the host to the file that --whitelist names",
            Reason::HeldByItself => "let it decline offers or end tasks, or add agents",
            Reason::HeldByOthers => {
                "wait for them, give the role more weight or quota, or add agents"
            }
            Reason::NothingForRole => "unreserve it, or use the role it is reserved for",
            Reason::NeedsGpuResources => {
                "let the framework announce GPU_RESOURCES, or start the master with                  --filter_gpu_resources=false"
            }
            Reason::NeedsRegionAware => "let the framework announce REGION_AWARE",
            Reason::AgentLacksMultiRole => "upgrade the agent, or let the framework use one role",
            Reason::AgentLacksHierarchicalRole => "upgrade the agent, or use a role without '/'",
            Reason::NothingUsable => "let the framework announce the capability for it",
            Reason::BelowMinimum => "wait until more is free, or lower --min_allocatable_resources",
            Reason::QuotaLimit => "raise the limits of its quota, or end some of its tasks",
            Reason::Headroom => "lower their guarantees, or add agents",
            Reason::Filtered { .. } => {
                "it is offered again when that filter ends, or when the framework calls REVIVE"
            }
            Reason::OfferConstraints => {
                "change the constraints with UPDATE_FRAMEWORK, or the agent's attributes"
            }
            Reason::GuaranteesMet => "give the role more weight, or wait",
            Reason::InTurn => {
                "it is offered in the next run, if no role with a smaller share takes it"
            }
        }
    }
}

/// What is said of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The agent.
    pub agent: AgentId,
    /// What is free on it.
    pub free: Resources,
    /// Why it is not offered.
    pub reason: Reason,
}

impl Allocator {
    /// For every agent, in the order of ids, why it is not offered to the framework in a role;
    /// `None` for an unknown framework. Takes time in proportion to the number of agents.
    pub fn explain(&self, framework: &FrameworkId, role: &Role) -> Option<Vec<Explanation>> {
        let key = self.ledger.framework_key(framework)?;
        let sub = self.ledger.sub_key(key, role);
        let mut agents: Vec<Explanation> = self
            .ledger
            .agents
            .iter()
            .map(|(agent, entry)| Explanation {
                agent: entry.id.clone(),
                free: entry.free.clone(),
                reason: self.reason(AgentKey(agent), sub),
            })
            .collect();
        agents.sort_by(|a, b| a.agent.cmp(&b.agent));
        Some(agents)
    }

    /// Whether allocation waits for agents after a change of master.
    pub fn is_recovering(&self, now: Now) -> bool {
        let recovery = self.recovery.as_ref();
        recovery.is_some_and(|recovery| recovery.deadline > now.mono)
    }

    fn reason(&self, agent: AgentKey, sub: Option<SubKey>) -> Reason {
        if self.recovery.is_some() {
            return Reason::Recovering;
        }
        let Some(key) = sub.filter(|sub| self.ledger.subs[sub.0].subscribed) else {
            return Reason::NotSubscribed;
        };
        let sub = &self.ledger.subs[key.0];
        let entry = &self.ledger.agents[agent.0];
        if !self.ledger.frameworks[sub.framework.0].active {
            return Reason::FrameworkInactive;
        }
        if sub.suppressed {
            return Reason::Suppressed;
        }
        if !entry.active {
            return Reason::AgentInactive;
        }
        if !entry.whitelisted {
            return Reason::NotWhitelisted;
        }
        if entry.free.is_empty() {
            return match entry.holding(key) {
                Some(_) => Reason::HeldByItself,
                None => Reason::HeldByOthers,
            };
        }
        let rules = Rules {
            ledger: &self.ledger,
            filters: &self.filters,
            config: &self.config,
        };
        let mut view = rules.view(agent, sub.role, None);
        match rules.judge(agent, key, &mut view, Stage::FairShare) {
            Ok(_) => Reason::InTurn,
            Err(reason) => reason,
        }
    }
}
