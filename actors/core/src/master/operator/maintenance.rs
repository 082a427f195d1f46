//! The maintenance schedule and its machines, as operators change them.
//! Asking frameworks to leave is in `inverse_offers`.

use std::mem;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::MachineId;
use tepui_protocol::v1::allocator::{InverseOfferStatus, inverse_offer_status};
use tepui_protocol::v1::maintenance::cluster_status::DrainingMachine;
use tepui_protocol::v1::maintenance::{ClusterStatus, Schedule};

use super::super::agent_loss::{Departure, MACHINE_DOWN};
use super::super::messages::{Answer, Effect, Token};
use super::super::model::Snapshot;
use super::super::registrations::Pending;
use super::super::{Master, events, to_agent, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::maintenance::{Change, MachineKey, Maintenance, Mode};
use crate::registry::Operation;
use crate::validation::maintenance as rules;

impl Master {
    /// UPDATE_MAINTENANCE_SCHEDULE.
    pub(super) fn update_maintenance_schedule(
        &mut self,
        schedule: Schedule,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let checked = rules::schedule(&schedule, &self.maintenance);
        let change = checked.map(|()| Change::Schedule(schedule));
        self.change_maintenance(change, reply, out);
    }

    /// START_MAINTENANCE.
    pub(super) fn start_maintenance(
        &mut self,
        machines: &[MachineId],
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let change = rules::start(machines, &self.maintenance).map(Change::Start);
        self.change_maintenance(change, reply, out);
    }

    /// STOP_MAINTENANCE.
    pub(super) fn stop_maintenance(
        &mut self,
        machines: &[MachineId],
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let change = rules::stop(machines, &self.maintenance).map(Change::Stop);
        self.change_maintenance(change, reply, out);
    }

    fn change_maintenance(
        &mut self,
        change: Result<Change, String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        match change {
            Ok(change) => {
                let operation = Operation::ChangeMaintenance(change.clone());
                self.apply(operation, Pending::Maintenance { change, reply }, out);
            }
            Err(error) => out.push(Effect::Reply(reply, Answer::Refused(400, error))),
        }
    }

    /// The registry holds the change. The registrar stores changes in the order in which they
    /// were asked for, so what fitted there fits here.
    pub(in crate::master) fn maintenance_stored(
        &mut self,
        change: &Change,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let mut changed = self.maintenance.clone();
        let answer = match changed.apply(change) {
            Ok(_) => {
                let before = mem::replace(&mut self.maintenance, changed);
                let maintenance = &self.maintenance;
                self.down_at_start.retain(|key| maintenance.is_down(key));
                self.follow_schedule(&before, out);
                Answer::Ok
            }
            Err(error) => Answer::Refused(409, error.to_string()),
        };
        out.push(Effect::Reply(reply, answer));
    }

    /// Tells of every agent whose plan differs from what it was before, and removes the agents of
    /// machines that are down.
    fn follow_schedule(&mut self, before: &Maintenance, out: &mut Vec<Effect>) {
        let machines = self.agents.iter();
        let machines: Vec<(AgentId, MachineKey)> = machines
            .map(|(id, agent)| (id.clone(), agent.machine.clone()))
            .collect();
        for (agent, machine) in machines {
            if self.maintenance.unavailability(&machine) != before.unavailability(&machine) {
                self.plan_changed(&agent, &machine, out);
            }
            self.keep_off_down_machine(&agent, out);
        }
    }

    /// Offers and inverse offers of the agent name a plan that no longer holds. They end before
    /// the allocator learns of the new plan, so that it begins anew.
    fn plan_changed(&mut self, id: &AgentId, machine: &MachineKey, out: &mut Vec<Effect>) {
        let agent = self.agents.get(id);
        let offers = agent.map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in &offers {
            self.rescind_offer(offer, out);
        }
        self.rescind_inverse_offers_of(id, out);
        self.inverse_offers.forget_answers_about(id);
        out.push(to_allocator(Command::SetUnavailability {
            agent: id.clone(),
            plan: self.maintenance.unavailability(machine).copied(),
        }));
    }

    /// Shuts an agent down and removes it when its machine is down: it was there when the machine
    /// went down, or its admission was being stored then.
    pub(in crate::master) fn keep_off_down_machine(&mut self, id: &AgentId, out: &mut Vec<Effect>) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        if !self.maintenance.is_down(&agent.machine) || self.transitions.contains_key(id) {
            return;
        }
        if let Some(link) = agent.link() {
            let message = MACHINE_DOWN.to_string();
            out.push(to_agent(link, MasterToAgent::Shutdown { message }));
        }
        self.remove_agent(id, Departure::MachineDown, out);
    }
}

impl Snapshot {
    /// What GET_MAINTENANCE_STATUS tells: draining machines with their frameworks' answers, and
    /// machines that are down.
    pub fn maintenance_status(&self) -> ClusterStatus {
        let mut status = ClusterStatus::default();
        for (key, machine) in &self.maintenance.machines {
            match machine.mode {
                Mode::Draining => status.draining_machines.push(DrainingMachine {
                    id: machine.id.clone(),
                    statuses: self.answers_about(key),
                }),
                Mode::Down => status.down_machines.push(machine.id.clone()),
            }
        }
        status
    }

    fn answers_about(&self, machine: &MachineKey) -> Vec<InverseOfferStatus> {
        let answers = self.inverse_offer_answers.iter();
        let own = answers.filter(|((agent, _), _)| {
            let agent = self.agents.get(agent);
            agent.is_some_and(|agent| agent.machine == *machine)
        });
        own.map(|((_, framework), answer)| InverseOfferStatus {
            status: match answer.accepted {
                true => inverse_offer_status::Status::Accept.into(),
                false => inverse_offer_status::Status::Decline.into(),
            },
            framework_id: framework.to_v1(),
            timestamp: events::time_info(answer.at),
        })
        .collect()
    }
}
