//! Offer filters: resources a framework refused on an agent, hidden from it for a while.
//! Does not know why they were refused or what else is on the agent.

use std::collections::BTreeMap;

use slab::Slab;

use super::ledger::{AgentKey, SubKey};
use crate::resources::Resources;
use crate::time::Mono;

/// Filters one framework may have for one role on one agent. Each further one replaces the
/// one that ends first: it takes a row of ever larger refused offers to get here.
const MAX_FILTERS_PER_PAIR: usize = 16;

const NONE: u32 = u32::MAX;

/// Why a filter exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The framework asked for it.
    Refused,
    /// The framework gave resources back without asking for a filter. Mesos would offer them
    /// to it again in its next interval; a short filter keeps that pace, where offering them
    /// at once would make a tight loop of offers and refusals.
    Echo,
}

/// All filters of all agents, and when they end.
#[derive(Debug, Default)]
pub(super) struct Filters {
    agents: Vec<AgentFilters>,
    /// Ends, with a number that makes each unique.
    ends: BTreeMap<(Mono, u64), (AgentKey, SubKey)>,
    next_number: u64,
    /// Filters per subscription, of either reason; spares the search when there are none.
    counts: Vec<u32>,
}

/// Filters of one agent. The lists' heads are found by subscription without a search, for the
/// run asks for every framework on every agent.
#[derive(Debug, Default)]
struct AgentFilters {
    heads: Vec<Head>,
    filters: Slab<Filter>,
    bags: Slab<Bag>,
}

/// The first filter of a list, with its refused resources, so that the usual list of one is
/// judged without looking further.
#[derive(Debug, Clone, Copy)]
struct Head {
    first: u32,
    bag: u32,
}

const NO_FILTER: Head = Head {
    first: NONE,
    bag: NONE,
};

#[derive(Debug)]
struct Filter {
    sub: SubKey,
    bag: usize,
    end: (Mono, u64),
    reason: Reason,
    next: u32,
}

/// Refused resources; frameworks that refused the same ones share them.
#[derive(Debug)]
struct Bag {
    resources: Resources,
    users: u32,
}

impl Filters {
    /// Hides whatever `refused` (without allocation role) contains, until `end`.
    pub fn add(
        &mut self,
        agent: AgentKey,
        sub: SubKey,
        refused: Resources,
        end: Mono,
        reason: Reason,
    ) {
        if self.agents.len() <= agent.0 {
            self.agents.resize_with(agent.0 + 1, AgentFilters::default);
        }
        if self.counts.len() <= sub.0 {
            self.counts.resize(sub.0 + 1, 0);
        }
        let number = self.next_number;
        self.next_number += 1;
        let own = &mut self.agents[agent.0];
        let bag = own.intern(refused);
        // A second refusal of the same resources prolongs the first.
        if let Some(same) = own.find(sub, |filter| filter.bag == bag) {
            let filter = &mut own.filters[same];
            self.ends.remove(&filter.end);
            filter.end = (end.max(filter.end.0), number);
            if reason == Reason::Refused {
                filter.reason = Reason::Refused;
            }
            self.ends.insert(filter.end, (agent, sub));
            return;
        }
        if own.chain(sub).count() >= MAX_FILTERS_PER_PAIR {
            let ends = own.chain(sub).map(|key| own.filters[key].end);
            if let Some(first) = ends.min() {
                self.remove(agent, sub, first);
            }
        }
        let end = (end, number);
        self.agents[agent.0].push(Filter {
            sub,
            bag,
            end,
            reason,
            next: NONE,
        });
        self.ends.insert(end, (agent, sub));
        self.counts[sub.0] += 1;
    }

    /// Whether refused resources of the subscription on the agent contain the offer. `compared`
    /// remembers the last refused resources looked at, for most frameworks refuse the same.
    pub fn hide(
        &self,
        agent: AgentKey,
        sub: SubKey,
        offer: &Resources,
        compared: &mut Option<(usize, bool)>,
    ) -> bool {
        let Some(agent) = self.agents.get(agent.0) else {
            return false;
        };
        let Some(head) = agent.heads.get(sub.0).filter(|head| head.first != NONE) else {
            return false;
        };
        if agent.contains(head.bag as usize, offer, compared) {
            return true;
        }
        let mut rest = agent.chain(sub).skip(1);
        rest.any(|key| agent.contains(agent.filters[key].bag, offer, compared))
    }

    /// Drops all filters of a subscription; returns whether there were any.
    pub fn clear_sub(&mut self, sub: SubKey) -> bool {
        if self.counts.get(sub.0).copied().unwrap_or(0) == 0 {
            return false;
        }
        for agent in 0..self.agents.len() {
            self.clear_pair(AgentKey(agent), sub);
        }
        true
    }

    /// Drops all filters on an agent.
    pub fn clear_agent(&mut self, agent: AgentKey) {
        let Some(filters) = self.agents.get_mut(agent.0) else {
            return;
        };
        for filter in std::mem::take(filters)
            .filters
            .into_iter()
            .map(|(_, filter)| filter)
        {
            self.ends.remove(&filter.end);
            self.counts[filter.sub.0] -= 1;
        }
    }

