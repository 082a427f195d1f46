//! The rules of CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME.
//! Does not know whether the disk is there, or who is authorised.

use tepui_protocol::v1;
use v1::offer::operation::{Create, Destroy, GrowVolume, ShrinkVolume};
use v1::resource::disk_info::source::Type as SourceType;
use v1::{FrameworkInfo, Resource};

use super::is_capable;
use crate::resources::{self, Entry, Resources, to_milli};
use crate::validation::framework::has_capability;
use crate::validation::resource::{
    self as rules, describe, validate_persistent_volumes, validate_single_provider,
};

/// Checks a CREATE, of the framework with an ACCEPT, or of an operator without one.
///
/// `checkpointed` is what the agent keeps on disk: its reservations and volumes, without
/// allocation roles. `principal` is the framework's or the operator's; without one, volumes may
/// name any.
///
/// # Errors
/// The text of Mesos's `operation::validate(Create)`.
pub fn validate_create(
    create: &Create,
    checkpointed: &Resources,
    principal: Option<&str>,
    agent_capabilities: &[String],
    framework: Option<&FrameworkInfo>,
) -> Result<(), String> {
    let volumes = read_volumes(&create.volumes)?;
    let mut all = checkpointed.persistent_volumes();
    all.add(&volumes);
    rules::validate_unique_persistence(&all)?;
    // Made once more, a shared volume would be one with what is there, and its disk would be lost.
    // (Mesos lets that happen.)
    if let Some(volume) = all.iter().find(|volume| volume.copies() > 1) {
        let persistence = volume.disk().and_then(|disk| disk.persistence.as_ref());
        let id = persistence.map_or("", |persistence| &persistence.id);
        return Err(format!("Persistence ID '{id}' is not unique"));
    }
    for volume in &volumes {
        validate_sharing(volume, framework)?;
        validate_agent_can(volume, agent_capabilities)?;
        if let Some(principal) = principal {
            validate_principal(volume, principal)?;
        }
    }
    if framework.is_some() {
        rules::validate_single_allocation(&create.volumes)
            .map_err(|error| format!("Invalid volume resources: {error}"))?;
    }
    Ok(())
}

/// Checks a DESTROY, of a framework or an operator.
///
/// `checkpointed` is as for [`validate_create`]; `used` is what tasks and executors on the agent
/// use, running or about to: a volume among it stays. Volumes that belong to a resource provider
/// are not checkpointed by the agent, so they are not looked for.
///
/// # Errors
/// The text of Mesos's `operation::validate(Destroy)`.
pub fn validate_destroy<'a>(
    destroy: &Destroy,
    checkpointed: &Resources,
    used: impl IntoIterator<Item = &'a Resources>,
) -> Result<(), String> {
    // An operator names the volume as it is, a framework as it was allocated to it.
    let volumes = read_volumes(&destroy.volumes)?.unallocated();
    let missing = |volume: &Entry| {
        volume.provider().is_none() && !checkpointed.iter().any(|own| own.is_same(volume))
    };
    if volumes.iter().any(missing) {
        return Err("Persistent volumes not found".to_string());
    }
    for resources in used {
        // Few tasks use volumes, so mostly there is nothing to take the role from.
        let used = resources.persistent_volumes().unallocated();
        if (&used)
            .into_iter()
            .any(|own| volumes.iter().any(|volume| own.is_same(volume)))
        {
            return Err("Persistent volumes in use".to_string());
        }
    }
    Ok(())
}

/// Checks a GROW_VOLUME, of a framework or an operator.
///
/// # Errors
/// The text of Mesos's `operation::validate(GrowVolume)`.
pub fn validate_grow_volume(
    grow: &GrowVolume,
    agent_capabilities: &[String],
) -> Result<(), String> {
    validate_form(&grow.volume, "GrowVolume.volume")?;
    validate_form(&grow.addition, "GrowVolume.addition")?;
    if size_milli(&grow.addition) <= 0 {
        return Err(
            "The size of 'GrowVolume.addition' field must be greater than zero".to_string(),
        );
    }
    if grow.volume.provider_id.is_some() {
        return Err("Growing a volume from a resource provider is not supported".to_string());
    }
    validate_volume(&grow.volume, "GrowVolume.volume")?;
    if grow.volume.shared.is_some() {
        return Err("Growing a shared persistent volume is not supported".to_string());
    }
    let read = |resource| Entry::from_v1(resource).map_err(|error| error.0);
    let (volume, addition) = (read(&grow.volume)?, read(&grow.addition)?);
    if !volume.without_persistence().can_add(&addition) {
        return Err(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .to_string(),
        );
    }
    validate_agent_can_resize(&grow.volume, "grown", agent_capabilities)
}

