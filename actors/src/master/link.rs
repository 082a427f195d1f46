//! The link of an agent that speaks Tepui's own protocol: a WebSocket on the ordinary port.
//! Decides nothing about agents; it decodes, encodes, pings and bounds what is in flight.

mod guard;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use actix_ws::{MessageStream, Session};
use bytes::Bytes;
use futures_util::Stream;
use tepui_core::master::messages::{Input, LinkId};
use tepui_protocol::link::{MAX_FRAME_BYTES, MasterToAgent};
use tepui_protocol::v1;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::load::{Limits, Load};
use super::{MasterMailbox, ToMaster};
use crate::directory::AgentLink;
use reader::Reader;
use writer::Writer;

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
}

impl AgentLink for WebSocketLink {
    fn send(&self, message: Box<MasterToAgent>) {
        // Beyond the limit the message is dropped and the link ends: the agent registers anew,
        // and is told what it missed.
        let order = if self.load.add_message() {
            Order::Send(message)
        } else {
            Order::Close
        };
        // Fails only when the link has ended, of which the master is told anyway.
        let _ = self.orders.send(order);
    }

    fn close(&self) {
        let _ = self.orders.send(Order::Close);
    }
}

/// Turns a request into a WebSocket: the answer to give, and its two directions.
///
/// # Errors
/// When the request is no WebSocket's.
pub async fn open(
    request: &HttpRequest,
    payload: actix_web::dev::Payload,
) -> Result<(HttpResponse, Session, MessageStream), actix_web::Error> {
    let guard = guard::Guard::new(payload, MAX_FRAME_BYTES);
    let guard: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(guard);
    let mut guarded = actix_web::dev::Payload::from(guard);
    let payload = Payload::from_request(request, &mut guarded).await?;
    actix_ws::handle(request, payload)
}

/// Serves one link until it ends: says hello, tells the master of it, then reads and writes.
pub async fn serve(
    id: LinkId,
    peer_ip: String,
    session: Session,
    stream: MessageStream,
    master_info: v1::MasterInfo,
    pinging: Pinging,
    master: MasterMailbox,
) {
    let load = Arc::new(Load::new(LINK_LIMITS));
    let (orders, order_receiver) = unbounded_channel();
    let link = WebSocketLink {
        orders: orders.clone(),
        load: load.clone(),
    };
    link.send(Box::new(MasterToAgent::Hello {
        epoch: id.0,
        master: master_info.into(),
    }));
    tracing::info!(link = id.0, peer = peer_ip, "agent link opened");
    master.send(ToMaster::OpenLink {
        link: id,
        peer_ip,
        address: Arc::new(link),
    });

    let writer = Writer {
        epoch: id.0,
        session,
        load,
    };
    let writing = actix_web::rt::spawn(writer.run(order_receiver));
    let reader = Reader {
        link: id,
        master: master.clone(),
        permits: Arc::new(Semaphore::new(INBOUND_PERMITS)),
        pinging,
        orders: orders.clone(),
    };
    let messages = stream
        .max_frame_size(MAX_FRAME_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_FRAME_BYTES);
    reader.run(messages, writing).await;
    // The writer may still wait for orders; nothing it could send would arrive.
    let _ = orders.send(Order::Close);
    tracing::info!(link = id.0, "agent link closed");
    master.input(Input::LinkClosed { link: id });
}
