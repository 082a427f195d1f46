//! Figures of the running process, kept where they arise and read when asked for.
//! The names under which they are published are in the files called `names`.

pub mod agent;
mod allocator_names;
mod common_names;
pub mod durations;
mod framework_names;
pub mod marathon;
pub mod master;
mod names;
mod operation_names;
pub mod sink;
pub mod system;
pub mod text;
pub mod timer;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tepui_core::allocator::AllocatorFigures;

use timer::Timer;

/// Number of things waiting in a queue.
#[derive(Debug, Default)]
pub struct Waiting(AtomicI64);

impl Waiting {
    /// One more waits.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// That many wait no longer.
    pub fn remove(&self, count: usize) {
        self.0
            .fetch_sub(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How many wait now.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the registrar measures.
#[derive(Debug)]
pub struct RegistrarMetrics {
    /// Duration of writes.
    pub state_store: Timer,
    /// Duration of the read at start, in milliseconds.
    pub state_fetch_ms: f64,
    /// Operations not answered yet.
    pub queued_operations: Waiting,
    size_bytes: AtomicU64,
}

impl RegistrarMetrics {
    /// Metrics of a registrar whose registry took `fetch` to read.
    pub fn new(fetch: Duration) -> Self {
        RegistrarMetrics {
            state_store: Timer::new(crate::registrar::STATE_STORE_WINDOW),
            state_fetch_ms: fetch.as_secs_f64() * 1000.0,
            queued_operations: Waiting::default(),
            size_bytes: AtomicU64::new(0),
        }
    }

    /// Sets the size of the stored registry.
    pub fn set_size(&self, bytes: i64) {
        self.size_bytes
            .store(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    /// Size of the stored registry in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed)
    }
}

/// What the allocator's skin measures.
#[derive(Debug)]
pub struct AllocatorMetrics {
    /// Duration of allocation runs.
    pub run: Timer,
    /// Time from the change that asked for a run to the run.
    pub latency: Timer,
    /// Runs since start.
    pub runs: AtomicU64,
    /// Messages not handled yet.
    pub dispatches: Waiting,
    /// What the core knows, as last published.
    pub figures: ArcSwap<AllocatorFigures>,
}

/// Window over which allocation runs are summarised, as in Mesos.
const ALLOCATION_WINDOW: Duration = Duration::from_secs(60 * 60);

impl Default for AllocatorMetrics {
    fn default() -> Self {
        AllocatorMetrics {
            run: Timer::new(ALLOCATION_WINDOW),
            latency: Timer::new(ALLOCATION_WINDOW),
            runs: AtomicU64::new(0),
            dispatches: Waiting::default(),
            figures: ArcSwap::default(),
        }
    }
}

/// What waits in the master's queue, by origin.
#[derive(Debug, Default)]
pub struct MasterQueue {
    /// Messages of agents.
    pub messages: Waiting,
    /// Messages of the master's other actors.
    pub dispatches: Waiting,
    /// Calls of frameworks.
    pub http_requests: Waiting,
}

impl MasterQueue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        [&self.messages, &self.dispatches, &self.http_requests]
            .iter()
            .all(|waiting| waiting.get() == 0)
    }
}
