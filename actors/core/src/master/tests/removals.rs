//! Agents that are given up: the pace, second thoughts, and the guard against mass kills.

use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::packed::Packed;
use tepui_protocol::v1;

use super::super::messages::{Answer, Input};
use super::super::model::HeldFrom;
use super::super::operator::Request;
use super::super::{Master, MasterSettings};
use super::fixture::{TestAgent, TestMaster, register, reregister};
use crate::allocator::messages::Command;
use crate::ids::AgentId;
use crate::registry::{Operation, Registry};
use crate::time::Wall;

const MINUTE: Duration = Duration::from_secs(60);

/// An agent of an earlier master, which has this port.
fn earlier(port: i32) -> TestAgent {
    TestAgent {
        id: AgentId::new(format!("old-S{port}")),
        link: super::super::messages::LinkId(0),
        port,
    }
}

fn info_of(agent: &TestAgent) -> v1::AgentInfo {
    let mut info = register(agent.port).info.0;
    info.id = Some(agent.id.to_v1());
    info
}

/// A registry of agents on the ports from 1 on.
fn admitted(count: i32) -> Registry {
    let mut registry = Registry::default();
    for port in 1..=count {
        let agent = earlier(port);
        let info = Packed::new(&info_of(&agent));
        registry.admitted.insert(agent.id.clone(), info);
    }
    registry
}

fn started(settings: MasterSettings, registry: Registry) -> TestMaster {
    let mut test = TestMaster::recovering(settings);
    test.recover(registry);
    test
}

fn marked(test: &mut TestMaster) -> AgentId {
    match test.store() {
        Operation::MarkUnreachable { agent_id, .. } => agent_id,
        other => panic!("expected MarkUnreachable, got {other:?}"),
    }
}

fn held(master: &Master) -> Vec<(String, HeldFrom)> {
    let held = master.snapshot().held_agents;
    held.iter()
        .map(|(id, held)| (id.to_string(), held.from))
        .collect()
}

fn unresponsive(test: &mut TestMaster, agent: &TestAgent) {
    test.input(Input::LinkUnresponsive { link: agent.link });
}

#[test]
fn agents_that_are_spared_again_and_again_leave_nothing_behind() {
    let mut test = TestMaster::with(MasterSettings {
        agent_removal_rate_limit: Some(MINUTE),
        ..MasterSettings::default()
    });
    let agents: Vec<TestAgent> = (1..=2).map(|port| test.agent(port)).collect();
    unresponsive(&mut test, &agents[0]);
    assert_eq!(marked(&mut test), agents[0].id);
    test.skip();
    for _ in 0..10 {
        unresponsive(&mut test, &agents[1]);
        test.input(Input::LinkResponsive {
            link: agents[1].link,
        });
    }
    test.done();
    assert!(test.master.removals.order.is_empty());
    assert_eq!(test.master.removals.queued_tasks, 0);
    let counters = test.master.snapshot().counters;
    assert_eq!(counters.slave_unreachable_scheduled, 11);
    assert_eq!(counters.slave_unreachable_canceled, 10);
}

fn comes_back(test: &mut TestMaster, agent: &TestAgent) -> super::super::messages::LinkId {
    let link = test.open_link();
    let report = reregister(agent);
    test.agent_says(link, AgentToMaster::Reregister(Box::new(report)));
    link
}

#[test]
fn agents_are_marked_one_at_a_time_and_one_that_answers_is_spared() {
    let mut test = TestMaster::with(MasterSettings {
        agent_removal_rate_limit: Some(MINUTE),
        ..MasterSettings::default()
    });
    let agents: Vec<TestAgent> = (1..=4).map(|port| test.agent(port)).collect();
    for agent in &agents {
        unresponsive(&mut test, agent);
        // Being told again changes nothing.
        unresponsive(&mut test, agent);
    }
    assert_eq!(marked(&mut test), agents[0].id);
    test.command();
    test.closed_link();
    test.done();
    // The second answers, the third comes back on another link.
    test.input(Input::LinkResponsive {
        link: agents[1].link,
    });
    comes_back(&mut test, &agents[2]);
    test.skip();
    test.pass(MINUTE);
    assert_eq!(marked(&mut test), agents[3].id);
    test.skip();
    test.pass(2 * MINUTE);
    test.done();
    let view = test.master.snapshot();
    let left: Vec<&AgentId> = view.agents.keys().collect();
    assert_eq!(left, [&agents[1].id, &agents[2].id]);
    let counters = view.counters;
    assert_eq!(counters.slave_unreachable_scheduled, 4);
    assert_eq!(counters.slave_unreachable_canceled, 2);
    assert_eq!(counters.slave_unreachable_completed, 2);
    assert_eq!(counters.slave_removals_reason_unhealthy, 2);
}

