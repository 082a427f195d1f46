//! Who subscribes to the operator API's events, and the way events take to them.
//! Decides nothing about the cluster; the master's core says what there is to tell.
//!
//! The master's actor hands events on in one step, however many subscribe: a task of its own, the
//! fan-out, puts them into a ring that all streams read. A stream that falls behind is ended, and
//! nobody else notices.

mod fan_out;
mod stream;
#[cfg(test)]
mod tests;

pub use fan_out::{Announcement, Opened, fan_out};
pub use stream::{EventBody, HEARTBEAT_INTERVAL, SUBSCRIBER_LIMITS, TooSlow, open};

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tepui_core::master::model::Snapshot;
use tepui_core::master::operator::OperatorEvent;
use tokio::sync::{mpsc, oneshot};

use super::{MasterMailbox, ToMaster};
use fan_out::Order;

/// Batches of events that may wait for the fan-out, which is far faster than the master.
pub const MAX_WAITING_ORDERS: usize = 65_536;

/// One who subscribes, from before the master knows until the stream has ended; then the master is
/// told, whatever the reason.
pub struct Seat {
    id: u64,
    /// Where it connected from, for people.
    peer: String,
    master: MasterMailbox,
}

impl Seat {
    /// A seat with a number that no other has.
    pub fn new(id: u64, peer: String, master: MasterMailbox) -> Self {
        Seat { id, peer, master }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.master.send(ToMaster::Unsubscribe(self.id));
    }
}

/// What the master's actor knows of those who subscribe.
pub struct Subscribers {
    orders: mpsc::Sender<Order>,
    limit: usize,
    /// Oldest first; a stream ends when its sender is dropped.
    open: VecDeque<(u64, oneshot::Sender<()>)>,
    count: Arc<AtomicUsize>,
}

impl Subscribers {
    /// Nobody yet, and at most `limit` at a time; `count` follows how many there are.
    ///
    /// The fan-out must be run on the other end of the queue that is returned.
    pub fn new(limit: usize, count: Arc<AtomicUsize>) -> (Subscribers, mpsc::Receiver<Order>) {
        let (orders, waiting) = mpsc::channel(MAX_WAITING_ORDERS);
        let subscribers = Subscribers {
            orders,
            limit,
            open: VecDeque::new(),
            count,
        };
        (subscribers, waiting)
    }

    /// Whether there is anybody to tell.
    pub fn is_watched(&self) -> bool {
        !self.open.is_empty()
    }

    /// One more: it gets the state, and all events from now on. The oldest makes room if need be.
    ///
    /// Mesos: `Master::subscribe`.
    pub fn add(&mut self, seat: Seat, snapshot: Arc<Snapshot>, reply: oneshot::Sender<Opened>) {
        let (close, closed) = oneshot::channel();
        tracing::info!(
            subscriber = seat.id,
            peer = seat.peer,
            "subscribed to events"
        );
        self.open.push_back((seat.id, close));
        while self.open.len() > self.limit {
            if let Some((oldest, _)) = self.open.pop_front() {
                tracing::info!(
                    subscriber = oldest,
                    limit = self.limit,
                    "too many subscribe to events; the oldest stream is closed"
                );
            }
        }
        self.changed();
        let opened = Order::Open {
            seat,
            snapshot,
            closed,
            reply,
        };
        self.order(opened);
    }

    /// One less.
    pub fn remove(&mut self, id: u64) {
        self.open.retain(|(open, _)| *open != id);
        self.changed();
    }

    /// Tells all.
    pub fn tell(&mut self, events: Vec<OperatorEvent>) {
        if !events.is_empty() {
            self.order(Order::Tell(events));
        }
    }

    /// Ends all streams.
    pub fn close_all(&mut self) {
        self.open.clear();
        self.changed();
    }

    fn order(&mut self, order: Order) {
        if self.orders.try_send(order).is_err() {
            // Whoever missed an event must not go on as if there had been none.
            tracing::warn!(
                subscribers = self.open.len(),
                "events are not passed on as fast as they arise; all streams are closed"
            );
            self.close_all();
        }
    }

    fn changed(&self) {
        self.count.store(self.open.len(), Ordering::Relaxed);
    }
}
