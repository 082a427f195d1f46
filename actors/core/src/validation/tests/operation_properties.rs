//! What holds for every operation: rules and conversions agree, and nothing panics.

use proptest::prelude::*;
use tepui_protocol::v1;
use v1::offer::Operation;
use v1::offer::operation as payload;
use v1::offer::operation::Type;
use v1::resource::DiskInfo;
use v1::resource::disk_info::Source;
use v1::resource::disk_info::source::Type as SourceType;

use super::fixtures::volume;
use crate::ids::{AgentId, Role};
use crate::resources::conversion::conversions;
use crate::resources::tests::strategies::{bags, sent};
use crate::resources::{Entry, Format, Reservation, ReservationKind, Resources};
use crate::validation::operation::{
    validate, validate_create, validate_create_disk, validate_destroy, validate_destroy_disk,
    validate_grow_volume, validate_reserve, validate_shrink_volume, validate_unreserve,
};

fn capabilities() -> Vec<String> {
    [
        "HIERARCHICAL_ROLE",
        "RESERVATION_REFINEMENT",
        "RESIZE_VOLUME",
    ]
    .map(str::to_string)
    .to_vec()
}

/// Volumes and disks that some operation accepts: reserved, mounted, on any kind of disk.
fn disks() -> impl Strategy<Value = v1::Resource> {
    let kind = prop::sample::select(vec![
        None,
        Some(SourceType::Path),
        Some(SourceType::Mount),
        Some(SourceType::Raw),
    ]);
    let flag = prop::bool::weighted;
    let (provided, shared, used) = (flag(0.3), flag(0.2), flag(0.7));
    (1_i64..4, kind, provided, shared, used).prop_map(|(size, kind, provided, shared, used)| {
        let mut disk = v1::Resource {
            scalar: Some(v1::value::Scalar { value: size as f64 }),
            allocation_info: None,
            provider_id: provided.then(|| v1::ResourceProviderId {
                value: "rp".to_string(),
            }),
            shared: (shared && used).then(Default::default),
            ..volume("v")
        };
        let source = kind.map(|kind| Source {
            r#type: kind as i32,
            id: provided.then(|| "id".to_string()),
            profile: provided.then(|| "fast".to_string()),
            ..Default::default()
        });
        disk.disk = match (used, source, disk.disk) {
            (true, source, Some(info)) => Some(Box::new(DiskInfo { source, ..*info })),
            (_, None, _) => None,
            (_, source, _) => Some(Box::new(DiskInfo {
                source,
                ..Default::default()
            })),
        };
        disk
    })
}

/// Two resources as they are sent; often the second is what the first, a volume, is made of.
fn pairs() -> impl Strategy<Value = (v1::Resource, v1::Resource)> {
    let first = prop_oneof![1 => sent(), 2 => disks()];
    first.prop_flat_map(|one| {
        let below = Entry::from_v1(&one)
            .map(|entry| entry.without_persistence().to_v1(Format::PostRefinement))
            .unwrap_or_default();
        (Just(one), prop_oneof![sent(), disks(), Just(below)])
    })
}

/// Whether the rules of its kind let an operator's operation pass.
fn is_allowed(operation: &Operation, checkpointed: &Resources) -> bool {
    let capabilities = capabilities();
    let result = match operation.r#type() {
        Type::Reserve => operation
            .reserve
            .as_ref()
            .map(|reserve| validate_reserve(reserve, None, &capabilities, None)),
        Type::Unreserve => operation.unreserve.as_ref().map(validate_unreserve),
        Type::Create => operation
            .create
            .as_ref()
            .map(|create| validate_create(create, checkpointed, None, &capabilities, None)),
        Type::Destroy => operation
            .destroy
            .as_ref()
            .map(|destroy| validate_destroy(destroy, checkpointed, [])),
        Type::GrowVolume => operation
            .grow_volume
            .as_ref()
            .map(|grow| validate_grow_volume(grow, &capabilities)),
        Type::ShrinkVolume => operation
            .shrink_volume
            .as_ref()
            .map(|shrink| validate_shrink_volume(shrink, &capabilities)),
        Type::CreateDisk => operation.create_disk.as_ref().map(validate_create_disk),
        Type::DestroyDisk => operation.destroy_disk.as_ref().map(validate_destroy_disk),
        Type::Launch | Type::LaunchGroup | Type::Unknown => None,
    };
    matches!(result, Some(Ok(())))
}

