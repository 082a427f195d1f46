//! Agents that come back: to the same master, after being unreachable, to a new master.

use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent, Reregister, TaskRef};
use tepui_protocol::packed::Packed;
use tepui_protocol::v1::TaskState;

use super::super::messages::{Input, LinkId};
use super::super::model::FrameworkState;
use super::super::reconcile::RECONCILED_AT_ONCE;
use super::fixture::{TestAgent, TestFramework, TestMaster, read, reregister};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::registry::{Operation, Registry};

fn checkpointing() -> serde_json::Value {
    json!({"checkpoint": true, "failover_timeout": 1000.0})
}

/// The agent comes back over a new link with this report.
fn come_back(test: &mut TestMaster, report: Reregister) -> LinkId {
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Reregister(Box::new(report)));
    link
}

fn with_task(agent: &TestAgent, framework: &str, task: &str, state: TaskState) -> Reregister {
    let mut report = reregister(agent);
    let info = json!({"user": "root", "name": "test", "id": {"value": framework},
        "checkpoint": true});
    report
        .frameworks
        .push(read::<tepui_protocol::v1::FrameworkInfo>(&info).into());
    let resource = |name: &str, value: f64| {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": value},
            "allocation_info": {"role": "*"}})
    };
    let task = json!({
        "name": "t",
        "task_id": {"value": task},
        "framework_id": {"value": framework},
        "agent_id": {"value": agent.id.as_str()},
        "state": state.as_str_name(),
        "resources": [resource("cpus", 1.0), resource("mem", 128.0)],
    });
    report
        .tasks
        .push(read::<tepui_protocol::v1::Task>(&task).into());
    report
}

fn reconcile_list(message: MasterToAgent) -> Vec<TaskRef> {
    match message {
        MasterToAgent::Reregistered { reconcile, .. } => reconcile,
        other => panic!("expected Reregistered, got {other:?}"),
    }
}

fn with_running_task(test: &mut TestMaster) -> (TestAgent, TestFramework) {
    let agent = test.agent(5051);
    let framework = test.framework(checkpointing());
    test.launch(&framework, &agent, "t");
    (agent, framework)
}

#[test]
fn a_disconnected_agent_comes_back_with_its_tasks() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    test.close_link(&agent);
    test.command();
    let report = with_task(&agent, framework.id.as_str(), "t", TaskState::TaskRunning);
    let link = come_back(&mut test, report);
    assert!(matches!(test.command(), Command::UpdateAgent { .. }));
    assert!(reconcile_list(test.order(link)).is_empty());
    assert!(matches!(test.command(), Command::ActivateAgent(_)));
    assert!(matches!(
        test.order(link),
        MasterToAgent::UpdateFramework { .. }
    ));
    assert_eq!(test.master.next_deadline(), None);
}

#[test]
fn tasks_that_the_agent_does_not_know_are_to_be_explained() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    test.close_link(&agent);
    test.command();
    let link = come_back(&mut test, reregister(&agent));
    let missing = TaskRef {
        framework_id: framework.id.to_string(),
        task_id: "t".to_string(),
    };
    assert_eq!(reconcile_list(test.order(link)), [missing]);
    test.command();
    test.command();
}

#[test]
fn a_kill_is_delivered_when_the_agent_is_back() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    test.close_link(&agent);
    test.command();
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "t"}}});
    test.accepted(&framework, kill);
    test.done();
    let report = with_task(&agent, framework.id.as_str(), "t", TaskState::TaskRunning);
    let link = come_back(&mut test, report);
    reconcile_list(test.order(link));
    assert!(matches!(test.order(link), MasterToAgent::KillTask { .. }));
    test.skip();
}

#[test]
fn a_new_link_replaces_one_that_was_not_seen_closing() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    let report = with_task(&agent, framework.id.as_str(), "t", TaskState::TaskRunning);
    let link = come_back(&mut test, report);
    assert_eq!(test.closed_link(), agent.link);
    assert!(matches!(test.command(), Command::UpdateAgent { .. }));
    test.order(link);
    test.order(link);
    test.done();
    // What still comes over the old link counts no more.
    test.report(&framework.id, &agent, "t", TaskState::TaskFinished);
    test.close_link(&agent);
    test.done();
}

