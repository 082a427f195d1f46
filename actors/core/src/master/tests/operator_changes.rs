//! What operators change of an agent's resources: offers taken back, the allocator asked, the
//! agent told, the operator answered.

use serde_json::{Value, json};
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::OperationState;

use super::super::messages::{Answer, Effect, Input, Token};
use super::super::operator::Request;
use super::fixture::{TestAgent, TestMaster, read, reregister};
use super::parts::{bag, create, destroy, plain, reserve, reserved, unreserve, volume};
use crate::allocator::messages::Command;
use crate::ids::AgentId;

const REPLY: Token = Token(1000);

fn ask(test: &mut TestMaster, agent: &AgentId, operation: Value) {
    test.input(Input::Operator {
        request: Box::new(Request::ChangeResources {
            agent: agent.clone(),
            operation: Box::new(read(&operation)),
        }),
        principal: None,
        reply: REPLY,
    });
}

/// The token of the next command, which must be to change this into that.
fn transform_free(test: &mut TestMaster, consumed: Value, converted: Value) -> u64 {
    match test.command() {
        Command::TransformFree {
            consumed: before,
            converted: after,
            token,
            ..
        } => {
            assert_eq!((before, after), (bag(consumed), bag(converted)));
            token
        }
        other => panic!("expected TransformFree, got {other:?}"),
    }
}

fn answer(test: &mut TestMaster, token: u64, result: Result<(), &str>) {
    let result = result.map_err(str::to_string);
    test.input(Input::Transformed { token, result });
}

fn refused(status: u16, text: &str) -> Answer {
    Answer::Refused(status, text.to_string())
}

/// Reserves and makes a volume `v` of 8 MB.
fn make_volume(test: &mut TestMaster, agent: &TestAgent) {
    for operation in [
        reserve(json!([reserved("disk", 8.0)])),
        create(json!([volume("v", 8.0)])),
    ] {
        ask(test, &agent.id, operation);
        match test.command() {
            Command::TransformFree { token, .. } => answer(test, token, Ok(())),
            other => panic!("expected TransformFree, got {other:?}"),
        }
        assert_eq!(test.reply(REPLY), Answer::Accepted);
        test.applied(agent);
    }
}

#[test]
fn what_is_free_is_changed_once_the_allocator_agrees() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let offer = test.offer_of(&framework, &agent, json!([plain("cpus", 1.0)]));
    ask(
        &mut test,
        &agent.id,
        reserve(json!([reserved("cpus", 3.0)])),
    );
    let (before, after) = (json!([plain("cpus", 3.0)]), json!([reserved("cpus", 3.0)]));
    let token = transform_free(&mut test, before, after);
    test.done();
    answer(&mut test, token, Ok(()));
    assert_eq!(test.reply(REPLY), Answer::Accepted);
    let applied = test.applied(&agent);
    assert_eq!(applied.framework, None);
    assert!(
        test.master.offers.contains_key(&offer),
        "it was not in the way"
    );
    let total = test.total(&agent);
    assert!(
        total.contains("cpus(reservations: [(DYNAMIC,web)]):3"),
        "{total}"
    );
    let uuid = test.ended(&agent, &applied, OperationState::OperationFinished);
    assert_eq!(test.acknowledged(&agent), (uuid, applied.uuid.clone()));
    assert!(test.master.agents[&agent.id].operations.is_empty());
}

#[test]
fn of_two_changes_under_way_only_one_makes_a_volume_of_an_id() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    ask(
        &mut test,
        &agent.id,
        reserve(json!([reserved("disk", 16.0)])),
    );
    let token = transform_free(
        &mut test,
        json!([plain("disk", 16.0)]),
        json!([reserved("disk", 16.0)]),
    );
    answer(&mut test, token, Ok(()));
    test.skip();
    let tokens = [(), ()].map(|()| {
        ask(&mut test, &agent.id, create(json!([volume("v", 8.0)])));
        let made = json!([volume("v", 8.0)]);
        transform_free(&mut test, json!([reserved("disk", 8.0)]), made)
    });
    answer(&mut test, tokens[0], Ok(()));
    assert_eq!(test.reply(REPLY), Answer::Accepted);
    test.skip();
    answer(&mut test, tokens[1], Ok(()));
    match test.reply(REPLY) {
        Answer::Refused(400, why) => assert!(why.ends_with("'v' is not unique"), "{why}"),
        other => panic!("expected a refusal, got {other:?}"),
    }
    // The allocator is told what there is.
    match test.command() {
        Command::UpdateAgent { total, .. } => assert_eq!(total.to_string(), test.total(&agent)),
        other => panic!("expected UpdateAgent, got {other:?}"),
    }
}

#[test]
fn only_offers_in_the_way_are_taken_back() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.web(json!({}));
    let memory = test.offer_of(&framework, &agent, json!([plain("mem", 512.0)]));
    let first = test.offer_of(&framework, &agent, json!([plain("cpus", 2.0)]));
    let second = test.offer_of(&framework, &agent, json!([plain("cpus", 2.0)]));
    ask(
        &mut test,
        &agent.id,
        reserve(json!([reserved("cpus", 2.0)])),
    );
    let rescinded = test.event(&framework.stream).rescind.expect("RESCIND");
    assert_eq!(rescinded.offer_id.value, first.as_str());
    assert_eq!(test.released().0, "cpus(allocated: web):2");
    let (before, after) = (json!([plain("cpus", 2.0)]), json!([reserved("cpus", 2.0)]));
    let token = transform_free(&mut test, before.clone(), after.clone());
    // A proposal had taken them just before; it is an offer by now.
    let third = test.offer_of(&framework, &agent, json!([plain("cpus", 2.0)]));
    answer(&mut test, token, Err("cpus:0 does not contain cpus:2"));
    let rescinded = test.event(&framework.stream).rescind.expect("RESCIND");
    assert!(
        [&second, &third]
            .iter()
            .any(|id| id.as_str() == rescinded.offer_id.value)
    );
    test.released();
    let token = transform_free(&mut test, before, after);
    answer(&mut test, token, Ok(()));
    assert_eq!(test.reply(REPLY), Answer::Accepted);
    test.applied(&agent);
    assert!(test.master.offers.contains_key(&memory));
    assert_eq!(test.master.offers.len(), 2);
}

