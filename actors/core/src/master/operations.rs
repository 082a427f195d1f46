//! Bookkeeping of operations on reservations and volumes: sent, known, orphaned, forgotten.
//! What they do to resources is decided in `changes`, what becomes of them in `operation_updates`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::{self, OperationState, OperationStatus};
use uuid::Uuid;

use super::messages::Effect;
use super::model::{Framework, Operation};
use super::operation_counts::counted_as;
use super::{Master, events, to_agent};
use crate::ids::{AgentId, FrameworkId, IdSource, OperationId};
use crate::validation::operation::known_type;

/// Operations of frameworks that are not known, and the agents that hold them.
pub(super) type Orphans = BTreeMap<FrameworkId, BTreeMap<Uuid, AgentId>>;

impl Master {
    /// Refuses an operation: told if it has an id, dropped in silence otherwise; Mesos's `drop`.
    pub(super) fn refuse_operation(
        &mut self,
        id: &FrameworkId,
        operation: &v1::offer::Operation,
        message: String,
        out: &mut Vec<Effect>,
    ) {
        let state = OperationState::OperationError;
        self.counters.operations.add(known_type(operation), state);
        if let Some(operation) = &operation.id {
            let event = events::operation_status(state, operation, message, None, None);
            self.send(id, event, out);
        }
    }

    /// Has an agent carry out an operation, whose effect all ledgers show already.
    ///
    /// Mesos: `Master::_apply`. An agent without a link gets nothing; callers look before.
    pub(super) fn send_operation(
        &mut self,
        agent: &AgentId,
        framework: Option<&FrameworkId>,
        operation: v1::offer::Operation,
        out: &mut Vec<Effect>,
    ) {
        let Some(link) = self.agents.get(agent).and_then(|agent| agent.link()) else {
            return;
        };
        let uuid = self.uuids.uuid();
        out.push(to_agent(
            link,
            MasterToAgent::ApplyOperation {
                framework_id: framework.map(FrameworkId::to_string),
                operation: operation.clone().into(),
                operation_uuid: uuid.as_bytes().to_vec(),
            },
        ));
        let status = OperationStatus {
            operation_id: operation.id.clone(),
            state: OperationState::OperationPending as i32,
            agent_id: Some(agent.to_v1()),
            ..Default::default()
        };
        let info = v1::Operation {
            framework_id: framework.map(FrameworkId::to_v1),
            agent_id: Some(agent.to_v1()),
            info: operation,
            latest_status: status,
            statuses: Vec::new(),
            uuid: v1::Uuid {
                value: uuid.as_bytes().to_vec(),
            },
        };
        self.add_operation(
            agent,
            Operation {
                uuid,
                framework: framework.cloned(),
                info,
            },
        );
    }

    /// Files an operation under its agent and its framework, or among the orphans.
    pub(super) fn add_operation(&mut self, agent_id: &AgentId, operation: Operation) {
        let Some(agent) = self.agent_mut(agent_id) else {
            return;
        };
        let operation = Arc::new(operation);
        let uuid = operation.uuid;
        let before = agent.operations.insert(uuid, operation.clone());
        if let Some(before) = before {
            let (kind, state) = counted_as(&before);
            self.counters.operations.remove(kind, state);
        }
        let (kind, state) = counted_as(&operation);
        self.counters.operations.add(kind, state);
        let Some(owner) = &operation.framework else {
            return;
        };
        match self.framework_mut(owner) {
            Some(framework) => file(framework, agent_id, &operation),
            None => {
                let orphans = self.orphans.entry(owner.clone()).or_default();
                orphans.insert(uuid, agent_id.clone());
            }
        }
    }

    /// Forgets an operation: its end was acknowledged, or its agent is gone or knows nothing of it.
    pub(super) fn remove_operation(&mut self, agent_id: &AgentId, uuid: Uuid) {
        let agent = self.agent_mut(agent_id);
        if let Some(operation) = agent.and_then(|agent| agent.operations.remove(&uuid)) {
            let (kind, state) = counted_as(&operation);
            self.counters.operations.remove(kind, state);
            self.unfile_operation(&operation);
        }
        self.note_perhaps_drained(agent_id);
    }

    /// Forgets an operation in its framework, or among the orphans.
    pub(super) fn unfile_operation(&mut self, operation: &Operation) {
        let Some(owner) = &operation.framework else {
            return;
        };
        if let Some(framework) = self.framework_mut(owner) {
            framework.operations.remove(&operation.uuid);
            let id = operation.id().map_or("", |id| id.value.as_str());
            // The framework may have given the same name to a later operation.
            if framework.operation_ids.get(id) == Some(&operation.uuid) {
                framework.operation_ids.remove(id);
            }
        }
        if let Some(orphans) = self.orphans.get_mut(owner) {
            orphans.remove(&operation.uuid);
            if orphans.is_empty() {
                self.orphans.remove(owner);
            }
        }
    }

    /// A framework is known now: the operations that agents hold for it are its own again.
    pub(super) fn adopt_orphans(&mut self, id: &FrameworkId) {
        for (uuid, agent_id) in self.orphans.remove(id).unwrap_or_default() {
            let agent = self.agents.get(&agent_id);
            let operation = agent.and_then(|agent| agent.operations.get(&uuid)).cloned();
            if let (Some(operation), Some(framework)) = (operation, self.framework_mut(id)) {
                file(framework, &agent_id, &operation);
            }
        }
    }

    /// A framework ends: its operations go on, and the master acknowledges what becomes of them.
    pub(super) fn orphan_operations(&mut self, id: &FrameworkId) {
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        framework.operation_ids.clear();
        let operations = std::mem::take(&mut framework.operations);
        if !operations.is_empty() {
            let orphans = self.orphans.entry(id.clone()).or_default();
            orphans.extend(operations);
        }
    }

    /// Tells the subscribed frameworks what became of the operations that they named on an agent
    /// which is lost; Mesos's `sendBulkOperationFeedback`.
    pub(super) fn tell_operations_lost(
        &self,
        agent: &AgentId,
        state: OperationState,
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        let Some(known) = self.agents.get(agent) else {
            return;
        };
        for operation in known.operations.values() {
            if let (Some(framework), Some(id)) = (&operation.framework, operation.id()) {
                let (message, on) = (message.to_string(), Some(agent.to_v1()));
                let event = events::operation_status(state, id, message, on, None);
                self.send(framework, event, out);
            }
        }
    }
}

fn file(framework: &mut Framework, agent: &AgentId, operation: &Operation) {
    framework.operations.insert(operation.uuid, agent.clone());
    if let Some(id) = operation.id() {
        let id = OperationId::from(id);
        framework.operation_ids.insert(id, operation.uuid);
    }
}

/// Draws the names of operations. Agents keep them when the master changes, so they follow from
/// the master's id, which is another one in each run.
pub(super) fn uuids_of(master_id: &str) -> IdSource {
    let mut seed = [0; 32];
    for (at, byte) in master_id.bytes().enumerate() {
        seed[at % seed.len()] ^= byte;
    }
    IdSource::from_seed(seed)
}
