//! Agents that an operator marks gone, and the forgetting of those that are away for very long.

use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::packed::Packed;

use super::super::MasterSettings;
use super::super::messages::{Answer, Input};
use super::super::operator::Request;
use super::fixture::{TestAgent, TestMaster, register, reregister};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::registry::{Operation, Registry};
use crate::time::Wall;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn aware() -> serde_json::Value {
    json!({"capabilities": [{"type": "PARTITION_AWARE"}], "checkpoint": true})
}

fn mark_gone(test: &mut TestMaster, id: &AgentId) {
    let reply = test.operator_asks(Request::MarkAgentGone(id.clone()));
    match test.store() {
        Operation::MarkGone { agent_id, at } => {
            assert_eq!((&agent_id, at), (id, test.now.wall));
        }
        other => panic!("expected MarkGone, got {other:?}"),
    }
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

fn refused(test: &mut TestMaster, id: &AgentId) -> (u16, String) {
    let reply = test.operator_asks(Request::MarkAgentGone(id.clone()));
    match test.operator_told(reply) {
        Answer::Refused(status, text) => (status, text),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn an_agent_that_is_gone_ends_and_its_frameworks_are_told() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let (old, new) = (
        test.framework(json!({"checkpoint": true})),
        test.framework(aware()),
    );
    test.launch(&old, &agent, "a");
    test.launch(&new, &agent, "b");
    mark_gone(&mut test, &agent.id);
    let message = "Agent has been marked gone".to_string();
    assert_eq!(test.order(agent.link), MasterToAgent::Shutdown { message });
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    for (framework, expected) in [
        (&old, ("a", "TASK_LOST", "REASON_AGENT_REMOVED")),
        (
            &new,
            (
                "b",
                "TASK_GONE_BY_OPERATOR",
                "REASON_AGENT_REMOVED_BY_OPERATOR",
            ),
        ),
    ] {
        let (task, state, reason, message) = test.update_text(framework);
        assert_eq!((&*task, &*state, &*reason), expected);
        assert_eq!(message, "Agent has been marked gone");
        assert!(test.event(&framework.stream).failure.is_some());
        assert_eq!(
            test.master.snapshot().frameworks[&framework.id].tasks.len(),
            0
        );
    }
    assert_eq!(test.closed_link(), agent.link);
    let view = test.master.snapshot();
    assert!(view.agents.is_empty());
    assert_eq!(view.gone_agents.len(), 1);
    assert_eq!(view.counters.tasks_gone_by_operator, 1);

    // Told once more, nothing happens; the agent does not come back, its successor does.
    let reply = test.operator_asks(Request::MarkAgentGone(agent.id.clone()));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    let link = test.open_link();
    let back = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(link, back);
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert!(matches!(test.store(), Operation::AdmitAgent(_)));
    test.skip();

    // Reconciliation names it.
    for (framework, expected) in [(&old, "TASK_LOST"), (&new, "TASK_GONE_BY_OPERATOR")] {
        let asked = json!({"task_id": {"value": "x"}, "agent_id": {"value": agent.id.as_str()}});
        let call = json!({"type": "RECONCILE", "reconcile": {"tasks": [asked]}});
        test.accepted(framework, call);
        let (_, state, _, message) = test.update_text(framework);
        assert_eq!(
            (&*state, &*message),
            (expected, "Reconciliation: Task is gone")
        );
    }
}

#[test]
fn tasks_on_an_unreachable_agent_end_when_it_is_gone() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(aware());
    test.launch(&framework, &agent, "t");
    test.input(Input::LinkUnresponsive { link: agent.link });
    test.store();
    test.skip();
    assert_eq!(
        test.master.snapshot().frameworks[&framework.id]
            .unreachable_tasks
            .len(),
        1
    );
    mark_gone(&mut test, &agent.id);
    let (task, state, reason, _) = test.update_text(&framework);
    assert_eq!(
        (&*task, &*state, &*reason),
        (
            "t",
            "TASK_GONE_BY_OPERATOR",
            "REASON_AGENT_REMOVED_BY_OPERATOR"
        )
    );
    let view = test.master.snapshot();
    let framework = &view.frameworks[&framework.id];
    assert!(framework.unreachable_tasks.is_empty());
    assert_eq!(framework.completed_tasks.len(), 1);
    assert!(view.unreachable_agents.is_empty());
    assert_eq!(view.counters.slave_removals, 1);
}

#[test]
fn an_agent_of_an_earlier_master_can_be_marked_before_it_is_back() {
    let mut registry = Registry::default();
    let agent = TestAgent {
        id: "old-S0".into(),
        link: super::super::messages::LinkId(0),
        port: 5051,
    };
    let mut info = register(5051).info.0;
    info.id = Some(agent.id.to_v1());
    registry
        .admitted
        .insert(agent.id.clone(), Packed::new(&info));
    let mut test = TestMaster::after_failover(registry);
    let framework = test.framework(aware());
    mark_gone(&mut test, &agent.id);
    assert!(test.event(&framework.stream).failure.is_some());
    assert!(test.master.snapshot().recovered_agents.is_empty());
    let link = test.open_link();
    let back = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(link, back);
    // The word was given to this master: it need not wait and see.
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
}

#[test]
fn what_is_not_known_or_under_way_is_refused() {
    let mut test = TestMaster::new();
    let unknown = (404, "Agent 'x' not found".to_string());
    assert_eq!(refused(&mut test, &"x".into()), unknown);
    let agent = test.agent(5051);
    test.input(Input::LinkUnresponsive { link: agent.link });
    let busy = format!("Agent '{}' is being transitioned; try again", agent.id);
    assert_eq!(refused(&mut test, &agent.id), (503, busy));
    test.store();
    test.skip();
    mark_gone(&mut test, &agent.id);
}

#[test]
fn agents_that_are_away_for_too_long_or_too_many_are_forgotten() {
    let mut registry = Registry::default();
    let start = Wall(1_600_000_000_000_000);
    let ago = |days: u64| Wall(start.0 - days * DAY.as_micros() as u64);
    for (id, days) in [("u1", 1), ("u2", 2), ("u3", 3), ("u20", 20)] {
        registry.unreachable.insert(id.into(), ago(days));
    }
    for (id, days) in [("g13", 13), ("g15", 15)] {
        registry.gone.insert(id.into(), ago(days));
    }
    let mut test = TestMaster::recovering(MasterSettings {
        registry_max_agent_count: 2,
        ..MasterSettings::default()
    });
    test.recover(registry);
    test.pass(Duration::from_secs(15 * 60));
    let ids = |list: &[&str]| list.iter().map(|id| (*id).into()).collect::<Vec<AgentId>>();
    let expected = Operation::Prune {
        unreachable: ids(&["u20", "u3"]),
        gone: ids(&["g15"]),
    };
    assert_eq!(test.store(), expected);
    let view = test.master.snapshot();
    let left: Vec<&str> = view
        .unreachable_agents
        .keys()
        .map(|id| id.as_str())
        .collect();
    assert_eq!(left, ["u1", "u2"]);
    assert_eq!(view.gone_agents.len(), 1);
    // Looked at again, one more is too old a day later.
    test.pass(DAY);
    let expected = Operation::Prune {
        unreachable: vec![],
        gone: ids(&["g13"]),
    };
    assert_eq!(test.store(), expected);
    // When nothing is left, nothing is looked at.
    test.pass(14 * DAY);
    assert!(matches!(test.store(), Operation::Prune { .. }));
    test.pass(DAY);
    assert_eq!(test.master.next_deadline(), None);
}
