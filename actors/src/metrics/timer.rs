//! Durations over a sliding window, summarised as Mesos summarises its timers.
//! Reads no clock: whoever measured passes the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tepui_core::time::Mono;

use super::durations::Durations;

/// Resolution in significant decimal digits; two keep a histogram at a few kilobytes.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Percentiles Mesos publishes, each with the end of its key and as a share in the form of
/// Prometheus.
pub const PERCENTILES: [(&str, &str, f64); 6] = [
    ("p50", "0.5", 0.5),
    ("p90", "0.9", 0.9),
    ("p95", "0.95", 0.95),
    ("p99", "0.99", 0.99),
    ("p999", "0.999", 0.999),
    ("p9999", "0.9999", 0.9999),
];

/// Samples a window must hold before Mesos summarises it.
pub const MIN_SAMPLES: u64 = 2;

/// Collects durations. The window slides in two halves, so that old samples cost no memory each.
#[derive(Debug)]
pub struct Timer {
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Duration>,
    count: u64,
    sum: Duration,
    half_started: Mono,
    current: Durations,
    previous: Durations,
}

/// What a timer holds at one moment, in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The latest sample.
    pub last: f64,
    /// Number of all samples.
    pub total_count: u64,
    /// Sum of all samples.
    pub total_sum: f64,
    /// Number of samples in the window; the following are of these.
    pub count: u64,
    /// Shortest sample.
    pub min: f64,
    /// Longest sample.
    pub max: f64,
    /// In the order of [`PERCENTILES`].
    pub percentiles: [f64; PERCENTILES.len()],
}

impl Timer {
    /// A timer over the given window.
    pub fn new(window: Duration) -> Self {
        let state = State {
            last: None,
            count: 0,
            sum: Duration::ZERO,
            half_started: Mono::default(),
            current: Durations::new(SIGNIFICANT_DIGITS),
            previous: Durations::new(SIGNIFICANT_DIGITS),
        };
        Timer {
            window,
            state: Mutex::new(state),
        }
    }

    /// Adds a sample taken at `now`.
    pub fn record(&self, now: Mono, duration: Duration) {
        let mut state = self.lock();
        state.slide(now, self.window);
        state.last = Some(duration);
        state.count += 1;
        state.sum = state.sum.saturating_add(duration);
        state.current.record(duration, 1);
    }

    /// The latest sample in milliseconds.
    pub fn last_ms(&self) -> Option<f64> {
        self.lock().last.map(|last| last.as_secs_f64() * 1000.0)
    }

    /// What there is at `now`; nothing before the first sample.
    pub fn summary(&self, now: Mono) -> Option<Summary> {
        let mut state = self.lock();
        state.slide(now, self.window);
        let last = state.last?.as_secs_f64();
        let mut all = state.current.clone();
        all.add(&state.previous);
        Some(Summary {
            last,
            total_count: state.count,
            total_sum: state.sum.as_secs_f64(),
            count: all.count(),
            min: all.min(),
            max: all.max(),
            percentiles: PERCENTILES.map(|(_, _, share)| all.quantile(share)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slide(&mut self, now: Mono, window: Duration) {
        let age = now.since(self.half_started);
        if age < window / 2 {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.reset();
        if age >= window {
            self.previous.reset();
        }
        self.half_started = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::default() + Duration::from_secs(secs)
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected * 0.01
    }

    #[test]
    fn samples_are_summarised_in_seconds() {
        let timer = Timer::new(Duration::from_secs(100));
        assert_eq!((timer.last_ms(), timer.summary(at(1))), (None, None));
        timer.record(at(1), Duration::from_millis(10));
        assert_eq!(timer.last_ms(), Some(10.0));
        timer.record(at(1), Duration::from_millis(20));
        let summary = timer.summary(at(1)).expect("there are samples");
        assert_eq!((summary.count, summary.total_count), (2, 2));
        assert!(near(summary.last, 0.02), "{summary:?}");
        assert!(near(summary.total_sum, 0.03), "{summary:?}");
        assert!(near(summary.min, 0.01), "{summary:?}");
        assert!(near(summary.max, 0.02), "{summary:?}");
        assert!(near(summary.percentiles[0], 0.01), "{summary:?}");
        assert!(near(summary.percentiles[5], 0.02), "{summary:?}");
    }

    #[test]
    fn the_window_forgets_and_the_totals_do_not() {
        let timer = Timer::new(Duration::from_secs(100));
        let count = |now: u64| timer.summary(at(now)).map(|summary| summary.count);
        timer.record(at(0), Duration::from_millis(10));
        timer.record(at(60), Duration::from_millis(20));
        assert_eq!(count(60), Some(2));
        timer.record(at(120), Duration::from_millis(30));
        assert_eq!(count(120), Some(2), "the first sample is gone");
        assert_eq!(count(500), Some(0));
        assert_eq!(timer.last_ms(), Some(30.0));
        let summary = timer.summary(at(500)).expect("there were samples");
        assert_eq!(summary.total_count, 3);
        assert_eq!(summary.percentiles, [0.0; 6]);
    }
}
