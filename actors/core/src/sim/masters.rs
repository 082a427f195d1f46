//! The leading master: its core, its allocator's core, its links and streams, as its skin has them.
//! Takes no decision; the cores do.

use std::collections::BTreeMap;
use std::time::Duration;

use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tepui_protocol::v1::{MasterInfo, scheduler};

use super::events::{Event, Line, Node, Parcel};
use super::net::{ConnId, Kind, Side};
use super::random::Random;
use super::registrar::Registrar;
use super::world::{Clock, SECOND, World, micros};
use crate::allocator::messages::{Command, Notice};
use crate::allocator::{Allocator, AllocatorConfig};
use crate::master::messages::{Effect, Input, LinkId, StreamId, Token};
use crate::master::{Master, MasterSettings};
use crate::registry::Registry;

/// Time from a change to the allocator's run.
const DEBOUNCE_US: u64 = 2_000;

/// Time that the end of a filter may wait for others.
const FILTER_SLACK_US: u64 = 50_000;

/// What all masters of a run share: the registry's store and the flags.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) rows: BTreeMap<String, Vec<u8>>,
    /// What the rows mean.
    pub(super) meant: Registry,
    pub(super) settings: MasterSettings,
    /// Share of the expected agents that a new master's allocator waits for.
    recovery_factor: f64,
    /// How long it waits at most.
    recovery_timeout: Duration,
}

impl Store {
    /// An empty registry and random flags.
    pub(super) fn new(random: &mut Random) -> Self {
        let seconds = Duration::from_secs;
        let settings = MasterSettings {
            offer_timeout: random
                .per_mille(300)
                .then(|| seconds(random.between(5, 60))),
            agent_reregister_timeout: seconds(*random.pick(&[60, 120, 600]).unwrap_or(&600)),
            max_unreachable_tasks_per_framework: 1000,
            max_completed_frameworks: 50,
            ..MasterSettings::default()
        };
        Store {
            rows: Store::first_rows(),
            meant: Registry::default(),
            settings,
            recovery_factor: 0.8,
            recovery_timeout: seconds(random.between(20, 600)),
        }
    }
}

/// Where a stream leads, and what is known of it.
#[derive(Debug)]
pub(super) struct Ping {
    pub(super) conn: ConnId,
    unanswered: u32,
    /// The agent was told that it is registered on this link.
    registered: bool,
}

/// One life of a master.
pub(super) struct MasterProcess {
    pub(super) life: u64,
    pub(super) clock: Clock,
    pub(super) core: Master,
    pub(super) allocator: Allocator,
    pub(super) registrar: Registrar,
    pub(super) links: BTreeMap<LinkId, Ping>,
    pub(super) streams: BTreeMap<StreamId, ConnId>,
    /// Who waits for an answer.
    replies: BTreeMap<Token, Option<ConnId>>,
    next_link: u64,
    timer: Option<u64>,
    allocator_timer: Option<u64>,
    /// When the oldest change that no run has seen arrived.
    changed: Option<u64>,
}

impl World {
    pub(super) fn is_leading(&self, life: u64) -> bool {
        self.master
            .as_ref()
            .is_some_and(|master| master.life == life)
    }

    pub(super) fn start_master(&mut self) {
        if self.master.is_some() {
            return;
        }
        let registry = match self.store.read() {
            Ok(registry) => registry,
            Err(error) => return self.fail(error),
        };
        self.masters += 1;
        let life = self.masters;
        let clock = Clock::start(self.now_us);
        let info = MasterInfo {
            id: format!("M{life}"),
            ip: 1,
            port: 5050,
            ..MasterInfo::default()
        };
        let config = AllocatorConfig {
            agent_recovery_factor: self.store.recovery_factor,
            recovery_timeout: self.store.recovery_timeout,
            seed: self.random.seed(),
            ..AllocatorConfig::default()
        };
        let now = self.now(Node::Master, clock);
        self.master = Some(MasterProcess {
            life,
            clock,
            core: Master::new(self.store.settings.clone(), info, now),
            allocator: Allocator::new(config),
            registrar: Registrar::new(registry.clone()),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_link: 1,
            timer: None,
            allocator_timer: None,
            changed: None,
        });
        self.note(format_args!("master {life} starts"));
        self.history.new_master();
        let input = Box::new(Input::Recovered(Box::new(registry)));
        self.along(Line::FromRegistrar, Event::ToMaster { life, input });
    }

