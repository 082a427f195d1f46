//! The master's deadlines in one queue, so that its skin needs one timer.
//! Does not know what is to happen when one passes.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{AgentId, FrameworkId, OfferId};
use crate::time::Mono;

/// What happens at a deadline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// An offer expires.
    Offer(OfferId),
    /// An inverse offer expires.
    InverseOffer(OfferId),
    /// A disconnected agent has not come back.
    Agent(AgentId),
    /// A disconnected framework has not come back.
    Framework(FrameworkId),
    /// The agents found in the registry at start should be back.
    RecoveredAgents,
    /// The next agent may be marked unreachable.
    Removal,
    /// Nobody of those that are held has come back lately.
    Held,
    /// The registry may hold agents that have been away for too long.
    RegistryGc,
}

/// At most one time per deadline; every operation takes logarithmic time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Mono, Deadline)>,
    times: BTreeMap<Deadline, Mono>,
}

impl Deadlines {
    /// Sets a deadline, or moves it.
    pub(super) fn set(&mut self, deadline: Deadline, at: Mono) {
        if let Some(old) = self.times.insert(deadline.clone(), at) {
            self.queue.remove(&(old, deadline.clone()));
        }
        self.queue.insert((at, deadline));
    }

    /// Forgets a deadline, if it is set.
    pub(super) fn clear(&mut self, deadline: &Deadline) {
        if let Some(at) = self.times.remove(deadline) {
            self.queue.remove(&(at, deadline.clone()));
        }
    }

    /// The time of the earliest deadline.
    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Whether this deadline is set.
    pub(super) fn contains(&self, deadline: &Deadline) -> bool {
        self.times.contains_key(deadline)
    }

    /// Takes the earliest deadline that is not later than `now`.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        let (_, deadline) = self.queue.pop_first()?;
        self.times.remove(&deadline);
        Some(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_deadline_fires_once_and_a_cleared_one_never() {
        let mut deadlines = Deadlines::default();
        let offer = Deadline::Offer(OfferId::from("o"));
        deadlines.set(offer.clone(), Mono(10));
        deadlines.set(offer.clone(), Mono(30));
        deadlines.set(Deadline::RecoveredAgents, Mono(20));
        assert_eq!(deadlines.next(), Some(Mono(20)));
        deadlines.clear(&Deadline::RecoveredAgents);
        assert!(!deadlines.contains(&Deadline::RecoveredAgents));
        assert_eq!(deadlines.pop_due(Mono(29)), None);
        assert_eq!(deadlines.pop_due(Mono(30)), Some(offer));
        assert_eq!(deadlines.next(), None);
    }
}
