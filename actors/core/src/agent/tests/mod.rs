//! Tests of the agent's core: inputs in, effects out, nothing left unread.
//! This file holds the fixture only.

mod drain;
mod executor_api;
mod executors;
mod garbage;
mod isolation;
mod kills;
mod launches;
mod operation_streams;
mod operations;
mod recovery;
mod registration;
mod restart;
mod updates;
mod volumes;

use std::collections::VecDeque;
use std::time::Duration;

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::journal::Record;
use tepui_protocol::link::{AgentToMaster, MasterToAgent, RunTask, RunTaskGroup, StatusUpdate};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{self, TaskState, TaskStatus, task_status::Source};

use super::journal::Restored;
use super::messages::{Answer, Checkpoint, ConnectionId, Effect, Input, Launch, LinkNumber, Token};
use super::model::Snapshot;
use super::recovery::recover;
use super::{Agent, Isolation, Settings};
use crate::ids::ContainerId;
use crate::time::{Mono, Now, Wall};

pub(super) const AGENT: &str = "agent-S0";
pub(super) const FRAMEWORK: &str = "fw";
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(75);

/// An agent under test. Every effect must be read before the next input and before the end.
pub(super) struct Fixture {
    agent: Agent,
    records: Vec<Record>,
    /// Completed executors that are remembered per framework.
    completed_executors: usize,
    now: Now,
    effects: VecDeque<Effect>,
    link: Option<LinkNumber>,
    next_token: u64,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.nothing();
        }
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        info: v1::AgentInfo {
            hostname: "host".into(),
            ..Default::default()
        },
        boot_id: Some("first boot".into()),
        address: "10.0.0.1:5051".into(),
        ip: "10.0.0.1".into(),
        version: "1.12.0".into(),
        work_dir: "/var/lib/tepui".into(),
        launcher_dir: "/libexec".into(),
        executor_environment: Default::default(),
        libprocess_ip: None,
        switch_user: false,
        isolation: Isolation::default(),
        registration_backoff_factor: Duration::from_secs(1),
        executor_registration_timeout: Duration::from_secs(60),
        executor_shutdown_grace_period: Duration::from_secs(5),
        recovery_timeout: Duration::from_secs(900),
        executor_reregistration_timeout: Duration::from_secs(2),
        max_completed_executors_per_framework: 150,
        garbage: None,
    }
}

impl Fixture {
    pub(super) fn new(settings: Settings) -> Self {
        Self::restarted(settings, ResourcesAndOperations::default())
    }

    /// An agent that finds a checkpoint.
    pub(super) fn restarted(settings: Settings, stored: ResourcesAndOperations) -> Self {
        Self::started(settings, stored, Vec::new())
    }

    /// The same agent after its process has ended: it finds what it has recorded.
    pub(super) fn crashed(mut self, settings: Settings) -> Self {
        let records = std::mem::take(&mut self.records);
        Self::started(settings, ResourcesAndOperations::default(), records)
    }

    fn started(settings: Settings, stored: ResourcesAndOperations, records: Vec<Record>) -> Self {
        let now = Now {
            mono: Mono(1_000_000),
            wall: Wall(1_700_000_000_000_000),
        };
        let completed_executors = settings.max_completed_executors_per_framework;
        let recovered = recover(&settings.work_dir, &settings.info.resources, stored).unwrap();
        let restored = Restored::read(records.clone());
        assert_eq!(restored.misfits(), 0, "{records:#?}");
        let agent = Agent::new(settings, recovered.with(restored), [7; 32], now);
        Fixture {
            // What there is now replaces what was read.
            records: agent.records(),
            agent,
            completed_executors,
            now,
            effects: VecDeque::new(),
            link: None,
            next_token: 0,
        }
    }

    /// An agent that is registered as [`AGENT`].
    pub(super) fn registered() -> Self {
        Self::registered_with(settings())
    }

    pub(super) fn registered_with(settings: Settings) -> Self {
        let mut fixture = Fixture::new(settings);
        fixture.link_up(3);
        assert!(matches!(fixture.told_master(), AgentToMaster::Register(_)));
        fixture.master_says(MasterToAgent::Registered {
            agent_id: AGENT.into(),
            ping_timeout_ms: u64::try_from(PING_TIMEOUT.as_millis()).unwrap(),
        });
        assert_eq!(fixture.effect(), Effect::Admitted(AGENT.into()));
        fixture
    }

    /// Waits for the attempt to connect and greets the agent.
    pub(super) fn link_up(&mut self, epoch: u64) {
        self.wait_for_deadline();
        let Effect::Connect(link) = self.effect() else {
            panic!("no attempt to connect")
        };
        self.link = Some(link);
        let master = v1::MasterInfo {
            id: "master".into(),
            ..Default::default()
        };
        self.master_says(MasterToAgent::Hello {
            epoch,
            master: Pb(master),
        });
    }

