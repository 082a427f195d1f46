//! One simulated agent: a real agent core, its link, and played executors.
//! Decides nothing an agent decides; that is the core's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tepui_core::agent::messages::{Effect, Input, LinkNumber};
use tepui_core::agent::recovery::Recovered;
use tepui_core::agent::{Agent, Settings};
use tepui_core::ids::IdSource;
use tepui_core::time::{Mono, Now};
use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Sleep, sleep_until};

use super::link::{Happened, Link, Opener};
use super::players::Players;
use super::{Fleet, Order};

/// How far ahead the timer is set when nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// What one agent is made of.
pub struct Parts {
    /// Its place in the fleet.
    pub index: usize,
    /// The core's settings.
    pub settings: Settings,
    /// What an agent without a checkpoint recovers.
    pub recovered: Recovered,
    /// All its randomness.
    pub seed: [u8; 32],
    /// The way to the master.
    pub opener: Opener,
    /// What the whole fleet shares.
    pub fleet: Arc<Fleet>,
}

/// One simulated agent.
pub struct SimulatedAgent {
    index: usize,
    core: Agent,
    players: Players,
    link: Link,
    opener: Opener,
    fleet: Arc<Fleet>,
    random: IdSource,
    inputs: VecDeque<Input>,
    effects: Vec<Effect>,
    /// Epoch of the present link, for floods.
    epoch: u64,
    /// Whether a flood is being sent.
    is_flooding: bool,
    begun: Mono,
    registered: bool,
    ended: bool,
}

impl SimulatedAgent {
    /// An agent that will try to reach its master after the core's random delay.
    pub fn new(parts: Parts) -> Self {
        let now = parts.fleet.clock.core_now();
        let behaviour = parts.fleet.options.behaviour;
        let tasks = parts.fleet.figures.tasks().clone();
        SimulatedAgent {
            index: parts.index,
            core: Agent::new(parts.settings, parts.recovered, parts.seed, now),
            players: Players::new(behaviour, parts.seed, tasks),
            link: Link::none(parts.fleet.options.network),
            opener: parts.opener,
            random: IdSource::from_seed(parts.seed),
            fleet: parts.fleet,
            inputs: VecDeque::new(),
            effects: Vec::new(),
            epoch: 0,
            is_flooding: false,
            begun: now.mono,
            registered: false,
            ended: false,
        }
    }

