//! The executor's one clock.
//! Decides nothing: the state machine is told the time with every input.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time at which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Time since the executor started; for deadlines.
    pub mono: Duration,
    /// Time since the Unix epoch; for what users see.
    pub wall: Duration,
}

/// Reads the time of the machine.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
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
        }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        Now {
            mono: self.start.elapsed(),
            wall: Clock::wall(),
        }
    }

    /// Time since the Unix epoch.
    pub fn wall() -> Duration {
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
