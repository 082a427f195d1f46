//! What an app manager measures of itself: counted where it happens, read when somebody asks.
//! Names nothing; the names that Marathon publishes these under are in `names.rs`.

pub mod meter;
mod names;
mod page;
pub mod process;
mod text;
pub mod timer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tepui_core::time::Mono;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::offer::operation;
use tepui_protocol::v1::task_status::Reason;

use self::meter::Meter;
use self::timer::Timer;
use super::{Counter, Waiting};
use crate::marathon::config::MetricsSettings;

pub use page::MetricsPage;

/// All that an app manager measures of itself; shared by all its parts.
#[derive(Debug)]
pub struct MarathonMetrics {
    /// When this process began.
    started: Mono,
    leads_since: AtomicU64,
    /// Requests and answers.
    pub http: HttpMetrics,
    /// What passes between the manager and the master.
    pub mesos: MesosMetrics,
    /// Time from giving a batch of changes to the store until it is durable.
    pub store: Timer,
}

/// [`MarathonMetrics::leads_since`] of who does not lead.
const NEVER: u64 = u64::MAX;

impl Default for MarathonMetrics {
    fn default() -> Self {
        MarathonMetrics::new(&MetricsSettings::default(), Mono::default())
    }
}

impl MarathonMetrics {
    /// Metrics of a process that begins at `now`.
    pub fn new(settings: &MetricsSettings, now: Mono) -> MarathonMetrics {
        MarathonMetrics {
            started: now,
            leads_since: AtomicU64::new(NEVER),
            http: HttpMetrics::new(settings, now),
            mesos: MesosMetrics::new(settings, now),
            store: Timer::new(settings, now),
        }
    }

    /// This instance leads from `now` on, until what is returned is dropped.
    pub fn lead(self: &Arc<Self>, now: Mono) -> Leading {
        self.leads_since.store(now.0, Ordering::Relaxed);
        self.mesos.tasks_launched.0.store(0, Ordering::Relaxed);
        Leading(self.clone())
    }

    fn uptime(&self, now: Mono) -> Duration {
        now.since(self.started)
    }

    /// How long this instance has been leading; zero when it does not.
    fn leadership(&self, now: Mono) -> Duration {
        match self.leads_since.load(Ordering::Relaxed) {
            NEVER => Duration::ZERO,
            since => now.since(Mono(since)),
        }
    }
}

/// The time in which this instance leads.
#[derive(Debug)]
pub struct Leading(Arc<MarathonMetrics>);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.leads_since.store(NEVER, Ordering::Relaxed);
    }
}

/// Methods that are timed each; all others are the last one.
pub const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "MOVE", "other",
];

/// Requests and answers. Times end when an answer begins to be sent: how fast a client reads is not
/// measured.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Requests that have not been answered yet.
    pub active: Waiting,
    /// Streams of events that are open.
    pub event_streams: Waiting,
    /// Bytes of bodies of requests, as far as they were read.
    pub received_bytes: Counter,
    /// Bytes of bodies of answers, as they are sent.
    pub sent_bytes: Counter,
    /// Those among them that are compressed.
    pub gzipped_bytes: Counter,
    /// Those among them that are events.
    pub event_bytes: Counter,
    /// Answers by the first digit of their status, from 1.
    statuses: [Meter; 5],
    /// All requests.
    durations: Timer,
    /// Requests in the order of [`METHODS`].
    durations_by_method: [Timer; METHODS.len()],
}

impl HttpMetrics {
    fn new(settings: &MetricsSettings, now: Mono) -> HttpMetrics {
        HttpMetrics {
            active: Waiting::default(),
            event_streams: Waiting::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            gzipped_bytes: Counter::default(),
            event_bytes: Counter::default(),
            statuses: std::array::from_fn(|_| Meter::new(now)),
            durations: Timer::new(settings, now),
            durations_by_method: std::array::from_fn(|_| Timer::new(settings, now)),
        }
    }

    /// A request was answered at `now`, after `duration`.
    pub fn answered(&self, method: &str, status: u16, now: Mono, duration: Duration) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(meter) = self.statuses.get(class) {
            meter.mark(now, 1);
        }
        self.durations.record(now, duration);
        let known = METHODS.iter().position(|known| *known == method);
        let timer = &self.durations_by_method[known.unwrap_or(METHODS.len() - 1)];
        timer.record(now, duration);
    }
}

/// States of tasks in the order of [`MesosMetrics::updates`].
const STATES: [TaskState; 14] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskError,
    TaskState::TaskLost,
    TaskState::TaskDropped,
    TaskState::TaskUnreachable,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
    TaskState::TaskUnknown,
];

/// What passes between the manager and the master. Calls count once they are on their way.
#[derive(Debug)]
pub struct MesosMetrics {
    /// Offers that came.
    pub offers_incoming: Counter,
    /// Offers that something was launched on.
    pub offers_used: Counter,
    /// Offers that were declined.
    pub offers_declined: Counter,
    /// Calls that ask for offers.
    pub revives: Counter,
    /// Calls that ask for none.
    pub suppresses: Counter,
    /// Time it takes to see what an offer is good for. Offers that come together share it equally.
    pub matching: Timer,
    /// Time until what is launched on an offer is durable, so that it may be launched.
    pub saving: Timer,
    /// Time it takes to see what follows from a status.
    pub update: Timer,
    tasks_launched: Counter,
    launches: Counter,
    group_launches: Counter,
    reservations: Counter,
    updates: [Counter; STATES.len()],
    out_of_memory: Counter,
}

impl MesosMetrics {
    fn new(settings: &MetricsSettings, now: Mono) -> MesosMetrics {
        MesosMetrics {
            offers_incoming: Counter::default(),
            offers_used: Counter::default(),
            offers_declined: Counter::default(),
            revives: Counter::default(),
            suppresses: Counter::default(),
            matching: Timer::new(settings, now),
            saving: Timer::new(settings, now),
            update: Timer::new(settings, now),
            tasks_launched: Counter::default(),
            launches: Counter::default(),
            group_launches: Counter::default(),
            reservations: Counter::default(),
            updates: std::array::from_fn(|_| Counter::default()),
            out_of_memory: Counter::default(),
        }
    }

    /// An offer was accepted with these operations, which launch so many tasks.
    pub fn accepted(&self, operations: &[operation::Type], tasks: usize) {
        self.offers_used.add(1);
        self.tasks_launched
            .add(u64::try_from(tasks).unwrap_or(u64::MAX));
        for operation in operations {
            match operation {
                operation::Type::Launch => self.launches.add(1),
                operation::Type::LaunchGroup => self.group_launches.add(1),
                operation::Type::Reserve => self.reservations.add(1),
                // Marathon counts no others.
                _ => {}
            }
        }
    }

    /// A status came. One of a state that this version does not know is not counted.
    pub fn updated(&self, state: Option<TaskState>, reason: Option<Reason>) {
        let place = STATES.iter().position(|known| Some(*known) == state);
        if let Some(counter) = place.and_then(|place| self.updates.get(place)) {
            counter.add(1);
        }
        if reason == Some(Reason::ContainerLimitationMemory) {
            self.out_of_memory.add(1);
        }
    }
}
