//! Durations over a sliding window, summarised as Mesos summarises its timers.
//! Reads no clock: whoever measured passes the time.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use tepui_core::time::Mono;

/// Resolution in significant decimal digits; two keep a histogram at a few kilobytes.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Percentiles Mesos publishes, each with the end of its key.
pub const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p999", 99.9),
    ("p9999", 99.99),
];

/// Samples a window must hold before it is summarised.
const MIN_SAMPLES: u64 = 2;

/// Collects durations. The window slides in two halves, so that old samples cost no memory each.
#[derive(Debug)]
pub struct Timer {
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Duration>,
    half_started: Mono,
    current: Histogram<u32>,
    previous: Histogram<u32>,
}

/// What a timer holds at one moment, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Number of samples in the window.
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
            half_started: Mono::default(),
            current: empty_histogram(),
            previous: empty_histogram(),
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
        let micros = u64::try_from(duration.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        // Fails only for a histogram of fixed size, and this one grows.
        let _ = state.current.record(micros);
    }

    /// The latest sample in milliseconds.
    pub fn last_ms(&self) -> Option<f64> {
        self.lock().last.map(|last| last.as_secs_f64() * 1000.0)
    }

    /// The samples of the window at `now`; nothing while there are too few to speak of.
    pub fn summary(&self, now: Mono) -> Option<Summary> {
        let mut state = self.lock();
        state.slide(now, self.window);
        let mut all = state.current.clone();
        // Both grow on demand, so adding one to the other cannot fail.
        all.add(&state.previous).ok()?;
        if all.len() < MIN_SAMPLES {
            return None;
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        Some(Summary {
            count: all.len(),
            min: ms(all.min()),
            max: ms(all.max()),
            percentiles: PERCENTILES.map(|(_, percentile)| ms(all.value_at_percentile(percentile))),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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

fn empty_histogram() -> Histogram<u32> {
    // It grows on demand.
    Histogram::new(SIGNIFICANT_DIGITS)
        .unwrap_or_else(|_| unreachable!("one to five significant digits are always accepted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::default() + Duration::from_secs(secs)
    }

    #[test]
    fn summarises_from_two_samples_on() {
        let timer = Timer::new(Duration::from_secs(100));
        assert_eq!(timer.last_ms(), None);
        timer.record(at(1), Duration::from_millis(10));
        assert_eq!(timer.last_ms(), Some(10.0));
        assert_eq!(timer.summary(at(1)), None);
        timer.record(at(1), Duration::from_millis(20));
        let summary = timer.summary(at(1)).unwrap();
        assert_eq!(summary.count, 2);
        assert!((9.9..=10.1).contains(&summary.min), "{summary:?}");
        assert!((19.8..=20.2).contains(&summary.max), "{summary:?}");
        assert!(
            (9.9..=10.1).contains(&summary.percentiles[0]),
            "{summary:?}"
        );
        assert!(
            (19.8..=20.2).contains(&summary.percentiles[5]),
            "{summary:?}"
        );
    }

    #[test]
    fn forgets_what_left_the_window() {
        let timer = Timer::new(Duration::from_secs(100));
        timer.record(at(0), Duration::from_millis(10));
        timer.record(at(60), Duration::from_millis(20));
        assert_eq!(timer.summary(at(60)).unwrap().count, 2);
        timer.record(at(120), Duration::from_millis(30));
        assert_eq!(
            timer.summary(at(120)).unwrap().count,
            2,
            "the first sample is gone"
        );
        assert_eq!(timer.summary(at(500)), None);
        assert_eq!(timer.last_ms(), Some(30.0));
    }
}
