//! Agents that are drained, deactivated and reactivated while real tasks run on them.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, task};
use crate::support::http;

fn call(master: SocketAddr, kind: &str, name: &str, payload: Value) -> http::Response {
    let mut call = json!({"type": kind});
    call[name] = payload;
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let body = call.to_string();
    http::request(master, "POST", "/api/v1", &headers, body.as_bytes())
}

/// Answers 200, or says why not.
fn done(answer: &http::Response) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The agent as `/state` shows it.
fn shown(master: SocketAddr, agent: &Value) -> Value {
    let state = http::request(master, "GET", "/state", &[], &[]).json();
    let agents = state["slaves"].as_array().expect("agents");
    let found = agents.iter().find(|it| it["id"] == agent["value"]);
    found.expect("the agent").clone()
}

fn await_drained(master: SocketAddr, agent: &Value) -> Value {
    until("the end of the drain", || {
        let shown = shown(master, agent);
        (shown["drain_info"]["state"] == "DRAINED").then_some(shown)
    })
}

#[test]
fn an_agent_tells_that_it_is_drained() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &["PARTITION_AWARE"]);
    let offer = framework.offer();
    let stubborn = task("t", &offer, "trap '' TERM; while :; do sleep 1; done");
    framework.launch(&offer, &[stubborn]);
    framework.await_state("t", "TASK_RUNNING");
    let told = || {
        let answer = call(
            cluster.agents[0].address,
            "GET_AGENT",
            "get_agent",
            json!({}),
        );
        answer.json()["get_agent"].clone()
    };
    let before = told();
    assert_eq!(before["agent_info"]["id"], offer["agent_id"]);
    assert_eq!(before.get("drain_config"), None);
    assert_eq!(before.get("estimated_drain_start_time"), None);

    let payload = json!({"agent_id": offer["agent_id"], "max_grace_period": {"seconds": 5}});
    done(&call(master, "DRAIN_AGENT", "drain_agent", payload));
    let draining = until("the agent to know", || {
        let told = told();
        told.get("drain_config").is_some().then_some(told)
    });
    let config =
        json!({"max_grace_period": {"nanoseconds": 5_000_000_000_u64}, "mark_gone": false});
    assert_eq!(draining["drain_config"], config);
    let since = &draining["estimated_drain_start_time"]["nanoseconds"];
    assert!(since.as_u64().is_some_and(|since| since > 0), "{draining}");
    framework.await_state("t", "TASK_KILLED");
    let drained = await_drained(master, &offer["agent_id"]);
    assert_eq!(drained["drain_info"]["config"], config);
}

#[test]
fn a_drained_agent_ends_its_tasks_in_time_and_is_offered_when_it_is_reactivated() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &["PARTITION_AWARE"]);
    let offer = framework.offer();
    let agent = offer["agent_id"].clone();
    // It would take forever to end by itself.
    let mut stubborn = task("t", &offer, "trap '' TERM; while :; do sleep 1; done");
    stubborn["kill_policy"] = json!({"grace_period": {"nanoseconds": 3_600_000_000_000_u64}});
    framework.launch(&offer, &[stubborn]);
    framework.await_state("t", "TASK_RUNNING");
    framework.accepted(json!({"type": "REVIVE"}));
    let left = framework.offer();

    let payload = json!({"agent_id": agent, "max_grace_period": {"seconds": 1}});
    done(&call(master, "DRAIN_AGENT", "drain_agent", payload));
    let rescinded = framework.expect("RESCIND");
    assert_eq!(rescinded["rescind"]["offer_id"], left["id"]);
    let end = framework.await_state("t", "TASK_KILLED");
    assert_eq!(end["reason"], "REASON_AGENT_DRAINING");
    let agent_now = await_drained(master, &agent);
    assert_eq!(agent_now["active"], false);
    assert_eq!(agent_now["deactivated"], true);
    assert!(agent_now["estimated_drain_start_time_seconds"].is_number());
    let config =
        json!({"max_grace_period": {"nanoseconds": 1_000_000_000_u64}, "mark_gone": false});
    assert_eq!(agent_now["drain_info"]["config"], config);

    let payload = json!({"agent_id": agent});
    done(&call(
        master,
        "REACTIVATE_AGENT",
        "reactivate_agent",
        payload,
    ));
    let offer = framework.offer();
    framework.launch(&offer, &[task("u", &offer, "true")]);
    framework.await_state("u", "TASK_FINISHED");
    let agent_now = shown(master, &agent);
    assert_eq!(agent_now["active"], true);
    assert!(agent_now["drain_info"].is_null());
}

#[test]
fn an_agent_goes_on_draining_after_it_was_killed_and_is_gone_at_the_end() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut info = crate::support::framework::info("worker", &["PARTITION_AWARE"]);
    info["checkpoint"] = json!(true);
    let encoding = crate::support::framework::Encoding::Protobuf;
    let mut framework = Framework::subscribe(master, encoding, info);
    let offer = framework.offer();
    let agent = offer["agent_id"].clone();
    let mut slow = task(
        "t",
        &offer,
        "trap 'sleep 4; exit 0' TERM; while :; do sleep 0.1; done",
    );
    slow["kill_policy"] = json!({"grace_period": {"nanoseconds": 60_000_000_000_u64}});
    framework.launch(&offer, &[slow]);
    framework.await_state("t", "TASK_RUNNING");
    let payload = json!({"agent_id": agent, "mark_gone": true});
    done(&call(master, "DRAIN_AGENT", "drain_agent", payload));
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    cluster.restart_agent(0, &[]);
    framework.await_state("t", "TASK_GONE_BY_OPERATOR");
    until("the end of the agent, which is gone", || {
        cluster.agents[0].has_ended().then_some(())
    });
    let unknown = call(
        master,
        "REACTIVATE_AGENT",
        "reactivate_agent",
        json!({"agent_id": agent}),
    );
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.text(), "Agent is not deactivated");
}

#[test]
fn a_deactivated_agent_keeps_its_tasks_and_is_not_offered() {
    let cluster = Cluster::start(2);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &[]);
    let offer = framework.offer();
    let agent = offer["agent_id"].clone();
    framework.launch(&offer, &[task("t", &offer, "exec sleep 1000")]);
    framework.await_state("t", "TASK_RUNNING");
    let payload = json!({"agent_id": agent});
    done(&call(
        master,
        "DEACTIVATE_AGENT",
        "deactivate_agent",
        payload,
    ));
    framework.accepted(json!({"type": "REVIVE"}));
    // The other one is offered, this one is not.
    for event in framework.events_within(Duration::from_secs(2)) {
        for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
            assert_ne!(offer["agent_id"], agent);
        }
    }
    framework.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    assert_eq!(framework.update("t")["state"], "TASK_RUNNING");
    assert_eq!(shown(master, &agent)["active"], false);
    framework.teardown();
}

#[test]
fn what_is_no_drain_is_refused() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    for (payload, expected) in [
        (json!({"agent_id": {"value": "nobody"}}), "Unknown agent"),
        (
            json!({"agent_id": {"value": "x"}, "max_grace_period": {"seconds": -1}}),
            "Expecting 'max_grace_period' to be non-negative",
        ),
        (
            json!({"agent_id": {"value": "x"}, "max_grace_period": "soon"}),
            "max_grace_period",
        ),
        (json!({}), "agent_id"),
    ] {
        let answer = call(master, "DRAIN_AGENT", "drain_agent", payload.clone());
        assert_eq!(answer.status, 400, "{payload}");
        assert!(
            answer.text().contains(expected),
            "{payload}: {}",
            answer.text()
        );
    }
}
