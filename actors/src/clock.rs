//! The one clock: tokio's monotonic time with a wall-clock anchor.
//! Nothing else reads a clock, so `tokio::time::pause()` moves everything.

use std::time::{Duration, SystemTime};

use tepui_core::time::{Mono, Now, Wall};
use tokio::time::Instant;

/// Gives the time to skins, which hand it to their cores.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    wall: u64,
}

impl Clock {
    /// A clock anchored at the present.
    #[allow(
        clippy::disallowed_methods,
        reason = "the only place that reads the clocks"
    )]
    pub fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            });
        Clock {
            start: Instant::now(),
            wall,
        }
    }

    /// The present.
    #[allow(
        clippy::disallowed_methods,
        reason = "the only place that reads the clocks"
    )]
    pub fn now(&self) -> Now {
        let elapsed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now {
            mono: Mono(elapsed),
            wall: Wall(self.wall.saturating_add(elapsed)),
        }
    }

    /// The tokio instant of a deadline, for arming a timer.
    pub fn instant(&self, deadline: Mono) -> Instant {
        self.start + Duration::from_micros(deadline.0)
    }
}