    /// The master's process ends; another follows, on this machine or another.
    pub(super) fn master_died(&mut self, why: &str) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        self.note(format_args!("master {} dies: {why}", master.life));
        self.counts.master_crashes += 1;
        master.registrar.crash(&mut self.store, &mut self.random);
        self.paused.remove(&Node::Master);
        let silently = self.random.per_mille(200);
        self.drop_ends(Node::Master, silently);
        let skew = self.random_skew();
        self.skews.insert(Node::Master, skew);
        self.soon(30 * SECOND, Event::StartMaster);
    }

    /// Hands the master an input, does what it wants, and looks at what is cheap to look at.
    pub(super) fn master_input(&mut self, input: Input) {
        let Some(clock) = self.master.as_ref().map(|master| master.clock) else {
            return;
        };
        let now = self.now(Node::Master, clock);
        let mut effects = Vec::new();
        if let Some(master) = &mut self.master {
            master.core.handle(now, input, &mut effects);
        }
        self.master_effects(effects);
        self.check_master();
        self.arm_master();
    }

    fn master_effects(&mut self, effects: Vec<Effect>) {
        let mut commands = Vec::new();
        for effect in effects {
            let Some(life) = self.master.as_ref().map(|master| master.life) else {
                return;
            };
            match effect {
                Effect::ToAgent(link, message) => self.tell_agent(link, message),
                Effect::CloseLink(link) => {
                    let gone = self.master.as_mut().and_then(|m| m.links.remove(&link));
                    if let Some(ping) = gone {
                        self.hang_up(ping.conn, Side::Server);
                    }
                }
                Effect::ToFramework(stream, event) => self.tell_framework(&stream, event),
                // Said once more than so many tasks are there; no framework here has as many.
                Effect::NotifyDrained(_) => self.fail("very many tasks".to_owned()),
                Effect::CloseStream(stream) => {
                    let gone = self.master.as_mut().and_then(|m| m.streams.remove(&stream));
                    if let Some(conn) = gone {
                        self.hang_up(conn, Side::Server);
                    }
                }
                Effect::ToAllocator(command) => self.sabotaged_command(command, &mut commands),
                Effect::Apply(token, operation) => {
                    self.note(format_args!(
                        "registrar: {}",
                        super::view::shown(&operation)
                    ));
                    let operation = Box::new(operation);
                    self.along(
                        Line::ToRegistrar,
                        Event::Apply {
                            life,
                            token,
                            operation,
                        },
                    );
                }
                Effect::Reply(token, answer) => {
                    let reply = self.master.as_mut().and_then(|m| m.replies.remove(&token));
                    match reply {
                        Some(Some(conn)) => self.send(conn, Side::Client, Parcel::Answer(answer)),
                        Some(None) => {}
                        None => self.fail(format!("{token:?} is answered twice: {answer:?}")),
                    }
                }
                Effect::Exit(why) => return self.fail(format!("the master gives up: {why}")),
            }
        }
        if let Some(life) = self.master.as_ref().map(|master| master.life)
            && !commands.is_empty()
        {
            self.along(Line::ToAllocator, Event::Commands { life, commands });
        }
    }

    fn tell_agent(&mut self, link: LinkId, message: Box<MasterToAgent>) {
        self.check_told_agent(&message);
        let Some(message) = self.sabotaged_order(message) else {
            return;
        };
        let Some(ping) = self.master.as_mut().and_then(|m| m.links.get_mut(&link)) else {
            return;
        };
        ping.registered |= matches!(
            *message,
            MasterToAgent::Registered { .. } | MasterToAgent::Reregistered { .. }
        );
        let conn = ping.conn;
        self.note(format_args!(
            "M > {link:?}: {}",
            super::view::order(&message)
        ));
        self.send(conn, Side::Client, Parcel::ToAgent(message));
    }

    fn tell_framework(&mut self, stream: &StreamId, event: Box<scheduler::Event>) {
        let conn = self
            .master
            .as_ref()
            .and_then(|m| m.streams.get(stream).copied());
        if let Some(conn) = conn {
            self.note(format_args!(
                "M > {}: {}",
                stream.0,
                super::view::event(&event)
            ));
            self.send(conn, Side::Client, Parcel::Event(event));
        }
    }

    fn arm_master(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        let Some(deadline) = master.core.next_deadline() else {
            return;
        };
        let at = master.clock.world_time(deadline).max(self.now_us);
        if master.timer.is_none_or(|armed| armed > at) {
            master.timer = Some(at);
            let life = master.life;
            self.at(at, Event::MasterTimer { life });
        }
    }

    pub(super) fn master_timer(&mut self, life: u64) {
        if !self.is_leading(life) {
            return;
        }
        let Some(master) = &mut self.master else {
            return;
        };
        if master.timer.is_none_or(|armed| armed > self.now_us) {
            return;
        }
        master.timer = None;
        let (clock, deadline) = (master.clock, master.core.next_deadline());
        let now = self.now(Node::Master, clock);
        match deadline {
            Some(deadline) if deadline <= now.mono => self.master_input(Input::Tick),
            Some(_) | None => self.arm_master(),
        }
    }

    pub(super) fn allocator_commands(&mut self, life: u64, commands: Vec<Command>) {
        if !self.is_leading(life) {
            return;
        }
        let Some(clock) = self.master.as_ref().map(|master| master.clock) else {
            return;
        };
        let now = self.now(Node::Master, clock);
        for command in commands {
            self.history.follow_quota(&command);
            let notice = self
                .master
                .as_mut()
                .and_then(|master| master.allocator.apply(now, command));
            if let Some(Notice::Transformed { token, result }) = notice {
                let input = Box::new(Input::Transformed { token, result });
                self.along(Line::FromAllocator, Event::ToMaster { life, input });
            }
        }
        self.check_allocator();
        if let Some(master) = &mut self.master
            && master.allocator.wants_run()
        {
            master.changed.get_or_insert(self.now_us);
        }
        self.arm_allocator();
    }

    fn arm_allocator(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        let filter = master.allocator.next_deadline();
        let filter = filter.map(|end| master.clock.world_time(end) + FILTER_SLACK_US);
        let changed = master.changed.map(|at| at + DEBOUNCE_US);
        let Some(at) = [changed, filter].into_iter().flatten().min() else {
            return;
        };
        let at = at.max(self.now_us);
        if master.allocator_timer.is_none_or(|armed| armed > at) {
            master.allocator_timer = Some(at);
            let life = master.life;
            self.at(at, Event::AllocatorTimer { life });
        }
    }

    pub(super) fn allocator_timer(&mut self, life: u64) {
        if !self.is_leading(life) {
            return;
        }
        let Some(master) = &mut self.master else {
            return;
        };
        if master
            .allocator_timer
            .is_none_or(|armed| armed > self.now_us)
        {
            return;
        }
        master.allocator_timer = None;
        master.changed = None;
        let clock = master.clock;
        let now = self.now(Node::Master, clock);
        let Some(master) = &mut self.master else {
            return;
        };
        let proposals = master.allocator.allocate(now);
        self.check_allocator();
        self.check_proposals(&proposals.offers);
        if !proposals.offers.is_empty() {
            let input = Box::new(Input::Proposed(proposals.offers));
            self.along(Line::FromAllocator, Event::ToMaster { life, input });
        }
        if !proposals.inverse_offers.is_empty() {
            let input = Box::new(Input::ProposedInverse(proposals.inverse_offers));
            self.along(Line::FromAllocator, Event::ToMaster { life, input });
        }
        self.arm_allocator();
    }

    /// An agent's connection was accepted.
    pub(super) fn link_opened(&mut self, conn: ConnId, agent: usize) {
        let peer_ip = self.agents.get(agent).map(|host| host.ip.clone());
        let Some(master) = &mut self.master else {
            return;
        };
        let (life, link) = (master.life, LinkId(master.next_link));
        master.next_link += 1;
        let ping = Ping {
            conn,
            unanswered: 0,
            registered: false,
        };
        master.links.insert(link, ping);
        if let Some(known) = self.net.get_mut(conn)
            && let Kind::Link { link: slot, .. } = &mut known.kind
        {
            *slot = Some(link);
        }
        let info = master.core.snapshot().master;
        let hello = MasterToAgent::Hello {
            epoch: link.0,
            master: MasterInfo::clone(&info).into(),
        };
        let interval = self.store.settings.agent_ping_timeout;
        self.send(conn, Side::Client, Parcel::ToAgent(Box::new(hello)));
        self.note(format_args!("{link:?} is of agent {agent}"));
        let peer_ip = peer_ip.unwrap_or_default();
        self.master_input(Input::LinkOpened { link, peer_ip });
        self.after(micros(interval), Event::Ping { life, link });
    }

    pub(super) fn master_hears(
        &mut self,
        conn: ConnId,
        link: Option<LinkId>,
        frame: Frame<AgentToMaster>,
    ) {
        let Some(link) = link else {
            return self.fail(format!("a frame before {conn:?} was opened"));
        };
        let Some(ping) = self.master.as_mut().and_then(|m| m.links.get_mut(&link)) else {
            return;
        };
        ping.unanswered = 0;
        if frame.epoch != link.0 || frame.body == AgentToMaster::Pong {
            return;
        }
        let message = Box::new(frame.body);
        self.note(format_args!(
            "{link:?} > M: {}",
            super::view::said(&message)
        ));
        self.master_input(Input::FromAgent { link, message });
    }

    pub(super) fn master_lost_link(&mut self, life: u64, link: Option<LinkId>) {
        let Some(link) = link.filter(|_| self.is_leading(life)) else {
            return;
        };
        if let Some(master) = &mut self.master {
            master.links.remove(&link);
        }
        self.note(format_args!("{link:?} is closed"));
        self.master_input(Input::LinkClosed { link });
    }

    pub(super) fn ping(&mut self, life: u64, link: LinkId) {
        if !self.is_leading(life) {
            return;
        }
        let most = self.store.settings.max_agent_ping_timeouts;
        let interval = micros(self.store.settings.agent_ping_timeout);
        let Some(ping) = self.master.as_mut().and_then(|m| m.links.get_mut(&link)) else {
            return;
        };
        let is_unresponsive = ping.unanswered > 0 && ping.unanswered == most;
        ping.unanswered += 1;
        let (conn, connected) = (ping.conn, ping.registered);
        let message = Box::new(MasterToAgent::Ping { connected });
        self.send(conn, Side::Client, Parcel::ToAgent(message));
        self.after(interval, Event::Ping { life, link });
        if is_unresponsive {
            self.counts.unresponsive += 1;
            self.note(format_args!("{link:?} does not answer"));
            self.master_input(Input::LinkUnresponsive { link });
        }
    }

    pub(super) fn master_subscribes(
        &mut self,
        conn: ConnId,
        subscribe: scheduler::call::Subscribe,
    ) {
        let stream = StreamId(format!("s{}", self.number()).into());
        let Some(master) = &mut self.master else {
            return;
        };
        master.streams.insert(stream.clone(), conn);
        if let Some(known) = self.net.get_mut(conn)
            && let Kind::Stream { stream: slot, .. } = &mut known.kind
        {
            *slot = Some(stream.clone());
        }
        self.send(conn, Side::Client, Parcel::Streaming(stream.clone()));
        self.master_input(Input::Subscribe {
            stream,
            subscribe: Box::new(subscribe),
            principal: None,
        });
    }

    pub(super) fn master_lost_stream(&mut self, life: u64, stream: Option<StreamId>) {
        let Some(stream) = stream.filter(|_| self.is_leading(life)) else {
            return;
        };
        if let Some(master) = &mut self.master {
            master.streams.remove(&stream);
        }
        self.note(format_args!("stream {} is closed", stream.0));
        self.master_input(Input::StreamClosed { stream });
    }

    pub(super) fn master_called(&mut self, conn: ConnId, call: scheduler::Call, stream: &StreamId) {
        let reply = self.expect_reply(Some(conn));
        self.note(format_args!(
            "{} > M: {}",
            stream.0,
            super::view::call(&call)
        ));
        self.master_input(Input::Call {
            call: Box::new(call),
            stream: Some(stream.0.to_string()),
            principal: None,
            reply,
        });
    }

    /// A token for an answer; without a connection, nobody hears it.
    pub(super) fn expect_reply(&mut self, conn: Option<ConnId>) -> Token {
        let token = Token(self.number());
        if let Some(master) = &mut self.master {
            master.replies.insert(token, conn);
        }
        token
    }

    /// Whether nothing is under way inside the master.
    pub(super) fn is_master_idle(&self) -> bool {
        self.master
            .as_ref()
            .is_some_and(|master| master.registrar.is_idle() && master.changed.is_none())
    }
}
