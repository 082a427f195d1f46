//! The order in which instances are given up when there are too many.
//! Does not say how many there are too many.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::marathon::{App, KillSelection, Operator};

use super::{Condition, Instance};
use crate::marathon::ids::InstanceId;

/// Where an instance stands in the order; the least goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VictimKey {
    /// Those that do not serve go before those that do; only upgrades ask.
    serves: bool,
    /// Unreachable, Staging, Starting, Running, others.
    rank: u8,
    /// Age, such that the least goes first.
    age: i64,
    /// Makes the order complete.
    id: InstanceId,
}

impl VictimKey {
    /// The key of an instance under a kill selection.
    pub fn of(instance: &Instance, selection: KillSelection, upgrade: bool) -> VictimKey {
        let (rank, time) = match instance.condition {
            Condition::Unreachable | Condition::UnreachableInactive => (0, instance.active_since),
            Condition::Staging => (1, instance.staged_at),
            Condition::Starting => (2, Some(instance.since)),
            Condition::Running => (3, instance.active_since),
            Condition::Scheduled
            | Condition::Provisioned
            | Condition::Killing
            | Condition::Finished
            | Condition::Killed
            | Condition::Failed
            | Condition::Error
            | Condition::Gone
            | Condition::Dropped
            | Condition::Unknown => (4, instance.active_since),
        };
        // Those without a time go first under either selection.
        let age = match (time, selection) {
            (None, _) => i64::MIN,
            (Some(time), KillSelection::YoungestFirst) => -time.as_millis(),
            (Some(time), KillSelection::OldestFirst) => time.as_millis(),
        };
        VictimKey {
            serves: upgrade && instance.serves(),
            rank,
            age,
            id: instance.id.clone(),
        }
    }

    /// The instance.
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Whether it counted as serving when the key was made.
    pub fn serves(&self) -> bool {
        self.serves
    }
}

/// Candidates, grouped by what GROUP_BY constraints spread them over.
#[derive(Debug, Clone, Default)]
pub struct Victims {
    groups: BTreeMap<Vec<String>, BTreeSet<VictimKey>>,
}

impl Victims {
    /// The group an instance belongs to: the values of the fields that `app` spreads over.
    pub fn group(app: &App, instance: &Instance) -> Vec<String> {
        let spread = |constraint: &&_| is_group_by(constraint);
        let constraints = app.constraints.iter().filter(spread);
        constraints
            .map(|constraint| instance.place.field(&constraint.field))
            .map(|value| value.unwrap_or_default().to_owned())
            .collect()
    }

    /// Adds a candidate.
    pub fn insert(&mut self, group: Vec<String>, key: VictimKey) {
        self.groups.entry(group).or_default().insert(key);
    }

    /// Takes a candidate out.
    pub fn remove(&mut self, group: &[String], key: &VictimKey) {
        if let Some(keys) = self.groups.get_mut(group) {
            keys.remove(key);
            if keys.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// Who goes first: among those in the fullest groups, the least key. Costs as many steps as
    /// there are groups, however many candidates they hold.
    pub fn first(&self) -> Option<&VictimKey> {
        let fields = self.groups.keys().next()?.len();
        let mut totals: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); fields];
        for (group, keys) in &self.groups {
            for (total, value) in totals.iter_mut().zip(group) {
                *total.entry(value.as_str()).or_default() += keys.len();
            }
        }
        let fullness = |group: &[String]| -> Vec<usize> {
            let counts = totals.iter().zip(group);
            counts.map(|(total, value)| total[value.as_str()]).collect()
        };
        let ranked = self.groups.iter().filter_map(|(group, keys)| {
            let first = keys.first()?;
            Some((std::cmp::Reverse(fullness(group)), first))
        });
        ranked.min().map(|(_, first)| first)
    }
}

fn is_group_by(constraint: &tepui_protocol::marathon::Constraint) -> bool {
    match constraint.operator {
        Operator::GroupBy => true,
        Operator::Unique
        | Operator::Cluster
        | Operator::Like
        | Operator::Unlike
        | Operator::MaxPer
        | Operator::Is => false,
    }
}
