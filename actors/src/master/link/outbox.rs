//! What waits to be sent on an agent link: bounded, and small while nothing does.
//! Neither encodes nor sends.
//!
//! There is one for each agent of the cluster. A channel of tokio takes a kilobyte even when it is
//! empty, which this does not.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use tepui_protocol::link::{MAX_FRAME_BYTES, MasterToAgent};

use crate::master::load::{Limits, Load};

/// What may wait for one agent.
pub(super) const LINK_LIMITS: Limits = Limits {
    messages: 100_000,
    bytes: 2 * MAX_FRAME_BYTES,
};

/// What is to be done with the link.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this.
    Send(Box<MasterToAgent>),
    /// Ask the agent whether it is there.
    Ping,
    /// Answer the agent's WebSocket, which asked whether this one is there.
    Answer(Vec<u8>),
    /// End the link once what was ordered before is sent.
    Close,
}

/// Orders in the order in which they were given; one task carries them out.
pub(super) struct Outbox {
    /// None once the link has ended.
    orders: Mutex<Option<VecDeque<Order>>>,
    /// The task of the link.
    task: AtomicWaker,
    pub(super) load: Load,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            orders: Mutex::new(Some(VecDeque::new())),
            task: AtomicWaker::new(),
            load: Load::new(LINK_LIMITS),
        }
    }
}

impl Outbox {
    /// Sends a message. Beyond the limit it is dropped and the link ends: the agent registers
    /// anew, and is told what it missed.
    pub(super) fn send(&self, message: Box<MasterToAgent>) {
        match self.load.add_message() {
            true => self.order(Order::Send(message)),
            false => self.task.wake(),
        }
    }

    /// Answers a ping of the agent's WebSocket. Too many of them end the link, as messages do.
    pub(super) fn answer(&self, ping: Vec<u8>) {
        match self.load.add_message() {
            true => self.order(Order::Answer(ping)),
            false => self.task.wake(),
        }
    }

    /// Gives an order. When the link has ended nothing is done; the master is told of that anyway.
    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &mut *self.orders() {
            orders.push_back(order);
        }
        self.task.wake();
    }

    /// All orders that wait, at least one. To be awaited by the task of the link only.
    pub(super) async fn next(&self) -> VecDeque<Order> {
        poll_fn(|cx| {
            self.task.register(cx.waker());
            match self.orders().as_mut().map(std::mem::take) {
                Some(orders) if !orders.is_empty() => Poll::Ready(orders),
                Some(_) | None => Poll::Pending,
            }
        })
        .await
    }

    /// Waits until more waits than may. To be awaited by the task of the link only.
    pub(super) async fn overflow(&self) {
        poll_fn(|cx| {
            self.task.register(cx.waker());
            match self.load.is_overflown() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Takes no more orders, and drops those that wait.
    pub(super) fn end(&self) {
        *self.orders() = None;
    }

    fn orders(&self) -> MutexGuard<'_, Option<VecDeque<Order>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    fn message() -> Box<MasterToAgent> {
        Box::new(MasterToAgent::Ping { connected: true })
    }

    #[actix::test]
    async fn orders_come_in_their_order_and_wake_whoever_waits() {
        let outbox = Arc::new(Outbox::default());
        assert!(outbox.next().now_or_never().is_none());
        let waiting = {
            let outbox = outbox.clone();
            actix::spawn(async move { outbox.next().await })
        };
        tokio::task::yield_now().await;
        let other = outbox.clone();
        let thread = std::thread::spawn(move || {
            other.send(message());
        });
        assert!(matches!(
            waiting.await.unwrap().make_contiguous(),
            [Order::Send(_)]
        ));
        thread.join().unwrap();
        outbox.order(Order::Ping);
        outbox.order(Order::Close);
        let mut orders = outbox.next().await;
        assert!(matches!(
            orders.make_contiguous(),
            [Order::Ping, Order::Close]
        ));
        assert!(outbox.next().now_or_never().is_none());
    }

    #[actix::test]
    async fn too_much_is_told_and_dropped() {
        let outbox = Outbox::default();
        for _ in 0..LINK_LIMITS.messages {
            outbox.send(message());
        }
        assert!(outbox.overflow().now_or_never().is_none());
        outbox.send(message());
        outbox.overflow().await;
        assert_eq!(outbox.next().await.len(), LINK_LIMITS.messages);
    }

    #[test]
    fn what_comes_after_the_end_is_not_kept() {
        let outbox = Outbox::default();
        outbox.order(Order::Ping);
        outbox.end();
        outbox.order(Order::Ping);
        assert!(outbox.next().now_or_never().is_none());
    }
}
