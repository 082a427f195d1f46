//! Offer filters, suppression, revival and constraints.

use v1::scheduler::attribute_constraint::{Predicate, Selector, predicate};
use v1::scheduler::{AttributeConstraint, OfferConstraints, offer_constraints};

use super::*;
use crate::validation::constraints::{OfferConstraintsFilter, compile};
use crate::validation::re2::Limits;

/// One framework on one agent that it has just declined for ten seconds.
fn declined() -> Cluster {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4;mem:64");
    assert_eq!(c.allocate().len(), 1);
    c.decline("F", "a", "A", "cpus:4;mem:64", 10);
    assert!(c.allocate().is_empty());
    c
}

fn active_filters(c: &Cluster) -> u64 {
    c.allocator.figures().offer_filters.values().sum()
}

#[test]
fn declined_resources_are_hidden_until_the_filter_ends() {
    let mut c = declined();
    assert_eq!(active_filters(&c), 1);
    assert_eq!(c.allocator.next_deadline(), Some(at(11).mono));
    c.now = at(10);
    c.revive("G", &[]);
    assert!(c.allocate().is_empty());
    c.now = at(11);
    assert_eq!(c.allocate(), ["F/a/A: cpus:4; mem:64"]);
    assert_eq!(active_filters(&c), 0);
    assert_eq!(c.allocator.next_deadline(), None);
}

#[test]
fn others_get_declined_resources_at_once() {
    let mut c = declined();
    c.add_framework("G", &["a"]);
    assert_eq!(c.allocate(), ["G/a/A: cpus:4; mem:64"]);
}

#[test]
fn a_filter_counts_for_one_role() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    c.add_agent("A", "cpus:4");
    assert_eq!(c.allocate(), ["F/a/A: cpus:4"]);
    c.decline("F", "a", "A", "cpus:4", 10);
    assert_eq!(c.allocate(), ["F/b/A: cpus:4"]);
}

#[test]
fn more_than_was_refused_is_offered() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.allocate();
    c.decline("F", "a", "A", "cpus:2;mem:64", 10);
    assert!(c.allocate().is_empty());
    c.release("F", "a", "A", "cpus:2");
    assert_eq!(c.allocate(), ["F/a/A: cpus:4; mem:64"]);
    // The smaller refusal still hides what it contains.
    c.release("F", "a", "A", "cpus:1");
    assert!(c.allocate().is_empty());
}

#[test]
fn filters_of_several_refusals_add_up_and_the_longest_wins() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.allocate();
    c.decline("F", "a", "A", "cpus:4", 20);
    c.decline("F", "a", "A", "mem:64", 30);
    assert_eq!(active_filters(&c), 2);
    // Neither refusal contains both.
    assert_eq!(c.allocate(), ["F/a/A: cpus:4; mem:64"]);
    c.decline("F", "a", "A", "cpus:4", 5);
    assert_eq!(
        active_filters(&c),
        2,
        "the same refusal again makes no new filter"
    );
    assert_eq!(
        c.allocator.next_deadline(),
        Some(at(21).mono),
        "and does not shorten the old"
    );
    c.now = at(20);
    assert!(c.allocate().is_empty());
}

#[test]
fn short_filters_last_an_allocation_interval() {
    let config = AllocatorConfig {
        allocation_interval: Duration::from_secs(3),
        ..Default::default()
    };
    let mut c = Cluster::with(config);
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.decline("F", "a", "A", "cpus:4", 1);
    assert_eq!(c.allocator.next_deadline(), Some(at(4).mono));
}

#[test]
fn a_refusal_of_no_time_only_avoids_an_echo() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["a"]);
    c.add_agent("A", "cpus:4");
    assert_eq!(c.allocate(), ["F/a/A: cpus:4"]);
    c.suppress("G", &[]);
    c.decline("F", "a", "A", "cpus:4", 0);
    assert!(c.allocate().is_empty());
    assert_eq!(active_filters(&c), 0, "it is no filter in the metrics");
    c.now = at(2);
    assert_eq!(c.allocate(), ["F/a/A: cpus:4"]);
    c.decline("F", "a", "A", "cpus:4", 0);
    c.revive("G", &[]);
    assert_eq!(c.allocate(), ["G/a/A: cpus:4"]);
}

