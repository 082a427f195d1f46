//! What must hold at every step, as far as it is cheap to look at.
//! What must hold once all is quiet is in `quiet`.

use std::collections::BTreeMap;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};

use super::disk::WORK_DIR;
use super::net::Kind;
use super::world::World;
use crate::agent::messages::LinkNumber;
use crate::agent::paths::persistent_volume as volume_path;
use crate::allocator::messages::Proposal;
use crate::ids::{AgentId, FrameworkId, Role};
use crate::master::messages::LinkId;
use crate::master::model::Snapshot;
use crate::resources::{Quantities, Resources};

impl World {
    /// Whether the state of a core is to be checked now.
    fn is_check_due(&mut self) -> bool {
        self.checks += 1;
        self.checks.is_multiple_of(self.options.check_every)
    }

    /// The master's state agrees with itself, and gives nothing away twice.
    pub(super) fn check_master(&mut self, life: u64) {
        if !self.is_check_due() {
            return;
        }
        let Some(master) = self.masters.get(&life) else {
            return;
        };
        if let Err(error) = master.core.sanity_check() {
            return self.fail(format!("master: {error}"));
        }
        let snapshot = master.core.snapshot();
        if let Err(error) = self.check_amounts(&snapshot) {
            return self.fail(format!("master {life}: {error}"));
        }
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

    /// Whatever is reserved or made into volumes, an agent has as much as its machine.
    fn check_amounts(&self, snapshot: &Snapshot) -> Result<(), String> {
        for (id, agent) in &snapshot.agents {
            let machine = self.agents.iter().find(|host| {
                let info = &host.settings.info;
                info.hostname == agent.info.hostname
            });
            let Some(machine) = machine else {
                return Err(format!("agent {id} is on no machine"));
            };
            let (has, given) = (agent.total.quantities(), &machine.amounts);
            if has != *given {
                return Err(format!("agent {id} has {has:?} instead of {given:?}"));
            }
        }
        Ok(())
    }

    /// No volume is destroyed under a task that runs and that its framework counts on.
    pub(super) fn destroyed_in_use(&self, agent: usize) -> Option<String> {
        let host = self.agents.get(agent)?;
        let destroyed = host.disk.destroying();
        if destroyed.is_empty() {
            return None;
        }
        for executor in host.executors.values() {
            let owner = self
                .frameworks
                .iter()
                .find(|host| host.id.as_ref() == Some(&executor.framework));
            // Of a framework that is gone, tasks are given up before they have ended.
            let Some(owner) = owner.filter(|host| host.wanted.is_patient() && !host.is_leaving)
            else {
                continue;
            };
            for (id, task) in executor.tasks.iter().filter(|(_, task)| !task.is_over) {
                let is_counted = owner.tasks.get(id.as_str()).is_some_and(|own| !own.is_over);
                let used = Resources::from_v1(&task.info.resources).unwrap_or_default();
                let volumes = used.persistent_volumes();
                let mut paths = volumes
                    .iter()
                    .filter_map(|it| volume_path(WORK_DIR, it).ok());
                let gone = paths.find(|path| is_counted && destroyed.contains(path.as_str()));
                if let Some(path) = gone {
                    return Some(format!("volume {path} is destroyed under task {id}"));
                }
            }
        }
        None
    }

    pub(super) fn check_allocator(&mut self, life: u64) {
        if !self.is_check_due() {
            return;
        }
        let master = self.masters.get(&life);
        let checked = master.map(|master| master.allocator.sanity_check());
        if let Some(Err(error)) = checked {
            self.fail(format!("allocator: {error}"));
        }
    }

    /// No role is given more than its limit by what is proposed.
    pub(super) fn check_proposals(&mut self, life: u64, proposals: &[Proposal]) {
        let master = self.masters.get(&life);
        let Some(master) = master.filter(|_| !proposals.is_empty()) else {
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
            let Some(quota) = master.quotas.get(&role) else {
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

    /// What a master tells an agent must follow from something.
    pub(super) fn check_told_agent(&mut self, life: u64, link: LinkId, message: &MasterToAgent) {
        let wrong = match message {
            MasterToAgent::Registered { agent_id, .. }
            | MasterToAgent::Reregistered { agent_id, .. } => self.is_stranger(life, agent_id),
            MasterToAgent::ShutdownFramework { framework_id } => self.may_go_on(framework_id),
            MasterToAgent::KillTask { task_id, .. } => self.is_wanted(task_id),
            MasterToAgent::Shutdown { message } => self.may_stay(life, link, message),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.fail(format!("master {life}: {wrong}"));
        }
    }

    /// An agent is told that it is admitted only when the registry says so. A master that leads no
    /// more may not know the registry, but it has read it and written it.
    fn is_stranger(&self, life: u64, agent: &str) -> Option<String> {
        let master = self.masters.get(&life)?;
        let is_known = master.registrar.stored.admitted.contains_key(agent);
        let is_stored =
            self.store.meant.admitted.contains_key(agent) && self.store.holds_agent(agent);
        match is_known && (is_stored || self.store.owner != life) {
            true => None,
            false => Some(format!(
                "agent {agent} is welcomed, but not in the registry"
            )),
        }
    }

    /// What a framework runs may be ended only when it has gone, or could have been away for too
    /// long.
    fn may_go_on(&self, framework: &str) -> Option<String> {
        let owner = self.frameworks.iter().find(|host| {
            let id = host.id.as_ref();
            id.is_some_and(|id| id.as_str() == framework)
        })?;
        (owner.wanted.is_patient() && !owner.is_leaving)
            .then(|| format!("framework {framework} is shut down without need"))
    }

    /// An agent is shut down only when its machine is down, or an operator has given it up.
    fn may_stay(&self, life: u64, link: LinkId, why: &str) -> Option<String> {
        let ping = self.masters.get(&life)?.links.get(&link)?;
        let Kind::Link { agent, .. } = self.net.get(ping.conn)?.kind else {
            return None;
        };
        let process = self.agents.get(agent)?.process.as_ref();
        let id = || process.and_then(|process| process.core.snapshot().agent_id);
        let id = ping.named.clone().or_else(id);
        let gone = self.masters.get(&life)?.core.snapshot().gone_agents;
        let is_gone = id.is_none_or(|id| gone.contains_key(&id));
        (!is_gone && !self.is_machine_down(life, agent))
            .then(|| format!("agent {agent} is shut down without need: {why}"))
    }

    /// A task is killed only when its framework wants it.
    fn is_wanted(&self, task: &str) -> Option<String> {
        let is_asked = self.history.killed.contains(task);
        (!is_asked).then(|| format!("task {task} is killed without need"))
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
        let MasterToAgent::AcknowledgeStatus {
            framework_id,
            task_id,
            uuid,
        } = message
        else {
            return;
        };
        // A framework that has got a new id acknowledges in vain what it heard before.
        if !self.history.is_of(framework_id, task_id) {
            return;
        }
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
