//! Meters: how often something happens, with rates that forget, as Marathon's library reckons them.
//! Reads no clock: whoever counts passes the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tepui_core::time::Mono;

/// Rates move once in this time; Dropwizard, the library that Marathon measures with.
const TICK: Duration = Duration::from_secs(5);

/// Windows of the three rates.
const WINDOWS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
];

/// Counts events. Counting takes a lock only when the rates move.
#[derive(Debug)]
pub struct Meter {
    started: Mono,
    count: AtomicU64,
    /// Events that are in no rate yet.
    uncounted: AtomicU64,
    /// When the rates moved last, in microseconds.
    ticked: AtomicU64,
    rates: Mutex<Option<[f64; WINDOWS.len()]>>,
}

/// What a meter shows; rates are in events per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeterReading {
    /// Events so far.
    pub count: u64,
    /// Over all the time.
    pub mean_rate: f64,
    /// Over 1, 5 and 15 minutes, older events counting less.
    pub rates: [f64; WINDOWS.len()],
}

impl Meter {
    /// A meter that begins at `now`.
    pub fn new(now: Mono) -> Meter {
        Meter {
            started: now,
            count: AtomicU64::new(0),
            uncounted: AtomicU64::new(0),
            ticked: AtomicU64::new(now.0),
            rates: Mutex::new(None),
        }
    }

    /// So many events happened at `now`.
    pub fn mark(&self, now: Mono, events: u64) {
        self.tick(now);
        self.count.fetch_add(events, Ordering::Relaxed);
        self.uncounted.fetch_add(events, Ordering::Relaxed);
    }

    /// Events so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What it shows at `now`.
    pub fn read(&self, now: Mono) -> MeterReading {
        self.tick(now);
        let count = self.count();
        let elapsed = now.since(self.started).as_secs_f64();
        MeterReading {
            count,
            mean_rate: match elapsed > 0.0 {
                true => count as f64 / elapsed,
                false => 0.0,
            },
            rates: self.lock().unwrap_or_default(),
        }
    }

    /// Moves the rates if that is due. Only more than a whole tick counts. Dropwizard.
    fn tick(&self, now: Mono) {
        let is_due = |ticked: u64| now.since(Mono(ticked)) > TICK;
        if !is_due(self.ticked.load(Ordering::Relaxed)) {
            return;
        }
        let mut rates = self.lock();
        // Another one may have been faster.
        let ticked = self.ticked.load(Ordering::Relaxed);
        if !is_due(ticked) {
            return;
        }
        let age = now.since(Mono(ticked)).as_micros();
        let ticks = u64::try_from(age / TICK.as_micros()).unwrap_or(u64::MAX);
        let passed = ticks.saturating_mul(u64::try_from(TICK.as_micros()).unwrap_or(u64::MAX));
        self.ticked
            .store(ticked.saturating_add(passed), Ordering::Relaxed);
        let events = self.uncounted.swap(0, Ordering::Relaxed);
        *rates = Some(moved(*rates, events, ticks));
    }

    fn lock(&self) -> MutexGuard<'_, Option<[f64; WINDOWS.len()]>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rates after so many ticks, in the first of which these events happened.
fn moved(rates: Option<[f64; WINDOWS.len()]>, events: u64, ticks: u64) -> [f64; WINDOWS.len()] {
    let instant = events as f64 / TICK.as_secs_f64();
    let quiet = i32::try_from(ticks.saturating_sub(1)).unwrap_or(i32::MAX);
    let mut moved = rates.unwrap_or([instant; WINDOWS.len()]);
    for (rate, window) in moved.iter_mut().zip(WINDOWS) {
        let kept = (-TICK.as_secs_f64() / window.as_secs_f64()).exp();
        *rate += (1.0 - kept) * (instant - *rate);
        *rate *= kept.powi(quiet);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Mono {
        Mono::default() + Duration::from_secs_f64(seconds)
    }

    fn assert_near(found: [f64; 3], expected: [f64; 3]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn rates_are_those_reckoned_by_hand() {
        let meter = Meter::new(at(0.0));
        assert_eq!(meter.read(at(0.0)), MeterReading::default());
        meter.mark(at(1.0), 10);
        let reading = meter.read(at(5.0));
        assert_eq!((reading.count, reading.mean_rate), (10, 2.0));
        assert_eq!(reading.rates, [0.0; 3], "no more than a tick has passed");
        // 10 events in 5 seconds are 2 a second; the first tick takes that as it is.
        assert_near(meter.read(at(5.1)).rates, [2.0; 3]);
        // A quiet tick leaves exp(-5/60), exp(-5/300) and exp(-5/900) of it.
        let quiet = [1.840_088_829_259, 1.966_942_907_643, 1.988_919_696_010];
        assert_near(meter.read(at(10.1)).rates, quiet);
        // 30 events are 6 a second: from r the rate moves to r + (1 - kept) * (6 - r).
        meter.mark(at(12.0), 30);
        let busy = [2.172_696_962_005, 2.033_603_478_034, 2.011_141_690_559];
        assert_near(meter.read(at(15.1)).rates, busy);
        assert_eq!(meter.read(at(20.0)).mean_rate, 2.0);
    }

    #[test]
    fn a_long_silence_is_as_many_short_ones() {
        let (one, many) = (Meter::new(at(0.0)), Meter::new(at(0.0)));
        for meter in [&one, &many] {
            meter.mark(at(1.0), 100);
        }
        for tick in 1..=100 {
            many.read(at(f64::from(tick) * 5.0 + 0.1));
        }
        assert_near(one.read(at(500.1)).rates, many.read(at(500.1)).rates);
        assert!(one.read(at(500.1)).rates[0] < 0.01);
        assert_eq!(one.read(at(1e9)).rates, [0.0; 3]);
        assert_eq!(one.count(), 100);
    }

    #[test]
    fn events_of_many_threads_are_all_counted() {
        let meter = Meter::new(at(0.0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|i| meter.mark(at(f64::from(i)), 1)));
            }
        });
        assert_eq!(meter.count(), 4000);
    }
}
