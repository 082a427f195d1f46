//! The link to the master: reaching it, (re-)registering, noticing its silence, leaving.
//! Opens no socket.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::link::{self, AgentToMaster, Frame, MasterToAgent, TaskRef};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::{self, TaskState, task_status::Reason};

use super::messages::{Effect, LinkNumber};
use super::model::{ExecutorKind, ExecutorState, FrameworkState, staged};
use super::updates::AgentStatus;
use super::{Agent, CAPABILITIES, Life, Timer, next_link, paths};
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::resources::Format;
use crate::time::Now;

/// Shortest time after which a registration is said again on the same link, where nothing gets
/// lost: only a master that was not ready for it needs to hear it again, and one that is busy with
/// all its agents must not hear it before it has got to the first.
const REPEAT_PAUSE: Duration = Duration::from_secs(5);

/// Longest random delay between two attempts to reach or register with the master.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Silence of the master that ends a link, until the master says otherwise.
pub(super) const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(75);

/// Time a master has to greet on a new link.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// Life cycle of the link to the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none; the next attempt has a deadline.
    Down,
    /// Being opened, or open and not greeted yet.
    Opening(LinkNumber),
    /// Greeted; a registration is on its way.
    Registering { link: LinkNumber, epoch: u64 },
    /// The master knows this agent.
    Registered { link: LinkNumber, epoch: u64 },
}

impl Link {
    pub(super) fn number(self) -> Option<LinkNumber> {
        match self {
            Link::Down => None,
            Link::Opening(link)
            | Link::Registering { link, .. }
            | Link::Registered { link, .. } => Some(link),
        }
    }
}

impl Agent {
    /// Sets the deadline of the next attempt, a random time from now.
    pub(super) fn schedule_connect(&mut self, now: Now) {
        let delay = self.random_delay();
        self.timers.set(Timer::Connect, now.mono + delay);
    }

    pub(super) fn connect(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.link != Link::Down || self.life == Life::Ended {
            return;
        }
        let link = next_link(&mut self.next_link);
        self.link = Link::Opening(link);
        self.last_heard = now.mono;
        self.timers.set(Timer::Silence, now.mono + GREETING_TIMEOUT);
        out.push(Effect::Connect(link));
    }

    pub(super) fn link_closed(&mut self, now: Now, link: LinkNumber) {
        if self.link.number() != Some(link) {
            return;
        }
        if matches!(self.link, Link::Registered { .. }) {
            self.backoff = self.settings.registration_backoff_factor;
        }
        self.link = Link::Down;
        self.timers.cancel(&Timer::Silence);
        self.timers.cancel(&Timer::Register);
        self.pause_streams();
        self.schedule_connect(now);
    }

    /// Whatever link there is leads to a master that leads no more. However long the agent has
    /// looked in vain, it looks anew as after a start; Mesos's `Slave::detected`.
    pub(super) fn master_changed(&mut self, now: Now, out: &mut Vec<Effect>) {
        if let Some(link) = self.link.number() {
            out.push(Effect::CloseLink(link));
            self.link_closed(now, link);
        }
        if self.life != Life::Ended {
            self.backoff = self.settings.registration_backoff_factor;
            self.schedule_connect(now);
        }
    }

    /// The master has been silent for as long as one may be.
    pub(super) fn silence(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(link) = self.link.number() else {
            return;
        };
        let allowed = match self.link {
            Link::Down | Link::Opening(_) => GREETING_TIMEOUT,
            Link::Registering { .. } | Link::Registered { .. } => self.ping_timeout,
        };
        let deadline = self.last_heard + allowed;
        if deadline > now.mono {
            self.timers.set(Timer::Silence, deadline);
            return;
        }
        out.push(Effect::CloseLink(link));
        self.link_closed(now, link);
    }

    pub(super) fn master_said(
        &mut self,
        now: Now,
        link: LinkNumber,
        message: MasterToAgent,
        out: &mut Vec<Effect>,
    ) {
        if self.link.number() != Some(link) || self.life == Life::Ended {
            return;
        }
        self.last_heard = now.mono;
        let is_ping = matches!(message, MasterToAgent::Ping { .. });
        // Later orders count on what is being checkpointed; only pings do not.
        match self.operations.is_writing() && !is_ping {
            true => self.defer(now, link, message, out),
            false => self.obey(now, link, message, out),
        }
    }

    /// Obeys what was said before, unless its link has gone.
    pub(super) fn obey_on(
        &mut self,
        now: Now,
        link: LinkNumber,
        message: MasterToAgent,
        out: &mut Vec<Effect>,
    ) {
        if self.link.number() == Some(link) && self.life != Life::Ended {
            self.obey(now, link, message, out);
        }
    }

