//! What operators and agents change: whitelist, free resources transformed, oversubscription.

use super::*;

fn transform_free(
    c: &mut Cluster,
    token: u64,
    consumed: &str,
    converted: &str,
) -> Result<(), String> {
    let notice = c.answer(Command::TransformFree {
        agent: AgentId::from("A"),
        consumed: bag(consumed),
        converted: bag(converted),
        token,
    });
    match notice {
        Some(Notice::Transformed {
            token: answered,
            result,
        }) => {
            assert_eq!(answered, token);
            result
        }
        None => panic!("no answer"),
    }
}

#[test]
fn free_resources_are_transformed() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:4;mem:64");
    assert_eq!(transform_free(&mut c, 1, "cpus:3", "cpus(a):3"), Ok(()));
    c.add_framework("F", &["b"]);
    c.expect(&[("F/b/A", "cpus:1;mem:64")]);
    c.add_framework("G", &["a"]);
    c.expect(&[("G/a/A", "cpus(a):3")]);
    assert_eq!(c.allocator.figures().resources["cpus"], (4000, 4000));
}

#[test]
fn transformed_resources_are_offered_at_once() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus(b):4");
    c.expect(&[]);
    assert_eq!(transform_free(&mut c, 1, "cpus(b):4", "cpus(a):4"), Ok(()));
    assert!(c.allocator.wants_run());
    c.expect(&[("F/a/A", "cpus(a):4")]);
}

#[test]
fn what_is_not_free_is_not_transformed() {
    let mut c = Cluster::new();
    c.add_framework("F", &["a"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.expect(&[("F/a/A", "cpus:4;mem:64")]);
    c.release("F", "a", "A", "cpus:1");
    assert!(
        transform_free(&mut c, 7, "cpus:2", "cpus(b):2").is_err(),
        "one is free"
    );
    assert!(
        transform_free(&mut c, 8, "disk:2", "disk(b):2").is_err(),
        "there is none"
    );
    c.expect(&[("F/a/A", "cpus:1")]);
    c.release("F", "a", "A", "cpus:2;mem:64");
    assert_eq!(transform_free(&mut c, 9, "cpus:2", "cpus(b):2"), Ok(()));
    c.expect(&[("F/a/A", "mem:64")]);
}

#[test]
fn a_refused_transformation_says_what_is_missing() {
    let mut c = Cluster::new();
    c.add_agent("A", "cpus:1");
    let problem = transform_free(&mut c, 1, "cpus:2", "cpus(b):2").unwrap_err();
    assert!(problem.contains("cpus"), "{problem}");
    let answer = c.answer(Command::TransformFree {
        agent: AgentId::from("unknown"),
        consumed: bag("cpus:1"),
        converted: bag("cpus(b):1"),
        token: 5,
    });
    let Some(Notice::Transformed {
        token: 5,
        result: Err(_),
    }) = answer
    else {
        panic!("{answer:?}");
    };
}

#[test]
fn a_reservation_by_an_operator_counts_for_quota() {
    let mut c = Cluster::new();
    c.set_quota("q", "cpus:2", "");
    c.add_framework("G", &["n"]);
    c.add_agent("A", "cpus:2;mem:16");
    c.expect(&[]);
    c.add_agent("B", "cpus:2;mem:16");
    assert_eq!(c.offers().len(), 1);
    assert_eq!(c.allocator.figures().resources["cpus"].1, 2000);
    let free = |c: &mut Cluster, agent: &str| {
        c.answer(Command::TransformFree {
            agent: AgentId::from(agent),
            consumed: bag("cpus:1"),
            converted: bag("cpus(q):1"),
            token: 1,
        })
    };
    // One of the agents is free; with one cpu reserved to `q` there, one less is laid away, but
    // none is left over.
    let notices = [free(&mut c, "A"), free(&mut c, "B")];
    let done = |notice: &Option<Notice>| {
        matches!(notice, Some(Notice::Transformed { result: Ok(()), .. }))
    };
    assert_eq!(notices.iter().filter(|notice| done(notice)).count(), 1);
    c.expect(&[]);
    c.add_agent("C", "cpus(q):1");
    let offers = c.offers();
    assert_eq!(offers.values().collect::<Vec<_>>(), [&bag("cpus:1;mem:16")]);
}

fn on_host(host: &str) -> AgentFacts {
    let mut facts = agent_facts("");
    Arc::make_mut(&mut facts.info).hostname = host.to_owned();
    facts
}

#[test]
fn only_agents_of_the_whitelist_are_offered() {
    let mut c = Cluster::new();
    c.set_whitelist(Some(&["h1", "h3"]));
    c.add_framework("F", &["*"]);
    for (agent, host) in [("A", "h1"), ("B", "h2"), ("C", "h3")] {
        c.add_agent_with(agent, "cpus:1", on_host(host), &[]);
    }
    c.expect(&[("F/*/A", "cpus:1"), ("F/*/C", "cpus:1")]);
    // Nor when something there becomes free or the framework revives.
    c.revive("F", &[]);
    c.expect(&[]);
    c.set_whitelist(Some(&["h2"]));
    c.expect(&[("F/*/B", "cpus:1")]);
    c.release("F", "*", "A", "cpus:1");
    c.expect(&[]);
    c.set_whitelist(None);
    c.expect(&[("F/*/A", "cpus:1")]);
}

#[test]
fn an_empty_whitelist_allows_nobody() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.set_whitelist(Some(&[]));
    c.add_agent("A", "cpus:1");
    c.expect(&[]);
    c.set_whitelist(None);
    c.expect(&[("F/*/A", "cpus:1")]);
}

#[test]
fn a_changed_host_name_is_looked_up_again() {
    let mut c = Cluster::new();
    c.set_whitelist(Some(&["new"]));
    c.add_framework("F", &["*"]);
    c.add_agent_with("A", "cpus:1", on_host("old"), &[]);
    c.expect(&[]);
    c.apply(Command::UpdateAgent {
        id: AgentId::from("A"),
        facts: on_host("new"),
        total: bag("cpus:1"),
    });
    c.expect(&[("F/*/A", "cpus:1")]);
}

fn oversubscribe(c: &mut Cluster, revocable_cpus: f64) {
    c.apply(Command::UpdateAgent {
        id: AgentId::from("A"),
        facts: agent_facts(""),
        total: bag_with("cpus:4;mem:64", &[revocable("cpus", revocable_cpus)]),
    });
}

#[test]
fn oversubscribed_resources_are_offered_to_those_who_take_them() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_framework_with(
        "R",
        framework_facts(&["*"], &[Capability::RevocableResources]),
    );
    c.suppress("R", &[]);
    c.add_agent("A", "cpus:4;mem:64");
    c.expect(&[("F/*/A", "cpus:4;mem:64")]);
    oversubscribe(&mut c, 2.0);
    c.expect(&[]);
    c.revive("R", &[]);
    c.expect_bags(&[("R/*/A", bag_with("", &[revocable("cpus", 2.0)]))]);
    // More of them: what is new is offered.
    oversubscribe(&mut c, 5.0);
    c.expect_bags(&[("R/*/A", bag_with("", &[revocable("cpus", 3.0)]))]);
    assert_eq!(c.allocator.figures().resources["cpus"], (9000, 9000));
}

