//! What operations on resources consume and what they make of it.
//! Does not judge whether an operation is allowed; `validation::operation` does.

use tepui_protocol::v1;
use v1::offer::Operation;
use v1::offer::operation::{GrowVolume, Reserve, ShrinkVolume, Type};

use super::value::to_milli;
use super::{Entry, ResourceError, Resources};

/// Part of what an operation does: takes `consumed` away and puts `converted` in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// What must be there, with allocation roles if the operation's resources have them.
    pub consumed: Resources,
    /// What takes its place.
    pub converted: Resources,
}

/// The conversions of an operation, in order; none for LAUNCH and LAUNCH_GROUP.
///
/// Mesos: `getResourceConversions`.
///
/// # Errors
/// When the operation's payload is missing, its resources cannot be read or are not of the kind
/// the operation needs, and for CREATE_DISK and DESTROY_DISK: only the resource provider that
/// carries them out knows what becomes of the disk.
pub fn conversions(operation: &Operation) -> Result<Vec<Conversion>, ResourceError> {
    let kind = operation.r#type.and_then(|kind| Type::try_from(kind).ok());
    let kind = kind.unwrap_or(Type::Unknown);
    match kind {
        Type::Launch | Type::LaunchGroup => Ok(Vec::new()),
        Type::Unknown => Err(ResourceError("Unknown operation".to_owned())),
        Type::CreateDisk | Type::DestroyDisk => {
            Err(ResourceError("Operation not supported".to_owned()))
        }
        Type::Reserve => {
            let payload = required(operation.reserve.as_ref(), kind)?;
            Ok(vec![reserve(payload)?])
        }
        Type::Unreserve => {
            let payload = required(operation.unreserve.as_ref(), kind)?;
            each(&payload.resources, unreserve)
        }
        Type::Create => each(
            &required(operation.create.as_ref(), kind)?.volumes,
            |volume| Ok(replace(volume.without_persistence(), volume)),
        ),
        Type::Destroy => each(
            &required(operation.destroy.as_ref(), kind)?.volumes,
            |volume| Ok(replace(volume.clone(), volume.without_persistence())),
        ),
        Type::GrowVolume => Ok(vec![grow(required(operation.grow_volume.as_ref(), kind)?)?]),
        Type::ShrinkVolume => {
            let payload = required(operation.shrink_volume.as_ref(), kind)?;
            Ok(vec![shrink(payload)?])
        }
    }
}

impl Resources {
    /// Carries conversions out, all or none.
    ///
    /// Mesos: `ResourceConversion::apply`, and the check of DESTROY that goes with it.
    ///
    /// # Errors
    /// When something to be consumed is not there, or copies would be left of a shared volume that
    /// is consumed and not put back.
    pub fn convert(&mut self, conversions: &[Conversion]) -> Result<(), ResourceError> {
        let mut result = self.clone();
        for conversion in conversions {
            let Conversion {
                consumed,
                converted,
            } = conversion;
            if !result.contains(consumed) {
                return Err(ResourceError(format!(
                    "{result} does not contain {consumed}"
                )));
            }
            result.subtract(consumed);
            result.add(converted);
            check_copies(&result, conversion)?;
        }
        *self = result;
        Ok(())
    }
}

fn check_copies(result: &Resources, conversion: &Conversion) -> Result<(), ResourceError> {
    let gone = conversion.consumed.iter().filter(|entry| {
        let mut kept = conversion.converted.iter();
        entry.is_shared() && !kept.any(|other| other.equals(entry))
    });
    for volume in gone {
        if result.iter().any(|entry| entry.equals(volume)) {
            return Err(ResourceError(format!(
                "Persistent volume {volume} cannot be removed due to additional shared copies"
            )));
        }
    }
    Ok(())
}

fn required<T>(payload: Option<&T>, kind: Type) -> Result<&T, ResourceError> {
    let kind = kind.as_str_name();
    payload.ok_or_else(|| {
        ResourceError(format!(
            "{kind} operation has no payload, expected the field of its name"
        ))
    })
}

fn each(
    resources: &[v1::Resource],
    conversion: impl Fn(Entry) -> Result<Conversion, ResourceError>,
) -> Result<Vec<Conversion>, ResourceError> {
    resources
        .iter()
        .map(|resource| conversion(Entry::from_v1(resource)?))
        .collect()
}

fn replace(consumed: Entry, converted: Entry) -> Conversion {
    Conversion {
        consumed: Resources::from(consumed),
        converted: Resources::from(converted),
    }
}

/// Operators may say from which reservations to start; others push one reservation.
fn reserve(payload: &Reserve) -> Result<Conversion, ResourceError> {
    let converted = Resources::from_v1(&payload.resources)?;
    let consumed = match payload.source.as_slice() {
        [] => converted.pop_reservation()?,
        source => Resources::from_v1(source)?,
    };
    Ok(Conversion {
        consumed,
        converted,
    })
}

fn unreserve(reserved: Entry) -> Result<Conversion, ResourceError> {
    match reserved.pop_reservation() {
        Some(popped) => Ok(replace(reserved, popped)),
        None => Err(ResourceError(format!(
            "{reserved} is not reserved, expected a reservation"
        ))),
    }
}

fn grow(payload: &GrowVolume) -> Result<Conversion, ResourceError> {
    let volume = volume_to_resize(&payload.volume)?;
    let addition = Entry::from_v1(&payload.addition)?;
    if !volume.without_persistence().can_add(&addition) {
        return Err(ResourceError(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .to_owned(),
        ));
    }
    let size = scalar_of(&volume)?.saturating_add(scalar_of(&addition)?);
    let grown = volume.with_milli(size);
    Ok(Conversion {
        consumed: [volume, addition].into_iter().collect(),
        converted: Resources::from(grown),
    })
}

fn shrink(payload: &ShrinkVolume) -> Result<Conversion, ResourceError> {
    let volume = volume_to_resize(&payload.volume)?;
    let size = scalar_of(&volume)?;
    let freed = to_milli(payload.subtract.value);
    if !(0..=size).contains(&freed) {
        return Err(ResourceError(format!(
            "{volume} cannot shrink by {}, expected at least 0 and at most its size",
            payload.subtract.value
        )));
    }
    let parts = [
        volume.with_milli(size - freed),
        volume.without_persistence().with_milli(freed),
    ];
    Ok(Conversion {
        consumed: Resources::from(volume),
        converted: parts.into_iter().collect(),
    })
}

fn volume_to_resize(volume: &v1::Resource) -> Result<Entry, ResourceError> {
    if volume.provider_id.is_some() {
        return Err(ResourceError(
            "Operation not supported for resource provider".to_owned(),
        ));
    }
    Entry::from_v1(volume)
}

fn scalar_of(entry: &Entry) -> Result<i64, ResourceError> {
    entry
        .scalar_milli()
        .ok_or_else(|| ResourceError(format!("{entry} is not a scalar, expected a disk")))
}
