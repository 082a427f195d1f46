//! Operations of an ACCEPT that change resources, and launches on their results.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::MasterToAgent;

use super::super::messages::Input;
use super::fixture::{TestAgent, TestFramework, TestMaster, accept_call};
use super::parts::{
    bag, create, destroy, named, plain, reserve, reserved, shared_volume, unreserve, volume,
};
use crate::allocator::messages::Command;

const RESERVED_CPUS: &str = "cpus(allocated: web)(reservations: [(DYNAMIC,web)]):1";

fn with_offer(resources: Value) -> (TestMaster, TestAgent, TestFramework, crate::ids::OfferId) {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let offer = test.offer_of(&framework, &agent, resources);
    (test, agent, framework, offer)
}

/// A task of 1 CPU, 128 MB and these resources too.
fn task(id: &str, agent: &TestAgent, more: &[Value]) -> Value {
    let mut resources = vec![plain("cpus", 1.0), plain("mem", 128.0)];
    resources.extend_from_slice(more);
    json!({
        "name": "t",
        "task_id": {"value": id},
        "agent_id": {"value": agent.id.as_str()},
        "resources": resources,
        "command": {"shell": true, "value": "true"},
    })
}

fn launch(tasks: &[Value]) -> Value {
    json!({"type": "LAUNCH", "launch": {"task_infos": tasks}})
}

const NO_FILTER: Option<Duration> = Some(Duration::ZERO);

