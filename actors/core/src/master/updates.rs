//! Status updates on their way from agents to frameworks, and acknowledgements on their way back.
//! Sends nothing again: agents do, until the acknowledgement reaches them.

use std::sync::Arc;

use tepui_protocol::link::{MasterToAgent, StatusUpdate};
use tepui_protocol::v1::TaskStatus;
use tepui_protocol::v1::scheduler::call::Acknowledge;
use uuid::Uuid;

use super::messages::Effect;
use super::tasks::{Fate, is_terminal, state_of};
use super::{Master, events, to_agent};
use crate::ids::{AgentId, FrameworkId, TaskId};

/// Bytes of a UUID.
const UUID_BYTES: usize = 16;

impl Master {
    /// Passes an update on and takes it into the task; Mesos's `statusUpdate` and `forward`.
    ///
    /// An update of a task that is not known here is passed on too: its framework may know it.
    pub(super) fn status_update(
        &mut self,
        agent: &AgentId,
        update: StatusUpdate,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_status_update += 1;
        let mut status = update.status.0;
        if status
            .uuid
            .as_ref()
            .is_some_and(|uuid| uuid.len() != UUID_BYTES)
        {
            self.counters.invalid_status_updates += 1;
            return;
        }
        status.agent_id.get_or_insert_with(|| agent.to_v1());
        let id = self.framework_id(&update.framework_id);
        let task_id = TaskId::from(&status.task_id);
        let listens = self
            .frameworks
            .get(&id)
            .is_some_and(|f| f.stream().is_some());
        let known = self
            .task(&id, &task_id)
            .is_some_and(|task| task.agent == *agent);
        if known {
            if listens {
                self.note_forwarded(&id, &task_id, &status);
            }
            let reported = state_of(status.state);
            if let Some(latest) = state_of(update.latest_state).or(reported) {
                self.apply_status(&id, &task_id, &status, latest, out);
            }
            // Nobody acknowledges an update without uuid, so the last one must end the task.
            if status.uuid.is_none() && reported.is_some_and(is_terminal) {
                self.remove_task(&id, &task_id, Fate::Completed, out);
            }
        }
        match known && listens {
            true => self.counters.valid_status_updates += 1,
            false => self.counters.invalid_status_updates += 1,
        }
        self.send(&id, events::update(status), out);
    }

    /// Remembers which update of a task waits for its acknowledgement.
    fn note_forwarded(&mut self, id: &FrameworkId, task_id: &TaskId, status: &TaskStatus) {
        let uuid = status.uuid.as_deref();
        let Some(uuid) = uuid.and_then(|uuid| Uuid::from_slice(uuid).ok()) else {
            return;
        };
        if let Some(task) = self
            .framework_mut(id)
            .and_then(|f| f.tasks.get_mut(task_id))
        {
            let task = Arc::make_mut(task);
            task.forwarded_state = Some(status.state);
            task.forwarded_uuid = Some(uuid);
        }
    }

    /// ACKNOWLEDGE: passed on to the agent; that of a terminal update ends the task here.
    pub(super) fn acknowledge(
        &mut self,
        id: &FrameworkId,
        call: Acknowledge,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_status_update_acknowledgement += 1;
        let agent_id = AgentId::from(&call.agent_id);
        let task_id = TaskId::from(&call.task_id);
        let Some(link) = self.agents.get(&agent_id).and_then(|agent| agent.link()) else {
            self.counters.invalid_status_update_acknowledgements += 1;
            return;
        };
        let task = self.task(id, &task_id);
        if let Some(task) = task.filter(|task| task.agent == agent_id) {
            let Some(state) = task.forwarded_state else {
                // The update was sent by another master; the agent will send it again.
                self.counters.invalid_status_update_acknowledgements += 1;
                return;
            };
            let is_last = state_of(state).is_some_and(is_terminal);
            if is_last
                && task
                    .forwarded_uuid
                    .is_some_and(|uuid| uuid.as_bytes()[..] == call.uuid[..])
            {
                self.remove_task(id, &task_id, Fate::Completed, out);
            }
        }
        self.counters.valid_status_update_acknowledgements += 1;
        out.push(to_agent(
            link,
            MasterToAgent::AcknowledgeStatus {
                framework_id: id.to_string(),
                task_id: call.task_id.value,
                uuid: call.uuid,
            },
        ));
    }
}
