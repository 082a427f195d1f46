//! Durations in a histogram, which timers of all kinds are made of.
//! Reads no clock and forgets nothing by itself.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Durations are told apart from here on: no clock here is finer.
const LOWEST_NANOS: u64 = 1000;

/// Significant decimal digits that a histogram may have at most.
const MOST_DIGITS: u8 = 5;

/// Durations, of which no single one is kept; results are in seconds, and 0 while there are none.
#[derive(Debug, Clone)]
pub struct Durations(Histogram<u32>);

impl Durations {
    /// A histogram of so many significant decimal digits, at most five. It grows with the
    /// durations it gets, so that those never used stay small.
    pub fn new(digits: u8) -> Durations {
        let digits = digits.min(MOST_DIGITS);
        let made = Histogram::new_with_bounds(LOWEST_NANOS, 2 * LOWEST_NANOS, digits);
        let mut durations = made
            .unwrap_or_else(|_| unreachable!("these bounds and up to five digits are accepted"));
        durations.auto(true);
        Durations(durations)
    }

    /// Adds a duration, so many times.
    pub fn record(&mut self, duration: Duration, times: u32) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Fails only for a histogram of fixed size, and this one grows.
        let _ = self.0.record_n(nanos, times);
    }

    /// Adds those of another histogram.
    pub fn add(&mut self, other: &Durations) {
        // Fails only for a histogram of fixed size, and this one grows.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The shortest.
    pub fn min(&self) -> f64 {
        self.seconds(self.0.min() as f64)
    }

    /// The longest.
    pub fn max(&self) -> f64 {
        self.seconds(self.0.max() as f64)
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.seconds(self.0.mean())
    }

    /// The standard deviation.
    pub fn stddev(&self) -> f64 {
        self.seconds(self.0.stdev())
    }

    /// The one below which this share of them is, from 0 to 1.
    pub fn quantile(&self, share: f64) -> f64 {
        let nanos = self.0.value_at_quantile(share).min(self.0.max());
        self.seconds(nanos as f64)
    }

    /// An empty histogram would give the ends of its finest step.
    fn seconds(&self, nanos: f64) -> f64 {
        match self.0.is_empty() {
            true => 0.0,
            false => nanos * 1e-9,
        }
    }
}
