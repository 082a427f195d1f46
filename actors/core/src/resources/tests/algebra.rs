//! Adding, subtracting, containing and picking entries.

use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::reservation_info::Type as ReservationType;

use super::*;

#[test]
fn like_entries_merge_and_empty_ones_vanish() {
    let mut all = bag("cpus:1;mem:64;ports:[1-2];zones:{a,b}");
    all.add(&bag("cpus:0.5;ports:[3-4,9-9];zones:{b,c}"));
    assert_eq!(
        all.to_string(),
        "cpus:1.5; mem:64; ports:[1-4, 9-9]; zones:{a, b, c}"
    );
    all.subtract(&bag("cpus:1.5;mem:60;ports:[2-3];zones:{a}"));
    assert_eq!(
        all.to_string(),
        "zones:{b, c}; mem:4; ports:[1-1, 4-4, 9-9]"
    );
    assert!(bag("cpus:0;ports:[];zones:{}").is_empty());
}

#[test]
fn subtraction_stops_at_nothing() {
    let mut all = bag("cpus:1;mem:64");
    all.subtract(&bag("cpus:2;disk:5;mem(a):1"));
    assert_eq!(all, bag("mem:64"));
}

#[test]
fn ranges_split_at_every_edge() {
    let minus = |from: &str, gone: &str| {
        let mut all = bag(&format!("ports:{from}"));
        all.subtract(&bag(&format!("ports:{gone}")));
        all.to_string()
    };
    assert_eq!(minus("[1-10]", "[1-1,10-10]"), "ports:[2-9]");
    assert_eq!(minus("[1-10]", "[3-4,6-7]"), "ports:[1-2, 5-5, 8-10]");
    assert_eq!(minus("[1-3,5-7]", "[2-6]"), "ports:[1-1, 7-7]");
    assert_eq!(minus("[1-3,5-7]", "[4-4]"), "ports:[1-3, 5-7]");
    assert_eq!(minus("[1-3]", "[0-9]"), "{}");
    assert_eq!(minus("[5-9]", "[1-5]"), "ports:[6-9]");
    let largest = "[0-18446744073709551615]";
    assert_eq!(minus(largest, "[1-18446744073709551615]"), "ports:[0-0]");
    assert_eq!(minus(largest, largest), "{}");
}

#[test]
fn contains_compares_amounts_and_identity() {
    let all = bag("cpus:1;ports:[1-5,7-9];zones:{a,b};mem(a):8");
    for part in [
        "cpus:1",
        "ports:[2-3,8-8]",
        "zones:{b}",
        "mem(a):8",
        "zones:{b,a};cpus:0.5",
    ] {
        assert!(all.contains(&bag(part)), "{part}");
    }
    for more in [
        "cpus:1.001",
        "ports:[5-7]",
        "zones:{c}",
        "mem:8",
        "mem(b):1",
        "cpus:[1-1]",
    ] {
        assert!(!all.contains(&bag(more)), "{more}");
    }
    assert!(all.contains(&Resources::new()));
    assert!(!Resources::new().contains(&all));
}

#[test]
fn equality_ignores_order() {
    assert_eq!(bag("cpus:1;mem:2;z:{a,b}"), bag("z:{b,a};mem:2;cpus:1"));
    assert_ne!(bag("cpus:1;mem:2"), bag("cpus:1"));
    assert_ne!(bag("cpus:1"), bag("cpus(a):1"));
    assert_ne!(bag("z:{a,b}"), bag("z:{a,c}"));
}

#[test]
fn scalars_keep_three_decimals() {
    let mut all = bag("cpus:0.1");
    all.add(&bag("cpus:0.2"));
    assert_eq!(all, bag("cpus:0.3"));
    assert_eq!(
        all.to_v1(Format::PostRefinement)[0]
            .scalar
            .as_ref()
            .unwrap()
            .value,
        0.3
    );
    assert_eq!(read(&[scalar("cpus", 1.0006)]), bag("cpus:1.001"));
    assert_eq!(all.scalar_milli("cpus"), 300);
    assert_eq!(all.scalar_milli("mem"), 0);
}

