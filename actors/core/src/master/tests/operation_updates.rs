//! What becomes of operations: statuses, acknowledgements, reconciliation, lost agents.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::{OperationState, OperationStatus};

use super::super::messages::{Input, LinkId};
use super::fixture::{TestAgent, TestFramework, TestMaster, accept_call, reregister};
use super::parts::{Applied, bag, create, known_to_agent, named, plain, reserve, reserved, volume};
use crate::allocator::messages::Command;
use crate::registry::Registry;

/// Sixteen like bytes in base64.
fn base64(uuid: &[u8]) -> String {
    serde_json::to_value(tepui_protocol::v1::Uuid {
        value: uuid.to_vec(),
    })
    .unwrap()["value"]
        .as_str()
        .unwrap()
        .to_string()
}

/// A framework that has reserved a CPU of an agent, under this name if it has one.
fn reserving(id: Option<&str>, fields: Value) -> (TestMaster, TestAgent, TestFramework, Applied) {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(fields);
    let offer = test.offer_of(&framework, &agent, json!([plain("cpus", 1.0)]));
    let operation = reserve(json!([reserved("cpus", 1.0)]));
    let operation = match id {
        Some(id) => named(id, operation),
        None => operation,
    };
    test.accepted(&framework, accept_call(&[&offer], &json!([operation])));
    let applied = test.applied(&agent);
    test.skip();
    (test, agent, framework, applied)
}

fn acknowledge(agent: &TestAgent, operation: &str, uuid: &[u8]) -> Value {
    json!({"type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status": {
        "agent_id": {"value": agent.id.as_str()},
        "operation_id": {"value": operation},
        "uuid": base64(uuid),
    }})
}

fn reconcile(operations: Value) -> Value {
    json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": operations}})
}

fn tracked(test: &TestMaster, agent: &TestAgent) -> usize {
    test.master.agents[&agent.id].operations.len()
}

#[test]
fn a_named_operations_end_is_told_and_acknowledged() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    let made: tepui_protocol::v1::Resource = super::fixture::read(&reserved("cpus", 1.0));
    let status = OperationStatus {
        operation_id: applied.operation.id.clone(),
        state: OperationState::OperationFinished as i32,
        uuid: Some(tepui_protocol::v1::Uuid { value: vec![7; 16] }),
        converted_resources: vec![made.clone()],
        ..Default::default()
    };
    test.operation_status(&agent, &applied, status);
    let told = test.operation_update(&framework);
    assert_eq!(told.state(), OperationState::OperationFinished);
    assert_eq!(told.uuid.as_ref().unwrap().value, vec![7; 16]);
    assert_eq!(told.agent_id, Some(agent.id.to_v1()));
    assert_eq!(told.converted_resources, vec![made]);
    assert_eq!(tracked(&test, &agent), 1);
    test.accepted(&framework, acknowledge(&agent, "r", &[7; 16]));
    assert_eq!(
        test.acknowledged(&agent),
        (vec![7; 16], applied.uuid.clone())
    );
    assert_eq!(tracked(&test, &agent), 0);
    assert!(
        test.master.frameworks[&framework.id]
            .operation_ids
            .is_empty()
    );
}

#[test]
fn the_master_acknowledges_operations_without_a_name() {
    let (mut test, agent, _, applied) = reserving(None, json!({}));
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
    assert_eq!(tracked(&test, &agent), 0);
}

#[test]
fn acknowledgements_that_fit_nothing_are_ignored() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    test.operation_update(&framework);
    let mut of_provider = acknowledge(&agent, "r", &uuid);
    of_provider["acknowledge_operation_status"]["resource_provider_id"] = json!({"value": "p"});
    let mut elsewhere = acknowledge(&agent, "r", &uuid);
    elsewhere["acknowledge_operation_status"]["agent_id"] = json!({"value": "none"});
    let wrong = [
        acknowledge(&agent, "other", &uuid),
        acknowledge(&agent, "r", &[9; 16]),
        of_provider,
        elsewhere,
    ];
    for call in wrong {
        test.accepted(&framework, call);
        assert_eq!(tracked(&test, &agent), 1);
    }
    test.close_link(&agent);
    test.skip();
    test.accepted(&framework, acknowledge(&agent, "r", &uuid));
    assert_eq!(tracked(&test, &agent), 1);
    let counters = test.master.snapshot().counters;
    assert_eq!(counters.invalid_operation_status_update_acknowledgements, 5);
}

