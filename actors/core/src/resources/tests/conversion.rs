//! What operations make of resources.

use proptest::prelude::*;
use v1::offer::Operation;
use v1::offer::operation as payload;
use v1::offer::operation::Type;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::reservation_info::Type::{Dynamic, Static};

use super::*;
use crate::resources::conversion::{Conversion, conversions};

fn of(kind: Type) -> Operation {
    Operation {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

fn reserve(resources: Vec<v1::Resource>, source: Vec<v1::Resource>) -> Operation {
    Operation {
        reserve: Some(payload::Reserve { resources, source }),
        ..of(Type::Reserve)
    }
}

fn unreserve(resources: Vec<v1::Resource>) -> Operation {
    Operation {
        unreserve: Some(payload::Unreserve { resources }),
        ..of(Type::Unreserve)
    }
}

fn create(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        create: Some(payload::Create { volumes }),
        ..of(Type::Create)
    }
}

fn destroy(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        destroy: Some(payload::Destroy { volumes }),
        ..of(Type::Destroy)
    }
}

fn grow(volume: v1::Resource, addition: v1::Resource) -> Operation {
    Operation {
        grow_volume: Some(payload::GrowVolume { volume, addition }),
        ..of(Type::GrowVolume)
    }
}

fn shrink(volume: v1::Resource, by: f64) -> Operation {
    Operation {
        shrink_volume: Some(payload::ShrinkVolume {
            volume,
            subtract: v1::value::Scalar { value: by },
        }),
        ..of(Type::ShrinkVolume)
    }
}

fn stacked(name: &str, value: f64, roles: &[&str]) -> v1::Resource {
    v1::Resource {
        reservations: roles
            .iter()
            .map(|role| reservation(Dynamic, role))
            .collect(),
        ..scalar(name, value)
    }
}

/// A volume of this size on a disk reserved to `a`.
fn sized(id: &str, size: f64) -> v1::Resource {
    v1::Resource {
        scalar: Some(v1::value::Scalar { value: size }),
        ..volume(id, "a")
    }
}

fn convert(before: &Resources, operation: &Operation) -> Result<Resources, String> {
    let mut after = before.clone();
    let conversions = conversions(operation).map_err(|error| error.0)?;
    match after.convert(&conversions) {
        Ok(()) => Ok(after),
        Err(error) => {
            assert_eq!(&after, before, "a refused conversion changes nothing");
            Err(error.0)
        }
    }
}

fn converted(before: &Resources, operation: &Operation) -> String {
    convert(before, operation).unwrap().to_string()
}

#[test]
fn reserve_pushes_one_reservation() {
    let operation = reserve(vec![stacked("cpus", 2.0, &["a"])], vec![]);
    assert_eq!(
        converted(&bag("cpus:8;mem:5"), &operation),
        "cpus:6; mem:5; cpus(reservations: [(DYNAMIC,a)]):2"
    );
    let refine = reserve(vec![stacked("cpus", 2.0, &["a", "a/b"])], vec![]);
    let reserved = read(&[stacked("cpus", 3.0, &["a"])]);
    assert_eq!(
        converted(&reserved, &refine),
        "cpus(reservations: [(DYNAMIC,a)]):1; \
         cpus(reservations: [(DYNAMIC,a),(DYNAMIC,a/b)]):2"
    );
}

#[test]
fn reserve_with_a_source_replaces_its_reservations() {
    let source = vec![stacked("cpus", 2.0, &["a", "a/b"])];
    let target = vec![stacked("cpus", 2.0, &["a", "a/c"])];
    let before = read(&source);
    let after = convert(&before, &reserve(target.clone(), source.clone())).unwrap();
    assert_eq!(after, read(&target));
    assert_eq!(
        convert(&bag("cpus:2"), &reserve(target, source)).unwrap_err(),
        "cpus:2 does not contain cpus(reservations: [(DYNAMIC,a),(DYNAMIC,a/b)]):2"
    );
}

#[test]
fn unreserve_pops_one_reservation_of_each_resource() {
    let before = read(&[stacked("cpus", 2.0, &["a"]), stacked("mem", 3.0, &["a"])]);
    let one = [stacked("cpus", 1.5, &["a"]), stacked("mem", 3.0, &["a"])];
    assert_eq!(
        convert(&before, &unreserve(one.to_vec())).unwrap(),
        read(&[
            stacked("cpus", 0.5, &["a"]),
            scalar("cpus", 1.5),
            scalar("mem", 3.0)
        ])
    );
    let refined = read(&[stacked("cpus", 2.0, &["a", "a/b"])]);
    let pop = unreserve(vec![stacked("cpus", 2.0, &["a", "a/b"])]);
    assert_eq!(
        convert(&refined, &pop).unwrap(),
        read(&[stacked("cpus", 2.0, &["a"])])
    );
}

