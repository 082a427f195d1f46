//! Agents: admission, refusal, disconnection, loss.

use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::packed::Packed;
use tepui_protocol::v1::TaskState;

use super::super::MasterSettings;
use super::super::messages::Input;
use super::fixture::{TestAgent, TestMaster, register, reregister};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::registry::{Operation, Registry};

fn aware() -> serde_json::Value {
    json!({"capabilities": [{"type": "PARTITION_AWARE"}], "checkpoint": true})
}

#[test]
fn a_new_agent_is_admitted_once_the_registry_has_it() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert!(test.master.snapshot().agents.is_empty());
    // Asking again meanwhile changes nothing.
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    let Operation::AdmitAgent(info) = test.store() else {
        panic!("expected AdmitAgent");
    };
    assert_eq!(info.id.unwrap().value, "M-S0");
    let Command::AddAgent { total, used, .. } = test.command() else {
        panic!("expected AddAgent");
    };
    assert_eq!(total.to_string(), "cpus:4; mem:2048; disk:4096");
    assert!(used.is_empty());
    let registered = MasterToAgent::Registered {
        agent_id: "M-S0".to_string(),
        ping_timeout_ms: 75_000,
    };
    assert_eq!(test.order(link), registered);
    // The answer may have been lost.
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert_eq!(test.order(link), registered);
}

#[test]
fn a_registrar_that_fails_ends_the_master() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    let (token, _) = test.operation();
    let result = Err("disk full".to_string());
    test.input(Input::Applied { token, result });
    assert_eq!(test.exit(), "failed to update the registry: disk full");
}

#[test]
fn agents_that_do_not_fit_are_ignored_or_shut_down() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    let mut other_link_version = register(5051);
    other_link_version.link_version += 1;
    test.agent_says(link, AgentToMaster::Register(Box::new(other_link_version)));
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    for version in ["0.28.0", "nonsense", ""] {
        let mut old = register(5051);
        old.version = version.to_string();
        test.agent_says(link, AgentToMaster::Register(Box::new(old)));
        test.done();
    }
    let mut nameless = register(5051);
    nameless.info.hostname.clear();
    test.agent_says(link, AgentToMaster::Register(Box::new(nameless)));
    test.done();
    assert!(test.master.snapshot().agents.is_empty());
}

#[test]
fn what_does_not_come_over_the_agents_link_is_dropped() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let stranger = TestAgent {
        link: test.open_link(),
        ..agent
    };
    test.report(&framework.id, &stranger, "t", TaskState::TaskRunning);
    test.agent_says(stranger.link, AgentToMaster::Unregister);
    test.done();
    assert_eq!(test.master.snapshot().counters.dropped_messages, 2);
}

#[test]
fn an_agent_whose_link_closed_during_admission_counts_as_disconnected() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    test.input(Input::LinkClosed { link });
    test.store();
    assert!(matches!(test.command(), Command::AddAgent { .. }));
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    assert!(test.master.next_deadline().is_some());
}

#[test]
fn a_new_agent_at_the_same_address_replaces_the_old_one() {
    let mut test = TestMaster::new();
    let old = test.agent(5051);
    let framework = test.framework(aware());
    test.launch(&framework, &old, "t");
    test.close_link(&old);
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert_eq!(test.store(), Operation::RemoveAgent(old.id.clone()));
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    let (_, state, reason, message) = test.update_text(&framework);
    assert_eq!(
        (state.as_str(), reason.as_str()),
        ("TASK_LOST", "REASON_AGENT_REMOVED")
    );
    assert_eq!(
        message,
        "Agent host removed: a new agent registered at the same address"
    );
    assert_eq!(
        test.event(&framework.stream)
            .failure
            .unwrap()
            .agent_id
            .unwrap()
            .value,
        "M-S0"
    );
    assert!(matches!(test.store(), Operation::AdmitAgent(_)));
    assert!(matches!(test.command(), Command::AddAgent { .. }));
    assert!(matches!(test.order(link), MasterToAgent::Registered { .. }));
    let ids: Vec<_> = test
        .master
        .snapshot()
        .agents
        .keys()
        .map(|id| id.to_string())
        .collect();
    assert_eq!(ids, ["M-S1"]);
}

