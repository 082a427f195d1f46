//! Tests of streams of events under a paused clock: order, heartbeats, limits, ends.
//! The HTTP around them is tested over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tepui_core::ids::AgentId;
use tepui_core::master::model::{Phase, Snapshot};
use tepui_core::master::operator::OperatorEvent;
use tepui_core::master::{Master, MasterSettings};
use tepui_core::time::{Mono, Now};
use tepui_protocol::media::{MediaType as Encoding, decode_call};
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1::MasterInfo;
use tepui_protocol::v1::master::Event;
use tepui_protocol::v1::master::event::Type;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::stream::open_with;
use super::*;
use crate::clock::Clock;
use crate::http::media::MediaType;
use crate::http::pieces::{PieceWriter, Pieces};
use crate::master::load::Limits;
use crate::master::testing::mailbox;

/// Subscribers with their fan-out, and what the master is told.
struct Fixture {
    subscribers: Subscribers,
    count: Arc<AtomicUsize>,
    master: MasterMailbox,
    told: UnboundedReceiver<ToMaster>,
    next: u64,
}

fn start(limit: usize) -> Fixture {
    tokio::time::pause();
    let count = Arc::new(AtomicUsize::new(0));
    let (subscribers, orders) = Subscribers::new(limit, count.clone());
    actix::spawn(fan_out(orders));
    let (master, told) = mailbox();
    Fixture {
        subscribers,
        count,
        master,
        told,
        next: 1,
    }
}

fn snapshot() -> Arc<Snapshot> {
    let master = Master::new(
        MasterSettings::default(),
        MasterInfo::default(),
        Now::default(),
    );
    Arc::new(master.snapshot())
}

impl Fixture {
    /// Adds a subscriber that is still to get its stream.
    fn ask(&mut self) -> oneshot::Receiver<Opened> {
        let (reply, opened) = oneshot::channel();
        let seat = Seat::new(self.next, "peer".to_owned(), self.master.clone());
        self.next += 1;
        self.subscribers.add(seat, snapshot(), reply);
        opened
    }

    async fn open_in(&mut self, media: MediaType, limits: Limits) -> EventBody {
        let opened = self.ask().await.unwrap();
        assert_eq!(opened.snapshot.phase, Phase::Recovering);
        open_with(limits, media, &written(b"{}"), opened)
    }

    /// A stream that has begun: its first two records are read.
    async fn open(&mut self) -> EventBody {
        let mut body = self.open_in(MediaType::JSON, SUBSCRIBER_LIMITS).await;
        assert_eq!(&body.next().await.unwrap().unwrap()[..], b"2\n{}");
        assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
        body
    }

    fn tell(&mut self, numbers: std::ops::Range<u64>) {
        let event = |number: u64| OperatorEvent::AgentRemoved(AgentId::new(number.to_string()));
        self.subscribers.tell(numbers.map(event).collect());
    }

    /// The number of the subscriber whose stream has ended, as the master is told next.
    async fn ended(&mut self) -> u64 {
        match self.told.recv().await {
            Some(ToMaster::Unsubscribe(id)) => id,
            _ => panic!("the master must be told that a stream has ended"),
        }
    }
}

fn written(bytes: &[u8]) -> Pieces {
    let mut writer = PieceWriter::default();
    std::io::Write::write_all(&mut writer, bytes).unwrap();
    writer.finish()
}

fn event_in(encoding: Encoding, item: &Bytes) -> Event {
    let mut decoder = Decoder::default();
    decoder.push(item);
    let record = decoder.next_record().unwrap().expect("a whole record");
    assert!(decoder.is_at_border(), "an item must hold one record only");
    decode_call(encoding, &record).unwrap()
}

async fn next(body: &mut EventBody) -> Event {
    event_in(Encoding::Json, &body.next().await.unwrap().unwrap())
}

/// The number that the next event tells.
async fn number(body: &mut EventBody) -> u64 {
    let event = next(body).await;
    let removed = event.agent_removed.expect("AGENT_REMOVED");
    removed.agent_id.value.parse().unwrap()
}

#[actix::test]
async fn each_stream_gets_all_events_since_it_began_in_their_order() {
    let mut fixture = start(10);
    let mut first = fixture.open().await;
    fixture.tell(0..3);
    let mut second = fixture.open().await;
    fixture.tell(3..5);
    for expected in 0..5 {
        assert_eq!(number(&mut first).await, expected);
    }
    for expected in 3..5 {
        assert_eq!(number(&mut second).await, expected);
    }
    assert!(first.next().now_or_never().is_none(), "nothing comes twice");
    let mut protobuf = fixture
        .open_in(MediaType::PROTOBUF, SUBSCRIBER_LIMITS)
        .await;
    fixture.tell(9..10);
    let items = [
        protobuf.next().await,
        protobuf.next().await,
        protobuf.next().await,
    ];
    let items = items.map(|item| item.unwrap().unwrap());
    assert_eq!(&items[0][..], b"2\n{}");
    assert_eq!(
        event_in(Encoding::Protobuf, &items[1]).r#type(),
        Type::Heartbeat
    );
    let removed = event_in(Encoding::Protobuf, &items[2]).agent_removed;
    assert_eq!(removed.unwrap().agent_id.value, "9");
}

