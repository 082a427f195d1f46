//! Planned unavailability: agents are still offered, and who holds something there is asked to
//! leave, once at a time.

use super::*;

fn at_nanos(nanoseconds: i64) -> v1::Unavailability {
    v1::Unavailability {
        start: v1::TimeInfo { nanoseconds },
        duration: Some(v1::DurationInfo { nanoseconds: 7 }),
    }
}

fn plan(c: &mut Cluster, agent: &str, unavailability: Option<v1::Unavailability>) {
    c.apply(Command::SetUnavailability {
        agent: AgentId::from(agent),
        plan: unavailability,
    });
}

fn end(c: &mut Cluster, framework: &str, agent: &str, seconds: Option<u64>) {
    c.apply(Command::EndInverseOffer {
        framework: FrameworkId::from(framework),
        agent: AgentId::from(agent),
        refusal: seconds.map(|seconds| Refusal {
            timeout: Duration::from_secs(seconds),
        }),
    });
}

/// Runs, and writes who is asked to leave where, sorted.
fn asked(c: &mut Cluster) -> Vec<String> {
    let proposals = c.allocator.allocate(c.now);
    c.check();
    let mut asked: Vec<String> = proposals
        .inverse_offers
        .iter()
        .map(|inverse| format!("{}/{}", inverse.framework, inverse.agent))
        .collect();
    asked.sort();
    asked
}

/// Framework `F` holds agent `A`, and nobody the free agent `B`.
fn held() -> Cluster {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:2;mem:1024");
    c.expect(&[("F/*/A", "cpus:2;mem:1024")]);
    c.add_agent("B", "cpus:2;mem:1024");
    c.expect(&[("F/*/B", "cpus:2;mem:1024")]);
    c.decline("F", "*", "B", "cpus:2;mem:1024", 86_400);
    c.expect(&[]);
    c
}

/// Mesos's own example.
#[test]
fn only_who_holds_something_is_asked() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    plan(&mut c, "B", Some(at_nanos(60)));
    let proposals = c.allocator.allocate(c.now);
    assert_eq!(proposals.offers, []);
    let [inverse] = &proposals.inverse_offers[..] else {
        panic!("{proposals:?}");
    };
    assert_eq!(
        (inverse.framework.as_str(), inverse.agent.as_str()),
        ("F", "A")
    );
    assert_eq!(inverse.unavailability, at_nanos(60));
}

#[test]
fn nobody_is_asked_without_a_plan() {
    let mut c = held();
    assert!(asked(&mut c).is_empty());
    plan(&mut c, "A", Some(at_nanos(60)));
    plan(&mut c, "A", None);
    assert!(asked(&mut c).is_empty());
    plan(&mut c, "unknown", Some(at_nanos(60)));
    assert!(asked(&mut c).is_empty());
}

#[test]
fn generations_tell_which_agent_and_framework_are_meant() {
    let mut c = Cluster::new();
    c.apply(Command::AddFramework {
        id: FrameworkId::from("F"),
        generation: 3,
        facts: framework_facts(&["*"], &[]),
        used: Vec::new(),
        active: true,
    });
    c.apply(Command::AddAgent {
        id: AgentId::from("A"),
        generation: 8,
        facts: agent_facts(""),
        total: bag("cpus:1"),
        used: Vec::new(),
        unavailability: Some(at_nanos(1)),
    });
    // An agent with a plan is offered all the same, and asked for in the same run.
    let proposals = c.allocator.allocate(c.now);
    assert_eq!(proposals.offers.len(), 1);
    let [inverse] = &proposals.inverse_offers[..] else {
        panic!("{proposals:?}");
    };
    assert_eq!(
        (inverse.framework_generation, inverse.agent_generation),
        (3, 8)
    );
}

#[test]
fn one_inverse_offer_is_outstanding_at_a_time() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    c.revive("F", &[]);
    assert!(asked(&mut c).is_empty());
    c.release("F", "*", "A", "cpus:1");
    assert!(asked(&mut c).is_empty());
    // Rescinded or lost: the next run asks again.
    end(&mut c, "F", "A", None);
    assert!(c.allocator.wants_run());
    assert_eq!(asked(&mut c), ["F/A"]);
}

#[test]
fn an_answer_silences_for_its_time() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    end(&mut c, "F", "A", Some(10));
    assert!(asked(&mut c).is_empty());
    c.now = at(10);
    assert!(asked(&mut c).is_empty());
    assert_eq!(c.allocator.next_deadline(), Some(at(11).mono));
    c.now = at(11);
    assert_eq!(asked(&mut c), ["F/A"]);
}

#[test]
fn an_answer_of_no_time_does_not_silence() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    end(&mut c, "F", "A", Some(0));
    assert!(asked(&mut c).is_empty(), "not in a tight loop");
    // After an allocation interval.
    c.now = at(2);
    assert_eq!(asked(&mut c), ["F/A"]);
}

