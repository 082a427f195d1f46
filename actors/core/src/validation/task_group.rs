//! Rules for a LAUNCH_GROUP: each of its tasks, their executor, and all of them together.
//! One task that breaks a rule refuses the whole group.

use std::collections::BTreeSet;

use tepui_protocol::v1::executor_info::Type;
use tepui_protocol::v1::{ContainerInfo, ExecutorInfo, TaskGroupInfo, TaskInfo, health_check};

use super::executor::{MIN_CPUS_MILLI, MIN_MEM_MB, known_type};
use super::same_executor::same;
use super::task::{self, TaskContext};
use super::{container, executor, resource, text};
use crate::resources::Resources;

/// Checks a group and its executor, after `normalise`.
///
/// The error is the message of the TASK_ERROR of every task, reason REASON_TASK_GROUP_INVALID.
/// Mesos: `task::group::validate`. Two rules are ours: a group without tasks, which Mesos hands
/// to the agent where nothing comes of it, and a task id used twice, which crashes Mesos.
pub fn validate(
    group: &TaskGroupInfo,
    executor: &ExecutorInfo,
    context: &TaskContext<'_>,
) -> Result<(), String> {
    if group.tasks.is_empty() {
        return Err("Task group contains no tasks".to_string());
    }
    let mut resources = Vec::with_capacity(group.tasks.len());
    let mut seen = BTreeSet::new();
    for task in &group.tasks {
        let id = &task.task_id.value;
        let result = match seen.insert(id.as_str()) {
            true => validate_task(task, context),
            false => Err(format!("Task has duplicate ID: {id}")),
        };
        resources.push(result.map_err(|error| format!("Task '{id}' is invalid: {error}"))?);
    }
    validate_executor(group, executor, &resources, context)?;
    validate_share_cgroups(group, executor, context)
}

fn validate_task(task: &TaskInfo, context: &TaskContext<'_>) -> Result<Resources, String> {
    let resources = task::validate_alone(task, context)?;
    if task.executor.is_none() {
        return Err("'TaskInfo.executor' must be set".to_string());
    }
    if let Some(container) = &task.container {
        validate_task_container(task, container)?;
    }
    if !task.limits.is_empty() && shares_cgroups(task.container.as_deref()) {
        return Err(
            "Resource limits may only be set for tasks within a task group when the \
             'share_cgroups' field is set to 'false'."
                .to_string(),
        );
    }
    Ok(resources)
}

