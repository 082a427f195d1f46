//! Agents: the core of each, its link, its disk and its executors, as its skin has them.
//! Takes no decision; the core does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tepui_protocol::journal::Record;
use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tepui_protocol::v1::domain_info::FaultDomain;
use tepui_protocol::v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
use tepui_protocol::v1::{AgentInfo, DomainInfo};

use super::disk::{Disk, WORK_DIR};
use super::events::{Deed, Event, Node, Parcel};
use super::executors::Executor;
use super::net::{ConnId, Kind, Side};
use super::random::Random;
use super::world::{Clock, SECOND, World};
use crate::agent::journal::{Restored, Survivor};
use crate::agent::messages::{ConnectionId, Effect, Input, LinkNumber};
use crate::agent::{Agent, Isolation, Settings};
use crate::ids::ContainerId;
use crate::resources::{Format, Quantities, Resources};

/// What machines have, by kind of machine.
const MACHINES: &[&str] = &[
    "cpus:4;mem:2048;disk:1024;gpus:2",
    "cpus:8;mem:4096;disk:2048",
    "cpus:4;mem:2048;disk:4096;ports:[31000-31009]",
    "cpus:2;mem:1024;disk:512",
    "cpus:8;mem:4096;disk:8192;cpus(a):1;mem(a):256;disk(b):256",
];

/// Where all masters are.
pub(super) const MASTER_REGION: &str = "here";

/// Time after which an executor gives up that its agent comes back.
const RECOVERY_TIMEOUT_US: u64 = 15 * 60 * SECOND;

/// A machine with an agent.
pub(super) struct AgentHost {
    pub(super) ip: String,
    pub(super) settings: Settings,
    /// How much of each kind the machine has.
    pub(super) amounts: Quantities,
    pub(super) disk: Disk,
    /// What the agent has recorded; each record is durable before anything follows from it.
    journal: Vec<Record>,
    pub(super) process: Option<AgentProcess>,
    /// Lives of the process so far.
    pub(super) lives: u64,
    /// They outlive the agent's process.
    pub(super) executors: BTreeMap<ContainerId, Executor>,
}

/// One life of an agent.
pub(super) struct AgentProcess {
    pub(super) life: u64,
    clock: Clock,
    pub(super) core: Agent,
    pub(super) link: Option<(LinkNumber, ConnId)>,
    pub(super) streams: BTreeMap<ConnectionId, ConnId>,
    timer: Option<u64>,
}

impl AgentHost {
    pub(super) fn new(index: u64, random: &mut Random) -> Self {
        let machine = random.pick(MACHINES).copied().unwrap_or("cpus:1;mem:512");
        let resources = Resources::parse(machine, "*").unwrap_or_default();
        let ip = format!("10.0.0.{}", index + 1);
        let seconds = Duration::from_secs;
        let regions = [Some(MASTER_REGION), Some("elsewhere"), None, None];
        let region = random.pick(&regions).copied().flatten();
        let settings = Settings {
            info: AgentInfo {
                domain: region.map(in_region),
                hostname: format!("h{index}"),
                port: Some(5051),
                resources: resources.to_v1(Format::PostRefinement),
                ..AgentInfo::default()
            },
            boot_id: None,
            address: format!("{ip}:5051"),
            ip: ip.clone(),
            version: "1.12.0".to_owned(),
            work_dir: WORK_DIR.to_owned(),
            launcher_dir: "/libexec".to_owned(),
            executor_environment: BTreeMap::new(),
            libprocess_ip: None,
            switch_user: false,
            isolation: Isolation::default(),
            registration_backoff_factor: seconds(1),
            executor_registration_timeout: seconds(60),
            executor_shutdown_grace_period: seconds(5),
            recovery_timeout: Duration::from_micros(RECOVERY_TIMEOUT_US),
            executor_reregistration_timeout: seconds(15),
            max_completed_executors_per_framework: 20,
            garbage: None,
        };
        AgentHost {
            ip,
            settings,
            amounts: resources.quantities(),
            disk: Disk::default(),
            journal: Vec::new(),
            process: None,
            lives: 0,
            executors: BTreeMap::new(),
        }
    }
}

/// A place in a region.
pub(super) fn in_region(region: &str) -> DomainInfo {
    DomainInfo {
        fault_domain: Some(FaultDomain {
            region: RegionInfo {
                name: region.to_owned(),
            },
            zone: ZoneInfo {
                name: "zone".to_owned(),
            },
        }),
    }
}

