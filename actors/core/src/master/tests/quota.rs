//! Tests of quotas as operators set them: what is refused, what is stored, which offers end.
//! How quota bounds offers is tested with the allocator.

use serde_json::{Value, json};
use tepui_protocol::packed::Packed;

use super::super::MasterSettings;
use super::super::messages::{Answer, Effect, Input};
use super::super::operator::Request;
use super::fixture::{TestFramework, TestMaster, read};
use crate::allocator::messages::Command;
use crate::ids::{OfferId, Role};
use crate::quota::Quota;
use crate::registry::{Operation, Registry};
use crate::resources::{Limits, Quantities};

fn request(configs: &Value, force: bool) -> Request {
    let configs = configs.as_array().unwrap().iter();
    Request::UpdateQuota {
        configs: configs.map(read).collect(),
        force,
    }
}

/// One config with amounts of cpus.
fn cpus(role: &str, guarantee: f64, limit: f64) -> Value {
    json!({"role": role, "guarantees": {"cpus": {"value": guarantee}},
           "limits": {"cpus": {"value": limit}}})
}

fn quota(guarantee: f64, limit: f64) -> Quota {
    Quota {
        guarantees: Quantities::from_amounts([("cpus", guarantee)]),
        limits: Limits::from_amounts([("cpus", limit)]),
    }
}

fn refused(test: &mut TestMaster, configs: &Value) -> String {
    let reply = test.operator_asks(request(configs, false));
    match test.operator_told(reply) {
        Answer::Refused(400, text) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Has the quotas set, and reads everything but what happens to offers.
fn set(test: &mut TestMaster, configs: &Value) {
    let reply = test.operator_asks(request(configs, false));
    assert!(matches!(test.store(), Operation::UpdateQuota(_)));
    for _ in configs.as_array().unwrap() {
        assert!(
            matches!(test.command(), Command::SetQuota { .. }),
            "told before offers end"
        );
    }
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

fn rescinded(test: &mut TestMaster, framework: &TestFramework) -> OfferId {
    let rescind = test.event(&framework.stream).rescind.expect("RESCIND");
    assert!(matches!(
        test.command(),
        Command::Release { refusal: None, .. }
    ));
    OfferId::from(&rescind.offer_id)
}

#[test]
fn quotas_are_stored_then_told_and_only_then_answered() {
    let mut test = TestMaster::new();
    test.agent(5051);
    let reply = test.operator_asks(request(
        &json!([cpus("a", 1.0, 2.0), cpus("b", 0.0, 3.0)]),
        false,
    ));
    let expected: Vec<(Role, Quota)> =
        vec![("a".into(), quota(1.0, 2.0)), ("b".into(), quota(0.0, 3.0))];
    assert!(test.master.snapshot().quotas.is_empty());
    assert_eq!(test.store(), Operation::UpdateQuota(expected.clone()));
    for (role, quota) in expected {
        assert_eq!(test.command(), Command::SetQuota { role, quota });
    }
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert_eq!(test.master.snapshot().quotas["a"], quota(1.0, 2.0));
}

#[test]
fn an_ended_quota_is_told_as_the_default() {
    let mut test = TestMaster::new();
    set(&mut test, &json!([cpus("a", 0.0, 2.0)]));
    let reply = test.operator_asks(request(&json!([{"role": "a"}]), false));
    test.store();
    let (role, quota) = (Role::from("a"), Quota::default());
    assert_eq!(test.command(), Command::SetQuota { role, quota });
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert!(test.master.snapshot().quotas["a"].is_default());
}

#[test]
fn the_last_of_two_quotas_of_a_role_counts_and_the_default_role_may_have_one() {
    let mut test = TestMaster::new();
    set(
        &mut test,
        &json!([cpus("*", 0.0, 1.0), cpus("*", 0.0, 2.0)]),
    );
    assert_eq!(test.master.snapshot().quotas["*"], quota(0.0, 2.0));
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_mesos_words() {
    let mut test = TestMaster::with(MasterSettings {
        roles: Some(["a".to_string(), "a/b".to_string(), "a b".to_string()].into()),
        ..Default::default()
    });
    assert_eq!(
        refused(&mut test, &json!([cpus("z", 0.0, 1.0)])),
        "Invalid QuotaConfig: 'z' is not on the roles whitelist"
    );
    assert_eq!(
        refused(&mut test, &json!([cpus("a/b", 0.0, 1.0)])),
        "Updating quota on nested role 'a/b' is not supported yet"
    );
    let text = refused(
        &mut test,
        &json!([cpus("a", 0.0, 1.0), cpus("a b", 0.0, 1.0)]),
    );
    assert!(
        text.starts_with("Invalid QuotaConfig: Invalid 'QuotaConfig.role': "),
        "{text}"
    );
    assert!(test.master.snapshot().quotas.is_empty());
}

#[test]
fn guarantees_beyond_the_cluster_need_force() {
    let mut test = TestMaster::new();
    test.agent(5051);
    set(&mut test, &json!([cpus("a", 3.0, 9.0)]));
    let agent = test.agent(5052);
    test.close_link(&agent);
    test.command();
    set(&mut test, &json!([cpus("b", 5.0, 9.0)]));
    let more = json!([cpus("c", 0.5, 9.0)]);
    assert_eq!(
        refused(&mut test, &more),
        "Invalid QuotaConfig: total quota guarantees 'cpus:8.5' exceed cluster capacity \
         'cpus:8; disk:8192; mem:4096' (use 'force' flag to bypass this check)"
    );
    // A new quota of the same role counts in place of the old one.
    set(
        &mut test,
        &json!([cpus("b", 4.0, 9.0), cpus("c", 1.0, 9.0)]),
    );
    let reply = test.operator_asks(request(&json!([cpus("c", 50.0, 90.0)]), true));
    test.store();
    assert!(matches!(test.command(), Command::SetQuota { .. }));
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

#[test]
fn a_limit_below_what_is_used_needs_force() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"role": "eng/web"}));
    test.launch(&framework, &agent, "t");
    let below = json!([cpus("eng", 0.0, 0.5)]);
    assert_eq!(
        refused(&mut test, &below),
        "Invalid QuotaConfig: Role 'eng' is already consuming 'cpus:1; mem:128'; this is more \
         than the requested limits 'cpus:0.5' (use 'force' flag to bypass this check)"
    );
    // What other roles use does not count.
    set(&mut test, &json!([cpus("web", 0.0, 0.5)]));
    let reply = test.operator_asks(request(&below, true));
    test.store();
    assert!(matches!(test.command(), Command::SetQuota { .. }));
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

#[test]
fn unused_reservations_count_as_used() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    let mut register = super::fixture::register(5051);
    let reserved = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "role": "eng"});
    register.info.resources.push(read(&reserved));
    let message = tepui_protocol::link::AgentToMaster::Register(Box::new(register));
    test.agent_says(link, message);
    test.store();
    test.skip();
    let text = refused(&mut test, &json!([cpus("eng", 0.0, 1.5)]));
    assert!(text.contains("already consuming 'cpus:2'"), "{text}");
}

