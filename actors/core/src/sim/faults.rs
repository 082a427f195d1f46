//! Everything that goes wrong, and its end.
//! Does not know what the cores should do about it.

use super::events::{Event, Node};
use super::maintenance::CALM_US;
use super::net::{ConnId, Side};
use super::world::{SECOND, World};
use crate::agent::messages::Input;
use crate::ids::ContainerId;

/// Longest time that something is held up: longer than any silence is borne.
const LONG_US: u64 = 240 * SECOND;

impl World {
    /// One thing goes wrong, and soon another.
    pub(super) fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        self.soon(self.fault_us, Event::Fault);
        match self.random.below(22) {
            0..=3 => self.break_some(),
            4..=7 => self.hold_some(),
            8 => {
                if self.random.per_mille(400)
                    && let Some(life) = self.some_master()
                {
                    self.master_died(life, "it was killed");
                }
            }
            9 | 10 => self.end_some_agent(),
            11 | 12 => {
                if let Some(framework) = self.random.index(self.frameworks.len()) {
                    let silently = self.random.per_mille(200);
                    self.framework_died(framework, silently);
                }
            }
            13..=15 => self.pause_some(),
            16 | 17 => self.kill_some_executor(),
            18 | 19 => self.jump(),
            _ => self.cut_off(),
        }
    }

    fn some_conn(&mut self) -> Option<ConnId> {
        let all = self.net.which(|conn| !conn.is_broken);
        self.random.pick(&all).copied()
    }

    /// A master that runs, whether it leads or not.
    pub(super) fn some_master(&mut self) -> Option<u64> {
        let all: Vec<u64> = self.masters.keys().copied().collect();
        self.random.pick(&all).copied()
    }

    fn some_node(&mut self) -> Option<Node> {
        let mut nodes: Vec<Node> = self.masters.keys().copied().map(Node::Master).collect();
        nodes.extend((0..self.agents.len()).map(Node::Agent));
        nodes.extend((0..self.frameworks.len()).map(Node::Framework));
        self.random.pick(&nodes).copied()
    }

    fn break_some(&mut self) {
        if let Some(conn) = self.some_conn() {
            self.counts.broken_connections += 1;
            self.note(format_args!("{conn:?} breaks"));
            self.break_conn(conn);
        }
    }

    /// A connection, or all of a node, let nothing through for a while, in one direction or both.
    fn hold_some(&mut self) {
        let conns = match self.random.per_mille(500) {
            true => self.some_conn().into_iter().collect(),
            false => {
                let node = self.some_node();
                let ends = node.map(|node| self.ends_of(node)).unwrap_or_default();
                ends.into_iter().map(|(conn, _)| conn).collect::<Vec<_>>()
            }
        };
        let sides: &[Side] = match self.random.below(4) {
            0 => &[Side::Client],
            1 => &[Side::Server],
            _ => &[Side::Client, Side::Server],
        };
        let time = match self.random.per_mille(500) {
            true => self.random.below(5 * SECOND),
            false => self.random.below(LONG_US),
        };
        self.counts.held_connections += conns.len() as u64;
        self.note(format_args!(
            "{conns:?} are held for {time} us towards {sides:?}"
        ));
        for conn in conns {
            self.hold(conn, sides, time);
        }
    }

    fn end_some_agent(&mut self) {
        let Some(agent) = self.random.index(self.agents.len()) else {
            return;
        };
        let away = match self.random.per_mille(300) {
            true => self.random.below(LONG_US),
            false => self.random.below(5 * SECOND),
        };
        match self.random.below(8) {
            0 => self.agent_input(agent, Input::Stop),
            1 => self.agent_input(agent, Input::Leave),
            kind => {
                self.counts.agent_crashes += 1;
                self.agent_died(agent, kind < 4, away);
            }
        }
    }

    fn pause_some(&mut self) {
        let Some(node) = self.some_node() else {
            return;
        };
        let time = match self.random.per_mille(500) {
            true => self.random.below(3 * SECOND),
            false => self.random.below(LONG_US),
        };
        if self.paused.contains_key(&node) {
            return;
        }
        self.counts.pauses += 1;
        self.note(format_args!("{node:?} pauses for {time} us"));
        self.paused.insert(node, Default::default());
        if let Node::Master(life) = node {
            self.master_pauses(life, time);
        }
        self.after(time, Event::Resume(node));
    }

    fn kill_some_executor(&mut self) {
        let mut all: Vec<(usize, ContainerId)> = Vec::new();
        for (agent, host) in self.agents.iter().enumerate() {
            all.extend(host.executors.keys().map(|id| (agent, id.clone())));
        }
        if let Some((agent, container)) = self.random.pick(&all).cloned() {
            self.kill_container(agent, &container, SECOND / 100);
        }
    }

    /// A wall clock is set, back or forth.
    fn jump(&mut self) {
        let skew = self.random_skew();
        if let Some(node) = self.some_node() {
            self.counts.clock_jumps += 1;
            self.note(format_args!("the clock of {node:?} is wrong by {skew} us"));
            self.skews.insert(node, skew);
        }
    }

    pub(super) fn random_skew(&mut self) -> i64 {
        if !self.options.has_faults {
            return 0;
        }
        let hour = 3600 * SECOND;
        let size = match self.random.below(3) {
            0 => 0,
            1 => self.random.below(SECOND),
            _ => self.random.below(2 * hour),
        };
        let size = i64::try_from(size).unwrap_or_default();
        match self.random.per_mille(500) {
            true => size,
            false => -size,
        }
    }

    /// Faults stop, everything is healed and started, and frameworks start nothing new.
    pub(super) fn calm_down(&mut self) {
        self.note(format_args!("all is calm"));
        self.is_calm = true;
        for conn in self.net.which(|_| true) {
            self.heal(conn);
        }
        for node in self.paused.keys().copied().collect::<Vec<_>>() {
            self.resume(node);
        }
        self.handle(Event::StartMaster);
        self.after(CALM_US, Event::Operate);
        for agent in 0..self.agents.len() {
            self.soon(SECOND, Event::StartAgent(agent));
        }
        for framework in 0..self.frameworks.len() {
            self.soon(SECOND, Event::StartFramework(framework));
        }
    }
}
