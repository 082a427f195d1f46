//! The ledger: who holds what after every kind of command.

use super::*;

fn used(cluster: &Cluster, name: &str) -> (i64, i64) {
    cluster
        .allocator
        .figures()
        .resources
        .get(name)
        .copied()
        .unwrap_or_default()
}

#[test]
fn an_offer_lists_ports_before_the_scalars() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4;mem:2048;disk:4096;ports:[31000-31100]");
    assert_eq!(
        c.allocate(),
        ["F/*/A: ports:[31000-31100]; cpus:4; mem:2048; disk:4096"]
    );
    assert_eq!(used(&c, "cpus"), (4000, 4000));
}

#[test]
fn proposals_carry_the_generations() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.apply(Command::AddAgent {
        id: AgentId::from("A"),
        generation: 7,
        facts: agent_facts(""),
        total: bag("cpus:1"),
        used: Vec::new(),
        unavailability: None,
    });
    let id = FrameworkId::from("F");
    c.apply(Command::ActivateFramework { id, generation: 9 });
    let proposals = c.propose();
    assert_eq!(proposals.len(), 1);
    assert_eq!(
        (
            proposals[0].framework_generation,
            proposals[0].agent_generation
        ),
        (9, 7)
    );
}

#[test]
fn nothing_is_offered_twice_and_freed_resources_at_once() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4;mem:64");
    assert_eq!(c.allocate().len(), 1);
    c.revive("F", &[]);
    assert!(c.allocate().is_empty());
    c.release("F", "*", "A", "cpus:3");
    assert!(c.allocator.wants_run());
    assert_eq!(c.allocate(), ["F/*/A: cpus:3"]);
    assert_eq!(used(&c, "cpus"), (4000, 4000));
}

#[test]
fn an_idle_run_does_nothing() {
    let mut c = Cluster::new();
    assert!(!c.allocator.wants_run());
    assert!(c.allocate().is_empty());
    c.add_framework("F", &["*"]);
    assert!(!c.allocator.wants_run(), "no agent waits");
    c.add_agent("A", "cpus:1");
    c.allocate();
    let runs = c.allocator.figures().runs;
    assert_eq!(runs, 1);
    c.allocate();
    assert_eq!(c.allocator.figures().runs, runs);
}

#[test]
fn giving_back_more_than_is_held_gives_back_what_is_held() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.allocate();
    c.release("F", "*", "A", "cpus:9;disk:5");
    assert_eq!(used(&c, "cpus"), (4000, 0));
    assert_eq!(used(&c, "mem"), (64_000, 64_000));
    c.release("F", "*", "A", "cpus:1");
    c.release("F", "other", "A", "mem:1");
    c.release("G", "*", "A", "mem:1");
    c.release("F", "*", "B", "mem:1");
    assert_eq!(used(&c, "mem"), (64_000, 64_000));
}

#[test]
fn what_an_agent_brings_is_not_offered() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent_with(
        "A",
        "cpus:4;mem:64",
        agent_facts(""),
        &[("F", "*", "cpus:1"), ("G", "x", "cpus:2")],
    );
    assert_eq!(c.allocate(), ["F/*/A: cpus:1; mem:64"]);
    // The framework that only the agent has told of counts already.
    assert_eq!(used(&c, "cpus"), (4000, 4000));
    c.release("G", "x", "A", "cpus:2");
    assert_eq!(c.allocate(), ["F/*/A: cpus:2"]);
}

#[test]
fn a_recovered_framework_is_charged_once() {
    let mut c = Cluster::new();
    c.add_agent_with("A", "cpus:4", agent_facts(""), &[("G", "x", "cpus:2")]);
    let add = |agent: &str, text: &str| Command::AddFramework {
        id: FrameworkId::from("G"),
        generation: 1,
        facts: framework_facts(&["x"], &[Capability::MultiRole]),
        used: vec![(AgentId::from(agent), bag(text).allocated_to("x"))],
        active: false,
    };
    c.apply(add("A", "cpus:2"));
    assert_eq!(used(&c, "cpus"), (4000, 2000));
    c.apply(add("A", "cpus:3"));
    assert_eq!(used(&c, "cpus"), (4000, 3000));
    c.apply(add("unknown", "cpus:3"));
    assert_eq!(used(&c, "cpus"), (4000, 3000));
    assert!(c.allocate().is_empty(), "it is not active");
}

#[test]
fn a_charge_takes_from_what_is_free() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4;ports:[1-10]");
    let charge = |text: &str| Command::Charge {
        framework: FrameworkId::from("F"),
        agent: AgentId::from("A"),
        resources: bag(text).allocated_to("*"),
    };
    c.apply(charge("cpus:1;ports:[3-4]"));
    assert_eq!(c.allocate(), ["F/*/A: ports:[1-2, 5-10]; cpus:3"]);
    c.apply(charge("cpus:2"));
    assert_eq!(used(&c, "cpus"), (4000, 6000));
    // Nothing is free until less than the total is held.
    c.release("F", "*", "A", "cpus:2");
    assert!(c.allocate().is_empty());
    c.release("F", "*", "A", "cpus:1.5");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1.5"]);
}

