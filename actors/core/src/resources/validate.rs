//! Rules a v1 resource must keep, with Mesos's texts.
//! Does not know what is available or who may use it.

use tepui_protocol::v1;
use v1::Resource;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::reservation_info::Type as ReservationType;
use v1::value::Type as ValueType;

use super::ResourceError;
use super::display::{display_labels, display_resource, display_source};
use super::entry::labels_equal;
use super::roles::{is_ancestor, validate_role};
use super::value::to_milli;

/// Checks every resource by itself; the error names the first bad one as Mesos does.
pub fn validate(resources: &[Resource]) -> Result<(), ResourceError> {
    for resource in resources {
        validate_one(resource).map_err(|problem| {
            let text = display_resource(resource);
            ResourceError(format!("Resource '{text}' is invalid: {problem}"))
        })?;
    }
    Ok(())
}

/// Checks one resource; the error is only what is wrong with it.
pub fn validate_one(resource: &Resource) -> Result<(), ResourceError> {
    check(resource).map_err(ResourceError)
}

fn check(resource: &Resource) -> Result<(), String> {
    if resource.name.is_empty() {
        return Err("Empty resource name".to_owned());
    }
    check_amount(resource)?;
    check_disk(resource)?;
    match resource.reservations.as_slice() {
        [] => check_pre_refinement(resource)?,
        stack => check_post_refinement(resource, stack)?,
    }
    check_shared(resource)
}

fn check_amount(resource: &Resource) -> Result<(), String> {
    let given = (
        resource.scalar.is_some(),
        resource.ranges.is_some(),
        resource.set.is_some(),
    );
    match ValueType::try_from(resource.r#type) {
        Ok(ValueType::Scalar) if given != (true, false, false) => {
            Err("Invalid scalar resource".to_owned())
        }
        Ok(ValueType::Scalar) => {
            let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
            // Also catches what would round to zero.
            if value != 0.0 && to_milli(value) <= 0 {
                return Err("Invalid scalar resource: value <= 0".to_owned());
            }
            Ok(())
        }
        Ok(ValueType::Ranges) if given != (false, true, false) => {
            Err("Invalid ranges resource".to_owned())
        }
        Ok(ValueType::Ranges) => {
            check_ranges(resource.ranges.as_ref().map_or(&[], |ranges| &ranges.range))
        }
        Ok(ValueType::Set) if given != (false, false, true) => {
            Err("Invalid set resource".to_owned())
        }
        Ok(ValueType::Set) => {
            let mut items = resource.set.as_ref().map_or(Vec::new(), |set| {
                set.item.iter().map(String::as_str).collect()
            });
            items.sort_unstable();
            if items.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("Invalid set resource: duplicated elements".to_owned());
            }
            Ok(())
        }
        Ok(ValueType::Text) => Err("Unsupported resource type".to_owned()),
        Err(_) => Err("Invalid resource type".to_owned()),
    }
}

fn check_ranges(ranges: &[v1::value::Range]) -> Result<(), String> {
    if ranges.iter().any(|range| range.begin > range.end) {
        return Err("Invalid ranges resource: begin > end".to_owned());
    }
    let mut sorted: Vec<(u64, u64)> = ranges.iter().map(|r| (r.begin, r.end)).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return Err("Invalid ranges resource: overlapping ranges".to_owned());
    }
    Ok(())
}

