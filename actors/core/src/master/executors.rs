//! Executors that frameworks brought: their end, their messages, and what they hold.
//! Executors that agents make for command tasks are not known here.

use super::messages::Effect;
use super::{Master, events};
use crate::ids::{AgentId, ExecutorId, FrameworkId};

impl Master {
    /// An executor ended; tasks it leaves behind are told by the agent.
    pub(super) fn executor_exited(
        &mut self,
        agent: &AgentId,
        id: &FrameworkId,
        executor: &ExecutorId,
        status: i32,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_exited_executor += 1;
        if !self.remove_executor(agent, id, executor, out) {
            self.counters.dropped_messages += 1;
            return;
        }
        self.send(id, events::executor_failure(agent, executor, status), out);
    }

    /// Data from an executor for its framework: best effort.
    pub(super) fn executor_message(
        &mut self,
        agent: &AgentId,
        id: &FrameworkId,
        executor: &ExecutorId,
        data: Vec<u8>,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_executor_to_framework += 1;
        match self.frameworks.get(id).and_then(|f| f.stream()) {
            Some(_) => self.counters.valid_executor_to_framework_messages += 1,
            None => self.counters.invalid_executor_to_framework_messages += 1,
        }
        self.send(id, events::message(agent, executor, data), out);
    }

    /// Forgets an executor and gives back what it held; says whether it was known.
    pub(super) fn remove_executor(
        &mut self,
        agent_id: &AgentId,
        id: &FrameworkId,
        executor: &ExecutorId,
        out: &mut Vec<Effect>,
    ) -> bool {
        let of_framework = self
            .framework_mut(id)
            .and_then(|f| f.executors.remove(&(agent_id.clone(), executor.clone())));
        let of_agent = self
            .agent_mut(agent_id)
            .and_then(|a| a.executors.remove(&(id.clone(), executor.clone())));
        let Some(removed) = of_agent.or(of_framework) else {
            return false;
        };
        self.uncharge(id, agent_id, removed.resources, out);
        true
    }

    pub(super) fn remove_executors_of_framework(
        &mut self,
        id: &FrameworkId,
        out: &mut Vec<Effect>,
    ) {
        let framework = self.frameworks.get(id);
        let executors: Vec<(AgentId, ExecutorId)> =
            framework.map_or_else(Vec::new, |f| f.executors.keys().cloned().collect());
        for (agent, executor) in executors {
            self.remove_executor(&agent, id, &executor, out);
        }
    }
}
