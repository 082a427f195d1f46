//! The end of executors and frameworks: exits, timeouts, orders to shut down, what is remembered.
//! Kills nothing itself.

use std::sync::Arc;

use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::executor::{Event, event};
use tepui_protocol::v1::{self, TaskState, task_status::Reason};

use super::messages::{ConnectionId, Effect, Limitation};
use super::model::{
    Executor, ExecutorKind, ExecutorState, FrameworkState, MAX_COMPLETED_FRAMEWORKS, Termination,
};
use super::updates::AgentStatus;
use super::{Agent, HEARTBEAT_INTERVAL, Life, Timer, duration_text, executor_info, journal};
use crate::ids::{ContainerId, ExecutorId, FrameworkId, TaskId};
use crate::time::Now;

impl Agent {
    /// A container's process runs, or could not be started.
    pub(super) fn container_launched(
        &mut self,
        now: Now,
        container: &ContainerId,
        result: Result<u32, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some((framework, id)) = self.containers.get(container).cloned() else {
            return;
        };
        let again = self.settings.executor_reregistration_timeout;
        let Some(executor) = self.executor_mut(&framework, &id) else {
            return;
        };
        match result {
            Ok(pid) => {
                executor.pid = Some(pid);
                // It cannot come back before the agent that looks for it is there.
                if executor.recovered && executor.state == ExecutorState::Registering {
                    let limit = now.mono + again;
                    let timer = Timer::Subscribe(container.clone());
                    self.timers.set(timer, limit);
                    self.update_container(&framework, &id, out);
                    return;
                }
                // It was told to end before there was a process to tell.
                if matches!(executor.state, ExecutorState::Terminating(_)) {
                    out.push(Effect::Kill(container.clone()));
                }
            }
            Err(why) => {
                executor.termination.get_or_insert_with(|| Termination {
                    limited: Vec::new(),
                    state: TaskState::TaskFailed,
                    reason: Reason::ContainerLaunchFailed,
                    message: format!("Failed to launch container: {why}"),
                });
                self.counters.container_launch_errors += 1;
                self.container_exited(now, container, None, out);
            }
        }
    }

    /// A container's process is gone: what is left of its tasks has failed.
    pub(super) fn container_exited(
        &mut self,
        now: Now,
        container: &ContainerId,
        status: Option<i32>,
        out: &mut Vec<Effect>,
    ) {
        let Some((framework_id, id)) = self.containers.remove(container) else {
            return;
        };
        self.nested.root_is_gone(container, out);
        self.timers.cancel(&Timer::Subscribe(container.clone()));
        self.timers.cancel(&Timer::Shutdown(container.clone()));
        self.counters.executors_terminated += 1;
        let Some(executor) = self.executor_mut(&framework_id, &id) else {
            return;
        };
        let connection = executor.connection();
        executor.state = ExecutorState::Terminated;
        let executor = executor.clone();
        let why = executor.termination.as_ref();
        self.nested.executor_exited(container, status, why, out);
        if let Some(connection) = connection {
            self.close(connection, out);
        }
        if executor.kind != ExecutorKind::Command {
            let message = AgentToMaster::ExecutorExited {
                framework_id: framework_id.to_string(),
                executor_id: id.to_string(),
                status: status.unwrap_or(-1),
            };
            self.tell_master(message, out);
        }
        let ending = self
            .frameworks
            .get(&framework_id)
            .is_none_or(|framework| framework.state == FrameworkState::Terminating);
        if !ending {
            self.fail_tasks(now, &framework_id, &executor, out);
        }
        let incomplete = self
            .executor(&framework_id, &id)
            .is_some_and(|executor| executor.has_incomplete_tasks());
        if ending || !incomplete {
            self.remove_executor(&framework_id, &id);
        }
        self.remove_framework_when_idle(&framework_id);
    }

    /// A container used more than it may: what is left of its tasks fails with it.
    pub(super) fn container_limited(
        &mut self,
        container: &ContainerId,
        limitation: Limitation,
        out: &mut Vec<Effect>,
    ) {
        let Some((framework, id)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&framework, &id) else {
            return;
        };
        tracing::warn!(
            %framework, executor = %id, %container, reason = limitation.reason.as_str_name(),
            "the container used more than it may; it is killed"
        );
        executor.termination = Some(Termination {
            state: TaskState::TaskFailed,
            reason: limitation.reason,
            message: limitation.message,
            limited: limitation.resources,
        });
        executor.state = ExecutorState::Terminating(executor.connection());
        self.timers.cancel(&Timer::Subscribe(container.clone()));
        out.push(Effect::Kill(container.clone()));
    }

