//! `/health`, `/version`, `/flags`, `/state` and `/metrics/snapshot` over real connections.
//! Their shapes are those recorded from Apache Mesos.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::agent::Agent;
use super::client::{Master, new_framework};

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[track_caller]
fn assert_keys(value: &Value, expected: &[&str]) {
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    assert_eq!(keys(value), expected);
}

#[test]
fn health_is_an_empty_200_for_any_method() {
    let master = Master::start();
    for path in ["/health", "/master/health"] {
        for method in ["GET", "POST", "PUT"] {
            let response = master.request(method, path, &[], b"");
            assert_eq!((response.status, response.body.len()), (200, 0));
        }
    }
}

#[test]
fn version_is_numeric_and_not_below_master() {
    let master = Master::start();
    let version = master.get("/version").json();
    assert_keys(
        &version,
        &[
            "version",
            "tepui_version",
            "git_sha",
            "build_date",
            "build_time",
            "build_user",
        ],
    );
    assert_eq!(version["version"], "1.12.0");
    assert!(version["build_time"].is_f64());
    assert_eq!(master.get("/master/version").status, 404);
}

#[test]
fn flags_show_what_the_master_was_started_with() {
    let master = Master::with(&["--cluster=mine"]);
    for path in ["/flags", "/master/flags"] {
        let flags = master.get(path).json();
        assert_keys(&flags, &["flags"]);
        assert_eq!(flags["flags"]["cluster"], "mine");
        assert_eq!(flags["flags"]["registry"], "in_memory");
        assert_eq!(flags["flags"]["allocation_interval"], "1secs");
    }
}

#[test]
fn web_pages_show_the_cluster() {
    let master = Master::start();
    let page = master.get("/");
    assert_eq!(page.status, 200);
    let face = master.get("/ui/face.json").json();
    assert_keys(&face, &["face", "version", "id", "leader"]);
    assert_eq!(face["face"], "cluster");
    assert_eq!(master.get("/ui/none.js").status, 404);
}

