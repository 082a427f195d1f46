//! What frameworks are and want: roles, capabilities, filters, constraints, and how that changes.
//! Tells nobody.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::framework_info::{Capability, capability::Type};
use tepui_protocol::v1::offer_filters::{MinAllocatableResources, ResourceQuantities};
use tepui_protocol::v1::scheduler::attribute_constraint::{
    Predicate, Selector, predicate, selector,
};
use tepui_protocol::v1::scheduler::offer_constraints::{RoleConstraints, role_constraints::Group};
use tepui_protocol::v1::scheduler::{AttributeConstraint, Call, OfferConstraints, call};
use tepui_protocol::v1::{FrameworkInfo, OfferFilters, value};

use super::random::Random;
use super::world::World;
use crate::ids::FrameworkId;
use crate::validation::framework::{has_capability, roles_of};

/// Sets of roles that frameworks have.
const ROLES: &[&[&str]] = &[
    &["*"],
    &["a"],
    &["a", "b/x"],
    &["b/x", "b/y"],
    &["b"],
    &["a/z", "c"],
];

/// A failover timeout that no run is as long as.
const PATIENT_SECONDS: f64 = 100_000.0;

/// Failover timeouts in seconds.
const FAILOVER_SECONDS: &[f64] = &[0.0, 20.0, 300.0, PATIENT_SECONDS, PATIENT_SECONDS];

/// Capabilities that frameworks come to have and lose, and how many of a thousand have each.
const CAPABILITIES: &[(Type, u64)] = &[
    (Type::PartitionAware, 600),
    (Type::SharedResources, 700),
    (Type::TaskKillingState, 500),
    (Type::GpuResources, 600),
    (Type::RegionAware, 600),
    (Type::RevocableResources, 300),
];

/// What a framework tells of itself when it subscribes.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) info: FrameworkInfo,
    pub(super) suppressed: BTreeSet<String>,
    pub(super) constraints: Option<OfferConstraints>,
}

impl Wanted {
    pub(super) fn new(index: u64, random: &mut Random) -> Self {
        let mut info = FrameworkInfo {
            user: "root".to_owned(),
            name: format!("f{index}"),
            failover_timeout: random.pick(FAILOVER_SECONDS).copied(),
            checkpoint: Some(random.per_mille(700)),
            ..FrameworkInfo::default()
        };
        // It stays, since it says how the framework writes resources.
        if random.per_mille(700) {
            info.capabilities
                .push(capability(Type::ReservationRefinement));
        }
        let mut wanted = Wanted {
            info,
            suppressed: BTreeSet::new(),
            constraints: None,
        };
        wanted.redraw(random);
        wanted
    }

    /// Whether it may be away for longer than any run.
    pub(super) fn is_patient(&self) -> bool {
        self.info.failover_timeout() >= PATIENT_SECONDS
    }

    /// Other roles and capabilities.
    #[allow(
        deprecated,
        reason = "frameworks without MULTI_ROLE have the old field 'role'"
    )]
    fn redraw(&mut self, random: &mut Random) {
        let roles = random.pick(ROLES).copied().unwrap_or(&["*"]);
        let kept = has_capability(&self.info, Type::ReservationRefinement);
        let mut kinds: Vec<Type> = kept
            .then_some(Type::ReservationRefinement)
            .into_iter()
            .collect();
        (self.info.role, self.info.roles) = (None, Vec::new());
        match roles.len() > 1 || random.per_mille(700) {
            true => {
                kinds.push(Type::MultiRole);
                self.info.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            }
            false => self.info.role = roles.first().map(|role| (*role).to_owned()),
        }
        for (kind, share) in CAPABILITIES {
            if random.per_mille(*share) {
                kinds.push(*kind);
            }
        }
        self.info.capabilities = kinds.into_iter().map(capability).collect();
        self.suppressed.clear();
        self.constraints = None;
        self.info.offer_filters.clear();
    }

    /// Something else, or nothing but offers for all roles.
    fn change(&mut self, random: &mut Random) {
        if random.per_mille(300) {
            self.redraw(random);
        }
        let roles: Vec<String> = roles_of(&self.info)
            .into_iter()
            .map(str::to_owned)
            .collect();
        self.suppressed.clear();
        self.suppressed.extend(
            random
                .pick(&roles)
                .filter(|_| random.per_mille(300))
                .cloned(),
        );
        let role = random.pick(&roles).cloned().unwrap_or_default();
        self.constraints = random.per_mille(300).then(|| constraints(&role, random));
        self.info.offer_filters.clear();
        if random.per_mille(300) {
            self.info.offer_filters.insert(role, filters(random));
        }
    }

    /// It wants all that it can have.
    fn be_open(&mut self) {
        self.suppressed.clear();
        self.constraints = None;
        self.info.offer_filters.clear();
    }

    pub(super) fn subscribe(&self, id: Option<&FrameworkId>) -> call::Subscribe {
        call::Subscribe {
            framework_info: FrameworkInfo {
                id: id.map(FrameworkId::to_v1),
                ..self.info.clone()
            },
            suppressed_roles: self.suppressed.iter().cloned().collect(),
            offer_constraints: self.constraints.clone(),
        }
    }
}

