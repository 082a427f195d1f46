//! The agent's actor: hands inputs to the core, performs its effects, keeps its one timer.
//! Decides nothing.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use arc_swap::ArcSwap;
use tepui_core::agent::Agent;
use tepui_core::agent::messages::{
    Answer, ConnectionId, ContainerCall, Effect, Input, LinkNumber, Token,
};
use tepui_core::agent::model::Snapshot;
use tepui_core::ids::ContainerId;
use tepui_core::time::Mono;
use tepui_protocol::v1::executor;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::journal::{Journal, Recorded};
use super::launcher::{Launcher, Spawned};
use super::link::{self, LinkHandle};
use crate::clock::Clock;
use crate::election::Finder;

/// Messages the actor's mailbox takes from senders that wait.
const MAILBOX: usize = 1_024;

/// Events that may wait for one executor; a slower one is disconnected and must resubscribe.
pub(super) const MAX_EXECUTOR_EVENTS: usize = 10_000;

/// Time the last messages to the master have when the agent ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Something happened.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Tell(pub(super) Input);

/// An executor's call, and where its answer and events go.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct ExecutorCall {
    pub(super) call: Box<executor::Call>,
    pub(super) connection: ConnectionId,
    /// Set for SUBSCRIBE.
    pub(super) events: Option<mpsc::Sender<executor::Event>>,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// A call about a container, and where its answer goes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct CallOfContainer {
    pub(super) call: Box<ContainerCall>,
    pub(super) connection: ConnectionId,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// What waits its turn.
enum Held {
    /// All that follows waits until this order of the journal is durable.
    UntilDurable(u64),
    Effect(Effect),
}

pub(super) struct AgentActor {
    core: Agent,
    /// What readers see of the core.
    published: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    finder: Finder,
    launcher: Launcher,
    journal: Journal,
    /// What waits for records to be durable.
    held: VecDeque<Held>,
    checkpoints: Checkpoints,
    link: Option<(LinkNumber, LinkHandle)>,
    streams: HashMap<ConnectionId, mpsc::Sender<executor::Event>>,
    replies: HashMap<Token, oneshot::Sender<Answer>>,
    next_token: u64,
    timer: Option<(Mono, SpawnHandle)>,
    ended: Option<oneshot::Sender<Result<String, String>>>,
}

impl AgentActor {
    pub(super) fn new(
        core: Agent,
        clock: Clock,
        finder: Finder,
        work_dir: &Path,
        journal: Journal,
        launcher: Launcher,
        ended: oneshot::Sender<Result<String, String>>,
    ) -> std::io::Result<Self> {
        Ok(AgentActor {
            published: Arc::new(ArcSwap::from_pointee(core.snapshot())),
            core,
            clock,
            finder,
            launcher,
            journal,
            held: VecDeque::new(),
            checkpoints: Checkpoints::start(work_dir)?,
            link: None,
            streams: HashMap::new(),
            replies: HashMap::new(),
            next_token: 0,
            timer: None,
            ended: Some(ended),
        })
    }

    /// A view of the agent that is always the newest, and that nobody has to wait for.
    pub(super) fn published(&self) -> Arc<ArcSwap<Snapshot>> {
        self.published.clone()
    }