proptest! {
    #[test]
    fn what_the_rules_allow_can_be_converted(
        (one, two) in pairs(), size in prop_oneof![any::<f64>(), 0.0..3.0], number in 1_usize..3,
        mut present in bags(),
    ) {
        if number == 1 && let Ok(entry) = Entry::from_v1(&one) {
            present.add_entry(entry);
        }
        let list = || [one.clone(), two.clone()][..number].to_vec();
        let size = v1::value::Scalar { value: size };
        let mut operation = Operation {
            reserve: Some(payload::Reserve { resources: list(), source: Vec::new() }),
            unreserve: Some(payload::Unreserve { resources: list() }),
            create: Some(payload::Create { volumes: list() }),
            destroy: Some(payload::Destroy { volumes: list() }),
            grow_volume: Some(payload::GrowVolume { volume: one.clone(), addition: two.clone() }),
            shrink_volume: Some(payload::ShrinkVolume { volume: one.clone(), subtract: size }),
            create_disk: Some(payload::CreateDisk {
                source: one.clone(),
                target_type: SourceType::Mount as i32,
                target_profile: None,
            }),
            destroy_disk: Some(payload::DestroyDisk { source: one.clone() }),
            ..Default::default()
        };
        for number in 0..=15 {
            operation.r#type = Some(number);
            let _ = validate(&operation, &AgentId::from("A"), &[]);
            if !is_allowed(&operation, &present) {
                continue;
            }
            let kind = operation.r#type();
            let converted = conversions(&operation);
            let by_provider = matches!(kind, Type::CreateDisk | Type::DestroyDisk);
            prop_assert_eq!(converted.is_err(), by_provider, "{:?}", converted);
            for conversion in converted.unwrap_or_default() {
                let (before, after) = (conversion.consumed, conversion.converted);
                prop_assert_eq!(before.quantities(), after.quantities());
                prop_assert_eq!(before.ranges("ports"), after.ranges("ports"));
            }
        }
    }

    #[test]
    fn an_operator_may_replace_reservations(
        bag in bags(), old in 0_usize..3, new in 1_usize..4,
    ) {
        let plain = bag.unallocated().to_unreserved().filter(|entry| {
            let special = entry.disk().is_some() || entry.is_revocable();
            !special && entry.provider().is_none() && entry.name() != "gpus"
        });
        prop_assume!(!plain.is_empty());
        let (from, to) = (stacked(&plain, "ops", old), stacked(&plain, "web", new));
        let reserve = payload::Reserve {
            resources: to.to_v1(Format::PostRefinement),
            source: from.to_v1(Format::PostRefinement),
        };
        prop_assert_eq!(validate_reserve(&reserve, None, &capabilities(), None), Ok(()));
        let operation = Operation {
            r#type: Some(Type::Reserve as i32),
            reserve: Some(reserve),
            ..Default::default()
        };
        let mut after = from;
        prop_assert_eq!(after.convert(&conversions(&operation).unwrap()), Ok(()));
        prop_assert_eq!(after, to);
    }
}

/// The same with so many dynamic reservations, for this role and those below it.
fn stacked(plain: &Resources, role: &str, depth: usize) -> Resources {
    (0..depth).fold(plain.clone(), |stacked, level| {
        let reservation = Reservation {
            kind: ReservationKind::Dynamic,
            role: Role::from(format!("{role}{}", "/x".repeat(level)).as_str()),
            principal: None,
            labels: None,
        };
        stacked.push_reservation(&reservation).unwrap()
    })
}
