//! Checks that the parts of the master's state agree with each other; for tests and simulation.
//! Repairs nothing.

use std::collections::BTreeMap;

use super::agents::machine_of;
use super::deadlines::Deadline;
use super::model::{Agent, AgentState, FrameworkState, TaskCounts};
use super::tasks::{is_over, state_of};
use super::{Master, launch};
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::maintenance::MachineKey;
use crate::resources::Resources;

impl Master {
    /// Walks all invariants; the error names the first that does not hold.
    ///
    /// # Errors
    /// When state is inconsistent, which is a bug.
    pub fn sanity_check(&self) -> Result<(), String> {
        self.check_frameworks()?;
        self.check_agents()?;
        self.check_deactivated()?;
        self.check_reconciling()?;
        self.check_offer_index()?;
        self.check_streams_and_links()?;
        self.check_unreachable()?;
        self.check_tracked_operations()?;
        self.check_inverse_offers()?;
        self.check_maintenance()?;
        self.check_removals()?;
        self.check_agent_sums()?;
        self.check_operation_counts()?;
        if self.completed_ids.len() != self.completed_frameworks.len() {
            return Err("ids of completed frameworks are not theirs".to_string());
        }
        let waits = |id: &AgentId| self.transitions.contains_key(id);
        for agent in self.killed.keys() {
            ensure(self.agents.contains_key(agent), || {
                format!("kills kept for {agent}")
            })?;
        }
        for agent in self.recovered_agents.keys() {
            let elsewhere = self.agents.contains_key(agent) && !waits(agent);
            ensure(!elsewhere, || {
                format!("recovered agent {agent} is admitted")
            })?;
        }
        Ok(())
    }

    fn check_deactivated(&self) -> Result<(), String> {
        for id in self.deactivated_agents.keys() {
            let is_known = self.agents.contains_key(id)
                || self.recovered_agents.contains_key(id)
                || self.unreachable_agents.contains_key(id);
            ensure(is_known, || format!("unknown agent {id} is deactivated"))?;
        }
        Ok(())
    }

    fn check_frameworks(&self) -> Result<(), String> {
        for (id, framework) in &self.frameworks {
            ensure(framework.id == *id, || {
                format!("framework {id} is filed wrongly")
            })?;
            ensure(!self.completed_ids.contains(id), || {
                format!("framework {id} is completed")
            })?;
            let waits = self.deadlines.contains(&Deadline::Framework(id.clone()));
            let disconnected = matches!(framework.state, FrameworkState::Disconnected(_));
            ensure(waits == disconnected, || {
                format!("failover timer of {id} is wrong")
            })?;
            let idle = framework.stream().is_none();
            ensure(!idle || framework.offers.is_empty(), || {
                format!("framework {id} is not subscribed but has offers")
            })?;
            let mut counts = TaskCounts::default();
            let states = framework.tasks.values().map(|task| task.state);
            states.for_each(|state| counts.add(state));
            ensure(counts == framework.task_counts, || {
                format!(
                    "tasks of {id} are counted wrong: {:?}",
                    framework.task_counts
                )
            })?;
            for (task_id, task) in &framework.tasks {
                let key = (id.clone(), task_id.clone());
                let listed = self
                    .agents
                    .get(&task.agent)
                    .is_some_and(|a| a.tasks.contains(&key));
                ensure(listed, || {
                    format!("task {task_id} of {id} is not on agent {}", task.agent)
                })?;
                let over = state_of(task.state).is_some_and(is_over);
                ensure(task.recovered == over, || {
                    format!(
                        "task {task_id} is over: {over}, recovered: {}",
                        task.recovered
                    )
                })?;
            }
            for (agent, executor) in framework.executors.keys() {
                let key = (id.clone(), executor.clone());
                let listed = self
                    .agents
                    .get(agent)
                    .is_some_and(|a| a.executors.contains_key(&key));
                ensure(listed, || {
                    format!("executor {executor} of {id} is not on {agent}")
                })?;
            }
        }
        Ok(())
    }

    /// A reconciliation goes on when its stream says so, which one that is gone never does.
    fn check_reconciling(&self) -> Result<(), String> {
        let lost = self
            .reconciling
            .keys()
            .find(|stream| !self.streams.contains_key(stream));
        match lost {
            Some(stream) => Err(format!("reconciliation on unknown stream {}", stream.0)),
            None => Ok(()),
        }
    }

