//! Commands that check members of groups which are containers: they see what their task sees.
//! Needs root, and cgroups of version 1 at `/sys/fs/cgroup`.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::groups::launch_group;
use super::isolation::{ALL, Isolated, read};
use super::nested::{limited, sandbox, shown};
use crate::support::cluster::until;

/// A health check by a command, which begins at once.
fn health_check(script: &str, timeout: f64, failures: u32) -> Value {
    json!({
        "type": "COMMAND", "command": {"value": script},
        "delay_seconds": 0.0, "interval_seconds": 0.1, "timeout_seconds": timeout,
        "grace_period_seconds": 0.0, "consecutive_failures": failures,
    })
}

/// The sandbox of a member that runs.
fn sandbox_of(isolated: &mut Isolated, member: &str) -> PathBuf {
    let running = isolated.framework.await_state(member, "TASK_RUNNING");
    let id = running["container_status"]["container_id"]["value"].clone();
    sandbox(isolated.cluster(), id.as_str().expect("id"))
}

/// What is told of a check next.
fn told(isolated: &mut Isolated, member: &str, reason: &str) -> Value {
    loop {
        let update = isolated.framework.update(member);
        if update["reason"] == reason {
            return update;
        }
        let state = update["state"].as_str().expect("state");
        assert!(
            ["TASK_STARTING", "TASK_RUNNING"].contains(&state),
            "{update}"
        );
    }
}

fn checks_that_run(isolated: &mut Isolated) -> usize {
    let all = shown(isolated.cluster());
    all.iter().filter(|word| word.contains(".check-")).count()
}

