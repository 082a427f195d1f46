//! /v2/events: the stream of events to each client that listens, from where it left off.
//! Remembers none; that is the hub's.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use tepui_protocol::marathon::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Interval;

use super::{Answered, Call, Face, answers, headers};
use crate::marathon::events::{Next, Sent, Subscription};

/// Time between two signs of life on a stream. Marathon.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The sign of life: an empty line.
const BEAT: &[u8] = b"\r\n";

/// The event that tells of lost ones. Not in Marathon, which closes the stream instead.
const GAP: &str = "event_stream_gap";

/// Route of /v2/events.
pub(super) fn route(call: &Call<'_>, rest: &[&str]) -> Answered {
    if rest.len() > 1 {
        return Err(answers::no_uri());
    }
    let kind = "text/event-stream";
    if call.request.method() != "GET" || !headers::asks(call.request, kind) {
        return Err(answers::not_allowed());
    }
    let Ok(room) = call.face.streams.clone().try_acquire_owned() else {
        return Err(no_room());
    };
    let reader = Reader::new(call, room);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream;charset=utf-8"))
        .force_close()
        .streaming(reader.stream()))
}

/// The answer when as many streams are open as may be.
pub(super) fn no_room() -> HttpResponse {
    let text = "too many event streams are open; close some or listen later";
    answers::message(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// One client that listens.
struct Reader {
    events: Subscription,
    /// Names of the events that are wanted; empty means all.
    names: Vec<String>,
    beat: Interval,
    listener: Listener,
    _room: OwnedSemaphorePermit,
}

/// Tells all who listen that a client has come, and when dropped, that it has gone.
struct Listener {
    remote: String,
    face: Data<Face>,
}

impl Listener {
    fn new(call: &Call<'_>) -> Listener {
        let peer = call.request.peer_addr();
        let listener = Listener {
            remote: peer.map_or_else(String::new, |peer| peer.ip().to_string()),
            face: call.face.clone(),
        };
        listener.face.metrics.http.event_streams.add();
        listener.tell("event_stream_attached");
        listener
    }

    fn tell(&self, name: &'static str) {
        let event = json!({
            "remoteAddress": self.remote,
            "eventType": name,
            "timestamp": self.now(),
        });
        self.face.handle.events().publish(name, event.to_string());
    }

    fn now(&self) -> Timestamp {
        let now = self.face.clock.now().wall.0 / 1000;
        Timestamp::from_millis(i64::try_from(now).unwrap_or(i64::MAX))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.face.metrics.http.event_streams.remove(1);
        self.tell("event_stream_detached");
    }
}

impl Reader {
    fn new(call: &Call<'_>, room: OwnedSemaphorePermit) -> Reader {
        let seen = call.request.headers().get("last-event-id");
        let seen = seen.and_then(|seen| seen.to_str().ok()?.trim().parse().ok());
        let mut beat = tokio::time::interval(HEARTBEAT);
        // It would beat at once.
        beat.reset();
        Reader {
            // Before the client is told of, so that it hears of itself.
            events: call.face.handle.events().subscribe(seen),
            names: call.query.all("event_type").map(str::to_owned).collect(),
            beat,
            listener: Listener::new(call),
            _room: room,
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut reader| async move {
            let frame = reader.next().await?;
            Some((Ok(frame), reader))
        })
    }

    /// What to send next; none when the stream has ended, as it does when this instance no longer
    /// leads.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.listener.face.info.leadership.is_elected() {
                return None;
            }
            tokio::select! {
                biased;
                next = self.events.next() => match next? {
                    Next::Event(sent) if self.wants(&sent) => return Some(frame(&sent)),
                    Next::Event(_) => {}
                    Next::Gap(lost) => return Some(self.gap(lost)),
                },
                _ = self.beat.tick() => return Some(Bytes::from_static(BEAT)),
            }
        }
    }

    fn wants(&self, sent: &Sent) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == sent.name)
    }

    /// It passes every filter: nobody knows what was lost.
    fn gap(&self, lost: u64) -> Bytes {
        let event = json!({
            "lost": lost,
            "eventType": GAP,
            "timestamp": self.listener.now(),
        });
        Bytes::from(format!("event: {GAP}\r\ndata: {event}\r\n\r\n"))
    }
}

fn frame(sent: &Sent) -> Bytes {
    let Sent { id, name, json } = sent;
    Bytes::from(format!("event: {name}\r\ndata: {json}\r\nid: {id}\r\n\r\n"))
}
