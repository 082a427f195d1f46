//! What must hold once faults have stopped and all timeouts and retries have passed.
//! What must hold at every step is in `checks`.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::framework_info::capability::Type as Capability;

use super::agents::MASTER_REGION;
use super::frameworks::{FrameworkHost, Known};
use super::masters::MasterProcess;
use super::view;
use super::world::{SECOND, World, micros};
use crate::agent::RETRY_MAX;
use crate::agent::model::{ExecutorState, Snapshot as AgentSnapshot, is_terminal};
use crate::ids::{AgentId, ContainerId, FrameworkId, OfferId, TaskId};
use crate::master::model::{Agent, Framework, Snapshot};
use crate::registry::Deactivation;
use crate::resources::{Quantities, Resources};
use crate::validation::framework::has_capability;

/// How often the cluster is looked at: something may be under way at any time.
const LOOKS: usize = 60;

/// Time between two looks.
const LOOK_US: u64 = SECOND / 2;

/// What a look found out.
type Look = Result<(), String>;

impl World {
    /// The cluster is whole, or becomes so within a moment.
    pub(super) fn check_quiet(&mut self) {
        let mut last = String::new();
        for _ in 0..LOOKS {
            match self.look() {
                Ok(()) => return,
                Err(error) => last = error,
            }
            self.run_until(self.now_us + LOOK_US);
            if self.failure.is_some() {
                return;
            }
        }
        self.fail(format!("not whole after all faults: {last}"));
    }

    fn look(&self) -> Look {
        let leader = self.election.leader;
        let Some(master) = leader.and_then(|life| self.masters.get(&life)) else {
            return Err("no master leads".to_owned());
        };
        if self.masters.len() > 1 {
            return Err("a master that leads no more goes on".to_owned());
        }
        if !master.is_idle() {
            return Err("the master is busy".to_owned());
        }
        let snapshot = master.core.snapshot();
        let agents = self.look_at_agents(&snapshot)?;
        self.look_at_registry(&snapshot)?;
        look_at_books(master, &snapshot, &agents)?;
        for (index, host) in self.frameworks.iter().enumerate() {
            let look = self.look_at_framework(host, &snapshot, &agents);
            look.map_err(|error| format!("framework {index}: {error}"))?;
        }
        self.look_at_processes(&agents)?;
        self.look_at_what_runs()?;
        self.look_at_free(&snapshot)
    }

    /// All agents are registered, and the master knows of no others.
    fn look_at_agents(
        &self,
        snapshot: &Snapshot,
    ) -> Result<BTreeMap<AgentId, AgentSnapshot>, String> {
        let mut agents = BTreeMap::new();
        for (index, host) in self.agents.iter().enumerate() {
            let core = host.process.as_ref().map(|process| process.core.snapshot());
            let core = core.ok_or_else(|| format!("agent {index} does not run"))?;
            let kept = host.disk.kept()?;
            if core.total.checkpointed() != kept {
                let total = core.total;
                return Err(format!("agent {index} has {total}, its checkpoint {kept}"));
            }
            let id = core.agent_id.clone().filter(|_| core.registered);
            let id = id.ok_or_else(|| format!("agent {index} is not registered"))?;
            let known = snapshot.agents.get(&id);
            if known.and_then(|agent| agent.link()).is_none() {
                return Err(format!(
                    "agent {index}, {id}, is not connected for the master"
                ));
            }
            agents.insert(id, core);
        }
        if let Some(other) = snapshot.agents.keys().find(|id| !agents.contains_key(*id)) {
            return Err(format!("the master still has agent {other}"));
        }
        match snapshot.recovered_agents.keys().next() {
            Some(id) => Err(format!("the master still waits for agent {id}")),
            None => Ok(agents),
        }
    }

