//! The master's decisions: agents, frameworks, offers, tasks, operations.
//! Sends nothing itself: it returns effects.
//!
//! Each file holds one duty of [`Master`]; every one of them changes its state and appends to the
//! list of effects. Nothing here waits: what the registrar must store first is remembered by token
//! and continued when its answer arrives.

mod accept;
mod agent_loss;
pub mod agent_sums;
mod agents;
pub mod call;
mod change_rules;
mod changes;
pub mod counters;
mod deadlines;
mod drain;
pub mod events;
mod executors;
pub mod framework_counters;
mod frameworks;
mod gone;
mod history;
mod inverse_offers;
mod kill;
mod launch;
pub mod messages;
pub mod model;
mod offers;
pub mod operation_counts;
mod operation_updates;
mod operations;
pub mod operator;
mod reconcile;
mod registrations;
mod removals;
mod report;
mod reregister;
mod sanity;
pub mod settings;
mod shapes;
mod subscribe;
mod task_record;
mod tasks;
#[cfg(test)]
mod tests;
mod updates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler::Event;
use tepui_protocol::v1::{AgentInfo, MasterInfo};

use self::agent_sums::AgentSums;
use self::counters::Counters;
use self::deadlines::{Deadline, Deadlines};
use self::history::UnreachableTasks;
use self::inverse_offers::InverseOffers;
use self::messages::{Effect, Input, LinkId, StreamId, Token};
use self::model::{Agent, Framework, Offer, Phase, Snapshot};
use self::operations::Orphans;
use self::operator::Change;
use self::registrations::{Link, Pending, Transition};
use self::removals::Removals;
use self::shapes::Shapes;
use crate::allocator::messages::{Command, Generation};
use crate::ids::{AgentId, FrameworkId, IdSource, OfferId, Role, TaskId};
use crate::maintenance::{MachineKey, Maintenance};
use crate::memo::Memo;
use crate::quota::Quota;
use crate::registry::{self, Deactivation};
use crate::resources::conversion::Conversion;
use crate::time::{Mono, Now, Wall};

pub use self::settings::MasterSettings;

/// The master's state and all decisions on it.
#[derive(Debug)]
pub struct Master {
    settings: MasterSettings,
    info: Arc<MasterInfo>,
    start_time: Wall,
    elected_time: Wall,
    phase: Phase,

    agents: OrdMap<AgentId, Arc<Memo<Agent>>>,
    agent_sums: AgentSums,
    shapes: Shapes,
    recovered_agents: OrdMap<AgentId, Arc<AgentInfo>>,
    /// How many there were at start.
    agents_at_start: usize,
    unreachable_agents: OrdMap<AgentId, Wall>,
    gone_agents: OrdMap<AgentId, Wall>,
    /// Agents that an operator keeps out of offers, whether admitted, recovered or unreachable.
    deactivated_agents: OrdMap<AgentId, Deactivation>,
    /// Draining agents on which something has ended.
    perhaps_drained: BTreeSet<AgentId>,
    /// Those that were gone when this master read the registry.
    gone_at_start: BTreeSet<AgentId>,
    /// Machines that were down then, and still are.
    down_at_start: BTreeSet<MachineKey>,
    /// Agents that are given up.
    removals: Removals,
    frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    completed_frameworks: Vector<Arc<Framework>>,
    offers: OrdMap<OfferId, Arc<Offer>>,
    inverse_offers: InverseOffers,
    quotas: OrdMap<Role, Quota>,
    weights: OrdMap<Role, f64>,
    maintenance: Maintenance,
    counters: Counters,