/// Checks a SHRINK_VOLUME, of a framework or an operator.
///
/// # Errors
/// The text of Mesos's `operation::validate(ShrinkVolume)`.
pub fn validate_shrink_volume(
    shrink: &ShrinkVolume,
    agent_capabilities: &[String],
) -> Result<(), String> {
    let volume = &shrink.volume;
    validate_form(volume, "ShrinkVolume.volume")?;
    let subtract_milli = to_milli(shrink.subtract.value);
    if subtract_milli <= 0 {
        return Err("Value of 'ShrinkVolume.subtract' must be greater than zero".to_string());
    }
    if size_milli(volume) <= subtract_milli {
        return Err(
            "Value of 'ShrinkVolume.subtract' must be smaller than the size of \
             'ShrinkVolume.volume'"
                .to_string(),
        );
    }
    if volume.provider_id.is_some() {
        return Err("Shrinking a volume from a resource provider is not supported".to_string());
    }
    let source = volume.disk.as_ref().and_then(|disk| disk.source.as_ref());
    if source.is_some_and(|source| source.r#type() == SourceType::Mount) {
        return Err("Shrinking a volume on a MOUNT disk is not supported".to_string());
    }
    validate_volume(volume, "ShrinkVolume.volume")?;
    if volume.shared.is_some() {
        return Err("Shrinking a shared persistent volume is not supported".to_string());
    }
    validate_agent_can_resize(volume, "shrunk", agent_capabilities)
}

fn read_volumes(volumes: &[Resource]) -> Result<Resources, String> {
    let read = rules::read(volumes).map_err(|error| format!("Invalid resources: {error}"))?;
    validate_single_provider(volumes).map_err(|error| format!("Invalid resources: {error}"))?;
    validate_persistent_volumes(volumes)
        .map_err(|error| format!("Not a persistent volume: {error}"))?;
    Ok(read)
}

fn validate_sharing(volume: &Entry, framework: Option<&FrameworkInfo>) -> Result<(), String> {
    let Some(framework) = framework.filter(|_| volume.is_shared()) else {
        return Ok(());
    };
    if has_capability(
        framework,
        v1::framework_info::capability::Type::SharedResources,
    ) {
        return Ok(());
    }
    let id = framework.id.as_ref().map_or("", |id| &id.value);
    Err(format!(
        "Create volume operation for '{volume}' has been attempted by framework '{id}' with no \
         SHARED_RESOURCES capability"
    ))
}

fn validate_agent_can(volume: &Entry, agent_capabilities: &[String]) -> Result<(), String> {
    let role = volume.reservation_role().map_or("", |role| role.as_ref());
    if role.contains('/') && !is_capable(agent_capabilities, "HIERARCHICAL_ROLE") {
        return Err(format!(
            "Volume {volume} with reservation for hierarchical role '{role}' cannot be created on \
             an agent without HIERARCHICAL_ROLE capability"
        ));
    }
    if volume.has_refined_reservations()
        && !is_capable(agent_capabilities, "RESERVATION_REFINEMENT")
    {
        return Err(format!(
            "Volume {volume} with reservation refinement cannot be created on an agent without \
             RESERVATION_REFINEMENT capability"
        ));
    }
    Ok(())
}

fn validate_principal(volume: &Entry, principal: &str) -> Result<(), String> {
    let disk = volume.disk().and_then(|disk| disk.persistence.as_ref());
    match disk.and_then(|persistence| persistence.principal.as_deref()) {
        None => Err(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume \
             in the operation with no principal set in 'disk.persistence'"
        )),
        Some(given) if given != principal => Err(format!(
            "Create volume operation attempted by authenticated principal '{principal}', which \
             does not match a volume in the operation with principal '{given}' set in \
             'disk.persistence'"
        )),
        Some(_) => Ok(()),
    }
}

fn validate_form(resource: &Resource, field: &str) -> Result<(), String> {
    resources::validate_one(resource)
        .map_err(|error| format!("Invalid resource in the '{field}' field: {}", error.0))
}

fn validate_volume(volume: &Resource, field: &str) -> Result<(), String> {
    validate_persistent_volumes(std::slice::from_ref(volume))
        .map_err(|error| format!("Invalid persistent volume in the '{field}' field: {error}"))
}

fn validate_agent_can_resize(
    volume: &Resource,
    verb: &str,
    agent_capabilities: &[String],
) -> Result<(), String> {
    if is_capable(agent_capabilities, "RESIZE_VOLUME") {
        return Ok(());
    }
    Err(format!(
        "Volume {} cannot be {verb} on an agent without RESIZE_VOLUME capability",
        describe(volume)
    ))
}

/// Thousandths of a scalar; what has another kind of amount has the size zero.
fn size_milli(resource: &Resource) -> i64 {
    resource
        .scalar
        .as_ref()
        .map_or(0, |scalar| to_milli(scalar.value))
}
