//! What cannot be run: each task ends with the reason and the cause, and the agent goes on.

use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::support::framework::{scalar, task};
use crate::{Dockered, engine, sandbox};

fn not_launched(own: &mut Dockered, id: &str) -> String {
    let failed = own.framework.await_state(id, "TASK_FAILED");
    assert_eq!(
        failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED",
        "{failed:#}"
    );
    failed["message"].as_str().expect("a message").to_owned()
}

#[test]
fn what_is_wrong_with_a_container_is_in_the_status() {
    let mut own = Dockered::start("docker-wrong");
    let missing = json!({"image": "tepui-test/is-not-there", "force_pull_image": true});
    let unknown = json!({"parameters": [{"key": "detach", "value": "true"}]});
    let port =
        json!({"network": "BRIDGE", "port_mappings": [{"host_port": 80, "container_port": 80}]});
    let network = json!({"parameters": [{"key": "network", "value": "tepui-nowhere"}]});
    let program = json!({"parameters": [{"key": "entrypoint", "value": "/no/such"}]});
    for (id, docker, words) in [
        (
            "missing",
            missing,
            "Failed to pull image 'tepui-test/is-not-there:latest'",
        ),
        ("unknown", unknown, "'detach', which is not supported"),
        ("port", port, "Port [80] not included in resources"),
        ("network", network, "tepui-nowhere"),
        ("program", program, "/no/such"),
    ] {
        own.launch(id, Some("true"), docker);
        let why = not_launched(&mut own, id);
        assert!(why.contains(words), "{why}");
    }
    own.launch("good", Some("true"), json!({}));
    own.framework.await_state("good", "TASK_FINISHED");
    own.wait_until_nothing_is_left();
}

#[test]
fn an_image_that_is_there_is_pulled_again_only_if_asked_for() {
    let mut own = Dockered::start("docker-pull");
    // Nobody listens there.
    let image = "127.0.0.1:9/kept:1";
    let path = format!("/images/{}/tag?repo=127.0.0.1:9/kept&tag=1", engine::IMAGE);
    let (status, said) = engine::ask("POST", &path, "", b"");
    assert_eq!(status, 201, "{said}");
    own.launch("kept", Some("true"), json!({"image": image}));
    own.framework.await_state("kept", "TASK_FINISHED");
    own.framework.accepted(json!({"type": "REVIVE"}));
    let forced = json!({"image": image, "force_pull_image": true});
    own.launch("forced", Some("true"), forced);
    let why = not_launched(&mut own, "forced");
    let words = format!("Failed to pull image '{image}'");
    assert!(
        why.contains(&words) && why.contains("connection refused"),
        "{why}"
    );
    own.wait_until_nothing_is_left();
    engine::ask("DELETE", &format!("/images/{image}"), "", b"");
}

#[test]
fn a_container_that_uses_too_much_memory_is_ended() {
    let mut own = Dockered::start("docker-memory");
    own.launch("greedy", Some("tail -c 1000000000 /dev/zero"), json!({}));
    let failed = own.framework.await_state("greedy", "TASK_FAILED");
    assert_eq!(
        failed["reason"], "REASON_CONTAINER_LIMITATION_MEMORY",
        "{failed:#}"
    );
}

#[test]
fn an_executor_that_uses_too_much_memory_fails_its_tasks_for_that() {
    let mut own = Dockered::start("docker-greedy");
    let offer = own.framework.offer();
    let resources = json!([scalar("cpus", 0.1), scalar("mem", 32.0)]);
    let task = json!({
        "name": "t", "task_id": {"value": "t"}, "agent_id": offer["agent_id"],
        "resources": resources,
        "executor": {
            "type": "CUSTOM", "executor_id": {"value": "t"}, "name": "t",
            "command": {"value": "tail -c 1000000000 /dev/zero"},
            "resources": resources,
            "container": {"type": "DOCKER", "docker": {"image": engine::IMAGE}},
        },
    });
    own.framework.launch(&offer, &[task]);
    let failed = own.framework.await_state("t", "TASK_FAILED");
    assert_eq!(
        failed["reason"], "REASON_CONTAINER_LIMITATION_MEMORY",
        "{failed:#}"
    );
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("Memory limit exceeded"), "{message}");
    own.wait_until_nothing_is_left();
}

#[test]
fn without_an_engine_other_tasks_go_on() {
    let flags = [
        "--containerizers=docker,mesos",
        "--docker_socket=/nonexistent/docker.sock",
    ];
    let mut own = Dockered::with("docker-absent", &flags);
    own.launch("docker", Some("true"), json!({}));
    let why = not_launched(&mut own, "docker");
    assert!(
        why.contains("/nonexistent/docker.sock (see --docker_socket)"),
        "{why}"
    );
    let offer = own.framework.offer();
    own.framework
        .launch(&offer, &[task("mesos", &offer, "true")]);
    own.framework.await_state("mesos", "TASK_FINISHED");
}

#[test]
fn an_engine_that_crashes_takes_no_task_with_it() {
    let mut engine = engine::Own::start();
    let socket = format!("--docker_socket={}", engine.socket());
    let flags = [
        "--containerizers=docker,mesos",
        "--docker_remove_delay=0ns",
        &socket,
    ];
    let mut own = Dockered::with("docker-crash", &flags);
    own.launch("t", Some("exec sleep 1000"), json!({}));
    own.framework.await_state("t", "TASK_RUNNING");
    engine.crash();
    // What the first task has left was refused.
    own.framework.accepted(json!({"type": "REVIVE"}));
    own.launch("late", Some("true"), json!({}));
    let why = not_launched(&mut own, "late");
    assert!(why.contains("the Docker Engine cannot be reached"), "{why}");
    // The container can be ended without the Engine.
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
    engine.start_again();
    own.launch("after", Some("true"), json!({}));
    own.framework.await_state("after", "TASK_FINISHED");
}

#[test]
fn what_a_task_writes_while_the_engine_is_away_is_read_when_it_is_back() {
    let mut engine = engine::Own::that_restores();
    let socket = format!("--docker_socket={}", engine.socket());
    let flags = [
        "--containerizers=docker,mesos",
        "--docker_remove_delay=0ns",
        &socket,
    ];
    let mut own = Dockered::with("docker-away", &flags);
    let script = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.02; done";
    own.launch("t", Some(script), json!({}));
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let stdout = sandbox(&own.work_dir, "t", &running).join("stdout");
    let written = || -> Vec<u32> {
        let text = std::fs::read_to_string(&stdout).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    until("the first lines", || (written().len() > 20).then_some(()));
    engine.crash();
    let before = written().len();
    // It goes on writing, and nobody reads.
    std::thread::sleep(std::time::Duration::from_secs(1));
    engine.start_again();
    until("more lines", || {
        (written().len() > before + 100).then_some(())
    });
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
    let all = written();
    let expected: Vec<u32> = (0..).take(all.len()).collect();
    assert_eq!(all, expected);
}

#[test]
fn without_the_containerizer_the_flag_is_named() {
    let mut own = Dockered::with("docker-unused", &[]);
    own.launch("t", Some("true"), Value::Null);
    let why = not_launched(&mut own, "t");
    assert!(
        why.contains("'docker', which this agent does not use (see --containerizers)"),
        "{why}"
    );
}
