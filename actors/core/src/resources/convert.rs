//! Entries to and from the v1 form, pre- and post-refinement.
//! Expects valid input: `validate.rs` is asked first.

use std::sync::Arc;

use tepui_protocol::{v1, wire};
use v1::Resource;
use v1::resource::ReservationInfo;
use v1::resource::reservation_info::Type as ReservationType;
use v1::value::Type as ValueType;

use super::Format;
use super::entry::{Entry, Extra, Name, Reservation, ReservationKind};
use super::validate::{reservation_type, role_field};
use super::value::{Amount, coalesce, from_milli, to_milli};
use crate::ids::Role;

/// Reads one valid resource.
pub(super) fn entry_from_v1(resource: &Resource) -> Entry {
    let extra = Extra {
        reservations: reservations_from_v1(resource),
        disk: resource.disk.clone(),
        provider: resource
            .provider_id
            .as_ref()
            .map(|id| Arc::from(id.value.as_str())),
        revocable: resource.revocable.is_some(),
        shared: resource.shared.is_some(),
    };
    let allocation = resource.allocation_info.as_ref();
    Entry {
        name: Name::from(resource.name.as_str()),
        amount: amount_from_v1(resource),
        allocation: allocation.map(|info| Role::from(info.role.as_deref().unwrap_or_default())),
        extra: (!extra.is_plain()).then(|| Arc::new(extra)),
        copies: 1,
    }
}

/// Writes one entry.
pub(super) fn entry_to_v1(entry: &Entry, format: Format) -> Resource {
    let mut resource = Resource {
        name: entry.name().to_owned(),
        disk: entry.disk().cloned().map(Box::new),
        revocable: entry.is_revocable().then(Default::default),
        shared: entry.is_shared().then(Default::default),
        provider_id: entry.provider().map(|id| v1::ResourceProviderId {
            value: id.to_owned(),
        }),
        allocation_info: entry
            .allocation_role()
            .map(|role| v1::resource::AllocationInfo {
                role: Some(role.to_string()),
            }),
        ..Default::default()
    };
    write_amount(&mut resource, &entry.amount);
    write_reservations(&mut resource, entry.reservations(), format);
    resource
}

/// Numbers of the fields of a resource.
mod number {
    pub(super) const NAME: u32 = 1;
    pub(super) const TYPE: u32 = 2;
    pub(super) const SCALAR: u32 = 3;
    pub(super) const ALLOCATION: u32 = 11;
    /// Within a scalar.
    pub(super) const VALUE: u32 = 1;
    /// Within an allocation.
    pub(super) const ROLE: u32 = 1;
}

/// Appends one entry as a field of that number: the bytes of [`entry_to_v1`], which is made only
/// for what is not as plain as what tasks have of most resources.
pub(super) fn put_entry(entry: &Entry, field: u32, format: Format, out: &mut Vec<u8>) {
    let (Amount::Scalar(milli), None) = (&entry.amount, &entry.extra) else {
        let resource = entry_to_v1(entry, format);
        return wire::put_bytes(field, &wire::encode(&resource), out);
    };
    if format != Format::PostRefinement {
        let resource = entry_to_v1(entry, format);
        return wire::put_bytes(field, &wire::encode(&resource), out);
    }
    let mut inner = Vec::with_capacity(64);
    let mut part = Vec::with_capacity(32);
    wire::put_bytes(number::NAME, entry.name().as_bytes(), &mut inner);
    wire::put_varint(number::TYPE, ValueType::Scalar as u64, &mut inner);
    wire::put_double(number::VALUE, from_milli(*milli), &mut part);
    wire::put_bytes(number::SCALAR, &part, &mut inner);
    if let Some(role) = &entry.allocation {
        part.clear();
        wire::put_bytes(number::ROLE, role.as_bytes(), &mut part);
        wire::put_bytes(number::ALLOCATION, &part, &mut inner);
    }
    wire::put_bytes(field, &inner, out);
}

