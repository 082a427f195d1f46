//! Agents that an operator marks gone, and the forgetting of agents that are away for very long.
//! Whether an agent that is gone is shut down when it comes back is decided with the others.

use std::sync::Arc;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{OperationState, TaskState};

use super::agent_loss::Loss;
use super::messages::{Answer, Effect, Token};
use super::registrations::{Pending, Transition};
use super::removals::Word;
use super::tasks::Fate;
use super::{Deadline, Master, events, history, to_agent};
use crate::ids::{AgentId, FrameworkId, TaskId};
use crate::registry::Operation;
use crate::time::{Now, Wall};

/// What agents and frameworks are told.
const GONE: &str = "Agent has been marked gone";

impl Master {
    /// MARK_AGENT_GONE: stored first; only then is anybody told.
    pub(super) fn mark_gone(
        &mut self,
        now: Now,
        id: AgentId,
        reply: Option<Token>,
        out: &mut Vec<Effect>,
    ) {
        let answer = |answer| reply.map(|reply| Effect::Reply(reply, answer));
        if self.gone_agents.contains_key(&id) {
            return out.extend(answer(Answer::Ok));
        }
        let refuse = |status, text| answer(Answer::Refused(status, text));
        if self.transitions.contains_key(&id) {
            let text = format!("Agent '{id}' is being transitioned; try again");
            return out.extend(refuse(503, text));
        }
        let is_known = self.agents.contains_key(&id)
            || self.recovered_agents.contains_key(&id)
            || self.unreachable_agents.contains_key(&id);
        if !is_known {
            return out.extend(refuse(404, format!("Agent '{id}' not found")));
        }
        self.transitions.insert(id.clone(), Transition::default());
        let at = now.wall;
        let operation = Operation::MarkGone {
            agent_id: id.clone(),
            at,
        };
        self.apply(operation, Pending::Gone { id, at, reply }, out);
    }

    /// The registry holds that the agent is gone; Mesos's `markGone`.
    pub(super) fn became_gone(&mut self, now: Now, id: &AgentId, at: Wall, out: &mut Vec<Effect>) {
        self.removals.forget(id);
        self.gone_agents.insert(id.clone(), at);
        self.forget_deactivation(id);
        self.schedule_registry_gc(now);
        if self.recovered_agents.remove(id).is_some() {
            self.counters.slave_removals += 1;
            return self.tell_agent_lost(id, out);
        }
        // One that was unreachable has been counted as removed then.
        if self.unreachable_agents.remove(id).is_some() {
            return self.end_unreachable_tasks(now, id, out);
        }
        if let Some(link) = self.agents.get(id).and_then(|agent| agent.link()) {
            let message = GONE.to_string();
            out.push(to_agent(link, MasterToAgent::Shutdown { message }));
        }
        self.tell_operations_lost(id, OperationState::OperationGoneByOperator, GONE, out);
        self.count_operations_lost(id, OperationState::OperationGoneByOperator);
        let Some(agent) = self.take_agent(id, out) else {
            return;
        };
        self.counters.slave_removals += 1;
        for (framework, task) in &agent.tasks {
            let loss = self.gone_loss(framework);
            self.lose_task(now, framework, task, &loss, out);
        }
        self.forget_agent(id, &agent, out);
    }

