//! After a change of master with quota: nothing is allocated before enough agents are back.

use super::*;

fn recovering(expected_agents: usize, config: AllocatorConfig) -> Cluster {
    let mut c = Cluster::with(config);
    c.apply(Command::Recover {
        expected_agents,
        quotas: vec![(Role::from("q"), quota("cpus:1", "cpus:1"))],
        weights: Vec::new(),
    });
    c.add_framework("F", &["n"]);
    c
}

fn add(c: &mut Cluster, agents: std::ops::Range<usize>) {
    for agent in agents {
        c.add_agent(&format!("A{agent}"), "cpus:1;mem:64");
    }
}

/// Runs although the allocator may not want to.
fn count(c: &mut Cluster) -> usize {
    let proposals = c.allocator.allocate(c.now);
    c.check();
    proposals.offers.len()
}

#[test]
fn allocation_waits_for_the_agents_of_the_registry() {
    let mut c = recovering(10, AllocatorConfig::default());
    add(&mut c, 0..7);
    assert!(!c.allocator.wants_run(), "a run could propose nothing");
    assert_eq!(count(&mut c), 0);
    add(&mut c, 7..8);
    assert!(c.allocator.wants_run());
    // One agent's cpu is kept for the guarantee; its memory is not.
    assert_eq!(c.offers().len(), 8);
    assert_eq!(c.allocator.next_deadline(), None, "the time limit is off");
}

#[test]
fn an_agent_that_comes_twice_counts_once() {
    let mut c = recovering(4, AllocatorConfig::default());
    add(&mut c, 0..1);
    add(&mut c, 0..1);
    c.apply(Command::RemoveAgent(AgentId::from("A0")));
    add(&mut c, 0..1);
    add(&mut c, 1..2);
    assert_eq!(count(&mut c), 0, "two of three are there");
    add(&mut c, 2..3);
    assert_eq!(c.offers().len(), 3);
}

#[test]
fn the_part_to_wait_for_is_rounded_down() {
    // Eight tenths of 3 are 2.
    let mut c = recovering(3, AllocatorConfig::default());
    add(&mut c, 0..1);
    assert_eq!(count(&mut c), 0);
    add(&mut c, 1..2);
    assert_eq!(count(&mut c), 2);
}

#[test]
fn allocation_waits_no_longer_than_the_timeout() {
    let mut c = recovering(10, AllocatorConfig::default());
    add(&mut c, 0..2);
    assert_eq!(c.allocator.next_deadline(), Some(at(601).mono));
    c.now = at(600);
    assert_eq!(count(&mut c), 0);
    c.now = at(601);
    assert_eq!(count(&mut c), 2);
    assert_eq!(c.allocator.next_deadline(), None);
    // Once over, it is over for good.
    c.apply(Command::RemoveAgent(AgentId::from("A0")));
    add(&mut c, 5..6);
    assert_ne!(count(&mut c), 0);
}

#[test]
fn a_factor_of_zero_or_no_agents_to_expect_waits_for_nobody() {
    let config = AllocatorConfig {
        agent_recovery_factor: 0.0,
        ..Default::default()
    };
    for (expected, config) in [
        (10, config),
        (0, AllocatorConfig::default()),
        (1, AllocatorConfig::default()),
    ] {
        let mut c = recovering(expected, config);
        assert_eq!(c.allocator.next_deadline(), None);
        add(&mut c, 0..2);
        assert_eq!(c.offers().len(), 2);
    }
}

#[test]
fn without_quota_allocation_does_not_wait() {
    let mut c = Cluster::new();
    c.apply(Command::Recover {
        expected_agents: 100,
        quotas: Vec::new(),
        weights: vec![(Role::from("n"), 2.0)],
    });
    c.add_framework("F", &["n"]);
    assert_eq!(c.allocator.next_deadline(), None);
    add(&mut c, 0..1);
    c.expect(&[("F/n/A0", "cpus:1;mem:64")]);
}

#[test]
fn recovered_quota_is_enforced() {
    let mut c = recovering(1, AllocatorConfig::default());
    c.add_framework("Q", &["q"]);
    c.add_agent("A", "cpus:3;mem:64");
    c.expect(&[("F/n/A", "cpus:2"), ("Q/q/A", "cpus:1;mem:64")]);
}

#[test]
fn what_agents_bring_counts_while_waiting() {
    let mut c = recovering(
        2,
        AllocatorConfig {
            agent_recovery_factor: 1.0,
            ..Default::default()
        },
    );
    let used = [("Q", "q", "cpus:1;mem:64")];
    c.add_agent_with("A", "cpus:2;mem:64", agent_facts(""), &used);
    assert_eq!(count(&mut c), 0);
    c.add_agent("B", "cpus:1;mem:64");
    // The guarantee is met by what the framework, not known yet, holds.
    c.expect(&[("F/n/A", "cpus:1"), ("F/n/B", "cpus:1;mem:64")]);
    c.add_framework("Q", &["q"]);
    c.add_agent("C", "cpus:1;mem:64");
    c.expect(&[("Q/q/C", "mem:64"), ("F/n/C", "cpus:1")]);
}

#[test]
fn nobody_is_asked_to_leave_while_waiting() {
    let mut c = recovering(10, AllocatorConfig::default());
    c.apply(Command::AddAgent {
        id: AgentId::from("A"),
        generation: 1,
        facts: agent_facts(""),
        total: bag("cpus:1"),
        used: vec![(FrameworkId::from("F"), bag("cpus:1").allocated_to("n"))],
        unavailability: Some(v1::Unavailability {
            start: v1::TimeInfo { nanoseconds: 5 },
            duration: None,
        }),
    });
    assert!(c.allocator.allocate(c.now).is_empty());
    c.now = at(601);
    assert_eq!(c.allocator.allocate(c.now).inverse_offers.len(), 1);
}
