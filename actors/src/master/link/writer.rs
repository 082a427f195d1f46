//! The sending half of an agent link: encodes frames and writes them in order.
//! Reads nothing.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tepui_protocol::link::{self, Frame, MasterToAgent};
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::outbox::{Order, Outbox};
use super::socket::{Sink, WRITE_BYTES};

/// Messages that are written before they are sent off together.
const MAX_BATCH: usize = 64;

/// Time an agent has to take the end of its link.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Writer<'a, S> {
    pub(super) epoch: u64,
    /// The agent's id, once it is known.
    pub(super) agent: Arc<OnceLock<String>>,
    pub(super) sink: Sink<'a, S>,
    pub(super) outbox: Arc<Outbox>,
}

impl<S: AsyncWrite + Unpin> Writer<'_, S> {
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
    }

    /// Ends the link. The agent may not read, or be gone; neither may hold that up for long.
    pub(super) async fn close(&mut self) {
        self.outbox.end();
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
            let Some(frame) = self.frame(order, registered) else {
                return false;
            };
            bytes += frame.payload().len();
            if self.sink.add(frame) >= WRITE_BYTES && self.sink.flush().await.is_err() {
                return false;
            }
        }
        if self.sink.flush().await.is_err() {
            return false;
        }
        self.outbox.load.sent_all(count, bytes);
        true
    }

    /// The frame of an order; none when the link is to be closed, or cannot go on.
    fn frame(&self, order: Order, registered: &mut bool) -> Option<WebSocketFrame> {
        match order {
            Order::Send(message) => {
                if let MasterToAgent::Registered { agent_id, .. }
                | MasterToAgent::Reregistered { agent_id, .. } = &*message
                {
                    *registered = true;
                    self.agent.get_or_init(|| agent_id.clone());
                }
                self.encode(*message)
            }
            Order::Ping => {
                self.outbox.load.add_message();
                self.encode(MasterToAgent::Ping {
                    connected: *registered,
                })
            }
            Order::Answer(ping) => {
                self.outbox.load.add_bytes(ping.len());
                Some(WebSocketFrame::pong(ping))
            }
            Order::Close => None,
        }
    }

    /// A message as a frame; none when the link cannot go on.
    fn encode(&self, body: MasterToAgent) -> Option<WebSocketFrame> {
        let epoch = self.epoch;
        match link::encode(&Frame { epoch, body }) {
            Ok(bytes) => {
                self.outbox.load.add_bytes(bytes.len());
                let kind = OpCode::Data(Data::Binary);
                Some(WebSocketFrame::message(bytes, kind, true))
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
