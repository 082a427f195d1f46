//! The one place of the load test that reads the time.
//! Measures nothing itself.

use std::time::{Duration, Instant};

/// Time since the load test started.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the time"
)]
impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// Time since the start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// The runtime's point in time that is `at` after the start.
    pub fn instant(self, at: Duration) -> tokio::time::Instant {
        (self.0 + at).into()
    }
}
