//! The names of what a master counts and of what it has: Mesos's keys, and families for Prometheus.
//! Counts nothing itself. Frameworks and operations have files of their own.

use tepui_core::master::counters::Counters;

use super::MasterQueue;
use super::master::Gauges;
use super::sink::{Entry, Family, Sink, counter, gauge, put_all};

/// Rows of a table: a family and a label of it, then key, value of the label and field each.
macro_rules! rows {
    ($family:ident, $label:literal: $($key:literal $value:literal $field:ident),* $(,)?) => {
        &[$((
            concat!("master/", $key),
            &$family,
            &[($label, $value)],
            |from| from.$field as f64,
        )),*]
    };
    ($($key:literal $family:ident $field:ident),* $(,)?) => {
        &[$((concat!("master/", $key), &$family, &[], |from| from.$field as f64)),*]
    };
}

static DROPPED: Family = counter(
    "tepui_master_dropped_messages_total",
    "Messages and calls that were dropped.",
);
static REGISTRATIONS: Family = counter(
    "tepui_master_agent_registrations_total",
    "Agents that were admitted.",
);
static REREGISTRATIONS: Family = counter(
    "tepui_master_agent_reregistrations_total",
    "Agents that came back.",
);
static REMOVALS: Family = counter(
    "tepui_master_agent_removals_total",
    "Agents that were removed, for any reason.",
);
static RECOVERY_REMOVALS: Family = counter(
    "tepui_master_recovery_agent_removals_total",
    "Agents of the registry that did not come back after the master's start.",
);

static COUNTERS: &[Entry<Counters>] = rows![
    "dropped_messages" DROPPED dropped_messages,
    "slave_registrations" REGISTRATIONS slave_registrations,
    "slave_reregistrations" REREGISTRATIONS slave_reregistrations,
    "slave_removals" REMOVALS slave_removals,
    "recovery_slave_removals" RECOVERY_REMOVALS recovery_slave_removals,
];

static REASONED_REMOVALS: Family = counter(
    "tepui_master_agent_removals_by_reason_total",
    "Agents that were removed, for these reasons.",
);

static REASONS: &[Entry<Counters>] = rows![
    REASONED_REMOVALS, "reason":
    "slave_removals/reason_unhealthy" "unhealthy" slave_removals_reason_unhealthy,
    "slave_removals/reason_unregistered" "unregistered" slave_removals_reason_unregistered,
    "slave_removals/reason_registered" "replaced" slave_removals_reason_registered,
];

static UNREACHABLE: Family = counter(
    "tepui_master_agent_unreachable_transitions_total",
    "Agents that were to become unreachable, that were spared, and that became it.",
);

static UNREACHABLE_STEPS: &[Entry<Counters>] = rows![
    UNREACHABLE, "step":
    "slave_unreachable_scheduled" "scheduled" slave_unreachable_scheduled,
    "slave_unreachable_canceled" "canceled" slave_unreachable_canceled,
    "slave_unreachable_completed" "completed" slave_unreachable_completed,
];

static MESSAGES: Family = counter(
    "tepui_master_messages_total",
    "Messages of agents and calls of frameworks that came, by kind.",
);

static KINDS: &[Entry<Counters>] = rows![
    MESSAGES, "kind":
    "messages_register_framework" "register_framework" messages_register_framework,
    "messages_reregister_framework" "reregister_framework" messages_reregister_framework,
    "messages_unregister_framework" "unregister_framework" messages_unregister_framework,
    "messages_launch_tasks" "launch_tasks" messages_launch_tasks,
    "messages_decline_offers" "decline_offers" messages_decline_offers,
    "messages_revive_offers" "revive_offers" messages_revive_offers,
    "messages_suppress_offers" "suppress_offers" messages_suppress_offers,
    "messages_kill_task" "kill_task" messages_kill_task,
    "messages_reconcile_tasks" "reconcile_tasks" messages_reconcile_tasks,
    "messages_reconcile_operations" "reconcile_operations" messages_reconcile_operations,
    "messages_resource_request" "resource_request" messages_resource_request,
    "messages_status_update_acknowledgement" "status_update_acknowledgement"
        messages_status_update_acknowledgement,
    "messages_operation_status_update_acknowledgement" "operation_status_update_acknowledgement"
        messages_operation_status_update_acknowledgement,
    "messages_framework_to_executor" "framework_to_executor" messages_framework_to_executor,
    "messages_executor_to_framework" "executor_to_framework" messages_executor_to_framework,
    "messages_register_slave" "register_agent" messages_register_slave,
    "messages_reregister_slave" "reregister_agent" messages_reregister_slave,
    "messages_unregister_slave" "unregister_agent" messages_unregister_slave,
    "messages_status_update" "status_update" messages_status_update,
    "messages_operation_status_update" "operation_status_update" messages_operation_status_update,
    "messages_exited_executor" "exited_executor" messages_exited_executor,
];

