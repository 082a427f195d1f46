//! The rules of quota, one by one: guarantees, limits, headroom, and how offers are cut.

use super::*;

/// A framework `F` in role `q`, with this quota, and a framework `G` in role `n` without one.
fn two_roles(guarantees: &str, limits: &str) -> Cluster {
    let mut c = Cluster::new();
    c.set_quota("q", guarantees, limits);
    c.add_framework("F", &["q"]);
    c.add_framework("G", &["n"]);
    c
}

/// A framework `G` in role `n`, and a role `q` with this guarantee but without frameworks.
fn absent(guarantees: &str) -> Cluster {
    let mut c = Cluster::new();
    c.set_quota("q", guarantees, "");
    c.add_framework("G", &["n"]);
    c
}

/// Like the default of `--min_allocatable_resources`, but any offer is large enough.
fn without_minimum() -> AllocatorConfig {
    AllocatorConfig {
        min_allocatable_resources: Vec::new(),
        ..Default::default()
    }
}

#[test]
fn a_guarantee_goes_before_fair_share() {
    let mut c = two_roles("cpus:4;mem:1024", "");
    c.add_agent_with(
        "A",
        "cpus:2;mem:512",
        agent_facts(""),
        &[("F", "q", "cpus:2;mem:512")],
    );
    c.add_agent("B", "cpus:2;mem:512");
    c.expect(&[("F/q/B", "cpus:2;mem:512")]);
    // With the guarantee met the smaller share is served.
    c.add_agent("C", "cpus:2;mem:512");
    c.expect(&[("G/n/C", "cpus:2;mem:512")]);
}

#[test]
fn an_offer_is_cut_to_the_limit_and_the_rest_goes_on() {
    for guarantees in ["", "cpus:0.5;mem:200"] {
        let mut c = two_roles(guarantees, "cpus:0.5;mem:200");
        c.add_agent("A", "cpus:1;mem:512");
        // Without a guarantee it is the second stage that cuts; there `n` comes first by name.
        let wanted: &[(&str, &str)] = match guarantees {
            "" => &[("G/n/A", "cpus:1;mem:512")],
            _ => &[("F/q/A", "cpus:0.5;mem:200"), ("G/n/A", "cpus:0.5;mem:312")],
        };
        c.expect(wanted);
    }
    let mut c = two_roles("", "cpus:0.5;mem:200");
    c.suppress("G", &[]);
    c.add_agent("A", "cpus:1;mem:512");
    c.expect(&[("F/q/A", "cpus:0.5;mem:200")]);
    c.revive("G", &[]);
    c.expect(&[("G/n/A", "cpus:0.5;mem:312")]);
}

#[test]
fn a_guarantee_without_limit_takes_the_agent_whole() {
    let mut c = two_roles("cpus:0.5;mem:200", "");
    c.add_agent("A", "cpus:1;mem:512;disk:7;ports:[1-9]");
    c.expect(&[("F/q/A", "cpus:1;mem:512;disk:7;ports:[1-9]")]);
}

#[test]
fn beyond_its_guarantee_a_role_leaves_the_headroom_of_others() {
    let mut c = Cluster::new();
    c.set_quota("p", "cpus:3", "");
    c.set_quota("q", "cpus:1", "");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:5;mem:100");
    c.expect(&[("F/q/A", "cpus:2;mem:100")]);
    c.add_framework("P", &["p"]);
    c.expect(&[("P/p/A", "cpus:3")]);
}

#[test]
fn a_role_gets_other_kinds_only_with_some_of_its_guarantee_in_the_first_stage() {
    let mut c = two_roles("cpus:2", "");
    c.add_agent_with(
        "A",
        "cpus:2;mem:512",
        agent_facts(""),
        &[("F", "q", "cpus:1;mem:512"), ("X", "x", "cpus:1")],
    );
    // Memory alone is no progress towards cpus, so it goes by fair share.
    c.add_agent("B", "mem:512");
    c.expect(&[("G/n/B", "mem:512")]);
    c.add_agent("C", "cpus:1;mem:512");
    c.expect(&[("F/q/C", "cpus:1;mem:512")]);
}

#[test]
fn headroom_is_kept_for_an_absent_framework() {
    let mut c = absent("cpus:2;mem:1024");
    c.add_agent("A", "cpus:2;mem:1024");
    c.expect(&[]);
    c.add_agent("B", "cpus:2;mem:1024");
    let offers = c.offers();
    let offered: Vec<String> = offers.values().map(Resources::to_string).collect();
    assert_eq!(offered, ["cpus:2; mem:1024"], "either agent, whole");
}

