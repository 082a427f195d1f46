//! Which agents and resources a framework can deal with, as bit sets for the run's inner loop.
//! Only the capabilities that decide offers; the master keeps the full list.

use tepui_protocol::v1;
use v1::framework_info::capability::Type as Capability;

use super::messages::AgentFacts;
use super::reasons::Reason;
use crate::resources::{Entry, Resources};

/// What a framework is capable of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FrameworkTraits {
    pub multi_role: bool,
    pub gpu_resources: bool,
    pub region_aware: bool,
    /// The kinds of resources it cannot deal with.
    pub cannot_use: Kinds,
}

impl FrameworkTraits {
    pub fn of(info: &v1::FrameworkInfo) -> Self {
        let has = |wanted: Capability| {
            info.capabilities
                .iter()
                .any(|capability| capability.r#type == Some(wanted as i32))
        };
        FrameworkTraits {
            multi_role: has(Capability::MultiRole),
            gpu_resources: has(Capability::GpuResources),
            region_aware: has(Capability::RegionAware),
            cannot_use: Kinds {
                shared: !has(Capability::SharedResources),
                revocable: !has(Capability::RevocableResources),
                refined: !has(Capability::ReservationRefinement),
            },
        }
    }
}

/// Kinds of resources that only capable frameworks are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds {
    pub shared: bool,
    pub revocable: bool,
    pub refined: bool,
}

impl Kinds {
    /// The kinds that occur among `resources`.
    pub fn among(resources: &Resources) -> Self {
        let any = |test: fn(&Entry) -> bool| resources.iter().any(test);
        Kinds {
            shared: any(Entry::is_shared),
            revocable: any(Entry::is_revocable),
            refined: any(Entry::has_refined_reservations),
        }
    }

    /// The kinds in both.
    pub fn and(self, other: Kinds) -> Kinds {
        Kinds {
            shared: self.shared && other.shared,
            revocable: self.revocable && other.revocable,
            refined: self.refined && other.refined,
        }
    }

    /// Whether the entry is of one of these kinds.
    pub fn include(self, entry: &Entry) -> bool {
        (self.shared && entry.is_shared())
            || (self.revocable && entry.is_revocable())
            || (self.refined && entry.has_refined_reservations())
    }
}

/// What an agent demands of frameworks and roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AgentTraits {
    pub has_gpus: bool,
    pub is_remote: bool,
    pub multi_role: bool,
    pub hierarchical_role: bool,
}

impl AgentTraits {
    /// `master_region` is the region of the master's fault domain. An agent without a domain
    /// counts as being in the master's.
    pub fn of(facts: &AgentFacts, total: &Resources, master_region: Option<&str>) -> Self {
        let has = |wanted: &str| {
            facts
                .capabilities
                .iter()
                .any(|capability| capability == wanted)
        };
        AgentTraits {
            has_gpus: total.scalar_milli("gpus") > 0,
            is_remote: region(&facts.info).is_some_and(|own| Some(own) != master_region),
            multi_role: has("MULTI_ROLE"),
            hierarchical_role: has("HIERARCHICAL_ROLE"),
        }
    }

    /// Whether the framework may be offered anything here for a role.
    pub fn admits(
        self,
        framework: FrameworkTraits,
        nested_role: bool,
        filter_gpus: bool,
    ) -> Result<(), Reason> {
        if self.has_gpus && filter_gpus && !framework.gpu_resources {
            return Err(Reason::NeedsGpuResources);
        }
        if self.is_remote && !framework.region_aware {
            return Err(Reason::NeedsRegionAware);
        }
        if framework.multi_role && !self.multi_role {
            return Err(Reason::AgentLacksMultiRole);
        }
        if nested_role && !self.hierarchical_role {
            return Err(Reason::AgentLacksHierarchicalRole);
        }
        Ok(())
    }
}

/// The agent's region, if it is in a fault domain.
fn region(info: &v1::AgentInfo) -> Option<&str> {
    let fault_domain = info.domain.as_ref()?.fault_domain.as_ref()?;
    Some(&fault_domain.region.name)
}
