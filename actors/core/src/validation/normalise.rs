//! What the master fills in before it validates: fields whose absence has a meaning.
//! Refuses nothing.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::resource::AllocationInfo;
use tepui_protocol::v1::{
    ExecutorInfo, FrameworkInfo, HealthCheck, Resource, TaskInfo, health_check,
};

use super::operation::known_type;
use crate::ids::FrameworkId;
use crate::resources;

/// Fills in an operation of an ACCEPT, after `operation::validate` let it pass.
///
/// Resources that name no allocation role get that of the offers (`role`); a health check
/// without type gets the type of its payload; an executor of a LAUNCH without framework id gets
/// the framework's; a task of a LAUNCH_GROUP without executor gets the group's.
/// Mesos: the second half of `Master::accept`, and `injectAllocationInfo`.
pub fn operation(operation: &mut Operation, framework_id: &FrameworkId, role: &str) {
    match known_type(operation) {
        Type::Launch => {
            let tasks = operation
                .launch
                .as_mut()
                .map(|launch| &mut launch.task_infos);
            for task in tasks.into_iter().flatten() {
                allocate_task(task, role);
                if let Some(executor) = &mut task.executor {
                    let id = &mut executor.framework_id;
                    id.get_or_insert_with(|| framework_id.to_v1());
                }
                if let Some(check) = &mut task.health_check {
                    fill_health_check(check);
                }
            }
        }
        Type::LaunchGroup => {
            let Some(group) = &mut operation.launch_group else {
                return;
            };
            allocate_executor(&mut group.executor, role);
            for task in &mut group.task_group.tasks {
                allocate_task(task, role);
                let executor = &group.executor;
                task.executor
                    .get_or_insert_with(|| Box::new(executor.clone()));
            }
        }
        _ => {
            upgrade(operation);
            changed_resources(operation)
                .into_iter()
                .for_each(|resource| allocate(resource, role));
        }
    }
}

/// Rewrites what an operation changes to stacks of reservations, whatever form it was sent in,
/// after `operation::validate_payload` let it pass. Mesos: `upgradeResources`.
pub fn upgrade(operation: &mut Operation) {
    for resource in changed_resources(operation) {
        resources::upgrade(std::slice::from_mut(resource));
    }
    if let Some(reserve) = &mut operation.reserve {
        resources::upgrade(&mut reserve.source);
    }
}

/// Gives a framework without a principal the authenticated one, if there is one.
pub fn principal(info: &mut FrameworkInfo, authenticated: Option<&str>) {
    if info.principal.is_none() {
        info.principal = authenticated.map(str::to_string);
    }
}

/// Mesos leaves a check with both payloads, or with neither, to be refused.
fn fill_health_check(check: &mut HealthCheck) {
    let known = check
        .r#type
        .and_then(|kind| health_check::Type::try_from(kind).ok());
    if known.is_some() {
        return;
    }
    let kind = match (&check.command, &check.http) {
        (Some(_), None) => Some(health_check::Type::Command),
        (None, Some(_)) => Some(health_check::Type::Http),
        _ => None,
    };
    check.r#type = kind.map(|kind| kind as i32);
}

fn allocate_task(task: &mut TaskInfo, role: &str) {
    task.resources
        .iter_mut()
        .for_each(|resource| allocate(resource, role));
    if let Some(executor) = &mut task.executor {
        allocate_executor(executor, role);
    }
}

fn allocate_executor(executor: &mut ExecutorInfo, role: &str) {
    executor
        .resources
        .iter_mut()
        .for_each(|resource| allocate(resource, role));
}

fn allocate(resource: &mut Resource, role: &str) {
    let allocation = || AllocationInfo {
        role: Some(role.to_string()),
    };
    resource.allocation_info.get_or_insert_with(allocation);
}

/// Every resource that an operation other than a launch names, but not what is only an amount.
fn changed_resources(operation: &mut Operation) -> Vec<&mut Resource> {
    match known_type(operation) {
        Type::Reserve => {
            let payload = operation.reserve.as_mut();
            payload.map_or_else(Vec::new, |o| o.resources.iter_mut().collect())
        }
        Type::Unreserve => {
            let payload = operation.unreserve.as_mut();
            payload.map_or_else(Vec::new, |o| o.resources.iter_mut().collect())
        }
        Type::Create => {
            let payload = operation.create.as_mut();
            payload.map_or_else(Vec::new, |o| o.volumes.iter_mut().collect())
        }
        Type::Destroy => {
            let payload = operation.destroy.as_mut();
            payload.map_or_else(Vec::new, |o| o.volumes.iter_mut().collect())
        }
        Type::GrowVolume => {
            let payload = operation.grow_volume.as_mut();
            payload.map_or_else(Vec::new, |o| vec![&mut o.volume, &mut o.addition])
        }
        Type::ShrinkVolume => {
            let payload = operation.shrink_volume.as_mut();
            payload.map_or_else(Vec::new, |o| vec![&mut o.volume])
        }
        Type::CreateDisk => {
            let payload = operation.create_disk.as_mut();
            payload.map_or_else(Vec::new, |o| vec![&mut o.source])
        }
        Type::DestroyDisk => {
            let payload = operation.destroy_disk.as_mut();
            payload.map_or_else(Vec::new, |o| vec![&mut o.source])
        }
        Type::Launch | Type::LaunchGroup | Type::Unknown => Vec::new(),
    }
}
