//! Offer constraints: what is refused, and which agents they exclude.

use tepui_protocol::v1;
use v1::scheduler::attribute_constraint::predicate::{
    Exists, NotExists, TextEquals, TextMatches, TextNotEquals, TextNotMatches,
};
use v1::scheduler::attribute_constraint::selector::PseudoattributeType;
use v1::scheduler::attribute_constraint::{Predicate, Selector};
use v1::scheduler::offer_constraints::RoleConstraints;
use v1::scheduler::offer_constraints::role_constraints::Group;
use v1::scheduler::{AttributeConstraint, OfferConstraints};

use crate::resources::attributes::parse_attributes;
use crate::validation::constraints::{OfferConstraintsFilter, compile};
use crate::validation::re2::Limits;

fn named(name: &str) -> Selector {
    Selector {
        attribute_name: Some(name.to_string()),
        ..Default::default()
    }
}

fn pseudo(kind: PseudoattributeType) -> Selector {
    Selector {
        pseudoattribute_type: Some(kind as i32),
        ..Default::default()
    }
}

fn exists() -> Predicate {
    Predicate {
        exists: Some(Exists {}),
        ..Default::default()
    }
}

fn not_exists() -> Predicate {
    Predicate {
        not_exists: Some(NotExists {}),
        ..Default::default()
    }
}

fn equals(value: &str) -> Predicate {
    Predicate {
        text_equals: Some(TextEquals {
            value: value.to_string(),
        }),
        ..Default::default()
    }
}

fn not_equals(value: &str) -> Predicate {
    Predicate {
        text_not_equals: Some(TextNotEquals {
            value: value.to_string(),
        }),
        ..Default::default()
    }
}

fn matches(regex: &str) -> Predicate {
    Predicate {
        text_matches: Some(TextMatches {
            regex: regex.to_string(),
        }),
        ..Default::default()
    }
}

fn not_matches(regex: &str) -> Predicate {
    Predicate {
        text_not_matches: Some(TextNotMatches {
            regex: regex.to_string(),
        }),
        ..Default::default()
    }
}

/// Constraints of role `a`: alternatives of parts that must all hold.
fn constraints(groups: Vec<Vec<(Selector, Predicate)>>) -> OfferConstraints {
    let group = |parts: Vec<(Selector, Predicate)>| Group {
        attribute_constraints: parts
            .into_iter()
            .map(|(selector, predicate)| AttributeConstraint {
                selector,
                predicate,
            })
            .collect(),
    };
    let groups = groups.into_iter().map(group).collect();
    OfferConstraints {
        role_constraints: [("a".to_string(), RoleConstraints { groups })].into(),
    }
}

fn one(selector: Selector, predicate: Predicate) -> OfferConstraints {
    constraints(vec![vec![(selector, predicate)]])
}

fn filter(constraints: &OfferConstraints) -> OfferConstraintsFilter {
    compile(constraints, Limits::default()).unwrap()
}

fn agent() -> v1::AgentInfo {
    let text = v1::Attribute {
        name: "rack".to_string(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text {
            value: "r1".to_string(),
        }),
        ..Default::default()
    };
    let number = v1::Attribute {
        name: "level".to_string(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: 1.0 }),
        ..Default::default()
    };
    v1::AgentInfo {
        hostname: "host1".to_string(),
        attributes: vec![text, number],
        ..Default::default()
    }
}

#[test]
fn broken_constraints_are_refused() {
    let both = Selector {
        attribute_name: Some("x".to_string()),
        ..pseudo(PseudoattributeType::Zone)
    };
    let two = Predicate {
        exists: Some(Exists {}),
        ..equals("x")
    };
    let no_selector = "Exactly one of 'AttributeConstraint::Selector::name' or \
                       'AttributeConstraint::Selector::pseudoattribute_type' must be set";
    let cases = [
        (one(Selector::default(), exists()), no_selector),
        (one(both, exists()), no_selector),
        (
            one(pseudo(PseudoattributeType::Unknown), exists()),
            "Unknown pseudoattribute type",
        ),
        (
            one(named("x"), Predicate::default()),
            "Unknown predicate type",
        ),
        (
            one(named("x"), two),
            "Exactly one member of 'AttributeConstraint::Predicate' must be set",
        ),
        (
            one(named("x"), matches("(")),
            "Failed to construct regex from pattern '(': missing ): (",
        ),
        (
            one(named("x"), not_matches("[a")),
            "Failed to construct regex from pattern '[a': missing ]: [a",
        ),
    ];
    for (constraints, text) in cases {
        assert_eq!(
            compile(&constraints, Limits::default()).unwrap_err(),
            format!("A role a has an invalid 'AttributeConstraint': {text}")
        );
    }
    assert_eq!(
        compile(&constraints(vec![vec![]]), Limits::default()).unwrap_err(),
        "'OfferConstraints::RoleConstraints::groups' for role acontains an empty \
         RoleConstraints::Group"
    );
    assert_eq!(
        compile(&constraints(vec![]), Limits::default()).unwrap_err(),
        "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role a"
    );
}

