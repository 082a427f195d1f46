//! One allocation run: goes through the candidate agents and gives each to whoever is next.
//! Changes only the ledger; what becomes of the proposals is the master's decision.

use super::capabilities::Kinds;
use super::filters::Filters;
use super::ledger::{AgentKey, Ledger, RoleKey, Sub, SubKey};
use super::messages::Proposal;
use crate::resources::{Entry, Quantities, Resources};

/// What a run works on.
pub(super) struct Run<'a> {
    pub ledger: &'a mut Ledger,
    pub filters: &'a Filters,
    /// Alternatives for the smallest offer, unless the framework has its own.
    pub minimum: &'a [Quantities],
    pub filter_gpus: bool,
    pub proposals: Vec<Proposal>,
}

/// Part of an agent's free resources as one kind of framework sees it: without what it cannot
/// use, in the order of an offer.
struct Offer {
    stripped: Kinds,
    resources: Resources,
    meets_minimum: bool,
    /// The last refused resources compared with it, and whether they contain it.
    compared: Option<(usize, bool)>,
}

/// What an agent can offer to a role, prepared once for all of its frameworks.
struct View {
    available: Resources,
    special: Kinds,
    offers: Vec<Offer>,
}

impl Run<'_> {
    /// The second stage of Mesos's allocation: each role in turn, each framework in turn gets
    /// all that is left for the role. (The first stage serves quota guarantees.)
    pub fn fair_share_stage(&mut self, agents: &[AgentKey]) {
        let mut roles = Vec::new();
        let mut subs = Vec::new();
        for agent in agents {
            self.offer_agent(*agent, &mut roles, &mut subs);
        }
    }

    fn offer_agent(&mut self, agent: AgentKey, roles: &mut Vec<usize>, subs: &mut Vec<usize>) {
        if self.ledger.agents[agent.0].free.is_empty() {
            return;
        }
        // A shared resource goes to one framework per run; the next run may offer it again.
        let mut shared_out = Resources::new();
        let mut view: Option<View> = None;
        self.ledger.role_sorter.order(&self.ledger.totals, roles);
        for role in roles.iter().map(|role| RoleKey(*role)) {
            let free = &self.ledger.agents[agent.0].free;
            if free.is_empty() {
                return;
            }
            // Without reservations every role sees the same.
            if free.iter().any(Entry::is_reserved) {
                view = None;
            }
            let Ledger {
                roles: entries,
                totals,
                ..
            } = &mut *self.ledger;
            entries[role.0].sorter.order(totals, subs);
            for sub in subs.iter().map(|sub| SubKey(*sub)) {
                let seen = view.get_or_insert_with(|| self.view(agent, role, &shared_out));
                if seen.available.is_empty() {
                    break;
                }
                if let Some(resources) = self.offer_for(agent, sub, role, seen) {
                    shared_out.add(&resources.shared());
                    self.give(agent, sub, role, &resources);
                    view = None;
                }
            }
        }
    }

    fn view(&self, agent: AgentKey, role: RoleKey, shared_out: &Resources) -> View {
        let path = &self.ledger.roles[role.0].path;
        let mut available = self.ledger.agents[agent.0].free.allocatable_to(path);
        available.subtract(shared_out);
        View {
            special: Kinds::among(&available),
            available,
            offers: Vec::new(),
        }
    }

    /// What the framework would be offered, unless something speaks against it.
    fn offer_for(
        &self,
        agent_key: AgentKey,
        sub_key: SubKey,
        role: RoleKey,
        view: &mut View,
    ) -> Option<Resources> {
        let sub = &self.ledger.subs[sub_key.0];
        let agent = &self.ledger.agents[agent_key.0];
        let role = &self.ledger.roles[role.0];
        if !agent
            .traits
            .admits(sub.traits, role.nested, self.filter_gpus)
        {
            return None;
        }
        let offer = view.offer(sub.traits.cannot_use, self.minimum);
        if !offer.is_large_enough_for(sub) {
            return None;
        }
        let Offer {
            resources,
            compared,
            ..
        } = offer;
        let hidden = self.filters.hide(agent_key, sub_key, resources, compared);
        let constraints = sub.constraints.as_ref();
        if hidden || constraints.is_some_and(|c| c.is_agent_excluded(&role.path, &agent.facts.info))
        {
            return None;
        }
        Some(offer.resources.clone())
    }

    fn give(&mut self, agent: AgentKey, sub: SubKey, role: RoleKey, bare: &Resources) {
        let path = self.ledger.roles[role.0].path.clone();
        let mut resources = bare.clone();
        resources.allocate(&path);
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
}

impl View {
    fn offer(&mut self, cannot_use: Kinds, minimum: &[Quantities]) -> &mut Offer {
        let stripped = self.special.and(cannot_use);
        let at = match self
            .offers
            .iter()
            .position(|offer| offer.stripped == stripped)
        {
            Some(at) => at,
            None => {
                let resources = arrange(&self.available, stripped);
                let meets_minimum = meets(&resources, minimum);
                self.offers.push(Offer {
                    stripped,
                    resources,
                    meets_minimum,
                    compared: None,
                });
                self.offers.len() - 1
            }
        };
        &mut self.offers[at]
    }
}

impl Offer {
    fn is_large_enough_for(&self, sub: &Sub) -> bool {
        match &sub.minimum {
            None => self.meets_minimum,
            Some(minimum) => meets(&self.resources, minimum),
        }
    }
}

/// Whether an offer has at least one of the alternatives; without any, all but nothing will do.
fn meets(resources: &Resources, minimum: &[Quantities]) -> bool {
    !resources.is_empty()
        && (minimum.is_empty() || minimum.iter().any(|one| resources.contains_quantities(one)))
}

/// The order in which Mesos lists an offer: first what quota never limits, then the rest.
fn arrange(available: &Resources, stripped: Kinds) -> Resources {
    let is_limited = |entry: &Entry| {
        entry.scalar_milli().is_some() && !entry.is_reserved() && !entry.is_revocable()
    };
    let usable = || available.iter().filter(|entry| !stripped.include(entry));
    let unlimited = usable().filter(|entry| !is_limited(entry));
    let limited = usable().filter(|entry| is_limited(entry));
    unlimited.chain(limited).cloned().collect()
}
