//! Tests of inverse offers: made, answered, expired, rescinded and dropped.
//! Who is asked to leave which agent is tested with the allocator.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1;

use super::super::MasterSettings;
use super::super::messages::Input;
use super::fixture::{TestAgent, TestFramework, TestMaster};
use super::maintenance::{plan, schedule};
use crate::allocator::messages::{Command, InverseProposal};
use crate::ids::OfferId;

fn proposal(test: &TestMaster, framework: &TestFramework, agent: &TestAgent) -> InverseProposal {
    InverseProposal {
        framework: framework.id.clone(),
        framework_generation: test.master.frameworks[&framework.id].generation,
        agent: agent.id.clone(),
        agent_generation: test.master.agents[&agent.id].generation,
        unavailability: v1::Unavailability {
            start: v1::TimeInfo { nanoseconds: 5 },
            duration: Some(v1::DurationInfo { nanoseconds: 9 }),
        },
    }
}

fn propose(test: &mut TestMaster, framework: &TestFramework, agent: &TestAgent) {
    let proposal = proposal(test, framework, agent);
    test.input(Input::ProposedInverse(vec![proposal]));
}

/// Makes an inverse offer for an agent whose machine is scheduled.
fn offer(test: &mut TestMaster, framework: &TestFramework, agent: &TestAgent) -> OfferId {
    propose(test, framework, agent);
    let event = test.event(&framework.stream).inverse_offers;
    let offers = event.expect("INVERSE_OFFERS").inverse_offers;
    assert_eq!(offers.len(), 1);
    OfferId::from(&offers[0].id)
}

/// A scheduled agent and a framework.
fn scheduled(settings: MasterSettings) -> (TestMaster, TestAgent, TestFramework) {
    let mut test = TestMaster::with(settings);
    plan(&mut test, 5);
    let agent = test.agent(5051);
    let framework = test.framework(json!({"failover_timeout": 100}));
    (test, agent, framework)
}

fn ended(test: &mut TestMaster, framework: &TestFramework, agent: &TestAgent) -> Option<Duration> {
    let Command::EndInverseOffer {
        framework: to,
        agent: about,
        refusal,
    } = test.command()
    else {
        panic!("expected EndInverseOffer");
    };
    assert_eq!((&to, &about), (&framework.id, &agent.id));
    refusal.map(|refusal| refusal.timeout)
}

fn answer(kind: &str, offers: &[&str], filters: &Value) -> Value {
    let field = format!("{}_inverse_offers", kind.to_lowercase());
    let ids: Vec<Value> = offers.iter().map(|id| json!({"value": id})).collect();
    json!({"type": format!("{kind}_INVERSE_OFFERS"),
           field: {"inverse_offer_ids": ids, "filters": filters}})
}

#[test]
fn inverse_offers_come_in_one_event_and_share_numbers_with_offers() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    let other = test.agent(5052);
    assert_eq!(test.offer(&framework, &agent, "cpus:1").as_str(), "M-O0");
    let proposals = [&agent, &other].map(|agent| proposal(&test, &framework, agent));
    test.input(Input::ProposedInverse(proposals.to_vec()));
    let event = test.event(&framework.stream);
    assert_eq!(event.r#type().as_str_name(), "INVERSE_OFFERS");
    let offers = event.inverse_offers.unwrap().inverse_offers;
    let ids: Vec<&str> = offers.iter().map(|offer| offer.id.value.as_str()).collect();
    assert_eq!(ids, ["M-O1", "M-O2"]);
    let first = &offers[0];
    assert_eq!(first.framework_id.value, framework.id.as_str());
    assert_eq!(first.agent_id.as_ref().unwrap().value, agent.id.as_str());
    assert_eq!(first.unavailability.start.nanoseconds, 5);
    assert!(first.resources.is_empty());
    let url = first.url.as_ref().unwrap();
    assert_eq!((url.address.port, url.path()), (5051, "/slave(1)"));
    assert_eq!(test.master.snapshot().inverse_offers.len(), 2);
}

#[test]
fn answers_are_kept_with_their_time_and_set_a_filter() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    let id = offer(&mut test, &framework, &agent);
    let filters = json!({"refuse_seconds": 7.0});
    test.accepted(
        &framework,
        answer("ACCEPT", &[id.as_str(), "nope"], &filters),
    );
    assert_eq!(
        ended(&mut test, &framework, &agent),
        Some(Duration::from_secs(7))
    );
    let status = test.master.snapshot().maintenance_status();
    let answers = &status.draining_machines[0].statuses;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].status().as_str_name(), "ACCEPT");
    assert_eq!(answers[0].framework_id.value, framework.id.as_str());
    assert_eq!(answers[0].timestamp.nanoseconds, test.now.wall.as_nanos());

    // Asked again after the filter, the framework may change its mind.
    test.pass(Duration::from_secs(10));
    let id = offer(&mut test, &framework, &agent);
    test.accepted(&framework, answer("DECLINE", &[id.as_str()], &json!({})));
    assert_eq!(
        ended(&mut test, &framework, &agent),
        Some(Duration::from_secs(5))
    );
    let status = test.master.snapshot().maintenance_status();
    let answers = &status.draining_machines[0].statuses;
    assert_eq!(answers[0].status().as_str_name(), "DECLINE");
    assert_eq!(answers[0].timestamp.nanoseconds, test.now.wall.as_nanos());
    assert!(test.master.snapshot().inverse_offers.is_empty());
}

