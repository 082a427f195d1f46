//! The app manager at work: one task that owns the manager's core and performs what it wants done.
//! Decides nothing; HTTP faces, store, driver and prober are beside it.
//!
//! What the core wants done is done in its order, and nothing before what precedes it is durable.
//! While the store is behind, no input is taken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tepui_core::marathon::manager::{Answer, Change, Effect, Input, Manager, Snapshot, Token};
use tepui_core::time::Mono;
use tepui_protocol::v1;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::driver::{DriverEvent, DriverHandle, Registration};
use super::events::EventHub;
use super::handle::Asked;
use super::prober::{ProbeResult, ProberHandle};
use super::probes::{Probes, Target};
use super::records;
use super::store::{Batch, Reason, Store};
use crate::clock::Clock;
use crate::metrics::marathon::{Leading, MarathonMetrics};

mod measure;
mod perform;

/// Inputs that are taken before what follows is published and done.
const MAX_INPUTS_AT_ONCE: usize = 256;

/// Batches that may wait for room in the store; beyond it no input is taken.
const MAX_BACKLOG: usize = 1;

/// Why the app manager ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The store cannot be written any more.
    #[error("the store has ended: {0}")]
    Store(String),
    /// The master will not have this framework.
    #[error("the master refuses this framework: {0}")]
    Refused(String),
    /// It was told so, or nobody can ask any more.
    #[error("told to end")]
    Told,
}

/// What the manager is connected with.
#[derive(Debug)]
pub struct Connections {
    /// Requests of the API.
    pub requests: mpsc::Receiver<Asked>,
    /// What the driver tells.
    pub driver_events: mpsc::Receiver<DriverEvent>,
    /// What probes found.
    pub probe_results: mpsc::Receiver<ProbeResult<Target>>,
    /// Calls to the master.
    pub driver: DriverHandle,
    /// What the framework says of itself; its roles follow the apps.
    pub registration: Registration,
    /// Probes of instances.
    pub prober: ProberHandle<Target>,
    /// Where records are kept.
    pub store: Store,
    /// Told with the reason when the store fails.
    pub store_failed: oneshot::Receiver<String>,
    /// Told when the manager is to end; also when whoever could tell is gone.
    pub told: oneshot::Receiver<()>,
    /// Where the state is published.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where events go.
    pub events: EventHub,
    /// The time.
    pub clock: Clock,
    /// Where it is measured.
    pub metrics: Arc<MarathonMetrics>,
}

/// The manager and all it is connected with.
#[derive(Debug)]
pub struct Run {
    manager: Manager,
    with: Connections,
    /// Answers that are waited for.
    replies: BTreeMap<Token, oneshot::Sender<Answer>>,
    next_token: u64,
    /// Batches given to the store so far, and how many of them are durable.
    stored: u64,
    durable: u64,
    done: mpsc::UnboundedReceiver<u64>,
    tell_done: mpsc::UnboundedSender<u64>,
    /// What is to be done when so many batches are durable, with since when it waits.
    waiting: VecDeque<(u64, Mono, Effect)>,
    /// Batches that the store had no room for.
    backlog: VecDeque<Batch>,
    probes: Probes,
    _leading: Leading,
}

impl Run {
    /// A manager that was restored, with what it wants done at once.
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn new(manager: Manager, with: Connections, first: Vec<Effect>) -> Result<Run, Ended> {
        let (tell_done, done) = mpsc::unbounded_channel();
        let prober = with.prober.clone();
        let leading = with.metrics.lead(with.clock.now().mono);
        let mut run = Run {
            manager,
            with,
            replies: BTreeMap::new(),
            next_token: 0,
            stored: 0,
            durable: 0,
            done,
            tell_done,
            waiting: VecDeque::new(),
            backlog: VecDeque::new(),
            probes: Probes::new(prober),
            _leading: leading,
        };
        run.publish();
        run.take(first)?;
        Ok(run)
    }

    /// Works until it cannot go on, or is told to end; gives the store back, in which something may
    /// wait to be written.
    pub async fn run(mut self) -> (Ended, Store) {
        let ended = self.work().await;
        (ended, self.with.store)
    }

    async fn work(&mut self) -> Ended {
        loop {
            let is_open = self.backlog.len() < MAX_BACKLOG;
            let deadline = self.manager.next_deadline();
            let now = self.with.clock.now();
            let due = deadline.map_or(Duration::from_secs(3600), |at| at.since(now.mono));
            let mut out = Vec::new();
            tokio::select! {
                why = &mut self.with.store_failed => {
                    return Ended::Store(why.unwrap_or_else(|_| "it is gone".to_owned()));
                }
                _ = &mut self.with.told => return Ended::Told,
                Some(durable) = self.done.recv() => {
                    self.durable = durable;
                    if let Err(ended) = self.retry_backlog() {
                        return ended;
                    }
                }
                asked = self.with.requests.recv(), if is_open => match asked {
                    Some(asked) => self.ask(asked, &mut out),
                    None => return Ended::Told,
                },
                event = self.with.driver_events.recv(), if is_open => match event {
                    Some(DriverEvent::Error(why)) => return Ended::Refused(why),
                    Some(event) => self.hear(event, &mut out),
                    None => return Ended::Refused("the driver has ended".to_owned()),
                },
                Some(result) = self.with.probe_results.recv(), if is_open => {
                    self.probed(result, &mut out);
                }
                () = tokio::time::sleep(due), if is_open && deadline.is_some() => {
                    self.input(Input::Timer, &mut out);
                }
            }
            if let Some(refusal) = self.take_more(&mut out) {
                return refusal;
            }
            if !out.is_empty() {
                self.publish();
            }
            if let Err(ended) = self.take(out) {
                return ended;
            }
        }
    }