    fn look_at_registry(&self, snapshot: &Snapshot) -> Look {
        let stored = self.store.read()?;
        let admitted: BTreeSet<&AgentId> = stored.admitted.keys().collect();
        if admitted != snapshot.agents.keys().collect() {
            return Err(format!("the registry has admitted {admitted:?}"));
        }
        if !stored
            .unreachable
            .iter()
            .eq(snapshot.unreachable_agents.iter())
        {
            return Err(format!(
                "the registry has unreachable {:?}",
                stored.unreachable
            ));
        }
        if !stored.gone.iter().eq(snapshot.gone_agents.iter()) {
            return Err(format!("the registry has gone {:?}", stored.gone));
        }
        if let Some(id) = snapshot.held_agents.keys().next() {
            return Err(format!("agent {id} waits for an operator's word"));
        }
        if stored.maintenance != snapshot.maintenance {
            return Err("the registry has another schedule".to_owned());
        }
        let quotas = snapshot
            .quotas
            .iter()
            .filter(|(_, quota)| !quota.is_default());
        match stored.quotas.iter().eq(quotas) && stored.weights.iter().eq(snapshot.weights.iter()) {
            true => Ok(()),
            false => Err("the registry has other quotas or weights".to_owned()),
        }
    }

    fn look_at_framework(
        &self,
        host: &FrameworkHost,
        snapshot: &Snapshot,
        agents: &BTreeMap<AgentId, AgentSnapshot>,
    ) -> Look {
        if host.is_gone {
            return Ok(());
        }
        if host.is_leaving {
            return Err("it was torn down, but is not gone".to_owned());
        }
        let process = host
            .process
            .as_ref()
            .filter(|process| process.is_subscribed);
        let process = process.ok_or("it is not subscribed")?;
        let known = host.id.as_ref().and_then(|id| snapshot.frameworks.get(id));
        let known = known.filter(|known| known.stream().is_some());
        let known = known.ok_or("the master does not know that it is subscribed")?;
        look_at_info(host, known, agents)?;
        let offers: BTreeSet<&OfferId> = process.offers.keys().collect();
        if offers != known.offers.iter().collect() {
            return Err(format!(
                "it has offers {offers:?}, the master {:?}",
                known.offers
            ));
        }
        let inverse = snapshot.inverse_offers.values();
        let inverse = inverse.filter(|offer| offer.framework == known.id);
        let inverse: BTreeSet<OfferId> = inverse.map(|offer| offer.id.clone()).collect();
        if process.inverse_offers != inverse {
            return Err(format!(
                "it has inverse offers {:?}, the master {inverse:?}",
                process.inverse_offers
            ));
        }
        for (id, task) in host.tasks.iter().filter(|(_, task)| !task.is_over) {
            look_at_task(id, task, known, agents)?;
            if task.is_killed {
                return Err(format!(
                    "task {id} was to be killed, but is {:?}",
                    task.state
                ));
            }
        }
        for (id, task) in &known.tasks {
            let state = view::state_of(task);
            if is_terminal(state) {
                return Err(format!("{state:?} of task {id} is not acknowledged"));
            }
            if host.tasks.get(id).is_none_or(|own| own.is_over) {
                return Err(format!(
                    "the master has task {id} in {state:?}, but it is over"
                ));
            }
        }
        self.look_at_leftovers(&known.id, snapshot, agents)
    }

    /// Nothing of a framework that lives waits for an acknowledgement.
    fn look_at_leftovers(
        &self,
        id: &FrameworkId,
        snapshot: &Snapshot,
        agents: &BTreeMap<AgentId, AgentSnapshot>,
    ) -> Look {
        for (agent, core) in agents {
            let executors = core.frameworks.get(id).map(|known| &known.executors);
            for executor in executors.into_iter().flat_map(|list| list.values()) {
                let terminated = executor.terminated.keys().next();
                if let Some(task) = terminated {
                    return Err(format!(
                        "agent {agent} still reports the end of task {task}"
                    ));
                }
                if !executor.queued.is_empty() {
                    return Err(format!("agent {agent} has not delivered all tasks"));
                }
            }
        }
        let owner = self
            .frameworks
            .iter()
            .find(|host| host.id.as_ref() == Some(id));
        let mut open = owner.into_iter().flat_map(|host| &host.operations);
        if let Some((name, agent)) = open.find(|(_, agent)| agents.contains_key(*agent)) {
            return Err(format!("it has not heard of operation {name} on {agent}"));
        }
        // What is not acknowledged is said again and again.
        let told = self.history.operations_told.get(id).copied();
        if told.is_some_and(|at| at + micros(RETRY_MAX) + SECOND > self.now_us) {
            return Err("an agent still reports the end of an operation".to_owned());
        }
        let mut operations = snapshot
            .agents
            .values()
            .flat_map(|agent| agent.operations.values());
        match operations.any(|operation| operation.framework.as_ref() == Some(id)) {
            true => Err("the master waits for an operation".to_owned()),
            false => Ok(()),
        }
    }

