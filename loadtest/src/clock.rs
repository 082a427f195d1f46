//! The one place of the load test that reads the time.
//! Measures nothing itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tepui_core::time::{Mono, Now, Wall};

/// Time since the load test started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    wall: Duration,
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the time"
)]
impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock {
            start: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Time since the start.
    pub fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// Time since the Unix epoch.
    pub fn wall(self) -> Duration {
        self.wall + self.now()
    }

    /// The time in the form the cores take it.
    pub fn core_now(self) -> Now {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let elapsed = self.now();
        Now {
            mono: Mono(micros(elapsed)),
            wall: Wall(micros(self.wall + elapsed)),
        }
    }

    /// The runtime's point in time that is `at` after the start.
    pub fn instant(self, at: Duration) -> tokio::time::Instant {
        (self.start + at).into()
    }

    /// The runtime's point in time for a core's deadline.
    pub fn instant_of(self, at: Mono) -> tokio::time::Instant {
        self.instant(Duration::from_micros(at.0))
    }
}