#[test]
fn headroom_cuts_an_agent_by_kind() {
    let mut c = absent("cpus:2;mem:1024");
    c.add_agent("A", "cpus:3;mem:1024;disk:10;ports:[1-2]");
    c.expect(&[("G/n/A", "cpus:1;disk:10;ports:[1-2]")]);
}

#[test]
fn several_guarantees_add_up_to_the_headroom() {
    let mut c = absent("cpus:2");
    c.set_quota("r", "cpus:1.5", "");
    c.set_quota("s", "mem:64", "");
    c.add_agent("A", "cpus:5;mem:128");
    c.expect(&[("G/n/A", "cpus:1.5;mem:64")]);
}

#[test]
fn reservations_count_as_consumed_even_when_nobody_uses_them() {
    let mut c = absent("cpus:2;mem:64");
    c.add_agent("A", "cpus(q):2;mem(q):32");
    c.expect(&[]);
    c.add_agent("B", "cpus:2;mem:64");
    c.expect(&[("G/n/B", "cpus:2;mem:32")]);
}

#[test]
fn reservations_beyond_a_guarantee_help_no_other_role() {
    let mut c = absent("cpus:2");
    c.set_quota("r", "cpus:2", "");
    c.add_agent("A", "cpus(q):9;cpus:3");
    c.expect(&[("G/n/A", "cpus:1")]);
}

#[test]
fn reserved_resources_are_no_headroom() {
    let mut c = absent("cpus:4;mem:512");
    c.add_agent("A", "cpus:4;mem:512");
    c.add_agent("B", "cpus(n):4;mem(n):512");
    c.expect(&[("G/n/B", "cpus(n):4;mem(n):512")]);
}

#[test]
fn revocable_resources_are_no_headroom_and_are_not_held_back() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:2", "");
    c.add_framework_with(
        "G",
        framework_facts(&["n"], &[Capability::RevocableResources]),
    );
    c.add_agent_of("A", bag_with("cpus:2;mem:64", &[revocable("cpus", 8.0)]));
    c.expect_bags(&[("G/n/A", bag_with("mem:64", &[revocable("cpus", 8.0)]))]);
}

#[test]
fn limits_do_not_touch_reservations_revocable_resources_and_ports() {
    let mut c = Cluster::with(without_minimum());
    c.set_quota("q", "", "cpus:2;mem:0");
    c.add_framework_with(
        "F",
        framework_facts(&["q"], &[Capability::RevocableResources]),
    );
    let rest = "cpus(q):3;disk:5;ports:[1-2]";
    c.add_agent_of(
        "A",
        bag_with(&format!("{rest};cpus:4;mem:64"), &[revocable("cpus", 8.0)]),
    );
    // The reservation has used up the limit of cpus, and of memory there is none.
    c.expect_bags(&[("F/q/A", bag_with(rest, &[revocable("cpus", 8.0)]))]);
}

#[test]
fn revocable_resources_consume_no_quota() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:2;mem:64");
    c.add_framework_with(
        "F",
        framework_facts(&["q"], &[Capability::RevocableResources]),
    );
    c.add_agent_of("A", bag_with("", &[revocable("cpus", 8.0)]));
    c.expect_bags(&[("F/q/A", bag_with("", &[revocable("cpus", 8.0)]))]);
    c.add_agent("B", "cpus:4;mem:64");
    c.expect(&[("F/q/B", "cpus:2;mem:64")]);
}

#[test]
fn a_limit_of_zero_gives_nothing() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:0;mem:0");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:4;mem:64;ports:[1-9]");
    c.expect(&[]);
}

#[test]
fn a_kind_without_limit_is_not_limited() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:1");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:4;mem:640");
    c.expect(&[("F/q/A", "cpus:1;mem:640")]);
}

#[test]
fn what_a_cut_leaves_too_small_is_not_offered() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:0.009;mem:31");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:4;mem:640;disk:100");
    c.expect(&[]);
    c.set_quota("q", "", "cpus:0.01;mem:31");
    c.expect(&[("F/q/A", "cpus:0.01;mem:31;disk:100")]);
}