    fn obey(&mut self, now: Now, link: LinkNumber, message: MasterToAgent, out: &mut Vec<Effect>) {
        match message {
            MasterToAgent::Hello { epoch, master } => self.greeted(now, link, epoch, master.0, out),
            MasterToAgent::Registered {
                agent_id,
                ping_timeout_ms,
            } => {
                self.registered(now, &agent_id, ping_timeout_ms, out);
            }
            MasterToAgent::Reregistered {
                agent_id,
                ping_timeout_ms,
                reconcile,
            } => self.reregistered(now, &agent_id, ping_timeout_ms, &reconcile, out),
            MasterToAgent::Drain { config } => self.drain(now, config.map(|it| it.0), out),
            MasterToAgent::Shutdown { message } => self.leave(now, &message, out),
            MasterToAgent::Ping { connected } => self.ping(now, connected, out),
            MasterToAgent::UpdateFramework { info } => self.update_framework(info.0),
            MasterToAgent::RunTask(run) => self.run_task(now, *run, out),
            MasterToAgent::RunTaskGroup(run) => self.run_task_group(now, *run, out),
            MasterToAgent::KillTask {
                framework_id,
                task_id,
                kill_policy,
            } => {
                let framework = FrameworkId::new(framework_id);
                let policy = kill_policy.map(|policy| policy.0);
                self.kill_task(now, &framework, &TaskId::new(task_id), policy, out);
            }
            MasterToAgent::AcknowledgeStatus {
                framework_id,
                task_id,
                uuid,
            } => {
                let key = (FrameworkId::new(framework_id), TaskId::new(task_id));
                self.acknowledge(now, &key, &uuid, out);
            }
            MasterToAgent::ShutdownExecutor {
                framework_id,
                executor_id,
            } => {
                let (framework, executor) =
                    (FrameworkId::new(framework_id), ExecutorId::new(executor_id));
                self.shutdown_executor(now, &framework, &executor, out);
            }
            MasterToAgent::ShutdownFramework { framework_id } => {
                self.shutdown_framework(now, &FrameworkId::new(framework_id), out);
            }
            MasterToAgent::FrameworkMessage {
                framework_id,
                executor_id,
                data,
            } => {
                let (framework, executor) =
                    (FrameworkId::new(framework_id), ExecutorId::new(executor_id));
                self.message_to_executor(&framework, &executor, data, out);
            }
            MasterToAgent::ApplyOperation {
                framework_id,
                operation,
                operation_uuid,
            } => self.apply_operation(now, framework_id, operation.0, &operation_uuid, out),
            MasterToAgent::AcknowledgeOperation {
                status_uuid,
                operation_uuid,
            } => self.acknowledge_operation(&operation_uuid, &status_uuid, out),
        }
    }

    /// Leaves the cluster: every framework is shut down, and the agent ends when all have.
    pub(super) fn leave(&mut self, now: Now, reason: &str, out: &mut Vec<Effect>) {
        if matches!(self.life, Life::Leaving | Life::Ended) {
            return;
        }
        tracing::info!(reason, "the agent leaves");
        // Whatever happens on the way, the next one is another agent.
        out.push(Effect::Record(vec![self.journal.close()]));
        self.tell_master(AgentToMaster::Unregister, out);
        self.life = Life::Leaving;
        let ids: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for id in ids {
            self.shutdown_framework(now, &id, out);
        }
        self.nested.end_all(out);
    }

    fn greeted(
        &mut self,
        now: Now,
        link: LinkNumber,
        epoch: u64,
        master: v1::MasterInfo,
        out: &mut Vec<Effect>,
    ) {
        if self.link != Link::Opening(link) {
            return;
        }
        self.master = Some(Arc::new(master));
        self.link = Link::Registering { link, epoch };
        self.timers
            .set(Timer::Silence, now.mono + self.ping_timeout);
        self.register(now, out);
    }

    /// Sends a (re-)registration and sets the deadline of the next one.
    pub(super) fn register(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Link::Registering { link, epoch } = self.link else {
            return;
        };
        // What is being checkpointed belongs into the registration, which follows then.
        if self.life != Life::Active || self.operations.is_writing() {
            return;
        }
        let checkpointed = self.operations.checkpointed();
        let register = link::Register {
            info: Pb((*self.info).clone()),
            version: self.settings.version.clone(),
            link_version: link::VERSION,
            capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
            checkpointed_resources: checkpointed
                .to_v1(Format::PostRefinement)
                .into_iter()
                .map(Pb)
                .collect(),
            resource_version: self.resource_version.clone(),
        };
        let body = match self.agent_id {
            None => AgentToMaster::Register(Box::new(register)),
            Some(_) => AgentToMaster::Reregister(Box::new(self.reregistration(register))),
        };
        out.push(Effect::ToMaster(link, Box::new(Frame { epoch, body })));
        let delay = REPEAT_PAUSE + self.random_delay();
        self.timers.set(Timer::Register, now.mono + delay);
    }

