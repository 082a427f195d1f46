//! Deadlines by key, so that the skin needs one timer only.
//! Reads no clock and wakes nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Mono;

/// At most one deadline per key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    by_key: BTreeMap<K, Mono>,
    by_time: BTreeSet<(Mono, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(super) fn new() -> Self {
        Timers {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Sets or moves the deadline of `key`.
    pub(super) fn set(&mut self, key: K, at: Mono) {
        if let Some(before) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`, if it has one.
    pub(super) fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Whether `key` has a deadline.
    pub(super) fn has(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// How many deadlines there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Mono> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one deadline that has come.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_can_be_moved_and_cancelled() {
        let mut timers = Timers::new();
        timers.set("a", Mono(10));
        timers.set("b", Mono(5));
        timers.set("c", Mono(7));
        timers.set("a", Mono(6));
        timers.cancel(&"c");
        assert_eq!(timers.next(), Some(Mono(5)));
        assert_eq!(timers.pop_due(Mono(4)), None);
        assert_eq!(timers.pop_due(Mono(20)), Some("b"));
        assert_eq!(timers.pop_due(Mono(20)), Some("a"));
        assert_eq!(timers.pop_due(Mono(20)), None);
        assert_eq!(timers.next(), None);
    }
}