#[test]
fn changed_data_are_stored_first() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    test.close_link(&agent);
    test.command();
    let mut report = reregister(&agent);
    report.register.info.resources.truncate(1);
    let link = come_back(&mut test, report.clone());
    // The same said again on the same link says nothing new.
    test.agent_says(link, AgentToMaster::Reregister(Box::new(report.clone())));
    // An attempt on another link waits for the first.
    let second = come_back(&mut test, report);
    assert!(matches!(test.store(), Operation::UpdateAgent(_)));
    let Command::UpdateAgent { total, .. } = test.command() else {
        panic!("expected UpdateAgent");
    };
    assert_eq!(total.to_string(), "cpus:4");
    reconcile_list(test.order(link));
    assert!(matches!(test.command(), Command::ActivateAgent(_)));
    assert_eq!(test.closed_link(), link);
    assert!(matches!(test.command(), Command::UpdateAgent { .. }));
    reconcile_list(test.order(second));
}

#[test]
fn an_agent_gone_before_its_data_are_stored_has_time_to_come_back() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    test.close_link(&agent);
    test.command();
    let mut report = reregister(&agent);
    report.register.info.resources.truncate(1);
    let link = come_back(&mut test, report);
    test.input(Input::LinkClosed { link });
    // Its time runs out while the registry is still busy with it.
    test.pass(Duration::from_secs(600));
    test.store();
    test.done();
    test.pass(Duration::from_secs(600));
    assert!(matches!(
        test.operation().1,
        Operation::MarkUnreachable { .. }
    ));
}

#[test]
fn an_agent_may_not_come_back_as_another_host() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let mut report = reregister(&agent);
    report.register.info.hostname = "other".to_string();
    let link = come_back(&mut test, report);
    let message = "Agent attempted to reregister with different IP / hostname".to_string();
    assert_eq!(test.order(link), MasterToAgent::Shutdown { message });
}

#[test]
fn an_unreachable_agent_brings_its_tasks_back() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    test.input(Input::LinkUnresponsive { link: agent.link });
    test.store();
    test.skip();
    let report = with_task(&agent, framework.id.as_str(), "t", TaskState::TaskRunning);
    let link = come_back(&mut test, report);
    assert!(matches!(test.store(), Operation::MarkReachable(_)));
    let Command::AddAgent { used, .. } = test.command() else {
        panic!("expected AddAgent");
    };
    assert_eq!(
        used[0].1.to_string(),
        "cpus(allocated: *):1; mem(allocated: *):128"
    );
    let (_, state, reason, message) = test.update_text(&framework);
    assert_eq!(
        (state.as_str(), reason.as_str()),
        ("TASK_RUNNING", "REASON_AGENT_REREGISTERED")
    );
    assert_eq!(message, "Unreachable agent re-reregistered");
    assert!(reconcile_list(test.order(link)).is_empty());
    assert!(matches!(
        test.order(link),
        MasterToAgent::UpdateFramework { .. }
    ));
    let snapshot = test.master.snapshot();
    let framework = &snapshot.frameworks[&framework.id];
    assert!(framework.unreachable_tasks.is_empty());
    assert!(framework.tasks.contains_key("t"));
}

#[test]
fn a_completed_framework_is_shut_down_on_an_agent_that_still_runs_it() {
    let mut test = TestMaster::new();
    let (agent, framework) = with_running_task(&mut test);
    test.close_link(&agent);
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    test.skip();
    let report = with_task(&agent, framework.id.as_str(), "t", TaskState::TaskRunning);
    let link = come_back(&mut test, report);
    reconcile_list(test.order(link));
    assert!(matches!(
        test.order(link),
        MasterToAgent::ShutdownFramework { .. }
    ));
    test.command();
    test.command();
    assert!(test.master.snapshot().agents[&agent.id].tasks.is_empty());
}

/// A master that found agent `A` in the registry.
fn new_master() -> (TestMaster, TestAgent) {
    let agent = TestAgent {
        id: AgentId::from("A"),
        link: LinkId(0),
        port: 5051,
    };
    let info = reregister(&agent).register.info.0;
    let registry = Registry {
        admitted: [(agent.id.clone(), Packed::new(&info))].into(),
        ..Default::default()
    };
    (TestMaster::after_failover(registry), agent)
}

