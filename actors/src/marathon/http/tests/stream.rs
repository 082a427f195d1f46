//! Event streams: what is sent, filters, taking up where one left off, gaps, limits.
//! Events of the manager themselves are tested with the manager.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::test::TestRequest;
use futures_util::future::poll_fn;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::{Face, Guard};
use super::support::{Played, read};

/// What comes of a stream.
pub struct Stream {
    body: Pin<Box<BoxBody>>,
    lines: VecDeque<String>,
}

/// One event.
#[derive(Debug)]
pub struct Got {
    pub name: String,
    pub data: Value,
    pub id: Option<u64>,
}

impl Stream {
    pub fn new(answer: HttpResponse) -> Stream {
        Stream {
            body: Box::pin(answer.into_body()),
            lines: VecDeque::new(),
        }
    }

    /// The next piece; none at the end.
    async fn piece(&mut self) -> Option<String> {
        let piece = poll_fn(|context| self.body.as_mut().poll_next(context)).await?;
        let piece = piece.unwrap_or_else(|_| panic!("a piece"));
        Some(String::from_utf8(piece.to_vec()).expect("text"))
    }

    /// The next event; signs of life are passed over.
    pub async fn event(&mut self) -> Got {
        loop {
            if let Some(end) = self.lines.iter().position(String::is_empty) {
                let lines: Vec<String> = self.lines.drain(..=end).collect();
                let of = |name: &str| {
                    let line = lines.iter().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                if let (Some(name), Some(data)) = (of("event: "), of("data: ")) {
                    return Got {
                        name,
                        data: serde_json::from_str(&data).expect("json"),
                        id: of("id: ").map(|id| id.parse().expect("a number")),
                    };
                }
            }
            let piece = self.piece().await.expect("the stream goes on");
            assert!(piece.ends_with("\r\n"), "{piece:?}");
            let lines = piece.split_terminator("\r\n");
            self.lines.extend(lines.map(str::to_owned));
        }
    }
}

fn listen(path: &str) -> TestRequest {
    TestRequest::get()
        .uri(path)
        .peer_addr(([10, 0, 0, 2], 4711).into())
        .insert_header(("Accept", "text/event-stream"))
}

#[actix_web::test]
async fn a_client_hears_of_itself_and_of_others_in_order() {
    let played = Played::start();
    let mut first = Stream::new(played.open(listen("/v2/events?plan-format=light")).await);
    let attached = first.event().await;
    assert_eq!(attached.name, "event_stream_attached");
    assert_eq!(attached.data["remoteAddress"], "10.0.0.2");
    assert_eq!(attached.id, Some(1));
    let second = played.open(listen("/v2/events")).await;
    assert_eq!(first.event().await.id, Some(2));
    drop(second);
    let detached = first.event().await;
    assert_eq!(
        (detached.name.as_str(), detached.id),
        ("event_stream_detached", Some(3))
    );
    assert_eq!(detached.data["eventType"], "event_stream_detached");

    let app = json!({"id": "/a", "cmd": "sleep 9"});
    played.create(app).await;
    let mut names = Vec::new();
    while names
        .last()
        .is_none_or(|name| name != "group_change_success")
    {
        let event = first.event().await;
        assert_eq!(event.data["eventType"], event.name.as_str());
        names.push(event.name);
    }
    assert!(
        names.iter().any(|name| name == "api_post_event"),
        "{names:?}"
    );
}

#[actix_web::test]
async fn only_wanted_events_come() {
    let played = Played::start();
    let path = "/v2/events?event_type=wanted&event_type=event_stream_detached";
    let mut stream = Stream::new(played.open(listen(path)).await);
    for name in ["unwanted", "wanted"] {
        played
            .hub
            .publish(name, json!({"eventType": name}).to_string());
    }
    let got = stream.event().await;
    assert_eq!((got.name.as_str(), got.id), ("wanted", Some(3)));
    drop(played.open(listen("/v2/events")).await);
    assert_eq!(stream.event().await.name, "event_stream_detached");
}

#[actix_web::test]
async fn a_client_takes_up_where_it_left_off() {
    let played = Played::start();
    for at in 1..=5 {
        played.hub.publish("event", json!({"at": at}).to_string());
    }
    let again = listen("/v2/events").insert_header(("Last-Event-ID", "3"));
    let mut stream = Stream::new(played.open(again).await);
    assert_eq!(stream.event().await.data["at"], 4);
    assert_eq!(stream.event().await.data["at"], 5);
    assert_eq!(stream.event().await.name, "event_stream_attached");

    for nonsense in ["", "x", "-1", "99999"] {
        let again = listen("/v2/events").insert_header(("Last-Event-ID", nonsense));
        let mut stream = Stream::new(played.open(again).await);
        assert_eq!(
            stream.event().await.name,
            "event_stream_attached",
            "{nonsense}"
        );
    }
}

#[actix_web::test]
async fn a_slow_client_is_told_how_much_it_missed() {
    let played = Played::start();
    let path = "/v2/events?event_type=event";
    let mut stream = Stream::new(played.open(listen(path)).await);
    for _ in 0..20_000 {
        played.hub.publish("event", "{}".to_owned());
    }
    let gap = stream.event().await;
    assert_eq!((gap.name.as_str(), gap.id), ("event_stream_gap", None));
    let next = stream.event().await;
    // Its own coming was the first event; all before the next one are accounted for.
    let lost = gap.data["lost"].as_u64().expect("a number");
    assert!(lost > 0);
    assert_eq!(next.id, Some(lost + 1));
}

#[actix_web::test]
async fn there_are_signs_of_life_and_an_end() {
    let played = Played::start();
    tokio::time::pause();
    let answer = played.open(listen("/v2/events?event_type=none")).await;
    assert_eq!(
        answer.headers().get("content-type").expect("a type"),
        "text/event-stream;charset=utf-8"
    );
    assert!(answer.headers().get("content-encoding").is_none());
    let mut stream = Stream::new(answer);
    let began = played.face.clock.now().mono;
    assert_eq!(stream.piece().await.as_deref(), Some("\r\n"));
    assert_eq!(played.face.clock.now().mono.since(began).as_secs(), 10);
    played.process.is_follower.store(true, Ordering::SeqCst);
    let end = tokio::time::timeout(Duration::from_secs(11), stream.piece()).await;
    assert_eq!(end, Ok(None));
}

#[actix_web::test]
async fn streams_are_bounded_and_their_room_comes_back() {
    let mut played = Played::start();
    let face: &Face = &played.face;
    let face = Face {
        handle: face.handle.clone(),
        info: face.info.clone(),
        metrics: played.face.metrics.clone(),
        clock: face.clock,
        memory: face.memory.clone(),
        streams: Arc::new(Semaphore::new(1)),
        to_leader: face.to_leader.clone(),
        guard: Guard::default(),
    };
    played.face = actix_web::web::Data::new(face);
    let first = played.open(listen("/v2/events")).await;
    let refused = read(played.open(listen("/v2/events")).await).await;
    assert_eq!(refused.status, 503);
    assert!(refused.json()["message"].is_string());
    drop(first);
    assert_eq!(played.open(listen("/v2/events")).await.status(), 200);
    let path = "/v2/events/more";
    assert_eq!(played.open(listen(path)).await.status(), 500);
}
