//! Who holds what where: agents, frameworks, roles, and the sums the sorters work on.
//! Decides nothing; every change of a holding goes through `charge` and `release`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use slab::Slab;

use super::capabilities::{AgentTraits, FrameworkTraits};
use super::drf::DrfSorter;
use super::messages::{AgentFacts, Generation};
use super::sorter::{Slot, Sorter, Totals};
use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::{Amount, Entry, Quantities, Resources};
use crate::validation::constraints::OfferConstraintsFilter;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct $name(pub usize);
    };
}

key!(
    /// Where an agent is kept.
    AgentKey
);
key!(
    /// Where a framework is kept.
    FrameworkKey
);
key!(
    /// Where a role is kept.
    RoleKey
);
key!(
    /// Where a framework's part in a role is kept.
    SubKey
);

/// An agent and what is held on it.
#[derive(Debug)]
pub(super) struct Agent {
    pub id: AgentId,
    pub generation: Generation,
    pub facts: AgentFacts,
    pub traits: AgentTraits,
    pub active: bool,
    pub total: Resources,
    /// Everything held, except shared resources, without allocation roles.
    pub used: Resources,
    /// What may be offered: the total without `used`; shared resources always.
    pub free: Resources,
    /// Sorted by subscription.
    pub held: Vec<Holding>,
    /// More is held than there is: possible after the total shrank or a charge.
    pub overcommitted: bool,
    /// Waits for the next run.
    pub is_candidate: bool,
}

/// What one framework holds in one role on one agent, with allocation role.
#[derive(Debug)]
pub(super) struct Holding {
    pub sub: SubKey,
    pub resources: Resources,
}

/// A framework; one that only agents have told of is neither known nor subscribed.
#[derive(Debug)]
pub(super) struct Framework {
    pub id: FrameworkId,
    pub generation: Generation,
    /// The master has added it.
    pub known: bool,
    pub active: bool,
    pub traits: FrameworkTraits,
    pub subs: Vec<SubKey>,
}

/// A framework's part in a role: it is subscribed to it, or still holds resources of it.
#[derive(Debug)]
pub(super) struct Sub {
    pub framework: FrameworkKey,
    pub role: RoleKey,
    pub slot: Slot,
    pub subscribed: bool,
    pub suppressed: bool,
    /// In the order the run works through.
    pub listed: bool,
    /// Agents it holds something on.
    pub held_on: usize,
    pub traits: FrameworkTraits,
    /// Its own alternatives for the smallest offer.
    pub minimum: Option<Vec<Quantities>>,
    /// The framework's filter, if it says something of this role.
    pub constraints: Option<Arc<OfferConstraintsFilter>>,
}

/// A role with at least one framework.
#[derive(Debug)]
pub(super) struct RoleEntry {
    pub path: Role,
    pub nested: bool,
    pub slot: Slot,
    pub sorter: Box<dyn Sorter>,
    pub subs: usize,
    pub listed: usize,
}

/// All of it. Slots are found by key; ids only where messages come in.
#[derive(Debug)]
pub(super) struct Ledger {
    pub totals: Totals,
    pub agents: Slab<Agent>,
    pub frameworks: Slab<Framework>,
    pub roles: Slab<RoleEntry>,
    pub subs: Slab<Sub>,
    pub role_sorter: Box<dyn Sorter>,
    agent_keys: HashMap<AgentId, AgentKey>,
    framework_keys: HashMap<FrameworkId, FrameworkKey>,
    role_keys: HashMap<Role, RoleKey>,
    /// Sums by kind of the change under way: for the framework, for the role.
    scratch: (Vec<i64>, Vec<i64>),
}

