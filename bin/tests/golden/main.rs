//! Replays what was recorded from Apache Mesos against our own master and agents.
//! The recordings in `data/golden` say what is right; entries that later versions bring are absent.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]

#[path = "../support/mod.rs"]
mod support;

mod fixture;
mod matching;
mod replay;

use serde_json::Value;

use replay::Replay;
use support::cluster::{Cluster, until};

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

/// Sends every single exchange of a file to one cluster.
fn exchanges(text: &str) {
    let cluster = Cluster::with(2, &["--cluster=golden"], &[]);
    let mut replay = Replay::new(&cluster);
    let _fixture = fixture::prepare(&cluster, &mut replay);
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

#[test]
fn exchanges_of_the_masters_endpoints() {
    exchanges(include_str!("../data/golden/master-v0.json"));
}

#[test]
fn exchanges_about_the_masters_paths() {
    exchanges(include_str!("../data/golden/master-paths.json"));
}

#[test]
fn exchanges_of_operators_of_an_agent() {
    exchanges(include_str!("../data/golden/agent-operator-api.json"));
}

#[test]
fn exchanges_of_readers_of_an_agent() {
    exchanges(include_str!("../data/golden/agent-v0.json"));
}

#[test]
fn exchanges_of_readers_of_files() {
    exchanges(include_str!("../data/golden/files-v0.json"));
}

#[test]
fn exchanges_about_an_agents_paths() {
    exchanges(include_str!("../data/golden/agent-paths.json"));
}
