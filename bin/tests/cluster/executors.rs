//! Custom executors: a real one in Python, one that never subscribes, one that dies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::framework::{Framework, scalar};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/executor.py");

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