    pub(super) fn link_down(&mut self) {
        let link = self.link.take().expect("no link");
        self.input(Input::LinkClosed { link });
    }

    pub(super) fn input(&mut self, input: Input) {
        self.nothing();
        let mut out = Vec::new();
        self.agent.handle(self.now, input, &mut out);
        // What is recorded comes before all that follows from it.
        if matches!(out.first(), Some(Effect::Record(_)))
            && let Effect::Record(records) = out.remove(0)
        {
            self.records.extend(records);
        }
        out.retain(|effect| match effect {
            Effect::Record(records) => {
                assert_eq!(*records, [Record::Left], "records come first");
                self.records.extend(records.clone());
                false
            }
            _ => true,
        });
        self.effects.extend(out);
        self.check_records();
    }

    /// What was recorded bit by bit is what there is to record.
    fn check_records(&self) {
        let mut recorded = Restored::read(self.records.clone());
        assert_eq!(recorded.misfits(), 0, "{:#?}", self.records);
        recorded.forget_executors(self.completed_executors);
        assert_eq!(recorded, Restored::read(self.agent.records()));
    }

    pub(super) fn master_says(&mut self, message: MasterToAgent) {
        let link = self.link.expect("no link");
        self.input(Input::FromMaster {
            link,
            message: Box::new(message),
        });
    }

    /// Lets time pass up to the next deadline and ticks.
    pub(super) fn wait_for_deadline(&mut self) -> Duration {
        let deadline = self.agent.next_deadline().expect("no deadline");
        let waited = deadline.since(self.now.mono);
        self.pass(waited);
        waited
    }