impl Ledger {
    pub fn new(weights: BTreeMap<String, f64>, excluded: Vec<String>) -> Self {
        Ledger {
            totals: Totals::new(excluded),
            agents: Slab::new(),
            frameworks: Slab::new(),
            roles: Slab::new(),
            subs: Slab::new(),
            role_sorter: Box::new(DrfSorter::hierarchical(Arc::new(weights))),
            agent_keys: HashMap::new(),
            framework_keys: HashMap::new(),
            role_keys: HashMap::new(),
            scratch: (Vec::new(), Vec::new()),
        }
    }

    pub fn agent_key(&self, id: &AgentId) -> Option<AgentKey> {
        self.agent_keys.get(id).copied()
    }

    pub fn framework_key(&self, id: &FrameworkId) -> Option<FrameworkKey> {
        self.framework_keys.get(id).copied()
    }

    pub fn role_key(&self, role: &str) -> Option<RoleKey> {
        self.role_keys.get(role).copied()
    }

    /// The framework's part in a role, if it has one.
    pub fn sub_key(&self, framework: FrameworkKey, role: RoleKey) -> Option<SubKey> {
        let subs = &self.frameworks[framework.0].subs;
        subs.iter()
            .copied()
            .find(|sub| self.subs[sub.0].role == role)
    }

    /// The framework, created as one not known yet if need be.
    pub fn ensure_framework(&mut self, id: &FrameworkId) -> FrameworkKey {
        if let Some(key) = self.framework_key(id) {
            return key;
        }
        let key = FrameworkKey(self.frameworks.insert(Framework {
            id: id.clone(),
            generation: 0,
            known: false,
            active: false,
            traits: FrameworkTraits::default(),
            subs: Vec::new(),
        }));
        self.framework_keys.insert(id.clone(), key);
        key
    }

    /// The framework's part in a role, created as not subscribed if need be.
    pub fn ensure_sub(&mut self, framework: FrameworkKey, role: &Role) -> SubKey {
        let role = self.ensure_role(role);
        if let Some(sub) = self.sub_key(framework, role) {
            return sub;
        }
        let entry = self.subs.vacant_entry();
        let sub = SubKey(entry.key());
        let slot = self.roles[role.0]
            .sorter
            .add(sub.0, self.frameworks[framework.0].id.as_str());
        entry.insert(Sub {
            framework,
            role,
            slot,
            subscribed: false,
            suppressed: false,
            listed: false,
            held_on: 0,
            traits: self.frameworks[framework.0].traits,
            minimum: None,
            constraints: None,
        });
        self.roles[role.0].subs += 1;
        self.frameworks[framework.0].subs.push(sub);
        sub
    }

    /// Lists the subscription in the sorters exactly when it may get offers.
    pub fn update_listing(&mut self, key: SubKey) {
        let sub = &mut self.subs[key.0];
        let active = self.frameworks[sub.framework.0].active;
        let listed = active && sub.subscribed && !sub.suppressed;
        if listed == sub.listed {
            return;
        }
        sub.listed = listed;
        let role = &mut self.roles[sub.role.0];
        role.sorter.set_listed(sub.slot, listed, &self.totals);
        role.listed = if listed {
            role.listed + 1
        } else {
            role.listed - 1
        };
        self.role_sorter
            .set_listed(role.slot, role.listed > 0, &self.totals);
    }

    /// Forgets the subscription if nothing speaks for it, and then its role and framework.
    pub fn drop_if_unused(&mut self, key: SubKey) {
        let sub = &self.subs[key.0];
        if sub.subscribed || sub.held_on > 0 {
            return;
        }
        let sub = self.subs.remove(key.0);
        let role = &mut self.roles[sub.role.0];
        role.sorter.remove(sub.slot, &self.totals);
        role.subs -= 1;
        if role.subs == 0 {
            let role = self.roles.remove(sub.role.0);
            self.role_sorter.remove(role.slot, &self.totals);
            self.role_keys.remove(&role.path);
        }
        self.frameworks[sub.framework.0]
            .subs
            .retain(|other| *other != key);
        self.drop_framework_if_unused(sub.framework);
    }

