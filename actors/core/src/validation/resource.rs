//! Rules for the resources of a task, executor or operation, beyond each entry's own form.
//! The form of one entry is checked by `resources`, when it is read.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1;
use tepui_protocol::v1::Resource;
use tepui_protocol::v1::resource::reservation_info;

use super::ids;
use crate::ids::Role;
use crate::resources::{Amount, Entry, Resources};

/// Reads resources, checking the form of each entry and Mesos's rules for whole lists.
///
/// Mesos: `resource::validate`, that is the form, whole gpus, DiskInfo and ReservationInfo.
pub fn read(resources: &[Resource]) -> Result<Resources, String> {
    let read = Resources::from_v1(resources).map_err(|e| format!("Invalid resources: {}", e.0))?;
    if read.scalar_milli("gpus") % 1000 != 0 {
        return Err(
            "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer".to_string(),
        );
    }
    validate_disk(resources).map_err(|error| format!("Invalid DiskInfo: {error}"))?;
    validate_reservations(resources)
        .map_err(|error| format!("Invalid ReservationInfo: {error}"))?;
    Ok(read)
}

/// Checks that no two volumes of one role have the same persistence id.
///
/// Copies of a shared volume are one volume.
pub fn validate_unique_persistence(resources: &Resources) -> Result<(), String> {
    let mut seen: BTreeSet<(Option<&Role>, &str)> = BTreeSet::new();
    for entry in resources {
        let disk = entry.disk().and_then(|disk| disk.persistence.as_ref());
        let Some(persistence) = disk else {
            continue;
        };
        if !seen.insert((entry.reservation_role(), &persistence.id)) {
            return Err(format!("Persistence ID '{}' is not unique", persistence.id));
        }
    }
    Ok(())
}

/// Checks that every resource is a persistent volume that can be written to.
pub fn validate_persistent_volumes(volumes: &[Resource]) -> Result<(), String> {
    for volume in volumes {
        let Some(disk) = &volume.disk else {
            return Err(format!(
                "Resource {} does not have DiskInfo",
                describe(volume)
            ));
        };
        if disk.persistence.is_none() {
            return Err("'persistence' is not set in DiskInfo".to_string());
        }
        let Some(mounted) = &disk.volume else {
            return Err("Expecting 'volume' to be set for persistent volume".to_string());
        };
        if mounted.mode() == v1::volume::Mode::Ro {
            return Err("Read-only persistent volume not supported".to_string());
        }
    }
    Ok(())
}

/// Checks that all resources come from one resource provider, or all from the agent itself.
///
/// As in Mesos, a list without resources fails: it has no provider at all.
pub fn validate_single_provider(resources: &[Resource]) -> Result<(), String> {
    let ids = resources.iter().map(|resource| {
        let id = resource.provider_id.as_ref();
        id.map(|id| id.value.as_str())
    });
    let ids: BTreeSet<Option<&str>> = ids.collect();
    if ids.len() == 1 {
        return Ok(());
    }
    if ids.contains(&None) {
        return Err("Some resources have a resource provider and some do not".to_string());
    }
    let ids: Vec<&str> = ids.into_iter().flatten().collect();
    Err(format!(
        "The resources have multiple resource providers: {}",
        ids.join(", ")
    ))
}

/// Checks that every entry is allocated, and all to the same role.
pub fn validate_single_allocation(resources: &[Resource]) -> Result<(), String> {
    let mut first: Option<&str> = None;
    for resource in resources {
        let role = resource.allocation_info.as_ref();
        let Some(role) = role.and_then(|info| info.role.as_deref()) else {
            return Err("The resources are not allocated to a role".to_string());
        };
        match first {
            None => first = Some(role),
            Some(first) if first != role => {
                return Err(format!(
                    "The resources have multiple allocation roles ('{role}' and '{first}') but \
                     only one allocation role is allowed"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks that no name is used both revocably and not.
pub fn validate_revocable<'a>(
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<(), String> {
    let mut kinds: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for resource in resources {
        let kind = kinds.entry(resource.name.as_str()).or_default();
        kind.insert(resource.revocable.is_some());
    }
    match kinds.iter().find(|(_, kind)| kind.len() > 1) {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "Cannot use both revocable and non-revocable '{name}' at the same time"
        )),
    }
}

/// True when ranges, sets or shared volumes of the parts overlap: their sum is less than the
/// parts together.
pub fn overlap(parts: &[&Resources]) -> bool {
    let mut apart = BTreeMap::new();
    let mut sum = Resources::new();
    for part in parts {
        count(part, &mut apart);
        sum.add(part);
    }
    let mut together = BTreeMap::new();
    count(&sum, &mut together);
    apart != together
}

/// The role an entry is reserved to, `*` when it is not reserved.
pub fn reservation_role(resource: &Resource) -> &str {
    match resource.reservations.last() {
        Some(reservation) => reservation.role(),
        None => resource.role(),
    }
}

fn validate_disk(resources: &[Resource]) -> Result<(), String> {
    for resource in resources {
        if let Some(disk) = &resource.disk {
            validate_one_disk(resource, disk)?;
        }
    }
    Ok(())
}

fn validate_one_disk(resource: &Resource, disk: &v1::resource::DiskInfo) -> Result<(), String> {
    let Some(persistence) = &disk.persistence else {
        return match (&disk.volume, &disk.source) {
            (Some(_), _) => Err("Non-persistent volume not supported".to_string()),
            (None, None) => Err("DiskInfo is set but empty".to_string()),
            (None, Some(_)) => Ok(()),
        };
    };
    if resource.revocable.is_some() {
        return Err("Persistent volumes cannot be created from revocable resources".to_string());
    }
    if reservation_role(resource) == "*" {
        return Err("Persistent volumes cannot be created from unreserved resources".to_string());
    }
    let Some(volume) = &disk.volume else {
        return Err("Expecting 'volume' to be set for persistent volume".to_string());
    };
    if volume.host_path.is_some() {
        return Err("Expecting 'host_path' to be unset for persistent volume".to_string());
    }
    ids::validate(&persistence.id)
        .map_err(|error| format!("Invalid persistence ID for persistent volume: {error}"))
}

fn validate_reservations(resources: &[Resource]) -> Result<(), String> {
    let wrong = |r: &&Resource| r.revocable.is_some() && is_dynamically_reserved(r);
    match resources.iter().find(wrong) {
        None => Ok(()),
        Some(resource) => Err(format!(
            "Dynamically reserved resource {} cannot be created from revocable resources",
            describe(resource)
        )),
    }
}

/// The text Mesos prints for one resource, in whichever form it came; nothing for one that is not
/// well formed, which callers have refused before.
pub(super) fn describe(resource: &Resource) -> String {
    Entry::from_v1(resource)
        .map(|entry| entry.to_string())
        .unwrap_or_default()
}

fn is_dynamically_reserved(resource: &Resource) -> bool {
    match resource.reservations.last() {
        Some(reservation) => reservation.r#type() == reservation_info::Type::Dynamic,
        None => resource.reservation.is_some(),
    }
}

/// Adds up amounts by name: thousandths of scalars, numbers in ranges, items in sets.
fn count<'a>(resources: &'a Resources, counts: &mut BTreeMap<&'a str, i128>) {
    for entry in resources {
        let units = match entry.amount() {
            Amount::Scalar(milli) => i128::from(*milli),
            Amount::Ranges(ranges) => ranges
                .iter()
                .map(|(begin, end)| i128::from(*end) - i128::from(*begin) + 1)
                .sum(),
            Amount::Set(items) => items.len() as i128,
        };
        *counts.entry(entry.name()).or_default() += units;
    }
}
