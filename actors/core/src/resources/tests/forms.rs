//! Reading, writing and validating the v1 forms.

use v1::resource::ReservationInfo;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::reservation_info::Type::{Dynamic, Static};

use super::*;

fn problem(resource: &v1::Resource) -> String {
    validate_one(resource).unwrap_err().0
}

fn with_role(mut resource: v1::Resource, role: &str) -> v1::Resource {
    #[allow(deprecated)]
    {
        resource.role = Some(role.to_owned());
    }
    resource
}

fn old_reservation(principal: Option<&str>) -> ReservationInfo {
    ReservationInfo {
        principal: principal.map(str::to_owned),
        ..Default::default()
    }
}

/// Every form of one bag must read back as the same bag.
fn assert_round_trips(bag: &Resources) {
    for format in [
        Format::PostRefinement,
        Format::PreRefinement,
        Format::Endpoint,
    ] {
        assert_eq!(read(&bag.to_v1(format)), *bag, "{format:?}");
    }
}

#[test]
fn unreserved_has_role_star_in_the_old_form_only() {
    let all = bag("cpus:1;ports:[1-2];z:{a}").allocated_to("r");
    let old = all.to_v1(Format::PreRefinement);
    assert!(
        old.iter()
            .all(|r| validate::role_field(r) == Some("*") && r.reservations.is_empty())
    );
    let new = all.to_v1(Format::PostRefinement);
    assert!(new.iter().all(|r| validate::role_field(r).is_none()));
    assert_eq!(new[0].allocation_info.as_ref().unwrap().role(), "r");
    assert_round_trips(&all);
}

#[test]
fn reservations_are_written_in_both_forms() {
    let mut dynamic = with_role(scalar("cpus", 1.0), "a");
    dynamic.reservation = Some(old_reservation(Some("p")));
    let all = read(&[dynamic.clone(), with_role(scalar("mem", 2.0), "a")]);
    assert_eq!(
        all.to_string(),
        "cpus(reservations: [(DYNAMIC,a,p)]):1; mem(reservations: [(STATIC,a)]):2"
    );
    let old = all.to_v1(Format::PreRefinement);
    assert_eq!(old[0], dynamic);
    assert_eq!(validate::role_field(&old[1]), Some("a"));
    assert!(old[1].reservation.is_none());
    let new = all.to_v1(Format::PostRefinement);
    assert_eq!(new[0].reservations.len(), 1);
    assert!(new[0].reservation.is_none());
    let endpoint = all.to_v1(Format::Endpoint);
    assert_eq!(endpoint[0].reservations, new[0].reservations);
    assert_eq!(endpoint[0].reservation, dynamic.reservation);
    assert_round_trips(&all);
}

#[test]
fn refined_reservations_always_go_out_as_a_stack() {
    let mut refined = scalar("cpus", 1.0);
    refined.reservations = vec![reservation(Static, "a"), reservation(Dynamic, "a/b")];
    let all = read(&[refined]);
    let entry = all.iter().next().unwrap();
    assert!(entry.has_refined_reservations());
    assert_eq!(entry.reservation_role().unwrap().as_ref(), "a/b");
    let old = all.to_v1(Format::PreRefinement);
    assert_eq!(old[0].reservations.len(), 2);
    assert_eq!(validate::role_field(&old[0]), None);
    assert_round_trips(&all);
}

#[test]
fn disks_and_flags_survive() {
    let mut shared = volume("v", "a");
    shared.shared = Some(v1::resource::SharedInfo::default());
    let mut revocable = scalar("cpus", 1.0);
    revocable.revocable = Some(v1::resource::RevocableInfo::default());
    let mut provided = sourced(SourceType::Path, "/p");
    provided.provider_id = Some(v1::ResourceProviderId {
        value: "rp".to_owned(),
    });
    let list = [
        shared,
        revocable,
        provided,
        sourced(SourceType::Mount, "/m"),
    ];
    let all = read(&list);
    assert_eq!(all.to_v1(Format::PostRefinement), list);
    assert_round_trips(&all);
}