#[test]
fn answers_to_offers_of_others_are_ignored() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    let id = offer(&mut test, &framework, &agent);
    let other = test.framework(json!({}));
    for kind in ["ACCEPT", "DECLINE"] {
        test.accepted(&other, answer(kind, &[id.as_str()], &json!({})));
        test.accepted(&other, answer(kind, &[], &json!({})));
    }
    test.done();
    assert!(test.master.snapshot().inverse_offers.contains_key(&id));
    assert!(test.master.snapshot().inverse_offer_answers.is_empty());
}

#[test]
fn an_unanswered_inverse_offer_expires_with_the_timeout_of_offers() {
    let (mut test, agent, framework) = scheduled(MasterSettings {
        offer_timeout: Some(Duration::from_secs(30)),
        ..Default::default()
    });
    let id = offer(&mut test, &framework, &agent);
    test.pass(Duration::from_secs(29));
    test.done();
    test.pass(Duration::from_secs(1));
    let event = test.event(&framework.stream);
    assert_eq!(event.r#type().as_str_name(), "RESCIND_INVERSE_OFFER");
    let rescinded = event.rescind_inverse_offer.unwrap().inverse_offer_id;
    assert_eq!(rescinded.value, id.as_str());
    assert_eq!(ended(&mut test, &framework, &agent), None);
    assert_eq!(test.master.next_deadline(), None);
}

#[test]
fn a_changed_schedule_takes_inverse_offers_and_answers_back() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    let id = offer(&mut test, &framework, &agent);
    test.accepted(&framework, answer("ACCEPT", &[id.as_str()], &json!({})));
    ended(&mut test, &framework, &agent);
    offer(&mut test, &framework, &agent);
    let reply = test.operator_asks(schedule(&[]));
    test.store();
    assert!(
        test.event(&framework.stream)
            .rescind_inverse_offer
            .is_some()
    );
    assert_eq!(ended(&mut test, &framework, &agent), None);
    assert!(matches!(
        test.command(),
        Command::SetUnavailability { plan: None, .. }
    ));
    test.operator_told(reply);
    assert!(test.master.snapshot().inverse_offer_answers.is_empty());
}

#[test]
fn a_framework_that_stops_listening_loses_its_inverse_offers() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    offer(&mut test, &framework, &agent);
    let stream = framework.stream.clone();
    test.input(Input::StreamClosed { stream });
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    assert_eq!(ended(&mut test, &framework, &agent), None);
    test.done();
    // What was proposed meanwhile is not outstanding either.
    propose(&mut test, &framework, &agent);
    assert_eq!(ended(&mut test, &framework, &agent), None);
}

#[test]
fn a_framework_that_fails_over_loses_its_inverse_offers_without_a_word() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    offer(&mut test, &framework, &agent);
    let stale = proposal(&test, &framework, &agent);
    let id = json!({"value": framework.id.as_str()});
    let stream =
        test.subscribe(json!({"user": "root", "name": "test", "id": id, "failover_timeout": 100}));
    assert!(test.event(&framework.stream).error.is_some());
    test.closed_stream();
    assert_eq!(ended(&mut test, &framework, &agent), None);
    assert!(matches!(test.command(), Command::UpdateFramework { .. }));
    assert!(matches!(test.command(), Command::ActivateFramework { .. }));
    assert!(test.event(&stream).subscribed.is_some());
    test.input(Input::ProposedInverse(vec![stale]));
    assert_eq!(ended(&mut test, &framework, &agent), None);
}

#[test]
fn a_removed_framework_leaves_nothing_behind() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    let id = offer(&mut test, &framework, &agent);
    test.accepted(&framework, answer("ACCEPT", &[id.as_str()], &json!({})));
    ended(&mut test, &framework, &agent);
    offer(&mut test, &framework, &agent);
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    assert_eq!(ended(&mut test, &framework, &agent), None);
    assert!(matches!(test.command(), Command::RemoveFramework(_)));
    assert!(test.master.snapshot().inverse_offer_answers.is_empty());
    test.skip();
}

#[test]
fn inverse_offers_end_with_the_connection_of_their_agent() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    offer(&mut test, &framework, &agent);
    test.close_link(&agent);
    assert!(matches!(test.command(), Command::DeactivateAgent(_)));
    assert!(
        test.event(&framework.stream)
            .rescind_inverse_offer
            .is_some()
    );
    assert_eq!(ended(&mut test, &framework, &agent), None);
    propose(&mut test, &framework, &agent);
    assert_eq!(ended(&mut test, &framework, &agent), None);
}

#[test]
fn of_an_agent_that_is_gone_the_allocator_hears_nothing_more() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    offer(&mut test, &framework, &agent);
    let late = proposal(&test, &framework, &agent);
    test.agent_says(agent.link, AgentToMaster::Unregister);
    test.store();
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    assert!(
        test.event(&framework.stream)
            .rescind_inverse_offer
            .is_some()
    );
    assert!(test.event(&framework.stream).failure.is_some());
    test.closed_link();
    test.input(Input::ProposedInverse(vec![late]));
    test.done();
}

#[test]
fn a_proposal_of_an_old_plan_or_made_twice_is_dropped() {
    let (mut test, agent, framework) = scheduled(MasterSettings::default());
    offer(&mut test, &framework, &agent);
    propose(&mut test, &framework, &agent);
    test.done();
    let other = test.framework(json!({}));
    let mut old = proposal(&test, &other, &agent);
    old.unavailability.start.nanoseconds = 4;
    test.input(Input::ProposedInverse(vec![old]));
    test.done();
    assert_eq!(test.master.snapshot().inverse_offers.len(), 1);
}
