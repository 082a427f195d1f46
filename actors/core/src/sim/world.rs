//! The simulated world: the queue of what is to happen, who there is, and the run itself.
//! What each node does with an event is in the node's own file.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Options;
use super::agents::AgentHost;
use super::counts::Counts;
use super::election::Election;
use super::events::{Event, Line, Node};
use super::frameworks::FrameworkHost;
use super::history::History;
use super::masters::{MasterProcess, Store};
use super::net::{Net, Side};
use super::random::Random;
use super::trace::Trace;
use crate::time::{Mono, Now, Wall};

/// Microseconds of a second.
pub(super) const SECOND: u64 = 1_000_000;

/// What the wall clocks show when a run starts: some time in 2020.
const WALL_START_US: u64 = 1_600_000_000 * SECOND;

/// What a clock of a process shows when it starts.
const MONO_START_US: u64 = SECOND;

/// Time after the faults within which the cluster must be whole again: what the longest of its
/// timeouts and retries take together.
const HEALING_US: u64 = 30 * 60 * SECOND;

/// Events of a run; more are a loop.
const MAX_STEPS: u64 = 20_000_000;

/// The clock of one process: monotonic from its start, and a wall clock that may be wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started_us: u64,
}

impl Clock {
    pub(super) fn start(at_us: u64) -> Self {
        Clock { started_us: at_us }
    }

    /// The world's time of a deadline.
    pub(super) fn world_time(self, deadline: Mono) -> u64 {
        (deadline.0 + self.started_us).saturating_sub(MONO_START_US)
    }
}

