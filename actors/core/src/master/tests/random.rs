//! Random histories from seeds: after every step the state is consistent, and what the allocator
//! believes to be allocated is exactly what is offered or used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent, Reregister};
use tepui_protocol::v1::{FrameworkInfo, Task, TaskState};

use super::super::messages::{Effect, Input, LinkId, StreamId, Token};
use super::super::{Master, MasterSettings};
use super::fixture::{TestAgent, command_task, launch_call, read, register, status_update};
use crate::allocator::messages::{Command, Proposal};
use crate::ids::{AgentId, FrameworkId, IdSource, OfferId};
use crate::resources::Resources;
use crate::time::Now;

const SEEDS: u8 = 40;
const STEPS: usize = 400;

/// What the allocator believes, from its commands alone.
#[derive(Default)]
struct Ledger(BTreeMap<AgentId, BTreeMap<FrameworkId, Resources>>);

impl Ledger {
    fn add(&mut self, agent: &AgentId, framework: &FrameworkId, resources: &Resources) {
        let of_agent = self.0.entry(agent.clone()).or_default();
        of_agent
            .entry(framework.clone())
            .or_default()
            .add(resources);
    }

    fn follow(&mut self, command: &Command) {
        match command {
            Command::AddAgent { id, used, .. } => {
                assert!(
                    self.0.insert(id.clone(), BTreeMap::new()).is_none(),
                    "{id} added twice"
                );
                used.iter()
                    .for_each(|(framework, used)| self.add(id, framework, used));
            }
            Command::RemoveAgent(id) => {
                self.0.remove(id).unwrap();
            }
            Command::Charge {
                framework,
                agent,
                resources,
            } => self.add(agent, framework, resources),
            Command::Release {
                framework,
                agent,
                resources,
                ..
            } => {
                let of_agent = self.0.get_mut(agent).unwrap();
                let held = of_agent.get_mut(framework).unwrap();
                assert!(
                    held.contains(resources),
                    "{held} does not contain {resources}"
                );
                held.subtract(resources);
                of_agent.retain(|_, held| !held.is_empty());
            }
            _ => {}
        }
    }
}

/// An agent's own view.
struct Simulated {
    agent: TestAgent,
    tasks: BTreeMap<(String, String), Task>,
    frameworks: BTreeMap<String, FrameworkInfo>,
}

struct World {
    master: Master,
    now: Now,
    random: IdSource,
    ledger: Ledger,
    agents: Vec<Simulated>,
    streams: BTreeMap<StreamId, FrameworkId>,
    links: BTreeSet<LinkId>,
    stored: Vec<Token>,
    unacknowledged: Vec<(FrameworkId, String, String)>,
    next: u64,
}

