//! What the allocator says of agents it does not offer.
//! That the run decides by the same rules is tested where those rules are.

use super::*;
use crate::allocator::reasons::Reason;

impl Cluster {
    fn reason(&self, framework: &str, role: &str) -> Reason {
        let told = self
            .allocator
            .explain(&FrameworkId::from(framework), &Role::from(role));
        let told = told.unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].agent.as_str(), "A");
        told[0].reason
    }
}

#[test]
fn frameworks_out_of_the_order_are_named_as_such() {
    let mut c = Cluster::new();
    let nobody = FrameworkId::from("F");
    assert!(c.allocator.explain(&nobody, &Role::from("a")).is_none());
    c.add_agent("A", "cpus:4");
    c.add_framework("F", &["a"]);
    assert_eq!(c.reason("F", "b"), Reason::NotSubscribed);
    assert_eq!(c.reason("F", "a"), Reason::InTurn);
    c.suppress("F", &["a"]);
    assert_eq!(c.reason("F", "a"), Reason::Suppressed);
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    assert_eq!(c.reason("F", "a"), Reason::FrameworkInactive);
}

#[test]
fn what_is_held_is_told_apart_from_what_is_refused() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:4");
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    assert_eq!(c.allocate(), ["F/a/A: cpus:4"]);
    assert_eq!(c.reason("F", "a"), Reason::HeldByItself);
    assert_eq!(c.reason("G", "b"), Reason::HeldByOthers);
    c.decline("F", "a", "A", "cpus:4", 60);
    let until = at(61).mono;
    assert_eq!(c.reason("F", "a"), Reason::Filtered { until });
    assert_eq!(c.reason("G", "b"), Reason::InTurn);
    c.now = at(61);
    c.allocate();
    assert_eq!(c.reason("F", "a"), Reason::HeldByOthers);
}

#[test]
fn agents_out_of_the_order_are_named_as_such() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:4");
    c.add_framework("F", &["a/b"]);
    c.apply(Command::SetWhitelist(Some(["other".to_owned()].into())));
    assert_eq!(c.reason("F", "a/b"), Reason::NotWhitelisted);
    assert!(c.allocate().is_empty());
    c.apply(Command::SetWhitelist(Some(["host".to_owned()].into())));
    assert_eq!(c.reason("F", "a/b"), Reason::InTurn);
    c.apply(Command::DeactivateAgent(AgentId::from("A")));
    assert_eq!(c.reason("F", "a/b"), Reason::AgentInactive);
    let mut facts = agent_facts("");
    facts.capabilities = ["MULTI_ROLE".to_owned()].into();
    c.add_agent_with("A", "cpus:4", facts.clone(), &[]);
    assert_eq!(c.reason("F", "a/b"), Reason::AgentLacksHierarchicalRole);
    facts.capabilities = ["HIERARCHICAL_ROLE".to_owned()].into();
    c.add_agent_with("A", "cpus:4", facts, &[]);
    assert_eq!(c.reason("F", "a/b"), Reason::AgentLacksMultiRole);
    c.add_agent("A", "cpus:4;gpus:1");
    assert_eq!(c.reason("F", "a/b"), Reason::NeedsGpuResources);
}

#[test]
fn what_is_left_may_be_too_little_or_of_the_wrong_kind() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "disk:100;ports:[1-9]");
    assert_eq!(c.reason("F", "a"), Reason::BelowMinimum);
    c.add_agent("A", "cpus(b):4");
    assert_eq!(c.reason("F", "a"), Reason::NothingForRole);
    assert!(c.allocate().is_empty());
}

#[test]
fn quota_says_whether_the_limit_or_headroom_is_in_the_way() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.set_quota("a", "", "cpus:0");
    c.add_agent("A", "cpus:4");
    assert_eq!(c.reason("F", "a"), Reason::QuotaLimit);
    assert!(c.allocate().is_empty());
    c.set_quota("a", "", "");
    c.set_quota("b", "cpus:4", "");
    assert_eq!(c.reason("F", "a"), Reason::Headroom);
    assert!(c.allocate().is_empty());
    c.set_quota("b", "", "");
    assert_eq!(c.allocate(), ["F/a/A: cpus:4"]);
}

#[test]
fn a_wait_for_agents_is_named() {
    let mut c = Cluster::new();
    let quota = Quota {
        guarantees: Quantities::parse("cpus:1").unwrap(),
        limits: Limits::default(),
    };
    c.apply(Command::Recover {
        expected_agents: 2,
        quotas: vec![(Role::from("b"), quota)],
        weights: Vec::new(),
    });
    let config = AllocatorConfig::default();
    assert_eq!((2.0 * config.agent_recovery_factor).floor(), 1.0);
    c.add_framework("F", &["a"]);
    assert!(c.allocator.is_recovering(c.now));
    assert!(!c.allocator.wants_run());
    c.add_agent("A", "cpus:4");
    assert!(!c.allocator.is_recovering(c.now), "one of two is enough");
    assert_eq!(c.allocate(), ["F/a/A: cpus:3"], "one is kept back");
    assert_eq!(c.reason("F", "a"), Reason::Headroom);
}
