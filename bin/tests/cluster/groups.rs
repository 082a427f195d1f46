//! Task groups under the default executor.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::framework::{Encoding, Framework, info, scalar, task};

pub(super) fn launch_group(framework: &Framework, offer: &Value, tasks: &[Value]) {
    let executor = json!({
        "type": "DEFAULT", "executor_id": {"value": "group"},
        "framework_id": {"value": framework.id},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 16.0)],
    });
    let launch = json!({"executor": executor, "task_group": {"tasks": tasks}});
    framework.accept(
        offer,
        json!([{"type": "LAUNCH_GROUP", "launch_group": launch}]),
        1000.0,
    );
}

#[test]
fn a_group_runs_and_finishes() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let tasks = [
        task("one", &offer, "true"),
        task("two", &offer, "sleep 0.2"),
    ];
    launch_group(&framework, &offer, &tasks);
    for name in ["one", "two"] {
        let finished = framework.await_state(name, "TASK_FINISHED");
        assert_eq!(finished["executor_id"]["value"], "group");
    }
    let failure = framework.expect("FAILURE");
    assert_eq!(failure["failure"]["executor_id"]["value"], "group");
    assert_eq!(failure["failure"]["status"], 0);
}

#[test]
fn a_failing_member_takes_its_group_along() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let tasks = [
        task("long", &offer, "sleep 1000"),
        task("short", &offer, "sleep 0.5; exit 4"),
    ];
    launch_group(&framework, &offer, &tasks);
    framework.await_state("long", "TASK_RUNNING");
    let failed = framework.await_state("short", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 4");
    framework.await_state("long", "TASK_KILLED");
}

#[test]
fn a_group_outlives_the_agents_crash() {
    let mut cluster = Cluster::start(1);
    let mut info = info("group", &["PARTITION_AWARE"]);
    info["checkpoint"] = json!(true);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = framework.offer();
    let go = cluster.dir.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.1; done", go.display());
    let tasks = [task("one", &offer, &wait), task("two", &offer, &wait)];
    launch_group(&framework, &offer, &tasks);
    for name in ["one", "two"] {
        framework.await_state(name, "TASK_RUNNING");
    }
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    cluster.restart_agent(0, &["--executor_reregistration_timeout=15secs"]);
    cluster.wait_for_agents(1);
    std::fs::write(&go, "").expect("file");
    for name in ["one", "two"] {
        framework.await_state(name, "TASK_FINISHED");
    }
}

#[test]
fn a_group_with_a_bad_member_is_refused_whole() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let twice = [task("same", &offer, "true"), task("same", &offer, "true")];
    launch_group(&framework, &offer, &twice);
    let error = framework.update("same");
    assert_eq!(error["state"], "TASK_ERROR");
    assert_eq!(error["reason"], "REASON_TASK_GROUP_INVALID");
}
