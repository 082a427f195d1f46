//! Who is next: shares, weights, numbers of allocations, names, and the tree of roles.

use super::*;
use crate::allocator::drf::DrfSorter;
use crate::allocator::sorter::{Slot, Sorter, Totals, Walk};

/// How many of `count` equal agents each framework or role gets.
fn spread(c: &mut Cluster, count: usize, by: fn(&Proposal) -> &str) -> BTreeMap<String, usize> {
    for agent in 0..count {
        c.add_agent(&format!("A{agent}"), "cpus:1;mem:64");
    }
    let mut spread = BTreeMap::new();
    for proposal in c.propose() {
        *spread.entry(by(&proposal).to_owned()).or_insert(0) += 1;
    }
    spread
}

fn expected<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

#[test]
fn frameworks_of_a_role_share_equally() {
    let mut c = Cluster::new();
    for id in ["F", "G", "H"] {
        c.add_framework(id, &["*"]);
    }
    let got = spread(&mut c, 9, |p| p.framework.as_str());
    assert_eq!(got, expected([("F", 3), ("G", 3), ("H", 3)]));
}

#[test]
fn roles_share_equally_however_many_frameworks_they_have() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    c.add_framework("H", &["b"]);
    assert_eq!(
        spread(&mut c, 8, |p| &p.role),
        expected([("a", 4), ("b", 4)])
    );
}

#[test]
fn weights_scale_the_share_of_a_role() {
    let mut c = Cluster::new();
    c.set_weights(&[("a", 3.0), ("c", f64::NAN)]);
    for (id, role) in [("F", "a"), ("G", "b"), ("H", "c")] {
        c.add_framework(id, &[role]);
    }
    assert_eq!(
        spread(&mut c, 10, |p| &p.role),
        expected([("a", 6), ("b", 2), ("c", 2)])
    );
}

#[test]
fn the_dominant_resource_decides() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_framework("G", &["*"]);
    // F holds a tenth of the cpus, G half of the memory.
    c.add_agent_with(
        "big",
        "cpus:10;mem:1000",
        agent_facts(""),
        &[
            ("F", "*", "cpus:1;mem:1"),
            ("G", "*", "mem:500"),
            ("X", "*", "cpus:9;mem:499"),
        ],
    );
    c.add_agent("A", "cpus:1;mem:40");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1; mem:40"]);
}

#[test]
fn excluded_resources_do_not_count() {
    let config = AllocatorConfig {
        fair_sharing_excluded_resource_names: vec!["gpus".to_owned()],
        ..Default::default()
    };
    let mut c = Cluster::with(config);
    let capable = [Capability::MultiRole, Capability::GpuResources];
    c.add_framework_with("F", framework_facts(&["*"], &capable));
    c.add_framework_with("G", framework_facts(&["*"], &capable));
    c.add_agent_with(
        "big",
        "cpus:10;mem:1000;gpus:1",
        agent_facts(""),
        &[
            ("F", "*", "gpus:1;cpus:1"),
            ("G", "*", "cpus:2"),
            ("X", "*", "cpus:7;mem:1000"),
        ],
    );
    c.add_agent("A", "cpus:1;mem:40");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1; mem:40"]);
}

#[test]
fn offered_resources_count_as_allocated() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:2;mem:64");
    assert_eq!(c.allocate().len(), 1);
    c.add_framework("G", &["*"]);
    c.add_agent("B", "cpus:1;mem:32");
    assert_eq!(c.allocate(), ["G/*/B: cpus:1; mem:32"]);
    let shares = c.allocator.figures().dominant_shares;
    assert_eq!(
        shares.into_iter().collect::<Vec<_>>(),
        [(Role::from("*"), 1.0)]
    );
}

#[test]
fn among_equals_the_one_chosen_less_often_then_the_name() {
    let mut c = Cluster::new();
    c.add_framework("G", &["*"]);
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:1;mem:64");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1; mem:64"]);
    c.release("F", "*", "A", "cpus:1;mem:64");
    assert_eq!(c.allocate(), ["G/*/A: cpus:1; mem:64"]);
    c.release("G", "*", "A", "cpus:1;mem:64");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1; mem:64"]);
}

#[test]
fn a_subtree_competes_as_one() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a/x"]);
    c.add_framework("G", &["a/y"]);
    c.add_framework("H", &["b"]);
    let got = spread(&mut c, 8, |p| &p.role);
    assert_eq!(got, expected([("a/x", 2), ("a/y", 2), ("b", 4)]));
}

