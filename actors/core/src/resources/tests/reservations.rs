//! Pushing and popping reservations.

use v1::resource::reservation_info::Type::{Dynamic, Static};

use super::*;
use crate::ids::Role;

fn dynamic(role: &str) -> Reservation {
    Reservation {
        kind: ReservationKind::Dynamic,
        role: Role::from(role),
        principal: None,
        labels: None,
    }
}

fn push_error(base: &Resources, reservation: &Reservation) -> String {
    base.push_reservation(reservation).unwrap_err().0
}

#[test]
fn pushing_reserves_and_refines() {
    let plain = bag("cpus:1;mem:2");
    let once = plain.push_reservation(&dynamic("a")).unwrap();
    let twice = once.push_reservation(&dynamic("a/b")).unwrap();
    assert_eq!(
        twice.to_string(),
        "cpus(reservations: [(DYNAMIC,a),(DYNAMIC,a/b)]):1; \
         mem(reservations: [(DYNAMIC,a),(DYNAMIC,a/b)]):2"
    );
    assert_eq!(twice.pop_reservation().unwrap(), once);
    assert_eq!(once.pop_reservation().unwrap(), plain);
    assert_eq!(twice.to_unreserved(), plain);
    assert!(plain.to_unreserved().is_same_copy(&plain));
}

#[test]
fn pushing_keeps_to_the_rules_of_stacks() {
    let plain = bag("cpus:1");
    let fixed = Reservation {
        kind: ReservationKind::Static,
        ..dynamic("a")
    };
    let reserved = plain.push_reservation(&fixed).unwrap();
    assert_eq!(reserved, bag("cpus(a):1"));
    assert_eq!(
        push_error(&plain, &dynamic("*")),
        "Invalid reservation: role \"*\" cannot be reserved"
    );
    assert_eq!(
        push_error(&plain, &dynamic("a//b")),
        "Role 'a//b' cannot contain two adjacent slashes"
    );
    assert_eq!(
        push_error(&reserved, &dynamic("b")),
        "Invalid refined reservation: role 'b' is not a refinement of 'a'"
    );
    assert_eq!(
        push_error(&reserved, &fixed),
        "Invalid refined reservation: A refined reservation cannot be STATIC"
    );
}

#[test]
fn what_is_not_reserved_cannot_be_popped() {
    let mixed = bag("cpus(a):1;mem:2");
    assert_eq!(
        mixed.pop_reservation().unwrap_err().0,
        "mem:2 is not reserved, expected a reservation"
    );
    assert!(Resources::new().pop_reservation().unwrap().is_empty());
}

#[test]
fn popping_merges_what_becomes_alike() {
    let two = bag("cpus(a):1;cpus(b):2");
    assert_eq!(two.pop_reservation().unwrap().to_string(), "cpus:3");
    assert_eq!(two.to_unreserved().to_string(), "cpus:3");
    let mut twice = read(&[shared(volume("v", "a"))]);
    twice.add(&twice.clone());
    let popped = twice.pop_reservation().unwrap();
    assert_eq!(popped.to_string(), "disk[v]<SHARED>:10<2>");
}

#[test]
fn stacks_have_their_common_beginning() {
    let stack = |roles: &[(v1::resource::reservation_info::Type, &str)]| {
        let mut cpus = scalar("cpus", 1.0);
        cpus.reservations = roles
            .iter()
            .map(|(kind, role)| reservation(*kind, role))
            .collect();
        Entry::from_v1(&cpus).unwrap()
    };
    let long = stack(&[(Static, "a"), (Dynamic, "a/b"), (Dynamic, "a/b/c")]);
    let cases = [
        (stack(&[]), 0),
        (stack(&[(Static, "a")]), 1),
        (stack(&[(Dynamic, "a")]), 0),
        (stack(&[(Static, "a"), (Dynamic, "a/x")]), 1),
        (stack(&[(Static, "a"), (Dynamic, "a/b")]), 2),
        (long.clone(), 3),
    ];
    for (other, wanted) in cases {
        let (a, b) = (long.reservations(), other.reservations());
        assert_eq!(common_reservations(a, b), &a[..wanted], "{other}");
        assert_eq!(common_reservations(b, a), &a[..wanted], "{other}");
    }
}
