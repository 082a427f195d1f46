//! Placement constraints: whether an app may have one more instance at a place.
//! Knows nothing of resources; `matching` does.

use std::fmt;

use regex::{Regex, RegexBuilder};
use tepui_protocol::marathon::{App, Constraint, Operator};

use super::place::Place;

mod cache;
mod kill;
mod places;
mod spread;
#[cfg(test)]
mod tests;

pub use cache::RulesCache;
pub use kill::pick_to_kill;
pub use places::place_of;
pub use spread::{Counts, Spread};

/// Fields of a fault domain; a constraint on one of them lifts the region rule.
const DOMAIN_FIELDS: [&str; 2] = ["@region", "@zone"];

/// Memory that one compiled expression may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// The constraints of one version of an app, their values read and their expressions compiled.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    constraint: Constraint,
    test: Test,
}

/// What a constraint asks, with its value read.
#[derive(Debug, Clone)]
enum Test {
    Unique,
    Cluster(Option<String>),
    GroupBy(Option<u32>),
    Like(Regex),
    Unlike(Regex),
    MaxPer(u32),
    /// As it is, and as a scalar attribute would be written.
    Is(String, String),
    /// The value cannot be used; validation lets no such constraint in.
    Unusable,
}

/// A constraint that a place does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The constraint.
    pub constraint: Constraint,
    /// What the place has for its field; none where it does not have the field.
    pub value: Option<String>,
    /// How many instances are at that value already; 0 for operators that do not count.
    pub there: u32,
    /// The constraint's own value is none that its operator can use, so it is met nowhere.
    pub unusable: bool,
}

/// Whether `place` may have one more instance of an app with these constraints, of which `wanted`
/// are wanted and whose instances of the same configuration are counted in `spread`.
///
/// # Errors
/// Every constraint that is not met, in the app's order.
pub fn accepts(
    rules: &Rules,
    wanted: u32,
    place: &Place,
    spread: &Spread,
) -> Result<(), Vec<Violation>> {
    let violations: Vec<Violation> = rules
        .rules
        .iter()
        .filter_map(|rule| rule.violation(wanted, place, spread))
        .collect();
    match violations.is_empty() {
        true => Ok(()),
        false => Err(violations),
    }
}

impl Rules {
    /// Reads the constraints of an app.
    pub fn of(app: &App) -> Rules {
        Rules::new(&app.constraints)
    }

    /// Reads constraints. One with a value that validation would refuse is met nowhere.
    pub fn new(constraints: &[Constraint]) -> Rules {
        let rule = |constraint: &Constraint| Rule {
            constraint: constraint.clone(),
            test: Test::of(constraint),
        };
        Rules {
            rules: constraints.iter().map(rule).collect(),
        }
    }

    /// Whether these are the rules of exactly these constraints.
    pub fn is_for(&self, constraints: &[Constraint]) -> bool {
        self.rules
            .iter()
            .map(|rule| &rule.constraint)
            .eq(constraints)
    }

    /// Whether some constraint is on a region or zone, so that other regions than the local one
    /// may be used.
    pub fn mind_fault_domains(&self) -> bool {
        let mut fields = self.rules.iter().map(|rule| rule.constraint.field.as_str());
        fields.any(|field| DOMAIN_FIELDS.contains(&field))
    }
}

impl Rule {
    fn violation(&self, wanted: u32, place: &Place, spread: &Spread) -> Option<Violation> {
        let field = self.constraint.field.as_str();
        let value = place.field(field);
        let counts = spread.counts(field);
        let met = match value {
            Some(value) => self.test.is_met(value, wanted, counts),
            None => matches!(self.test, Test::Unlike(_)),
        };
        (!met).then(|| Violation {
            constraint: self.constraint.clone(),
            value: value.map(str::to_owned),
            there: value.map_or(0, |value| counts.map_or(0, |counts| counts.of(value))),
            unusable: matches!(self.test, Test::Unusable),
        })
    }
}

impl Test {
    fn of(constraint: &Constraint) -> Test {
        let value = constraint.value.as_deref();
        let number = || value.and_then(|value| value.trim().parse().ok());
        let regex = || value.and_then(whole_match);
        match (constraint.operator, value) {
            (Operator::Unique, _) => Test::Unique,
            (Operator::Cluster, None | Some("")) => Test::Cluster(None),
            (Operator::Cluster, Some(value)) => Test::Cluster(Some(value.to_owned())),
            (Operator::GroupBy, None) => Test::GroupBy(None),
            (Operator::GroupBy, Some(_)) => {
                number().map_or(Test::Unusable, |groups| Test::GroupBy(Some(groups)))
            }
            (Operator::MaxPer, _) => number().map_or(Test::Unusable, Test::MaxPer),
            (Operator::Like, _) => regex().map_or(Test::Unusable, Test::Like),
            (Operator::Unlike, _) => regex().map_or(Test::Unusable, Test::Unlike),
            (Operator::Is, Some(value)) => Test::Is(value.to_owned(), places::normalised(value)),
            (Operator::Is, None) => Test::Unusable,
        }
    }