#[test]
fn exclusive_disks_are_taken_whole_or_not_at_all() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:2;mem:2048;disk:150", "cpus:2;mem:2048;disk:150");
    c.add_framework("F", &["q"]);
    let agent = || bag_with("cpus:0.5;mem:512", &[mount_disk(100.0)]);
    c.add_agent_of("A", agent());
    c.expect_bags(&[("F/q/A", agent())]);
    c.add_agent_of("B", agent());
    c.expect(&[("F/q/B", "cpus:0.5;mem:512")]);
    c.add_agent("C", "cpus:2;mem:2048;disk:150");
    c.expect(&[("F/q/C", "cpus:1;mem:1024;disk:50")]);
}

#[test]
fn several_disks_together_meet_a_guarantee() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:1;mem:512;disk:100", "cpus:1;mem:512;disk:100");
    c.add_framework("F", &["q"]);
    let agent = || bag_with("cpus:1;mem:512;disk:50", &[mount_disk(50.0)]);
    c.add_agent_of("A", agent());
    c.expect_bags(&[("F/q/A", agent())]);
}

#[test]
fn headroom_keeps_an_exclusive_disk_whole() {
    let mut c = absent("disk:10");
    c.add_agent_of("A", bag_with("cpus:1", &[mount_disk(100.0)]));
    c.expect(&[("G/n/A", "cpus:1")]);
}

#[test]
fn subroles_are_charged_to_the_top_level_role() {
    // What a subrole has reserved.
    let mut c = Cluster::new();
    c.set_quota("a", "cpus:2;mem:200", "cpus:2;mem:200");
    c.add_agent("A", "cpus(a/b):1;mem(a/b):100");
    c.add_agent("B", "cpus:10;mem:1000");
    c.add_framework("F", &["a"]);
    c.expect(&[("F/a/B", "cpus:1;mem:100")]);
    // What a subrole holds, at any depth.
    let mut c = Cluster::new();
    c.set_quota("a", "", "cpus:2;mem:200");
    c.add_framework("F", &["a"]);
    c.add_agent_with(
        "A",
        "cpus:10;mem:1000",
        agent_facts(""),
        &[("H", "a/b/c", "cpus:1.5;mem:50")],
    );
    c.expect(&[("F/a/A", "cpus:0.5;mem:150")]);
    // And a role that only begins like it is another.
    c.release("F", "a", "A", "cpus:0.5;mem:150");
    c.release("H", "a/b/c", "A", "cpus:1.5;mem:50");
    c.apply(Command::Charge {
        framework: FrameworkId::from("H"),
        agent: AgentId::from("A"),
        resources: bag("cpus:1").allocated_to("ab"),
    });
    c.expect(&[("F/a/A", "cpus:2;mem:200")]);
}

#[test]
fn what_a_subrole_holds_lowers_the_headroom() {
    let mut c = absent("cpus:4");
    c.add_agent_with(
        "A",
        "cpus:8;mem:64",
        agent_facts(""),
        &[("H", "q/x", "cpus:3"), ("H", "q/y", "cpus:0.5")],
    );
    c.expect(&[("G/n/A", "cpus:4;mem:64")]);
}

#[test]
fn an_overcommitted_guarantee_is_still_served() {
    let mut c = Cluster::new();
    c.set_quota("p", "cpus:4;mem:64", "");
    c.set_quota("q", "cpus:4;mem:64", "");
    c.add_framework("F", &["q"]);
    c.add_framework("G", &["n"]);
    c.add_agent("A", "cpus:4;mem:96");
    // The headroom for both is not there, and so nothing is left for `n`.
    c.expect(&[("F/q/A", "cpus:4;mem:64")]);
}

#[test]
fn the_frameworks_of_a_role_share_its_quota() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:2;mem:128", "cpus:3;mem:192");
    c.add_framework("F", &["q"]);
    c.add_framework("H", &["q"]);
    c.add_agent("A", "cpus:2;mem:128");
    c.expect(&[("F/q/A", "cpus:2;mem:128")]);
    c.add_agent("B", "cpus:2;mem:128");
    c.expect(&[("H/q/B", "cpus:1;mem:64")]);
    // What one refuses, the other gets.
    c.decline("F", "q", "A", "cpus:2;mem:128", 100);
    c.expect(&[("H/q/A", "cpus:2;mem:128")]);
}

