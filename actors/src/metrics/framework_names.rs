//! The names of what a master counts of each framework.
//! Counts nothing itself, and does not decide whether frameworks are told one by one.

use std::fmt::Write as _;

use tepui_core::master::framework_counters::{OfferEvent, Tally};
use tepui_core::master::model::Framework;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::offer::operation;
use tepui_protocol::v1::scheduler::{call, event};

use super::sink::{Family, Sink, counter, gauge};

static SUBSCRIBED: Family = gauge(
    "tepui_master_framework_subscribed",
    "1 while a framework is subscribed.",
);
static CALLS: Family = counter(
    "tepui_master_framework_calls_total",
    "Calls of a framework that were taken, by type.",
);
static EVENTS: Family = counter(
    "tepui_master_framework_events_total",
    "Events that were sent to a framework, by type.",
);
static OPERATIONS: Family = counter(
    "tepui_master_framework_operations_total",
    "Operations on offers that were carried out for a framework, by type.",
);
static OFFERS: Family = counter(
    "tepui_master_framework_offers_total",
    "Offers that were sent to a framework, and what became of them.",
);
static TASKS: Family = gauge(
    "tepui_master_framework_tasks",
    "Tasks of a framework that have not ended, by state.",
);
static ENDED: Family = counter(
    "tepui_master_framework_tasks_ended_total",
    "Tasks of a framework that ended, by their last state.",
);
static SUPPRESSED: Family = gauge(
    "tepui_master_framework_role_suppressed",
    "1 while a framework wants no offers for a role.",
);

/// States of tasks that have not ended, but for those on unreachable agents.
const ACTIVE: [TaskState; 5] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskUnknown,
];

/// States in which tasks have ended.
const TERMINAL: [TaskState; 8] = [
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskError,
    TaskState::TaskLost,
    TaskState::TaskDropped,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
];

const OFFER_EVENTS: [(OfferEvent, &str); 4] = [
    (OfferEvent::Sent, "sent"),
    (OfferEvent::Accepted, "accepted"),
    (OfferEvent::Declined, "declined"),
    (OfferEvent::Rescinded, "rescinded"),
];

/// A framework's part of keys and labels.
struct Names<'a> {
    prefix: String,
    id: &'a str,
    name: &'a str,
}

/// Tells what was counted of a framework, one that is completed or one that is not.
pub fn framework(framework: &Framework, out: &mut impl Sink) {
    let (id, name) = (framework.id.as_str(), framework.info.name.as_str());
    let names = Names {
        prefix: format!("master/frameworks/{}/{id}", encoded(name)),
        id,
        name,
    };
    let subscribed = f64::from(u8::from(framework.stream().is_some()));
    let key = format_args!("{}/subscribed", names.prefix);
    out.put(key, &SUBSCRIBED, &names.alone(), subscribed);
    let counters = &framework.counters;
    names.tally("calls", &CALLS, &counters.calls, call_name, out);
    names.tally("events", &EVENTS, &counters.events, event_name, out);
    let operations = &counters.operations;
    names.tally("operations", &OPERATIONS, operations, operation_name, out);
    for (event, word) in OFFER_EVENTS {
        let key = format_args!("{}/offers/{word}", names.prefix);
        let count = counters.offers.of(event as i32) as f64;
        out.put(key, &OFFERS, &names.with("event", word), count);
    }
    names.tasks(framework, out);
}

/// Tells which roles a framework wants no offers for.
pub fn roles(framework: &Framework, out: &mut impl Sink) {
    let (id, name) = (framework.id.as_str(), framework.info.name.as_str());
    let encoded = encoded(name);
    for role in &framework.roles {
        let suppressed = f64::from(u8::from(framework.suppressed.contains(role)));
        let labels = [
            ("framework_id", id),
            ("framework", name),
            ("role", role as &str),
        ];
        let key = format_args!("master/frameworks/{encoded}/{id}/roles/{role}/suppressed");
        out.put(key, &SUPPRESSED, &labels, suppressed);
    }
}

