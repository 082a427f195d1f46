//! What an agent remembers, and its resources with it.

use proptest::prelude::*;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::reservation_info::Type::{Dynamic, Static};

use super::*;
use crate::ids::Role;
use crate::resources::conversion::Conversion;

fn stacked(resource: v1::Resource, stack: &[v1::resource::ReservationInfo]) -> v1::Resource {
    v1::Resource {
        reservations: stack.to_vec(),
        ..resource
    }
}

fn with(given: &Resources, checkpointed: &[v1::Resource]) -> Result<Resources, String> {
    given
        .with_checkpointed(&read(checkpointed))
        .map_err(|error| error.0)
}

#[test]
fn reservations_and_volumes_made_at_run_time_are_remembered() {
    let fixed = stacked(volume("f", "a"), &[reservation(Static, "a")]);
    let refined = [reservation(Static, "a"), reservation(Dynamic, "a/b")];
    let mut provided = volume("p", "a");
    provided.provider_id = Some(v1::ResourceProviderId {
        value: "rp".to_owned(),
    });
    let cases = [
        (scalar("cpus", 1.0), false),
        (
            stacked(scalar("cpus", 1.0), &[reservation(Static, "a")]),
            false,
        ),
        (
            stacked(scalar("cpus", 1.0), &[reservation(Dynamic, "a")]),
            true,
        ),
        (stacked(scalar("cpus", 1.0), &refined), true),
        (sourced(SourceType::Mount, "/m"), false),
        (volume("v", "a"), true),
        (fixed, true),
        (provided, false),
    ];
    for (resource, wanted) in cases {
        let one = read(&[resource]);
        assert_eq!(!one.checkpointed().is_empty(), wanted, "{one}");
    }
}

#[test]
fn they_take_the_place_of_what_they_were_made_of() {
    let given = bag("cpus:4;mem(a):8;disk(a):100");
    let refined = [reservation(Static, "a"), reservation(Dynamic, "a/b")];
    let kept = [
        stacked(scalar("cpus", 1.0), &[reservation(Dynamic, "a")]),
        stacked(scalar("mem", 2.0), &refined),
        stacked(volume("v", "a"), &refined),
        shared(stacked(volume("w", "a"), &[reservation(Static, "a")])),
    ];
    let total = with(&given, &kept).unwrap();
    assert_eq!(
        total.to_string(),
        "cpus:3; mem(reservations: [(STATIC,a)]):6; disk(reservations: [(STATIC,a)]):80; \
         cpus(reservations: [(DYNAMIC,a)]):1; \
         mem(reservations: [(STATIC,a),(DYNAMIC,a/b)]):2; \
         disk(reservations: [(STATIC,a),(DYNAMIC,a/b)])[v]:10; \
         disk(reservations: [(STATIC,a)])[w]<SHARED>:10<1>"
    );
    assert_eq!(total.checkpointed(), read(&kept));
    assert_eq!(with(&given, &[]), Ok(given));
}

#[test]
fn volumes_go_back_onto_their_own_disk() {
    let mut mount = sourced(SourceType::Mount, "/m");
    let given = read(&[mount.clone(), scalar("disk", 10.0)]);
    mount.reservations = vec![reservation(Dynamic, "a")];
    mount.disk.as_mut().unwrap().persistence = volume("v", "a").disk.unwrap().persistence;
    let total = with(&given, &[mount]).unwrap();
    assert_eq!(
        total.to_string(),
        "disk:10; disk(reservations: [(DYNAMIC,a)])[MOUNT:/m,v]:10"
    );
}

#[test]
fn they_must_fit_what_the_agent_has() {
    let given = bag("cpus:4;disk:5");
    assert_eq!(
        with(&given, &[volume("v", "a")]),
        Err("Incompatible agent resources: cpus:4; disk:5 does not contain disk:10".to_owned())
    );
    let fixed = stacked(scalar("cpus", 1.0), &[reservation(Static, "a")]);
    assert_eq!(
        with(&given, &[fixed]),
        Err("Unexpected checkpointed resources cpus(reservations: [(STATIC,a)]):1".to_owned())
    );
}

proptest! {
    #[test]
    fn a_restarted_agent_has_what_it_had(
        sizes in prop::collection::vec((1_i64..900, any::<bool>(), any::<bool>()), 0..6),
    ) {
        let given = bag("cpus:10;disk:10;disk(a):10");
        let mut total = given.clone();
        for (i, (milli, refine, create)) in sizes.into_iter().enumerate() {
            let from = if refine { "disk(a):1" } else { "disk:1" };
            let taken: Resources = bag(from).iter().map(|entry| entry.with_milli(milli)).collect();
            let role = Role::from(if refine { "a/b" } else { "b" });
            let reserved = taken.push_reservation(&Reservation {
                kind: ReservationKind::Dynamic,
                role,
                principal: Some("p".to_owned()),
                labels: None,
            }).unwrap();
            let mut made = reserved.to_v1(Format::PostRefinement);
            if create {
                made[0].disk = volume(&format!("v{i}"), "a").disk;
            }
            let step = Conversion { consumed: taken, converted: read(&made) };
            total.convert(&[step]).unwrap();
        }
        prop_assert_eq!(given.with_checkpointed(&total.checkpointed()).unwrap(), total);
    }
}