fn amount_from_v1(resource: &Resource) -> Amount {
    match ValueType::try_from(resource.r#type) {
        Ok(ValueType::Ranges) => {
            let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
            Amount::Ranges(coalesce(
                ranges.map(|range| (range.begin, range.end)).collect(),
            ))
        }
        Ok(ValueType::Set) => {
            let items = resource.set.iter().flat_map(|set| &set.item);
            Amount::Set(items.map(|item| Arc::from(item.as_str())).collect())
        }
        Ok(ValueType::Scalar | ValueType::Text) | Err(_) => Amount::Scalar(
            resource
                .scalar
                .as_ref()
                .map_or(0, |scalar| to_milli(scalar.value)),
        ),
    }
}

fn write_amount(resource: &mut Resource, amount: &Amount) {
    let kind = match amount {
        Amount::Scalar(milli) => {
            resource.scalar = Some(v1::value::Scalar {
                value: from_milli(*milli),
            });
            ValueType::Scalar
        }
        Amount::Ranges(ranges) => {
            let range = ranges
                .iter()
                .map(|&(begin, end)| v1::value::Range { begin, end });
            resource.ranges = Some(v1::value::Ranges {
                range: range.collect(),
            });
            ValueType::Ranges
        }
        Amount::Set(items) => {
            let item = items.iter().map(|item| item.to_string()).collect();
            resource.set = Some(v1::value::Set { item });
            ValueType::Set
        }
    };
    resource.r#type = kind as i32;
}

/// The stack of reservations, in whichever form it was written.
pub(super) fn reservations_from_v1(resource: &Resource) -> Vec<Reservation> {
    if !resource.reservations.is_empty() {
        return resource
            .reservations
            .iter()
            .map(reservation_from_v1)
            .collect();
    }
    let role = match role_field(resource) {
        None | Some("*") => return Vec::new(),
        Some(role) => Role::from(role),
    };
    let reservation = match &resource.reservation {
        None => Reservation {
            kind: ReservationKind::Static,
            role,
            principal: None,
            labels: None,
        },
        Some(info) => Reservation {
            kind: ReservationKind::Dynamic,
            role,
            principal: info.principal.clone(),
            labels: info.labels.clone(),
        },
    };
    vec![reservation]
}

fn reservation_from_v1(info: &ReservationInfo) -> Reservation {
    Reservation {
        kind: match reservation_type(info) {
            ReservationType::Static => ReservationKind::Static,
            ReservationType::Dynamic | ReservationType::Unknown => ReservationKind::Dynamic,
        },
        role: Role::from(info.role.as_deref().unwrap_or_default()),
        principal: info.principal.clone(),
        labels: info.labels.clone(),
    }
}

fn reservation_to_v1(reservation: &Reservation) -> ReservationInfo {
    let kind = match reservation.kind {
        ReservationKind::Static => ReservationType::Static,
        ReservationKind::Dynamic => ReservationType::Dynamic,
    };
    ReservationInfo {
        principal: reservation.principal.clone(),
        labels: reservation.labels.clone(),
        role: Some(reservation.role.to_string()),
        r#type: Some(kind as i32),
    }
}

/// Writes reservations into a resource that has none yet. The old fields cannot express refined
/// ones, so those always go out as a stack.
#[allow(deprecated)]
pub(super) fn write_reservations(resource: &mut Resource, stack: &[Reservation], format: Format) {
    let stack_wanted = format != Format::PreRefinement || stack.len() > 1;
    if stack_wanted {
        resource.reservations = stack.iter().map(reservation_to_v1).collect();
    }
    if format == Format::PostRefinement {
        return;
    }
    match stack {
        [] => resource.role = Some("*".to_owned()),
        [single] => {
            resource.role = Some(single.role.to_string());
            if single.kind == ReservationKind::Dynamic {
                resource.reservation = Some(ReservationInfo {
                    principal: single.principal.clone(),
                    labels: single.labels.clone(),
                    ..Default::default()
                });
            }
        }
        _ => {}
    }
}
