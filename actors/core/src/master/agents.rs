//! Messages of agents, and the admission of new ones.
//! Agents that come back are in `reregister`, agents that are lost in `agent_loss`.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use tepui_protocol::link::{self, AgentToMaster, MasterToAgent, Register};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::{AgentInfo, Resource};
use tracing::warn;

use super::agent_loss::Departure;
use super::agent_sums::AgentSums;
use super::messages::{Effect, LinkId};
use super::model::{Agent, AgentState, Phase};
use super::operator::OperatorEvent;
use super::registrations::{Arrival, Pending};
use super::removals::Word;
use super::{Master, to_agent, to_allocator};
use crate::allocator::messages::{AgentFacts, Command};
use crate::ids::{AgentId, ExecutorId, FrameworkId};
use crate::maintenance::MachineKey;
use crate::memo::Still;
use crate::registry::Operation;
use crate::resources::Resources;
use crate::time::Now;
use crate::validation;

/// Port of an agent that does not name one; `AgentInfo.port` has this default.
const DEFAULT_AGENT_PORT: i32 = 5051;
/// Oldest major version of Mesos's interfaces that an agent may speak.
const MIN_AGENT_MAJOR_VERSION: u64 = 1;

/// Why an agent may not register.
pub(super) enum Unwelcome {
    /// It is not answered, and may try again once it was set right.
    Ignored(String),
    /// It must end itself, on this word.
    ShutDown(Word, String),
}

impl Master {
    pub(super) fn agent_said(
        &mut self,
        now: Now,
        link: LinkId,
        message: AgentToMaster,
        out: &mut Vec<Effect>,
    ) {
        match message {
            AgentToMaster::Register(register) => self.register(now, link, register, out),
            AgentToMaster::Reregister(report) => {
                self.counters.messages_reregister_slave += 1;
                self.reregister(now, link, report, out);
            }
            // Liveness is the link's business.
            AgentToMaster::Pong => {}
            message => match self.agent_of_link(link) {
                Some(agent) => self.admitted_agent_said(now, &agent, message, out),
                None => self.counters.dropped_messages += 1,
            },
        }
    }

    fn admitted_agent_said(
        &mut self,
        now: Now,
        agent: &AgentId,
        message: AgentToMaster,
        out: &mut Vec<Effect>,
    ) {
        match message {
            AgentToMaster::StatusUpdate(update) => self.status_update(agent, *update, out),
            AgentToMaster::ExecutorExited {
                framework_id,
                executor_id,
                status,
            } => {
                let framework = FrameworkId::new(framework_id);
                let executor = ExecutorId::new(executor_id);
                self.executor_exited(agent, &framework, &executor, status, out);
            }
            AgentToMaster::ExecutorMessage {
                framework_id,
                executor_id,
                data,
            } => {
                let framework = FrameworkId::new(framework_id);
                let executor = ExecutorId::new(executor_id);
                self.executor_message(agent, &framework, &executor, data, out);
            }
            AgentToMaster::Unregister => {
                self.counters.messages_unregister_slave += 1;
                self.remove_agent(agent, Departure::Unregistered, out);
            }
            AgentToMaster::OperationStatus {
                framework_id,
                operation_uuid,
                status,
            } => {
                let framework = framework_id.map(FrameworkId::new);
                self.operation_status(now, agent, framework, &operation_uuid, status.0, out);
            }
            AgentToMaster::Register(_) | AgentToMaster::Reregister(_) | AgentToMaster::Pong => {}
        }
    }

    /// The agent whose current link this is.
    pub(super) fn agent_of_link(&self, link: LinkId) -> Option<AgentId> {
        let id = self.links.get(&link)?.agent.as_ref()?;
        let agent = self.agents.get(id)?;
        (agent.link() == Some(link)).then(|| id.clone())
    }

    fn register(
        &mut self,
        now: Now,
        link: LinkId,
        mut register: Box<Register>,
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_register_slave += 1;
        let Some(opened) = self.links.get(&link).filter(|opened| !opened.registering) else {
            self.counters.dropped_messages += 1;
            return;
        };
        let pid = pid_of(&opened.peer_ip, &register.info);
        if let Err(unwelcome) = self.check_newcomer(&pid, &register) {
            return self.turn_away(now, link, None, unwelcome, out);
        }
        if let Some(old) = self.pids.get(&pid).cloned() {
            if self.agents.get(&old).and_then(|agent| agent.link()) == Some(link) {
                let message = self.registered(&old);
                return out.push(to_agent(link, message));
            }
            self.replace_agent(now, &old, out);
        }
        let id = AgentId::new(format!("{}-S{}", self.info.id, self.next_agent));
        self.next_agent += 1;
        register.info.id = Some(id.to_v1());
        if let Some(opened) = self.links.get_mut(&link) {
            opened.registering = true;
        }
        let operation = Operation::AdmitAgent(Box::new(register.info.0.clone()));
        let arrival = Arrival { link, pid };
        self.apply(operation, Pending::Admit { arrival, register }, out);
    }