#[test]
fn unknown_paths_are_404_as_in_mesos() {
    let master = Master::start();
    for path in [
        "/nope",
        "/api",
        "/api/v2",
        "/master/nope",
        "/state.json",
        "/master/state.json",
        "/stats.json",
        "/metrics/snapshot.json",
        "/%73tate-nope",
    ] {
        let response = master.get(path);
        assert_eq!(
            (response.status, response.text()),
            (404, "404 Not Found."),
            "{path}"
        );
        assert_eq!(
            response.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
    }
}

#[test]
fn reads_can_be_wrapped_for_scripts() {
    let master = Master::start();
    for path in ["/version", "/flags", "/state", "/metrics/snapshot"] {
        let plain = master.get(path);
        assert_eq!(
            plain.header("Content-Type"),
            Some("application/json"),
            "{path}"
        );
        let wrapped = master.get(&format!("{path}?jsonp=cb"));
        assert_eq!(
            wrapped.header("Content-Type"),
            Some("text/javascript"),
            "{path}"
        );
        let text = wrapped.text();
        let inner = text
            .strip_prefix("cb(")
            .and_then(|text| text.strip_suffix(")"));
        let inner: Value = serde_json::from_str(inner.unwrap()).unwrap();
        assert_eq!(keys(&inner), keys(&plain.json()), "{path}");
    }
}

#[test]
fn the_state_has_the_shape_of_mesos() {
    let master = Master::with(&["--cluster=mine"]);
    let mut call = new_framework("x");
    call["subscribe"]["framework_info"]["labels"] =
        json!({"labels": [{"key": "a", "value": "b"}, {"key": "bare"}]});
    let mut subscription = master.subscribe(&call);
    let agent = Agent::register(&master, 5051);
    subscription.event("OFFERS");
    master.state_when(|state| state["frameworks"][0]["offers"][0].is_object());
    let state = master.get("//state").json();
    assert_keys(
        &state,
        &[
            "version",
            "tepui_version",
            "git_sha",
            "build_date",
            "build_time",
            "build_user",
            "start_time",
            "elected_time",
            "id",
            "pid",
            "hostname",
            "capabilities",
            "activated_slaves",
            "deactivated_slaves",
            "unreachable_slaves",
            "leader",
            "leader_info",
            "cluster",
            "flags",
            "slaves",
            "recovered_slaves",
            "frameworks",
            "completed_frameworks",
            "orphan_tasks",
            "unregistered_frameworks",
        ],
    );
    let pid = format!("master@{}", master.address);
    assert_eq!(state["pid"], pid.as_str());
    assert_eq!(
        state["capabilities"],
        json!(["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"])
    );
    assert_eq!(
        state["leader_info"],
        json!({
            "id": state["id"], "pid": pid, "port": master.address.port(), "hostname": "localhost"
        })
    );
    check_agent(&state["slaves"][0], &agent);
    check_framework(&state["frameworks"][0]);
}

fn check_agent(agent: &Value, played: &Agent) {
    assert_keys(
        agent,
        &[
            "id",
            "hostname",
            "port",
            "attributes",
            "pid",
            "registered_time",
            "resources",
            "used_resources",
            "offered_resources",
            "reserved_resources",
            "unreserved_resources",
            "active",
            "deactivated",
            "version",
            "capabilities",
        ],
    );
    assert_eq!(agent["id"], played.id.as_str());
    assert_eq!(agent["pid"], "slave(1)@127.0.0.1:5051");
    assert_eq!(agent["attributes"], json!({"rack": "r1"}));
    let all = json!({"cpus": 4.0, "gpus": 0.0, "mem": 1024.0, "disk": 0.0});
    let none = json!({"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0});
    assert_eq!(agent["resources"], all);
    assert_eq!(agent["offered_resources"], all);
    assert_eq!(agent["unreserved_resources"], all);
    assert_eq!(agent["used_resources"], none);
    assert_eq!(agent["reserved_resources"], json!({}));
}

fn check_framework(framework: &Value) {
    assert_keys(
        framework,
        &[
            "id",
            "name",
            "used_resources",
            "offered_resources",
            "capabilities",
            "hostname",
            "webui_url",
            "active",
            "connected",
            "recovered",
            "user",
            "failover_timeout",
            "checkpoint",
            "registered_time",
            "unregistered_time",
            "resources",
            "role",
            "tasks",
            "unreachable_tasks",
            "completed_tasks",
            "offers",
            "executors",
            "labels",
            "offer_constraints",
        ],
    );
    assert_eq!(
        framework["labels"],
        json!([{"key": "a", "value": "b"}, {"key": "bare"}])
    );
    assert_eq!(framework["role"], "*");
    assert_eq!(framework["unregistered_time"], 0.0);
    assert_keys(
        &framework["offers"][0],
        &[
            "id",
            "framework_id",
            "allocation_info",
            "slave_id",
            "resources",
        ],
    );
}

#[test]
fn metrics_tell_what_is_there() {
    let master = Master::start();
    let mut subscription = master.subscribe(&new_framework("x"));
    let _agent = Agent::register(&master, 5051);
    subscription.event("OFFERS");
    // The allocator tells its figures a moment later.
    let allocated = "allocator/mesos/resources/cpus/offered_or_allocated";
    let mut reads = (0..10_000).map(|_| master.get("/metrics/snapshot").json());
    let metrics = reads.find(|metrics| metrics[allocated] == 4.0);
    let metrics = metrics.expect("what is allocated is told soon");
    for (key, value) in [
        ("master/elected", 1.0),
        ("master/slaves_active", 1.0),
        ("master/slaves_connected", 1.0),
        ("master/slave_registrations", 1.0),
        ("master/messages_register_slave", 1.0),
        ("master/frameworks_active", 1.0),
        ("master/messages_register_framework", 1.0),
        ("master/outstanding_offers", 1.0),
        ("master/cpus_total", 4.0),
        ("master/mem_total", 1024.0),
        ("master/cpus_used", 0.0),
        ("master/tasks_running", 0.0),
        ("allocator/mesos/resources/cpus/total", 4.0),
        ("registrar/queued_operations", 0.0),
        ("master/event_queue_messages", 0.0),
    ] {
        assert_eq!(metrics[key], value, "{key}");
    }
    for key in [
        "master/uptime_secs",
        "system/load_1min",
        "system/mem_total_bytes",
        "registrar/state_store_ms",
        "registrar/registry_size_bytes",
        "allocator/mesos/allocation_run_ms",
        "allocator/mesos/allocation_runs",
    ] {
        assert!(metrics[key].is_f64(), "{key}");
    }
}

#[test]
fn a_bad_timeout_is_refused() {
    let master = Master::start();
    let response = master.get("/metrics/snapshot?timeout=abc");
    assert_eq!(response.status, 400);
    assert_eq!(
        response.text(),
        "Invalid timeout 'abc': Failed to convert '' to number.\n"
    );
    assert_eq!(master.get("/metrics/snapshot?timeout=5secs").status, 200);
}
