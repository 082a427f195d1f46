//! What the master checks of an agent that registers or re-registers.
//! Whether it may come back (gone, unreachable, another address) is the master's to decide.

use std::collections::BTreeSet;

use tepui_protocol::v1::{AgentInfo, ExecutorInfo, FrameworkInfo, Resource, Task, TaskState};

use super::{executor, framework, ids};
use crate::resources;

/// Checks an agent that registers for the first time.
///
/// `checkpoint` says whether the agent keeps its state over a restart; without, it cannot have
/// checkpointed resources. Mesos: `master::message::registerSlave`.
pub fn validate_registration(
    info: &AgentInfo,
    checkpointed_resources: &[Resource],
    checkpoint: bool,
) -> Result<(), String> {
    validate_info(info)?;
    if !checkpoint && !checkpointed_resources.is_empty() {
        return Err(
            "Checkpointed resources provided when checkpointing is not enabled".to_string(),
        );
    }
    validate_resources(checkpointed_resources)
}

/// What an agent that comes back reports.
#[derive(Debug, Clone, Copy)]
pub struct Reregistration<'a> {
    /// The agent; its id is set.
    pub info: &'a AgentInfo,
    /// Its dynamic reservations and volumes.
    pub checkpointed_resources: &'a [Resource],
    /// The frameworks it runs tasks of.
    pub frameworks: &'a [&'a FrameworkInfo],
    /// Its executors, each with its framework's id.
    pub executors: &'a [&'a ExecutorInfo],
    /// Its tasks.
    pub tasks: &'a [&'a Task],
}

/// Checks an agent that comes back: every id valid and known, every resource well formed.
///
/// Mesos: `master::message::reregisterSlave`.
pub fn validate_reregistration(report: &Reregistration<'_>) -> Result<(), String> {
    validate_info(report.info)?;
    validate_resources(report.checkpointed_resources)?;
    let frameworks = validate_frameworks(report.frameworks)?;
    let executors = validate_executors(report.executors, &frameworks)?;
    let agent = report.info.id.as_ref().map_or("", |id| id.value.as_str());
    report
        .tasks
        .iter()
        .try_for_each(|task| validate_task(task, agent, &frameworks, &executors))
}

/// Checks an AgentInfo: its id, if it has one, its host name and its resources.
///
/// That the host name must not be empty is our rule; Mesos's agents cannot send an empty one.
pub fn validate_info(info: &AgentInfo) -> Result<(), String> {
    if let Some(id) = &info.id {
        ids::validate(&id.value)?;
    }
    if info.hostname.is_empty() {
        return Err("Agent hostname must not be empty".to_string());
    }
    validate_resources(&info.resources)
}

fn validate_frameworks<'a>(frameworks: &[&'a FrameworkInfo]) -> Result<BTreeSet<&'a str>, String> {
    let mut ids = BTreeSet::new();
    for info in frameworks {
        framework::validate(info)?;
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        if !ids.insert(id) {
            return Err(format!("Framework has a duplicate FrameworkID: '{id}'"));
        }
    }
    Ok(ids)
}

fn validate_executors<'a>(
    executors: &[&'a ExecutorInfo],
    frameworks: &BTreeSet<&str>,
) -> Result<BTreeSet<(&'a str, &'a str)>, String> {
    let mut ids = BTreeSet::new();
    for info in executors {
        executor::validate(info)?;
        validate_resources(&info.resources)?;
        let framework = info
            .framework_id
            .as_ref()
            .map_or("", |id| id.value.as_str());
        if !frameworks.contains(framework) {
            return Err(format!("Executor has an invalid FrameworkID '{framework}'"));
        }
        let id = info.executor_id.value.as_str();
        if !ids.insert((framework, id)) {
            return Err(format!(
                "Framework '{framework}' has a duplicate ExecutorID '{id}'"
            ));
        }
    }
    Ok(ids)
}

fn validate_task(
    task: &Task,
    agent: &str,
    frameworks: &BTreeSet<&str>,
    executors: &BTreeSet<(&str, &str)>,
) -> Result<(), String> {
    ids::validate(&task.task_id.value)
        .map_err(|error| format!("Task has an invalid TaskID: {error}"))?;
    if task.agent_id.value != agent {
        return Err(format!(
            "Task has an invalid SlaveID '{}'",
            task.agent_id.value
        ));
    }
    let framework = task.framework_id.value.as_str();
    if !frameworks.contains(framework) {
        return Err(format!("Task has an invalid FrameworkID '{framework}'"));
    }
    // Only a running task is sure to have its executor reported as well.
    if task.state == TaskState::TaskRunning as i32
        && let Some(executor) = &task.executor_id
        && !executors.contains(&(framework, executor.value.as_str()))
    {
        return Err(format!(
            "Task has an invalid ExecutorID '{}'",
            executor.value
        ));
    }
    validate_resources(&task.resources)
        .map_err(|error| format!("Task uses invalid resources: {error}"))
}

fn validate_resources(list: &[Resource]) -> Result<(), String> {
    resources::validate(list).map_err(|error| error.0)
}
