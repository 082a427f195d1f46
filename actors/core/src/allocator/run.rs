//! One allocation run: goes through the candidate agents and gives each to whoever is next.
//! Changes only the ledger; what becomes of the proposals is the master's decision.

use super::AllocatorConfig;
use super::filters::Filters;
use super::holdings::is_plain;
use super::keys::{AgentKey, KeyMap, RoleKey, SubKey};
use super::ledger::Ledger;
use super::messages::Proposal;
use super::offer::{Rules, Stage, View, meets};
use super::reasons::Reason;
use super::sorter::Walk;
use crate::ids::IdSource;
use crate::resources::{Entry, Resources};

/// Agents to be looked at, and on behalf of whom.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// For everybody: something about the agent changed.
    pub agents: Vec<AgentKey>,
    /// For a few only: something about them changed.
    pub pairs: Vec<(AgentKey, Vec<SubKey>)>,
}

impl Candidates {
    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.pairs.is_empty()
    }
}

/// What a run works on.
pub(super) struct Run<'a> {
    pub ledger: &'a mut Ledger,
    pub filters: &'a Filters,
    pub config: &'a AllocatorConfig,
    pub random: &'a mut IdSource,
    /// Agents of which quota kept something back.
    pub held_back: &'a mut Vec<AgentKey>,
    pub proposals: Vec<Proposal>,
    /// Shared volumes go to one framework per run; the next run may offer them again.
    pub shared_out: KeyMap<AgentKey, Resources>,
    /// Roles that quota allows nothing more in this run, whatever the agent.
    pub shut: Vec<bool>,
}

/// How to go on after a framework was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Framework,
    Role,
}

