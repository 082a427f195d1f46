//! Every operator against instances and offers, and the counts behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tepui_protocol::v1;

use super::*;
use crate::marathon::matching::testing::{app, offer, within};

fn rack(rack: &str) -> Place {
    Place {
        host: format!("host-of-{rack}"),
        attributes: BTreeMap::from([("rack".to_owned(), rack.to_owned())]),
        ..Place::default()
    }
}

fn constraint(parts: &[&str]) -> Constraint {
    Constraint {
        field: parts[0].to_owned(),
        operator: Operator::from_name(parts[1]).expect("an operator"),
        value: parts.get(2).map(|value| (*value).to_owned()),
    }
}

fn spread(constraints: &[Constraint], racks: &str) -> Spread {
    let mut spread = Spread::new(constraints);
    for name in racks.split_whitespace() {
        spread.add(&rack(name));
    }
    spread
}

#[test]
fn every_operator_judges_as_marathon_does() {
    // Constraint, racks of the instances, wanted instances, rack offered, whether it is accepted.
    let cases: &[(&[&str], &str, u32, &str, bool)] = &[
        (&["rack", "UNIQUE"], "", 3, "a", true),
        (&["rack", "UNIQUE"], "b c", 3, "a", true),
        (&["rack", "UNIQUE"], "a b", 3, "a", false),
        (&["rack", "CLUSTER", "a"], "", 3, "a", true),
        (&["rack", "CLUSTER", "a"], "", 3, "b", false),
        (&["rack", "CLUSTER"], "", 3, "b", true),
        (&["rack", "CLUSTER"], "b", 3, "b", true),
        (&["rack", "CLUSTER"], "b", 3, "a", false),
        (&["rack", "CLUSTER", ""], "b", 3, "a", false),
        (&["rack", "LIKE", "r[12]"], "", 1, "r1", true),
        (&["rack", "LIKE", "r[12]"], "", 1, "r12", false),
        (&["rack", "LIKE", "r1|r2"], "", 1, "r2x", false),
        (&["rack", "LIKE", "("], "", 1, "(", false),
        (&["rack", "UNLIKE", "r[12]"], "", 1, "r1", false),
        (&["rack", "UNLIKE", "r[12]"], "", 1, "r12", true),
        (&["rack", "MAX_PER", "2"], "a", 9, "a", true),
        (&["rack", "MAX_PER", "2"], "a b a", 9, "a", false),
        (&["rack", "MAX_PER", "2"], "a b a", 9, "c", true),
        (&["rack", "MAX_PER", "many"], "", 9, "a", false),
        (&["rack", "IS", "a"], "", 1, "a", true),
        (&["rack", "IS", "a"], "", 1, "b", false),
        (&["rack", "IS", "1.5000"], "", 1, "1.5", true),
        (&["rack", "IS", "+2"], "", 1, "2", true),
        (&["rack", "IS", "2.0"], "", 1, "2.0", true),
        (&["rack", "IS", "2.0"], "", 1, "2.1", false),
        (&["rack", "IS", "infinity"], "", 1, "infinity", true),
        // Five over two racks: two each and one more somewhere.
        (&["rack", "GROUP_BY", "2"], "", 5, "a", true),
        (&["rack", "GROUP_BY", "2"], "a a", 5, "a", true),
        (&["rack", "GROUP_BY", "2"], "a a a", 5, "a", false),
        (&["rack", "GROUP_BY", "2"], "a a a", 5, "b", true),
        (&["rack", "GROUP_BY", "2"], "a a a b", 5, "b", true),
        (&["rack", "GROUP_BY", "2"], "a a a b b", 6, "b", true),
        (&["rack", "GROUP_BY", "2"], "a a a b b", 5, "b", false),
        (&["rack", "GROUP_BY", "2"], "a b", 5, "c", false),
        (&["rack", "GROUP_BY", "3"], "a", 2, "a", false),
        (&["rack", "GROUP_BY", "3"], "a", 2, "b", true),
        (&["rack", "GROUP_BY", "0"], "a", 2, "a", true),
        (&["rack", "GROUP_BY", "x"], "", 2, "a", false),
        // Without a number of groups: evenly over what there is, and new ones are welcome.
        (&["rack", "GROUP_BY"], "", 5, "a", true),
        (&["rack", "GROUP_BY"], "a", 5, "a", true),
        (&["rack", "GROUP_BY"], "a a b", 5, "a", false),
        (&["rack", "GROUP_BY"], "a a b", 5, "b", true),
        (&["rack", "GROUP_BY"], "a a b", 5, "c", true),
    ];
    for (parts, racks, wanted, offered, accepted) in cases {
        let constraints = [constraint(parts)];
        let rules = Rules::new(&constraints);
        let spread = spread(&constraints, racks);
        let answer = accepts(&rules, *wanted, &rack(offered), &spread);
        assert_eq!(
            answer.is_ok(),
            *accepted,
            "{parts:?} with [{racks}] of {wanted}, offered {offered}"
        );
    }
}

