//! All the chance of a simulated run, drawn from its seed.
//! Knows nothing of what is drawn for.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws from one seed.
pub(super) struct Random(StdRng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(StdRng::seed_from_u64(seed))
    }

    /// A number below `limit`; zero when that is zero.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times out of a thousand.
    pub(super) fn per_mille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// An index into a list of this length, if it has any.
    pub(super) fn index(&mut self, length: usize) -> Option<usize> {
        let drawn = self.below(length as u64);
        (length > 0).then(|| usize::try_from(drawn).unwrap_or_default())
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        self.index(from.len()).and_then(|at| from.get(at))
    }

    /// A tie-break.
    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A seed for a core.
    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }
}
