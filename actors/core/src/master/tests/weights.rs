//! Tests of weights: from operators, from the flag, and from the registry.
//! How weights change shares is tested with the allocator.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::MasterSettings;
use super::super::messages::{Answer, Input};
use super::super::operator::Request;
use super::fixture::{TestMaster, read};
use crate::allocator::messages::Command;
use crate::ids::Role;
use crate::registry::{Operation, Registry};

fn request(weights: &[(&str, f64)]) -> Request {
    let weights = weights.iter();
    let weights = weights.map(|(role, weight)| read(&json!({"role": role, "weight": weight})));
    Request::UpdateWeights(weights.collect())
}

fn pairs(weights: &[(&str, f64)]) -> Vec<(Role, f64)> {
    let weights = weights.iter();
    weights
        .map(|(role, weight)| (Role::from(*role), *weight))
        .collect()
}

#[test]
fn weights_are_stored_then_told_and_only_then_answered() {
    let mut test = TestMaster::new();
    let reply = test.operator_asks(request(&[("a", 2.0), ("b/c", 0.5)]));
    let expected = pairs(&[("a", 2.0), ("b/c", 0.5)]);
    assert!(test.master.snapshot().weights.is_empty());
    assert_eq!(test.store(), Operation::UpdateWeights(expected.clone()));
    assert_eq!(test.command(), Command::UpdateWeights(expected));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert_eq!(test.master.snapshot().weights["b/c"], 0.5);
}

#[test]
fn nothing_asked_for_is_answered_well_and_tells_nobody() {
    let mut test = TestMaster::new();
    let reply = test.operator_asks(request(&[]));
    let (token, _) = test.operation();
    let result = Ok(false);
    test.input(Input::Applied { token, result });
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

#[test]
fn one_bad_weight_refuses_all() {
    let mut test = TestMaster::with(MasterSettings {
        roles: Some(["a".to_string()].into()),
        ..Default::default()
    });
    let reply = test.operator_asks(request(&[("a", 2.0), ("a", 0.0)]));
    let text = "Failed to validate update weights request JSON for role 'a': Invalid weight '0': \
                Weights must be positive";
    assert_eq!(
        test.operator_told(reply),
        Answer::Refused(400, text.to_string())
    );
    let reply = test.operator_asks(request(&[("z", 2.0)]));
    let text = "Failed to validate update weights request JSON: Unknown role 'z'";
    assert_eq!(
        test.operator_told(reply),
        Answer::Refused(400, text.to_string())
    );
}

#[test]
fn a_weight_of_a_role_in_use_takes_all_offers_back() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let web = test.framework(json!({"role": "web"}));
    let other = test.framework(json!({"role": "eng/other"}));
    test.offer(&web, &agent, "cpus:1");
    test.offer(&other, &agent, "cpus:2");

    let reply = test.operator_asks(request(&[("eng", 3.0), ("nobody", 2.0)]));
    test.store();
    assert!(matches!(test.command(), Command::UpdateWeights(_)));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    test.done();

    let reply = test.operator_asks(request(&[("nobody", 1.0), ("web", 3.0)]));
    test.store();
    assert!(
        matches!(test.command(), Command::UpdateWeights(_)),
        "told before offers end"
    );
    for framework in [&web, &other] {
        assert!(test.event(&framework.stream).rescind.is_some());
        assert!(matches!(
            test.command(),
            Command::Release { refusal: None, .. }
        ));
    }
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert_eq!(test.master.snapshot().counters.offers_rescinded, 2);
}

fn with_flag() -> MasterSettings {
    MasterSettings {
        weights: BTreeMap::from([("a".to_string(), 2.0)]),
        ..Default::default()
    }
}

#[test]
fn the_flag_counts_while_the_registry_holds_no_weights_and_is_stored() {
    let mut test = TestMaster::recovering(with_flag());
    test.input(Input::Recovered(Box::default()));
    let Command::Recover { weights, .. } = test.command() else {
        panic!("expected Recover");
    };
    assert_eq!(weights, pairs(&[("a", 2.0)]));
    assert_eq!(test.store(), Operation::UpdateWeights(weights));
    assert_eq!(test.master.snapshot().weights["a"], 2.0);
}

#[test]
fn the_registry_wins_over_the_flag() {
    let mut registry = Registry::default();
    registry.weights.insert("b".into(), 5.0);
    let mut test = TestMaster::recovering(with_flag());
    test.input(Input::Recovered(Box::new(registry)));
    let Command::Recover { weights, .. } = test.command() else {
        panic!("expected Recover");
    };
    assert_eq!(weights, pairs(&[("b", 5.0)]));
    let roles: Vec<_> = test.master.snapshot().weights.keys().cloned().collect();
    assert_eq!(roles, [Role::from("b")]);
}
