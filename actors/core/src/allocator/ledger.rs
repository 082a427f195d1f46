//! Who there is: agents, frameworks, roles, subscriptions, and the sorters over them.
//! Decides nothing; what is held where is in `holdings`.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::capabilities::FrameworkTraits;
use super::drf::DrfSorter;
use super::holdings::Agent;
use super::keys::{AgentKey, FrameworkKey, RoleKey, SubKey, TopKey};
use super::messages::Generation;
use super::quotas::Quotas;
use super::random::RandomSorter;
use super::sorter::{Slot, Sorter, Totals};
use super::{AllocatorConfig, SorterKind};
use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::Quantities;
use crate::validation::constraints::OfferConstraintsFilter;

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
    /// Waits to be looked at on every agent in the next run.
    pub is_candidate: bool,
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
    pub top: TopKey,
    pub slot: Slot,
    pub sorter: Box<dyn Sorter>,
    pub subs: usize,
    pub listed: usize,
    /// Subscriptions with an idea of their own of the smallest offer.
    pub own_minimums: usize,
}

/// All of it. Slots are found by key; ids only where messages come in.
#[derive(Debug)]
pub(super) struct Ledger {
    pub totals: Totals,
    pub agents: Slab<Agent>,
    pub frameworks: Slab<Framework>,
    pub roles: Slab<RoleEntry>,
    pub subs: Slab<Sub>,
    pub quotas: Quotas,
    pub role_sorter: Box<dyn Sorter>,
    pub(super) agent_keys: HashMap<AgentId, AgentKey>,
    framework_keys: HashMap<FrameworkId, FrameworkKey>,
    role_keys: HashMap<Role, RoleKey>,
    framework_sorter: SorterKind,
}

impl Ledger {
    pub fn new(config: &AllocatorConfig) -> Self {
        let role_sorter: Box<dyn Sorter> = match config.role_sorter {
            SorterKind::Drf => Box::new(DrfSorter::hierarchical()),
            SorterKind::Random => Box::new(RandomSorter::hierarchical()),
        };
        Ledger {
            totals: Totals::new(config.fair_sharing_excluded_resource_names.clone()),
            agents: Slab::new(),
            frameworks: Slab::new(),
            roles: Slab::new(),
            subs: Slab::new(),
            quotas: Quotas::default(),
            role_sorter,
            agent_keys: HashMap::new(),
            framework_keys: HashMap::new(),
            role_keys: HashMap::new(),
            framework_sorter: config.framework_sorter,
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
    pub fn sub_key(&self, framework: FrameworkKey, role: &str) -> Option<SubKey> {
        let role = self.role_key(role)?;
        let mut subs = self.frameworks[framework.0].subs.iter().copied();
        subs.find(|sub| self.subs[sub.0].role == role)
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
        if let Some(sub) = self.sub_key(framework, role) {
            return sub;
        }
        let role = self.ensure_role(role);
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
            is_candidate: false,
            held_on: 0,
            traits: self.frameworks[framework.0].traits,
            minimum: None,
            constraints: None,
        });
        self.roles[role.0].subs += 1;
        self.frameworks[framework.0].subs.push(sub);
        sub
    }

    /// Lists the subscription in the sorters exactly when it may get offers; returns whether it
    /// is listed now and was not before.
    pub fn update_listing(&mut self, key: SubKey) -> bool {
        let sub = &mut self.subs[key.0];
        let active = self.frameworks[sub.framework.0].active;
        let listed = active && sub.subscribed && !sub.suppressed;
        if listed == sub.listed {
            return false;
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
        listed
    }

    /// The subscription's alternatives for the smallest offer, or none of its own.
    pub fn set_minimum(&mut self, key: SubKey, minimum: Option<Vec<Quantities>>) {
        let sub = &mut self.subs[key.0];
        let role = &mut self.roles[sub.role.0];
        role.own_minimums -= usize::from(sub.minimum.is_some());
        role.own_minimums += usize::from(minimum.is_some());
        sub.minimum = minimum;
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
        role.own_minimums -= usize::from(sub.minimum.is_some());
        if role.subs == 0 {
            let role = self.roles.remove(sub.role.0);
            self.role_sorter.remove(role.slot, &self.totals);
            self.role_keys.remove(&role.path);
            self.quotas.leave(role.top);
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

    fn ensure_role(&mut self, path: &Role) -> RoleKey {
        if let Some(key) = self.role_keys.get(path) {
            return *key;
        }
        let entry = self.roles.vacant_entry();
        let key = RoleKey(entry.key());
        let sorter: Box<dyn Sorter> = match self.framework_sorter {
            SorterKind::Drf => Box::new(DrfSorter::flat()),
            SorterKind::Random => Box::new(RandomSorter::flat()),
        };
        entry.insert(RoleEntry {
            path: path.clone(),
            nested: path.contains('/'),
            top: self.quotas.enter(path),
            slot: self.role_sorter.add(key.0, path),
            sorter,
            subs: 0,
            listed: 0,
            own_minimums: 0,
        });
        self.role_keys.insert(path.clone(), key);
        key
    }
}
