//! Status updates: what Mesos tells of tasks, and what follows.
//! Acknowledges nothing before it is stored.

use std::sync::Arc;

use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Reason;

use super::{Effect, Engine, EventKind, TaskFailure, Timer, agent_of, event, stamp};
use crate::ids::{AgentId, TaskId};
use crate::marathon::ids::{InstanceId, incarnation_of, instance_of};
use crate::marathon::instance::{Condition, Goal, Instance, IpAddress};
use crate::time::Now;

/// So much of a message is kept of a failure, in characters.
const MAX_FAILURE_MESSAGE: usize = 10_000;

/// A status of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The task.
    pub task: TaskId,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its state.
    pub state: TaskState,
    /// Why.
    pub reason: Option<Reason>,
    /// In words.
    pub message: String,
    /// What the executor's health check says; none when it has none or nothing to say.
    pub healthy: Option<bool>,
    /// Addresses of the task; empty when they are not known.
    pub ip_addresses: Vec<IpAddress>,
    /// To be acknowledged; none when it needs no acknowledgement.
    pub uuid: Option<Vec<u8>>,
}

impl Engine {
    /// Mesos told of a task.
    pub fn status_update(&mut self, update: &StatusUpdate, now: Now, out: &mut Vec<Effect>) {
        let condition = Condition::of_status(update.state, update.reason);
        match self.current_run(&update.task) {
            Some(instance) => self.known_task(&instance, update, condition, now, out),
            None => self.unknown_task(update, condition, now, out),
        }
        acknowledge(update, out);
        self.run(now, out);
    }

    /// The instance whose present run a task is.
    fn current_run(&self, task: &TaskId) -> Option<Arc<Instance>> {
        let instance = self.instance(&instance_of(task)?)?;
        let is_current = instance.incarnation == incarnation_of(task);
        (is_current && instance.condition != Condition::Scheduled).then(|| instance.clone())
    }

    /// A task that is none of ours, or none any more, must not run.
    fn unknown_task(
        &mut self,
        update: &StatusUpdate,
        condition: Condition,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if !condition.is_terminal() && !condition.is_unreachable() {
            let task = update.task.clone();
            let agent = update.agent.clone();
            out.push(Effect::Kill { task, agent });
            return;
        }
        let instance = instance_of(&update.task);
        let text = |id: &InstanceId| (id.to_string(), id.app().to_string());
        let unknown = || (update.task.to_string(), String::new());
        let (instance_id, run_spec_id) = instance.as_ref().map_or_else(unknown, text);
        let kind = EventKind::UnknownInstanceTerminated {
            instance_id,
            run_spec_id,
            condition,
        };
        out.push(event(kind, now));
    }

    fn known_task(
        &mut self,
        before: &Arc<Instance>,
        update: &StatusUpdate,
        told: Condition,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some(condition) = next(before.condition, told) else {
            return;
        };
        let id = before.id.clone();
        let by_executor = self.executor_checks(before);
        let mut after = Instance::clone(before);
        self.make_room_for_health(&mut after);
        apply(&mut after, update, condition, &by_executor, now);
        let is_new = after.condition != before.condition || after.mesos_state != before.mesos_state;
        let is_stored = is_new || after.ip_addresses != before.ip_addresses;
        let verdict = (before.healthy(), after.healthy());
        if condition.is_terminal() {
            self.change(&id, |instance| *instance = after.clone());
            self.terminal(before, &after, update, now, out);
            return;
        }
        match is_stored {
            true => self.change_stored(&id, out, |instance| *instance = after.clone()),
            false => self.change(&id, |instance| *instance = after.clone()),
        }
        if is_new {
            self.tell_status(&after, update, now, out);
        }
        if after.condition != before.condition {
            self.tell(&after, now, out);
            self.moved(&after, now, out);
        }
        if verdict.0 != verdict.1 {
            self.tell_health(&after, verdict.1, now, out);
        }
        self.update_probes(&id, out);
    }

    /// What follows from a new condition that is not the end.
    fn moved(&mut self, instance: &Instance, now: Now, out: &mut Vec<Effect>) {
        let id = &instance.id;
        if instance.condition.advances_delay() {
            self.backoffs
                .advance(&instance.app, instance.version, now.mono);
        }
        if instance.condition.is_unreachable() {
            self.kills.done(id);
            self.pump_kills(now, out);
            self.check_unreachable(id, now, out);
            return;
        }
        if instance.goal != Goal::Running {
            // It came back, and is still to end.
            self.kills.want(id);
            self.pump_kills(now, out);
        }
        if let Some(at) = self.launch_deadline(instance, now) {
            self.timers.add(at, Timer::Launch(id.clone()));
        }
    }