#[test]
fn any_revival_of_the_framework_ends_the_silence() {
    for roles in [&[][..], &["other"][..]] {
        let mut c = Cluster::new();
        c.add_framework("F", &["*", "other"]);
        let used = [("F", "*", "cpus:1")];
        c.add_agent_with("A", "cpus:1", agent_facts(""), &used);
        plan(&mut c, "A", Some(at_nanos(60)));
        assert_eq!(asked(&mut c), ["F/A"]);
        end(&mut c, "F", "A", Some(1000));
        assert!(asked(&mut c).is_empty());
        c.revive("F", roles);
        assert_eq!(asked(&mut c), ["F/A"], "{roles:?}");
    }
}

#[test]
fn the_silence_of_one_framework_is_its_own() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_framework("G", &["b"]);
    let used = [("F", "a", "cpus:1"), ("G", "b", "cpus:1")];
    c.add_agent_with("A", "cpus:2", agent_facts(""), &used);
    c.add_agent_with("B", "cpus:2", agent_facts(""), &used);
    plan(&mut c, "A", Some(at_nanos(60)));
    plan(&mut c, "B", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A", "F/B", "G/A", "G/B"]);
    end(&mut c, "F", "A", Some(1000));
    end(&mut c, "G", "B", None);
    assert_eq!(asked(&mut c), ["G/B"]);
    // A revival of another framework does not concern it.
    c.revive("G", &[]);
    assert!(asked(&mut c).is_empty());
}

#[test]
fn a_framework_with_several_roles_on_an_agent_is_asked_once() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a", "b"]);
    let used = [("F", "a", "cpus:1"), ("F", "b", "cpus:1")];
    c.add_agent_with("A", "cpus:2", agent_facts(""), &used);
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
}

#[test]
fn a_new_plan_asks_anew() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    plan(&mut c, "A", Some(at_nanos(90)));
    assert_eq!(asked(&mut c), ["F/A"], "though one was outstanding");
    end(&mut c, "F", "A", Some(1000));
    plan(&mut c, "A", Some(at_nanos(120)));
    assert_eq!(asked(&mut c), ["F/A"], "though it was silent");
}

#[test]
fn frameworks_that_are_not_active_or_not_known_are_not_asked() {
    let mut c = held();
    c.apply(Command::Charge {
        framework: FrameworkId::from("X"),
        agent: AgentId::from("B"),
        resources: bag("cpus:1").allocated_to("x"),
    });
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    plan(&mut c, "A", Some(at_nanos(60)));
    plan(&mut c, "B", Some(at_nanos(60)));
    assert!(asked(&mut c).is_empty());
    c.apply(Command::ActivateFramework {
        id: FrameworkId::from("F"),
        generation: 2,
    });
    assert_eq!(asked(&mut c)[0], "F/A");
}

#[test]
fn deactivation_ends_the_silence() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    end(&mut c, "F", "A", Some(1000));
    c.apply(Command::DeactivateFramework(FrameworkId::from("F")));
    assert_eq!(c.allocator.next_deadline(), None);
    assert!(asked(&mut c).is_empty());
    c.apply(Command::ActivateFramework {
        id: FrameworkId::from("F"),
        generation: 2,
    });
    assert_eq!(asked(&mut c)[0], "F/A");
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut c = held();
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    end(&mut c, "F", "A", Some(1000));
    c.apply(Command::RemoveAgent(AgentId::from("A")));
    let used = [("F", "*", "cpus:2")];
    c.add_agent_with("A", "cpus:2", agent_facts(""), &used);
    assert!(
        asked(&mut c).is_empty(),
        "a new agent has no plan unless told"
    );
    plan(&mut c, "A", Some(at_nanos(60)));
    assert_eq!(asked(&mut c), ["F/A"]);
    c.apply(Command::RemoveFramework(FrameworkId::from("F")));
    end(&mut c, "F", "A", Some(5));
    assert!(asked(&mut c).is_empty());
    c.check();
}

#[test]
fn answers_to_nothing_change_nothing() {
    let mut c = held();
    end(&mut c, "F", "A", None);
    end(&mut c, "X", "A", Some(10));
    end(&mut c, "F", "X", Some(10));
    assert!(asked(&mut c).is_empty());
}

#[test]
fn the_other_changes_of_an_agent_keep_its_plan() {
    let mut c = held();
    plan(&mut c, "B", Some(at_nanos(60)));
    assert!(asked(&mut c).is_empty(), "nobody is there");
    c.apply(Command::UpdateAgent {
        id: AgentId::from("B"),
        facts: agent_facts("rack:new"),
        total: bag("cpus:3;mem:1024"),
    });
    // The changed attribute ends the filter, and with the offer the framework holds something.
    let proposals = c.allocator.allocate(c.now);
    assert_eq!(proposals.offers.len(), 1);
    assert_eq!(proposals.inverse_offers.len(), 1);
}

/// The master cannot pass the question on, and would be asked again and again.
#[test]
fn nobody_is_asked_about_a_disconnected_agent() {
    let mut c = held();
    c.apply(Command::DeactivateAgent(AgentId::from("A")));
    plan(&mut c, "A", Some(at_nanos(60)));
    assert!(asked(&mut c).is_empty());
    assert!(!c.allocator.wants_run());
    c.apply(Command::ActivateAgent(AgentId::from("A")));
    assert!(c.allocator.wants_run());
    assert_eq!(asked(&mut c), ["F/A"]);
}
