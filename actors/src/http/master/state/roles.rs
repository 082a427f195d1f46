//! `/roles`: what each role holds, may hold and has set aside.
//! Shares nothing out; the allocator does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tepui_core::master::model::{Agent, Snapshot};
use tepui_core::quota::Quota;
use tepui_core::resources::roles::ancestors;
use tepui_core::resources::{Entry, Quantities, Resources, from_milli};

use crate::master::config::MasterConfig;

/// The weight of a role that was given none.
const DEFAULT_WEIGHT: f64 = 1.0;

/// What `/roles` tells.
pub struct Roles {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// The master's settings.
    pub config: Arc<MasterConfig>,
}

impl Serialize for Roles {
    /// Mesos: `ReadOnlyHandler::roles`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct All<'a> {
            roles: Vec<RoleView<'a>>,
        }
        let snapshot = &*self.snapshot;
        let holdings = Holdings::of(snapshot);
        let names = known_roles(snapshot, &holdings, self.config.roles.as_deref());
        let roles = names.iter();
        let roles = roles.map(|name| RoleView::new(name, &holdings, snapshot));
        All {
            roles: roles.collect(),
        }
        .serialize(serializer)
    }
}

/// Names of roles in their order: those on the list of `--roles` if there is one, otherwise those
/// that are used or set in any way; and the roles above them. Mesos: `Master::knownRoles`.
fn known_roles<'a>(
    snapshot: &'a Snapshot,
    holdings: &Holdings<'a>,
    listed: Option<&'a [String]>,
) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let mut add = |role: &'a str| {
        names.insert(role);
        names.extend(ancestors(role));
    };
    match listed {
        Some(listed) => {
            add("*");
            listed.iter().for_each(|role| add(role));
        }
        None => {
            holdings.used.iter().copied().for_each(&mut add);
            snapshot.weights.keys().for_each(|role| add(role));
            snapshot.quotas.keys().for_each(|role| add(role));
        }
    }
    names
}

/// What a role and those below it hold.
#[derive(Default)]
struct Holding<'a> {
    allocated: Quantities,
    offered: Quantities,
    reserved: Quantities,
    /// What is reserved and not allocated.
    idle: Quantities,
    /// Those that are subscribed to this very role, or hold something of it.
    frameworks: BTreeSet<&'a str>,
}

#[derive(Default)]
struct Holdings<'a> {
    by_role: BTreeMap<&'a str, Holding<'a>>,
    /// Roles with frameworks or reservations of their own.
    used: BTreeSet<&'a str>,
}

impl<'a> Holdings<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut holdings = Holdings::default();
        for framework in snapshot.frameworks.values() {
            for role in &framework.roles {
                holdings.subscribe(role, framework.id.as_str());
            }
        }
        for agent in snapshot.agents.values() {
            holdings.reserve(agent);
            for (framework, used) in &agent.used {
                for (role, amounts) in amounts(used, Entry::allocation_role) {
                    holdings.subscribe(role, framework.as_str());
                    holdings.add(role, |holding| holding.allocated.add(&amounts));
                }
            }
        }
        for offer in snapshot.offers.values() {
            let amounts = all(&offer.resources);
            holdings.subscribe(&offer.role, offer.framework.as_str());
            holdings.add(&offer.role, |holding| holding.offered.add(&amounts));
        }
        holdings
    }

    fn subscribe(&mut self, role: &'a str, framework: &'a str) {
        self.used.insert(role);
        let own = self.by_role.entry(role).or_default();
        own.frameworks.insert(framework);
    }

    fn reserve(&mut self, agent: &'a Agent) {
        for (role, reserved) in amounts(&agent.total, Entry::reservation_role) {
            let mut idle = reserved.clone();
            for used in agent.used.values() {
                if let Some(used) = amounts(used, Entry::reservation_role).get(role) {
                    idle.subtract(used);
                }
            }
            self.used.insert(role);
            self.add(role, |holding| {
                holding.reserved.add(&reserved);
                holding.idle.add(&idle);
            });
        }
    }

    fn add(&mut self, role: &'a str, mut add: impl FnMut(&mut Holding<'a>)) {
        for role in std::iter::once(role).chain(ancestors(role)) {
            add(self.by_role.entry(role).or_default());
        }
    }
}

/// Amounts of resources by one of the roles that their entries have.
fn amounts<'a, R: AsRef<str> + 'a>(
    resources: &'a Resources,
    role: impl Fn(&'a Entry) -> Option<&'a R>,
) -> BTreeMap<&'a str, Quantities> {
    let mut by_role: BTreeMap<&str, Quantities> = BTreeMap::new();
    for entry in resources {
        if let Some(role) = role(entry) {
            count(entry, by_role.entry(role.as_ref()).or_default());
        }
    }
    by_role
}

fn all(resources: &Resources) -> Quantities {
    let mut amounts = Quantities::default();
    for entry in resources {
        count(entry, &mut amounts);
    }
    amounts
}

/// Each number of a range and each item of a set counts one.
fn count(entry: &Entry, amounts: &mut Quantities) {
    amounts.add_milli(entry.name(), entry.amount().count_milli());
}

#[derive(Serialize)]
struct RoleView<'a> {
    name: &'a str,
    weight: f64,
    quota: QuotaView<'a>,
    resources: Amounts,
    allocated: Amounts,
    offered: Amounts,
    reserved: Amounts,
    frameworks: Vec<&'a str>,
}

#[derive(Serialize)]
struct QuotaView<'a> {
    role: &'a str,
    guarantee: Amounts,
    limit: Amounts,
    consumed: Amounts,
}

impl<'a> RoleView<'a> {
    fn new(name: &'a str, holdings: &Holdings<'a>, snapshot: &Snapshot) -> Self {
        let nothing = Holding::default();
        let holding = holdings.by_role.get(name).unwrap_or(&nothing);
        let no_quota = Quota::default();
        let quota = snapshot.quotas.get(name).unwrap_or(&no_quota);
        let sum = |mut a: Quantities, b: &Quantities| {
            a.add(b);
            Amounts::of(a.0)
        };
        RoleView {
            name,
            weight: snapshot
                .weights
                .get(name)
                .copied()
                .unwrap_or(DEFAULT_WEIGHT),
            quota: QuotaView {
                role: name,
                guarantee: Amounts::of(quota.guarantees.0.clone()),
                limit: Amounts::of(quota.limits.0.clone()),
                consumed: sum(holding.allocated.clone(), &holding.idle),
            },
            resources: sum(holding.allocated.clone(), &holding.offered),
            allocated: Amounts::of(holding.allocated.0.clone()),
            offered: Amounts::of(holding.offered.0.clone()),
            reserved: Amounts::of(holding.reserved.0.clone()),
            frameworks: holding.frameworks.iter().copied().collect(),
        }
    }
}

/// Amounts by name, in thousandths; written as numbers.
struct Amounts(BTreeMap<Arc<str>, i64>);

impl Amounts {
    fn of(milli: BTreeMap<Arc<str>, i64>) -> Self {
        Amounts(milli)
    }
}

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let amounts = self.0.iter();
        serializer.collect_map(amounts.map(|(name, milli)| (&**name, from_milli(*milli))))
    }
}
