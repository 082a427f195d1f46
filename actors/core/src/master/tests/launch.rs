//! Offers and what becomes of them: accepted, declined, expired, stale; launches and their errors.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::{OperationState, TaskState};

use super::super::MasterSettings;
use super::super::messages::Input;
use super::fixture::{
    AGENT_RESOURCES, TestFramework, TestMaster, accept_call, command_task, cpus_mem, launch_call,
};
use crate::ids::OfferId;

fn text(parts: (&str, &str, &str, &str)) -> (String, String, String, String) {
    let (task, state, reason, message) = parts;
    (task.into(), state.into(), reason.into(), message.into())
}

fn run_task(message: MasterToAgent) -> tepui_protocol::link::RunTask {
    match message {
        MasterToAgent::RunTask(run) => *run,
        other => panic!("expected RunTask, got {other:?}"),
    }
}

#[test]
fn an_offer_tells_all_of_the_agent_in_the_form_of_its_framework() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let old = test.framework(json!({}));
    let new = test.framework(json!({
        "roles": ["eng"],
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}],
    }));
    let proposals = vec![
        test.proposal(&old.id, &agent.id, "cpus:1"),
        test.proposal(&new.id, &agent.id, "cpus:2"),
    ];
    test.input(Input::Proposed(proposals));
    let offer = test.event(&old.stream).offers.unwrap().offers.remove(0);
    assert_eq!(offer.id.value, "M-O0");
    assert_eq!(offer.agent_id.value, "M-S0");
    assert_eq!(offer.hostname, "host");
    let url = offer.url.unwrap();
    assert_eq!((url.scheme.as_str(), url.path()), ("http", "/slave(1)"));
    assert_eq!((url.address.ip(), url.address.port), ("127.0.0.1", 5051));
    assert!(offer.allocation_info.is_none());
    assert!(offer.resources.iter().all(|r| r.allocation_info.is_none()));
    assert_eq!(offer.resources[0].role(), "*");
    let offer = test.event(&new.stream).offers.unwrap().offers.remove(0);
    assert_eq!(offer.allocation_info.unwrap().role(), "eng");
    assert_eq!(
        offer.resources[0].allocation_info.as_ref().unwrap().role(),
        "eng"
    );
    assert!(offer.resources[0].role.is_none());
}

#[test]
fn proposals_of_one_batch_become_one_event_per_framework() {
    let mut test = TestMaster::new();
    let (a, b) = (test.agent(5051), test.agent(5052));
    let framework = test.framework(json!({}));
    let proposals = vec![
        test.proposal(&framework.id, &a.id, "cpus:1"),
        test.proposal(&framework.id, &b.id, "cpus:1"),
    ];
    test.input(Input::Proposed(proposals));
    assert_eq!(
        test.event(&framework.stream).offers.unwrap().offers.len(),
        2
    );
    assert_eq!(test.master.snapshot().counters.offers_sent, 2);
}

#[test]
fn stale_proposals_are_released_and_those_of_lost_agents_are_not() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let mut old_framework = test.proposal(&framework.id, &agent.id, "cpus:1");
    old_framework.framework_generation -= 1;
    let mut gone_agent = test.proposal(&framework.id, &agent.id, "cpus:2");
    gone_agent.agent_generation += 1;
    test.input(Input::Proposed(vec![old_framework, gone_agent]));
    assert_eq!(test.released(), ("cpus(allocated: *):1".to_string(), None));
}

#[test]
fn offers_expire() {
    let mut test = TestMaster::with(MasterSettings {
        offer_timeout: Some(Duration::from_secs(30)),
        ..Default::default()
    });
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, "cpus:1");
    let used = test.offer(&framework, &agent, "cpus:1");
    test.accepted(
        &framework,
        json!({"type": "DECLINE", "decline": {
        "offer_ids": [{"value": used.as_str()}]}}),
    );
    test.released();
    test.pass(Duration::from_secs(29));
    test.done();
    test.pass(Duration::from_secs(1));
    let rescinded = test.event(&framework.stream).rescind.unwrap();
    assert_eq!(rescinded.offer_id.value, offer.as_str());
    assert_eq!(test.released().1, None);
    assert_eq!(test.master.next_deadline(), None);
}