impl World {
    fn new(seed: u8) -> Self {
        let now = Now::default();
        let settings = MasterSettings {
            offer_timeout: seed.is_multiple_of(2).then_some(Duration::from_secs(50)),
            max_unreachable_tasks_per_framework: 3,
            max_completed_frameworks: 3,
            ..Default::default()
        };
        let info = tepui_protocol::v1::MasterInfo {
            id: "M".to_string(),
            ..Default::default()
        };
        let mut world = World {
            master: Master::new(settings, info, now),
            now,
            random: IdSource::from_seed([seed; 32]),
            ledger: Ledger::default(),
            agents: Vec::new(),
            streams: BTreeMap::new(),
            links: BTreeSet::new(),
            stored: Vec::new(),
            unacknowledged: Vec::new(),
            next: 0,
        };
        world.input(Input::Recovered(Box::default()));
        world
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit.max(1) as u64) as usize
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn pick<T: Clone>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.into_iter().collect();
        let index = self.below(all.len());
        all.get(index).cloned()
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.master.handle(self.now, input, &mut out);
        for effect in out {
            self.perform(effect);
        }
        self.master.sanity_check().unwrap();
        self.check_ledger();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::ToAllocator(command) => self.ledger.follow(&command),
            Effect::ToAgent(link, message) => self.deliver(link, *message),
            Effect::Apply(token, _) => self.stored.push(token),
            Effect::CloseLink(link) => {
                self.links.remove(&link);
            }
            Effect::CloseStream(stream) => {
                self.streams.remove(&stream);
            }
            Effect::ToFramework(stream, event) => {
                if let Some(subscribed) = &event.subscribed {
                    let id = FrameworkId::from(&subscribed.framework_id);
                    self.streams.insert(stream.clone(), id);
                }
                assert!(self.streams.contains_key(&stream) || event.error.is_some());
            }
            Effect::Reply(..) => {}
            Effect::Exit(why) => panic!("{why}"),
        }
    }

    fn deliver(&mut self, link: LinkId, message: MasterToAgent) {
        if !self.links.contains(&link) {
            return;
        }
        if let MasterToAgent::Registered { agent_id, .. } = &message {
            let known = self.master.snapshot();
            let port = known
                .agents
                .get(agent_id.as_str())
                .and_then(|agent| agent.info.port);
            let agent = TestAgent {
                id: AgentId::from(agent_id.as_str()),
                link,
                port: port.unwrap(),
            };
            self.agents.push(Simulated {
                agent,
                tasks: BTreeMap::new(),
                frameworks: BTreeMap::new(),
            });
            return;
        }
        let Some(agent) = self.agents.iter_mut().find(|a| a.agent.link == link) else {
            return;
        };
        match message {
            MasterToAgent::RunTask(run) => {
                let framework = run.framework.id.as_ref().unwrap().value.clone();
                let task = json!({
                    "name": "t",
                    "task_id": {"value": run.task.task_id.value},
                    "framework_id": {"value": framework},
                    "agent_id": {"value": agent.agent.id.as_str()},
                    "state": "TASK_STAGING",
                    "resources": [],
                });
                let mut task: Task = read(&task);
                task.resources.clone_from(&run.task.resources);
                let key = (framework.clone(), task.task_id.value.clone());
                agent.frameworks.insert(framework, run.framework.0);
                agent.tasks.insert(key, task);
            }
            MasterToAgent::ShutdownFramework { framework_id } => {
                agent
                    .tasks
                    .retain(|(framework, _), _| *framework != framework_id);
                agent.frameworks.remove(&framework_id);
            }
            MasterToAgent::AcknowledgeStatus {
                framework_id,
                task_id,
                ..
            } => {
                agent.tasks.remove(&(framework_id, task_id));
            }
            _ => {}
        }
    }

    /// What the master says is used and offered, per agent and framework.
    fn check_ledger(&self) {
        let snapshot = self.master.snapshot();
        let mut expected = Ledger::default();
        for (id, agent) in &snapshot.agents {
            expected.0.entry(id.clone()).or_default();
            for (framework, used) in &agent.used {
                expected.add(id, framework, used);
            }
        }
        for offer in snapshot.offers.values() {
            expected.add(&offer.agent, &offer.framework, &offer.resources);
        }
        assert_eq!(self.ledger.0, expected.0);
    }

    fn step(&mut self) {
        match self.below(16) {
            0 if self.agents.len() < 3 || self.below(8) == 0 => self.register(),
            0 => self.propose(),
            1 => self.subscribe(),
            2 => {
                if let Some(stream) = self.pick(self.streams.keys().cloned().collect::<Vec<_>>()) {
                    self.streams.remove(&stream);
                    self.input(Input::StreamClosed { stream });
                }
            }
            3..=5 => self.propose(),
            6..=8 => self.accept(),
            9 | 10 => self.report(),
            11 => self.acknowledge(),
            12 => self.lose_link(),
            13 => self.come_back(),
            14 => self.pass(),
            _ => {
                if let Some(token) = self.stored.pop() {
                    let result = Ok(true);
                    self.input(Input::Applied { token, result });
                }
            }
        }
    }

    fn open_link(&mut self) -> LinkId {
        let link = LinkId(self.number());
        self.links.insert(link);
        let peer_ip = "127.0.0.1".to_string();
        self.input(Input::LinkOpened { link, peer_ip });
        link
    }

    fn register(&mut self) {
        let port = 5000 + self.below(4) as i32;
        let link = self.open_link();
        let message = Box::new(AgentToMaster::Register(Box::new(register(port))));
        self.input(Input::FromAgent { link, message });
    }

    fn subscribe(&mut self) {
        let known: Vec<FrameworkId> = self.master.snapshot().frameworks.keys().cloned().collect();
        let mut info = json!({"user": "root", "name": "x"});
        info["checkpoint"] = json!(self.below(2) == 0);
        info["failover_timeout"] = json!(self.below(2) as f64 * 100.0);
        if self.below(2) == 0 {
            info["capabilities"] = json!([{"type": "PARTITION_AWARE"}]);
        }
        if let Some(id) = self.pick(known).filter(|_| self.next.is_multiple_of(2)) {
            info["id"] = json!({"value": id.as_str()});
        }
        let stream = StreamId(format!("s{}", self.number()).into());
        let subscribe = Box::new(read(&json!({"framework_info": info})));
        self.input(Input::Subscribe {
            stream,
            subscribe,
            principal: None,
        });
    }

    /// The allocator proposes what is free, sometimes with numbers that are out of date.
    fn propose(&mut self) {
        let snapshot = self.master.snapshot();
        let frameworks: Vec<_> = snapshot.frameworks.values().cloned().collect();
        let agents: Vec<_> = snapshot.agents.values().cloned().collect();
        let (Some(framework), Some(agent)) = (self.pick(frameworks), self.pick(agents)) else {
            return;
        };
        let wanted = Resources::parse("cpus:1;mem:128", "*").unwrap();
        let mut held = Resources::new();
        let of_agent = &self.ledger.0[&agent.id];
        of_agent
            .values()
            .for_each(|resources| held.add(&resources.unallocated()));
        held.add(&wanted);
        if !agent.total.contains(&held) {
            return;
        }
        let resources = wanted.allocated_to("*");
        self.ledger.add(&agent.id, &framework.id, &resources);
        let stale = self.below(8) == 0;
        self.input(Input::Proposed(vec![Proposal {
            framework: framework.id.clone(),
            framework_generation: framework.generation - u64::from(stale),
            role: "*".into(),
            agent: agent.id.clone(),
            agent_generation: agent.generation,
            resources,
        }]));
    }

    fn call(&mut self, framework: &FrameworkId, mut call: serde_json::Value) {
        call["framework_id"] = json!({"value": framework.as_str()});
        let stream = self.streams.iter().find(|(_, id)| *id == framework);
        let stream = stream.map(|(stream, _)| stream.0.to_string());
        let reply = Token(self.number());
        self.input(Input::Call {
            call: Box::new(read(&call)),
            stream,
            principal: None,
            reply,
        });
    }

    fn accept(&mut self) {
        let offers: Vec<_> = self.master.snapshot().offers.values().cloned().collect();
        let Some(offer) = self.pick(offers) else {
            return;
        };
        let agent = TestAgent {
            id: offer.agent.clone(),
            link: LinkId(0),
            port: 0,
        };
        // Few ids, so that they clash.
        let task = format!("t{}", self.below(12));
        let ids: Vec<&OfferId> = vec![&offer.id];
        let call = match self.below(6) {
            0 => json!({"type": "DECLINE", "decline": {
                "offer_ids": [{"value": offer.id.as_str()}]}}),
            1 => json!({"type": "KILL", "kill": {"task_id": {"value": task}}}),
            2 if self.below(4) == 0 => json!({"type": "TEARDOWN"}),
            _ => launch_call(&ids, &json!([command_task(&task, &agent)])),
        };
        self.call(&offer.framework, call);
    }

    fn report(&mut self) {
        let index = self.below(self.agents.len());
        let Some(agent) = self.agents.get(index) else {
            return;
        };
        let keys: Vec<_> = agent.tasks.keys().cloned().collect();
        let (id, link) = (agent.agent.id.to_string(), agent.agent.link);
        let Some((framework, task)) = self.pick(keys) else {
            return;
        };
        let states = [
            TaskState::TaskRunning,
            TaskState::TaskFinished,
            TaskState::TaskFailed,
        ];
        let state = states[self.below(states.len())];
        let framework = FrameworkId::from(framework.as_str());
        if state != TaskState::TaskRunning {
            let key = (framework.to_string(), task.clone());
            self.agents[index].tasks.get_mut(&key).unwrap().state = state as i32;
            self.unacknowledged
                .push((framework.clone(), task.clone(), id));
        }
        let uuid = Some(vec![1; 16]);
        let update = status_update(&framework, &task, state, uuid);
        let message = Box::new(AgentToMaster::StatusUpdate(Box::new(update)));
        self.input(Input::FromAgent { link, message });
    }

    fn acknowledge(&mut self) {
        if let Some((framework, task, agent)) = self.unacknowledged.pop() {
            let call = json!({"type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": {"value": agent},
                "task_id": {"value": task},
                "uuid": "AQEBAQEBAQEBAQEBAQEBAQ==",
            }});
            self.call(&framework, call);
        }
    }

    fn lose_link(&mut self) {
        let Some(link) = self.pick(self.links.clone()) else {
            return;
        };
        match self.below(3) {
            0 => self.input(Input::LinkUnresponsive { link }),
            _ => {
                self.links.remove(&link);
                self.input(Input::LinkClosed { link });
            }
        }
    }

    fn come_back(&mut self) {
        let index = self.below(self.agents.len());
        if index >= self.agents.len() {
            return;
        }
        let link = self.open_link();
        let simulated = &mut self.agents[index];
        simulated.agent.link = link;
        let mut register = register(simulated.agent.port);
        register.info.id = Some(simulated.agent.id.to_v1());
        let report = Reregister {
            register,
            tasks: simulated.tasks.values().cloned().map(Into::into).collect(),
            executors: Vec::new(),
            frameworks: simulated
                .frameworks
                .values()
                .cloned()
                .map(Into::into)
                .collect(),
            completed_frameworks: Vec::new(),
            operations: Vec::new(),
        };
        let message = Box::new(AgentToMaster::Reregister(Box::new(report)));
        self.input(Input::FromAgent { link, message });
    }

    fn pass(&mut self) {
        let seconds = [1, 60, 700][self.below(3)];
        self.now.mono = self.now.mono + Duration::from_secs(seconds);
        if self
            .master
            .next_deadline()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.input(Input::Tick);
        }
    }
}

#[test]
fn random_histories_keep_master_and_ledger_consistent() {
    let mut launched = 0;
    let mut returned = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        let counters = world.master.snapshot().counters;
        launched += counters.tasks_finished + counters.tasks_failed + counters.tasks_lost;
        returned += counters.slave_reregistrations;
    }
    // The histories are worth nothing unless they reach these.
    assert!(launched > 100, "{launched} tasks ended");
    assert!(returned > 10, "{returned} agents came back");
}
