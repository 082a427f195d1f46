//! How many tasks exist on all agents of a fleet, and the most and fewest there were.
//! Knows no single task.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number of tasks, and its bounds since a moment.
#[derive(Debug, Default)]
pub struct TaskCount {
    now: AtomicU64,
    most: AtomicU64,
    fewest: AtomicU64,
}

impl TaskCount {
    /// Tasks that exist now: those that an executor was given and that it has not told the end of.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Most tasks at any time since [`Self::mark`].
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }

    /// Fewest tasks at any time since [`Self::mark`].
    pub fn fewest(&self) -> u64 {
        self.fewest.load(Ordering::SeqCst)
    }

    /// From now on, most and fewest are told anew.
    pub fn mark(&self) {
        let now = self.now();
        self.most.store(now, Ordering::SeqCst);
        self.fewest.store(now, Ordering::SeqCst);
    }

    /// A task was started.
    pub fn started(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    /// So many tasks that were started have ended.
    pub fn ended(&self, tasks: u64) {
        let now = self.now.fetch_sub(tasks, Ordering::SeqCst) - tasks;
        self.fewest.fetch_min(now, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_lows_are_kept_until_the_next_mark() {
        let count = TaskCount::default();
        for _ in 0..5 {
            count.started();
        }
        count.ended(3);
        count.started();
        assert_eq!((count.now(), count.most(), count.fewest()), (3, 5, 0));
        count.mark();
        assert_eq!((count.most(), count.fewest()), (3, 3));
        count.ended(1);
        count.started();
        assert_eq!((count.most(), count.fewest()), (3, 2));
    }
}
