//! Counts containers by the outermost one around them: how many run, and which have ended, the
//! oldest first. Knows no more of them than their ids.
//!
//! With it, a launch costs the same however many containers there are.

use std::collections::BTreeMap;

use crate::ids::ContainerId;

/// Those with the same outermost container; those that stand alone have none.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Option<ContainerId>, Count>);

#[derive(Debug, Default)]
struct Count {
    running: usize,
    /// By the order in which they have ended.
    ended: BTreeMap<u64, ContainerId>,
}

fn key(id: &ContainerId) -> Option<ContainerId> {
    (id.depth() > 0).then(|| id.root())
}

impl Counts {
    /// How many run beside this one, or would.
    pub(super) fn running(&self, id: &ContainerId) -> usize {
        self.0.get(&key(id)).map_or(0, |count| count.running)
    }

    /// One is launched.
    pub(super) fn begins(&mut self, id: &ContainerId) {
        self.0.entry(key(id)).or_default().running += 1;
    }

    /// One that ran has ended; `order` is that of no other one.
    pub(super) fn ends(&mut self, id: &ContainerId, order: u64) {
        let count = self.0.entry(key(id)).or_default();
        count.running = count.running.saturating_sub(1);
        count.ended.insert(order, id.clone());
    }

    /// One is forgotten, which has ended in this order if it has.
    pub(super) fn is_gone(&mut self, id: &ContainerId, order: Option<u64>) {
        let key = key(id);
        let Some(count) = self.0.get_mut(&key) else {
            return;
        };
        match order {
            Some(order) => drop(count.ended.remove(&order)),
            None => count.running = count.running.saturating_sub(1),
        }
        if count.running == 0 && count.ended.is_empty() {
            self.0.remove(&key);
        }
    }

    /// The one beside this that has ended first, if more than `most` have ended.
    pub(super) fn oldest(&self, id: &ContainerId, most: usize) -> Option<ContainerId> {
        let ended = &self.0.get(&key(id))?.ended;
        let (_, oldest) = ended.first_key_value().filter(|_| ended.len() > most)?;
        Some(oldest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outermost_container_has_its_own_count() {
        let mut counts = Counts::default();
        let ids = ["r.a", "r.a.b", "q.a", "alone", "other"].map(ContainerId::from);
        ids.iter().for_each(|id| counts.begins(id));
        let running = |counts: &Counts| ids.each_ref().map(|id| counts.running(id));
        assert_eq!(running(&counts), [2, 2, 1, 2, 2]);
        counts.ends(&ids[1], 7);
        counts.ends(&ids[0], 8);
        assert_eq!(running(&counts), [0, 0, 1, 2, 2]);
        assert_eq!(counts.oldest(&ids[0], 2), None);
        assert_eq!(counts.oldest(&ids[0], 1), Some(ids[1].clone()));
        assert_eq!(counts.oldest(&ids[2], 0), None);
        counts.is_gone(&ids[1], Some(7));
        assert_eq!(counts.oldest(&ids[0], 0), Some(ids[0].clone()));
        counts.is_gone(&ids[0], Some(8));
        counts.is_gone(&ids[2], None);
        assert_eq!(counts.0.len(), 1, "nothing is kept of what is gone");
    }
}
