//! Figures of the allocator for metrics.
//! Read from sums that are kept anyway; no agent is looked at.

use std::collections::BTreeMap;

use super::Allocator;
use super::amounts::Amounts;
use super::quotas::Top;
use crate::ids::Role;
use crate::resources::Name;

/// Figures for metrics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AllocatorFigures {
    /// Runs so far.
    pub runs: u64,
    /// All resources and what of them is offered or in use, in thousandths, by name.
    pub resources: BTreeMap<String, (i64, i64)>,
    /// Active offer filters by role.
    pub offer_filters: BTreeMap<Role, u64>,
    /// Dominant share by role, from 0 to 1, not weighted.
    pub dominant_shares: BTreeMap<Role, f64>,
    /// Quota by role and name of resource.
    pub quotas: BTreeMap<Role, BTreeMap<String, QuotaFigures>>,
    /// What top-level roles have of what quota counts, with quota or without, in thousandths, by name
    /// of resource; what they have nothing of is left out.
    pub consumed: BTreeMap<Role, BTreeMap<String, i64>>,
}

/// Quota of one role and kind of resource, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaFigures {
    /// What is guaranteed, if anything.
    pub guarantee: Option<i64>,
    /// The ceiling, if there is one.
    pub limit: Option<i64>,
    /// What the role with its subroles has: reservations, offers and what is in use.
    pub consumed: i64,
}

impl Allocator {
    /// Figures for metrics; takes time in proportion to roles and frameworks.
    pub fn figures(&self) -> AllocatorFigures {
        let mut figures = AllocatorFigures {
            runs: self.runs,
            ..Default::default()
        };
        let mut used = Amounts::default();
        for (_, role) in &self.ledger.roles {
            let amounts = self.ledger.role_sorter.amounts(role.slot);
            used.add(amounts, 1);
            let share = self.ledger.totals.dominant_share(amounts);
            figures.dominant_shares.insert(role.path.clone(), share);
            figures.offer_filters.insert(role.path.clone(), 0);
        }
        for (kind, (name, total)) in self.ledger.totals.iter().enumerate() {
            let name = Name::as_str(name).to_owned();
            figures.resources.insert(name, (total, used.get(kind)));
        }
        for sub in self.filters.subs() {
            let role = &self.ledger.roles[self.ledger.subs[sub.0].role.0];
            let count = figures.offer_filters.entry(role.path.clone()).or_default();
            *count += self.filters.refused_count(sub);
        }
        for top in self.ledger.quotas.tops() {
            let consumed = self.consumed(top);
            if !consumed.is_empty() {
                figures.consumed.insert(top.name.clone(), consumed);
            }
        }
        for top in self.ledger.quotas.with_quota() {
            let name = top.name.clone();
            figures.quotas.insert(name, self.quota_figures(top));
        }
        figures
    }

    fn consumed(&self, top: &Top) -> BTreeMap<String, i64> {
        let kinds = self.ledger.totals.iter().enumerate();
        let consumed = kinds.map(|(kind, (name, _))| (Name::as_str(name), top.consumed(kind)));
        let consumed = consumed.filter(|(_, milli)| *milli > 0);
        consumed
            .map(|(name, milli)| (name.to_owned(), milli))
            .collect()
    }

    fn quota_figures(&self, top: &Top) -> BTreeMap<String, QuotaFigures> {
        let guarantees = &top.quota.guarantees.0;
        let limits = &top.quota.limits.0;
        let names = guarantees.keys().chain(limits.keys());
        names
            .map(|name| {
                let kind = self.ledger.totals.known_kind(&Name::from(name.as_ref()));
                let figures = QuotaFigures {
                    guarantee: guarantees.get(name).copied(),
                    limit: limits.get(name).copied(),
                    consumed: kind.map_or(0, |kind| top.consumed(kind)),
                };
                (name.to_string(), figures)
            })
            .collect()
    }
}
