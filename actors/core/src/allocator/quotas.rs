//! What top-level roles are guaranteed, limited to and have: the books behind quota.
//! Sums only; who gets what is the run's affair.

use std::collections::HashMap;

use slab::Slab;

use super::amounts::Amounts;
use super::keys::TopKey;
use super::sorter::Totals;
use crate::ids::Role;
use crate::quota::Quota;
use crate::resources::Name;

/// A top-level role, with everything below it.
#[derive(Debug)]
pub(super) struct Top {
    pub name: Role,
    pub quota: Quota,
    guarantees: Amounts,
    /// Ceilings by kind.
    limits: Vec<(usize, i64)>,
    /// Reserved in the cluster, held or not.
    pub reserved: Amounts,
    /// Held of what is not reserved and not revocable.
    pub allocated: Amounts,
    /// Guarantees that are not met yet.
    unmet: Amounts,
    /// Roles in use below and including this one.
    roles: usize,
}

/// What is cut off an offer, and for which reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The role may not have more.
    Limit,
    /// Others' guarantees need what is left.
    Headroom,
}

/// Books of all top-level roles, and of what is kept back for guarantees.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    tops: Slab<Top>,
    keys: HashMap<Role, TopKey>,
    /// Free in the cluster of what is not reserved and not revocable.
    free: Amounts,
    /// Sum of all guarantees that are not met.
    required: Amounts,
    is_any_required: bool,
    /// Roles that have quota.
    count: usize,
    /// Somebody may have more than at the last look.
    has_grown: bool,
}

impl Top {
    /// Reservations and what else is held: this is what quota counts.
    pub fn consumed(&self, kind: usize) -> i64 {
        self.reserved.get(kind) + self.allocated.get(kind)
    }

    /// Guarantees that are not met yet.
    pub fn unmet(&self) -> &Amounts {
        &self.unmet
    }

    /// Whether a guarantee is not met.
    pub fn has_unmet(&self) -> bool {
        !self.unmet.is_zero()
    }

    fn is_unused(&self) -> bool {
        self.roles == 0 && self.quota.is_default() && self.reserved.is_zero()
    }

    fn unmet_now(&self) -> Amounts {
        let mut unmet = Amounts::default();
        for (kind, guarantee) in self.guarantees.as_slice().iter().enumerate() {
            unmet.set(kind, (guarantee - self.consumed(kind)).max(0));
        }
        unmet
    }
}

impl Quotas {
    /// The top-level role of a path, created if need be, for one more role in use.
    pub fn enter(&mut self, path: &str) -> TopKey {
        let key = self.ensure(path);
        self.tops[key.0].roles += 1;
        key
    }

    /// A role is no longer in use.
    pub fn leave(&mut self, key: TopKey) {
        self.tops[key.0].roles -= 1;
        self.drop_if_unused(key);
    }

    pub fn top(&self, key: TopKey) -> &Top {
        &self.tops[key.0]
    }

    /// Top-level roles that have quota.
    pub fn with_quota(&self) -> impl Iterator<Item = &Top> {
        self.tops().filter(|top| !top.quota.is_default())
    }

    /// Whether any role has quota.
    pub fn any(&self) -> bool {
        self.count > 0
    }

    /// Sets a role's quota.
    pub fn set(&mut self, role: &Role, quota: Quota, totals: &mut Totals) {
        let key = self.ensure(role);
        let top = &mut self.tops[key.0];
        self.count -= usize::from(!top.quota.is_default());
        self.count += usize::from(!quota.is_default());
        top.guarantees = totals.amounts(&quota.guarantees);
        let limits = quota.limits.0.iter();
        top.limits = limits
            .map(|(name, milli)| (totals.kind(&Name::from(name.as_ref())), *milli))
            .collect();
        top.quota = quota;
        self.refresh(key);
        self.has_grown = true;
        self.drop_if_unused(key);
    }

    /// A role below the top-level one holds `sign` times this more, of what counts.
    pub fn consume(&mut self, key: TopKey, plain: &Amounts, sign: i64) {
        self.tops[key.0].allocated.add(plain, sign);
        self.has_grown |= sign < 0 && self.count > 0;
        self.refresh(key);
    }

    /// So much more is reserved for a role.
    pub fn reserve(&mut self, path: &str, kind: usize, milli: i64) {
        let key = self.ensure(path);
        self.tops[key.0].reserved.change(kind, milli);
        self.has_grown |= milli < 0 && self.count > 0;
        self.refresh(key);
        self.drop_if_unused(key);
    }

    /// So much more is free in the cluster, of what counts.
    pub fn free_changed(&mut self, plain: &Amounts, sign: i64) {
        self.free.add(plain, sign);
        self.has_grown |= sign > 0 && self.count > 0;
    }