#[test]
fn each_test_treats_text_other_attributes_and_absence_as_mesos_does() {
    // Which of a text attribute `r1`, a number, and an absent attribute is admitted.
    let cases = [
        (exists(), [true, true, false]),
        (not_exists(), [false, false, true]),
        (equals("r1"), [true, true, false]),
        (equals("r2"), [false, true, false]),
        (not_equals("r1"), [false, true, true]),
        (not_equals("r2"), [true, true, true]),
        (matches("r[0-9]"), [true, true, false]),
        (matches("r"), [false, true, false]),
        (matches("x|r1"), [true, true, false]),
        (not_matches("r[0-9]"), [false, true, true]),
        (not_matches("r"), [true, true, true]),
    ];
    for (predicate, wanted) in cases {
        let admitted = ["rack", "level", "none"].map(|name| {
            let filter = filter(&one(named(name), predicate.clone()));
            !filter.is_agent_excluded("a", &agent())
        });
        assert_eq!(admitted, wanted, "{predicate:?}");
    }
}

#[test]
fn pseudo_attributes_are_host_name_region_and_zone() {
    let mut agent = agent();
    let region = one(pseudo(PseudoattributeType::Region), equals("eu"));
    let zone = one(pseudo(PseudoattributeType::Zone), equals("eu-1"));
    let elsewhere = one(pseudo(PseudoattributeType::Zone), not_equals("eu-1"));
    let host = one(pseudo(PseudoattributeType::Hostname), matches("host.*"));
    assert!(filter(&region).is_agent_excluded("a", &agent));
    assert!(filter(&zone).is_agent_excluded("a", &agent));
    assert!(!filter(&elsewhere).is_agent_excluded("a", &agent));
    assert!(!filter(&host).is_agent_excluded("a", &agent));
    agent.domain = Some(v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo {
                name: "eu".to_string(),
            },
            zone: v1::domain_info::fault_domain::ZoneInfo {
                name: "eu-1".to_string(),
            },
        }),
    });
    assert!(!filter(&region).is_agent_excluded("a", &agent));
    assert!(!filter(&zone).is_agent_excluded("a", &agent));
    assert!(filter(&elsewhere).is_agent_excluded("a", &agent));
}

#[test]
fn only_the_first_attribute_of_a_name_counts() {
    let mut agent = agent();
    agent.attributes = parse_attributes("rack:x;rack:y").unwrap();
    let first = filter(&one(named("rack"), equals("x")));
    let second = filter(&one(named("rack"), equals("y")));
    assert!(!first.is_agent_excluded("a", &agent));
    assert!(second.is_agent_excluded("a", &agent));
}

#[test]
fn filters_are_equal_when_they_ask_the_same() {
    let of = |predicate| filter(&one(named("rack"), predicate));
    assert_eq!(of(matches("r[0-9]")), of(matches("r[0-9]")));
    assert_ne!(of(matches("r[0-9]")), of(matches("r[1-9]")));
    assert_ne!(of(matches("r[0-9]")), of(not_matches("r[0-9]")));
    assert_ne!(of(equals("r1")), of(equals("r2")));
}

#[test]
fn only_roles_with_constraints_are_constrained() {
    let filter = filter(&one(named("rack"), exists()));
    assert!(filter.constrains("a"));
    assert!(!filter.constrains("b"));
}

#[test]
fn one_alternative_must_hold_in_all_its_parts() {
    let filter = filter(&constraints(vec![
        vec![(named("rack"), equals("r1")), (named("gpu"), exists())],
        vec![(named("rack"), equals("r2"))],
    ]));
    let mut agent = agent();
    assert!(filter.is_agent_excluded("a", &agent));
    assert!(!filter.is_agent_excluded("b", &agent));
    agent.attributes.push(v1::Attribute {
        name: "gpu".to_string(),
        ..Default::default()
    });
    assert!(!filter.is_agent_excluded("a", &agent));
    agent.attributes.pop();
    let rack = agent.attributes.first_mut().unwrap();
    rack.text = Some(v1::value::Text {
        value: "r2".to_string(),
    });
    assert!(!filter.is_agent_excluded("a", &agent));
}
