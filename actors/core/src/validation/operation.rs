//! What an operation must satisfy: its form first, for every operation of an ACCEPT at once, then
//! the rules of its kind when it is carried out, which operators' operations must keep as well.
//! Launches have their rules in `task` and `task_group`; applying operations is the master's.
//!
//! Mesos's master appends the agent or prepends the operation's name to the texts of these rules,
//! each caller in its own way; that is left to the callers here too.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::{ExecutorInfo, Resource, TaskInfo};

use crate::ids::AgentId;
use crate::resources;

mod disks;
mod reservations;
mod volumes;

pub use disks::{validate_create_disk, validate_destroy_disk};
pub use reservations::{validate_reserve, validate_unreserve};
pub use volumes::{
    validate_create, validate_destroy, validate_grow_volume, validate_shrink_volume,
};

/// How an operation is refused; each is answered in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Every task of the LAUNCH gets TASK_ERROR, reason REASON_TASK_INVALID, with this message.
    Tasks(String),
    /// Every task of the LAUNCH_GROUP gets TASK_ERROR, reason REASON_TASK_GROUP_INVALID.
    TaskGroup(String),
    /// If the operation has an id, the framework gets an OPERATION_ERROR with this message.
    Operation(String),
    /// The operation is of a kind this version does not know; nothing is answered.
    Unknown,
}

/// The kind of an operation; one this version does not know counts as not set.
pub fn known_type(operation: &Operation) -> Type {
    let kind = operation.r#type.and_then(|kind| Type::try_from(kind).ok());
    kind.unwrap_or(Type::Unknown)
}

/// Checks an operation as it was sent: its payload, the form of its resources, and its `id`.
///
/// Done for every operation of an ACCEPT before any is carried out, with the agent of the offers.
/// Mesos: the first half of `Master::accept`, and `validateAndUpgradeResources`.
pub fn validate(
    operation: &Operation,
    agent_id: &AgentId,
    agent_capabilities: &[String],
) -> Result<(), Refusal> {
    let kind = known_type(operation);
    let sources = operation.reserve.as_ref().map_or(0, |o| o.source.len());
    let sound = validate_payload(operation).and_then(|()| match kind {
        Type::Reserve if sources > 0 => {
            Err("Reservation updates are not yet implemented for the scheduler API.".to_string())
        }
        _ => Ok(()),
    });
    sound.map_err(|error| match kind {
        Type::Launch => Refusal::Tasks(error),
        Type::LaunchGroup => Refusal::TaskGroup(error),
        Type::Unknown => Refusal::Unknown,
        _ => Refusal::Operation(format!(
            "Operation attempted with invalid resources: {error}"
        )),
    })?;
    if operation.id.is_none() {
        return Ok(());
    }
    match kind {
        Type::Launch => Err(Refusal::Tasks(
            "The `id` field cannot be set on LAUNCH operations".to_string(),
        )),
        Type::LaunchGroup => Err(Refusal::TaskGroup(
            "The `id` field cannot be set on LAUNCH_GROUP operations".to_string(),
        )),
        Type::Unknown => Err(Refusal::Unknown),
        _ => validate_feedback(operation, agent_id, agent_capabilities),
    }
}

/// What is prefixed to a message when the offers of an ACCEPT are not valid.
///
/// Tasks then get TASK_DROPPED or TASK_LOST, other operations an OPERATION_ERROR.
pub fn invalid_offers_message(kind: Type, error: &str) -> String {
    match kind {
        Type::Launch | Type::LaunchGroup => format!("Task launched with invalid offers: {error}"),
        _ => format!("Operation attempted with invalid offers: {error}"),
    }
}

