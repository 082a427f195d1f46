//! Points in time as the cores receive them.
//! Reads no clock: whoever calls a core passes [`Now`].

use std::ops::Add;
use std::time::Duration;

/// Monotonic time: microseconds since an arbitrary start; for deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, delay: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// Wall-clock time: microseconds since the Unix epoch; for what users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub u64);

impl Wall {
    /// Seconds since the Unix epoch, the form Mesos writes timestamps in.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Nanoseconds since the Unix epoch, the unit of `TimeInfo`.
    pub fn as_nanos(self) -> i64 {
        i64::try_from(self.0.saturating_mul(1000)).unwrap_or(i64::MAX)
    }
}

/// The time at which a decision is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For what users see.
    pub wall: Wall,
}