#[test]
fn resources_given_back_without_refusal_have_no_filter() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.release("F", "a", "A", "cpus:4");
    assert_eq!(c.allocator.next_deadline(), None);
    assert_eq!(c.allocate().len(), 1);
    // Nor does refusing what is not held.
    c.decline("F", "a", "A", "mem:1", 10);
    assert_eq!(c.allocator.next_deadline(), None);
}

#[test]
fn revive_clears_the_filters_of_its_roles() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.decline("F", "a", "A", "cpus:4", 100);
    c.allocate();
    c.decline("F", "b", "A", "cpus:4", 100);
    assert!(c.allocate().is_empty());
    c.revive("F", &["b"]);
    assert_eq!(c.allocate(), ["F/b/A: cpus:4"]);
    c.decline("F", "b", "A", "cpus:4", 100);
    c.revive("F", &[]);
    assert_eq!(active_filters(&c), 0);
    assert_eq!(c.allocate().len(), 1);
}

#[test]
fn deactivation_clears_filters() {
    let mut c = declined();
    let id = || FrameworkId::from("F");
    c.apply(Command::DeactivateFramework(id()));
    assert_eq!(active_filters(&c), 0);
    assert!(c.allocate().is_empty());
    c.apply(Command::ActivateFramework {
        id: id(),
        generation: 2,
    });
    assert_eq!(c.allocate().len(), 1);
}

#[test]
fn an_inactive_framework_gets_no_filters() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    c.decline("F", "a", "A", "cpus:4", 10);
    assert_eq!(c.allocator.next_deadline(), None);
}

#[test]
fn changed_attributes_clear_filters_and_other_changes_do_not() {
    let mut c = declined();
    let update = |attributes: &str| Command::UpdateAgent {
        id: AgentId::from("A"),
        facts: agent_facts(attributes),
        total: bag("cpus:4;mem:64"),
    };
    c.apply(update(""));
    assert!(c.allocate().is_empty());
    c.apply(update("rack:r1"));
    assert_eq!(active_filters(&c), 0);
    assert_eq!(c.allocate().len(), 1);
}

#[test]
fn filters_go_with_the_agent_and_with_the_role() {
    let mut c = declined();
    c.apply(Command::RemoveAgent(AgentId::from("A")));
    assert_eq!(c.allocator.next_deadline(), None);
    c.add_agent("A", "cpus:4;mem:64");
    assert_eq!(c.allocate().len(), 1);
    c.decline("F", "a", "A", "cpus:4;mem:64", 10);
    c.update_framework("F", framework_facts(&["b"], &[Capability::MultiRole]));
    assert_eq!(c.allocator.next_deadline(), None);
    assert_eq!(c.allocate(), ["F/b/A: cpus:4; mem:64"]);
}

#[test]
fn suppressed_roles_get_no_offers_and_keep_filters() {
    let mut c = declined();
    c.suppress("F", &["a"]);
    c.now = at(5);
    assert_eq!(active_filters(&c), 1);
    c.now = at(11);
    assert!(c.allocate().is_empty());
    c.revive("F", &["a"]);
    assert_eq!(c.allocate().len(), 1);
}

#[test]
fn suppression_is_per_role() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    c.suppress("F", &["a"]);
    c.add_agent("A", "cpus:4");
    assert_eq!(c.allocate(), ["F/b/A: cpus:4"]);
    c.release("F", "b", "A", "cpus:4");
    c.suppress("F", &[]);
    assert!(c.allocate().is_empty());
}

#[test]
fn an_update_replaces_the_suppressed_roles() {
    let mut c = declined();
    let mut facts = framework_facts(&["a", "b"], &[Capability::MultiRole]);
    facts.suppressed = vec![Role::from("a"), Role::from("b")];
    c.update_framework("F", facts.clone());
    assert!(c.allocate().is_empty());
    assert_eq!(active_filters(&c), 1);
    facts.suppressed = vec![Role::from("b")];
    c.update_framework("F", facts);
    assert_eq!(
        active_filters(&c),
        0,
        "a role no longer suppressed is revived"
    );
    assert_eq!(c.allocate(), ["F/a/A: cpus:4; mem:64"]);
}