#[test]
fn all_conversions_are_done_or_none() {
    let before = read(&[stacked("cpus", 2.0, &["a"])]);
    let two = [stacked("cpus", 2.0, &["a"]), stacked("mem", 1.0, &["a"])];
    assert_eq!(
        convert(&before, &unreserve(two.to_vec())).unwrap_err(),
        "cpus:2 does not contain mem(reservations: [(DYNAMIC,a)]):1"
    );
}

#[test]
fn create_takes_its_size_from_the_disk() {
    let before = read(&[stacked("disk", 25.0, &["a"])]);
    let after = convert(
        &before,
        &create(vec![volume("v", "a"), shared(volume("w", "a"))]),
    );
    assert_eq!(
        after.unwrap().to_string(),
        "disk(reservations: [(DYNAMIC,a)]):5; disk(reservations: [(DYNAMIC,a)])[v]:10; \
         disk(reservations: [(DYNAMIC,a)])[w]<SHARED>:10<1>"
    );
    assert_eq!(
        convert(&before, &create(vec![sized("v", 26.0)])).unwrap_err(),
        "disk(reservations: [(DYNAMIC,a)]):25 does not contain \
         disk(reservations: [(DYNAMIC,a)]):26"
    );
}

#[test]
fn the_source_of_a_disk_outlives_its_volumes() {
    for kind in [SourceType::Mount, SourceType::Path] {
        let mut disk = sourced(kind, "/m");
        disk.reservations = vec![reservation(Static, "a")];
        let mut volume = disk.clone();
        let info = volume.disk.as_mut().unwrap();
        info.persistence = Some(v1::resource::disk_info::Persistence {
            id: "v".to_owned(),
            principal: Some("p".to_owned()),
        });
        info.volume = Some(v1::Volume {
            container_path: "data".to_owned(),
            mode: v1::volume::Mode::Rw as i32,
            ..Default::default()
        });
        let (empty, used) = (read(&[disk]), read(std::slice::from_ref(&volume)));
        let after = convert(&empty, &create(vec![volume.clone()])).unwrap();
        assert_eq!(after, used);
        assert!(after.to_string().contains(":/m,v:data]:10"), "{after}");
        assert_eq!(convert(&used, &destroy(vec![volume])).unwrap(), empty);
    }
}

#[test]
fn destroy_of_a_shared_volume_needs_its_last_copy() {
    let one = shared(volume("v", "a"));
    let mut before = read(std::slice::from_ref(&one));
    let operation = destroy(vec![one]);
    assert_eq!(
        converted(&before, &operation),
        "disk(reservations: [(DYNAMIC,a)]):10"
    );
    before.add(&before.clone());
    assert_eq!(
        convert(&before, &operation).unwrap_err(),
        "Persistent volume disk(reservations: [(DYNAMIC,a)])[v]<SHARED>:10 cannot be removed due \
         to additional shared copies"
    );
}

#[test]
fn grow_consumes_volume_and_addition() {
    let before = read(&[stacked("disk", 5.0, &["a"]), sized("v", 10.0)]);
    let operation = grow(sized("v", 10.0), stacked("disk", 2.5, &["a"]));
    assert_eq!(
        converted(&before, &operation),
        "disk(reservations: [(DYNAMIC,a)]):2.5; disk(reservations: [(DYNAMIC,a)])[v]:12.5"
    );
    let stale = grow(sized("v", 9.0), stacked("disk", 2.5, &["a"]));
    assert!(
        convert(&before, &stale)
            .unwrap_err()
            .contains(" does not contain ")
    );
    for addition in [scalar("disk", 2.5), stacked("cpus", 1.0, &["a"])] {
        assert_eq!(
            convert(&before, &grow(sized("v", 10.0), addition)).unwrap_err(),
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
        );
    }
}

#[test]
fn shrink_frees_part_of_the_disk() {
    let before = read(&[sized("v", 10.0)]);
    assert_eq!(
        converted(&before, &shrink(sized("v", 10.0), 2.5)),
        "disk(reservations: [(DYNAMIC,a)])[v]:7.5; disk(reservations: [(DYNAMIC,a)]):2.5"
    );
    for by in [-1.0, 10.5, f64::NAN, f64::INFINITY] {
        let error = convert(&before, &shrink(sized("v", 10.0), by)).unwrap_err();
        assert!(error.contains("cannot shrink by"), "{error}");
    }
}

#[test]
fn allocation_roles_must_agree() {
    let before = bag("cpus:2").allocated_to("a");
    let mut target = stacked("cpus", 1.0, &["a"]);
    assert!(convert(&before, &reserve(vec![target.clone()], vec![])).is_err());
    target.allocation_info = Some(v1::resource::AllocationInfo {
        role: Some("a".to_owned()),
    });
    assert_eq!(
        converted(&before, &reserve(vec![target], vec![])),
        "cpus(allocated: a):1; cpus(allocated: a)(reservations: [(DYNAMIC,a)]):1"
    );
}