#[test]
fn agents_that_stay_away_after_a_failover_are_paced_too() {
    let settings = MasterSettings {
        agent_removal_rate_limit: Some(MINUTE),
        ..MasterSettings::default()
    };
    let mut test = started(settings, admitted(3));
    test.pass(10 * MINUTE);
    assert_eq!(marked(&mut test), earlier(1).id);
    test.done();
    test.pass(MINUTE);
    assert_eq!(marked(&mut test), earlier(2).id);
    // The last one is back just in time.
    comes_back(&mut test, &earlier(3));
    test.skip();
    test.pass(MINUTE);
    test.done();
    assert_eq!(test.master.snapshot().counters.recovery_slave_removals, 2);
}

#[test]
fn a_few_agents_are_given_up_whatever_their_share() {
    let mut test = started(MasterSettings::default(), admitted(4));
    test.pass(10 * MINUTE);
    for _ in 0..4 {
        marked(&mut test);
    }
    assert!(held(&test.master).is_empty());
}

#[test]
fn many_agents_that_stay_away_are_kept_until_an_operator_gives_them_up() {
    let mut test = started(MasterSettings::default(), admitted(9));
    for port in 6..=9 {
        comes_back(&mut test, &earlier(port));
    }
    test.skip();
    // Five of nine are missing: more than half.
    test.pass(10 * MINUTE);
    test.done();
    let expected: Vec<_> = (1..=5)
        .map(|port| (format!("old-S{port}"), HeldFrom::Removal))
        .collect();
    assert_eq!(held(&test.master), expected);
    assert_eq!(test.master.snapshot().recovered_agents.len(), 5);
    // While some are held, nobody else is given up either.
    test.pass(60 * MINUTE);
    test.done();
    // One of them is back after all.
    comes_back(&mut test, &earlier(1));
    test.skip();
    assert_eq!(held(&test.master).len(), 4);

    let reply = test.operator_asks(Request::ReleaseHeld);
    assert_eq!(test.operator_told(reply), Answer::Ok);
    for port in 2..=5 {
        assert_eq!(marked(&mut test), earlier(port).id);
    }
    assert!(held(&test.master).is_empty());
    assert!(test.master.snapshot().recovered_agents.is_empty());
    // Nothing is held now, and this is asked again in vain.
    let reply = test.operator_asks(Request::ReleaseHeld);
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

#[test]
fn the_few_that_are_left_when_most_are_back_are_given_up_like_others() {
    let mut test = started(MasterSettings::default(), admitted(9));
    test.pass(10 * MINUTE);
    assert_eq!(held(&test.master).len(), 9);
    for port in 1..=3 {
        comes_back(&mut test, &earlier(port));
        test.pass(6 * MINUTE);
    }
    test.skip();
    // Six of nine are still missing: for nobody's sake is that looked at again.
    test.pass(10 * MINUTE);
    test.done();
    for port in 4..=7 {
        comes_back(&mut test, &earlier(port));
    }
    test.skip();
    test.pass(9 * MINUTE);
    test.done();
    test.pass(MINUTE);
    assert_eq!(marked(&mut test), earlier(8).id);
    assert_eq!(marked(&mut test), earlier(9).id);
    assert!(held(&test.master).is_empty());
}

#[test]
fn agents_that_were_installed_anew_are_no_mass() {
    let mut test = started(MasterSettings::default(), admitted(6));
    for port in 1..=5 {
        let link = test.open_link();
        let register = AgentToMaster::Register(Box::new(register(port)));
        test.agent_says(link, register);
        test.store();
    }
    test.skip();
    test.pass(10 * MINUTE);
    for port in [6, 1, 2, 3, 4, 5] {
        assert_eq!(marked(&mut test), earlier(port).id);
    }
    assert!(held(&test.master).is_empty());
}

#[test]
fn agents_that_fall_silent_together_are_kept_and_one_that_answers_is_released() {
    let mut test = TestMaster::new();
    let agents: Vec<TestAgent> = (1..=10).map(|port| test.agent(port)).collect();
    for agent in &agents {
        unresponsive(&mut test, agent);
    }
    // Five are not more than half.
    for agent in &agents[..5] {
        assert_eq!(marked(&mut test), agent.id);
    }
    test.skip();
    assert_eq!(held(&test.master).len(), 5);
    for agent in &agents[5..] {
        test.input(Input::LinkResponsive { link: agent.link });
    }
    assert!(held(&test.master).is_empty());
    // Those that were marked come back too: they count no longer.
    for agent in &agents[..5] {
        comes_back(&mut test, agent);
        assert!(matches!(test.store(), Operation::MarkReachable(_)));
    }
    test.skip();
    unresponsive(&mut test, &agents[9]);
    assert_eq!(marked(&mut test), agents[9].id);
    test.skip();
}

#[test]
fn failures_that_lie_far_apart_are_no_mass() {
    let mut test = TestMaster::new();
    let agents: Vec<TestAgent> = (1..=10).map(|port| test.agent(port)).collect();
    for agent in &agents {
        unresponsive(&mut test, agent);
        assert_eq!(marked(&mut test), agent.id);
        test.skip();
        test.pass(4 * MINUTE);
    }
    assert!(held(&test.master).is_empty());
}

#[test]
fn few_agents_with_most_tasks_are_a_mass() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"checkpoint": true}));
    let agents: Vec<TestAgent> = (1..=20).map(|port| test.agent(port)).collect();
    for agent in &agents[..5] {
        test.launch(&framework, agent, &format!("t{}", agent.port));
    }
    test.skip();
    for agent in &agents[..5] {
        unresponsive(&mut test, agent);
    }
    // Four may go, whatever runs there; the fifth is held, though it is one of twenty agents.
    test.skip();
    let fifth = (agents[4].id.to_string(), HeldFrom::Removal);
    assert_eq!(held(&test.master), [fifth]);
}

