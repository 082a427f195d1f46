//! Who waits for the next run: agents that changed, frameworks that changed, filters that ended.
//! What none of this concerns was looked at before, and would be decided as it was then.

use std::collections::BTreeSet;

use super::Allocator;
use super::keys::{AgentKey, KeyMap, SubKey};
use super::run::Candidates;
use crate::time::{Mono, Now};

/// When more frameworks than this wait for an agent, it is quicker to look at all of them.
const MAX_SUBS_PER_AGENT: usize = 32;

/// Who waits. Keys may be of those that are gone, or of others in their place by now: flags of
/// agents and subscriptions say who is meant, and a look too many does no harm.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Agents that changed: everybody may want them now.
    agents: Vec<AgentKey>,
    /// Subscriptions that changed: they may want any agent now.
    subs: Vec<SubKey>,
    /// Filters that ended.
    pairs: Vec<(AgentKey, SubKey)>,
    /// Agents of which shared volumes were offered, and when they may be offered again.
    again: BTreeSet<(Mono, AgentKey)>,
    /// Agents of which quota kept something back: to be looked at when it allows more.
    pub held_back: Vec<AgentKey>,
}

impl Waiting {
    /// When a shared volume may be offered again.
    pub fn next_again(&self) -> Option<Mono> {
        self.again.first().map(|(time, _)| *time)
    }
}

impl Allocator {
    /// The agent is looked at in the next run.
    pub(super) fn mark(&mut self, key: AgentKey) {
        let agent = &mut self.ledger.agents[key.0];
        if !agent.is_candidate && agent.is_offerable() {
            agent.is_candidate = true;
            self.waiting.agents.push(key);
        }
    }

    pub(super) fn mark_all(&mut self) {
        let agents: Vec<usize> = self.ledger.agents.iter().map(|(key, _)| key).collect();
        for agent in agents {
            self.mark(AgentKey(agent));
        }
    }

    /// The subscription is looked at on every agent in the next run, if it may get offers.
    pub(super) fn mark_sub(&mut self, key: SubKey) {
        let sub = &mut self.ledger.subs[key.0];
        if !sub.is_candidate && sub.listed {
            sub.is_candidate = true;
            self.waiting.subs.push(key);
        }
    }

    /// Takes note of what became due by time alone.
    pub(super) fn collect_due(&mut self, now: Now) {
        self.waiting.pairs.extend(self.filters.expire(now.mono));
        while let Some((time, agent)) = self.waiting.again.first().copied() {
            if time > now.mono {
                break;
            }
            self.waiting.again.pop_first();
            // The agent may be gone meanwhile.
            if self.ledger.agents.contains(agent.0) {
                self.mark(agent);
            }
        }
    }

    /// Shared volumes stay free when they are offered. As in Mesos the next one gets them an
    /// interval later: at once would make a loop of offers.
    pub(super) fn offer_again_later(&mut self, now: Now, agents: impl Iterator<Item = AgentKey>) {
        let time = now.mono + self.config.allocation_interval;
        self.waiting.again.extend(agents.map(|agent| (time, agent)));
    }

    /// Has quota's victims looked at again, if anybody may have more now.
    pub(super) fn reconsider_held_back(&mut self) {
        if !self.ledger.quotas.take_growth() {
            return;
        }
        for key in std::mem::take(&mut self.waiting.held_back) {
            if let Some(agent) = self.ledger.agents.get_mut(key.0)
                && std::mem::take(&mut agent.held_back)
            {
                self.mark(key);
            }
        }
    }

    pub(super) fn has_candidates(&self) -> bool {
        let waiting = &self.waiting;
        let may_grow = self.ledger.quotas.has_grown() && !waiting.held_back.is_empty();
        let has_subs = !waiting.subs.is_empty() && !self.ledger.agents.is_empty();
        may_grow || has_subs || !(waiting.agents.is_empty() && waiting.pairs.is_empty())
    }

    /// Who is to be looked at in this run, and for whom.
    pub(super) fn take_candidates(&mut self) -> Candidates {
        let subs = self.take_subs();
        let mut pairs = self.take_pairs();
        if subs.len() > MAX_SUBS_PER_AGENT {
            self.mark_all();
        } else if !subs.is_empty() {
            for (agent, entry) in &self.ledger.agents {
                if entry.is_offerable() && !entry.is_candidate {
                    let own = pairs.entry(AgentKey(agent)).or_default();
                    let fresh = subs.iter().filter(|sub| !own.contains(sub));
                    own.extend(fresh.copied().collect::<Vec<_>>());
                }
            }
        }
        let is_large = |subs: &Vec<SubKey>| subs.len() > MAX_SUBS_PER_AGENT;
        for agent in pairs
            .extract_if(|_, subs| is_large(subs))
            .map(|(key, _)| key)
            .collect::<Vec<_>>()
        {
            self.mark(agent);
        }
        let mut agents = std::mem::take(&mut self.waiting.agents);
        agents.retain(|key| match self.ledger.agents.get_mut(key.0) {
            Some(agent) => std::mem::take(&mut agent.is_candidate) && agent.is_offerable(),
            None => false,
        });
        let listed: BTreeSet<AgentKey> = match pairs.is_empty() {
            true => Default::default(),
            false => agents.iter().copied().collect(),
        };
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .filter(|(agent, _)| !listed.contains(agent))
            .collect();
        // The order in the map is of no meaning; one seed must replay one run.
        pairs.sort_unstable();
        Candidates { agents, pairs }
    }

    /// Waiting subscriptions that may get offers.
    fn take_subs(&mut self) -> Vec<SubKey> {
        let mut subs = std::mem::take(&mut self.waiting.subs);
        subs.retain(|key| match self.ledger.subs.get_mut(key.0) {
            Some(sub) => std::mem::take(&mut sub.is_candidate) && sub.listed,
            None => false,
        });
        subs
    }

    /// Ended filters by agent, as far as both sides are still there.
    fn take_pairs(&mut self) -> KeyMap<AgentKey, Vec<SubKey>> {
        let mut pairs: KeyMap<AgentKey, Vec<SubKey>> = KeyMap::default();
        for (agent, sub) in std::mem::take(&mut self.waiting.pairs) {
            let entry = self.ledger.agents.get(agent.0);
            let is_open = entry.is_some_and(|agent| agent.is_offerable() && !agent.is_candidate);
            if is_open && self.ledger.subs.get(sub.0).is_some_and(|sub| sub.listed) {
                let own = pairs.entry(agent).or_default();
                if !own.contains(&sub) {
                    own.push(sub);
                }
            }
        }
        pairs
    }

    /// Checks that lists and flags agree.
    pub(super) fn check_waiting(&self) -> Result<(), String> {
        for (key, agent) in &self.ledger.agents {
            let key = AgentKey(key);
            if agent.is_candidate && !self.waiting.agents.contains(&key) {
                return Err(format!("agent {}: candidate but not listed", agent.id));
            }
            if agent.held_back && !self.waiting.held_back.contains(&key) {
                return Err(format!("agent {}: held back but not listed", agent.id));
            }
        }
        for (key, sub) in &self.ledger.subs {
            if sub.is_candidate && !self.waiting.subs.contains(&SubKey(key)) {
                return Err(format!("sub {key}: candidate but not listed"));
            }
        }
        Ok(())
    }
}
