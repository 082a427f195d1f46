//! Dominant resource fairness over a tree of paths: the smallest weighted share comes first.
//! Shares are the only measure: reservations, quotas and filters are the run's affair.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::amounts::Amounts;
use super::sorter::{Slot, Sorter, Totals, Walk};
use super::tree::{self, ROOT, Tree};
use crate::ids::IdSource;

/// When more than one in this many children of a node changed, its list is sorted anew; fewer
/// are moved one by one.
const MOVE_RATHER_THAN_SORT: usize = 16;

/// A tree of clients, each level kept sorted by share, then number of allocations, then name.
///
/// A change only notes the nodes it touches; their places are mended when an order is begun. So
/// a hundred releases between two runs cost one move per client, not a hundred.
#[derive(Debug)]
pub struct DrfSorter {
    tree: Tree<Share>,
    /// Version of the totals the ranks were computed with.
    version: u64,
    /// Nodes whose rank may no longer be right.
    stale: Vec<usize>,
}

/// What is kept of a node.
#[derive(Debug, Default)]
struct Share {
    /// Children with listed clients, sorted by rank.
    ranked: Vec<u32>,
    /// Listed clients in this subtree.
    listed: usize,
    amounts: Amounts,
    allocations: u64,
    /// By which the parent's list is sorted.
    rank: Rank,
    is_stale: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Rank {
    share: f64,
    allocations: u64,
}

fn rank_now(node: &tree::Node<Share>, totals: &Totals) -> Rank {
    Rank {
        share: totals.dominant_share(&node.own.amounts) / node.weight,
        allocations: node.own.allocations,
    }
}

impl DrfSorter {
    /// Paths are split at `/`; the weight of a path counts for its whole subtree.
    pub fn hierarchical() -> Self {
        DrfSorter::with(true)
    }

    /// Paths are plain names, all of weight 1.
    pub fn flat() -> Self {
        DrfSorter::with(false)
    }

    fn with(hierarchical: bool) -> Self {
        DrfSorter {
            tree: Tree::new(hierarchical),
            version: 0,
            stale: Vec::new(),
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.tree[a], &self.tree[b]);
        let (one, other) = (a.own.rank, b.own.rank);
        one.share
            .total_cmp(&other.share)
            .then(one.allocations.cmp(&other.allocations))
            .then_with(|| a.name.cmp(&b.name))
    }

    fn mark_stale(&mut self, node: usize) {
        let own = &mut self.tree[node].own;
        if !own.is_stale && node != ROOT {
            own.is_stale = true;
            self.stale.push(node);
        }
    }

    fn unrank(&mut self, node: usize) {
        let parent = self.tree[node].parent;
        let ranked = &self.tree[parent].own.ranked;
        let found = ranked.binary_search_by(|other| self.compare(*other as usize, node));
        if let Ok(at) = found {
            self.tree[parent].own.ranked.remove(at);
        }
    }

    fn rank(&mut self, node: usize) {
        let parent = self.tree[node].parent;
        let ranked = &self.tree[parent].own.ranked;
        let is_before = |other: &u32| self.compare(*other as usize, node) == Ordering::Less;
        let at = ranked.partition_point(is_before);
        self.tree[parent].own.ranked.insert(at, number(node));
    }

    /// Puts every node into its right place.
    fn refresh(&mut self, totals: &Totals) {
        if self.version != totals.version() {
            self.version = totals.version();
            for (key, node) in self.tree.iter_mut() {
                let own = &mut node.own;
                let may_differ = !own.amounts.is_zero() || own.rank.share != 0.0;
                if may_differ && !own.is_stale && key != ROOT {
                    own.is_stale = true;
                    self.stale.push(key);
                }
            }
        }
        if self.stale.is_empty() {
            return;
        }
        let mut stale = std::mem::take(&mut self.stale);
        if stale.len() > 1 {
            stale.sort_unstable_by_key(|node| self.tree[*node].parent);
        }
        let mut rest = stale.as_slice();
        while let Some(first) = rest.first() {
            let parent = self.tree[*first].parent;
            let count = rest.partition_point(|node| self.tree[*node].parent <= parent);
            let (siblings, others) = rest.split_at(count);
            self.rank_anew(parent, siblings, totals);
            rest = others;
        }
        stale.clear();
        self.stale = stale;
    }

    fn rank_anew(&mut self, parent: usize, children: &[usize], totals: &Totals) {
        let sort = children.len() * MOVE_RATHER_THAN_SORT > self.tree[parent].own.ranked.len();
        for child in children {
            let rank = rank_now(&self.tree[*child], totals);
            let own = &mut self.tree[*child].own;
            own.is_stale = false;
            if rank == own.rank {
                continue;
            }
            if sort || own.listed == 0 {
                own.rank = rank;
                continue;
            }
            self.unrank(*child);
            self.tree[*child].own.rank = rank;
            self.rank(*child);
        }
        if sort {
            let mut ranked = std::mem::take(&mut self.tree[parent].own.ranked);
            // A stable sort is quick where much is sorted already.
            ranked.sort_by(|a, b| self.compare(*a as usize, *b as usize));
            self.tree[parent].own.ranked = ranked;
        }
    }