    fn check_newcomer(&self, pid: &str, register: &Register) -> Result<(), Unwelcome> {
        self.check_welcome(pid, register)?;
        let checkpointed = plain(&register.checkpointed_resources);
        validation::agent::validate_registration(&register.info, &checkpointed, true)
            .map_err(Unwelcome::Ignored)?;
        // It runs nothing yet, so it loses nothing when it is told to end.
        let bad = |text| Unwelcome::ShutDown(Word::Master, text);
        total_of(register).map_err(bad)?;
        Ok(())
    }

    /// What holds for new agents and for those that come back.
    pub(super) fn check_welcome(&self, pid: &str, register: &Register) -> Result<(), Unwelcome> {
        if self.phase == Phase::Recovering {
            return Err(Unwelcome::Ignored(
                "the registry was not read yet".to_string(),
            ));
        }
        let machine = machine_of(pid, &register.info);
        if self.maintenance.is_down(&machine) {
            let word = match self.down_at_start.contains(&machine) {
                true => Word::Registry,
                false => Word::Operator,
            };
            let text = "Machine is `DOWN`".to_string();
            return Err(Unwelcome::ShutDown(word, text));
        }
        if register.link_version != link::VERSION {
            let text = format!(
                "Agent speaks version {} of the agent link, this master speaks version {}",
                register.link_version,
                link::VERSION
            );
            return Err(Unwelcome::ShutDown(Word::Master, text));
        }
        let major = register
            .version
            .split('.')
            .next()
            .and_then(|part| part.parse().ok());
        if major.is_none_or(|major: u64| major < MIN_AGENT_MAJOR_VERSION) {
            return Err(Unwelcome::Ignored(format!(
                "its version '{}' is not at least {MIN_AGENT_MAJOR_VERSION}.0.0",
                register.version
            )));
        }
        if register.info.domain.is_some() && self.info.domain.is_none() {
            return Err(Unwelcome::Ignored(
                "it has a domain, but this master has none".to_string(),
            ));
        }
        if register.info.domain.is_none() && self.settings.require_agent_domain {
            return Err(Unwelcome::Ignored(
                "it has no domain, which --require_agent_domain asks for".to_string(),
            ));
        }
        Ok(())
    }

    /// `id` is that of an agent that comes back: it may have tasks, which a shutdown would end.
    pub(super) fn turn_away(
        &mut self,
        now: Now,
        link: LinkId,
        id: Option<&AgentId>,
        unwelcome: Unwelcome,
        out: &mut Vec<Effect>,
    ) {
        self.counters.dropped_messages += 1;
        match unwelcome {
            Unwelcome::Ignored(reason) => warn!(link = link.0, reason, "agent ignored"),
            Unwelcome::ShutDown(word, message) => {
                if id.is_none_or(|id| self.may_shut_down(now, id, word, &message)) {
                    out.push(to_agent(link, MasterToAgent::Shutdown { message }));
                } else {
                    warn!(
                        link = link.0,
                        message, "agent not shut down yet, but ignored"
                    );
                }
            }
        }
    }

    /// Another agent runs at this one's address, so this one does not any more.
    fn replace_agent(&mut self, now: Now, old: &AgentId, out: &mut Vec<Effect>) {
        if let Some(link) = self.agents.get(old).and_then(|agent| agent.link()) {
            self.detach_link(link, out);
            self.disconnect_agent(now, old, out);
        }
        self.remove_agent(old, Departure::Replaced, out);
    }

    /// A new agent's admission was stored.
    pub(super) fn admitted(
        &mut self,
        now: Now,
        arrival: Arrival,
        register: Register,
        is_new: bool,
        out: &mut Vec<Effect>,
    ) {
        if let Some(opened) = self.links.get_mut(&arrival.link) {
            opened.registering = false;
        }
        // The id is taken; the agent will try again and get another one.
        if !is_new {
            self.counters.dropped_messages += 1;
            return;
        }
        let Some(id) = register.info.id.as_ref().map(AgentId::from) else {
            return;
        };
        self.counters.slave_registrations += 1;
        let agent = self.new_agent(now, &id, &arrival, register);
        self.agent_sums.add(&AgentSums::of(&agent));
        self.agents.insert(id.clone(), Arc::new(agent.into()));
        self.announce_agent(&id, out);
        self.connect_agent(now, &id, arrival, out);
        if let Some(link) = self.agents.get(&id).and_then(|agent| agent.link()) {
            out.push(to_agent(link, self.registered(&id)));
        }
        self.keep_off_down_machine(&id, out);
    }

