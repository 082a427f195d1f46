//! What the allocation run asks of a sorter: who is next.
//! Knows no agents and no filters; an order is only about how much each client holds.

use std::fmt::Debug;

use crate::resources::Name;

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
        self.counted.push(
            !self
                .excluded
                .iter()
                .any(|excluded| excluded == name.as_str()),
        );
        self.names.push(name.clone());
        self.milli.push(0);
        self.names.len() - 1
    }

    /// Adds (or takes away, when negative) thousandths of a kind.
    pub fn change(&mut self, kind: usize, milli: i64) {
        if milli != 0 {
            self.milli[kind] = self.milli[kind].saturating_add(milli);
            self.version += 1;
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

    /// The largest part of any one kind that `amounts` make up, from 0 to 1.
    pub fn dominant_share(&self, amounts: &[i64]) -> f64 {
        let mut share = 0.0_f64;
        for ((amount, total), counted) in amounts.iter().zip(&self.milli).zip(&self.counted) {
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

/// Orders clients; the first is offered first. Amounts are thousandths by kind of [`Totals`].
pub trait Sorter: Debug + Send {
    /// Adds a client, not listed yet. `client` is what [`Sorter::order`] lists.
    fn add(&mut self, client: usize, path: &str) -> Slot;

    /// Removes a client and what it holds.
    fn remove(&mut self, slot: Slot, totals: &Totals);

    /// Lists the client from now on, or no longer. What it holds counts either way.
    fn set_listed(&mut self, slot: Slot, listed: bool, totals: &Totals);

    /// The client holds this much more (less, when negative). `chosen` says that an allocation
    /// gave it: among equal shares, those chosen more often come later.
    fn change(&mut self, slot: Slot, amounts: &[i64], chosen: bool, totals: &Totals);

    /// Writes the listed clients, in order.
    fn order(&mut self, totals: &Totals, out: &mut Vec<usize>);

    /// What the client holds.
    fn amounts(&self, slot: Slot) -> &[i64];

    /// Checks its own bookkeeping.
    fn sanity_check(&self, totals: &Totals) -> Result<(), String>;
}
