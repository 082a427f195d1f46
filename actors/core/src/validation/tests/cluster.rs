//! Tests of the rules for quotas, weights and maintenance, with the texts recorded from Mesos.
//! What the master does with good requests is tested with the master.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tepui_protocol::json::from_slice;
use tepui_protocol::schema::Message;

use crate::maintenance::{Change, MachineKey, Maintenance};
use crate::validation::{maintenance, quota, weights};

fn read<M: Message>(value: &Value) -> M {
    from_slice(value.to_string().as_bytes()).unwrap()
}

#[test]
fn quotas_are_refused_with_the_texts_of_mesos() {
    let cases = [
        (
            json!({"role": "a b", "limits": {"cpus": {"value": 1}}}),
            "Invalid 'QuotaConfig.role': Role component 'a b' is invalid because it contains \
             backspace or whitespace",
        ),
        (
            json!({"role": "t", "guarantees": {"cpus": {"value": 2}},
                   "limits": {"cpus": {"value": 1}, "mem": {"value": 1.5}}}),
            "'QuotaConfig.guarantees' { cpus: 2 } is not contained within the \
             'QuotaConfig.limits' { cpus: 1, mem: 1.5 }",
        ),
        (
            json!({"role": "t", "limits": {"cpus": {"value": -1}}}),
            "Invalid limit configuration {'cpus': -1}: Negative values not supported",
        ),
        (
            json!({"role": "t", "guarantees": {"cpus": {"value": 1e-310}}}),
            "Invalid guarantee configuration {'cpus': 0}: Subnormal values not supported",
        ),
        (
            json!({"role": "t", "guarantees": {"mem": {"value": 1_099_511_627_777_i64}}}),
            "Invalid 'QuotaConfig.guarantees': {'mem': 1099511627777} is invalid: values greater \
             than 1 exabyte (1099511627776) are not supported",
        ),
        (
            json!({"role": "t", "limits": {"gpus": {"value": 1_000_000_000_001_i64}}}),
            "Invalid 'QuotaConfig.limits': {'gpus': 1000000000001} is invalid: values greater \
             than 1 trillion (1000000000000) are not supported",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(quota::validate(&read(&config)), Err(expected.to_owned()));
    }
}

#[test]
fn a_good_quota_is_read_with_zero_limits_and_without_zero_guarantees() {
    let config = json!({"role": "*", "guarantees": {"cpus": {"value": 0.5}, "mem": {"value": 0}},
                        "limits": {"cpus": {"value": 0.5}, "gpus": {"value": 0}}});
    let quota = quota::validate(&read(&config)).unwrap();
    assert_eq!(quota.guarantees.to_string(), "cpus:0.5");
    assert_eq!(quota.limits.to_string(), "cpus:0.5; gpus:0");
    let ended = quota::validate(&read(&json!({"role": "t"}))).unwrap();
    assert!(ended.is_default());
}

#[test]
fn weights_are_refused_with_the_texts_of_mesos() {
    let listed = BTreeSet::from(["r".to_owned()]);
    let error = |info: Value| weights::validate(&read(&info), Some(&listed)).unwrap_err();
    let start = "Failed to validate update weights request JSON";
    assert_eq!(
        error(json!({"weight": 1.0})),
        format!("{start}: Invalid role '': Role names cannot be the empty string")
    );
    assert_eq!(
        error(json!({"role": "x", "weight": 1.0})),
        format!("{start}: Unknown role 'x'")
    );
    for (weight, text) in [(0.0, "0"), (-1.0, "-1"), (-1e-7, "-1e-07")] {
        let expected =
            format!("{start} for role 'r': Invalid weight '{text}': Weights must be positive");
        assert_eq!(error(json!({"role": "r", "weight": weight})), expected);
    }
    let mut odd = read::<tepui_protocol::v1::WeightInfo>(&json!({"role": "r", "weight": 1}));
    odd.weight = f64::NAN;
    assert!(weights::validate(&odd, None).unwrap_err().contains("'nan'"));
    let good = |role: &str| {
        let info = read(&json!({"role": role, "weight": 2.5}));
        weights::validate(&info, Some(&listed))
    };
    assert_eq!(good(" r\t"), Ok(("r".into(), 2.5)));
    assert_eq!(good("*"), Ok(("*".into(), 2.5)), "always listed");
}

fn present(machines: Value) -> Maintenance {
    let mut present = Maintenance::default();
    let schedule = json!({"windows": [
        {"machine_ids": machines, "unavailability": {"start": {"nanoseconds": 1}}}]});
    present.apply(&Change::Schedule(read(&schedule))).unwrap();
    present
}

#[test]
fn schedules_are_refused_with_the_texts_of_mesos() {
    let mut down = present(json!([{"hostname": "D"}]));
    down.apply(&Change::Start(vec![MachineKey::new("d", "")]))
        .unwrap();
    let start = json!({"start": {"nanoseconds": 1}});
    let m1 = json!({"hostname": "m1"});
    let twice = "Machine '{\"hostname\":\"M1\"}' appears more than once in the schedule";
    let cases = [
        (
            json!([[]]),
            "List of machines in the maintenance window is empty",
        ),
        (
            json!([[{}]]),
            "Both 'hostname' and 'ip' for a machine are empty",
        ),
        (
            json!([[{"ip": "999.1.1.1"}]]),
            "Failed to parse IPv4: 999.1.1.1",
        ),
        (json!([[m1, {"hostname": "M1"}]]), twice),
        (json!([[m1], [{"hostname": "M1"}]]), twice),
        (
            json!([[m1]]),
            "Machine '{\"hostname\":\"D\"}' is deactivated and cannot be removed from the schedule",
        ),
    ];
    for (windows, expected) in cases {
        let windows = windows.as_array().unwrap().iter();
        let windows: Vec<Value> = windows
            .map(|ids| json!({"machine_ids": ids, "unavailability": start}))
            .collect();
        let schedule = read(&json!({"windows": windows}));
        assert_eq!(
            maintenance::schedule(&schedule, &down),
            Err(expected.to_owned())
        );
    }
    let backwards = json!({"start": {"nanoseconds": 1}, "duration": {"nanoseconds": -5}});
    let schedule = json!({"windows": [{"machine_ids": [m1], "unavailability": backwards}]});
    let error = maintenance::schedule(&read(&schedule), &Maintenance::default());
    assert_eq!(
        error,
        Err("Unavailability 'duration' is negative".to_owned())
    );
}

#[test]
fn schedules_take_addresses_of_both_kinds_and_the_empty_one_is_good() {
    let windows = json!([{"machine_ids": [{"ip": "::1"}, {"hostname": "a", "ip": "10.0.0.1"}],
                          "unavailability": {"start": {"nanoseconds": 1}}}]);
    let nothing = Maintenance::default();
    let good = |schedule: Value| maintenance::schedule(&read(&schedule), &nothing);
    assert_eq!(good(json!({"windows": windows})), Ok(()));
    assert_eq!(good(json!({})), Ok(()));
}

#[test]
fn machines_go_down_from_draining_and_up_from_down_only() {
    let mut present = present(json!([{"hostname": "a"}, {"hostname": "b"}]));
    present
        .apply(&Change::Start(vec![MachineKey::new("b", "")]))
        .unwrap();
    let ids = |names: &[&str]| {
        let names = names.iter();
        names
            .map(|name| read(&json!({"hostname": name})))
            .collect::<Vec<_>>()
    };
    let err = |text: &str| Err(text.to_owned());
    assert_eq!(
        maintenance::start(&[], &present),
        err("List of machines is empty")
    );
    assert_eq!(
        maintenance::stop(&[], &present),
        err("List of machines is empty")
    );
    assert_eq!(
        maintenance::start(&ids(&["A", "a"]), &present),
        err("Machine '{\"hostname\":\"a\"}' appears more than once in the schedule")
    );
    assert_eq!(
        maintenance::start(&ids(&["x"]), &present),
        err("Machine '{\"hostname\":\"x\"}' is not part of a maintenance schedule")
    );
    assert_eq!(
        maintenance::start(&ids(&["a", "b"]), &present),
        err("Machine '{\"hostname\":\"b\"}' is not in DRAINING mode and cannot be brought down")
    );
    assert_eq!(
        maintenance::stop(&ids(&["a"]), &present),
        err("Machine '{\"hostname\":\"a\"}' is not in DOWN mode and cannot be brought up")
    );
    let key = |name: &str| vec![MachineKey::new(name, "")];
    assert_eq!(maintenance::start(&ids(&["A"]), &present), Ok(key("a")));
    assert_eq!(maintenance::stop(&ids(&["b"]), &present), Ok(key("b")));
}
