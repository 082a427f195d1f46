//! Resources and attributes as the v0 reads show them: one entry per name.
//! Reservations, disks and allocation roles are summed up, not shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1::{self, value};

/// Names that are shown even when there is nothing of them.
const ALWAYS: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// Resources by name.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ResourcesView(BTreeMap<String, Amount>);

/// An amount: a number, or ranges and sets as text.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Amount {
    /// Sum of scalars.
    Scalar(f64),
    /// `[1-2, 4-5]` or `{a, b}`.
    Text(String),
}

#[derive(Default)]
struct Sum {
    milli: i64,
    ranges: Vec<(u64, u64)>,
    items: BTreeSet<String>,
    scalar: bool,
}

impl ResourcesView {
    /// Everything in `resources`.
    pub(super) fn of(resources: &Resources) -> Self {
        Self::sum(&resources.to_v1(Format::PostRefinement))
    }

    /// Everything in a list in the form of the API.
    pub(super) fn sum<'a>(resources: impl IntoIterator<Item = &'a v1::Resource>) -> Self {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for name in ALWAYS {
            sums.entry(name.to_owned()).or_default().scalar = true;
        }
        for resource in resources {
            let name = match resource.revocable {
                Some(_) => format!("{}_revocable", resource.name),
                None => resource.name.clone(),
            };
            sums.entry(name).or_default().add(resource);
        }
        ResourcesView(
            sums.into_iter()
                .map(|(name, sum)| (name, sum.amount()))
                .collect(),
        )
    }
}

impl Sum {
    fn add(&mut self, resource: &v1::Resource) {
        if let Some(scalar) = &resource.scalar {
            self.scalar = true;
            // Scalars have three decimals: summed as thousandths, no rounding error shows.
            self.milli = self
                .milli
                .saturating_add((scalar.value * 1000.0).round() as i64);
        }
        if let Some(ranges) = &resource.ranges {
            self.ranges
                .extend(ranges.range.iter().map(|range| (range.begin, range.end)));
        }
        if let Some(set) = &resource.set {
            self.items.extend(set.item.iter().cloned());
        }
    }

    fn amount(self) -> Amount {
        if self.scalar {
            Amount::Scalar(self.milli as f64 / 1000.0)
        } else if !self.ranges.is_empty() {
            Amount::Text(ranges_text(self.ranges))
        } else {
            Amount::Text(set_text(self.items))
        }
    }
}

fn ranges_text(mut ranges: Vec<(u64, u64)>) -> String {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        match merged.last_mut() {
            Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => merged.push((begin, end)),
        }
    }
    let ranges: Vec<String> = merged
        .iter()
        .map(|(begin, end)| format!("{begin}-{end}"))
        .collect();
    format!("[{}]", ranges.join(", "))
}

fn set_text(items: BTreeSet<String>) -> String {
    format!("{{{}}}", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// What is reserved, by the role it is reserved to.
pub(super) fn reserved(resources: &[v1::Resource]) -> BTreeMap<&str, ResourcesView> {
    let mut by_role: BTreeMap<&str, Vec<&v1::Resource>> = BTreeMap::new();
    for resource in resources {
        if let Some(reservation) = resource.reservations.last() {
            by_role
                .entry(reservation.role())
                .or_default()
                .push(resource);
        }
    }
    by_role
        .into_iter()
        .map(|(role, list)| (role, ResourcesView::sum(list)))
        .collect()
}

/// What is not reserved.
pub(super) fn unreserved(resources: &[v1::Resource]) -> ResourcesView {
    ResourcesView::sum(
        resources
            .iter()
            .filter(|resource| resource.reservations.is_empty()),
    )
}

/// Attributes by name.
pub(super) fn attributes(attributes: &[v1::Attribute]) -> BTreeMap<&str, Amount> {
    let amount = |attribute: &v1::Attribute| match attribute.r#type() {
        value::Type::Scalar => {
            Amount::Scalar(attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value))
        }
        value::Type::Ranges => {
            let ranges = attribute.ranges.as_ref().map(|ranges| &ranges.range);
            let pairs = ranges
                .into_iter()
                .flatten()
                .map(|range| (range.begin, range.end));
            Amount::Text(ranges_text(pairs.collect()))
        }
        value::Type::Set => {
            let items = attribute.set.as_ref().map(|set| set.item.iter().cloned());
            Amount::Text(set_text(items.into_iter().flatten().collect()))
        }
        value::Type::Text => Amount::Text(
            attribute
                .text
                .as_ref()
                .map_or_else(String::new, |text| text.value.clone()),
        ),
    };
    attributes
        .iter()
        .map(|attribute| (attribute.name.as_str(), amount(attribute)))
        .collect()
}