    /// What follows from the end of a task.
    fn terminal(
        &mut self,
        before: &Instance,
        after: &Instance,
        update: &StatusUpdate,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let app = self.apps.get(&after.app);
        let definition = app.and_then(|app| app.definition_of(after)).cloned();
        if after.condition.delays_launches()
            && let Some(definition) = &definition
        {
            self.backoffs.failed(definition, now.mono);
        }
        let by_operator = update.state == TaskState::TaskGoneByOperator;
        let is_drained = update.reason == Some(Reason::AgentDraining)
            && (by_operator || update.state == TaskState::TaskKilled);
        if is_drained {
            self.backoffs.reset(&after.app);
        }
        if is_failure(update.state) {
            out.push(Effect::TaskFailure(failure(after, update, now)));
        }
        // The reservation is gone with the agent when an operator says so.
        let effects = out.len();
        self.ended(&after.id, !by_operator, now, out);
        // The end is told before the instance shows up as something else, and after it is stored.
        let mut told = Vec::new();
        self.tell_status(after, update, now, &mut told);
        if after.condition != before.condition {
            self.tell(after, now, &mut told);
        }
        let is_store = |effect: &Effect| matches!(effect, Effect::Store(_) | Effect::Forget(_));
        let stored = out[effects..].iter().position(is_store);
        let at = stored.map_or(out.len(), |at| effects + at + 1);
        out.splice(at..at, told);
    }

    fn tell_status(
        &self,
        instance: &Instance,
        update: &StatusUpdate,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let agent = update.agent.clone().or_else(|| agent_of(instance));
        let kind = EventKind::StatusUpdate {
            slave_id: agent.map(|id| id.to_string()).unwrap_or_default(),
            task_id: update.task.to_string(),
            task_status: update.state.as_str_name().to_owned(),
            message: update.message.clone(),
            app_id: instance.app.clone(),
            host: instance.place.host.clone(),
            ip_addresses: instance.ip_addresses.clone(),
            ports: instance.host_ports.clone(),
            version: instance.version,
        };
        out.push(event(kind, now));
    }

    pub(super) fn tell_health(
        &self,
        instance: &Instance,
        healthy: Option<bool>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let kind = EventKind::InstanceHealthChanged {
            instance_id: instance.id.clone(),
            run_spec_id: instance.app.clone(),
            healthy,
            run_spec_version: instance.version,
        };
        out.push(event(kind, now));
    }

    /// Which checks of an instance's definition its executor carries out.
    fn executor_checks(&self, instance: &Instance) -> Vec<bool> {
        let app = self.apps.get(&instance.app);
        let definition = app.and_then(|app| app.definition_of(instance));
        let checks = definition.into_iter().flat_map(|app| &app.health_checks);
        checks
            .map(|check| check.protocol.is_of_executor())
            .collect()
    }
}

/// What a condition becomes by news; none when the news is late.
fn next(before: Condition, told: Condition) -> Option<Condition> {
    if before == Condition::UnreachableInactive && told == Condition::Unreachable {
        return Some(before);
    }
    match (before.progress(), told.progress()) {
        (Some(before), Some(told)) if told < before => None,
        _ => Some(told),
    }
}

fn apply(
    instance: &mut Instance,
    update: &StatusUpdate,
    condition: Condition,
    by_executor: &[bool],
    now: Now,
) {
    if instance.condition != condition {
        instance.condition = condition;
        instance.since = stamp(now);
    }
    instance.mesos_state = Some(update.state);
    if !update.ip_addresses.is_empty() {
        instance.ip_addresses.clone_from(&update.ip_addresses);
    }
    instance.unreachable_since = match condition.is_unreachable() {
        true => instance.unreachable_since.or(Some(stamp(now))),
        false => None,
    };
    if condition != Condition::Running {
        return;
    }
    instance.active_since.get_or_insert(stamp(now));
    instance.started_at.get_or_insert(stamp(now));
    let Some(alive) = update.healthy else {
        return;
    };
    let checks = instance.health.iter_mut().zip(by_executor);
    for (check, _) in checks.filter(|(_, by_executor)| **by_executor) {
        check.alive = Some(alive);
        match alive {
            true => {
                check.first_success.get_or_insert(stamp(now));
                check.last_success = Some(stamp(now));
                check.consecutive_failures = 0;
            }
            false => {
                check.last_failure = Some(stamp(now));
                check.consecutive_failures = check.consecutive_failures.saturating_add(1);
            }
        }
    }
}

fn acknowledge(update: &StatusUpdate, out: &mut Vec<Effect>) {
    if let (Some(uuid), Some(agent)) = (&update.uuid, &update.agent) {
        out.push(Effect::Acknowledge {
            task: update.task.clone(),
            agent: agent.clone(),
            uuid: uuid.clone(),
        });
    }
}

/// The states that are remembered as an app's last failure.
fn is_failure(state: TaskState) -> bool {
    match state {
        TaskState::TaskFailed
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskFinished
        | TaskState::TaskKilled
        | TaskState::TaskUnreachable => false,
    }
}

fn failure(instance: &Instance, update: &StatusUpdate, now: Now) -> TaskFailure {
    let agent = update.agent.clone().or_else(|| agent_of(instance));
    TaskFailure {
        app_id: instance.app.clone(),
        host: instance.place.host.clone(),
        message: update.message.chars().take(MAX_FAILURE_MESSAGE).collect(),
        state: update.state.as_str_name().to_owned(),
        task_id: update.task.to_string(),
        timestamp: stamp(now),
        version: instance.version,
        slave_id: agent.map(|id| id.to_string()),
    }
}