#[test]
fn the_master_acknowledges_for_a_framework_that_ended() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    test.skip();
    assert_eq!(tracked(&test, &agent), 1);
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
    assert_eq!(tracked(&test, &agent), 0);
}

#[test]
fn a_last_status_that_nobody_acknowledges_ends_the_operation() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    let status = OperationStatus {
        state: OperationState::OperationDropped as i32,
        ..Default::default()
    };
    // The agent does not know its name; the master does.
    test.operation_status(&agent, &applied, status);
    let (id, state, _) = test.operation_text(&framework);
    assert_eq!((id.as_str(), state.as_str()), ("r", "OPERATION_DROPPED"));
    assert_eq!(tracked(&test, &agent), 0);
    test.updated_total();
    assert_eq!(test.total(&agent), "cpus:4; mem:2048; disk:4096");
}

#[test]
fn a_status_of_an_operation_unknown_here_reaches_its_framework() {
    let (mut test, agent, framework, mut applied) = reserving(Some("r"), json!({}));
    applied.uuid = vec![1; 16];
    test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(
        test.operation_update(&framework)
            .operation_id
            .unwrap()
            .value,
        "r"
    );
    applied.uuid = vec![1; 3];
    test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(
        test.master
            .snapshot()
            .counters
            .invalid_operation_status_updates,
        2
    );
}

#[test]
fn a_failed_operation_is_taken_back_with_what_was_built_on_it() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let offer = test.offer_of(&framework, &agent, json!([plain("disk", 8.0)]));
    let operations = json!([
        reserve(json!([reserved("disk", 8.0)])),
        create(json!([volume("v", 8.0)])),
    ]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let (first, second) = (test.applied(&agent), test.applied(&agent));
    test.skip();
    let offer = test.offer_of(&framework, &agent, json!([volume("v", 8.0)]));
    test.ended(&agent, &first, OperationState::OperationFailed);
    test.acknowledged(&agent);
    // The volume stands in the way still.
    let wanted = bag(json!([
        plain("cpus", 4.0),
        plain("mem", 2048.0),
        plain("disk", 4088.0),
        volume("v", 8.0)
    ]));
    assert_eq!(test.updated_total(), wanted);
    test.ended(&agent, &second, OperationState::OperationError);
    let rescinded = test.event(&framework.stream).rescind.expect("RESCIND");
    assert_eq!(rescinded.offer_id.value, offer.as_str());
    test.released();
    let all = bag(json!([
        plain("cpus", 4.0),
        plain("mem", 2048.0),
        plain("disk", 4096.0)
    ]));
    assert_eq!(test.updated_total(), all);
    test.acknowledged(&agent);
    assert_eq!(test.master.agents[&agent.id].total, all);
}

#[test]
fn reconciliation_tells_all_operations_or_those_asked_for() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    test.accepted(&framework, reconcile(json!([])));
    assert_eq!(test.operation_text(&framework).1, "OPERATION_PENDING");
    test.ended(&agent, &applied, OperationState::OperationFinished);
    test.operation_update(&framework);
    let known = json!({"value": agent.id.as_str()});
    let asked = json!([
        {"operation_id": {"value": "r"}},
        {"operation_id": {"value": "x"}, "agent_id": known},
        {"operation_id": {"value": "y"}},
        {"operation_id": {"value": "z"}, "agent_id": {"value": "nobody"}},
    ]);
    test.accepted(&framework, reconcile(asked));
    let answers = [
        ("r", "OPERATION_FINISHED", ""),
        (
            "x",
            "OPERATION_UNKNOWN",
            "Reconciliation: Operation is unknown",
        ),
        (
            "y",
            "OPERATION_UNKNOWN",
            "Reconciliation: Operation is unknown and no 'agent_id' was provided",
        ),
        (
            "z",
            "OPERATION_UNKNOWN",
            "Reconciliation: Both operation and agent are unknown",
        ),
    ];
    for (id, state, text) in answers {
        let wanted = (id.to_string(), state.to_string(), text.to_string());
        assert_eq!(test.operation_text(&framework), wanted);
    }
}