/// Checks the payload and each entry's form in every list of resources of an operation.
///
/// # Errors
/// The text of Mesos's `validateAndUpgradeResources`.
pub fn validate_payload(operation: &Operation) -> Result<(), String> {
    let kind = known_type(operation);
    let reserve = operation.reserve.as_ref();
    let unreserve = operation.unreserve.as_ref();
    let create = operation.create.as_ref();
    let destroy = operation.destroy.as_ref();
    let grow = operation.grow_volume.as_ref();
    let shrink = operation.shrink_volume.as_ref();
    let create_disk = operation.create_disk.as_ref();
    let destroy_disk = operation.destroy_disk.as_ref();
    match kind {
        Type::Unknown => Err("Unknown offer operation".to_string()),
        Type::Reserve => {
            let reserve = required(reserve, "A RESERVE offer operation", "reserve", ".")?;
            validate_form(&reserve.resources)?;
            validate_form(&reserve.source)
        }
        Type::Unreserve => {
            let payload = required(unreserve, "An UNRESERVE offer operation", "unreserve", ".")?;
            validate_form(&payload.resources)
        }
        Type::Create => {
            let payload = required(create, "A CREATE offer operation", "create", ".")?;
            validate_form(&payload.volumes)
        }
        Type::Destroy => {
            let payload = required(destroy, "A DESTROY offer operation", "destroy", ".")?;
            validate_form(&payload.volumes)
        }
        Type::GrowVolume => {
            let grow = required(grow, "A GROW_VOLUME operation", "grow_volume", "")?;
            validate_entry(&grow.volume)?;
            validate_entry(&grow.addition)
        }
        Type::ShrinkVolume => {
            let shrink = required(
                shrink,
                "A SHRINK_VOLUME offer operation",
                "shrink_volume",
                "",
            )?;
            validate_entry(&shrink.volume)
        }
        Type::CreateDisk => {
            let payload = required(
                create_disk,
                "A CREATE_DISK offer operation",
                "create_disk",
                ".",
            )?;
            validate_entry(&payload.source)
        }
        Type::DestroyDisk => {
            let name = "A DESTROY_DISK offer operation";
            validate_entry(&required(destroy_disk, name, "destroy_disk", ".")?.source)
        }
        Type::Launch | Type::LaunchGroup => validate_launch(operation, kind),
    }
}

fn validate_launch(operation: &Operation, kind: Type) -> Result<(), String> {
    if kind == Type::Launch {
        let launch = operation.launch.as_ref();
        let launch = required(launch, "A LAUNCH offer operation", "launch", ".")?;
        return launch.task_infos.iter().try_for_each(validate_task);
    }
    let group = operation.launch_group.as_ref();
    let group = required(group, "A LAUNCH_GROUP offer operation", "launch_group", ".")?;
    validate_form(&group.executor.resources)?;
    group.task_group.tasks.iter().try_for_each(validate_task)
}

fn validate_task(task: &TaskInfo) -> Result<(), String> {
    validate_form(&task.resources)?;
    let executor: Option<&ExecutorInfo> = task.executor.as_deref();
    executor.map_or(Ok(()), |executor| validate_form(&executor.resources))
}

fn validate_form(list: &[Resource]) -> Result<(), String> {
    resources::validate(list).map_err(|error| error.0)
}

/// As Mesos does for a single entry, without naming the entry.
fn validate_entry(resource: &Resource) -> Result<(), String> {
    resources::validate_one(resource).map_err(|error| error.0)
}

/// An operation with an id wants to hear of its outcome; the agent must be able to tell.
fn validate_feedback(
    operation: &Operation,
    agent_id: &AgentId,
    agent_capabilities: &[String],
) -> Result<(), Refusal> {
    let has = |name: &str| is_capable(agent_capabilities, name);
    if !has("RESOURCE_PROVIDER") {
        return Err(Refusal::Operation(format!(
            "Operation requested feedback, but agent {agent_id} does not have the required \
             RESOURCE_PROVIDER capability"
        )));
    }
    if !uses_resource_provider(operation) && !has("AGENT_OPERATION_FEEDBACK") {
        return Err(Refusal::Operation(format!(
            "Operation on agent default resources requested feedback, but agent {agent_id} does \
             not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities"
        )));
    }
    Ok(())
}

/// True when the first resource of the operation belongs to a resource provider.
fn uses_resource_provider(operation: &Operation) -> bool {
    let first = match known_type(operation) {
        Type::Reserve => operation.reserve.as_ref().and_then(|o| o.resources.first()),
        Type::Unreserve => operation
            .unreserve
            .as_ref()
            .and_then(|o| o.resources.first()),
        Type::Create => operation.create.as_ref().and_then(|o| o.volumes.first()),
        Type::Destroy => operation.destroy.as_ref().and_then(|o| o.volumes.first()),
        Type::GrowVolume => operation.grow_volume.as_ref().map(|o| &o.volume),
        Type::ShrinkVolume => operation.shrink_volume.as_ref().map(|o| &o.volume),
        Type::CreateDisk => operation.create_disk.as_ref().map(|o| &o.source),
        Type::DestroyDisk => operation.destroy_disk.as_ref().map(|o| &o.source),
        Type::Launch | Type::LaunchGroup | Type::Unknown => None,
    };
    first.is_some_and(|resource| resource.provider_id.is_some())
}

fn required<'a, T>(
    payload: Option<&'a T>,
    name: &str,
    field: &str,
    end: &str,
) -> Result<&'a T, String> {
    payload.ok_or_else(|| format!("{name} must have the Offer.Operation.{field} field set{end}"))
}

/// Whether the agent announces this capability.
fn is_capable(agent_capabilities: &[String], capability: &str) -> bool {
    agent_capabilities.iter().any(|own| own == capability)
}
