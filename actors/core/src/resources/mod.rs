//! Resource algebra: scalars in fixed point, ranges and sets, reservations, allocation roles.
//! Does not decide who gets what; that is the allocator's.

use std::collections::BTreeMap;

use tepui_protocol::v1;

use crate::ids::Role;

pub mod attributes;
mod bag;
mod checkpointed;
pub mod conversion;
mod convert;
mod display;
mod entry;
mod format;
mod limits;
mod parse;
mod quantities;
mod reservations;
pub mod roles;
#[cfg(test)]
pub(crate) mod tests;
mod validate;
mod value;

use bag::Bag;
pub use entry::{Entry, Name, Reservation, ReservationKind};
pub use format::{Format, downgrade, upgrade};
pub use limits::Limits;
pub use quantities::Quantities;
pub use reservations::common_reservations;
pub use validate::{validate, validate_one};
pub use value::{Amount, Ranges, TextValue, format_milli, from_milli, to_milli};

/// Why resources could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResourceError(pub String);

/// A bag of resources, kept canonical: like entries merged, empty ones dropped.
///
/// Entries keep the order in which they were added, as in Mesos; comparison ignores it.
///
/// Copies share memory until one of them changes.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    entries: Bag,
}

impl Resources {
    /// No resources.
    pub fn new() -> Self {
        Resources::default()
    }

