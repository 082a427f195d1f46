//! The election of masters as ZooKeeper holds it, and what every node has heard of it.
//! Knows nothing of what a leader does.

use std::collections::{BTreeMap, BTreeSet};

use super::events::{Event, Node};
use super::random::Random;
use super::world::{SECOND, World};
use crate::agent::messages::Input;

/// Silence after which ZooKeeper gives a master up.
pub(super) const SESSION_US: u64 = 10 * SECOND;

/// Longest time that a master goes on after its session is over, not counting pauses: its own
/// clock tells it, but it may be slow, and its timers late.
const OVERLAP_US: u64 = 12 * SECOND;

/// Who leads, and who believes what.
#[derive(Debug, Default)]
pub(super) struct Election {
    /// The master whose session lasts. Everybody will hear of it.
    pub(super) leader: Option<u64>,
    /// Masters so far; each is elected once, and its number is its epoch.
    pub(super) terms: u64,
    /// There are other masters, so one that ZooKeeper does not hear is replaced.
    has_others: bool,
    /// Masters that were given up and do not know it yet.
    over: BTreeSet<u64>,
    /// The leader as each agent and framework has heard last.
    heard: BTreeMap<Node, u64>,
}

impl Election {
    pub(super) fn new(random: &mut Random) -> Self {
        Election {
            has_others: random.per_mille(700),
            ..Election::default()
        }
    }

    /// Whom a node would connect to.
    pub(super) fn heard_by(&self, node: Node) -> Option<u64> {
        self.heard.get(&node).copied()
    }
}

impl World {
    /// A master begins to lead, and all are told, some of them late.
    pub(super) fn elected(&mut self, life: u64) {
        self.election.leader = Some(life);
        if self.masters.len() > 1 {
            self.counts.overlaps += 1;
            self.note(format_args!("master {life} is not the only one"));
            self.strain();
        }
        let agents = (0..self.agents.len()).map(Node::Agent);
        let frameworks = (0..self.frameworks.len()).map(Node::Framework);
        for node in agents.chain(frameworks).collect::<Vec<_>>() {
            let delay = match self.random.below(10) {
                0 if self.options.has_faults => self.random.below(30 * SECOND),
                1..=3 => self.random.below(5 * SECOND),
                _ => self.random.below(SECOND / 5),
            };
            self.after(delay, Event::Detect { node, leader: life });
        }
    }

    /// What makes two masters at a time interesting: an operator asks one of them for something,
    /// and agents and frameworks that lose a connection meet the older one again.
    fn strain(&mut self) {
        self.soon(OVERLAP_US, Event::Ask);
        for conn in self.net.which(|conn| !conn.is_broken) {
            if self.options.has_faults && self.random.per_mille(150) {
                self.break_conn(conn);
            }
        }
    }

    /// A node that starts asks who leads.
    pub(super) fn ask_for_leader(&mut self, node: Node) {
        match self.election.leader {
            Some(leader) => self.election.heard.insert(node, leader),
            None => self.election.heard.remove(&node),
        };
    }

    /// A node hears of a leader: whatever it has with an older one is over.
    pub(super) fn detect(&mut self, node: Node, leader: u64) {
        if self.election.heard_by(node).is_some_and(|it| it >= leader) {
            return;
        }
        self.election.heard.insert(node, leader);
        self.note(format_args!("{node:?} hears that master {leader} leads"));
        match node {
            Node::Agent(agent) => {
                if self.agent_process(agent).is_some() {
                    self.agent_input(agent, Input::MasterChanged);
                }
            }
            Node::Framework(framework) => self.resubscribe(framework),
            Node::Master(_) => {}
        }
    }

    /// A paused master is not heard of by ZooKeeper.
    pub(super) fn master_pauses(&mut self, life: u64, for_us: u64) {
        if self.election.has_others && for_us > SESSION_US {
            self.after(SESSION_US, Event::Expire { life });
        }
    }

    /// The pause of a master has lasted as long as its session, unless it is over already.
    pub(super) fn session_expires(&mut self, life: u64) {
        if self.paused.contains_key(&Node::Master(life)) {
            self.give_up_master(life);
        }
    }

    /// The leader is cut off from ZooKeeper, and only from that.
    pub(super) fn cut_off(&mut self) {
        if let Some(life) = self.election.leader.filter(|_| self.election.has_others) {
            self.give_up_master(life);
        }
    }

    fn give_up_master(&mut self, life: u64) {
        if self.election.leader != Some(life) {
            return;
        }
        self.note(format_args!("the session of master {life} is over"));
        self.election.leader = None;
        self.election.over.insert(life);
        self.soon(2 * SECOND, Event::StartMaster);
        self.soon(OVERLAP_US, Event::LearnExpired { life });
    }

    /// A master learns that it leads no more, and ends; one that was paused needs a moment.
    pub(super) fn learn_expired(&mut self, life: u64) {
        self.master_died(life, "its session is over");
    }

    /// What a master that was given up while it was paused still has to learn.
    pub(super) fn master_resumes(&mut self, life: u64) {
        if self.election.over.contains(&life) {
            self.soon(OVERLAP_US, Event::LearnExpired { life });
        }
    }

    /// A master is gone; another one is elected.
    pub(super) fn master_is_gone(&mut self, life: u64) {
        self.election.over.remove(&life);
        if self.election.leader == Some(life) {
            self.election.leader = None;
            self.soon(30 * SECOND, Event::StartMaster);
        }
    }
}
