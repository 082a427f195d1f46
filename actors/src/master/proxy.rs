//! The proxy of a framework that speaks the v1 API over HTTP: its event stream.
//! Decides nothing about frameworks; it encodes, keeps the stream alive and bounds its queue.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::Stream;
use tepui_core::master::framework_counters::FrameworkCounters;
use tepui_core::master::messages::{Input, StreamId};
use tepui_core::master::model::Snapshot;
use tepui_protocol::v1::scheduler;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};

use super::MasterMailbox;
use super::load::{Limits, Load};
use crate::directory::FrameworkProxy;
use crate::http::media::MediaType;

/// Time between two HEARTBEAT events, also told to the framework in SUBSCRIBED.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// What may wait for one framework. Updates of all its tasks may come at once, when they end
/// together.
pub const STREAM_LIMITS: Limits = Limits {
    messages: 200_000,
    bytes: 64 * 1024 * 1024,
};

enum Order {
    Event(Box<scheduler::Event>),
    NotifyDrained,
    Close,
}

/// The master's end of a stream.
pub struct HttpProxy {
    orders: UnboundedSender<Order>,
    load: Arc<Load>,
}

impl FrameworkProxy for HttpProxy {
    fn send(&self, event: Box<scheduler::Event>) {
        // Beyond the limit the event is dropped, and the pump, which looks at the load at every
        // order, ends the stream.
        let order = if self.load.add_message() {
            Order::Event(event)
        } else {
            Order::Close
        };
        // Fails only when the stream has ended, of which the master is told anyway.
        let _ = self.orders.send(order);
    }

    fn notify_drained(&self) {
        let _ = self.orders.send(Order::NotifyDrained);
    }

    fn close(&self) {
        let _ = self.orders.send(Order::Close);
    }
}

/// What the body takes from the pump.
enum Item {
    Record(Bytes),
    /// The master waits for all before this to have left.
    NotifyDrained,
}

/// The body of the HTTP answer: one item, hence one chunk, per record.
pub struct EventBody {
    items: UnboundedReceiver<Item>,
    load: Arc<Load>,
    id: StreamId,
    master: MasterMailbox,
}

/// The framework reads its stream more slowly than events arise.
#[derive(Debug, thiserror::Error)]
#[error("framework is too slow for its events; stream given up")]
pub struct TooSlow;

impl Stream for EventBody {
    type Item = Result<Bytes, TooSlow>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = ready!(self.items.poll_recv(cx));
            // The connection is cut at once, even if records are left: whoever reads so slowly
            // resubscribes, and gets a fresh view.
            if self.load.is_overflown() {
                return Poll::Ready(Some(Err(TooSlow)));
            }
            match item {
                None => return Poll::Ready(None),
                Some(Item::Record(record)) => {
                    self.load.sent(record.len());
                    return Poll::Ready(Some(Ok(record)));
                }
                Some(Item::NotifyDrained) => {
                    let stream = self.id.clone();
                    self.master.input(Input::StreamDrained { stream });
                }
            }
        }
    }
}

/// Opens a stream: the master's end, and the body to answer with. Must be called on the worker
/// that answers, which then does the encoding.
pub fn open(
    media: MediaType,
    id: StreamId,
    master: MasterMailbox,
    snapshot: Arc<ArcSwap<Snapshot>>,
) -> (HttpProxy, EventBody) {
    open_with(STREAM_LIMITS, media, id, master, snapshot)
}

fn open_with(
    limits: Limits,
    media: MediaType,
    id: StreamId,
    master: MasterMailbox,
    snapshot: Arc<ArcSwap<Snapshot>>,
) -> (HttpProxy, EventBody) {
    let load = Arc::new(Load::new(limits));
    let (order_sender, orders) = unbounded_channel();
    let (item_sender, items) = unbounded_channel();
    let pump = Pump {
        media,
        id: id.clone(),
        master: master.clone(),
        load: load.clone(),
        items: item_sender,
        snapshot,
    };
    actix_web::rt::spawn(pump.run(orders));
    (
        HttpProxy {
            orders: order_sender,
            load: load.clone(),
        },
        EventBody {
            items,
            load,
            id,
            master,
        },
    )
}

