//! Laws of the algebra over generated bags.

use proptest::prelude::*;

use super::*;

fn amounts() -> impl Strategy<Value = String> {
    let ranges = prop::collection::vec((0_u64..60, 0_u64..9), 1..4).prop_map(|pairs| {
        let texts: Vec<String> = pairs
            .iter()
            .map(|(begin, length)| format!("{begin}-{}", begin + length))
            .collect();
        format!("ports:[{}]", texts.join(","))
    });
    let set = prop::sample::subsequence(vec!["a", "b", "c", "d"], 1..4)
        .prop_map(|items| format!("zones:{{{}}}", items.join(",")));
    let role = prop::sample::select(vec!["", "(x)", "(x/y)"]);
    let name = prop::sample::select(vec!["cpus", "mem", "gold"]);
    let scalar = (name, role, 1_i64..5000)
        .prop_map(|(name, role, milli)| format!("{name}{role}:{}", format_milli(milli)));
    prop_oneof![3 => scalar, 1 => ranges, 1 => set]
}

fn bags() -> impl Strategy<Value = Resources> {
    prop::collection::vec(amounts(), 0..8).prop_map(|parts| bag(&parts.join(";")))
}

/// Sums of ranges and sets are unions, so only disjoint bags give back what was added.
fn scalars_only(bag: &Resources) -> Resources {
    bag.filter(|entry| entry.scalar_milli().is_some())
}

proptest! {
    #[test]
    fn a_sum_contains_its_parts(a in bags(), b in bags()) {
        let mut sum = a.clone();
        sum.add(&b);
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        let mut reversed = b.clone();
        reversed.add(&a);
        prop_assert_eq!(sum, reversed);
    }

    #[test]
    fn subtraction_undoes_addition_of_scalars(a in bags(), b in bags()) {
        let (a, b) = (scalars_only(&a), scalars_only(&b));
        let mut sum = a.clone();
        sum.add(&b);
        sum.subtract(&b);
        prop_assert_eq!(sum, a);
    }

    #[test]
    fn what_is_taken_away_is_gone_and_the_rest_adds_up(a in bags(), b in bags()) {
        let mut rest = a.clone();
        rest.subtract(&b);
        prop_assert!(a.contains(&rest));
        let mut taken = a.clone();
        taken.subtract(&rest);
        let mut again = rest.clone();
        again.add(&taken);
        prop_assert_eq!(again, a);
        prop_assert!(rest.iter().all(|entry| !entry.amount().is_empty()));
    }

    #[test]
    fn containing_both_ways_is_equality(a in bags(), b in bags()) {
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        prop_assert!(a.contains(&a));
    }

    #[test]
    fn every_form_reads_back(a in bags(), role in "[a-z]{1,4}") {
        let allocated = a.allocated_to(&role);
        for format in [Format::PostRefinement, Format::PreRefinement, Format::Endpoint] {
            prop_assert_eq!(&read(&allocated.to_v1(format)), &allocated);
        }
        prop_assert_eq!(allocated.unallocated(), a);
    }

    #[test]
    fn unreserved_text_reads_back(a in bags()) {
        let plain = a.unreserved();
        if !plain.is_empty() {
            prop_assert_eq!(bag(&plain.to_string()), plain);
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
