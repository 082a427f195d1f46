//! Checks a framework's offer constraints and makes them ready to be applied to agents.
//! Whether an agent is offered is decided by the allocator, which asks the filter.

use std::collections::BTreeMap;

use regex::Regex;
use tepui_protocol::v1::scheduler::attribute_constraint::predicate::{
    TextEquals, TextMatches, TextNotEquals, TextNotMatches,
};
use tepui_protocol::v1::scheduler::attribute_constraint::selector::PseudoattributeType;
use tepui_protocol::v1::scheduler::attribute_constraint::{Predicate, Selector};
use tepui_protocol::v1::scheduler::{AttributeConstraint, OfferConstraints};
use tepui_protocol::v1::{AgentInfo, Attribute, value};

use super::re2::{self, Limits};

/// A framework's offer constraints with their patterns compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferConstraintsFilter {
    /// Per role, alternatives of which one must hold in all its parts.
    roles: BTreeMap<String, Vec<Vec<Constraint>>>,
}

impl OfferConstraintsFilter {
    /// True when there are constraints for `role`; without, no agent is excluded.
    pub fn constrains(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// True when the constraints of `role` keep this agent from being offered.
    ///
    /// A role without constraints excludes nothing. Mesos: `OfferConstraintsFilterImpl`.
    pub fn is_agent_excluded(&self, role: &str, agent: &AgentInfo) -> bool {
        let Some(groups) = self.roles.get(role) else {
            return false;
        };
        let admits = |group: &Vec<Constraint>| group.iter().all(|c| c.holds(agent));
        !groups.iter().any(admits)
    }
}

/// Checks constraints and compiles them; the error follows `Offer constraints are not valid: `.
///
/// Mesos: `OfferConstraintsFilter::create`.
pub fn compile(
    constraints: &OfferConstraints,
    limits: Limits,
) -> Result<OfferConstraintsFilter, String> {
    let mut roles = BTreeMap::new();
    for (role, of_role) in &constraints.role_constraints {
        if of_role.groups.is_empty() {
            return Err(format!(
                "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for \
                 role {role}"
            ));
        }
        let mut groups = Vec::with_capacity(of_role.groups.len());
        for group in &of_role.groups {
            if group.attribute_constraints.is_empty() {
                // The missing blank is Mesos's.
                return Err(format!(
                    "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty \
                     RoleConstraints::Group"
                ));
            }
            let parts = group.attribute_constraints.iter();
            let parts: Result<Vec<_>, String> = parts.map(|c| constraint(c, limits)).collect();
            groups.push(parts.map_err(|error| {
                format!("A role {role} has an invalid 'AttributeConstraint': {error}")
            })?);
        }
        roles.insert(role.clone(), groups);
    }
    Ok(OfferConstraintsFilter { roles })
}

#[derive(Debug, Clone, PartialEq)]
struct Constraint {
    subject: Subject,
    test: Test,
}

/// What a constraint looks at.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

/// What it asks of it.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Pattern),
    NotMatches(Pattern),
}

/// A compiled pattern; patterns are equal when their texts are.
#[derive(Debug, Clone)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What an agent has to show for a subject.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute that is no text; it passes every test but that it does not exist.
    Other,
}

impl Constraint {
    fn holds(&self, agent: &AgentInfo) -> bool {
        match (self.subject.find(agent), &self.test) {
            (Found::Nothing, test) => matches!(
                test,
                Test::NotExists | Test::NotEquals(_) | Test::NotMatches(_)
            ),
            (_, Test::Exists) => true,
            (_, Test::NotExists) => false,
            (Found::Other, _) => true,
            (Found::Text(text), Test::Equals(value)) => text == value,
            (Found::Text(text), Test::NotEquals(value)) => text != value,
            (Found::Text(text), Test::Matches(pattern)) => pattern.0.is_match(text),
            (Found::Text(text), Test::NotMatches(pattern)) => !pattern.0.is_match(text),
        }
    }
}

impl Subject {
    fn find<'a>(&self, agent: &'a AgentInfo) -> Found<'a> {
        let domain = agent.domain.as_ref();
        let domain = domain.and_then(|domain| domain.fault_domain.as_ref());
        let text = match self {
            Subject::Attribute(name) => {
                let attribute = agent.attributes.iter().find(|a| a.name == *name);
                return attribute.map_or(Found::Nothing, found);
            }
            Subject::Hostname => Some(agent.hostname.as_str()),
            Subject::Region => domain.map(|domain| domain.region.name.as_str()),
            Subject::Zone => domain.map(|domain| domain.zone.name.as_str()),
        };
        text.map_or(Found::Nothing, Found::Text)
    }
}

fn found(attribute: &Attribute) -> Found<'_> {
    match (attribute.r#type(), &attribute.text) {
        (value::Type::Text, Some(text)) => Found::Text(&text.value),
        (value::Type::Text, None) => Found::Text(""),
        _ => Found::Other,
    }
}

fn constraint(constraint: &AttributeConstraint, limits: Limits) -> Result<Constraint, String> {
    Ok(Constraint {
        subject: subject(&constraint.selector)?,
        test: test(&constraint.predicate, limits)?,
    })
}

fn subject(selector: &Selector) -> Result<Subject, String> {
    match (&selector.attribute_name, selector.pseudoattribute_type) {
        (Some(name), None) => Ok(Subject::Attribute(name.clone())),
        (None, Some(kind)) => match PseudoattributeType::try_from(kind) {
            Ok(PseudoattributeType::Hostname) => Ok(Subject::Hostname),
            Ok(PseudoattributeType::Region) => Ok(Subject::Region),
            Ok(PseudoattributeType::Zone) => Ok(Subject::Zone),
            Ok(PseudoattributeType::Unknown) | Err(_) => {
                Err("Unknown pseudoattribute type".to_string())
            }
        },
        _ => Err("Exactly one of 'AttributeConstraint::Selector::name' or \
             'AttributeConstraint::Selector::pseudoattribute_type' must be set"
            .to_string()),
    }
}

fn test(predicate: &Predicate, limits: Limits) -> Result<Test, String> {
    let exists = predicate.exists.map(|_| Ok(Test::Exists));
    let not_exists = predicate.not_exists.map(|_| Ok(Test::NotExists));
    let equals = |text: &TextEquals| Ok(Test::Equals(text.value.clone()));
    let not_equals = |text: &TextNotEquals| Ok(Test::NotEquals(text.value.clone()));
    let pattern = |regex: &str| re2::compile(regex, limits).map(Pattern);
    let matches = |text: &TextMatches| pattern(&text.regex).map(Test::Matches);
    let not_matches = |text: &TextNotMatches| pattern(&text.regex).map(Test::NotMatches);
    let tests = [
        exists,
        not_exists,
        predicate.text_equals.as_ref().map(equals),
        predicate.text_not_equals.as_ref().map(not_equals),
        predicate.text_matches.as_ref().map(matches),
        predicate.text_not_matches.as_ref().map(not_matches),
    ];
    let mut tests = tests.into_iter().flatten();
    match (tests.next(), tests.next()) {
        (Some(test), None) => test,
        (None, _) => Err("Unknown predicate type".to_string()),
        (Some(_), Some(_)) => {
            Err("Exactly one member of 'AttributeConstraint::Predicate' must be set".to_string())
        }
    }
}