#[test]
fn a_lost_link_costs_offers_and_tasks_that_are_not_checkpointed() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let plain = test.framework(json!({}));
    let checkpointing = test.framework(aware());
    test.launch(&plain, &agent, "lost");
    test.launch(&checkpointing, &agent, "kept");
    test.offer(&plain, &agent, "cpus:1");
    test.close_link(&agent);
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    assert!(test.event(&plain.stream).rescind.is_some());
    assert_eq!(test.released().0, "cpus(allocated: *):1");
    let (task, state, reason, message) = test.update_text(&plain);
    assert_eq!((task.as_str(), state.as_str()), ("lost", "TASK_LOST"));
    let expected = ("REASON_AGENT_DISCONNECTED", "Agent host disconnected");
    assert_eq!((reason.as_str(), message.as_str()), expected);
    test.released();
    let snapshot = test.master.snapshot();
    assert_eq!(snapshot.agents[&agent.id].tasks.len(), 1);
}

#[test]
fn an_agent_has_no_longer_to_come_back_than_reregistrations_may_take() {
    let mut test = TestMaster::with(MasterSettings {
        agent_ping_timeout: Duration::from_secs(300),
        ..MasterSettings::default()
    });
    let agent = test.agent(5051);
    let framework = test.framework(aware());
    test.launch(&framework, &agent, "a");
    test.close_link(&agent);
    test.command();
    test.pass(Duration::from_secs(600));
    assert!(matches!(test.store(), Operation::MarkUnreachable { .. }));
    test.command();
    let message = "agent did not reregister within 10mins after disconnecting";
    assert_eq!(test.update(&framework).message(), message);
    assert!(test.event(&framework.stream).failure.is_some());
    test.done();
}

#[test]
fn an_agent_that_stays_away_becomes_unreachable() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let old = test.framework(json!({"checkpoint": true}));
    let new = test.framework(aware());
    test.launch(&old, &agent, "a");
    test.launch(&new, &agent, "b");
    test.close_link(&agent);
    test.command();
    // As long as Mesos pings one that answers no more, though there is nobody to ping here.
    test.pass(Duration::from_secs(75));
    let at = test.now.wall;
    let (agent_id, expected) = (agent.id.clone(), test.store());
    assert_eq!(expected, Operation::MarkUnreachable { agent_id, at });
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    let message = "health check timed out";
    for (framework, state) in [
        (&old, TaskState::TaskLost),
        (&new, TaskState::TaskUnreachable),
    ] {
        let status = test.update(framework);
        assert_eq!((status.state(), status.message()), (state, message));
        assert_eq!(status.reason().as_str_name(), "REASON_AGENT_REMOVED");
        assert_eq!(status.unreachable_time.unwrap().nanoseconds, at.as_nanos());
        let failure = test.event(&framework.stream).failure.unwrap();
        assert!(failure.executor_id.is_none());
    }
    test.done();
    let snapshot = test.master.snapshot();
    assert!(
        snapshot.frameworks[&new.id]
            .unreachable_tasks
            .contains_key("b")
    );
    assert_eq!(snapshot.unreachable_agents[&agent.id], at);
    assert_eq!(snapshot.counters.tasks_lost, 1);
    let ask = json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "b"}, "agent_id": {"value": "M-S0"}}]}});
    test.accepted(&new, ask);
    let status = test.update(&new);
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert_eq!(status.message(), "Reconciliation: Task is unreachable");
    assert!(status.unreachable_time.is_some());
}

