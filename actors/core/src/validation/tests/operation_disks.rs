//! CREATE_DISK and DESTROY_DISK.

use tepui_protocol::v1;
use v1::offer::operation::{CreateDisk, DestroyDisk};
use v1::resource::disk_info::{Persistence, Source, source::Type};

use super::fixtures::{scalar, volume};
use crate::validation::operation::{validate_create_disk, validate_destroy_disk};

/// A disk of this kind from a resource provider, with an id and a profile.
fn disk(kind: Type) -> v1::Resource {
    v1::Resource {
        provider_id: Some(v1::ResourceProviderId {
            value: "rp".to_string(),
        }),
        disk: Some(Box::new(v1::resource::DiskInfo {
            source: Some(Source {
                r#type: kind as i32,
                id: Some("id".to_string()),
                profile: Some("fast".to_string()),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..scalar("disk", 1.0)
    }
}

fn source(resource: &mut v1::Resource) -> &mut Source {
    resource.disk.as_mut().unwrap().source.as_mut().unwrap()
}

fn create(source: v1::Resource, target: Type, profile: Option<&str>) -> Result<(), String> {
    validate_create_disk(&CreateDisk {
        source,
        target_type: target as i32,
        target_profile: profile.map(str::to_string),
    })
}

fn destroy(source: v1::Resource) -> Result<(), String> {
    validate_destroy_disk(&DestroyDisk { source })
}

fn refused(text: &str) -> Result<(), String> {
    Err(text.to_string())
}

#[test]
fn disks_are_created_from_raw_ones_of_a_provider() {
    assert_eq!(create(disk(Type::Raw), Type::Mount, None), Ok(()));
    assert_eq!(create(disk(Type::Raw), Type::Block, None), Ok(()));
    for kind in [Type::Raw, Type::Path, Type::Unknown] {
        assert_eq!(
            create(disk(Type::Raw), kind, None),
            refused("'target_type' is neither MOUNT or BLOCK")
        );
    }
    for resource in [disk(Type::Mount), provided(scalar("disk", 1.0))] {
        assert_eq!(
            create(resource, Type::Mount, None),
            refused("'source' is not a RAW disk resource")
        );
    }
}

fn provided(resource: v1::Resource) -> v1::Resource {
    v1::Resource {
        provider_id: disk(Type::Raw).provider_id,
        ..resource
    }
}

#[test]
fn a_disk_has_one_profile() {
    let mut plain = disk(Type::Raw);
    source(&mut plain).profile = None;
    assert_eq!(create(plain.clone(), Type::Mount, Some("slow")), Ok(()));
    assert_eq!(
        create(plain, Type::Mount, None),
        refused("'target_profile' must be set when 'source' has no profile")
    );
    assert_eq!(
        create(disk(Type::Raw), Type::Mount, Some("slow")),
        refused("'target_profile' must not be set when 'source' has a profile")
    );
}

#[test]
fn only_disks_with_an_identity_are_destroyed() {
    for kind in [Type::Mount, Type::Block, Type::Raw] {
        assert_eq!(destroy(disk(kind)), Ok(()));
        let mut nameless = disk(kind);
        source(&mut nameless).id = None;
        assert_eq!(
            destroy(nameless),
            refused("'source' is not backed by a CSI volume")
        );
    }
    for resource in [disk(Type::Path), provided(scalar("disk", 1.0))] {
        assert_eq!(
            destroy(resource),
            refused("'source' is neither a MOUNT, BLOCK or RAW disk resource")
        );
    }
}

#[test]
fn a_volume_on_a_disk_goes_first() {
    let mut used = disk(Type::Mount);
    used.reservations = volume("v").reservations;
    let info = used.disk.as_mut().unwrap();
    info.persistence = Some(Persistence {
        id: "v".to_string(),
        principal: None,
    });
    info.volume = volume("v").disk.unwrap().volume;
    assert_eq!(
        destroy(used),
        refused(
            "A disk resource containing a persistent volume \
             disk(allocated: *)(reservations: [(DYNAMIC,web)])[MOUNT(,id,fast),v:data]:1 cannot \
             be destroyed directly. Please destroy the persistent volume first then destroy the \
             disk resource"
        )
    );
}

#[test]
fn agents_own_disks_are_not_made_or_destroyed() {
    let own = v1::Resource {
        provider_id: None,
        ..disk(Type::Raw)
    };
    let text = refused("'source' is not managed by a resource provider");
    assert_eq!(create(own.clone(), Type::Mount, None), text);
    assert_eq!(destroy(own), text);
    let text = refused(
        "Invalid resource: Invalid resources: Resource 'disk(allocated: *):-1' is invalid: \
         Invalid scalar resource: value <= 0",
    );
    assert_eq!(create(scalar("disk", -1.0), Type::Mount, None), text);
    assert_eq!(destroy(scalar("disk", -1.0)), text);
}
