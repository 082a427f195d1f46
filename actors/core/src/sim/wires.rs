//! Sending, arriving, breaking and healing on the simulated network.
//! What a node does with what arrives is in the node's own file.

use super::events::{Event, Node, Parcel};
use super::net::{ConnId, Kind, Side};
use super::world::{SECOND, World};
use crate::agent::messages::ConnectionId;
use crate::ids::ContainerId;

/// Silence after which a framework gives up its event stream: five missed heartbeats.
const STREAM_SILENCE_US: u64 = 75 * SECOND;

/// Longest time TCP takes to notice that nobody takes what it sends.
const TCP_TIMEOUT_US: u64 = 900 * SECOND;

impl World {
    /// Opens a connection; some are slow.
    pub(super) fn connect(&mut self, kind: Kind, life: u64) -> ConnId {
        let latency = match self.random.below(20) {
            0 if self.options.has_faults => self.random.below(SECOND),
            1 | 2 => self.random.below(SECOND / 20),
            _ => self.random.between(50, 1_000),
        };
        self.net.open(kind, life, latency)
    }

    /// Sends to one end; nothing happens when that cannot arrive.
    pub(super) fn send(&mut self, conn: ConnId, to: Side, parcel: Parcel) {
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        if known.is_broken || !known.has(to) {
            return;
        }
        known.lane(to).queue.push_back(parcel);
        let latency = known.latency_us;
        let delay = latency / 2 + self.random.below(latency + 1);
        self.after(delay, Event::Arrive(conn, to));
    }

    /// Closes one end; the other end is told after what was sent before.
    pub(super) fn hang_up(&mut self, conn: ConnId, end: Side) {
        self.send(conn, end.other(), Parcel::End);
        self.net.leave(conn, end);
    }

    pub(super) fn arrive(&mut self, conn: ConnId, to: Side) {
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        let has_end = known.has(to);
        let lane = known.lane(to);
        if lane.is_held {
            lane.waiting += 1;
            return;
        }
        let Some(parcel) = lane.queue.pop_front() else {
            return;
        };
        if !has_end {
            return;
        }
        let (kind, life) = (known.kind.clone(), known.life);
        match (kind, to, parcel) {
            (_, _, Parcel::End) => self.learn_closed(conn, to),
            (Kind::Link { agent, .. }, Side::Server, Parcel::Open) => {
                self.link_opened(life, conn, agent);
            }
            (Kind::Link { link, .. }, Side::Server, Parcel::FromAgent(frame)) => {
                self.master_hears(life, conn, link, *frame);
            }
            (Kind::Link { agent, number, .. }, Side::Client, Parcel::ToAgent(message)) => {
                self.agent_hears(agent, number, message);
            }
            (Kind::Stream { .. }, Side::Server, Parcel::Subscribe(subscribe)) => {
                self.master_subscribes(life, conn, *subscribe);
            }
            (Kind::Stream { framework, .. }, Side::Client, Parcel::Streaming(stream)) => {
                self.streaming(framework, stream);
            }
            (Kind::Stream { framework, .. }, Side::Client, Parcel::Event(event)) => {
                self.framework_hears(framework, *event);
            }
            (Kind::Calls { framework }, Side::Server, Parcel::Call(call, stream, number)) => {
                self.notice_order(framework, number);
                self.master_called(life, conn, *call, &stream);
            }
            (Kind::Calls { framework }, Side::Client, Parcel::Answer(answer)) => {
                self.answered(framework, conn, &answer);
            }
            (
                Kind::Executor {
                    agent,
                    container,
                    connection,
                },
                _,
                parcel,
            ) => self.arrive_of_executor(conn, agent, &container, connection, parcel),
            (_, _, parcel) => self.fail(format!("{parcel:?} went astray")),
        }
    }

    /// What goes between an executor and its agent.
    fn arrive_of_executor(
        &mut self,
        conn: ConnId,
        agent: usize,
        container: &ContainerId,
        connection: ConnectionId,
        parcel: Parcel,
    ) {
        match parcel {
            Parcel::ExecutorCall(call) => self.executor_calls(agent, conn, connection, *call),
            Parcel::ExecutorEvent(event) => self.executor_hears(agent, container, *event),
            Parcel::ExecutorRefused => self.executor_refused(agent, container),
            parcel => self.fail(format!("{parcel:?} went astray")),
        }
    }

