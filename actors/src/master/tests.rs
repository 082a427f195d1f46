//! Tests of the master's actor under a paused clock, around a core that follows a script.
//! What the real core decides is tested in core.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tepui_core::allocator::messages::Command;
use tepui_core::master::messages::{Answer, Effect, Input, LinkId, StreamId, Token};
use tepui_core::master::model::{Phase, Snapshot};
use tepui_core::master::operator::OperatorEvent;
use tepui_core::time::{Mono, Now, Wall};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use super::actor::Parts;
use super::run::Ending;
use super::subscribers::{Opened, Seat, Subscribers, fan_out};
use super::{CallPermits, MasterActor, MasterCore, MasterMailbox, ToMaster};
use crate::allocator::Commands;
use crate::clock::Clock;
use crate::directory::{AgentLink, Directory, FrameworkProxy};
use crate::http::media::MediaType;
use crate::metrics::{AllocatorMetrics, MasterQueue};
use crate::registrar::Apply;

/// Streams of events that may be open at a time.
const LIMIT: usize = 2;

/// What the scripted core is to do and has seen.
#[derive(Default)]
struct Script {
    /// Effects of the next input that [`Fixture::cause`] makes.
    effects: Vec<Effect>,
    deadline: Option<Mono>,
    ticks: Vec<Mono>,
    /// Whether somebody subscribes to events, as far as it was told.
    watched: bool,
    /// Inputs so far; shown to readers as the number of offers declined.
    inputs: u64,
}

struct Scripted(Arc<Mutex<Script>>);

impl MasterCore for Scripted {
    fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        let mut script = self.0.lock().unwrap();
        script.inputs += 1;
        match input {
            Input::LinkUnresponsive { .. } => effects.append(&mut script.effects),
            Input::Tick => {
                script.ticks.push(now.mono);
                script.deadline = None;
            }
            Input::Watched(watched) => script.watched = watched,
            Input::Call { reply, .. } => effects.push(Effect::Reply(reply, Answer::Accepted)),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.0.lock().unwrap().deadline
    }

    fn snapshot(&self) -> Snapshot {
        let counters = tepui_core::master::counters::Counters {
            offers_declined: self.0.lock().unwrap().inputs,
            ..Default::default()
        };
        Snapshot {
            master: Arc::default(),
            start_time: Wall(0),
            elected_time: Wall(0),
            phase: Phase::Serving,
            agents: Default::default(),
            agent_sums: Default::default(),
            recovered_agents: Default::default(),
            unreachable_agents: Default::default(),
            gone_agents: Default::default(),
            deactivated_agents: Default::default(),
            held_agents: Default::default(),
            frameworks: Default::default(),
            completed_frameworks: Default::default(),
            offers: Default::default(),
            inverse_offers: Default::default(),
            inverse_offer_answers: Default::default(),
            quotas: Default::default(),
            weights: Default::default(),
            maintenance: Default::default(),
            counters,
        }
    }
}

/// Writes down, in order, what is done to whom.
#[derive(Clone)]
struct Recorder(UnboundedSender<String>);

impl Recorder {
    fn note(&self, what: impl Into<String>) {
        self.0.send(what.into()).unwrap();
    }
}

impl AgentLink for Recorder {
    fn send(&self, message: Box<MasterToAgent>) {
        self.note(format!("agent {message:?}"));
    }
    fn close(&self) {
        self.note("link closed");
    }
}

