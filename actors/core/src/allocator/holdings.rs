//! What every agent has, who holds it, and what is free.
//! Every change of a holding goes through `charge` and `release`, which keep all sums.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::amounts::Amounts;
use super::capabilities::AgentTraits;
use super::keys::{AgentKey, FrameworkKey, SubKey};
use super::ledger::Ledger;
use super::messages::{AgentFacts, Generation};
use super::sorter::Totals;
use crate::ids::AgentId;
use crate::resources::{Amount, Entry, Resources};
use crate::time::Mono;
use tepui_protocol::v1;

/// An agent and what is held on it.
#[derive(Debug)]
pub(super) struct Agent {
    pub id: AgentId,
    pub generation: Generation,
    pub facts: AgentFacts,
    pub traits: AgentTraits,
    pub active: bool,
    /// Its host is on the whitelist, if there is one.
    pub whitelisted: bool,
    pub total: Resources,
    /// What may be offered: the total without what is held; shared resources always.
    pub free: Resources,
    /// Scalars of `free` that are neither reserved nor revocable: what quota counts.
    pub plain: Amounts,
    /// Sorted by subscription.
    pub held: Vec<Holding>,
    /// More is held than there is: possible after the total shrank or a charge.
    pub overcommitted: bool,
    /// Waits for the next run.
    pub is_candidate: bool,
    /// Quota kept something of it from someone at the last look.
    pub held_back: bool,
    pub maintenance: Option<Box<Maintenance>>,
}

/// What one framework holds in one role on one agent, with allocation role.
#[derive(Debug)]
pub(super) struct Holding {
    pub sub: SubKey,
    pub resources: Resources,
    /// The same without allocation role, if it is still as a run gave it.
    bare: Option<Resources>,
}

/// A plan for an agent to be away.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub unavailability: v1::Unavailability,
    /// Frameworks with an inverse offer they have not answered.
    pub outstanding: Vec<FrameworkKey>,
    /// Frameworks that answered, and until when they are left alone.
    pub refused: BTreeMap<FrameworkKey, Mono>,
}

impl Agent {
    /// Whether a run may offer something of it.
    pub fn is_offerable(&self) -> bool {
        self.active && self.whitelisted && !self.free.is_empty()
    }

    pub fn holding(&self, sub: SubKey) -> Option<&Resources> {
        let found = self.held.binary_search_by_key(&sub, |holding| holding.sub);
        found.ok().map(|at| &self.held[at].resources)
    }

    /// Computes anew what is free, and whether more is held than there is.
    fn refresh(&mut self, totals: &mut Totals) {
        self.overcommitted = false;
        let mut free = without_shared(&self.total).into_owned();
        for holding in &self.held {
            let bare = holding.resources.unallocated();
            let unshared = without_shared(&bare);
            self.overcommitted |= !free.contains(&unshared);
            free.subtract(&unshared);
        }
        free.add(&self.total.shared());
        self.free = free;
        self.plain = totals.measure(&self.free, is_plain);
    }
}

