//! What operators change: quota, weights, maintenance. Who may ask is not checked here.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tepui_protocol::v1::master::call::Type;

use crate::support::cluster::{Cluster, find_metric, until};
use crate::support::framework::{Encoding, Framework, info, task};
use crate::support::http;

/// Sends a call of the operator API.
fn operate(master: SocketAddr, call: Value) -> http::Response {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let body = call.to_string().into_bytes();
    http::request(master, "POST", "/api/v1", &headers, &body)
}

fn done(master: SocketAddr, call: Value) {
    let answer = operate(master, call.clone());
    assert_eq!(answer.status, 200, "{call}: {}", answer.text());
}

fn refused(master: SocketAddr, call: Value) -> String {
    let answer = operate(master, call.clone());
    assert_eq!(answer.status, 400, "{call}: {}", answer.text());
    answer.text()
}

fn update_quota(config: Value) -> Value {
    json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}})
}

fn of_role(name: &str) -> Value {
    let mut info = info(name, &["MULTI_ROLE"]);
    info["roles"] = json!([name]);
    info
}

/// The CPUs of an offer.
fn cpus(offer: &Value) -> f64 {
    let resources = offer["resources"].as_array().expect("resources");
    let own = resources.iter().filter(|r| r["name"] == "cpus");
    own.map(|r| r["scalar"]["value"].as_f64().expect("amount"))
        .sum()
}

#[test]
fn quota_limits_offers_and_keeps_guarantees_free() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let limits = json!({"cpus": {"value": 1.0}});
    done(
        master,
        update_quota(json!({"role": "web", "limits": limits})),
    );
    let guarantees = json!({"cpus": {"value": 2.0}});
    done(
        master,
        update_quota(json!({"role": "batch", "guarantees": guarantees})),
    );
    let too_much = json!({"cpus": {"value": 1000.0}});
    let text = refused(
        master,
        update_quota(json!({"role": "huge", "guarantees": too_much})),
    );
    assert!(text.contains("guarantees"), "{text}");
    let key = "allocator/mesos/quota/roles/web/resources/cpus";
    until("the limit", || {
        (find_metric(master, &format!("{key}/limit")) == Some(1.0)).then_some(())
    });

    let mut web = Framework::subscribe(master, Encoding::Json, of_role("web"));
    let offer = web.offer();
    assert_eq!(cpus(&offer), 1.0, "its limit");
    until("what is offered", || {
        let offered = find_metric(master, &format!("{key}/offered_or_allocated"));
        (offered == Some(1.0)).then_some(())
    });
    let mut other = Framework::subscribe(master, Encoding::Protobuf, of_role("other"));
    // The first offer took all memory with it; back it comes with the rest.
    let decline = json!({"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 1000.0}});
    web.accepted(json!({"type": "DECLINE", "decline": decline}));
    // It comes in one offer, or in two when a run came between the subscription and the decline.
    let mut offered = cpus(&other.offer());
    while offered < 2.0 {
        offered += cpus(&other.offer());
    }
    assert_eq!(offered, 2.0, "4 without what is guaranteed to batch");
    web.teardown();
    other.teardown();
}

#[test]
fn weights_are_checked_and_taken() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let weights = |weight: f64| {
        json!({"type": "UPDATE_WEIGHTS",
            "update_weights": {"weight_infos": [{"role": "web", "weight": weight}]}})
    };
    let text = refused(master, weights(0.0));
    assert!(text.contains("Weights must be positive"), "{text}");
    let mut web = Framework::subscribe(master, Encoding::Json, of_role("web"));
    let offer = web.offer();
    done(master, weights(2.5));
    let rescind = web.expect("RESCIND");
    assert_eq!(rescind["rescind"]["offer_id"], offer["id"]);
    assert_eq!(cpus(&web.offer()), 4.0, "it is offered again");
    web.teardown();
}

#[test]
fn a_machine_is_drained_and_goes_down_for_maintenance() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &[]);
    let offer = framework.offer();
    framework.accept(
        &offer,
        json!([{"type": "LAUNCH",
            "launch": {"task_infos": [task("t", &offer, "exec sleep 1000")]}}]),
        0.0,
    );
    framework.await_state("t", "TASK_RUNNING");
    let machine = json!({"hostname": "localhost", "ip": "127.0.0.1"});
    let unavailability = json!({"start": {"nanoseconds": 4_000_000_000_000_000_000_i64},
        "duration": {"nanoseconds": 60_000_000_000_i64}});
    let start = json!({"type": "START_MAINTENANCE",
        "start_maintenance": {"machines": [machine]}});
    let text = refused(master, start.clone());
    assert!(
        text.contains("is not part of a maintenance schedule"),
        "{text}"
    );
    let windows = json!([{"machine_ids": [machine], "unavailability": unavailability}]);
    done(
        master,
        json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
            "update_maintenance_schedule": {"schedule": {"windows": windows}}}),
    );
    let event = framework.expect("INVERSE_OFFERS");
    let inverse = &event["inverse_offers"]["inverse_offers"][0];
    assert_eq!(inverse["agent_id"], offer["agent_id"]);
    assert_eq!(inverse["unavailability"], unavailability);
    framework.accepted(json!({"type": "ACCEPT_INVERSE_OFFERS",
        "accept_inverse_offers": {"inverse_offer_ids": [inverse["id"]]}}));
    framework.find("an offer that tells the plan", |event| {
        event["offers"]["offers"][0]["unavailability"] == unavailability
    });
    done(master, start);
    assert_eq!(framework.update("t")["state"], "TASK_LOST");
    until("the end of the agent", || {
        cluster.agents[0].has_ended().then_some(())
    });
    done(
        master,
        json!({"type": "STOP_MAINTENANCE", "stop_maintenance": {"machines": [machine]}}),
    );
    framework.teardown();
}

#[test]
fn every_call_of_the_api_is_served() {
    let cluster = Cluster::start(0);
    let kinds = (1..).map_while(|number| Type::try_from(number).ok());
    let mut count = 0;
    for kind in kinds.filter(|kind| *kind != Type::Subscribe) {
        let name = kind.as_str_name();
        let answer = operate(cluster.master.address, json!({"type": name}));
        let is_answered = matches!(answer.status, 200 | 400);
        assert!(is_answered, "{name}: {} {}", answer.status, answer.text());
        count += 1;
    }
    assert!(count > 30, "{count}");
}
