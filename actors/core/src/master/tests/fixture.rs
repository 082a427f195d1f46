//! A master whose every effect must be read by the test, and whose state is checked at every step.
//! Plays agents and frameworks; decides nothing.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::json::from_slice;
use tepui_protocol::link::{AgentToMaster, MasterToAgent, Register, Reregister, StatusUpdate};
use tepui_protocol::v1::scheduler::Event;
use tepui_protocol::v1::{AgentInfo, MasterInfo, TaskState, TaskStatus};

use super::super::call::is_accepted_at_once;
use super::super::messages::{Answer, Effect, Input, LinkId, StreamId, Token};
use super::super::operator::Request;
use super::super::{Master, MasterSettings};
use crate::allocator::messages::{Command, Proposal};
use crate::ids::{AgentId, FrameworkId, OfferId};
use crate::registry::{Operation, Registry};
use crate::resources::Resources;
use crate::time::{Mono, Now, Wall};

/// What every test agent has.
pub const AGENT_RESOURCES: &str = "cpus:4;mem:2048;disk:4096";

/// A master under test.
pub struct TestMaster {
    pub master: Master,
    pub now: Now,
    effects: VecDeque<Effect>,
    next_link: u64,
    next_stream: u64,
    next_reply: u64,
}

/// A framework that subscribed.
#[derive(Debug, Clone)]
pub struct TestFramework {
    pub id: FrameworkId,
    pub stream: StreamId,
}

/// An agent that registered.
#[derive(Debug, Clone)]
pub struct TestAgent {
    pub id: AgentId,
    pub link: LinkId,
    pub port: i32,
}

/// Reads a message from Mesos's JSON.
pub fn read<M: tepui_protocol::schema::Message>(value: &Value) -> M {
    from_slice(value.to_string().as_bytes()).unwrap()
}

impl TestMaster {
    pub fn new() -> Self {
        Self::with(MasterSettings::default())
    }

    pub fn with(settings: MasterSettings) -> Self {
        let mut test = Self::recovering(settings);
        test.recover(Registry::default());
        test
    }

    /// Gives the master its registry, and reads that the allocator is told first.
    pub fn recover(&mut self, registry: Registry) {
        self.input(Input::Recovered(Box::new(registry)));
        assert!(matches!(
            self.effects.pop_front(),
            Some(Effect::ToAllocator(Command::Recover { .. }))
        ));
    }

    pub fn after_failover(registry: Registry) -> Self {
        let mut test = Self::recovering(MasterSettings::default());
        test.recover(registry);
        test
    }

    pub fn recovering(settings: MasterSettings) -> Self {
        let now = Now {
            mono: Mono(1_000_000),
            wall: Wall(1_600_000_000_000_000),
        };
        let info = MasterInfo {
            id: "M".to_string(),
            ..Default::default()
        };
        TestMaster {
            master: Master::new(settings, info, now),
            now,
            effects: VecDeque::new(),
            next_link: 1,
            next_stream: 1,
            next_reply: 1,
        }
    }

