//! Agents that are marked gone, and agents that fall silent together.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Framework, task};
use crate::support::http;

const GUARD: &str = "/api/tepui/v1/guard";

fn post(master: SocketAddr, path: &str, body: &Value) -> http::Response {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    http::request(master, "POST", path, &headers, body.to_string().as_bytes())
}

fn mark_gone(master: SocketAddr, agent: &Value) -> http::Response {
    let call = json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": agent}});
    post(master, "/api/v1", &call)
}

#[test]
fn an_agent_that_is_marked_gone_ends_with_its_tasks_and_its_id_never_comes_back() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &["PARTITION_AWARE"]);
    let offer = framework.offer();
    framework.launch(
        &offer,
        &[task("t", &offer, "echo $$ > pid; exec sleep 1000")],
    );
    framework.await_state("t", "TASK_RUNNING");
    let agent = offer["agent_id"].clone();
    let unknown = mark_gone(master, &json!({"value": "nobody"}));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_eq!(mark_gone(master, &agent).status, 200);
    let end = framework.update("t");
    assert_eq!(end["state"], "TASK_GONE_BY_OPERATOR");
    assert_eq!(end["reason"], "REASON_AGENT_REMOVED_BY_OPERATOR");
    assert_eq!(mark_gone(master, &agent).status, 200, "it is gone already");
    until("the end of the agent", || {
        cluster.agents[0].has_ended().then_some(())
    });
    cluster.restart_agent(0, &[]);
    cluster.wait_for_agents(1);
    let again = framework.offer();
    assert_ne!(again["agent_id"], agent);
    assert_eq!(metric(master, "master/tasks_gone_by_operator"), 1.0);
    framework.teardown();
}

fn held(master: SocketAddr) -> Vec<Value> {
    let answer = http::request(master, "GET", GUARD, &[], &[]);
    assert_eq!(answer.status, 200);
    let guard = answer.json();
    assert_eq!(guard["limit_percent"], 50.0);
    guard["held"].as_array().expect("held agents").clone()
}

#[test]
fn agents_that_fall_silent_together_are_kept_until_they_answer_or_an_operator_speaks() {
    let flags = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"];
    let cluster = Cluster::with(6, &flags, &[]);
    let master = cluster.master.address;
    assert!(held(master).is_empty());
    for agent in &cluster.agents {
        agent.signal(Signal::SIGSTOP);
    }
    // Four may be lost, whatever their share; five of six are more than half.
    until("held agents", || (held(master).len() == 2).then_some(()));
    assert_eq!(metric(master, "master/slaves_held"), 2.0);
    assert_eq!(metric(master, "master/slaves_unreachable"), 4.0);
    for agent in held(master) {
        assert_eq!(agent["action"], "mark_unreachable");
        assert_eq!(agent["reason"], "health check timed out");
    }
    let log = cluster.master.log_text();
    assert!(log.contains("mass-kill guard"), "{log}");

    for body in [
        json!({}),
        json!({"release": false}),
        json!({"release": true, "x": 1}),
    ] {
        assert_eq!(post(master, GUARD, &body).status, 400, "{body}");
    }
    let release = br#"{"release": true}"#;
    for (headers, status) in [
        (&[][..], 400),
        (&[("Content-Type", "text/plain")], 415),
        (&[("Content-Type", "application/x-protobuf")], 400),
    ] {
        let answer = http::request(master, "POST", GUARD, headers, release);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
    }
    assert_eq!(http::request(master, "PUT", GUARD, &[], &[]).status, 405);
    assert_eq!(held(master).len(), 2);
    assert_eq!(post(master, GUARD, &json!({"release": true})).status, 200);
    until("that they are given up", || {
        (metric(master, "master/slaves_unreachable") == 6.0).then_some(())
    });
    assert!(held(master).is_empty());
    for agent in &cluster.agents {
        agent.signal(Signal::SIGCONT);
    }
    cluster.wait_for_agents(6);
    assert_eq!(metric(master, "master/slaves_unreachable"), 0.0);
}
