//! Engines that are there and do nothing: tasks end all the same, and the agent goes on.

use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::support::framework::task;
use crate::{Dockered, engine};

fn flags(socket: &str) -> [String; 4] {
    [
        "--containerizers=docker,mesos".to_owned(),
        "--docker_remove_delay=0ns".to_owned(),
        "--executor_registration_timeout=5mins".to_owned(),
        format!("--docker_socket={socket}"),
    ]
}

fn start(name: &str, socket: &str) -> Dockered {
    let flags = flags(socket);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Dockered::with(name, &flags)
}

/// The agent does other things meanwhile.
fn run_another(own: &mut Dockered) {
    let offer = own.framework.offer();
    own.framework
        .launch(&offer, &[task("mesos", &offer, "true")]);
    own.framework.await_state("mesos", "TASK_FINISHED");
}

#[test]
fn an_engine_that_never_answers_fails_what_needs_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    // It takes every connection, and keeps it.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for connection in listener.incoming() {
            kept.push(connection);
        }
    });
    let mut own = start("docker-mute", &socket.display().to_string());
    own.launch("docker", Some("true"), json!({}));
    own.framework.accepted(json!({"type": "REVIVE"}));
    run_another(&mut own);
    let failed = own.framework.await_state("docker", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("does not answer in time"), "{message}");
    assert!(message.contains("see --docker_socket"), "{message}");
}

#[test]
fn a_task_is_killed_while_the_engine_hangs() {
    let engine = engine::Own::start();
    let mut own = start("docker-hangs", &engine.socket());
    own.launch("t", Some("exec sleep 1000"), json!({}));
    own.framework.await_state("t", "TASK_RUNNING");
    engine.freeze();
    own.framework.kill("t");
    assert_eq!(own.framework.update("t")["state"], "TASK_KILLING");
    own.framework.accepted(json!({"type": "REVIVE"}));
    run_another(&mut own);
    own.framework.await_state("t", "TASK_KILLED");
    engine.thaw();
    own.framework.accepted(json!({"type": "REVIVE"}));
    own.launch("after", Some("true"), json!({}));
    own.framework.await_state("after", "TASK_FINISHED");
}