impl Run<'_> {
    /// Both stages of Mesos's allocation: guarantees first, then fair shares.
    pub fn run(&mut self, mut candidates: Candidates) {
        if self.ledger.quotas.any() {
            self.stage(&mut candidates, Stage::Guarantees);
        }
        self.stage(&mut candidates, Stage::FairShare);
    }

    fn stage(&mut self, candidates: &mut Candidates, stage: Stage) {
        // Shuffled, so that no agent is always first to be given away.
        shuffle(&mut candidates.agents, self.random);
        shuffle(&mut candidates.pairs, self.random);
        let (mut roles, mut subs) = (Walk::default(), Walk::default());
        for agent in &candidates.agents {
            self.offer_to_all(*agent, stage, &mut roles, &mut subs);
        }
        for (agent, subs) in &candidates.pairs {
            self.offer_to_some(*agent, stage, subs);
        }
    }

    fn offer_to_all(&mut self, agent: AgentKey, stage: Stage, roles: &mut Walk, subs: &mut Walk) {
        if !self.has_something(agent, stage) {
            return;
        }
        let mut view: Option<View> = None;
        // Where nothing but what quota counts can be offered, shut roles need no second look.
        let skip_shut = stage == Stage::FairShare
            && self.ledger.quotas.any()
            && self.only_plain_is_worth(agent);
        let Ledger {
            totals,
            role_sorter,
            ..
        } = &mut *self.ledger;
        role_sorter.begin(totals, self.random, roles);
        while let Some(role) = self.ledger.role_sorter.next(roles).map(RoleKey) {
            if stage == Stage::Guarantees && !self.has_unmet(role) {
                continue;
            }
            if skip_shut && self.is_shut(role) {
                self.note_held_back(agent);
                continue;
            }
            self.begin_role(agent, role, &mut view, subs);
            while let Some(sub) = self.ledger.roles[role.0].sorter.next(subs).map(SubKey) {
                if self.offer_to(agent, sub, stage, &mut view) == Next::Role {
                    break;
                }
            }
            if !self.has_something(agent, stage) {
                return;
            }
        }
    }

    /// Whether what is free besides what quota counts is too little for an offer.
    fn only_plain_is_worth(&self, agent: AgentKey) -> bool {
        let free = &self.ledger.agents[agent.0].free;
        let is_reserved = free.iter().any(Entry::is_reserved);
        let minimum = &self.config.min_allocatable_resources;
        !is_reserved && !meets(&free.filter(|entry| !is_plain(entry)), minimum)
    }

    fn is_shut(&mut self, role: RoleKey) -> bool {
        if self.shut.len() <= role.0 {
            self.shut.resize(role.0 + 1, false);
        }
        if self.shut[role.0] {
            return true;
        }
        let Ledger {
            roles,
            totals,
            quotas,
            ..
        } = &*self.ledger;
        let entry = &roles[role.0];
        self.shut[role.0] = entry.own_minimums == 0 && quotas.is_shut(entry.top, totals.kinds());
        self.shut[role.0]
    }

    /// As if everybody was asked, when all but these have nothing new to say.
    fn offer_to_some(&mut self, agent: AgentKey, stage: Stage, subs: &[SubKey]) {
        for (role, subs) in self.in_order(subs) {
            if !self.has_something(agent, stage) {
                return;
            }
            if stage == Stage::Guarantees && !self.has_unmet(role) {
                continue;
            }
            let mut view = None;
            for sub in subs {
                if self.offer_to(agent, sub, stage, &mut view) == Next::Role {
                    break;
                }
            }
        }
    }

    fn begin_role(
        &mut self,
        agent: AgentKey,
        role: RoleKey,
        view: &mut Option<View>,
        subs: &mut Walk,
    ) {
        // Without reservations every role sees the same.
        let mut free = self.ledger.agents[agent.0].free.iter();
        if free.any(Entry::is_reserved) {
            *view = None;
        }
        let Ledger { roles, totals, .. } = &mut *self.ledger;
        roles[role.0].sorter.begin(totals, self.random, subs);
    }

    fn offer_to(
        &mut self,
        agent: AgentKey,
        sub: SubKey,
        stage: Stage,
        view: &mut Option<View>,
    ) -> Next {
        let rules = Rules {
            ledger: self.ledger,
            filters: self.filters,
            config: self.config,
        };
        let role = self.ledger.subs[sub.0].role;
        let seen = view.get_or_insert_with(|| rules.view(agent, role, self.shared_out.get(&agent)));
        match rules.judge(agent, sub, seen, stage) {
            Ok(candidate) => {
                *view = None;
                if candidate.is_cut {
                    self.note_held_back(agent);
                }
                self.give(agent, sub, role, &candidate.resources);
                let is_done = stage == Stage::Guarantees && !self.has_unmet(role);
                match is_done || self.ledger.agents[agent.0].free.is_empty() {
                    true => Next::Role,
                    false => Next::Framework,
                }
            }
            Err(Reason::QuotaLimit | Reason::Headroom) => {
                self.note_held_back(agent);
                Next::Framework
            }
            Err(Reason::NothingForRole) => Next::Role,
            Err(_) => Next::Framework,
        }
    }

    fn give(&mut self, agent: AgentKey, sub: SubKey, role: RoleKey, bare: &Resources) {
        let path = self.ledger.roles[role.0].path.clone();
        let mut resources = bare.clone();
        resources.allocate(&path);
        if bare.iter().any(Entry::is_shared) {
            let shared_out = self.shared_out.entry(agent).or_default();
            shared_out.add(&bare.shared());
        }
        self.ledger.charge(sub, agent, &resources, bare, true);
        let framework = &self.ledger.frameworks[self.ledger.subs[sub.0].framework.0];
        let agent = &self.ledger.agents[agent.0];
        self.proposals.push(Proposal {
            framework: framework.id.clone(),
            framework_generation: framework.generation,
            role: path,
            agent: agent.id.clone(),
            agent_generation: agent.generation,
            resources,
        });
    }

    fn has_something(&self, agent: AgentKey, stage: Stage) -> bool {
        let agent = &self.ledger.agents[agent.0];
        match stage {
            Stage::Guarantees => !agent.plain.is_zero(),
            Stage::FairShare => !agent.free.is_empty(),
        }
    }

    fn has_unmet(&self, role: RoleKey) -> bool {
        let top = self.ledger.roles[role.0].top;
        self.ledger.quotas.top(top).has_unmet()
    }

    fn note_held_back(&mut self, agent: AgentKey) {
        let entry = &mut self.ledger.agents[agent.0];
        if !entry.held_back {
            entry.held_back = true;
            self.held_back.push(agent);
        }
    }

    /// The subscriptions by role, both in the order in which a walk through all would meet them.
    fn in_order(&mut self, subs: &[SubKey]) -> Vec<(RoleKey, Vec<SubKey>)> {
        let role_of = |ledger: &Ledger, sub: &SubKey| ledger.subs[sub.0].role;
        let mut slots = Vec::new();
        for sub in subs {
            let slot = self.ledger.roles[role_of(self.ledger, sub).0].slot;
            if !slots.contains(&slot) {
                slots.push(slot);
            }
        }
        let Ledger {
            totals,
            role_sorter,
            roles,
            subs: entries,
            ..
        } = &mut *self.ledger;
        role_sorter.order_among(totals, self.random, &mut slots);
        let mut ordered = Vec::with_capacity(slots.len());
        for role_slot in slots {
            let mut own: Vec<SubKey> = subs.to_vec();
            own.retain(|sub| roles[entries[sub.0].role.0].slot == role_slot);
            let Some(role) = own.first().map(|sub| entries[sub.0].role) else {
                continue;
            };
            let mut places: Vec<_> = own.iter().map(|sub| entries[sub.0].slot).collect();
            let sorter = &mut roles[role.0].sorter;
            sorter.order_among(totals, self.random, &mut places);
            own.sort_by_key(|sub| {
                let place = entries[sub.0].slot;
                places.iter().position(|other| *other == place)
            });
            ordered.push((role, own));
        }
        ordered
    }
}

/// Fisher and Yates's shuffle.
fn shuffle<T>(items: &mut [T], random: &mut IdSource) {
    for last in (1..items.len()).rev() {
        let other = (random.next_u64() % (last as u64 + 1)) as usize;
        items.swap(last, other);
    }
}
