//! How many instances of an app have which value, kept as they come and go.
//! Does not judge; a lookup costs the same for one instance and for ten thousand.

use std::collections::{BTreeMap, HashMap};

use tepui_protocol::marathon::{Constraint, Operator};

use crate::marathon::place::Place;

/// Counts of an app's instances by the fields that its constraints count.
///
/// Only instances of the current configuration belong here: those whose version is not older than
/// the last change of the configuration. Marathon.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    fields: Vec<(String, Counts)>,
}

/// How many instances have which value of one field.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    by_value: HashMap<String, u32>,
    /// How many values have this many instances; lets sums over all values be taken at once.
    by_count: BTreeMap<u32, u32>,
}

impl Spread {
    /// No instances yet, to be counted for these constraints.
    pub fn new(constraints: &[Constraint]) -> Spread {
        let mut fields: Vec<(String, Counts)> = Vec::new();
        for constraint in constraints.iter().filter(|one| counts(one.operator)) {
            if fields.iter().all(|(field, _)| *field != constraint.field) {
                fields.push((constraint.field.clone(), Counts::default()));
            }
        }
        Spread { fields }
    }

    /// Counts one more instance.
    pub fn add(&mut self, place: &Place) {
        for (field, counts) in &mut self.fields {
            if let Some(value) = place.field(field) {
                counts.change(value, |count| count.saturating_add(1));
            }
        }
    }

    /// Counts one instance less; one that was never counted changes nothing.
    pub fn remove(&mut self, place: &Place) {
        for (field, counts) in &mut self.fields {
            if let Some(value) = place.field(field) {
                counts.change(value, |count| count.saturating_sub(1));
            }
        }
    }

    /// The counts of a field; none for a field that no constraint counts.
    pub fn counts(&self, field: &str) -> Option<&Counts> {
        let mut fields = self.fields.iter();
        fields
            .find(|(name, _)| name == field)
            .map(|(_, counts)| counts)
    }
}

impl Counts {
    /// How many instances have this value.
    pub fn of(&self, value: &str) -> u32 {
        self.by_value.get(value).copied().unwrap_or(0)
    }

    /// How many different values instances have.
    pub fn values(&self) -> usize {
        self.by_value.len()
    }

    /// The fewest instances that a value has which has any; 0 without instances.
    pub fn smallest(&self) -> u32 {
        self.by_count.keys().next().copied().unwrap_or(0)
    }

    /// The sum over all values of the instances above `share`.
    pub fn above(&self, share: u32) -> u64 {
        let larger = self.by_count.range(share.saturating_add(1)..);
        larger
            .map(|(count, values)| u64::from(count - share) * u64::from(*values))
            .sum()
    }

    /// How many different counts there are: what [`Counts::above`] looks at, at most.
    pub fn steps(&self) -> usize {
        self.by_count.len()
    }

    fn change(&mut self, value: &str, change: impl Fn(u32) -> u32) {
        let before = self.of(value);
        let after = change(before);
        if before == after {
            return;
        }
        if let Some(values) = self.by_count.get_mut(&before) {
            *values -= 1;
            if *values == 0 {
                self.by_count.remove(&before);
            }
        }
        if after == 0 {
            self.by_value.remove(value);
            return;
        }
        *self.by_count.entry(after).or_insert(0) += 1;
        match self.by_value.get_mut(value) {
            Some(count) => *count = after,
            None => {
                self.by_value.insert(value.to_owned(), after);
            }
        }
    }
}

/// Whether an operator looks at other instances.
fn counts(operator: Operator) -> bool {
    match operator {
        Operator::Unique | Operator::Cluster | Operator::GroupBy | Operator::MaxPer => true,
        Operator::Like | Operator::Unlike | Operator::Is => false,
    }
}