    /// Takes what else has come, so that many inputs are published and stored together.
    fn take_more(&mut self, out: &mut Vec<Effect>) -> Option<Ended> {
        if out.is_empty() {
            return None;
        }
        for _ in 0..MAX_INPUTS_AT_ONCE {
            if let Ok(asked) = self.with.requests.try_recv() {
                self.ask(asked, out);
            } else if let Ok(event) = self.with.driver_events.try_recv() {
                if let DriverEvent::Error(why) = event {
                    return Some(Ended::Refused(why));
                }
                self.hear(event, out);
            } else if let Ok(result) = self.with.probe_results.try_recv() {
                self.probed(result, out);
            } else {
                break;
            }
        }
        None
    }

    fn input(&mut self, input: Input, out: &mut Vec<Effect>) {
        let now = self.with.clock.now();
        self.manager.input(now, input, out);
    }

    fn ask(&mut self, asked: Asked, out: &mut Vec<Effect>) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.replies.insert(token, asked.reply);
        self.input(Input::Request(token, asked.request), out);
    }

    fn hear(&mut self, event: DriverEvent, out: &mut Vec<Effect>) {
        let heard = self.with.metrics.mesos.heard(&event);
        let began = self.with.clock.now().mono;
        let input = match event {
            DriverEvent::Subscribed {
                framework_id,
                master,
                first: _,
            } => connected(framework_id, master),
            DriverEvent::Offers(offers) => Input::Offers(offers),
            DriverEvent::Update(status) => Input::Update(status),
            DriverEvent::Message(message) => Input::Message {
                executor: message.executor_id.value,
                agent: message.agent_id.value,
                data: message.data,
            },
            DriverEvent::Failure(failure) => match (failure.agent_id, failure.executor_id) {
                (Some(agent), None) => Input::AgentLost((&agent).into()),
                // Its tasks are told of one by one.
                (_, Some(_)) | (None, None) => return,
            },
            DriverEvent::Disconnected { why } => {
                warn!(why, "the connection to the master is lost");
                Input::Disconnected
            }
            // Offers are used or declined at once; what comes too late is refused by the master.
            DriverEvent::Rescind(_)
            | DriverEvent::InverseOffers(_)
            | DriverEvent::RescindInverseOffer(_)
            | DriverEvent::UpdateOperationStatus(_)
            | DriverEvent::Error(_) => return,
        };
        self.input(input, out);
        let ended = self.with.clock.now().mono;
        self.with.metrics.mesos.dealt_with(heard, began, ended);
    }

    fn probed(&mut self, result: ProbeResult<Target>, out: &mut Vec<Effect>) {
        if let Some(input) = self.probes.found(result) {
            self.input(input, out);
        }
    }

    fn publish(&self) {
        let now = self.with.clock.now();
        self.with
            .snapshot
            .store(Arc::new(self.manager.snapshot(now)));
    }

    /// Does what is wanted, or keeps it until what precedes it is durable.
    fn take(&mut self, effects: Vec<Effect>) -> Result<(), Ended> {
        let now = self.with.clock.now().mono;
        for effect in effects {
            match effect {
                Effect::Store(changes) => self.store(&changes)?,
                effect => self.waiting.push_back((self.stored, now, effect)),
            }
        }
        while let Some((needed, ..)) = self.waiting.front() {
            if *needed > self.durable {
                break;
            }
            if let Some((_, since, effect)) = self.waiting.pop_front() {
                self.note_saved(&effect, since);
                self.perform(effect);
            }
        }
        Ok(())
    }

    fn store(&mut self, changes: &[Change]) -> Result<(), Ended> {
        let batch = records::batch(changes);
        let batch = batch.map_err(|error| Ended::Store(error.to_string()))?;
        self.stored += 1;
        self.backlog.push_back(batch);
        self.retry_backlog()
    }

    /// Gives the store what it had no room for. What it will never take ends the manager: nothing
    /// that follows may be done.
    fn retry_backlog(&mut self) -> Result<(), Ended> {
        while let Some(batch) = self.backlog.pop_front() {
            let tell = self.tell_done.clone();
            let number = self.stored - self.backlog.len() as u64;
            let stored = self.storing();
            let done = Box::new(move || {
                stored();
                let _ = tell.send(number);
            });
            if let Err(refused) = self.with.store.apply(batch, done) {
                match refused.reason {
                    Reason::Full => {
                        self.backlog.push_front(refused.batch);
                        return Ok(());
                    }
                    why @ (Reason::Ended | Reason::TooLong(_) | Reason::Reserved(_)) => {
                        return Err(Ended::Store(why.to_string()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// News of a subscription as the manager takes it.
fn connected(id: v1::FrameworkId, master: Option<v1::MasterInfo>) -> Input {
    let master = master.unwrap_or_default();
    let domain = master.domain.and_then(|domain| domain.fault_domain);
    Input::Connected {
        framework_id: id.value,
        region: domain.map(|domain| domain.region.name),
        master: master.hostname.unwrap_or(master.id),
    }
}
