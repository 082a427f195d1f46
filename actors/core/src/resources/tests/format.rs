//! Lists of resources from one form to another.

use v1::resource::reservation_info::Type::{Dynamic, Static};

use super::*;

#[allow(deprecated)]
fn old(name: &str, role: Option<&str>, principal: Option<&str>) -> v1::Resource {
    v1::Resource {
        role: role.map(str::to_owned),
        reservation: principal.map(|principal| v1::resource::ReservationInfo {
            principal: Some(principal.to_owned()),
            ..Default::default()
        }),
        ..scalar(name, 1.0)
    }
}

fn new(name: &str, stack: &[v1::resource::ReservationInfo]) -> v1::Resource {
    v1::Resource {
        reservations: stack.to_vec(),
        ..scalar(name, 1.0)
    }
}

fn by(principal: &str) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        principal: Some(principal.to_owned()),
        ..reservation(Dynamic, "a")
    }
}

/// The same resources in the old form and in the new one.
fn both_forms() -> (Vec<v1::Resource>, Vec<v1::Resource>) {
    let before = vec![
        old("cpus", Some("*"), None),
        old("mem", Some("a"), None),
        old("gpus", Some("a"), Some("p")),
        // The same again: lists are rewritten, not summed.
        old("cpus", Some("*"), None),
    ];
    let after = vec![
        new("cpus", &[]),
        new("mem", &[reservation(Static, "a")]),
        new("gpus", &[by("p")]),
        new("cpus", &[]),
    ];
    (before, after)
}

#[test]
fn upgrading_makes_stacks() {
    let (before, after) = both_forms();
    let mut list = before.clone();
    upgrade(&mut list);
    assert_eq!(list, after);
    upgrade(&mut list);
    assert_eq!(list, after);
    let mut bare = vec![old("cpus", None, None)];
    upgrade(&mut bare);
    assert_eq!(bare, [new("cpus", &[])]);
    let mut endpoint = read(&before).to_v1(Format::Endpoint);
    upgrade(&mut endpoint);
    assert_eq!(endpoint, read(&before).to_v1(Format::PostRefinement));
}

#[test]
fn downgrading_gives_the_old_fields_back() {
    let (before, after) = both_forms();
    let mut list = after.clone();
    assert_eq!(downgrade(&mut list), Ok(()));
    assert_eq!(list, before);
    assert_eq!(downgrade(&mut list), Ok(()));
    assert_eq!(list, before);
    assert_eq!(
        read(&after).to_v1_downgraded().unwrap(),
        read(&after).to_v1(Format::PreRefinement)
    );
}

#[test]
fn refined_reservations_cannot_be_downgraded() {
    let refined = [reservation(Static, "a"), reservation(Dynamic, "a/b")];
    let before = vec![
        new("mem", &[reservation(Static, "a")]),
        new("cpus", &refined),
    ];
    let mut list = before.clone();
    let text = "Cannot downgrade resources containing refined reservations";
    assert_eq!(downgrade(&mut list).unwrap_err().0, text);
    assert_eq!(list, before);
    assert_eq!(read(&before).to_v1_downgraded().unwrap_err().0, text);
}

#[test]
fn what_else_a_resource_says_is_kept() {
    let mut whole = shared(volume("v", "a"));
    whole.allocation_info = Some(v1::resource::AllocationInfo {
        role: Some("a".to_owned()),
    });
    whole.provider_id = Some(v1::ResourceProviderId {
        value: "rp".to_owned(),
    });
    let mut list = vec![whole.clone()];
    downgrade(&mut list).unwrap();
    assert_eq!(list[0].disk, whole.disk);
    assert!(list[0].reservations.is_empty());
    upgrade(&mut list);
    assert_eq!(list, [whole]);
}