#[test]
fn when_less_is_oversubscribed_what_comes_back_is_not_all_offered_again() {
    let mut c = Cluster::new();
    c.add_framework_with(
        "R",
        framework_facts(&["*"], &[Capability::RevocableResources]),
    );
    c.add_agent_of("A", bag_with("cpus:4;mem:64", &[revocable("cpus", 5.0)]));
    c.expect_bags(&[(
        "R/*/A",
        bag_with("cpus:4;mem:64", &[revocable("cpus", 5.0)]),
    )]);
    oversubscribe(&mut c, 1.0);
    c.expect(&[]);
    // The master rescinds the offer.
    c.apply(Command::Release {
        framework: FrameworkId::from("R"),
        agent: AgentId::from("A"),
        resources: bag_with("cpus:4;mem:64", &[revocable("cpus", 5.0)]).allocated_to("*"),
        refusal: None,
    });
    c.expect_bags(&[(
        "R/*/A",
        bag_with("cpus:4;mem:64", &[revocable("cpus", 1.0)]),
    )]);
}

#[test]
fn draining_agents_are_not_offered_whatever_becomes_free() {
    let mut c = Cluster::new();
    c.add_framework("F", &["*"]);
    c.add_agent("A", "cpus:4;mem:64");
    c.expect(&[("F/*/A", "cpus:4;mem:64")]);
    c.apply(Command::DeactivateAgent(AgentId::from("A")));
    c.release("F", "*", "A", "cpus:4;mem:64");
    oversubscribe(&mut c, 2.0);
    c.set_weights(&[("*", 2.0)]);
    c.set_quota("*", "cpus:1", "");
    c.set_whitelist(None);
    c.revive("F", &[]);
    c.expect(&[]);
    c.apply(Command::ActivateAgent(AgentId::from("A")));
    c.expect(&[("F/*/A", "cpus:4;mem:64")]);
}
