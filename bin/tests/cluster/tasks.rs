//! Command tasks: they finish, fail, are killed, and are reconciled.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Encoding, Framework, info, scalar, task};

fn runs_to_its_end(encoding: Encoding) {
    let cluster = Cluster::start(1);
    let mut framework = Framework::subscribe(cluster.master.address, encoding, info("finish", &[]));
    let offer = framework.offer();
    let out = cluster.dir.path().join("proof");
    let command = format!("echo \"$GREETING from $MESOS_SANDBOX\" > {}", out.display());
    let mut greeting = task("greet", &offer, &command);
    greeting["command"]["environment"] =
        json!({"variables": [{"name": "GREETING", "value": "hello"}]});
    framework.launch(&offer, &[greeting]);
    assert_eq!(framework.update("greet")["state"], "TASK_STARTING");
    let running = framework.update("greet");
    assert_eq!(running["state"], "TASK_RUNNING");
    assert_eq!(running["source"], "SOURCE_EXECUTOR");
    assert!(running["container_status"]["container_id"]["value"].is_string());
    let finished = framework.update("greet");
    assert_eq!(finished["state"], "TASK_FINISHED");
    assert_eq!(finished["message"], "Command exited with status 0");
    let written = std::fs::read_to_string(&out).expect("what the task wrote");
    assert!(written.starts_with("hello from"), "{written}");
    let address = cluster.master.address;
    until("the count", || {
        (metric(address, "master/tasks_finished") == 1.0).then_some(())
    });
    framework.teardown();
}

#[test]
fn a_task_finishes_over_json() {
    runs_to_its_end(Encoding::Json);
}

#[test]
fn a_task_finishes_over_protobuf() {
    runs_to_its_end(Encoding::Protobuf);
}

#[test]
fn a_task_fails_with_its_exit_status() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "fail", &[]);
    let offer = framework.offer();
    framework.launch(
        &offer,
        &[
            task("bad", &offer, "exit 3"),
            task("dies", &offer, "kill -9 $$"),
        ],
    );
    let failed = framework.await_state("bad", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 3");
    assert!(failed["reason"].is_null(), "{failed}");
    let failed = framework.await_state("dies", "TASK_FAILED");
    assert_eq!(failed["message"], "Command terminated with signal Killed");
}

#[test]
fn resources_come_back_when_a_task_ends() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "resources", &[]);
    let offer = framework.offer();
    let mut whole = task("whole", &offer, "true");
    whole["resources"] = json!([scalar("cpus", 4.0), scalar("mem", 2048.0)]);
    framework.launch(&offer, &[whole]);
    framework.await_state("whole", "TASK_FINISHED");
    let again = framework.find("an offer of all CPUs", |event| {
        event["offers"]["offers"][0]["resources"]
            .as_array()
            .is_some_and(|all| {
                all.contains(&json!(
                    {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "*"}
                ))
            })
    });
    assert_eq!(again["offers"]["offers"][0]["agent_id"], offer["agent_id"]);
}

#[test]
fn a_kill_ends_a_task_that_listens() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "kill", &["TASK_KILLING_STATE"]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("sleeper", &offer, "sleep 1000")]);
    framework.await_state("sleeper", "TASK_RUNNING");
    framework.kill("sleeper");
    assert_eq!(framework.update("sleeper")["state"], "TASK_KILLING");
    let killed = framework.update("sleeper");
    assert_eq!(killed["state"], "TASK_KILLED");
    assert_eq!(
        killed["message"],
        "Command terminated with signal Terminated"
    );
}

#[test]
fn a_kill_escalates_when_a_task_does_not_listen() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "escalate", &[]);
    let offer = framework.offer();
    let deaf = cluster.dir.path().join("deaf");
    let command = format!(
        "trap '' TERM; touch {}; while true; do sleep 1; done",
        deaf.display()
    );
    let mut stubborn = task("stubborn", &offer, &command);
    stubborn["kill_policy"] = json!({"grace_period": {"nanoseconds": 300_000_000}});
    framework.launch(&offer, &[stubborn]);
    framework.await_state("stubborn", "TASK_RUNNING");
    until("the trap", || deaf.exists().then_some(()));
    framework.kill("stubborn");
    let killed = framework.await_state("stubborn", "TASK_KILLED");
    assert_eq!(killed["message"], "Command terminated with signal Killed");
}

