//! The receiving half of an agent link: decodes frames, hands them to the master, counts pings.
//! Writes nothing itself; pings are ordered from the writer.

use std::sync::Arc;

use actix_web::rt::task::JoinHandle;
use actix_ws::{AggregatedMessage, ProtocolError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tepui_core::master::messages::{Input, LinkId};
use tepui_protocol::link::{self, AgentToMaster, Frame};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};

use super::{Order, Pinging};
use crate::master::{MasterMailbox, ToMaster};

/// What comes out of the socket.
type Received = Result<AggregatedMessage, ProtocolError>;

pub(super) struct Reader {
    pub(super) link: LinkId,
    pub(super) master: MasterMailbox,
    pub(super) permits: Arc<Semaphore>,
    pub(super) pinging: Pinging,
    pub(super) orders: UnboundedSender<Order>,
}

impl Reader {
    /// Reads until the socket or the writer ends, or the agent breaks the protocol.
    pub(super) async fn run(
        self,
        mut messages: impl Stream<Item = Received> + Unpin,
        mut writing: JoinHandle<()>,
    ) {
        let mut pings = interval(self.pinging.interval);
        // The first ping is due one interval after the link was opened.
        pings.reset();
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        // Held while waiting for the next message. While the master has too many of this agent's
        // messages there is none, nothing is read, and TCP slows the agent down.
        let mut permit: Option<OwnedSemaphorePermit> = None;
        loop {
            tokio::select! {
                biased;
                _ = &mut writing => return,
                _ = pings.tick() => {
                    // While nothing is read, an answer cannot be seen, and is not missed.
                    if permit.is_some() {
                        self.missed(unanswered);
                        unanswered += 1;
                    }
                    let _ = self.orders.send(Order::Ping);
                }
                acquired = self.permits.clone().acquire_owned(), if permit.is_none() => {
                    permit = acquired.ok();
                }
                message = messages.next(), if permit.is_some() => {
                    let Some(message) = self.message(message) else {
                        return;
                    };
                    let Some(frame) = message else {
                        continue;
                    };
                    unanswered = 0;
                    if !self.frame(&frame, &mut permit) {
                        return;
                    }
                }
            }
        }
    }

    /// `unanswered` pings were not answered when the next one is due.
    fn missed(&self, unanswered: u32) {
        if unanswered > 0 && unanswered == self.pinging.max_unanswered {
            tracing::warn!(
                link = self.link.0,
                unanswered,
                "agent does not answer pings"
            );
            self.master
                .input(Input::LinkUnresponsive { link: self.link });
        }
    }

    /// The frame in a WebSocket message; nothing when it holds none, and an end when the
    /// socket is at its end.
    fn message(&self, message: Option<Received>) -> Option<Option<Bytes>> {
        match message {
            Some(Ok(AggregatedMessage::Binary(frame))) => Some(Some(frame)),
            Some(Ok(AggregatedMessage::Ping(_) | AggregatedMessage::Pong(_))) => Some(None),
            Some(Ok(AggregatedMessage::Text(_))) => {
                tracing::warn!(
                    link = self.link.0,
                    "agent sent text instead of binary frames"
                );
                None
            }
            Some(Ok(AggregatedMessage::Close(_))) | None => None,
            Some(Err(error)) => {
                tracing::warn!(link = self.link.0, %error, "agent link broke");
                None
            }
        }
    }

    /// Hands a frame to the master; false when it is no frame at all.
    fn frame(&self, frame: &[u8], permit: &mut Option<OwnedSemaphorePermit>) -> bool {
        let Frame { epoch, body } = match link::decode::<AgentToMaster>(frame) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(link = self.link.0, %error, "agent sent a bad frame; link closed");
                return false;
            }
        };
        if epoch != self.link.0 {
            tracing::warn!(
                link = self.link.0,
                epoch,
                "agent sent a frame meant for another link"
            );
            return true;
        }
        // Pings bypass the master.
        if body == AgentToMaster::Pong {
            return true;
        }
        if let Some(permit) = permit.take() {
            let message = Box::new(body);
            self.master.send(ToMaster::FromAgent {
                link: self.link,
                message,
                permit,
            });
        }
        true
    }
}