    fn handle_input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let mut effects = Vec::new();
        self.core.handle(self.clock.now(), input, &mut effects);
        self.published.store(Arc::new(self.core.snapshot()));
        for effect in effects {
            self.perform_when_durable(effect, ctx);
        }
        self.arm(ctx);
    }

    /// What follows records is held back until they are durable, and what follows that too, as
    /// everything happens in order.
    fn perform_when_durable(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Record(records) => match self.journal.append(records, ctx.address()) {
                Ok(order) => self.held.push_back(Held::UntilDurable(order)),
                Err(why) => self.fail(&why),
            },
            effect if self.held.is_empty() => self.perform(effect, ctx),
            effect => self.held.push_back(Held::Effect(effect)),
        }
    }

    /// Performs what was held back, as far as it may be.
    fn release(&mut self, durable: u64, ctx: &mut Context<Self>) {
        while let Some(held) = self.held.pop_front() {
            match held {
                Held::UntilDurable(order) if order <= durable => {}
                Held::UntilDurable(_) => return self.held.push_front(held),
                Held::Effect(effect) => self.perform(effect, ctx),
            }
        }
    }

    /// The agent cannot go on without its journal: what it does now would be forgotten.
    fn fail(&mut self, why: &str) {
        tracing::error!(why, "the agent's journal cannot be written");
        // Nothing that was held back happens, nor anything from now on.
        self.held.clear();
        self.held.push_back(Held::UntilDurable(u64::MAX));
        self.end(Err(format!("the agent's journal cannot be written: {why}")));
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            // Held back before it comes here.
            Effect::Record(_) => {}
            Effect::Connect(number) => {
                let handle = link::open(self.finder.address(), number, ctx.address());
                self.link = Some((number, handle));
            }
            Effect::CloseLink(number) => {
                if let Some((_, handle)) = self.link.take_if(|(open, _)| *open == number) {
                    handle.abort();
                }
            }
            Effect::ToMaster(number, frame) => {
                let Some((_, handle)) = self.link.as_ref().filter(|(open, _)| *open == number)
                else {
                    return;
                };
                if handle.send(frame).is_err() {
                    tracing::warn!("the link to the master is too slow or gone, closing it");
                    handle.abort();
                    ctx.notify(Tell(Input::LinkClosed { link: number }));
                }
            }
            Effect::ToExecutor(connection, event) => {
                let Some(stream) = self.streams.get(&connection) else {
                    return;
                };
                if stream.try_send(*event).is_err() {
                    tracing::warn!("an executor's stream is too slow or gone, closing it");
                    self.streams.remove(&connection);
                    ctx.notify(Tell(Input::ConnectionClosed { connection }));
                }
            }
            Effect::CloseConnection(connection) => {
                self.streams.remove(&connection);
            }
            Effect::Reply(token, answer) => {
                if let Some(reply) = self.replies.remove(&token) {
                    // A caller that has gone needs no answer.
                    let _ = reply.send(answer);
                }
            }
            Effect::Launch(launch) => self.launcher.launch(*launch, ctx.address()),
            Effect::UpdateContainer(container, resources) => {
                self.launcher.update(container, resources);
            }
            Effect::UpdateVolumes(order) => self.launcher.update_volumes(order, ctx.address()),
            Effect::Checkpoint(order) => self.checkpoints.write(order, ctx.address()),
            Effect::Kill(container) => self.launcher.kill(&container),
            Effect::Signal(container, signal) => self.launcher.signal(&container, signal),
            Effect::RemoveContainer(container, sandbox) => {
                self.launcher
                    .remove_container(container, sandbox, ctx.address());
            }
            Effect::Remove(places) => self.launcher.remove(places, ctx.address()),
            Effect::Admitted(agent) => self.launcher.link_latest(agent),
            Effect::Exit(reason) => self.end(Ok(reason)),
            Effect::Fail(reason) => {
                tracing::error!(reason, "the agent cannot go on");
                self.end(Err(reason));
            }
        }
    }

    /// Sees to it that the core is called when its next deadline comes.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let Some(deadline) = self.core.next_deadline() else {
            return;
        };
        if let Some((armed, handle)) = self.timer {
            // An earlier wake-up than needed costs less than moving the timer at every input.
            if armed <= deadline {
                return;
            }
            ctx.cancel_future(handle);
        }
        let delay = deadline.since(self.clock.now().mono);
        let handle = ctx.run_later(delay, |actor, ctx| {
            actor.timer = None;
            actor.handle_input(Input::Tick, ctx);
        });
        self.timer = Some((deadline, handle));
    }

    /// Lets the last messages out, and reports the end.
    fn end(&mut self, reason: Result<String, String>) {
        self.streams.clear();
        let link = self.link.take();
        let Some(ended) = self.ended.take() else {
            return;
        };
        actix::spawn(async move {
            if let Some((_, handle)) = link {
                handle.finish(FLUSH_TIMEOUT).await;
            }
            // Nobody may be waiting any more.
            let _ = ended.send(reason);
        });
    }
}

impl Actor for AgentActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.launcher.look(self.clock.now().wall, ctx.address());
        self.arm(ctx);
    }
}

impl Handler<Tell> for AgentActor {
    type Result = ();

    fn handle(&mut self, Tell(input): Tell, ctx: &mut Self::Context) {
        if let Input::ConnectionClosed { connection } = &input {
            self.streams.remove(connection);
        }
        self.handle_input(input, ctx);
    }
}

impl Handler<ExecutorCall> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: ExecutorCall, ctx: &mut Self::Context) {
        self.next_token += 1;
        let reply = Token(self.next_token);
        self.replies.insert(reply, message.reply);
        if let Some(events) = message.events {
            self.streams.insert(message.connection, events);
        }
        let connection = message.connection;
        self.handle_input(
            Input::Call {
                call: message.call,
                connection,
                reply,
            },
            ctx,
        );
    }
}

impl Handler<CallOfContainer> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: CallOfContainer, ctx: &mut Self::Context) {
        self.next_token += 1;
        let reply = Token(self.next_token);
        self.replies.insert(reply, message.reply);
        let (call, connection) = (message.call, message.connection);
        self.handle_input(
            Input::ContainerCall {
                call,
                connection,
                reply,
            },
            ctx,
        );
    }
}

impl Handler<Recorded> for AgentActor {
    type Result = ();

    fn handle(&mut self, recorded: Recorded, ctx: &mut Self::Context) {
        let durable = match recorded.result {
            Ok(durable) => durable,
            Err(why) => return self.fail(&why),
        };
        self.release(durable.order, ctx);
        if durable.is_long
            && let Err(why) = self.journal.replace(self.core.records(), ctx.address())
        {
            self.fail(&why);
        }
    }
}

/// A container that has outlived an earlier run of the agent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Survived {
    pub(super) container: ContainerId,
    /// Its sandbox.
    pub(super) directory: String,
    /// Whether it is of type DOCKER.
    pub(super) is_docker: bool,
    pub(super) pid: u32,
}

impl Handler<Survived> for AgentActor {
    type Result = ();

    fn handle(&mut self, survived: Survived, ctx: &mut Self::Context) {
        let Survived {
            container,
            directory,
            is_docker,
            pid,
        } = survived;
        self.launcher
            .take_back(container.clone(), &directory, is_docker, pid, ctx.address());
        let result = Ok(pid);
        self.handle_input(Input::Launched { container, result }, ctx);
    }
}

impl Handler<Spawned> for AgentActor {
    type Result = ();

    fn handle(&mut self, spawned: Spawned, ctx: &mut Self::Context) {
        let container = spawned.container.clone();
        let result = self.launcher.adopt(spawned, ctx.address());
        self.handle_input(Input::Launched { container, result }, ctx);
    }
}
