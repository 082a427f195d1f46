//! Status updates, acknowledgements, kills, reconciliation and messages.

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Source;

use super::super::MasterSettings;
use super::super::messages::Input;
use super::fixture::{TestFramework, TestMaster, status_update};

fn acknowledge(task: &str, agent: &str, uuid: &[u8]) -> serde_json::Value {
    // The API's JSON holds bytes in base64; these tests use uuids of one repeated byte.
    let text = match uuid[0] {
        1 => "AQEBAQEBAQEBAQEBAQEBAQ==",
        2 => "AgICAgICAgICAgICAgICAg==",
        other => panic!("no base64 for {other}"),
    };
    json!({"type": "ACKNOWLEDGE", "acknowledge": {
        "agent_id": {"value": agent}, "task_id": {"value": task}, "uuid": text}})
}

fn reconcile(tasks: serde_json::Value) -> serde_json::Value {
    json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}})
}

fn said(test: &mut TestMaster, framework: &TestFramework) -> (String, String) {
    let (_, state, reason, message) = test.update_text(framework);
    assert_eq!(reason, "REASON_RECONCILIATION");
    (state, message)
}

#[test]
fn a_task_lives_and_ends_with_the_acknowledgement_of_its_last_update() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let running = test.report(&framework.id, &agent, "t", TaskState::TaskRunning);
    let status = test.update(&framework);
    assert_eq!(status.uuid, Some(running.clone()));
    assert_eq!(status.agent_id.unwrap().value, "M-S0");
    test.accepted(&framework, acknowledge("t", "M-S0", &running));
    let MasterToAgent::AcknowledgeStatus { task_id, uuid, .. } = test.order(agent.link) else {
        panic!("expected AcknowledgeStatus");
    };
    assert_eq!((task_id.as_str(), uuid), ("t", running));
    let finished = test.report(&framework.id, &agent, "t", TaskState::TaskFinished);
    assert_eq!(test.update(&framework).state(), TaskState::TaskFinished);
    assert_eq!(
        test.released().0,
        "cpus(allocated: *):1; mem(allocated: *):128"
    );
    // The same update again gives nothing back.
    test.report(&framework.id, &agent, "t", TaskState::TaskFinished);
    test.update(&framework);
    test.done();
    assert!(
        test.master.snapshot().frameworks[&framework.id]
            .tasks
            .contains_key("t")
    );
    test.accepted(&framework, acknowledge("t", "M-S0", &finished));
    test.order(agent.link);
    let snapshot = test.master.snapshot();
    let framework = &snapshot.frameworks[&framework.id];
    assert!(framework.tasks.is_empty());
    assert_eq!(framework.completed_tasks.len(), 1);
    assert_eq!(framework.completed_tasks[0].statuses().count(), 2);
    assert_eq!(snapshot.counters.tasks_finished, 1);
    assert_eq!(snapshot.counters.valid_status_updates, 3);
}

#[test]
fn the_latest_state_frees_resources_before_its_update_comes() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let mut update = status_update(
        &framework.id,
        "t",
        TaskState::TaskRunning,
        Some(vec![1; 16]),
    );
    update.latest_state = TaskState::TaskFailed as i32;
    test.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
    assert_eq!(test.update(&framework).state(), TaskState::TaskRunning);
    test.released();
    let snapshot = test.master.snapshot();
    let task = snapshot.frameworks[&framework.id].tasks.get("t").unwrap();
    assert_eq!(task.state, TaskState::TaskFailed as i32);
    // What was told counts for reconciliation.
    test.accepted(&framework, reconcile(json!([])));
    assert_eq!(said(&mut test, &framework).0, "TASK_RUNNING");
}

#[test]
fn an_end_that_needs_no_acknowledgement_ends_the_task_at_once() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let update = status_update(&framework.id, "t", TaskState::TaskLost, None);
    test.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
    test.update(&framework);
    test.released();
    assert!(
        test.master.snapshot().frameworks[&framework.id]
            .tasks
            .is_empty()
    );
}

#[test]
fn completed_tasks_are_bounded() {
    let mut test = TestMaster::with(MasterSettings {
        max_completed_tasks_per_framework: 2,
        ..Default::default()
    });
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    for task in ["a", "b", "c"] {
        test.launch(&framework, &agent, task);
        let update = status_update(&framework.id, task, TaskState::TaskLost, None);
        test.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
        test.skip();
    }
    let snapshot = test.master.snapshot();
    let completed = &snapshot.frameworks[&framework.id].completed_tasks;
    let ids: Vec<_> = completed.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["b", "c"]);
}

#[test]
fn updates_of_unknown_tasks_are_passed_on_and_counted() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.report(&framework.id, &agent, "ghost", TaskState::TaskRunning);
    assert_eq!(test.update(&framework).task_id.value, "ghost");
    assert_eq!(test.master.snapshot().counters.invalid_status_updates, 1);
    let update = status_update(&framework.id, "t", TaskState::TaskRunning, Some(vec![1; 3]));
    test.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
    test.done();
    assert_eq!(test.master.snapshot().counters.invalid_status_updates, 2);
}

#[test]
fn updates_wait_with_the_agent_while_the_framework_is_away() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"failover_timeout": 60.0}));
    test.launch(&framework, &agent, "t");
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    test.command();
    test.report(&framework.id, &agent, "t", TaskState::TaskRunning);
    let snapshot = test.master.snapshot();
    let task = snapshot.frameworks[&framework.id].tasks.get("t").unwrap();
    assert_eq!(task.state, TaskState::TaskRunning as i32);
    assert!(task.forwarded_uuid.is_none());
}