#[test]
fn a_task_runs_on_a_volume_made_in_the_same_accept() {
    let (mut test, agent, framework, offer) = with_offer(json!([
        plain("cpus", 2.0),
        plain("mem", 256.0),
        plain("disk", 64.0)
    ]));
    let operations = json!([
        reserve(json!([reserved("disk", 32.0)])),
        create(json!([volume("v", 16.0)])),
        launch(&[task("t", &agent, &[volume("v", 16.0)])]),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let disk = "disk(allocated: web)";
    let stack = "(reservations: [(DYNAMIC,web)])";
    assert_eq!(
        test.transform(),
        (format!("{disk}:32"), format!("{disk}{stack}:32"))
    );
    assert_eq!(
        test.transform(),
        (
            format!("{disk}{stack}:16"),
            format!("{disk}{stack}[v:data]:16")
        )
    );
    let first = test.applied(&agent);
    assert_eq!(first.framework.as_deref(), Some(framework.id.as_str()));
    assert!(first.operation.reserve.is_some());
    let second = test.applied(&agent);
    assert!(second.operation.create.is_some());
    assert_ne!(first.uuid, second.uuid);
    assert!(matches!(test.order(agent.link), MasterToAgent::RunTask(_)));
    // What was reserved and not used is wanted; what was not touched is declined.
    assert_eq!(test.released(), (format!("{disk}{stack}:16"), None));
    let (rest, refused) = test.released();
    assert_eq!(refused, None);
    assert!(rest.contains("cpus(allocated: web):1") && rest.contains("disk(allocated: web):32"));
    let total = bag(json!([
        plain("cpus", 4.0),
        plain("mem", 2048.0),
        plain("disk", 4064.0),
        reserved("disk", 16.0),
        volume("v", 16.0),
    ]));
    assert_eq!(test.master.agents[&agent.id].total, total);
    assert_eq!(test.master.frameworks[&framework.id].operations.len(), 2);
    assert_eq!(test.master.agents[&agent.id].operations.len(), 2);
}

#[test]
fn what_is_reserved_and_unreserved_again_was_not_wanted() {
    let (mut test, agent, framework, offer) = with_offer(json!([plain("cpus", 1.0)]));
    let cpus = json!([reserved("cpus", 1.0)]);
    let operations = json!([reserve(cpus.clone()), unreserve(cpus)]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let (a, b) = (test.transform(), test.transform());
    assert_eq!((a.0, a.1), (b.1, b.0));
    test.applied(&agent);
    test.applied(&agent);
    assert_eq!(
        test.released(),
        ("cpus(allocated: web):1".into(), NO_FILTER)
    );
    assert_eq!(test.total(&agent), "cpus:4; mem:2048; disk:4096");
}

#[test]
fn an_operation_that_does_not_fit_leaves_all_as_it_was() {
    let (mut test, agent, framework, offer) = with_offer(json!([plain("cpus", 1.0)]));
    let operations = json!([
        named("big", reserve(json!([reserved("cpus", 2.0)]))),
        reserve(json!([reserved("cpus", 3.0)])),
        named("good", reserve(json!([reserved("cpus", 1.0)]))),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let text = "cpus(allocated: web):1 does not contain cpus(allocated: web):2";
    assert_eq!(
        test.operation_text(&framework),
        ("big".into(), "OPERATION_ERROR".into(), text.into())
    );
    assert_eq!(test.transform().1, RESERVED_CPUS);
    assert_eq!(test.applied(&agent).operation.id.unwrap().value, "good");
    assert_eq!(test.released(), (RESERVED_CPUS.into(), None));
}

#[test]
fn an_operation_against_the_rules_is_refused_with_the_agents_name() {
    let (mut test, agent, framework, offer) =
        with_offer(json!([plain("cpus", 1.0), plain("disk", 8.0)]));
    let operations = json!([
        named("u", unreserve(json!([plain("cpus", 1.0)]))),
        named("d", destroy(json!([volume("v", 8.0)]))),
        named(
            "g",
            json!({"type": "CREATE_DISK", "create_disk": {
            "source": reserved("disk", 8.0), "target_type": "MOUNT"}})
        ),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let suffix = format!("; on agent {} at slave(1)@127.0.0.1:5051 (host)", agent.id);
    let texts = [
        (
            "u",
            "Resource cpus(allocated: web):1 is not dynamically reserved",
        ),
        ("d", "Persistent volumes not found"),
        ("g", "'source' is not managed by a resource provider"),
    ];
    for (id, text) in texts {
        let wanted = (
            id.into(),
            "OPERATION_ERROR".into(),
            format!("{text}{suffix}"),
        );
        assert_eq!(test.operation_text(&framework), wanted);
    }
    assert_eq!(test.released().1, NO_FILTER);
}

#[test]
fn an_agent_that_cannot_tell_the_outcome_gets_no_named_operation() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let known = std::sync::Arc::make_mut(test.master.agents.get_mut(&agent.id).unwrap());
    let mut capabilities = known.capabilities.to_vec();
    capabilities.retain(|name| name != "AGENT_OPERATION_FEEDBACK");
    known.capabilities = capabilities.into();
    let offer = test.offer_of(&framework, &agent, json!([plain("cpus", 1.0)]));
    let operations = json!([named("r", reserve(json!([reserved("cpus", 1.0)])))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let (_, state, text) = test.operation_text(&framework);
    assert_eq!(state, "OPERATION_ERROR");
    assert!(text.contains("AGENT_OPERATION_FEEDBACK"), "{text}");
    assert_eq!(test.released().1, NO_FILTER);
}

#[test]
fn a_grown_volume_is_for_the_next_accept() {
    let (mut test, agent, framework, offer) = with_offer(json!([plain("disk", 8.0)]));
    let made = json!([
        reserve(json!([reserved("disk", 8.0)])),
        create(json!([volume("v", 4.0)])),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &made));
    test.skip();
    let held = json!([
        plain("cpus", 1.0),
        plain("mem", 128.0),
        volume("v", 4.0),
        reserved("disk", 4.0)
    ]);
    let offer = test.offer_of(&framework, &agent, held);
    let grow = json!({"type": "GROW_VOLUME", "grow_volume": {
        "volume": volume("v", 4.0), "addition": reserved("disk", 4.0)}});
    let operations = json!([
        named("grow", grow.clone()),
        named("again", grow),
        launch(&[task("t", &agent, &[volume("v", 8.0)])]),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let grown = "disk(allocated: web)(reservations: [(DYNAMIC,web)])[v:data]:8";
    assert_eq!(test.transform().1, grown);
    test.applied(&agent);
    let (id, state, text) = test.operation_text(&framework);
    assert_eq!((id.as_str(), state.as_str()), ("again", "OPERATION_ERROR"));
    assert!(
        text.starts_with("Invalid GROW_VOLUME operation: cpus(allocated: web):1"),
        "{text}"
    );
    assert_eq!(test.update_text(&framework).1, "TASK_ERROR");
    assert_eq!(test.released(), (grown.into(), None));
    assert_eq!(test.released().1, None);
    // Shrinking leaves a smaller volume and what was cut off.
    let offer = test.offer_of(&framework, &agent, json!([volume("v", 8.0)]));
    let shrink = json!([{"type": "SHRINK_VOLUME", "shrink_volume": {
        "volume": volume("v", 8.0), "subtract": {"value": 6.0}}}]);
    test.accepted(&framework, accept_call(&[&offer], &shrink));
    test.transform();
    test.applied(&agent);
    let (rest, refused) = test.released();
    assert_eq!(refused, None);
    assert!(
        rest.contains("[v:data]:2") && rest.contains("[(DYNAMIC,web)]):6"),
        "{rest}"
    );
}

#[test]
fn what_is_cut_off_a_volume_comes_back_and_so_does_what_was_there() {
    let (mut test, agent, framework, offer) = with_offer(json!([plain("disk", 8.0)]));
    let made = json!([
        reserve(json!([reserved("disk", 8.0)])),
        create(json!([volume("v", 4.0)])),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &made));
    test.skip();
    let held = json!([volume("v", 4.0), reserved("disk", 4.0)]);
    let offer = test.offer_of(&framework, &agent, held);
    let shrink = json!([{"type": "SHRINK_VOLUME", "shrink_volume": {
        "volume": volume("v", 4.0), "subtract": {"value": 3.0}}}]);
    test.accepted(&framework, accept_call(&[&offer], &shrink));
    test.transform();
    test.applied(&agent);
    let stack = "disk(allocated: web)(reservations: [(DYNAMIC,web)])";
    let (wanted, refused) = test.released();
    assert_eq!(refused, None);
    let cut_off = format!("{stack}:3");
    assert!(
        wanted.contains("[v:data]:1") && wanted.contains(&cut_off),
        "{wanted}"
    );
    assert_eq!(test.released(), (format!("{stack}:4"), None));
}

/// An agent with a shared volume `s`, not offered.
fn with_shared_volume() -> (TestMaster, TestAgent, TestFramework) {
    let (mut test, agent, framework, offer) = with_offer(json!([plain("disk", 4.0)]));
    let made = json!([
        reserve(json!([reserved("disk", 4.0)])),
        create(json!([shared_volume("s", 4.0)])),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &made));
    test.skip();
    (test, agent, framework)
}

#[test]
fn tasks_share_a_shared_volume_offered_once() {
    let (mut test, agent, framework) = with_shared_volume();
    let held = json!([
        plain("cpus", 2.0),
        plain("mem", 256.0),
        shared_volume("s", 4.0)
    ]);
    let offer = test.offer_of(&framework, &agent, held);
    let tasks = [
        task("a", &agent, &[shared_volume("s", 4.0)]),
        task("b", &agent, &[shared_volume("s", 4.0)]),
    ];
    test.accepted(&framework, accept_call(&[&offer], &json!([launch(&tasks)])));
    for _ in 0..2 {
        assert!(matches!(test.order(agent.link), MasterToAgent::RunTask(_)));
    }
    // The allocator gave one copy; the second task's is one more.
    match test.command() {
        Command::Charge { resources, .. } => {
            let copy = bag(json!([shared_volume("s", 4.0)])).allocated_to("web");
            assert_eq!(resources, copy);
        }
        other => panic!("expected Charge, got {other:?}"),
    }
}

#[test]
fn a_shared_volume_in_use_is_not_destroyed() {
    let (mut test, agent, framework) = with_shared_volume();
    let held = json!([
        plain("cpus", 1.0),
        plain("mem", 128.0),
        shared_volume("s", 4.0)
    ]);
    let offer = test.offer_of(&framework, &agent, held);
    let tasks = [task("a", &agent, &[shared_volume("s", 4.0)])];
    test.accepted(&framework, accept_call(&[&offer], &json!([launch(&tasks)])));
    test.order(agent.link);
    let offer = test.offer_of(&framework, &agent, json!([shared_volume("s", 4.0)]));
    let operations = json!([named("d", destroy(json!([shared_volume("s", 4.0)])))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let (_, state, text) = test.operation_text(&framework);
    assert_eq!(state, "OPERATION_ERROR");
    assert!(
        text.starts_with("Persistent volumes in use; on agent"),
        "{text}"
    );
    test.released();
}

#[test]
fn destroying_a_shared_volume_takes_it_back_from_others() {
    let (mut test, agent, framework) = with_shared_volume();
    let other = test.web(json!({}));
    let taken = test.offer_of(
        &other,
        &agent,
        json!([plain("cpus", 1.0), shared_volume("s", 4.0)]),
    );
    let kept = test.offer_of(&other, &agent, json!([plain("cpus", 1.0)]));
    let offer = test.offer_of(&framework, &agent, json!([shared_volume("s", 4.0)]));
    let late = test.proposal_of(&other.id, &agent, json!([shared_volume("s", 4.0)]));
    let operations = json!([destroy(json!([shared_volume("s", 4.0)]))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let rescinded = test.event(&other.stream).rescind.expect("RESCIND");
    assert_eq!(rescinded.offer_id.value, taken.as_str());
    assert!(test.released().0.contains("cpus(allocated: web):1"));
    test.transform();
    test.applied(&agent);
    assert_eq!(test.released().1, None);
    assert!(test.master.offers.contains_key(&kept));
    // A proposal that was under way goes straight back.
    test.input(Input::Proposed(vec![late]));
    assert_eq!(test.released().1, None);
}

#[test]
fn the_old_form_of_a_reservation_is_understood_and_not_passed_on() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"role": "web"}));
    let offer = test.offer(&framework, &agent, "cpus:1");
    let mut old = plain("cpus", 1.0);
    old["role"] = json!("web");
    old["reservation"] = json!({});
    let operations = json!([reserve(json!([old]))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    assert_eq!(test.transform().1, RESERVED_CPUS);
    let reserve = test.applied(&agent).operation.reserve.unwrap();
    assert_eq!(reserve.resources[0].reservations.len(), 1);
    assert_eq!(test.released(), (RESERVED_CPUS.into(), None));
}

#[test]
fn a_group_runs_on_what_was_reserved_in_the_same_accept() {
    let (mut test, agent, framework, offer) = with_offer(json!([
        plain("cpus", 2.0),
        plain("mem", 256.0),
        plain("disk", 64.0)
    ]));
    let mut task = task("t", &agent, &[]);
    task["resources"] = json!([reserved("cpus", 1.0), plain("mem", 128.0)]);
    let group = json!({"type": "LAUNCH_GROUP", "launch_group": {
        "executor": {
            "type": "DEFAULT",
            "executor_id": {"value": "e"},
            "framework_id": {"value": framework.id.as_str()},
            "resources": [plain("cpus", 0.1), plain("mem", 32.0), plain("disk", 32.0)],
        },
        "task_group": {"tasks": [task]},
    }});
    let operations = json!([reserve(json!([reserved("cpus", 1.0)])), group]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    test.transform();
    test.applied(&agent);
    let run = test.order(agent.link);
    assert!(matches!(run, MasterToAgent::RunTaskGroup(_)), "{run:?}");
    let (rest, refused) = test.released();
    assert_eq!(refused, None);
    assert!(!rest.contains("reservations"), "{rest}");
}