/// What role `a` asks of an agent's rack, compiled as the master does.
fn on_rack(predicate: Predicate) -> Arc<OfferConstraintsFilter> {
    let constraint = AttributeConstraint {
        selector: Selector {
            attribute_name: Some("rack".to_owned()),
            ..Default::default()
        },
        predicate,
    };
    let group = offer_constraints::role_constraints::Group {
        attribute_constraints: vec![constraint],
    };
    let of_role = offer_constraints::RoleConstraints {
        groups: vec![group],
    };
    let constraints = OfferConstraints {
        role_constraints: [("a".to_owned(), of_role)].into(),
    };
    Arc::new(compile(&constraints, Limits::default()).unwrap())
}

#[test]
fn constraints_exclude_agents_per_role() {
    let equals = |value: &str| {
        on_rack(Predicate {
            text_equals: Some(predicate::TextEquals {
                value: value.to_owned(),
            }),
            ..Default::default()
        })
    };
    let mut c = Cluster::new();
    let mut facts = framework_facts(&["a"], &[Capability::MultiRole]);
    facts.constraints = Some(equals("r1"));
    c.add_framework_with("F", facts.clone());
    c.add_agent_with("A", "cpus:1", agent_facts("rack:r1"), &[]);
    c.add_agent_with("B", "cpus:1", agent_facts("rack:r2"), &[]);
    assert_eq!(c.allocate(), ["F/a/A: cpus:1"]);
    facts.constraints = Some(equals("r2"));
    c.update_framework("F", facts.clone());
    assert_eq!(c.allocate(), ["F/a/B: cpus:1"]);
    c.add_agent_with("C", "cpus:1", agent_facts("rack:r3"), &[]);
    facts.roles.push(Role::from("b"));
    c.update_framework("F", facts);
    assert_eq!(c.allocate(), ["F/b/C: cpus:1"]);
}

#[test]
fn patterns_of_constraints_are_those_of_re2() {
    // The regex crate has no `\Q`; read by its rules, the pattern would admit no agent.
    let quoted = Predicate {
        text_matches: Some(predicate::TextMatches {
            regex: r"\Qr.\E[0-9]".to_owned(),
        }),
        ..Default::default()
    };
    let mut c = Cluster::new();
    let mut facts = framework_facts(&["a"], &[Capability::MultiRole]);
    facts.constraints = Some(on_rack(quoted));
    c.add_framework_with("F", facts);
    c.add_agent_with("A", "cpus:1", agent_facts("rack:r.1"), &[]);
    c.add_agent_with("B", "cpus:1", agent_facts("rack:rx1"), &[]);
    assert_eq!(c.allocate(), ["F/a/A: cpus:1"]);
}

#[test]
fn constraints_that_are_withdrawn_exclude_no_more() {
    let exists = Predicate {
        exists: Some(predicate::Exists {}),
        ..Default::default()
    };
    let mut c = Cluster::new();
    let mut facts = framework_facts(&["a"], &[Capability::MultiRole]);
    facts.constraints = Some(on_rack(exists));
    c.add_framework_with("F", facts.clone());
    c.add_agent("A", "cpus:1");
    assert!(c.allocate().is_empty());
    facts.constraints = None;
    c.update_framework("F", facts);
    assert_eq!(c.allocate(), ["F/a/A: cpus:1"]);
}

#[test]
fn a_row_of_refusals_does_not_grow_without_end() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:100");
    for round in 1..=40_u64 {
        c.apply(Command::UpdateAgent {
            id: AgentId::from("A"),
            facts: agent_facts(""),
            total: bag(&format!("cpus:{round}")),
        });
        assert_eq!(c.allocate(), [format!("F/a/A: cpus:{round}")]);
        c.decline("F", "a", "A", &format!("cpus:{round}"), 1000);
        assert!(active_filters(&c) <= 16);
    }
    assert!(c.allocate().is_empty());
}
