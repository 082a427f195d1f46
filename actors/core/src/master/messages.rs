//! What the master's core is told and what it wants done.
//! Whoever runs it performs the effects in order.

use std::sync::Arc;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::scheduler;

use super::operator::{self, OperatorEvent};
use crate::allocator::messages::{Command, InverseProposal, Proposal};
use crate::registry;

/// Epoch of one agent link: unique for the life of a master, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The random UUID of one framework subscription, sent as `Mesos-Stream-Id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub Arc<str>);

/// Ties an answer to the request that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Something happened that the master must decide upon.
#[derive(Debug)]
pub enum Input {
    /// An agent opened a link; the skin has said `Hello` already.
    LinkOpened {
        /// The link.
        link: LinkId,
        /// `ip` of the other end.
        peer_ip: String,
    },
    /// A link ended, for whatever reason.
    LinkClosed {
        /// The link.
        link: LinkId,
    },
    /// An agent did not answer `max_agent_ping_timeouts` pings in a row.
    LinkUnresponsive {
        /// The link.
        link: LinkId,
    },
    /// An agent that did not answer so many pings has sent something after all.
    LinkResponsive {
        /// The link.
        link: LinkId,
    },
    /// A message arrived on a link.
    FromAgent {
        /// The link.
        link: LinkId,
        /// The message.
        message: Box<AgentToMaster>,
    },
    /// A framework opened an event stream; the call passed the stateless checks.
    Subscribe {
        /// The new stream.
        stream: StreamId,
        /// The call's payload.
        subscribe: Box<scheduler::call::Subscribe>,
        /// Authenticated principal, if any.
        principal: Option<String>,
    },
    /// A framework's stream ended, or was too slow.
    StreamClosed {
        /// The stream.
        stream: StreamId,
    },
    /// A framework has taken what was sent on its stream before [`Effect::NotifyDrained`].
    StreamDrained {
        /// The stream.
        stream: StreamId,
    },
    /// Any call but SUBSCRIBE; it passed the stateless checks.
    Call {
        /// The call.
        call: Box<scheduler::Call>,
        /// The `Mesos-Stream-Id` header, if sent.
        stream: Option<String>,
        /// Authenticated principal, if any.
        principal: Option<String>,
        /// Where the answer goes.
        reply: Token,
    },
    /// The allocator has set resources aside.
    Proposed(Vec<Proposal>),
    /// The allocator wants frameworks to leave agents.
    ProposedInverse(Vec<InverseProposal>),
    /// The allocator has changed free resources for an operator, or could not.
    Transformed {
        /// Of the command.
        token: u64,
        /// What was missing.
        result: Result<(), String>,
    },
    /// An operator wants something changed; the request is well formed.
    Operator {
        /// What.
        request: Box<operator::Request>,
        /// Authenticated principal, if any.
        principal: Option<String>,
        /// Where the answer goes.
        reply: Token,
    },
    /// The registrar has stored (or failed to store) an operation.
    Applied {
        /// Of the operation.
        token: Token,
        /// `Ok(false)` when the registry already was in that state.
        result: Result<bool, String>,
    },
    /// The registry was read at start; the master may serve from now on.
    Recovered(Box<registry::Registry>),
    /// Whether anybody subscribes to the operator API's events, which are told only then.
    Watched(bool),
    /// The deadline of `next_deadline` has passed.
    Tick,
}

/// An HTTP answer that depends on the master's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 202 with an empty body.
    Accepted,
    /// 200 with an empty body.
    Ok,
    /// An error: status and plain text.
    Refused(u16, String),
}

/// Something the master wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send to an agent.
    ToAgent(LinkId, Box<MasterToAgent>),
    /// Close an agent's link.
    CloseLink(LinkId),
    /// Send an event to a framework; the skin encodes it.
    ToFramework(StreamId, Box<scheduler::Event>),
    /// Say [`Input::StreamDrained`] once what was sent on a stream before has left.
    NotifyDrained(StreamId),
    /// End a framework's stream after what was sent before.
    CloseStream(StreamId),
    /// Tell the allocator.
    ToAllocator(Command),
    /// Have the registrar apply an operation and answer with the token.
    Apply(Token, registry::Operation),
    /// Answer a call.
    Reply(Token, Answer),
    /// Tell all who subscribe to the operator API's events.
    ToSubscribers(OperatorEvent),
    /// This master must stop at once: what is stored no longer follows it.
    Exit(String),
}