    fn reregistration(&self, register: link::Register) -> link::Reregister {
        let mut message = link::Reregister {
            register,
            tasks: Vec::new(),
            executors: Vec::new(),
            frameworks: Vec::new(),
            completed_frameworks: Vec::new(),
            operations: self.reported_operations(),
        };
        // What is ended here was given up by whoever ended it. Another master would take it for
        // running, and never hear of its end.
        let lasting = self.frameworks.values();
        let lasting = lasting.filter(|framework| framework.state == FrameworkState::Running);
        for framework in lasting {
            message.frameworks.push(Pb((*framework.info).clone()));
            for executor in framework.executors.values() {
                message
                    .tasks
                    .extend(executor.launched.values().map(|task| Pb((**task).clone())));
                message.tasks.extend(
                    executor
                        .terminated
                        .values()
                        .map(|task| Pb((**task).clone())),
                );
                let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
                message
                    .tasks
                    .extend(queued.map(|task| Pb(staged(task, &framework.info, executor))));
                // Schedulers and master know nothing of executors made for a command.
                let shown = executor.kind != ExecutorKind::Command
                    && executor.state != ExecutorState::Terminated;
                if shown {
                    message.executors.push(Pb((*executor.info).clone()));
                }
            }
        }
        let completed = self.completed_frameworks.iter();
        message.completed_frameworks = completed.map(|done| done.id.to_string()).collect();
        message
    }

    fn registered(&mut self, now: Now, id: &str, ping_timeout_ms: u64, out: &mut Vec<Effect>) {
        let Link::Registering { link, epoch } = self.link else {
            return;
        };
        if !paths::is_safe_name(id) {
            return self.give_up(
                format!("the master gave the agent the unusable id {id:?}"),
                out,
            );
        }
        match &self.agent_id {
            Some(own) if own.as_str() != id => {
                let reason = format!("registered under the id {id}, but this agent is {own}");
                return self.give_up(reason, out);
            }
            Some(_) => {}
            None => {
                let id = AgentId::from(id);
                Arc::make_mut(&mut self.info).id = Some(id.to_v1());
                self.agent_id = Some(id.clone());
                out.push(Effect::Admitted(id));
            }
        }
        self.link = Link::Registered { link, epoch };
        self.backoff = self.settings.registration_backoff_factor;
        if ping_timeout_ms > 0 {
            self.ping_timeout = Duration::from_millis(ping_timeout_ms);
        }
        self.timers.cancel(&Timer::Register);
        self.timers
            .set(Timer::Silence, now.mono + self.ping_timeout);
        for key in self.streams.resume() {
            self.forward(now, &key, out);
        }
        for uuid in self.operations.resume() {
            self.forward_operation(now, uuid, out);
        }
    }

    fn reregistered(
        &mut self,
        now: Now,
        id: &str,
        ping_timeout_ms: u64,
        reconcile: &[TaskRef],
        out: &mut Vec<Effect>,
    ) {
        self.registered(now, id, ping_timeout_ms, out);
        for task in reconcile {
            self.reconcile(now, task, out);
        }
    }

    fn ping(&mut self, now: Now, connected: bool, out: &mut Vec<Effect>) {
        let (Link::Registering { link, epoch } | Link::Registered { link, epoch }) = self.link
        else {
            return;
        };
        out.push(Effect::ToMaster(
            link,
            Box::new(Frame {
                epoch,
                body: AgentToMaster::Pong,
            }),
        ));
        if !connected && matches!(self.link, Link::Registered { .. }) {
            self.link = Link::Registering { link, epoch };
            self.pause_streams();
            self.register(now, out);
        }
    }

    /// The master expects this task here: say that it is gone, if it is.
    fn reconcile(&mut self, now: Now, task: &TaskRef, out: &mut Vec<Effect>) {
        let key = (
            FrameworkId::from(&*task.framework_id),
            TaskId::from(&*task.task_id),
        );
        let framework = self.frameworks.get(&key.0);
        let lasting = framework.filter(|framework| framework.state == FrameworkState::Running);
        if lasting.is_some_and(|framework| framework.tasks.contains_key(&key.1))
            || self.streams.head(&key).is_some()
        {
            return;
        }
        let completed = || {
            self.completed_frameworks
                .iter()
                .find(|done| done.id == key.0)
        };
        let aware = framework
            .or_else(completed)
            .is_some_and(|known| known.is_partition_aware());
        let state = if aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        };
        let status = self.agent_status(AgentStatus {
            now,
            task: &key.1,
            executor: None,
            state,
            reason: Reason::Reconciliation,
            message: "Reconciliation: task unknown to the agent",
        });
        self.stream_update(now, &key, status, out);
    }

    fn update_framework(&mut self, info: v1::FrameworkInfo) {
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else {
            return;
        };
        let Some(framework) = self.framework_mut(&id) else {
            return;
        };
        match framework.state {
            FrameworkState::Running => framework.info = Arc::new(info),
            FrameworkState::Terminating => {}
        }
    }

    fn give_up(&mut self, reason: String, out: &mut Vec<Effect>) {
        self.life = Life::Ended;
        out.push(Effect::Fail(reason));
    }

    /// A random part of the present upper bound, which doubles.
    fn random_delay(&mut self) -> Duration {
        let bound = self.backoff.min(MAX_BACKOFF);
        let factor = self.settings.registration_backoff_factor;
        self.backoff = (bound * 2).max(factor).min(MAX_BACKOFF);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.ids.next_u64() % micros.saturating_add(1))
    }
}