    fn path_from_root(&self, slot: Slot) -> SmallVec<[usize; 8]> {
        let mut path = SmallVec::new();
        let mut node = slot.0;
        while node != ROOT {
            path.push(node);
            node = self.tree[node].parent;
        }
        path.reverse();
        path
    }
}

impl Sorter for DrfSorter {
    fn add(&mut self, client: usize, path: &str) -> Slot {
        self.tree.add(client, path)
    }

    fn remove(&mut self, slot: Slot, totals: &Totals) {
        self.set_listed(slot, false, totals);
        let held = self.tree[slot.0].own.amounts.clone();
        if !held.is_zero() {
            self.change(slot, &held, -1, false);
        }
        for gone in self.tree.remove(slot) {
            self.stale.retain(|node| *node != gone);
        }
    }

    fn set_listed(&mut self, slot: Slot, listed: bool, totals: &Totals) {
        if (self.tree[slot.0].own.listed > 0) == listed {
            return;
        }
        let mut node = slot.0;
        while node != ROOT {
            let rank = rank_now(&self.tree[node], totals);
            let own = &mut self.tree[node].own;
            let before = own.listed;
            if listed {
                own.listed += 1;
                if before == 0 {
                    own.rank = rank;
                    self.rank(node);
                }
            } else {
                own.listed -= 1;
                if before == 1 {
                    self.unrank(node);
                }
            }
            node = self.tree[node].parent;
        }
    }

    fn set_weight(&mut self, path: &str, weight: f64) {
        if let Some(node) = self.tree.set_weight(path, weight) {
            self.mark_stale(node);
        }
    }

    fn change(&mut self, slot: Slot, amounts: &Amounts, sign: i64, chosen: bool) {
        let mut node = slot.0;
        loop {
            let own = &mut self.tree[node].own;
            own.amounts.add(amounts, sign);
            own.allocations += u64::from(chosen);
            if node == ROOT {
                return;
            }
            self.mark_stale(node);
            node = self.tree[node].parent;
        }
    }

    fn begin(&mut self, totals: &Totals, _random: &mut IdSource, walk: &mut Walk) {
        self.refresh(totals);
        walk.stack.clear();
        walk.stack.push((ROOT, 0));
    }

    fn next(&self, walk: &mut Walk) -> Option<usize> {
        loop {
            let (node, at) = walk.stack.last_mut()?;
            let Some(child) = self.tree[*node].own.ranked.get(*at) else {
                walk.stack.pop();
                continue;
            };
            *at += 1;
            let child = *child as usize;
            match self.tree[child].client {
                Some(client) => return Some(client),
                None => walk.stack.push((child, 0)),
            }
        }
    }

    fn order_among(&mut self, totals: &Totals, _random: &mut IdSource, slots: &mut [Slot]) {
        if slots.len() < 2 {
            return;
        }
        self.refresh(totals);
        slots.sort_by(|a, b| {
            let (a, b) = (self.path_from_root(*a), self.path_from_root(*b));
            let fork = a.iter().zip(&b).find(|(a, b)| a != b);
            fork.map_or(Ordering::Equal, |(a, b)| self.compare(*a, *b))
        });
    }

    fn amounts(&self, slot: Slot) -> &Amounts {
        &self.tree[slot.0].own.amounts
    }

    fn sanity_check(&self, totals: &Totals) -> Result<(), String> {
        self.tree.sanity_check()?;
        for (key, node) in self.tree.iter() {
            let kids = || node.children.values().map(|child| &self.tree[*child]);
            let listed = kids().filter(|kid| kid.own.listed > 0).count();
            if node.own.ranked.len() != listed {
                let ranked = node.own.ranked.len();
                return Err(format!("{}: {ranked} ranked of {listed}", node.name));
            }
            let is_sorted = node
                .own
                .ranked
                .is_sorted_by(|a, b| self.compare(*a as usize, *b as usize) == Ordering::Less);
            if !is_sorted {
                return Err(format!("{}: children are not sorted", node.name));
            }
            if node.own.is_stale != self.stale.contains(&key) {
                return Err(format!("{}: stale is {}", node.name, node.own.is_stale));
            }
            let is_current = self.version == totals.version() && !node.own.is_stale && key != ROOT;
            let rank = rank_now(node, totals);
            if is_current && node.own.listed > 0 && node.own.rank != rank {
                let ranked = node.own.rank;
                return Err(format!("{}: rank {ranked:?} is not {rank:?}", node.name));
            }
            if node.client.is_some() {
                continue;
            }
            let mut sum = Amounts::default();
            for kid in kids() {
                sum.add(&kid.own.amounts, 1);
            }
            if sum != node.own.amounts {
                let amounts = &node.own.amounts;
                return Err(format!("{}: {amounts:?} is not {sum:?}", node.name));
            }
        }
        Ok(())
    }
}

/// A slab of four billion nodes does not fit into memory.
fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}
