//! Tests of a framework's stream under a paused clock: records, heartbeats, limits, ends.
//! The HTTP around it is tested over real sockets.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use tepui_core::ids::FrameworkId;
use tepui_core::master::messages::{Input, StreamId};
use tepui_core::master::{Master, MasterSettings};
use tepui_core::time::{Mono, Now};
use tepui_protocol::media::{MediaType as Encoding, decode_call};
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1;
use tepui_protocol::v1::scheduler::Event;
use tepui_protocol::v1::scheduler::event::{self, Type};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{EventBody, HEARTBEAT_INTERVAL, Heartbeats, HttpProxy, STREAM_LIMITS, open_with};
use crate::clock::Clock;
use crate::directory::FrameworkProxy;
use crate::http::media::MediaType;
use crate::master::ToMaster;
use crate::master::load::Limits;
use crate::master::testing::mailbox;

fn open(limits: Limits) -> (HttpProxy, EventBody, UnboundedReceiver<ToMaster>) {
    tokio::time::pause();
    let (master, inputs) = mailbox();
    let core = Master::new(
        MasterSettings::default(),
        v1::MasterInfo::default(),
        Now::default(),
    );
    let snapshot = Arc::new(ArcSwap::from_pointee(core.snapshot()));
    let id = StreamId("s".into());
    let (proxy, body) = open_with(limits, MediaType::JSON, id, master, snapshot);
    (proxy, body, inputs)
}

fn subscribed() -> Box<Event> {
    let subscribed = event::Subscribed {
        framework_id: v1::FrameworkId {
            value: "F".to_owned(),
        },
        ..Default::default()
    };
    Box::new(Event {
        r#type: Some(Type::Subscribed.into()),
        subscribed: Some(subscribed),
        ..Default::default()
    })
}

fn error(message: &str) -> Box<Event> {
    Box::new(Event {
        r#type: Some(Type::Error.into()),
        error: Some(event::Error {
            message: message.to_owned(),
        }),
        ..Default::default()
    })
}

/// The event in one item of the body, which must hold exactly one record.
fn event_in(item: &Bytes) -> Event {
    let mut decoder = Decoder::default();
    decoder.push(item);
    let record = decoder
        .next_record()
        .unwrap()
        .expect("an item must hold a whole record");
    assert!(decoder.is_at_border(), "an item must hold one record only");
    decode_call(Encoding::Json, &record).unwrap()
}

async fn next(body: &mut EventBody) -> Event {
    event_in(&body.next().await.expect("an event must come").unwrap())
}

async fn closed(inputs: &mut UnboundedReceiver<ToMaster>) {
    match inputs.recv().await {
        Some(ToMaster::Input(Input::StreamClosed { stream })) => assert_eq!(&*stream.0, "s"),
        _ => panic!("the master must be told that the stream is closed"),
    }
}

/// Seconds since the clock was started.
fn elapsed(clock: &Clock) -> u64 {
    clock.now().mono.since(Mono::default()).as_secs()
}

