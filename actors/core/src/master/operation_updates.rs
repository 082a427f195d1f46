//! Statuses of operations on their way from agents to frameworks, their acknowledgements on the
//! way back, and RECONCILE_OPERATIONS. Sends nothing again: agents do, until acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler::call::reconcile_operations::Operation as Asked;
use tepui_protocol::v1::scheduler::call::{AcknowledgeOperationStatus, ReconcileOperations};
use tepui_protocol::v1::{self, OperationState, OperationStatus};
use uuid::Uuid;

use super::messages::{Effect, LinkId};
use super::model::{Agent, Operation, is_terminal};
use super::operation_counts::counted_as;
use super::{Master, events, to_agent};
use crate::ids::{AgentId, FrameworkId};
use crate::time::Now;

/// Statuses remembered of one operation: more than an operation has states.
const MAX_STATUSES: usize = 16;
/// Time after an agent's return in which the framework of an operation may still become known;
/// Mesos's `MIN_WAIT_BEFORE_ORPHAN_OPERATION_ADOPTION`.
const ORPHAN_ADOPTION_WAIT: Duration = Duration::from_secs(600);

/// Who acknowledges the statuses of an operation.
enum Listener {
    /// Its framework, which named it.
    Framework(FrameworkId),
    /// Nobody yet: its framework may come back.
    Nobody,
    /// The master.
    Master,
}

impl Master {
    /// An agent reports what became of an operation; Mesos's `updateOperationStatus`.
    ///
    /// `framework` is what the agent says; what is known of the operation itself counts more.
    pub(super) fn operation_status(
        &mut self,
        now: Now,
        agent: &AgentId,
        framework: Option<FrameworkId>,
        uuid: &[u8],
        mut status: OperationStatus,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_operation_status_update += 1;
        let named = status.uuid.as_ref().map(|uuid| uuid.value.as_slice());
        let is_sound = named.is_none_or(|uuid| Uuid::from_slice(uuid).is_ok());
        let uuid = Uuid::from_slice(uuid).ok().filter(|_| is_sound);
        let Some(uuid) = uuid else {
            self.counters.invalid_operation_status_updates += 1;
            return;
        };
        status.agent_id.get_or_insert_with(|| agent.to_v1());
        let held = self.agents.get(agent);
        let Some(operation) = held.and_then(|held| held.operations.get(&uuid)) else {
            self.counters.invalid_operation_status_updates += 1;
            // It was acknowledged meanwhile, or another master knew it: its framework may know.
            if let Some(framework) = framework.filter(|_| status.operation_id.is_some()) {
                self.learn_ended_operation(agent, &framework, uuid, &status);
                self.send(&framework, events::operation_update(status), out);
            }
            return;
        };
        self.counters.valid_operation_status_updates += 1;
        status.operation_id = operation.id().cloned();
        let listener = self.listener(now, agent, operation);
        let ends = is_terminal(status.state());
        let failed =
            ends && !operation.is_terminal() && status.state() != OperationState::OperationFinished;
        if failed {
            let undone = operation.info.info.clone();
            self.undo(agent, &undone, out);
        }
        self.note_status(agent, uuid, &status);
        match (listener, &status.uuid) {
            (Listener::Framework(framework), named) => {
                let is_unreliable = named.is_none();
                self.send(&framework, events::operation_update(status), out);
                // Nobody acknowledges a status without uuid, so the last one ends the operation.
                if ends && is_unreliable {
                    self.remove_operation(agent, uuid);
                }
            }
            (Listener::Nobody, _) => {}
            (Listener::Master, named) => {
                let link = self.agents.get(agent).and_then(|agent| agent.link());
                if let (Some(named), Some(link)) = (named, link) {
                    out.push(acknowledgement(link, named.value.clone(), uuid));
                }
                if ends {
                    self.remove_operation(agent, uuid);
                }
            }
        }
    }

    /// An agent that was restarted tells of an operation that it holds from before: it has a new
    /// id since, so no report says so. Its framework can acknowledge only what is known here.
    fn learn_ended_operation(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        uuid: Uuid,
        status: &OperationStatus,
    ) {
        if status.uuid.is_none() || !is_terminal(status.state()) {
            return;
        }
        let info = v1::Operation {
            framework_id: Some(framework.to_v1()),
            agent_id: Some(agent.to_v1()),
            // What it was to do is not known, and of no use any more.
            info: v1::offer::Operation {
                id: status.operation_id.clone(),
                ..Default::default()
            },
            latest_status: status.clone(),
            statuses: vec![status.clone()],
            uuid: v1::Uuid {
                value: uuid.as_bytes().to_vec(),
            },
        };
        let operation = Operation {
            uuid,
            framework: Some(framework.clone()),
            info,
        };
        self.add_operation(agent, operation);
    }

    fn listener(&self, now: Now, agent: &AgentId, operation: &Operation) -> Listener {
        let framework = operation.framework.as_ref();
        let Some(framework) = framework.filter(|_| operation.id().is_some()) else {
            return Listener::Master;
        };
        if self.frameworks.contains_key(framework) {
            return Listener::Framework(framework.clone());
        }
        let waited = self
            .agents
            .get(agent)
            .map_or(Duration::ZERO, |agent| now.mono.since(agent.arrived));
        match self.completed_ids.contains(framework) || waited >= ORPHAN_ADOPTION_WAIT {
            true => Listener::Master,
            false => Listener::Nobody,
        }
    }

