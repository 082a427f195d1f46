//! The limit on launches per time.
//! Launches nothing.

use std::time::Duration;

use crate::time::Mono;

/// So many launches may begin until the next refill; each instance that comes to serve gives one back.
#[derive(Debug, Clone)]
pub struct LaunchTokens {
    most: u32,
    left: u32,
    interval: Duration,
    refill_at: Mono,
}

impl LaunchTokens {
    /// `most` tokens per `interval`, all there at the beginning.
    pub fn new(most: u32, interval: Duration, now: Mono) -> LaunchTokens {
        LaunchTokens {
            most,
            left: most,
            interval,
            refill_at: now + interval,
        }
    }

    /// Refills if the time has come.
    pub fn refresh(&mut self, now: Mono) {
        if now >= self.refill_at {
            self.left = self.most;
            self.refill_at = now + self.interval;
        }
    }

    /// How many are left after a refill that is due at `now`.
    pub fn left_at(&self, now: Mono) -> u32 {
        match now >= self.refill_at {
            true => self.most,
            false => self.left,
        }
    }

    /// How many are left.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// When they are all there again.
    pub fn refill_at(&self) -> Mono {
        self.refill_at
    }

    /// Takes one; false when there is none.
    pub fn take(&mut self) -> bool {
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    /// Gives one back.
    pub fn give_back(&mut self) {
        self.left = (self.left + 1).min(self.most);
    }
}
