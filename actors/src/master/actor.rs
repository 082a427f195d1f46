//! The master's actor: reads the clock, calls the core, performs its effects.
//! Takes no decision; those are in `tepui_core::master`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tepui_core::allocator::messages::Command;
use tepui_core::master::messages::{Answer, Effect, Input, Token};
use tepui_core::master::model::Snapshot;
use tepui_core::time::{Mono, Now};
use tokio::sync::oneshot;

use super::ToMaster;
use super::run::Ending;
use super::subscribers::{Opened, Seat, Subscribers};
use crate::allocator::Commands;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::metrics::{AllocatorMetrics, MasterQueue};
use crate::registrar::Apply;

/// Shortest time between two published snapshots while messages wait: in a burst readers see
/// the master at most this much late. Otherwise a change is published before anyone is told of
/// it, so that whoever was told and then reads finds it.
pub const PUBLISH_INTERVAL: Duration = Duration::from_millis(2);

/// Names the answers that nobody waits for.
const UNHEARD: Token = Token(0);

/// The decisions behind the actor.
pub trait MasterCore: Send {
    /// Decides upon an input; what is to be done is appended to `effects`.
    fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>);
    /// When [`Input::Tick`] is due, if ever.
    fn next_deadline(&self) -> Option<Mono>;
    /// The present state for readers.
    fn snapshot(&self) -> Snapshot;
}

/// Everything the actor works with.
pub struct Parts {
    /// The decisions.
    pub core: Box<dyn MasterCore>,
    /// The clock.
    pub clock: Clock,
    /// Who can be reached where.
    pub directory: Arc<Directory>,
    /// What readers see.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Lengths of this actor's queue.
    pub queue: Arc<MasterQueue>,
    /// The allocator.
    pub allocator: Recipient<Commands>,
    /// Counts what waits for the allocator.
    pub allocator_metrics: Arc<AllocatorMetrics>,
    /// The registrar.
    pub registrar: Recipient<Apply>,
    /// Who is told what happens.
    pub subscribers: Subscribers,
    /// Ends the whole master.
    pub ending: Ending,
}

/// The master's actor.
pub struct MasterActor {
    parts: Parts,
    effects: Vec<Effect>,
    replies: HashMap<Token, oneshot::Sender<Answer>>,
    next_token: u64,
    timer: Option<(Mono, SpawnHandle)>,
    published: Mono,
    /// Whether anything changed since.
    unpublished: bool,
    publish_timer: Option<SpawnHandle>,
}

impl MasterActor {
    /// An actor that runs the given core.
    pub fn new(parts: Parts) -> Self {
        MasterActor {
            parts,
            effects: Vec::new(),
            replies: HashMap::new(),
            next_token: 0,
            timer: None,
            published: Mono::default(),
            unpublished: false,
            publish_timer: None,
        }
    }

    fn decide(&mut self, ctx: &mut Context<Self>, input: Input) {
        let now = self.parts.clock.now();
        self.parts.core.handle(now, input, &mut self.effects);
        self.publish_soon(ctx, now.mono);
        self.perform();
        self.arm_timer(ctx, now.mono);
    }

