//! What each command of the master changes, and which agents it makes candidates.
//! Proposes nothing; the next run does.

use std::collections::BTreeSet;

use super::Allocator;
use super::capabilities::{AgentTraits, FrameworkTraits};
use super::filters::Cause;
use super::keys::{AgentKey, FrameworkKey, SubKey};
use super::ledger::Ledger;
use super::messages::{AgentFacts, Command, FrameworkFacts, Generation, Notice, Refusal};
use tepui_protocol::v1;

use crate::ids::{AgentId, FrameworkId, Role};
use crate::quota::Quota;
use crate::resources::attributes::same_attributes;
use crate::resources::{Quantities, Resources};
use crate::time::Now;

impl Allocator {
    /// Takes in a change. Commands about unknown frameworks or agents are ignored: they were
    /// removed while the command was under way.
    pub fn apply(&mut self, now: Now, command: Command) -> Option<Notice> {
        if let Command::TransformFree {
            agent,
            consumed,
            converted,
            token,
        } = command
        {
            let result = self.transform_free(&agent, &consumed, &converted);
            return Some(Notice::Transformed { token, result });
        }
        self.change(now, command);
        None
    }

    fn change(&mut self, now: Now, command: Command) {
        match command {
            Command::AddFramework {
                id,
                generation,
                facts,
                used,
                active,
            } => self.add_framework(&id, generation, &facts, used, active),
            Command::UpdateFramework { id, facts } => self.update_known_framework(&id, &facts),
            Command::ActivateFramework { id, generation } => {
                self.activate_framework(&id, generation);
            }
            Command::DeactivateFramework(id) => self.deactivate_framework(&id),
            Command::RemoveFramework(id) => self.remove_framework(&id),
            Command::AddAgent {
                id,
                generation,
                facts,
                total,
                used,
                unavailability,
            } => self.add_agent(id, generation, facts, total, used, unavailability),
            Command::UpdateAgent { id, facts, total } => self.update_agent(&id, facts, total),
            Command::ActivateAgent(id) => self.set_agent_active(&id, true),
            Command::DeactivateAgent(id) => self.set_agent_active(&id, false),
            Command::RemoveAgent(id) => self.remove_agent(&id),
            Command::Release {
                framework,
                agent,
                resources,
                refusal,
            } => self.release(now, &framework, &agent, &resources, refusal),
            Command::Charge {
                framework,
                agent,
                resources,
            } => self.charge_known_agent(&framework, &agent, &resources),
            Command::Transform {
                framework,
                agent,
                consumed,
                converted,
            } => self.transform(&framework, &agent, &consumed, &converted),
            Command::Revive { framework, roles } => self.revive(&framework, &roles),
            Command::Suppress { framework, roles } => self.suppress(&framework, &roles),
            // The one command that is answered; see `apply`.
            Command::TransformFree { .. } => {}
            Command::SetQuota { role, quota } => self.set_quota(&role, quota),
            Command::UpdateWeights(weights) => self.update_weights(weights),
            Command::SetWhitelist(whitelist) => self.set_whitelist(whitelist),
            Command::SetUnavailability { agent, plan } => self.set_plan(&agent, plan),
            Command::EndInverseOffer {
                framework,
                agent,
                refusal,
            } => self.end_inverse_offer(now, &framework, &agent, refusal),
            Command::Recover {
                expected_agents,
                quotas,
                weights,
            } => self.recover(now, expected_agents, quotas, weights),
        }
    }

    fn update_known_framework(&mut self, id: &FrameworkId, facts: &FrameworkFacts) {
        if let Some(key) = self.known_framework(id) {
            self.update_framework(key, facts);
        }
    }

    fn activate_framework(&mut self, id: &FrameworkId, generation: Generation) {
        if let Some(key) = self.known_framework(id) {
            self.ledger.frameworks[key.0].generation = generation;
            self.set_framework_active(key, true);
        }
    }

    fn deactivate_framework(&mut self, id: &FrameworkId) {
        if let Some(key) = self.known_framework(id) {
            self.set_framework_active(key, false);
        }
    }

    fn set_quota(&mut self, role: &Role, quota: Quota) {
        let Ledger { quotas, totals, .. } = &mut self.ledger;
        quotas.set(role, quota, totals);
        self.mark_all();
    }

    pub(super) fn update_weights(&mut self, weights: Vec<(Role, f64)>) {
        for (role, weight) in weights {
            self.ledger.role_sorter.set_weight(&role, weight);
        }
    }

    fn set_plan(&mut self, agent: &AgentId, plan: Option<v1::Unavailability>) {
        if let Some(agent) = self.ledger.agent_key(agent) {
            self.set_unavailability(agent, plan);
        }
    }

