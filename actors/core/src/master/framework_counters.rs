//! Counts of one framework: its calls, events, offers, operations and the ends of its tasks.
//! Decides nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that only grow, one for each value of an enum of the API. Readers see them grow.
#[derive(Debug)]
pub struct Tally<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Tally(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Tally<N> {
    /// One more of the value with this number; one that a newer peer made up is not counted.
    pub fn count(&self, number: i32) {
        self.add(number, 1);
    }

    /// So many more of the value with this number.
    pub fn add(&self, number: i32, more: u64) {
        if let Some(count) = self.place(number) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How many there were of the value with this number.
    pub fn of(&self, number: i32) -> u64 {
        self.place(number)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How many there were of all.
    pub fn sum(&self) -> u64 {
        let counts = self.0.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn place(&self, number: i32) -> Option<&AtomicU64> {
        usize::try_from(number).ok().and_then(|at| self.0.get(at))
    }
}

/// What happens to offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferEvent {
    /// It was sent.
    Sent,
    /// It was accepted.
    Accepted,
    /// It was declined.
    Declined,
    /// It was taken back.
    Rescinded,
}

/// Counts of one framework since it became known to this master; Mesos's `FrameworkMetrics`.
#[derive(Debug, Default)]
pub struct FrameworkCounters {
    /// Calls that were taken, by `scheduler::call::Type`.
    pub calls: Tally<18>,
    /// Events sent, by `scheduler::event::Type`.
    pub events: Tally<12>,
    /// Operations carried out, by `offer::operation::Type`.
    pub operations: Tally<16>,
    /// Tasks that ended, by `TaskState`.
    pub ended: Tally<16>,
    /// What happened to offers, by [`OfferEvent`].
    pub offers: Tally<4>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_one_by_one_and_together() {
        let tally = Tally::<4>::default();
        tally.count(0);
        tally.add(3, 5);
        tally.count(4);
        tally.count(-1);
        assert_eq!(
            (0..5).map(|at| tally.of(at)).collect::<Vec<_>>(),
            [1, 0, 0, 5, 0]
        );
        assert_eq!(tally.sum(), 6);
    }
}