#[test]
fn without_a_limit_all_are_given_up() {
    let settings = MasterSettings {
        mass_removal_limit: 100.0,
        ..MasterSettings::default()
    };
    let mut test = started(settings, admitted(50));
    test.pass(10 * MINUTE);
    for _ in 0..50 {
        marked(&mut test);
    }
}

/// Agents that are gone according to the registry read at start.
fn gone(count: i32) -> Registry {
    let mut registry = admitted(10);
    for port in 1..=count {
        let id = earlier(port).id;
        registry.admitted.remove(&id);
        registry.gone.insert(id, Wall(1));
    }
    registry
}

#[test]
fn nobody_is_shut_down_on_the_registrys_word_until_it_is_seen_how_many_that_would_be() {
    let mut test = started(MasterSettings::default(), gone(2));
    comes_back(&mut test, &earlier(1));
    test.done();
    test.pass(MINUTE);
    let link = comes_back(&mut test, &earlier(1));
    let message = "Agent has been marked gone".to_string();
    assert_eq!(test.order(link), MasterToAgent::Shutdown { message });
}

#[test]
fn a_registry_that_would_have_most_agents_shut_down_is_not_trusted() {
    let mut test = started(MasterSettings::default(), gone(8));
    for port in 1..=8 {
        comes_back(&mut test, &earlier(port));
    }
    test.pass(MINUTE);
    for port in 1..=8 {
        comes_back(&mut test, &earlier(port));
    }
    // Eight of ten.
    test.done();
    let held = held(&test.master);
    assert_eq!(held.len(), 8);
    assert!(held.iter().all(|(_, from)| *from == HeldFrom::ShutDown));
    let reply = test.operator_asks(Request::ReleaseHeld);
    assert_eq!(test.operator_told(reply), Answer::Ok);
    for port in 1..=8 {
        let link = comes_back(&mut test, &earlier(port));
        assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    }
}

#[test]
fn what_this_master_was_told_by_an_operator_is_done_at_once() {
    let mut test = TestMaster::new();
    let agents: Vec<TestAgent> = (1..=10).map(|port| test.agent(port)).collect();
    for agent in &agents {
        let reply = test.operator_asks(Request::MarkAgentGone(agent.id.clone()));
        assert!(matches!(test.store(), Operation::MarkGone { .. }));
        assert_eq!(test.operator_told(reply), Answer::Ok);
        assert!(matches!(
            test.order(agent.link),
            MasterToAgent::Shutdown { .. }
        ));
        assert!(matches!(test.command(), Command::RemoveAgent(_)));
        assert_eq!(test.closed_link(), agent.link);
        // It may not have heard that.
        let link = comes_back(&mut test, agent);
        assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    }
}
