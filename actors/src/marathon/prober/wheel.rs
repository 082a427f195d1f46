//! Which probe is due when, and how many may run at once.
//! Reads no clock and probes nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tepui_core::time::Mono;
use tokio::sync::oneshot;

use super::ProbeSpec;

/// A target is probed at most this often, whatever its definition says: Marathon takes an interval
/// of 0, which would keep the prober busy with one target.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Tells one watch of a key from the next one of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Watch(u64);

/// A probe that is to be made now.
#[derive(Debug)]
pub(super) struct Probe<K> {
    pub(super) key: K,
    pub(super) watch: Watch,
    pub(super) spec: Arc<ProbeSpec>,
    /// Ends when the target is no longer watched; nothing is ever sent.
    pub(super) cancelled: oneshot::Receiver<()>,
}

/// What a target's next probe waits for.
#[derive(Debug)]
enum State {
    /// For its time.
    Scheduled,
    /// For another probe to end; it is due since that time.
    Queued(Mono),
    /// For its own end; due since that time. Dropping the sender ends the probe.
    Running {
        due: Mono,
        _cancel: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
struct Target<K> {
    key: K,
    spec: Arc<ProbeSpec>,
    state: State,
}

/// All targets, each once in exactly one of timers, queue and running probes.
#[derive(Debug)]
pub(super) struct Wheel<K> {
    limit: usize,
    next_watch: u64,
    watches: HashMap<K, Watch>,
    targets: HashMap<Watch, Target<K>>,
    /// Entries of targets that are no longer watched are skipped when their time comes.
    timers: BinaryHeap<Reverse<(Mono, Watch)>>,
    queue: VecDeque<Watch>,
    running: usize,
}

impl<K: Clone + Eq + Hash> Wheel<K> {
    /// At most `limit` probes run at once.
    pub(super) fn new(limit: usize) -> Self {
        Wheel {
            limit: limit.max(1),
            next_watch: 0,
            watches: HashMap::new(),
            targets: HashMap::new(),
            timers: BinaryHeap::new(),
            queue: VecDeque::new(),
            running: 0,
        }
    }

    /// Watches a target from now on; one of the same key is replaced.
    pub(super) fn watch(&mut self, now: Mono, key: K, spec: ProbeSpec) {
        self.unwatch(&key);
        let watch = Watch(self.next_watch);
        self.next_watch += 1;
        self.timers.push(Reverse((now + spec.first_after, watch)));
        self.watches.insert(key.clone(), watch);
        let spec = Arc::new(spec);
        let state = State::Scheduled;
        self.targets.insert(watch, Target { key, spec, state });
    }

    /// Forgets a target, and ends its probe if one is running; false when there was none.
    pub(super) fn unwatch(&mut self, key: &K) -> bool {
        let Some(watch) = self.watches.remove(key) else {
            return false;
        };
        let target = self.targets.remove(&watch);
        if matches!(
            target,
            Some(Target {
                state: State::Queued(_),
                ..
            })
        ) {
            self.queue.retain(|queued| *queued != watch);
        }
        self.drop_stale_timers();
        true
    }

    /// Number of targets.
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// When the next probe is due; none when there is nothing to wait for but running probes.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// The probes to be made now; [`Wheel::finished`] must be called for each.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<Probe<K>> {
        while let Some(Reverse((due, watch))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            if let Some(target) = self.targets.get_mut(&watch) {
                target.state = State::Queued(due);
                self.queue.push_back(watch);
            }
        }
        let mut probes = Vec::new();
        while self.running < self.limit
            && let Some(watch) = self.queue.pop_front()
        {
            probes.extend(self.begin(watch));
        }
        probes
    }

    fn begin(&mut self, watch: Watch) -> Option<Probe<K>> {
        let target = self.targets.get_mut(&watch)?;
        let State::Queued(due) = target.state else {
            return None;
        };
        let (cancel, cancelled) = oneshot::channel();
        target.state = State::Running {
            due,
            _cancel: cancel,
        };
        self.running += 1;
        Some(Probe {
            key: target.key.clone(),
            watch,
            spec: target.spec.clone(),
            cancelled,
        })
    }

    /// A probe has ended. The target's next one is due an interval after this one was, or at once
    /// when that is over already.
    pub(super) fn finished(&mut self, now: Mono, watch: Watch) {
        self.running = self.running.saturating_sub(1);
        let Some(target) = self.targets.get_mut(&watch) else {
            return;
        };
        if let State::Running { due, .. } = target.state {
            target.state = State::Scheduled;
            let next = due + target.spec.interval.max(MIN_INTERVAL);
            self.timers.push(Reverse((next.max(now), watch)));
        }
    }

    /// Whether a result still belongs to a watched target.
    pub(super) fn is_watched(&self, watch: Watch) -> bool {
        self.targets.contains_key(&watch)
    }

    /// Keeps targets that come and go faster than their timers from filling the memory.
    fn drop_stale_timers(&mut self) {
        if self.timers.len() > 2 * self.targets.len() + 64 {
            let targets = &self.targets;
            self.timers
                .retain(|Reverse((_, watch))| targets.contains_key(watch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::prober::{HealthProbe, ProbeKind};

    fn spec(interval: u64, first_after: u64) -> ProbeSpec {
        ProbeSpec {
            kind: ProbeKind::Health(HealthProbe::Tcp),
            host: "h".to_owned(),
            port: 1,
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(1),
            first_after: Duration::from_secs(first_after),
        }
    }

    fn at(secs: u64) -> Mono {
        Mono(secs * 1_000_000)
    }

    fn keys(probes: &[Probe<u32>]) -> Vec<u32> {
        probes.iter().map(|probe| probe.key).collect()
    }

    #[test]
    fn probes_are_due_in_order_and_again_after_their_interval() {
        let mut wheel = Wheel::new(10);
        wheel.watch(at(0), 1, spec(10, 5));
        wheel.watch(at(0), 2, spec(3, 0));
        assert_eq!(wheel.next_due(), Some(at(0)));
        let first = wheel.take_due(at(0));
        assert_eq!(keys(&first), [2]);
        assert!(
            wheel.take_due(at(4)).is_empty(),
            "one is not probed twice at once"
        );
        wheel.finished(at(4), first[0].watch);
        assert_eq!(wheel.next_due(), Some(at(4)), "what is late is due at once");
        let both = wheel.take_due(at(6));
        assert_eq!(keys(&both), [2, 1]);
        wheel.finished(at(6), both[1].watch);
        assert_eq!(
            wheel.next_due(),
            Some(at(15)),
            "from when it was due, not from its end"
        );
    }

    #[test]
    fn no_more_run_than_may_and_the_rest_waits_in_order() {
        let mut wheel = Wheel::new(2);
        for key in 0..5 {
            wheel.watch(at(0), key, spec(100, 0));
        }
        let first = wheel.take_due(at(1));
        assert_eq!(keys(&first), [0, 1]);
        assert!(wheel.take_due(at(1)).is_empty());
        wheel.finished(at(2), first[0].watch);
        let next = wheel.take_due(at(2));
        assert_eq!(keys(&next), [2]);
        assert!(wheel.unwatch(&3), "also when it waits for its turn");
        wheel.finished(at(3), next[0].watch);
        assert_eq!(keys(&wheel.take_due(at(3))), [4]);
    }

    #[test]
    fn what_is_not_watched_is_not_probed_and_its_probe_ends() {
        let mut wheel = Wheel::new(1);
        wheel.watch(at(0), 1, spec(1, 0));
        let mut probe = wheel.take_due(at(0)).remove(0);
        assert!(probe.cancelled.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        assert!(wheel.unwatch(&1));
        assert!(!wheel.unwatch(&1));
        assert!(probe.cancelled.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(!wheel.is_watched(probe.watch));
        wheel.watch(at(0), 1, spec(1, 0));
        assert!(
            !wheel.is_watched(probe.watch),
            "another watch of the same key"
        );
        assert!(wheel.take_due(at(0)).is_empty(), "the old probe still runs");
        wheel.finished(at(0), probe.watch);
        assert_eq!(keys(&wheel.take_due(at(0))), [1]);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn targets_that_come_and_go_leave_nothing_behind() {
        let mut wheel = Wheel::new(1);
        for round in 0..10_000 {
            wheel.watch(at(round), 1, spec(3600, 3600));
            wheel.unwatch(&1);
        }
        assert!(wheel.timers.len() <= 64, "{}", wheel.timers.len());
        assert!(wheel.queue.is_empty() && wheel.watches.is_empty());
    }

    #[test]
    fn an_interval_of_zero_is_not_taken_literally() {
        let mut wheel = Wheel::new(1);
        wheel.watch(at(0), 1, spec(0, 0));
        let probe = wheel.take_due(at(0)).remove(0);
        wheel.finished(at(0), probe.watch);
        assert_eq!(wheel.next_due(), Some(at(0) + MIN_INTERVAL));
    }
}
