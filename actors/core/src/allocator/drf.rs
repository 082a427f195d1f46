//! Dominant resource fairness over a tree of paths: the smallest weighted share comes first.
//! Shares are the only measure: reservations, quotas and filters are the run's affair.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use slab::Slab;

use super::sorter::{Slot, Sorter, Totals};

/// Name of the leaf a client has below the node of its path. A role's own frameworks compete
/// with its subroles through it, as in Mesos.
const LEAF: &str = ".";

const ROOT: usize = 0;

/// A tree of clients, each level kept sorted by share, then number of allocations, then name.
#[derive(Debug)]
pub struct DrfSorter {
    nodes: Slab<Node>,
    weights: Arc<BTreeMap<String, f64>>,
    hierarchical: bool,
    /// Version of the totals the shares were computed with.
    version: u64,
    /// Work list of `order`, kept for its memory.
    stack: Vec<usize>,
}

#[derive(Debug, Default)]
struct Node {
    parent: usize,
    name: Arc<str>,
    children: BTreeMap<Arc<str>, usize>,
    /// Children with listed clients, sorted.
    ranked: Vec<usize>,
    client: Option<usize>,
    /// Listed clients in this subtree.
    listed: usize,
    weight: f64,
    amounts: Vec<i64>,
    allocations: u64,
    share: f64,
}

impl DrfSorter {
    /// Paths are split at `/`; the weight of a path counts for its whole subtree.
    pub fn hierarchical(weights: Arc<BTreeMap<String, f64>>) -> Self {
        DrfSorter::with(weights, true)
    }

    /// Paths are plain names, all of weight 1.
    pub fn flat() -> Self {
        DrfSorter::with(Arc::default(), false)
    }

