//! The names of what allocator and registrar measure.
//! Measures nothing itself.

use std::sync::atomic::Ordering;

use tepui_core::allocator::AllocatorFigures;
use tepui_core::time::Mono;

use super::common_names::unit;
use super::sink::{Family, Sink, counter, gauge, summary};
use super::{AllocatorMetrics, RegistrarMetrics};

static RUNS: Family = counter("tepui_allocator_runs_total", "Runs of the allocator.");
static RUN: Family = summary(
    "tepui_allocator_run_seconds",
    "How long runs of the allocator took, over an hour.",
);
static LATENCY: Family = summary(
    "tepui_allocator_run_latency_seconds",
    "Time from the change that asked for a run to the run, over an hour.",
);
static QUEUED: Family = gauge(
    "tepui_allocator_queued_messages",
    "Messages that wait for the allocator.",
);
static CAPACITY: Family = gauge(
    "tepui_allocator_resource_capacity",
    "What the allocator may give, of a resource.",
);
static USED: Family = gauge(
    "tepui_allocator_resource_offered_or_allocated",
    "What is offered or in use, of a resource.",
);
static FILTERS: Family = gauge(
    "tepui_allocator_offer_filters",
    "Refusals of offers that hold now, by role.",
);
static SHARES: Family = gauge(
    "tepui_allocator_role_dominant_share_ratio",
    "The largest share that a role has of any resource, not weighted.",
);
static GUARANTEE: Family = gauge(
    "tepui_allocator_quota_guarantee",
    "What a role is guaranteed of a resource.",
);
static LIMIT: Family = gauge(
    "tepui_allocator_quota_limit",
    "What a role may have of a resource at most.",
);
static CONSUMED: Family = gauge(
    "tepui_allocator_quota_offered_or_allocated",
    "What counts against a role's quota of a resource: reservations, offers and what is in use.",
);

/// Tells what the allocator measures and knows.
pub fn allocator(metrics: &AllocatorMetrics, now: Mono, out: &mut impl Sink) {
    let runs = metrics.runs.load(Ordering::Relaxed) as f64;
    out.put(
        format_args!("allocator/mesos/allocation_runs"),
        &RUNS,
        &[],
        runs,
    );
    let queued = metrics.dispatches.get() as f64;
    let key = format_args!("allocator/mesos/event_queue_dispatches");
    out.put(key, &QUEUED, &[], queued);
    out.key(format_args!("allocator/event_queue_dispatches"), queued);
    let key = "allocator/mesos/allocation_run_ms";
    out.timer(key, &RUN, &metrics.run, now);
    let key = "allocator/mesos/allocation_run_latency_ms";
    out.timer(key, &LATENCY, &metrics.latency, now);
    figures(&metrics.figures.load(), out);
}

fn figures(figures: &AllocatorFigures, out: &mut impl Sink) {
    // Mesos tells of these even while there are none.
    let is_absent = |name: &&str| !figures.resources.contains_key(*name);
    let absent = ["cpus", "mem", "disk"].into_iter().filter(is_absent);
    let known = figures.resources.iter();
    let known = known.map(|(name, amounts)| (name.as_str(), *amounts));
    for (name, (total, used)) in known.chain(absent.map(|name| (name, (0, 0)))) {
        let (unit, scale) = unit(name);
        let labels = [("resource", name), ("unit", unit)];
        let (total, used) = (total as f64 / 1e3, used as f64 / 1e3);
        let prefix = format_args!("allocator/mesos/resources/{name}");
        out.key(format_args!("{prefix}/total"), total);
        out.key(format_args!("{prefix}/offered_or_allocated"), used);
        out.sample(&CAPACITY, &labels, total * scale);
        out.sample(&USED, &labels, used * scale);
    }
    for (role, active) in &figures.offer_filters {
        let key = format_args!("allocator/mesos/offer_filters/roles/{role}/active");
        out.put(key, &FILTERS, &[("role", role as &str)], *active as f64);
    }
    for (role, share) in &figures.dominant_shares {
        let key = format_args!("allocator/mesos/roles/{role}/shares/dominant");
        out.put(key, &SHARES, &[("role", role as &str)], *share);
    }
    for (role, kinds) in &figures.consumed {
        for (name, milli) in kinds {
            let prefix = "allocator/mesos/quota/roles";
            let key = format_args!("{prefix}/{role}/resources/{name}/consumed");
            out.key(key, *milli as f64 / 1e3);
        }
    }
    for (role, kinds) in &figures.quotas {
        for (name, quota) in kinds {
            let (unit, scale) = unit(name);
            let labels = [
                ("role", role as &str),
                ("resource", name.as_str()),
                ("unit", unit),
            ];
            for (end, family, milli) in [
                ("guarantee", &GUARANTEE, quota.guarantee),
                ("limit", &LIMIT, quota.limit),
                ("offered_or_allocated", &CONSUMED, Some(quota.consumed)),
            ] {
                let Some(milli) = milli else { continue };
                let amount = milli as f64 / 1e3;
                let prefix = "allocator/mesos/quota/roles";
                out.key(
                    format_args!("{prefix}/{role}/resources/{name}/{end}"),
                    amount,
                );
                out.sample(family, &labels, amount * scale);
            }
        }
    }
}

static OPERATIONS: Family = gauge(
    "tepui_registrar_queued_operations",
    "Changes of the registry that are not stored yet.",
);
static SIZE: Family = gauge("tepui_registrar_registry_bytes", "Size of the registry.");
static FETCH: Family = gauge(
    "tepui_registrar_fetch_seconds",
    "How long it took to read the registry at the master's start.",
)
.scaled(1e-3);
static STORE: Family = summary(
    "tepui_registrar_store_seconds",
    "How long it took to store changes of the registry, over a day.",
);

/// Tells what the registrar measures.
pub fn registrar(metrics: &RegistrarMetrics, now: Mono, out: &mut impl Sink) {
    let queued = metrics.queued_operations.get() as f64;
    let key = format_args!("registrar/queued_operations");
    out.put(key, &OPERATIONS, &[], queued);
    let size = metrics.size_bytes() as f64;
    out.put(
        format_args!("registrar/registry_size_bytes"),
        &SIZE,
        &[],
        size,
    );
    let key = format_args!("registrar/state_fetch_ms");
    out.put(key, &FETCH, &[], metrics.state_fetch_ms);
    let key = "registrar/state_store_ms";
    out.timer(key, &STORE, &metrics.state_store, now);
}