    fn charge_known_agent(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
    ) {
        if let Some(agent) = self.ledger.agent_key(agent) {
            let framework = self.ledger.ensure_framework(framework);
            self.charge(framework, agent, resources);
            self.ledger.drop_framework_if_unused(framework);
            self.inverse.is_due = true;
        }
    }

    fn known_framework(&self, id: &FrameworkId) -> Option<FrameworkKey> {
        self.ledger
            .framework_key(id)
            .filter(|key| self.ledger.frameworks[key.0].known)
    }

    fn add_framework(
        &mut self,
        id: &FrameworkId,
        generation: Generation,
        facts: &FrameworkFacts,
        used: Vec<(AgentId, Resources)>,
        active: bool,
    ) {
        let key = self.ledger.ensure_framework(id);
        let framework = &mut self.ledger.frameworks[key.0];
        framework.known = true;
        framework.generation = generation;
        self.update_framework(key, facts);
        for (agent, resources) in used {
            if let Some(agent) = self.ledger.agent_key(&agent) {
                self.charge_missing(key, agent, &resources);
            }
        }
        self.set_framework_active(key, active);
    }

    /// Charges what the agent has not already told of.
    fn charge_missing(&mut self, framework: FrameworkKey, agent: AgentKey, used: &Resources) {
        for (role, mut missing) in used.by_allocation_role() {
            let sub = self.ledger.ensure_sub(framework, &role);
            if let Some(held) = self.ledger.agents[agent.0].holding(sub) {
                missing.subtract(held);
            }
            self.charge(framework, agent, &missing);
            self.ledger.drop_if_unused(sub);
        }
    }

    fn charge(&mut self, framework: FrameworkKey, agent: AgentKey, resources: &Resources) {
        for (role, resources) in resources.by_allocation_role() {
            let sub = self.ledger.ensure_sub(framework, &role);
            self.ledger
                .charge(sub, agent, &resources, &resources.unallocated(), false);
        }
    }

    fn update_framework(&mut self, key: FrameworkKey, facts: &FrameworkFacts) {
        let traits = FrameworkTraits::of(&facts.info);
        self.ledger.frameworks[key.0].traits = traits;
        for role in &facts.roles {
            let sub = self.ledger.ensure_sub(key, role);
            let was_suppressed = self.ledger.subs[sub.0].suppressed;
            let suppressed = facts.suppressed.contains(role);
            let entry = &mut self.ledger.subs[sub.0];
            entry.subscribed = true;
            entry.suppressed = suppressed;
            // Kept only where it can exclude an agent, so that a run asks no other.
            let constraints = facts.constraints.as_ref();
            entry.constraints = constraints.filter(|c| c.constrains(role)).cloned();
            self.ledger.set_minimum(sub, own_minimum(facts, role));
            // No longer suppressing a role revives it.
            if was_suppressed && !suppressed {
                self.filters.clear_sub(sub);
            }
        }
        self.inverse.is_due = true;
        for sub in self.ledger.frameworks[key.0].subs.clone() {
            let entry = &mut self.ledger.subs[sub.0];
            entry.traits = traits;
            let role = &self.ledger.roles[entry.role.0].path;
            if !facts.roles.contains(role) {
                entry.subscribed = false;
                entry.suppressed = false;
                self.ledger.set_minimum(sub, None);
                self.filters.clear_sub(sub);
            }
            self.ledger.update_listing(sub);
            self.mark_sub(sub);
            self.ledger.drop_if_unused(sub);
        }
    }

    fn set_framework_active(&mut self, key: FrameworkKey, active: bool) {
        self.ledger.frameworks[key.0].active = active;
        self.inverse.is_due |= active;
        if !active {
            self.clear_inverse_filters(key);
        }
        for sub in self.ledger.frameworks[key.0].subs.clone() {
            self.ledger.update_listing(sub);
            if active {
                self.mark_sub(sub);
            } else {
                self.filters.clear_sub(sub);
            }
        }
    }

    fn remove_framework(&mut self, id: &FrameworkId) {
        let Some(key) = self.known_framework(id) else {
            return;
        };
        self.set_framework_active(key, false);
        self.forget_inverse_offers(key);
        self.ledger.frameworks[key.0].known = false;
        for sub in self.ledger.frameworks[key.0].subs.clone() {
            self.ledger.subs[sub.0].subscribed = false;
            if self.ledger.subs[sub.0].held_on > 0 {
                self.release_everywhere(sub);
            }
            self.ledger.drop_if_unused(sub);
        }
        // A framework without subscriptions was not dropped with the last of them.
        if self.ledger.framework_key(id) == Some(key) {
            self.ledger.drop_framework_if_unused(key);
        }
    }

