//! Spreads events to all streams: one encoding of each for all who want the same.
//! Knows neither streams nor who reads them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tepui_core::master::model::Snapshot;
use tepui_core::master::operator::OperatorEvent;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Seat;
use crate::http::media::MediaType;

/// Events that a stream may lag behind; they are kept once for all streams.
pub const EVENT_CAPACITY: usize = 65_536;

/// What the fan-out is to do.
pub enum Order {
    /// A stream begins: it gets what comes after this.
    Open {
        /// Whose it is.
        seat: Seat,
        /// The state before the first event.
        snapshot: Arc<Snapshot>,
        /// Ends with the stream.
        closed: oneshot::Receiver<()>,
        /// Where the stream waits.
        reply: oneshot::Sender<Opened>,
    },
    /// Tell all streams.
    Tell(Vec<OperatorEvent>),
}

/// A stream that has begun.
pub struct Opened {
    /// Whose it is; the master is told when it is dropped.
    pub seat: Seat,
    /// The state before the first event.
    pub snapshot: Arc<Snapshot>,
    /// All that happened since.
    pub events: broadcast::Receiver<Arc<Announcement>>,
    /// Comes to an end when the master wants the stream closed.
    pub closed: oneshot::Receiver<()>,
}

/// An event on its way to all streams. The first stream that needs an encoding makes it.
pub struct Announcement {
    event: OperatorEvent,
    json: OnceLock<Bytes>,
    protobuf: OnceLock<Bytes>,
}

impl Announcement {
    /// Not encoded yet.
    pub fn new(event: OperatorEvent) -> Self {
        Announcement {
            event,
            json: OnceLock::new(),
            protobuf: OnceLock::new(),
        }
    }

    /// The event as one record of a stream.
    pub fn record(&self, media: MediaType) -> Bytes {
        let memory = match media {
            MediaType::JSON => &self.json,
            _ => &self.protobuf,
        };
        memory
            .get_or_init(|| media.record(&self.event.to_v1()))
            .clone()
    }
}

/// Spreads events until the master's actor has ended.
pub async fn fan_out(mut orders: mpsc::Receiver<Order>) {
    let (events, _) = broadcast::channel(EVENT_CAPACITY);
    while let Some(order) = orders.recv().await {
        match order {
            Order::Open {
                seat,
                snapshot,
                closed,
                reply,
            } => {
                // Whoever asked may be gone; then the seat is dropped with the rest.
                let _ = reply.send(Opened {
                    seat,
                    snapshot,
                    events: events.subscribe(),
                    closed,
                });
            }
            Order::Tell(list) => {
                for event in list {
                    // Fails only when all streams have ended.
                    let _ = events.send(Arc::new(Announcement::new(event)));
                }
            }
        }
    }
}
