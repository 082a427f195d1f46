//! What else keeps resources of one name apart: reservations, revocability, providers, roles.

use v1::resource::reservation_info::Type::{self, Dynamic, Static};

use super::*;

fn label(key: &str, value: Option<&str>) -> v1::Label {
    v1::Label {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

fn reserved(stack: &[(Type, &str, Option<&str>, &[v1::Label])]) -> v1::Resource {
    let stack = stack.iter().map(
        |(kind, role, principal, labels)| v1::resource::ReservationInfo {
            principal: principal.map(str::to_owned),
            labels: (!labels.is_empty()).then(|| v1::Labels {
                labels: labels.to_vec(),
            }),
            ..reservation(*kind, role)
        },
    );
    v1::Resource {
        reservations: stack.collect(),
        ..scalar("cpus", 8.0)
    }
}

/// Resources that differ in one thing each.
fn different() -> Vec<v1::Resource> {
    let (bar, baz) = ([label("foo", Some("bar"))], [label("foo", Some("baz"))]);
    let plain = || scalar("cpus", 8.0);
    vec![
        plain(),
        scalar("mem", 8.0),
        v1::Resource {
            revocable: Some(v1::resource::RevocableInfo::default()),
            ..plain()
        },
        v1::Resource {
            provider_id: Some(v1::ResourceProviderId {
                value: "rp".to_owned(),
            }),
            ..plain()
        },
        v1::Resource {
            allocation_info: Some(v1::resource::AllocationInfo {
                role: Some("a".to_owned()),
            }),
            ..plain()
        },
        reserved(&[(Static, "a", None, &[])]),
        reserved(&[(Static, "b", None, &[])]),
        reserved(&[(Dynamic, "a", None, &[])]),
        reserved(&[(Dynamic, "a", Some("p"), &[])]),
        reserved(&[(Dynamic, "a", Some("q"), &[])]),
        reserved(&[(Dynamic, "b", Some("p"), &[])]),
        reserved(&[(Dynamic, "a", Some("p"), &bar)]),
        reserved(&[(Dynamic, "a", Some("p"), &baz)]),
        reserved(&[(Static, "a", None, &[]), (Dynamic, "a/x", None, &[])]),
        reserved(&[(Dynamic, "a", None, &[]), (Dynamic, "a/x", None, &[])]),
        reserved(&[(Dynamic, "a/x", None, &[])]),
    ]
}

#[test]
fn each_difference_keeps_resources_apart() {
    let all: Vec<Resources> = different().into_iter().map(|one| read(&[one])).collect();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a} {b}");
            assert_eq!(a.contains(b), i == j, "{a} {b}");
            let mut rest = a.clone();
            rest.subtract(b);
            let wanted = if i == j { Resources::new() } else { a.clone() };
            assert_eq!(rest, wanted, "{a} {b}");
        }
    }
}

#[test]
fn sums_keep_each_apart_and_add_like_to_like() {
    let all = read(&different());
    let kinds = different().len();
    assert_eq!(all.iter().count(), kinds);
    let mut sum = all.clone();
    sum.add(&all);
    assert_eq!(sum.iter().count(), kinds);
    assert!(sum.iter().all(|entry| entry.scalar_milli() == Some(16_000)));
    assert!(sum.contains(&all) && !all.contains(&sum));
    sum.subtract(&all);
    assert_eq!(sum, all);
}

#[test]
fn the_order_of_labels_does_not_matter() {
    let (one, two) = (label("a", Some("1")), label("b", None));
    let with = |labels: &[v1::Label]| read(&[reserved(&[(Dynamic, "a", None, labels)])]);
    let ab = with(&[one.clone(), two.clone()]);
    assert_eq!(ab, with(&[two.clone(), one.clone()]));
    assert_ne!(ab, with(&[one.clone(), one.clone()]));
    assert_ne!(ab, with(std::slice::from_ref(&one)));
    assert_ne!(ab, with(&[one, label("b", Some(""))]));
}

#[test]
fn revocable_resources_are_picked_by_that() {
    let all = read(&different());
    let mut sum = all.revocable();
    assert_eq!(sum.to_string(), "cpus{REV}:8");
    sum.add(&all.non_revocable());
    assert_eq!(sum, all);
    assert!(all.revocable().non_revocable().is_empty());
}

#[test]
fn scalars_are_rounded_to_thousandths_and_stay_exact() {
    for (given, printed) in [
        (1.234, "cpus:1.234"),
        (1.2345, "cpus:1.235"),
        (1.2344, "cpus:1.234"),
        (1.5015, "cpus:1.502"),
        (1.5011, "cpus:1.501"),
        (1.1, "cpus:1.1"),
        (1_000_001.0, "cpus:1000001"),
        (99_999_999_999.999_4, "cpus:99999999999.999"),
    ] {
        assert_eq!(read(&[scalar("cpus", given)]).to_string(), printed);
    }
    let start = bag("cpus:1.001");
    let mut current = start.clone();
    for _ in 0..10_000 {
        current.add(&start);
    }
    assert_eq!(current.scalar_milli("cpus"), 10_011_001);
    for _ in 0..10_000 {
        current.subtract(&start);
    }
    assert_eq!(current, start);
}
