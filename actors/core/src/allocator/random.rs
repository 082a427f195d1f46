//! Clients by lot, in proportion to weights, over a tree of paths: Mesos's `random` sorter.
//! What clients hold is kept for whoever asks, but does not change the order.

use super::amounts::Amounts;
use super::sorter::{Slot, Sorter, Totals, Walk};
use super::tree::{ROOT, Tree};
use crate::ids::IdSource;

/// Clients that a walk draws one at a time before it draws all the others at once: most walks
/// end early, because somebody takes everything.
const SINGLE_DRAWS: usize = 16;

/// A tree of clients. A listed client's chance to come first is the product, over the levels
/// above it, of its branch's part of the weights of all branches with listed clients.
///
/// An order is as if one client after another were drawn from those left, each with its chance.
#[derive(Debug)]
pub struct RandomSorter {
    tree: Tree<Share>,
    /// The listed clients; valid unless `stale`.
    lots: Vec<Lot>,
    stale: bool,
}

/// What is kept of a node.
#[derive(Debug, Default)]
struct Share {
    /// Listed clients in this subtree.
    listed: usize,
    /// To come first, among all listed clients; valid unless the sorter is stale.
    chance: f64,
    amounts: Amounts,
}

#[derive(Debug)]
struct Lot {
    client: usize,
    chance: f64,
    /// Sum of the chances up to and with this one.
    end: f64,
}

impl RandomSorter {
    /// Paths are split at `/`; the weight of a path counts for its whole subtree.
    pub fn hierarchical() -> Self {
        RandomSorter::with(true)
    }

    /// Paths are plain names.
    pub fn flat() -> Self {
        RandomSorter::with(false)
    }

    fn with(hierarchical: bool) -> Self {
        RandomSorter {
            tree: Tree::new(hierarchical),
            lots: Vec::new(),
            stale: false,
        }
    }

    /// Computes the chances anew, if anything changed.
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        self.lots.clear();
        self.tree[ROOT].own.chance = 1.0;
        let mut stack = vec![ROOT];
        let mut end = 0.0;
        while let Some(key) = stack.pop() {
            let node = &self.tree[key];
            if let Some(client) = node.client {
                let chance = node.own.chance;
                end += chance;
                self.lots.push(Lot {
                    client,
                    chance,
                    end,
                });
            }
            let chance = node.own.chance;
            let below = stack.len();
            let listed = |child: &&usize| self.tree[**child].own.listed > 0;
            stack.extend(node.children.values().rev().filter(listed));
            let weights = stack[below..].iter().map(|child| self.tree[*child].weight);
            let sum: f64 = weights.sum();
            for child in &stack[below..] {
                self.tree[*child].own.chance = chance * self.tree[*child].weight / sum;
            }
        }
    }

    /// Appends the next drawn lot to the walk, or all that are left.
    fn draw(&self, walk: &mut Walk) {
        let drawn = walk.stack.len() - 1;
        let taken: f64 = walk.stack[1..]
            .iter()
            .map(|(lot, _)| self.lots[*lot].chance)
            .sum();
        let total = self.lots.last().map_or(0.0, |last| last.end);
        if drawn < SINGLE_DRAWS && taken < total / 2.0 {
            // Each try fails in less than half of all cases.
            for _ in 0..64 {
                let point = unit(&mut walk.stack[0].0) * total;
                let lot = self.lots.partition_point(|lot| lot.end <= point);
                let is_new = walk.stack[1..].iter().all(|(other, _)| *other != lot);
                if is_new && lot < self.lots.len() {
                    walk.stack.push((lot, 0));
                    return;
                }
            }
        }
        let mut out = vec![false; self.lots.len()];
        for (lot, _) in &walk.stack[1..] {
            out[*lot] = true;
        }
        let left = (0..self.lots.len()).filter(|lot| !out[*lot]);
        let random = &mut walk.stack[0].0;
        let mut rest: Vec<(f64, usize)> = left
            .map(|lot| (arrival(unit(random), self.lots[lot].chance), lot))
            .collect();
        rest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        walk.stack.extend(rest.into_iter().map(|(_, lot)| (lot, 0)));
    }
}