    /// Takes a status into what is known of an operation; one that has ended stays as it ended.
    fn note_status(&mut self, agent: &AgentId, uuid: Uuid, status: &OperationStatus) {
        let agent = self.agents.get_mut(agent).map(Arc::make_mut);
        let Some(operation) = agent.and_then(|agent| agent.operations.get_mut(&uuid)) else {
            return;
        };
        let operation = Arc::make_mut(operation);
        if !operation.is_terminal() {
            let (kind, before) = counted_as(operation);
            operation.info.latest_status = status.clone();
            self.counters.operations.remove(kind, before);
            self.counters.operations.add(kind, status.state());
        }
        let statuses = &mut operation.info.statuses;
        if statuses.last() != Some(status) {
            statuses.push(status.clone());
            let surplus = statuses.len().saturating_sub(MAX_STATUSES);
            statuses.drain(..surplus);
        }
    }

    /// ACKNOWLEDGE_OPERATION_STATUS: passed on to the agent; that of a terminal status ends the
    /// operation here. One that fits no status that is known is ignored.
    pub(super) fn acknowledge_operation(
        &mut self,
        id: &FrameworkId,
        call: AcknowledgeOperationStatus,
        out: &mut Vec<Effect>,
    ) {
        self.counters
            .messages_operation_status_update_acknowledgement += 1;
        let Some((agent, link, uuid, ends)) = self.acknowledged(id, &call) else {
            self.counters
                .invalid_operation_status_update_acknowledgements += 1;
            return;
        };
        if ends {
            self.remove_operation(&agent, uuid);
        }
        self.counters.valid_operation_status_update_acknowledgements += 1;
        out.push(acknowledgement(link, call.uuid, uuid));
    }

    /// The agent, its link and the operation meant, and whether the status was its last.
    fn acknowledged(
        &self,
        id: &FrameworkId,
        call: &AcknowledgeOperationStatus,
    ) -> Option<(AgentId, LinkId, Uuid, bool)> {
        // No agent has resource providers, so no operation is one of theirs.
        if call.resource_provider_id.is_some() {
            return None;
        }
        let agent = self.agents.get(call.agent_id.as_ref()?.value.as_str())?;
        let link = agent.link()?;
        if !has_capability(agent, "AGENT_OPERATION_FEEDBACK") {
            return None;
        }
        let ids = &self.frameworks.get(id)?.operation_ids;
        let uuid = *ids.get(call.operation_id.value.as_str())?;
        let statuses = &agent.operations.get(&uuid)?.info.statuses;
        let status = statuses.iter().find(|status| {
            let named = status.uuid.as_ref();
            named.is_some_and(|uuid| uuid.value == call.uuid)
        })?;
        Some((agent.id.clone(), link, uuid, is_terminal(status.state())))
    }

    /// RECONCILE_OPERATIONS: an empty list asks for all operations of the framework.
    pub(super) fn reconcile_operations(
        &mut self,
        id: &FrameworkId,
        call: ReconcileOperations,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_reconcile_operations += 1;
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        if call.operations.is_empty() {
            for (uuid, agent) in &framework.operations {
                if let Some(status) = self.latest(agent, *uuid) {
                    self.send(id, events::operation_update(status), out);
                }
            }
        }
        for asked in call.operations {
            let known = framework
                .operation_ids
                .get(asked.operation_id.value.as_str());
            let agent = known.and_then(|uuid| framework.operations.get(uuid));
            let latest = known.zip(agent);
            let event = match latest.and_then(|(uuid, agent)| self.latest(agent, *uuid)) {
                Some(status) => events::operation_update(status),
                None => self.reconciled_unknown(asked),
            };
            self.send(id, event, out);
        }
    }

    /// What the framework was told last. It is not sent reliably now, so it has no uuid.
    fn latest(&self, agent: &AgentId, uuid: Uuid) -> Option<OperationStatus> {
        let operation = self.agents.get(agent)?.operations.get(&uuid)?;
        Some(OperationStatus {
            uuid: None,
            ..operation.last_status().clone()
        })
    }

    /// The answer about an operation that is not known here.
    fn reconciled_unknown(&self, asked: Asked) -> v1::scheduler::Event {
        let agent = asked.agent_id.as_ref().map(|agent| agent.value.as_str());
        let (state, text) = match agent {
            None => (
                OperationState::OperationUnknown,
                "Operation is unknown and no 'agent_id' was provided",
            ),
            Some(agent) if self.recovered_agents.contains_key(agent) => (
                OperationState::OperationRecovering,
                "Agent is recovered but has not re-registered",
            ),
            // Mesos has the agent answer for a resource provider that is not subscribed. Our
            // agents have none, and would answer the same.
            Some(agent) if self.agents.contains_key(agent) => {
                (OperationState::OperationUnknown, "Operation is unknown")
            }
            Some(agent) if self.unreachable_agents.contains_key(agent) => {
                (OperationState::OperationUnreachable, "Agent is unreachable")
            }
            Some(agent) if self.gone_agents.contains_key(agent) => (
                OperationState::OperationGoneByOperator,
                "Agent marked gone by operator",
            ),
            Some(_) => (
                OperationState::OperationUnknown,
                "Both operation and agent are unknown",
            ),
        };
        let message = format!("Reconciliation: {text}");
        let (agent, provider) = (asked.agent_id, asked.resource_provider_id);
        events::operation_status(state, &asked.operation_id, message, agent, provider)
    }
}

/// Whether an agent announced this capability.
pub(super) fn has_capability(agent: &Agent, name: &str) -> bool {
    agent.capabilities.iter().any(|known| known == name)
}

fn acknowledgement(link: LinkId, status_uuid: Vec<u8>, operation: Uuid) -> Effect {
    to_agent(
        link,
        MasterToAgent::AcknowledgeOperation {
            status_uuid,
            operation_uuid: operation.as_bytes().to_vec(),
        },
    )
}
