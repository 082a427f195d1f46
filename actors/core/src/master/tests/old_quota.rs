//! Tests of quota as it was set and removed one role at a time, and of a teardown by an operator.
//! What follows once a quota is stored is tested in `quota`.

use serde_json::{Value, json};

use super::super::MasterSettings;
use super::super::messages::{Answer, Effect};
use super::super::operator::Request;
use super::fixture::{TestMaster, read};
use crate::allocator::messages::Command;
use crate::ids::{FrameworkId, Role};
use crate::quota::Quota;
use crate::registry::Operation;
use crate::resources::{Limits, Quantities};

fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
}

fn removal(role: &str, path: Option<&str>) -> Request {
    Request::RemoveQuota {
        role: Role::from(role),
        path: path.map(str::to_owned),
    }
}

fn ask(test: &mut TestMaster, request: &Value) -> Answer {
    let reply = test.operator_asks(Request::SetQuota(read(request)));
    test.operator_told(reply)
}

#[test]
fn what_is_guaranteed_is_the_limit_too_until_the_quota_is_removed() {
    let mut test = TestMaster::new();
    test.agent(5051);
    let wanted = json!({"role": "a", "guarantee": [scalar("cpus", 1.0)]});
    let reply = test.operator_asks(Request::SetQuota(read(&wanted)));
    let quota = Quota {
        guarantees: Quantities::from_amounts([("cpus", 1.0)]),
        limits: Limits::from_amounts([("cpus", 1.0)]),
    };
    let role = Role::from("a");
    let expected = vec![(role.clone(), quota.clone())];
    assert_eq!(test.store(), Operation::UpdateQuota(expected));
    let told = Command::SetQuota {
        role: role.clone(),
        quota,
    };
    assert_eq!(test.command(), told);
    assert_eq!(test.operator_told(reply), Answer::Ok);
    let text = "Failed to validate set quota request: Cannot set quota for role 'a' which already \
                has quota";
    assert_eq!(
        ask(&mut test, &wanted),
        Answer::Refused(400, text.to_owned())
    );

    let reply = test.operator_asks(removal("a", None));
    let ended = vec![(role.clone(), Quota::default())];
    assert_eq!(test.store(), Operation::UpdateQuota(ended));
    let told = Command::SetQuota {
        role: role.clone(),
        quota: Quota::default(),
    };
    assert_eq!(test.command(), told);
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert!(test.master.snapshot().quotas.is_empty());
    let reply = test.operator_asks(removal("a", Some("/master/quota/a")));
    let text = "Failed to remove quota for path '/master/quota/a': Role 'a' has no quota set";
    let refused = Answer::Refused(400, text.to_owned());
    assert_eq!(test.operator_told(reply), refused);
}

#[test]
fn more_than_there_is_needs_force() {
    let mut test = TestMaster::new();
    test.agent(5051);
    let mut wanted = json!({"role": "a", "guarantee": [scalar("cpus", 1000.0)]});
    let Answer::Refused(409, text) = ask(&mut test, &wanted) else {
        panic!("it was not refused");
    };
    let begins = "Quota guarantees overcommit the cluster (use 'force' to bypass this check): \
                  Total quota guarantees 'cpus:1000' exceed cluster capacity 'cpus:";
    assert!(text.starts_with(begins), "{text}");
    wanted["force"] = json!(true);
    let reply = test.operator_asks(Request::SetQuota(read(&wanted)));
    test.store();
    assert!(matches!(test.command(), Command::SetQuota { .. }));
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_mesos_words() {
    let mut test = TestMaster::with(MasterSettings {
        roles: Some(["a".to_string(), "a/b".to_string()].into()),
        ..Default::default()
    });
    let ranges = json!({"name": "ports", "type": "RANGES",
        "ranges": {"range": [{"begin": 1, "end": 2}]}});
    let mut reserved = scalar("cpus", 1.0);
    reserved["reservations"] = json!([{"type": "STATIC", "role": "a"}]);
    let mut revocable = scalar("cpus", 1.0);
    revocable["revocable"] = json!({});
    let cases = [
        (
            "",
            json!([scalar("cpus", 1.0)]),
            "QuotaInfo with invalid role: Role names cannot be the empty string",
        ),
        ("a", json!([]), "QuotaInfo with empty 'guarantee'"),
        (
            "a",
            json!([reserved]),
            "QuotaInfo must not contain any ReservationInfo",
        ),
        (
            "a",
            json!([revocable]),
            "QuotaInfo must not contain RevocableInfo",
        ),
        (
            "a",
            json!([ranges]),
            "QuotaInfo must not include non-scalar resources",
        ),
        (
            "a",
            json!([scalar("cpus", 1.0), scalar("cpus", 2.0)]),
            "QuotaInfo contains duplicate resource name 'cpus'",
        ),
        ("z", json!([scalar("cpus", 1.0)]), "Unknown role 'z'"),
        (
            "a",
            json!([scalar("cpus", 2e12)]),
            "Invalid 'QuotaConfig.guarantees': {'cpus': 2000000000000} is invalid: values greater \
             than 1 trillion (1000000000000) are not supported",
        ),
    ];
    for (role, guarantee, text) in cases {
        let answer = ask(&mut test, &json!({"role": role, "guarantee": guarantee}));
        let text = format!("Failed to validate set quota request: {text}");
        assert_eq!(answer, Answer::Refused(400, text));
    }
    let negative = json!({"role": "a", "guarantee": [scalar("cpus", -1.0)]});
    let text = "Failed to validate set quota request: QuotaInfo with invalid resource: Resource \
                'cpus:-1' is invalid: Invalid scalar resource: value <= 0";
    assert_eq!(
        ask(&mut test, &negative),
        Answer::Refused(400, text.to_owned())
    );
    let nested = json!({"role": "a/b", "guarantee": [scalar("cpus", 1.0)]});
    let text = "Setting quota on nested role 'a/b' is not supported yet";
    assert_eq!(
        ask(&mut test, &nested),
        Answer::Refused(400, text.to_owned())
    );
    let reply = test.operator_asks(removal("z", None));
    let text = "Failed to validate remove quota request: Unknown role 'z'";
    let refused = Answer::Refused(400, text.to_owned());
    assert_eq!(test.operator_told(reply), refused);
}

#[test]
fn a_teardown_removes_the_framework_before_it_is_answered() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({}));
    let reply = test.operator_asks(Request::Teardown(framework.id.clone()));
    assert!(
        !test
            .master
            .snapshot()
            .frameworks
            .contains_key(&framework.id)
    );
    test.find("its end for the allocator", |effect| {
        matches!(
            effect,
            Effect::ToAllocator(Command::RemoveFramework(id)) if *id == framework.id
        )
        .then_some(())
    });
    assert_eq!(test.operator_told(reply), Answer::Ok);
    test.skip();
    let reply = test.operator_asks(Request::Teardown(FrameworkId::from("ghost")));
    let text = "No framework found with specified ID";
    let refused = Answer::Refused(400, text.to_owned());
    assert_eq!(test.operator_told(reply), refused);
}