    /// Ids of `completed_frameworks`.
    completed_ids: BTreeSet<FrameworkId>,
    /// Which framework listens on a stream.
    streams: BTreeMap<StreamId, FrameworkId>,
    /// How far the reconciliation of all tasks has got that a stream is being told.
    reconciling: BTreeMap<StreamId, TaskId>,
    /// Open links of agents.
    links: BTreeMap<LinkId, Link>,
    /// Admitted agents by pid.
    pids: BTreeMap<String, AgentId>,
    /// Tasks asked to be killed, per agent, until they are removed.
    killed: BTreeMap<AgentId, BTreeSet<(FrameworkId, TaskId)>>,
    /// Which tasks the frameworks' `unreachable_tasks` hold, by agent and by age.
    unreachable: UnreachableTasks,
    /// Agents whose entry in the registry is being changed.
    transitions: BTreeMap<AgentId, Transition>,
    /// What follows when the registrar answers.
    pending: BTreeMap<Token, Pending>,
    deadlines: Deadlines,
    /// Operations that agents hold for frameworks which are not known.
    orphans: Orphans,
    /// What operators want changed and the allocator has not answered yet.
    changes: BTreeMap<u64, Change>,
    /// What failed operations leave to be taken back, until it can be.
    undone: BTreeMap<AgentId, Vec<Vec<Conversion>>>,
    /// Whether anybody subscribes to the operator API's events.
    watched: bool,
    /// Names for operations.
    uuids: IdSource,

    next_framework: u64,
    next_agent: u64,
    next_offer: u64,
    next_generation: Generation,
    next_token: u64,
}

impl Master {
    /// A master that has not yet heard what the registry holds.
    ///
    /// `info.id` must be unique to this run: all ids are made from it.
    pub fn new(settings: MasterSettings, info: MasterInfo, now: Now) -> Self {
        Master {
            settings,
            orphans: Orphans::new(),
            changes: BTreeMap::new(),
            undone: BTreeMap::new(),
            watched: false,
            uuids: operations::uuids_of(&info.id),
            info: Arc::new(info),
            start_time: now.wall,
            elected_time: now.wall,
            phase: Phase::Recovering,
            agents: OrdMap::new(),
            agent_sums: AgentSums::default(),
            shapes: Shapes::default(),
            recovered_agents: OrdMap::new(),
            agents_at_start: 0,
            unreachable_agents: OrdMap::new(),
            gone_agents: OrdMap::new(),
            deactivated_agents: OrdMap::new(),
            perhaps_drained: BTreeSet::new(),
            gone_at_start: BTreeSet::new(),
            down_at_start: BTreeSet::new(),
            removals: Removals::default(),
            frameworks: OrdMap::new(),
            completed_frameworks: Vector::new(),
            offers: OrdMap::new(),
            inverse_offers: InverseOffers::default(),
            quotas: OrdMap::new(),
            weights: OrdMap::new(),
            maintenance: Maintenance::default(),
            counters: Counters::default(),
            completed_ids: BTreeSet::new(),
            streams: BTreeMap::new(),
            reconciling: BTreeMap::new(),
            links: BTreeMap::new(),
            pids: BTreeMap::new(),
            killed: BTreeMap::new(),
            unreachable: UnreachableTasks::default(),
            transitions: BTreeMap::new(),
            pending: BTreeMap::new(),
            deadlines: Deadlines::default(),
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
            next_generation: 1,
            next_token: 1,
        }
    }

