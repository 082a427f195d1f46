//! Agents that disconnect, become unreachable or leave, and what that does to their tasks.
//! Their return is in `reregister`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{OperationState, TaskState};

use super::agent_sums::AgentSums;
use super::messages::{Effect, LinkId};
use super::model::{Agent, AgentState};
use super::operation_counts::counted_as;
use super::operator::OperatorEvent;
use super::registrations::{Pending, Transition};
use super::settings::duration_text;
use super::tasks::Fate;
use super::{Deadline, Master, events, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::memo::Memo;
use crate::registry::Operation;
use crate::time::{Now, Wall};

/// How the tasks of an agent end.
pub(super) struct Loss<'a> {
    pub(super) state: TaskState,
    pub(super) reason: Reason,
    pub(super) message: &'a str,
    pub(super) unreachable_since: Option<Wall>,
    pub(super) fate: Fate,
}

/// Why an agent left for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// It said so.
    Unregistered,
    /// Another one registered at its address.
    Replaced,
    /// Its machine goes down.
    MachineDown,
}

impl Departure {
    fn text(self) -> &'static str {
        match self {
            Departure::Unregistered => "the agent unregistered",
            Departure::Replaced => "a new agent registered at the same address",
            Departure::MachineDown => MACHINE_DOWN,
        }
    }
}

/// Why agents of a machine that goes down are removed; also what they are told.
pub(super) const MACHINE_DOWN: &str = "Operator initiated 'Machine DOWN'";

/// Why an agent that answers no pings is given up.
const UNANSWERED: &str = "health check timed out";

/// Agents named in a message about many.
const SHOWN_AGENTS: usize = 10;

impl Master {
    pub(super) fn link_closed(&mut self, now: Now, link: LinkId, out: &mut Vec<Effect>) {
        let agent = self.agent_of_link(link);
        self.links.remove(&link);
        if let Some(agent) = agent {
            self.disconnect_agent(now, &agent, out);
        }
    }

    /// The agent at the other end does not answer: it is unreachable, though its link is open.
    pub(super) fn link_unresponsive(&mut self, now: Now, link: LinkId, out: &mut Vec<Effect>) {
        match self.agent_of_link(link) {
            Some(agent) => self.give_up(now, &agent, UNANSWERED, out),
            None => out.push(Effect::CloseLink(link)),
        }
    }

    /// The agent at the other end answers again, after all.
    pub(super) fn link_responsive(&mut self, now: Now, link: LinkId) {
        if let Some(agent) = self.agent_of_link(link) {
            self.spare(now, &agent);
        }
    }

    /// Closes a link that is no longer its agent's.
    pub(super) fn detach_link(&mut self, link: LinkId, out: &mut Vec<Effect>) {
        if let Some(opened) = self.links.get_mut(&link) {
            opened.agent = None;
            out.push(Effect::CloseLink(link));
        }
    }

    /// An agent's link is down: it is not offered, and has a while to come back.
    ///
    /// Frameworks that do not checkpoint lose what they run there at once: it would not survive
    /// a restart of the agent.
    pub(super) fn disconnect_agent(&mut self, now: Now, id: &AgentId, out: &mut Vec<Effect>) {
        let timeout = self.settings.time_to_come_back();
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let message = format!("Agent {} disconnected", agent.info.hostname);
        self.change_agent(id, |agent| {
            agent.state = AgentState::Disconnected(now.mono);
        });
        self.withdraw_agent(id, out);
        for framework in self.frameworks_on(id) {
            let checkpoints =
                |f: &FrameworkId| self.frameworks.get(f).is_some_and(|f| f.info.checkpoint());
            if !checkpoints(&framework) {
                self.remove_framework_from_agent(now, id, &framework, &message, out);
            }
        }
        self.deadlines
            .set(Deadline::Agent(id.clone()), now.mono + timeout);
    }

