//! Agents that start again: what they were doing goes on, or ends as it should.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary, start_agent_on, until};
use crate::support::framework::{Encoding, Framework, info, task};
use crate::support::http;

/// Executors on a busy machine need a while to come back.
pub(super) const PATIENT: &[&str] = &["--executor_reregistration_timeout=15secs"];

/// A framework that asks for checkpoints.
pub(super) fn careful(name: &str) -> Value {
    let mut info = info(name, &["PARTITION_AWARE"]);
    info["checkpoint"] = json!(true);
    info
}

/// The pid that a task writes into a file.
fn pid_in(file: &Path) -> i32 {
    until("the task's pid", || {
        let text = std::fs::read_to_string(file).ok()?;
        text.trim().parse().ok()
    })
}

pub(super) fn is_alive(pid: i32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

/// Kills the agent alone, as a crash would.
pub(super) fn crash(cluster: &mut Cluster) {
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
}

/// A cluster with a task that has told its pid and runs.
pub(super) fn with_task(command: &str) -> (Cluster, Framework, Value, i32) {
    let cluster = Cluster::start(1);
    let mut framework =
        Framework::subscribe(cluster.master.address, Encoding::Json, careful("kept"));
    let offer = framework.offer();
    let mark = cluster.dir.path().join("pid");
    let command = format!("echo $$ > {}; {command}", mark.display());
    framework.launch(&offer, &[task("kept", &offer, &command)]);
    let running = framework.await_state("kept", "TASK_RUNNING");
    let pid = pid_in(&mark);
    (cluster, framework, running, pid)
}

#[test]
fn a_running_task_outlives_the_agents_crash() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    crash(&mut cluster);
    assert!(is_alive(pid));
    cluster.restart_agent(0, PATIENT);
    cluster.wait_for_agents(1);
    framework.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    // The last update may come again before: its acknowledgement may have been lost.
    let answer = framework.find("the answer", |event| {
        event["update"]["status"]["reason"] == "REASON_RECONCILIATION"
    });
    let known = &answer["update"]["status"];
    assert_eq!(known["state"], "TASK_RUNNING");
    assert_eq!(
        known["agent_id"], running["agent_id"],
        "it is the same agent"
    );
    assert!(is_alive(pid), "it is the same process");
    framework.kill("kept");
    framework.await_state("kept", "TASK_KILLED");
    until("the task's end", || (!is_alive(pid)).then_some(()));
    // What it used is offered again.
    let offer = framework.offer();
    assert_eq!(offer["agent_id"], running["agent_id"]);
}

#[test]
fn what_ends_while_the_agent_is_away_is_told_when_it_is_back() {
    let (mut cluster, mut framework, _, pid) = with_task("sleep 1; exit 7");
    crash(&mut cluster);
    // The task ends, and its executor waits for the agent.
    until("the task's end", || (!is_alive(pid)).then_some(()));
    cluster.restart_agent(0, PATIENT);
    let failed = framework.await_state("kept", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 7");
}

#[test]
fn a_task_whose_executor_dies_while_the_agent_is_away_has_failed() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    let executor = running["container_status"]["executor_pid"]
        .as_i64()
        .expect("the executor's pid");
    crash(&mut cluster);
    kill(
        Pid::from_raw(i32::try_from(executor).expect("pid")),
        Signal::SIGKILL,
    )
    .expect("signal");
    cluster.restart_agent(0, PATIENT);
    let failed = framework.await_state("kept", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    until("the end of what it left", || (!is_alive(pid)).then_some(()));
}

#[test]
fn an_agent_that_is_stopped_leaves_its_tasks_to_the_next_run() {
    let (mut cluster, mut framework, _, pid) = with_task("exec sleep 1000");
    for _ in 0..2 {
        cluster.agents[0].signal(Signal::SIGTERM);
        assert!(cluster.agents[0].wait().success());
        assert!(is_alive(pid));
        cluster.restart_agent(0, PATIENT);
        cluster.wait_for_agents(1);
    }
    framework.kill("kept");
    framework.await_state("kept", "TASK_KILLED");
}

#[test]
fn cleanup_ends_what_an_earlier_run_has_left() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    crash(&mut cluster);
    let port = cluster.agents[0].address.port();
    let status = Command::new(binary("tepui-agent"))
        .arg(format!("--master={}", cluster.master.address))
        .arg("--ip=127.0.0.1")
        .arg(format!("--port={port}"))
        .arg(format!("--work_dir={}", cluster.work_dir(0).display()))
        .arg("--recover=cleanup")
        .status()
        .expect("agent");
    assert!(status.success());
    until("the task's end", || (!is_alive(pid)).then_some(()));
    // The next one is another agent, with whatever settings.
    cluster.restart_agent(0, &["--switch_user=false"]);
    let offer = framework.offer();
    assert_ne!(offer["agent_id"], running["agent_id"]);
}