    fn with(weights: Arc<BTreeMap<String, f64>>, hierarchical: bool) -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node {
            weight: 1.0,
            ..Node::default()
        });
        DrfSorter {
            nodes,
            weights,
            hierarchical,
            version: 0,
            stack: Vec::new(),
        }
    }

    fn child(&mut self, parent: usize, name: &str, weight: f64) -> usize {
        if let Some(child) = self.nodes[parent].children.get(name) {
            return *child;
        }
        let name: Arc<str> = Arc::from(name);
        let node = Node {
            parent,
            name: name.clone(),
            weight,
            ..Node::default()
        };
        let child = self.nodes.insert(node);
        self.nodes[parent].children.insert(name, child);
        child
    }

    /// Mesos takes weights that make no sense for the default.
    fn weight(&self, path: &str) -> f64 {
        match self.weights.get(path) {
            Some(weight) if weight.is_finite() && *weight > 0.0 => *weight,
            _ => 1.0,
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        a.share
            .total_cmp(&b.share)
            .then(a.allocations.cmp(&b.allocations))
            .then_with(|| a.name.cmp(&b.name))
    }

    fn share(node: &Node, totals: &Totals) -> f64 {
        totals.dominant_share(&node.amounts) / node.weight
    }

    fn unrank(&mut self, node: usize) {
        let parent = self.nodes[node].parent;
        let ranked = &self.nodes[parent].ranked;
        let at = match ranked.binary_search_by(|other| self.compare(*other, node)) {
            Ok(at) => Some(at),
            // With stale shares the list is not sorted by what the nodes say now.
            Err(_) => ranked.iter().position(|other| *other == node),
        };
        if let Some(at) = at {
            self.nodes[parent].ranked.remove(at);
        }
    }

    fn rank(&mut self, node: usize) {
        let parent = self.nodes[node].parent;
        let ranked = &self.nodes[parent].ranked;
        let at = ranked.partition_point(|other| self.compare(*other, node) == Ordering::Less);
        self.nodes[parent].ranked.insert(at, node);
    }

    /// Recomputes all shares and sorts every level, after the totals changed.
    fn refresh(&mut self, totals: &Totals) {
        if self.version == totals.version() {
            return;
        }
        for (_, node) in self.nodes.iter_mut() {
            node.share = DrfSorter::share(node, totals);
        }
        let parents: Vec<usize> = self
            .nodes
            .iter()
            .filter(|(_, n)| n.ranked.len() > 1)
            .map(|(key, _)| key)
            .collect();
        for parent in parents {
            let mut ranked = std::mem::take(&mut self.nodes[parent].ranked);
            ranked.sort_unstable_by(|a, b| self.compare(*a, *b));
            self.nodes[parent].ranked = ranked;
        }
        self.version = totals.version();
    }

    fn add_amounts(&mut self, node: usize, amounts: &[i64], sign: i64) {
        let own = &mut self.nodes[node].amounts;
        if own.len() < amounts.len() {
            own.resize(amounts.len(), 0);
        }
        for (own, amount) in own.iter_mut().zip(amounts) {
            *own += sign * amount;
        }
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
            let weight = self.weight(&path[..end]);
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
            }
            if held.iter().any(|amount| *amount != 0) {
                self.add_amounts(parent, &held, -1);
                // Shares above are stale; a version no total has makes the next order refresh.
                self.version = u64::MAX;
            }
            node = parent;
        }
    }

    fn set_listed(&mut self, slot: Slot, listed: bool, totals: &Totals) {
        if (self.nodes[slot.0].listed > 0) == listed {
            return;
        }
        self.refresh(totals);
        let mut node = slot.0;
        while node != ROOT {
            let before = self.nodes[node].listed;
            if listed {
                self.nodes[node].listed += 1;
                if before == 0 {
                    self.nodes[node].share = DrfSorter::share(&self.nodes[node], totals);
                    self.rank(node);
                }
            } else {
                self.nodes[node].listed -= 1;
                if before == 1 {
                    self.unrank(node);
                }
            }
            node = self.nodes[node].parent;
        }
    }

    fn change(&mut self, slot: Slot, amounts: &[i64], chosen: bool, totals: &Totals) {
        let sorted = self.version == totals.version();
        let mut node = slot.0;
        loop {
            let ranked = sorted && node != ROOT && self.nodes[node].listed > 0;
            if ranked {
                self.unrank(node);
            }
            self.add_amounts(node, amounts, 1);
            if chosen {
                self.nodes[node].allocations += 1;
            }
            if sorted {
                self.nodes[node].share = DrfSorter::share(&self.nodes[node], totals);
            }
            if ranked {
                self.rank(node);
            }
            if node == ROOT {
                return;
            }
            node = self.nodes[node].parent;
        }
    }

    fn order(&mut self, totals: &Totals, out: &mut Vec<usize>) {
        self.refresh(totals);
        out.clear();
        self.stack.clear();
        self.stack.extend(self.nodes[ROOT].ranked.iter().rev());
        while let Some(node) = self.stack.pop() {
            let node = &self.nodes[node];
            match node.client {
                Some(client) => out.push(client),
                None => self.stack.extend(node.ranked.iter().rev()),
            }
        }
    }

    fn amounts(&self, slot: Slot) -> &[i64] {
        &self.nodes[slot.0].amounts
    }

    fn sanity_check(&self, totals: &Totals) -> Result<(), String> {
        for (key, node) in &self.nodes {
            let kids = || node.children.values().map(|child| &self.nodes[*child]);
            let listed = kids().filter(|kid| kid.listed > 0).count();
            if node.ranked.len() != listed {
                return Err(format!(
                    "{}: {} ranked of {listed}",
                    node.name,
                    node.ranked.len()
                ));
            }
            let sorted = node
                .ranked
                .is_sorted_by(|a, b| self.compare(*a, *b) != Ordering::Greater);
            if self.version == totals.version() && !sorted {
                return Err(format!("{}: children are not sorted", node.name));
            }
            let share = DrfSorter::share(node, totals);
            if self.version == totals.version() && node.listed > 0 && node.share != share {
                return Err(format!(
                    "{}: share {} is not {share}",
                    node.name, node.share
                ));
            }
            if node.client.is_some() {
                continue;
            }
            let mut sum = vec![0; node.amounts.len()];
            for kid in kids() {
                for (sum, amount) in sum.iter_mut().zip(&kid.amounts) {
                    *sum += amount;
                }
            }
            if sum != node.amounts {
                return Err(format!(
                    "node {key} {}: {:?} is not {sum:?}",
                    node.name, node.amounts
                ));
            }
            if key != ROOT && kids().next().is_none() {
                return Err(format!("node {key} {} is left over", node.name));
            }
        }
        Ok(())
    }
}