/// Everything there is.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) counts: Counts,
    /// What a checker found.
    pub(super) failure: Option<String>,
    pub(super) now_us: u64,
    queue: BTreeMap<(u64, u64, u64), Event>,
    scheduled: u64,
    /// When the last message of each line of the master arrives.
    lines: BTreeMap<Line, u64>,
    pub(super) net: Net,
    /// Nodes that handle nothing for the time being, and what waits for them.
    pub(super) paused: BTreeMap<Node, VecDeque<Event>>,
    /// By how much wall clocks are wrong, in microseconds.
    pub(super) skews: BTreeMap<Node, i64>,
    /// Masters that run, by their life: the leader, and older ones that do not know of it.
    pub(super) masters: BTreeMap<u64, MasterProcess>,
    pub(super) election: Election,
    pub(super) store: Store,
    pub(super) agents: Vec<AgentHost>,
    pub(super) frameworks: Vec<FrameworkHost>,
    pub(super) history: History,
    /// Faults have stopped: frameworks start nothing new.
    pub(super) is_calm: bool,
    /// What operators have done since.
    pub(super) calm_steps: u64,
    /// Numbers for whatever needs one.
    numbers: u64,
    /// Inputs after which the cores' state could have been checked.
    pub(super) checks: u64,
    /// Chances for sabotage so far.
    pub(super) chances: u64,
    /// Longest time between two faults.
    pub(super) fault_us: u64,
    /// Longest time between two acts of a framework.
    pub(super) pace_us: u64,
    /// Longest time between two acts of an operator.
    pub(super) operate_us: u64,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut random = Random::new(seed);
        let agents = random.between(2, 4);
        let frameworks = random.between(1, 4);
        let fault_us = SECOND * random.pick(&[3, 10, 60]).copied().unwrap_or(60);
        let operate_us = SECOND * random.pick(&[10, 30, 120]).copied().unwrap_or(120);
        let pace_us = SECOND * random.pick(&[2, 8]).copied().unwrap_or(8);
        let mut world = World {
            options,
            random,
            trace: Trace::new(),
            counts: Counts::default(),
            failure: None,
            now_us: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            lines: BTreeMap::new(),
            net: Net::default(),
            paused: BTreeMap::new(),
            skews: BTreeMap::new(),
            masters: BTreeMap::new(),
            election: Election::default(),
            store: Store::default(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            history: History::default(),
            is_calm: false,
            calm_steps: 0,
            numbers: 0,
            checks: 0,
            chances: 0,
            fault_us,
            pace_us,
            operate_us,
        };
        world.set_up(agents, frameworks);
        world
    }

    fn set_up(&mut self, agents: u64, frameworks: u64) {
        self.store = Store::new(&mut self.random);
        self.election = Election::new(&mut self.random);
        for index in 0..agents {
            let host = AgentHost::new(index, &mut self.random);
            self.agents.push(host);
        }
        for index in 0..frameworks {
            let most = if self.options.has_faults { 3 } else { 1 };
            let lines = 1 + self.random.index(most).unwrap_or(0);
            let host = FrameworkHost::new(index, lines, &mut self.random);
            self.frameworks.push(host);
        }
        self.soon(SECOND, Event::StartMaster);
        for index in 0..self.agents.len() {
            self.soon(5 * SECOND, Event::StartAgent(index));
        }
        for index in 0..self.frameworks.len() {
            self.soon(20 * SECOND, Event::StartFramework(index));
        }
        if self.options.has_faults {
            self.after(20 * SECOND, Event::Fault);
        }
        self.after(10 * SECOND, Event::Operate);
    }

    /// Runs to the end, or until a checker finds something.
    pub(super) fn run(&mut self) {
        let busy = micros(self.options.busy);
        self.run_until(busy);
        self.calm_down();
        self.run_until(busy.saturating_add(HEALING_US));
        if self.failure.is_none() {
            self.check_quiet();
        }
    }

    pub(super) fn run_until(&mut self, end_us: u64) {
        while self.failure.is_none() {
            let first = self.queue.first_key_value().map(|((at, ..), _)| *at);
            if first.is_none_or(|at| at > end_us) {
                break;
            }
            let Some(((at, ..), event)) = self.queue.pop_first() else {
                break;
            };
            self.now_us = self.now_us.max(at);
            self.trace.step();
            if self.trace.steps() > MAX_STEPS {
                self.fail("the run does not come to an end".to_owned());
            }
            self.handle(event);
        }
        if self.failure.is_none() {
            self.now_us = self.now_us.max(end_us);
        }
    }

    /// Something is wrong; the first finding counts.
    pub(super) fn fail(&mut self, what: String) {
        let now = self.now_us;
        self.trace.line(now, format_args!("FAILED: {what}"));
        self.failure.get_or_insert(what);
    }

    /// One more line of the trace.
    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let now = self.now_us;
        self.trace.line(now, what);
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Has something happen at a time; what falls on the same time is in a random order.
    pub(super) fn at(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        let key = (at_us.max(self.now_us), self.random.number(), self.scheduled);
        self.queue.insert(key, event);
    }

    /// Has something happen so much later.
    pub(super) fn after(&mut self, delay_us: u64, event: Event) {
        self.at(self.now_us + delay_us, event);
    }

    /// Has something happen some time before so much has passed.
    pub(super) fn soon(&mut self, within_us: u64, event: Event) {
        let delay = self.random.below(within_us);
        self.after(delay, event);
    }

    /// Sends along a line of the master, which keeps the order.
    pub(super) fn along(&mut self, line: Line, event: Event) {
        let delay = match self.random.per_mille(20) {
            true => self.random.below(SECOND / 5),
            false => self.random.between(1, 500),
        };
        let last = self.lines.get(&line).copied().unwrap_or_default();
        let at = (self.now_us + delay).max(last + 1);
        self.lines.insert(line, at);
        self.at(at, event);
    }

    /// The time as a process of this node sees it.
    pub(super) fn now(&self, node: Node, clock: Clock) -> Now {
        let skew = self.skews.get(&node).copied().unwrap_or_default();
        let wall = (WALL_START_US + self.now_us).saturating_add_signed(skew);
        Now {
            mono: Mono(self.now_us - clock.started_us + MONO_START_US),
            wall: Wall(wall),
        }
    }

    /// Who is to handle an event; what nobody in particular handles is never held up.
    fn target(&self, event: &Event) -> Option<Node> {
        match event {
            Event::Arrive(conn, to) | Event::Closed(conn, to) => self.net.get(*conn)?.node(*to),
            Event::MasterTimer { life }
            | Event::ToMaster { life, .. }
            | Event::Commands { life, .. }
            | Event::AllocatorTimer { life }
            | Event::Apply { life, .. }
            | Event::Written { life }
            | Event::LearnExpired { life }
            | Event::Ping { life, .. } => Some(Node::Master(*life)),
            Event::Detect { node, .. } => Some(*node),
            Event::AgentTimer { agent, .. }
            | Event::ToAgent { agent, .. }
            | Event::DiskDone { agent, .. }
            | Event::Spawn { agent, .. }
            | Event::Repeat { agent, .. } => Some(Node::Agent(*agent)),
            Event::Dial { framework, .. }
            | Event::Act { framework, .. }
            | Event::Reconcile { framework, .. }
            | Event::Acknowledge { framework, .. } => Some(Node::Framework(*framework)),
            Event::Heal(_)
            | Event::Resume(_)
            | Event::StartMaster
            | Event::Expire { .. }
            | Event::Commit { .. }
            | Event::StartAgent(_)
            | Event::StartFramework(_)
            | Event::Executor { .. }
            | Event::Fault
            | Event::Ask
            | Event::Operate => None,
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        if !self.paused.is_empty()
            && let Some(node) = self.target(&event)
            && let Some(waiting) = self.paused.get_mut(&node)
        {
            waiting.push_back(event);
            return;
        }
        match event {
            Event::Arrive(conn, to) => self.arrive(conn, to),
            Event::Closed(conn, end) => self.learn_closed(conn, end),
            Event::Heal(conn) => self.heal(conn),
            Event::Resume(node) => self.resume(node),
            Event::StartMaster => self.start_master(),
            Event::Expire { life } => self.session_expires(life),
            Event::LearnExpired { life } => self.learn_expired(life),
            Event::Detect { node, leader } => self.detect(node, leader),
            Event::MasterTimer { life } => self.master_timer(life),
            Event::ToMaster { life, input } => self.master_input(life, *input),
            Event::Commands { life, commands } => self.allocator_commands(life, commands),
            Event::AllocatorTimer { life } => self.allocator_timer(life),
            Event::Apply {
                life,
                token,
                operation,
            } => self.registrar_apply(life, token, *operation),
            Event::Commit { life } => self.registrar_commits(life),
            Event::Written { life } => self.registrar_written(life),
            Event::Ping { life, link } => self.ping(life, link),
            Event::StartAgent(agent) => self.start_agent(agent),
            Event::AgentTimer { agent, life } => self.agent_timer(agent, life),
            Event::ToAgent { agent, life, input } => self.agent_gets(agent, life, *input),
            Event::DiskDone { agent, life } => self.disk_done(agent, life),
            Event::Spawn {
                agent,
                life,
                launch,
            } => self.spawn(agent, life, *launch),
            Event::Executor {
                agent,
                container,
                deed,
            } => self.executor_does(agent, &container, deed),
            Event::StartFramework(framework) => self.start_framework(framework),
            Event::Dial { framework, life } => self.dial(framework, life),
            Event::Act { framework, life } => self.act(framework, life),
            Event::Reconcile { framework, life } => self.reconcile(framework, life),
            Event::Acknowledge {
                framework,
                life,
                status,
            } => self.acknowledge(framework, life, &status),
            Event::Repeat {
                agent,
                life,
                conn,
                frame,
            } => {
                if self.is_alive(agent, life) {
                    self.agent_says(agent, conn, frame);
                }
            }
            Event::Fault => self.fault(),
            Event::Ask => self.ask_once(),
            Event::Operate => self.operate(),
        }
    }

    /// A paused node handles all that has waited for it.
    pub(super) fn resume(&mut self, node: Node) {
        let Some(waiting) = self.paused.remove(&node) else {
            return;
        };
        self.note(format_args!("{node:?} goes on after {}", waiting.len()));
        for event in waiting {
            self.handle(event);
        }
        if let Node::Master(life) = node {
            self.master_resumes(life);
        }
    }

    /// The end that was reached by this event, for both sides of all connections of a node.
    pub(super) fn ends_of(&self, node: Node) -> Vec<(super::net::ConnId, Side)> {
        let mut ends = Vec::new();
        for side in [Side::Client, Side::Server] {
            let own = self
                .net
                .which(|conn| conn.has(side) && conn.node(side) == Some(node));
            ends.extend(own.into_iter().map(|conn| (conn, side)));
        }
        ends
    }
}

/// A duration in the world's unit.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