#[test]
fn an_agent_that_does_not_answer_becomes_unreachable_and_loses_its_link() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let offer = test.offer(&framework, &agent, "cpus:1");
    test.input(Input::LinkUnresponsive { link: agent.link });
    // Once is enough.
    test.input(Input::LinkUnresponsive { link: agent.link });
    assert!(matches!(test.store(), Operation::MarkUnreachable { .. }));
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    let rescinded = test.event(&framework.stream).rescind.unwrap().offer_id;
    assert_eq!(rescinded.value, offer.as_str());
    assert!(test.event(&framework.stream).failure.is_some());
    assert_eq!(test.closed_link(), agent.link);
    test.input(Input::LinkClosed { link: agent.link });
    test.done();
}

#[test]
fn tasks_on_unreachable_agents_are_bounded() {
    let mut test = TestMaster::with(MasterSettings {
        max_unreachable_tasks_per_framework: 1,
        ..Default::default()
    });
    let framework = test.framework(aware());
    for port in [5051, 5052] {
        let agent = test.agent(port);
        test.launch(&framework, &agent, &format!("t{port}"));
        test.input(Input::LinkUnresponsive { link: agent.link });
        test.store();
        test.skip();
    }
    let snapshot = test.master.snapshot();
    let tasks = &snapshot.frameworks[&framework.id].unreachable_tasks;
    let ids: Vec<_> = tasks.keys().map(|id| id.to_string()).collect();
    assert_eq!(ids, ["t5052"]);
}

#[test]
fn an_agent_that_leaves_takes_its_tasks_along() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(aware());
    test.launch(&framework, &agent, "t");
    test.agent_says(agent.link, AgentToMaster::Unregister);
    assert!(matches!(test.store(), Operation::RemoveAgent(_)));
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    let (_, state, _, message) = test.update_text(&framework);
    assert_eq!(state, "TASK_LOST");
    assert_eq!(message, "Agent host removed: the agent unregistered");
    assert!(test.event(&framework.stream).failure.is_some());
    test.closed_link();
    assert_eq!(test.master.snapshot().counters.slave_removals, 1);
}

#[test]
fn an_agent_back_while_it_is_marked_unreachable_is_admitted_afterwards() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    test.input(Input::LinkUnresponsive { link: agent.link });
    let (token, _) = test.operation();
    let link = test.open_link();
    test.agent_says(
        link,
        AgentToMaster::Reregister(Box::new(reregister(&agent))),
    );
    test.done();
    test.input(Input::Applied {
        token,
        result: Ok(true),
    });
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    test.closed_link();
    assert!(matches!(test.store(), Operation::MarkReachable(_)));
    assert!(matches!(test.command(), Command::AddAgent { .. }));
    assert!(matches!(
        test.order(link),
        MasterToAgent::Reregistered { .. }
    ));
    assert!(test.master.snapshot().unreachable_agents.is_empty());
}

#[test]
fn when_too_many_agents_stay_away_the_master_ends_instead_of_giving_them_up() {
    let after = |limit: f64, missing: usize| {
        let mut registry = Registry::default();
        for number in 0..4 {
            let id = AgentId::from(format!("S{number}").as_str());
            registry
                .admitted
                .insert(id, Packed::new(&Default::default()));
        }
        let mut test = TestMaster::recovering(MasterSettings {
            recovery_agent_removal_limit: limit,
            ..MasterSettings::default()
        });
        test.recover(registry);
        // Those that came back are no longer waited for.
        for number in missing..4 {
            let id = AgentId::from(format!("S{number}").as_str());
            test.master.recovered_agents.remove(&id);
        }
        test.pass(Duration::from_secs(600));
        test
    };
    let mut test = after(50.0, 2);
    for _ in 0..2 {
        let (_, operation) = test.operation();
        assert!(matches!(operation, Operation::MarkUnreachable { .. }));
    }
    let mut test = after(50.0, 3);
    let why = test.exit();
    for part in ["removal limit exceeded", "3 (75%)", "S0, S1, S2", "is 50%"] {
        assert!(why.contains(part), "{why}");
    }
}