fn pids(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[test]
fn a_command_sees_what_its_task_sees() {
    let mut isolated = Isolated::with("check-sees", ALL, &[]);
    let offer = isolated.framework.offer();
    let look = "for kind in pid ipc; do readlink /proc/self/ns/$kind; done; \
                grep :memory: /proc/self/cgroup; tr '\\0' ' ' < /proc/1/cmdline; ulimit -n; \
                pwd; echo $MESOS_SANDBOX";
    let script = format!("({look}) > own; echo mine > /mnt/mark; exec sleep 1000");
    let mut member = limited("member", &offer, &script, 32.0);
    // Nobody else sees this at `/mnt`.
    let volume = json!({"mode": "RW", "container_path": "/mnt", "host_path": "shown"});
    member["container"]["volumes"] = json!([volume]);
    member["container"]["rlimit_info"] =
        json!({"rlimits": [{"type": "RLMT_NOFILE", "soft": 100, "hard": 100}]});
    let seen = format!("test -e /mnt/mark && ({look}) > next && mv next seen");
    member["health_check"] = health_check(&seen, 30.0, 1000);
    member["check"] = json!({
        "type": "COMMAND", "command": {"command": {"value": "exit $(wc -l < /mnt/mark)2"}},
        "delay_seconds": 0.5, "interval_seconds": 0.1,
    });
    launch_group(&isolated.framework, &offer, &[member]);
    let directory = sandbox_of(&mut isolated, "member");
    // One line, and a two behind it.
    let update = told(&mut isolated, "member", "REASON_TASK_CHECK_STATUS_UPDATED");
    assert_eq!(
        update["check_status"]["command"]["exit_code"], 12,
        "{update}"
    );
    until("the health check", || {
        directory.join("seen").exists().then_some(())
    });
    let (own, seen) = (read(directory.join("own")), read(directory.join("seen")));
    assert!(own.contains("/mesos/"), "{own}");
    assert_eq!(seen, own);
    assert!(!Path::new("/mnt/mark").exists());
    // Each is removed before the next one begins.
    let left = std::fs::read_dir(directory.join("containers")).expect("checks");
    assert!(left.count() <= 2);
    isolated.framework.kill("member");
    isolated.framework.await_state("member", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_member_that_turns_unhealthy_is_killed_with_its_group() {
    let mut isolated = Isolated::with("check-kills", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let script = "touch good; exec sleep 1000";
    let mut sick = limited("sick", &offer, script, 32.0);
    sick["health_check"] = health_check("echo looked; test -e good", 30.0, 2);
    let other = limited("other", &offer, script, 32.0);
    launch_group(&isolated.framework, &offer, &[sick, other]);
    let directory = sandbox_of(&mut isolated, "sick");
    let reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED";
    let first = told(&mut isolated, "sick", reason);
    assert_eq!(first["healthy"], true, "{first}");
    // What it says is in the executor's output.
    let executor = directory.ancestors().nth(2).expect("the executor's");
    assert!(read(executor.join("stderr")).contains("looked\n"));
    std::fs::remove_file(directory.join("good")).expect("the file");
    let second = told(&mut isolated, "sick", reason);
    assert_eq!(second["healthy"], false, "{second}");
    let message = second["message"].as_str().expect("message");
    assert!(
        message.ends_with("Command exited with status 1"),
        "{message}"
    );
    for member in ["sick", "other"] {
        let killed = isolated.framework.await_state(member, "TASK_KILLED");
        assert_eq!(killed["healthy"], false, "{killed}");
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_all_it_has_started() {
    let mut isolated = Isolated::with("check-slow", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let mut member = limited("slow", &offer, "exec sleep 1000", 32.0);
    let script = "setsid sleep 1000 & echo $! >> pids; echo $$ >> pids; wait";
    member["health_check"] = health_check(script, 0.3, 2);
    launch_group(&isolated.framework, &offer, &[member]);
    let directory = sandbox_of(&mut isolated, "slow");
    let update = told(
        &mut isolated,
        "slow",
        "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED",
    );
    assert_eq!(update["healthy"], false);
    let message = update["message"].as_str().expect("message");
    assert!(message.ends_with("timed out after 0.3secs"), "{message}");
    isolated.framework.await_state("slow", "TASK_KILLED");
    let started = pids(&directory.join("pids"));
    assert!(started.len() >= 4, "{started:?}");
    until("the end of all", || {
        started.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_command_that_an_agents_crash_interrupts_leaves_nothing() {
    let mut isolated = Isolated::with("check-crash", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let mut member = limited("member", &offer, "exec sleep 1000", 32.0);
    member["health_check"] = health_check("echo $$ >> pids; exec sleep 1000", 0.0, 1);
    launch_group(&isolated.framework, &offer, &[member]);
    let directory = sandbox_of(&mut isolated, "member");
    let file = directory.join("pids");
    let first = until("the first look", || pids(&file).first().copied());
    assert!(is_alive(first));
    let agent = &mut isolated.cluster().agents[0];
    agent.signal(Signal::SIGKILL);
    agent.wait();
    isolated.restart_agent();
    until("its end", || (!is_alive(first)).then_some(()));
    // It looks again, once the agent is back.
    let second = until("the second look", || pids(&file).get(1).copied());
    until("one look", || {
        (checks_that_run(&mut isolated) == 1).then_some(())
    });
    assert!(is_alive(second));
    let left = || {
        std::fs::read_dir(directory.join("containers"))
            .expect("checks")
            .count()
    };
    until("one sandbox", || (left() == 1).then_some(()));
    isolated.framework.kill("member");
    isolated.framework.await_state("member", "TASK_KILLED");
    until("its end", || (!is_alive(second)).then_some(()));
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_command_sees_mounts_also_where_nothing_else_is_its_tasks_own() {
    let mut isolated = Isolated::with("check-mounts", "filesystem/linux", &[]);
    let offer = isolated.framework.offer();
    let script = "echo mine > /mnt/mark; exec sleep 1000";
    let mut member = limited("member", &offer, script, 32.0);
    let volume = json!({"mode": "RW", "container_path": "/mnt", "host_path": "shown"});
    member["container"] = json!({"type": "MESOS", "volumes": [volume]});
    // Its variables are those of its task, with its own on top; it runs as it is written.
    member["command"]["environment"] = json!({"variables": [
        {"name": "A", "value": "task"}, {"name": "B", "value": "task"},
    ]});
    member["check"] = json!({
        "type": "COMMAND",
        "command": {"command": {
            "shell": false, "value": "/bin/sh",
            "arguments": ["sh", "-c", "test $A$B = taskcheck && exit $(wc -l < /mnt/mark)2"],
            "environment": {"variables": [{"name": "B", "value": "check"}]},
        }},
        "delay_seconds": 0.5, "interval_seconds": 0.1,
    });
    launch_group(&isolated.framework, &offer, &[member]);
    let update = told(&mut isolated, "member", "REASON_TASK_CHECK_STATUS_UPDATED");
    let status = &update["check_status"]["command"];
    assert_eq!(status["exit_code"], 12, "{update}");
    isolated.framework.kill("member");
    isolated.framework.await_state("member", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}