    /// Gives the master an input and checks all its state.
    pub fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.master.handle(self.now, input, &mut out);
        self.effects.extend(out);
        self.master.sanity_check().unwrap();
    }

    /// Lets time pass, and the master see it if it wanted to.
    pub fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall = Wall(self.now.wall.0 + time.as_micros() as u64);
        if self
            .master
            .next_deadline()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.input(Input::Tick);
        }
    }

    /// The next effect that `select` likes; it is taken out.
    pub fn find<T: Debug>(&mut self, what: &str, select: impl Fn(&Effect) -> Option<T>) -> T {
        let found = self
            .effects
            .iter()
            .position(|effect| select(effect).is_some());
        let Some(found) = found else {
            panic!("expected {what}, there is {:#?}", self.effects);
        };
        let effect = self.effects.remove(found).unwrap();
        select(&effect).unwrap()
    }

    /// The next event of a stream.
    pub fn event(&mut self, stream: &StreamId) -> Event {
        self.find(&format!("an event on {stream:?}"), |effect| match effect {
            Effect::ToFramework(to, event) if to == stream => Some(*event.clone()),
            _ => None,
        })
    }

    /// The status of the next event of a stream, which must be an UPDATE.
    pub fn update(&mut self, framework: &TestFramework) -> TaskStatus {
        let event = self.event(&framework.stream);
        event
            .update
            .unwrap_or_else(|| panic!("expected UPDATE"))
            .status
    }

    /// The ids of all tasks that a framework is told of, in order; every event must be an UPDATE.
    pub fn all_updated(&mut self, framework: &TestFramework) -> Vec<String> {
        let effects = std::mem::take(&mut self.effects);
        let (told, rest) = effects.into_iter().partition(
            |effect| matches!(effect, Effect::ToFramework(to, _) if *to == framework.stream),
        );
        self.effects = rest;
        let ids = VecDeque::into_iter(told).map(|effect| match effect {
            Effect::ToFramework(_, event) => event.update.unwrap().status.task_id.value,
            other => panic!("{other:?} is no event"),
        });
        ids.collect()
    }

    /// The stream that is to say when it has drained.
    pub fn notify_drained(&mut self) -> StreamId {
        self.find(
            "a request to say when a stream has drained",
            |effect| match effect {
                Effect::NotifyDrained(stream) => Some(stream.clone()),
                _ => None,
            },
        )
    }

    /// Task, state, reason and message of the next event of a stream, which must be an UPDATE.
    pub fn update_text(&mut self, framework: &TestFramework) -> (String, String, String, String) {
        let status = self.update(framework);
        (
            status.task_id.value.clone(),
            status.state().as_str_name().to_string(),
            status.reason().as_str_name().to_string(),
            status.message().to_string(),
        )
    }

    /// The next message to an agent.
    pub fn order(&mut self, link: LinkId) -> MasterToAgent {
        self.find(&format!("a message on {link:?}"), |effect| match effect {
            Effect::ToAgent(to, message) if *to == link => Some(*message.clone()),
            _ => None,
        })
    }

    /// The next command to the allocator.
    pub fn command(&mut self) -> Command {
        self.find("a command", |effect| match effect {
            Effect::ToAllocator(command) => Some(command.clone()),
            _ => None,
        })
    }

    /// All commands to the allocator.
    pub fn commands(&mut self) -> Vec<Command> {
        let effects = std::mem::take(&mut self.effects);
        let mut commands = Vec::new();
        for effect in effects {
            match effect {
                Effect::ToAllocator(command) => commands.push(command),
                other => self.effects.push_back(other),
            }
        }
        commands
    }

    /// The next operation for the registrar.
    pub fn operation(&mut self) -> (Token, Operation) {
        self.find("an operation", |effect| match effect {
            Effect::Apply(token, operation) => Some((*token, operation.clone())),
            _ => None,
        })
    }

    /// Lets the registrar store the next operation.
    pub fn store(&mut self) -> Operation {
        let (token, operation) = self.operation();
        self.input(Input::Applied {
            token,
            result: Ok(true),
        });
        operation
    }

    pub fn closed_stream(&mut self) -> StreamId {
        self.find("a closed stream", |effect| match effect {
            Effect::CloseStream(stream) => Some(stream.clone()),
            _ => None,
        })
    }

    pub fn closed_link(&mut self) -> LinkId {
        self.find("a closed link", |effect| match effect {
            Effect::CloseLink(link) => Some(*link),
            _ => None,
        })
    }

    pub fn exit(&mut self) -> String {
        self.find("an exit", |effect| match effect {
            Effect::Exit(why) => Some(why.clone()),
            _ => None,
        })
    }

    /// Fails if an effect was not read.
    pub fn done(&mut self) {
        assert!(self.effects.is_empty(), "not read: {:#?}", self.effects);
    }

    /// All effects that were not read yet, in their order.
    pub fn take(&mut self) -> Vec<Effect> {
        self.effects.drain(..).collect()
    }

    /// Forgets all effects; for what other tests look at.
    pub fn skip(&mut self) {
        self.effects.clear();
    }

    /// The resources released next, and for how long they are refused.
    pub fn released(&mut self) -> (String, Option<Duration>) {
        match self.command() {
            Command::Release {
                resources, refusal, ..
            } => (
                resources.to_string(),
                refusal.map(|refusal| refusal.timeout),
            ),
            other => panic!("expected Release, got {other:?}"),
        }
    }

    pub fn open_link(&mut self) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.input(Input::LinkOpened {
            link,
            peer_ip: "127.0.0.1".to_string(),
        });
        link
    }

    pub fn agent_says(&mut self, link: LinkId, message: AgentToMaster) {
        self.input(Input::FromAgent {
            link,
            message: Box::new(message),
        });
    }

    /// An agent that registered and was admitted.
    pub fn agent(&mut self, port: i32) -> TestAgent {
        let link = self.open_link();
        self.agent_says(link, AgentToMaster::Register(Box::new(register(port))));
        self.store();
        let MasterToAgent::Registered { agent_id, .. } = self.order(link) else {
            panic!("expected Registered");
        };
        assert!(matches!(self.command(), Command::AddAgent { .. }));
        TestAgent {
            id: AgentId::new(agent_id),
            link,
            port,
        }
    }

    pub fn subscribe(&mut self, info: Value) -> StreamId {
        self.subscribe_with(json!({"framework_info": info}))
    }

    pub fn subscribe_with(&mut self, subscribe: Value) -> StreamId {
        let stream = StreamId(format!("stream-{}", self.next_stream).into());
        self.next_stream += 1;
        self.input(Input::Subscribe {
            stream: stream.clone(),
            subscribe: Box::new(read(&subscribe)),
            principal: None,
        });
        stream
    }

    /// A new framework with these fields beside user and name.
    pub fn framework(&mut self, fields: Value) -> TestFramework {
        let mut info = json!({"user": "root", "name": "test"});
        let object = info.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        let stream = self.subscribe(info);
        let subscribed = self.event(&stream).subscribed.expect("SUBSCRIBED");
        assert!(matches!(
            self.command(),
            Command::AddFramework { active: true, .. }
        ));
        TestFramework {
            id: FrameworkId::from(&subscribed.framework_id),
            stream,
        }
    }

    /// Makes a call and returns its answer.
    pub fn call(&mut self, framework: &TestFramework, mut call: Value) -> Answer {
        call["framework_id"] = json!({"value": framework.id.as_str()});
        self.raw_call(&call, Some(&framework.stream.0))
    }

    pub fn raw_call(&mut self, call: &Value, stream: Option<&str>) -> Answer {
        self.call_as(None, call, stream)
    }

    pub fn call_as(
        &mut self,
        principal: Option<&str>,
        call: &Value,
        stream: Option<&str>,
    ) -> Answer {
        let reply = Token(self.next_reply);
        self.next_reply += 1;
        let call = Box::new(read(call));
        let view = self.master.snapshot();
        let at_once = is_accepted_at_once(&view, &call, stream, principal);
        self.input(Input::Call {
            call,
            stream: stream.map(str::to_string),
            principal: principal.map(str::to_string),
            reply,
        });
        let answer = self.find("an answer", |effect| match effect {
            Effect::Reply(to, answer) if *to == reply => Some(answer.clone()),
            _ => None,
        });
        assert!(!at_once || answer == Answer::Accepted, "{answer:?}");
        answer
    }

    pub fn accepted(&mut self, framework: &TestFramework, call: Value) {
        assert_eq!(self.call(framework, call), Answer::Accepted);
    }

    /// Makes an operator's request; the token names its answer.
    pub fn operator_asks(&mut self, request: Request) -> Token {
        let reply = Token(self.next_reply);
        self.next_reply += 1;
        self.input(Input::Operator {
            request: Box::new(request),
            principal: None,
            reply,
        });
        reply
    }

    /// The answer to an operator's request.
    pub fn operator_told(&mut self, reply: Token) -> Answer {
        self.find("an answer", |effect| match effect {
            Effect::Reply(to, answer) if *to == reply => Some(answer.clone()),
            _ => None,
        })
    }

    pub fn proposal(&self, framework: &FrameworkId, agent: &AgentId, text: &str) -> Proposal {
        let known = &self.master.frameworks[framework];
        Proposal {
            framework: framework.clone(),
            framework_generation: known.generation,
            role: known.roles[0].clone(),
            agent: agent.clone(),
            agent_generation: self.master.agents[agent].generation,
            resources: Resources::parse(text, "*")
                .unwrap()
                .allocated_to(&known.roles[0]),
        }
    }

    /// Offers the framework these resources of the agent.
    pub fn offer(&mut self, framework: &TestFramework, agent: &TestAgent, text: &str) -> OfferId {
        let proposal = self.proposal(&framework.id, &agent.id, text);
        self.input(Input::Proposed(vec![proposal]));
        let offers = self.event(&framework.stream).offers.expect("OFFERS").offers;
        assert_eq!(offers.len(), 1);
        OfferId::from(&offers[0].id)
    }

    /// Launches a command task that runs: 1 cpu, 128 MB.
    pub fn launch(&mut self, framework: &TestFramework, agent: &TestAgent, task: &str) {
        let offer = self.offer(framework, agent, "cpus:1;mem:128");
        let task = command_task(task, agent);
        self.accepted(framework, launch_call(&[&offer], &json!([task])));
        assert!(matches!(self.order(agent.link), MasterToAgent::RunTask(_)));
    }

    /// Has the agent report a state of a task; returns the uuid to acknowledge.
    pub fn report(
        &mut self,
        framework: &FrameworkId,
        agent: &TestAgent,
        task: &str,
        state: TaskState,
    ) -> Vec<u8> {
        let uuid = vec![state as u8; 16];
        let update = status_update(framework, task, state, Some(uuid.clone()));
        self.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
        uuid
    }

    pub fn close_link(&mut self, agent: &TestAgent) {
        self.input(Input::LinkClosed { link: agent.link });
    }
}