impl World {
    /// A framework has become another one, and says so.
    pub(super) fn change_framework(&mut self, framework: usize) {
        if let Some(host) = self.frameworks.get_mut(framework) {
            host.wanted.change(&mut self.random);
        }
        self.counts.framework_updates += 1;
        self.update_framework(framework);
    }

    /// A framework wants all that it can have from now on.
    pub(super) fn open_framework(&mut self, framework: usize) {
        if let Some(host) = self.frameworks.get_mut(framework) {
            host.wanted.be_open();
        }
        self.update_framework(framework);
    }

    fn update_framework(&mut self, framework: usize) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let wanted = host.wanted.subscribe(host.id.as_ref());
        let update = Call {
            update_framework: Some(call::UpdateFramework {
                framework_info: wanted.framework_info,
                suppressed_roles: wanted.suppressed_roles,
                offer_constraints: wanted.offer_constraints,
            }),
            ..Call::default()
        };
        self.make_call(framework, call::Type::UpdateFramework, update);
    }

    /// SUPPRESS, of one role or of all.
    pub(super) fn suppress(&mut self, framework: usize) {
        let roles = self.some_roles(framework);
        if let Some(host) = self.frameworks.get_mut(framework) {
            let all = roles_of(&host.wanted.info);
            let named = match roles.is_empty() {
                true => all.into_iter().map(str::to_owned).collect(),
                false => roles.clone(),
            };
            host.wanted.suppressed.extend(named);
        }
        self.counts.suppresses += 1;
        let suppress = Call {
            suppress: Some(call::Suppress { roles }),
            ..Call::default()
        };
        self.make_call(framework, call::Type::Suppress, suppress);
    }

    /// REVIVE, of one role or of all.
    pub(super) fn revive(&mut self, framework: usize) {
        let roles = self.some_roles(framework);
        if let Some(host) = self.frameworks.get_mut(framework) {
            let suppressed = &mut host.wanted.suppressed;
            suppressed.retain(|role| !roles.is_empty() && !roles.contains(role));
        }
        self.counts.revives += 1;
        let revive = Call {
            revive: Some(call::Revive { roles }),
            ..Call::default()
        };
        self.make_call(framework, call::Type::Revive, revive);
    }

    /// One role of a framework, or none, which means all.
    fn some_roles(&mut self, framework: usize) -> Vec<String> {
        let host = self.frameworks.get(framework);
        let roles = host.map(|host| roles_of(&host.wanted.info));
        let roles: Vec<String> = roles.into_iter().flatten().map(str::to_owned).collect();
        let one = self.random.pick(&roles).cloned();
        one.filter(|_| self.random.per_mille(500))
            .into_iter()
            .collect()
    }
}

fn capability(kind: Type) -> Capability {
    Capability {
        r#type: Some(kind as i32),
    }
}

/// Only the agent of this name, or any but that.
fn constraints(role: &str, random: &mut Random) -> OfferConstraints {
    let value = format!("h{}", random.below(3));
    let mut predicate = Predicate::default();
    match random.per_mille(500) {
        true => predicate.text_equals = Some(predicate::TextEquals { value }),
        false => predicate.text_not_equals = Some(predicate::TextNotEquals { value }),
    }
    let hostname = selector::PseudoattributeType::Hostname as i32;
    let constraint = AttributeConstraint {
        selector: Selector {
            pseudoattribute_type: Some(hostname),
            ..Selector::default()
        },
        predicate,
    };
    let group = Group {
        attribute_constraints: vec![constraint],
    };
    let constraints = RoleConstraints {
        groups: vec![group],
    };
    OfferConstraints {
        role_constraints: BTreeMap::from([(role.to_owned(), constraints)]),
    }
}

/// Offers of at least so many processors.
fn filters(random: &mut Random) -> OfferFilters {
    let value = random.between(1, 4) as f64;
    let least = ResourceQuantities {
        quantities: BTreeMap::from([("cpus".to_owned(), value::Scalar { value })]),
    };
    OfferFilters {
        min_allocatable_resources: Some(MinAllocatableResources {
            quantities: vec![least],
        }),
    }
}
