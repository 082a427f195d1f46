//! What the allocation run asks of a sorter: who is next.
//! Knows no agents and no filters; an order is only about how much each client holds.

use std::fmt::Debug;

use super::amounts::Amounts;
use crate::ids::IdSource;
use crate::resources::{Amount, Entry, Name, Quantities};

/// All resources of the cluster by kind, the measure for every share.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    names: Vec<Name>,
    milli: Vec<i64>,
    counted: Vec<bool>,
    excluded: Vec<String>,
    version: u64,
}

impl Totals {
    /// Nothing yet; shares will not count the `excluded` kinds.
    pub fn new(excluded: Vec<String>) -> Self {
        Totals {
            excluded,
            ..Totals::default()
        }
    }

    /// The index of a kind of scalar; new names get the next one.
    pub fn kind(&mut self, name: &Name) -> usize {
        if let Some(kind) = self.names.iter().position(|known| known == name) {
            return kind;
        }
        let excluded = self.excluded.iter().any(|other| other == name.as_str());
        self.counted.push(!excluded);
        self.names.push(name.clone());
        self.milli.push(0);
        self.names.len() - 1
    }

    /// The index of a kind that was met before.
    pub fn known_kind(&self, name: &Name) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Quantities by kind.
    pub fn amounts(&mut self, quantities: &Quantities) -> Amounts {
        let mut amounts = Amounts::default();
        for (name, milli) in &quantities.0 {
            let kind = self.kind(&Name::from(name.as_ref()));
            amounts.change(kind, *milli);
        }
        amounts
    }

    /// Scalars by kind of the entries that count.
    pub fn measure<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
        counts: impl Fn(&Entry) -> bool,
    ) -> Amounts {
        let mut amounts = Amounts::default();
        for entry in entries {
            if let Amount::Scalar(milli) = entry.amount()
                && counts(entry)
            {
                amounts.change(self.kind(entry.kind()), *milli);
            }
        }
        amounts
    }

    /// Adds (or takes away, when `sign` is negative) amounts.
    pub fn change(&mut self, amounts: &Amounts, sign: i64) {
        for (kind, milli) in amounts.as_slice().iter().enumerate() {
            if *milli != 0 {
                self.milli[kind] = self.milli[kind].saturating_add(sign * milli);
                self.version += 1;
            }
        }
    }

    /// Rises with every change, so that sorters see that their shares are stale.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Names and thousandths of all kinds.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, i64)> {
        self.names.iter().zip(self.milli.iter().copied())
    }

    /// How many kinds there are.
    pub fn kinds(&self) -> usize {
        self.names.len()
    }

    /// The largest part of any one kind that `amounts` make up, from 0 to 1.
    pub fn dominant_share(&self, amounts: &Amounts) -> f64 {
        let mut share = 0.0_f64;
        let totals = self.milli.iter().zip(&self.counted);
        for (amount, (total, counted)) in amounts.as_slice().iter().zip(totals) {
            if *counted && *total > 0 {
                share = share.max(*amount as f64 / *total as f64);
            }
        }
        share
    }
}

/// A client's place in a sorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub usize);

/// How far a walk through an order has come.
#[derive(Debug, Default)]
pub struct Walk {
    /// A list of the sorter and the next place in it, per level.
    pub stack: Vec<(usize, usize)>,
}

/// Orders clients; the first is offered first. Amounts are thousandths by kind of [`Totals`].
///
/// Changes do not disturb an order that was begun: they count from the next [`Sorter::begin`] on.
/// So a run may allocate while it walks, as in Mesos, and walks no further than it must.
pub trait Sorter: Debug + Send {
    /// Adds a client, not listed yet. `client` is what [`Sorter::next`] tells.
    fn add(&mut self, client: usize, path: &str) -> Slot;

    /// Removes a client and what it holds.
    fn remove(&mut self, slot: Slot, totals: &Totals);

    /// Lists the client from now on, or no longer. What it holds counts either way.
    fn set_listed(&mut self, slot: Slot, listed: bool, totals: &Totals);

    /// The weight of a path and all below it from now on, whether it has clients yet or not.
    fn set_weight(&mut self, path: &str, weight: f64);

    /// The client holds `sign` times this much more. `chosen` says that an allocation gave it:
    /// among equal shares, those chosen more often come later.
    fn change(&mut self, slot: Slot, amounts: &Amounts, sign: i64, chosen: bool);

    /// Brings the order up to date and starts to walk through the listed clients.
    fn begin(&mut self, totals: &Totals, random: &mut IdSource, walk: &mut Walk);

    /// The next client of the order begun last.
    fn next(&self, walk: &mut Walk) -> Option<usize>;

    /// Puts a few listed clients into the order in which a walk would meet them.
    fn order_among(&mut self, totals: &Totals, random: &mut IdSource, slots: &mut [Slot]);

    /// What the client holds.
    fn amounts(&self, slot: Slot) -> &Amounts;

    /// Checks its own bookkeeping.
    fn sanity_check(&self, totals: &Totals) -> Result<(), String>;
}
