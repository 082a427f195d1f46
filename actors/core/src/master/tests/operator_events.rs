//! What subscribers of the operator API are told, and in which order.

use serde_json::{Value, json};
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Reason;

use super::super::messages::{Effect, Input};
use super::fixture::{
    TestAgent, TestMaster, command_task, launch_call, read, reregister, status_update,
};
use crate::ids::FrameworkId;
use crate::registry::Registry;

/// A master that somebody watches.
fn watched() -> TestMaster {
    let mut test = TestMaster::new();
    test.input(Input::Watched(true));
    test
}

/// What subscribers were told since this was last asked, as JSON; all else is forgotten.
fn told(test: &mut TestMaster) -> Vec<Value> {
    let mut told = Vec::new();
    for effect in test.take() {
        if let Effect::ToSubscribers(event) = effect {
            told.push(serde_json::to_value(event.to_v1()).unwrap());
        }
    }
    told
}

/// The kinds of what they were told, with the task's state where there is one.
fn kinds(test: &mut TestMaster) -> Vec<String> {
    let kind = |event: &Value| {
        let state = event["task_updated"]["state"].as_str().unwrap_or_default();
        format!("{} {state}", event["type"].as_str().unwrap())
            .trim_end()
            .to_owned()
    };
    told(test).iter().map(kind).collect()
}

fn checkpointing() -> Value {
    json!({"checkpoint": true, "failover_timeout": 1000.0})
}

#[test]
fn nothing_is_told_while_nobody_subscribes() {
    let mut test = watched();
    test.input(Input::Watched(false));
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    assert!(kinds(&mut test).is_empty());
    test.input(Input::Watched(true));
    test.report(&framework.id, &agent, "t", TaskState::TaskRunning);
    assert_eq!(kinds(&mut test), ["TASK_UPDATED TASK_RUNNING"]);
}

#[test]
fn a_framework_and_its_task_are_told_as_mesos_tells_them() {
    let mut test = watched();
    let agent = test.agent(5051);
    let added = told(&mut test).remove(0);
    assert_eq!(added["type"], "AGENT_ADDED");
    let shown = &added["agent_added"]["agent"];
    assert_eq!(shown["agent_info"]["id"]["value"], agent.id.as_str());
    assert_eq!(
        (&shown["active"], &shown["deactivated"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(shown["total_resources"][0]["role"], "*");
    assert_eq!(shown["pid"], "slave(1)@127.0.0.1:5051");

    let framework = test.framework(checkpointing());
    let at = json!({"nanoseconds": test.now.wall.as_nanos()});
    assert_eq!(
        told(&mut test),
        [
            json!({"type": "FRAMEWORK_ADDED", "framework_added": {"framework": {
            "framework_info": {"user": "root", "name": "test", "id": {"value": "M-0000"},
                "failover_timeout": 1000.0, "checkpoint": true},
            "active": true, "connected": true, "recovered": false,
            "registered_time": at, "reregistered_time": at,
            "unregistered_time": {"nanoseconds": 0}}}})
        ]
    );

    let offer = test.offer(&framework, &agent, "cpus:1;mem:128");
    let task = command_task("t", &agent);
    test.accepted(&framework, launch_call(&[&offer], &json!([task])));
    let amount = |name: &str, value: f64| {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": value},
            "allocation_info": {"role": "*"}})
    };
    assert_eq!(
        told(&mut test),
        [json!({"type": "TASK_ADDED", "task_added": {"task": {
            "name": "t", "task_id": {"value": "t"}, "framework_id": {"value": "M-0000"},
            "agent_id": {"value": agent.id.as_str()}, "state": "TASK_STAGING",
            "resources": [amount("cpus", 1.0), amount("mem", 128.0)]}}})]
    );
}

#[test]
fn an_update_is_told_when_it_says_something_new() {
    let mut test = watched();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    test.skip();
    let mut report = |state, reason: Option<Reason>, latest: TaskState| {
        let mut update = status_update(&framework.id, "t", state, Some(vec![7; 16]));
        update.status.reason = reason.map(i32::from);
        update.status.data = Some(b"the framework's own".to_vec());
        update.latest_state = latest as i32;
        test.agent_says(agent.link, AgentToMaster::StatusUpdate(Box::new(update)));
        told(&mut test)
    };
    use TaskState::{TaskFinished, TaskRunning, TaskStarting};
    let first = report(TaskStarting, None, TaskRunning).remove(0);
    let update = &first["task_updated"];
    assert_eq!(update["framework_id"]["value"], framework.id.as_str());
    assert_eq!(update["status"]["state"], "TASK_STARTING");
    assert_eq!(update["state"], "TASK_RUNNING", "the latest that is known");
    assert_eq!(update["status"]["data"], "dGhlIGZyYW1ld29yaydzIG93bg==");
    assert!(
        report(TaskStarting, None, TaskRunning).is_empty(),
        "said already"
    );
    assert_eq!(report(TaskRunning, None, TaskRunning).len(), 1);
    for reason in [
        Reason::TaskCheckStatusUpdated,
        Reason::TaskHealthCheckStatusUpdated,
    ] {
        assert_eq!(report(TaskRunning, Some(reason), TaskRunning).len(), 1);
    }
    assert_eq!(report(TaskFinished, None, TaskFinished).len(), 1);
}

#[test]
fn the_end_of_a_framework_is_told_after_that_of_its_tasks() {
    let mut test = watched();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    test.skip();
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    let events = told(&mut test);
    assert_eq!(events[0]["task_updated"]["state"], "TASK_KILLED");
    assert_eq!(events[1]["type"], "FRAMEWORK_REMOVED");
    let info = &events[1]["framework_removed"]["framework_info"];
    assert_eq!(info["id"]["value"], framework.id.as_str());
    assert_eq!(events.len(), 2);
}

#[test]
fn a_framework_that_comes_back_or_changes_is_told() {
    let mut test = watched();
    let framework = test.framework(checkpointing());
    test.skip();
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    assert!(kinds(&mut test).is_empty(), "its disconnection is not told");
    let info = |name: &str| {
        json!({"user": "root", "name": name, "id": {"value": framework.id.as_str()},
            "checkpoint": true, "failover_timeout": 1000.0})
    };
    let stream = test.subscribe(info("again"));
    let events = told(&mut test);
    assert_eq!(events.len(), 1);
    let shown = &events[0]["framework_updated"]["framework"];
    assert_eq!(shown["framework_info"]["name"], "again");
    let update = |name: &str| {
        json!({"type": "UPDATE_FRAMEWORK", "framework_id": {"value": framework.id.as_str()},
            "update_framework": {"framework_info": info(name)}})
    };
    test.raw_call(&update("again"), Some(&stream.0));
    assert!(kinds(&mut test).is_empty(), "nothing has changed");
    test.raw_call(&update("other"), Some(&stream.0));
    assert_eq!(kinds(&mut test), ["FRAMEWORK_UPDATED"]);
}

#[test]
fn a_framework_that_names_an_unknown_id_is_recovered_first() {
    let mut test = watched();
    test.subscribe(json!({"user": "root", "name": "old", "id": {"value": "F"}}));
    let events = told(&mut test);
    let (first, second) = (
        &events[0]["framework_added"]["framework"],
        &events[1]["framework_updated"]["framework"],
    );
    let state = |shown: &Value| {
        [&shown["active"], &shown["connected"], &shown["recovered"]]
            .map(|flag| flag.as_bool().unwrap())
    };
    assert_eq!(state(first), [false, false, true]);
    assert_eq!(first["registered_time"]["nanoseconds"], 0);
    assert_eq!(state(second), [true, true, false]);
    assert_eq!(events.len(), 2);
}

fn with_task(agent: &TestAgent, framework: &str) -> tepui_protocol::link::Reregister {
    let mut report = reregister(agent);
    let info = json!({"user": "root", "name": "test", "id": {"value": framework},
        "checkpoint": true});
    let framework_info: tepui_protocol::v1::FrameworkInfo = read(&info);
    report.frameworks.push(framework_info.into());
    let task: tepui_protocol::v1::Task = read(&json!({
        "name": "t", "task_id": {"value": "t"}, "framework_id": {"value": framework},
        "agent_id": {"value": agent.id.as_str()}, "state": "TASK_RUNNING",
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0},
            "allocation_info": {"role": "*"}}]}));
    report.tasks.push(task.into());
    report
}