#[test]
fn an_agent_without_the_field_is_good_for_unlike_only() {
    for operator in Operator::ALL {
        let constraints = [constraint(&["zone", operator.as_str(), "1"])];
        let answer = accepts(
            &Rules::new(&constraints),
            1,
            &rack("a"),
            &Spread::new(&constraints),
        );
        assert_eq!(answer.is_ok(), operator == Operator::Unlike, "{operator:?}");
    }
}

#[test]
fn all_violations_are_told_with_figures_and_a_way_out() {
    let constraints = [
        constraint(&["rack", "UNIQUE"]),
        constraint(&["hostname", "LIKE", "db.*"]),
        constraint(&["rack", "MAX_PER", "5"]),
        constraint(&["@zone", "IS", "z1"]),
    ];
    let spread = spread(&constraints, "a a");
    let violations =
        accepts(&Rules::new(&constraints), 3, &rack("a"), &spread).expect_err("three are not met");
    let texts: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert_eq!(
        texts,
        [
            "rack is a, where 2 instances run already",
            "hostname is host-of-a, which does not match db.*",
            "the agent has no @zone",
        ]
    );
    assert_eq!(
        violations[1].unblock(),
        "offer an agent whose hostname matches db.*"
    );
}

#[test]
fn values_that_cannot_be_used_are_named() {
    let constraints = [
        constraint(&["rack", "LIKE", "(?!a).*"]),
        constraint(&["rack", "MAX_PER", "few"]),
        constraint(&["rack", "UNLIKE", "a{1000}{1000}{1000}"]),
    ];
    let spread = Spread::new(&constraints);
    let violations =
        accepts(&Rules::new(&constraints), 1, &rack("b"), &spread).expect_err("none can be used");
    let texts: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert_eq!(
        texts,
        [
            "LIKE cannot use the value '(?!a).*'",
            "MAX_PER cannot use the value 'few'",
            "UNLIKE cannot use the value 'a{1000}{1000}{1000}'",
        ]
    );
    assert!(violations[0].unblock().contains("without look-around"));
    assert!(violations[1].unblock().contains("constraint on rack"));
}

#[test]
fn an_offer_becomes_a_place() {
    let mut offer = within(
        offer("cpus:1", "rack:r1;level:1.2346;n:10;p:[5-6,1-2]"),
        "r",
        "z",
    );
    offer.attributes.push(v1::Attribute {
        name: "s".into(),
        r#type: v1::value::Type::Set as i32,
        set: Some(v1::value::Set {
            item: vec!["b".into(), "a".into()],
        }),
        ..Default::default()
    });
    offer.attributes.push(v1::Attribute {
        name: "rack".into(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text {
            value: "second".into(),
        }),
        ..Default::default()
    });
    let place = place_of(&offer);
    for (field, value) in [
        ("hostname", Some("host1")),
        ("@hostname", Some("host1")),
        ("@region", Some("r")),
        ("@zone", Some("z")),
        ("rack", Some("r1")),
        ("level", Some("1.235")),
        ("n", Some("10")),
        ("p", Some("[1-2,5-6]")),
        ("s", Some("{a,b}")),
        ("none", None),
    ] {
        assert_eq!(place.field(field), value, "{field}");
    }
    assert_eq!(place.agent_id, "S");
}

#[test]
fn the_least_even_instances_are_killed_first() {
    let by_rack = [constraint(&["rack", "GROUP_BY"])];
    let places: Vec<Place> = ["b", "a", "a", "a", "c", "c"].map(rack).to_vec();
    let places: Vec<&Place> = places.iter().collect();
    // Three of a, two of c, one of b: a, then the first of a and c by order, and so on.
    assert_eq!(pick_to_kill(&by_rack, &places, 3), [1, 2, 4]);
    assert_eq!(pick_to_kill(&by_rack, &places, 9), [1, 2, 4, 0, 3, 5]);
    assert!(pick_to_kill(&by_rack, &[], 3).is_empty());
    let unique = [constraint(&["rack", "UNIQUE"])];
    assert!(pick_to_kill(&unique, &places, 3).is_empty());
}

#[test]
fn several_spreads_are_kept_even_together() {
    let constraints = [
        constraint(&["rack", "GROUP_BY"]),
        constraint(&["os", "GROUP_BY"]),
    ];
    let place = |name: &str, os: &str| {
        let mut place = rack(name);
        place.attributes.insert("os".to_owned(), os.to_owned());
        place
    };
    let places = [
        place("a", "x"),
        place("b", "x"),
        place("b", "y"),
        place("b", "x"),
    ];
    let places: Vec<&Place> = places.iter().collect();
    assert_eq!(pick_to_kill(&constraints, &places, 2), [1, 3]);
}

