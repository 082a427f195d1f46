//! Rules for an ExecutorInfo that a task or a task group brings along.
//! Rules that tie it to the task's resources are in `task` and `task_group`.

use tepui_protocol::v1::ExecutorInfo;
use tepui_protocol::v1::executor_info::Type;

use super::same_executor::same;
use super::task::TaskContext;
use super::{container, debug_text, ids, resource};
use crate::ids::FrameworkId;
use crate::resources::Resources;

/// Least cpus of an executor: 0.01. Mesos's `MIN_CPUS`.
pub const MIN_CPUS_MILLI: i64 = 10;

/// Least memory of an executor. Mesos's `MIN_MEM`.
pub const MIN_MEM_MB: u64 = 32;

/// Checks what can be seen from the executor alone; also done for agents that re-register.
///
/// Mesos: `executor::validate`.
pub fn validate(executor: &ExecutorInfo) -> Result<(), String> {
    validate_type(executor)?;
    ids::validate(&executor.executor_id.value)?;
    if let Some(period) = executor.shutdown_grace_period
        && period.nanoseconds < 0
    {
        return Err("ExecutorInfo's 'shutdown_grace_period' must be non-negative".to_string());
    }
    if let Some(command) = &executor.command {
        container::validate_command(command)
            .map_err(|error| format!("Executor's `CommandInfo` is invalid: {error}"))?;
    }
    if let Some(container) = &executor.container {
        container::validate_container(container)
            .map_err(|error| format!("Executor's `ContainerInfo` is invalid: {error}"))?;
    }
    Ok(())
}

/// Checks an executor to be used by a framework on an agent; returns its resources.
///
/// Mesos: `executor::internal::validate`.
pub fn validate_for_launch(
    executor: &ExecutorInfo,
    context: &TaskContext<'_>,
) -> Result<Resources, String> {
    validate(executor)?;
    validate_framework_id(executor, context.framework_id)?;
    let resources = validate_resources(executor)?;
    if let Some(running) = context.tasks.executor(&executor.executor_id.value)
        && !same(running, executor)
    {
        let line = "------------------------------------------------------------\n";
        return Err(format!(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
             {line}Existing ExecutorInfo:\n{}\n{line}ExecutorInfo:\n{}\n{line}",
            debug_text::executor(running),
            debug_text::executor(executor),
        ));
    }
    Ok(resources)
}

/// The executor's type; a value this version does not know counts as not set.
pub fn known_type(executor: &ExecutorInfo) -> Option<Type> {
    executor.r#type.and_then(|kind| Type::try_from(kind).ok())
}

fn validate_type(executor: &ExecutorInfo) -> Result<(), String> {
    match known_type(executor) {
        Some(Type::Default) => validate_default_executor(executor),
        Some(Type::Custom) if executor.command.is_none() => {
            Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".to_string())
        }
        // A type that a newer framework knows must not be refused here.
        Some(Type::Custom | Type::Unknown) | None => Ok(()),
    }
}

fn validate_default_executor(executor: &ExecutorInfo) -> Result<(), String> {
    if executor.command.is_some() {
        return Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor".to_string());
    }
    let Some(container) = &executor.container else {
        return Ok(());
    };
    if container::is_docker(container) {
        return Err(
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor".to_string(),
        );
    }
    if container.mesos.as_ref().is_some_and(|m| m.image.is_some()) {
        return Err(
            "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
                .to_string(),
        );
    }
    Ok(())
}

fn validate_framework_id(executor: &ExecutorInfo, expected: &FrameworkId) -> Result<(), String> {
    let Some(actual) = &executor.framework_id else {
        return Err("'ExecutorInfo.framework_id' must be set".to_string());
    };
    if actual.value != expected.as_str() {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {expected})",
            actual.value
        ));
    }
    Ok(())
}

fn validate_resources(executor: &ExecutorInfo) -> Result<Resources, String> {
    let list = &executor.resources;
    let resources = resource::read(list)
        .map_err(|error| format!("Executor uses invalid resources: {error}"))?;
    resource::validate_unique_persistence(&resources)
        .map_err(|error| format!("Executor uses duplicate persistence ID: {error}"))?;
    resource::validate_single_allocation(list)
        .map_err(|error| format!("Invalid executor resources: {error}"))?;
    resource::validate_revocable(list).map_err(|error| {
        format!("Executor mixes revocable and non-revocable resources: {error}")
    })?;
    Ok(resources)
}

/// Checks that the executor's own container does not ask to share cgroups.
pub(super) fn validate_share_cgroups(executor: &ExecutorInfo) -> Result<(), String> {
    match container::share_cgroups(executor.container.as_deref()) {
        Some(true) => Err(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers".to_string(),
        ),
        _ => Ok(()),
    }
}
