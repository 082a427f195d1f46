//! Roles as GET_ROLES shows them: which there are, who is in them, what they hold.
//! Shares out nothing; the allocator does.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1;

use super::super::model::Snapshot;
use super::cluster::amount;
use super::views::Usage;
use crate::ids::{FrameworkId, Role};
use crate::resources::{Quantities, Resources, roles::ancestors};

/// The weight of a role for which none was set.
const DEFAULT_WEIGHT: f64 = 1.0;

/// The only resources that are shown: whether others are scalars is not known. In Mesos's order.
const SHOWN: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

/// What is known of one role from frameworks.
#[derive(Default)]
struct Known {
    frameworks: BTreeSet<FrameworkId>,
    /// Allocated and offered to it and to roles below it.
    held: Quantities,
}

/// All known roles, sorted by name; only `listed` ones and those above them where roles are listed.
///
/// Known are roles of frameworks, of what is allocated or offered, of reservations, weights and
/// quotas, and the roles above all these. Mesos: `Master::knownRoles`, `ReadOnlyHandler::getRoles`.
pub fn roles(snapshot: &Snapshot, usage: &Usage, listed: Option<&[String]>) -> Vec<v1::Role> {
    let known = of_frameworks(snapshot, usage);
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut add = |role| {
        names.insert(role);
        names.extend(ancestors(role));
    };
    match listed {
        Some(listed) => listed.iter().for_each(|role| add(role)),
        None => {
            let used = known.iter().filter(|(_, one)| !one.frameworks.is_empty());
            used.for_each(|(role, _)| add(role));
            let agents = snapshot.agents.values();
            let entries = agents.flat_map(|agent| agent.total.iter());
            let reserved = entries.filter_map(|entry| entry.reservation_role());
            reserved.for_each(|role| add(role));
            snapshot.weights.keys().for_each(|role| add(role));
            snapshot.quotas.keys().for_each(|role| add(role));
        }
    }
    names
        .into_iter()
        .map(|name| role(name, known.get(name), snapshot))
        .collect()
}

fn role(name: &str, known: Option<&Known>, snapshot: &Snapshot) -> v1::Role {
    let weight = snapshot.weights.get(name).copied();
    let held = |resource| known.map_or(0, |known| known.held.get(resource));
    let frameworks = known.map(|known| known.frameworks.iter());
    v1::Role {
        name: name.to_owned(),
        weight: weight.unwrap_or(DEFAULT_WEIGHT),
        frameworks: frameworks
            .into_iter()
            .flatten()
            .map(FrameworkId::to_v1)
            .collect(),
        resources: SHOWN
            .into_iter()
            .filter(|resource| held(resource) != 0)
            .map(|resource| amount(resource, held(resource)))
            .collect(),
    }
}

fn of_frameworks(snapshot: &Snapshot, usage: &Usage) -> BTreeMap<Role, Known> {
    let mut known: BTreeMap<Role, Known> = BTreeMap::new();
    for framework in snapshot.frameworks.values() {
        for role in &framework.roles {
            let known = known.entry(role.clone()).or_default();
            known.frameworks.insert(framework.id.clone());
        }
        let offers = framework.offers.iter();
        let offers = offers.filter_map(|id| snapshot.offers.get(id));
        let offered = offers.map(|offer| &offer.resources);
        for resources in usage.by(&framework.id).into_iter().chain(offered) {
            add_held(&framework.id, resources, &mut known);
        }
    }
    known
}

fn add_held(framework: &FrameworkId, resources: &Resources, known: &mut BTreeMap<Role, Known>) {
    for (role, held) in resources.by_allocation_role() {
        let held = held.quantities();
        for above in ancestors(&role) {
            let known = known.entry(Role::from(above)).or_default();
            known.held.add(&held);
        }
        let known = known.entry(role.clone()).or_default();
        known.frameworks.insert(framework.clone());
        known.held.add(&held);
    }
}
