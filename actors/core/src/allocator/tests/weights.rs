//! Weights that operators change, and the excluded kinds: what they do to the order of roles.

use super::*;

/// Runs, gives everything back, and counts the agents of each role.
fn round(c: &mut Cluster) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for p in c.propose() {
        *counts.entry(p.role.to_string()).or_insert(0) += 1;
        c.apply(Command::Release {
            framework: p.framework,
            agent: p.agent,
            resources: p.resources,
            refusal: None,
        });
    }
    counts
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(role, count)| (role.to_owned(), count)).into()
}

fn with_agents(count: usize) -> Cluster {
    let mut c = Cluster::new();
    for agent in 0..count {
        c.add_agent(&format!("A{agent}"), "cpus:2;mem:1024");
    }
    c
}

/// Mesos's own example: six agents, weights of 1, 2 and 3.
#[test]
fn new_weights_count_from_the_next_run() {
    let mut c = with_agents(6);
    c.add_framework("F1", &["role1"]);
    c.add_framework("F2", &["role2"]);
    assert_eq!(round(&mut c), counts([("role1", 3), ("role2", 3)]));
    c.set_weights(&[("role2", 2.0)]);
    assert_eq!(round(&mut c), counts([("role1", 2), ("role2", 4)]));
    // A weight may come before its role.
    c.set_weights(&[("role3", 3.0)]);
    c.add_framework("F3", &["role3"]);
    assert_eq!(
        round(&mut c),
        counts([("role1", 1), ("role2", 2), ("role3", 3)])
    );
    // Those not named keep theirs.
    c.set_weights(&[("role3", 1.0), ("other", 9.0)]);
    c.suppress("F1", &[]);
    assert_eq!(round(&mut c), counts([("role2", 4), ("role3", 2)]));
}

/// The documentation's example: `role1` has a weight of 2, `role2` of 3.5.
#[test]
fn fractions_of_weights_count() {
    let mut c = with_agents(11);
    c.add_framework("F1", &["role1"]);
    c.add_framework("F2", &["role2"]);
    c.set_weights(&[("role1", 2.0), ("role2", 3.5)]);
    assert_eq!(round(&mut c), counts([("role1", 4), ("role2", 7)]));
}

#[test]
fn a_weight_outlives_its_role() {
    let mut c = with_agents(6);
    c.set_weights(&[("a", 2.0)]);
    c.add_framework("F", &["a"]);
    c.apply(Command::RemoveFramework(FrameworkId::from("F")));
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    assert_eq!(round(&mut c), counts([("a", 4), ("b", 2)]));
}

#[test]
fn weights_come_from_the_registry() {
    let mut c = Cluster::new();
    c.set_weights(&[("a", 5.0)]);
    c.apply(Command::Recover {
        expected_agents: 9,
        quotas: Vec::new(),
        weights: vec![(Role::from("a"), 1.0), (Role::from("b"), 2.0)],
    });
    for agent in 0..6 {
        c.add_agent(&format!("A{agent}"), "cpus:2;mem:1024");
    }
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    assert_eq!(round(&mut c), counts([("a", 2), ("b", 4)]));
}

#[test]
fn the_weight_of_a_path_that_comes_and_changes_counts_for_its_subtree() {
    let mut c = with_agents(12);
    c.add_framework("F", &["a/x"]);
    c.add_framework("G", &["a/y"]);
    c.add_framework("H", &["b"]);
    assert_eq!(round(&mut c), counts([("a/x", 3), ("a/y", 3), ("b", 6)]));
    c.set_weights(&[("a", 2.0), ("a/x", 3.0)]);
    assert_eq!(round(&mut c), counts([("a/x", 6), ("a/y", 2), ("b", 4)]));
    c.set_weights(&[("a", 1.0)]);
    assert_eq!(c.propose().len(), 12);
}

#[test]
fn weights_that_make_no_sense_count_as_one() {
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut c = with_agents(4);
        c.add_framework("F", &["a"]);
        c.add_framework("G", &["b"]);
        c.set_weights(&[("a", 3.0)]);
        c.set_weights(&[("a", weight)]);
        assert_eq!(round(&mut c), counts([("a", 2), ("b", 2)]), "{weight}");
    }
}

/// Mesos's example: without `gpus` in the shares the two roles draw level in memory.
#[test]
fn excluded_kinds_do_not_make_a_role_wait() {
    let try_it = |excluded: &[&str]| {
        let mut c = Cluster::with(AllocatorConfig {
            filter_gpu_resources: false,
            fair_sharing_excluded_resource_names: excluded
                .iter()
                .map(|n| (*n).to_owned())
                .collect(),
            ..Default::default()
        });
        c.add_framework("F", &["one"]);
        c.add_agent("A", "cpus:2;mem:512;gpus:1");
        assert_eq!(c.propose().len(), 1);
        c.add_framework("G", &["two"]);
        c.add_agent("B", "cpus:3;mem:1024");
        c.expect(&[("G/two/B", "cpus:3;mem:1024")]);
        c.add_agent("C", "cpus:1;mem:64");
        let next = c.propose();
        next[0].role.to_string()
    };
    assert_eq!(try_it(&["gpus"]), "one");
    assert_eq!(try_it(&[]), "two");
}
