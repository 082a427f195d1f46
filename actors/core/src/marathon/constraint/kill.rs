//! Which instances to lose so that GROUP_BY spreads stay even.
//! The order among equals, by condition and age, is the caller's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use tepui_protocol::marathon::{Constraint, Operator};

use crate::marathon::place::Place;

/// Positions in `places` of the `count` instances whose loss keeps all GROUP_BY spreads most even,
/// in the order in which to lose them. Among equals the one that comes first in `places` goes
/// first. Without a GROUP_BY constraint there is nothing to keep even: none.
///
/// Each one is taken where the sum of the squares of all groups falls most, which is from the
/// largest groups.
pub fn pick_to_kill(constraints: &[Constraint], places: &[&Place], count: usize) -> Vec<usize> {
    let fields: Vec<&str> = constraints
        .iter()
        .filter(|constraint| constraint.operator == Operator::GroupBy)
        .map(|constraint| constraint.field.as_str())
        .collect();
    if fields.is_empty() {
        return Vec::new();
    }
    let mut groups = Groups::of(&fields, places);
    std::iter::from_fn(|| groups.take()).take(count).collect()
}

/// Instances that agree in every field, and how many have each value.
struct Groups<'a> {
    /// By the values of all fields.
    members: Vec<(Vec<Option<&'a str>>, VecDeque<usize>)>,
    /// By the number of the field and its value. Those without the field are a group too.
    sizes: HashMap<(usize, Option<&'a str>), usize>,
    /// Best last known: sum of sizes, position of the next member, number of the group. Sums only
    /// fall, so the best is the best as soon as its sum is still true.
    heap: BinaryHeap<(usize, Reverse<usize>, usize)>,
}

impl<'a> Groups<'a> {
    fn of(fields: &[&str], places: &[&'a Place]) -> Groups<'a> {
        let mut numbers: HashMap<Vec<Option<&str>>, usize> = HashMap::new();
        let mut groups = Groups {
            members: Vec::new(),
            sizes: HashMap::new(),
            heap: BinaryHeap::new(),
        };
        for (at, place) in places.iter().enumerate() {
            let values: Vec<Option<&str>> = fields.iter().map(|field| place.field(field)).collect();
            for (field, value) in values.iter().enumerate() {
                *groups.sizes.entry((field, *value)).or_insert(0) += 1;
            }
            let number = *numbers.entry(values.clone()).or_insert_with(|| {
                groups.members.push((values, VecDeque::new()));
                groups.members.len() - 1
            });
            groups.members[number].1.push_back(at);
        }
        for number in 0..groups.members.len() {
            groups.push(number);
        }
        groups
    }

    fn take(&mut self) -> Option<usize> {
        loop {
            let (sum, _, number) = self.heap.pop()?;
            if sum != self.sum(number) {
                self.push(number);
                continue;
            }
            let (values, members) = &mut self.members[number];
            let taken = members.pop_front()?;
            for (field, value) in values.iter().enumerate() {
                if let Some(size) = self.sizes.get_mut(&(field, *value)) {
                    *size -= 1;
                }
            }
            self.push(number);
            return Some(taken);
        }
    }

    fn push(&mut self, number: usize) {
        if let Some(next) = self.members[number].1.front() {
            let entry = (self.sum(number), Reverse(*next), number);
            self.heap.push(entry);
        }
    }

    fn sum(&self, number: usize) -> usize {
        let values = self.members[number].0.iter().enumerate();
        values
            .map(|(field, value)| self.sizes.get(&(field, *value)).copied().unwrap_or(0))
            .sum()
    }
}