impl FrameworkProxy for Recorder {
    fn send(&self, event: Box<scheduler::Event>) {
        self.note(format!("event {:?}", event.r#type()));
    }
    fn notify_drained(&self) {
        self.note("to say when drained");
    }
    fn close(&self) {
        self.note("stream closed");
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;
}

impl Handler<Commands> for Recorder {
    type Result = ();
    fn handle(&mut self, commands: Commands, _ctx: &mut Context<Self>) {
        self.note(format!("allocator {:?}", commands.0));
    }
}

impl Handler<Apply> for Recorder {
    type Result = ();
    fn handle(&mut self, apply: Apply, _ctx: &mut Context<Self>) {
        self.note(format!("registrar {}", apply.token.0));
    }
}

struct Fixture {
    script: Arc<Mutex<Script>>,
    master: MasterMailbox,
    recorder: Recorder,
    notes: UnboundedReceiver<String>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    ended: oneshot::Receiver<String>,
    clock: Clock,
}

fn start() -> Fixture {
    tokio::time::pause();
    let script = Arc::new(Mutex::new(Script::default()));
    let core = Box::new(Scripted(script.clone()));
    let (sender, notes) = unbounded_channel();
    let recorder = Recorder(sender);
    let skin = recorder.clone().start();
    let snapshot = Arc::new(ArcSwap::from_pointee(core.snapshot()));
    let queue = Arc::new(MasterQueue::default());
    let (ending, ended) = Ending::new();
    let clock = Clock::start();
    let (subscribers, orders) = Subscribers::new(LIMIT, Arc::default());
    actix::spawn(fan_out(orders));
    let actor = MasterActor::new(Parts {
        core,
        clock,
        directory: Arc::new(Directory::default()),
        snapshot: snapshot.clone(),
        queue: queue.clone(),
        allocator: skin.clone().recipient(),
        allocator_metrics: Arc::new(AllocatorMetrics::default()),
        registrar: skin.recipient(),
        subscribers,
        ending,
    });
    let master = MasterMailbox::new(actor.start().recipient(), queue);
    Fixture {
        script,
        master,
        recorder,
        notes,
        snapshot,
        ended,
        clock,
    }
}

impl Fixture {
    /// Has the next input cause these effects, and makes one.
    fn cause(&self, effects: Vec<Effect>) {
        self.script.lock().unwrap().effects = effects;
        self.master
            .input(Input::LinkUnresponsive { link: LinkId(99) });
    }

    fn open(&self) {
        let address = Arc::new(self.recorder.clone());
        let peer_ip = "127.0.0.1".to_owned();
        self.master.send(ToMaster::OpenLink {
            link: LinkId(1),
            peer_ip,
            address,
        });
        self.master.send(ToMaster::OpenStream {
            stream: StreamId("s".into()),
            subscribe: Box::default(),
            principal: None,
            address: Arc::new(self.recorder.clone()),
        });
    }

    async fn note(&mut self) -> String {
        self.notes.recv().await.unwrap()
    }

    fn published(&self) -> u64 {
        self.snapshot.load().counters.offers_declined
    }
}

fn heartbeat() -> Box<scheduler::Event> {
    let mut event = scheduler::Event::default();
    event.set_type(scheduler::event::Type::Heartbeat);
    Box::new(event)
}

fn ping() -> Box<MasterToAgent> {
    Box::new(MasterToAgent::Ping { connected: true })
}

#[actix::test]
async fn effects_are_performed_in_order() {
    let mut fixture = start();
    fixture.open();
    let stream = StreamId("s".into());
    fixture.cause(vec![
        Effect::ToAgent(LinkId(1), ping()),
        Effect::ToFramework(stream.clone(), heartbeat()),
        Effect::CloseLink(LinkId(1)),
        Effect::CloseStream(stream.clone()),
        // Both are gone now; these must be dropped.
        Effect::ToAgent(LinkId(1), ping()),
        Effect::ToFramework(stream, heartbeat()),
    ]);
    assert_eq!(fixture.note().await, "agent Ping { connected: true }");
    assert_eq!(fixture.note().await, "event Heartbeat");
    assert_eq!(fixture.note().await, "link closed");
    assert_eq!(fixture.note().await, "stream closed");
    let remove = tepui_core::registry::Operation::RemoveAgent("S".into());
    fixture.cause(vec![
        Effect::ToAllocator(Command::ActivateAgent("S1".into())),
        Effect::Apply(Token(7), remove),
        Effect::ToAllocator(Command::ActivateAgent("S2".into())),
    ]);
    let mut notes = [fixture.note().await, fixture.note().await];
    notes.sort();
    assert_eq!(
        notes,
        [
            "allocator [ActivateAgent(S1), ActivateAgent(S2)]",
            "registrar 7"
        ]
    );
    assert!(fixture.notes.try_recv().is_err());
}

#[actix::test]
async fn a_peer_that_went_away_is_forgotten() {
    let mut fixture = start();
    fixture.open();
    fixture.master.input(Input::LinkClosed { link: LinkId(1) });
    fixture.master.input(Input::StreamClosed {
        stream: StreamId("s".into()),
    });
    assert_eq!(fixture.note().await, "link closed");
    assert_eq!(fixture.note().await, "stream closed");
    fixture.cause(vec![Effect::ToAgent(LinkId(1), ping())]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(fixture.notes.try_recv().is_err());
}

#[actix::test]
async fn a_call_is_answered_and_its_permit_given_back() {
    let fixture = start();
    let permits = Arc::new(Semaphore::new(2));
    let permit = || permits.clone().try_acquire_owned().unwrap();
    let (reply, answer) = oneshot::channel();
    fixture.master.send(ToMaster::Call {
        call: Box::default(),
        stream: None,
        principal: None,
        reply: Some(reply),
        permits: CallPermits {
            all: permit(),
            own: permit(),
        },
    });
    assert_eq!(answer.await.unwrap(), Answer::Accepted);
    permits.acquire_many(2).await.unwrap().forget();
    assert_eq!(
        fixture.published(),
        1,
        "whoever was answered finds the change published"
    );
}

#[actix::test]
async fn one_timer_follows_the_earliest_deadline() {
    let fixture = start();
    let begin = fixture.clock.now().mono;
    let at = |secs| begin + Duration::from_secs(secs);
    fixture.script.lock().unwrap().deadline = Some(at(60));
    fixture.cause(vec![]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    fixture.script.lock().unwrap().deadline = Some(at(20));
    fixture.cause(vec![]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.script.lock().unwrap().ticks, []);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let ticks = fixture.script.lock().unwrap().ticks.clone();
    assert_eq!(
        ticks.len(),
        1,
        "the timer of the former deadline must not tick"
    );
    assert_eq!(ticks[0].since(begin).as_secs(), 20);
}

#[actix::test]
async fn a_deadline_that_moves_away_is_met_when_it_is_due() {
    let fixture = start();
    let begin = fixture.clock.now().mono;
    fixture.script.lock().unwrap().deadline = Some(begin + Duration::from_secs(10));
    fixture.cause(vec![]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    fixture.script.lock().unwrap().deadline = Some(begin + Duration::from_secs(30));
    fixture.cause(vec![]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let ticks = fixture.script.lock().unwrap().ticks.clone();
    assert_eq!(
        ticks
            .iter()
            .map(|tick| tick.since(begin).as_secs())
            .collect::<Vec<_>>(),
        [30]
    );
}

#[actix::test]
async fn a_burst_is_published_when_it_is_over() {
    let fixture = start();
    for _ in 0..1000 {
        fixture
            .master
            .input(Input::LinkUnresponsive { link: LinkId(99) });
    }
    tokio::time::sleep(super::PUBLISH_INTERVAL * 2).await;
    assert_eq!(fixture.published(), 1000);
}

#[actix::test]
async fn a_failure_ends_the_master_with_its_reason() {
    let fixture = start();
    fixture.cause(vec![Effect::Exit("registry lost".to_owned())]);
    assert_eq!(fixture.ended.await.unwrap(), "registry lost");
    let fixture = {
        tokio::time::resume();
        start()
    };
    fixture.master.send(ToMaster::Fatal("disk full".to_owned()));
    assert_eq!(fixture.ended.await.unwrap(), "disk full");
}

#[actix::test]
async fn at_the_end_every_peer_is_closed() {
    let mut fixture = start();
    fixture.open();
    fixture.master.send(ToMaster::Stop);
    let mut notes = [fixture.note().await, fixture.note().await];
    notes.sort();
    assert_eq!(notes, ["link closed", "stream closed"]);
}

#[actix::test]
async fn subscribers_get_the_state_and_all_events_after_it() {
    let fixture = start();
    let removed = |id: &str| Effect::ToSubscribers(OperatorEvent::AgentRemoved(id.into()));
    let subscribe = |id| {
        let (reply, opened) = oneshot::channel();
        let seat = Seat::new(id, String::new(), fixture.master.clone());
        fixture.master.send(ToMaster::Subscribe { seat, reply });
        opened
    };
    let is_watched = || fixture.script.lock().unwrap().watched;
    fixture.cause(vec![removed("before")]);
    let Opened {
        seat,
        snapshot,
        mut events,
        closed,
    } = subscribe(1).await.unwrap();
    assert!(is_watched());
    // The cause before it, and that somebody watches now.
    assert_eq!(snapshot.counters.offers_declined, 2);
    fixture.cause(vec![removed("one"), removed("two")]);
    for id in ["one", "two"] {
        let record = events.recv().await.unwrap().record(MediaType::JSON);
        let text = String::from_utf8(record.to_vec()).unwrap();
        assert!(text.contains(id), "{text}");
    }
    let second = subscribe(2).await.unwrap();
    drop(seat);
    drop(second.seat);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!is_watched(), "nobody is left");
    assert!(closed.await.is_err() && second.closed.await.is_err());
    let last = subscribe(3).await.unwrap();
    fixture.master.send(ToMaster::Stop);
    assert!(
        last.closed.await.is_err(),
        "the end of the master ends streams"
    );
}
