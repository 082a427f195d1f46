//! The link of an agent that speaks Tepui's own protocol: a WebSocket on the ordinary port.
//! Decides nothing about agents; it decodes, encodes, pings and bounds what is in flight.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use tepui_core::master::messages::{Input, LinkId};
use tepui_protocol::link::{MAX_FRAME_BYTES, MasterToAgent};
use tepui_protocol::v1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, tungstenite};

use super::load::{Limits, Load};
use super::{MasterMailbox, ToMaster};
use crate::directory::AgentLink;
use reader::Reader;
use writer::Writer;

/// Bytes that each direction's buffer begins with: most messages are smaller, and there is one
/// link for every agent of the cluster.
const BUFFER_BYTES: usize = 1024;

/// Messages of one agent that may wait for the master; beyond that its link is not read.
pub const INBOUND_PERMITS: usize = 64;

/// What may wait for one agent.
pub const LINK_LIMITS: Limits = Limits {
    messages: 100_000,
    bytes: 2 * MAX_FRAME_BYTES,
};

/// How a link finds out whether the agent at its other end is alive.
#[derive(Debug, Clone, Copy)]
pub struct Pinging {
    /// Time between two pings.
    pub interval: Duration,
    /// Pings in a row that may go unanswered.
    pub max_unanswered: u32,
}

enum Order {
    Send(Box<MasterToAgent>),
    Ping,
    Close,
}

/// The master's end of a link.
pub struct WebSocketLink {
    orders: UnboundedSender<Order>,
    load: Arc<Load>,
    overflow: Arc<Notify>,
}

impl AgentLink for WebSocketLink {
    fn send(&self, message: Box<MasterToAgent>) {
        // Beyond the limit the message is dropped and the link ends: the agent registers anew,
        // and is told what it missed.
        if self.load.add_message() {
            // Fails only when the link has ended, of which the master is told anyway.
            let _ = self.orders.send(Order::Send(message));
        } else {
            self.overflow.notify_one();
        }
    }

    fn close(&self) {
        let _ = self.orders.send(Order::Close);
    }
}

/// Turns a connection whose first request asks for it into a WebSocket.
///
/// # Errors
/// When the request is no WebSocket's.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    connection: S,
) -> Result<WebSocketStream<S>, tungstenite::Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    accept_async_with_config(connection, Some(config)).await
}

/// Serves one link until it ends: says hello, tells the master of it, then reads and writes.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    id: LinkId,
    peer_ip: String,
    socket: WebSocketStream<S>,
    master_info: v1::MasterInfo,
    pinging: Pinging,
    master: MasterMailbox,
) {
    let load = Arc::new(Load::new(LINK_LIMITS));
    let overflow = Arc::new(Notify::new());
    let (orders, order_receiver) = unbounded_channel();
    let link = WebSocketLink {
        orders: orders.clone(),
        load: load.clone(),
        overflow: overflow.clone(),
    };
    link.send(Box::new(MasterToAgent::Hello {
        epoch: id.0,
        master: master_info.into(),
    }));
    tracing::debug!(link = id.0, peer = peer_ip, "agent link opened");
    master.send(ToMaster::OpenLink {
        link: id,
        peer_ip,
        address: Arc::new(link),
    });

    let agent = Arc::new(OnceLock::new());
    let (sink, messages) = socket.split();
    let writer = Writer {
        epoch: id.0,
        agent: agent.clone(),
        sink,
        load,
        overflow,
    };
    let reader = Reader {
        link: id,
        agent: agent.clone(),
        master: master.clone(),
        permits: Arc::new(Semaphore::new(INBOUND_PERMITS)),
        pinging,
        orders,
    };
    // Both in one task, since there are as many as agents.
    tokio::select! {
        () = writer.run(order_receiver) => {}
        () = reader.run(messages) => {}
    }
    tracing::info!(link = id.0, agent = agent.get(), "agent link closed");
    master.input(Input::LinkClosed { link: id });
}
