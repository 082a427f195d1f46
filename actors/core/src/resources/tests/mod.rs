//! Tests of the resource algebra.

mod algebra;
mod checkpointed;
mod conversion;
mod disks;
mod format;
mod forms;
mod identity;
mod properties;
mod reservations;
mod sharing;
pub(crate) mod strategies;
mod text;

use super::*;

/// Reads text that must be right.
pub(super) fn bag(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

/// A v1 scalar without anything else.
pub(super) fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

/// One reservation of a stack.
pub(super) fn reservation(
    kind: v1::resource::reservation_info::Type,
    role: &str,
) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        role: Some(role.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

/// A persistent volume of 10 MB reserved to `role`.
pub(super) fn volume(id: &str, role: &str) -> v1::Resource {
    let mut disk = scalar("disk", 10.0);
    disk.reservations = vec![reservation(
        v1::resource::reservation_info::Type::Dynamic,
        role,
    )];
    disk.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        ..Default::default()
    }));
    disk
}

/// The same volume, shared.
pub(super) fn shared(volume: v1::Resource) -> v1::Resource {
    v1::Resource {
        shared: Some(v1::resource::SharedInfo::default()),
        ..volume
    }
}

/// A disk of 10 MB with a source of its own.
pub(super) fn sourced(kind: v1::resource::disk_info::source::Type, root: &str) -> v1::Resource {
    use v1::resource::disk_info::{Source, source};
    let mut disk = scalar("disk", 10.0);
    let path = (kind == source::Type::Path).then(|| source::Path {
        root: Some(root.to_owned()),
    });
    let mount = (kind == source::Type::Mount).then(|| source::Mount {
        root: Some(root.to_owned()),
    });
    disk.disk = Some(Box::new(v1::resource::DiskInfo {
        source: Some(Source {
            r#type: kind as i32,
            path,
            mount,
            ..Default::default()
        }),
        ..Default::default()
    }));
    disk
}

/// Reads v1 resources that must be valid.
pub(super) fn read(resources: &[v1::Resource]) -> Resources {
    Resources::from_v1(resources).unwrap()
}