#[test]
fn acknowledgements_that_lead_nowhere_are_dropped() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    test.accepted(&framework, acknowledge("t", "M-S0", &[1; 16]));
    test.accepted(&framework, acknowledge("t", "ghost", &[1; 16]));
    test.done();
    let counters = test.master.snapshot().counters;
    assert_eq!(counters.invalid_status_update_acknowledgements, 2);
    // A task the master has forgotten may still be waiting on the agent.
    test.accepted(&framework, acknowledge("old", "M-S0", &[1; 16]));
    test.order(agent.link);
}

#[test]
fn a_kill_goes_to_the_agent_and_waits_for_it_if_need_be() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"checkpoint": true}));
    test.launch(&framework, &agent, "t");
    let policy = json!({"grace_period": {"nanoseconds": 5}});
    let kill = json!({"task_id": {"value": "t"}, "kill_policy": policy});
    test.accepted(&framework, json!({"type": "KILL", "kill": kill}));
    let MasterToAgent::KillTask { kill_policy, .. } = test.order(agent.link) else {
        panic!("expected KillTask");
    };
    assert_eq!(kill_policy.unwrap().0.grace_period.unwrap().nanoseconds, 5);
    let elsewhere = json!({"task_id": {"value": "t"}, "agent_id": {"value": "other"}});
    test.accepted(&framework, json!({"type": "KILL", "kill": elsewhere}));
    test.done();
}

#[test]
fn an_unknown_task_is_reconciled_when_it_is_killed() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({}));
    let aware = test.framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "nobody"}}});
    test.accepted(&framework, kill.clone());
    let status = test.update(&framework);
    assert_eq!(status.state(), TaskState::TaskLost);
    assert_eq!(status.message(), "Reconciliation: Task is unknown");
    assert_eq!(status.source(), Source::Master);
    assert!(status.agent_id.is_none() && status.uuid.is_none());
    test.accepted(&aware, kill);
    assert_eq!(said(&mut test, &aware).0, "TASK_UNKNOWN");
}

#[test]
fn reconciliation_tells_what_is_known() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let aware = test.framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    test.launch(&framework, &agent, "t");
    let asked = |task: &str, agent: &str| {
        reconcile(json!([{"task_id": {"value": task}, "agent_id": {"value": agent}}]))
    };
    // The agent does not matter for a task that is known.
    test.accepted(&framework, asked("t", "no-such-agent"));
    let expected = (
        "TASK_STAGING".to_string(),
        "Reconciliation: Latest task state".to_string(),
    );
    assert_eq!(said(&mut test, &framework), expected);
    let gone = "Reconciliation: Task is unknown to the agent".to_string();
    test.accepted(&framework, asked("x", "M-S0"));
    assert_eq!(
        said(&mut test, &framework),
        ("TASK_LOST".to_string(), gone.clone())
    );
    test.accepted(&aware, asked("x", "M-S0"));
    assert_eq!(said(&mut test, &aware), ("TASK_GONE".to_string(), gone));
    test.accepted(&aware, asked("x", "no-such-agent"));
    let unknown = "Reconciliation: Task is unknown".to_string();
    assert_eq!(
        said(&mut test, &aware),
        ("TASK_UNKNOWN".to_string(), unknown)
    );
    // Nothing is told of others' tasks.
    test.accepted(&aware, reconcile(json!([])));
    test.done();
}

#[test]
fn messages_pass_in_both_directions() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let message = |agent: &str| {
        json!({"type": "MESSAGE", "message": {"agent_id": {"value": agent},
            "executor_id": {"value": "ex"}, "data": "AQI="}})
    };
    test.accepted(&framework, message("M-S0"));
    let MasterToAgent::FrameworkMessage { data, .. } = test.order(agent.link) else {
        panic!("expected FrameworkMessage");
    };
    assert_eq!(data, [1, 2]);
    test.accepted(&framework, message("ghost"));
    test.done();
    test.agent_says(
        agent.link,
        AgentToMaster::ExecutorMessage {
            framework_id: framework.id.to_string(),
            executor_id: "ex".to_string(),
            data: vec![3],
        },
    );
    let message = test.event(&framework.stream).message.unwrap();
    assert_eq!(
        (message.executor_id.value.as_str(), message.data),
        ("ex", vec![3])
    );
    let counters = test.master.snapshot().counters;
    assert_eq!(counters.invalid_framework_to_executor_messages, 1);
}

#[test]
fn operations_that_are_unknown_are_reconciled_as_such() {
    let mut test = TestMaster::new();
    test.agent(5051);
    let framework = test.framework(json!({}));
    let operation = json!([
        {"operation_id": {"value": "a"}},
        {"operation_id": {"value": "b"}, "agent_id": {"value": "M-S0"}},
        {"operation_id": {"value": "c"}, "agent_id": {"value": "ghost"}},
    ]);
    let call = json!({"type": "RECONCILE_OPERATIONS",
        "reconcile_operations": {"operations": operation}});
    test.accepted(&framework, call);
    let messages = [
        "Reconciliation: Operation is unknown and no 'agent_id' was provided",
        "Reconciliation: Operation is unknown",
        "Reconciliation: Both operation and agent are unknown",
    ];
    for expected in messages {
        let status = test
            .event(&framework.stream)
            .update_operation_status
            .unwrap()
            .status;
        assert_eq!(status.message(), expected);
    }
}
