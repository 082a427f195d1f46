//! Frameworks: what each is, what it remembers, and its connections to the master.
//! What it does on its own is in `framework_acts`, what it hears in `framework_hears`.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::framework_info::capability;
use tepui_protocol::v1::{ExecutorInfo, Offer, TaskState};

use super::events::{Event, Node, Parcel};
use super::framework_calls::CallLine;
use super::framework_info::Wanted;
use super::net::{ConnId, Kind, Side};
use super::random::Random;
use super::world::{SECOND, World};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::master::messages::StreamId;
use crate::resources::Format;
use crate::validation::framework::has_capability;

/// What a framework remembers of a task; it survives the framework's process.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) agent: AgentId,
    /// Of the last status.
    pub(super) state: TaskState,
    /// It has ended, or is given up, as far as the framework knows.
    pub(super) is_over: bool,
    /// It is to be killed.
    pub(super) is_killed: bool,
}

/// A framework.
#[derive(Debug)]
pub(super) struct FrameworkHost {
    pub(super) wanted: Wanted,
    /// Connections over which it makes calls.
    lines: usize,
    pub(super) id: Option<FrameworkId>,
    pub(super) lives: u64,
    pub(super) process: Option<FrameworkProcess>,
    pub(super) tasks: BTreeMap<TaskId, Known>,
    /// Operations whose end it has not heard, and where they are carried out.
    pub(super) operations: BTreeMap<String, AgentId>,
    /// It was torn down, or is to be.
    pub(super) is_leaving: bool,
    /// It will not come back.
    pub(super) is_gone: bool,
}

/// One life of a framework's process.
#[derive(Debug)]
pub(super) struct FrameworkProcess {
    pub(super) life: u64,
    pub(super) stream: Option<ConnId>,
    pub(super) calls: Vec<CallLine>,
    pub(super) stream_id: Option<StreamId>,
    pub(super) is_subscribed: bool,
    pub(super) offers: BTreeMap<OfferId, Offer>,
    pub(super) inverse_offers: BTreeSet<OfferId>,
    /// Its own executors that should run, by agent.
    pub(super) executors: BTreeMap<(AgentId, ExecutorId), ExecutorInfo>,
}

impl FrameworkHost {
    pub(super) fn new(index: u64, lines: usize, random: &mut Random) -> Self {
        FrameworkHost {
            wanted: Wanted::new(index, random),
            lines,
            id: None,
            lives: 0,
            process: None,
            tasks: BTreeMap::new(),
            operations: BTreeMap::new(),
            is_leaving: false,
            is_gone: false,
        }
    }
}

impl World {
    pub(super) fn framework_process(&mut self, framework: usize) -> Option<&mut FrameworkProcess> {
        self.frameworks.get_mut(framework)?.process.as_mut()
    }

    pub(super) fn is_capable(&self, framework: usize, of: capability::Type) -> bool {
        let host = self.frameworks.get(framework);
        host.is_some_and(|host| has_capability(&host.wanted.info, of))
    }

    /// How a framework writes resources, and reads them.
    pub(super) fn format_of(&self, framework: usize) -> Format {
        match self.is_capable(framework, capability::Type::ReservationRefinement) {
            true => Format::PostRefinement,
            false => Format::PreRefinement,
        }
    }

    /// Whether this life of a framework still lasts.
    pub(super) fn is_running(&self, framework: usize, life: u64) -> bool {
        let host = self.frameworks.get(framework);
        host.and_then(|host| host.process.as_ref())
            .is_some_and(|process| process.life == life)
    }

    pub(super) fn start_framework(&mut self, framework: usize) {
        let Some(host) = self
            .frameworks
            .get_mut(framework)
            .filter(|host| host.process.is_none() && !host.is_gone)
        else {
            return;
        };
        host.lives += 1;
        let life = host.lives;
        host.process = Some(FrameworkProcess {
            life,
            stream: None,
            calls: Vec::new(),
            stream_id: None,
            is_subscribed: false,
            offers: BTreeMap::new(),
            inverse_offers: BTreeSet::new(),
            executors: BTreeMap::new(),
        });
        self.note(format_args!("framework {framework} starts its life {life}"));
        self.ask_for_leader(Node::Framework(framework));
        self.soon(SECOND, Event::Dial { framework, life });
        self.soon(5 * SECOND, Event::Act { framework, life });
        self.soon(60 * SECOND, Event::Reconcile { framework, life });
    }

    /// A framework's process ends; what it remembers of its tasks is stored elsewhere.
    pub(super) fn framework_died(&mut self, framework: usize, silently: bool) {
        let Some(host) = self
            .frameworks
            .get_mut(framework)
            .filter(|host| host.process.is_some())
        else {
            return;
        };
        host.process = None;
        self.counts.framework_crashes += 1;
        self.note(format_args!("framework {framework} dies"));
        self.paused.remove(&Node::Framework(framework));
        self.drop_ends(Node::Framework(framework), silently);
        let away = self.random.below(60 * SECOND);
        self.after(away, Event::StartFramework(framework));
    }

    /// A framework connects and subscribes.
    pub(super) fn dial(&mut self, framework: usize, life: u64) {
        if !self.is_running(framework, life) {
            return;
        }
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let connected = host.process.as_ref().is_some_and(|p| p.stream.is_some());
        if connected || host.is_gone {
            return;
        }
        let subscribe = Box::new(host.wanted.subscribe(host.id.as_ref()));
        let lines = host.lines;
        let heard = self.election.heard_by(Node::Framework(framework));
        let Some(leader) = heard.filter(|life| self.masters.contains_key(life)) else {
            return self.soon(5 * SECOND, Event::Dial { framework, life });
        };
        let stream = self.connect(
            Kind::Stream {
                framework,
                stream: None,
            },
            leader,
        );
        let calls = (0..lines).map(|_| self.new_line(framework, leader));
        let calls: Vec<CallLine> = calls.collect();
        if let Some(process) = self.framework_process(framework) {
            process.stream = Some(stream);
            process.calls = calls;
        }
        self.send(stream, Side::Server, Parcel::Subscribe(subscribe));
    }

    pub(super) fn streaming(&mut self, framework: usize, stream: StreamId) {
        if let Some(process) = self.framework_process(framework) {
            process.stream_id = Some(stream);
        }
    }

    /// One of its connections is gone. Without its stream it subscribes anew.
    pub(super) fn framework_lost(&mut self, framework: usize, conn: ConnId) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        if process.stream == Some(conn) {
            self.resubscribe(framework);
        } else if process.calls.iter().any(|line| line.conn == conn) {
            self.line_lost(framework, conn);
        }
    }

    pub(super) fn resubscribe(&mut self, framework: usize) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let life = process.life;
        let calls = std::mem::take(&mut process.calls).into_iter();
        let conns: Vec<ConnId> = calls
            .map(|line| line.conn)
            .chain(process.stream.take())
            .collect();
        process.stream_id = None;
        process.is_subscribed = false;
        process.offers.clear();
        process.inverse_offers.clear();
        for conn in conns {
            self.hang_up(conn, Side::Client);
        }
        self.counts.resubscriptions += 1;
        self.soon(5 * SECOND, Event::Dial { framework, life });
    }
}