#[test]
fn allocation_roles_separate_and_come_off() {
    let mut both = bag("cpus:1;mem:2").allocated_to("a");
    both.add(&bag("cpus:3").allocated_to("b"));
    let split = both.by_allocation_role();
    assert_eq!(split["a"], bag("cpus:1;mem:2").allocated_to("a"));
    assert_eq!(split["b"].scalar_milli("cpus"), 3000);
    assert_eq!(both.sole_allocation_role(), None);
    assert_eq!(split["a"].sole_allocation_role().unwrap().as_ref(), "a");
    assert_eq!(both.unallocated(), bag("cpus:4;mem:2"));
    assert!(!both.contains(&bag("cpus:1")));
    assert!(both.unallocated().by_allocation_role().is_empty());
}

#[test]
fn picking_everything_copies_nothing() {
    let all = bag("cpus:1;mem:2;ports:[1-2]");
    assert!(all.filter(|_| true).is_same_copy(&all));
    assert!(all.unallocated().is_same_copy(&all));
    let given = all.allocated_to("a");
    assert!(given.allocated_to("a").is_same_copy(&given));
    assert!(!given.allocated_to("b").is_same_copy(&given));
    for name in ["cpus", "mem", "ports"] {
        let rest = all.filter(|entry| entry.name() != name);
        assert_eq!(rest.iter().count(), 2);
        assert!(rest.iter().all(|entry| entry.name() != name), "{rest}");
    }
    assert!(all.filter(|_| false).is_empty());
}

#[test]
fn reservations_decide_who_may_have_it() {
    let all = bag("cpus:1;cpus(eng):2;cpus(eng/web):4;cpus(ops):8");
    assert_eq!(all.unreserved(), bag("cpus:1"));
    assert_eq!(all.reserved().scalar_milli("cpus"), 14_000);
    assert_eq!(all.reserved_to("eng"), bag("cpus(eng):2"));
    assert_eq!(all.allocatable_to("eng"), bag("cpus:1;cpus(eng):2"));
    assert_eq!(
        all.allocatable_to("eng/web"),
        bag("cpus:1;cpus(eng):2;cpus(eng/web):4")
    );
    assert_eq!(all.allocatable_to("engine"), bag("cpus:1"));
    assert_eq!(all.to_unreserved(), bag("cpus:15"));
}

#[test]
fn dynamic_reservations_differ_by_principal_and_labels() {
    let with = |principal: Option<&str>, label: Option<&str>| {
        let mut cpus = scalar("cpus", 1.0);
        let mut one = reservation(ReservationType::Dynamic, "a");
        one.principal = principal.map(str::to_owned);
        one.labels = label.map(|key| v1::Labels {
            labels: vec![v1::Label {
                key: key.to_owned(),
                value: None,
            }],
        });
        cpus.reservations = vec![one];
        cpus
    };
    let all = read(&[
        with(None, None),
        with(Some("p"), None),
        with(None, Some("l")),
    ]);
    assert_eq!(all.iter().count(), 3);
    assert!(all.iter().all(Entry::is_dynamically_reserved));
    let mut twice = all.clone();
    twice.add(&all);
    assert_eq!(twice.iter().count(), 3);
    assert_eq!(twice.scalar_milli("cpus"), 6000);
}

#[test]
fn exclusive_disks_stay_whole() {
    for kind in [SourceType::Mount, SourceType::Block] {
        let one = read(&[sourced(kind, "/a")]);
        let mut two = one.clone();
        two.add(&one);
        assert_eq!(two.iter().count(), 2, "{kind:?}");
        assert!(two.contains(&one) && !one.contains(&two));
        let mut half = sourced(kind, "/a");
        half.scalar = Some(v1::value::Scalar { value: 5.0 });
        assert!(!two.contains(&read(std::slice::from_ref(&half))));
        two.subtract(&read(&[half]));
        assert_eq!(two.scalar_milli("disk"), 20_000);
        two.subtract(&one);
        assert_eq!(two, one);
    }
    let mut path = read(&[sourced(SourceType::Path, "/a")]);
    path.add(&read(&[sourced(SourceType::Path, "/a")]));
    path.add(&read(&[sourced(SourceType::Path, "/b")]));
    assert_eq!(path.to_string(), "disk[PATH:/a]:20; disk[PATH:/b]:10");
    assert!(path.iter().all(Entry::is_divisible));
}

