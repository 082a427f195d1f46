//! The `random` sorter: chances follow the weights, and one seed draws one order.

use super::*;
use crate::allocator::amounts::Amounts;
use crate::allocator::random::RandomSorter;
use crate::allocator::sorter::{Slot, Sorter, Totals, Walk};

const DRAWS: usize = 20_000;

struct Lots {
    sorter: RandomSorter,
    totals: Totals,
    slots: Vec<Slot>,
    random: IdSource,
}

impl Lots {
    fn new(sorter: RandomSorter, paths: &[&str]) -> Self {
        let mut lots = Lots {
            sorter,
            totals: Totals::default(),
            slots: Vec::new(),
            random: IdSource::from_seed([7; 32]),
        };
        for (client, path) in paths.iter().enumerate() {
            let slot = lots.sorter.add(client, path);
            lots.sorter.set_listed(slot, true, &lots.totals);
            lots.slots.push(slot);
        }
        lots
    }

    fn order(&mut self) -> Vec<usize> {
        let mut walk = Walk::default();
        self.sorter.begin(&self.totals, &mut self.random, &mut walk);
        let order = std::iter::from_fn(|| self.sorter.next(&mut walk)).collect();
        self.sorter.sanity_check(&self.totals).unwrap();
        order
    }

    /// How often each client comes at a place, as parts of all draws.
    fn rates(&mut self, place: usize) -> Vec<f64> {
        let mut counts = vec![0_u32; self.slots.len()];
        for _ in 0..DRAWS {
            counts[self.order()[place]] += 1;
        }
        let rate = |count: u32| f64::from(count) / DRAWS as f64;
        counts.into_iter().map(rate).collect()
    }
}

/// Five standard deviations at most, which the fixed seed keeps forever.
fn assert_close(got: &[f64], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(wanted) {
        let deviation = (wanted * (1.0 - wanted) / DRAWS as f64).sqrt();
        assert!(
            (got - wanted).abs() <= 5.0 * deviation,
            "{got} is not {wanted}"
        );
    }
}