impl<'a> Names<'a> {
    fn alone(&self) -> [(&'a str, &'a str); 2] {
        [("framework_id", self.id), ("framework", self.name)]
    }

    fn with<'b>(&self, label: &'b str, value: &'b str) -> [(&'b str, &'b str); 3]
    where
        'a: 'b,
    {
        let [id, name] = self.alone();
        [id, name, (label, value)]
    }

    fn tally<const N: usize>(
        &self,
        what: &str,
        family: &'static Family,
        tally: &Tally<N>,
        name: fn(i32) -> Option<&'static str>,
        out: &mut impl Sink,
    ) {
        let prefix = format_args!("{}/{what}", self.prefix);
        out.key(prefix, tally.sum() as f64);
        let last = i32::try_from(N).unwrap_or(i32::MAX);
        // Numbers begin with that of no type.
        for number in 1..last {
            if let Some(name) = name(number) {
                let word = name.to_ascii_lowercase();
                let labels = self.with("type", &word);
                let count = tally.of(number) as f64;
                out.put(format_args!("{prefix}/{word}"), family, &labels, count);
            }
        }
    }

    fn tasks(&self, framework: &Framework, out: &mut impl Sink) {
        let mut active = |state: TaskState, count: usize| {
            let name = state.as_str_name().to_ascii_lowercase();
            let labels = self.with("state", name.trim_start_matches("task_"));
            let key = format_args!("{}/tasks/active/{name}", self.prefix);
            out.put(key, &TASKS, &labels, count as f64);
        };
        for state in ACTIVE {
            active(state, framework.task_counts.of(state));
        }
        let unreachable = framework.unreachable_tasks.len();
        active(TaskState::TaskUnreachable, unreachable);
        for state in TERMINAL {
            let name = state.as_str_name().to_ascii_lowercase();
            let labels = self.with("state", name.trim_start_matches("task_"));
            let count = framework.counters.ended.of(state as i32) as f64;
            let key = format_args!("{}/tasks/terminal/{name}", self.prefix);
            out.put(key, &ENDED, &labels, count);
        }
    }
}

fn call_name(number: i32) -> Option<&'static str> {
    call::Type::try_from(number)
        .ok()
        .map(|kind| kind.as_str_name())
}

fn event_name(number: i32) -> Option<&'static str> {
    event::Type::try_from(number)
        .ok()
        .map(|kind| kind.as_str_name())
}

fn operation_name(number: i32) -> Option<&'static str> {
    operation::Type::try_from(number)
        .ok()
        .map(|kind| kind.as_str_name())
}

/// A name in which what would end a key's part, and what is no plain text, is percent-encoded;
/// libprocess's `http::encode`.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'$'
            | b'&'
            | b'+'
            | b','
            | b'/'
            | b':'
            | b';'
            | b'='
            | b'?'
            | b'@'
            | b' '
            | b'"'
            | b'<'
            | b'>'
            | b'#'
            | b'%'
            | b'{'
            | b'}'
            | b'|'
            | b'\\'
            | b'^'
            | b'~'
            | b'['
            | b']'
            | b'`'
            | 0..=0x1f
            | 0x80..=0xff => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
            plain => out.push(char::from(plain)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_frameworks_cannot_break_keys() {
        assert_eq!(encoded("golden-one_1.0*"), "golden-one_1.0*");
        assert_eq!(encoded("a b/c%\u{e9}\n"), "a%20b%2Fc%25%C3%A9%0A");
    }

    #[test]
    fn every_type_of_the_api_is_counted() {
        let of = |name: fn(i32) -> Option<&'static str>, most| {
            (0..100).filter(|number| name(*number).is_some()).max() < Some(most)
        };
        assert!(of(call_name, 18));
        assert!(of(event_name, 12));
        assert!(of(operation_name, 16));
    }
}