static VALID: Family = counter(
    "tepui_master_valid_messages_total",
    "Messages that were passed on, by kind.",
);

static VALID_KINDS: &[Entry<Counters>] = rows![
    VALID, "kind":
    "valid_status_updates" "status_update" valid_status_updates,
    "valid_status_update_acknowledgements" "status_update_acknowledgement"
        valid_status_update_acknowledgements,
    "valid_operation_status_updates" "operation_status_update" valid_operation_status_updates,
    "valid_operation_status_update_acknowledgements" "operation_status_update_acknowledgement"
        valid_operation_status_update_acknowledgements,
    "valid_framework_to_executor_messages" "framework_to_executor"
        valid_framework_to_executor_messages,
    "valid_executor_to_framework_messages" "executor_to_framework"
        valid_executor_to_framework_messages,
];

static INVALID: Family = counter(
    "tepui_master_invalid_messages_total",
    "Messages that were of no use, by kind.",
);

static INVALID_KINDS: &[Entry<Counters>] = rows![
    INVALID, "kind":
    "invalid_status_updates" "status_update" invalid_status_updates,
    "invalid_status_update_acknowledgements" "status_update_acknowledgement"
        invalid_status_update_acknowledgements,
    "invalid_operation_status_updates" "operation_status_update" invalid_operation_status_updates,
    "invalid_operation_status_update_acknowledgements" "operation_status_update_acknowledgement"
        invalid_operation_status_update_acknowledgements,
    "invalid_framework_to_executor_messages" "framework_to_executor"
        invalid_framework_to_executor_messages,
    "invalid_executor_to_framework_messages" "executor_to_framework"
        invalid_executor_to_framework_messages,
];

static ENDED: Family = counter(
    "tepui_master_tasks_ended_total",
    "Tasks that ended, by their last state.",
);

static ENDS: &[Entry<Counters>] = rows![
    ENDED, "state":
    "tasks_finished" "finished" tasks_finished,
    "tasks_failed" "failed" tasks_failed,
    "tasks_killed" "killed" tasks_killed,
    "tasks_lost" "lost" tasks_lost,
    "tasks_error" "error" tasks_error,
    "tasks_dropped" "dropped" tasks_dropped,
    "tasks_gone" "gone" tasks_gone,
    "tasks_gone_by_operator" "gone_by_operator" tasks_gone_by_operator,
];

static OFFERS: Family = counter(
    "tepui_master_offers_total",
    "Offers that were sent, and what became of them; those that ended otherwise are not counted.",
);

// Not in Mesos, which counts offers per framework only.
static OFFER_EVENTS: &[Entry<Counters>] = rows![
    OFFERS, "event":
    "offers_sent" "sent" offers_sent,
    "offers_rescinded" "rescinded" offers_rescinded,
    "offers_accepted" "accepted" offers_accepted,
    "offers_declined" "declined" offers_declined,
];

