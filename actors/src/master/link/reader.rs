//! The receiving half of an agent link: decodes frames, hands them to the master, counts pings.
//! Writes nothing itself; pings are ordered from the writer.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt};
use tepui_core::master::messages::{Input, LinkId};
use tepui_protocol::link::{self, AgentToMaster, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};

use super::Pinging;
use super::outbox::{Order, Outbox};
use super::socket::{Message, SocketError};
use crate::master::{MasterMailbox, ToMaster};

/// What comes out of the socket.
type Received = Result<Message, SocketError>;

/// Messages between two pings that had to wait for the master, from which on the agent is told of
/// in the log.
const MANY_HELD_UP: u32 = 1_000;

pub(super) struct Reader {
    pub(super) link: LinkId,
    /// The agent's id, once it is known.
    pub(super) agent: Arc<OnceLock<String>>,
    pub(super) master: MasterMailbox,
    pub(super) permits: Arc<Semaphore>,
    pub(super) pinging: Pinging,
    pub(super) outbox: Arc<Outbox>,
}

impl Reader {
    /// Reads until the socket ends or the agent breaks the protocol.
    pub(super) async fn run(&self, messages: &mut (impl Stream<Item = Received> + Unpin)) {
        let mut pings = interval(self.pinging.interval);
        // The first ping is due one interval after the link was opened.
        pings.reset();
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        let mut is_given_up = false;
        let mut held_up = 0;
        // Held while waiting for the next message. While the master has too many of this agent's
        // messages there is none, nothing is read, and TCP slows the agent down.
        let mut permit: Option<OwnedSemaphorePermit> = None;
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => {
                    // While nothing is read, an answer cannot be seen, and is not missed.
                    if permit.is_some() {
                        is_given_up |= self.missed(unanswered);
                        unanswered += 1;
                    }
                    self.outbox.order(Order::Ping);
                    held_up = 0;
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
                    if std::mem::take(&mut is_given_up) {
                        self.master.input(Input::LinkResponsive { link: self.link });
                    }
                    if !self.frame(&frame, &mut permit) {
                        return;
                    }
                    if permit.is_none() {
                        permit = self.permits.clone().try_acquire_owned().ok();
                        held_up += u32::from(permit.is_none());
                        self.tell_flood(held_up);
                    }
                }
            }
        }
    }

    /// Messages were held up so often since the last ping.
    fn tell_flood(&self, held_up: u32) {
        if held_up == MANY_HELD_UP {
            let (link, agent) = (self.link.0, self.agent.get());
            tracing::warn!(
                link,
                agent,
                held_up,
                "agent sends faster than the master takes it; its link is slowed down"
            );
        }
    }

    /// `unanswered` pings were not answered when the next one is due; true when that is too many.
    fn missed(&self, unanswered: u32) -> bool {
        let is_too_many = unanswered > 0 && unanswered == self.pinging.max_unanswered;
        if is_too_many {
            tracing::warn!(
                link = self.link.0,
                agent = self.agent.get(),
                unanswered,
                "agent does not answer pings"
            );
            self.master
                .input(Input::LinkUnresponsive { link: self.link });
        }
        is_too_many
    }

    /// The frame in a WebSocket message; nothing when it holds none, and an end when the
    /// socket is at its end.
    fn message(&self, message: Option<Received>) -> Option<Option<Vec<u8>>> {
        match message {
            Some(Ok(Message::Binary(frame))) => Some(Some(frame)),
            Some(Ok(Message::Ping(bytes))) => {
                self.outbox.answer(bytes);
                Some(None)
            }
            Some(Ok(Message::Pong)) => Some(None),
            Some(Ok(Message::Text)) => {
                let (link, agent) = (self.link.0, self.agent.get());
                tracing::warn!(link, agent, "agent sent text instead of binary frames");
                None
            }
            Some(Ok(Message::Close)) | None => None,
            Some(Err(error)) => {
                tracing::warn!(link = self.link.0, agent = self.agent.get(), %error, "agent link broke");
                None
            }
        }
    }

    /// Hands a frame to the master; false when it is no frame at all.
    fn frame(&self, frame: &[u8], permit: &mut Option<OwnedSemaphorePermit>) -> bool {
        let Frame { epoch, body } = match link::decode::<AgentToMaster>(frame) {
            Ok(frame) => frame,
            Err(error) => {
                let (link, agent) = (self.link.0, self.agent.get());
                tracing::warn!(link, agent, %error, "agent sent a bad frame; link closed");
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
