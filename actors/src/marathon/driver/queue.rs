//! The calls on their way to the master, and what has become of those before.
//! Sends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use v1::scheduler::call::Type;

use tepui_protocol::v1;

/// What has become of calls and subscriptions since the driver's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Subscriptions.
    pub subscriptions: u64,
    /// Calls that the master took.
    pub accepted: u64,
    /// Calls that it refused.
    pub refused: u64,
    /// Calls that were not sent, because their subscription was over.
    pub dropped: u64,
    /// Calls that were sent, perhaps in part, and got no answer: whether the master heard them is
    /// not known.
    pub unconfirmed: u64,
    /// How often calls were sent once more.
    pub repeated: u64,
}

/// Counts while the driver runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) subscriptions: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    unconfirmed: AtomicU64,
    repeated: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            subscriptions: read(&self.subscriptions),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            dropped: read(&self.dropped),
            unconfirmed: read(&self.unconfirmed),
            repeated: read(&self.repeated),
        }
    }

    /// A call came when there was no subscription for it.
    pub(super) fn note_dropped(&self) {
        add_one(&self.dropped);
    }
}

pub(super) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing is known of it.
    Open,
    Accepted,
    Refused,
    Unconfirmed,
}

/// A call that waits to be sent or answered. One that is let go before its fate is known was sent
/// to nobody, or its subscription has ended.
#[derive(Debug)]
pub(super) struct QueuedCall {
    pub(super) kind: Type,
    pub(super) body: Bytes,
    /// How often it was sent without being answered, or answered that the master is busy.
    pub(super) tries: u32,
    /// Bytes of it were sent and no answer has come since.
    pub(super) begun: bool,
    fate: Fate,
    tally: Arc<Tally>,
    /// Its place among the calls that may be on their way at once.
    _place: OwnedSemaphorePermit,
}

impl QueuedCall {
    pub(super) fn new(
        kind: Type,
        body: Bytes,
        tally: Arc<Tally>,
        place: OwnedSemaphorePermit,
    ) -> QueuedCall {
        QueuedCall {
            kind,
            body,
            tries: 0,
            begun: false,
            fate: Fate::Open,
            tally,
            _place: place,
        }
    }

    /// The end of it.
    pub(super) fn settle(mut self, fate: Fate) {
        self.fate = fate;
    }

    /// It will be sent once more.
    pub(super) fn note_repeated(&mut self) {
        self.begun = false;
        add_one(&self.tally.repeated);
    }

    /// Whether the master may get it twice: what it asks for is then done already, or is said
    /// again. A launch would be refused the second time, and a message be handed over twice.
    pub(super) fn is_repeatable(&self) -> bool {
        match self.kind {
            Type::Teardown
            | Type::Decline
            | Type::Revive
            | Type::Kill
            | Type::Shutdown
            | Type::Acknowledge
            | Type::Reconcile
            | Type::Suppress
            | Type::AcceptInverseOffers
            | Type::DeclineInverseOffers
            | Type::AcknowledgeOperationStatus
            | Type::ReconcileOperations
            | Type::UpdateFramework => true,
            Type::Unknown | Type::Subscribe | Type::Accept | Type::Message | Type::Request => false,
        }
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        let counter = match self.fate {
            Fate::Open if self.begun => &self.tally.unconfirmed,
            Fate::Open => &self.tally.dropped,
            Fate::Accepted => &self.tally.accepted,
            Fate::Refused => &self.tally.refused,
            Fate::Unconfirmed => &self.tally.unconfirmed,
        };
        add_one(counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    #[test]
    fn every_call_is_counted_once_and_gives_its_place_back() {
        let (tally, places) = (Arc::new(Tally::default()), Arc::new(Semaphore::new(1)));
        let call = || {
            let place = places.clone().try_acquire_owned().unwrap();
            QueuedCall::new(Type::Kill, Bytes::new(), tally.clone(), place)
        };
        call().settle(Fate::Accepted);
        call().settle(Fate::Refused);
        call().settle(Fate::Unconfirmed);
        drop(call());
        let mut begun = call();
        begun.begun = true;
        drop(begun);
        let mut repeated = call();
        repeated.begun = true;
        repeated.note_repeated();
        drop(repeated);
        let counts = Counts {
            subscriptions: 0,
            accepted: 1,
            refused: 1,
            dropped: 2,
            unconfirmed: 2,
            repeated: 1,
        };
        assert_eq!(tally.counts(), counts);
    }
}