static UPTIME: Family = gauge(
    "tepui_master_uptime_seconds",
    "Time since the master started.",
);
static ELECTED: Family = gauge("tepui_master_elected", "1 while the master leads.");
static CONNECTED: Family = gauge(
    "tepui_master_agents_connected",
    "Admitted agents whose link is up.",
);
static DISCONNECTED: Family = gauge(
    "tepui_master_agents_disconnected",
    "Admitted agents whose link is down.",
);
static ACTIVE: Family = gauge(
    "tepui_master_agents_active",
    "Agents whose resources may be offered.",
);
static INACTIVE: Family = gauge(
    "tepui_master_agents_inactive",
    "Admitted agents whose resources may not be offered.",
);
static AGENTS_UNREACHABLE: Family = gauge(
    "tepui_master_agents_unreachable",
    "Agents known to be unreachable.",
);
static HELD: Family = gauge(
    "tepui_master_agents_held",
    "Agents that the mass-kill guard holds until an operator gives them up.",
);
static FRAMEWORKS_CONNECTED: Family = gauge(
    "tepui_master_frameworks_connected",
    "Frameworks that are subscribed.",
);
static FRAMEWORKS_DISCONNECTED: Family = gauge(
    "tepui_master_frameworks_disconnected",
    "Frameworks that may come back.",
);
static FRAMEWORKS_ACTIVE: Family = gauge(
    "tepui_master_frameworks_active",
    "Frameworks that may get offers.",
);
static FRAMEWORKS_INACTIVE: Family = gauge(
    "tepui_master_frameworks_inactive",
    "Frameworks that may not get offers.",
);
static OUTSTANDING: Family = gauge(
    "tepui_master_outstanding_offers",
    "Offers that were not answered yet.",
);

static GAUGES: &[Entry<Gauges>] = rows![
    "uptime_secs" UPTIME uptime_secs,
    "elected" ELECTED elected,
    "slaves_connected" CONNECTED slaves_connected,
    "slaves_disconnected" DISCONNECTED slaves_disconnected,
    "slaves_active" ACTIVE slaves_active,
    "slaves_inactive" INACTIVE slaves_inactive,
    "slaves_unreachable" AGENTS_UNREACHABLE slaves_unreachable,
    // Not in Mesos.
    "slaves_held" HELD slaves_held,
    "frameworks_connected" FRAMEWORKS_CONNECTED frameworks_connected,
    "frameworks_disconnected" FRAMEWORKS_DISCONNECTED frameworks_disconnected,
    "frameworks_active" FRAMEWORKS_ACTIVE frameworks_active,
    "frameworks_inactive" FRAMEWORKS_INACTIVE frameworks_inactive,
    "outstanding_offers" OUTSTANDING outstanding_offers,
];

static TASKS: Family = gauge(
    "tepui_master_tasks",
    "Tasks that have not ended, by their state.",
);

static STATES: &[Entry<Gauges>] = rows![
    TASKS, "state":
    "tasks_staging" "staging" tasks_staging,
    "tasks_starting" "starting" tasks_starting,
    "tasks_running" "running" tasks_running,
    "tasks_killing" "killing" tasks_killing,
    "tasks_unreachable" "unreachable" tasks_unreachable,
];

static QUEUED: Family = gauge(
    "tepui_master_queued_messages",
    "Messages that wait for the master, by where they come from.",
);

/// Tells the master's counters.
pub fn counters(counters: &Counters, out: &mut impl Sink) {
    for table in [
        COUNTERS,
        REASONS,
        UNREACHABLE_STEPS,
        KINDS,
        VALID_KINDS,
        INVALID_KINDS,
        ENDS,
        OFFER_EVENTS,
    ] {
        put_all(table, counters, out);
    }
}

/// Tells what the master has, but for resources.
pub fn gauges(gauges: &Gauges, out: &mut impl Sink) {
    put_all(GAUGES, gauges, out);
    put_all(STATES, gauges, out);
}

/// Tells the lengths of the master's queue.
pub fn queue(queue: &MasterQueue, out: &mut impl Sink) {
    for (kind, origin, waiting) in [
        ("messages", "agents", &queue.messages),
        ("dispatches", "actors", &queue.dispatches),
        ("http_requests", "http", &queue.http_requests),
    ] {
        let key = format_args!("master/event_queue_{kind}");
        out.put(key, &QUEUED, &[("origin", origin)], waiting.get() as f64);
    }
}