    /// Decides upon `input` and appends what is to be done, in order, to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::LinkOpened { link, peer_ip } => {
                self.links.insert(link, Link::new(peer_ip));
            }
            Input::LinkClosed { link } => self.link_closed(now, link, out),
            Input::LinkUnresponsive { link } => self.link_unresponsive(now, link, out),
            Input::LinkResponsive { link } => self.link_responsive(now, link),
            Input::FromAgent { link, message } => self.agent_said(now, link, *message, out),
            Input::Subscribe {
                stream,
                subscribe,
                principal,
            } => self.subscribe(now, stream, *subscribe, principal, out),
            Input::StreamClosed { stream } => self.stream_closed(now, &stream, out),
            Input::StreamDrained { stream } => self.reconcile_more(now, &stream, out),
            Input::Call {
                call,
                stream,
                principal,
                reply,
            } => self.call(now, *call, stream, principal, reply, out),
            Input::Proposed(proposals) => self.proposed(now, proposals, out),
            Input::ProposedInverse(proposals) => self.proposed_inverse(now, proposals, out),
            Input::Transformed { token, result } => self.transformed(token, result, out),
            Input::Operator {
                request,
                principal,
                reply,
            } => self.operate(now, *request, principal, reply, out),
            Input::Applied { token, result } => self.applied(now, token, result, out),
            Input::Recovered(registry) => self.recovered(now, *registry, out),
            Input::Watched(watched) => self.watched = watched,
            Input::Tick => self.tick(now, out),
        }
        if !self.perhaps_drained.is_empty() {
            self.finish_drains(now, out);
        }
    }

    /// The same, of a process that started earlier than it was elected to lead.
    #[must_use]
    pub fn started_at(mut self, start_time: Wall) -> Self {
        self.start_time = start_time;
        self
    }

    /// When the next [`Input::Tick`] is due, if anything waits for one.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.next()
    }

    /// A consistent copy for readers, made in constant time.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            master: self.info.clone(),
            start_time: self.start_time,
            elected_time: self.elected_time,
            phase: self.phase,
            agents: self.agents.clone(),
            agent_sums: self.agent_sums,
            recovered_agents: self.recovered_agents.clone(),
            unreachable_agents: self.unreachable_agents.clone(),
            gone_agents: self.gone_agents.clone(),
            deactivated_agents: self.deactivated_agents.clone(),
            held_agents: self.removals.held().clone(),
            frameworks: self.frameworks.clone(),
            completed_frameworks: self.completed_frameworks.clone(),
            offers: self.offers.clone(),
            inverse_offers: self.inverse_offers.by_id().clone(),
            inverse_offer_answers: self.inverse_offers.answers().clone(),
            quotas: self.quotas.clone(),
            weights: self.weights.clone(),
            maintenance: self.maintenance.clone(),
            counters: self.counters.clone(),
        }
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(deadline) = self.deadlines.pop_due(now.mono) {
            match deadline {
                Deadline::Offer(id) => self.rescind_offer(&id, out),
                Deadline::InverseOffer(id) => self.rescind_inverse_offer(&id, out),
                Deadline::Agent(id) => self.agent_stayed_away(now, &id, out),
                Deadline::Framework(id) => self.remove_framework(now, &id, out),
                Deadline::RecoveredAgents => self.recovered_agents_stayed_away(now, out),
                Deadline::Removal => self.remove_next(now, out),
                Deadline::Held => self.look_at_held_again(now, out),
                Deadline::RegistryGc => self.collect_registry_garbage(now, out),
            }
        }
    }

    /// The id of a framework that was named. It shares the memory of the one that is known, if one
    /// is: then comparing it is quick, and keeping it takes nothing.
    fn framework_id(&self, name: &str) -> FrameworkId {
        let known = self.frameworks.get_key_value(name);
        known.map_or_else(|| FrameworkId::from(name), |(id, _)| id.clone())
    }

    fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        self.frameworks.get_mut(id).map(Arc::make_mut)
    }

    fn agent_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(id)?;
        Some(&mut **Arc::make_mut(agent))
    }

    /// Sends to a framework if it is subscribed; events for others are dropped, as in Mesos.
    fn send(&self, framework: &FrameworkId, event: Event, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.get(framework) else {
            return;
        };
        if let Some(stream) = framework.stream() {
            framework.counters.events.count(event.r#type() as i32);
            out.push(Effect::ToFramework(stream.clone(), Box::new(event)));
        }
    }

    /// Has the registrar apply `operation`; `then` follows when it has.
    fn apply(&mut self, operation: registry::Operation, then: Pending, out: &mut Vec<Effect>) {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.pending.insert(token, then);
        out.push(Effect::Apply(token, operation));
    }

    fn new_generation(&mut self) -> Generation {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }
}

fn to_agent(link: LinkId, message: MasterToAgent) -> Effect {
    Effect::ToAgent(link, Box::new(message))
}

fn to_allocator(command: Command) -> Effect {
    Effect::ToAllocator(command)
}
