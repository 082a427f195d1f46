//! Laws of the algebra over generated bags.

use proptest::prelude::*;
use tepui_protocol::json;
use tepui_protocol::media::{self, MediaType};
use v1::offer::Operation;
use v1::offer::operation as payload;
use v1::offer::operation::Type;

use super::strategies::{bags, scalar_bags, sent};
use super::*;
use crate::resources::conversion::conversions;

const FORMATS: [Format; 3] = [
    Format::PostRefinement,
    Format::PreRefinement,
    Format::Endpoint,
];

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

/// One copy of each shared volume, which is what messages can say.
fn single(bag: &Resources) -> Resources {
    read(&bag.to_v1(Format::PostRefinement))
}

proptest! {
    #[test]
    fn a_sum_contains_its_parts_in_any_order(a in bags(), b in bags()) {
        let both = sum(&a, &b);
        prop_assert!(both.contains(&a) && both.contains(&b));
        prop_assert_eq!(both, sum(&b, &a));
    }

    #[test]
    fn sums_may_be_made_in_any_steps(a in bags(), b in bags(), c in bags()) {
        prop_assert_eq!(sum(&sum(&a, &b), &c), sum(&a, &sum(&b, &c)));
    }

    #[test]
    fn subtraction_undoes_addition(a in scalar_bags(), b in scalar_bags()) {
        prop_assert_eq!(difference(&sum(&a, &b), &b), a);
    }

    #[test]
    fn what_is_taken_away_is_gone_and_the_rest_adds_up(a in bags(), b in bags()) {
        let rest = difference(&a, &b);
        prop_assert!(a.contains(&rest));
        let taken = difference(&a, &rest);
        prop_assert_eq!(&sum(&rest, &taken), &a);
        prop_assert!(rest.iter().all(|entry| !entry.amount().is_empty() && entry.copies() > 0));
        prop_assert!(difference(&a, &a).is_empty() && difference(&a, &single(&a)).non_shared().is_empty());
    }

    #[test]
    fn taking_what_is_contained_takes_all_of_it(a in scalar_bags(), b in scalar_bags()) {
        if a.contains(&b) {
            prop_assert_eq!(sum(&difference(&a, &b), &b), a);
        }
    }

    #[test]
    fn containing_is_an_order(a in bags(), b in bags(), c in bags()) {
        prop_assert!(a.contains(&a));
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        let (ab, abc) = (sum(&a, &b), sum(&sum(&a, &b), &c));
        prop_assert!(abc.contains(&ab) && ab.contains(&a) && abc.contains(&a));
        if a.contains(&b) && b.contains(&c) {
            prop_assert!(a.contains(&c));
        }
    }

    #[test]
    fn a_copy_does_not_change_with_its_original(a in bags(), b in bags()) {
        let before = a.clone();
        let text = before.to_string();
        let mut changed = a;
        changed.add(&b);
        changed.subtract(&before);
        prop_assert_eq!(before.to_string(), text);
    }

    #[test]
    fn picking_splits_a_bag_in_two(a in bags()) {
        for (one, other) in [
            (a.reserved(), a.unreserved()),
            (a.revocable(), a.non_revocable()),
            (a.shared(), a.non_shared()),
        ] {
            prop_assert_eq!(sum(&one, &other), a.clone());
        }
        let by_role = a.by_allocation_role();
        let given = by_role.values().fold(Resources::new(), |all, part| sum(&all, part));
        prop_assert_eq!(given, a.filter(|entry| entry.allocation_role().is_some()));
    }

    #[test]
    fn every_form_reads_back(a in bags(), role in "[a-z]{1,4}") {
        let a = single(&a);
        let allocated = a.allocated_to(&role);
        for format in FORMATS {
            prop_assert_eq!(&read(&allocated.to_v1(format)), &single(&allocated));
            let list = a.to_v1(format);
            let texts: Vec<String> = list
                .iter()
                .map(|one| String::from_utf8(json::to_vec(one)).unwrap())
                .collect();
            let text = format!("[{}]", texts.join(","));
            prop_assert_eq!(json::list_from_slice(text.as_bytes()), Ok(list.clone()));
            let message = v1::Offer { resources: list, ..Default::default() };
            let bytes = media::encode(MediaType::Protobuf, &message);
            let back: v1::Offer = media::decode_call(MediaType::Protobuf, &bytes).unwrap();
            prop_assert_eq!(read(&back.resources), a.clone());
        }
    }

    #[test]
    fn lists_are_rewritten_to_the_same_resources(a in bags()) {
        let stacks = a.to_v1(Format::PostRefinement);
        for format in FORMATS {
            let mut list = a.to_v1(format);
            upgrade(&mut list);
            prop_assert_eq!(&list, &stacks);
        }
        let mut list = stacks.clone();
        match downgrade(&mut list) {
            Ok(()) => prop_assert_eq!(&list, &a.to_v1_downgraded().unwrap()),
            Err(_) => prop_assert!(a.to_v1_downgraded().is_err() && list == stacks),
        }
    }

    #[test]
    fn plain_text_reads_back(a in bags()) {
        let plain = a.filter(|entry| entry.extra.is_none()).unallocated();
        if !plain.is_empty() {
            prop_assert_eq!(bag(&plain.to_string()), plain);
        }
    }

    #[test]
    fn any_resource_is_read_or_refused(
        one in sent(), two in sent(), a in bags(),
    ) {
        let list = [one, two];
        let Ok(read) = Resources::from_v1(&list) else {
            prop_assert!(validate(&list).is_err());
            return Ok(());
        };
        prop_assert!(sum(&a, &read).contains(&read));
        prop_assert!(read.contains(&difference(&read, &a)));
        let _ = (read.to_string(), read.quantities(), read.ranges("ports"));
        let _ = read.contains_quantities(&a.quantities());
        for format in FORMATS {
            let mut list = read.to_v1(format);
            upgrade(&mut list);
        }
    }

    #[test]
    fn any_operation_is_converted_or_refused(
        one in sent(), two in sent(), by in prop_oneof![any::<f64>(), 0.0..9.0], kind in 0_i32..16, a in bags(),
    ) {
        let list = || vec![one.clone(), two.clone()];
        let operation = Operation {
            r#type: Some(kind),
            reserve: Some(payload::Reserve { resources: list(), source: Vec::new() }),
            unreserve: Some(payload::Unreserve { resources: list() }),
            create: Some(payload::Create { volumes: list() }),
            destroy: Some(payload::Destroy { volumes: list() }),
            grow_volume: Some(payload::GrowVolume { volume: one.clone(), addition: two.clone() }),
            shrink_volume: Some(payload::ShrinkVolume {
                volume: one.clone(),
                subtract: v1::value::Scalar { value: by },
            }),
            ..Default::default()
        };
        let launch = [Type::Launch as i32, Type::LaunchGroup as i32];
        let Ok(conversions) = conversions(&operation) else {
            prop_assert!(!launch.contains(&kind));
            return Ok(());
        };
        prop_assert_eq!(conversions.is_empty(), launch.contains(&kind));
        let mut before = a;
        conversions.iter().for_each(|conversion| before.add(&conversion.consumed));
        let mut after = before.clone();
        if after.convert(&conversions).is_ok() {
            prop_assert_eq!(after.names(), before.names());
        } else {
            prop_assert!(after.is_same_copy(&before));
        }
    }

    #[test]
    fn parsers_never_panic(text in ".{0,60}") {
        let _ = Resources::parse(&text, "*");
        let _ = attributes::parse_attributes(&text);
        let _ = Quantities::parse_alternatives(&text);
    }

    #[test]
    fn likely_text_never_panics(text in "[a-c:;(){}\\[\\],0-9 .*\\-]{0,40}") {
        let _ = Resources::parse(&text, "*");
        let _ = attributes::parse_attributes(&text);
    }
}