impl World {
    /// Whether this life of an agent still lasts.
    pub(super) fn is_alive(&self, agent: usize, life: u64) -> bool {
        let process = self
            .agents
            .get(agent)
            .and_then(|host| host.process.as_ref());
        process.is_some_and(|process| process.life == life)
    }

    pub(super) fn agent_process(&mut self, agent: usize) -> Option<&mut AgentProcess> {
        self.agents.get_mut(agent)?.process.as_mut()
    }

    pub(super) fn start_agent(&mut self, agent: usize) {
        let now_us = self.now_us;
        let Some(host) = self
            .agents
            .get_mut(agent)
            .filter(|host| host.process.is_none())
        else {
            return;
        };
        let recovered = match host.disk.recover(&host.settings.info.resources) {
            Ok(recovered) => recovered,
            Err(error) => return self.fail(format!("agent {agent} cannot recover: {error}")),
        };
        let restored = Restored::read(std::mem::take(&mut host.journal));
        if restored.misfits() > 0 {
            return self.fail(format!(
                "the journal of agent {agent} does not fit together"
            ));
        }
        let survivors = restored.survivors();
        host.lives += 1;
        let life = host.lives;
        let settings = host.settings.clone();
        let clock = Clock::start(now_us);
        let now = self.now(Node::Agent(agent), clock);
        let seed = self.random.seed();
        let core = Agent::new(settings, recovered.with(restored), seed, now);
        if let Some(host) = self.agents.get_mut(agent) {
            host.journal = core.records();
            host.process = Some(AgentProcess {
                life,
                clock,
                core,
                link: None,
                streams: BTreeMap::new(),
                timer: None,
            });
        }
        self.note(format_args!("agent {agent} starts its life {life}"));
        self.ask_for_leader(Node::Agent(agent));
        self.take_up(agent, life, &survivors);
        self.arm_agent(agent);
    }

    /// An agent that starts again looks which containers have outlived it, and kills the others.
    fn take_up(&mut self, agent: usize, life: u64, survivors: &[Survivor]) {
        let expected: BTreeSet<&ContainerId> = survivors.iter().map(|it| &it.container).collect();
        let left: Vec<ContainerId> = self
            .agents
            .get(agent)
            .map_or_else(Vec::new, |host| host.executors.keys().cloned().collect());
        for container in left {
            match expected.contains(&container) {
                true => {
                    if let Some(executor) = self.executor(agent, &container) {
                        executor.life = life;
                    }
                }
                false => self.executor_gone(agent, &container),
            }
        }
        for survivor in survivors {
            let container = survivor.container.clone();
            let input = match self.executor(agent, &container).is_some() {
                true => Input::Launched {
                    container,
                    result: Ok(survivor.pid.unwrap_or(2)),
                },
                false => Input::Exited {
                    container,
                    status: None,
                },
            };
            self.agent_input(agent, input);
        }
    }

    /// An agent's process ends; with its machine, its executors do too.
    pub(super) fn agent_died(&mut self, agent: usize, with_machine: bool, restart_us: u64) {
        let Some(host) = self
            .agents
            .get_mut(agent)
            .filter(|host| host.process.is_some())
        else {
            return;
        };
        host.process = None;
        if let Err(error) = host.disk.crash(&mut self.random) {
            return self.fail(format!("disk of agent {agent}: {error}"));
        }
        self.note(format_args!(
            "agent {agent} dies, with its machine: {with_machine}"
        ));
        self.paused.remove(&Node::Agent(agent));
        self.drop_ends(Node::Agent(agent), with_machine);
        if with_machine {
            let containers: Vec<ContainerId> = self
                .agents
                .get(agent)
                .map_or_else(Vec::new, |host| host.executors.keys().cloned().collect());
            for container in containers {
                self.executor_gone(agent, &container);
            }
        }
        self.end_orphans(agent);
        self.after(restart_us, Event::StartAgent(agent));
    }

    /// Executors that find no agent, or never look for one, do not live for ever.
    fn end_orphans(&mut self, agent: usize) {
        let host = self.agents.get(agent);
        let left: Vec<ContainerId> =
            host.map_or_else(Vec::new, |host| host.executors.keys().cloned().collect());
        for container in left {
            let outlives = self
                .executor(agent, &container)
                .is_some_and(|it| it.outlives_agent);
            let (delay, deed) = match outlives {
                true => (RECOVERY_TIMEOUT_US, Deed::GiveUp),
                false => (self.random.below(SECOND), Deed::Exit),
            };
            let event = Event::Executor {
                agent,
                container,
                deed,
            };
            self.after(delay, event);
        }
    }