#[test]
fn a_role_competes_with_its_subroles() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["a/x"]);
    c.add_framework("H", &["b"]);
    let got = spread(&mut c, 8, |p| &p.role);
    assert_eq!(got, expected([("a", 2), ("a/x", 2), ("b", 4)]));
}

#[test]
fn the_weight_of_a_path_counts_for_its_subtree() {
    let mut c = Cluster::new();
    c.set_weights(&[("a", 2.0), ("a/x", 3.0)]);
    c.add_framework("F", &["a/x"]);
    c.add_framework("G", &["a/y"]);
    c.add_framework("H", &["b"]);
    let got = spread(&mut c, 12, |p| &p.role);
    assert_eq!(got, expected([("a/x", 6), ("a/y", 2), ("b", 4)]));
}

#[test]
fn one_seed_gives_one_order_of_agents() {
    let run = |seed: u8| {
        let mut c = Cluster::with(AllocatorConfig {
            seed: [seed; 32],
            ..Default::default()
        });
        c.add_framework("F", &["*"]);
        for agent in 0..20 {
            c.add_agent(&format!("A{agent}"), "cpus:1");
        }
        c.propose().into_iter().map(|p| p.agent).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

struct Sorted {
    sorter: DrfSorter,
    totals: Totals,
    slots: Vec<Slot>,
}

impl Sorted {
    fn new(sorter: DrfSorter, paths: &[&str]) -> Self {
        let mut totals = Totals::default();
        totals.kind(&Name::Cpus);
        totals.change(&[1000].into(), 1);
        let mut sorted = Sorted {
            sorter,
            totals,
            slots: Vec::new(),
        };
        for (client, path) in paths.iter().enumerate() {
            let slot = sorted.sorter.add(client, path);
            sorted.sorter.set_listed(slot, true, &sorted.totals);
            sorted.slots.push(slot);
        }
        sorted
    }

    fn give(&mut self, client: usize, milli: i64) {
        self.sorter
            .change(self.slots[client], &[milli].into(), 1, false);
    }

    fn order(&mut self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut walk = Walk::default();
        let mut random = IdSource::from_seed([0; 32]);
        self.sorter.begin(&self.totals, &mut random, &mut walk);
        while let Some(client) = self.sorter.next(&mut walk) {
            order.push(client);
        }
        self.sorter.sanity_check(&self.totals).unwrap();
        order
    }
}

#[test]
fn a_sorter_keeps_its_order_while_shares_change() {
    let mut s = Sorted::new(DrfSorter::flat(), &["c", "a", "b"]);
    assert_eq!(s.order(), [1, 2, 0]);
    s.give(1, 500);
    s.give(0, 100);
    assert_eq!(s.order(), [2, 0, 1]);
    s.give(1, -450);
    assert_eq!(s.order(), [2, 1, 0]);
    s.sorter.set_listed(s.slots[1], false, &s.totals);
    s.give(1, 900);
    assert_eq!(s.order(), [2, 0]);
    s.sorter.set_listed(s.slots[1], true, &s.totals);
    assert_eq!(s.order(), [2, 0, 1]);
    assert_eq!(*s.sorter.amounts(s.slots[1]), [950].into());
}

#[test]
fn a_sorter_follows_the_totals() {
    let mut s = Sorted::new(DrfSorter::flat(), &["a", "b"]);
    s.totals.kind(&Name::Mem);
    s.sorter.change(s.slots[0], &[100, 0].into(), 1, true);
    s.sorter.change(s.slots[1], &[0, 100].into(), 1, true);
    // No memory in the cluster yet, so only cpus count.
    assert_eq!(s.order(), [1, 0]);
    s.totals.change(&[0, 200].into(), 1);
    assert_eq!(s.order(), [0, 1]);
    s.totals.change(&[0, 2000].into(), 1);
    assert_eq!(s.order(), [1, 0]);
}

#[test]
fn a_tree_forgets_removed_clients() {
    let mut s = Sorted::new(DrfSorter::hierarchical(), &["a", "a/x/y", "b"]);
    s.give(1, 700);
    s.give(2, 100);
    assert_eq!(s.order(), [2, 0, 1]);
    s.sorter.remove(s.slots[1], &s.totals);
    assert_eq!(s.order(), [0, 2]);
    s.sorter.remove(s.slots[0], &s.totals);
    s.sorter.remove(s.slots[2], &s.totals);
    assert!(s.order().is_empty());
    let again = s.sorter.add(9, "a/x");
    s.sorter.set_listed(again, true, &s.totals);
    assert_eq!(s.order(), [9]);
}
