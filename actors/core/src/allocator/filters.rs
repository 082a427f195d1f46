//! Offer filters: resources a framework refused on an agent, hidden from it for a while.
//! Does not know why they were refused or what else is on the agent.

use std::collections::BTreeMap;

use slab::Slab;
use smallvec::SmallVec;

use super::keys::{AgentKey, KeyMap, SubKey};
use crate::resources::Resources;
use crate::time::Mono;

/// Filters one framework may have for one role on one agent. Each further one replaces the
/// one that ends first: it takes a row of ever larger refused offers to get here.
const MAX_FILTERS_PER_PAIR: usize = 16;

/// Why a filter exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The framework asked for it.
    Refused,
    /// The framework gave resources back without asking for a filter. Mesos would offer them
    /// to it again in its next interval; a short filter keeps that pace, where offering them
    /// at once would make a tight loop of offers and refusals.
    Echo,
}

/// When a filter ends, with a number that makes each unique.
type End = (Mono, u64);

/// All filters of all agents, and when they end.
#[derive(Debug, Default)]
pub(super) struct Filters {
    agents: Vec<AgentFilters>,
    ends: BTreeMap<End, (AgentKey, SubKey)>,
    next_number: u64,
    counts: Vec<Counts>,
}

/// Filters of one subscription; spares the search when there are none.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Counts {
    all: u32,
    refused: u32,
}

/// Filters of one agent. Takes memory for the filters that exist, not for those that might.
#[derive(Debug, Default)]
struct AgentFilters {
    /// Nearly always one filter a list.
    lists: KeyMap<SubKey, SmallVec<[Filter; 1]>>,
    bags: Slab<Bag>,
}

#[derive(Debug, Clone, Copy)]
struct Filter {
    bag: u32,
    cause: Cause,
    end: End,
}

/// Refused resources; frameworks that refused the same ones share them.
#[derive(Debug)]
struct Bag {
    resources: Resources,
    users: u32,
}

/// The refused resources an offer was compared with last, and whether they contain it.
pub(super) type Compared = Option<(u32, bool)>;

impl Filters {
    /// Hides whatever `refused` (without allocation role) contains, until `end`.
    pub fn add(
        &mut self,
        agent: AgentKey,
        sub: SubKey,
        refused: Resources,
        end: Mono,
        cause: Cause,
    ) {
        if self.agents.len() <= agent.0 {
            self.agents.resize_with(agent.0 + 1, AgentFilters::default);
        }
        if self.counts.len() <= sub.0 {
            self.counts.resize(sub.0 + 1, Counts::default());
        }
        let number = self.next_number;
        self.next_number += 1;
        let own = &mut self.agents[agent.0];
        let bag = own.intern(refused);
        let list = own.lists.entry(sub).or_default();
        let mut new = Filter {
            bag,
            cause,
            end: (end, number),
        };
        // A second refusal of the same resources prolongs the first.
        let mut replaced = list.iter().position(|filter| filter.bag == bag);
        if let Some(at) = replaced {
            let old = list[at];
            new.end.0 = new.end.0.max(old.end.0);
            if old.cause == Cause::Refused {
                new.cause = Cause::Refused;
            }
        } else if list.len() >= MAX_FILTERS_PER_PAIR {
            let ends = list.iter().enumerate();
            replaced = ends.min_by_key(|(_, filter)| filter.end).map(|(at, _)| at);
        }
        let old = replaced.map(|at| list.swap_remove(at));
        list.push(new);
        own.bags[bag as usize].users += 1;
        self.ends.insert(new.end, (agent, sub));
        self.count(sub, new.cause, 1);
        if let Some(old) = old {
            self.forget(agent, sub, old);
        }
    }

    /// Whether refused resources of the subscription on the agent contain the offer, and until
    /// when. `compared` remembers the last comparison, for most frameworks refuse the same.
    pub fn hide(
        &self,
        agent: AgentKey,
        sub: SubKey,
        offer: &Resources,
        compared: &mut Compared,
    ) -> Option<Mono> {
        let agent = self.agents.get(agent.0)?;
        let list = agent.lists.get(&sub)?;
        let mut filters = list.iter();
        let found = filters.find(|filter| match *compared {
            Some((last, contained)) if last == filter.bag => contained,
            _ => {
                let contained = agent.bags[filter.bag as usize].resources.contains(offer);
                *compared = Some((filter.bag, contained));
                contained
            }
        });
        found.map(|filter| filter.end.0)
    }

