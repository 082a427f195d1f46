//! The sending half of an agent link: encodes frames and writes them in order.
//! Reads nothing.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt};
use tepui_protocol::link::{self, Frame, MasterToAgent};
use tokio_tungstenite::tungstenite::{self, Message};

use super::outbox::{Order, Outbox};

/// Messages that are written before they are sent off together.
const MAX_BATCH: usize = 64;

/// Time an agent has to take the end of its link.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Writer<W> {
    pub(super) epoch: u64,
    /// The agent's id, once it is known.
    pub(super) agent: Arc<OnceLock<String>>,
    pub(super) sink: W,
    pub(super) outbox: Arc<Outbox>,
}

impl<W: Sink<Message, Error = tungstenite::Error> + Unpin> Writer<W> {
    /// Writes until told to close, the agent is too slow, or the socket is gone.
    pub(super) async fn run(&mut self) {
        let outbox = self.outbox.clone();
        tokio::select! {
            biased;
            () = outbox.overflow() => {
                let (link, agent) = (self.epoch, self.agent.get());
                tracing::warn!(link, agent, "agent is too slow; its link is closed");
            }
            () = self.write_all() => {}
        }
        // The agent may not read, or be gone; neither may hold up the end of its link.
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.sink.close()).await;
    }

    async fn write_all(&mut self) {
        // Until the agent is registered on this link, the master does not count it as connected.
        let mut registered = false;
        loop {
            let mut orders = self.outbox.next().await;
            while !orders.is_empty() {
                if !self.write_some(&mut orders, &mut registered).await {
                    return;
                }
            }
        }
    }

    /// Writes the first of these orders and sends them off together; false when the link is to be
    /// closed or cannot go on.
    async fn write_some(&mut self, orders: &mut VecDeque<Order>, registered: &mut bool) -> bool {
        let count = orders.len().min(MAX_BATCH);
        let mut bytes = 0;
        for order in orders.drain(..count) {
            let Some(message) = self.message(order, registered) else {
                return false;
            };
            let Some(frame) = self.frame(message) else {
                return false;
            };
            bytes += frame.len();
            if self.sink.feed(Message::Binary(frame)).await.is_err() {
                return false;
            }
        }
        if self.sink.flush().await.is_err() {
            return false;
        }
        self.outbox.load.sent_all(count, bytes);
        true
    }

    /// The message of an order; none when the link is to be closed.
    fn message(&self, order: Order, registered: &mut bool) -> Option<MasterToAgent> {
        match order {
            Order::Send(message) => {
                if let MasterToAgent::Registered { agent_id, .. }
                | MasterToAgent::Reregistered { agent_id, .. } = &*message
                {
                    *registered = true;
                    self.agent.get_or_init(|| agent_id.clone());
                }
                Some(*message)
            }
            Order::Ping => {
                self.outbox.load.add_message();
                Some(MasterToAgent::Ping {
                    connected: *registered,
                })
            }
            Order::Close => None,
        }
    }

    /// A message as a frame; none when the link cannot go on.
    fn frame(&self, body: MasterToAgent) -> Option<Bytes> {
        let epoch = self.epoch;
        match link::encode(&Frame { epoch, body }) {
            Ok(frame) => {
                self.outbox.load.add_bytes(frame.len());
                Some(Bytes::from(frame))
            }
            Err(error) => {
                // Nothing the master says may get lost in silence: the agent registers anew.
                let agent = self.agent.get();
                tracing::error!(link = epoch, agent, %error, "message for agent cannot be sent");
                None
            }
        }
    }
}

impl<W> Drop for Writer<W> {
    fn drop(&mut self) {
        self.outbox.end();
    }
}