#[test]
fn a_new_master_learns_of_frameworks_from_agents() {
    let (mut test, agent) = new_master();
    let link = come_back(
        &mut test,
        with_task(&agent, "F", "t", TaskState::TaskRunning),
    );
    let Command::AddFramework { active, .. } = test.command() else {
        panic!("expected AddFramework");
    };
    assert!(!active);
    assert!(matches!(test.command(), Command::AddAgent { used, .. } if used.len() == 1));
    reconcile_list(test.order(link));
    assert!(matches!(
        test.order(link),
        MasterToAgent::UpdateFramework { .. }
    ));
    let snapshot = test.master.snapshot();
    assert_eq!(
        snapshot.frameworks.get("F").unwrap().state,
        FrameworkState::Recovered
    );
    // It has all the time it needs.
    test.pass(Duration::from_secs(100_000));
    let info = json!({"user": "root", "name": "x", "id": {"value": "F"}, "checkpoint": true});
    let stream = test.subscribe(info);
    assert!(test.event(&stream).subscribed.is_some());
    assert!(matches!(test.command(), Command::UpdateFramework { .. }));
    assert!(matches!(test.command(), Command::ActivateFramework { .. }));
    assert!(matches!(
        test.order(link),
        MasterToAgent::UpdateFramework { .. }
    ));
}

#[test]
fn nothing_is_said_of_tasks_that_a_missing_agent_may_still_run() {
    let (mut test, _) = new_master();
    let framework = test.framework(json!({}));
    for task in [
        json!({"task_id": {"value": "t"}}),
        json!({"task_id": {"value": "t"}, "agent_id": {"value": "A"}}),
    ] {
        let call = json!({"type": "RECONCILE", "reconcile": {"tasks": [task]}});
        test.accepted(&framework, call);
        test.done();
    }
}

#[test]
fn agents_that_do_not_come_back_to_a_new_master_become_unreachable() {
    let (mut test, agent) = new_master();
    let framework = test.framework(json!({}));
    test.pass(Duration::from_secs(600));
    assert!(matches!(test.store(), Operation::MarkUnreachable { .. }));
    let failure = test.event(&framework.stream).failure.unwrap();
    assert_eq!(failure.agent_id.unwrap().value, "A");
    let snapshot = test.master.snapshot();
    assert!(snapshot.recovered_agents.is_empty());
    assert!(snapshot.unreachable_agents.contains_key(&agent.id));
}

fn asks_for_all(test: &mut TestMaster, framework: &TestFramework) {
    test.accepted(
        framework,
        json!({"type": "RECONCILE", "reconcile": {"tasks": []}}),
    );
}

#[test]
fn very_many_tasks_are_told_as_the_framework_reads() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(checkpointing());
    let mut report = with_task(&agent, framework.id.as_str(), "", TaskState::TaskRunning);
    let task = report.tasks.pop().unwrap();
    let ids: Vec<String> = (0..2 * RECONCILED_AT_ONCE + 10)
        .map(|number| format!("t{number:05}"))
        .collect();
    report.tasks.extend(ids.iter().map(|id| {
        let mut task = task.clone();
        task.task_id.value = id.clone();
        task
    }));
    test.close_link(&agent);
    come_back(&mut test, report);
    assert_eq!(test.all_updated(&framework), ids, "they are back");
    test.skip();

    asks_for_all(&mut test, &framework);
    assert_eq!(test.all_updated(&framework), ids[..RECONCILED_AT_ONCE]);
    let stream = test.notify_drained();
    assert_eq!(stream, framework.stream);
    let drained = |test: &mut TestMaster| {
        let stream = stream.clone();
        test.input(Input::StreamDrained { stream });
    };
    drained(&mut test);
    assert_eq!(test.notify_drained(), stream);
    let told = test.all_updated(&framework);
    assert_eq!(told, ids[RECONCILED_AT_ONCE..2 * RECONCILED_AT_ONCE]);
    // Asked again meanwhile, it begins anew.
    asks_for_all(&mut test, &framework);
    assert!(test.all_updated(&framework).is_empty());
    let mut told = Vec::new();
    for _ in 0..2 {
        drained(&mut test);
        assert_eq!(test.notify_drained(), stream);
        told.extend(test.all_updated(&framework));
    }
    drained(&mut test);
    told.extend(test.all_updated(&framework));
    assert_eq!(told, ids);
    // Whoever has everything, or is gone, is told no more.
    drained(&mut test);
    asks_for_all(&mut test, &framework);
    test.all_updated(&framework);
    test.notify_drained();
    test.input(Input::StreamClosed {
        stream: stream.clone(),
    });
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    drained(&mut test);
}
