//! Dominant resource fairness over a tree of paths: the smallest weighted share comes first.
//! Shares are the only measure: reservations, quotas and filters are the run's affair.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use super::amounts::Amounts;
use super::sorter::{Slot, Sorter, Totals, Walk};
use crate::ids::IdSource;

/// Name of the leaf a client has below the node of its path. A role's own frameworks compete
/// with its subroles through it, as in Mesos.
const LEAF: &str = ".";

const ROOT: usize = 0;

/// When more than one in this many children of a node changed, its list is sorted anew; fewer
/// are moved one by one.
const MOVE_RATHER_THAN_SORT: usize = 16;

/// A tree of clients, each level kept sorted by share, then number of allocations, then name.
///
/// A change only notes the nodes it touches; their places are mended when an order is begun. So
/// a hundred releases between two runs cost one move per client, not a hundred.
#[derive(Debug)]
pub struct DrfSorter {
    nodes: Slab<Node>,
    /// Weights of paths other than 1.
    weights: BTreeMap<String, f64>,
    hierarchical: bool,
    /// Version of the totals the ranks were computed with.
    version: u64,
    /// Nodes whose rank may no longer be right.
    stale: Vec<usize>,
}

#[derive(Debug, Default)]
struct Node {
    parent: usize,
    name: Arc<str>,
    children: BTreeMap<Arc<str>, usize>,
    /// Children with listed clients, sorted by rank.
    ranked: Vec<u32>,
    client: Option<usize>,
    /// Listed clients in this subtree.
    listed: usize,
    weight: f64,
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

impl Node {
    fn rank_now(&self, totals: &Totals) -> Rank {
        Rank {
            share: totals.dominant_share(&self.amounts) / self.weight,
            allocations: self.allocations,
        }
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
        let mut nodes = Slab::new();
        nodes.insert(Node {
            weight: 1.0,
            ..Node::default()
        });
        DrfSorter {
            nodes,
            weights: BTreeMap::new(),
            hierarchical,
            version: 0,
            stale: Vec::new(),
        }
    }

    fn child(&mut self, parent: usize, name: &str, weight: f64) -> usize {
        if let Some(child) = self.nodes[parent].children.get(name) {
            return *child;
        }
        let name: Arc<str> = Arc::from(name);
        let child = self.nodes.insert(Node {
            parent,
            name: name.clone(),
            weight,
            ..Node::default()
        });
        self.nodes[parent].children.insert(name, child);
        child
    }

    fn find(&self, path: &str) -> Option<usize> {
        let mut node = ROOT;
        for name in path.split('/') {
            node = *self.nodes[node].children.get(name)?;
        }
        Some(node)
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        a.rank
            .share
            .total_cmp(&b.rank.share)
            .then(a.rank.allocations.cmp(&b.rank.allocations))
            .then_with(|| a.name.cmp(&b.name))
    }

    fn mark_stale(&mut self, node: usize) {
        let own = &mut self.nodes[node];
        if !own.is_stale && node != ROOT {
            own.is_stale = true;
            self.stale.push(node);
        }
    }

    fn unrank(&mut self, node: usize) {
        let parent = self.nodes[node].parent;
        let ranked = &self.nodes[parent].ranked;
        let found = ranked.binary_search_by(|other| self.compare(*other as usize, node));
        if let Ok(at) = found {
            self.nodes[parent].ranked.remove(at);
        }
    }

    fn rank(&mut self, node: usize) {
        let parent = self.nodes[node].parent;
        let ranked = &self.nodes[parent].ranked;
        let is_before = |other: &u32| self.compare(*other as usize, node) == Ordering::Less;
        let at = ranked.partition_point(is_before);
        self.nodes[parent].ranked.insert(at, number(node));
    }

    /// Puts every node into its right place.
    fn refresh(&mut self, totals: &Totals) {
        if self.version != totals.version() {
            self.version = totals.version();
            for (key, node) in &mut self.nodes {
                let may_differ = !node.amounts.is_zero() || node.rank.share != 0.0;
                if may_differ && !node.is_stale && key != ROOT {
                    node.is_stale = true;
                    self.stale.push(key);
                }
            }
        }
        if self.stale.is_empty() {
            return;
        }
        let mut stale = std::mem::take(&mut self.stale);
        if stale.len() > 1 {
            stale.sort_unstable_by_key(|node| self.nodes[*node].parent);
        }
        let mut rest = stale.as_slice();
        while let Some(first) = rest.first() {
            let parent = self.nodes[*first].parent;
            let count = rest.partition_point(|node| self.nodes[*node].parent <= parent);
            let (siblings, others) = rest.split_at(count);
            self.rank_anew(parent, siblings, totals);
            rest = others;
        }
        stale.clear();
        self.stale = stale;
    }

    fn rank_anew(&mut self, parent: usize, children: &[usize], totals: &Totals) {
        let sort = children.len() * MOVE_RATHER_THAN_SORT > self.nodes[parent].ranked.len();
        for child in children {
            let node = &mut self.nodes[*child];
            node.is_stale = false;
            let rank = node.rank_now(totals);
            if rank == node.rank {
                continue;
            }
            if sort || node.listed == 0 {
                node.rank = rank;
                continue;
            }
            self.unrank(*child);
            self.nodes[*child].rank = rank;
            self.rank(*child);
        }
        if sort {
            let mut ranked = std::mem::take(&mut self.nodes[parent].ranked);
            // A stable sort is quick where much is sorted already.
            ranked.sort_by(|a, b| self.compare(*a as usize, *b as usize));
            self.nodes[parent].ranked = ranked;
        }
    }