    /// An agent is offered no more until it is activated.
    pub(super) fn withdraw_agent(&mut self, id: &AgentId, out: &mut Vec<Effect>) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let offers: Vec<_> = agent.offers.iter().cloned().collect();
        out.push(to_allocator(Command::DeactivateAgent(id.clone())));
        for offer in offers {
            self.rescind_offer(&offer, out);
        }
        self.rescind_inverse_offers_of(id, out);
    }

    fn frameworks_on(&self, id: &AgentId) -> BTreeSet<FrameworkId> {
        let Some(agent) = self.agents.get(id) else {
            return BTreeSet::new();
        };
        let of_tasks = agent.tasks.iter().map(|(framework, _)| framework.clone());
        let of_executors = agent
            .executors
            .keys()
            .map(|(framework, _)| framework.clone());
        of_tasks.chain(of_executors).collect()
    }

    fn remove_framework_from_agent(
        &mut self,
        now: Now,
        id: &AgentId,
        framework: &FrameworkId,
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let tasks: Vec<TaskId> = agent.tasks_of(framework).cloned().collect();
        let executors: Vec<ExecutorId> = agent
            .executors_of(framework)
            .map(|(id, _)| id.clone())
            .collect();
        let loss = Loss {
            state: TaskState::TaskLost,
            reason: Reason::AgentDisconnected,
            message,
            unreachable_since: None,
            fate: Fate::Completed,
        };
        for task in tasks {
            self.lose_task(now, framework, &task, &loss, out);
        }
        for executor in executors {
            self.remove_executor(id, framework, &executor, out);
        }
    }

    pub(super) fn lose_task(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        id: &TaskId,
        loss: &Loss<'_>,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.task(framework, id) else {
            return;
        };
        let (state, reason) = (loss.state, loss.reason);
        let mut status = events::end_of_task(task, state, reason, loss.message, now.wall);
        status.unreachable_time = loss.unreachable_since.map(events::time_info);
        self.apply_status(framework, id, &status, state, out);
        self.remove_task(framework, id, loss.fate, out);
        self.send(framework, events::update(status), out);
    }

    /// A disconnected agent did not come back in time.
    pub(super) fn agent_stayed_away(&mut self, now: Now, id: &AgentId, out: &mut Vec<Effect>) {
        let settings = &self.settings;
        if settings.total_ping_timeout() <= settings.agent_reregister_timeout {
            return self.give_up(now, id, UNANSWERED, out);
        }
        let timeout = duration_text(settings.agent_reregister_timeout);
        let message = format!("agent did not reregister within {timeout} after disconnecting");
        self.give_up(now, id, &message, out);
    }

    /// Agents found in the registry at start did not come back in time.
    pub(super) fn recovered_agents_stayed_away(&mut self, now: Now, out: &mut Vec<Effect>) {
        let timeout = duration_text(self.settings.agent_reregister_timeout);
        let message = format!("did not reregister within {timeout} after master failover");
        let missing: Vec<AgentId> = self.recovered_agents.keys().cloned().collect();
        let share = 100.0 * missing.len() as f64 / self.agents_at_start.max(1) as f64;
        let limit = self.settings.recovery_agent_removal_limit;
        if share > limit {
            // So many agents do not die at once: it is rather this master that cannot be reached.
            let count = missing.len();
            let shown = missing.iter().take(SHOWN_AGENTS).map(AgentId::to_string);
            out.push(Effect::Exit(format!(
                "Post-recovery agent removal limit exceeded! After {timeout} there were {count} \
                 ({share}%) agents recovered from the registry that did not reregister, such as \
                 {}. The configured removal limit is {limit}%. Please investigate, or increase \
                 --recovery_agent_removal_limit to have their tasks given up",
                shown.collect::<Vec<_>>().join(", ")
            )));
            return;
        }
        self.give_up_all(now, missing, &message, out);
    }

    /// Has the registry record that an agent is unreachable; only then is anybody told.
    pub(super) fn mark_unreachable(
        &mut self,
        now: Now,
        id: &AgentId,
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        self.transitions.insert(id.clone(), Transition::default());
        let at = now.wall;
        let operation = Operation::MarkUnreachable {
            agent_id: id.clone(),
            at,
        };
        let pending = Pending::Unreachable {
            id: id.clone(),
            at,
            message: message.to_string(),
        };
        self.apply(operation, pending, out);
    }

    pub(super) fn became_unreachable(
        &mut self,
        now: Now,
        id: &AgentId,
        at: Wall,
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        self.removals.stored();
        self.counters.slave_unreachable_completed += 1;
        self.counters.slave_removals += 1;
        self.counters.slave_removals_reason_unhealthy += 1;
        self.unreachable_agents.insert(id.clone(), at);
        self.schedule_registry_gc(now);
        if self.recovered_agents.remove(id).is_some() {
            self.counters.recovery_slave_removals += 1;
            return self.tell_agent_lost(id, out);
        }
        let text = "Agent was marked unreachable";
        self.tell_operations_lost(id, OperationState::OperationUnreachable, text, out);
        self.count_operations_lost(id, OperationState::OperationUnreachable);
        let Some(agent) = self.take_agent(id, out) else {
            return;
        };
        for (framework, task) in &agent.tasks {
            let aware = self
                .frameworks
                .get(framework)
                .is_some_and(|f| f.is_partition_aware());
            let loss = Loss {
                state: match aware {
                    true => TaskState::TaskUnreachable,
                    false => TaskState::TaskLost,
                },
                reason: Reason::AgentRemoved,
                message,
                unreachable_since: Some(at),
                fate: Fate::Unreachable,
            };
            self.lose_task(now, framework, task, &loss, out);
        }
        self.forget_agent(id, &agent, out);
    }

    /// Removes an agent that left for good, once the registry has recorded it.
    pub(super) fn remove_agent(&mut self, id: &AgentId, cause: Departure, out: &mut Vec<Effect>) {
        if !self.agents.contains_key(id) || self.transitions.contains_key(id) {
            return;
        }
        self.deadlines.clear(&Deadline::Agent(id.clone()));
        self.transitions.insert(id.clone(), Transition::default());
        let pending = Pending::Remove {
            id: id.clone(),
            cause,
        };
        self.apply(Operation::RemoveAgent(id.clone()), pending, out);
    }

    pub(super) fn was_removed(
        &mut self,
        now: Now,
        id: &AgentId,
        cause: Departure,
        out: &mut Vec<Effect>,
    ) {
        self.forget_deactivation(id);
        let Some(agent) = self.take_agent(id, out) else {
            return;
        };
        self.counters.slave_removals += 1;
        match cause {
            Departure::Unregistered => self.counters.slave_removals_reason_unregistered += 1,
            Departure::Replaced => self.counters.slave_removals_reason_registered += 1,
            Departure::MachineDown => {}
        }
        let message = format!("Agent {} removed: {}", agent.info.hostname, cause.text());
        let loss = Loss {
            state: TaskState::TaskLost,
            reason: Reason::AgentRemoved,
            message: &message,
            unreachable_since: None,
            fate: Fate::Completed,
        };
        for (framework, task) in &agent.tasks {
            self.lose_task(now, framework, task, &loss, out);
        }
        self.forget_agent(id, &agent, out);
        self.tell_subscribers(|| OperatorEvent::AgentRemoved(id.clone()), out);
    }

    /// Takes an agent out of the admitted ones and tells the allocator first, so that nothing
    /// that ends on it afterwards is given back.
    pub(super) fn take_agent(
        &mut self,
        id: &AgentId,
        out: &mut Vec<Effect>,
    ) -> Option<Arc<Memo<Agent>>> {
        let agent = self.agents.remove(id)?;
        self.agent_sums.subtract(&AgentSums::of(&agent));
        self.deadlines.clear(&Deadline::Agent(id.clone()));
        self.removals.forget(id);
        if self.pids.get(&agent.pid) == Some(id) {
            self.pids.remove(&agent.pid);
        }
        out.push(to_allocator(Command::RemoveAgent(id.clone())));
        for operation in agent.operations.values() {
            let (kind, state) = counted_as(operation);
            self.counters.operations.remove(kind, state);
            self.unfile_operation(operation);
        }
        self.undone.remove(id);
        self.abandon_changes(id, "the agent was removed", out);
        Some(agent)
    }

    /// Ends what is left of an agent that was taken, and tells every framework.
    pub(super) fn forget_agent(&mut self, id: &AgentId, agent: &Agent, out: &mut Vec<Effect>) {
        for (framework, executor) in agent.executors.keys() {
            self.remove_executor(id, framework, executor, out);
        }
        for offer in &agent.offers {
            self.rescind_offer(offer, out);
        }
        self.rescind_inverse_offers_of(id, out);
        self.inverse_offers.forget_answers_about(id);
        self.killed.remove(id);
        self.tell_agent_lost(id, out);
        if let Some(link) = agent.link() {
            self.detach_link(link, out);
        }
    }

    pub(super) fn tell_agent_lost(&self, id: &AgentId, out: &mut Vec<Effect>) {
        for framework in self.frameworks.keys() {
            self.send(framework, events::agent_failure(id), out);
        }
    }
}
