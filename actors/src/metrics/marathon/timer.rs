//! Timers: how long something takes, as a histogram that is emptied now and then, and a meter.
//! Reads no clock: whoever measured passes the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tepui_core::time::Mono;

use super::meter::{Meter, MeterReading};
use crate::marathon::config::MetricsSettings;
use crate::metrics::durations::Durations;

/// What is shown of the durations, each with the ends of its name in JSON and for Prometheus.
pub const QUANTILES: [(&str, &str, f64); 6] = [
    ("p50", "0.5", 0.5),
    ("p75", "0.75", 0.75),
    ("p95", "0.95", 0.95),
    ("p98", "0.98", 0.98),
    ("p99", "0.99", 0.99),
    ("p999", "0.999", 0.999),
];

/// Collects durations.
#[derive(Debug)]
pub struct Timer {
    meter: Meter,
    /// Time after which the histogram is emptied; none means never.
    interval: Option<Duration>,
    /// Longest duration that is told apart.
    highest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    emptied: Mono,
    durations: Durations,
}

/// What a timer shows; durations are in seconds, and 0 while there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct TimerReading {
    /// How often it happened, and how frequently.
    pub meter: MeterReading,
    /// Shortest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Longest.
    pub max: f64,
    /// Standard deviation.
    pub stddev: f64,
    /// In the order of [`QUANTILES`].
    pub quantiles: [f64; QUANTILES.len()],
}

impl Timer {
    /// A timer that begins at `now`.
    pub fn new(settings: &MetricsSettings, now: Mono) -> Timer {
        let highest = settings.metrics_histogram_reservoir_highest_trackable_value;
        let digits = settings.metrics_histogram_reservoir_significant_digits;
        Timer {
            meter: Meter::new(now),
            interval: settings.metrics_histogram_reservoir_resetting_interval,
            highest: Duration::from_nanos(highest.max(1)),
            state: Mutex::new(State {
                emptied: now,
                durations: Durations::new(digits),
            }),
        }
    }

    /// It took so long, and ended at `now`.
    pub fn record(&self, now: Mono, duration: Duration) {
        self.record_many(now, duration, 1);
    }

    /// The same, several times.
    pub fn record_many(&self, now: Mono, duration: Duration, times: u32) {
        self.meter.mark(now, times.into());
        let mut state = self.lock();
        state.empty_if_due(now, self.interval);
        state.durations.record(duration.min(self.highest), times);
    }

    /// Rates over 1, 5 and 15 minutes.
    pub fn rates(&self, now: Mono) -> [f64; 3] {
        self.meter.read(now).rates
    }

    /// What it shows at `now`.
    pub fn read(&self, now: Mono) -> TimerReading {
        let meter = self.meter.read(now);
        let mut state = self.lock();
        state.empty_if_due(now, self.interval);
        let durations = &state.durations;
        TimerReading {
            meter,
            min: durations.min(),
            mean: durations.mean(),
            max: durations.max(),
            stddev: durations.stddev(),
            quantiles: QUANTILES.map(|(_, _, share)| durations.quantile(share)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn empty_if_due(&mut self, now: Mono, interval: Option<Duration>) {
        let is_due = interval.is_some_and(|interval| now.since(self.emptied) >= interval);
        if is_due {
            self.durations.reset();
            self.emptied = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected * 0.002
    }

    #[test]
    fn durations_are_summarised_in_seconds() {
        let timer = Timer::new(&MetricsSettings::default(), at(0));
        let empty = timer.read(at(0));
        assert_eq!((empty.min, empty.mean, empty.max), (0.0, 0.0, 0.0));
        assert_eq!((empty.stddev, empty.quantiles), (0.0, [0.0; 6]));
        for millis in 1..=100 {
            timer.record(at(1), Duration::from_millis(millis));
        }
        let reading = timer.read(at(2));
        assert_eq!((reading.meter.count, reading.meter.mean_rate), (100, 50.0));
        assert!(near(reading.min, 0.001), "{reading:?}");
        assert!(near(reading.mean, 0.0505), "{reading:?}");
        assert!(near(reading.max, 0.1), "{reading:?}");
        assert!(near(reading.stddev, 0.028_866), "{reading:?}");
        let expected = [0.05, 0.075, 0.095, 0.098, 0.099, 0.1];
        for (found, expected) in reading.quantiles.iter().zip(expected) {
            assert!(near(*found, expected), "{reading:?}");
        }
    }

    #[test]
    fn the_histogram_is_emptied_as_the_flags_say_and_the_count_stays() {
        let forgets = Timer::new(&MetricsSettings::default(), at(0));
        let settings = MetricsSettings {
            metrics_histogram_reservoir_resetting_interval: None,
            ..MetricsSettings::default()
        };
        let keeps = Timer::new(&settings, at(0));
        for timer in [&forgets, &keeps] {
            timer.record(at(1), Duration::from_secs(1));
            assert!(near(timer.read(at(4)).max, 1.0));
        }
        assert_eq!(forgets.read(at(5)).max, 0.0);
        assert!(near(keeps.read(at(5)).max, 1.0));
        forgets.record(at(6), Duration::from_secs(2));
        assert!(near(forgets.read(at(9)).max, 2.0));
        assert_eq!(forgets.read(at(9)).meter.count, 2);
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let settings = MetricsSettings {
            metrics_histogram_reservoir_highest_trackable_value: 1_000_000_000,
            metrics_histogram_reservoir_significant_digits: 0,
            ..MetricsSettings::default()
        };
        let timer = Timer::new(&settings, at(0));
        timer.record_many(at(1), Duration::from_secs(7200), 3);
        let reading = timer.read(at(1));
        assert_eq!(reading.meter.count, 3);
        assert!((0.5..2.1).contains(&reading.max), "{reading:?}");
    }
}
