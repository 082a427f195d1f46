//! What follows from a record waits until the record is durable, and never happens if it cannot be.
//! The journal's thread is played by the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};

use actix::{Actor, Addr};
use tepui_core::agent::Agent;
use tepui_core::agent::journal::Restored;
use tepui_core::agent::messages::{Answer, ConnectionId, Input};
use tepui_core::agent::recovery::Recovered;
use tepui_protocol::journal::{Executor, ExecutorKind, Record};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{self, TaskState, TaskStatus};
use tokio::sync::mpsc as events;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::super::actor::{AgentActor, ExecutorCall, Tell};
use super::super::config::ContainerizerConfig;
use super::super::containerizer::Containerizers;
use super::super::fetcher::Fetcher;
use super::super::journal::{Durable, Job, Journal, Recorded};
use super::super::launcher::Launcher;
use super::super::settings;
use super::{AGENT, FRAMEWORK, config};
use crate::clock::Clock;
use crate::election::Finder;

const EXECUTOR: &str = "ex";
const TASK: &str = "t";

/// An agent that was running a task, and its journal's orders.
struct Fixture {
    actor: Addr<AgentActor>,
    jobs: mpsc::Receiver<(Job, Addr<AgentActor>)>,
    ended: oneshot::Receiver<Result<String, String>>,
    _work: tempfile::TempDir,
}

/// What an earlier run has recorded of a running task.
fn records() -> Vec<Record> {
    let agent = v1::AgentInfo {
        id: Some(v1::AgentId {
            value: AGENT.into(),
        }),
        ..Default::default()
    };
    let framework = v1::FrameworkInfo {
        id: Some(framework_id()),
        checkpoint: Some(true),
        ..Default::default()
    };
    let executor = Executor {
        framework_id: FRAMEWORK.into(),
        info: Pb(v1::ExecutorInfo {
            executor_id: executor_id(),
            ..Default::default()
        }),
        kind: ExecutorKind::Custom,
        container: "c".into(),
        directory: "/nowhere".into(),
        pid: None,
        ever_sent: true,
        ended: false,
        volumes: Default::default(),
    };
    let task = v1::Task {
        task_id: v1::TaskId { value: TASK.into() },
        framework_id: framework_id(),
        state: TaskState::TaskStarting as i32,
        ..Default::default()
    };
    vec![
        Record::Agent {
            info: Pb(agent),
            boot_id: None,
        },
        Record::Framework {
            info: Pb(framework),
        },
        Record::Executor(Box::new(executor)),
        Record::Task {
            executor_id: EXECUTOR.into(),
            task: Pb(task),
        },
    ]
}

fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId {
        value: FRAMEWORK.into(),
    }
}

fn executor_id() -> v1::ExecutorId {
    v1::ExecutorId {
        value: EXECUTOR.into(),
    }
}

fn subscribe() -> Call {
    Call {
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(call::Subscribe::default()),
        ..Default::default()
    }
}

fn update(state: TaskState, uuid: u8) -> Call {
    let status = TaskStatus {
        task_id: v1::TaskId { value: TASK.into() },
        state: state as i32,
        uuid: Some(vec![uuid; 16]),
        ..Default::default()
    };
    Call {
        r#type: Some(call::Type::Update as i32),
        update: Some(call::Update { status }),
        ..Default::default()
    }
}

fn heartbeat() -> Call {
    Call {
        r#type: Some(call::Type::Heartbeat as i32),
        ..Default::default()
    }
}

impl Fixture {
    fn start() -> Self {
        let work = tempfile::tempdir().unwrap();
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let config = config(nobody.to_string(), work.path().to_owned());
        let settings = settings(&config, work.path(), nobody).unwrap();
        let recovered = Recovered::default().with(Restored::read(records()));
        let clock = Clock::start();
        let core = Agent::new(settings, recovered, [7; 32], clock.now());
        let finder = Finder::start(&config.master, config.zk_session_timeout);
        let (journal, jobs) = Journal::new();
        let (end, ended) = oneshot::channel();
        let fetcher = Fetcher::start(config.fetcher(work.path())).unwrap();
        let containers = ContainerizerConfig::default();
        let containerizer =
            Containerizers::open(&containers, work.path(), "/nonexistent".as_ref()).unwrap();
        let launcher = Launcher::start(&config, work.path(), fetcher, Arc::new(containerizer));
        let launcher = launcher.unwrap();
        let actor =
            AgentActor::new(core, clock, finder, work.path(), journal, launcher, end).unwrap();
        Fixture {
            actor: actor.start(),
            jobs,
            ended,
            _work: work,
        }
    }