#[test]
fn a_port_held_twice_stays_taken_until_both_give_it_back() {
    let mut config = AllocatorConfig::default();
    config.min_allocatable_resources.clear();
    let mut c = Cluster::with(config);
    c.add_framework("F", &["*"]);
    c.add_agent_with(
        "A",
        "ports:[1-2]",
        agent_facts(""),
        &[("G", "*", "ports:[1-2]"), ("H", "*", "ports:[1-1]")],
    );
    c.release("G", "*", "A", "ports:[1-2]");
    assert_eq!(c.allocate(), ["F/*/A: ports:[2-2]"]);
    c.release("H", "*", "A", "ports:[1-1]");
    assert_eq!(c.allocate(), ["F/*/A: ports:[1-1]"]);
}

#[test]
fn a_changed_total_is_followed() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    let update = |text: &str| Command::UpdateAgent {
        id: AgentId::from("A"),
        facts: agent_facts(""),
        total: bag(text),
    };
    c.apply(update("cpus:6;mem:64"));
    assert_eq!(c.allocate(), ["F/*/A: cpus:2; mem:64"]);
    c.apply(update("cpus:1"));
    assert!(c.allocate().is_empty());
    assert_eq!(used(&c, "cpus"), (1000, 6000));
    c.release("F", "*", "A", "cpus:6");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1"]);
}

#[test]
fn inactive_agents_are_not_offered() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4");
    c.apply(Command::DeactivateAgent(AgentId::from("A")));
    assert!(c.allocate().is_empty());
    c.revive("F", &[]);
    assert!(c.allocate().is_empty());
    assert!(!c.allocator.wants_run());
    c.apply(Command::ActivateAgent(AgentId::from("A")));
    assert_eq!(c.allocate().len(), 1);
}

#[test]
fn a_removed_agent_takes_its_allocations_along() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4");
    c.add_agent("B", "cpus:2");
    c.allocate();
    c.apply(Command::RemoveAgent(AgentId::from("A")));
    assert_eq!(used(&c, "cpus"), (2000, 2000));
    c.release("F", "*", "A", "cpus:4");
    assert!(c.allocate().is_empty());
    c.add_agent("A", "cpus:1");
    assert_eq!(c.allocate(), ["F/*/A: cpus:1"]);
    // An agent that is added again replaces the one before.
    c.add_agent("A", "cpus:8");
    assert_eq!(c.allocate(), ["F/*/A: cpus:8"]);
}

#[test]
fn a_removed_framework_frees_what_is_left() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.apply(Command::RemoveFramework(FrameworkId::from("F")));
    assert_eq!(used(&c, "cpus"), (4000, 0));
    assert!(
        c.allocator.figures().dominant_shares.is_empty(),
        "its roles are forgotten"
    );
    assert!(c.allocate().is_empty());
    c.add_framework("G", &["a"]);
    assert_eq!(c.allocate(), ["G/a/A: cpus:4"]);
}

#[test]
fn transforming_keeps_the_holding_and_changes_the_total() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    c.add_agent("A", "cpus:4");
    c.suppress("G", &[]);
    c.allocate();
    let transform = |consumed: &str, converted: &str| Command::Transform {
        framework: FrameworkId::from("F"),
        agent: AgentId::from("A"),
        consumed: bag(consumed).allocated_to("a"),
        converted: bag(converted).allocated_to("a"),
    };
    c.apply(transform("cpus:3", "cpus(a):3"));
    assert_eq!(used(&c, "cpus"), (4000, 4000));
    // What is not held cannot be transformed.
    c.apply(transform("cpus:2", "cpus(a):2"));
    c.release("F", "a", "A", "cpus(a):3;cpus:1");
    c.suppress("F", &[]);
    c.revive("G", &[]);
    assert_eq!(c.allocate(), ["G/b/A: cpus:1"]);
    c.revive("F", &[]);
    assert_eq!(c.allocate(), ["F/a/A: cpus(reservations: [(STATIC,a)]):3"]);
}

#[test]
fn commands_about_strangers_change_nothing() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:1");
    let f = || FrameworkId::from("F");
    let a = || AgentId::from("B");
    c.update_framework("F", framework_facts(&["*"], &[]));
    c.apply(Command::ActivateFramework {
        id: f(),
        generation: 1,
    });
    c.apply(Command::DeactivateFramework(f()));
    c.apply(Command::RemoveFramework(f()));
    c.apply(Command::UpdateAgent {
        id: a(),
        facts: agent_facts(""),
        total: bag("cpus:9"),
    });
    c.apply(Command::ActivateAgent(a()));
    c.apply(Command::DeactivateAgent(a()));
    c.apply(Command::RemoveAgent(a()));
    c.revive("F", &[]);
    c.suppress("F", &[]);
    c.apply(Command::Charge {
        framework: f(),
        agent: a(),
        resources: bag("cpus:1").allocated_to("*"),
    });
    assert!(c.allocate().is_empty());
    assert_eq!(used(&c, "cpus"), (1000, 0));
}
