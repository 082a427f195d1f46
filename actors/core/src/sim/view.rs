//! What the simulator looks at inside the cores' models and messages, in one place.
//! Changes nothing.

use std::fmt;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::scheduler::{Call, Event};
use tepui_protocol::v1::{TaskState, executor};

use crate::ids::AgentId;
use crate::master::model::Task;
use crate::registry::Operation;

/// Where the master believes a task to be.
pub(super) fn agent_of(task: &Task) -> AgentId {
    task.agent.clone()
}

/// In which state the master believes a task to be.
pub(super) fn state_of(task: &Task) -> TaskState {
    TaskState::try_from(task.state).unwrap_or(TaskState::TaskUnknown)
}

fn state_name(state: i32) -> &'static str {
    TaskState::try_from(state).map_or("?", |state| state.as_str_name())
}

/// A few bytes of an id, to tell it from others.
fn short(uuid: Option<&Vec<u8>>) -> String {
    let bytes = uuid.map_or(&[][..], |uuid| uuid.get(..3).unwrap_or_default());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An operation of the registrar in one line.
pub(super) fn shown(operation: &Operation) -> String {
    match operation {
        Operation::AdmitAgent(info) => format!("admit {:?}", id(info.id.as_ref())),
        Operation::UpdateAgent(info) => format!("update {:?}", id(info.id.as_ref())),
        Operation::MarkReachable(info) => format!("reachable {:?}", id(info.id.as_ref())),
        Operation::MarkUnreachable { agent_id, .. } => format!("unreachable {agent_id}"),
        Operation::RemoveAgent(agent) => format!("remove {agent}"),
        Operation::MarkGone { agent_id, .. } => format!("gone {agent_id}"),
        Operation::ChangeDeactivation { agent_id, change } => format!("{change:?} {agent_id}"),
        Operation::Prune { unreachable, gone } => format!("forget {unreachable:?} {gone:?}"),
        Operation::UpdateQuota(quotas) => format!("{quotas:?}"),
        Operation::UpdateWeights(weights) => format!("{weights:?}"),
        Operation::ChangeMaintenance(change) => format!("{change:?}"),
    }
}

fn id(id: Option<&tepui_protocol::v1::AgentId>) -> &str {
    id.map_or("", |id| id.value.as_str())
}

/// A message for an agent in one line.
pub(super) fn order(message: &MasterToAgent) -> String {
    match message {
        MasterToAgent::RunTask(run) => format!(
            "RunTask {} executor {}",
            run.task.task_id.value, run.launch_executor
        ),
        MasterToAgent::RunTaskGroup(run) => {
            let tasks = run
                .group
                .tasks
                .iter()
                .map(|task| task.task_id.value.as_str());
            format!("RunTaskGroup {:?}", tasks.collect::<Vec<_>>())
        }
        MasterToAgent::KillTask { task_id, .. } => format!("KillTask {task_id}"),
        MasterToAgent::AcknowledgeStatus { task_id, uuid, .. } => {
            format!("AcknowledgeStatus {task_id} {}", short(Some(uuid)))
        }
        MasterToAgent::Registered { agent_id, .. } => format!("Registered {agent_id}"),
        MasterToAgent::Reregistered {
            agent_id,
            reconcile,
            ..
        } => format!("Reregistered {agent_id} {reconcile:?}"),
        MasterToAgent::Drain { config } => format!("Drain {config:?}"),
        MasterToAgent::Shutdown { message } => format!("Shutdown {message}"),
        MasterToAgent::ShutdownFramework { framework_id } => {
            format!("ShutdownFramework {framework_id}")
        }
        MasterToAgent::ShutdownExecutor { executor_id, .. } => {
            format!("ShutdownExecutor {executor_id}")
        }
        MasterToAgent::ApplyOperation { operation, .. } => {
            let name = operation.id.as_ref().map_or("", |id| &id.value);
            format!("ApplyOperation {} {name}", operation.r#type().as_str_name())
        }
        MasterToAgent::AcknowledgeOperation { .. } => "AcknowledgeOperation".to_owned(),
        MasterToAgent::Hello { .. } => "Hello".to_owned(),
        MasterToAgent::Ping { .. } => "Ping".to_owned(),
        MasterToAgent::UpdateFramework { .. } => "UpdateFramework".to_owned(),
        MasterToAgent::FrameworkMessage { .. } => "FrameworkMessage".to_owned(),
    }
}

/// What an agent says, in one line.
pub(super) fn said(message: &AgentToMaster) -> String {
    match message {
        AgentToMaster::Register(_) => "Register".to_owned(),
        AgentToMaster::Reregister(report) => {
            let id = id(report.register.info.id.as_ref());
            let tasks = report.tasks.iter().map(|task| task.task_id.value.as_str());
            format!("Reregister {id} with {:?}", tasks.collect::<Vec<_>>())
        }
        AgentToMaster::Pong => "Pong".to_owned(),
        AgentToMaster::StatusUpdate(update) => format!(
            "StatusUpdate {} {} {} latest {}",
            update.status.task_id.value,
            state_name(update.status.state),
            short(update.status.uuid.as_ref()),
            state_name(update.latest_state)
        ),
        AgentToMaster::ExecutorExited { executor_id, .. } => {
            format!("ExecutorExited {executor_id}")
        }
        AgentToMaster::ExecutorMessage { .. } => "ExecutorMessage".to_owned(),
        AgentToMaster::OperationStatus { status, .. } => {
            let name = status.operation_id.as_ref().map_or("", |id| &id.value);
            format!("OperationStatus {name} {}", status.state().as_str_name())
        }
        AgentToMaster::Unregister => "Unregister".to_owned(),
    }
}

/// Joins what can be shown.
fn list<T: fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let shown: Vec<String> = items.map(|item| item.to_string()).collect();
    shown.join(" ")
}

/// An event for a framework in one line.
pub(super) fn event(event: &Event) -> String {
    let name = event.r#type().as_str_name();
    if let Some(subscribed) = &event.subscribed {
        return format!("{name} {}", subscribed.framework_id.value);
    }
    if let Some(update) = &event.update {
        let status = &update.status;
        return format!(
            "{name} {} {} {} {}",
            status.task_id.value,
            status.state().as_str_name(),
            status.reason().as_str_name(),
            short(status.uuid.as_ref())
        );
    }
    if let Some(offers) = &event.offers {
        let shown = offers.offers.iter();
        return format!(
            "{name} {}",
            list(shown.map(|offer| offer.id.value.as_str()))
        );
    }
    if let Some(rescind) = &event.rescind {
        return format!("{name} {}", rescind.offer_id.value);
    }
    if let Some(error) = &event.error {
        return format!("{name} {}", error.message);
    }
    name.to_owned()
}

/// A framework's call in one line.
pub(super) fn call(call: &Call) -> String {
    let name = call.r#type().as_str_name();
    if let Some(accept) = &call.accept {
        let offers = list(accept.offer_ids.iter().map(|id| id.value.as_str()));
        let kinds = accept.operations.iter().map(|it| it.r#type().as_str_name());
        return format!("{name} {offers}: {}", list(kinds));
    }
    if let Some(kill) = &call.kill {
        return format!("{name} {}", kill.task_id.value);
    }
    if let Some(acknowledge) = &call.acknowledge {
        let uuid = short(Some(&acknowledge.uuid));
        return format!("{name} {} {uuid}", acknowledge.task_id.value);
    }
    if let Some(reconcile) = &call.reconcile {
        let tasks = reconcile.tasks.iter();
        return format!(
            "{name} {}",
            list(tasks.map(|task| task.task_id.value.as_str()))
        );
    }
    name.to_owned()
}

/// An executor's call in one line.
pub(super) fn executor_call(call: &executor::Call) -> String {
    let name = call.r#type().as_str_name();
    match &call.update {
        Some(update) => format!(
            "{name} {} {} {}",
            update.status.task_id.value,
            update.status.state().as_str_name(),
            short(update.status.uuid.as_ref())
        ),
        None => format!("{name} {}", call.executor_id.value),
    }
}