#[test]
fn what_an_agent_brings_is_told_before_the_agent() {
    let mut test = TestMaster::after_failover(Registry::default());
    test.input(Input::Watched(true));
    let agent = TestAgent {
        id: "old-S0".into(),
        link: test.open_link(),
        port: 5051,
    };
    let report = with_task(&agent, "old-0000");
    test.agent_says(agent.link, AgentToMaster::Reregister(Box::new(report)));
    test.store();
    let expected = ["FRAMEWORK_ADDED", "TASK_ADDED", "AGENT_ADDED"];
    assert_eq!(kinds(&mut test), expected);
}

#[test]
fn only_agents_that_leave_for_good_are_told_as_removed() {
    let mut test = watched();
    let (one, two) = (test.agent(5051), test.agent(5052));
    let framework = test.framework(checkpointing());
    test.launch(&framework, &one, "t");
    test.skip();
    test.agent_says(one.link, AgentToMaster::Unregister);
    test.store();
    let events = told(&mut test);
    assert_eq!(events[0]["task_updated"]["state"], "TASK_LOST");
    assert_eq!(
        events[1]["agent_removed"]["agent_id"]["value"],
        one.id.as_str()
    );
    assert_eq!(events.len(), 2);
    test.input(Input::LinkUnresponsive { link: two.link });
    test.store();
    assert!(
        kinds(&mut test).is_empty(),
        "an unreachable one may come back"
    );
}

#[test]
fn a_task_that_is_lost_with_its_agent_is_told_again_when_an_operator_gives_it_up() {
    use super::super::operator::Request;
    let mut test = watched();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}],
        "checkpoint": true}));
    test.launch(&framework, &agent, "t");
    test.skip();
    test.input(Input::LinkUnresponsive { link: agent.link });
    test.store();
    assert_eq!(kinds(&mut test), ["TASK_UPDATED TASK_UNREACHABLE"]);
    test.operator_asks(Request::MarkAgentGone(agent.id.clone()));
    test.store();
    assert_eq!(kinds(&mut test), ["TASK_UPDATED TASK_GONE_BY_OPERATOR"]);
    let owner = FrameworkId::from(framework.id.as_str());
    assert_eq!(
        test.master.snapshot().frameworks[&owner]
            .completed_tasks
            .len(),
        1
    );
}
