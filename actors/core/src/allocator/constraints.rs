//! Matches agents against the offer constraints of a framework's role.
//! Does not judge whether constraints are well formed; validation has done so.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use tepui_protocol::v1;
use v1::scheduler::attribute_constraint::selector::PseudoattributeType;
use v1::scheduler::attribute_constraint::{Predicate, Selector};
use v1::scheduler::{AttributeConstraint, OfferConstraints};

use super::capabilities::{region, zone};

/// Bytes one compiled pattern may take here; validation has applied the operator's own limit.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Constraints of one role: the agent must satisfy all of one group.
#[derive(Debug, Clone)]
pub struct RoleConstraints {
    groups: Vec<Vec<Constraint>>,
}

#[derive(Debug, Clone)]
struct Constraint {
    subject: Subject,
    test: Test,
}

#[derive(Debug, Clone)]
enum Subject {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

#[derive(Debug, Clone)]
enum Test {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Regex),
    NotMatches(Regex),
    /// Not understood: no agent passes, so that nothing unwanted is offered.
    Never,
}

/// What a subject is on an agent.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// A number or ranges: tests of text let it pass, as in Mesos.
    NotText,
}

/// Compiles the constraints of every role.
pub fn compile(constraints: &OfferConstraints) -> BTreeMap<String, RoleConstraints> {
    let roles = constraints.role_constraints.iter();
    roles
        .map(|(role, constraints)| {
            let groups = constraints.groups.iter().map(|group| {
                group
                    .attribute_constraints
                    .iter()
                    .map(Constraint::compile)
                    .collect()
            });
            (
                role.clone(),
                RoleConstraints {
                    groups: groups.collect(),
                },
            )
        })
        .collect()
}

impl RoleConstraints {
    /// Whether the agent may be offered to the role.
    pub fn admit(&self, agent: &v1::AgentInfo) -> bool {
        self.groups
            .iter()
            .any(|group| group.iter().all(|constraint| constraint.passes(agent)))
    }
}

impl Constraint {
    fn compile(from: &AttributeConstraint) -> Constraint {
        match Subject::compile(&from.selector) {
            Some(subject) => Constraint {
                subject,
                test: Test::compile(&from.predicate),
            },
            None => Constraint {
                subject: Subject::Hostname,
                test: Test::Never,
            },
        }
    }

    fn passes(&self, agent: &v1::AgentInfo) -> bool {
        self.test.passes(self.subject.find(agent))
    }
}

impl Subject {
    fn compile(selector: &Selector) -> Option<Subject> {
        if let Some(name) = &selector.attribute_name {
            return Some(Subject::Attribute(name.clone()));
        }
        match PseudoattributeType::try_from(selector.pseudoattribute_type?) {
            Ok(PseudoattributeType::Hostname) => Some(Subject::Hostname),
            Ok(PseudoattributeType::Region) => Some(Subject::Region),
            Ok(PseudoattributeType::Zone) => Some(Subject::Zone),
            Ok(PseudoattributeType::Unknown) | Err(_) => None,
        }
    }

    fn find<'a>(&self, agent: &'a v1::AgentInfo) -> Found<'a> {
        match self {
            Subject::Hostname => Found::Text(&agent.hostname),
            Subject::Region => region(agent).map_or(Found::Nothing, Found::Text),
            Subject::Zone => zone(agent).map_or(Found::Nothing, Found::Text),
            // Of attributes with one name only the first counts.
            Subject::Attribute(name) => {
                match agent
                    .attributes
                    .iter()
                    .find(|attribute| attribute.name == *name)
                {
                    None => Found::Nothing,
                    Some(attribute) => match &attribute.text {
                        Some(text) => Found::Text(&text.value),
                        None => Found::NotText,
                    },
                }
            }
        }
    }
}

impl Test {
    fn compile(predicate: &Predicate) -> Test {
        if predicate.exists.is_some() {
            return Test::Exists;
        }
        if predicate.not_exists.is_some() {
            return Test::NotExists;
        }
        if let Some(equals) = &predicate.text_equals {
            return Test::Equals(equals.value.clone());
        }
        if let Some(equals) = &predicate.text_not_equals {
            return Test::NotEquals(equals.value.clone());
        }
        if let Some(matches) = &predicate.text_matches {
            return whole(&matches.regex).map_or(Test::Never, Test::Matches);
        }
        if let Some(matches) = &predicate.text_not_matches {
            return whole(&matches.regex).map_or(Test::Never, Test::NotMatches);
        }
        Test::Never
    }

    fn passes(&self, found: Found<'_>) -> bool {
        match (self, found) {
            (Test::Never, _) => false,
            (Test::Exists, found) => !matches!(found, Found::Nothing),
            (Test::NotExists, found) => matches!(found, Found::Nothing),
            (Test::Equals(_) | Test::Matches(_), Found::Nothing) => false,
            (Test::NotEquals(_) | Test::NotMatches(_), Found::Nothing) => true,
            (_, Found::NotText) => true,
            (Test::Equals(value), Found::Text(text)) => text == value,
            (Test::NotEquals(value), Found::Text(text)) => text != value,
            (Test::Matches(pattern), Found::Text(text)) => pattern.is_match(text),
            (Test::NotMatches(pattern), Found::Text(text)) => !pattern.is_match(text),
        }
    }
}