#[test]
fn the_error_names_the_resource() {
    let error = |resource| {
        Resources::from_v1(&[scalar("mem", 1.0), resource])
            .unwrap_err()
            .0
    };
    assert_eq!(
        error(scalar("cpus", -1.0)),
        "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
    );
    let mut disk = volume("p", "golden-a");
    disk.name = "cpus".to_owned();
    disk.disk.as_mut().unwrap().volume = Some(v1::Volume {
        container_path: "d".to_owned(),
        ..Default::default()
    });
    assert_eq!(
        error(disk),
        "Resource 'cpus(reservations: [(DYNAMIC,golden-a)])[p:d]:10' is invalid: DiskInfo should \
         not be set for cpus resource"
    );
    let mut star = scalar("cpus", 0.1);
    star.reservations = vec![reservation(Dynamic, "*")];
    assert_eq!(
        error(star),
        "Resource 'cpus(reservations: [(DYNAMIC,*)]):0.1' is invalid: Invalid reservation: role \
         \"*\" cannot be reserved"
    );
}

#[test]
fn amounts_must_fit_their_type() {
    assert_eq!(problem(&scalar("", 1.0)), "Empty resource name");
    let mut typed = scalar("x", 1.0);
    typed.r#type = v1::value::Type::Ranges as i32;
    assert_eq!(problem(&typed), "Invalid ranges resource");
    typed.r#type = v1::value::Type::Set as i32;
    assert_eq!(problem(&typed), "Invalid set resource");
    typed.r#type = v1::value::Type::Text as i32;
    assert_eq!(problem(&typed), "Unsupported resource type");
    typed.r#type = 99;
    assert_eq!(problem(&typed), "Invalid resource type");
    typed.r#type = v1::value::Type::Scalar as i32;
    typed.set = Some(v1::value::Set::default());
    assert_eq!(problem(&typed), "Invalid scalar resource");
    for bad in [
        -0.5,
        0.0004,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e200,
    ] {
        assert_eq!(
            problem(&scalar("x", bad)),
            "Invalid scalar resource: value <= 0",
            "{bad}"
        );
    }
    assert!(read(&[scalar("x", 0.0)]).is_empty());
}

#[test]
fn ranges_and_sets_must_make_sense() {
    let ranges = |list: &[(u64, u64)]| v1::Resource {
        name: "p".to_owned(),
        r#type: v1::value::Type::Ranges as i32,
        ranges: Some(v1::value::Ranges {
            range: list
                .iter()
                .map(|&(begin, end)| v1::value::Range { begin, end })
                .collect(),
        }),
        ..Default::default()
    };
    assert_eq!(
        problem(&ranges(&[(2, 1)])),
        "Invalid ranges resource: begin > end"
    );
    let overlap = "Invalid ranges resource: overlapping ranges";
    assert_eq!(problem(&ranges(&[(5, 9), (1, 5)])), overlap);
    assert_eq!(problem(&ranges(&[(1, 9), (3, 4)])), overlap);
    assert_eq!(read(&[ranges(&[(3, 4), (1, 2)])]).to_string(), "p:[1-4]");
    let set = v1::Resource {
        name: "s".to_owned(),
        r#type: v1::value::Type::Set as i32,
        set: Some(v1::value::Set {
            item: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
        }),
        ..Default::default()
    };
    assert_eq!(problem(&set), "Invalid set resource: duplicated elements");
}

#[test]
fn disk_sources_must_fit() {
    let mut block = sourced(SourceType::Block, "");
    block.disk.as_mut().unwrap().source.as_mut().unwrap().mount = Some(Default::default());
    assert_eq!(
        problem(&block),
        "Mount should not be set for BLOCK disk source"
    );
    let mut raw = sourced(SourceType::Raw, "");
    raw.disk.as_mut().unwrap().source.as_mut().unwrap().path = Some(Default::default());
    assert_eq!(problem(&raw), "Path should not be set for RAW disk source");
    assert_eq!(
        problem(&sourced(SourceType::Unknown, "")),
        "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'"
    );
}