    fn gone_loss(&self, framework: &FrameworkId) -> Loss<'static> {
        let framework = self.frameworks.get(framework);
        let (state, reason) = match framework.is_some_and(|f| f.is_partition_aware()) {
            true => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
            ),
            false => (TaskState::TaskLost, Reason::AgentRemoved),
        };
        Loss {
            state,
            reason,
            message: GONE,
            unreachable_since: None,
            fate: Fate::Completed,
        }
    }

    /// Tasks on an unreachable agent can no longer come back.
    fn end_unreachable_tasks(&mut self, now: Now, id: &AgentId, out: &mut Vec<Effect>) {
        for (framework, task) in self.unreachable_on(id) {
            let loss = self.gone_loss(&framework);
            if let Some(status) = self.end_unreachable_task(now, &framework, &task, &loss, out) {
                self.send(&framework, events::update(status), out);
            }
        }
    }

    /// Moves a task on an unreachable agent to the completed ones; gives its last status.
    pub(super) fn end_unreachable_task(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        id: &TaskId,
        loss: &Loss<'_>,
        out: &mut Vec<Effect>,
    ) -> Option<tepui_protocol::v1::TaskStatus> {
        let limit = self.settings.max_completed_tasks_per_framework;
        let owner = self.frameworks.get(framework)?;
        let mut task = owner.unreachable_tasks.get(id)?.clone();
        self.forget_unreachable(framework, id);
        let status = events::end_of_task(&task, loss.state, loss.reason, loss.message, now.wall);
        let ended = Arc::make_mut(&mut task);
        ended.state = loss.state as i32;
        let (state, is_new_state) = (ended.state, ended.push_status(&status));
        self.tell_task_updated(framework, &status, state, is_new_state, out);
        if let Some(owner) = self.framework_mut(framework) {
            history::push_bounded(&mut owner.completed_tasks, task, limit);
        }
        Some(status)
    }

    /// On whose word an agent that is gone is shut down; none if it is not gone.
    pub(super) fn gone_word(&self, id: &AgentId) -> Option<Word> {
        if !self.gone_agents.contains_key(id) {
            return None;
        }
        Some(match self.gone_at_start.contains(id) {
            true => Word::Registry,
            false => Word::Operator,
        })
    }

    /// While agents are unreachable or gone, some of them may become too old to be remembered.
    pub(super) fn schedule_registry_gc(&mut self, now: Now) {
        let is_needed = !self.unreachable_agents.is_empty() || !self.gone_agents.is_empty();
        if is_needed && !self.deadlines.contains(&Deadline::RegistryGc) {
            let at = now.mono + self.settings.registry_gc_interval;
            self.deadlines.set(Deadline::RegistryGc, at);
        }
    }

    /// Has the registry forget what is too old, or too many; Mesos's `doRegistryGc`.
    pub(super) fn collect_registry_garbage(&mut self, now: Now, out: &mut Vec<Effect>) {
        let unreachable = self.too_old(now, &self.unreachable_agents);
        let gone = self.too_old(now, &self.gone_agents);
        if !unreachable.is_empty() || !gone.is_empty() {
            let operation = Operation::Prune {
                unreachable: unreachable.clone(),
                gone: gone.clone(),
            };
            self.apply(operation, Pending::Prune { unreachable, gone }, out);
        }
        self.schedule_registry_gc(now);
    }

    fn too_old(&self, now: Now, agents: &imbl::OrdMap<AgentId, Wall>) -> Vec<AgentId> {
        let settings = &self.settings;
        let mut by_age: Vec<(Wall, &AgentId)> = agents.iter().map(|(id, at)| (*at, id)).collect();
        by_age.sort_unstable();
        let surplus = by_age
            .len()
            .saturating_sub(settings.registry_max_agent_count);
        let age = |at: Wall| u128::from(now.wall.0.saturating_sub(at.0));
        let limit = settings.registry_max_agent_age.as_micros();
        let old = by_age.into_iter().enumerate();
        old.filter(|(place, (at, _))| *place < surplus || age(*at) > limit)
            .map(|(_, (_, id))| id.clone())
            .collect()
    }

    /// The registry forgot these: they are unknown agents from now on, which may come back.
    pub(super) fn pruned(&mut self, unreachable: &[AgentId], gone: &[AgentId]) {
        for id in unreachable {
            if self.unreachable_agents.remove(id).is_some() {
                self.forget_deactivation(id);
                self.forget_unreachable_of(id);
            }
        }
        for id in gone {
            self.gone_agents.remove(id);
            self.gone_at_start.remove(id);
        }
    }
}