    /// Drops all filters of a subscription; returns whether there were any.
    pub fn clear_sub(&mut self, sub: SubKey) -> bool {
        if self.counts.get(sub.0).is_none_or(|counts| counts.all == 0) {
            return false;
        }
        for agent in 0..self.agents.len() {
            let gone = self.agents[agent].lists.remove(&sub);
            for filter in gone.into_iter().flatten() {
                self.forget(AgentKey(agent), sub, filter);
            }
        }
        true
    }

    /// Drops all filters on an agent.
    pub fn clear_agent(&mut self, agent: AgentKey) {
        let Some(filters) = self.agents.get_mut(agent.0) else {
            return;
        };
        for (sub, list) in std::mem::take(filters).lists {
            for filter in list {
                self.ends.remove(&filter.end);
                self.count(sub, filter.cause, -1);
            }
        }
    }

    /// Drops the filters that ended; tells whose they were.
    pub fn expire(&mut self, now: Mono) -> Vec<(AgentKey, SubKey)> {
        let mut ended = Vec::new();
        while let Some((&end, &(agent, sub))) = self.ends.first_key_value() {
            if end.0 > now {
                break;
            }
            self.ends.remove(&end);
            let lists = &mut self.agents[agent.0].lists;
            if let Some(list) = lists.get_mut(&sub)
                && let Some(at) = list.iter().position(|filter| filter.end == end)
            {
                let filter = list.swap_remove(at);
                if list.is_empty() {
                    lists.remove(&sub);
                }
                self.forget(agent, sub, filter);
            }
            ended.push((agent, sub));
        }
        ended
    }

    /// When the next filter ends.
    pub fn next_end(&self) -> Option<Mono> {
        self.ends.first_key_value().map(|(end, _)| end.0)
    }

    /// How many filters the subscription's framework asked for.
    pub fn refused_count(&self, sub: SubKey) -> u64 {
        let counts = self.counts.get(sub.0);
        counts.map_or(0, |counts| u64::from(counts.refused))
    }

    /// Subscriptions with filters.
    pub fn subs(&self) -> impl Iterator<Item = SubKey> {
        let counts = self.counts.iter().enumerate();
        counts
            .filter(|(_, counts)| counts.all > 0)
            .map(|(sub, _)| SubKey(sub))
    }

    /// Checks that lists, counts and ends agree.
    pub fn sanity_check(&self) -> Result<(), String> {
        let mut counts = vec![Counts::default(); self.counts.len()];
        for (key, agent) in self.agents.iter().enumerate() {
            let mut users = BTreeMap::new();
            for (sub, list) in &agent.lists {
                if list.is_empty() {
                    return Err(format!("an empty list of filters on agent {key}"));
                }
                for filter in list {
                    counts[sub.0].all += 1;
                    counts[sub.0].refused += u32::from(filter.cause == Cause::Refused);
                    *users.entry(filter.bag as usize).or_insert(0_u32) += 1;
                    if self.ends.get(&filter.end) != Some(&(AgentKey(key), *sub)) {
                        return Err(format!("a filter on agent {key} has no end"));
                    }
                }
            }
            let bags = agent.bags.iter().map(|(bag, content)| (bag, content.users));
            if bags.collect::<BTreeMap<_, _>>() != users {
                return Err(format!("users of refused resources on agent {key} differ"));
            }
        }
        if counts != self.counts {
            return Err("counts of filters differ".to_owned());
        }
        let all: u32 = counts.iter().map(|counts| counts.all).sum();
        if self.ends.len() != all as usize {
            return Err("there are ends without filters".to_owned());
        }
        Ok(())
    }

    /// Ends what else is kept of a filter that is in no list any more.
    fn forget(&mut self, agent: AgentKey, sub: SubKey, filter: Filter) {
        self.ends.remove(&filter.end);
        let bags = &mut self.agents[agent.0].bags;
        bags[filter.bag as usize].users -= 1;
        if bags[filter.bag as usize].users == 0 {
            bags.remove(filter.bag as usize);
        }
        self.count(sub, filter.cause, -1);
    }

    fn count(&mut self, sub: SubKey, cause: Cause, change: i32) {
        let counts = &mut self.counts[sub.0];
        counts.all = counts.all.wrapping_add_signed(change);
        if cause == Cause::Refused {
            counts.refused = counts.refused.wrapping_add_signed(change);
        }
    }
}

impl AgentFilters {
    /// The number of these resources; the caller counts its use.
    fn intern(&mut self, resources: Resources) -> u32 {
        let known = self.bags.iter().find(|(_, bag)| bag.resources == resources);
        let number = match known {
            Some((number, _)) => number,
            None => self.bags.insert(Bag {
                resources,
                users: 0,
            }),
        };
        // A slab of four billion bags does not fit into memory.
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}
