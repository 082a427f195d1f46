//! One stream of the operator API's events: its heartbeats, its bounds and its body.
//! Does not know what the events tell.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tepui_protocol::v1::master::{Event, event};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::Seat;
use super::fan_out::{Announcement, Opened};
use crate::http::media::MediaType;
use crate::http::pieces::{Pieces, poll_others};
use crate::master::load::{Limits, Load};

/// Time between two HEARTBEAT events, also told in SUBSCRIBED.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// What may wait for one who subscribes, beside the state it began with. The bytes are shared with
/// all others who get the same.
pub const SUBSCRIBER_LIMITS: Limits = Limits {
    messages: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// The stream is read more slowly than events arise.
#[derive(Debug, thiserror::Error)]
#[error("events are not read as fast as they arise; stream given up")]
pub struct TooSlow;

/// The body of the HTTP answer: one item, hence one chunk, per record. Only a long first one comes
/// in several.
pub struct EventBody {
    /// What the stream begins with, as far as it was not sent yet.
    first: VecDeque<Bytes>,
    is_resting: bool,
    records: UnboundedReceiver<Bytes>,
    load: Arc<Load>,
}

impl Stream for EventBody {
    type Item = Result<Bytes, TooSlow>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.load.is_overflown() {
            return Poll::Ready(Some(Err(TooSlow)));
        }
        // Others of this thread have their turn between two pieces.
        if std::mem::take(&mut self.is_resting) {
            ready!(poll_others(cx));
        }
        if let Some(piece) = self.first.pop_front() {
            self.is_resting = !self.first.is_empty();
            return Poll::Ready(Some(Ok(piece)));
        }
        let record = ready!(self.records.poll_recv(cx));
        if self.load.is_overflown() {
            return Poll::Ready(Some(Err(TooSlow)));
        }
        Poll::Ready(record.map(|record| {
            self.load.sent(record.len());
            Ok(record)
        }))
    }
}

/// Begins a stream with the SUBSCRIBED event, which is encoded already, and a first heartbeat.
/// Must be called on the worker that answers.
pub fn open(media: MediaType, subscribed: &Pieces, opened: Opened) -> EventBody {
    open_with(SUBSCRIBER_LIMITS, media, subscribed, opened)
}

pub(super) fn open_with(
    limits: Limits,
    media: MediaType,
    subscribed: &Pieces,
    opened: Opened,
) -> EventBody {
    let load = Arc::new(Load::new(limits));
    let (sender, records) = unbounded_channel();
    let pump = Pump {
        media,
        seat: opened.seat,
        load: load.clone(),
        records: sender,
    };
    actix_web::rt::spawn(pump.run(opened.events, opened.closed));
    let mut first = framed(subscribed);
    // As Mesos does, so that a reader knows at once that it is told when nothing happens.
    first.push_back(heartbeat(media));
    EventBody {
        first,
        is_resting: false,
        records,
        load,
    }
}

/// One record in as many chunks as it has pieces: its length comes with the first.
fn framed(record: &Pieces) -> VecDeque<Bytes> {
    let mut pieces = record.iter().filter(|piece| !piece.is_empty());
    let mut first = format!("{}\n", record.len()).into_bytes();
    first.extend_from_slice(pieces.next().map_or(&[], |piece| &piece[..]));
    let mut chunks = VecDeque::from([Bytes::from(first)]);
    chunks.extend(pieces.cloned());
    chunks
}

fn heartbeat(media: MediaType) -> Bytes {
    media.record(&Event {
        r#type: Some(event::Type::Heartbeat as i32),
        ..Event::default()
    })
}

/// Why a stream ended.
enum End {
    /// The master wanted it.
    ByMaster,
    /// The reader went away.
    Disconnected,
    /// The reader is too slow.
    TooSlow,
}

struct Pump {
    media: MediaType,
    /// Tells the master of the end when it is dropped.
    seat: Seat,
    load: Arc<Load>,
    records: UnboundedSender<Bytes>,
}

impl Pump {
    async fn run(
        self,
        events: broadcast::Receiver<Arc<Announcement>>,
        closed: oneshot::Receiver<()>,
    ) {
        let end = self.pump(events, closed).await;
        let (subscriber, peer) = (self.seat.id, &*self.seat.peer);
        match end {
            End::ByMaster => tracing::info!(subscriber, peer, "stream of events is closed"),
            End::Disconnected => tracing::info!(subscriber, peer, "subscriber disconnected"),
            End::TooSlow => tracing::warn!(
                subscriber,
                peer,
                "subscriber is too slow for the events; its stream is closed"
            ),
        }
    }

    async fn pump(
        &self,
        mut events: broadcast::Receiver<Arc<Announcement>>,
        mut closed: oneshot::Receiver<()>,
    ) -> End {
        let mut beat = interval(HEARTBEAT_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            let record = tokio::select! {
                biased;
                () = self.records.closed() => return End::Disconnected,
                _ = &mut closed => return End::ByMaster,
                event = events.recv() => match event {
                    Ok(event) => event.record(self.media),
                    Err(RecvError::Closed) => return End::ByMaster,
                    Err(RecvError::Lagged(_)) => return End::TooSlow,
                },
                _ = beat.tick() => heartbeat(self.media),
            };
            let fits = self.load.add_message() && self.load.add_bytes(record.len());
            if !fits {
                return End::TooSlow;
            }
            // Fails only when the body is gone; the loop sees that next.
            let _ = self.records.send(record);
        }
    }
}
