//! The rules of CREATE_DISK and DESTROY_DISK, which only resource providers carry out.
//! Does not know which providers there are, or who is authorised.

use tepui_protocol::v1;
use v1::Resource;
use v1::offer::operation::{CreateDisk, DestroyDisk};
use v1::resource::disk_info::Source;
use v1::resource::disk_info::source::Type as SourceType;

use crate::validation::resource::{describe, read};

/// Checks a CREATE_DISK.
///
/// # Errors
/// The text of Mesos's `operation::validate(CreateDisk)`.
pub fn validate_create_disk(create: &CreateDisk) -> Result<(), String> {
    validate_source(&create.source)?;
    let Some(source) = disk_of(&create.source, &[SourceType::Raw]) else {
        return Err("'source' is not a RAW disk resource".to_string());
    };
    if !matches!(create.target_type(), SourceType::Mount | SourceType::Block) {
        return Err("'target_type' is neither MOUNT or BLOCK".to_string());
    }
    match (&source.profile, &create.target_profile) {
        (Some(_), Some(_)) => {
            Err("'target_profile' must not be set when 'source' has a profile".to_string())
        }
        (None, None) => {
            Err("'target_profile' must be set when 'source' has no profile".to_string())
        }
        (Some(_), None) | (None, Some(_)) => Ok(()),
    }
}

/// Checks a DESTROY_DISK.
///
/// # Errors
/// The text of Mesos's `operation::validate(DestroyDisk)`.
pub fn validate_destroy_disk(destroy: &DestroyDisk) -> Result<(), String> {
    let resource = &destroy.source;
    validate_source(resource)?;
    let kinds = [SourceType::Mount, SourceType::Block, SourceType::Raw];
    let Some(source) = disk_of(resource, &kinds) else {
        return Err("'source' is neither a MOUNT, BLOCK or RAW disk resource".to_string());
    };
    if source.id.is_none() {
        return Err("'source' is not backed by a CSI volume".to_string());
    }
    let disk = resource.disk.as_ref();
    if disk.is_some_and(|disk| disk.persistence.is_some()) {
        return Err(format!(
            "A disk resource containing a persistent volume {} cannot be destroyed directly. \
             Please destroy the persistent volume first then destroy the disk resource",
            describe(resource)
        ));
    }
    Ok(())
}

fn validate_source(source: &Resource) -> Result<(), String> {
    read(std::slice::from_ref(source)).map_err(|error| format!("Invalid resource: {error}"))?;
    match source.provider_id {
        Some(_) => Ok(()),
        None => Err("'source' is not managed by a resource provider".to_string()),
    }
}

/// The source of a disk of one of these kinds.
fn disk_of<'a>(resource: &'a Resource, kinds: &[SourceType]) -> Option<&'a Source> {
    let source = resource.disk.as_ref()?.source.as_ref()?;
    kinds.contains(&source.r#type()).then_some(source)
}