    /// One end learns that a connection is gone.
    pub(super) fn learn_closed(&mut self, conn: ConnId, end: Side) {
        let Some(known) = self.net.get(conn) else {
            return;
        };
        let (kind, life) = (known.kind.clone(), known.life);
        if !self.net.leave(conn, end) {
            return;
        }
        match (kind, end) {
            (Kind::Link { link, .. }, Side::Server) => self.master_lost_link(life, link),
            (Kind::Link { agent, number, .. }, Side::Client) => {
                self.agent_lost_link(agent, number);
            }
            (Kind::Stream { stream, .. }, Side::Server) => self.master_lost_stream(life, stream),
            (Kind::Stream { framework, .. } | Kind::Calls { framework }, Side::Client) => {
                self.framework_lost(framework, conn);
            }
            (Kind::Calls { .. }, Side::Server) => {}
            (
                Kind::Executor {
                    agent, connection, ..
                },
                Side::Server,
            ) => {
                self.agent_lost_executor(agent, life, connection);
            }
            (
                Kind::Executor {
                    agent, container, ..
                },
                Side::Client,
            ) => {
                self.executor_lost_agent(agent, &container, conn);
            }
        }
    }

    /// A connection breaks: what is under way is lost, and both ends learn of it some time.
    pub(super) fn break_conn(&mut self, conn: ConnId) {
        let keeps_sent = self.random.per_mille(300);
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        known.is_broken = true;
        for side in [Side::Client, Side::Server] {
            let lane = known.lane(side);
            // The server may still read what has reached it.
            if !(keeps_sent && side == Side::Server) {
                lane.queue.clear();
            }
            lane.is_held = false;
        }
        for side in [Side::Client, Side::Server] {
            let delay = self.random.between(SECOND / 10, 2 * SECOND);
            self.after(delay, Event::Closed(conn, side));
        }
    }

    /// The other end of a connection is gone without a word.
    pub(super) fn fall_silent(&mut self, conn: ConnId, left: Side) {
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        known.is_broken = true;
        known.lane(Side::Client).queue.clear();
        known.lane(Side::Server).queue.clear();
        // Both ends of a link find out by themselves: that is what pings are for.
        let delay = match (&known.kind, left) {
            (Kind::Link { .. }, _) => TCP_TIMEOUT_US,
            (Kind::Executor { .. }, _) => SECOND,
            (Kind::Stream { .. } | Kind::Calls { .. }, Side::Client) => STREAM_SILENCE_US,
            (Kind::Stream { .. } | Kind::Calls { .. }, Side::Server) => {
                self.random.between(SECOND, TCP_TIMEOUT_US)
            }
        };
        self.after(delay, Event::Closed(conn, left));
    }

    /// Nothing arrives on these lanes for a while.
    pub(super) fn hold(&mut self, conn: ConnId, sides: &[Side], for_us: u64) {
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        for side in sides {
            known.lane(*side).is_held = true;
        }
        let is_stream = matches!(known.kind, Kind::Stream { .. });
        if is_stream && sides.contains(&Side::Client) && for_us > STREAM_SILENCE_US {
            self.after(STREAM_SILENCE_US, Event::Closed(conn, Side::Client));
        }
        self.after(for_us, Event::Heal(conn));
    }

    pub(super) fn heal(&mut self, conn: ConnId) {
        for side in [Side::Client, Side::Server] {
            let Some(known) = self.net.get_mut(conn) else {
                return;
            };
            let lane = known.lane(side);
            lane.is_held = false;
            for _ in 0..std::mem::take(&mut lane.waiting) {
                self.after(1, Event::Arrive(conn, side));
            }
        }
    }

    /// A node's process is gone: its ends of all connections are. The others learn of it at once
    /// or, when the machine died, by silence.
    pub(super) fn drop_ends(&mut self, node: Node, silently: bool) {
        for (conn, side) in self.ends_of(node) {
            self.net.leave(conn, side);
            match silently {
                true => self.fall_silent(conn, side.other()),
                false => self.reset(conn, side.other()),
            }
        }
    }

    /// The kernel of a dead process tells the other end.
    fn reset(&mut self, conn: ConnId, left: Side) {
        let reads_on = self.random.per_mille(500);
        let Some(known) = self.net.get_mut(conn) else {
            return;
        };
        match reads_on {
            // What was sent before arrives, and then the end.
            true => {
                known.lane(left.other()).queue.clear();
                self.send(conn, left, Parcel::End);
                if let Some(known) = self.net.get_mut(conn) {
                    known.is_broken = true;
                }
            }
            false => {
                known.is_broken = true;
                known.lane(left).queue.clear();
                let delay = self.random.between(100, SECOND);
                self.after(delay, Event::Closed(conn, left));
            }
        }
    }
}
