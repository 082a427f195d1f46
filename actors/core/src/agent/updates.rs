//! Status updates: filling them in, applying them to tasks, passing them on and acknowledging them.
//! Which update is in flight is the streams' business.

use std::sync::Arc;

use tepui_protocol::link::{AgentToMaster, StatusUpdate};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::executor::{Event, event};
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{self, TaskState, TaskStatus};

use super::messages::Effect;
use super::model::{
    Executor, ExecutorState, FrameworkState, MAX_STATUSES, Queued, is_terminal, staged,
};
use super::registration::Link;
use super::status_updates::{Acknowledged, Key, Taken};
use super::{Agent, Timer};
use crate::ids::{ExecutorId, FrameworkId, TaskId};
use crate::time::Now;

/// What the agent itself has to say about a task.
pub(super) struct AgentStatus<'a> {
    pub now: Now,
    pub task: &'a TaskId,
    pub executor: Option<&'a ExecutorId>,
    pub state: TaskState,
    pub reason: Reason,
    pub message: &'a str,
}

impl Agent {
    /// A status made by the agent, with a new uuid.
    pub(super) fn agent_status(&mut self, status: AgentStatus<'_>) -> TaskStatus {
        TaskStatus {
            task_id: status.task.to_v1(),
            state: status.state as i32,
            source: Some(Source::Agent as i32),
            reason: Some(status.reason as i32),
            message: Some(status.message.to_owned()),
            agent_id: self.info.id.clone(),
            executor_id: status.executor.map(ExecutorId::to_v1),
            timestamp: Some(status.now.wall.as_secs_f64()),
            uuid: Some(self.ids.uuid().as_bytes().to_vec()),
            ..TaskStatus::default()
        }
    }

    /// Takes over a status update of a task of this framework, from the agent or an executor.
    pub(super) fn update(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        mut status: TaskStatus,
        out: &mut Vec<Effect>,
    ) {
        let task = TaskId::from(&status.task_id);
        let known = self.frameworks.get(framework);
        if !known.is_some_and(|known| known.state == FrameworkState::Running) {
            self.counters.invalid_status_updates += 1;
            return;
        }
        status.agent_id = self.info.id.clone();
        status.timestamp = status.timestamp.or_else(|| Some(now.wall.as_secs_f64()));
        let knows_gone = known.is_some_and(|known| known.is_partition_aware());
        self.tell_of_drain(&mut status, knows_gone);
        self.counters.valid_status_updates += 1;
        let key = (framework.clone(), task);
        let Some(executor) = known.and_then(|known| known.executor_of(&key.1)).cloned() else {
            self.stream_update(now, &key, status, out);
            return;
        };
        let uuid = status.uuid.clone().unwrap_or_default();
        let state = status.state();
        let from_executor = status.source() == Source::Executor;
        if from_executor {
            fill_container_status(&mut status, &executor, &self.settings.ip);
        }
        let taken = match self.apply(&key, &executor.id, &status) {
            // The stream decides what to do with a repetition; all else is as Mesos does it.
            Ok(()) => self.stream_update(now, &key, status, out),
            Err(why) => {
                tracing::warn!(framework = %key.0, task = %key.1, why, "status update ignored");
                Taken::Duplicate
            }
        };
        if is_terminal(state) {
            self.update_container(&key.0, &executor.id, out);
            self.remove_links(&key.0, &executor.id, out);
        }
        if from_executor && taken != Taken::Full {
            let status = TaskStatus {
                task_id: key.1.to_v1(),
                uuid: Some(uuid),
                ..TaskStatus::default()
            };
            self.acknowledge_to_executor(&key.0, &executor.id, &status, out);
        }
    }