#[actix::test]
async fn a_heartbeat_comes_every_interval_whatever_else_comes() {
    let mut fixture = start(10);
    let mut body = fixture.open().await;
    let clock = Clock::start();
    let elapsed = || clock.now().mono.since(Mono::default());
    for count in 1..=2 {
        assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
        assert_eq!(elapsed().as_secs(), (HEARTBEAT_INTERVAL * count).as_secs());
    }
    tokio::time::sleep(HEARTBEAT_INTERVAL / 2).await;
    fixture.tell(0..1);
    assert_eq!(number(&mut body).await, 0);
    assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
    assert_eq!(elapsed().as_secs(), (HEARTBEAT_INTERVAL * 3).as_secs());
}

#[actix::test]
async fn one_more_than_allowed_ends_the_oldest() {
    let mut fixture = start(2);
    let mut first = fixture.open().await;
    let mut second = fixture.open().await;
    assert_eq!(fixture.count.load(Ordering::Relaxed), 2);
    let mut third = fixture.open().await;
    assert_eq!(fixture.count.load(Ordering::Relaxed), 2);
    assert!(first.next().await.is_none(), "its stream ends well");
    assert_eq!(fixture.ended().await, 1);
    fixture.subscribers.remove(1);
    assert!(fixture.subscribers.is_watched());
    fixture.tell(0..1);
    assert_eq!(number(&mut second).await, 0);
    assert_eq!(number(&mut third).await, 0);
}

#[actix::test]
async fn where_none_is_allowed_a_stream_ends_after_the_state() {
    let mut fixture = start(0);
    let mut body = fixture.open().await;
    assert!(body.next().await.is_none());
    assert!(!fixture.subscribers.is_watched());
}

#[actix::test]
async fn whoever_does_not_read_is_cut_off_and_nobody_else() {
    let mut fixture = start(10);
    let tight = [
        Limits {
            messages: 10,
            bytes: usize::MAX,
        },
        Limits {
            messages: usize::MAX,
            bytes: 200,
        },
    ];
    let mut good = fixture.open().await;
    for (limits, id) in tight.into_iter().zip(2..) {
        let mut slow = fixture.open_in(MediaType::JSON, limits).await;
        fixture.tell(0..20);
        for expected in 0..20 {
            assert_eq!(number(&mut good).await, expected);
        }
        assert_eq!(fixture.ended().await, id);
        assert!(
            slow.next().await.unwrap().is_err(),
            "the connection must break"
        );
    }
}

#[actix::test]
async fn a_reader_that_goes_away_is_told_to_the_master() {
    let mut fixture = start(10);
    let body = fixture.open().await;
    drop(body);
    assert_eq!(fixture.ended().await, 1);
    let opened = fixture.ask();
    drop(opened);
    assert_eq!(fixture.ended().await, 2, "even before its stream has begun");
    fixture.subscribers.remove(1);
    fixture.subscribers.remove(2);
    fixture.subscribers.remove(77);
    assert!(!fixture.subscribers.is_watched());
    assert_eq!(fixture.count.load(Ordering::Relaxed), 0);
}

#[actix::test]
async fn when_events_are_not_passed_on_all_streams_end() {
    tokio::time::pause();
    let (mut subscribers, orders) = Subscribers::new(10, Arc::default());
    let (master, _told) = mailbox();
    let (reply, opened) = oneshot::channel();
    subscribers.add(Seat::new(1, String::new(), master), snapshot(), reply);
    // Nobody takes the orders yet.
    for number in 0..=MAX_WAITING_ORDERS {
        let id = AgentId::new(number.to_string());
        subscribers.tell(vec![OperatorEvent::AgentRemoved(id)]);
    }
    assert!(!subscribers.is_watched());
    actix::spawn(fan_out(orders));
    let opened = opened.await.unwrap();
    let mut body = open(MediaType::JSON, &written(b"{}"), opened);
    assert_eq!(&body.next().await.unwrap().unwrap()[..], b"2\n{}");
    assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
    assert!(body.next().await.is_none(), "it must not go on with a gap");
}

#[actix::test]
async fn a_long_state_comes_in_pieces_and_events_wait_for_its_end() {
    let mut fixture = start(10);
    let long = vec![b' '; 1_000_000];
    let opened = fixture.ask().await.unwrap();
    let mut body = open(MediaType::JSON, &written(&long), opened);
    fixture.tell(0..1);
    let mut decoder = Decoder::default();
    let mut chunks = 0;
    let first = loop {
        decoder.push(&body.next().await.unwrap().unwrap());
        chunks += 1;
        if let Some(record) = decoder.next_record().unwrap() {
            break record;
        }
    };
    assert!(first == long && chunks > 1, "{chunks} chunks");
    assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
    assert_eq!(number(&mut body).await, 0);
}

#[actix::test]
async fn a_thousand_idle_streams_cost_nothing_but_heartbeats() {
    let mut fixture = start(1000);
    let mut bodies = Vec::new();
    for _ in 0..1000 {
        bodies.push(fixture.open().await);
    }
    tokio::time::sleep(HEARTBEAT_INTERVAL * 4 + Duration::from_secs(1)).await;
    fixture.tell(0..1);
    for body in &mut bodies {
        for _ in 0..4 {
            assert_eq!(next(body).await.r#type(), Type::Heartbeat);
        }
        assert_eq!(number(body).await, 0);
        assert!(body.next().now_or_never().is_none());
    }
    fixture.subscribers.close_all();
    for body in &mut bodies {
        assert!(body.next().await.is_none());
    }
}