#[test]
fn offers_beyond_a_new_limit_are_taken_back() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let eng = test.framework(json!({"role": "eng/web"}));
    let other = test.framework(json!({"role": "other"}));
    let first = test.offer(&eng, &agent, "cpus:1");
    test.offer(&eng, &agent, "cpus:1");
    test.offer(&other, &agent, "cpus:1");
    set(&mut test, &json!([cpus("eng", 0.0, 1.0)]));
    assert_eq!(rescinded(&mut test, &eng), first);
    assert_eq!(test.master.snapshot().offers.len(), 2);
}

#[test]
fn offers_to_others_are_taken_back_until_guarantees_could_be_met() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let eng = test.framework(json!({"role": "eng"}));
    let other = test.framework(json!({"role": "other"}));
    test.offer(&eng, &agent, "cpus:1");
    let taken = [
        test.offer(&other, &agent, "cpus:1"),
        test.offer(&other, &agent, "cpus:1"),
    ];
    test.offer(&other, &agent, "cpus:0.5");
    set(&mut test, &json!([cpus("eng", 2.5, 4.0)]));
    assert_eq!([(); 2].map(|()| rescinded(&mut test, &other)), taken);
    assert_eq!(test.master.snapshot().offers.len(), 2);
}

#[test]
fn a_request_the_registry_refuses_is_answered_and_the_master_goes_on() {
    let mut test = TestMaster::new();
    let reply = test.operator_asks(request(&json!([cpus("a", 0.0, 1.0)]), false));
    let (token, _) = test.operation();
    let result = Err("it does not fit".to_string());
    test.input(Input::Applied { token, result });
    let expected = Answer::Refused(409, "it does not fit".to_string());
    assert_eq!(test.operator_told(reply), expected);
    assert!(test.master.snapshot().quotas.is_empty());
}

#[test]
fn quotas_of_the_registry_reach_the_allocator_before_anything_else() {
    let mut registry = Registry::default();
    registry.quotas.insert("a".into(), quota(1.0, 2.0));
    for id in ["S0", "S1"] {
        registry
            .admitted
            .insert(id.into(), Packed::new(&Default::default()));
    }
    let mut test = TestMaster::recovering(MasterSettings::default());
    test.input(Input::Recovered(Box::new(registry)));
    let expected = Command::Recover {
        expected_agents: 2,
        quotas: vec![("a".into(), quota(1.0, 2.0))],
        weights: Vec::new(),
    };
    assert_eq!(test.command(), expected);
    assert_eq!(test.master.snapshot().quotas["a"], quota(1.0, 2.0));
}

#[test]
fn operators_are_refused_until_the_registry_was_read() {
    let mut test = TestMaster::recovering(MasterSettings::default());
    let mut out = Vec::new();
    let request = Box::new(request(&json!([]), false));
    let reply = super::super::messages::Token(7);
    let principal = None;
    let input = Input::Operator {
        request,
        principal,
        reply,
    };
    test.master.handle(test.now, input, &mut out);
    let text = "Master has not finished recovery".to_string();
    assert_eq!(out, [Effect::Reply(reply, Answer::Refused(503, text))]);
}
