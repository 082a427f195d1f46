//! Calls of executors, and frameworks' messages to them.
//! Stateless checks were made before: see `crate::validation`.

use std::collections::BTreeSet;

use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{TaskState, TaskStatus, task_status::Reason};

use super::executors::shutdown_event;
use super::messages::{Answer, ConnectionId, Effect, Token};
use super::model::{ExecutorState, FrameworkState, is_terminal};
use super::registration::Link;
use super::updates::AgentStatus;
use super::{Agent, HEARTBEAT_INTERVAL, Life, Timer};
use crate::ids::{ExecutorId, FrameworkId, TaskId};
use crate::time::Now;

impl Agent {
    pub(super) fn executor_call(
        &mut self,
        now: Now,
        call: Call,
        connection: ConnectionId,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let kind = call.r#type();
        let framework_id = FrameworkId::from(&call.framework_id);
        let executor_id = ExecutorId::from(&call.executor_id);
        if let Err(refused) = self.check_call(kind, &framework_id, &executor_id) {
            out.push(Effect::Reply(reply, refused));
            return;
        }
        match kind {
            call::Type::Subscribe => {
                out.push(Effect::Reply(reply, Answer::Stream));
                let subscribe = call.subscribe.unwrap_or_default();
                self.subscribe(now, &framework_id, &executor_id, subscribe, connection, out);
            }
            call::Type::Update => {
                out.push(Effect::Reply(reply, Answer::Accepted));
                if let Some(update) = call.update {
                    self.executor_update(now, &framework_id, &executor_id, update.status, out);
                }
            }
            call::Type::Message => {
                out.push(Effect::Reply(reply, Answer::Accepted));
                let data = call.message.unwrap_or_default().data;
                self.message_to_framework(&framework_id, &executor_id, data, out);
            }
            call::Type::Heartbeat => out.push(Effect::Reply(reply, Answer::Accepted)),
            call::Type::Unknown => {
                let refused = Answer::Refused(501, "501 Not Implemented.".into());
                out.push(Effect::Reply(reply, refused));
            }
        }
    }