fn validate_task_container(task: &TaskInfo, container: &ContainerInfo) -> Result<(), String> {
    let kind = task.health_check.as_ref().map(|check| check.r#type());
    let probes_network = matches!(
        kind,
        Some(health_check::Type::Http | health_check::Type::Tcp)
    );
    if !container.network_infos.is_empty() && probes_network {
        return Err(
            "HTTP and TCP health checks are not supported for nested containers not joining \
             parent's network"
                .to_string(),
        );
    }
    if container::is_docker(container) {
        return Err("Docker ContainerInfo is not supported on the task".to_string());
    }
    Ok(())
}

/// Mesos: `task::group::internal::validateExecutor`.
fn validate_executor(
    group: &TaskGroupInfo,
    executor: &ExecutorInfo,
    tasks: &[Resources],
    context: &TaskContext<'_>,
) -> Result<(), String> {
    let resources = executor::validate_for_launch(executor, context)?;
    match known_type(executor) {
        None => return Err("'ExecutorInfo.type' must be set".to_string()),
        Some(Type::Unknown) => return Err("Unknown executor type".to_string()),
        Some(Type::Default | Type::Custom) => {}
    }
    if executor
        .container
        .as_deref()
        .is_some_and(container::is_docker)
    {
        return Err("Docker ContainerInfo is not supported on the executor".to_string());
    }
    for task in &group.tasks {
        if let Some(own) = task.executor.as_deref()
            && !same(own, executor)
        {
            return Err(format!(
                "The `ExecutorInfo` of task '{}' is different from executor '{}'",
                task.task_id.value, executor.executor_id.value
            ));
        }
    }
    validate_minimum(executor, &resources)?;
    validate_sum(group, executor, tasks, &resources)?;
    let mut total = Resources::new();
    tasks.iter().for_each(|task| total.add(task));
    if context
        .tasks
        .executor(&executor.executor_id.value)
        .is_none()
    {
        total.add(&resources);
    }
    if !context.offered.contains(&total) {
        return Err(format!(
            "Total resources {total} required by task group and its executor are more than \
             available {}",
            context.offered
        ));
    }
    Ok(())
}

fn validate_minimum(executor: &ExecutorInfo, resources: &Resources) -> Result<(), String> {
    let id = &executor.executor_id.value;
    let cpus_milli = resources.scalar_milli("cpus");
    if cpus_milli < MIN_CPUS_MILLI {
        let cpus = match cpus_milli {
            0 => "None".to_string(),
            some => text::number(some as f64 / 1000.0),
        };
        let minimum = text::number(MIN_CPUS_MILLI as f64 / 1000.0);
        return Err(format!(
            "Executor '{id}' uses less CPUs ({cpus}) than the minimum required ({minimum})"
        ));
    }
    let mem_milli = resources.scalar_milli("mem");
    let mem_mb = u64::try_from(mem_milli / 1000).unwrap_or(0);
    if mem_mb < MIN_MEM_MB {
        let mem = match mem_milli {
            0 => "None".to_string(),
            _ => text::megabytes(mem_mb),
        };
        let minimum = text::megabytes(MIN_MEM_MB);
        return Err(format!(
            "Executor '{id}' uses less memory ({mem}) than the minimum required ({minimum})"
        ));
    }
    if resources.scalar_milli("disk") == 0 {
        return Err(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}

/// Mesos: `validateTaskGroupAndExecutorResources`.
fn validate_sum(
    group: &TaskGroupInfo,
    executor: &ExecutorInfo,
    tasks: &[Resources],
    resources: &Resources,
) -> Result<(), String> {
    let of_tasks = || group.tasks.iter().flat_map(|task| &task.resources);
    let all = || executor.resources.iter().chain(of_tasks());
    let mut sum = resources.clone();
    tasks.iter().for_each(|task| sum.add(task));
    resource::validate_unique_persistence(&sum).map_err(|error| {
        format!("Task group and executor use duplicate persistence ID: {error}")
    })?;
    resource::validate_revocable(all()).map_err(|error| {
        format!("Task group and executor mix revocable and non-revocable resources: {error}")
    })?;
    let mut parts: Vec<&Resources> = tasks.iter().collect();
    parts.push(resources);
    if resource::overlap(&parts) {
        let tasks: Vec<String> = tasks.iter().map(Resources::to_string).collect();
        return Err(format!(
            "There are overlapping resources in the task group's task resources [ {} ] and/or \
             executor resources {resources}",
            tasks.join(", ")
        ));
    }
    Ok(())
}

/// All tasks of one executor must agree on sharing its cgroups.
fn validate_share_cgroups(
    group: &TaskGroupInfo,
    executor: &ExecutorInfo,
    context: &TaskContext<'_>,
) -> Result<(), String> {
    executor::validate_share_cgroups(executor)?;
    let of_group = group.tasks.iter().map(|task| task.container.as_deref());
    let mut values: BTreeSet<bool> = of_group.map(shares_cgroups).collect();
    let id = &executor.executor_id.value;
    if context.tasks.executor(id).is_some() {
        context.tasks.each_task_of(id, &mut |task| {
            values.insert(shares_cgroups(task.container.as_deref()));
        });
    }
    if values.len() > 1 {
        return Err(
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task \
             group and under a single executor"
                .to_string(),
        );
    }
    Ok(())
}

fn shares_cgroups(container: Option<&ContainerInfo>) -> bool {
    container::share_cgroups(container).unwrap_or(true)
}