    /// Tells an executor that the agent has taken its update over.
    pub(super) fn acknowledge_to_executor(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        status: &TaskStatus,
        out: &mut Vec<Effect>,
    ) {
        let acknowledged = event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        };
        let event = Event {
            r#type: Some(event::Type::Acknowledged as i32),
            acknowledged: Some(acknowledged),
            ..Event::default()
        };
        self.send_event(framework, executor, event, out);
    }

    /// Puts an update into its stream and sends it when it is the first.
    pub(super) fn stream_update(
        &mut self,
        now: Now,
        key: &Key,
        status: TaskStatus,
        out: &mut Vec<Effect>,
    ) -> Taken {
        let recorded = self.is_recorded(&key.0).then(|| status.clone());
        let taken = self.streams.update(key, status);
        if let Some(status) = recorded
            && matches!(taken, Taken::Head | Taken::Queued)
        {
            self.journal.updated(&key.0, &status);
        }
        if taken == Taken::Head {
            self.forward(now, key, out);
        }
        taken
    }

    /// Sends the head of a stream, unless the master is away, and sets when to repeat it.
    pub(super) fn forward(&mut self, now: Now, key: &Key, out: &mut Vec<Effect>) {
        if !matches!(self.link, Link::Registered { .. }) {
            return;
        }
        let Some(status) = self.streams.head(key).cloned() else {
            return;
        };
        let mut latest_state = status.state;
        let executor = self
            .frameworks
            .get(&key.0)
            .and_then(|known| known.executor_of(&key.1));
        if let Some(executor) = executor.map(|executor| executor.id.clone())
            && let Some(task) = self.task_mut(key, &executor)
        {
            task.status_update_state = Some(status.state);
            task.status_update_uuid = status.uuid.clone();
            latest_state = task.state;
        }
        let update = StatusUpdate {
            framework_id: key.0.to_string(),
            executor_id: status.executor_id.as_ref().map(|id| id.value.clone()),
            status: Pb(status),
            latest_state,
        };
        self.tell_master(AgentToMaster::StatusUpdate(Box::new(update)), out);
        let delay = self.streams.retry_after(key);
        self.timers
            .set(Timer::Resend(key.clone()), now.mono + delay);
    }

    /// The framework has acknowledged an update.
    pub(super) fn acknowledge(&mut self, now: Now, key: &Key, uuid: &[u8], out: &mut Vec<Effect>) {
        let acknowledged = self.streams.acknowledge(key, uuid);
        if acknowledged != Acknowledged::Unknown && self.is_recorded(&key.0) {
            self.journal.acknowledged(key, uuid);
        }
        match acknowledged {
            Acknowledged::Unknown => {
                tracing::debug!(framework = %key.0, task = %key.1, "unexpected acknowledgement");
            }
            Acknowledged::Next => self.forward(now, key, out),
            Acknowledged::Idle => self.timers.cancel(&Timer::Resend(key.clone())),
            Acknowledged::Closed => {
                self.timers.cancel(&Timer::Resend(key.clone()));
                self.complete_task(key);
            }
        }
    }

    /// Stops repeating updates until the master is back.
    pub(super) fn pause_streams(&mut self) {
        for key in self.streams.pending_keys() {
            self.timers.cancel(&Timer::Resend(key));
        }
        for uuid in self.operations.pending_keys() {
            self.timers.cancel(&Timer::ResendOperation(uuid));
        }
    }

    /// Brings the agent's record of a task up to date.
    fn apply(
        &mut self,
        key: &Key,
        executor_id: &ExecutorId,
        status: &TaskStatus,
    ) -> Result<(), String> {
        let framework = self
            .frameworks
            .get(&key.0)
            .ok_or("framework is unknown")?
            .info
            .clone();
        let executor = self
            .executor_mut(&key.0, executor_id)
            .ok_or("executor is unknown")?;
        let terminal = is_terminal(status.state());
        if let Some(task) = executor.terminated.get(&key.1) {
            // A repeated terminal update passes, so that the stream sees it is a repetition.
            if task
                .statuses
                .last()
                .is_some_and(|last| last.uuid == status.uuid)
            {
                return Ok(());
            }
            return Err(format!(
                "task has already ended as {}",
                task.state().as_str_name()
            ));
        }
        let mut task = match executor.launched.get(&key.1) {
            Some(task) => task.clone(),
            None if terminal => Arc::new(dequeue(executor, &key.1, &framework)?),
            None => return Err("a queued task can only end".to_owned()),
        };
        let record = Arc::make_mut(&mut task);
        if record
            .statuses
            .iter()
            .any(|known| known.uuid == status.uuid)
        {
            return Ok(());
        }
        if record
            .statuses
            .last()
            .is_some_and(|last| last.state == status.state)
        {
            record.statuses.pop();
        }
        if record.statuses.len() >= MAX_STATUSES {
            record.statuses.remove(0);
        }
        record.statuses.push(status.clone());
        record.state = status.state;
        if terminal {
            executor.launched.remove(&key.1);
            executor.terminated.insert(key.1.clone(), task);
            self.counters.count_end(status.state());
        } else {
            executor.launched.insert(key.1.clone(), task);
        }
        Ok(())
    }

    /// A terminal update was acknowledged: the task, and maybe its executor, is done with.
    fn complete_task(&mut self, key: &Key) {
        let executor = self
            .frameworks
            .get(&key.0)
            .and_then(|known| known.tasks.get(&key.1));
        if let Some(id) = executor.cloned() {
            if let Some(framework) = self.framework_mut(&key.0) {
                framework.tasks.remove(&key.1);
            }
            if let Some(executor) = self.executor_mut(&key.0, &id) {
                if let Some(task) = executor.terminated.remove(&key.1) {
                    executor.completed.push_back(task);
                }
                executor.forget_oldest_tasks();
                let done =
                    executor.state == ExecutorState::Terminated && !executor.has_incomplete_tasks();
                if done {
                    self.remove_executor(&key.0, &id);
                }
            }
        }
        self.remove_framework_when_idle(&key.0);
    }

    fn task_mut(&mut self, key: &Key, executor: &ExecutorId) -> Option<&mut v1::Task> {
        let executor = self.executor_mut(&key.0, executor)?;
        let task = match executor.launched.get_mut(&key.1) {
            Some(task) => Some(task),
            None => executor.terminated.get_mut(&key.1),
        };
        task.map(Arc::make_mut)
    }
}