    fn path_from_root(&self, slot: Slot) -> SmallVec<[usize; 8]> {
        let mut path = SmallVec::new();
        let mut node = slot.0;
        while node != ROOT {
            path.push(node);
            node = self.nodes[node].parent;
        }
        path.reverse();
        path
    }
}

impl Sorter for DrfSorter {
    fn add(&mut self, client: usize, path: &str) -> Slot {
        if !self.hierarchical {
            let leaf = self.child(ROOT, path, 1.0);
            self.nodes[leaf].client = Some(client);
            return Slot(leaf);
        }
        let mut node = ROOT;
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        let mut begin = 0;
        for end in ends {
            let weight = self.weights.get(&path[..end]).copied().unwrap_or(1.0);
            node = self.child(node, &path[begin..end], weight);
            begin = end + 1;
        }
        let leaf = self.child(node, LEAF, 1.0);
        self.nodes[leaf].client = Some(client);
        Slot(leaf)
    }

    fn remove(&mut self, slot: Slot, totals: &Totals) {
        self.set_listed(slot, false, totals);
        let held = std::mem::take(&mut self.nodes[slot.0].amounts);
        let mut node = slot.0;
        while node != ROOT {
            let parent = self.nodes[node].parent;
            if self.nodes[node].children.is_empty() {
                let gone = self.nodes.remove(node);
                self.nodes[parent].children.remove(&gone.name);
                if gone.is_stale {
                    self.stale.retain(|other| *other != node);
                }
            }
            if !held.is_zero() {
                self.nodes[parent].amounts.add(&held, -1);
                self.mark_stale(parent);
            }
            node = parent;
        }
    }

    fn set_listed(&mut self, slot: Slot, listed: bool, totals: &Totals) {
        if (self.nodes[slot.0].listed > 0) == listed {
            return;
        }
        let mut node = slot.0;
        while node != ROOT {
            let own = &mut self.nodes[node];
            let before = own.listed;
            if listed {
                own.listed += 1;
                if before == 0 {
                    own.rank = own.rank_now(totals);
                    self.rank(node);
                }
            } else {
                own.listed -= 1;
                if before == 1 {
                    self.unrank(node);
                }
            }
            node = self.nodes[node].parent;
        }
    }

    /// Mesos takes weights that make no sense for the default.
    fn set_weight(&mut self, path: &str, weight: f64) {
        let weight = match weight.is_finite() && weight > 0.0 {
            true => weight,
            false => 1.0,
        };
        self.weights.insert(path.to_owned(), weight);
        if let Some(node) = self.find(path) {
            self.nodes[node].weight = weight;
            self.mark_stale(node);
        }
    }

    fn change(&mut self, slot: Slot, amounts: &Amounts, sign: i64, chosen: bool) {
        let mut node = slot.0;
        loop {
            let own = &mut self.nodes[node];
            own.amounts.add(amounts, sign);
            own.allocations += u64::from(chosen);
            if node == ROOT {
                return;
            }
            self.mark_stale(node);
            node = self.nodes[node].parent;
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
            let Some(child) = self.nodes[*node].ranked.get(*at) else {
                walk.stack.pop();
                continue;
            };
            *at += 1;
            let child = *child as usize;
            match self.nodes[child].client {
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
        &self.nodes[slot.0].amounts
    }

    fn sanity_check(&self, totals: &Totals) -> Result<(), String> {
        for (key, node) in &self.nodes {
            let kids = || node.children.values().map(|child| &self.nodes[*child]);
            let listed = kids().filter(|kid| kid.listed > 0).count();
            if node.ranked.len() != listed {
                let ranked = node.ranked.len();
                return Err(format!("{}: {ranked} ranked of {listed}", node.name));
            }
            let is_sorted = node
                .ranked
                .is_sorted_by(|a, b| self.compare(*a as usize, *b as usize) == Ordering::Less);
            if !is_sorted {
                return Err(format!("{}: children are not sorted", node.name));
            }
            if node.is_stale != self.stale.contains(&key) {
                return Err(format!("{}: stale is {}", node.name, node.is_stale));
            }
            let is_current = self.version == totals.version() && !node.is_stale && key != ROOT;
            let rank = node.rank_now(totals);
            if is_current && node.listed > 0 && node.rank != rank {
                let ranked = node.rank;
                return Err(format!("{}: rank {ranked:?} is not {rank:?}", node.name));
            }
            if node.client.is_some() {
                continue;
            }
            let mut sum = Amounts::default();
            for kid in kids() {
                sum.add(&kid.amounts, 1);
            }
            if sum != node.amounts {
                let amounts = &node.amounts;
                return Err(format!("{}: {amounts:?} is not {sum:?}", node.name));
            }
            if key != ROOT && node.children.is_empty() {
                return Err(format!("node {key} {} is left over", node.name));
            }
        }
        Ok(())
    }
}

/// A slab of four billion nodes does not fit into memory.
fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}