#[test]
fn an_agent_with_other_settings_may_not_go_on_and_says_why() {
    let (mut cluster, mut framework, _, pid) = with_task("exec sleep 1000");
    crash(&mut cluster);
    let start = |resources: &str, policy: &str| {
        let mut command = Command::new(binary("tepui-agent"));
        command
            .arg(format!("--master={}", cluster.master.address))
            .arg("--ip=127.0.0.1")
            .arg("--hostname=localhost")
            .arg(format!("--port={}", cluster.agents[0].address.port()))
            .arg(format!("--work_dir={}", cluster.work_dir(0).display()))
            .arg("--attributes=rack:r1;level:1;range:[1-5]")
            .arg(format!("--resources={resources}"))
            .arg(format!("--reconfiguration_policy={policy}"));
        command
    };
    let less = "cpus:2;mem:2048;disk:4096;ports:[31000-31100,32000-32099]";
    for policy in ["equal", "additive"] {
        let output = start(less, policy).output().expect("agent");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        for part in ["resources differ", "cpus:4", "cpus:2", "agent.journal"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(is_alive(pid), "nothing was touched");
    }
    let more = "--resources=cpus:8;mem:2048;disk:4096;ports:[31000-31100,32000-32099]";
    cluster.agents[0] = start_agent_on(
        cluster.agents[0].address.port(),
        &cluster.work_dir(0),
        &cluster.master.address.to_string(),
        &[
            more,
            "--attributes=rack:r1;level:1;range:[1-5]",
            "--reconfiguration_policy=additive",
        ],
    );
    cluster.wait_for_agents(1);
    let state = http::request(cluster.master.address, "GET", "/state", &[], &[]).json();
    assert_eq!(state["slaves"][0]["resources"]["cpus"], 8.0);
    assert!(is_alive(pid));
    // It would outlive the agent, and this test.
    framework.kill("kept");
    framework.await_state("kept", "TASK_KILLED");
}

#[test]
fn a_damaged_journal_is_set_aside_and_the_agent_starts() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    crash(&mut cluster);
    let journal = cluster.work_dir(0).join("meta/agent.journal");
    std::fs::write(&journal, b"not what an agent wrote").expect("write");
    cluster.restart_agent(0, PATIENT);
    assert!(journal.with_extension("damaged-1").exists());
    let log = cluster.agents[0].log_text();
    assert!(log.contains("damaged"), "{log}");
    // It is a new agent, which knows nothing of the task, and leaves no process behind.
    until("the task's end", || (!is_alive(pid)).then_some(()));
    let offer = framework.find("an offer of the new agent", |event| {
        event["offers"]["offers"]
            .as_array()
            .is_some_and(|offers| offers[0]["agent_id"] != running["agent_id"])
    });
    assert_eq!(offer["type"], "OFFERS");
}

#[test]
fn what_has_ended_is_still_shown_after_a_crash() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::subscribe(master, Encoding::Json, careful("done"));
    let offer = framework.offer();
    framework.launch(&offer, &[task("done", &offer, "true")]);
    framework.await_state("done", "TASK_FINISHED");
    let shown = |agent| {
        until("the completed framework", || {
            let state = http::request(agent, "GET", "/state", &[], &[]).json();
            let framework = &state["completed_frameworks"][0];
            let task = &framework["completed_executors"][0]["completed_tasks"][0];
            (task["state"] == "TASK_FINISHED").then(|| framework.clone())
        })
    };
    let before = shown(cluster.agents[0].address);
    crash(&mut cluster);
    cluster.restart_agent(0, PATIENT);
    assert_eq!(shown(cluster.agents[0].address), before);
}
