//! Rules for one task, and for the executor it brings, in the order in which Mesos checks them.
//! Groups of tasks have further rules, in `task_group`.

use tepui_protocol::v1::{ExecutorInfo, Task, TaskInfo};

use super::{checks, container, executor, ids, resource};
use crate::ids::{AgentId, FrameworkId};
use crate::resources::Resources;

/// What the master knows that decides whether a task is valid.
#[derive(Clone, Copy)]
pub struct TaskContext<'a> {
    /// The framework that launches the task.
    pub framework_id: &'a FrameworkId,
    /// The agent of the accepted offers.
    pub agent_id: &'a AgentId,
    /// Names of the agent's capabilities, e.g. `TASK_RESOURCE_LIMITS`.
    pub agent_capabilities: &'a [String],
    /// The framework's tasks, and its executors on that agent.
    pub tasks: &'a dyn KnownTasks,
    /// What is left of the accepted offers, with allocation role.
    pub offered: &'a Resources,
}

/// The tasks of one framework, and its executors on one agent.
pub trait KnownTasks {
    /// True when a task of this id is not terminal, or terminal and not yet acknowledged.
    fn is_active(&self, task: &str) -> bool;
    /// True when a task of this id is on an unreachable agent.
    fn is_unreachable(&self, task: &str) -> bool;
    /// The executor of this id on the agent.
    fn executor(&self, executor: &str) -> Option<&ExecutorInfo>;
    /// Shows each task, active or unreachable, of this executor on the agent.
    fn each_task_of(&self, executor: &str, show: &mut dyn FnMut(&Task));
}

/// Checks a task of a LAUNCH operation, after `normalise`.
///
/// The error is the message of its TASK_ERROR, reason REASON_TASK_INVALID.
/// Mesos: `task::validate`.
pub fn validate(task: &TaskInfo, context: &TaskContext<'_>) -> Result<(), String> {
    let resources = validate_alone(task, context)?;
    validate_with_executor(task, resources, context)?;
    if container::share_cgroups(task.container.as_deref()) == Some(false) {
        return Err(
            "Only tasks in a task group may have 'share_cgroups' set to 'false'".to_string(),
        );
    }
    Ok(())
}

/// Checks what holds for a task of a LAUNCH and of a LAUNCH_GROUP alike; returns its resources.
///
/// Mesos: `task::internal::validateTask`.
pub(super) fn validate_alone(
    task: &TaskInfo,
    context: &TaskContext<'_>,
) -> Result<Resources, String> {
    validate_ids(task, context)?;
    validate_times(task)?;
    if let Some(check) = &task.check {
        checks::validate_check(check)
            .map_err(|error| format!("Task uses invalid check: {error}"))?;
    }
    if let Some(check) = &task.health_check {
        checks::validate_health_check(check)
            .map_err(|error| format!("Task uses invalid health check: {error}"))?;
    }
    let resources = validate_resources(task)?;
    if let Some(command) = &task.command {
        container::validate_command(command)
            .map_err(|error| format!("Task's `CommandInfo` is invalid: {error}"))?;
    }
    if let Some(container) = &task.container {
        container::validate_container(container)
            .map_err(|error| format!("Task's `ContainerInfo` is invalid: {error}"))?;
    }
    validate_limits(task, &resources, context)?;
    Ok(resources)
}

fn validate_ids(task: &TaskInfo, context: &TaskContext<'_>) -> Result<(), String> {
    let id = &task.task_id.value;
    ids::validate(id)?;
    if context.tasks.is_active(id) {
        return Err(format!("Task has duplicate ID: {id}"));
    }
    if context.tasks.is_unreachable(id) {
        return Err(format!("Task reuses the ID of an unreachable task: {id}"));
    }
    if task.agent_id.value != context.agent_id.as_str() {
        return Err(format!(
            "Task uses invalid agent {} while agent {} is expected",
            task.agent_id.value, context.agent_id
        ));
    }
    Ok(())
}

fn validate_times(task: &TaskInfo) -> Result<(), String> {
    let grace_period = task.kill_policy.and_then(|policy| policy.grace_period);
    if grace_period.is_some_and(|period| period.nanoseconds < 0) {
        return Err("Task's 'kill_policy.grace_period' must be non-negative".to_string());
    }
    if task
        .max_completion_time
        .is_some_and(|time| time.nanoseconds < 0)
    {
        return Err("Task's `max_completion_time` must be non-negative".to_string());
    }
    Ok(())
}