    /// Runs until it is told to stop, or its core ends.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let clock = self.fleet.clock;
        let mut armed = clock.core_now().mono;
        let mut timer = Box::pin(sleep_until(clock.instant_of(armed)));
        while !self.ended {
            self.settle().await;
            self.arm(&mut armed, &mut timer);
            let random = self.random.next_u64();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                happened = self.link.next(|| clock.core_now().mono, random) => {
                    if let Happened::Closed(link) = happened {
                        self.lost(link);
                    }
                }
                () = &mut timer => self.timer_fired(&mut armed, &mut timer),
            }
        }
        self.set_registered(false);
        self.fleet.figures.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Handles all that has come, with everything that follows from it, and sends it.
    async fn settle(&mut self) {
        let now = self.fleet.clock.core_now();
        while let Some(message) = self.link.arrived(now.mono) {
            self.notice(now, &message);
            if let Some(link) = self.link.number() {
                let message = Box::new(message);
                self.inputs.push_back(Input::FromMaster { link, message });
            }
        }
        while let Some(input) = self.inputs.pop_front() {
            self.core.handle(now, input, &mut self.effects);
            let effects = std::mem::take(&mut self.effects);
            for effect in effects {
                self.perform(now, effect);
            }
        }
        if !self.link.send_due(now.mono).await
            && let Some(link) = self.link.number()
        {
            self.link.close();
            self.lost(link);
        }
        if std::mem::take(&mut self.is_flooding) {
            self.fleet.figures.floods.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn perform(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Connect(number) => {
                let random = self.random.next_u64();
                let cut_at = self.fleet.options.network.cut_at(now.mono, random);
                self.link
                    .open(number, self.opener.clone(), self.index, cut_at);
            }
            Effect::CloseLink(number) => {
                if self.link.number() == Some(number) {
                    self.link.close();
                    self.set_registered(false);
                }
            }
            Effect::ToMaster(number, frame) => {
                if self.link.number() == Some(number) {
                    self.tell_master(now, &frame);
                }
            }
            Effect::ToExecutor(connection, event) => {
                self.players
                    .event(now, connection, *event, &mut self.inputs);
            }
            Effect::Launch(launch) => self.players.launch(*launch, &mut self.inputs),
            Effect::Kill(container) => self.players.kill(&container, &mut self.inputs),
            Effect::UpdateVolumes(order) => self.inputs.push_back(Input::VolumesUpdated {
                container: order.container,
                result: Ok(()),
            }),
            Effect::Checkpoint(_) => self.inputs.push_back(Input::Checkpointed {
                result: Ok(Vec::new()),
            }),
            // A simulated agent does not start again, so nothing need be recorded; its containers use
            // nothing that could be limited, and no disk, and nobody calls it about any.
            Effect::Record(_)
            | Effect::Signal(..)
            | Effect::RemoveContainer(..)
            | Effect::Remove(_)
            | Effect::UpdateContainer(..)
            | Effect::CloseConnection(_)
            | Effect::Reply(..)
            | Effect::Admitted(_) => {}
            Effect::Exit(_) | Effect::Fail(_) => self.ended = true,
        }
    }

    fn tell_master(&mut self, now: Now, frame: &Frame<AgentToMaster>) {
        self.epoch = frame.epoch;
        let random = self.random.next_u64();
        if let Err(error) = self.link.queue(now.mono, random, frame) {
            self.fleet.figures.failed(&error);
        }
    }

    /// Counts what the load test wants to know of what the master says.
    fn notice(&mut self, now: Now, message: &MasterToAgent) {
        match message {
            MasterToAgent::Registered { .. } | MasterToAgent::Reregistered { .. } => {
                self.set_registered(true);
                self.fleet
                    .figures
                    .registered_after(now.mono, now.mono.since(self.begun));
            }
            MasterToAgent::Shutdown { message } => self.fleet.figures.failed(&message.as_str()),
            _ => {}
        }
    }

    fn set_registered(&mut self, registered: bool) {
        if self.registered != registered {
            self.registered = registered;
            self.fleet.figures.count_registered(registered);
        }
    }

    fn lost(&mut self, link: LinkNumber) {
        self.set_registered(false);
        self.begun = self.fleet.clock.core_now().mono;
        self.fleet
            .figures
            .links_lost
            .fetch_add(1, Ordering::Relaxed);
        self.inputs.push_back(Input::LinkClosed { link });
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Cut => self.cut(),
            Order::Leave => self.inputs.push_back(Input::Leave),
            Order::Flood(count) => self.flood(count),
            Order::Finish => {
                let now = self.fleet.clock.core_now();
                self.players.finish_all(now, &mut self.inputs);
            }
        }
    }

    fn cut(&mut self) {
        if let Some(link) = self.link.number() {
            self.link.close();
            self.lost(link);
        }
    }

    /// Sends so many messages that no agent would send: updates of a task that nobody knows.
    fn flood(&mut self, count: usize) {
        let now = self.fleet.clock.core_now().mono;
        let frame = super::flood_frame(self.epoch);
        if let Err(error) = self.link.queue_many(now, &frame, count) {
            self.fleet.figures.failed(&error);
        }
        self.is_flooding = true;
    }

    fn timer_fired(&mut self, armed: &mut Mono, timer: &mut std::pin::Pin<Box<Sleep>>) {
        let now = self.fleet.clock.core_now();
        if self.link.is_cut(now.mono) {
            self.cut();
        }
        self.players.due(now, &mut self.inputs);
        if self.core.next_deadline().is_some_and(|at| at <= now.mono) {
            self.inputs.push_back(Input::Tick);
        }
        *armed = now.mono + NOTHING_DUE;
        timer.as_mut().reset(self.fleet.clock.instant_of(*armed));
    }

    /// One timer for all deadlines; one that is too early is left as it is.
    fn arm(&self, armed: &mut Mono, timer: &mut std::pin::Pin<Box<Sleep>>) {
        let due = [
            self.core.next_deadline(),
            self.players.next_due(),
            self.link.next_due(),
        ];
        if let Some(due) = due.into_iter().flatten().min()
            && due < *armed
        {
            *armed = due;
            timer.as_mut().reset(self.fleet.clock.instant_of(due));
        }
    }
}
