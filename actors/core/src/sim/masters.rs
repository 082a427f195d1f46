//! Masters: the core of each and its allocator's, and what its skin does for them.
//! Takes no decision; the cores do. Links and streams are in `master_wires`.

use std::collections::BTreeMap;
use std::time::Duration;

use tepui_protocol::v1::MasterInfo;

use super::agents::{MASTER_REGION, in_region};
use super::events::{Event, Line, Node, Parcel};
use super::net::{ConnId, Side};
use super::random::Random;
use super::registrar::Registrar;
use super::world::{Clock, World};
use crate::allocator::messages::{Command, Notice};
use crate::allocator::{Allocator, AllocatorConfig};
use crate::ids::{AgentId, Role};
use crate::master::messages::{Effect, Input, LinkId, StreamId, Token};
use crate::master::{Master, MasterSettings};
use crate::quota::Quota;
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
    /// The master that has read the rows last: no older one can write any more.
    pub(super) owner: u64,
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
            agent_removal_rate_limit: random
                .per_mille(300)
                .then(|| seconds(random.between(1, 60))),
            mass_removal_limit: *random.pick(&[10.0, 50.0, 100.0]).unwrap_or(&50.0),
            ..MasterSettings::default()
        };
        Store {
            rows: Store::first_rows(),
            meant: Registry::default(),
            owner: 0,
            settings,
            recovery_factor: 0.8,
            recovery_timeout: seconds(random.between(20, 600)),
        }
    }
}

/// Where a link leads, and what is known of it.
#[derive(Debug)]
pub(super) struct Ping {
    pub(super) conn: ConnId,
    pub(super) unanswered: u32,
    /// The master was told that it does not answer.
    pub(super) is_given_up: bool,
    /// The agent was told that it is registered on this link.
    pub(super) registered: bool,
    /// Who the agent said last that it is; it may have become another one since.
    pub(super) named: Option<AgentId>,
}

/// One life of a master.
pub(super) struct MasterProcess {
    pub(super) clock: Clock,
    pub(super) core: Master,
    pub(super) allocator: Allocator,
    pub(super) registrar: Registrar,
    pub(super) links: BTreeMap<LinkId, Ping>,
    pub(super) streams: BTreeMap<StreamId, ConnId>,
    /// Who waits for an answer.
    replies: BTreeMap<Token, Option<ConnId>>,
    /// Quotas as its allocator knows them.
    pub(super) quotas: BTreeMap<Role, Quota>,
    pub(super) next_link: u64,
    timer: Option<u64>,
    allocator_timer: Option<u64>,
    /// When the oldest change that no run has seen arrived.
    changed: Option<u64>,
}

impl MasterProcess {
    /// Whether nothing is under way inside.
    pub(super) fn is_idle(&self) -> bool {
        self.registrar.is_idle() && self.changed.is_none()
    }

    /// Remembers what the allocator is told of quotas.
    fn follow_quota(&mut self, command: &Command) {
        match command {
            Command::SetQuota { role, quota } => {
                self.quotas.insert(role.clone(), quota.clone());
            }
            Command::Recover { quotas, .. } => self.quotas = quotas.iter().cloned().collect(),
            _ => {}
        }
    }
}

impl World {
    /// A master is elected, and reads the registry: from now on no older one can write it.
    pub(super) fn start_master(&mut self) {
        if self.election.leader.is_some() {
            return;
        }
        let registry = match self.store.read() {
            Ok(registry) => registry,
            Err(error) => return self.fail(error),
        };
        self.election.terms += 1;
        let life = self.election.terms;
        self.store.owner = life;
        let clock = Clock::start(self.now_us);
        let info = MasterInfo {
            id: format!("M{life}"),
            ip: 1,
            port: 5050,
            domain: Some(in_region(MASTER_REGION)),
            ..MasterInfo::default()
        };
        let config = AllocatorConfig {
            agent_recovery_factor: self.store.recovery_factor,
            recovery_timeout: self.store.recovery_timeout,
            seed: self.random.seed(),
            master_region: Some(MASTER_REGION.to_owned()),
            ..AllocatorConfig::default()
        };
        let skew = self.random_skew();
        self.skews.insert(Node::Master(life), skew);
        let now = self.now(Node::Master(life), clock);
        let master = MasterProcess {
            clock,
            core: Master::new(self.store.settings.clone(), info, now),
            allocator: Allocator::new(config),
            registrar: Registrar::new(registry.clone()),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            replies: BTreeMap::new(),
            quotas: BTreeMap::new(),
            next_link: 1,
            timer: None,
            allocator_timer: None,
            changed: None,
        };
        self.masters.insert(life, master);
        self.note(format_args!("master {life} starts"));
        self.elected(life);
        let input = Box::new(Input::Recovered(Box::new(registry)));
        self.along(Line::FromRegistrar, Event::ToMaster { life, input });
    }

    /// A master's process ends; another is elected, on this machine or another.
    pub(super) fn master_died(&mut self, life: u64, why: &str) {
        let Some(mut master) = self.masters.remove(&life) else {
            return;
        };
        self.note(format_args!("master {life} dies: {why}"));
        self.counts.master_crashes += 1;
        if let Err(error) = master
            .registrar
            .crash(life, &mut self.store, &mut self.random)
        {
            return self.fail(error);
        }
        self.paused.remove(&Node::Master(life));
        self.skews.remove(&Node::Master(life));
        let silently = self.random.per_mille(200);
        self.drop_ends(Node::Master(life), silently);
        self.master_is_gone(life);
    }

