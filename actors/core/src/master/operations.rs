//! Answers about operations on reservations and volumes, of which this master has none yet.
//! Carries none out.

use tepui_protocol::v1::OperationState;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::scheduler::call::ReconcileOperations;

use super::messages::Effect;
use super::{Master, events};
use crate::ids::FrameworkId;

impl Master {
    /// Refuses an operation: told if it has an id, dropped in silence otherwise; Mesos's `drop`.
    pub(super) fn refuse_operation(
        &mut self,
        id: &FrameworkId,
        operation: &Operation,
        message: String,
        out: &mut Vec<Effect>,
    ) {
        if let Some(operation) = &operation.id {
            let state = OperationState::OperationError;
            let event = events::operation_status(state, operation, message, None, None);
            self.send(id, event, out);
        }
    }

    /// RECONCILE_OPERATIONS: every operation asked for is unknown; an empty list asks for nothing.
    pub(super) fn reconcile_operations(
        &mut self,
        id: &FrameworkId,
        call: ReconcileOperations,
        out: &mut Vec<Effect>,
    ) {
        for asked in call.operations {
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
                Some(agent) if self.agents.contains_key(agent) => {
                    (OperationState::OperationUnknown, "Operation is unknown")
                }
                Some(agent) if self.unreachable_agents.contains_key(agent) => {
                    (OperationState::OperationUnreachable, "Agent is unreachable")
                }
                Some(_) => (
                    OperationState::OperationUnknown,
                    "Both operation and agent are unknown",
                ),
            };
            let message = format!("Reconciliation: {text}");
            let (agent, provider) = (asked.agent_id, asked.resource_provider_id);
            let operation = &asked.operation_id;
            let event = events::operation_status(state, operation, message, agent, provider);
            self.send(id, event, out);
        }
    }
}
