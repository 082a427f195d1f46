//! Agents that an operator drains, deactivates or reactivates.
//! The ending of tasks is the agent's work; what the registry holds of it is in `crate::registry`.

use tepui_protocol::link::MasterToAgent;

use super::messages::{Answer, Effect, Token};
use super::registrations::Pending;
use super::{Master, to_agent, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::registry::{Deactivation, DeactivationChange, Operation};
use crate::time::{Now, Wall};

/// Name of the capability of agents that can drain themselves.
const DRAINING: &str = "AGENT_DRAINING";

impl Master {
    /// DRAIN_AGENT, DEACTIVATE_AGENT, REACTIVATE_AGENT: stored first, and then done. Mesos:
    /// `Master::Http::drainAgent`, `deactivateAgent`, `reactivateAgent`.
    pub(super) fn change_deactivation(
        &mut self,
        id: AgentId,
        change: DeactivationChange,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        if let Err((status, text)) = self.check_deactivation(&id, &change) {
            return out.push(Effect::Reply(reply, Answer::Refused(status, text)));
        }
        self.store_deactivation(id, change, Some(reply), out);
    }

    fn store_deactivation(
        &mut self,
        agent_id: AgentId,
        change: DeactivationChange,
        reply: Option<Token>,
        out: &mut Vec<Effect>,
    ) {
        let operation = Operation::ChangeDeactivation {
            agent_id: agent_id.clone(),
            change: change.clone(),
        };
        let pending = Pending::Deactivation {
            id: agent_id,
            change,
            reply,
        };
        self.apply(operation, pending, out);
    }

    fn check_deactivation(
        &self,
        id: &AgentId,
        change: &DeactivationChange,
    ) -> Result<(), (u16, String)> {
        let refuse = |status: u16, text: &str| Err((status, text.to_string()));
        if *change == DeactivationChange::Reactivate {
            return match self.deactivated_agents.get(id) {
                None => refuse(400, "Agent is not deactivated"),
                Some(it) if it.is_draining() => refuse(400, "Agent is still in the DRAINING state"),
                Some(_) => Ok(()),
            };
        }
        let is_drain = matches!(change, DeactivationChange::Drain(_));
        if let Some(agent) = self.agents.get(id).filter(|_| is_drain) {
            if self.maintenance.machines.contains_key(&agent.machine) {
                let machine = &agent.machine;
                return Err((
                    400,
                    format!("Agent {id} is part of a maintenance schedule under Machine {machine}"),
                ));
            }
            if !agent.capabilities.iter().any(|name| name == DRAINING) {
                return Err((400, format!("Agent {id} is not capable of draining")));
            }
        }
        let is_known = self.agents.contains_key(id)
            || self.recovered_agents.contains_key(id)
            || self.unreachable_agents.contains_key(id);
        if !is_known {
            return refuse(400, "Unknown agent");
        }
        match is_drain && self.is_being_marked_gone(id) {
            true => refuse(409, "Agent is currently being marked gone"),
            false => Ok(()),
        }
    }

    fn is_being_marked_gone(&self, id: &AgentId) -> bool {
        let mut pending = self.pending.values();
        pending.any(|pending| matches!(pending, Pending::Gone { id: other, .. } if other == id))
    }

    /// The registry holds how an agent is kept out of offers.
    pub(super) fn deactivation_stored(
        &mut self,
        now: Now,
        id: &AgentId,
        change: DeactivationChange,
        reply: Option<Token>,
        out: &mut Vec<Effect>,
    ) {
        let is_known = self.agents.contains_key(id)
            || self.recovered_agents.contains_key(id)
            || self.unreachable_agents.contains_key(id);
        let answer = match (&change, is_known) {
            // Nothing is lost: it is there no more.
            (_, false) => Answer::Refused(409, "Agent removed while processing the call".into()),
            (_, true) => Answer::Ok,
        };
        if is_known {
            self.follow_deactivation(now, id, change, out);
        }
        if let Some(reply) = reply {
            out.push(Effect::Reply(reply, answer));
        }
    }

    fn follow_deactivation(
        &mut self,
        now: Now,
        id: &AgentId,
        change: DeactivationChange,
        out: &mut Vec<Effect>,
    ) {
        let was_active = !self.deactivated_agents.contains_key(id);
        match change {
            DeactivationChange::Drain(config) => {
                let draining = Deactivation::draining(config);
                self.set_deactivation(id, Some(draining), Some(now.wall));
            }
            DeactivationChange::Deactivate => {
                let known = self.deactivated_agents.get(id).cloned();
                let started = self.agents.get(id).and_then(|agent| agent.drain_started);
                self.set_deactivation(id, Some(known.unwrap_or_default()), started);
            }
            DeactivationChange::Drained => {
                let known = self.deactivated_agents.get(id).cloned();
                let started = self.agents.get(id).and_then(|agent| agent.drain_started);
                if let Some(known) = known {
                    self.set_deactivation(id, Some(known.drained()), started);
                }
                return;
            }
            DeactivationChange::Reactivate => {
                let known = self.deactivated_agents.get(id);
                let was_drained = known.is_some_and(|known| known.drain.is_some());
                self.set_deactivation(id, None, None);
                return self.activate_again(id, was_drained, out);
            }
        }
        if was_active && self.agents.contains_key(id) {
            self.withdraw_agent(id, out);
        }
        self.tell_to_drain(id, out);
    }

    /// An agent whose idle executors are still there counts itself as draining: it is told, which
    /// Mesos does not do.
    fn activate_again(&mut self, id: &AgentId, was_drained: bool, out: &mut Vec<Effect>) {
        let Some(link) = self.agents.get(id).and_then(|agent| agent.link()) else {
            return;
        };
        if was_drained {
            out.push(to_agent(link, MasterToAgent::Drain { config: None }));
        }
        out.push(to_allocator(Command::ActivateAgent(id.clone())));
    }

    /// Keeps what is known in the agent too, where readers look.
    fn set_deactivation(
        &mut self,
        id: &AgentId,
        deactivation: Option<Deactivation>,
        started: Option<Wall>,
    ) {
        match deactivation.clone() {
            Some(it) => self.deactivated_agents.insert(id.clone(), it),
            None => self.deactivated_agents.remove(id),
        };
        self.change_agent(id, |agent| {
            agent.deactivation = deactivation;
            agent.drain_started = started;
        });
    }

    /// An agent has come (back) that may be kept out of offers; the allocator knows of it already.
    pub(super) fn keep_deactivated(&mut self, now: Now, id: &AgentId, out: &mut Vec<Effect>) {
        let Some(known) = self.deactivated_agents.get(id).cloned() else {
            return;
        };
        let started = known.drain.as_ref().map(|_| now.wall);
        self.set_deactivation(id, Some(known), started);
        self.withdraw_agent(id, out);
        self.tell_to_drain(id, out);
    }

    /// Mesos sends it in the state DRAINED as well: the agent may run what the master has not known
    /// of.
    fn tell_to_drain(&mut self, id: &AgentId, out: &mut Vec<Effect>) {
        let deactivation = self.deactivated_agents.get(id);
        let Some(drain) = deactivation.and_then(|known| known.drain) else {
            return;
        };
        if let Some(link) = self.agents.get(id).and_then(|agent| agent.link()) {
            let config = Some(drain.config.into());
            out.push(to_agent(link, MasterToAgent::Drain { config }));
        }
        self.note_perhaps_drained(id);
    }

    /// Something has ended on an agent; if it is draining, that may have been the last.
    pub(super) fn note_perhaps_drained(&mut self, id: &AgentId) {
        let known = self.deactivated_agents.get(id);
        if known.is_some_and(Deactivation::is_draining) {
            self.perhaps_drained.insert(id.clone());
        }
    }

    /// Agents on which nothing is left are drained, or gone if the operator wanted that. Mesos:
    /// `Master::checkAndTransitionDrainingAgent`.
    pub(super) fn finish_drains(&mut self, now: Now, out: &mut Vec<Effect>) {
        for id in std::mem::take(&mut self.perhaps_drained) {
            let known = self.deactivated_agents.get(&id);
            let Some(drain) = known.filter(|known| known.is_draining()) else {
                continue;
            };
            let mark_gone = drain.drain.as_ref().is_some_and(|it| it.config.mark_gone());
            // While its link is down nobody knows; it says what it runs when it comes back.
            let is_empty = self.agents.get(&id).is_some_and(|agent| {
                agent.link().is_some() && agent.tasks.is_empty() && agent.operations.is_empty()
            });
            if !is_empty || self.is_being_marked_gone(&id) {
                continue;
            }
            tracing::info!(agent = %id, mark_gone, "agent is drained");
            match mark_gone {
                true => self.mark_gone(now, id, None, out),
                false => self.store_deactivation(id, DeactivationChange::Drained, None, out),
            }
        }
    }

    /// An agent is known no more.
    pub(super) fn forget_deactivation(&mut self, id: &AgentId) {
        self.deactivated_agents.remove(id);
    }
}