#[test]
fn operations_of_an_unreachable_agent_are_unreachable() {
    let (mut test, agent, framework, _) = reserving(Some("r"), json!({}));
    test.input(Input::LinkUnresponsive { link: agent.link });
    test.store();
    assert_eq!(
        test.operation_text(&framework),
        (
            "r".into(),
            "OPERATION_UNREACHABLE".into(),
            "Agent was marked unreachable".into()
        )
    );
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    test.event(&framework.stream).failure.expect("FAILURE");
    test.closed_link();
    assert!(test.master.frameworks[&framework.id].operations.is_empty());
    let asked = json!([{"operation_id": {"value": "r"}, "agent_id": {"value": agent.id.as_str()}}]);
    test.accepted(&framework, reconcile(asked));
    assert_eq!(
        test.operation_text(&framework),
        (
            "r".into(),
            "OPERATION_UNREACHABLE".into(),
            "Reconciliation: Agent is unreachable".into()
        )
    );
}

/// The agent comes back over a new link, with these operations and reservations.
fn come_back(
    test: &mut TestMaster,
    agent: &mut TestAgent,
    operations: &[tepui_protocol::v1::Operation],
    made: &[Value],
) {
    let mut report = reregister(agent);
    report.operations = operations.iter().cloned().map(Into::into).collect();
    report.register.checkpointed_resources = made
        .iter()
        .map(super::fixture::read::<tepui_protocol::v1::Resource>)
        .map(Into::into)
        .collect();
    agent.link = test.open_link();
    let message = AgentToMaster::Reregister(Box::new(report));
    test.agent_says(agent.link, message);
}

#[test]
fn an_order_that_never_reached_the_agent_is_dropped() {
    let (mut test, mut agent, framework, applied) = reserving(Some("r"), json!({}));
    let offer = test.offer_of(&framework, &agent, json!([reserved("cpus", 1.0)]));
    come_back(&mut test, &mut agent, &[], &[]);
    // The old link is still up: the offer could have been used.
    let rescinded = test.event(&framework.stream).rescind.expect("RESCIND");
    assert_eq!(rescinded.offer_id.value, offer.as_str());
    test.closed_link();
    test.released();
    let text = test.updated_total().to_string();
    assert_eq!(text, "cpus:4; mem:2048; disk:4096");
    test.order(agent.link);
    assert_eq!(
        test.operation_text(&framework),
        (
            "r".into(),
            "OPERATION_DROPPED".into(),
            "Operation is unknown to the agent".into()
        )
    );
    assert_eq!(tracked(&test, &agent), 0);
    // Should it turn up after all, its framework hears of it.
    test.ended(&agent, &applied, OperationState::OperationFinished);
    test.operation_update(&framework);
}

#[test]
fn a_report_repeated_on_the_same_link_is_older_than_later_orders() {
    let mut test = TestMaster::new();
    let mut agent = test.agent(5051);
    let framework = test.web(json!({}));
    come_back(&mut test, &mut agent, &[], &[]);
    test.skip();
    let offer = test.offer_of(&framework, &agent, json!([plain("cpus", 1.0)]));
    let operations = json!([named("r", reserve(json!([reserved("cpus", 1.0)])))]);
    test.accepted(&framework, accept_call(&[&offer], &operations));
    let applied = test.applied(&agent);
    test.skip();
    let message = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(agent.link, message);
    assert!(
        test.updated_total()
            .to_string()
            .contains("(reservations: [(DYNAMIC,web)]):1")
    );
    assert!(matches!(
        test.order(agent.link),
        MasterToAgent::Reregistered { .. }
    ));
    assert_eq!(tracked(&test, &agent), 1);
    test.ended(&agent, &applied, OperationState::OperationFinished);
    test.operation_update(&framework);
}

#[test]
fn an_end_told_under_an_agents_new_id_can_be_acknowledged() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let operation = named("r", reserve(json!([reserved("cpus", 1.0)])));
    let applied = Applied {
        framework: Some(framework.id.to_string()),
        operation: super::fixture::read(&operation),
        uuid: vec![5; 16],
    };
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.operation_update(&framework).uuid.unwrap().value, uuid);
    test.accepted(&framework, acknowledge(&agent, "r", &uuid));
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
    assert_eq!(tracked(&test, &agent), 0);
}