#[test]
fn refusals_last_as_long_as_mesos_lets_them() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let day = 86_400.0;
    let cases = [
        (None, 5.0),
        (Some(0.0), 0.0),
        (Some(0.5), 0.5),
        (Some(-1.0), 5.0),
        (Some(400.0 * day), 365.0 * day),
        (Some(1e300), 5.0),
    ];
    for (given, expected) in cases {
        let offer = test.offer(&framework, &agent, "cpus:1");
        let ids = json!([{"value": offer.as_str()}, {"value": "unknown"}]);
        let mut decline = json!({"offer_ids": ids});
        if let Some(seconds) = given {
            decline["filters"] = json!({"refuse_seconds": seconds});
        }
        test.accepted(&framework, json!({"type": "DECLINE", "decline": decline}));
        assert_eq!(
            test.released().1,
            Some(Duration::from_secs_f64(expected)),
            "{given:?}"
        );
    }
    assert_eq!(
        test.master.snapshot().counters.offers_declined,
        cases.len() as u64
    );
}

#[test]
fn a_command_task_is_launched_and_the_rest_returned() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, AGENT_RESOURCES);
    let tasks = json!([command_task("t", &agent)]);
    test.accepted(&framework, launch_call(&[&offer], &tasks));
    let run = run_task(test.order(agent.link));
    assert!(run.launch_executor);
    assert_eq!(
        run.framework.id.as_ref().unwrap().value,
        framework.id.as_str()
    );
    let roles: Vec<_> = run
        .task
        .resources
        .iter()
        .map(|r| &r.allocation_info)
        .collect();
    assert!(
        roles
            .iter()
            .all(|role| role.as_ref().unwrap().role() == "*")
    );
    assert!(run.task.resources.iter().all(|r| r.role.is_none()));
    let (rest, filter) = test.released();
    let expected = "cpus(allocated: *):3; mem(allocated: *):1920; disk(allocated: *):4096";
    assert_eq!((rest.as_str(), filter), (expected, None));
    let snapshot = test.master.snapshot();
    let task = snapshot.frameworks[&framework.id].tasks.get("t").unwrap();
    assert_eq!(task.state, TaskState::TaskStaging as i32);
    // The executor that the agent makes for it is not counted.
    assert!(snapshot.agents[&agent.id].executors.is_empty());
    let used = &snapshot.agents[&agent.id].used[&framework.id];
    assert_eq!(
        used.to_string(),
        "cpus(allocated: *):1; mem(allocated: *):128"
    );
}

#[test]
fn a_bad_task_does_not_hinder_a_good_one() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, "cpus:4;mem:2048");
    let mut bad = command_task("bad", &agent);
    bad["resources"] = cpus_mem(100_000.0, 32.0);
    let tasks = json!([command_task("good", &agent), bad]);
    test.accepted(&framework, launch_call(&[&offer], &tasks));
    let (task, state, reason, message) = test.update_text(&framework);
    assert_eq!((task.as_str(), state.as_str()), ("bad", "TASK_ERROR"));
    assert_eq!(reason, "REASON_TASK_INVALID");
    let start = "Total resources cpus(allocated: *):100000; mem(allocated: *):32 required by \
                 task and its executor is more than available ";
    assert!(message.starts_with(start), "{message}");
    assert_eq!(run_task(test.order(agent.link)).task.task_id.value, "good");
    test.released();
    assert_eq!(test.master.snapshot().counters.tasks_error, 1);
}

#[test]
fn a_task_id_is_used_once_at_a_time() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let offer = test.offer(&framework, &agent, "cpus:1;mem:128");
    let tasks = json!([command_task("t", &agent)]);
    test.accepted(&framework, launch_call(&[&offer], &tasks));
    let (_, state, _, message) = test.update_text(&framework);
    assert_eq!(state, "TASK_ERROR");
    assert_eq!(message, "Task has duplicate ID: t");
    test.released();
}

