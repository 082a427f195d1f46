//! What is counted: operations by state, reasons of ends, frameworks one by one, sums over agents.
//! That sums and counts agree with the state is checked after every input of every test.

use serde_json::json;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::scheduler::{call, event};
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{OperationState, TaskState};

use super::super::framework_counters::{FrameworkCounters, OfferEvent};
use super::super::messages::Input;
use super::super::operation_counts::STATES;
use super::fixture::{TestFramework, TestMaster, accept_call, command_task, launch_call};
use super::parts::{named, plain, reserve, reserved};
use crate::ids::OfferId;

fn counters<'a>(test: &'a TestMaster, framework: &TestFramework) -> &'a FrameworkCounters {
    &test.master.frameworks[&framework.id].counters
}

/// The states in which operations of a type are, and how many are.
fn operations(test: &TestMaster, kind: Type) -> Vec<(OperationState, u64)> {
    let counts = test.master.snapshot().counters.operations.of(kind);
    let counts = STATES.into_iter().zip(counts);
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn operations_are_counted_by_type_and_state() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let offer = test.offer_of(&framework, &agent, json!([plain("cpus", 2.0)]));
    let first = named("a", reserve(json!([reserved("cpus", 1.0)])));
    let second = named("b", reserve(json!([reserved("cpus", 1.0)])));
    let bad = reserve(json!([reserved("cpus", 7.0)]));
    let call = accept_call(&[&offer], &json!([first, second, bad]));
    test.accepted(&framework, call);
    let applied = test.applied(&agent);
    test.skip();
    use OperationState as State;
    let (pending, error) = (State::OperationPending, State::OperationError);
    assert_eq!(operations(&test, Type::Reserve), [(pending, 2), (error, 1)]);
    test.ended(&agent, &applied, State::OperationFinished);
    test.skip();
    let finished = State::OperationFinished;
    let expected = [(pending, 1), (finished, 1), (error, 1)];
    assert_eq!(operations(&test, Type::Reserve), expected);
    test.input(Input::LinkUnresponsive { link: agent.link });
    test.store();
    test.skip();
    let unreachable = State::OperationUnreachable;
    let expected = [(unreachable, 1), (finished, 1), (error, 1)];
    assert_eq!(operations(&test, Type::Reserve), expected);
    assert_eq!(operations(&test, Type::Create), []);
    assert_eq!(
        counters(&test, &framework)
            .operations
            .of(Type::Reserve as i32),
        2
    );
}

#[test]
fn frameworks_are_counted_one_by_one() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let other = test.framework(json!({}));
    test.skip();
    test.launch(&framework, &agent, "t");
    let offer = test.offer(&framework, &agent, "cpus:1;mem:32");
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": offer.as_str()}]}});
    test.accepted(&framework, decline);
    test.report(&framework.id, &agent, "t", TaskState::TaskFinished);
    test.skip();
    let counted = counters(&test, &framework);
    for (kind, count) in [
        (call::Type::Subscribe, 1),
        (call::Type::Accept, 1),
        (call::Type::Decline, 1),
        (call::Type::Kill, 0),
    ] {
        assert_eq!(counted.calls.of(kind as i32), count, "{kind:?}");
    }
    for (kind, count) in [
        (event::Type::Subscribed, 1),
        (event::Type::Offers, 2),
        (event::Type::Update, 1),
        (event::Type::Error, 0),
    ] {
        assert_eq!(counted.events.of(kind as i32), count, "{kind:?}");
    }
    for (event, count) in [
        (OfferEvent::Sent, 2),
        (OfferEvent::Accepted, 1),
        (OfferEvent::Declined, 1),
        (OfferEvent::Rescinded, 0),
    ] {
        assert_eq!(counted.offers.of(event as i32), count, "{event:?}");
    }
    assert_eq!(counted.operations.of(Type::Launch as i32), 1);
    assert_eq!(counted.ended.of(TaskState::TaskFinished as i32), 1);
    assert_eq!(counted.ended.sum(), 1);
    let other = counters(&test, &other);
    assert_eq!((other.calls.sum(), other.events.sum()), (1, 1));
}

#[test]
fn reasons_of_ends_are_counted() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    let task = command_task("t", &agent);
    let unknown = OfferId::from("none");
    test.accepted(&framework, launch_call(&[&unknown], &json!([task, task])));
    test.skip();
    test.launch(&framework, &agent, "u");
    test.close_link(&agent);
    test.skip();
    let ends = test.master.snapshot().counters.ends;
    let lost = |reason| (TaskState::TaskLost, Source::Master, reason);
    assert_eq!(ends.get(&lost(Reason::InvalidOffers)), Some(&2));
    assert_eq!(ends.get(&lost(Reason::AgentDisconnected)), Some(&1));
    assert_eq!(ends.len(), 2);
}

#[test]
fn sums_follow_what_agents_have_and_use() {
    let mut test = TestMaster::new();
    let sums = |test: &TestMaster| test.master.snapshot().agent_sums;
    assert_eq!(sums(&test), Default::default());
    let agents = [test.agent(5051), test.agent(5052)];
    let framework = test.framework(json!({"checkpoint": true}));
    test.skip();
    test.launch(&framework, &agents[0], "t");
    test.skip();
    let now = sums(&test);
    assert_eq!((now.connected, now.disconnected), (2, 0));
    assert_eq!(now.total.plain, [8000, 0, 4_096_000, 8_192_000]);
    assert!(now.used.plain[0] > 0 && now.used.plain[2] > 0);
    test.close_link(&agents[0]);
    test.skip();
    let now = sums(&test);
    assert_eq!((now.connected, now.disconnected), (1, 1));
    assert!(now.used.plain[0] > 0);
    test.report(
        &framework.id,
        &agents[1],
        "unknown",
        TaskState::TaskFinished,
    );
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    test.skip();
    assert_eq!(sums(&test).used, Default::default());
}
