//! The names of what a master counts of operations, and of why tasks ended.
//! Counts nothing itself.

use tepui_core::master::counters::Counters;
use tepui_core::master::operation_counts::{STATES, TYPES};
use tepui_protocol::v1::offer::operation::Type;

use super::sink::{Family, Sink, counter, gauge};

/// States of operations that are counted while they last, the first so many of [`STATES`].
const LASTING: usize = 2;

static NOW: Family = gauge(
    "tepui_master_operations",
    "Operations on reservations and volumes that have not ended, by type and state.",
);
static ENDED: Family = counter(
    "tepui_master_operations_ended_total",
    "Operations on reservations and volumes that came to this state, by type.",
);

/// Tells how many operations are in each state, or came to it.
pub fn operations(counters: &Counters, out: &mut impl Sink) {
    let all = counters.operations.all();
    keys("master/operations", &all, out);
    for kind in TYPES {
        let counts = counters.operations.of(kind);
        let name = kind.as_str_name().to_ascii_lowercase();
        keys(&format!("master/operations/{name}"), &counts, out);
        samples(&name, &counts, out);
    }
    // Whatever is none of the types.
    samples("other", &counters.operations.of(Type::Unknown), out);
}

fn keys(prefix: &str, counts: &[u64; STATES.len()], out: &mut impl Sink) {
    let total: u64 = counts.iter().sum();
    out.key(format_args!("{prefix}/total"), total as f64);
    for (name, count) in states(counts) {
        out.key(format_args!("{prefix}/{name}"), count);
    }
}

fn samples(kind: &str, counts: &[u64; STATES.len()], out: &mut impl Sink) {
    for (place, (state, count)) in states(counts).enumerate() {
        let family = if place < LASTING { &NOW } else { &ENDED };
        out.sample(family, &[("type", kind), ("state", &state)], count);
    }
}

fn states(counts: &[u64; STATES.len()]) -> impl Iterator<Item = (String, f64)> {
    let counts = counts.iter().map(|count| *count as f64);
    STATES
        .iter()
        .map(|state| ended_name(state.as_str_name(), "OPERATION_"))
        .zip(counts)
}

fn ended_name(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

static REASONS: Family = counter(
    "tepui_master_task_end_reasons_total",
    "Tasks that ended or became unreachable, by state, source and reason of the status.",
);

/// Tells why tasks ended. Each key appears with the first task it counts. Mesos.
pub fn ends(counters: &Counters, out: &mut impl Sink) {
    for ((state, source, reason), count) in &counters.ends {
        let state = state.as_str_name().to_ascii_lowercase();
        let source = source.as_str_name().to_ascii_lowercase();
        let reason = reason.as_str_name().to_ascii_lowercase();
        // Mesos's keys have the words of its older API.
        let (of, why) = (
            source.replace("agent", "slave"),
            reason.replace("agent", "slave"),
        );
        let labels = [
            ("state", state.trim_start_matches("task_")),
            ("source", source.trim_start_matches("source_")),
            ("reason", reason.trim_start_matches("reason_")),
        ];
        let key = format_args!("master/{state}/{of}/{why}");
        out.put(key, &REASONS, &labels, *count as f64);
    }
}