fn check_disk(resource: &Resource) -> Result<(), String> {
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    if resource.name != "disk" {
        return Err(format!(
            "DiskInfo should not be set for {} resource",
            resource.name
        ));
    }
    let Some(source) = &disk.source else {
        return Ok(());
    };
    let kind = SourceType::try_from(source.r#type).unwrap_or(SourceType::Unknown);
    match kind {
        SourceType::Path | SourceType::Mount => Ok(()),
        SourceType::Block | SourceType::Raw => {
            let kind = kind.as_str_name();
            if source.mount.is_some() {
                return Err(format!("Mount should not be set for {kind} disk source"));
            }
            if source.path.is_some() {
                return Err(format!("Path should not be set for {kind} disk source"));
            }
            Ok(())
        }
        SourceType::Unknown => Err(format!(
            "Unsupported 'DiskInfo.Source.Type' in '{}'",
            display_source(source)
        )),
    }
}

fn check_pre_refinement(resource: &Resource) -> Result<(), String> {
    let role = role_field(resource).unwrap_or("*");
    validate_role(role)?;
    let Some(reservation) = &resource.reservation else {
        return Ok(());
    };
    for (set, field) in [
        (reservation.r#type.is_some(), "type"),
        (reservation.role.is_some(), "role"),
    ] {
        if set {
            return Err(format!(
                "'Resource.ReservationInfo.{field}' must not be set for the \
                 'Resource.reservation' field"
            ));
        }
    }
    if role == "*" {
        return Err("Invalid reservation: role \"*\" cannot be dynamically reserved".to_owned());
    }
    Ok(())
}

type ReservationInfo = v1::resource::ReservationInfo;

fn check_post_refinement(resource: &Resource, stack: &[ReservationInfo]) -> Result<(), String> {
    for reservation in stack {
        check_reservation(reservation)?;
    }
    for pair in stack.windows(2) {
        if pair[1].r#type == Some(ReservationType::Static as i32) {
            return Err(
                "Invalid refined reservation: A refined reservation cannot be STATIC".to_owned(),
            );
        }
        let (outer, inner) = (role_of(&pair[0]), role_of(&pair[1]));
        if !is_ancestor(outer, inner) {
            return Err(format!(
                "Invalid refined reservation: role '{inner}' is not a refinement of '{outer}'"
            ));
        }
    }
    match stack {
        [single] => check_both_forms(resource, single),
        _ => {
            let set = [
                (role_field(resource).is_some(), "role"),
                (resource.reservation.is_some(), "reservation"),
            ];
            match set.iter().find(|(set, _)| *set) {
                Some((_, field)) => Err(format!(
                    "Invalid resource format: 'Resource.{field}' must not be set if there is \
                     more than one reservation in 'Resource.reservations'"
                )),
                None => Ok(()),
            }
        }
    }
}

fn check_reservation(reservation: &ReservationInfo) -> Result<(), String> {
    for (missing, field) in [
        (reservation.r#type.is_none(), "type"),
        (reservation.role.is_none(), "role"),
    ] {
        if missing {
            return Err(format!(
                "Invalid reservation: 'Resource.ReservationInfo.{field}' field must be set."
            ));
        }
    }
    let role = role_of(reservation);
    validate_role(role)?;
    if role == "*" {
        return Err("Invalid reservation: role \"*\" cannot be reserved".to_owned());
    }
    match reservation_type(reservation) {
        ReservationType::Static | ReservationType::Dynamic => Ok(()),
        ReservationType::Unknown => Err("Unsupported 'Resource.ReservationInfo.Type'".to_owned()),
    }
}

/// A single reservation may be given in both forms if they agree.
fn check_both_forms(resource: &Resource, reservation: &ReservationInfo) -> Result<(), String> {
    let role = role_of(reservation);
    if let Some(given) = role_field(resource).filter(|given| *given != role) {
        return Err(format!(
            "Invalid resource format: 'Resource.role' field with '{given}' does not match the \
             role '{role}' in 'Resource.reservations'"
        ));
    }
    match reservation_type(reservation) {
        ReservationType::Static if resource.reservation.is_some() => Err(
            "Invalid resource format: 'Resource.reservation' must not be set if the single \
             reservation in 'Resource.reservations' is STATIC"
                .to_owned(),
        ),
        ReservationType::Static | ReservationType::Unknown => Ok(()),
        ReservationType::Dynamic => check_both_dynamic(resource, reservation),
    }
}

fn check_both_dynamic(resource: &Resource, reservation: &ReservationInfo) -> Result<(), String> {
    if role_field(resource).is_some() != resource.reservation.is_some() {
        return Err(
            "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be \
             both set or both not set if the single reservation in 'Resource.reservations' is \
             DYNAMIC"
                .to_owned(),
        );
    }
    let Some(old) = &resource.reservation else {
        return Ok(());
    };
    let (old_principal, principal) = (text(&old.principal), text(&reservation.principal));
    if old_principal != principal {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.principal' field with \
             '{old_principal}' does not match the principal '{principal}' in \
             'Resource.reservations'"
        ));
    }
    let none = v1::Labels::default();
    let old_labels = old.labels.as_ref().unwrap_or(&none);
    let labels = reservation.labels.as_ref().unwrap_or(&none);
    if !labels_equal(Some(old_labels), Some(labels)) {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.labels' field with '{}' does not \
             match the labels '{}' in 'Resource.reservations'",
            display_labels(old_labels),
            display_labels(labels)
        ));
    }
    Ok(())
}

fn check_shared(resource: &Resource) -> Result<(), String> {
    if resource.shared.is_none() {
        return Ok(());
    }
    if resource.name != "disk" {
        return Err(format!("Resource {} cannot be shared", resource.name));
    }
    if resource
        .disk
        .as_ref()
        .is_none_or(|disk| disk.persistence.is_none())
    {
        return Err("Only persistent volumes can be shared".to_owned());
    }
    Ok(())
}

/// The deprecated field, still written by most frameworks.
#[allow(deprecated)]
pub(super) fn role_field(resource: &Resource) -> Option<&str> {
    resource.role.as_deref()
}

pub(super) fn reservation_type(reservation: &ReservationInfo) -> ReservationType {
    let number = reservation
        .r#type
        .unwrap_or(ReservationType::Unknown as i32);
    ReservationType::try_from(number).unwrap_or(ReservationType::Unknown)
}

fn role_of(reservation: &ReservationInfo) -> &str {
    text(&reservation.role)
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}