impl Ledger {
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
            whitelisted: true,
            total: Resources::new(),
            free: Resources::new(),
            plain: Amounts::default(),
            held: Vec::new(),
            overcommitted: false,
            is_candidate: false,
            held_back: false,
            maintenance: None,
        }));
        self.agent_keys.insert(id, key);
        self.set_total(key, total);
        key
    }

    /// Removes an agent with all that is held on it.
    pub fn remove_agent(&mut self, key: AgentKey) {
        while let Some(holding) = self.agents[key.0].held.last() {
            let (sub, resources) = (holding.sub, holding.resources.clone());
            self.release(sub, key, &resources);
        }
        self.set_total(key, Resources::new());
        let agent = self.agents.remove(key.0);
        self.agent_keys.remove(&agent.id);
    }

    /// Changes what an agent has.
    pub fn set_total(&mut self, key: AgentKey, total: Resources) {
        let old = std::mem::replace(&mut self.agents[key.0].total, total);
        let new = self.agents[key.0].total.clone();
        for (resources, sign) in [(&old, -1), (&new, 1)] {
            let amounts = self.totals.measure(resources, |_| true);
            self.totals.change(&amounts, sign);
            for entry in resources {
                if let (Some(role), Some(milli)) = (entry.reservation_role(), entry.scalar_milli())
                {
                    let kind = self.totals.kind(entry.kind());
                    self.quotas.reserve(role, kind, sign * milli);
                }
            }
        }
        self.refresh(key);
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
        self.count(sub, agent, resources, 1, chosen);
        let own = &mut self.agents[agent.0];
        match own.held.binary_search_by_key(&sub, |holding| holding.sub) {
            Ok(at) => {
                own.held[at].resources.add(resources);
                own.held[at].bare = None;
            }
            Err(at) => {
                let (resources, bare) = (resources.clone(), Some(bare.clone()));
                let holding = Holding {
                    sub,
                    resources,
                    bare,
                };
                own.held.insert(at, holding);
                self.subs[sub.0].held_on += 1;
            }
        }
        let unshared = without_shared(bare);
        if own.overcommitted || !(chosen || own.free.contains(&unshared)) {
            return self.refresh(agent);
        }
        if own.free.is_same_copy(&unshared) {
            own.free = Resources::new();
        } else {
            own.free.subtract(&unshared);
        }
        let plain = self.totals.measure(unshared.as_ref(), is_plain);
        own.plain.add(&plain, -1);
        self.quotas.free_changed(&plain, -1);
    }

    /// The subscription gives resources back; what it does not hold is ignored. Returns what
    /// it gave back, without allocation role.
    pub fn release(&mut self, sub: SubKey, agent: AgentKey, resources: &Resources) -> Resources {
        let own = &mut self.agents[agent.0];
        let Ok(at) = own.held.binary_search_by_key(&sub, |holding| holding.sub) else {
            return Resources::new();
        };
        let holding = &mut own.held[at];
        if !holding.resources.contains(resources) {
            let given = common_part(&holding.resources, resources);
            return match given.is_empty() || !holding.resources.contains(&given) {
                true => Resources::new(),
                false => self.release(sub, agent, &given),
            };
        }
        let whole = holding.resources.is_same_copy(resources);
        let bare = match holding.bare.take().filter(|_| whole) {
            Some(bare) => bare,
            None => resources.unallocated(),
        };
        holding.resources.subtract(resources);
        if whole || holding.resources.is_empty() {
            own.held.remove(at);
            self.subs[sub.0].held_on -= 1;
        }
        if own.overcommitted {
            self.refresh(agent);
        } else {
            let unshared = without_shared(&bare);
            own.free.add(&unshared);
            let plain = self.totals.measure(unshared.as_ref(), is_plain);
            own.plain.add(&plain, 1);
            self.quotas.free_changed(&plain, 1);
        }
        self.count(sub, agent, resources, -1, false);
        bare
    }

    /// Tells sorters and quotas of a change. A shared resource counts once per agent: not when
    /// it is held already (before a charge) or still (after a release).
    fn count(
        &mut self,
        key: SubKey,
        agent: AgentKey,
        resources: &Resources,
        sign: i64,
        chosen: bool,
    ) {
        let for_framework = self.countable(key, agent, resources, false);
        let for_role = match resources.iter().any(Entry::is_shared) {
            true => self.countable(key, agent, resources, true),
            false => for_framework.clone(),
        };
        let sub = &self.subs[key.0];
        let role = &mut self.roles[sub.role.0];
        role.sorter.change(sub.slot, &for_framework, sign, chosen);
        self.role_sorter.change(role.slot, &for_role, sign, chosen);
        let plain = self.totals.measure(resources, is_plain);
        self.quotas.consume(role.top, &plain, sign);
    }

    fn countable(
        &mut self,
        key: SubKey,
        agent: AgentKey,
        resources: &Resources,
        in_role: bool,
    ) -> Amounts {
        let role = self.subs[key.0].role;
        let (held, subs) = (&self.agents[agent.0].held, &self.subs);
        self.totals.measure(resources, |entry| {
            let mut holders = held.iter().filter(|holding| match in_role {
                true => subs[holding.sub.0].role == role,
                false => holding.sub == key,
            });
            !entry.is_shared()
                || !holders.any(|holding| holding.resources.iter().any(|own| own.is_same(entry)))
        })
    }

    fn refresh(&mut self, key: AgentKey) {
        let agent = &mut self.agents[key.0];
        self.quotas.free_changed(&agent.plain, -1);
        agent.refresh(&mut self.totals);
        self.quotas.free_changed(&agent.plain, 1);
    }
}

/// Whether quota counts it: a scalar that is neither reserved nor revocable.
pub(super) fn is_plain(entry: &Entry) -> bool {
    matches!(entry.amount(), Amount::Scalar(_)) && !entry.is_reserved() && !entry.is_revocable()
}

fn common_part(held: &Resources, resources: &Resources) -> Resources {
    let mut rest = held.clone();
    rest.subtract(resources);
    let mut given = held.clone();
    given.subtract(&rest);
    given
}

/// Shared resources stay free when they are held.
fn without_shared(bare: &Resources) -> Cow<'_, Resources> {
    if bare.iter().any(Entry::is_shared) {
        Cow::Owned(bare.non_shared())
    } else {
        Cow::Borrowed(bare)
    }
}
