//! Connections of the simulated network: two lanes, each first in, first out, as TCP is.
//! Moves nothing by itself: the world says when something arrives.

use std::collections::{BTreeMap, VecDeque};

use super::events::{Node, Parcel};
use crate::agent::messages::{ConnectionId, LinkNumber};
use crate::ids::ContainerId;
use crate::master::messages::{LinkId, StreamId};

/// Names a connection; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnId(pub(super) u64);

/// One of the two lanes, by where it leads; also names the end it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that was called.
    Server,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// An agent's link to the master.
    Link {
        agent: usize,
        number: LinkNumber,
        link: Option<LinkId>,
    },
    /// A framework's event stream.
    Stream {
        framework: usize,
        stream: Option<StreamId>,
    },
    /// A framework's calls.
    Calls { framework: usize },
    /// An executor's calls and event stream.
    Executor {
        agent: usize,
        container: ContainerId,
        connection: ConnectionId,
    },
}

/// What is on its way to one end.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) queue: VecDeque<Parcel>,
    /// Nothing arrives for the time being.
    pub(super) is_held: bool,
    /// Arrivals that were due meanwhile.
    pub(super) waiting: usize,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) kind: Kind,
    /// Which life of the server's process it belongs to.
    pub(super) life: u64,
    to_client: Lane,
    to_server: Lane,
    has_client: bool,
    has_server: bool,
    /// What is sent gets lost.
    pub(super) is_broken: bool,
    /// Usual time in microseconds a parcel takes.
    pub(super) latency_us: u64,
}

impl Conn {
    pub(super) fn lane(&mut self, to: Side) -> &mut Lane {
        match to {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }

    /// Whether this end still has the connection.
    pub(super) fn has(&self, end: Side) -> bool {
        match end {
            Side::Client => self.has_client,
            Side::Server => self.has_server,
        }
    }

    pub(super) fn node(&self, end: Side) -> Option<Node> {
        match (&self.kind, end) {
            (Kind::Link { agent, .. }, Side::Client)
            | (Kind::Executor { agent, .. }, Side::Server) => Some(Node::Agent(*agent)),
            (Kind::Stream { framework, .. } | Kind::Calls { framework }, Side::Client) => {
                Some(Node::Framework(*framework))
            }
            (Kind::Link { .. } | Kind::Stream { .. } | Kind::Calls { .. }, Side::Server) => {
                Some(Node::Master(self.life))
            }
            (Kind::Executor { .. }, Side::Client) => None,
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Net {
    conns: BTreeMap<ConnId, Conn>,
    next: u64,
}

impl Net {
    pub(super) fn open(&mut self, kind: Kind, life: u64, latency_us: u64) -> ConnId {
        self.next += 1;
        let conn = Conn {
            kind,
            life,
            to_client: Lane::default(),
            to_server: Lane::default(),
            has_client: true,
            has_server: true,
            is_broken: false,
            latency_us,
        };
        self.conns.insert(ConnId(self.next), conn);
        ConnId(self.next)
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    /// Takes the connection from one end; it is gone when neither has it. False when that end did
    /// not have it.
    pub(super) fn leave(&mut self, id: ConnId, end: Side) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else {
            return false;
        };
        let had = match end {
            Side::Client => std::mem::take(&mut conn.has_client),
            Side::Server => std::mem::take(&mut conn.has_server),
        };
        conn.lane(end).queue.clear();
        if !conn.has_client && !conn.has_server {
            self.conns.remove(&id);
        }
        had
    }

    /// Connections for which this holds.
    pub(super) fn which(&self, keep: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        let kept = self.conns.iter().filter(|(_, conn)| keep(conn));
        kept.map(|(id, _)| *id).collect()
    }
}
