//! Agents that come back, and the merging of what they run with what the master knows.
//! New agents are admitted in `agents`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tepui_protocol::link::{MasterToAgent, Register, Reregister, TaskRef};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, ExecutorInfo, FrameworkInfo, OperationState, TaskState};
use uuid::Uuid;

use super::agent_sums::AgentSums;
use super::agents::{Unwelcome, facts_of, pid_of, plain, total_of};
use super::messages::{Effect, LinkId};
use super::model::{AgentState, Executor, Operation as KnownOperation, Task};
use super::operation_counts::counted_as;
use super::registrations::{Arrival, Pending, Transition};
use super::removals::Word;
use super::shapes::Shapes;
use super::tasks::{is_over, is_terminal, state_of};
use super::{Deadline, Master, events, launch, to_agent, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::memo::Memo;
use crate::registry::Operation;
use crate::resources::Resources;
use crate::time::Now;
use crate::validation::agent::{Reregistration, validate_reregistration};

/// What an agent says it runs, in the master's own terms.
struct Report {
    frameworks: Vec<FrameworkInfo>,
    tasks: BTreeMap<(FrameworkId, TaskId), Arc<Memo<Task>>>,
    executors: BTreeMap<(FrameworkId, ExecutorId), Executor>,
    operations: BTreeMap<Uuid, KnownOperation>,
}

impl Master {
    pub(super) fn reregister(
        &mut self,
        now: Now,
        link: LinkId,
        report: Box<Reregister>,
        out: &mut Vec<Effect>,
    ) {
        let Some(opened) = self.links.get(&link) else {
            self.counters.dropped_messages += 1;
            return;
        };
        let pid = pid_of(&opened.peer_ip, &report.register.info);
        let id = match self.check_returning(&pid, &report) {
            Ok(id) => id,
            Err(unwelcome) => {
                let id = report.register.info.id.as_ref().map(AgentId::from);
                return self.turn_away(now, link, id.as_ref(), unwelcome, out);
            }
        };
        self.spare(now, &id);
        if let Some(transition) = self.transitions.get_mut(&id) {
            if transition.link == Some(link) {
                self.counters.dropped_messages += 1;
                return;
            }
            transition.waiting = Some((link, report));
            return;
        }
        let info = &report.register.info.0;
        let known = self
            .agents
            .get(&id)
            .map(|agent| Arc::new(agent.description()));
        let operation = match known.as_ref().or_else(|| self.recovered_agents.get(&id)) {
            Some(known) if **known == *info => None,
            Some(_) => Some(Operation::UpdateAgent(Box::new(info.clone()))),
            None => Some(Operation::MarkReachable(Box::new(info.clone()))),
        };
        let arrival = Arrival { link, pid };
        match operation {
            Some(operation) => {
                let transition = Transition {
                    link: Some(link),
                    waiting: None,
                };
                self.transitions.insert(id.clone(), transition);
                let pending = Pending::Return {
                    arrival,
                    id,
                    report,
                };
                self.apply(operation, pending, out);
            }
            None if self.agents.contains_key(&id) => {
                self.reconnect_agent(now, &arrival, &id, *report, out);
            }
            None => self.readmit_agent(now, arrival, &id, *report, out),
        }
    }

    fn check_returning(&self, pid: &str, report: &Reregister) -> Result<AgentId, Unwelcome> {
        let register = &report.register;
        self.check_welcome(pid, register)?;
        let ignored = |text: String| Unwelcome::Ignored(text);
        let frameworks: Vec<_> = report.frameworks.iter().map(|f| &f.0).collect();
        let executors: Vec<_> = report.executors.iter().map(|e| &e.0).collect();
        let tasks: Vec<_> = report.tasks.iter().map(|t| &t.0).collect();
        validate_reregistration(&Reregistration {
            info: &register.info,
            checkpointed_resources: &plain(&register.checkpointed_resources),
            frameworks: &frameworks,
            executors: &executors,
            tasks: &tasks,
        })
        .map_err(ignored)?;
        total_of(register).map_err(ignored)?;
        let id = register.info.id.as_ref().map(AgentId::from);
        let id = id.ok_or_else(|| ignored("it names no id to come back with".to_string()))?;
        if let Some(word) = self.gone_word(&id) {
            let text = "Agent has been marked gone".to_string();
            return Err(Unwelcome::ShutDown(word, text));
        }
        let moved = self.agents.get(&id).is_some_and(|agent| {
            agent.info.hostname != register.info.hostname || host_of(&agent.pid) != host_of(pid)
        });
        match moved {
            true => Err(Unwelcome::ShutDown(
                Word::Master,
                "Agent attempted to reregister with different IP / hostname".to_string(),
            )),
            false => Ok(id),
        }
    }

    /// An agent that is still admitted is back; Mesos's `___reregisterSlave`.
    pub(super) fn reconnect_agent(
        &mut self,
        now: Now,
        arrival: &Arrival,
        id: &AgentId,
        reregister: Reregister,
        out: &mut Vec<Effect>,
    ) {
        if !self.links.contains_key(&arrival.link) {
            return self.gone_again(now, id);
        }
        let (register, report) = read(id, reregister, &mut self.shapes);
        let was_connected = self.agents.get(id).and_then(|agent| agent.link());
        if let Some(old) = was_connected.filter(|old| *old != arrival.link) {
            self.detach_link(old, out);
        }
        // What is said again on the link in use may be older than what was sent there since: it
        // is right about the agent's resources and operations only the first time.
        let is_first = was_connected != Some(arrival.link);
        self.take_new_facts(now, arrival, id, register, is_first, out);
        for info in &report.frameworks {
            self.know_framework(now, info, out);
        }
        let missing = self.missing_tasks(id, &report);
        out.push(to_agent(
            arrival.link,
            MasterToAgent::Reregistered {
                agent_id: id.to_string(),
                ping_timeout_ms: self.ping_timeout_ms(),
                reconcile: missing,
            },
        ));
        self.merge_executors(id, &report, out);
        self.merge_tasks(now, arrival.link, id, &report, out);
        if is_first {
            self.merge_operations(id, &report, out);
        }
        self.repeat_kills(arrival.link, id, &report, out);
        self.deadlines.clear(&Deadline::Agent(id.clone()));
        if was_connected.is_none() && !self.deactivated_agents.contains_key(id) {
            out.push(to_allocator(Command::ActivateAgent(id.clone())));
        }
        self.tell_agent_of_frameworks(arrival.link, &report, out);
        self.keep_deactivated(now, id, out);
    }

    /// Gone before the registry answered: its time to come back still runs, or, if it ran out
    /// meanwhile, starts anew.
    fn gone_again(&mut self, now: Now, id: &AgentId) {
        let deadline = Deadline::Agent(id.clone());
        let connected = self
            .agents
            .get(id)
            .is_none_or(|agent| agent.link().is_some());
        if !connected && !self.deadlines.contains(&deadline) {
            let timeout = self.settings.time_to_come_back();
            self.deadlines.set(deadline, now.mono + timeout);
        }
    }

    fn take_new_facts(
        &mut self,
        now: Now,
        arrival: &Arrival,
        id: &AgentId,
        register: Register,
        is_first: bool,
        out: &mut Vec<Effect>,
    ) {
        if let Some(opened) = self.links.get_mut(&arrival.link) {
            opened.agent = Some(id.clone());
        }
        let total = self
            .shapes
            .resources(total_of(&register).unwrap_or_default());
        let capabilities = self.shapes.capabilities(register.capabilities);
        let (info, described) = self.shapes.description(register.info.0);
        let Some(agent) = self.agent_mut(id) else {
            return;
        };
        let sums = AgentSums::of(agent);
        let old_pid = std::mem::replace(&mut agent.pid, arrival.pid.clone());
        agent.state = AgentState::Connected(arrival.link);
        let mut lost = agent.total.clone();
        if is_first {
            agent.total = total;
            agent.arrived = now.mono;
        }
        lost.subtract(&agent.total);
        (agent.info, agent.described) = (info, described);
        agent.version = register.version;
        agent.capabilities = capabilities;
        agent.reregistered_time = Some(now.wall);
        let (facts, total) = (facts_of(agent), agent.total.clone());
        let now_sums = AgentSums::of(agent);
        self.agent_sums.subtract(&sums);
        self.agent_sums.add(&now_sums);
        if is_first {
            self.undone.remove(id);
        }
        for offer in self.offers_with(id, &lost) {
            self.rescind_offer(&offer, out);
        }
        out.push(to_allocator(Command::UpdateAgent {
            id: id.clone(),
            facts,
            total,
        }));
        self.abandon_changes(id, "the agent reregistered", out);
        if self.pids.get(&old_pid) == Some(id) {
            self.pids.remove(&old_pid);
        }
        self.pids.insert(arrival.pid.clone(), id.clone());
    }

    /// Tasks that the agent should run and does not speak of: it is to tell what became of them.
    fn missing_tasks(&self, id: &AgentId, report: &Report) -> Vec<TaskRef> {
        let Some(agent) = self.agents.get(id) else {
            return Vec::new();
        };
        let missing = agent
            .tasks
            .iter()
            .filter(|key| !report.tasks.contains_key(*key));
        missing
            .map(|(framework, task)| TaskRef {
                framework_id: framework.to_string(),
                task_id: task.to_string(),
            })
            .collect()
    }

    /// Forgets executors that the agent does not run, and learns of those it does.
    fn merge_executors(&mut self, id: &AgentId, report: &Report, out: &mut Vec<Effect>) {
        let known = self
            .agents
            .get(id)
            .map(|agent| agent.executors.clone())
            .unwrap_or_default();
        for (framework, executor) in known.keys() {
            if !report
                .executors
                .contains_key(&(framework.clone(), executor.clone()))
            {
                self.remove_executor(id, framework, executor, out);
            }
        }
        for ((framework, executor), entry) in &report.executors {
            let key = (framework.clone(), executor.clone());
            if !known.contains_key(&key) && self.adopt_executor(id, &key, entry) {
                self.charge_allocator(id, framework, &entry.resources, out);
            }
        }
    }

    /// Learns of tasks that the agent runs although the master had given them up.
    fn merge_tasks(
        &mut self,
        now: Now,
        link: LinkId,
        id: &AgentId,
        report: &Report,
        out: &mut Vec<Effect>,
    ) {
        let known = self
            .agents
            .get(id)
            .map(|agent| agent.tasks.clone())
            .unwrap_or_default();
        for (key, task) in &report.tasks {
            if known.contains(key) || !self.adopt_task(link, key, task, out) {
                continue;
            }
            if !task.recovered {
                self.charge_allocator(id, &key.0, &task.resources, out);
            }
            self.tell_task_is_back(now, task, "Agent reregistered", out);
        }
    }

    /// Learns of operations that only the agent knows, and gives up those it knows nothing of: the
    /// order never reached it.
    fn merge_operations(&mut self, id: &AgentId, report: &Report, out: &mut Vec<Effect>) {
        let known = self
            .agents
            .get(id)
            .map(|agent| agent.operations.clone())
            .unwrap_or_default();
        for (uuid, operation) in &known {
            if report.operations.contains_key(uuid) {
                continue;
            }
            self.remove_operation(id, *uuid);
            if !operation.is_terminal() {
                let (kind, _) = counted_as(operation);
                let dropped = OperationState::OperationDropped;
                self.counters.operations.add(kind, dropped);
            }
            let owner = operation.framework.as_ref().zip(operation.id());
            if let Some((framework, name)) = owner.filter(|_| !operation.is_terminal()) {
                let state = OperationState::OperationDropped;
                let message = "Operation is unknown to the agent".to_string();
                let agent = Some(id.to_v1());
                let event = events::operation_status(state, name, message, agent, None);
                self.send(framework, event, out);
            }
        }
        for (uuid, operation) in &report.operations {
            match known.get(uuid) {
                None => self.add_operation(id, operation.clone()),
                Some(known) if !known.is_terminal() => {
                    // The resources of the report show how it ended.
                    let agent = self.agents.get_mut(id).map(Arc::make_mut);
                    if let Some(known) = agent.and_then(|agent| agent.operations.get_mut(uuid)) {
                        let (kind, before) = counted_as(known);
                        let status = operation.info.latest_status.clone();
                        self.counters.operations.remove(kind, before);
                        self.counters.operations.add(kind, status.state());
                        Arc::make_mut(known).info.latest_status = status;
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn charge_allocator(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        resources: &Resources,
        out: &mut Vec<Effect>,
    ) {
        out.push(to_allocator(Command::Charge {
            framework: framework.clone(),
            agent: agent.clone(),
            resources: resources.clone(),
        }));
    }

    /// Orders that the agent may have missed while it was away.
    fn repeat_kills(&self, link: LinkId, id: &AgentId, report: &Report, out: &mut Vec<Effect>) {
        for key in self.killed_on(id) {
            let task = report.tasks.get(&key);
            if task
                .and_then(|task| state_of(task.state))
                .is_some_and(|s| !is_terminal(s))
            {
                out.push(kill(link, &key));
            }
        }
    }

    /// An agent that is not admitted now is back: recovered, unreachable or unknown.
    ///
    /// Mesos: `__reregisterSlave`.
    pub(super) fn readmit_agent(
        &mut self,
        now: Now,
        arrival: Arrival,
        id: &AgentId,
        reregister: Reregister,
        out: &mut Vec<Effect>,
    ) {
        let (register, report) = read(id, reregister, &mut self.shapes);
        let link = arrival.link;
        let was_recovered = self.recovered_agents.remove(id).is_some();
        let was_unreachable = self.unreachable_agents.remove(id).is_some();
        self.removals.came_back(id);
        self.counters.slave_reregistrations += 1;
        for info in &report.frameworks {
            self.know_framework(now, info, out);
        }
        self.forget_unreachable_of(id);
        let mut agent = self.new_agent(now, id, &arrival, register);
        agent.reregistered_time = Some(now.wall);
        self.agent_sums.add(&AgentSums::of(&agent));
        self.agents.insert(id.clone(), Arc::new(agent.into()));
        for (key, executor) in &report.executors {
            self.adopt_executor(id, key, executor);
        }
        for operation in report.operations.values() {
            self.add_operation(id, operation.clone());
        }
        let mut adopted = Vec::new();
        for (key, task) in &report.tasks {
            if self.adopt_task(link, key, task, out) {
                adopted.push(task);
            }
        }
        self.announce_agent(id, out);
        if !was_recovered {
            let message = match was_unreachable {
                true => "Unreachable agent re-reregistered",
                false => "Unknown agent reregistered",
            };
            for task in adopted {
                self.tell_task_is_back(now, task, message, out);
            }
        }
        self.connect_agent(now, id, arrival, out);
        if self.agent_of_link(link).is_some() {
            out.push(to_agent(
                link,
                MasterToAgent::Reregistered {
                    agent_id: id.to_string(),
                    ping_timeout_ms: self.ping_timeout_ms(),
                    reconcile: Vec::new(),
                },
            ));
            self.tell_agent_of_frameworks(link, &report, out);
        }
        self.keep_deactivated(now, id, out);
    }

    /// Adds a framework that only the agent knows, unless it is completed.
    fn know_framework(&mut self, now: Now, info: &FrameworkInfo, out: &mut Vec<Effect>) {
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        if !self.frameworks.contains_key(id) && !self.completed_ids.contains(id) {
            self.recover_framework(now, info.clone(), out);
        }
    }

    /// Adds an executor that runs; not that of a framework that is gone.
    fn adopt_executor(
        &mut self,
        agent: &AgentId,
        (framework, id): &(FrameworkId, ExecutorId),
        executor: &Executor,
    ) -> bool {
        let Some(owner) = self.framework_mut(framework) else {
            return false;
        };
        owner
            .executors
            .insert((agent.clone(), id.clone()), executor.clone());
        if let Some(agent) = self.agent_mut(agent) {
            let charged = launch::charge(agent, framework, &executor.resources);
            let key = (framework.clone(), id.clone());
            agent.executors.insert(key, executor.clone());
            self.agent_sums.used.add(&charged);
        }
        true
    }

    /// Adds a task that runs; not that of a framework that is gone, and not one whose id the
    /// framework has given to another task meanwhile: that one is killed.
    fn adopt_task(
        &mut self,
        link: LinkId,
        key: &(FrameworkId, TaskId),
        task: &Arc<Memo<Task>>,
        out: &mut Vec<Effect>,
    ) -> bool {
        let (framework, id) = key;
        if self.task(framework, id).is_some() {
            out.push(kill(link, key));
            return false;
        }
        self.forget_unreachable(framework, id);
        let Some(owner) = self.framework_mut(framework) else {
            return false;
        };
        owner.completed_tasks.retain(|old| old.id != *id);
        self.insert_task(task.clone(), out);
        true
    }

    fn tell_task_is_back(&self, now: Now, task: &Task, message: &str, out: &mut Vec<Effect>) {
        let reason = Reason::AgentReregistered;
        let status = events::known_task(task, task.state, reason, message, now.wall);
        self.send(&task.framework, events::update(status), out);
    }

    /// Gives the agent the current data of its frameworks, and ends those that are completed.
    fn tell_agent_of_frameworks(&self, link: LinkId, report: &Report, out: &mut Vec<Effect>) {
        for info in &report.frameworks {
            let framework_id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if let Some(framework) = self.frameworks.get(framework_id) {
                let info = FrameworkInfo::clone(&framework.info).into();
                out.push(to_agent(link, MasterToAgent::UpdateFramework { info }));
            } else {
                let framework_id = framework_id.to_string();
                out.push(to_agent(
                    link,
                    MasterToAgent::ShutdownFramework { framework_id },
                ));
            }
        }
    }
}

fn kill(link: LinkId, (framework, task): &(FrameworkId, TaskId)) -> Effect {
    to_agent(
        link,
        MasterToAgent::KillTask {
            framework_id: framework.to_string(),
            task_id: task.to_string(),
            kill_policy: None,
        },
    )
}

/// The address part of a pid without its port.
fn host_of(pid: &str) -> &str {
    pid.rsplit_once(':').map_or(pid, |(host, _)| host)
}

/// Puts a report, which was validated, into the master's own terms.
fn read(agent: &AgentId, report: Reregister, shapes: &mut Shapes) -> (Register, Report) {
    let frameworks: Vec<FrameworkInfo> = report.frameworks.into_iter().map(|f| f.0).collect();
    let ids = frameworks.iter().filter_map(|info| info.id.as_ref());
    let known: BTreeSet<FrameworkId> = ids.map(FrameworkId::from).collect();
    let tasks = report.tasks.into_iter().filter_map(|Pb(task)| {
        let framework = known.get(task.framework_id.value.as_str())?;
        let key = (framework.clone(), TaskId::from(&task.task_id));
        let task = read_task(key.clone(), agent.clone(), task, shapes);
        Some((key, Arc::new(task.into())))
    });
    let executors = report.executors.into_iter().filter_map(|Pb(executor)| {
        let framework = known.get(executor.framework_id.as_ref()?.value.as_str())?;
        let key = (framework.clone(), ExecutorId::from(&executor.executor_id));
        Some((key, read_executor(executor)))
    });
    let operations = report.operations.into_iter();
    let read = Report {
        tasks: tasks.collect(),
        executors: executors.collect(),
        operations: operations
            .filter_map(|Pb(operation)| read_operation(operation))
            .map(|operation| (operation.uuid, operation))
            .collect(),
        frameworks,
    };
    (report.register, read)
}

fn read_task(
    key: (FrameworkId, TaskId),
    agent: AgentId,
    info: v1::Task,
    shapes: &mut Shapes,
) -> Task {
    let resources = Resources::from_v1(&info.resources).unwrap_or_default();
    let resources = shapes.resources(resources);
    let recovered = is_over(state_of(info.state).unwrap_or(TaskState::TaskRunning));
    let mut task = Task::new(key, agent, info, resources);
    task.recovered = recovered;
    task
}

/// An operation as an agent reports it; none if it has no name to speak of it by.
fn read_operation(operation: v1::Operation) -> Option<KnownOperation> {
    Some(KnownOperation {
        uuid: Uuid::from_slice(&operation.uuid.value).ok()?,
        framework: operation.framework_id.as_ref().map(FrameworkId::from),
        info: operation,
    })
}

fn read_executor(executor: ExecutorInfo) -> Executor {
    Executor {
        resources: Resources::from_v1(&executor.resources).unwrap_or_default(),
        info: Arc::new(executor),
    }
}