/// A pattern that must match the whole text, as Mesos's does.
fn whole(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use tepui_protocol::v1::scheduler::attribute_constraint::predicate;
    use tepui_protocol::v1::scheduler::offer_constraints::{self, role_constraints::Group};

    use super::*;
    use crate::resources::attributes::parse_attributes;

    fn agent(attributes: &str) -> v1::AgentInfo {
        v1::AgentInfo {
            hostname: "host.test".to_owned(),
            attributes: parse_attributes(attributes).unwrap(),
            ..Default::default()
        }
    }

    fn on(name: &str, predicate: Predicate) -> AttributeConstraint {
        let selector = Selector {
            attribute_name: Some(name.to_owned()),
            ..Default::default()
        };
        AttributeConstraint {
            selector,
            predicate,
        }
    }

    fn pseudo(kind: PseudoattributeType, predicate: Predicate) -> AttributeConstraint {
        let selector = Selector {
            pseudoattribute_type: Some(kind as i32),
            ..Default::default()
        };
        AttributeConstraint {
            selector,
            predicate,
        }
    }

    fn role(groups: Vec<Vec<AttributeConstraint>>) -> RoleConstraints {
        let groups = groups
            .into_iter()
            .map(|attribute_constraints| Group {
                attribute_constraints,
            })
            .collect();
        let constraints = OfferConstraints {
            role_constraints: [(
                "r".to_owned(),
                offer_constraints::RoleConstraints { groups },
            )]
            .into(),
        };
        compile(&constraints).remove("r").unwrap()
    }

    fn equals(value: &str) -> Predicate {
        let value = value.to_owned();
        Predicate {
            text_equals: Some(predicate::TextEquals { value }),
            ..Default::default()
        }
    }

    fn not_equals(value: &str) -> Predicate {
        let value = value.to_owned();
        Predicate {
            text_not_equals: Some(predicate::TextNotEquals { value }),
            ..Default::default()
        }
    }

    fn matches(regex: &str) -> Predicate {
        let regex = regex.to_owned();
        Predicate {
            text_matches: Some(predicate::TextMatches { regex }),
            ..Default::default()
        }
    }

    fn not_matches(regex: &str) -> Predicate {
        let regex = regex.to_owned();
        Predicate {
            text_not_matches: Some(predicate::TextNotMatches { regex }),
            ..Default::default()
        }
    }

    fn admits(constraint: AttributeConstraint, attributes: &str) -> bool {
        role(vec![vec![constraint]]).admit(&agent(attributes))
    }

    #[test]
    fn every_predicate_on_present_absent_and_other_values() {
        let exists = Predicate {
            exists: Some(predicate::Exists {}),
            ..Default::default()
        };
        let absent = Predicate {
            not_exists: Some(predicate::NotExists {}),
            ..Default::default()
        };
        let cases = [
            // Predicate, text "r1", no attribute, a number.
            (exists, true, false, true),
            (absent, false, true, false),
            (equals("r1"), true, false, true),
            (equals("r2"), false, false, true),
            (not_equals("r1"), false, true, true),
            (not_equals("r2"), true, true, true),
            (matches("r[0-9]"), true, false, true),
            (matches("r"), false, false, true),
            (matches("x|r1"), true, false, true),
            (not_matches("r[0-9]"), false, true, true),
            (not_matches("r"), true, true, true),
        ];
        for (predicate, text, nothing, number) in cases {
            let got = ["rack:r1", "zone:r1", "rack:7"]
                .map(|attributes| admits(on("rack", predicate.clone()), attributes));
            assert_eq!(got, [text, nothing, number], "{predicate:?}");
        }
    }

    #[test]
    fn pseudo_attributes() {
        use v1::domain_info::{FaultDomain, fault_domain};
        let mut here = agent("");
        let hostname = role(vec![vec![pseudo(
            PseudoattributeType::Hostname,
            matches("host.*"),
        )]]);
        assert!(hostname.admit(&here));
        let region = role(vec![vec![pseudo(
            PseudoattributeType::Region,
            equals("eu"),
        )]]);
        let zone = role(vec![vec![pseudo(
            PseudoattributeType::Zone,
            not_equals("eu-1"),
        )]]);
        assert!(!region.admit(&here) && zone.admit(&here));
        here.domain = Some(v1::DomainInfo {
            fault_domain: Some(FaultDomain {
                region: fault_domain::RegionInfo {
                    name: "eu".to_owned(),
                },
                zone: fault_domain::ZoneInfo {
                    name: "eu-1".to_owned(),
                },
            }),
        });
        assert!(region.admit(&here) && !zone.admit(&here));
    }

    #[test]
    fn any_group_with_all_of_its_constraints() {
        let both = role(vec![
            vec![on("a", equals("1x")), on("b", equals("2x"))],
            vec![on("c", equals("3x"))],
        ]);
        assert!(both.admit(&agent("a:1x;b:2x")));
        assert!(both.admit(&agent("c:3x")));
        assert!(!both.admit(&agent("a:1x;b:3x")));
    }

    #[test]
    fn only_the_first_attribute_of_a_name_counts() {
        assert!(admits(on("a", equals("x")), "a:x;a:y"));
        assert!(!admits(on("a", equals("y")), "a:x;a:y"));
    }

    #[test]
    fn what_is_not_understood_admits_no_agent() {
        assert!(!admits(on("a", Predicate::default()), "a:x"));
        assert!(!admits(on("a", matches("(")), "a:x"));
        assert!(!admits(on("a", not_matches("(")), "a:x"));
        assert!(!admits(
            pseudo(PseudoattributeType::Unknown, not_equals("x")),
            ""
        ));
        assert!(!role(vec![]).admit(&agent("")));
    }
}