    fn release_everywhere(&mut self, sub: SubKey) {
        let agents: Vec<usize> = self.ledger.agents.iter().map(|(agent, _)| agent).collect();
        for agent in agents.into_iter().map(AgentKey) {
            if let Some(held) = self.ledger.agents[agent.0].holding(sub).cloned() {
                self.ledger.release(sub, agent, &held);
                self.mark(agent);
            }
        }
    }

    fn add_agent(
        &mut self,
        id: AgentId,
        generation: Generation,
        facts: AgentFacts,
        total: Resources,
        used: Vec<(FrameworkId, Resources)>,
        unavailability: Option<v1::Unavailability>,
    ) {
        // An agent that comes back may have been removed and added by the master in one go.
        self.remove_agent(&id);
        let key = self.ledger.add_agent(id, generation, facts, total);
        self.update_traits(key);
        let agent = &mut self.ledger.agents[key.0];
        agent.whitelisted = is_listed(self.whitelist.as_ref(), &agent.facts);
        for (framework, resources) in used {
            let framework = self.ledger.ensure_framework(&framework);
            self.charge(framework, key, &resources);
            self.ledger.drop_framework_if_unused(framework);
        }
        self.mark(key);
        self.set_unavailability(key, unavailability);
        self.look_for_agents();
    }

    fn set_whitelist(&mut self, whitelist: Option<BTreeSet<String>>) {
        self.whitelist = whitelist;
        for (_, agent) in &mut self.ledger.agents {
            agent.whitelisted = is_listed(self.whitelist.as_ref(), &agent.facts);
        }
        self.mark_all();
    }

    fn update_agent(&mut self, id: &AgentId, facts: AgentFacts, total: Resources) {
        let Some(key) = self.ledger.agent_key(id) else {
            return;
        };
        let agent = &mut self.ledger.agents[key.0];
        // Frameworks may have refused the agent for the attributes it had.
        if !same_attributes(&agent.facts.info.attributes, &facts.info.attributes) {
            self.filters.clear_agent(key);
        }
        agent.whitelisted = is_listed(self.whitelist.as_ref(), &facts);
        agent.facts = facts;
        if agent.total != total {
            self.ledger.set_total(key, total);
        }
        self.update_traits(key);
        self.mark(key);
    }

    fn update_traits(&mut self, key: AgentKey) {
        let agent = &mut self.ledger.agents[key.0];
        let region = self.config.master_region.as_deref();
        agent.traits = AgentTraits::of(&agent.facts, &agent.total, region);
    }

    fn set_agent_active(&mut self, id: &AgentId, active: bool) {
        let Some(key) = self.ledger.agent_key(id) else {
            return;
        };
        self.ledger.agents[key.0].active = active;
        if active {
            self.mark(key);
            self.inverse.is_due = true;
        }
    }

    fn remove_agent(&mut self, id: &AgentId) {
        let Some(key) = self.ledger.agent_key(id) else {
            return;
        };
        let holders: Vec<SubKey> = self.ledger.agents[key.0]
            .held
            .iter()
            .map(|holding| holding.sub)
            .collect();
        self.filters.clear_agent(key);
        self.set_unavailability(key, None);
        self.ledger.remove_agent(key);
        for sub in holders {
            self.ledger.drop_if_unused(sub);
        }
    }

    fn release(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        refusal: Option<Refusal>,
    ) {
        let Some(framework) = self.ledger.framework_key(framework) else {
            return;
        };
        let Some(agent) = self.ledger.agent_key(agent) else {
            return;
        };
        match resources.sole_allocation_role() {
            Some(role) => self.release_role(now, framework, agent, (role, resources), refusal),
            None => {
                for (role, resources) in resources.by_allocation_role() {
                    self.release_role(now, framework, agent, (&role, &resources), refusal);
                }
            }
        }
        self.mark(agent);
    }

    fn release_role(
        &mut self,
        now: Now,
        framework: FrameworkKey,
        agent: AgentKey,
        (role, resources): (&str, &Resources),
        refusal: Option<Refusal>,
    ) {
        let Some(sub) = self.ledger.sub_key(framework, role) else {
            return;
        };
        let given = self.ledger.release(sub, agent, resources);
        let entry = &self.ledger.subs[sub.0];
        let may_get_offers = entry.subscribed && self.ledger.frameworks[framework.0].active;
        if let Some(refusal) = refusal.filter(|_| may_get_offers && !given.is_empty()) {
            let cause = if refusal.timeout.is_zero() {
                Cause::Echo
            } else {
                Cause::Refused
            };
            let end = now.mono + refusal.timeout.max(self.config.allocation_interval);
            self.filters.add(agent, sub, given, end, cause);
        }
        self.ledger.drop_if_unused(sub);
    }

