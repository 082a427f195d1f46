//! The keys under which figures are published: Mesos's, all in one place.
//! Counts nothing itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tepui_core::allocator::AllocatorFigures;
use tepui_core::master::counters::Counters;
use tepui_core::time::Mono;

use super::master::{Amount, Gauges};
use super::system::System;
use super::timer::{PERCENTILES, Timer};
use super::{AllocatorMetrics, MasterQueue, RegistrarMetrics};

/// Figures by key.
pub type Published = BTreeMap<Cow<'static, str>, f64>;

/// Resources published one by one.
pub const RESOURCES: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

type Counter = (&'static str, fn(&Counters) -> u64);

const COUNTERS: &[Counter] = &[
    ("master/dropped_messages", |c| c.dropped_messages),
    ("master/messages_register_framework", |c| {
        c.messages_register_framework
    }),
    ("master/messages_reregister_framework", |c| {
        c.messages_reregister_framework
    }),
    ("master/messages_unregister_framework", |c| {
        c.messages_unregister_framework
    }),
    ("master/messages_launch_tasks", |c| c.messages_launch_tasks),
    ("master/messages_decline_offers", |c| {
        c.messages_decline_offers
    }),
    ("master/messages_revive_offers", |c| {
        c.messages_revive_offers
    }),
    ("master/messages_suppress_offers", |c| {
        c.messages_suppress_offers
    }),
    ("master/messages_kill_task", |c| c.messages_kill_task),
    ("master/messages_reconcile_tasks", |c| {
        c.messages_reconcile_tasks
    }),
    ("master/messages_status_update_acknowledgement", |c| {
        c.messages_status_update_acknowledgement
    }),
    ("master/messages_framework_to_executor", |c| {
        c.messages_framework_to_executor
    }),
    ("master/messages_resource_request", |c| {
        c.messages_resource_request
    }),
    ("master/messages_executor_to_framework", |c| {
        c.messages_executor_to_framework
    }),
    ("master/messages_register_slave", |c| {
        c.messages_register_slave
    }),
    ("master/messages_reregister_slave", |c| {
        c.messages_reregister_slave
    }),
    ("master/messages_unregister_slave", |c| {
        c.messages_unregister_slave
    }),
    ("master/messages_status_update", |c| {
        c.messages_status_update
    }),
    ("master/messages_exited_executor", |c| {
        c.messages_exited_executor
    }),
    ("master/valid_status_updates", |c| c.valid_status_updates),
    ("master/invalid_status_updates", |c| {
        c.invalid_status_updates
    }),
    ("master/valid_status_update_acknowledgements", |c| {
        c.valid_status_update_acknowledgements
    }),
    ("master/invalid_status_update_acknowledgements", |c| {
        c.invalid_status_update_acknowledgements
    }),
    ("master/messages_operation_status_update", |c| {
        c.messages_operation_status_update
    }),
    ("master/valid_operation_status_updates", |c| {
        c.valid_operation_status_updates
    }),
    ("master/invalid_operation_status_updates", |c| {
        c.invalid_operation_status_updates
    }),
    (
        "master/messages_operation_status_update_acknowledgement",
        |c| c.messages_operation_status_update_acknowledgement,
    ),
    (
        "master/valid_operation_status_update_acknowledgements",
        |c| c.valid_operation_status_update_acknowledgements,
    ),
    (
        "master/invalid_operation_status_update_acknowledgements",
        |c| c.invalid_operation_status_update_acknowledgements,
    ),
    ("master/messages_reconcile_operations", |c| {
        c.messages_reconcile_operations
    }),
    ("master/valid_framework_to_executor_messages", |c| {
        c.valid_framework_to_executor_messages
    }),
    ("master/invalid_framework_to_executor_messages", |c| {
        c.invalid_framework_to_executor_messages
    }),
    ("master/slave_registrations", |c| c.slave_registrations),
    ("master/slave_reregistrations", |c| c.slave_reregistrations),
    ("master/slave_removals", |c| c.slave_removals),
    ("master/slave_removals/reason_unhealthy", |c| {
        c.slave_removals_reason_unhealthy
    }),
    ("master/slave_removals/reason_unregistered", |c| {
        c.slave_removals_reason_unregistered
    }),
    ("master/slave_removals/reason_registered", |c| {
        c.slave_removals_reason_registered
    }),
    ("master/recovery_slave_removals", |c| {
        c.recovery_slave_removals
    }),
    ("master/slave_unreachable_canceled", |c| {
        c.slave_unreachable_canceled
    }),
    ("master/slave_unreachable_scheduled", |c| {
        c.slave_unreachable_scheduled
    }),
    ("master/slave_unreachable_completed", |c| {
        c.slave_unreachable_completed
    }),
    ("master/tasks_finished", |c| c.tasks_finished),
    ("master/tasks_failed", |c| c.tasks_failed),
    ("master/tasks_killed", |c| c.tasks_killed),
    ("master/tasks_lost", |c| c.tasks_lost),
    ("master/tasks_error", |c| c.tasks_error),
    ("master/tasks_dropped", |c| c.tasks_dropped),
    ("master/tasks_gone", |c| c.tasks_gone),
    ("master/tasks_gone_by_operator", |c| {
        c.tasks_gone_by_operator
    }),
    // Not in Mesos, which counts offers per framework only.
    ("master/offers_sent", |c| c.offers_sent),
    ("master/offers_rescinded", |c| c.offers_rescinded),
    ("master/offers_accepted", |c| c.offers_accepted),
    ("master/offers_declined", |c| c.offers_declined),
];

type Gauge = (&'static str, fn(&Gauges) -> f64);

const GAUGES: &[Gauge] = &[
    ("master/uptime_secs", |g| g.uptime_secs),
    ("master/elected", |g| g.elected),
    ("master/slaves_connected", |g| g.slaves_connected as f64),
    ("master/slaves_disconnected", |g| {
        g.slaves_disconnected as f64
    }),
    ("master/slaves_active", |g| g.slaves_active as f64),
    ("master/slaves_inactive", |g| g.slaves_inactive as f64),
    ("master/slaves_unreachable", |g| g.slaves_unreachable as f64),
    // Not in Mesos: agents that the mass-kill guard holds.
    ("master/slaves_held", |g| g.slaves_held as f64),
    ("master/frameworks_connected", |g| {
        g.frameworks_connected as f64
    }),
    ("master/frameworks_disconnected", |g| {
        g.frameworks_disconnected as f64
    }),
    ("master/frameworks_active", |g| g.frameworks_active as f64),
    ("master/frameworks_inactive", |g| {
        g.frameworks_inactive as f64
    }),
    ("master/outstanding_offers", |g| g.outstanding_offers as f64),
    ("master/tasks_staging", |g| g.tasks[0] as f64),
    ("master/tasks_starting", |g| g.tasks[1] as f64),
    ("master/tasks_running", |g| g.tasks[2] as f64),
    ("master/tasks_killing", |g| g.tasks[3] as f64),
    ("master/tasks_unreachable", |g| g.tasks_unreachable as f64),
];

/// Adds the master's counters.
pub fn publish_counters(counters: &Counters, out: &mut Published) {
    for (key, read) in COUNTERS {
        out.insert(Cow::Borrowed(key), read(counters) as f64);
    }
}

/// Adds what is counted over the master's state.
pub fn publish_gauges(gauges: &Gauges, out: &mut Published) {
    for (key, read) in GAUGES {
        out.insert(Cow::Borrowed(key), read(gauges));
    }
    for (name, amounts) in RESOURCES.iter().zip(&gauges.resources) {
        publish_amount(&format!("master/{name}"), amounts.plain, out);
        publish_amount(&format!("master/{name}_revocable"), amounts.revocable, out);
    }
}

fn publish_amount(prefix: &str, amount: Amount, out: &mut Published) {
    out.insert(Cow::Owned(format!("{prefix}_total")), amount.total);
    out.insert(Cow::Owned(format!("{prefix}_used")), amount.used);
    out.insert(Cow::Owned(format!("{prefix}_percent")), amount.percent());
}

/// Adds the lengths of the master's queue.
pub fn publish_queue(queue: &MasterQueue, out: &mut Published) {
    for (key, waiting) in [
        ("master/event_queue_messages", &queue.messages),
        ("master/event_queue_dispatches", &queue.dispatches),
        ("master/event_queue_http_requests", &queue.http_requests),
    ] {
        out.insert(Cow::Borrowed(key), waiting.get() as f64);
    }
}

/// Adds the machine's figures.
pub fn publish_system(system: &System, out: &mut Published) {
    let [load_1, load_5, load_15] = system.load.map_or([None; 3], |load| load.map(Some));
    for (key, value) in [
        ("system/load_1min", load_1),
        ("system/load_5min", load_5),
        ("system/load_15min", load_15),
        (
            "system/cpus_total",
            system.cpus_total.map(|cpus| cpus as f64),
        ),
        (
            "system/mem_total_bytes",
            system.mem_total_bytes.map(|bytes| bytes as f64),
        ),
        (
            "system/mem_free_bytes",
            system.mem_free_bytes.map(|bytes| bytes as f64),
        ),
    ] {
        out.extend(value.map(|value| (Cow::Borrowed(key), value)));
    }
}

/// Adds what the allocator's skin measures.
pub fn publish_allocator(metrics: &AllocatorMetrics, runs: u64, now: Mono, out: &mut Published) {
    out.insert(
        Cow::Borrowed("allocator/mesos/allocation_runs"),
        runs as f64,
    );
    for key in [
        "allocator/mesos/event_queue_dispatches",
        "allocator/event_queue_dispatches",
    ] {
        out.insert(Cow::Borrowed(key), metrics.dispatches.get() as f64);
    }
    publish_timer("allocator/mesos/allocation_run_ms", &metrics.run, now, out);
    publish_timer(
        "allocator/mesos/allocation_run_latency_ms",
        &metrics.latency,
        now,
        out,
    );
}

/// Adds what the allocator's core knows.
pub fn publish_figures(figures: &AllocatorFigures, out: &mut Published) {
    let units = |milli: i64| milli as f64 / 1000.0;
    for (name, (total, used)) in &figures.resources {
        let prefix = format!("allocator/mesos/resources/{name}");
        out.insert(Cow::Owned(format!("{prefix}/total")), units(*total));
        out.insert(
            Cow::Owned(format!("{prefix}/offered_or_allocated")),
            units(*used),
        );
    }
    for (role, active) in &figures.offer_filters {
        let key = format!("allocator/mesos/offer_filters/roles/{role}/active");
        out.insert(Cow::Owned(key), *active as f64);
    }
    for (role, share) in &figures.dominant_shares {
        let key = format!("allocator/mesos/roles/{role}/shares/dominant");
        out.insert(Cow::Owned(key), *share);
    }
    for (role, kinds) in &figures.quotas {
        for (name, quota) in kinds {
            let prefix = format!("allocator/mesos/quota/roles/{role}/resources/{name}");
            let mut add = |end: &str, milli: Option<i64>| {
                if let Some(milli) = milli {
                    out.insert(Cow::Owned(format!("{prefix}/{end}")), units(milli));
                }
            };
            add("guarantee", quota.guarantee);
            add("limit", quota.limit);
            add("offered_or_allocated", Some(quota.consumed));
        }
    }
}

/// Adds what the registrar measures.
pub fn publish_registrar(metrics: &RegistrarMetrics, now: Mono, out: &mut Published) {
    let queued = metrics.queued_operations.get() as f64;
    out.insert(Cow::Borrowed("registrar/queued_operations"), queued);
    let size = metrics.size_bytes() as f64;
    out.insert(Cow::Borrowed("registrar/registry_size_bytes"), size);
    out.insert(
        Cow::Borrowed("registrar/state_fetch_ms"),
        metrics.state_fetch_ms,
    );
    publish_timer("registrar/state_store_ms", &metrics.state_store, now, out);
}

/// Adds how many subscribe to the operator API's events.
pub fn publish_subscribers(count: usize, out: &mut Published) {
    let key = "master/operator_event_stream_subscribers";
    out.insert(Cow::Borrowed(key), count as f64);
}

/// The latest value under the key itself, the summary of the window below it.
fn publish_timer(key: &'static str, timer: &Timer, now: Mono, out: &mut Published) {
    let Some(last_ms) = timer.last_ms() else {
        return;
    };
    out.insert(Cow::Borrowed(key), last_ms);
    let Some(summary) = timer.summary(now) else {
        return;
    };
    let mut add = |end: &str, value: f64| out.insert(Cow::Owned(format!("{key}/{end}")), value);
    add("count", summary.count as f64);
    add("min", summary.min);
    add("max", summary.max);
    for ((end, _), value) in PERCENTILES.iter().zip(summary.percentiles) {
        add(end, value);
    }
}
