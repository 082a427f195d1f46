//! Rules for lists of resources.

use tepui_protocol::v1;

use super::fixtures::{ports, scalar, volume};
use crate::resources::Resources;
use crate::validation::resource::{
    overlap, read, reservation_role, validate_revocable, validate_single_allocation,
    validate_unique_persistence,
};

fn read_text(resources: &[v1::Resource]) -> String {
    read(resources).map(|_| ()).err().unwrap_or_default()
}

/// Changes a valid persistent volume.
type Change = fn(&mut v1::Resource);

#[test]
fn a_disk_is_a_whole_persistent_volume_or_a_source() {
    let cases: [(Change, &str); 9] = [
        (|_| {}, ""),
        (
            |r| r.revocable = Some(Default::default()),
            "Invalid DiskInfo: Persistent volumes cannot be created from revocable resources",
        ),
        (
            |r| r.reservations.clear(),
            "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
        ),
        (
            |r| r.disk.as_mut().unwrap().volume = None,
            "Invalid DiskInfo: Expecting 'volume' to be set for persistent volume",
        ),
        (
            |r| {
                let volume = r.disk.as_mut().unwrap().volume.as_mut().unwrap();
                volume.host_path = Some("/x".to_string());
            },
            "Invalid DiskInfo: Expecting 'host_path' to be unset for persistent volume",
        ),
        (
            |r| {
                r.disk
                    .as_mut()
                    .unwrap()
                    .persistence
                    .as_mut()
                    .unwrap()
                    .id
                    .clear()
            },
            "Invalid DiskInfo: Invalid persistence ID for persistent volume: ID must not be empty",
        ),
        (
            |r| r.disk.as_mut().unwrap().persistence = None,
            "Invalid DiskInfo: Non-persistent volume not supported",
        ),
        (
            |r| r.disk = Some(Box::default()),
            "Invalid DiskInfo: DiskInfo is set but empty",
        ),
        (
            |r| {
                let source = v1::resource::disk_info::Source {
                    r#type: v1::resource::disk_info::source::Type::Mount as i32,
                    ..Default::default()
                };
                r.disk = Some(Box::new(v1::resource::DiskInfo {
                    source: Some(source),
                    ..Default::default()
                }));
            },
            "",
        ),
    ];
    for (change, text) in cases {
        let mut volume = volume("v");
        change(&mut volume);
        assert_eq!(read_text(&[volume]), text);
    }
}

#[test]
fn entries_gpus_and_reservations_are_checked_in_this_order() {
    assert_eq!(
        read_text(&[scalar("cpus", -1.0)]),
        "Invalid resources: Resource 'cpus(allocated: *):-1' is invalid: Invalid scalar resource: \
         value <= 0"
    );
    assert_eq!(
        read_text(&[scalar("gpus", 1.5)]),
        "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
    );
    assert_eq!(read_text(&[scalar("gpus", 2.0)]), "");
    let mut reserved = v1::Resource {
        disk: None,
        ..volume("v")
    };
    reserved.revocable = Some(Default::default());
    assert_eq!(
        read_text(&[reserved]),
        "Invalid ReservationInfo: Dynamically reserved resource \
         disk(allocated: *)(reservations: [(DYNAMIC,web)]){REV}:1 cannot be created from \
         revocable resources"
    );
}

#[test]
fn persistence_ids_are_unique_per_role() {
    let other_role = |role: &str| {
        let mut volume = volume("v");
        volume.reservations[0].role = Some(role.to_string());
        volume
    };
    let shared = || v1::Resource {
        shared: Some(Default::default()),
        ..volume("v")
    };
    let text = Err("Persistence ID 'v' is not unique".to_string());
    let unique =
        |list: &[v1::Resource]| validate_unique_persistence(&Resources::from_v1(list).unwrap());
    assert_eq!(
        unique(&[volume("v"), volume("w"), scalar("cpus", 1.0)]),
        Ok(())
    );
    assert_eq!(unique(&[volume("v"), other_role("db")]), Ok(()));
    assert_eq!(unique(&[volume("v"), volume("v")]), text);
    assert_eq!(unique(&[shared(), shared()]), Ok(()));
    assert_eq!(unique(&[shared(), volume("v")]), text);
    let mut elsewhere = shared();
    elsewhere.disk.as_mut().unwrap().volume = Some(v1::Volume {
        container_path: "elsewhere".to_string(),
        mode: v1::volume::Mode::Ro as i32,
        ..Default::default()
    });
    assert_eq!(unique(&[shared(), elsewhere]), Ok(()));
}

#[test]
fn allocation_and_revocability_do_not_mix() {
    assert_eq!(validate_single_allocation(&[]), Ok(()));
    assert_eq!(validate_revocable(&[]), Ok(()));
    let mut revocable = scalar("cpus", 1.0);
    revocable.revocable = Some(Default::default());
    assert_eq!(
        validate_revocable(&[revocable.clone(), scalar("mem", 1.0)]),
        Ok(())
    );
    assert_eq!(
        validate_revocable(&[revocable, scalar("cpus", 1.0)]),
        Err("Cannot use both revocable and non-revocable 'cpus' at the same time".to_string())
    );
}

#[test]
fn overlaps_are_of_ranges_and_sets_not_of_scalars() {
    let resources = |list: &[v1::Resource]| Resources::from_v1(list).unwrap();
    let set = |items: &[&str]| v1::Resource {
        r#type: v1::value::Type::Set as i32,
        scalar: None,
        set: Some(v1::value::Set {
            item: items.iter().map(|item| item.to_string()).collect(),
        }),
        ..scalar("zones", 0.0)
    };
    let low = resources(&[ports(1, 5), scalar("cpus", 1.0)]);
    let high = resources(&[ports(6, 9), scalar("cpus", 1.0)]);
    let middle = resources(&[ports(5, 6)]);
    assert!(!overlap(&[]));
    assert!(!overlap(&[&low, &high]));
    assert!(overlap(&[&low, &middle]));
    assert!(overlap(&[&low, &high, &middle]));
    assert!(overlap(&[
        &resources(&[set(&["a"])]),
        &resources(&[set(&["a", "b"])])
    ]));
    assert!(!overlap(&[
        &resources(&[set(&["a"])]),
        &resources(&[set(&["b"])])
    ]));
    let all = resources(&[ports(0, u64::MAX)]);
    assert!(overlap(&[&all, &all]));
}

#[test]
#[allow(deprecated)]
fn the_reservation_role_is_found_in_both_forms() {
    assert_eq!(reservation_role(&scalar("cpus", 1.0)), "*");
    assert_eq!(reservation_role(&volume("v")), "web");
    let old = v1::Resource {
        role: Some("db".to_string()),
        ..scalar("cpus", 1.0)
    };
    assert_eq!(reservation_role(&old), "db");
}