    /// Forgets a framework that the master does not know and no agent tells of.
    pub fn drop_framework_if_unused(&mut self, key: FrameworkKey) {
        let framework = &self.frameworks[key.0];
        if !framework.known && framework.subs.is_empty() {
            let framework = self.frameworks.remove(key.0);
            self.framework_keys.remove(&framework.id);
        }
    }

    /// Adds an agent that holds nothing yet.
    pub fn add_agent(
        &mut self,
        id: AgentId,
        generation: Generation,
        facts: AgentFacts,
        total: Resources,
    ) -> AgentKey {
        let key = AgentKey(self.agents.insert(Agent {
            id: id.clone(),
            generation,
            facts,
            traits: AgentTraits::default(),
            active: true,
            total: Resources::new(),
            used: Resources::new(),
            free: Resources::new(),
            held: Vec::new(),
            overcommitted: false,
            is_candidate: false,
        }));
        self.agent_keys.insert(id, key);
        self.set_total(key, total);
        key
    }

    /// Removes an agent with all that is held on it.
    pub fn remove_agent(&mut self, key: AgentKey) {
        while let Some(holding) = self.agents[key.0].held.last() {
            let (sub, resources) = (holding.sub, holding.resources.clone());
            self.release(sub, key, &resources, &resources.unallocated());
        }
        self.set_total(key, Resources::new());
        let agent = self.agents.remove(key.0);
        self.agent_keys.remove(&agent.id);
    }

    /// Changes what an agent has.
    pub fn set_total(&mut self, key: AgentKey, total: Resources) {
        let agent = &mut self.agents[key.0];
        let old = std::mem::replace(&mut agent.total, total);
        for (resources, sign) in [(&old, -1), (&agent.total, 1)] {
            for entry in resources {
                if let Amount::Scalar(milli) = entry.amount() {
                    let kind = self.totals.kind(entry.kind());
                    self.totals.change(kind, sign * milli);
                }
            }
        }
        agent.refresh();
    }

    /// The subscription holds more on an agent. `chosen` says that a run gave it, out of what
    /// was free. `bare` is `resources` without the allocation role, which must be the
    /// subscription's.
    pub fn charge(
        &mut self,
        sub: SubKey,
        agent: AgentKey,
        resources: &Resources,
        bare: &Resources,
        chosen: bool,
    ) {
        self.sum_up(sub, agent, resources);
        let own = &mut self.agents[agent.0];
        match own.held.binary_search_by_key(&sub, |holding| holding.sub) {
            Ok(at) => own.held[at].resources.add(resources),
            Err(at) => {
                own.held.insert(
                    at,
                    Holding {
                        sub,
                        resources: resources.clone(),
                    },
                );
                self.subs[sub.0].held_on += 1;
            }
        }
        let unshared = without_shared(bare);
        if own.overcommitted || !(chosen || own.free.contains(&unshared)) {
            own.refresh();
        } else {
            own.used.add(&unshared);
            own.free.subtract(&unshared);
        }
        self.tell_sorters(sub, 1, chosen);
    }

    /// The subscription gives resources back; what it does not hold is ignored. Returns what
    /// it gave back, without allocation role. `bare` is as for `charge`.
    pub fn release(
        &mut self,
        sub: SubKey,
        agent: AgentKey,
        resources: &Resources,
        bare: &Resources,
    ) -> Resources {
        let own = &mut self.agents[agent.0];
        let Ok(at) = own.held.binary_search_by_key(&sub, |holding| holding.sub) else {
            return Resources::new();
        };
        let held = &mut own.held[at].resources;
        if !held.contains(resources) {
            let mut rest = held.clone();
            rest.subtract(resources);
            let mut given = held.clone();
            given.subtract(&rest);
            // What is given now is held, so this does not come here again.
            let bare = given.unallocated();
            return if given.is_empty() || !held.contains(&given) {
                Resources::new()
            } else {
                self.release(sub, agent, &given, &bare)
            };
        }
        held.subtract(resources);
        if held.is_empty() {
            own.held.remove(at);
            self.subs[sub.0].held_on -= 1;
        }
        if own.overcommitted {
            own.refresh();
        } else {
            let unshared = without_shared(bare);
            own.used.subtract(&unshared);
            own.free.add(&unshared);
        }
        self.sum_up(sub, agent, resources);
        self.tell_sorters(sub, -1, false);
        bare.clone()
    }

