//! Shared volumes and how often they are held.

use super::*;

/// This many copies of the shared volume `v`.
fn copies(count: usize) -> Resources {
    read(&vec![shared(volume("v", "a")); count])
}

fn sum(a: &Resources, b: &Resources) -> Resources {
    let mut sum = a.clone();
    sum.add(b);
    sum
}

fn difference(a: &Resources, b: &Resources) -> Resources {
    let mut rest = a.clone();
    rest.subtract(b);
    rest
}

fn held(bag: &Resources) -> u32 {
    bag.shared().iter().map(Entry::copies).sum()
}

#[test]
fn the_number_of_copies_is_printed() {
    let text = "disk(reservations: [(DYNAMIC,a)])[v]<SHARED>:10";
    assert_eq!(copies(1).to_string(), format!("{text}<1>"));
    assert_eq!(copies(2).to_string(), format!("{text}<2>"));
    let both = sum(&copies(3), &bag("cpus:1"));
    assert_eq!(both.to_string(), format!("{text}<3>; cpus:1"));
    assert_eq!(copies(2).iter().next().unwrap().to_string(), text);
}

#[test]
fn copies_add_up_and_come_off() {
    let four = sum(&bag("cpus:2;mem:10"), &copies(4));
    let three = sum(&bag("cpus:2;mem:10"), &copies(3));
    assert_eq!(held(&sum(&four, &three)), 7);
    assert_eq!(sum(&four, &three).scalar_milli("disk"), 10_000);
    assert_eq!(difference(&sum(&four, &four), &four), four);
    assert_eq!(difference(&sum(&four, &three), &four), three);
    assert_eq!(difference(&sum(&three, &four), &three), four);
    assert_eq!(sum(&difference(&four, &three), &three), four);
    assert!(difference(&three, &four).is_empty());
    assert_eq!(difference(&four, &three), copies(1));
    assert!(four.contains(&three) && !three.contains(&four));
}

#[test]
fn only_the_very_same_volume_is_a_copy() {
    let other = read(&[shared(volume("w", "a"))]);
    let larger = read(&[shared(v1::Resource {
        scalar: Some(v1::value::Scalar { value: 20.0 }),
        ..volume("v", "a")
    })]);
    let exclusive = read(&[volume("v", "a")]);
    for different in [&other, &larger, &exclusive] {
        assert!(!copies(2).contains(different), "{different}");
        assert!(!different.contains(&copies(1)), "{different}");
        assert_eq!(difference(&copies(2), different), copies(2));
        assert_eq!(difference(different, &copies(2)), *different);
        let both = sum(&copies(2), different);
        assert_eq!(both.iter().count(), 2);
        assert!(both.contains(different) && both.contains(&copies(2)));
    }
    assert_eq!(sum(&copies(2), &exclusive).scalar_milli("disk"), 20_000);
    assert_eq!(sum(&copies(2), &exclusive).non_shared(), exclusive);
}

#[test]
fn allocation_roles_keep_copies_apart() {
    let a = copies(2).allocated_to("a");
    let b = copies(1).allocated_to("b");
    let both = sum(&a, &b);
    assert_eq!(both.iter().count(), 2);
    assert_eq!(both.by_allocation_role()["a"], a);
    assert_eq!(both.unallocated(), copies(3));
    assert_eq!(
        both.unallocated().allocated_to("a"),
        copies(3).allocated_to("a")
    );
}

#[test]
fn a_shared_volume_is_one_quantity() {
    let some = sum(&copies(5), &bag("disk:10"));
    let has = |text| some.contains_quantities(&Quantities::parse(text).unwrap());
    assert!(has("disk:20"));
    assert!(!has("disk:20.001"));
    assert_eq!(some.quantities(), Quantities::parse("disk:20").unwrap());
}

#[test]
fn the_wire_knows_volumes_not_copies() {
    let many = copies(7);
    let wire = many.to_v1(Format::PostRefinement);
    assert_eq!(wire, [shared(volume("v", "a"))]);
    assert_eq!(read(&wire), copies(1));
    assert!(many.iter().all(|entry| !entry.is_divisible()));
}