    /// Something from its helpers, which were those of this life.
    pub(super) fn agent_gets(&mut self, agent: usize, life: u64, input: Input) {
        if self.is_alive(agent, life) {
            self.agent_input(agent, input);
        }
    }

    /// Hands an agent an input, does what it wants, and looks at what is cheap to look at.
    pub(super) fn agent_input(&mut self, agent: usize, input: Input) {
        let Some(clock) = self.agent_process(agent).map(|process| process.clock) else {
            return;
        };
        let now = self.now(Node::Agent(agent), clock);
        let mut effects = Vec::new();
        if let Some(process) = self.agent_process(agent) {
            process.core.handle(now, input, &mut effects);
        }
        for effect in effects {
            self.agent_effect(agent, effect);
        }
        self.arm_agent(agent);
    }

    fn agent_effect(&mut self, agent: usize, effect: Effect) {
        let Some(process) = self.agent_process(agent) else {
            return;
        };
        let life = process.life;
        match effect {
            Effect::Record(records) => self.agent_records(agent, records),
            Effect::Connect(number) => self.agent_dials(agent, number),
            Effect::CloseLink(number) => {
                let gone = process.link.take_if(|(open, _)| *open == number);
                if let Some((_, conn)) = gone {
                    self.hang_up(conn, Side::Client);
                }
            }
            Effect::ToMaster(number, frame) => {
                let open = process.link.filter(|(open, _)| *open == number);
                if let Some((_, conn)) = open {
                    self.agent_says(agent, conn, frame);
                }
            }
            Effect::ToExecutor(connection, event) => {
                if let Some(conn) = process.streams.get(&connection).copied() {
                    if self.is_event_doubled(&event) {
                        self.send(conn, Side::Client, Parcel::ExecutorEvent(event.clone()));
                    }
                    self.send(conn, Side::Client, Parcel::ExecutorEvent(event));
                }
            }
            Effect::CloseConnection(connection) => {
                if let Some(conn) = process.streams.remove(&connection) {
                    self.hang_up(conn, Side::Server);
                }
            }
            Effect::Reply(token, answer) => self.executor_answered(token, &answer),
            Effect::Launch(launch) => {
                let delay = self.random.between(SECOND / 100, SECOND / 2);
                let event = Event::Spawn {
                    agent,
                    life,
                    launch,
                };
                self.after(delay, event);
            }
            // The simulated machine limits nothing, and nobody calls its agents about containers. No
            // sandbox is on a disk, so that none is removed.
            Effect::UpdateContainer(..)
            | Effect::Signal(..)
            | Effect::RemoveContainer(..)
            | Effect::Remove(_) => {}
            Effect::UpdateVolumes(order) => self.agent_links(agent, life, order.container),
            Effect::Checkpoint(order) => self.agent_writes(agent, life, order),
            Effect::Kill(container) => {
                let delay = self.random.between(100, SECOND / 10);
                self.kill_container(agent, &container, delay);
            }
            Effect::Admitted(id) => self.note(format_args!("agent {agent} is {id}")),
            Effect::Exit(reason) | Effect::Fail(reason) => {
                self.note(format_args!("agent {agent} ends: {reason}"));
                self.counts.agent_exits += 1;
                let restart = self.random.below(20 * SECOND);
                self.agent_died(agent, false, restart);
            }
        }
    }

    /// Links to volumes are made, or cannot be.
    fn agent_links(&mut self, agent: usize, life: u64, container: ContainerId) {
        let fails = !self.is_calm && self.options.has_faults && self.random.per_mille(30);
        let result = match fails {
            true => Err("the link cannot be made".to_owned()),
            false => Ok(()),
        };
        let input = Box::new(Input::VolumesUpdated { container, result });
        let delay = self.random.between(100, SECOND / 10);
        self.after(delay, Event::ToAgent { agent, life, input });
    }

    fn agent_records(&mut self, agent: usize, records: Vec<Record>) {
        if let Some(host) = self.agents.get_mut(agent) {
            host.journal.extend(records);
        }
    }