#[test]
fn the_old_form_has_its_rules() {
    assert_eq!(
        problem(&with_role(scalar("x", 1.0), "/a")),
        "Role '/a' cannot start with a slash"
    );
    let mut reserved = scalar("x", 1.0);
    reserved.reservation = Some(old_reservation(None));
    assert_eq!(
        problem(&reserved),
        "Invalid reservation: role \"*\" cannot be dynamically reserved"
    );
    let mut typed = with_role(scalar("x", 1.0), "a");
    typed.reservation = Some(reservation(Dynamic, "a"));
    assert_eq!(
        problem(&typed),
        "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field"
    );
    typed.reservation.as_mut().unwrap().r#type = None;
    assert_eq!(
        problem(&typed),
        "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field"
    );
}

#[test]
fn the_stack_has_its_rules() {
    let stacked = |stack: &[ReservationInfo]| {
        let mut resource = scalar("x", 1.0);
        resource.reservations = stack.to_vec();
        problem(&resource)
    };
    let unset = "field must be set.";
    let mut bare = reservation(Static, "a");
    bare.r#type = None;
    assert_eq!(
        stacked(&[bare]),
        format!("Invalid reservation: 'Resource.ReservationInfo.type' {unset}")
    );
    let mut bare = reservation(Static, "a");
    bare.role = None;
    assert_eq!(
        stacked(&[bare]),
        format!("Invalid reservation: 'Resource.ReservationInfo.role' {unset}")
    );
    assert_eq!(
        stacked(&[reservation(Static, "a"), reservation(Static, "a/b")]),
        "Invalid refined reservation: A refined reservation cannot be STATIC"
    );
    assert_eq!(
        stacked(&[reservation(Static, "a"), reservation(Dynamic, "ab")]),
        "Invalid refined reservation: role 'ab' is not a refinement of 'a'"
    );
    assert_eq!(
        stacked(&[reservation(
            v1::resource::reservation_info::Type::Unknown,
            "a"
        )]),
        "Unsupported 'Resource.ReservationInfo.Type'"
    );
}

#[test]
fn both_forms_at_once_must_agree() {
    let format = "Invalid resource format: ";
    let mut both = with_role(scalar("x", 1.0), "b");
    both.reservations = vec![reservation(Static, "a")];
    assert_eq!(
        problem(&both),
        format!(
            "{format}'Resource.role' field with 'b' does not match the role 'a' in \
             'Resource.reservations'"
        )
    );
    let mut both = with_role(scalar("x", 1.0), "a");
    both.reservations = vec![reservation(Static, "a")];
    both.reservation = Some(old_reservation(None));
    assert!(problem(&both).ends_with("in 'Resource.reservations' is STATIC"));
    both.reservations = vec![reservation(Dynamic, "a")];
    assert_eq!(validate_one(&both), Ok(()));
    both.reservation = Some(old_reservation(Some("p")));
    assert_eq!(
        problem(&both),
        format!(
            "{format}'Resource.reservation.principal' field with 'p' does not match the \
             principal '' in 'Resource.reservations'"
        )
    );
    both.reservation = Some(ReservationInfo {
        labels: Some(v1::Labels {
            labels: vec![v1::Label {
                key: "k".to_owned(),
                value: None,
            }],
        }),
        ..Default::default()
    });
    assert_eq!(
        problem(&both),
        format!(
            "{format}'Resource.reservation.labels' field with '{{k}}' does not match the labels \
             '{{}}' in 'Resource.reservations'"
        )
    );
    both.reservation = None;
    assert!(problem(&both).ends_with("is DYNAMIC"));
    both.reservations.push(reservation(Dynamic, "a/b"));
    assert!(problem(&both).starts_with("Invalid resource format: 'Resource.role' must not be set"));
}

#[test]
fn only_persistent_volumes_are_shared() {
    let mut cpus = scalar("cpus", 1.0);
    cpus.shared = Some(v1::resource::SharedInfo::default());
    assert_eq!(problem(&cpus), "Resource cpus cannot be shared");
    cpus.name = "disk".to_owned();
    assert_eq!(problem(&cpus), "Only persistent volumes can be shared");
}
