//! Roles and reservations, and frameworks that change their roles.

use super::*;

#[test]
fn reservations_go_to_the_role_and_its_descendants_only() {
    let mut c = Cluster::new();
    c.add_framework("F", &["eng/web"]);
    c.add_framework("G", &["ops"]);
    c.add_agent("A", "cpus(eng):1;mem(eng/web):64;cpus(ops):2;disk(x):9");
    assert_eq!(
        c.allocate(),
        [
            "F/eng/web/A: cpus(reservations: [(STATIC,eng)]):1; \
             mem(reservations: [(STATIC,eng/web)]):64",
            "G/ops/A: cpus(reservations: [(STATIC,ops)]):2",
        ]
    );
}

#[test]
fn an_ancestor_does_not_get_its_descendants_reservations() {
    let mut c = Cluster::new();
    c.add_framework("F", &["eng"]);
    c.add_agent("A", "cpus(eng/web):1;cpus(engine):1");
    assert!(c.allocate().is_empty());
}

#[test]
fn a_framework_gets_one_offer_per_role_and_agent() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    c.add_agent("A", "cpus(a):1;cpus(b):2;cpus:4");
    c.add_agent("B", "cpus(b):1");
    assert_eq!(
        c.allocate(),
        [
            "F/a/A: cpus(reservations: [(STATIC,a)]):1; cpus:4",
            "F/b/A: cpus(reservations: [(STATIC,b)]):2",
            "F/b/B: cpus(reservations: [(STATIC,b)]):1",
        ]
    );
}

#[test]
fn a_role_left_keeps_counting_until_its_resources_come_back() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4");
    assert_eq!(c.allocate().len(), 1);
    c.update_framework("F", framework_facts(&["b"], &[Capability::MultiRole]));
    let roles = |c: &Cluster| -> Vec<String> {
        c.allocator
            .figures()
            .dominant_shares
            .keys()
            .map(|role| role.to_string())
            .collect()
    };
    assert_eq!(roles(&c), ["a", "b"]);
    c.decline("F", "a", "A", "cpus:4", 100);
    assert_eq!(roles(&c), ["b"]);
    assert_eq!(c.allocate(), ["F/b/A: cpus:4"]);
}

#[test]
fn new_roles_get_offers_at_once() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus(b):4");
    assert!(c.allocate().is_empty());
    c.update_framework("F", framework_facts(&["a", "b"], &[Capability::MultiRole]));
    assert_eq!(c.allocate(), ["F/b/A: cpus(reservations: [(STATIC,b)]):4"]);
}

#[test]
fn inactive_frameworks_get_nothing_but_keep_what_they_hold() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4");
    c.allocate();
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    c.add_agent("B", "cpus:1");
    assert!(c.allocate().is_empty());
    assert_eq!(c.allocator.figures().resources["cpus"], (5000, 4000));
    c.apply(Command::ActivateFramework {
        id: FrameworkId::from("F"),
        generation: 2,
    });
    assert_eq!(c.allocate(), ["F/a/B: cpus:1"]);
}