#[test]
fn launches_convert_nothing() {
    for kind in [Type::Launch, Type::LaunchGroup] {
        assert_eq!(conversions(&of(kind)), Ok(Vec::<Conversion>::new()));
    }
}

#[test]
fn refuses_what_it_cannot_convert() {
    let text = |operation: &Operation| conversions(operation).unwrap_err().0;
    for kind in [Type::CreateDisk, Type::DestroyDisk] {
        assert_eq!(text(&of(kind)), "Operation not supported");
    }
    assert_eq!(text(&of(Type::Unknown)), "Unknown operation");
    assert_eq!(text(&Operation::default()), "Unknown operation");
    assert_eq!(
        text(&of(Type::Reserve)),
        "RESERVE operation has no payload, expected the field of its name"
    );
    for operation in [
        reserve(vec![scalar("cpus", 1.0)], vec![]),
        unreserve(vec![scalar("cpus", 1.0)]),
    ] {
        assert_eq!(
            text(&operation),
            "cpus:1 is not reserved, expected a reservation"
        );
    }
    assert_eq!(
        text(&create(vec![scalar("cpus", -1.0)])),
        "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
    );
    let mut provided = sized("v", 10.0);
    provided.provider_id = Some(v1::ResourceProviderId {
        value: "rp".to_owned(),
    });
    for operation in [
        grow(provided.clone(), scalar("disk", 1.0)),
        shrink(provided, 1.0),
    ] {
        assert_eq!(
            text(&operation),
            "Operation not supported for resource provider"
        );
    }
}

/// Totals by name, whatever the resources are reserved to or used for.
fn totals(bag: &Resources) -> (Quantities, Vec<(u64, u64)>) {
    (bag.quantities(), bag.ranges("ports"))
}

proptest! {
    #[test]
    fn unreserve_undoes_reserve(
        cpus in 1_i64..5000, mem in 1_i64..5000, part in 1_i64..5000,
        ports in prop::collection::vec((1_u64..50, 0_u64..5), 0..3), depth in 1_usize..4,
    ) {
        let part = part.min(cpus);
        let roles = &["a", "a/b", "a/b/c"][..depth];
        let mut before = vec![
            stacked("cpus", from_milli(cpus), &roles[..depth - 1]),
            stacked("mem", from_milli(mem), &roles[..depth - 1]),
        ];
        let mut wanted = vec![stacked("cpus", from_milli(part), roles)];
        for (begin, length) in ports {
            let text = format!("ports:[{begin}-{}]", begin + length);
            let mut ports = bag(&text).to_v1(Format::PostRefinement).remove(0);
            ports.reservations = before[0].reservations.clone();
            before.push(ports.clone());
            ports.reservations = wanted[0].reservations.clone();
            wanted.push(ports);
        }
        let before = read(&before);
        let wanted = read(&wanted).to_v1(Format::PostRefinement);
        let reserved = convert(&before, &reserve(wanted.clone(), vec![])).unwrap();
        prop_assert_eq!(totals(&reserved), totals(&before));
        prop_assert!(reserved.contains(&read(&wanted)));
        prop_assert_eq!(convert(&reserved, &unreserve(wanted)).unwrap(), before);
    }

    #[test]
    fn volumes_come_and_go_without_a_trace(
        disk in 10_i64..9000, size in 1_i64..9000, more in 1_i64..9000, share in any::<bool>(),
    ) {
        let size = size.min(disk);
        let before = read(&[stacked("disk", from_milli(disk), &["a"])]);
        let volume = sized("v", from_milli(size));
        let volume = if share { shared(volume) } else { volume };
        let created = convert(&before, &create(vec![volume.clone()])).unwrap();
        prop_assert_eq!(totals(&created), totals(&before));
        let gone = convert(&created, &destroy(vec![volume.clone()])).unwrap();
        prop_assert_eq!(&gone, &before);
        let addition = stacked("disk", from_milli(more), &["a"]);
        if share || more > disk - size {
            // There is too little to grow by; and a shared volume is one, whole.
            let grown = convert(&created, &grow(volume, addition));
            prop_assert_eq!(grown.is_err(), more > disk - size);
            return Ok(());
        }
        let grown = convert(&created, &grow(volume, addition)).unwrap();
        prop_assert_eq!(totals(&grown), totals(&before));
        let grown_volume = sized("v", from_milli(size + more));
        let shrunk = convert(&grown, &shrink(grown_volume, from_milli(more))).unwrap();
        prop_assert_eq!(shrunk, created);
    }
}
