//! Agents that an operator drains, deactivates and reactivates.

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::{DrainConfig, DrainState, TaskState};

use super::super::MasterSettings;
use super::super::messages::{Answer, Input};
use super::super::operator::Request;
use super::fixture::{TestAgent, TestFramework, TestMaster, reregister};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::maintenance::MachineKey;
use crate::registry::{Deactivation, DeactivationChange, Operation, Registry};

fn config(mark_gone: bool) -> DrainConfig {
    DrainConfig {
        max_grace_period: None,
        mark_gone: Some(mark_gone),
    }
}

fn drain(mark_gone: bool) -> DeactivationChange {
    DeactivationChange::Drain(config(mark_gone))
}

fn ask(test: &mut TestMaster, id: &AgentId, change: DeactivationChange) -> Answer {
    let agent = id.clone();
    let wanted = change.clone();
    let reply = test.operator_asks(Request::ChangeDeactivation { agent, change });
    match test.store() {
        Operation::ChangeDeactivation { agent_id, change } => {
            assert_eq!((&agent_id, change), (id, wanted));
        }
        other => panic!("expected a deactivation, got {other:?}"),
    }
    test.operator_told(reply)
}

fn refused(test: &mut TestMaster, id: &AgentId, change: DeactivationChange) -> (u16, String) {
    let agent = id.clone();
    let reply = test.operator_asks(Request::ChangeDeactivation { agent, change });
    match test.operator_told(reply) {
        Answer::Refused(status, text) => (status, text),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The state of the agent's drain, as readers see it.
fn state(test: &TestMaster, id: &AgentId) -> Option<DrainState> {
    let view = test.master.snapshot();
    let agent = view.agents.get(id)?;
    assert_eq!(agent.deactivation.as_ref(), view.deactivated_agents.get(id));
    let drain = agent.deactivation.as_ref()?.drain.as_ref()?;
    assert!(agent.drain_started.is_some());
    Some(drain.state())
}

fn is_told_to_drain(test: &mut TestMaster, agent: &TestAgent, mark_gone: bool) {
    let told = MasterToAgent::Drain {
        config: Some(config(mark_gone).into()),
    };
    assert_eq!(test.order(agent.link), told);
}

/// Ends a task, and has its framework acknowledge that.
fn end(test: &mut TestMaster, framework: &TestFramework, agent: &TestAgent, task: &str) {
    test.report(&framework.id, agent, task, TaskState::TaskKilled);
    test.update(framework);
    // Updates are named by sixteen times the number of the state.
    let uuid = "BAQEBAQEBAQEBAQEBAQEBA==";
    let call = json!({"type": "ACKNOWLEDGE", "acknowledge": {
        "agent_id": {"value": agent.id.as_str()}, "task_id": {"value": task}, "uuid": uuid,
    }});
    test.accepted(framework, call);
}

#[test]
fn a_drained_agent_is_offered_again_when_it_is_reactivated() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let offer = test.offer(&framework, &agent, "cpus:1;mem:128");
    assert_eq!(ask(&mut test, &agent.id, drain(false)), Answer::Ok);
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    let rescinded = test.event(&framework.stream).rescind.expect("RESCIND");
    assert_eq!(rescinded.offer_id.value, offer.as_str());
    test.released();
    is_told_to_drain(&mut test, &agent, false);
    assert_eq!(state(&test, &agent.id), Some(DrainState::Draining));
    assert_eq!(
        refused(&mut test, &agent.id, DeactivationChange::Reactivate),
        (400, "Agent is still in the DRAINING state".into())
    );

    end(&mut test, &framework, &agent, "t");
    assert!(matches!(
        test.store(),
        Operation::ChangeDeactivation {
            change: DeactivationChange::Drained,
            ..
        }
    ));
    test.skip();
    assert_eq!(state(&test, &agent.id), Some(DrainState::Drained));

    let answer = ask(&mut test, &agent.id, DeactivationChange::Reactivate);
    assert_eq!(answer, Answer::Ok);
    let off = MasterToAgent::Drain { config: None };
    assert_eq!(test.order(agent.link), off);
    assert!(matches!(test.command(), Command::ActivateAgent(_)));
    assert_eq!(state(&test, &agent.id), None);
    assert!(test.master.snapshot().deactivated_agents.is_empty());
}

#[test]
fn what_was_proposed_of_an_agent_before_it_was_deactivated_goes_back() {
    let changes = [DeactivationChange::Deactivate, drain(false)];
    for change in changes {
        let mut test = TestMaster::new();
        let agent = test.agent(5051);
        let framework = test.framework(json!({}));
        test.launch(&framework, &agent, "t");
        let late = test.proposal(&framework.id, &agent.id, "cpus:1");
        assert_eq!(ask(&mut test, &agent.id, change), Answer::Ok);
        test.skip();
        test.input(Input::Proposed(vec![late]));
        assert_eq!(test.released(), ("cpus(allocated: *):1".into(), None));
        assert!(test.master.offers.is_empty());
    }
}

#[test]
fn an_agent_without_tasks_is_drained_at_once_or_gone_if_that_was_wanted() {
    let mut test = TestMaster::new();
    let (stays, goes) = (test.agent(5051), test.agent(5052));
    assert_eq!(ask(&mut test, &stays.id, drain(false)), Answer::Ok);
    is_told_to_drain(&mut test, &stays, false);
    assert!(matches!(
        test.store(),
        Operation::ChangeDeactivation {
            change: DeactivationChange::Drained,
            ..
        }
    ));
    assert_eq!(state(&test, &stays.id), Some(DrainState::Drained));

    let agent = goes.id.clone();
    let change = drain(true);
    let reply = test.operator_asks(Request::ChangeDeactivation { agent, change });
    test.store();
    is_told_to_drain(&mut test, &goes, true);
    // While that is being stored, nothing else is decided.
    assert_eq!(
        refused(&mut test, &goes.id, drain(false)),
        (409, "Agent is currently being marked gone".into())
    );
    assert!(matches!(test.store(), Operation::MarkGone { .. }));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert!(matches!(
        test.order(goes.link),
        MasterToAgent::Shutdown { .. }
    ));
    test.skip();
    let view = test.master.snapshot();
    assert!(view.gone_agents.contains_key(&goes.id));
    assert!(!view.deactivated_agents.contains_key(&goes.id));
}

#[test]
fn a_deactivated_agent_keeps_its_tasks_and_stays_out_of_offers_when_it_comes_back() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"checkpoint": true}));
    test.launch(&framework, &agent, "t");
    let answer = ask(&mut test, &agent.id, DeactivationChange::Deactivate);
    assert_eq!(answer, Answer::Ok);
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    test.close_link(&agent);
    test.skip();
    let link = test.open_link();
    let back = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(link, back);
    let commands = test.commands();
    let mut activated = commands
        .iter()
        .filter(|it| matches!(it, Command::ActivateAgent(_)));
    assert_eq!(activated.next(), None);
    assert!(matches!(commands.last(), Some(Command::DeactivateAgent(_))));
    test.skip();
    assert_eq!(
        test.master.snapshot().frameworks[&framework.id].tasks.len(),
        1
    );
    // Drained as well, what ends its tasks is said; the deactivation itself is none.
    assert_eq!(state(&test, &agent.id), None);
    assert!(
        test.master
            .snapshot()
            .deactivated_agents
            .contains_key(&agent.id)
    );
    let answer = ask(&mut test, &agent.id, DeactivationChange::Reactivate);
    assert_eq!(answer, Answer::Ok);
    assert!(matches!(test.command(), Command::ActivateAgent(_)));
}

