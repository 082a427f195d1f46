//! Counts of what the master saw and did since it started.
//! Their metric names are given where metrics are served.

use imbl::OrdMap;
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{TaskState, TaskStatus};

use super::operation_counts::OperationCounts;

/// Plain counters; a field's name is its metric's key below `master/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls and messages that were dropped.
    pub dropped_messages: u64,
    /// Frameworks' calls by kind.
    pub messages_register_framework: u64,
    /// Resubscriptions with an id.
    pub messages_reregister_framework: u64,
    /// TEARDOWN calls.
    pub messages_unregister_framework: u64,
    /// ACCEPT calls with launches.
    pub messages_launch_tasks: u64,
    /// DECLINE calls.
    pub messages_decline_offers: u64,
    /// REVIVE calls.
    pub messages_revive_offers: u64,
    /// SUPPRESS calls.
    pub messages_suppress_offers: u64,
    /// KILL calls.
    pub messages_kill_task: u64,
    /// RECONCILE calls.
    pub messages_reconcile_tasks: u64,
    /// ACKNOWLEDGE calls.
    pub messages_status_update_acknowledgement: u64,
    /// MESSAGE calls.
    pub messages_framework_to_executor: u64,
    /// REQUEST calls.
    pub messages_resource_request: u64,
    /// Executors' messages.
    pub messages_executor_to_framework: u64,
    /// Registrations.
    pub messages_register_slave: u64,
    /// Re-registrations.
    pub messages_reregister_slave: u64,
    /// Unregistrations.
    pub messages_unregister_slave: u64,
    /// Status updates from agents.
    pub messages_status_update: u64,
    /// Ended executors.
    pub messages_exited_executor: u64,
    /// Updates for known tasks.
    pub valid_status_updates: u64,
    /// Updates for unknown tasks or from the wrong agent.
    pub invalid_status_updates: u64,
    /// Acknowledgements passed on.
    pub valid_status_update_acknowledgements: u64,
    /// Acknowledgements dropped.
    pub invalid_status_update_acknowledgements: u64,
    /// Statuses of operations from agents.
    pub messages_operation_status_update: u64,
    /// Those of known operations.
    pub valid_operation_status_updates: u64,
    /// Those of unknown operations, or malformed.
    pub invalid_operation_status_updates: u64,
    /// ACKNOWLEDGE_OPERATION_STATUS calls.
    pub messages_operation_status_update_acknowledgement: u64,
    /// Those passed on.
    pub valid_operation_status_update_acknowledgements: u64,
    /// Those ignored.
    pub invalid_operation_status_update_acknowledgements: u64,
    /// RECONCILE_OPERATIONS calls.
    pub messages_reconcile_operations: u64,
    /// Executors' messages passed on to frameworks.
    pub valid_executor_to_framework_messages: u64,
    /// Executors' messages to frameworks that are not subscribed.
    pub invalid_executor_to_framework_messages: u64,
    /// Messages passed on to executors.
    pub valid_framework_to_executor_messages: u64,
    /// Messages to executors dropped.
    pub invalid_framework_to_executor_messages: u64,
    /// Agents admitted.
    pub slave_registrations: u64,
    /// Agents that came back.
    pub slave_reregistrations: u64,
    /// Agents removed.
    pub slave_removals: u64,
    /// Of these: agents that did not answer or did not come back.
    pub slave_removals_reason_unhealthy: u64,
    /// Agents that said that they leave.
    pub slave_removals_reason_unregistered: u64,
    /// Agents in whose place another one registered.
    pub slave_removals_reason_registered: u64,
    /// Agents of the registry that did not come back after the master's start.
    pub recovery_slave_removals: u64,
    /// Agents scheduled to become unreachable.
    pub slave_unreachable_scheduled: u64,
    /// Of these: agents that came back before they were marked.
    pub slave_unreachable_canceled: u64,
    /// Agents that became unreachable.
    pub slave_unreachable_completed: u64,
    /// Tasks that ended, by state.
    pub tasks_finished: u64,
    /// TASK_FAILED.
    pub tasks_failed: u64,
    /// TASK_KILLED.
    pub tasks_killed: u64,
    /// TASK_LOST.
    pub tasks_lost: u64,
    /// TASK_ERROR.
    pub tasks_error: u64,
    /// TASK_DROPPED.
    pub tasks_dropped: u64,
    /// TASK_GONE.
    pub tasks_gone: u64,
    /// TASK_GONE_BY_OPERATOR.
    pub tasks_gone_by_operator: u64,
    /// Offers sent.
    pub offers_sent: u64,
    /// Offers taken back.
    pub offers_rescinded: u64,
    /// Offers accepted.
    pub offers_accepted: u64,
    /// Offers declined.
    pub offers_declined: u64,
    /// Operations, by type and state.
    pub operations: OperationCounts,
    /// Tasks that ended or became unreachable, by the state, source and reason of their status.
    pub ends: OrdMap<(TaskState, Source, Reason), u64>,
}

impl Counters {
    /// Counts why a task ended; one whose status gives no reason is not counted, as in Mesos.
    pub(super) fn count_reason(&mut self, status: &TaskStatus) {
        if status.reason.is_none() {
            return;
        }
        let end = (status.state(), status.source(), status.reason());
        *self.ends.entry(end).or_insert(0) += 1;
    }
}
