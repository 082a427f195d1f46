//! A tree of paths with a leaf for every client: what the sorters have in common.
//! Knows no order; each sorter keeps what it needs for its own in the nodes.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use slab::Slab;

use super::sorter::Slot;

/// Name of the leaf a client has below the node of its path. A role's own frameworks compete
/// with its subroles through it, as in Mesos.
const LEAF: &str = ".";

/// Where the root is kept.
pub(super) const ROOT: usize = 0;

/// A part of a path, or the leaf of a client.
#[derive(Debug, Default)]
pub(super) struct Node<T> {
    pub parent: usize,
    pub name: Arc<str>,
    pub children: BTreeMap<Arc<str>, usize>,
    /// Set in leaves only.
    pub client: Option<usize>,
    /// Counts for the whole subtree.
    pub weight: f64,
    /// What the sorter keeps here.
    pub own: T,
}

/// The tree, and the weights of paths whether they are in it or not.
#[derive(Debug)]
pub(super) struct Tree<T> {
    nodes: Slab<Node<T>>,
    weights: BTreeMap<String, f64>,
    hierarchical: bool,
}

impl<T: Default> Tree<T> {
    /// Paths are split at `/`, unless the tree is flat: then they are plain names.
    pub fn new(hierarchical: bool) -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node {
            weight: 1.0,
            ..Node::default()
        });
        Tree {
            nodes,
            weights: BTreeMap::new(),
            hierarchical,
        }
    }

    /// Adds a client; its slot is where its leaf is kept.
    pub fn add(&mut self, client: usize, path: &str) -> Slot {
        let mut node = ROOT;
        let mut begin = 0;
        for end in self.ends(path) {
            let weight = self.weights.get(&path[..end]).copied().unwrap_or(1.0);
            node = self.child(node, &path[begin..end], weight);
            begin = end + 1;
        }
        // In a flat tree nothing is below a client, so it needs no leaf of its own.
        let leaf = match self.hierarchical {
            true => self.child(node, LEAF, 1.0),
            false => node,
        };
        self.nodes[leaf].client = Some(client);
        Slot(leaf)
    }

    /// Removes a client, and the nodes above that are for it alone; tells which.
    pub fn remove(&mut self, slot: Slot) -> Vec<usize> {
        let mut removed = Vec::new();
        let mut node = slot.0;
        while node != ROOT && self.nodes[node].children.is_empty() {
            let gone = self.nodes.remove(node);
            self.nodes[gone.parent].children.remove(&gone.name);
            removed.push(node);
            node = gone.parent;
        }
        removed
    }

    /// The weight of a path from now on; its node, if there is one.
    ///
    /// Mesos takes weights that make no sense for the default.
    pub fn set_weight(&mut self, path: &str, weight: f64) -> Option<usize> {
        let is_sound = weight.is_finite() && weight > 0.0;
        let weight = if is_sound { weight } else { 1.0 };
        self.weights.insert(path.to_owned(), weight);
        let node = self.find(path)?;
        self.nodes[node].weight = weight;
        Some(node)
    }

    /// All nodes and where they are kept.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Node<T>)> {
        self.nodes.iter()
    }

    /// All nodes, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Node<T>)> {
        self.nodes.iter_mut()
    }

    /// Checks that every node leads to a client.
    pub fn sanity_check(&self) -> Result<(), String> {
        for (key, node) in &self.nodes {
            if key != ROOT && node.children.is_empty() != node.client.is_some() {
                return Err(format!("node {key} {} is left over", node.name));
            }
        }
        Ok(())
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
        let mut begin = 0;
        for end in self.ends(path) {
            node = *self.nodes[node].children.get(&path[begin..end])?;
            begin = end + 1;
        }
        Some(node)
    }

    /// Where the parts of a path end.
    fn ends<'a>(&self, path: &'a str) -> impl Iterator<Item = usize> + use<'a, T> {
        let inner = path.match_indices('/').map(|(at, _)| at);
        let inner = inner.take(if self.hierarchical { usize::MAX } else { 0 });
        inner.chain([path.len()])
    }
}

impl<T> Index<usize> for Tree<T> {
    type Output = Node<T>;

    fn index(&self, node: usize) -> &Node<T> {
        &self.nodes[node]
    }
}

impl<T> IndexMut<usize> for Tree<T> {
    fn index_mut(&mut self, node: usize) -> &mut Node<T> {
        &mut self.nodes[node]
    }
}