    /// An agent as it registers, without what it runs.
    pub(super) fn new_agent(
        &mut self,
        now: Now,
        id: &AgentId,
        arrival: &Arrival,
        register: Register,
    ) -> Agent {
        let total = total_of(&register).unwrap_or_default();
        let (info, described) = self.shapes.description(register.info.0);
        Agent {
            id: id.clone(),
            machine: machine_of(&arrival.pid, &info),
            total: self.shapes.resources(total),
            info,
            described,
            pid: arrival.pid.clone(),
            version: register.version,
            capabilities: self.shapes.capabilities(register.capabilities),
            generation: self.new_generation(),
            state: AgentState::Connected(arrival.link),
            used: OrdMap::new(),
            executors: OrdMap::new(),
            tasks: OrdSet::new(),
            operations: OrdMap::new(),
            offers: OrdSet::new(),
            deactivation: None,
            drain_started: None,
            registered_time: now.wall,
            reregistered_time: None,
            arrived: now.mono,
            still: Still::default(),
        }
    }

    /// Tells the allocator of an agent and of what runs there, and operators of the agent.
    pub(super) fn announce_agent(&self, id: &AgentId, out: &mut Vec<Effect>) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let used = agent.used.iter();
        out.push(to_allocator(Command::AddAgent {
            id: id.clone(),
            generation: agent.generation,
            facts: facts_of(agent),
            total: agent.total.clone(),
            used: used.map(|(id, used)| (id.clone(), used.clone())).collect(),
            unavailability: self.maintenance.unavailability(&agent.machine).copied(),
        }));
        self.tell_subscribers(|| OperatorEvent::AgentAdded(agent.clone()), out);
    }

    /// Ties a newly admitted agent to its link, which may have closed meanwhile.
    pub(super) fn connect_agent(
        &mut self,
        now: Now,
        id: &AgentId,
        arrival: Arrival,
        out: &mut Vec<Effect>,
    ) {
        self.pids.insert(arrival.pid, id.clone());
        match self.links.get_mut(&arrival.link) {
            Some(opened) => opened.agent = Some(id.clone()),
            None => self.disconnect_agent(now, id, out),
        }
    }

    fn registered(&self, id: &AgentId) -> MasterToAgent {
        MasterToAgent::Registered {
            agent_id: id.to_string(),
            ping_timeout_ms: self.ping_timeout_ms(),
        }
    }

    pub(super) fn ping_timeout_ms(&self) -> u64 {
        u64::try_from(self.settings.total_ping_timeout().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What the allocator must know of an agent.
pub(super) fn facts_of(agent: &Agent) -> AgentFacts {
    AgentFacts {
        info: agent.info.clone(),
        capabilities: agent.capabilities.clone(),
    }
}

/// All resources of an agent: those it was started with, with reservations and volumes made since.
pub(super) fn total_of(register: &Register) -> Result<Resources, String> {
    let given = Resources::from_v1(&register.info.resources).map_err(|error| error.0)?;
    let made = Resources::from_v1(&plain(&register.checkpointed_resources));
    let made = made.map_err(|error| error.0)?;
    given.with_checkpointed(&made).map_err(|error| error.0)
}

/// The name Mesos gives an agent: what runs where.
pub(super) fn pid_of(peer_ip: &str, info: &AgentInfo) -> String {
    let port = info.port.unwrap_or(DEFAULT_AGENT_PORT);
    match peer_ip.contains(':') {
        true => format!("slave(1)@[{peer_ip}]:{port}"),
        false => format!("slave(1)@{peer_ip}:{port}"),
    }
}

/// The machine an agent runs on.
pub(super) fn machine_of(pid: &str, info: &AgentInfo) -> MachineKey {
    let host = pid.rsplit_once(':').map_or(pid, |(host, _)| host);
    let ip = host.rsplit_once('@').map_or(host, |(_, ip)| ip);
    MachineKey::new(&info.hostname, ip.trim_matches(['[', ']']))
}

/// The resources out of their envelopes.
pub(super) fn plain(resources: &[Pb<Resource>]) -> Vec<Resource> {
    resources
        .iter()
        .map(|resource| resource.0.clone())
        .collect()
}