    /// Hands a master an input, does what it wants, and looks at what is cheap to look at.
    pub(super) fn master_input(&mut self, life: u64, input: Input) {
        let Some(clock) = self.masters.get(&life).map(|master| master.clock) else {
            return;
        };
        if self.is_outdated(life) {
            self.counts.outdated_inputs += 1;
        }
        let now = self.now(Node::Master(life), clock);
        let mut effects = Vec::new();
        if let Some(master) = self.masters.get_mut(&life) {
            master.core.handle(now, input, &mut effects);
        }
        self.master_effects(life, effects);
        self.check_master(life);
        self.arm_master(life);
    }

    fn master_effects(&mut self, life: u64, effects: Vec<Effect>) {
        let mut commands = Vec::new();
        for effect in effects {
            let Some(master) = self.masters.get_mut(&life) else {
                return;
            };
            match effect {
                Effect::ToAgent(link, message) => {
                    let forged = self.forged_order(&message);
                    self.tell_agent(life, link, message);
                    if let Some(forged) = forged {
                        self.tell_agent(life, link, forged);
                    }
                }
                Effect::CloseLink(link) => {
                    if let Some(ping) = master.links.remove(&link) {
                        self.hang_up(ping.conn, Side::Server);
                    }
                }
                Effect::ToFramework(stream, event) => self.tell_framework(life, &stream, event),
                // Said once more than so many tasks are there; no framework here has as many.
                Effect::NotifyDrained(_) => self.fail("very many tasks".to_owned()),
                Effect::CloseStream(stream) => {
                    if let Some(conn) = master.streams.remove(&stream) {
                        self.hang_up(conn, Side::Server);
                    }
                }
                Effect::ToAllocator(command) => self.sabotaged_command(command, &mut commands),
                Effect::Apply(token, operation) => {
                    let shown = super::view::shown(&operation);
                    self.note(format_args!("registrar of master {life}: {shown}"));
                    let operation = Box::new(operation);
                    let event = Event::Apply {
                        life,
                        token,
                        operation,
                    };
                    self.along(Line::ToRegistrar, event);
                }
                Effect::Reply(token, answer) => match master.replies.remove(&token) {
                    Some(Some(conn)) => self.send(conn, Side::Client, Parcel::Answer(answer)),
                    Some(None) => {}
                    None => self.fail(format!("{token:?} is answered twice: {answer:?}")),
                },
                // Nobody subscribes here.
                Effect::ToSubscribers(event) => self.fail(format!("nobody wants {event:?}")),
                Effect::Exit(why) => return self.fail(format!("master {life} gives up: {why}")),
            }
        }
        if self.masters.contains_key(&life) && !commands.is_empty() {
            self.along(Line::ToAllocator, Event::Commands { life, commands });
        }
    }

    fn arm_master(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let Some(deadline) = master.core.next_deadline() else {
            return;
        };
        let at = master.clock.world_time(deadline).max(self.now_us);
        if master.timer.is_none_or(|armed| armed > at) {
            master.timer = Some(at);
            self.at(at, Event::MasterTimer { life });
        }
    }

    pub(super) fn master_timer(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        if master.timer.is_none_or(|armed| armed > self.now_us) {
            return;
        }
        master.timer = None;
        let (clock, deadline) = (master.clock, master.core.next_deadline());
        let now = self.now(Node::Master(life), clock);
        match deadline {
            Some(deadline) if deadline <= now.mono => self.master_input(life, Input::Tick),
            Some(_) | None => self.arm_master(life),
        }
    }

    pub(super) fn allocator_commands(&mut self, life: u64, commands: Vec<Command>) {
        let Some(clock) = self.masters.get(&life).map(|master| master.clock) else {
            return;
        };
        let now = self.now(Node::Master(life), clock);
        for command in commands {
            let Some(master) = self.masters.get_mut(&life) else {
                return;
            };
            master.follow_quota(&command);
            let notice = master.allocator.apply(now, command);
            if let Some(Notice::Transformed { token, result }) = notice {
                let input = Box::new(Input::Transformed { token, result });
                self.along(Line::FromAllocator, Event::ToMaster { life, input });
            }
        }
        self.check_allocator(life);
        if let Some(master) = self.masters.get_mut(&life)
            && master.allocator.wants_run()
        {
            master.changed.get_or_insert(self.now_us);
        }
        self.arm_allocator(life);
    }

    fn arm_allocator(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
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
            self.at(at, Event::AllocatorTimer { life });
        }
    }

    pub(super) fn allocator_timer(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
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
        let now = self.now(Node::Master(life), clock);
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let proposals = master.allocator.allocate(now);
        self.check_allocator(life);
        self.check_proposals(life, &proposals.offers);
        if !proposals.offers.is_empty() {
            let input = Box::new(Input::Proposed(proposals.offers));
            self.along(Line::FromAllocator, Event::ToMaster { life, input });
        }
        if !proposals.inverse_offers.is_empty() {
            let input = Box::new(Input::ProposedInverse(proposals.inverse_offers));
            self.along(Line::FromAllocator, Event::ToMaster { life, input });
        }
        self.arm_allocator(life);
    }

    /// A token for an answer; without a connection, nobody hears it.
    pub(super) fn expect_reply(&mut self, life: u64, conn: Option<ConnId>) -> Token {
        let token = Token(self.number());
        if let Some(master) = self.masters.get_mut(&life) {
            master.replies.insert(token, conn);
        }
        token
    }

    /// Whether another master has been elected, of which this one does not know.
    pub(super) fn is_outdated(&self, life: u64) -> bool {
        self.election.leader.is_some_and(|leader| leader != life)
    }
}