    /// Reads Mesos's text (`cpus:4;mem:1024;ports:[1-2]`) or JSON form; roles default to
    /// `default_role`. What only programs may say (persistent volumes, revocable resources,
    /// dynamic reservations) is refused, as is one name with two kinds of amounts.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, ResourceError> {
        parse::parse(text, default_role)
    }

    /// Reads the v1 form, pre- or post-refinement, and validates each entry.
    pub fn from_v1(resources: &[v1::Resource]) -> Result<Self, ResourceError> {
        validate(resources)?;
        let mut bag = Resources {
            entries: Bag::with_capacity(resources.len()),
        };
        for resource in resources {
            bag.add_entry(convert::entry_from_v1(resource));
        }
        Ok(bag)
    }

    /// Writes the v1 form.
    pub fn to_v1(&self, format: Format) -> Vec<v1::Resource> {
        self.entries
            .iter()
            .map(|entry| convert::entry_to_v1(entry, format))
            .collect()
    }

    /// True when there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether both are copies of one bag that neither has changed since: equal for certain, and
    /// seen at once. Equal bags made separately are not the same.
    pub fn is_same_copy(&self, other: &Resources) -> bool {
        self.entries.is_same(&other.entries)
    }

    /// Whether both have the same plain entries in the same order, so that nobody can tell one from
    /// the other. What is reserved, shared or on a disk of its own is never told to be alike.
    pub fn is_written_like(&self, other: &Resources) -> bool {
        let is_alike = |(a, b): (&Entry, &Entry)| {
            a.amount == b.amount
                && a.name == b.name
                && a.allocation == b.allocation
                && a.copies == b.copies
                && a.extra.is_none()
                && b.extra.is_none()
        };
        self.entries.len() == other.entries.len() && self.iter().zip(other).all(is_alike)
    }

    /// The entries, in the order they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Whether `other` is part of `self`.
    pub fn contains(&self, other: &Resources) -> bool {
        self.is_same_copy(other)
            || other.entries.iter().all(|wanted| {
                let mut holders = self.entries.iter().filter(|entry| entry.contains(wanted));
                if !wanted.is_exclusive() || wanted.is_shared() {
                    return holders.next().is_some();
                }
                // Exclusive disks without an identity may occur several times.
                holders.count() >= other.entries.iter().filter(|e| e.equals(wanted)).count()
            })
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Resources) {
        if self.entries.is_empty() {
            self.entries = other.entries.clone();
            return;
        }
        for entry in other.entries.iter() {
            self.add_ref(entry);
        }
    }

    /// Adds one entry.
    pub fn add_entry(&mut self, entry: Entry) {
        if entry.is_empty() {
            return;
        }
        match self.entries.iter().position(|own| own.can_add(&entry)) {
            Some(at) => merge(&mut self.entries.to_mut()[at], &entry),
            None => self.entries.to_mut().push(entry),
        }
    }

    /// Takes `other` away; what is not there is ignored.
    pub fn subtract(&mut self, other: &Resources) {
        if self.is_same_copy(other) {
            *self = Resources::new();
            return;
        }
        for entry in other.entries.iter() {
            self.subtract_entry(entry);
        }
    }

    /// Takes one entry away; what is not there is ignored.
    pub fn subtract_entry(&mut self, entry: &Entry) {
        let Some(at) = self.entries.iter().position(|own| own.can_subtract(entry)) else {
            return;
        };
        let entries = self.entries.to_mut();
        let own = &mut entries[at];
        if own.is_shared() {
            own.copies = own.copies.saturating_sub(entry.copies);
        } else {
            own.amount.subtract(&entry.amount);
        }
        if own.is_empty() {
            // The last entry moves into the gap, so that orders agree with those of Mesos.
            entries.swap_remove(at);
        }
    }

    /// The entries for which `keep` is true; when that is all of them, the copy costs nothing.
    pub fn filter(&self, keep: impl Fn(&Entry) -> bool) -> Resources {
        let Some(kept) = self.entries.iter().position(|entry| !keep(entry)) else {
            return self.clone();
        };
        let (before, after) = self.entries.split_at(kept);
        let after = after.iter().skip(1).filter(|entry| keep(entry));
        Resources {
            entries: before.iter().chain(after).cloned().collect(),
        }
    }

    /// The same with every entry's allocation role set.
    pub fn allocated_to(&self, role: &str) -> Resources {
        let role = Role::from(role);
        self.with_allocation(Some(&role))
    }

    /// Sets every entry's allocation role in place.
    ///
    /// All entries must have the same one before, or none: entries are not merged.
    pub fn allocate(&mut self, role: &Role) {
        for entry in self.entries.to_mut() {
            entry.allocation = Some(role.clone());
        }
    }

    /// The same without allocation roles.
    pub fn unallocated(&self) -> Resources {
        self.with_allocation(None)
    }

    /// Split by allocation role; entries without one are left out.
    pub fn by_allocation_role(&self) -> BTreeMap<Role, Resources> {
        let mut split: BTreeMap<Role, Resources> = BTreeMap::new();
        for entry in self.entries.iter() {
            if let Some(role) = &entry.allocation {
                split
                    .entry(role.clone())
                    .or_default()
                    .entries
                    .to_mut()
                    .push(entry.clone());
            }
        }
        split
    }

    /// The allocation role of all entries, when they have one and the same.
    pub fn sole_allocation_role(&self) -> Option<&Role> {
        let role = self.entries.first()?.allocation.as_ref()?;
        self.entries
            .iter()
            .all(|entry| entry.allocation.as_ref() == Some(role))
            .then_some(role)
    }

    /// Entries that are not reserved.
    pub fn unreserved(&self) -> Resources {
        self.filter(|entry| !entry.is_reserved())
    }

    /// Entries that are reserved, to any role.
    pub fn reserved(&self) -> Resources {
        self.filter(Entry::is_reserved)
    }

    /// Entries reserved to exactly this role.
    pub fn reserved_to(&self, role: &str) -> Resources {
        self.filter(|entry| {
            entry
                .reservation_role()
                .is_some_and(|owner| owner.as_ref() == role)
        })
    }

    /// Entries that may be allocated to `role`: unreserved, or reserved to it or an ancestor.
    pub fn allocatable_to(&self, role: &str) -> Resources {
        self.filter(|entry| entry.is_allocatable_to(role))
    }

    /// Revocable entries.
    pub fn revocable(&self) -> Resources {
        self.filter(Entry::is_revocable)
    }

    /// Entries that are not revocable.
    pub fn non_revocable(&self) -> Resources {
        self.filter(|entry| !entry.is_revocable())
    }

    /// Shared entries.
    pub fn shared(&self) -> Resources {
        self.filter(Entry::is_shared)
    }

    /// Entries that only one can use at a time.
    pub fn non_shared(&self) -> Resources {
        self.filter(|entry| !entry.is_shared())
    }

    /// Persistent volumes.
    pub fn persistent_volumes(&self) -> Resources {
        self.filter(Entry::is_persistent_volume)
    }

    /// The names of all entries, sorted, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(Entry::name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Amounts of scalars by name.
    pub fn quantities(&self) -> Quantities {
        let mut quantities = Quantities::default();
        for entry in self.entries.iter() {
            if let Amount::Scalar(milli) = entry.amount {
                quantities.add_milli(entry.name(), milli);
            }
        }
        quantities
    }

    /// Whether at least these quantities are here; numbers of ranges and items of sets count too.
    pub fn contains_quantities(&self, wanted: &Quantities) -> bool {
        wanted.0.iter().all(|(name, milli)| {
            let counts = self
                .entries
                .iter()
                .filter(|entry| entry.name() == name.as_ref());
            let found = counts.fold(0_i64, |n, entry| {
                n.saturating_add(entry.amount.count_milli())
            });
            found >= *milli
        })
    }

    /// Sum of the scalar of this name, in thousandths; 0 when there is none.
    pub fn scalar_milli(&self, name: &str) -> i64 {
        let own = self.entries.iter().filter(|entry| entry.name() == name);
        own.filter_map(Entry::scalar_milli)
            .fold(0, i64::saturating_add)
    }

    /// Inclusive ranges of this name, sorted and coalesced over all entries.
    pub fn ranges(&self, name: &str) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.name() == name) {
            if let Amount::Ranges(ranges) = &entry.amount {
                all.extend_from_slice(ranges);
            }
        }
        value::coalesce(all).to_vec()
    }

    fn add_ref(&mut self, entry: &Entry) {
        match self.entries.iter().position(|own| own.can_add(entry)) {
            Some(at) => merge(&mut self.entries.to_mut()[at], entry),
            None => self.entries.to_mut().push(entry.clone()),
        }
    }

    fn with_allocation(&self, role: Option<&Role>) -> Resources {
        if self.iter().all(|entry| entry.allocation.as_ref() == role) {
            return self.clone();
        }
        let mut bag = Resources {
            entries: Bag::with_capacity(self.entries.len()),
        };
        for entry in self.entries.iter() {
            // Entries that differed only in this role become one.
            bag.add_entry(Entry {
                allocation: role.cloned(),
                ..entry.clone()
            });
        }
        bag
    }
}

fn merge(own: &mut Entry, entry: &Entry) {
    if own.is_shared() {
        own.copies = own.copies.saturating_add(entry.copies);
    } else {
        own.amount.add(&entry.amount);
    }
}

impl PartialEq for Resources {
    /// Equal when each contains the other.
    fn eq(&self, other: &Self) -> bool {
        if self.is_same_copy(other) {
            return true;
        }
        if self.entries.len() != other.entries.len() {
            return false;
        }
        let mut pairs = self.entries.iter().zip(other.entries.iter());
        // Mostly the order is the same too, which is quicker to see.
        pairs.all(|(a, b)| a.copies == b.copies && a.equals(b))
            || (self.contains(other) && other.contains(self))
    }
}

impl Eq for Resources {}

impl From<Entry> for Resources {
    fn from(entry: Entry) -> Self {
        let mut bag = Resources::new();
        bag.add_entry(entry);
        bag
    }
}

impl FromIterator<Entry> for Resources {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut bag = Resources::new();
        for entry in entries {
            bag.add_entry(entry);
        }
        bag
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