impl Sorter for RandomSorter {
    fn add(&mut self, client: usize, path: &str) -> Slot {
        self.tree.add(client, path)
    }

    fn remove(&mut self, slot: Slot, totals: &Totals) {
        self.set_listed(slot, false, totals);
        self.tree.remove(slot);
    }

    fn set_listed(&mut self, slot: Slot, listed: bool, _totals: &Totals) {
        if (self.tree[slot.0].own.listed > 0) == listed {
            return;
        }
        self.stale = true;
        let mut node = slot.0;
        loop {
            let count = &mut self.tree[node].own.listed;
            *count = if listed { *count + 1 } else { *count - 1 };
            if node == ROOT {
                return;
            }
            node = self.tree[node].parent;
        }
    }

    fn set_weight(&mut self, path: &str, weight: f64) {
        self.stale |= self.tree.set_weight(path, weight).is_some();
    }

    fn change(&mut self, slot: Slot, amounts: &Amounts, sign: i64, _chosen: bool) {
        self.tree[slot.0].own.amounts.add(amounts, sign);
    }

    fn begin(&mut self, _totals: &Totals, random: &mut IdSource, walk: &mut Walk) {
        self.refresh();
        walk.stack.clear();
        // First the state of the walk's own random numbers and how many lots were told, then
        // the lots drawn so far.
        walk.stack.push((random.next_u64() as usize, 0));
    }

    fn next(&self, walk: &mut Walk) -> Option<usize> {
        let told = walk.stack.first()?.1;
        if told == self.lots.len() {
            return None;
        }
        if told + 1 == walk.stack.len() {
            self.draw(walk);
        }
        walk.stack[0].1 += 1;
        let (lot, _) = walk.stack.get(told + 1)?;
        Some(self.lots[*lot].client)
    }

    fn order_among(&mut self, _totals: &Totals, random: &mut IdSource, slots: &mut [Slot]) {
        self.refresh();
        let mut state = random.next_u64() as usize;
        // The order of a part of the clients is drawn like that of all.
        let mut drawn: Vec<(f64, Slot)> = slots
            .iter()
            .map(|slot| {
                (
                    arrival(unit(&mut state), self.tree[slot.0].own.chance),
                    *slot,
                )
            })
            .collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (slot, (_, drawn)) in slots.iter_mut().zip(drawn) {
            *slot = drawn;
        }
    }

    fn amounts(&self, slot: Slot) -> &Amounts {
        &self.tree[slot.0].own.amounts
    }

    fn sanity_check(&self, _totals: &Totals) -> Result<(), String> {
        self.tree.sanity_check()?;
        for (_, node) in self.tree.iter() {
            let children = node.children.values().map(|child| &self.tree[*child]);
            let below: usize = children.map(|child| child.own.listed).sum();
            let listed = node.own.listed;
            let is_leaf = node.client.is_some();
            if (is_leaf && listed > 1) || (!is_leaf && listed != below) {
                return Err(format!("{}: {listed} are listed", node.name));
            }
        }
        if !self.stale && self.lots.len() != self.tree[ROOT].own.listed {
            return Err(format!("{} lots are stale", self.lots.len()));
        }
        Ok(())
    }
}

/// The next random number between 0 and 1, neither of them (Steele and others' SplitMix64).
fn unit(state: &mut usize) -> f64 {
    let sum = (*state as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    *state = sum as usize;
    let mixed = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let bits = (mixed ^ (mixed >> 31)) >> 11;
    (bits as f64 + 0.5) / (1_u64 << 53) as f64
}

/// When a client arrives that comes with this chance per time. Whoever arrives first was drawn
/// with its part of all chances, and so on among the others (Efraimidis and Spirakis).
fn arrival(unit: f64, chance: f64) -> f64 {
    -unit.ln() / chance
}
