//! The real program meets agents that go away, come back or talk nonsense.
//! What tasks do is tested elsewhere.

mod support;

use std::process::Command;

use support::{Run, shell};
use tepui_protocol::v1::TaskState;

#[test]
fn without_checkpoint_a_lost_agent_ends_the_command() {
    let mut run = Run::subscribed(&[("MESOS_CHECKPOINT", "0")]);
    let pipe = run.pipe("pipe");
    run.launch(shell("t1", "exec 3>pipe; echo up >&3; sleep 1000"));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("up"));
    run.cut();
    assert_eq!(run.exit_code(), Some(1));
    assert_eq!(pipe.line(), None);
    assert!(
        run.read("stderr").contains("lost the agent"),
        "{}",
        run.read("stderr")
    );
}

#[test]
fn with_checkpoint_it_comes_back_and_repeats_what_was_not_acknowledged() {
    let mut run = Run::subscribed(&[
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "10ms"),
    ]);
    run.launch(shell("t1", "sleep 1000"));
    let starting = run.update();
    let running = run.update();
    run.cut();
    let again = run.accept_subscribe().subscribe.unwrap();
    let tasks: Vec<_> = again
        .unacknowledged_tasks
        .iter()
        .map(|it| &it.task_id.value)
        .collect();
    assert_eq!(tasks, ["t1"]);
    let updates: Vec<_> = again
        .unacknowledged_updates
        .iter()
        .map(|it| it.status.uuid.clone())
        .collect();
    assert_eq!(updates, [starting.uuid.clone(), running.uuid.clone()]);
    run.send_subscribed();
    run.acknowledge(&starting);
    run.acknowledge(&running);

    // Nothing is repeated once it was acknowledged; an agent that is not ready is asked again.
    run.cut();
    run.accept_subscribe();
    run.send_raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nLater");
    let again = run.accept_subscribe().subscribe.unwrap();
    assert!(again.unacknowledged_tasks.is_empty());
    assert!(again.unacknowledged_updates.is_empty());
    run.send_subscribed();
    run.kill("t1", None);
    run.expect("t1", TaskState::TaskKilling);
    run.expect("t1", TaskState::TaskKilled);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn an_agent_that_finds_a_request_too_slow_is_asked_again() {
    let mut run = Run::start(&[("MESOS_SUBSCRIPTION_BACKOFF_MAX", "10ms")]);
    run.accept_subscribe();
    let too_slow =
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    run.send_raw(too_slow);
    run.accept_subscribe();
    run.send_subscribed();
    run.launch(shell("t1", "exit 0"));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    run.expect("t1", TaskState::TaskFinished);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn with_checkpoint_it_gives_up_after_the_recovery_timeout() {
    let mut run = Run::subscribed(&[
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "100ms"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "10ms"),
    ]);
    let pipe = run.pipe("pipe");
    run.launch(shell("t1", "exec 3>pipe; echo up >&3; sleep 1000"));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("up"));
    // The agent still accepts connections but never answers again.
    run.cut();
    assert_eq!(run.exit_code(), Some(1));
    assert_eq!(pipe.line(), None);
}

#[test]
fn nonsense_ends_the_executor() {
    for nonsense in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 29\r\n\r\nExecutor cannot be found\n\n\n\n\n"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n3\n\xff\xff\xff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n99999999999\n\r\n",
    ] {
        let mut run = Run::start(&[]);
        run.accept_subscribe();
        run.send_raw(nonsense);
        assert_eq!(run.exit_code(), Some(1), "{:?}", String::from_utf8_lossy(nonsense));
        assert!(run.read("stderr").contains("cannot go on with this agent"));
    }
}

#[test]
fn an_event_without_its_content_ends_the_executor() {
    let mut run = Run::subscribed(&[]);
    run.send(&support::of_type(
        tepui_protocol::v1::executor::event::Type::Launch,
    ));
    assert_eq!(run.exit_code(), Some(1));
    let text = "tepui-executor: event LAUNCH lacks its content\n";
    assert_eq!(run.read("stderr"), text);
}

#[test]
fn it_says_what_is_missing() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tepui-executor"));
        command.env_clear().args(arguments).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let text = "tepui-executor: expecting 'MESOS_AGENT_ENDPOINT' to be set in the environment\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), text);
    assert_eq!(run(&["--wrong"]).status.code(), Some(1));
    let output = run(&["--version"]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("tepui-executor 0."));
}