    fn transform(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        consumed: &Resources,
        converted: &Resources,
    ) {
        let Some(framework) = self.ledger.framework_key(framework) else {
            return;
        };
        let Some(agent) = self.ledger.agent_key(agent) else {
            return;
        };
        let mut touched = Vec::new();
        for (role, resources) in consumed.by_allocation_role() {
            let sub = self.ledger.sub_key(framework, &role);
            let held = sub.and_then(|sub| self.ledger.agents[agent.0].holding(sub));
            match (sub, held) {
                (Some(sub), Some(held)) if held.contains(&resources) => {
                    touched.push((sub, resources));
                }
                // What is not held cannot become something else.
                _ => return,
            }
        }
        for (sub, resources) in &touched {
            self.ledger.release(*sub, agent, resources);
        }
        let mut total = self.ledger.agents[agent.0].total.clone();
        total.subtract(&consumed.unallocated());
        total.add(&converted.unallocated());
        self.ledger.set_total(agent, total);
        self.charge(framework, agent, converted);
        self.update_traits(agent);
        for (sub, _) in touched {
            self.ledger.drop_if_unused(sub);
        }
        self.mark(agent);
    }

    /// Changes what nobody holds. A shared volume counts as held as long as anybody has it.
    fn transform_free(
        &mut self,
        id: &AgentId,
        consumed: &Resources,
        converted: &Resources,
    ) -> Result<(), String> {
        let Some(key) = self.ledger.agent_key(id) else {
            return Err(format!("agent {id} is not known"));
        };
        let agent = &self.ledger.agents[key.0];
        if !agent.free.contains(consumed) {
            // Mesos's text, which reaches the operator.
            return Err(format!("{} does not contain {consumed}", agent.free));
        }
        let in_use = consumed.shared().iter().any(|volume| {
            let mut held = agent.held.iter().flat_map(|holding| &holding.resources);
            held.any(|other| other.with_allocation(None).is_same(volume))
        });
        if in_use {
            return Err(format!("a shared volume on agent {id} is in use"));
        }
        let mut total = agent.total.clone();
        total.subtract(consumed);
        total.add(converted);
        self.ledger.set_total(key, total);
        self.update_traits(key);
        self.mark(key);
        Ok(())
    }

    fn revive(&mut self, framework: &FrameworkId, roles: &[Role]) {
        let Some(key) = self.known_framework(framework) else {
            return;
        };
        for sub in self.subscribed(key, roles) {
            self.ledger.subs[sub.0].suppressed = false;
            self.filters.clear_sub(sub);
            self.ledger.update_listing(sub);
            self.mark_sub(sub);
        }
        self.clear_inverse_filters(key);
        self.inverse.is_due = true;
    }

    fn suppress(&mut self, framework: &FrameworkId, roles: &[Role]) {
        let Some(key) = self.known_framework(framework) else {
            return;
        };
        for sub in self.subscribed(key, roles) {
            self.ledger.subs[sub.0].suppressed = true;
            self.ledger.update_listing(sub);
        }
    }

    /// The framework's subscriptions to these roles, or to all when none is named.
    fn subscribed(&self, framework: FrameworkKey, roles: &[Role]) -> Vec<SubKey> {
        let subs = self.ledger.frameworks[framework.0].subs.iter().copied();
        subs.filter(|sub| {
            let entry = &self.ledger.subs[sub.0];
            let path = &self.ledger.roles[entry.role.0].path;
            entry.subscribed && (roles.is_empty() || roles.contains(path))
        })
        .collect()
    }
}

fn is_listed(whitelist: Option<&BTreeSet<String>>, facts: &AgentFacts) -> bool {
    whitelist.is_none_or(|hosts| hosts.contains(&facts.info.hostname))
}

/// The framework's own alternatives for the smallest offer of a role; an empty list allows any.
fn own_minimum(facts: &FrameworkFacts, role: &Role) -> Option<Vec<Quantities>> {
    let filters = facts.info.offer_filters.get(role.as_ref())?;
    let minimum = filters.min_allocatable_resources.as_ref()?;
    let alternatives = minimum.quantities.iter().map(|alternative| {
        let amounts = alternative.quantities.iter();
        Quantities::from_amounts(amounts.map(|(name, scalar)| (name.as_str(), scalar.value)))
    });
    Some(alternatives.collect())
}