#[test]
fn tasks_of_invalid_offers_are_lost_or_dropped() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let aware = test.framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    let tasks = json!([command_task("t", &agent)]);
    let mut refused = |framework: &TestFramework, offers: &[&OfferId], error: &str, state| {
        test.accepted(framework, launch_call(offers, &tasks));
        let message = format!("Task launched with invalid offers: {error}");
        let expected = text(("t", state, "REASON_INVALID_OFFERS", &message));
        assert_eq!(test.update_text(framework), expected);
    };
    let ghost = OfferId::from("ghost");
    refused(
        &framework,
        &[&ghost],
        "Offer ghost is no longer valid",
        "TASK_LOST",
    );
    refused(
        &aware,
        &[&ghost],
        "Offer ghost is no longer valid",
        "TASK_DROPPED",
    );
    refused(&framework, &[], "No offers specified", "TASK_LOST");
    refused(
        &framework,
        &[&ghost, &ghost],
        "Duplicate offer ghost in offer list",
        "TASK_LOST",
    );
}

#[test]
fn offers_that_do_not_go_together_are_returned_without_filter() {
    let mut test = TestMaster::new();
    let (agent, other) = (test.agent(5051), test.agent(5052));
    let framework = test.framework(json!({}));
    let first = test.offer(&framework, &agent, "cpus:1;mem:128");
    let second = test.offer(&framework, &other, "cpus:2;mem:128");
    let tasks = json!([command_task("t", &agent)]);
    test.accepted(&framework, launch_call(&[&first, &second], &tasks));
    let message = "Task launched with invalid offers: Aggregated offers must belong to one single \
                   agent. Offer M-O1 uses agent M-S1 and agent M-S0";
    assert_eq!(test.update_text(&framework).3, message);
    assert_eq!(test.released().1, None);
    assert_eq!(test.released().1, None);
    assert!(test.master.snapshot().offers.is_empty());
}

#[test]
fn an_offer_of_another_framework_stays_with_its_owner() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let owner = test.framework(json!({}));
    let thief = test.framework(json!({}));
    let offer = test.offer(&owner, &agent, "cpus:1;mem:128");
    let tasks = json!([command_task("t", &agent)]);
    test.accepted(&thief, launch_call(&[&offer], &tasks));
    let message = "Task launched with invalid offers: Offer M-O0 has invalid framework M-0000 \
                   while framework M-0001 is expected";
    assert_eq!(test.update_text(&thief).3, message);
    test.accepted(
        &thief,
        json!({"type": "DECLINE", "decline": {
        "offer_ids": [{"value": offer.as_str()}]}}),
    );
    assert!(test.master.snapshot().offers.contains_key(&offer));
}

#[test]
fn several_offers_of_one_agent_are_used_together() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let first = test.offer(&framework, &agent, "cpus:1");
    let second = test.offer(&framework, &agent, "mem:128");
    let tasks = json!([command_task("t", &agent)]);
    test.accepted(&framework, launch_call(&[&first, &second], &tasks));
    assert!(run_task(test.order(agent.link)).launch_executor);
    assert_eq!(test.master.snapshot().counters.offers_accepted, 2);
}

#[test]
fn a_launch_of_nothing_declines() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, "cpus:1");
    test.accepted(&framework, launch_call(&[&offer], &json!([])));
    assert_eq!(test.released().0, "cpus(allocated: *):1");
    assert_eq!(test.master.snapshot().counters.messages_decline_offers, 1);
}