    /// A framework's message for an executor; best effort.
    pub(super) fn message_to_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        data: Vec<u8>,
        out: &mut Vec<Effect>,
    ) {
        let running = self.frameworks.get(framework).is_some_and(|known| {
            known.state == FrameworkState::Running
                && known
                    .executors
                    .get(executor)
                    .is_some_and(|known| matches!(known.state, ExecutorState::Running(Some(_))))
        });
        if !running {
            self.counters.invalid_framework_messages += 1;
            return;
        }
        self.counters.valid_framework_messages += 1;
        let event = Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message { data }),
            ..Event::default()
        };
        self.send_event(framework, executor, event, out);
    }

    /// The checks that depend on what the agent knows, in Mesos's order.
    fn check_call(
        &self,
        kind: call::Type,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> Result<(), Answer> {
        let refused = |status, text: &str| Err(Answer::Refused(status, text.to_owned()));
        if kind == call::Type::Heartbeat {
            return Ok(());
        }
        let Some(framework) = self.frameworks.get(framework) else {
            return refused(400, "Framework cannot be found");
        };
        let Some(executor) = framework.executors.get(executor) else {
            return refused(400, "Executor cannot be found");
        };
        if executor.state == ExecutorState::Registering && kind != call::Type::Subscribe {
            return refused(403, "Executor is not subscribed");
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        now: Now,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        subscribe: call::Subscribe,
        connection: ConnectionId,
        out: &mut Vec<Effect>,
    ) {
        let framework_runs = self
            .frameworks
            .get(framework_id)
            .is_some_and(|framework| framework.state == FrameworkState::Running);
        let serving = framework_runs && self.life == Life::Active;
        let stays = framework_runs && self.is_recorded(framework_id);
        let Some(executor) = self.executor_mut(framework_id, executor_id) else {
            return;
        };
        let ending = matches!(
            executor.state,
            ExecutorState::Terminating(_) | ExecutorState::Terminated
        );
        if ending || !serving {
            // One that outlives the agent finds the next one, until the very end of this one.
            if ending || !stays {
                out.push(Effect::ToExecutor(connection, Box::new(shutdown_event())));
            }
            out.push(Effect::CloseConnection(connection));
            return;
        }
        let before = executor.connection();
        executor.state = ExecutorState::Running(Some(connection));
        executor.recovered = false;
        let container = executor.container.clone();
        if let Some(before) = before {
            self.close(before, out);
        }
        self.connections
            .insert(connection, (framework_id.clone(), executor_id.clone()));
        self.timers.cancel(&Timer::Subscribe(container));
        self.timers
            .set(Timer::Heartbeat(connection), now.mono + HEARTBEAT_INTERVAL);
        let mut known = BTreeSet::new();
        known.extend(
            subscribe
                .unacknowledged_tasks
                .into_iter()
                .map(|task| task.task_id.value),
        );
        for update in subscribe.unacknowledged_updates {
            self.executor_update(now, framework_id, executor_id, update.status, out);
        }
        self.drop_lost_launches(now, framework_id, executor_id, &known, out);
        self.welcome(now, framework_id, executor_id, out);
    }

    /// Tasks that were handed to an earlier connection and never arrived.
    fn drop_lost_launches(
        &mut self,
        now: Now,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        known: &BTreeSet<String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        let state = match framework.is_partition_aware() {
            true => TaskState::TaskDropped,
            false => TaskState::TaskLost,
        };
        let Some(executor) = framework.executors.get(executor_id) else {
            return;
        };
        let lost: Vec<TaskId> = executor
            .launched
            .iter()
            .filter(|(id, task)| {
                task.state() == TaskState::TaskStaging && !known.contains(id.as_str())
            })
            .map(|(id, _)| id.clone())
            .collect();
        for task in lost {
            let status = self.agent_status(AgentStatus {
                now,
                task: &task,
                executor: Some(executor_id),
                state,
                reason: Reason::AgentRestarted,
                message: "Task launched during agent restart",
            });
            self.update(now, framework_id, status, out);
        }
    }

    /// Greets an executor and hands it what is queued, or sends it away when nothing is.
    fn welcome(
        &mut self,
        now: Now,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        let Some(executor) = framework.executors.get(executor_id) else {
            return;
        };
        if !executor.has_received_tasks() && executor.queued.is_empty() {
            self.begin_shutdown(now, framework_id, executor_id, out);
            return;
        }
        let subscribed = event::Subscribed {
            executor_info: (*executor.info).clone(),
            framework_info: (*framework.info).clone(),
            agent_info: (*self.info).clone(),
            container_id: Some(executor.container.to_v1()),
        };
        let event = Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(subscribed),
            ..Event::default()
        };
        self.send_event(framework_id, executor_id, event, out);
        self.deliver(framework_id, executor_id, out);
        self.send_held_kills(framework_id, executor_id, out);
    }

    fn executor_update(
        &mut self,
        now: Now,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: TaskStatus,
        out: &mut Vec<Effect>,
    ) {
        // A subscription's list of updates is not validated as UPDATE calls are.
        if status.uuid.as_ref().is_none_or(|uuid| uuid.len() != 16) {
            self.counters.invalid_status_updates += 1;
            return;
        }
        if status.state() == TaskState::TaskStaging {
            self.begin_shutdown(now, framework_id, executor_id, out);
            return;
        }
        if self.is_settled(framework_id, executor_id, &status) {
            return self.acknowledge_to_executor(framework_id, executor_id, &status, out);
        }
        if is_terminal(status.state()) && self.is_limited(framework_id, executor_id) {
            // It only saw its task being killed; the agent knows why, and says so.
            return self.acknowledge_to_executor(framework_id, executor_id, &status, out);
        }
        let task = TaskId::from(&status.task_id);
        let framework = self.frameworks.get(framework_id);
        let is_unknown = framework.is_some_and(|known| known.executor_of(&task).is_none());
        if is_unknown {
            // Of a task that ended before the agent was started again, its executor may not know
            // that its end was taken.
            self.acknowledge_to_executor(framework_id, executor_id, &status, out);
        }
        let source = tepui_protocol::v1::task_status::Source::Executor as i32;
        self.update(
            now,
            framework_id,
            TaskStatus {
                source: Some(source),
                ..status
            },
            out,
        );
    }

    /// Whether an executor is being ended because its container used more than it may.
    fn is_limited(&self, framework: &FrameworkId, executor: &ExecutorId) -> bool {
        let termination = self
            .executor(framework, executor)
            .and_then(|known| known.termination.as_ref());
        termination.is_some_and(|why| !why.limited.is_empty())
    }

    /// Whether this update was the framework's already, with the task it ended: the executor has
    /// only missed that the agent took it.
    fn is_settled(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        status: &TaskStatus,
    ) -> bool {
        let completed = self.executor(framework, executor).map(|it| &it.completed);
        let mut tasks = completed.into_iter().flatten();
        tasks.any(|task| {
            let is_known = |known: &TaskStatus| known.uuid == status.uuid;
            task.task_id == status.task_id && task.statuses.iter().any(is_known)
        })
    }

    fn message_to_framework(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        data: Vec<u8>,
        out: &mut Vec<Effect>,
    ) {
        let running = self
            .frameworks
            .get(framework_id)
            .is_some_and(|framework| framework.state == FrameworkState::Running);
        if !running || !matches!(self.link, Link::Registered { .. }) {
            self.counters.invalid_framework_messages += 1;
            return;
        }
        self.counters.valid_framework_messages += 1;
        let message = AgentToMaster::ExecutorMessage {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            data,
        };
        self.tell_master(message, out);
    }
}