    /// Every process of an executor is known to its agent, and the other way round.
    fn look_at_processes(&self, agents: &BTreeMap<AgentId, AgentSnapshot>) -> Look {
        for (host, core) in self.agents.iter().zip(self.cores()) {
            let frameworks = core.frameworks.values();
            let executors = frameworks.flat_map(|framework| framework.executors.values());
            let known: BTreeSet<ContainerId> = executors
                .filter(|executor| executor.state != ExecutorState::Terminated)
                .map(|executor| executor.container.clone())
                .collect();
            let real: BTreeSet<ContainerId> = host.executors.keys().cloned().collect();
            if known != real {
                return Err(format!("{}: executors {real:?}, known {known:?}", host.ip));
            }
            if let Some(executor) = host
                .executors
                .values()
                .find(|it| !it.unacknowledged.is_empty())
            {
                return Err(format!("updates of executor {} are not taken", executor.id));
            }
        }
        match agents.len() == self.agents.len() {
            true => Ok(()),
            false => Err("two agents have one id".to_owned()),
        }
    }

    fn cores(&self) -> impl Iterator<Item = AgentSnapshot> {
        let processes = self.agents.iter().filter_map(|host| host.process.as_ref());
        processes.map(|process| process.core.snapshot())
    }

    /// Whatever really runs for a framework that lives is known to it.
    fn look_at_what_runs(&self) -> Look {
        for ((framework, task), container) in self.history.running() {
            let owner = self
                .frameworks
                .iter()
                .find(|host| host.id.as_ref() == Some(framework));
            let Some(owner) = owner.filter(|host| !host.is_gone) else {
                continue;
            };
            if owner.tasks.get(task).is_none_or(|known| known.is_over) {
                return Err(format!("task {task} still runs in {container}"));
            }
        }
        Ok(())
    }

