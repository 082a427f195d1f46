//! The life of a driver: subscribes, hands events on, and subscribes again whenever that ends.
//! Decides nothing about offers and tasks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tepui_core::ids::IdSource;
use tepui_core::time::Mono;
use tepui_protocol::{v1, wire};
use tokio::sync::mpsc::{self, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use v1::scheduler::{Call, Event, call, event};

use super::backoff::Backoff;
use super::line::{Line, Shared};
use super::masters::{Address, Masters};
use super::pipe::{Route, carry};
use super::settings::{Registration, Settings};
use super::stream::{self, EventStream, Heard, OpenError, Opened};
use super::{DriverEvent, PROBE_TASK_ID};
use crate::clock::Clock;

/// Why a subscription, or the driver, goes no further.
enum End {
    /// Subscribe again.
    Lost(String),
    /// The master will not have this framework.
    Final(String),
    /// Nobody listens to the driver.
    Unheard,
}

/// A driver's task.
pub(super) struct Life {
    settings: Settings,
    masters: Masters,
    backoff: Backoff,
    random: IdSource,
    registration: Arc<Mutex<Registration>>,
    shared: Arc<Shared>,
    events: mpsc::Sender<DriverEvent>,
    clock: Clock,
    first: bool,
}

/// A task that ends with whoever waits for it.
struct Pipe(JoinHandle<String>);

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Life {
    pub(super) fn new(
        settings: Settings,
        registration: Arc<Mutex<Registration>>,
        shared: Arc<Shared>,
        events: mpsc::Sender<DriverEvent>,
    ) -> Life {
        let mut random = IdSource::from_seed(settings.seed);
        let limits = &settings.limits;
        let backoff = backoff(limits.backoff_min, limits.backoff_max, &mut random);
        Life {
            masters: Masters::start(settings.master.clone()),
            settings,
            backoff,
            random,
            registration,
            shared,
            events,
            clock: Clock::start(),
            first: true,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let address = tokio::select! {
                address = self.masters.found() => address,
                () = self.events.closed() => return,
            };
            match self.subscribe_at(address.clone()).await {
                End::Lost(why) => tracing::warn!(why, "not subscribed; trying again"),
                End::Final(text) => {
                    tracing::error!(text, "the master refuses the framework");
                    let _ = self.events.send(DriverEvent::Error(text)).await;
                    return;
                }
                End::Unheard => return,
            }
            let wait = self.backoff.next();
            tokio::select! {
                () = sleep(wait) => {}
                () = self.masters.replaced(&address) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// One subscription, from SUBSCRIBE to its end.
    async fn subscribe_at(&mut self, address: Address) -> End {
        let call = self.subscribe_call();
        let limits = self.settings.limits.clone();
        let credentials = self.settings.credentials.clone();
        let opening = stream::open(address, &call, credentials.as_ref(), &limits);
        let mut opened = match opening.await {
            Ok(opened) => opened,
            Err(OpenError::Later(why)) => return End::Lost(why),
            Err(OpenError::Refused(text)) => return End::Final(text),
        };
        let subscribed = timeout(limits.subscribe, first_event(&mut opened.events)).await;
        let subscribed = match subscribed {
            Ok(Ok(subscribed)) => subscribed,
            Ok(Err(end)) => return end,
            Err(_) => return End::Lost("no first event in time".to_owned()),
        };
        let begin = self.clock.now().mono;
        let end = self.follow(opened, subscribed).await;
        self.shared.set(Line::Down);
        self.end_of(begin);
        if let End::Lost(why) = &end {
            let why = why.clone();
            if self
                .events
                .send(DriverEvent::Disconnected { why })
                .await
                .is_err()
            {
                return End::Unheard;
            }
        }
        end
    }

    /// A master that ends every subscription at once is not asked again and again without a wait.
    fn end_of(&mut self, begin: Mono) {
        if self.clock.now().mono.since(begin) >= self.settings.limits.backoff_max {
            self.backoff.reset();
        }
    }

    fn subscribe_call(&self) -> Vec<u8> {
        let registration = self.registration.lock();
        let registration = registration.unwrap_or_else(PoisonError::into_inner).clone();
        let call = Call {
            framework_id: registration.framework_info.id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe {
                framework_info: registration.framework_info,
                suppressed_roles: registration.suppressed_roles,
                offer_constraints: registration.offer_constraints,
            }),
            ..Default::default()
        };
        wire::encode(&call)
    }

    /// Opens the way for calls, and hands events on until the subscription ends.
    async fn follow(&mut self, opened: Opened, subscribed: event::Subscribed) -> End {
        let Opened {
            address,
            stream_id,
            mut events,
        } = opened;
        let id = subscribed.framework_id.clone();
        {
            let registration = self.registration.lock();
            let mut registration = registration.unwrap_or_else(PoisonError::into_inner);
            registration.framework_info.id = Some(id.clone());
        }
        let mut pipe = self.open_line(&address, &stream_id, id.clone());
        tracing::info!(framework = id.value, master = %address, "subscribed");
        let first = std::mem::take(&mut self.first);
        let pace = Pace::of(&subscribed, &self.settings);
        let event = DriverEvent::Subscribed {
            framework_id: id,
            master: subscribed.master_info,
            first,
        };
        if self.events.send(event).await.is_err() {
            return End::Unheard;
        }
        loop {
            let heard = tokio::select! {
                heard = events.next(pace.patience) => heard,
                ended = &mut pipe.0 => {
                    let gone = |_| "the way for calls has ended".to_owned();
                    return End::Lost(ended.unwrap_or_else(gone));
                }
                () = self.masters.replaced(&address) => {
                    return End::Lost("another master leads".to_owned());
                }
                () = self.events.closed() => return End::Unheard,
            };
            let end = match heard {
                Ok(Heard::Event(event)) => self.hand_on(*event).await,
                Ok(Heard::Silence(times)) => self.on_silence(&pace, times),
                Err(why) => Some(End::Lost(why)),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn open_line(
        &mut self,
        address: &Address,
        stream_id: &str,
        framework_id: v1::FrameworkId,
    ) -> Pipe {
        let limits = &self.settings.limits;
        let credentials = self.settings.credentials.as_ref();
        let route = Route {
            address: address.clone(),
            head: stream::request_head(address, credentials, Some(stream_id)),
            connect: limits.connect,
            answer: limits.answer,
            backoff: backoff(limits.backoff_min, limits.backoff_max, &mut self.random),
        };
        let (sender, calls) = unbounded_channel();
        let pipe = Pipe(tokio::spawn(carry(route, calls)));
        self.shared
            .tally
            .subscriptions
            .fetch_add(1, Ordering::Relaxed);
        self.shared.set(Line::Up {
            calls: sender,
            framework_id,
        });
        pipe
    }

    async fn hand_on(&mut self, event: Event) -> Option<End> {
        let event = translate(event)?;
        if let DriverEvent::Error(text) = event {
            return Some(End::Final(text));
        }
        self.events
            .send(event)
            .await
            .is_err()
            .then_some(End::Unheard)
    }

    /// A master that promised heartbeats has failed; any other one is asked for an answer, which
    /// Marathon does by a question about a task that there is not.
    fn on_silence(&self, pace: &Pace, times: u32) -> Option<End> {
        if times >= pace.misses {
            let silent = pace.patience.saturating_mul(times);
            return Some(End::Lost(format!(
                "nothing was heard for {} ms",
                silent.as_millis()
            )));
        }
        let task = call::reconcile::Task {
            task_id: v1::TaskId {
                value: PROBE_TASK_ID.to_owned(),
            },
            agent_id: None,
        };
        let probe = Call {
            r#type: Some(call::Type::Reconcile.into()),
            reconcile: Some(call::Reconcile { tasks: vec![task] }),
            ..Default::default()
        };
        if let Err(error) = self.shared.call(probe) {
            tracing::warn!(%error, "the silent master cannot be asked for an answer");
        }
        None
    }
}

fn backoff(min: Duration, max: Duration, random: &mut IdSource) -> Backoff {
    let mut seed = [0; 32];
    for part in seed.chunks_mut(8) {
        part.copy_from_slice(&random.next_u64().to_le_bytes());
    }
    Backoff::new(min, max, IdSource::from_seed(seed))
}

/// How long the master may be silent.
struct Pace {
    patience: Duration,
    /// So many silences of that length in a row are the end.
    misses: u32,
}

impl Pace {
    fn of(subscribed: &event::Subscribed, settings: &Settings) -> Pace {
        let limits = &settings.limits;
        let interval = subscribed.heartbeat_interval_seconds.unwrap_or_default();
        match Duration::try_from_secs_f64(interval) {
            Ok(interval) if !interval.is_zero() => Pace {
                patience: interval.saturating_mul(limits.missed_heartbeats.max(1)),
                misses: 1,
            },
            _ => Pace {
                patience: limits.probe_interval,
                misses: limits.missed_probes.max(1),
            },
        }
    }
}

async fn first_event(events: &mut EventStream) -> Result<event::Subscribed, End> {
    loop {
        // The caller limits the time.
        let heard = events.next(Duration::from_secs(3600)).await;
        let Heard::Event(first) = heard.map_err(End::Lost)? else {
            continue;
        };
        if let Some(error) = first.error {
            return Err(End::Final(error.message));
        }
        let wrong = || End::Lost("the first event is not SUBSCRIBED".to_owned());
        return first.subscribed.ok_or_else(wrong);
    }
}

/// What an event means to the driver's owner; nothing for heartbeats, for answers to the driver's
/// own question, and for what only a newer master says.
fn translate(event: Event) -> Option<DriverEvent> {
    match event.r#type() {
        event::Type::Offers => Some(DriverEvent::Offers(event.offers?.offers)),
        event::Type::InverseOffers => Some(DriverEvent::InverseOffers(
            event.inverse_offers?.inverse_offers,
        )),
        event::Type::Rescind => Some(DriverEvent::Rescind(event.rescind?.offer_id)),
        event::Type::RescindInverseOffer => {
            let id = event.rescind_inverse_offer?.inverse_offer_id;
            Some(DriverEvent::RescindInverseOffer(id))
        }
        event::Type::Update => {
            let status = event.update?.status;
            let asked_for = status.task_id.value == PROBE_TASK_ID;
            (!asked_for).then(|| DriverEvent::Update(Box::new(status)))
        }
        event::Type::UpdateOperationStatus => {
            let status = event.update_operation_status?.status;
            Some(DriverEvent::UpdateOperationStatus(Box::new(status)))
        }
        event::Type::Message => Some(DriverEvent::Message(event.message?)),
        event::Type::Failure => Some(DriverEvent::Failure(event.failure?)),
        event::Type::Error => Some(DriverEvent::Error(event.error?.message)),
        event::Type::Heartbeat | event::Type::Subscribed | event::Type::Unknown => None,
    }
}