#[test]
fn every_order_has_everybody_once() {
    let names: Vec<String> = (0..100).map(|name| format!("f{name}")).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lots = Lots::new(RandomSorter::flat(), &paths);
    for _ in 0..50 {
        let mut order = lots.order();
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn equal_clients_come_first_equally_often() {
    let mut lots = Lots::new(RandomSorter::flat(), &["a", "b", "c", "d/e"]);
    for place in 0..4 {
        let rates = lots.rates(place);
        assert_close(&rates, &[0.25; 4]);
    }
}

#[test]
fn the_first_is_drawn_in_proportion_to_weights_and_so_is_the_second_of_the_rest() {
    let mut lots = Lots::new(RandomSorter::hierarchical(), &["a", "b", "c"]);
    lots.sorter.set_weight("a", 1.0);
    lots.sorter.set_weight("b", 2.0);
    lots.sorter.set_weight("c", 5.0);
    let first = lots.rates(0);
    assert_close(&first, &[1.0 / 8.0, 2.0 / 8.0, 5.0 / 8.0]);
    let second = |own: f64, others: [f64; 2]| -> f64 {
        let after = |other: f64| other / 8.0 * own / (8.0 - other);
        others.into_iter().map(after).sum()
    };
    let rates = lots.rates(1);
    let wanted = [
        second(1.0, [2.0, 5.0]),
        second(2.0, [1.0, 5.0]),
        second(5.0, [1.0, 2.0]),
    ];
    assert_close(&rates, &wanted);
}

#[test]
fn the_weight_of_a_branch_is_shared_by_its_clients() {
    let paths = ["a", "a/x", "a/y/z", "b"];
    let mut lots = Lots::new(RandomSorter::hierarchical(), &paths);
    lots.sorter.set_weight("a", 3.0);
    lots.sorter.set_weight("a/x", 4.0);
    // Below `a` its own frameworks and `a/y` weigh 1, `a/x` weighs 4.
    let parts = [3.0 / 24.0, 12.0 / 24.0, 3.0 / 24.0, 6.0 / 24.0];
    assert_close(&lots.rates(0), &parts);
    // Who is not listed leaves its part to the others.
    let totals = Totals::default();
    lots.sorter.set_listed(lots.slots[1], false, &totals);
    assert_close(&lots.rates(0), &[3.0 / 8.0, 0.0, 3.0 / 8.0, 2.0 / 8.0]);
    lots.sorter.set_listed(lots.slots[0], false, &totals);
    assert_close(&lots.rates(0), &[0.0, 0.0, 0.75, 0.25]);
    lots.sorter.set_listed(lots.slots[1], true, &totals);
    assert_close(&lots.rates(0), &[0.0, 0.6, 0.15, 0.25]);
}

#[test]
fn clients_beyond_the_first_draws_follow_their_weights_too() {
    // One of nearly no weight among forty comes last nearly always; the last of the others is
    // any of them.
    let names: Vec<String> = (0..40).map(|name| format!("f{name}")).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lots = Lots::new(RandomSorter::hierarchical(), &paths);
    lots.sorter.set_weight("f7", 1e-9);
    assert_close(&lots.rates(39)[7..8], &[1.0]);
    let mut wanted = [1.0 / 39.0; 40];
    wanted[7] = 0.0;
    assert_close(&lots.rates(38), &wanted);
    assert_close(&lots.rates(20), &wanted);
}

#[test]
fn a_few_are_ordered_as_in_a_whole_order() {
    let mut lots = Lots::new(RandomSorter::hierarchical(), &["a", "b", "c"]);
    lots.sorter.set_weight("c", 3.0);
    let mut first = 0;
    for _ in 0..DRAWS {
        let mut slots = [lots.slots[0], lots.slots[2]];
        lots.sorter
            .order_among(&lots.totals, &mut lots.random, &mut slots);
        assert!(slots.contains(&lots.slots[0]) && slots.contains(&lots.slots[2]));
        first += u32::from(slots[0] == lots.slots[2]);
    }
    assert_close(&[f64::from(first) / DRAWS as f64], &[0.75]);
}

#[test]
fn one_seed_draws_one_order() {
    let orders = |seed: u8| -> Vec<Vec<usize>> {
        let mut lots = Lots::new(RandomSorter::flat(), &["a", "b", "c", "d", "e", "f"]);
        lots.random = IdSource::from_seed([seed; 32]);
        (0..10).map(|_| lots.order()).collect()
    };
    assert_eq!(orders(1), orders(1));
    assert_ne!(orders(1), orders(2));
}

#[test]
fn clients_come_go_and_hold_what_they_were_given() {
    let mut lots = Lots::new(RandomSorter::hierarchical(), &["a", "a/x/y", "b"]);
    let mut amounts = Amounts::default();
    amounts.set(0, 500);
    lots.sorter.change(lots.slots[1], &amounts, 1, true);
    lots.sorter.change(lots.slots[1], &amounts, 1, false);
    lots.sorter.change(lots.slots[1], &amounts, -1, false);
    assert_eq!(lots.sorter.amounts(lots.slots[1]), &amounts);
    lots.sorter.set_weight("a/x", 1e12);
    let totals = Totals::default();
    lots.sorter.remove(lots.slots[1], &totals);
    assert_eq!(lots.order().len(), 2);
    lots.sorter.remove(lots.slots[0], &totals);
    lots.sorter.remove(lots.slots[2], &totals);
    assert!(lots.order().is_empty());
    // The weight of a path stays when its clients go.
    for (client, path) in ["a/x", "a"].into_iter().enumerate() {
        let slot = lots.sorter.add(client, path);
        lots.sorter.set_listed(slot, true, &totals);
    }
    for _ in 0..100 {
        assert_eq!(lots.order(), [0, 1]);
    }
}

/// A walk goes on undisturbed while what clients hold changes.
#[test]
fn a_walk_goes_on_while_resources_are_given_away() {
    let mut lots = Lots::new(RandomSorter::flat(), &["a", "b", "c"]);
    let mut walk = Walk::default();
    lots.sorter.begin(&lots.totals, &mut lots.random, &mut walk);
    let mut seen = Vec::new();
    while let Some(client) = lots.sorter.next(&mut walk) {
        let mut amounts = Amounts::default();
        amounts.set(0, 1000);
        lots.sorter.change(lots.slots[client], &amounts, 1, true);
        seen.push(client);
    }
    assert_eq!(lots.sorter.next(&mut walk), None);
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
}

fn random_cluster(seed: u8) -> Cluster {
    Cluster::with(AllocatorConfig {
        role_sorter: SorterKind::Random,
        framework_sorter: SorterKind::Random,
        seed: [seed; 32],
        ..Default::default()
    })
}

/// How many of so many agents each framework gets in one run.
fn spread(seed: u8, count: usize) -> BTreeMap<String, f64> {
    let mut c = random_cluster(seed);
    c.set_weights(&[("a", 3.0)]);
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    c.add_framework("H", &["b"]);
    let agents = (0..count).map(|agent| Command::AddAgent {
        id: AgentId::from(format!("A{agent}").as_str()),
        generation: 1,
        facts: agent_facts(""),
        total: bag("cpus:1;mem:64"),
        used: Vec::new(),
        unavailability: None,
    });
    for agent in agents {
        c.allocator.apply(c.now, agent);
    }
    let mut spread = BTreeMap::new();
    for p in c.propose() {
        *spread.entry(p.framework.to_string()).or_insert(0.0) += 1.0;
    }
    spread
}

/// Unlike with fair shares, what a role got before does not matter, only its weight.
#[test]
fn agents_go_to_roles_and_frameworks_by_lot() {
    let (seeds, agents) = (10, 300);
    let mut sums = BTreeMap::new();
    for seed in 0..seeds {
        for (framework, count) in spread(seed, agents) {
            *sums.entry(framework).or_insert(0.0) += count;
        }
    }
    let all = f64::from(seeds) * agents as f64;
    for (framework, part) in [("F", 0.75), ("G", 0.125), ("H", 0.125)] {
        let deviation = (part * (1.0 - part) / all).sqrt();
        let got = sums[framework] / all;
        assert!(
            (got - part).abs() < 5.0 * deviation,
            "{framework}: {got}, not {part}"
        );
    }
    assert_eq!(spread(1, 60), spread(1, 60));
}

#[test]
fn quota_filters_and_suppression_hold_with_lots_too() {
    let mut c = random_cluster(3);
    c.set_quota("q", "cpus:2;mem:64", "cpus:2;mem:64");
    c.add_framework("F", &["q"]);
    c.add_framework("G", &["n"]);
    c.add_framework("S", &["n"]);
    c.suppress("S", &[]);
    c.add_agent("A", "cpus:3;mem:128");
    c.expect(&[("F/q/A", "cpus:2;mem:64"), ("G/n/A", "cpus:1;mem:64")]);
    c.decline("G", "n", "A", "cpus:1;mem:64", 10);
    c.expect(&[]);
    c.now = at(11);
    c.expect(&[("G/n/A", "cpus:1;mem:64")]);
}