#[test]
fn rules_are_compiled_once_for_each_version() {
    let mut cache = RulesCache::new(2);
    let first = app(json!({"id": "/a", "constraints": [["rack", "LIKE", "r.*"]]}));
    let rules = cache.get(&first);
    assert!(Arc::ptr_eq(&rules, &cache.get(&first)));
    let changed = app(json!({"id": "/a", "constraints": [["rack", "LIKE", "s.*"]]}));
    assert!(!Arc::ptr_eq(&rules, &cache.get(&changed)));
    assert_eq!(cache.len(), 1);
    for id in ["/b", "/c", "/d"] {
        cache.get(&app(json!({"id": id})));
    }
    assert_eq!(cache.len(), 2);
    assert!(!cache.is_empty());
}

#[test]
fn ten_thousand_instances_cost_no_more_than_one() {
    let constraints = [
        constraint(&["hostname", "GROUP_BY", "10000"]),
        constraint(&["hostname", "UNIQUE"]),
        constraint(&["rack", "LIKE", "r.*"]),
    ];
    let mut spread = Spread::new(&constraints);
    for number in 0..10_000 {
        spread.add(&rack(&format!("r{number}")));
    }
    let counts = spread.counts("hostname").expect("a counted field");
    // A decision looks one value up and sums over the different counts, of which there is one.
    assert_eq!((counts.values(), counts.steps()), (10_000, 1));
    assert!(spread.counts("rack").is_none());
    let rules = Rules::new(&constraints);
    assert!(accepts(&rules, 10_001, &rack("r5"), &spread).is_err());
}

proptest! {
    #[test]
    fn counts_agree_with_counting_anew(
        changes in prop::collection::vec((any::<bool>(), 0..5_usize), 0..60),
        share in 0..6_u32,
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let constraints = [constraint(&["rack", "GROUP_BY"])];
        let mut spread = Spread::new(&constraints);
        let mut plain = [0_u32; 5];
        for (add, at) in changes {
            if add {
                spread.add(&rack(names[at]));
                plain[at] += 1;
            } else {
                spread.remove(&rack(names[at]));
                plain[at] = plain[at].saturating_sub(1);
            }
        }
        let counts = spread.counts("rack").expect("a counted field");
        for (at, name) in names.iter().enumerate() {
            prop_assert_eq!(counts.of(name), plain[at]);
        }
        let above: u32 = plain.iter().map(|count| count.saturating_sub(share)).sum();
        prop_assert_eq!(counts.above(share), u64::from(above));
        let smallest = plain.iter().copied().filter(|count| *count > 0).min();
        prop_assert_eq!(counts.smallest(), smallest.unwrap_or(0));
        prop_assert_eq!(counts.values(), plain.iter().filter(|count| **count > 0).count());
    }

    #[test]
    fn group_by_fills_all_racks_evenly(
        wanted in 1..40_u32,
        racks in 1..6_usize,
        offers in prop::collection::vec(0..6_usize, 400),
        with_value in any::<bool>(),
    ) {
        let groups = racks.to_string();
        let constraints = [match with_value {
            true => constraint(&["rack", "GROUP_BY", &groups]),
            false => constraint(&["rack", "GROUP_BY"]),
        }];
        let rules = Rules::new(&constraints);
        let mut spread = Spread::new(&constraints);
        let mut placed = vec![0_u32; racks];
        // After the random offers each rack gets its turn often enough for all to be placed.
        let turns = (0..racks * 41).map(|turn| turn % racks);
        let all = (0..racks).chain(offers.into_iter().map(|at| at % racks)).chain(turns);
        for at in all {
            let place = rack(&at.to_string());
            if placed.iter().sum::<u32>() < wanted
                && accepts(&rules, wanted, &place, &spread).is_ok()
            {
                spread.add(&place);
                placed[at] += 1;
            }
        }
        prop_assert_eq!(placed.iter().sum::<u32>(), wanted);
        let (least, most) = (placed.iter().min(), placed.iter().max());
        prop_assert!(most.expect("a rack") - least.expect("a rack") <= 1, "{:?}", placed);
    }

    #[test]
    fn kills_keep_a_spread_even(
        racks in prop::collection::vec(0..4_usize, 1..40),
        count in 0..40_usize,
    ) {
        let constraints = [constraint(&["rack", "GROUP_BY"])];
        let places: Vec<Place> = racks.iter().map(|at| rack(&at.to_string())).collect();
        let places: Vec<&Place> = places.iter().collect();
        let killed = pick_to_kill(&constraints, &places, count);
        prop_assert_eq!(killed.len(), count.min(racks.len()));
        let mut left = [0_usize; 4];
        racks.iter().for_each(|at| left[*at] += 1);
        for at in killed {
            let rack = racks[at];
            prop_assert_eq!(left[rack], *left.iter().max().expect("four racks"));
            left[rack] -= 1;
        }
    }
}