    /// What the subscription holds on an agent.
    pub fn holding(&self, sub: SubKey, agent: AgentKey) -> Option<&Resources> {
        let held = &self.agents[agent.0].held;
        let at = held
            .binary_search_by_key(&sub, |holding| holding.sub)
            .ok()?;
        Some(&held[at].resources)
    }

    /// Sums of the scalars that count for framework and role. A shared resource counts once
    /// per agent: not when it is held already (before a charge) or still (after a release).
    fn sum_up(&mut self, sub: SubKey, agent: AgentKey, resources: &Resources) {
        let (own, role) = &mut self.scratch;
        own.clear();
        role.clear();
        for entry in resources {
            let Amount::Scalar(milli) = entry.amount() else {
                continue;
            };
            let kind = self.totals.kind(entry.kind());
            let (mut for_own, mut for_role) = (true, true);
            if entry.is_shared() {
                let this_role = self.subs[sub.0].role;
                for holding in &self.agents[agent.0].held {
                    if self.subs[holding.sub.0].role == this_role
                        && holding.resources.iter().any(|other| other.is_same(entry))
                    {
                        for_role = false;
                        for_own &= holding.sub != sub;
                    }
                }
            }
            for (sums, counts) in [(&mut *own, for_own), (&mut *role, for_role)] {
                if sums.len() <= kind {
                    sums.resize(kind + 1, 0);
                }
                if counts {
                    sums[kind] += milli;
                }
            }
        }
    }

    fn tell_sorters(&mut self, sub: SubKey, sign: i64, chosen: bool) {
        let (own, for_role) = &mut self.scratch;
        if sign < 0 {
            own.iter_mut()
                .chain(for_role.iter_mut())
                .for_each(|milli| *milli = -*milli);
        }
        let sub = &self.subs[sub.0];
        let role = &mut self.roles[sub.role.0];
        role.sorter.change(sub.slot, own, chosen, &self.totals);
        self.role_sorter
            .change(role.slot, for_role, chosen, &self.totals);
    }

    fn ensure_role(&mut self, path: &Role) -> RoleKey {
        if let Some(key) = self.role_keys.get(path) {
            return *key;
        }
        let entry = self.roles.vacant_entry();
        let key = RoleKey(entry.key());
        entry.insert(RoleEntry {
            path: path.clone(),
            nested: path.contains('/'),
            slot: self.role_sorter.add(key.0, path),
            sorter: Box::new(DrfSorter::flat()),
            subs: 0,
            listed: 0,
        });
        self.role_keys.insert(path.clone(), key);
        key
    }
}

impl Agent {
    /// Computes anew what is used and free, and whether that is more than there is.
    pub fn refresh(&mut self) {
        self.used = Resources::new();
        self.free = self.total.non_shared();
        self.overcommitted = false;
        for holding in &self.held {
            let bare = holding.resources.non_shared().unallocated();
            self.overcommitted |= !self.free.contains(&bare);
            self.free.subtract(&bare);
            self.used.add(&bare);
        }
        self.free.add(&self.total.shared());
    }
}

/// Shared resources stay free when they are held.
fn without_shared(bare: &Resources) -> Cow<'_, Resources> {
    if bare.iter().any(Entry::is_shared) {
        Cow::Owned(bare.non_shared())
    } else {
        Cow::Borrowed(bare)
    }
}