#[test]
fn operations_on_resources_are_answered_if_they_can_be() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let reserve = |id: Option<&str>| {
        let mut operation = json!({"type": "RESERVE", "reserve": {"resources": []}});
        if let Some(id) = id {
            operation["id"] = json!({"value": id});
        }
        operation
    };
    let offer = test.offer(&framework, &agent, "cpus:1");
    let operations = json!([reserve(None), reserve(Some("op"))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let status = test
        .event(&framework.stream)
        .update_operation_status
        .unwrap()
        .status;
    assert_eq!(status.operation_id.as_ref().unwrap().value, "op");
    assert_eq!(status.state(), OperationState::OperationError);
    assert!(status.uuid.is_none());
    test.released();
}

fn group(agent: &str, tasks: &[&str]) -> Value {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|id| {
            json!({
                "name": "t",
                "task_id": {"value": id},
                "agent_id": {"value": agent},
                "resources": cpus_mem(0.5, 64.0),
                "command": {"value": "true"},
            })
        })
        .collect();
    let mut resources = cpus_mem(0.1, 32.0);
    let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 32}});
    resources.as_array_mut().unwrap().push(disk);
    json!([{"type": "LAUNCH_GROUP", "launch_group": {
        "executor": {
            "type": "DEFAULT",
            "executor_id": {"value": "ex"},
            "framework_id": {"value": "M-0000"},
            "resources": resources,
        },
        "task_group": {"tasks": tasks},
    }}])
}

#[test]
fn a_group_is_launched_as_a_whole_and_its_executor_counted_once() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, AGENT_RESOURCES);
    let operations = group("M-S0", &["a", "b"]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let MasterToAgent::RunTaskGroup(run) = test.order(agent.link) else {
        panic!("expected RunTaskGroup");
    };
    assert!(run.launch_executor);
    assert!(run.group.tasks.iter().all(|task| task.executor.is_some()));
    let rest = "cpus(allocated: *):2.9; mem(allocated: *):1888; disk(allocated: *):4064";
    assert_eq!(test.released().0, rest);
    let offer = test.offer(&framework, &agent, "cpus:2;mem:512;disk:64");
    let operations = group("M-S0", &["c"]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let MasterToAgent::RunTaskGroup(run) = test.order(agent.link) else {
        panic!("expected RunTaskGroup");
    };
    assert!(!run.launch_executor);
    test.released();
    // A next offer names the executor.
    let proposal = test.proposal(&framework.id, &agent.id, "cpus:0.5");
    test.input(Input::Proposed(vec![proposal]));
    let offers = test.event(&framework.stream).offers.unwrap().offers;
    assert_eq!(offers[0].executor_ids[0].value, "ex");
}

#[test]
fn one_bad_task_refuses_the_whole_group() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, AGENT_RESOURCES);
    let operations = group("M-S0", &["a", "a"]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    for _ in 0..2 {
        let (_, state, reason, _) = test.update_text(&framework);
        let expected = ("TASK_ERROR", "REASON_TASK_GROUP_INVALID");
        assert_eq!((state.as_str(), reason.as_str()), expected);
    }
    test.released();
    assert!(
        test.master.snapshot().frameworks[&framework.id]
            .tasks
            .is_empty()
    );
}

#[test]
fn an_executor_that_ends_is_told_and_gives_back_what_it_held() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, "cpus:0.6;mem:96;disk:32");
    test.accepted(&framework, accept_call(&[&offer], &group("M-S0", &["a"])));
    test.order(agent.link);
    let shutdown = json!({"executor_id": {"value": "ex"}, "agent_id": {"value": "M-S0"}});
    test.accepted(
        &framework,
        json!({"type": "SHUTDOWN", "shutdown": shutdown}),
    );
    assert!(matches!(
        test.order(agent.link),
        MasterToAgent::ShutdownExecutor { .. }
    ));
    let exited = tepui_protocol::link::AgentToMaster::ExecutorExited {
        framework_id: framework.id.to_string(),
        executor_id: "ex".to_string(),
        status: 9,
    };
    test.agent_says(agent.link, exited.clone());
    let failure = test.event(&framework.stream).failure.unwrap();
    assert_eq!(
        (failure.executor_id.unwrap().value.as_str(), failure.status),
        ("ex", Some(9))
    );
    let released = test.released().0;
    assert_eq!(
        released,
        "cpus(allocated: *):0.1; mem(allocated: *):32; disk(allocated: *):32"
    );
    // Once: an executor that is not known is not told.
    test.agent_says(agent.link, exited);
    test.done();
}