    /// Whether somebody may have more than when this was asked last.
    pub fn take_growth(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// Whether somebody may have more than when that was taken last.
    pub fn has_grown(&self) -> bool {
        self.has_grown
    }

    /// How much of `plain` the role may get: within its limit, and leaving what guarantees need.
    /// `None` when that is all of it.
    ///
    /// A limit holds for subroles too; Mesos counts what they have but cuts only the role itself.
    pub fn allowed(&self, key: TopKey, plain: &Amounts) -> Option<(Amounts, Cut)> {
        let top = &self.tops[key.0];
        let mut cut = None;
        let mut allowed = plain.clone();
        for (kind, limit) in &top.limits {
            let left = (limit - top.consumed(*kind)).max(0);
            if left < allowed.get(*kind) {
                allowed.set(*kind, left);
                cut = Some(Cut::Limit);
            }
        }
        if self.is_any_required {
            for kind in 0..plain.as_slice().len() {
                let surplus = (self.free.get(kind) - self.required.get(kind)).max(0);
                if surplus < allowed.get(kind) {
                    allowed.set(kind, surplus);
                    cut = Some(Cut::Headroom);
                }
            }
        }
        cut.map(|cut| (allowed, cut))
    }

    /// Whether the role may get nothing at all of any of the first `kinds` kinds. Within a run
    /// this stays so: what a role has only grows then, and what is free only shrinks.
    pub fn is_shut(&self, key: TopKey, kinds: usize) -> bool {
        let top = &self.tops[key.0];
        (0..kinds).all(|kind| {
            let mut limits = top.limits.iter();
            limits.any(|(of, limit)| *of == kind && top.consumed(kind) >= *limit)
                || (self.is_any_required && self.free.get(kind) <= self.required.get(kind))
        })
    }

    /// How much of `left` the role may get on top of `given`, which goes towards its guarantees:
    /// that reduces what is free and what is required alike.
    pub fn allowed_beyond(&self, key: TopKey, given: &Amounts, left: &Amounts) -> Amounts {
        let top = &self.tops[key.0];
        let mut allowed = left.clone();
        for (kind, limit) in &top.limits {
            let more = (limit - top.consumed(*kind) - given.get(*kind)).max(0);
            allowed.set(*kind, allowed.get(*kind).min(more));
        }
        if self.is_any_required {
            for kind in 0..left.as_slice().len() {
                let surplus = (self.free.get(kind) - self.required.get(kind)).max(0);
                allowed.set(kind, allowed.get(kind).min(surplus));
            }
        }
        allowed
    }

    /// Checks the derived sums; `free` is what agents have free of what counts.
    pub fn sanity_check(&self, free: &Amounts) -> Result<(), String> {
        let mut required = Amounts::default();
        let mut count = 0;
        for (key, top) in &self.tops {
            if top.unmet != top.unmet_now() {
                return Err(format!("unmet guarantees of {} are wrong", top.name));
            }
            if top.is_unused() || self.keys.get(&top.name) != Some(&TopKey(key)) {
                return Err(format!("top-level role {} is left over", top.name));
            }
            required.add(&top.unmet, 1);
            count += usize::from(!top.quota.is_default());
        }
        let is_any_required = !required.is_zero();
        if required != self.required || is_any_required != self.is_any_required {
            return Err("the required headroom is wrong".to_owned());
        }
        if count != self.count || self.tops.len() != self.keys.len() {
            return Err("the number of quotas is wrong".to_owned());
        }
        match *free == self.free {
            true => Ok(()),
            false => Err(format!("free is {:?}, should be {free:?}", self.free)),
        }
    }

    /// All top-level roles that are in use in any way.
    pub fn tops(&self) -> impl Iterator<Item = &Top> {
        self.tops.iter().map(|(_, top)| top)
    }

    fn ensure(&mut self, path: &str) -> TopKey {
        let name = path.split('/').next().unwrap_or(path);
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let name = Role::from(name);
        let key = TopKey(self.tops.insert(Top {
            name: name.clone(),
            quota: Quota::default(),
            guarantees: Amounts::default(),
            limits: Vec::new(),
            reserved: Amounts::default(),
            allocated: Amounts::default(),
            unmet: Amounts::default(),
            roles: 0,
        }));
        self.keys.insert(name, key);
        key
    }

    /// Brings the unmet guarantees up to date.
    fn refresh(&mut self, key: TopKey) {
        let top = &mut self.tops[key.0];
        // Most roles have no guarantee, and then there is nothing to do.
        if top.guarantees.is_zero() && top.unmet.is_zero() {
            return;
        }
        let unmet = top.unmet_now();
        self.required.add(&top.unmet, -1);
        self.required.add(&unmet, 1);
        top.unmet = unmet;
        self.is_any_required = !self.required.is_zero();
    }

    fn drop_if_unused(&mut self, key: TopKey) {
        if self.tops[key.0].is_unused() {
            let top = self.tops.remove(key.0);
            self.keys.remove(&top.name);
        }
    }
}