    fn perform(&mut self) {
        let (mut commands, mut events) = (Vec::new(), Vec::new());
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::ToAgent(link, message) => self.parts.directory.send_link(link, message),
                Effect::CloseLink(link) => self.parts.directory.close_link(link),
                Effect::ToFramework(stream, event) => {
                    self.parts.directory.send_stream(&stream, event);
                }
                Effect::NotifyDrained(stream) => self.parts.directory.notify_drained(&stream),
                Effect::CloseStream(stream) => self.parts.directory.close_stream(&stream),
                Effect::ToAllocator(command) => commands.push(command),
                Effect::Apply(token, operation) => {
                    self.parts.registrar.do_send(Apply { token, operation });
                }
                Effect::Reply(token, answer) => self.reply(token, answer),
                Effect::ToSubscribers(event) => events.push(event),
                Effect::Exit(reason) => self.parts.ending.fatal(reason),
            }
        }
        // The vector is kept: the next decision fills it without allocating.
        self.effects = effects;
        self.parts.subscribers.tell(events);
        self.tell_allocator(commands);
    }

    /// Who is told what happens changes.
    fn watch(&mut self, ctx: &mut Context<Self>, message: ToMaster) {
        self.parts.queue.http_requests.remove(1);
        match message {
            ToMaster::Subscribe { seat, reply } => self.subscribe(ctx, seat, reply),
            ToMaster::Unsubscribe(id) => self.unsubscribe(ctx, id),
            _ => {}
        }
    }

    /// The state for a new subscriber is that of this very moment: all that happens from now on is
    /// told to it, and nothing that happened before.
    fn subscribe(&mut self, ctx: &mut Context<Self>, seat: Seat, reply: oneshot::Sender<Opened>) {
        self.decide(ctx, Input::Watched(true));
        let snapshot = Arc::new(self.parts.core.snapshot());
        self.parts.subscribers.add(seat, snapshot, reply);
    }

    fn unsubscribe(&mut self, ctx: &mut Context<Self>, id: u64) {
        self.parts.subscribers.remove(id);
        let is_watched = self.parts.subscribers.is_watched();
        self.decide(ctx, Input::Watched(is_watched));
    }

    fn tell_allocator(&self, commands: Vec<Command>) {
        if !commands.is_empty() {
            self.parts.allocator_metrics.dispatches.add();
            self.parts.allocator.do_send(Commands(commands));
        }
    }

    /// The caller may be gone; then the answer is of no use to anyone.
    fn reply(&mut self, token: Token, answer: Answer) {
        if token == UNHEARD {
            if let Answer::Refused(status, reason) = answer {
                // Its subscription ended while the call was on its way.
                tracing::debug!(status, reason, "call that was answered already is refused");
            }
            return;
        }
        if let Some(reply) = self.replies.remove(&token) {
            let _ = reply.send(answer);
        }
    }

    /// One timer for all deadlines of the core. A timer that is too early is left as it is: it
    /// is cheaper to wake once in vain than to replace it at every change.
    fn arm_timer(&mut self, ctx: &mut Context<Self>, now: Mono) {
        let Some(deadline) = self.parts.core.next_deadline() else {
            return;
        };
        if let Some((armed, handle)) = &self.timer {
            if *armed <= deadline {
                return;
            }
            ctx.cancel_future(*handle);
        }
        let handle = ctx.run_later(deadline.since(now), |actor, ctx| actor.timer_fired(ctx));
        self.timer = Some((deadline, handle));
    }

    fn timer_fired(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let now = self.parts.clock.now();
        match self.parts.core.next_deadline() {
            Some(deadline) if deadline <= now.mono => self.decide(ctx, Input::Tick),
            Some(_) | None => self.arm_timer(ctx, now.mono),
        }
    }

    fn publish_soon(&mut self, ctx: &mut Context<Self>, now: Mono) {
        let age = now.since(self.published);
        if self.parts.queue.is_empty() || age >= PUBLISH_INTERVAL {
            return self.publish(now);
        }
        self.unpublished = true;
        if self.publish_timer.is_some() {
            return;
        }
        let wait = PUBLISH_INTERVAL - age;
        self.publish_timer = Some(ctx.run_later(wait, |actor, _ctx| {
            actor.publish_timer = None;
            if std::mem::take(&mut actor.unpublished) {
                let now = actor.parts.clock.now().mono;
                actor.publish(now);
            }
        }));
    }

    fn publish(&mut self, now: Mono) {
        self.published = now;
        self.unpublished = false;
        self.parts
            .snapshot
            .store(Arc::new(self.parts.core.snapshot()));
    }

    fn expect_reply(&mut self, reply: oneshot::Sender<Answer>) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.replies.insert(token, reply);
        token
    }

    fn call(&mut self, ctx: &mut Context<Self>, message: ToMaster) {
        let ToMaster::Call {
            call,
            stream,
            principal,
            reply,
            permits,
        } = message
        else {
            return;
        };
        self.parts.queue.http_requests.remove(1);
        let token = match reply {
            Some(reply) => self.expect_reply(reply),
            None => UNHEARD,
        };
        self.decide(
            ctx,
            Input::Call {
                call,
                stream,
                principal,
                reply: token,
            },
        );
        drop(permits);
    }
}

impl Actor for MasterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let now = self.parts.clock.now().mono;
        self.arm_timer(ctx, now);
    }
}

impl Handler<ToMaster> for MasterActor {
    type Result = ();

    fn handle(&mut self, message: ToMaster, ctx: &mut Context<Self>) {
        match message {
            ToMaster::OpenLink {
                link,
                peer_ip,
                address,
            } => {
                self.parts.queue.messages.remove(1);
                self.parts.directory.add_link(link, address);
                self.decide(ctx, Input::LinkOpened { link, peer_ip });
            }
            ToMaster::FromAgent {
                link,
                message,
                permit,
            } => {
                self.parts.queue.messages.remove(1);
                self.decide(ctx, Input::FromAgent { link, message });
                drop(permit);
            }
            ToMaster::OpenStream {
                stream,
                subscribe,
                principal,
                address,
            } => {
                self.parts.queue.http_requests.remove(1);
                self.parts.directory.add_stream(stream.clone(), address);
                self.decide(
                    ctx,
                    Input::Subscribe {
                        stream,
                        subscribe,
                        principal,
                    },
                );
            }
            ToMaster::Call { .. } => self.call(ctx, message),
            ToMaster::Operate {
                request,
                principal,
                reply,
                permit,
            } => {
                self.parts.queue.http_requests.remove(1);
                let reply = self.expect_reply(reply);
                let input = Input::Operator {
                    request,
                    principal,
                    reply,
                };
                self.decide(ctx, input);
                drop(permit);
            }
            ToMaster::Subscribe { .. } | ToMaster::Unsubscribe(_) => self.watch(ctx, message),
            ToMaster::Input(input) => {
                self.parts.queue.dispatches.remove(1);
                self.forget_closed(&input);
                self.decide(ctx, input);
            }
            ToMaster::Fatal(reason) => self.parts.ending.fatal(reason),
            ToMaster::Stop => {
                self.parts.directory.close_all();
                self.parts.subscribers.close_all();
                ctx.stop();
            }
        }
    }
}

impl MasterActor {
    /// A link or stream that ended by itself is of no more use in the directory.
    fn forget_closed(&self, input: &Input) {
        match input {
            Input::LinkClosed { link } => self.parts.directory.close_link(*link),
            Input::StreamClosed { stream } => self.parts.directory.close_stream(stream),
            _ => {}
        }
    }
}