    /// Drops the filters that ended; returns their agents, some perhaps several times.
    pub fn expire(&mut self, now: Mono) -> Vec<AgentKey> {
        let mut agents = Vec::new();
        while let Some((&end, &(agent, sub))) = self.ends.first_key_value() {
            if end.0 > now {
                break;
            }
            self.remove(agent, sub, end);
            agents.push(agent);
        }
        agents
    }

    /// When the next filter ends.
    pub fn next_end(&self) -> Option<Mono> {
        self.ends.first_key_value().map(|(end, _)| end.0)
    }

    /// Filters that frameworks asked for, by subscription.
    pub fn refused_counts(&self) -> BTreeMap<SubKey, u64> {
        let mut counts = BTreeMap::new();
        for (_, filter) in self.agents.iter().flat_map(|agent| &agent.filters) {
            if filter.reason == Reason::Refused {
                *counts.entry(filter.sub).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Checks that lists, counts and ends agree.
    pub fn sanity_check(&self) -> Result<(), String> {
        let mut counts = vec![0_u32; self.counts.len()];
        for (key, agent) in self.agents.iter().enumerate() {
            let mut users = BTreeMap::new();
            for (_, filter) in &agent.filters {
                counts[filter.sub.0] += 1;
                *users.entry(filter.bag).or_insert(0_u32) += 1;
                if self.ends.get(&filter.end) != Some(&(AgentKey(key), filter.sub)) {
                    return Err(format!("a filter on agent {key} has no end"));
                }
                if !agent
                    .chain(filter.sub)
                    .any(|at| agent.filters[at].end == filter.end)
                {
                    return Err(format!("a filter on agent {key} is in no list"));
                }
            }
            if agent.bags.len() != users.len()
                || agent
                    .bags
                    .iter()
                    .any(|(bag, content)| users.get(&bag) != Some(&content.users))
            {
                return Err(format!("users of refused resources on agent {key} differ"));
            }
        }
        if counts != self.counts {
            return Err("counts of filters differ".to_owned());
        }
        if self.ends.len() != counts.iter().sum::<u32>() as usize {
            return Err("there are ends without filters".to_owned());
        }
        Ok(())
    }

    fn clear_pair(&mut self, agent: AgentKey, sub: SubKey) {
        while let Some(first) = self.agents[agent.0].find(sub, |_| true) {
            let end = self.agents[agent.0].filters[first].end;
            self.remove(agent, sub, end);
        }
    }

    fn remove(&mut self, agent: AgentKey, sub: SubKey, end: (Mono, u64)) {
        self.ends.remove(&end);
        if self.agents[agent.0].unlink(sub, end) {
            self.counts[sub.0] -= 1;
        }
    }
}

impl AgentFilters {
    fn chain(&self, sub: SubKey) -> impl Iterator<Item = usize> {
        let mut at = self.heads.get(sub.0).map_or(NONE, |head| head.first);
        std::iter::from_fn(move || {
            let key = (at != NONE).then_some(at as usize)?;
            at = self.filters[key].next;
            Some(key)
        })
    }

    fn contains(
        &self,
        bag: usize,
        offer: &Resources,
        compared: &mut Option<(usize, bool)>,
    ) -> bool {
        match *compared {
            Some((last, contained)) if last == bag => contained,
            _ => {
                let contained = self.bags[bag].resources.contains(offer);
                *compared = Some((bag, contained));
                contained
            }
        }
    }

    fn set_head(&mut self, sub: usize, first: u32) {
        self.heads[sub] = match self.filters.get(first as usize) {
            Some(filter) => Head {
                first,
                bag: to_u32(filter.bag),
            },
            None => NO_FILTER,
        };
    }

    fn find(&self, sub: SubKey, test: impl Fn(&Filter) -> bool) -> Option<usize> {
        self.chain(sub).find(|key| test(&self.filters[*key]))
    }

    /// The number of these resources; its user is counted by `push`.
    fn intern(&mut self, resources: Resources) -> usize {
        match self.bags.iter().find(|(_, bag)| bag.resources == resources) {
            Some((number, _)) => number,
            None => self.bags.insert(Bag {
                resources,
                users: 0,
            }),
        }
    }

    fn push(&mut self, mut filter: Filter) {
        let sub = filter.sub.0;
        if self.heads.len() <= sub {
            self.heads.resize(sub + 1, NO_FILTER);
        }
        self.bags[filter.bag].users += 1;
        filter.next = self.heads[sub].first;
        let first = self.filters.insert(filter);
        self.set_head(sub, to_u32(first));
    }

    fn unlink(&mut self, sub: SubKey, end: (Mono, u64)) -> bool {
        let Some(gone) = self.find(sub, |filter| filter.end == end) else {
            return false;
        };
        let before = self
            .chain(sub)
            .find(|key| self.filters[*key].next as usize == gone);
        let gone = self.filters.remove(gone);
        match before {
            Some(before) => self.filters[before].next = gone.next,
            None => self.set_head(sub.0, gone.next),
        }
        let bag = &mut self.bags[gone.bag];
        bag.users -= 1;
        if bag.users == 0 {
            self.bags.remove(gone.bag);
        }
        true
    }
}

/// A slab of four billion filters does not fit into memory.
fn to_u32(key: usize) -> u32 {
    u32::try_from(key).unwrap_or(NONE)
}
