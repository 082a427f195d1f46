//! The situations in which Mesos documents and tests quota, told anew with their numbers.

use super::*;

/// Quota as Mesos's first interface set it: the guarantee is the limit.
fn set_both(c: &mut Cluster, role: &str, text: &str) {
    c.set_quota(role, text, text);
}

/// A greedy framework must not get what another role's quota is laid away for.
#[test]
fn a_declined_guarantee_is_not_given_to_others() {
    let mut c = Cluster::new();
    c.add_framework("F", &["quota"]);
    set_both(&mut c, "quota", "cpus:2;mem:1024");
    c.add_framework("G", &["none"]);
    c.add_agent("A", "cpus:1;mem:512");
    c.expect(&[("F/quota/A", "cpus:1;mem:512")]);
    c.add_agent("B", "cpus:1;mem:512");
    c.expect(&[("F/quota/B", "cpus:1;mem:512")]);
    c.decline("F", "quota", "B", "cpus:1;mem:512", 2);
    c.now = at(2);
    c.expect(&[]);
    c.now = at(3);
    c.expect(&[("F/quota/B", "cpus:1;mem:512")]);
}

#[test]
fn without_quota_fair_sharing_is_restored() {
    let mut c = Cluster::new();
    set_both(&mut c, "quota", "cpus:2;mem:1024");
    c.add_framework("F", &["quota"]);
    c.add_framework("G", &["none"]);
    for agent in ["A", "B"] {
        let used = [("F", "quota", "cpus:1;mem:512")];
        c.add_agent_with(agent, "cpus:1;mem:512", agent_facts(""), &used);
    }
    c.set_quota("quota", "", "");
    c.expect(&[]);
    c.release("F", "quota", "A", "cpus:1;mem:512");
    c.expect(&[("G/none/A", "cpus:1;mem:512")]);
}

#[test]
fn several_frameworks_take_turns_in_a_role_with_quota() {
    let mut c = Cluster::new();
    c.add_framework("F1", &["quota"]);
    set_both(&mut c, "quota", "cpus:4;mem:2048");
    c.add_framework("G", &["none"]);
    c.add_agent("A", "cpus:1;mem:512");
    c.expect(&[("F1/quota/A", "cpus:1;mem:512")]);
    c.add_framework("F2", &["quota"]);
    c.add_agent("B", "cpus:2;mem:1024");
    c.expect(&[("F2/quota/B", "cpus:2;mem:1024")]);
    c.add_agent("C", "cpus:1;mem:512");
    c.expect(&[("F1/quota/C", "cpus:1;mem:512")]);
    c.decline("F1", "quota", "C", "cpus:1;mem:512", 5);
    c.expect(&[("F2/quota/C", "cpus:1;mem:512")]);
}

#[test]
fn kinds_without_a_guarantee_come_along_as_far_as_others_need_them_not() {
    let mut c = Cluster::new();
    c.set_quota("one", "cpus:2", "cpus:2");
    let agent = "cpus:1;mem:1024;ports:[31000-32000]";
    c.add_agent("A", agent);
    c.add_framework("F", &["one"]);
    c.expect(&[("F/one/A", agent)]);
    c.set_quota("two", "mem:1024", "mem:1024");
    c.add_agent("B", agent);
    c.expect(&[("F/one/B", "cpus:1;ports:[31000-32000]")]);
    // Its cpus are used up; one of two agents' memory is needed for the other role. Ports alone
    // are too small an offer.
    c.add_agent("C", agent);
    let offers = c.offers();
    assert_eq!(offers.len(), 1);
    let possible = [
        ("F/one/B".to_owned(), bag("mem:1024")),
        ("F/one/C".to_owned(), bag("mem:1024;ports:[31000-32000]")),
    ];
    assert!(possible.contains(&offers.into_iter().next().unwrap()));
}