    /// An agent whose executor has subscribed, and the executor's stream.
    async fn subscribed() -> (Self, events::Receiver<Event>) {
        let fixture = Fixture::start();
        let (sender, mut stream) = events::channel(100);
        let answer = fixture.call_with(subscribe(), Some(sender));
        // Nothing of this is recorded.
        assert_eq!(answer.await, Ok(Answer::Stream));
        let subscribed = stream.recv().await.unwrap();
        assert_eq!(subscribed.r#type(), event::Type::Subscribed);
        (fixture, stream)
    }

    fn call(&self, call: Call) -> oneshot::Receiver<Answer> {
        self.call_with(call, None)
    }

    fn call_with(
        &self,
        call: Call,
        events: Option<events::Sender<Event>>,
    ) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        self.actor.do_send(ExecutorCall {
            call: Box::new(Call {
                framework_id: framework_id(),
                executor_id: executor_id(),
                ..call
            }),
            connection: ConnectionId(1),
            events,
            reply,
        });
        answer
    }

    /// Waits until the actor has handled all it was sent.
    async fn settle(&self) {
        self.actor.send(Tell(Input::Tick)).await.unwrap();
    }

    /// The next order of the journal: its number and how many updates it holds.
    fn order(&self) -> (u64, usize) {
        match self.jobs.try_recv() {
            Ok((Job::Append(order, records), _)) => {
                let updates = records.iter();
                let updates = updates.filter(|record| matches!(record, Record::Update { .. }));
                (order, updates.count())
            }
            other => panic!("no order: {:?}", other.map(|(job, _)| job)),
        }
    }

    async fn is_durable(&self, order: u64) {
        let is_long = false;
        let result = Ok(Durable { order, is_long });
        self.actor.send(Recorded { result }).await.unwrap();
    }
}

#[actix_web::test]
async fn what_follows_records_waits_until_they_are_durable() {
    let (fixture, mut stream) = Fixture::subscribed().await;
    let mut first = fixture.call(update(TaskState::TaskRunning, 1));
    // This one needs no record, but nothing overtakes what waits.
    let mut beat = fixture.call(heartbeat());
    let mut second = fixture.call(update(TaskState::TaskFinished, 2));
    fixture.settle().await;
    assert_eq!([fixture.order(), fixture.order()], [(1, 1), (2, 1)]);
    for answer in [&mut first, &mut beat, &mut second] {
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
    }
    assert!(stream.try_recv().is_err());

    fixture.is_durable(1).await;
    assert_eq!(first.try_recv(), Ok(Answer::Accepted));
    assert_eq!(beat.try_recv(), Ok(Answer::Accepted));
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    let taken = stream.try_recv().unwrap().acknowledged.unwrap();
    assert_eq!(taken.uuid, [1; 16]);
    assert!(stream.try_recv().is_err());

    fixture.is_durable(2).await;
    assert_eq!(second.try_recv(), Ok(Answer::Accepted));
    let taken = stream.try_recv().unwrap().acknowledged.unwrap();
    assert_eq!(taken.uuid, [2; 16]);
    // With nothing to wait for, nothing waits.
    let mut beat = fixture.call(heartbeat());
    fixture.settle().await;
    assert_eq!(beat.try_recv(), Ok(Answer::Accepted));
}

#[actix_web::test]
async fn an_agent_whose_journal_cannot_be_written_does_nothing_more_and_ends() {
    let (mut fixture, mut stream) = Fixture::subscribed().await;
    let mut answer = fixture.call(update(TaskState::TaskRunning, 1));
    fixture.settle().await;
    assert_eq!(fixture.order(), (1, 1));
    let result = Err("the disk is full".to_owned());
    fixture.actor.send(Recorded { result }).await.unwrap();
    // To the core this is a repetition: it would be taken without another record.
    let mut again = fixture.call(update(TaskState::TaskRunning, 1));
    let mut beat = fixture.call(heartbeat());
    fixture.settle().await;
    for answer in [&mut answer, &mut again, &mut beat] {
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
    }
    let end = stream.try_recv();
    assert_eq!(end, Err(events::error::TryRecvError::Disconnected));
    let why = (&mut fixture.ended).await.unwrap().unwrap_err();
    assert_eq!(
        why,
        "the agent's journal cannot be written: the disk is full"
    );
}

#[actix_web::test]
async fn an_agent_whose_journals_thread_is_gone_ends() {
    let (fixture, _stream) = Fixture::subscribed().await;
    drop(fixture.jobs);
    let (reply, mut answer) = oneshot::channel();
    let call = Call {
        framework_id: framework_id(),
        executor_id: executor_id(),
        ..update(TaskState::TaskRunning, 1)
    };
    let connection = ConnectionId(1);
    let call = ExecutorCall {
        call: Box::new(call),
        connection,
        events: None,
        reply,
    };
    fixture.actor.send(call).await.unwrap();
    assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
    assert!(fixture.ended.await.unwrap().is_err());
}