fn validate_resources(task: &TaskInfo) -> Result<Resources, String> {
    let list = &task.resources;
    if list.is_empty() {
        return Err("Task uses no resources".to_string());
    }
    let resources =
        resource::read(list).map_err(|error| format!("Task uses invalid resources: {error}"))?;
    resource::validate_unique_persistence(&resources)
        .map_err(|error| format!("Task uses duplicate persistence ID: {error}"))?;
    resource::validate_single_allocation(list)
        .map_err(|error| format!("Invalid task resources: {error}"))?;
    resource::validate_revocable(list)
        .map_err(|error| format!("Task mixes revocable and non-revocable resources: {error}"))?;
    Ok(resources)
}

fn validate_limits(
    task: &TaskInfo,
    resources: &Resources,
    context: &TaskContext<'_>,
) -> Result<(), String> {
    if task.limits.is_empty() {
        return Ok(());
    }
    let capabilities = context.agent_capabilities;
    if !capabilities.iter().any(|c| c == "TASK_RESOURCE_LIMITS") {
        return Err("Agent is not capable of handling task resource limits".to_string());
    }
    if task
        .limits
        .keys()
        .any(|name| name != "cpus" && name != "mem")
    {
        return Err("Only cpus and mem may be included in a task's resource limits".to_string());
    }
    if let Some(limit) = task.limits.get("cpus") {
        validate_cpus_limit(limit.value, resources.scalar_milli("cpus"))?;
    }
    if let Some(limit) = task.limits.get("mem") {
        validate_mem_limit(limit.value, resources.scalar_milli("mem"))?;
    }
    Ok(())
}

/// A limit that is no number passes in Mesos and means nothing; it is refused here.
fn validate_cpus_limit(limit: f64, request_milli: i64) -> Result<(), String> {
    if request_milli == 0 {
        return Err(
            "When a CPU limit is specified, a CPU request must also be specified".to_string(),
        );
    }
    if limit.is_nan() || limit < request_milli as f64 / 1000.0 {
        return Err("The cpu limit must be greater than or equal to the cpu request".to_string());
    }
    Ok(())
}

/// Compares whole megabytes, as Mesos does.
fn validate_mem_limit(limit: f64, request_milli: i64) -> Result<(), String> {
    if request_milli == 0 {
        return Err(
            "When a memory limit is specified, a memory request must also be specified".to_string(),
        );
    }
    if limit.is_nan() || limit.trunc() < (request_milli / 1000) as f64 {
        return Err(
            "The memory limit must be greater than or equal to the memory request".to_string(),
        );
    }
    Ok(())
}

/// Mesos: `task::internal::validateExecutor`.
fn validate_with_executor(
    task: &TaskInfo,
    resources: Resources,
    context: &TaskContext<'_>,
) -> Result<(), String> {
    if task.executor.is_some() == task.command.is_some() {
        return Err(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
                .to_string(),
        );
    }
    let mut total = resources;
    if let Some(executor) = task.executor.as_deref() {
        let executor_resources = validate_executor(executor, context)?;
        validate_sum(task, executor, &total, &executor_resources)?;
        if context
            .tasks
            .executor(&executor.executor_id.value)
            .is_none()
        {
            total.add(&executor_resources);
        }
    }
    if !context.offered.contains(&total) {
        return Err(format!(
            "Total resources {total} required by task and its executor is more than available {}",
            context.offered
        ));
    }
    Ok(())
}

fn validate_executor(
    executor: &ExecutorInfo,
    context: &TaskContext<'_>,
) -> Result<Resources, String> {
    let resources = executor::validate_for_launch(executor, context)?;
    let kind = executor::known_type(executor);
    if kind.is_some_and(|kind| kind != tepui_protocol::v1::executor_info::Type::Custom) {
        return Err("'ExecutorInfo.type' must be 'CUSTOM'".to_string());
    }
    if executor.command.is_none() {
        return Err("'ExecutorInfo.command' must be set".to_string());
    }
    if executor.resources.iter().any(|r| r.shared.is_some()) {
        return Err(format!(
            "Executor resources {resources} should not contain any shared resources"
        ));
    }
    executor::validate_share_cgroups(executor)?;
    Ok(resources)
}

/// Mesos: `validateTaskAndExecutorResources`.
fn validate_sum(
    task: &TaskInfo,
    executor: &ExecutorInfo,
    task_resources: &Resources,
    executor_resources: &Resources,
) -> Result<(), String> {
    let both = || task.resources.iter().chain(&executor.resources);
    if resource::overlap(&[task_resources, executor_resources]) {
        return Err(format!(
            "There are overlapping resources in the task resources {task_resources} and executor \
             resources {executor_resources}"
        ));
    }
    let mut sum = task_resources.clone();
    sum.add(executor_resources);
    resource::validate_unique_persistence(&sum)
        .map_err(|error| format!("Task and its executor use duplicate persistence ID: {error}"))?;
    resource::validate_revocable(both()).map_err(|error| {
        format!("Task and its executor mix revocable and non-revocable resources: {error}")
    })
}
