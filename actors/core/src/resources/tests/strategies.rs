//! Generated resources for property tests: valid ones of every kind, and anything at all.

use proptest::prelude::*;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::disk_info::{Persistence, Source, source};
use v1::resource::{DiskInfo, ReservationInfo};

use super::*;

/// Bags of valid resources that differ in everything they can differ in.
pub fn bags() -> impl Strategy<Value = Resources> {
    prop::collection::vec(valid(), 0..8).prop_map(|list| read(&list))
}

/// Bags whose sums are never unions: of scalars only.
pub fn scalar_bags() -> impl Strategy<Value = Resources> {
    bags().prop_map(|bag| bag.filter(|entry| entry.scalar_milli().is_some()))
}

/// One valid resource, in the new form.
pub fn valid() -> impl Strategy<Value = v1::Resource> {
    let plain = prop_oneof![
        4 => (select(&["cpus", "mem", "gpus", "gold"]), 1_i64..9000)
            .prop_map(|(name, milli)| scalar(name, from_milli(milli))),
        1 => ranges(),
        1 => items(),
        3 => disks(),
    ];
    let role = prop::option::of(select(&["a", "a/b"]));
    let provider = prop::option::weighted(0.2, Just("rp"));
    (plain, stacks(), role, provider, prop::bool::weighted(0.2)).prop_map(
        |(plain, stack, allocation, provider, revocable)| v1::Resource {
            reservations: stack,
            allocation_info: allocation.map(|role| v1::resource::AllocationInfo {
                role: Some(role.to_owned()),
            }),
            provider_id: provider.map(|id| v1::ResourceProviderId {
                value: id.to_owned(),
            }),
            revocable: revocable.then(Default::default),
            ..plain
        },
    )
}

/// A resource as a peer may send it: right or wrong.
pub fn sent() -> impl Strategy<Value = v1::Resource> {
    prop_oneof![2 => valid(), 1 => anything()]
}

/// A resource with anything in any field.
fn anything() -> impl Strategy<Value = v1::Resource> {
    let kind = prop_oneof![0..4, any::<i32>()];
    let amounts = (
        prop::option::of(prop_oneof![any::<f64>(), -10.0..1e6]),
        prop::option::of(prop::collection::vec((any::<u64>(), any::<u64>()), 0..4)),
        prop::option::of(prop::collection::vec("[a-b]{0,2}", 0..4)),
    );
    let role = prop::option::of("[a-b*/ .-]{0,4}");
    let old = prop::option::of(any_reservation());
    let stack = prop::collection::vec(any_reservation(), 0..3);
    let flags = (any::<bool>(), any::<bool>(), prop::option::of(disks()));
    (
        select(&["", "cpus", "disk", "ports"]),
        kind,
        amounts,
        role,
        old,
        stack,
        flags,
    )
        .prop_map(|(name, kind, amounts, role, old, stack, flags)| {
            let (number, ranges, items) = amounts;
            let (revocable, shared, disk) = flags;
            #[allow(deprecated)]
            v1::Resource {
                name: name.to_owned(),
                r#type: kind,
                scalar: number.map(|value| v1::value::Scalar { value }),
                ranges: ranges.map(to_ranges),
                set: items.map(|item| v1::value::Set { item }),
                role,
                reservation: old,
                reservations: stack,
                revocable: revocable.then(Default::default),
                shared: shared.then(Default::default),
                disk: disk.and_then(|disk| disk.disk),
                ..Default::default()
            }
        })
}

fn select(names: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(names)
}

fn to_ranges(pairs: Vec<(u64, u64)>) -> v1::value::Ranges {
    let pairs = pairs.into_iter();
    v1::value::Ranges {
        range: pairs
            .map(|(begin, end)| v1::value::Range { begin, end })
            .collect(),
    }
}

fn ranges() -> impl Strategy<Value = v1::Resource> {
    // Each in its own ten, so that they do not overlap.
    prop::collection::btree_map(0_u64..5, (0_u64..10, 0_u64..10), 1..4).prop_map(|tens| {
        let pairs = tens.into_iter().map(|(ten, (a, b))| {
            let (begin, end) = (a.min(b), a.max(b));
            (ten * 10 + begin, ten * 10 + end)
        });
        v1::Resource {
            name: "ports".to_owned(),
            r#type: v1::value::Type::Ranges as i32,
            ranges: Some(to_ranges(pairs.collect())),
            ..Default::default()
        }
    })
}

fn items() -> impl Strategy<Value = v1::Resource> {
    prop::sample::subsequence(vec!["x", "y", "z"], 1..3).prop_map(|items| v1::Resource {
        name: "zones".to_owned(),
        r#type: v1::value::Type::Set as i32,
        set: Some(v1::value::Set {
            item: items.into_iter().map(str::to_owned).collect(),
        }),
        ..Default::default()
    })
}

fn stacks() -> impl Strategy<Value = Vec<ReservationInfo>> {
    let principal = prop::option::of(select(&["p", "q"]));
    (0_usize..4, any::<bool>(), principal).prop_map(|(depth, fixed, principal)| {
        use v1::resource::reservation_info::Type::{Dynamic, Static};
        let roles = ["a", "a/b", "a/b/c"].iter().take(depth);
        roles
            .enumerate()
            .map(|(i, role)| match i == 0 && fixed {
                true => reservation(Static, role),
                false => ReservationInfo {
                    principal: principal.map(str::to_owned),
                    ..reservation(Dynamic, role)
                },
            })
            .collect()
    })
}

fn disks() -> impl Strategy<Value = v1::Resource> {
    let kind = prop::sample::select(vec![
        None,
        Some(SourceType::Path),
        Some(SourceType::Mount),
        Some(SourceType::Block),
        Some(SourceType::Raw),
    ]);
    let id = || prop::option::weighted(0.3, select(&["v", "w"]));
    (1_i64..4, kind, id(), id(), any::<bool>()).prop_map(|(size, kind, id, volume, share)| {
        let disk = scalar("disk", size as f64);
        let persistence = volume.map(|id| Persistence {
            id: id.to_owned(),
            principal: None,
        });
        let source = kind.map(|kind| Source {
            r#type: kind as i32,
            id: id.map(str::to_owned),
            mount: (kind == SourceType::Mount).then(source::Mount::default),
            ..Default::default()
        });
        if persistence.is_none() && source.is_none() {
            return disk;
        }
        let disk = v1::Resource {
            disk: Some(Box::new(DiskInfo {
                persistence,
                source,
                volume: None,
            })),
            ..disk
        };
        match share && volume.is_some() {
            true => shared(disk),
            false => disk,
        }
    })
}

fn any_reservation() -> impl Strategy<Value = ReservationInfo> {
    let role = prop::option::of("[a-b*/]{0,3}");
    let kind = prop::option::of(prop_oneof![0..3, any::<i32>()]);
    (role, kind, prop::option::of("[p-q]")).prop_map(|(role, kind, principal)| ReservationInfo {
        role,
        r#type: kind,
        principal,
        labels: None,
    })
}