#[test]
fn max_completion_time_ends_a_task() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "late", &[]);
    let offer = framework.offer();
    let mut late = task("late", &offer, "sleep 1000");
    late["max_completion_time"] = json!({"nanoseconds": 200_000_000});
    framework.launch(&offer, &[late]);
    let failed = framework.await_state("late", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_MAX_COMPLETION_TIME_REACHED");
}

#[test]
fn reconciliation_tells_what_is_known() {
    let cluster = Cluster::start(1);
    let mut framework =
        Framework::simple(cluster.master.address, "reconcile", &["PARTITION_AWARE"]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("known", &offer, "sleep 1000")]);
    framework.await_state("known", "TASK_RUNNING");
    framework.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "known"}}, {"task_id": {"value": "unknown"}},
    ]}}));
    let known = framework.update("known");
    assert_eq!(known["state"], "TASK_RUNNING");
    assert_eq!(known["reason"], "REASON_RECONCILIATION");
    assert!(known["uuid"].is_null(), "{known}");
    assert_eq!(framework.update("unknown")["state"], "TASK_UNKNOWN");
    framework.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    assert_eq!(framework.update("known")["state"], "TASK_RUNNING");
}

#[test]
fn an_agent_that_dies_takes_its_tasks_along() {
    let mut cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "bereft", &[]);
    let offer = framework.offer();
    let mark = cluster.dir.path().join("pid");
    let command = format!("echo $$ > {}; sleep 1000", mark.display());
    framework.launch(&offer, &[task("orphan", &offer, &command)]);
    framework.await_state("orphan", "TASK_RUNNING");
    let process = process_named_in(&mark);
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    // The framework does not checkpoint: its tasks are lost with the agent's connection.
    let lost = framework.update("orphan");
    assert_eq!(lost["state"], "TASK_LOST");
    assert_eq!(lost["reason"], "REASON_AGENT_DISCONNECTED");
    assert_eq!(
        metric(cluster.master.address, "master/slaves_connected"),
        0.0
    );
    // No process stays behind: without recovery nobody could account for it.
    until("the end of the task's process", || {
        (!process.exists()).then_some(())
    });
    // Another agent is offered at once.
    cluster.add_agent(&[]);
    assert_ne!(framework.offer()["agent_id"], offer["agent_id"]);
}

#[test]
fn an_agent_that_dies_in_the_middle_of_a_launch_loses_nothing_silently() {
    let mut cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "bereft", &[]);
    let offer = framework.offer();
    cluster.agents[0].signal(Signal::SIGSTOP);
    framework.launch(&offer, &[task("never", &offer, "true")]);
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    assert_eq!(framework.update("never")["state"], "TASK_LOST");
}

#[test]
fn an_unacknowledged_update_is_sent_again() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "silent", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("again", &offer, "sleep 1000")]);
    let first = framework.expect("UPDATE");
    let second = framework.expect("UPDATE");
    assert_eq!(
        first["update"]["status"]["uuid"],
        second["update"]["status"]["uuid"]
    );
    // Nothing further comes before the acknowledgement.
    framework.acknowledge(&second["update"]["status"]);
    assert_eq!(framework.update("again")["state"], "TASK_RUNNING");
}

#[test]
fn offers_expire_when_nobody_answers() {
    let cluster = Cluster::with(1, &["--offer_timeout=200ms"], &[]);
    let mut framework = Framework::simple(cluster.master.address, "slow", &[]);
    let offer = framework.offer();
    let rescinded = framework.expect("RESCIND");
    assert_eq!(rescinded["rescind"]["offer_id"], offer["id"]);
    framework.launch(&offer, &[task("late", &offer, "true")]);
    let lost = framework.update("late");
    assert_eq!(lost["reason"], "REASON_INVALID_OFFERS");
}

#[test]
fn declined_resources_stay_away_until_revived() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "picky", &[]);
    let offer = framework.offer();
    framework.accepted(json!({"type": "DECLINE", "decline": {
        "offer_ids": [offer["id"]], "filters": {"refuse_seconds": 600.0}}}));
    let seen = framework.events_within(Duration::from_millis(1500));
    assert!(seen.is_empty(), "{seen:?}");
    framework.accepted(json!({"type": "REVIVE"}));
    assert_eq!(framework.offer()["agent_id"], offer["agent_id"]);
}

/// The directory in `/proc` of the process whose id a task wrote into a file.
fn process_named_in(mark: &std::path::Path) -> std::path::PathBuf {
    let pid = until("the process's id", || {
        std::fs::read_to_string(mark)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    });
    std::path::PathBuf::from(format!("/proc/{pid}"))
}