    /// What is free is offered to somebody, unless quota forbids it.
    fn look_at_free(&self, snapshot: &Snapshot) -> Look {
        if snapshot.quotas.values().any(|quota| !quota.is_default()) {
            return Ok(());
        }
        for (id, agent) in &snapshot.agents {
            let deactivation = snapshot.deactivated_agents.get(id);
            if deactivation.is_some_and(Deactivation::is_draining) {
                // It waits for acknowledgements, maybe of a framework that never comes back.
                if agent.tasks.is_empty() && agent.operations.is_empty() {
                    return Err(format!("{id} drains, though nothing is left on it"));
                }
                continue;
            }
            let mut free = agent.total.non_shared();
            for used in agent.used.values() {
                free.subtract(&used.non_shared().unallocated());
            }
            for offer in agent.offers.iter().filter_map(|id| snapshot.offers.get(id)) {
                free.subtract(&offer.resources.non_shared().unallocated());
            }
            let active = snapshot
                .frameworks
                .values()
                .filter(|it| it.stream().is_some());
            for framework in active.filter(|framework| is_admitted(framework, agent)) {
                let refines = has_capability(&framework.info, Capability::ReservationRefinement);
                let usable = free.filter(|entry| refines || !entry.has_refined_reservations());
                let mut roles = framework.roles.iter();
                let wanted = roles.find(|role| is_enough(&usable.allocatable_to(role)));
                if let Some(role) = wanted {
                    return Err(format!(
                        "{free} of {id} is free, but not offered to role {role}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Master and agents know what a framework wants.
fn look_at_info(
    host: &FrameworkHost,
    known: &Framework,
    agents: &BTreeMap<AgentId, AgentSnapshot>,
) -> Look {
    let wanted = host.wanted.subscribe(host.id.as_ref());
    let is_known = *known.info == wanted.framework_info
        && known.suppressed.is_empty()
        && known.constraints.is_none();
    if !is_known {
        let info = &known.info;
        return Err(format!("it is {wanted:?}, for the master {info:?}"));
    }
    for (id, agent) in agents {
        let there = agent.frameworks.get(&known.id);
        let has_tasks = there.is_some_and(|it| !it.tasks.is_empty());
        if has_tasks && there.is_some_and(|it| it.info != known.info) {
            return Err(format!("agent {id} has another description of it"));
        }
    }
    Ok(())
}

/// A task that its framework counts on is the same for master and agent.
fn look_at_task(
    id: &TaskId,
    own: &Known,
    known: &Framework,
    agents: &BTreeMap<AgentId, AgentSnapshot>,
) -> Look {
    let lost = tepui_protocol::v1::TaskState::TaskUnreachable;
    let Some(agent) = agents.get(&own.agent) else {
        // Its agent may come back for ever.
        return match own.state == lost {
            true => Ok(()),
            false => Err(format!(
                "task {id} is {:?} on {}, which is gone",
                own.state, own.agent
            )),
        };
    };
    let task = known.tasks.get(id);
    let task = task.ok_or_else(|| format!("the master has no task {id} in {:?}", own.state))?;
    if view::agent_of(task) != own.agent || view::state_of(task) != own.state {
        return Err(format!(
            "task {id} is {:?} on {}, for the master {:?} on {}",
            own.state,
            own.agent,
            view::state_of(task),
            view::agent_of(task)
        ));
    }
    let framework = agent.frameworks.get(&known.id);
    let executor = framework.and_then(|framework| framework.executor_of(id));
    let there = executor.and_then(|executor| executor.launched.get(id));
    match there.map(|task| task.state()) {
        Some(state) if state == own.state => Ok(()),
        other => Err(format!(
            "task {id} is {:?}, for its agent {other:?}",
            own.state
        )),
    }
}

/// Master, allocator and agents agree on what there is and who holds what.
fn look_at_books(
    master: &MasterProcess,
    snapshot: &Snapshot,
    agents: &BTreeMap<AgentId, AgentSnapshot>,
) -> Look {
    let books = master.allocator.books();
    if !books.keys().eq(snapshot.agents.keys()) {
        return Err("the allocator has other agents".to_owned());
    }
    for (id, agent) in &snapshot.agents {
        let (Some(book), Some(core)) = (books.get(id), agents.get(id)) else {
            return Err(format!("agent {id} is missing"));
        };
        if book.total != agent.total || core.total != agent.total {
            return Err(format!(
                "total of {id}: master {}, allocator {}, agent {}",
                agent.total, book.total, core.total
            ));
        }
        let mut held: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
        for (framework, used) in &agent.used {
            held.entry(framework.clone()).or_default().add(used);
        }
        for offer in agent.offers.iter().filter_map(|id| snapshot.offers.get(id)) {
            let of_framework = held.entry(offer.framework.clone()).or_default();
            of_framework.add(&offer.resources);
        }
        if held != book.held {
            let of_allocator = &book.held;
            return Err(format!("{id}: master {held:?}, allocator {of_allocator:?}"));
        }
    }
    Ok(())
}

/// Whether a framework may be offered anything of an agent.
fn is_admitted(framework: &Framework, agent: &Agent) -> bool {
    let can = |kind| has_capability(&framework.info, kind);
    let domain = agent.info.domain.as_ref();
    let place = domain.and_then(|domain| domain.fault_domain.as_ref());
    let is_here = place.is_none_or(|place| place.region.name == MASTER_REGION);
    let has_gpus = agent.total.scalar_milli("gpus") > 0;
    (can(Capability::RegionAware) || is_here) && (can(Capability::GpuResources) || !has_gpus)
}

/// Whether this is enough for an offer.
fn is_enough(resources: &Resources) -> bool {
    let least = [
        Quantities::from_amounts([("cpus", 0.01)]),
        Quantities::from_amounts([("mem", 32.0)]),
    ];
    let quantities = resources.quantities();
    least.iter().any(|least| quantities.contains(least))
}
