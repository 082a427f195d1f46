//! Changes of an agent's resources that an operator wants: offers that are in the way are taken
//! back, the allocator changes what is free, and the agent carries it out. Reads no request.

use std::collections::BTreeMap;

use tepui_protocol::v1;
use v1::offer::operation::Type;

use super::super::messages::{Answer, Effect, Token};
use super::super::{Master, agents, changes, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::resources::Resources;
use crate::resources::conversion::{Conversion, conversions};
use crate::validation::{normalise, operation as rules};

/// How often the allocator is asked. A proposal under way may hold what is needed when it is
/// asked; it has become an offer, which can be taken back, by the time it answers.
const MAX_ATTEMPTS: u32 = 3;

/// A change that the allocator was asked for.
#[derive(Debug)]
pub(in crate::master) struct Change {
    pub(in crate::master) agent: AgentId,
    operation: v1::offer::Operation,
    net: Conversion,
    principal: Option<String>,
    reply: Token,
    attempts: u32,
}

impl Master {
    /// RESERVE_RESOURCES and its kin; Mesos: `Http::_reserve` and the like, `Http::_operation`.
    pub(super) fn change_resources(
        &mut self,
        agent: &AgentId,
        mut operation: v1::offer::Operation,
        principal: Option<String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        match self.check_request(agent, &mut operation, principal.as_deref()) {
            Ok(net) => {
                let change = Change {
                    agent: agent.clone(),
                    operation,
                    net,
                    principal,
                    reply,
                    attempts: 0,
                };
                self.ask_for(change, out);
            }
            Err(refused) => out.push(Effect::Reply(reply, refused)),
        }
    }

    fn check_request(
        &self,
        id: &AgentId,
        operation: &mut v1::offer::Operation,
        principal: Option<&str>,
    ) -> Result<Conversion, Answer> {
        let bad = |text: String| Answer::Refused(400, text);
        let Some(agent) = self.agents.get(id) else {
            return Err(bad("No agent found with specified ID".to_string()));
        };
        rules::validate_payload(operation).map_err(bad)?;
        normalise::upgrade(operation);
        let kind = rules::known_type(operation);
        let name = kind.as_str_name();
        self.check_operator_change(agent, operation, principal)?;
        let steps = conversions(operation)
            .map_err(|error| bad(format!("Invalid {name} operation: {}", error.0)))?;
        let net = net(&steps);
        if net.consumed.is_empty() {
            // Mesos's process ends upon such a request; we refuse it.
            let text = "there is nothing to change, expected resources of more than nothing";
            return Err(bad(format!("Invalid {name} operation: {text}")));
        }
        if agent.link().is_none() {
            // Mesos accepts the change, and the agent never hears of it.
            return Err(Answer::Refused(409, format!("agent {id} is disconnected")));
        }
        Ok(net)
    }

    /// Takes back the offers that are in the way, and has the allocator change what is free then.
    fn ask_for(&mut self, mut change: Change, out: &mut Vec<Effect>) {
        if rules::known_type(&change.operation) == Type::Destroy {
            let volumes = change.operation.destroy.as_ref();
            let volumes = volumes.map_or(&[][..], |destroy| &destroy.volumes);
            self.rescind_volumes(&change.agent, volumes, out);
        }
        let mut missing = change.net.consumed.clone();
        missing.subtract(&self.free_on(&change.agent));
        for id in self.offers_with(&change.agent, &missing) {
            let offered = self
                .offers
                .get(&id)
                .map(|offer| offer.resources.unallocated());
            // What earlier offers brought may be enough, or all of this kind.
            if offered.is_some_and(|offered| changes::overlap(&missing, &offered)) {
                self.rescind_offer(&id, out);
                missing = change.net.consumed.clone();
                missing.subtract(&self.free_on(&change.agent));
            }
        }
        change.attempts += 1;
        let token = self.next_token;
        self.next_token += 1;
        out.push(to_allocator(Command::TransformFree {
            agent: change.agent.clone(),
            consumed: change.net.consumed.clone(),
            converted: change.net.converted.clone(),
            token,
        }));
        self.changes.insert(token, change);
    }

    /// What nobody uses or is offered on an agent, as far as the master knows.
    fn free_on(&self, id: &AgentId) -> Resources {
        let Some(agent) = self.agents.get(id) else {
            return Resources::new();
        };
        let mut free = agent.total.clone();
        for used in agent.used.values() {
            free.subtract(&used.unallocated());
        }
        let offers = agent.offers.iter().filter_map(|id| self.offers.get(id));
        for offer in offers {
            free.subtract(&offer.resources.unallocated());
        }
        free
    }

    /// The allocator has answered.
    pub(in crate::master) fn transformed(
        &mut self,
        token: u64,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(change) = self.changes.remove(&token) else {
            return;
        };
        let refused = |text: String| Answer::Refused(409, text);
        if let Err(missing) = result {
            let in_the_way = self.offers_with(&change.agent, &change.net.consumed);
            match change.attempts < MAX_ATTEMPTS && !in_the_way.is_empty() {
                true => self.ask_for(change, out),
                false => out.push(Effect::Reply(change.reply, refused(missing))),
            }
            return;
        }
        let agent = self.agents.get(&change.agent);
        let connected = agent.filter(|agent| agent.link().is_some());
        let connected =
            connected.ok_or_else(|| refused(format!("agent {} is disconnected", change.agent)));
        // Another change may have taken what this one is to make, such as the id of a volume.
        let checked = connected.and_then(|agent| {
            let principal = change.principal.as_deref();
            self.check_operator_change(agent, &change.operation, principal)
        });
        let changed = checked.and_then(|()| {
            let net = std::slice::from_ref(&change.net);
            self.change_total(&change.agent, net).map_err(refused)
        });
        match changed {
            Ok(()) => {
                out.push(Effect::Reply(change.reply, Answer::Accepted));
                self.send_operation(&change.agent, None, change.operation, out);
            }
            // The allocator goes back to what it had.
            Err(answer) => {
                out.push(Effect::Reply(change.reply, answer));
                self.repeat_total(&change.agent, out);
            }
        }
    }

    fn repeat_total(&mut self, id: &AgentId, out: &mut Vec<Effect>) {
        self.abandon_changes(id, "another change failed", out);
        if let Some(agent) = self.agents.get(id) {
            out.push(to_allocator(Command::UpdateAgent {
                id: id.clone(),
                facts: agents::facts_of(agent),
                total: agent.total.clone(),
            }));
        }
    }

    /// Gives up what operators want changed on an agent whose resources the allocator is told
    /// anew: what it changed meanwhile is overwritten.
    pub(in crate::master) fn abandon_changes(
        &mut self,
        agent: &AgentId,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let (abandoned, kept): (BTreeMap<_, _>, _) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|(_, change)| change.agent == *agent);
        self.changes = kept;
        for change in abandoned.into_values() {
            let text = format!("resources of agent {agent} were not changed: {why}");
            out.push(Effect::Reply(change.reply, Answer::Refused(409, text)));
        }
    }
}

/// What all steps together take away and put in place: what one step makes, the next may take.
fn net(steps: &[Conversion]) -> Conversion {
    let (mut consumed, mut converted) = (Resources::new(), Resources::new());
    for step in steps {
        let mut needed = step.consumed.unallocated();
        let taken = needed.clone();
        needed.subtract(&converted);
        converted.subtract(&taken);
        consumed.add(&needed);
        converted.add(&step.converted.unallocated());
    }
    Conversion {
        consumed,
        converted,
    }
}