#[actix::test]
async fn a_heartbeat_follows_subscribed_at_once_and_then_every_interval() {
    let (proxy, mut body, _inputs) = open(STREAM_LIMITS);
    proxy.send(subscribed());
    assert_eq!(next(&mut body).await.r#type(), Type::Subscribed);
    assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
    let clock = Clock::start();
    for count in 1..=3 {
        assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
        assert_eq!(elapsed(&clock), count * HEARTBEAT_INTERVAL.as_secs());
    }
    // Other events do not put the next heartbeat off.
    tokio::time::sleep(HEARTBEAT_INTERVAL - Duration::from_secs(1)).await;
    proxy.send(error("x"));
    assert_eq!(next(&mut body).await.r#type(), Type::Error);
    assert_eq!(next(&mut body).await.r#type(), Type::Heartbeat);
    assert_eq!(elapsed(&clock), 4 * HEARTBEAT_INTERVAL.as_secs());
}

#[test]
fn heartbeats_are_counted_once_their_framework_is_known() {
    let settings = MasterSettings::default();
    let mut core = Master::new(settings, v1::MasterInfo::default(), Now::default());
    let snapshot = ArcSwap::from_pointee(core.snapshot());
    let mut heartbeats = Heartbeats::default();
    heartbeats.count("F", &snapshot);
    core.handle(
        Now::default(),
        Input::Recovered(Box::default()),
        &mut Vec::new(),
    );
    let stream = StreamId("s".into());
    let mut subscribe = v1::scheduler::call::Subscribe::default();
    subscribe.framework_info.id = Some(FrameworkId::from("F").to_v1());
    core.handle(
        Now::default(),
        Input::Subscribe {
            stream,
            subscribe: Box::new(subscribe),
            principal: None,
        },
        &mut Vec::new(),
    );
    snapshot.store(Arc::new(core.snapshot()));
    let counted = || {
        let snapshot = snapshot.load();
        let counters = &snapshot.frameworks["F"].counters;
        counters.events.of(Type::Heartbeat as i32)
    };
    assert_eq!(counted(), 0);
    for count in 2..4 {
        heartbeats.count("F", &snapshot);
        assert_eq!(counted(), count);
    }
}

#[actix::test]
async fn a_refused_subscription_gets_its_error_and_no_heartbeat() {
    let (proxy, mut body, mut inputs) = open(STREAM_LIMITS);
    proxy.send(error("no"));
    proxy.close();
    assert_eq!(next(&mut body).await.error.unwrap().message, "no");
    assert!(
        body.next().await.is_none(),
        "the stream ends after the error"
    );
    assert!(
        inputs.try_recv().is_err(),
        "the master knows: it closed the stream"
    );
}

#[actix::test]
async fn a_framework_that_goes_away_is_reported() {
    let (proxy, body, mut inputs) = open(STREAM_LIMITS);
    proxy.send(subscribed());
    drop(body);
    closed(&mut inputs).await;
}

#[actix::test]
async fn a_framework_that_does_not_read_is_cut_off_by_number_of_events() {
    let (proxy, mut body, mut inputs) = open(Limits {
        messages: 10,
        bytes: usize::MAX,
    });
    for _ in 0..20 {
        proxy.send(error("x"));
    }
    closed(&mut inputs).await;
    assert!(
        body.next().await.unwrap().is_err(),
        "the connection must break, not end well"
    );
}

#[actix::test]
async fn a_framework_that_does_not_read_is_cut_off_by_bytes() {
    let (proxy, mut body, mut inputs) = open(Limits {
        messages: usize::MAX,
        bytes: 1000,
    });
    proxy.send(error(&"x".repeat(600)));
    proxy.send(error(&"y".repeat(600)));
    closed(&mut inputs).await;
    assert!(body.next().await.unwrap().is_err());
}

#[actix::test]
async fn a_framework_that_reads_is_never_cut_off() {
    let (proxy, mut body, mut inputs) = open(Limits {
        messages: 4,
        bytes: 1000,
    });
    for _ in 0..100 {
        proxy.send(error(&"x".repeat(600)));
        assert_eq!(next(&mut body).await.r#type(), Type::Error);
    }
    assert!(inputs.try_recv().is_err());
}

#[actix::test]
async fn the_master_hears_when_all_that_was_sent_before_has_been_taken() {
    let (proxy, mut body, mut inputs) = open(STREAM_LIMITS);
    proxy.send(error("first"));
    proxy.notify_drained();
    proxy.send(error("second"));
    assert_eq!(next(&mut body).await.error.unwrap().message, "first");
    assert!(inputs.try_recv().is_err(), "nobody asks for more yet");
    assert_eq!(next(&mut body).await.error.unwrap().message, "second");
    match inputs.recv().await {
        Some(ToMaster::Input(Input::StreamDrained { stream })) => assert_eq!(&*stream.0, "s"),
        _ => panic!("the master must be told that the stream has drained"),
    }
}