#[test]
fn what_a_failed_operation_made_is_not_offered_by_a_proposal_under_way() {
    let (mut test, agent, framework, applied) = reserving(Some("r"), json!({}));
    let made = test.proposal_of(&framework.id, &agent, json!([reserved("cpus", 1.0)]));
    let rest = test.proposal_of(&framework.id, &agent, json!([plain("cpus", 3.0)]));
    test.ended(&agent, &applied, OperationState::OperationFailed);
    test.skip();
    test.input(Input::Proposed(vec![made, rest]));
    let given_back = "cpus(allocated: web)(reservations: [(DYNAMIC,web)]):1";
    assert_eq!(test.released(), (given_back.to_string(), None));
    let offers = test.event(&framework.stream).offers.unwrap().offers;
    assert_eq!(offers.len(), 1);
    // The CPU is plain again, and nobody's.
    let more = json!([plain("cpus", 2.0)]);
    let more = test.proposal_of(&framework.id, &agent, more);
    test.input(Input::Proposed(vec![more]));
    assert_eq!(test.released().0, "cpus(allocated: web):2");
}

/// A new master, to which an agent has come back with a finished operation of a framework that is
/// not known.
fn orphaned(framework: &str, id: Option<&str>) -> (TestMaster, TestAgent, Applied) {
    let mut test = TestMaster::after_failover(Registry::default());
    let mut agent = TestAgent {
        id: "S".into(),
        link: LinkId(0),
        port: 5051,
    };
    let operation = reserve(json!([reserved("cpus", 1.0)]));
    let operation = id.map_or(operation.clone(), |id| named(id, operation));
    let applied = Applied {
        framework: Some(framework.to_string()),
        operation: super::fixture::read(&operation),
        uuid: vec![5; 16],
    };
    let known = known_to_agent(&agent, &applied, OperationState::OperationFinished);
    come_back(&mut test, &mut agent, &[known], &[reserved("cpus", 1.0)]);
    test.store();
    match test.command() {
        Command::AddAgent { total, .. } => {
            let wanted = bag(json!([
                plain("cpus", 3.0),
                reserved("cpus", 1.0),
                plain("mem", 2048.0),
                plain("disk", 4096.0)
            ]));
            assert_eq!(total, wanted);
        }
        other => panic!("expected AddAgent, got {other:?}"),
    }
    assert!(matches!(
        test.order(agent.link),
        MasterToAgent::Reregistered { .. }
    ));
    (test, agent, applied)
}

#[test]
fn an_orphan_waits_ten_minutes_for_its_framework() {
    let (mut test, agent, applied) = orphaned("F", Some("r"));
    test.ended(&agent, &applied, OperationState::OperationFinished);
    test.pass(Duration::from_secs(599));
    test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(tracked(&test, &agent), 1);
    test.pass(Duration::from_secs(1));
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
    assert_eq!(tracked(&test, &agent), 0);
}

#[test]
fn an_orphan_without_a_name_waits_for_nobody() {
    let (mut test, agent, applied) = orphaned("F", None);
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
}

#[test]
fn an_orphan_is_its_frameworks_again_when_that_comes_back() {
    let (mut test, agent, applied) = orphaned("F", Some("r"));
    let framework = test.web(json!({"id": {"value": "F"}}));
    test.accepted(&framework, reconcile(json!([])));
    assert_eq!(test.operation_text(&framework).1, "OPERATION_FINISHED");
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.operation_update(&framework).uuid.unwrap().value, uuid);
    test.accepted(&framework, acknowledge(&agent, "r", &uuid));
    test.acknowledged(&agent);
    assert_eq!(tracked(&test, &agent), 0);
}

#[test]
fn reservations_that_do_not_fit_are_refused() {
    let mut test = TestMaster::new();
    let mut agent = test.agent(5051);
    // One that runs tasks is not ended for it.
    come_back(&mut test, &mut agent, &[], &[reserved("cpus", 5.0)]);
    assert_eq!(test.total(&agent), "cpus:4; mem:2048; disk:4096");
    let mut newcomer = super::fixture::register(5052);
    let made: tepui_protocol::v1::Resource = super::fixture::read(&reserved("cpus", 5.0));
    newcomer.checkpointed_resources = vec![made.into()];
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(newcomer)));
    match test.order(link) {
        MasterToAgent::Shutdown { message } => assert_eq!(
            message,
            "Incompatible agent resources: cpus:4; mem:2048; disk:4096 does not contain cpus:5"
        ),
        other => panic!("expected Shutdown, got {other:?}"),
    }
}
