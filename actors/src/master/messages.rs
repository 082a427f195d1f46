//! What the master's actor is told by links, streams, HTTP workers, allocator and registrar.
//! Wraps the core's inputs with what only the skin needs: addresses, permits, reply channels.

use std::sync::Arc;

use actix::Message;
use tepui_core::master::messages::{Answer, Input, LinkId, StreamId};
use tepui_core::master::operator::Request;
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::scheduler;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::subscribers::{Opened, Seat};
use crate::directory::{AgentLink, FrameworkProxy};

/// A message to the master's actor.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToMaster {
    /// An agent opened a link.
    OpenLink {
        /// Its epoch.
        link: LinkId,
        /// Address of the other end.
        peer_ip: String,
        /// How to reach it.
        address: Arc<dyn AgentLink>,
    },
    /// A message arrived on a link.
    FromAgent {
        /// The link.
        link: LinkId,
        /// The message.
        message: Box<AgentToMaster>,
        /// Lets the link read on; given back when the message has been handled.
        permit: OwnedSemaphorePermit,
    },
    /// A framework opened an event stream.
    OpenStream {
        /// The stream.
        stream: StreamId,
        /// The call's payload.
        subscribe: Box<scheduler::call::Subscribe>,
        /// Authenticated principal, if any.
        principal: Option<String>,
        /// How to reach it.
        address: Arc<dyn FrameworkProxy>,
    },
    /// A framework made any other call.
    Call {
        /// The call.
        call: Box<scheduler::Call>,
        /// The `Mesos-Stream-Id` header, if sent.
        stream: Option<String>,
        /// Authenticated principal, if any.
        principal: Option<String>,
        /// Where the HTTP worker waits for the answer, unless it has answered already.
        reply: Option<oneshot::Sender<Answer>>,
        /// Count against the calls in flight until the call has been handled.
        permits: CallPermits,
    },
    /// An operator wants something changed.
    Operate {
        /// What.
        request: Box<Request>,
        /// Authenticated principal, if any.
        principal: Option<String>,
        /// Where the HTTP worker waits for the answer.
        reply: oneshot::Sender<Answer>,
        /// Counts against the calls in flight until the request has been handled.
        permit: OwnedSemaphorePermit,
    },
    /// Somebody wants to be told what happens.
    Subscribe {
        /// Who.
        seat: Seat,
        /// Where the HTTP worker waits for the state and the events after it.
        reply: oneshot::Sender<Opened>,
    },
    /// A stream of events has ended.
    Unsubscribe(u64),
    /// Anything the core understands as it is.
    Input(Input),
    /// Something without which this master cannot go on has failed.
    Fatal(String),
    /// The process ends: close every link and stream.
    Stop,
}

/// The room that a call takes until the master has handled it.
#[derive(Debug)]
pub struct CallPermits {
    /// Among all calls.
    pub all: OwnedSemaphorePermit,
    /// Among those of its connection.
    pub own: OwnedSemaphorePermit,
}