/// What is left after all guarantees is shared by DRF among the roles.
#[test]
fn the_free_pool_is_shared_by_drf() {
    let mut c = Cluster::new();
    set_both(&mut c, "quota", "cpus:0.25;mem:128");
    c.add_framework("F", &["quota"]);
    c.add_framework("G", &["none"]);
    let used = [("F", "quota", "cpus:0.25;mem:128")];
    c.add_agent_with("A", "cpus:1;mem:512", agent_facts(""), &used);
    c.expect(&[("G/none/A", "cpus:0.75;mem:384")]);
    c.add_framework("H", &["none"]);
    c.add_agent("B", "cpus:1;mem:512");
    c.expect(&[("H/none/B", "cpus:1;mem:512")]);
}

/// Without quota a role with a share waits as long as others play with what is free.
#[test]
fn quota_ends_starvation() {
    let mut c = Cluster::new();
    c.add_framework("F", &["starving"]);
    c.add_framework("G", &["none"]);
    let used = [("F", "starving", "cpus:1;mem:512")];
    c.add_agent_with("A", "cpus:1;mem:512", agent_facts(""), &used);
    c.add_agent("B", "cpus:1;mem:512");
    for _ in 0..3 {
        c.expect(&[("G/none/B", "cpus:1;mem:512")]);
        c.release("G", "none", "B", "cpus:1;mem:512");
    }
    set_both(&mut c, "starving", "cpus:2;mem:1024");
    c.expect(&[("F/starving/B", "cpus:1;mem:512")]);
}

/// A role without frameworks has no share at all, and still keeps no other quota waiting.
#[test]
fn absent_frameworks_do_not_keep_other_guarantees_waiting() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:2;mem:2048");
    set_both(&mut c, "one", "cpus:1;mem:1024");
    set_both(&mut c, "two", "cpus:2;mem:2048");
    c.add_framework("F", &["two"]);
    c.expect(&[("F/two/A", "cpus:2;mem:2048")]);
}

#[test]
fn the_smaller_share_with_its_quota_met_comes_after_the_larger_without() {
    let mut c = Cluster::new();
    set_both(&mut c, "one", "cpus:1;mem:200");
    set_both(&mut c, "two", "cpus:2;mem:2000");
    c.add_framework("F", &["one"]);
    c.add_framework("G", &["two"]);
    for (agent, framework, role) in [("A", "F", "one"), ("B", "G", "two")] {
        let used = [(framework, role, "cpus:1;mem:1024")];
        c.add_agent_with(agent, "cpus:1;mem:1024", agent_facts(""), &used);
    }
    c.add_agent("C", "cpus:2;mem:2048");
    c.expect(&[("G/two/C", "cpus:1;mem:976")]);
}

#[test]
fn used_reservations_count_for_quota_and_for_shares() {
    let mut c = Cluster::new();
    set_both(&mut c, "quota", "cpus:2;mem:256");
    c.add_framework("F", &["quota"]);
    c.add_framework("G", &["none"]);
    let used = [("F", "quota", "cpus:2;mem(quota):256")];
    c.add_agent_with("A", "cpus:8;mem(quota):256", agent_facts(""), &used);
    c.expect(&[("G/none/A", "cpus:6")]);
    c.add_agent("B", "cpus:4");
    c.expect(&[("G/none/B", "cpus:4")]);
}

#[test]
fn others_reservations_are_not_laid_away_for_a_guarantee() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:4;mem:512");
    c.add_agent("B", "cpus(none):4;mem(none):512");
    c.add_framework("F", &["quota"]);
    set_both(&mut c, "quota", "cpus:4;mem:512");
    c.expect(&[("F/quota/A", "cpus:4;mem:512")]);
    c.decline("F", "quota", "A", "cpus:4;mem:512", 100);
    c.expect(&[]);
    c.add_framework("G", &["none"]);
    c.expect(&[("G/none/B", "cpus(none):4;mem(none):512")]);
    c.decline("G", "none", "B", "cpus(none):4;mem(none):512", 100);
    c.now = at(50);
    c.revive("unknown", &[]);
    c.expect(&[]);
}