    fn agent_writes(
        &mut self,
        agent: usize,
        life: u64,
        order: Box<crate::agent::messages::Checkpoint>,
    ) {
        if let Some(host) = self.agents.get_mut(agent) {
            if host.disk.writing.is_some() {
                return self.fail(format!("agent {agent} orders two checkpoints at a time"));
            }
            host.disk.writing = Some(order);
        }
        let time = match self.random.below(20) {
            0 => self.random.below(5 * SECOND),
            _ => self.random.between(500, SECOND / 20),
        };
        self.after(time, Event::DiskDone { agent, life });
    }

    pub(super) fn disk_done(&mut self, agent: usize, life: u64) {
        if !self.is_alive(agent, life) {
            return;
        }
        if let Some(error) = self.destroyed_in_use(agent) {
            return self.fail(error);
        }
        let may_fail = self.options.has_faults && !self.is_calm;
        let is_lost = self.is_checkpoint_lost();
        let Some(host) = self.agents.get_mut(agent) else {
            return;
        };
        let result = match host.disk.finish(&mut self.random, may_fail, is_lost) {
            Ok(result) => result,
            Err(error) => return self.fail(format!("disk of agent {agent}: {error}")),
        };
        for operation in host.disk.new_operations() {
            self.counts.operation(&operation);
        }
        self.agent_input(agent, Input::Checkpointed { result });
    }

    fn agent_dials(&mut self, agent: usize, number: LinkNumber) {
        let Some(life) = self.agent_process(agent).map(|process| process.life) else {
            return;
        };
        let refused = self.options.has_faults && !self.is_calm && self.random.per_mille(50);
        let heard = self.election.heard_by(Node::Agent(agent));
        let leader = heard.filter(|life| self.masters.contains_key(life) && !refused);
        let Some(leader) = leader else {
            let delay = self.random.between(1_000, 3 * SECOND);
            let input = Box::new(Input::LinkClosed { link: number });
            return self.after(delay, Event::ToAgent { agent, life, input });
        };
        let kind = Kind::Link {
            agent,
            number,
            link: None,
        };
        let conn = self.connect(kind, leader);
        if let Some(process) = self.agent_process(agent) {
            process.link = Some((number, conn));
        }
        self.send(conn, Side::Server, Parcel::Open);
    }

    pub(super) fn agent_says(
        &mut self,
        agent: usize,
        conn: ConnId,
        frame: Box<Frame<AgentToMaster>>,
    ) {
        self.check_said(agent, &frame.body);
        let Some(frame) = self.sabotaged_frame(agent, conn, frame) else {
            return;
        };
        self.send(conn, Side::Server, Parcel::FromAgent(frame));
    }

    pub(super) fn agent_hears(
        &mut self,
        agent: usize,
        link: LinkNumber,
        message: Box<MasterToAgent>,
    ) {
        if self.agent_process(agent).is_none() {
            return;
        }
        let shown = super::view::order(&message);
        self.note(format_args!("agent {agent} < {link:?}: {shown}"));
        self.notice_acknowledgement(agent, link, &message);
        self.agent_input(agent, Input::FromMaster { link, message });
    }

    pub(super) fn agent_lost_link(&mut self, agent: usize, link: LinkNumber) {
        if let Some(process) = self.agent_process(agent) {
            process.link.take_if(|(open, _)| *open == link);
            self.agent_input(agent, Input::LinkClosed { link });
        }
    }

    pub(super) fn agent_lost_executor(&mut self, agent: usize, life: u64, stream: ConnectionId) {
        if !self.is_alive(agent, life) {
            return;
        }
        if let Some(process) = self.agent_process(agent) {
            process.streams.remove(&stream);
        }
        self.agent_input(agent, Input::ConnectionClosed { connection: stream });
    }

    fn arm_agent(&mut self, agent: usize) {
        let now_us = self.now_us;
        let Some(process) = self.agent_process(agent) else {
            return;
        };
        let Some(deadline) = process.core.next_deadline() else {
            return;
        };
        let at = process.clock.world_time(deadline).max(now_us);
        if process.timer.is_none_or(|armed| armed > at) {
            process.timer = Some(at);
            let life = process.life;
            self.at(at, Event::AgentTimer { agent, life });
        }
    }

    pub(super) fn agent_timer(&mut self, agent: usize, life: u64) {
        if !self.is_alive(agent, life) {
            return;
        }
        let now_us = self.now_us;
        let Some(process) = self.agent_process(agent) else {
            return;
        };
        if process.timer.is_none_or(|armed| armed > now_us) {
            return;
        }
        process.timer = None;
        self.agent_input(agent, Input::Tick);
    }
}