/// Why a stream ended.
enum End {
    /// The master wanted it, and has forgotten the stream.
    ByMaster,
    /// The framework went away.
    Disconnected,
    /// The framework reads too slowly.
    TooSlow,
}

struct Pump {
    media: MediaType,
    id: StreamId,
    master: MasterMailbox,
    load: Arc<Load>,
    items: UnboundedSender<Item>,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

/// Counts the heartbeats of one framework, which the master knows nothing of.
#[derive(Default)]
struct Heartbeats {
    counters: Option<Arc<FrameworkCounters>>,
    /// Those from before the framework was known.
    uncounted: u64,
}

impl Heartbeats {
    fn count(&mut self, framework: &str, snapshot: &ArcSwap<Snapshot>) {
        self.uncounted += 1;
        if self.counters.is_none() {
            let snapshot = snapshot.load();
            let framework = snapshot.frameworks.get(framework);
            self.counters = framework.map(|framework| framework.counters.clone());
        }
        if let Some(counters) = &self.counters {
            let heartbeat = scheduler::event::Type::Heartbeat as i32;
            counters.events.add(heartbeat, self.uncounted);
            self.uncounted = 0;
        }
    }
}

impl Pump {
    async fn run(self, orders: UnboundedReceiver<Order>) {
        let mut framework = None;
        let end = self.pump(orders, &mut framework).await;
        let stream = &*self.id.0;
        match end {
            End::ByMaster => return,
            End::Disconnected => tracing::info!(stream, framework, "framework disconnected"),
            End::TooSlow => {
                tracing::warn!(
                    stream,
                    framework,
                    "framework is too slow; its stream is closed"
                );
            }
        }
        self.master.input(Input::StreamClosed { stream: self.id });
    }

    /// `framework` is the framework's id, once it is known.
    async fn pump(
        &self,
        mut orders: UnboundedReceiver<Order>,
        framework: &mut Option<String>,
    ) -> End {
        let mut heartbeats = Heartbeats::default();
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let order = tokio::select! {
                biased;
                () = self.items.closed() => return End::Disconnected,
                order = orders.recv() => order,
                _ = heartbeat.tick(), if framework.is_some() => {
                    self.heartbeat(framework.as_deref(), &mut heartbeats);
                    continue;
                }
            };
            if self.load.is_overflown() {
                return End::TooSlow;
            }
            let event = match order {
                Some(Order::Event(event)) => event,
                Some(Order::NotifyDrained) => {
                    // Fails only when the body is gone; the loop sees that next.
                    let _ = self.items.send(Item::NotifyDrained);
                    continue;
                }
                Some(Order::Close) | None => return End::ByMaster,
            };
            self.push(&event);
            if let Some(subscribed) = event.subscribed {
                // Mesos sends the first heartbeat at once.
                *framework = Some(subscribed.framework_id.value);
                self.heartbeat(framework.as_deref(), &mut heartbeats);
                heartbeat.reset();
            }
            if self.load.is_overflown() {
                return End::TooSlow;
            }
        }
    }

    fn heartbeat(&self, framework: Option<&str>, heartbeats: &mut Heartbeats) {
        if let Some(framework) = framework {
            heartbeats.count(framework, &self.snapshot);
        }
        self.load.add_message();
        let mut event = scheduler::Event::default();
        event.set_type(scheduler::event::Type::Heartbeat);
        self.push(&event);
    }

    fn push(&self, event: &scheduler::Event) {
        let record = self.media.record(event);
        self.load.add_bytes(record.len());
        // Fails only when the body is gone; the loop sees that next.
        let _ = self.items.send(Item::Record(record));
    }
}