    fn is_met(&self, value: &str, wanted: u32, counts: Option<&Counts>) -> bool {
        let there = counts.map_or(0, |counts| counts.of(value));
        match self {
            Test::Unique => there == 0,
            Test::Cluster(Some(only)) => value == only,
            Test::Cluster(None) => there > 0 || counts.is_none_or(|counts| counts.values() == 0),
            Test::GroupBy(Some(groups)) => {
                counts.is_none_or(|counts| fills_a_group(counts, there, *groups, wanted))
            }
            // Marathon's last version divides by zero here; older ones spread over the values
            // that instances have so far, and so do we.
            Test::GroupBy(None) => {
                there == 0 || counts.is_none_or(|counts| there <= counts.smallest())
            }
            Test::Like(regex) => regex.is_match(value),
            Test::Unlike(regex) => !regex.is_match(value),
            Test::MaxPer(most) => there < *most,
            Test::Is(text, number) => value == text || value == number,
            Test::Unusable => false,
        }
    }
}

/// GROUP_BY over a known number of groups: each gets the same share, and the rest of the division
/// goes one by one to groups that have their share. Marathon.
fn fills_a_group(counts: &Counts, there: u32, groups: u32, wanted: u32) -> bool {
    let groups = groups.max(1);
    let (share, rest) = (wanted / groups, wanted % groups);
    if there == 0 {
        return counts.values() < groups as usize;
    }
    there < share || (there == share && counts.above(share) < u64::from(rest))
}

/// An expression that matches whole texts only, as Marathon's do.
fn whole_match(pattern: &str) -> Option<Regex> {
    let whole = format!(r"\A(?:{pattern})\z");
    let mut builder = RegexBuilder::new(&whole);
    builder.size_limit(MAX_REGEX_BYTES).build().ok()
}

impl fmt::Display for Violation {
    /// Says what the place has, e.g. `rack is r1, where 2 instances run already`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Constraint {
            field,
            operator,
            value: asked,
        } = &self.constraint;
        let asked = asked.as_deref().unwrap_or_default();
        if self.unusable {
            return write!(f, "{} cannot use the value '{asked}'", operator.as_str());
        }
        let Some(value) = &self.value else {
            return write!(f, "the agent has no {field}");
        };
        write!(f, "{field} is {value}, ")?;
        match operator {
            Operator::Unique | Operator::MaxPer | Operator::GroupBy => {
                let there = self.there;
                let noun = if there == 1 { "instance" } else { "instances" };
                let verb = if there == 1 { "runs" } else { "run" };
                write!(f, "where {there} {noun} {verb} already")
            }
            Operator::Cluster if asked.is_empty() => {
                write!(f, "but the other instances run elsewhere")
            }
            Operator::Cluster | Operator::Is => write!(f, "not {asked}"),
            Operator::Like => write!(f, "which does not match {asked}"),
            Operator::Unlike => write!(f, "which matches {asked}"),
        }
    }
}

impl Violation {
    /// What would let this place be used.
    pub fn unblock(&self) -> String {
        let Constraint {
            field,
            operator,
            value,
        } = &self.constraint;
        let asked = value.as_deref().unwrap_or_default();
        if self.unusable {
            return match operator {
                Operator::Like | Operator::Unlike => {
                    format!("use a regular expression without look-around instead of '{asked}'")
                }
                _ => format!("correct the value of the constraint on {field}"),
            };
        }
        match operator {
            Operator::Unique => {
                format!("offer an agent whose {field} no instance has yet, or drop UNIQUE")
            }
            Operator::MaxPer => format!(
                "offer an agent whose {field} has fewer than {asked} instances, or raise MAX_PER"
            ),
            Operator::GroupBy => {
                format!("offer an agent whose {field} has fewer instances, or change GROUP_BY")
            }
            Operator::Cluster if asked.is_empty() => {
                format!("offer an agent with the {field} of the other instances")
            }
            Operator::Cluster | Operator::Is => format!("offer an agent whose {field} is {asked}"),
            Operator::Like => format!("offer an agent whose {field} matches {asked}"),
            Operator::Unlike => format!("offer an agent whose {field} does not match {asked}"),
        }
    }
}