#[test]
fn a_guarantee_is_held_back_while_its_framework_refuses_or_suppresses() {
    let mut c = two_roles("cpus:2;mem:64", "cpus:2;mem:64");
    c.add_agent("A", "cpus:2;mem:64");
    c.expect(&[("F/q/A", "cpus:2;mem:64")]);
    c.decline("F", "q", "A", "cpus:2;mem:64", 10);
    c.expect(&[]);
    c.now = at(5);
    c.revive("G", &[]);
    c.expect(&[]);
    c.now = at(11);
    c.expect(&[("F/q/A", "cpus:2;mem:64")]);
    c.suppress("F", &[]);
    c.release("F", "q", "A", "cpus:2;mem:64");
    c.expect(&[]);
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    c.revive("G", &[]);
    c.expect(&[]);
}

#[test]
fn filters_hide_the_cut_offer_and_a_larger_one_is_seen() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:1;mem:64");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:4;mem:256");
    c.expect(&[("F/q/A", "cpus:1;mem:64")]);
    c.decline("F", "q", "A", "cpus:1;mem:64", 1000);
    c.revive("unknown", &[]);
    c.expect(&[]);
    c.set_quota("q", "", "cpus:2;mem:64");
    c.expect(&[("F/q/A", "cpus:2;mem:64")]);
}

#[test]
fn a_changed_quota_holds_from_the_next_run() {
    let mut c = absent("cpus:2;mem:64");
    c.add_agent("A", "cpus:4;mem:128");
    c.expect(&[("G/n/A", "cpus:2;mem:64")]);
    c.set_quota("q", "cpus:1;mem:64", "");
    c.expect(&[("G/n/A", "cpus:1")]);
    // A guarantee takes nothing back, it waits for what comes back.
    c.set_quota("q", "cpus:3;mem:64", "");
    c.expect(&[]);
    c.release("G", "n", "A", "cpus:3;mem:64");
    c.expect(&[("G/n/A", "cpus:1;mem:64")]);
    // The default quota ends it.
    c.set_quota("q", "", "");
    c.expect(&[("G/n/A", "cpus:3;mem:64")]);
}

#[test]
fn a_limit_below_what_is_held_takes_nothing_back() {
    let mut c = Cluster::new();
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.expect(&[("F/q/A", "cpus:4;mem:64")]);
    c.set_quota("q", "", "cpus:1;mem:640");
    c.add_agent("B", "cpus:4;mem:64");
    c.expect(&[("F/q/B", "mem:64")]);
    c.release("F", "q", "A", "cpus:3");
    c.expect(&[]);
    c.release("F", "q", "A", "cpus:0.5");
    let offers = c.offers();
    assert_eq!(offers.len(), 1, "on either agent");
    assert!(offers.values().all(|offer| *offer == bag("cpus:0.5")));
}

#[test]
fn what_was_held_back_is_offered_when_the_guarantee_is_met_elsewhere() {
    let mut c = absent("cpus:2;mem:64");
    c.add_agent("A", "cpus:2;mem:64");
    c.expect(&[]);
    c.add_agent("B", "cpus(q):2;mem(q):64");
    c.expect(&[("G/n/A", "cpus:2;mem:64")]);
    // And the other way round: when the reservation goes, there is no headroom any more.
    c.release("G", "n", "A", "cpus:2;mem:64");
    c.apply(Command::RemoveAgent(AgentId::from("B")));
    c.expect(&[]);
}

#[test]
fn a_limit_with_room_again_opens_other_agents() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:2;mem:64");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:2;mem:64");
    c.add_agent("B", "cpus:2;mem:64");
    let first = c.propose();
    assert_eq!(first.len(), 1);
    let other = if first[0].agent.as_str() == "A" {
        "B"
    } else {
        "A"
    };
    c.decline("F", "q", first[0].agent.as_str(), "cpus:2;mem:64", 1000);
    c.expect(&[(&format!("F/q/{other}"), "cpus:2;mem:64")]);
}

#[test]
fn the_headroom_of_a_removed_agent_is_missed() {
    let mut c = absent("cpus:2;mem:64");
    c.add_agent("A", "cpus:2;mem:64");
    c.expect(&[]);
    c.add_agent("B", "cpus:3;mem:64");
    for p in c.propose() {
        c.apply(Command::Release {
            framework: p.framework,
            agent: p.agent,
            resources: p.resources,
            refusal: None,
        });
    }
    c.apply(Command::RemoveAgent(AgentId::from("A")));
    c.expect(&[("G/n/B", "cpus:1")]);
}

