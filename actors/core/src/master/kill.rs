//! KILL, SHUTDOWN and MESSAGE: what frameworks ask of agents about running things.
//! Nothing is confirmed here: what comes of it arrives as a status update.

use std::collections::BTreeSet;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler::call::{Kill, Message, Shutdown, reconcile};

use super::messages::Effect;
use super::{Master, to_agent};
use crate::ids::{AgentId, FrameworkId, TaskId};
use crate::time::Now;

impl Master {
    /// KILL of a task that is not known here is answered as an explicit reconciliation of it.
    pub(super) fn kill(&mut self, now: Now, id: &FrameworkId, call: Kill, out: &mut Vec<Effect>) {
        self.counters.messages_kill_task += 1;
        let task_id = TaskId::from(&call.task_id);
        let Some(task) = self.task(id, &task_id) else {
            let asked = reconcile::Task {
                task_id: call.task_id,
                agent_id: call.agent_id,
            };
            return self.reconcile(now, id, &[asked], out);
        };
        if call
            .agent_id
            .as_ref()
            .is_some_and(|agent| agent.value != task.agent.as_str())
        {
            self.counters.dropped_messages += 1;
            return;
        }
        let agent_id = task.agent.clone();
        let kills = self.killed.entry(agent_id.clone()).or_default();
        kills.insert((id.clone(), task_id));
        // A disconnected agent gets the order when it is back.
        if let Some(link) = self.agents.get(&agent_id).and_then(|agent| agent.link()) {
            out.push(to_agent(
                link,
                MasterToAgent::KillTask {
                    framework_id: id.to_string(),
                    task_id: call.task_id.value,
                    kill_policy: call.kill_policy.map(Into::into),
                },
            ));
        }
    }

    /// The tasks of an agent that frameworks have asked to kill.
    pub(super) fn killed_on(&self, agent: &AgentId) -> BTreeSet<(FrameworkId, TaskId)> {
        self.killed.get(agent).cloned().unwrap_or_default()
    }

    pub(super) fn forget_kill(&mut self, agent: &AgentId, task: &(FrameworkId, TaskId)) {
        if let Some(kills) = self.killed.get_mut(agent) {
            kills.remove(task);
            if kills.is_empty() {
                self.killed.remove(agent);
            }
        }
    }

    /// SHUTDOWN of an executor; an unknown or disconnected agent is ignored.
    pub(super) fn shutdown_executor(
        &mut self,
        id: &FrameworkId,
        call: &Shutdown,
        out: &mut Vec<Effect>,
    ) {
        let agent = self.agents.get(call.agent_id.value.as_str());
        let Some(link) = agent.and_then(|agent| agent.link()) else {
            self.counters.dropped_messages += 1;
            return;
        };
        out.push(to_agent(
            link,
            MasterToAgent::ShutdownExecutor {
                framework_id: id.to_string(),
                executor_id: call.executor_id.value.clone(),
            },
        ));
    }

    /// MESSAGE to an executor: best effort.
    pub(super) fn message_to_executor(
        &mut self,
        id: &FrameworkId,
        call: Message,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_framework_to_executor += 1;
        let agent = self.agents.get(call.agent_id.value.as_str());
        let Some(link) = agent.and_then(|agent| agent.link()) else {
            self.counters.invalid_framework_to_executor_messages += 1;
            return;
        };
        self.counters.valid_framework_to_executor_messages += 1;
        out.push(to_agent(
            link,
            MasterToAgent::FrameworkMessage {
                framework_id: id.to_string(),
                executor_id: call.executor_id.value,
                data: call.data,
            },
        ));
    }
}
