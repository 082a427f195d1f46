//! How long to wait before another attempt: ever longer, and never all at once.
//! Waits for nothing itself.

use std::time::Duration;

use tepui_core::ids::IdSource;

/// Doubles from a shortest to a longest wait; each is drawn from the upper half of its length, so
/// that many who lost the same master do not come back at the same moment.
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: IdSource,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration, random: IdSource) -> Backoff {
        let max = max.max(min);
        Backoff {
            min,
            max,
            next: min,
            random,
        }
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.max);
        let half = whole / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        let jitter = self.random.next_u64() % micros.saturating_add(1).max(1);
        half + Duration::from_micros(jitter)
    }

    /// The next wait is the shortest again.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_differ_by_seed_only() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let waits = |seed: u8| {
            let mut backoff = Backoff::new(min, max, IdSource::from_seed([seed; 32]));
            let waits: Vec<Duration> = (0..8).map(|_| backoff.next()).collect();
            backoff.reset();
            (waits, backoff.next())
        };
        let (first, after_reset) = waits(1);
        for (index, wait) in first.iter().enumerate() {
            let whole = (min * 2u32.pow(index as u32)).min(max);
            assert!(*wait >= whole / 2 && *wait <= whole, "{index}: {wait:?}");
        }
        assert!(after_reset <= min);
        assert_eq!(first, waits(1).0);
        assert_ne!(first, waits(2).0);
    }

    #[test]
    fn no_wait_at_all_is_a_wait_too() {
        let zero = Duration::ZERO;
        let mut backoff = Backoff::new(zero, zero, IdSource::from_seed([0; 32]));
        assert_eq!(backoff.next(), zero);
    }
}