#[test]
fn raw_disks_with_an_identity_stay_whole() {
    let raw = |id: Option<&str>| {
        let mut disk = sourced(SourceType::Raw, "");
        let info = disk.disk.as_mut().unwrap().source.as_mut().unwrap();
        info.id = id.map(str::to_owned);
        disk
    };
    assert_eq!(read(&[raw(None), raw(None)]).iter().count(), 1);
    assert_eq!(read(&[raw(Some("1")), raw(Some("1"))]).iter().count(), 2);
}

#[test]
fn persistent_volumes_are_told_apart_by_id_only() {
    let mut mounted = volume("v", "a");
    mounted.disk.as_mut().unwrap().volume = Some(v1::Volume {
        container_path: "data".to_owned(),
        ..Default::default()
    });
    let all = read(&[volume("v", "a"), volume("w", "a")]);
    assert_eq!(all.iter().count(), 2);
    assert!(all.contains(&read(std::slice::from_ref(&mounted))));
    let mut left = all.clone();
    left.subtract(&read(&[mounted]));
    assert_eq!(left, read(&[volume("w", "a")]));
    assert_eq!(all.persistent_volumes(), all);
}

#[test]
fn shared_entries_count_copies() {
    let mut one = volume("v", "a");
    one.shared = Some(v1::resource::SharedInfo::default());
    let single = read(std::slice::from_ref(&one));
    let double = read(&[one.clone(), one.clone()]);
    assert_eq!(double.iter().count(), 1);
    assert_eq!(double.scalar_milli("disk"), 10_000);
    assert!(double.contains(&single) && !single.contains(&double));
    assert_ne!(single, double);
    let mut left = double.clone();
    left.subtract(&single);
    assert_eq!(left, single);
    left.subtract(&single);
    assert!(left.is_empty());
    assert!(!single.contains(&read(&[volume("v", "a")])));
    assert_eq!(double.shared(), double);
    assert!(double.non_shared().is_empty());
}

#[test]
fn revocable_and_provider_are_identity() {
    let mut revocable = scalar("cpus", 1.0);
    revocable.revocable = Some(v1::resource::RevocableInfo::default());
    let mut provided = scalar("cpus", 1.0);
    provided.provider_id = Some(v1::ResourceProviderId {
        value: "p".to_owned(),
    });
    let all = read(&[revocable, provided, scalar("cpus", 1.0)]);
    assert_eq!(all.iter().count(), 3);
    assert_eq!(all.revocable().to_string(), "cpus{REV}:1");
    assert_eq!(all.non_revocable().iter().count(), 2);
    assert_eq!(
        all.iter().filter_map(Entry::provider).collect::<Vec<_>>(),
        ["p"]
    );
}

#[test]
fn quantities_count_what_is_there() {
    let all = bag("cpus:1;cpus(a):2;ports:[1-10];zones:{x,y}");
    assert_eq!(all.quantities(), Quantities::parse("cpus:3").unwrap());
    let has = |text| all.contains_quantities(&Quantities::parse(text).unwrap());
    assert!(has("cpus:3;ports:10;zones:2"));
    assert!(!has("cpus:3.001"));
    assert!(!has("ports:11"));
    assert!(!has("mem:1"));
    assert_eq!(all.ranges("ports"), [(1, 10)]);
    assert!(all.ranges("cpus").is_empty());
    assert_eq!(all.names(), ["cpus", "ports", "zones"]);
}