impl Drop for TestMaster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.done();
        }
    }
}

pub fn status_update(
    framework: &FrameworkId,
    task: &str,
    state: TaskState,
    uuid: Option<Vec<u8>>,
) -> StatusUpdate {
    let status = TaskStatus {
        task_id: crate::ids::TaskId::from(task).to_v1(),
        state: state as i32,
        uuid,
        ..Default::default()
    };
    StatusUpdate {
        framework_id: framework.to_string(),
        executor_id: None,
        status: status.into(),
        latest_state: state as i32,
    }
}

pub fn register(port: i32) -> Register {
    let info: AgentInfo = read(&json!({
        "hostname": "host",
        "port": port,
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 2048}},
            {"name": "disk", "type": "SCALAR", "scalar": {"value": 4096}},
        ],
    }));
    Register {
        info: info.into(),
        version: "1.12.0".to_string(),
        link_version: tepui_protocol::link::VERSION,
        capabilities: crate::agent::CAPABILITIES
            .iter()
            .map(|name| name.to_string())
            .collect(),
        checkpointed_resources: Vec::new(),
        resource_version: vec![0; 16],
    }
}

/// A report of an agent that comes back with nothing running.
pub fn reregister(agent: &TestAgent) -> Reregister {
    let mut register = register(agent.port);
    register.info.id = Some(agent.id.to_v1());
    Reregister {
        register,
        tasks: Vec::new(),
        executors: Vec::new(),
        frameworks: Vec::new(),
        completed_frameworks: Vec::new(),
        operations: Vec::new(),
    }
}

pub fn cpus_mem(cpus: f64, mem: f64) -> Value {
    json!([
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}},
    ])
}

pub fn command_task(id: &str, agent: &TestAgent) -> Value {
    json!({
        "name": "t",
        "task_id": {"value": id},
        "agent_id": {"value": agent.id.as_str()},
        "resources": cpus_mem(1.0, 128.0),
        "command": {"shell": true, "value": "true"},
    })
}

pub fn launch_call(offers: &[&OfferId], tasks: &Value) -> Value {
    accept_call(
        offers,
        &json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]),
    )
}

pub fn accept_call(offers: &[&OfferId], operations: &Value) -> Value {
    let offers: Vec<Value> = offers
        .iter()
        .map(|id| json!({"value": id.as_str()}))
        .collect();
    json!({
        "type": "ACCEPT",
        "accept": {
            "offer_ids": offers,
            "operations": operations,
            "filters": {"refuse_seconds": 0.0},
        },
    })
}
