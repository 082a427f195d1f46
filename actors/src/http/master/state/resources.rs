//! Resources and attributes as the v0 reads show them: one entry per name.
//! Reservations, disks and allocation roles are summed up, not shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use tepui_core::resources::{self, Entry, Name, Resources};
use tepui_protocol::v1::{self, value};

/// Names that are shown even when there is nothing of them.
const ALWAYS: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

/// Resources by name. There is one for every task, so it borrows what it can.
#[derive(Debug, PartialEq)]
pub(super) struct ResourcesView<'a>(Vec<(Cow<'a, str>, Amount)>);

/// An amount: a number, or ranges and sets as text.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Amount {
    /// Sum of scalars.
    Scalar(f64),
    /// `[1-2, 4-5]` or `{a, b}`.
    Text(String),
}

#[derive(Clone)]
struct Sum<'a> {
    name: &'a str,
    is_revocable: bool,
    milli: i64,
    ranges: Vec<(u64, u64)>,
    items: BTreeSet<&'a str>,
    is_scalar: bool,
}

impl<'a> ResourcesView<'a> {
    /// Everything in `resources`.
    pub(super) fn of(resources: &'a Resources) -> Self {
        Self::of_entries(resources)
    }

    /// All of these together, and also with more: there may be very many of the first.
    pub(super) fn of_all_and_with(
        parts: impl IntoIterator<Item = &'a Resources>,
        more: impl IntoIterator<Item = &'a Resources>,
    ) -> (Self, Self) {
        let mut sums = Sums::new();
        sums.add_all(parts.into_iter().flatten());
        let first = sums.clone().finish();
        sums.add_all(more.into_iter().flatten());
        (first, sums.finish())
    }

    /// All of these together.
    pub(super) fn of_all(parts: impl IntoIterator<Item = &'a Resources>) -> Self {
        Self::of_entries(parts.into_iter().flatten())
    }

    /// All of these entries together.
    pub(super) fn of_entries(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut sums = Sums::new();
        sums.add_all(entries);
        sums.finish()
    }
}

/// Sums that are not shown yet.
#[derive(Clone)]
struct Sums<'a> {
    /// By name; those of [`ALWAYS`] are the first.
    by_name: Vec<Sum<'a>>,
    shared: Vec<&'a Entry>,
}

impl<'a> Sums<'a> {
    fn new() -> Self {
        Sums {
            by_name: ALWAYS.iter().map(|name| Sum::always(name)).collect(),
            shared: Vec::new(),
        }
    }

    fn add_all(&mut self, entries: impl IntoIterator<Item = &'a Entry>) {
        for entry in entries {
            // Several may hold one shared volume, of which there is no more for that.
            if entry.is_shared() {
                if self.shared.iter().any(|known| known.is_same(entry)) {
                    continue;
                }
                self.shared.push(entry);
            }
            self.of(entry).add(entry);
        }
    }

    /// The sum that an entry belongs to.
    fn of(&mut self, entry: &'a Entry) -> &mut Sum<'a> {
        let is_revocable = entry.is_revocable();
        let usual = match entry.kind() {
            _ if is_revocable => None,
            Name::Cpus => Some(0),
            Name::Disk => Some(1),
            Name::Gpus => Some(2),
            Name::Mem => Some(3),
            Name::Ports | Name::Other(_) => None,
        };
        let place = usual.unwrap_or_else(|| {
            let name = entry.name();
            let known = |sum: &Sum<'_>| sum.name == name && sum.is_revocable == is_revocable;
            let at = self.by_name.iter().position(known);
            at.unwrap_or_else(|| {
                self.by_name.push(Sum::new(name, is_revocable));
                self.by_name.len() - 1
            })
        });
        &mut self.by_name[place]
    }

    fn finish(self) -> ResourcesView<'a> {
        let mut view: Vec<_> = self.by_name.into_iter().map(Sum::finish).collect();
        view.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        ResourcesView(view)
    }
}

impl Serialize for ResourcesView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, amount)| (name, amount)))
    }
}

impl<'a> Sum<'a> {
    fn new(name: &'a str, is_revocable: bool) -> Self {
        Sum {
            name,
            is_revocable,
            milli: 0,
            ranges: Vec::new(),
            items: BTreeSet::new(),
            is_scalar: false,
        }
    }

    fn always(name: &'a str) -> Self {
        Sum {
            is_scalar: true,
            ..Sum::new(name, false)
        }
    }

    fn add(&mut self, entry: &'a Entry) {
        match entry.amount() {
            resources::Amount::Scalar(milli) => {
                self.is_scalar = true;
                self.milli = self.milli.saturating_add(*milli);
            }
            resources::Amount::Ranges(ranges) => self.ranges.extend_from_slice(ranges),
            resources::Amount::Set(items) => self.items.extend(items.iter().map(|item| &**item)),
        }
    }

    fn finish(self) -> (Cow<'a, str>, Amount) {
        let amount = if self.is_scalar {
            Amount::Scalar(self.milli as f64 / 1000.0)
        } else if !self.ranges.is_empty() {
            Amount::Text(ranges_text(self.ranges))
        } else {
            Amount::Text(set_text(self.items))
        };
        let name = match self.is_revocable {
            true => Cow::Owned(format!("{}_revocable", self.name)),
            false => Cow::Borrowed(self.name),
        };
        (name, amount)
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

fn set_text(items: BTreeSet<&str>) -> String {
    format!("{{{}}}", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// What is reserved, by the role it is reserved to.
pub(super) fn reserved(resources: &Resources) -> BTreeMap<&str, ResourcesView<'_>> {
    let mut by_role: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in resources {
        if let Some(role) = entry.reservation_role() {
            by_role.entry(role).or_default().push(entry);
        }
    }
    by_role
        .into_iter()
        .map(|(role, entries)| (role, ResourcesView::of_entries(entries)))
        .collect()
}

/// What is not reserved.
pub(super) fn unreserved(resources: &Resources) -> ResourcesView<'_> {
    ResourcesView::of_entries(resources.iter().filter(|entry| !entry.is_reserved()))
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
            let items = attribute
                .set
                .as_ref()
                .map(|set| set.item.iter().map(String::as_str));
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