#[test]
fn quota_holds_for_the_default_role_too() {
    let mut c = Cluster::new();
    c.set_quota("*", "", "cpus:0;mem:0;disk:0");
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:2;mem:1024;disk:1024");
    c.expect(&[]);
    c.add_framework("G", &["n"]);
    c.expect(&[("G/n/A", "cpus:2;mem:1024;disk:1024")]);
    c.set_quota("*", "", "cpus:1;mem:512;disk:512");
    c.add_agent("B", "cpus:2;mem:1024;disk:1024");
    c.expect(&[
        ("F/*/B", "cpus:1;mem:512;disk:512"),
        ("G/n/B", "cpus:1;mem:512;disk:512"),
    ]);
}

#[test]
fn custom_scalars_have_quota_and_ranges_have_none() {
    let mut c = Cluster::with(without_minimum());
    c.set_quota("q", "bandwidth:10", "bandwidth:20");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "bandwidth:100;ports:[1-3]");
    c.expect(&[("F/q/A", "bandwidth:20;ports:[1-3]")]);
}

#[test]
fn a_reservation_made_from_what_is_held_consumes_no_more() {
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:4;mem:128");
    c.add_framework("F", &["q"]);
    c.add_agent("A", "cpus:2;mem:64");
    c.expect(&[("F/q/A", "cpus:2;mem:64")]);
    let transform = |consumed: &str, converted: &str| Command::Transform {
        framework: FrameworkId::from("F"),
        agent: AgentId::from("A"),
        consumed: bag(consumed).allocated_to("q"),
        converted: bag(converted).allocated_to("q"),
    };
    c.apply(transform("cpus:2;mem:64", "cpus(q):2;mem(q):64"));
    c.add_agent("B", "cpus:8;mem:640");
    c.expect(&[("F/q/B", "cpus:2;mem:64")]);
    // Given back, the reservation still counts.
    c.release("F", "q", "B", "cpus:2;mem:64");
    c.decline("F", "q", "A", "cpus(q):2;mem(q):64", 1000);
    c.expect(&[("F/q/B", "cpus:2;mem:64")]);
    c.release("F", "q", "B", "cpus:2;mem:64");
    c.revive("F", &[]);
    c.expect(&[("F/q/A", "cpus(q):2;mem(q):64"), ("F/q/B", "cpus:2;mem:64")]);
    // Unreserved again, it counts because it is held.
    c.apply(transform("cpus(q):2;mem(q):64", "cpus:2;mem:64"));
    c.add_agent("C", "cpus:8;mem:640");
    c.expect(&[]);
}

/// Where quota allows nothing more, there may still be what quota does not count.
#[test]
fn a_role_at_its_limit_gets_ports_if_its_framework_takes_them_alone() {
    let minimum = v1::offer_filters::MinAllocatableResources::default();
    let filters = v1::OfferFilters {
        min_allocatable_resources: Some(minimum),
    };
    let mut facts = framework_facts(&["q"], &[]);
    Arc::make_mut(&mut facts.info).offer_filters = [("q".to_owned(), filters)].into();
    let mut c = Cluster::new();
    c.set_quota("q", "", "cpus:0;mem:0;disk:0");
    c.add_framework("E", &["q"]);
    c.add_framework_with("F", facts);
    c.add_agent("A", "cpus:2;mem:64;disk:9;ports:[1-2]");
    c.expect(&[("F/q/A", "ports:[1-2]")]);
}

/// A subrole takes part in the guarantee of its top-level role; its ancestors' reservations come
/// in the same offer.
#[test]
fn a_subrole_gets_one_offer_of_both_stages() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:2;mem:96", "cpus:2;mem:96");
    c.add_framework("F", &["q/s"]);
    c.add_agent("A", "cpus:6;mem:320;cpus(q):1");
    c.expect(&[("F/q/s/A", "cpus:1;mem:96;cpus(q):1")]);
}

#[test]
fn weights_order_the_roles_of_the_first_stage() {
    let mut c = Cluster::new();
    for role in ["p", "q"] {
        c.set_quota(role, "cpus:4;mem:400", "cpus:4;mem:400");
    }
    c.set_weights(&[("q", 4.0)]);
    c.add_framework("P", &["p"]);
    c.add_framework("Q", &["q"]);
    c.add_agent_with(
        "A",
        "cpus:2;mem:200",
        agent_facts(""),
        &[
            ("P", "p", "cpus:0.5;mem:50"),
            ("Q", "q", "cpus:1.5;mem:150"),
        ],
    );
    // A half by four is less than a sixth.
    c.add_agent("B", "cpus:1;mem:100");
    c.expect(&[("Q/q/B", "cpus:1;mem:100")]);
}