#[test]
fn what_is_not_free_is_a_conflict_in_the_allocators_words() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    make_volume(&mut test, &agent);
    ask(
        &mut test,
        &agent.id,
        unreserve(json!([reserved("disk", 16.0)])),
    );
    let (before, after) = (
        json!([reserved("disk", 16.0)]),
        json!([plain("disk", 16.0)]),
    );
    let token = transform_free(&mut test, before, after);
    let text = "disk(reservations: [(DYNAMIC,web)])[v:data]:8 does not contain \
                disk(reservations: [(DYNAMIC,web)]):16";
    answer(&mut test, token, Err(text));
    assert_eq!(test.reply(REPLY), refused(409, text));
}

#[test]
fn requests_against_the_rules_are_refused_in_mesos_words() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    make_volume(&mut test, &agent);
    let name = format!("{} at slave(1)@127.0.0.1:5051 (host)", agent.id);
    let cases = [
        (
            create(json!([volume("v", 8.0)])),
            format!("Invalid CREATE operation on agent {name}: Persistence ID 'v' is not unique"),
        ),
        (
            destroy(json!([volume("w", 8.0)])),
            "Invalid DESTROY operation: Persistent volumes not found".to_string(),
        ),
        (
            unreserve(json!([plain("cpus", 1.0)])),
            "Invalid UNRESERVE operation: Resource cpus:1 is not dynamically reserved".to_string(),
        ),
        (
            reserve(json!([reserved("cpus", 0.0)])),
            "Invalid RESERVE operation: there is nothing to change, expected resources of more \
             than nothing"
                .to_string(),
        ),
        (
            json!({"type": "RESERVE"}),
            "A RESERVE offer operation must have the Offer.Operation.reserve field set."
                .to_string(),
        ),
    ];
    for (operation, text) in cases {
        ask(&mut test, &agent.id, operation);
        assert_eq!(test.reply(REPLY), refused(400, &text));
    }
    ask(
        &mut test,
        &"nobody".into(),
        reserve(json!([reserved("cpus", 1.0)])),
    );
    let text = "No agent found with specified ID";
    assert_eq!(test.reply(REPLY), refused(400, text));
}

#[test]
fn an_operator_may_reserve_anew_what_is_reserved() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    make_volume(&mut test, &agent);
    ask(&mut test, &agent.id, destroy(json!([volume("v", 8.0)])));
    let (before, after) = (json!([volume("v", 8.0)]), json!([reserved("disk", 8.0)]));
    let token = transform_free(&mut test, before, after.clone());
    answer(&mut test, token, Ok(()));
    assert_eq!(test.reply(REPLY), Answer::Accepted);
    test.applied(&agent);
    let mut other = reserved("disk", 8.0);
    other["reservations"][0]["role"] = json!("db");
    let mut operation = reserve(json!([other]));
    operation["reserve"]["source"] = after.clone();
    ask(&mut test, &agent.id, operation);
    let token = transform_free(&mut test, after, json!([other]));
    answer(&mut test, token, Ok(()));
    assert_eq!(test.reply(REPLY), Answer::Accepted);
    test.applied(&agent);
}

#[test]
fn an_agent_that_is_away_or_comes_back_meanwhile_is_not_changed() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let operation = reserve(json!([reserved("cpus", 1.0)]));
    let (before, after) = (json!([plain("cpus", 1.0)]), json!([reserved("cpus", 1.0)]));
    // It comes back while the allocator is asked: the allocator is told its resources anew.
    ask(&mut test, &agent.id, operation.clone());
    let token = transform_free(&mut test, before.clone(), after.clone());
    let link = test.open_link();
    let message = AgentToMaster::Reregister(Box::new(reregister(&agent)));
    test.agent_says(link, message);
    test.closed_link();
    let text = format!(
        "resources of agent {} were not changed: the agent reregistered",
        agent.id
    );
    assert_eq!(test.reply(REPLY), refused(409, &text));
    assert_eq!(
        test.updated_total().to_string(),
        "cpus:4; mem:2048; disk:4096"
    );
    test.order(link);
    answer(&mut test, token, Ok(()));
    test.done();
    // It is lost while the allocator is asked: the allocator takes the change back.
    ask(&mut test, &agent.id, operation.clone());
    let token = transform_free(&mut test, before, after);
    test.input(Input::LinkClosed { link });
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    answer(&mut test, token, Ok(()));
    let away = refused(409, &format!("agent {} is disconnected", agent.id));
    assert_eq!(test.reply(REPLY), away);
    assert_eq!(
        test.updated_total().to_string(),
        "cpus:4; mem:2048; disk:4096"
    );
    // It is away.
    ask(&mut test, &agent.id, operation);
    assert_eq!(test.reply(REPLY), away);
}

impl TestMaster {
    fn reply(&mut self, token: Token) -> Answer {
        self.find("an answer", |effect| match effect {
            Effect::Reply(to, answer) if *to == token => Some(answer.clone()),
            _ => None,
        })
    }
}
