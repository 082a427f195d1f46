//! What must hold at every step, as far as it is cheap to look at.
//! What must hold once all is quiet is in `quiet`.

use std::collections::BTreeMap;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};

use super::world::World;
use crate::agent::messages::LinkNumber;
use crate::allocator::messages::Proposal;
use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::{Quantities, Resources};

impl World {
    /// Whether the state of a core is to be checked now.
    fn is_check_due(&mut self) -> bool {
        self.checks += 1;
        self.checks.is_multiple_of(self.options.check_every)
    }

    /// The master's state agrees with itself, and gives nothing away twice.
    pub(super) fn check_master(&mut self) {
        if !self.is_check_due() {
            return;
        }
        let Some(master) = &self.master else {
            return;
        };
        if let Err(error) = master.core.sanity_check() {
            return self.fail(format!("master: {error}"));
        }
        let snapshot = master.core.snapshot();
        let mut given: BTreeMap<&AgentId, Resources> = BTreeMap::new();
        for offer in snapshot.offers.values() {
            let of_agent = given.entry(&offer.agent).or_default();
            of_agent.add(&offer.resources.non_shared().unallocated());
        }
        for (id, agent) in &snapshot.agents {
            let Some(offered) = given.remove(id) else {
                continue;
            };
            // A task may use a volume that could not be made, until its agent says so.
            let mut free = agent.total.non_shared();
            for used in agent.used.values() {
                free.subtract(&used.non_shared().unallocated());
            }
            if !free.contains(&offered) {
                let id = id.clone();
                return self.fail(format!("{offered} of {id} is offered, but {free} is free"));
            }
        }
    }

    pub(super) fn check_allocator(&mut self) {
        if !self.is_check_due() {
            return;
        }
        let checked = self
            .master
            .as_ref()
            .map(|master| master.allocator.sanity_check());
        if let Some(Err(error)) = checked {
            self.fail(format!("allocator: {error}"));
        }
    }

    /// No role is given more than its limit by what is proposed.
    pub(super) fn check_proposals(&mut self, proposals: &[Proposal]) {
        let Some(master) = self.master.as_ref().filter(|_| !proposals.is_empty()) else {
            return;
        };
        let mut given: BTreeMap<Role, Quantities> = BTreeMap::new();
        for proposal in proposals {
            let plain = proposal.resources.unreserved().non_revocable();
            let of_role = given.entry(top_of(&proposal.role)).or_default();
            of_role.add(&plain.quantities());
        }
        let books = master.allocator.books();
        let mut consumed: BTreeMap<Role, Quantities> = BTreeMap::new();
        for book in books.values() {
            for entry in &book.total {
                if let Some(role) = entry.reservation_role() {
                    let one: Resources = std::iter::once(entry.clone()).collect();
                    consumed
                        .entry(top_of(role))
                        .or_default()
                        .add(&one.quantities());
                }
            }
            for held in book.held.values() {
                for (role, resources) in held.by_allocation_role() {
                    let plain = resources.unreserved().non_revocable().quantities();
                    consumed.entry(top_of(&role)).or_default().add(&plain);
                }
            }
        }
        for (role, given) in given {
            let Some(quota) = self.history.quotas.get(&role) else {
                continue;
            };
            let consumed = consumed.remove(&role).unwrap_or_default();
            for (name, limit) in &quota.limits.0 {
                if given.get(name) > 0 && consumed.get(name) > *limit {
                    let (has, may) = (consumed.get(name), *limit);
                    return self.fail(format!("role {role} is offered {name} up to {has}/{may}"));
                }
            }
        }
    }

    /// An agent is told that it is admitted only when the registry says so.
    pub(super) fn check_told_agent(&mut self, message: &MasterToAgent) {
        let (MasterToAgent::Registered { agent_id, .. }
        | MasterToAgent::Reregistered { agent_id, .. }) = message
        else {
            return;
        };
        if !self.store.meant.admitted.contains_key(agent_id.as_str())
            || !self.store.holds_agent(agent_id)
        {
            self.fail(format!(
                "agent {agent_id} is welcomed, but not in the registry"
            ));
        }
    }

    /// An agent does not repeat what was acknowledged.
    pub(super) fn check_said(&mut self, agent: usize, message: &AgentToMaster) {
        if let AgentToMaster::OperationStatus {
            framework_id: Some(id),
            ..
        } = message
        {
            let id = FrameworkId::from(id.as_str());
            self.history.operations_told.insert(id, self.now_us);
        }
        let AgentToMaster::StatusUpdate(update) = message else {
            return;
        };
        let Some(life) = self.agent_process(agent).map(|process| process.life) else {
            return;
        };
        let uuid = update.status.uuid.clone().unwrap_or_default();
        if self.history.acknowledged.contains(&(agent, life, uuid)) {
            let task = &update.status.task_id.value;
            self.fail(format!(
                "agent {agent} repeats an acknowledged update of task {task}"
            ));
        }
    }

    /// An acknowledgement reaches an agent. While it writes a checkpoint it puts everything off, so
    /// such an acknowledgement is not counted.
    pub(super) fn notice_acknowledgement(
        &mut self,
        agent: usize,
        link: LinkNumber,
        message: &MasterToAgent,
    ) {
        let MasterToAgent::AcknowledgeStatus { uuid, .. } = message else {
            return;
        };
        let Some(host) = self.agents.get(agent) else {
            return;
        };
        let Some(process) = &host.process else {
            return;
        };
        let is_current = process.link.is_some_and(|(number, _)| number == link);
        if is_current && host.disk.writing.is_none() {
            let key = (agent, process.life, uuid.clone());
            self.history.acknowledged.insert(key);
        }
    }
}

fn top_of(role: &str) -> Role {
    Role::from(role.split('/').next().unwrap_or(role))
}
