//! Replays what was recorded from Apache Mesos against our own master and agents.
//! The recordings in `data/golden` say what is right; entries that later versions bring are absent.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]

#[path = "../support/mod.rs"]
mod support;

mod matching;
mod replay;

use serde_json::{Value, json};

use replay::Replay;
use support::cluster::{Cluster, until};
use support::framework::{Encoding, Framework, info, scalar};
use support::http;

fn entries(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("recording");
    file["entries"].as_array().expect("entries").clone()
}

/// Plays every conversation of a file on one cluster; a failing one does not hide the next.
fn conversations(text: &str) {
    let cluster = Cluster::with(
        2,
        &["--cluster=golden"],
        &["--executor_registration_timeout=20secs"],
    );
    let entries = entries(text);
    let mut failures = Vec::new();
    for entry in &entries {
        let steps = entry["steps"].as_array().expect("steps");
        let result = Replay::new(&cluster).conversation(steps);
        if let Err(why) = result {
            failures.push(format!("{}: {why}", entry["id"]));
        }
        until("the end of all frameworks", || {
            let active =
                support::cluster::metric(cluster.master.address, "master/frameworks_active");
            (active == 0.0).then_some(())
        });
    }
    report(entries.len(), &failures);
}

fn report(count: usize, failures: &[String]) {
    assert!(count > 0, "nothing was replayed");
    assert!(
        failures.is_empty(),
        "{} of {count} differ:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn conversations_about_subscribing() {
    conversations(include_str!("../data/golden/scenarios-subscribe.json"));
}

#[test]
fn conversations_about_launch_errors() {
    conversations(include_str!("../data/golden/scenarios-launch-errors.json"));
}

#[test]
fn conversations_about_task_groups() {
    conversations(include_str!("../data/golden/scenarios-groups.json"));
}

#[test]
fn conversations_about_tasks() {
    conversations(include_str!("../data/golden/scenarios-tasks.json"));
}

#[test]
fn conversations_about_executors() {
    conversations(include_str!("../data/golden/scenarios-executor.json"));
}

#[test]
fn conversations_about_the_rest() {
    conversations(include_str!("../data/golden/scenarios-other.json"));
}

/// The content single exchanges need: a live framework and a played executor.
struct Fixture {
    _live: Framework,
    _two: Framework,
    _executor: http::Stream,
}

fn fixture(cluster: &Cluster, replay: &mut Replay<'_>) -> Fixture {
    let master = cluster.master.address;
    let mut two = Framework::subscribe(master, Encoding::Json, info("golden-two", &[]));
    let first = cluster.agents[0].address.port();
    let offer = loop {
        let offer = two.offer();
        if offer["url"]["address"]["port"] == first {
            break offer;
        }
    };
    let executor = json!({
        "type": "CUSTOM", "executor_id": {"value": "golden-executor"}, "name": "played",
        "command": {"shell": true, "value": "exec sleep 100000"},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    });
    two.launch(
        &offer,
        &[json!({
            "name": "t", "task_id": {"value": "golden-task"}, "agent_id": offer["agent_id"],
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)], "executor": executor,
        })],
    );
    let subscribe = json!({"type": "SUBSCRIBE", "subscribe": {},
        "framework_id": {"value": two.id}, "executor_id": {"value": "golden-executor"}});
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let body = subscribe.to_string().into_bytes();
    let agent = cluster.agents[0].address;
    let stream = until("the executor", || {
        http::open(agent, "/api/v1/executor", &headers, &body).ok()
    });
    let live = Framework::simple(master, "golden-live", &[]);
    let known = [
        ("FRAMEWORK-1", live.id.clone()),
        (
            "STREAM-1",
            live.stream
                .header("mesos-stream-id")
                .expect("id")
                .to_owned(),
        ),
        ("FRAMEWORK-2", two.id.clone()),
        ("EXECUTOR-1", "golden-executor".to_owned()),
        (
            "AGENT-1",
            offer["agent_id"]["value"].as_str().expect("id").to_owned(),
        ),
    ];
    replay
        .bindings
        .extend(known.map(|(name, value)| (name.to_owned(), value)));
    Fixture {
        _live: live,
        _two: two,
        _executor: stream,
    }
}

/// Sends every single exchange of a file to one cluster.
fn exchanges(text: &str) {
    let cluster = Cluster::start(2);
    let mut replay = Replay::new(&cluster);
    let _fixture = fixture(&cluster, &mut replay);
    let known = replay.bindings.clone();
    let entries = entries(text);
    let mut failures = Vec::new();
    for entry in &entries {
        replay.bindings = known.clone();
        let comparison = entry["match"].as_str().expect("match");
        if let Err(why) = replay.exchange(entry, None, comparison) {
            failures.push(format!("{} ({}): {why}", entry["id"], entry["about"]));
        }
    }
    report(entries.len(), &failures);
}

#[test]
fn exchanges_of_schedulers() {
    exchanges(include_str!("../data/golden/scheduler-api.json"));
}

#[test]
fn exchanges_of_executors() {
    exchanges(include_str!("../data/golden/executor-api.json"));
}

#[test]
fn exchanges_of_operators() {
    exchanges(include_str!("../data/golden/master-operator-api.json"));
}