    /// Lets time pass and ticks.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall.0 += u64::try_from(time.as_micros()).unwrap();
        self.input(Input::Tick);
    }

    pub(super) fn now(&self) -> Now {
        self.now
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.agent.snapshot()
    }

    /// Whether every effect was read.
    pub(super) fn is_quiet(&self) -> bool {
        self.effects.is_empty()
    }

    #[track_caller]
    pub(super) fn nothing(&self) {
        assert!(
            self.effects.is_empty(),
            "unread effects: {:#?}",
            self.effects
        );
    }

    #[track_caller]
    pub(super) fn effect(&mut self) -> Effect {
        self.effects.pop_front().expect("no effect")
    }

    #[track_caller]
    pub(super) fn told_master(&mut self) -> AgentToMaster {
        match self.effect() {
            Effect::ToMaster(link, frame) => {
                assert_eq!(Some(link), self.link);
                frame.body
            }
            other => panic!("not for the master: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn update(&mut self) -> StatusUpdate {
        match self.told_master() {
            AgentToMaster::StatusUpdate(update) => *update,
            other => panic!("no status update: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn event(&mut self, connection: u64) -> Event {
        match self.effect() {
            Effect::ToExecutor(to, event) => {
                assert_eq!(to, ConnectionId(connection));
                *event
            }
            other => panic!("no event: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn event_type(&mut self, connection: u64) -> event::Type {
        self.event(connection).r#type()
    }

    #[track_caller]
    pub(super) fn launch(&mut self) -> Launch {
        match self.effect() {
            Effect::Launch(launch) => *launch,
            other => panic!("no launch: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn checkpoint(&mut self) -> Checkpoint {
        match self.effect() {
            Effect::Checkpoint(order) => *order,
            other => panic!("no checkpoint: {other:?}"),
        }
    }

    /// Reports the last checkpoint as written.
    pub(super) fn written(&mut self) {
        self.input(Input::Checkpointed {
            result: Ok(Vec::new()),
        });
    }

    pub(super) fn acknowledge(&mut self, update: &StatusUpdate) {
        self.master_says(MasterToAgent::AcknowledgeStatus {
            framework_id: update.framework_id.clone(),
            task_id: update.status.task_id.value.clone(),
            uuid: update.status.uuid.clone().unwrap(),
        });
    }

    /// Hands in an executor's call; the answer is the first effect.
    pub(super) fn call(&mut self, executor: &str, connection: u64, call: Call) -> Answer {
        self.next_token += 1;
        let reply = Token(self.next_token);
        let call = Call {
            executor_id: v1::ExecutorId {
                value: executor.into(),
            },
            framework_id: v1::FrameworkId {
                value: FRAMEWORK.into(),
            },
            ..call
        };
        let connection = ConnectionId(connection);
        self.input(Input::Call {
            call: Box::new(call),
            connection,
            reply,
        });
        match self.effect() {
            Effect::Reply(token, answer) => {
                assert_eq!(token, reply);
                answer
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(super) fn subscribe(&mut self, executor: &str, connection: u64) {
        self.subscribe_with(executor, connection, call::Subscribe::default());
    }

    pub(super) fn subscribe_with(
        &mut self,
        executor: &str,
        connection: u64,
        subscribe: call::Subscribe,
    ) {
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        assert_eq!(self.call(executor, connection, call), Answer::Stream);
    }

    /// An executor's UPDATE that must be taken.
    pub(super) fn executor_update(&mut self, executor: &str, status: TaskStatus) {
        let call = Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..Call::default()
        };
        assert_eq!(self.call(executor, 0, call), Answer::Accepted);
    }

    pub(super) fn run(&mut self, task: v1::TaskInfo) {
        self.run_as(framework(&[]), task, true);
    }

    pub(super) fn run_as(
        &mut self,
        framework: v1::FrameworkInfo,
        task: v1::TaskInfo,
        launch_executor: bool,
    ) {
        self.master_says(MasterToAgent::RunTask(Box::new(RunTask {
            framework: Pb(framework),
            task: Pb(task),
            launch_executor,
        })));
    }

    pub(super) fn run_group(&mut self, tasks: Vec<v1::TaskInfo>) {
        let executor = v1::ExecutorInfo {
            r#type: Some(v1::executor_info::Type::Default as i32),
            ..custom_executor("group")
        };
        self.master_says(MasterToAgent::RunTaskGroup(Box::new(RunTaskGroup {
            framework: Pb(framework(&[])),
            executor: Pb(v1::ExecutorInfo {
                command: None,
                ..executor
            }),
            group: Pb(v1::TaskGroupInfo { tasks }),
            launch_executor: true,
        })));
    }

    /// Starts `task` on a custom executor `ex` that has subscribed as connection 1 and got it.
    pub(super) fn with_running_executor(task: &str) -> (Self, ContainerId) {
        Self::with_running_executor_of(framework(&[]), task)
    }

    /// The same for a framework that does not ask for checkpoints: nothing outlives the agent.
    pub(super) fn with_careless_executor(task: &str) -> (Self, ContainerId) {
        Self::with_running_executor_of(careless(), task)
    }

    fn with_running_executor_of(framework: v1::FrameworkInfo, task: &str) -> (Self, ContainerId) {
        let mut fixture = Fixture::registered();
        fixture.run_as(framework, custom_task(task, "ex"), true);
        let container = fixture.launch().container;
        fixture.input(Input::Launched {
            container: container.clone(),
            result: Ok(4711),
        });
        fixture.subscribe("ex", 1);
        assert_eq!(fixture.event_type(1), event::Type::Subscribed);
        assert_eq!(fixture.event_type(1), event::Type::Launch);
        (fixture, container)
    }

    /// Reads the updates that are there.
    pub(super) fn updates(&mut self) -> Vec<(String, TaskState)> {
        let mut found = Vec::new();
        while !self.effects.is_empty() {
            let update = self.update();
            found.push((update.status.task_id.value.clone(), update.status.state()));
        }
        found
    }
}

pub(super) fn framework(
    capabilities: &[v1::framework_info::capability::Type],
) -> v1::FrameworkInfo {
    let capability = |kind: &v1::framework_info::capability::Type| v1::framework_info::Capability {
        r#type: Some(*kind as i32),
    };
    v1::FrameworkInfo {
        id: Some(v1::FrameworkId {
            value: FRAMEWORK.into(),
        }),
        user: "nobody".into(),
        name: "test".into(),
        capabilities: capabilities.iter().map(capability).collect(),
        checkpoint: Some(true),
        ..Default::default()
    }
}

/// The framework of [`framework`], which does not ask for checkpoints.
pub(super) fn careless() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        checkpoint: None,
        ..framework(&[])
    }
}

pub(super) fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("role".into()),
        }),
        ..Default::default()
    }
}

pub(super) fn command_task(id: &str, script: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: "t".into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId {
            value: AGENT.into(),
        },
        resources: vec![scalar("cpus", 1.0)],
        command: Some(Box::new(v1::CommandInfo {
            value: Some(script.into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn custom_executor(id: &str) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        r#type: Some(v1::executor_info::Type::Custom as i32),
        executor_id: v1::ExecutorId { value: id.into() },
        command: Some(Box::new(v1::CommandInfo {
            value: Some("run-it".into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn custom_task(id: &str, executor: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        command: None,
        executor: Some(Box::new(custom_executor(executor))),
        ..command_task(id, "")
    }
}

/// A status as an executor sends it; `number` makes its uuid.
pub(super) fn status(task: &str, state: TaskState, number: u8) -> TaskStatus {
    TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: state as i32,
        source: Some(Source::Executor as i32),
        executor_id: Some(v1::ExecutorId { value: "ex".into() }),
        uuid: Some(vec![number; 16]),
        timestamp: Some(12.5),
        ..Default::default()
    }
}