/// The guarantee of one kind is met by the first agent, that of the other takes two.
#[test]
fn kinds_of_a_guarantee_are_met_one_by_one() {
    let mut c = Cluster::new();
    set_both(&mut c, "quota", "cpus:4;mem:1024");
    c.add_framework("F", &["quota"]);
    c.add_agent("A", "cpus:2;mem:1024");
    c.expect(&[("F/quota/A", "cpus:2;mem:1024")]);
    c.add_agent("B", "cpus:2;mem:1024");
    c.expect(&[("F/quota/B", "cpus:2")]);
}

#[test]
fn an_ancestors_reservation_is_used_by_a_descendant_and_is_no_headroom() {
    let mut c = Cluster::new();
    set_both(&mut c, "quota", "cpus:1;mem:1024");
    c.add_agent("A", "cpus(a):1;mem(a):1024");
    c.add_framework("F", &["a/b"]);
    c.expect(&[("F/a/b/A", "cpus(a):1;mem(a):1024")]);
    c.add_framework("G", &["none"]);
    c.expect(&[]);
    c.add_agent("B", "cpus:1;mem:1024");
    c.add_agent("C", "cpus:1;mem:1024");
    let offers = c.offers();
    assert_eq!(offers.len(), 1, "the other is kept");
    assert!(
        offers
            .iter()
            .all(|(to, offer)| to.starts_with("G/none/") && *offer == bag("cpus:1;mem:1024"))
    );
}

/// Mesos charges a role with what its subroles have, but cuts only the role itself; here the
/// limit binds the subroles too, so that nobody gets around it.
#[test]
fn a_subrole_is_charged_and_bound() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a/b"]);
    c.add_agent("A", "cpus:1;mem:1024");
    c.expect(&[("F/a/b/A", "cpus:1;mem:1024")]);
    set_both(&mut c, "a", "cpus:1;mem:1024");
    c.add_framework("G", &["a"]);
    c.add_agent("B", "cpus:1;mem:1024");
    c.expect(&[]);
    set_both(&mut c, "a", "cpus:1.5;mem:1024");
    c.expect(&[("G/a/B", "cpus:0.5")]);
}

#[test]
fn headroom_with_allocations_in_a_tree_of_roles() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a/b"]);
    c.add_agent("A", "cpus:1;mem:100");
    c.expect(&[("F/a/b/A", "cpus:1;mem:100")]);
    c.add_framework("G", &["a"]);
    c.add_agent("B", "cpus:1;mem:100");
    c.expect(&[("G/a/B", "cpus:1;mem:100")]);
    set_both(&mut c, "quota", "cpus:1;mem:100");
    c.add_agent("C", "cpus:1;mem:100");
    c.expect(&[]);
    c.add_agent("D", "cpus:1;mem:100");
    assert_eq!(c.offers().len(), 1);
}

/// The numbers of the documentation of `UPDATE_QUOTA`: two roles, limits only.
#[test]
fn limits_of_two_departments() {
    let mut c = Cluster::new();
    c.set_quota("dev", "", "cpus:10;mem:2048;disk:4096");
    c.set_quota("test", "", "cpus:1;mem:256;disk:512");
    c.add_framework("D", &["dev"]);
    c.add_framework("T", &["test"]);
    for agent in 0..10 {
        c.add_agent(&format!("A{agent}"), "cpus:4;mem:1024;disk:2048");
    }
    let mut sums: BTreeMap<String, Resources> = BTreeMap::new();
    for p in c.propose() {
        sums.entry(p.role.to_string())
            .or_default()
            .add(&p.resources.unallocated());
    }
    assert_eq!(sums["dev"].scalar_milli("mem"), 2_048_000);
    assert_eq!(sums["test"], bag("cpus:1;mem:256;disk:512"));
    assert!(sums["dev"].scalar_milli("cpus") <= 10_000);
    assert!(sums["dev"].scalar_milli("disk") <= 4_096_000);
}
