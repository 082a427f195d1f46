//! Random histories from seeds: after every step the state is consistent, and what the allocator
//! believes to be allocated is exactly what is offered or used. In the end, when all is said,
//! master, allocator and agents agree on what there is.

mod agent;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::{self, TaskState};

use super::super::messages::{Answer, Effect, Input, LinkId, StreamId, Token};
use super::super::operator::Request;
use super::super::{Master, MasterSettings};
use super::fixture::{TestAgent, accept_call, command_task, read, register, status_update};
use super::parts::{create, destroy, reserve, unreserve};
use crate::allocator::messages::Proposal;
use crate::allocator::{Allocator, AllocatorConfig};
use crate::ids::{AgentId, FrameworkId, IdSource, OfferId};
use crate::resources::{Entry, Format, Resources};
use crate::time::Now;
use agent::Simulated;
use ledger::Ledger;

const SEEDS: u8 = 40;
const STEPS: usize = 1200;

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
    /// Statuses of operations that frameworks have to acknowledge.
    seen: Vec<(FrameworkId, v1::OperationStatus)>,
    /// Requests of operators that wait for an answer.
    asked: BTreeSet<Token>,
    accepted: usize,
    watcher: super::watcher::Watcher,
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
            ledger: Ledger {
                allocator: seed
                    .is_multiple_of(3)
                    .then(|| Allocator::new(AllocatorConfig::default())),
                ..Ledger::default()
            },
            agents: Vec::new(),
            streams: BTreeMap::new(),
            links: BTreeSet::new(),
            stored: Vec::new(),
            unacknowledged: Vec::new(),
            seen: Vec::new(),
            asked: BTreeSet::new(),
            accepted: 0,
            watcher: Default::default(),
            next: 0,
        };
        world.input(Input::Watched(true));
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
        all.get(self.below(all.len())).cloned()
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
            Effect::ToAllocator(command) => self.ledger.follow(self.now, command),
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
                let update = event.update_operation_status;
                if let Some(update) = update.filter(|update| update.status.uuid.is_some()) {
                    let id = self.streams[&stream].clone();
                    self.seen.push((id, update.status));
                }
            }
            Effect::Reply(token, answer) => {
                if self.asked.remove(&token) {
                    self.accepted += usize::from(answer == Answer::Accepted);
                }
            }
            Effect::ToSubscribers(event) => self.watcher.follow(&event),
            Effect::NotifyDrained(_) => panic!("there are too few tasks for that"),
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
            self.agents.push(Simulated::new(agent));
            return;
        }
        let agent = self.agents.iter_mut().find(|a| a.agent.link == link);
        if let Some(agent) = agent {
            agent.hear(message, &mut self.random);
        }
    }

    /// What the master says is used, offered and there at all.
    fn check_ledger(&self) {
        let snapshot = self.master.snapshot();
        let mut expected = Ledger::default();
        for (id, agent) in &snapshot.agents {
            expected.held.entry(id.clone()).or_default();
            for (framework, used) in &agent.used {
                expected.add(id, framework, used);
            }
            let mut total = agent.total.clone();
            for answer in &self.ledger.answers {
                let awaited = self.master.changes.contains_key(&answer.token);
                if answer.agent == *id && awaited && answer.result.is_ok() {
                    total.convert(std::slice::from_ref(&answer.change)).unwrap();
                }
            }
            assert_eq!(self.ledger.totals[id], total, "total of {id}");
        }
        for offer in snapshot.offers.values() {
            expected.add(&offer.agent, &offer.framework, &offer.resources);
        }
        assert_eq!(self.ledger.held, expected.held);
        self.watcher.check(&snapshot);
    }

    /// The allocator's answers reach the master, before anything it proposes later.
    fn answer(&mut self) {
        for answer in std::mem::take(&mut self.ledger.answers) {
            let (token, result) = (answer.token, answer.result.clone());
            self.ledger.answers.insert(0, answer);
            let mut out = Vec::new();
            self.master
                .handle(self.now, Input::Transformed { token, result }, &mut out);
            self.ledger.answers.remove(0);
            for effect in out {
                self.perform(effect);
            }
            self.master.sanity_check().unwrap();
        }
        self.check_ledger();
    }

    fn step(&mut self) {
        match self.below(24) {
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
            15..=17 => self.report_operation(),
            18 | 19 => self.acknowledge_operation(),
            20 => self.operate(),
            21 | 22 => self.answer(),
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
        let mut info = json!({"user": "root", "name": "x", "roles": ["web"]});
        let mut capabilities = vec![
            json!({"type": "MULTI_ROLE"}),
            json!({"type": "RESERVATION_REFINEMENT"}),
            json!({"type": "SHARED_RESOURCES"}),
        ];
        info["checkpoint"] = json!(self.below(2) == 0);
        info["failover_timeout"] = json!(self.below(2) as f64 * 100.0);
        if self.below(2) == 0 {
            capabilities.push(json!({"type": "PARTITION_AWARE"}));
        }
        info["capabilities"] = json!(capabilities);
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
        // Its answers and proposals arrive in the order it made them.
        self.answer();
        if let Some(proposals) = self.ledger.propose(self.now) {
            return self.input(Input::Proposed(proposals));
        }
        let snapshot = self.master.snapshot();
        let frameworks: Vec<_> = snapshot.frameworks.values().cloned().collect();
        let agents: Vec<_> = snapshot.agents.values().cloned().collect();
        let (Some(framework), Some(agent)) = (self.pick(frameworks), self.pick(agents)) else {
            return;
        };
        let free = self.ledger.free(&agent.id);
        let some = Resources::parse("cpus:1;mem:128;disk:64", "*").unwrap();
        let mut offered = match free.contains(&some) {
            true => some,
            false => Resources::new(),
        };
        if self.below(2) == 0 {
            offered.add(&free.reserved());
        }
        if offered.is_empty() || !self.master.agents.contains_key(&agent.id) {
            return;
        }
        let resources = offered.allocated_to("web");
        self.ledger.add(&agent.id, &framework.id, &resources);
        let stale = self.below(8) == 0;
        self.input(Input::Proposed(vec![Proposal {
            framework: framework.id.clone(),
            framework_generation: framework.generation - u64::from(stale),
            role: "web".into(),
            agent: agent.id.clone(),
            agent_generation: agent.generation,
            resources,
        }]));
    }

    fn call(&mut self, framework: &FrameworkId, mut call: Value) {
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
            _ => {
                let mut operations: Vec<Value> = (0..self.below(2))
                    .map(|_| self.operation(&offer.resources.unallocated()))
                    .collect();
                let launch = json!([command_task(&task, &agent)]);
                operations.push(json!({"type": "LAUNCH", "launch": {"task_infos": launch}}));
                accept_call(&ids, &json!(operations))
            }
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

    /// Some operation that fits these resources, or nearly so.
    fn operation(&mut self, on: &Resources) -> Value {
        let number = self.number();
        let is = |entry: &&Entry, kind: usize| match kind {
            0 => !entry.is_reserved(),
            1 | 2 => entry.is_reserved() && !entry.is_persistent_volume(),
            _ => entry.is_persistent_volume(),
        };
        let kind = self.below(4);
        let fit = on.iter().filter(|entry| is(entry, kind)).cloned();
        let one = self.pick(fit.collect::<Vec<Entry>>());
        let one: Resources = one.into_iter().collect();
        let mut list = serde_json::to_value(one.to_v1(Format::PostRefinement)).unwrap();
        if kind == 0
            && let Some(resource) = list.get_mut(0)
        {
            resource["reservations"] = json!([{"type": "DYNAMIC", "role": "web"}]);
        }
        if kind == 2
            && let Some(resource) = list.get_mut(0).filter(|r| r["name"] == "disk")
        {
            resource["disk"] = json!({"persistence": {"id": format!("v{number}")},
                "volume": {"mode": "RW", "container_path": "data"}});
            if self.below(2) == 0 {
                resource["shared"] = json!({});
            }
        }
        let mut operation = match kind {
            0 => reserve(list),
            1 => unreserve(list),
            2 => create(list),
            _ => destroy(list),
        };
        if self.below(4) > 0 {
            // Names are given twice now and then.
            let name = format!("o{}", number - number % 3);
            operation["id"] = json!({"value": name});
        }
        operation
    }

    fn operate(&mut self) {
        let agents: Vec<_> = self.master.snapshot().agents.values().cloned().collect();
        let Some(agent) = self.pick(agents) else {
            return;
        };
        let mut operation = self.operation(&agent.total);
        operation.as_object_mut().unwrap().remove("id");
        let reply = Token(self.number());
        self.asked.insert(reply);
        let request = Request::ChangeResources {
            agent: agent.id.clone(),
            operation: Box::new(read(&operation)),
        };
        self.input(Input::Operator {
            request: Box::new(request),
            principal: None,
            reply,
        });
    }

    /// An agent says, perhaps again, how an operation ended.
    fn report_operation(&mut self) {
        let index = self.below(self.agents.len());
        let Some(agent) = self.agents.get(index) else {
            return;
        };
        let uuids: Vec<Vec<u8>> = agent.operations.keys().cloned().collect();
        if let Some(uuid) = self.pick(uuids) {
            self.say_status(index, &uuid);
        }
    }

    fn say_status(&mut self, index: usize, uuid: &[u8]) {
        let agent = &self.agents[index];
        let (link, message) = (agent.agent.link, Box::new(agent.status_of(uuid)));
        self.input(Input::FromAgent { link, message });
    }

    fn acknowledge_operation(&mut self) {
        let Some((framework, status)) = self.seen.pop() else {
            return;
        };
        let status = serde_json::to_value(&status).unwrap();
        let call = json!({"type": "ACKNOWLEDGE_OPERATION_STATUS",
        "acknowledge_operation_status": {
            "agent_id": status["agent_id"],
            "operation_id": status["operation_id"],
            "uuid": status["uuid"]["value"],
        }});
        self.call(&framework, call);
    }

    /// All that is under way arrives: then all agree on what there is. Tells how many agents were
    /// looked at.
    fn settle(&mut self) -> usize {
        while let Some(token) = self.stored.pop() {
            let result = Ok(true);
            self.input(Input::Applied { token, result });
        }
        while !self.ledger.answers.is_empty() {
            self.answer();
        }
        assert!(self.asked.is_empty(), "{:?} were not answered", self.asked);
        for index in 0..self.agents.len() {
            let uuids: Vec<Vec<u8>> = self.agents[index].operations.keys().cloned().collect();
            for uuid in uuids {
                if self.agents[index].operations.contains_key(&uuid) {
                    self.say_status(index, &uuid);
                }
            }
        }
        let mut compared = 0;
        for simulated in &self.agents {
            let link = simulated.agent.link;
            let known = self.master.agents.get(&simulated.agent.id);
            let linked = known.filter(|agent| agent.link() == Some(link));
            if let Some(known) = linked.filter(|_| self.links.contains(&link)) {
                compared += 1;
                assert_eq!(known.total, simulated.total, "total of {}", known.id);
            }
        }
        compared
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
        let message = Box::new(simulated.report());
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
    let (mut finished, mut failed, mut acknowledged) = (0, 0, 0);
    let (mut operated, mut compared) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        compared += world.settle();
        let counters = world.master.snapshot().counters;
        launched += counters.tasks_finished + counters.tasks_failed + counters.tasks_lost;
        returned += counters.slave_reregistrations;
        acknowledged += counters.valid_operation_status_update_acknowledgements;
        operated += world.accepted;
        finished += world.agents.iter().map(|a| a.finished).sum::<usize>();
        failed += world.agents.iter().map(|a| a.failed).sum::<usize>();
    }
    // The histories are worth nothing unless they reach these.
    assert!(launched > 100, "{launched} tasks ended");
    assert!(returned > 10, "{returned} agents came back");
    assert!(finished > 100, "{finished} operations finished");
    assert!(failed > 10, "{failed} operations failed");
    assert!(acknowledged > 10, "{acknowledged} ends were acknowledged");
    assert!(compared > 10, "{compared} agents were compared");
    assert!(
        operated > 10,
        "{operated} changes of operators were accepted"
    );
}