    /// An executor has not subscribed in time.
    pub(super) fn subscribe_overdue(&mut self, container: &ContainerId, out: &mut Vec<Effect>) {
        let first = duration_text(self.settings.executor_registration_timeout);
        let again = duration_text(self.settings.executor_reregistration_timeout);
        let Some((framework, id)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&framework, &id) else {
            return;
        };
        if executor.state != ExecutorState::Registering {
            return;
        }
        executor.state = ExecutorState::Terminating(None);
        let (reason, message) = match executor.recovered {
            false => (
                Reason::ExecutorRegistrationTimeout,
                format!("Executor did not register within {first}"),
            ),
            true => (
                Reason::ExecutorReregistrationTimeout,
                format!("Executor did not reregister within {again}"),
            ),
        };
        tracing::warn!(%framework, executor = %id, %container, "{message}; it is killed");
        executor.termination = Some(Termination {
            limited: Vec::new(),
            state: TaskState::TaskFailed,
            reason,
            message,
        });
        out.push(Effect::Kill(container.clone()));
    }

    /// The master wants an executor ended.
    pub(super) fn shutdown_executor(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        executor: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let running = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.state == FrameworkState::Running);
        if running {
            self.begin_shutdown(now, framework, executor, out);
        }
    }

    /// Tells an executor to end, and sets when it is killed instead.
    pub(super) fn begin_shutdown(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(executor) = self.executor_mut(framework, id) else {
            return;
        };
        match executor.state {
            ExecutorState::Registering | ExecutorState::Running(_) => {}
            ExecutorState::Terminating(_) | ExecutorState::Terminated => return,
        }
        executor.state = ExecutorState::Terminating(executor.connection());
        let (container, info) = (executor.container.clone(), executor.info.clone());
        self.send_event(framework, id, shutdown_event(), out);
        let grace = executor_info::shutdown_grace(&info, &self.settings);
        self.timers.cancel(&Timer::Subscribe(container.clone()));
        self.timers
            .set(Timer::Shutdown(container), now.mono + grace);
    }

    /// The master, or the agent's own end, wants everything of a framework ended.
    pub(super) fn shutdown_framework(&mut self, now: Now, id: &FrameworkId, out: &mut Vec<Effect>) {
        self.forget_streams(id);
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        match framework.state {
            FrameworkState::Terminating => return,
            FrameworkState::Running => framework.state = FrameworkState::Terminating,
        }
        let executors: Vec<ExecutorId> = framework.executors.keys().cloned().collect();
        for executor in executors {
            let state = self.executor(id, &executor).map(|known| known.state);
            if state == Some(ExecutorState::Terminated) {
                self.remove_executor(id, &executor);
            } else {
                self.begin_shutdown(now, id, &executor, out);
            }
        }
        self.remove_framework_when_idle(id);
    }

    /// Ends the executors that cannot outlive the agent, which follows when the last one has gone.
    pub(super) fn stop(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.life != Life::Active {
            return;
        }
        self.life = Life::Stopping;
        let running: Vec<_> = self.containers.values().cloned().collect();
        for (framework, executor) in running {
            if !self.is_recorded(&framework) {
                self.begin_shutdown(now, &framework, &executor, out);
            }
        }
    }

    /// Whether a framework's executors outlive the agent and are found again.
    pub(super) fn is_recorded(&self, framework: &FrameworkId) -> bool {
        let known = self.frameworks.get(framework);
        known.is_some_and(|framework| journal::is_recorded(framework))
    }

    /// Moves an ended executor to the completed ones.
    pub(super) fn remove_executor(&mut self, framework_id: &FrameworkId, id: &ExecutorId) {
        let limit = self.settings.max_completed_executors_per_framework;
        let Some(framework) = self.framework_mut(framework_id) else {
            return;
        };
        let Some(mut executor) = framework.executors.remove(id) else {
            return;
        };
        let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
        let queued: Vec<TaskId> = queued.map(|task| TaskId::from(&task.task_id)).collect();
        let delivered = executor.launched.keys().chain(executor.terminated.keys());
        for task in delivered.chain(&queued) {
            framework.tasks.remove(task);
        }
        let record = Arc::make_mut(&mut executor);
        // A framework's end leaves tasks without a last word; they are shown as they were.
        let left = [
            std::mem::take(&mut record.launched),
            std::mem::take(&mut record.terminated),
        ];
        for task in left
            .into_iter()
            .flat_map(|tasks| tasks.into_iter().map(|(_, task)| task))
        {
            record.completed.push_back(task);
        }
        record.forget_oldest_tasks();
        record.queued.clear();
        let run = executor.container.clone();
        framework.completed_executors.push_back(executor);
        while framework.completed_executors.len() > limit {
            framework.completed_executors.pop_front();
        }
        self.executor_is_garbage(framework_id, id, &run);
    }

    /// Moves a framework to the completed ones when nothing of it is left to do here.
    pub(super) fn remove_framework_when_idle(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        // To look for updates that wait takes as long as it has tasks.
        if !framework.executors.is_empty() {
            return;
        }
        let waits = match framework.state {
            FrameworkState::Running => self.streams.is_waiting(id),
            FrameworkState::Terminating => false,
        };
        if waits {
            return;
        }
        self.forget_streams(id);
        if let Some(framework) = self.frameworks.remove(id) {
            self.completed_frameworks.push_back(framework);
            self.framework_is_garbage(id);
        }
        while self.completed_frameworks.len() > MAX_COMPLETED_FRAMEWORKS {
            self.completed_frameworks.pop_front();
        }
    }

    /// Sends an event if the executor has a stream.
    pub(super) fn send_event(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        event: Event,
        out: &mut Vec<Effect>,
    ) {
        let connection = self
            .executor(framework, executor)
            .and_then(|known| known.connection());
        if let Some(connection) = connection {
            out.push(Effect::ToExecutor(connection, Box::new(event)));
        }
    }

    /// An executor's stream ended: it may come back, so nothing else changes.
    pub(super) fn connection_closed(&mut self, connection: ConnectionId) {
        self.timers.cancel(&Timer::Heartbeat(connection));
        let Some((framework, id)) = self.connections.remove(&connection) else {
            return;
        };
        let Some(executor) = self.executor_mut(&framework, &id) else {
            return;
        };
        if executor.connection() != Some(connection) {
            return;
        }
        executor.state = match executor.state {
            ExecutorState::Running(_) => ExecutorState::Running(None),
            ExecutorState::Terminating(_) => ExecutorState::Terminating(None),
            state @ (ExecutorState::Registering | ExecutorState::Terminated) => state,
        };
    }

    pub(super) fn close(&mut self, connection: ConnectionId, out: &mut Vec<Effect>) {
        self.connections.remove(&connection);
        self.timers.cancel(&Timer::Heartbeat(connection));
        out.push(Effect::CloseConnection(connection));
    }

    pub(super) fn heartbeat(&mut self, now: Now, connection: ConnectionId, out: &mut Vec<Effect>) {
        if !self.connections.contains_key(&connection) {
            return;
        }
        let event = Event {
            r#type: Some(event::Type::Heartbeat as i32),
            ..Event::default()
        };
        out.push(Effect::ToExecutor(connection, Box::new(event)));
        self.timers
            .set(Timer::Heartbeat(connection), now.mono + HEARTBEAT_INTERVAL);
    }

    /// Says of each task that has not ended that its executor has.
    fn fail_tasks(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        executor: &Executor,
        out: &mut Vec<Effect>,
    ) {
        let (state, reason, message) = match &executor.termination {
            Some(why) => (why.state, why.reason, why.message.as_str()),
            None => (
                TaskState::TaskFailed,
                Reason::ExecutorTerminated,
                "Executor terminated",
            ),
        };
        let limited = match &executor.termination {
            Some(why) if !why.limited.is_empty() => Some(Box::new(v1::TaskResourceLimitation {
                resources: why.limited.clone(),
            })),
            _ => None,
        };
        let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
        let tasks: Vec<TaskId> = executor
            .launched
            .keys()
            .cloned()
            .chain(queued.map(|task| TaskId::from(&task.task_id)))
            .collect();
        for task in tasks {
            let status = self.agent_status(AgentStatus {
                now,
                task: &task,
                executor: Some(&executor.id),
                state,
                reason,
                message,
            });
            let status = v1::TaskStatus {
                limitation: limited.clone(),
                ..status
            };
            self.update(now, framework, status, out);
        }
    }

    fn forget_streams(&mut self, framework: &FrameworkId) {
        if self.is_recorded(framework) {
            self.journal.forgotten(framework);
        }
        for key in self.streams.forget(framework) {
            self.timers.cancel(&Timer::Resend(key));
        }
    }
}

/// The event that tells an executor to end.
pub(super) fn shutdown_event() -> Event {
    Event {
        r#type: Some(event::Type::Shutdown as i32),
        ..Event::default()
    }
}
