//! Custom executors: a real one in Python, one that never subscribes, one that dies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::isolation::{ALL, Isolated};
use super::nested::{sandbox, shown};
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, scalar};
use crate::support::http;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/executor.py");

/// One whose tasks are containers in its own.
const NESTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nesting.py");

fn custom_task(id: &str, offer: &Value, command: &str) -> Value {
    json!({
        "name": id, "task_id": {"value": id}, "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "executor": {
            "type": "CUSTOM", "executor_id": {"value": "custom"}, "name": "custom",
            "command": {"shell": true, "value": command},
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        },
    })
}

#[test]
fn a_python_executor_runs_tasks() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "python", &[]);
    let offer = framework.offer();
    let command = format!("exec python3 {SCRIPT}");
    let tasks = [
        custom_task("a", &offer, &command),
        custom_task("b", &offer, &command),
    ];
    framework.launch(&offer, &tasks);
    let running = framework.update("a");
    assert_eq!(running["state"], "TASK_RUNNING");
    assert_eq!(framework.update("b")["state"], "TASK_RUNNING");
    framework.accepted(json!({"type": "MESSAGE", "message": {
        "agent_id": offer["agent_id"], "executor_id": {"value": "custom"},
        "data": STANDARD.encode(b"olleh"),
    }}));
    let message = framework.expect("MESSAGE");
    assert_eq!(message["message"]["data"], STANDARD.encode(b"hello"));
    framework.kill("a");
    assert_eq!(framework.update("a")["state"], "TASK_KILLED");
    framework.accepted(json!({"type": "SHUTDOWN", "shutdown": {
        "agent_id": offer["agent_id"], "executor_id": {"value": "custom"}}}));
    let failure = framework.expect("FAILURE");
    assert_eq!(failure["failure"]["executor_id"]["value"], "custom");
    let failed = framework.update("b");
    assert_eq!(failed["state"], "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
}

#[test]
fn an_executor_that_never_subscribes_is_ended() {
    let cluster = Cluster::with(1, &[], &["--executor_registration_timeout=500ms"]);
    let mut framework = Framework::simple(cluster.master.address, "mute", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[custom_task("never", &offer, "exec sleep 1000")]);
    let failed = framework.update("never");
    assert_eq!(failed["state"], "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_REGISTRATION_TIMEOUT");
}

#[test]
fn an_executor_that_dies_fails_its_tasks() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "dying", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[custom_task("gone", &offer, "exit 3")]);
    let failed = framework.update("gone");
    assert_eq!(failed["state"], "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    let failure = framework.expect("FAILURE");
    assert_eq!(failure["failure"]["status"], 3 << 8, "a wait status");
}

#[test]
fn an_executor_launches_containers_from_inside_its_own() {
    let mut isolated = Isolated::with("nesting", ALL, &[]);
    let offer = isolated.framework.offer();
    let command = format!("exec python3 {NESTING}");
    let script_of = |id: &str, script: &str| {
        let mut task = custom_task(id, &offer, &command);
        task["executor"]["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 128.0)]);
        task["data"] = json!(STANDARD.encode(script));
        task
    };
    let look = "echo $$ > pid; ls /proc | grep -c '^[0-9]' > processes";
    let tasks = [
        script_of("good", &format!("{look}; exit 0")),
        script_of("bad", "exit 7"),
        script_of("killed", "touch ready; exec sleep 1000"),
    ];
    isolated.framework.launch(&offer, &tasks);
    let good = isolated.framework.await_state("good", "TASK_FINISHED");
    assert_eq!(good["message"], "0");
    let bad = isolated.framework.await_state("bad", "TASK_FAILED");
    assert_eq!(bad["message"], (7 << 8).to_string());
    let running = isolated.framework.await_state("killed", "TASK_RUNNING");
    let root = running["container_status"]["container_id"]["value"].as_str();
    let root = root.expect("an id").to_owned();
    let own = sandbox(isolated.cluster(), &root).join("containers");
    until("the script", || {
        own.join("killed/ready").exists().then_some(())
    });
    // What was removed has no sandbox, and is shown no more.
    assert!(!own.join("good").exists() && !own.join("bad").exists());
    let known = shown(isolated.cluster());
    assert_eq!(known, [root.clone(), format!("{root}.killed")]);
    isolated.framework.kill("killed");
    let killed = isolated.framework.await_state("killed", "TASK_FAILED");
    assert_eq!(killed["message"], "15");
    isolated
        .framework
        .accepted(json!({"type": "SHUTDOWN", "shutdown": {
        "agent_id": offer["agent_id"], "executor_id": {"value": "custom"}}}));
    isolated.wait_until_nothing_is_left();
}

#[test]
fn only_so_many_executors_that_have_ended_are_remembered() {
    let flags = ["--max_completed_executors_per_framework=2"];
    let cluster = Cluster::with(1, &[], &flags);
    let mut framework = Framework::simple(cluster.master.address, "many", &[]);
    let offer = framework.offer();
    let named = |id: &str, command: &str| {
        let mut task = custom_task(id, &offer, command);
        task["executor"]["executor_id"] = json!({"value": id});
        task
    };
    // The framework is there as long as one of its executors is.
    let lasting = named("lasting", &format!("exec python3 {SCRIPT}"));
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [lasting]}});
    let ending = ["e1", "e2", "e3"].map(|id| {
        let tasks = [named(id, "exit 3")];
        json!({"type": "LAUNCH", "launch": {"task_infos": tasks}})
    });
    let all: Vec<Value> = std::iter::once(launch).chain(ending).collect();
    framework.accept(&offer, json!(all), 1000.0);
    framework.await_state("lasting", "TASK_RUNNING");
    for id in ["e1", "e2", "e3"] {
        framework.await_state(id, "TASK_FAILED");
    }
    let completed = until("the last two", || {
        let state = http::request(cluster.agents[0].address, "GET", "/state", &[], &[]).json();
        let shown = &state["frameworks"][0];
        let alone = shown["executors"]
            .as_array()
            .is_some_and(|all| all.len() == 1);
        let completed = shown["completed_executors"].as_array()?.clone();
        (alone && completed.len() == 2).then_some(completed)
    });
    for executor in completed {
        let id = executor["id"].as_str().expect("an id");
        assert!(["e1", "e2", "e3"].contains(&id), "{id}");
    }
    framework.kill("lasting");
    framework.await_state("lasting", "TASK_KILLED");
}
