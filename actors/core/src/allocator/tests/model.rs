//! A slow, obvious allocator: it keeps nothing it can count again, and looks at everybody.
//! Knows scalars of one entry per name, ports and reservations; no shared or exclusive resources.

use super::*;
use crate::resources::roles::is_in_subtree;
use crate::resources::{Entry, format_milli};

/// What one run gives: resources without allocation role.
pub(super) type Offers = BTreeMap<(FrameworkId, Role, AgentId), Resources>;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Model {
    pub interval: Duration,
    pub minimum: Vec<Quantities>,
    pub agents: BTreeMap<AgentId, Agent>,
    pub frameworks: BTreeMap<FrameworkId, Framework>,
    pub quotas: BTreeMap<Role, Quota>,
    pub weights: BTreeMap<Role, f64>,
    pub whitelist: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agent {
    facts: AgentFacts,
    pub active: bool,
    pub total: Resources,
    pub held: BTreeMap<(FrameworkId, Role), Resources>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Framework {
    roles: Vec<Role>,
    suppressed: Vec<Role>,
    active: bool,
    /// How often a run gave it something, by role.
    times: BTreeMap<Role, u64>,
    filters: Vec<Filter>,
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    role: Role,
    agent: AgentId,
    refused: Resources,
    end: Mono,
}

/// What quota counts of an agent: unreserved scalars that are not revocable.
pub(super) fn is_plain(entry: &Entry) -> bool {
    entry.scalar_milli().is_some() && !entry.is_reserved() && !entry.is_revocable()
}

fn top(role: &str) -> &str {
    role.split('/').next().unwrap()
}

/// Takes of each plain entry what `most` allows of its name; `None` allows all.
fn cut(resources: &Resources, most: impl Fn(&str) -> Option<i64>) -> Resources {
    let mut taken = Resources::new();
    for entry in resources {
        let milli = entry.scalar_milli().unwrap();
        let milli = most(entry.name()).map_or(milli, |most| milli.min(most).max(0));
        taken.add(&bag(&format!("{}:{}", entry.name(), format_milli(milli))));
    }
    taken
}

impl Model {
    /// One run that visits the agents in these orders, one per stage.
    pub fn allocate(&mut self, now: Mono, orders: [&[AgentId]; 2]) -> Offers {
        let mut offers = Offers::new();
        for (is_first_stage, order) in [(true, orders[0]), (false, orders[1])] {
            for agent in order {
                for role in self.roles_in_order() {
                    for id in self.frameworks_in_order(&role) {
                        let Some(offer) = self.offer(is_first_stage, now, agent, &role, &id) else {
                            continue;
                        };
                        self.hold(agent, &id, &role, &offer);
                        let framework = self.frameworks.get_mut(&id).unwrap();
                        *framework.times.entry(role.clone()).or_default() += 1;
                        let to = (id, role.clone(), agent.clone());
                        offers.entry(to).or_default().add(&offer);
                    }
                }
            }
        }
        offers
    }

    fn offer(
        &self,
        is_first_stage: bool,
        now: Mono,
        agent_id: &AgentId,
        role: &Role,
        framework: &FrameworkId,
    ) -> Option<Resources> {
        let agent = &self.agents[agent_id];
        let hosts = self.whitelist.as_ref();
        if !agent.active || hosts.is_some_and(|hosts| !hosts.contains(&agent.facts.info.hostname)) {
            return None;
        }
        let free = agent.free().allocatable_to(role);
        let quota = self.quotas.get(top(role)).cloned().unwrap_or_default();
        let consumed = self.consumed(top(role));
        let (required, available) = (self.required(), self.available());
        let mut guaranteed = Resources::new();
        if is_first_stage {
            let unmet = |name: &str| Some(quota.guarantees.get(name) - consumed.get(name));
            guaranteed = cut(&free.filter(is_plain), unmet);
            if guaranteed.is_empty() {
                return None;
            }
        }
        let mut more = free.filter(is_plain);
        more.subtract(&guaranteed);
        more = cut(&more, |name| {
            let limit = quota.limits.get(name)?;
            Some(limit - consumed.get(name) - guaranteed.scalar_milli(name))
        });
        if !required.is_empty() {
            more = cut(&more, |name| Some(available.get(name) - required.get(name)));
        }
        let mut offer = free.filter(|entry| !is_plain(entry));
        offer.add(&guaranteed);
        offer.add(&more);
        let is_large = |one: &Quantities| offer.contains_quantities(one);
        let hides = |filter: &Filter| {
            let is_of_this = filter.role == *role && filter.agent == *agent_id && filter.end > now;
            is_of_this && filter.refused.contains(&offer)
        };
        let is_hidden = self.frameworks[framework].filters.iter().any(hides);
        (self.minimum.iter().any(is_large) && !is_hidden).then_some(offer)
    }

    /// Pre-order through the tree of roles, as the order of the keys of all nodes on the way.
    fn roles_in_order(&self) -> Vec<Role> {
        let all = self
            .frameworks
            .values()
            .flat_map(|framework| &framework.roles);
        let mut roles: Vec<Role> = all.cloned().collect();
        roles.sort_by_cached_key(|role| {
            let ends = role
                .match_indices('/')
                .map(|(at, _)| at)
                .chain([role.len()]);
            let mut keys: Vec<(u64, u64, String)> = ends
                .map(|end| self.key(&role[..end], |other| is_in_subtree(&role[..end], other)))
                .collect();
            let (_, times, _) = self.key(role, |other| other == &**role);
            let share = self.share(|_, other| other == &**role);
            keys.push((share.to_bits(), times, ".".to_owned()));
            keys
        });
        roles.dedup();
        roles
    }

    fn key(&self, path: &str, is_below: impl Fn(&str) -> bool) -> (u64, u64, String) {
        let times = self
            .frameworks
            .values()
            .flat_map(|framework| &framework.times);
        let times = times
            .filter(|(role, _)| is_below(role))
            .map(|(_, times)| times);
        let share = self.share(|_, role| is_below(role));
        let share = share / self.weights.get(path).copied().unwrap_or(1.0);
        let name = path.rsplit('/').next().unwrap();
        // Of numbers that are not negative the bits have the same order.
        (share.to_bits(), times.sum(), name.to_owned())
    }

    fn frameworks_in_order(&self, role: &Role) -> Vec<FrameworkId> {
        let wants = |framework: &Framework| {
            framework.active
                && framework.roles.contains(role)
                && !framework.suppressed.contains(role)
        };
        let listed = self
            .frameworks
            .iter()
            .filter(|(_, framework)| wants(framework));
        let mut ids: Vec<FrameworkId> = listed.map(|(id, _)| id.clone()).collect();
        ids.sort_by_cached_key(|id| {
            let times = self.frameworks[id].times.get(role).copied().unwrap_or(0);
            (
                self.share(|other, held| other == id && held == &**role)
                    .to_bits(),
                times,
                id.clone(),
            )
        });
        ids
    }

    fn share(&self, counts: impl Fn(&FrameworkId, &str) -> bool) -> f64 {
        let total = self.total();
        let mut held = Quantities::default();
        for ((framework, role), resources) in self.agents.values().flat_map(|agent| &agent.held) {
            if counts(framework, role) {
                held.add(&resources.quantities());
            }
        }
        let share = |(name, milli): (&Arc<str>, &i64)| *milli as f64 / total.get(name) as f64;
        held.0.iter().map(share).fold(0.0, f64::max)
    }

    pub fn total(&self) -> Quantities {
        let mut total = Quantities::default();
        for agent in self.agents.values() {
            total.add(&agent.total.quantities());
        }
        total
    }

    /// Reservations and other allocations of a top-level role and its subroles.
    pub fn consumed(&self, role: &str) -> Quantities {
        let mut consumed = Quantities::default();
        for agent in self.agents.values() {
            let is_own = |entry: &Entry| {
                entry
                    .reservation_role()
                    .is_some_and(|owner| top(owner) == role)
            };
            consumed.add(&agent.total.filter(is_own).quantities());
            for ((_, _), held) in agent
                .held
                .iter()
                .filter(|((_, holder), _)| top(holder) == role)
            {
                consumed.add(&held.filter(is_plain).quantities());
            }
        }
        consumed
    }

    /// What guarantees still need.
    pub fn required(&self) -> Quantities {
        let mut required = Quantities::default();
        for (role, quota) in &self.quotas {
            let mut unmet = quota.guarantees.clone();
            unmet.subtract(&self.consumed(role));
            required.add(&unmet);
        }
        required
    }

    /// What is free for guarantees.
    pub fn available(&self) -> Quantities {
        let mut available = Quantities::default();
        for agent in self.agents.values() {
            available.add(&agent.free().filter(is_plain).quantities());
        }
        available
    }

    pub fn hold(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        bare: &Resources,
    ) {
        let held = &mut self.agents.get_mut(agent).unwrap().held;
        held.entry((framework.clone(), role.clone()))
            .or_default()
            .add(bare);
    }

    /// Takes in a change. Frameworks stay, and nobody gives back what it does not hold.
    pub fn apply(&mut self, now: Mono, command: &Command) {
        match command {
            Command::AddFramework {
                id, facts, active, ..
            } => {
                let framework = Framework {
                    roles: facts.roles.clone(),
                    suppressed: facts.suppressed.clone(),
                    active: *active,
                    times: BTreeMap::new(),
                    filters: Vec::new(),
                };
                self.frameworks.insert(id.clone(), framework);
            }
            Command::ActivateFramework { id, .. } => self.framework(id).active = true,
            Command::DeactivateFramework(id) => {
                self.framework(id).active = false;
                self.framework(id).filters.clear();
            }
            Command::Revive { framework, roles } => {
                let framework = self.framework(framework);
                framework.suppressed.retain(|role| !roles.contains(role));
                framework
                    .filters
                    .retain(|filter| !roles.contains(&filter.role));
            }
            Command::Suppress { framework, roles } => {
                self.framework(framework)
                    .suppressed
                    .extend(roles.iter().cloned());
            }
            Command::AddAgent {
                id,
                facts,
                total,
                used,
                ..
            } => {
                self.remove_agent(id);
                let agent = Agent {
                    facts: facts.clone(),
                    active: true,
                    total: total.clone(),
                    held: BTreeMap::new(),
                };
                self.agents.insert(id.clone(), agent);
                for (framework, resources) in used {
                    let role = resources.sole_allocation_role().unwrap();
                    self.hold(id, framework, role, &resources.unallocated());
                }
            }
            Command::UpdateAgent { id, facts, total } => {
                let agent = self.agents.get_mut(id).unwrap();
                let is_same = agent.facts.info.attributes == facts.info.attributes;
                (agent.facts, agent.total) = (facts.clone(), total.clone());
                if !is_same {
                    self.clear_filters_on(id);
                }
            }
            Command::ActivateAgent(id) => self.agents.get_mut(id).unwrap().active = true,
            Command::DeactivateAgent(id) => self.agents.get_mut(id).unwrap().active = false,
            Command::RemoveAgent(id) => self.remove_agent(id),
            Command::Release {
                framework,
                agent,
                resources,
                refusal,
            } => {
                self.release(now, framework, agent, resources, *refusal);
            }
            Command::Transform {
                framework,
                agent,
                consumed,
                converted,
            } => {
                self.release(now, framework, agent, consumed, None);
                let role = consumed.sole_allocation_role().unwrap();
                self.hold(agent, framework, role, &converted.unallocated());
                self.transform(agent, &consumed.unallocated(), &converted.unallocated());
            }
            Command::TransformFree {
                agent,
                consumed,
                converted,
                ..
            } => {
                self.transform(agent, consumed, converted);
            }
            Command::SetQuota { role, quota } => {
                self.quotas.insert(role.clone(), quota.clone());
                self.quotas.retain(|_, quota| !quota.is_default());
            }
            Command::UpdateWeights(weights) => self.weights.extend(weights.iter().cloned()),
            Command::SetWhitelist(hosts) => self.whitelist = hosts.clone(),
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn framework(&mut self, id: &FrameworkId) -> &mut Framework {
        self.frameworks.get_mut(id).unwrap()
    }

    fn remove_agent(&mut self, id: &AgentId) {
        self.agents.remove(id);
        self.clear_filters_on(id);
    }

    fn clear_filters_on(&mut self, agent: &AgentId) {
        for framework in self.frameworks.values_mut() {
            framework.filters.retain(|filter| filter.agent != *agent);
        }
    }

    fn transform(&mut self, agent: &AgentId, consumed: &Resources, converted: &Resources) {
        let total = &mut self.agents.get_mut(agent).unwrap().total;
        total.subtract(consumed);
        total.add(converted);
    }

    fn release(
        &mut self,
        now: Mono,
        id: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refusal: Option<Refusal>,
    ) {
        let key = (
            id.clone(),
            resources.sole_allocation_role().unwrap().clone(),
        );
        let held = &mut self.agents.get_mut(agent).unwrap().held;
        let own = held.get_mut(&key).unwrap();
        assert!(own.contains(&resources.unallocated()));
        own.subtract(&resources.unallocated());
        if own.is_empty() {
            held.remove(&key);
        }
        let interval = self.interval;
        let framework = self.framework(id);
        if let Some(refusal) = refusal.filter(|_| framework.active) {
            framework.filters.push(Filter {
                role: key.1,
                agent: agent.clone(),
                refused: resources.unallocated(),
                end: now + refusal.timeout.max(interval),
            });
        }
    }
}

impl Agent {
    pub fn free(&self) -> Resources {
        let mut free = self.total.clone();
        self.held.values().for_each(|held| free.subtract(held));
        free
    }
}
