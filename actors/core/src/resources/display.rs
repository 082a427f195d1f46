//! Resources as Mesos prints them in messages.
//! The text cannot be parsed back.

use std::fmt::{self, Write};

use tepui_protocol::v1;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::{DiskInfo, ReservationInfo, disk_info};
use v1::value::Type as ValueType;

use super::validate::reservation_type;
use super::value::{format_milli, to_milli, write_ranges, write_set};
use super::{Entry, Format, Resources, convert};

impl fmt::Display for Resources {
    /// Mesos's text form, e.g. `cpus(allocated: *):0.1; mem(allocated: *):32`; the number of
    /// copies follows shared ones: `disk(reservations: [(STATIC,a)])[v:data]<SHARED>:64<2>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (i, entry) in self.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{entry}")?;
            if entry.is_shared() {
                write!(f, "<{}>", entry.copies)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    /// One resource in Mesos's text form, without the number of copies of a shared one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_resource(f, &convert::entry_to_v1(self, Format::PostRefinement))
    }
}

/// One resource, valid or not. The old reservation form is not shown, as in Mesos.
pub(super) fn display_resource(resource: &v1::Resource) -> String {
    displayed(|f| write_resource(f, resource))
}

/// A disk source, e.g. `MOUNT:/mnt/a`.
pub(super) fn display_source(source: &disk_info::Source) -> String {
    displayed(|f| write_source(f, source))
}

/// Labels, e.g. `{a: b, c}`.
pub(super) fn display_labels(labels: &v1::Labels) -> String {
    displayed(|f| write_labels(f, labels))
}

fn displayed(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write(&mut text);
    text
}

fn write_resource(f: &mut impl Write, resource: &v1::Resource) -> fmt::Result {
    f.write_str(&resource.name)?;
    if let Some(allocation) = &resource.allocation_info {
        write!(
            f,
            "(allocated: {})",
            allocation.role.as_deref().unwrap_or_default()
        )?;
    }
    if !resource.reservations.is_empty() {
        f.write_str("(reservations: [")?;
        for (i, reservation) in resource.reservations.iter().enumerate() {
            f.write_str(if i == 0 { "(" } else { ",(" })?;
            write_reservation(f, reservation)?;
            f.write_char(')')?;
        }
        f.write_str("])")?;
    }
    if let Some(disk) = &resource.disk {
        f.write_char('[')?;
        write_disk(f, disk)?;
        f.write_char(']')?;
    }
    if resource.revocable.is_some() {
        f.write_str("{REV}")?;
    }
    if resource.shared.is_some() {
        f.write_str("<SHARED>")?;
    }
    f.write_char(':')?;
    write_amount(f, resource)
}

fn write_amount(f: &mut impl Write, resource: &v1::Resource) -> fmt::Result {
    match ValueType::try_from(resource.r#type) {
        Ok(ValueType::Scalar) => {
            let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
            f.write_str(&format_milli(to_milli(value)))
        }
        Ok(ValueType::Ranges) => {
            let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
            write_ranges(f, ranges.map(|range| (range.begin, range.end)))
        }
        Ok(ValueType::Set) => {
            let items = resource.set.iter().flat_map(|set| &set.item);
            write_set(f, items.map(String::as_str))
        }
        // Mesos knows no text for these: it aborts.
        Ok(ValueType::Text) => f.write_str("TEXT"),
        Err(_) => write!(f, "{}", resource.r#type),
    }
}

fn write_reservation(f: &mut impl Write, reservation: &ReservationInfo) -> fmt::Result {
    let kind = reservation_type(reservation).as_str_name();
    write!(
        f,
        "{kind},{}",
        reservation.role.as_deref().unwrap_or_default()
    )?;
    if let Some(principal) = &reservation.principal {
        write!(f, ",{principal}")?;
    }
    if let Some(labels) = &reservation.labels {
        f.write_char(',')?;
        write_labels(f, labels)?;
    }
    Ok(())
}

fn write_labels(f: &mut impl Write, labels: &v1::Labels) -> fmt::Result {
    f.write_char('{')?;
    for (i, label) in labels.labels.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{}", label.key)?;
        if let Some(value) = &label.value {
            write!(f, ": {value}")?;
        }
    }
    f.write_char('}')
}

fn write_disk(f: &mut impl Write, disk: &DiskInfo) -> fmt::Result {
    if let Some(source) = &disk.source {
        write_source(f, source)?;
    }
    if let Some(persistence) = &disk.persistence {
        let separator = if disk.source.is_some() { "," } else { "" };
        write!(f, "{separator}{}", persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        f.write_char(':')?;
        write_volume(f, volume)?;
    }
    Ok(())
}

fn write_source(f: &mut impl Write, source: &disk_info::Source) -> fmt::Result {
    let kind = SourceType::try_from(source.r#type).unwrap_or(SourceType::Unknown);
    f.write_str(kind.as_str_name())?;
    if kind == SourceType::Unknown {
        return Ok(());
    }
    if source.id.is_some() || source.profile.is_some() {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (vendor, id, profile) = (
            text(&source.vendor),
            text(&source.id),
            text(&source.profile),
        );
        return write!(f, "({vendor},{id},{profile})");
    }
    let root = match kind {
        SourceType::Mount => source
            .mount
            .as_ref()
            .and_then(|mount| mount.root.as_deref()),
        SourceType::Path => source.path.as_ref().and_then(|path| path.root.as_deref()),
        SourceType::Block | SourceType::Raw | SourceType::Unknown => None,
    };
    match root {
        Some(root) => write!(f, ":{root}"),
        None => Ok(()),
    }
}

fn write_volume(f: &mut impl Write, volume: &v1::Volume) -> fmt::Result {
    let Some(host_path) = &volume.host_path else {
        return f.write_str(&volume.container_path);
    };
    write!(f, "{host_path}:{}", volume.container_path)?;
    match v1::volume::Mode::try_from(volume.mode) {
        Ok(v1::volume::Mode::Rw) => f.write_str(":rw"),
        Ok(v1::volume::Mode::Ro) => f.write_str(":ro"),
        Err(_) => Ok(()),
    }
}