/// Takes a task out of its executor's queue, and makes its record.
///
/// A group it belongs to loses its other tasks only when they end too.
fn dequeue(
    executor: &mut Executor,
    task: &TaskId,
    framework: &v1::FrameworkInfo,
) -> Result<v1::Task, String> {
    let holds = |queued: &Queued| {
        queued
            .tasks()
            .iter()
            .position(|candidate| candidate.task_id.value == task.as_str())
    };
    let found = executor
        .queued
        .iter()
        .position(|queued| holds(queued).is_some());
    let at = found.ok_or_else(|| "task is unknown".to_owned())?;
    let queued = executor.queued.remove(at);
    match queued {
        Queued::Task(info) => Ok(staged(&info, framework, executor)),
        Queued::Group(mut group) => {
            let tasks = &mut Arc::make_mut(&mut group).tasks;
            let inner = tasks
                .iter()
                .position(|candidate| candidate.task_id.value == task.as_str());
            let info = tasks.remove(inner.ok_or_else(|| "task is unknown".to_owned())?);
            if !tasks.is_empty() {
                executor.queued.insert(at, Queued::Group(group));
            }
            Ok(staged(&info, framework, executor))
        }
    }
}

/// Adds what the agent knows of the container to a status from its executor.
fn fill_container_status(status: &mut TaskStatus, executor: &Executor, ip: &str) {
    let container = status.container_status.get_or_insert_default();
    if container.container_id.is_none() {
        container.container_id = Some(executor.container.to_v1());
    }
    if container.executor_pid.is_none() {
        container.executor_pid = executor.pid;
    }
    if container.network_infos.is_empty() {
        let address = v1::network_info::IpAddress {
            ip_address: Some(ip.to_owned()),
            ..v1::network_info::IpAddress::default()
        };
        container.network_infos.push(v1::NetworkInfo {
            ip_addresses: vec![address],
            ..v1::NetworkInfo::default()
        });
    }
}