#[test]
fn the_next_master_goes_on_with_the_drain() {
    let mut registry = Registry::default();
    let id = AgentId::from("old-S0");
    let mut info = super::fixture::register(5051).info.0;
    info.id = Some(id.to_v1());
    registry
        .apply(&Operation::AdmitAgent(Box::new(info)))
        .expect("admitted");
    registry
        .apply(&Operation::ChangeDeactivation {
            agent_id: id.clone(),
            change: drain(false),
        })
        .expect("drained");
    let mut test = TestMaster::after_failover(registry);
    let expected = Deactivation::draining(config(false));
    assert_eq!(test.master.snapshot().deactivated_agents[&id], expected);
    let link = test.open_link();
    let agent = TestAgent {
        id: id.clone(),
        link,
        port: 5051,
    };
    let back = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(link, back);
    assert!(matches!(test.command(), Command::AddAgent { .. }));
    assert!(matches!(
        test.order(link),
        MasterToAgent::Reregistered { .. }
    ));
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    is_told_to_drain(&mut test, &agent, false);
    assert!(matches!(
        test.store(),
        Operation::ChangeDeactivation {
            change: DeactivationChange::Drained,
            ..
        }
    ));
    test.skip();
    assert_eq!(state(&test, &id), Some(DrainState::Drained));
}

#[test]
fn nobody_knows_what_runs_on_an_agent_whose_link_is_down() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"checkpoint": false}));
    test.launch(&framework, &agent, "t");
    assert_eq!(ask(&mut test, &agent.id, drain(false)), Answer::Ok);
    test.skip();
    // The framework does not checkpoint: its task counts as lost.
    test.close_link(&agent);
    test.skip();
    assert_eq!(state(&test, &agent.id), Some(DrainState::Draining));
}

#[test]
fn what_cannot_be_drained_is_refused() {
    let mut test = TestMaster::new();
    let unknown = AgentId::from("nobody");
    for change in [drain(false), DeactivationChange::Deactivate] {
        let answer = refused(&mut test, &unknown, change);
        assert_eq!(answer, (400, "Unknown agent".into()));
    }
    let agent = test.agent(5051);
    assert_eq!(
        refused(&mut test, &agent.id, DeactivationChange::Reactivate),
        (400, "Agent is not deactivated".into())
    );
    let machine = json!({"hostname": "host", "ip": "127.0.0.1"});
    let schedule = json!({"windows": [{
        "machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": 1}},
    }]});
    let schedule = super::fixture::read(&schedule);
    let reply = test.operator_asks(Request::UpdateMaintenanceSchedule(schedule));
    test.store();
    assert_eq!(test.operator_told(reply), Answer::Ok);
    test.skip();
    let known = test.master.snapshot().agents[&agent.id].machine.clone();
    let (status, text) = refused(&mut test, &agent.id, drain(false));
    assert_eq!(known, MachineKey::new("host", "127.0.0.1"));
    assert_eq!(status, 400);
    assert!(text.contains("is part of a maintenance schedule"), "{text}");
}

#[test]
fn an_agent_that_leaves_while_it_is_drained_is_told_of() {
    let mut test = TestMaster::with(MasterSettings::default());
    let agent = test.agent(5051);
    let id = agent.id.clone();
    let change = drain(false);
    let reply = test.operator_asks(Request::ChangeDeactivation { agent: id, change });
    let (token, operation) = test.operation();
    assert!(matches!(operation, Operation::ChangeDeactivation { .. }));
    test.agent_says(agent.link, AgentToMaster::Unregister);
    test.store();
    test.skip();
    test.input(Input::Applied {
        token,
        result: Ok(true),
    });
    match test.operator_told(reply) {
        Answer::Refused(409, text) => assert_eq!(text, "Agent removed while processing the call"),
        other => panic!("expected a conflict, got {other:?}"),
    }
    assert!(test.master.snapshot().deactivated_agents.is_empty());
}