    fn check_agents(&self) -> Result<(), String> {
        for (id, agent) in &self.agents {
            ensure(agent.id == *id, || format!("agent {id} is filed wrongly"))?;
            let known = !self.unreachable_agents.contains_key(id);
            ensure(known, || format!("agent {id} is admitted and unreachable"))?;
            let deactivated = self.deactivated_agents.get(id);
            ensure(agent.deactivation.as_ref() == deactivated, || {
                format!(
                    "agent {id} is shown as {:?}, not {deactivated:?}",
                    agent.deactivation
                )
            })?;
            ensure(deactivated.is_none() || agent.offers.is_empty(), || {
                format!("agent {id} is deactivated and offered")
            })?;
            let expected = self.expected_use(agent)?;
            let used: BTreeMap<FrameworkId, Resources> = agent
                .used
                .iter()
                .map(|(id, used)| (id.clone(), used.clone()))
                .collect();
            ensure(used == expected, || {
                format!("agent {id} has {used:?} used, its tasks and executors {expected:?}")
            })?;
            let waits = self.deadlines.contains(&Deadline::Agent(id.clone()));
            match agent.state {
                AgentState::Connected(link) => {
                    ensure(!waits, || format!("connected agent {id} has a timer"))?;
                    let own = self.links.get(&link).and_then(|link| link.agent.as_ref());
                    ensure(own == Some(id), || {
                        format!("link of agent {id} is not its own")
                    })?;
                }
                AgentState::Disconnected(_) => {
                    let given_up = self.removals.has(id) || self.transitions.contains_key(id);
                    let expected = waits || given_up;
                    ensure(expected, || format!("disconnected agent {id} has no timer"))?;
                    ensure(agent.offers.is_empty(), || {
                        format!("offers of disconnected {id}")
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What the tasks and executors of an agent use, recomputed.
    fn expected_use(&self, agent: &Agent) -> Result<BTreeMap<FrameworkId, Resources>, String> {
        let mut sum = agent.clone();
        sum.used.clear();
        for (framework, task) in &agent.tasks {
            let known: &TaskId = task;
            let Some(task) = self.task(framework, known) else {
                return Err(format!("task {known} on agent {} is unknown", agent.id));
            };
            if !task.recovered && !task.resources.is_empty() {
                launch::charge(&mut sum, framework, &task.resources);
            }
        }
        for ((framework, id), executor) in &agent.executors {
            let id: &ExecutorId = id;
            let key = (agent.id.clone(), id.clone());
            let owner = self.frameworks.get(framework);
            if !owner.is_some_and(|owner| owner.executors.contains_key(&key)) {
                return Err(format!("executor {id} on agent {} is unknown", agent.id));
            }
            if !executor.resources.is_empty() {
                launch::charge(&mut sum, framework, &executor.resources);
            }
        }
        Ok(sum.used.into_iter().collect())
    }

    fn check_offer_index(&self) -> Result<(), String> {
        for (id, offer) in &self.offers {
            let agent = self.agents.get(&offer.agent);
            let framework = self.frameworks.get(&offer.framework);
            let listed = agent.is_some_and(|agent| agent.offers.contains(id))
                && framework.is_some_and(|framework| framework.offers.contains(id));
            ensure(listed, || {
                format!("offer {id} is not in its agent and framework")
            })?;
            let waits = self.deadlines.contains(&Deadline::Offer(id.clone()));
            ensure(waits == offer.expires.is_some(), || {
                format!("timer of offer {id} is wrong")
            })?;
        }
        let of_agents: usize = self.agents.values().map(|agent| agent.offers.len()).sum();
        let of_frameworks: usize = self.frameworks.values().map(|f| f.offers.len()).sum();
        ensure(
            of_agents == self.offers.len() && of_frameworks == self.offers.len(),
            || "agents or frameworks list offers that are not outstanding".to_string(),
        )
    }

    /// Every operation is with its agent, and with its framework or among the orphans; no other.
    fn check_tracked_operations(&self) -> Result<(), String> {
        let mut of_operators = 0;
        let mut all = 0;
        for (id, agent) in &self.agents {
            all += agent.operations.len();
            for (uuid, operation) in &agent.operations {
                ensure(operation.uuid == *uuid, || {
                    format!("operation {uuid} on {id} is filed wrongly")
                })?;
                let Some(owner) = &operation.framework else {
                    of_operators += 1;
                    continue;
                };
                let filed = match self.frameworks.get(owner) {
                    Some(framework) => framework.operations.get(uuid),
                    None => self.orphans.get(owner).and_then(|of| of.get(uuid)),
                };
                ensure(filed == Some(id), || {
                    format!("operation {uuid} of {owner} on {id} is not filed with its owner")
                })?;
            }
        }
        let mut filed: usize = self.orphans.values().map(BTreeMap::len).sum();
        for (id, framework) in &self.frameworks {
            filed += framework.operations.len();
            for (name, uuid) in &framework.operation_ids {
                let agent = framework.operations.get(uuid);
                let known = agent
                    .and_then(|agent| self.agents.get(agent))
                    .and_then(|agent| agent.operations.get(uuid))
                    .and_then(|operation| operation.id());
                ensure(known.is_some_and(|id| id.value == name.as_str()), || {
                    format!("operation '{name}' of {id} is not known")
                })?;
            }
        }
        ensure(filed + of_operators == all, || {
            format!("{all} operations on agents, {filed} of frameworks, {of_operators} of none")
        })?;
        let changed = self.changes.values().map(|change| &change.agent);
        for agent in changed.chain(self.undone.keys()) {
            ensure(self.agents.contains_key(agent), || {
                format!("a change waits for agent {agent}, which is not admitted")
            })?;
        }
        Ok(())
    }

    fn check_inverse_offers(&self) -> Result<(), String> {
        ensure(self.inverse_offers.is_consistent(), || {
            "indices of inverse offers do not fit".to_string()
        })?;
        for (id, offer) in self.inverse_offers.by_id() {
            let framework = self.frameworks.get(&offer.framework);
            let listens = framework.is_some_and(|framework| framework.stream().is_some());
            let agent = self.agents.get(&offer.agent);
            let planned = agent
                .filter(|agent| agent.link().is_some())
                .and_then(|agent| self.maintenance.unavailability(&agent.machine));
            ensure(listens && planned == Some(&offer.unavailability), || {
                format!("inverse offer {id} should have ended")
            })?;
            let waits = self.deadlines.contains(&Deadline::InverseOffer(id.clone()));
            ensure(waits == offer.expires.is_some(), || {
                format!("timer of inverse offer {id} is wrong")
            })?;
        }
        for (agent, framework) in self.inverse_offers.answers().keys() {
            let planned = self
                .agents
                .get(agent)
                .is_some_and(|agent| self.maintenance.unavailability(&agent.machine).is_some());
            ensure(planned && self.frameworks.contains_key(framework), || {
                format!("answer of {framework} about {agent} is kept in vain")
            })?;
        }
        Ok(())
    }

    fn check_maintenance(&self) -> Result<(), String> {
        for (key, machine) in &self.maintenance.machines {
            ensure(*key == MachineKey::from(&machine.id), || {
                format!("machine {key} is filed wrongly")
            })?;
        }
        for (id, agent) in &self.agents {
            let expected = machine_of(&agent.pid, &agent.info);
            ensure(agent.machine == expected, || {
                format!("agent {id} is not on machine {}", agent.machine)
            })?;
            let leaves = self.transitions.contains_key(id);
            ensure(leaves || !self.maintenance.is_down(&agent.machine), || {
                format!("agent {id} stays on a machine that is down")
            })?;
        }
        Ok(())
    }

    fn check_removals(&self) -> Result<(), String> {
        for id in self.removals.condemned() {
            let is_known = self.agents.contains_key(id) || self.recovered_agents.contains_key(id);
            ensure(is_known, || {
                format!("agent {id} is given up, but not known")
            })?;
        }
        for id in self.gone_agents.keys() {
            let is_known = self.agents.contains_key(id)
                || self.recovered_agents.contains_key(id)
                || self.unreachable_agents.contains_key(id);
            ensure(!is_known, || {
                format!("agent {id} is gone and something else")
            })?;
        }
        Ok(())
    }

    fn check_streams_and_links(&self) -> Result<(), String> {
        let active = self
            .frameworks
            .values()
            .filter(|f| f.stream().is_some())
            .count();
        ensure(active == self.streams.len(), || {
            format!(
                "{active} frameworks are subscribed on {} streams",
                self.streams.len()
            )
        })?;
        for (stream, id) in &self.streams {
            let current = self.frameworks.get(id).and_then(|f| f.stream());
            ensure(current == Some(stream), || {
                format!("a stream of {id} is not current")
            })?;
        }
        for (pid, id) in &self.pids {
            let current = self.agents.get(id).is_some_and(|agent| agent.pid == *pid);
            ensure(current, || format!("pid {pid} is not that of agent {id}"))?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
