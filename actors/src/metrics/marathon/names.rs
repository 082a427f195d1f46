//! The names of Marathon's metrics, and where each is read.
//! Which of Marathon's names are missing, and why, is in `docs/marathon-metrics.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Number;
use tepui_core::marathon::manager::Snapshot;
use tepui_core::time::Mono;

use super::meter::{Meter, MeterReading};
use super::process::Process;
use super::timer::{Timer, TimerReading};
use super::{METHODS, MarathonMetrics, STATES};

/// What is published under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A number that only grows.
    Counter(u64),
    /// A number as it is now.
    Gauge(Number),
    /// How often something happens.
    Meter(MeterReading),
    /// How long something takes.
    Timer(TimerReading),
}

/// Figures by name.
pub type Published = BTreeMap<String, Figure>;

type Read<T> = (&'static str, fn(&MarathonMetrics) -> T);

const COUNTERS: &[Read<u64>] = &[
    ("tasks.launched.counter", |m| m.mesos.tasks_launched.get()),
    ("mesos.calls.revive.counter", |m| m.mesos.revives.get()),
    ("mesos.calls.suppress.counter", |m| m.mesos.suppresses.get()),
    ("mesos.offer-operations.launch.counter", |m| {
        m.mesos.launches.get()
    }),
    ("mesos.offer-operations.launch-group.counter", |m| {
        m.mesos.group_launches.get()
    }),
    ("mesos.offer-operations.reserve.counter", |m| {
        m.mesos.reservations.get()
    }),
    ("mesos.offers.incoming.counter", |m| {
        m.mesos.offers_incoming.get()
    }),
    ("mesos.offers.used.counter", |m| m.mesos.offers_used.get()),
    ("mesos.offers.declined.counter", |m| {
        m.mesos.offers_declined.get()
    }),
    ("mesos.task.oom.memory-limit-exceeded.counter", |m| {
        m.mesos.out_of_memory.get()
    }),
    ("http.requests.size.counter.bytes", |m| {
        m.http.received_bytes.get()
    }),
    ("http.responses.size.counter.bytes", |m| {
        m.http.sent_bytes.get()
    }),
    ("http.responses.size.gzipped.counter.bytes", |m| {
        m.http.gzipped_bytes.get()
    }),
    ("http.responses.event-stream.size.counter.bytes", |m| {
        m.http.event_bytes.get()
    }),
];

type ReadTimer = (&'static str, fn(&MarathonMetrics) -> &Timer);

const TIMERS: &[ReadTimer] = &[
    ("http.requests.duration.timer.seconds", |m| {
        &m.http.durations
    }),
    ("debug.mesos.offers.matching-duration.timer.seconds", |m| {
        &m.mesos.matching
    }),
    (
        "debug.mesos.offers.saving-tasks-duration.timer.seconds",
        |m| &m.mesos.saving,
    ),
    (
        "debug.publishing-task-status-update-duration.timer.seconds",
        |m| &m.mesos.update,
    ),
    (
        "debug.persistence.operations.store.duration.timer.seconds",
        |m| &m.store,
    ),
];

type ReadSnapshot<T> = (&'static str, fn(&Snapshot) -> T);

const SNAPSHOT_COUNTERS: &[ReadSnapshot<u64>] = &[
    ("deployments.counter", |s| s.figures.deployments),
    ("deployments.dismissed.counter", |s| {
        s.figures.deployments_dismissed
    }),
    ("debug.mesos.offers.unprocessable.counter", |s| {
        s.figures.offers_unprocessable
    }),
];

const SNAPSHOT_GAUGES: &[ReadSnapshot<u64>] = &[
    ("apps.active.gauge", |s| s.root.app_count() as u64),
    // There are none.
    ("pods.active.gauge", |_| 0),
    ("groups.active.gauge", |s| s.root.group_count() as u64),
    ("deployments.active.gauge", |s| s.deployments.len() as u64),
    ("instances.launch-overdue.gauge", |s| {
        s.figures.kills.launch_overdue as u64
    }),
    ("instances.inflight-kills.gauge", |s| {
        s.figures.kills.in_flight as u64
    }),
    ("instances.inflight-kill-attempts.gauge", |s| {
        s.figures.kills.attempts
    }),
    ("debug.offer-matcher.tokens.gauge", |s| {
        u64::from(s.figures.launch_tokens)
    }),
];

/// Windows of the rates of meters, as they are called in names.
const WINDOWS: [&str; 3] = ["1m", "5m", "15m"];

/// Collects figures under names that begin alike.
struct Publisher<'a> {
    prefix: &'a str,
    now: Mono,
    out: Published,
}

/// All figures at `now`, under names that begin with `prefix`.
pub fn publish(
    metrics: &MarathonMetrics,
    snapshot: &Snapshot,
    process: Process,
    prefix: &str,
    now: Mono,
) -> Published {
    let mut publisher = Publisher {
        prefix,
        now,
        out: Published::new(),
    };
    for (name, read) in COUNTERS {
        publisher.put(name, Figure::Counter(read(metrics)));
    }
    for (name, read) in TIMERS {
        publisher.timer(name, read(metrics));
    }
    for (name, read) in SNAPSHOT_COUNTERS {
        publisher.put(name, Figure::Counter(read(snapshot)));
    }
    for (name, read) in SNAPSHOT_GAUGES {
        publisher.gauge(name, read(snapshot));
    }
    publisher.durations(metrics);
    publisher.instances(snapshot);
    publisher.task_updates(metrics);
    publisher.http(metrics);
    publisher.process(process);
    publisher.out
}

impl Publisher<'_> {
    fn put(&mut self, name: &str, figure: Figure) {
        self.out.insert(format!("{}.{name}", self.prefix), figure);
    }

    fn gauge(&mut self, name: &str, value: u64) {
        self.put(name, Figure::Gauge(value.into()));
    }

    /// What is no number is 0. Marathon.
    fn real(&mut self, name: &str, value: f64) {
        let number = Number::from_f64(value).unwrap_or_else(|| 0.into());
        self.put(name, Figure::Gauge(number));
    }

    fn meter(&mut self, name: &str, meter: &Meter) {
        self.put(name, Figure::Meter(meter.read(self.now)));
    }

    fn timer(&mut self, name: &str, timer: &Timer) {
        self.put(name, Figure::Timer(timer.read(self.now)));
    }

    fn durations(&mut self, metrics: &MarathonMetrics) {
        let seconds = |time: Duration| time.as_millis() as f64 / 1e3;
        let uptime = metrics.uptime(self.now);
        let leadership = metrics.leadership(self.now);
        self.real("uptime.gauge.seconds", seconds(uptime));
        self.real("leadership.duration.gauge.seconds", seconds(leadership));
    }

    fn instances(&mut self, snapshot: &Snapshot) {
        let (mut running, mut staged) = (0, 0);
        for view in snapshot.apps.values() {
            running += u64::from(view.counts.tasks_running);
            staged += u64::from(view.counts.tasks_staged);
        }
        self.gauge("instances.running.gauge", running);
        self.gauge("instances.staged.gauge", staged);
    }

    /// Each state appears with its first status. Marathon.
    fn task_updates(&mut self, metrics: &MarathonMetrics) {
        for (state, counter) in STATES.iter().zip(&metrics.mesos.updates) {
            let count = counter.get();
            if count > 0 {
                let state = state.as_str_name().to_ascii_lowercase().replace('_', "-");
                let name = format!("mesos.task-updates.{state}.counter");
                self.put(&name, Figure::Counter(count));
            }
        }
    }

    fn http(&mut self, metrics: &MarathonMetrics) {
        let http = &metrics.http;
        self.gauge("http.requests.active.gauge", http.active.get());
        self.gauge("http.event-streams.active.gauge", http.event_streams.get());
        for (meter, class) in http.statuses.iter().zip(1..) {
            self.meter(&format!("http.responses.{class}xx.rate.meter"), meter);
        }
        for (timer, method) in http.durations_by_method.iter().zip(METHODS) {
            let method = method.to_ascii_lowercase();
            let name = format!("http.requests.{method}.duration.timer.seconds");
            self.timer(&name, timer);
        }
        let all = http.durations.rates(self.now);
        for class in [4, 5] {
            let bad = http.statuses[class - 1].read(self.now).rates;
            for ((bad, all), window) in bad.iter().zip(all).zip(WINDOWS) {
                let name = format!("debug.http.requests.{class}xx-to-{window}-rate-ratio.gauge");
                self.real(&name, bad / all);
            }
        }
    }

    fn process(&mut self, process: Process) {
        let figures = [
            ("jvm.threads.active.gauge", process.threads),
            ("jvm.memory.total.used.gauge.bytes", process.resident_bytes),
            ("jvm.memory.heap.used.gauge.bytes", process.anonymous_bytes),
        ];
        for (name, value) in figures {
            if let Some(value) = value {
                self.gauge(name, value);
            }
        }
    }
}
