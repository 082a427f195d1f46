//! The real program runs single commands for a fake agent.
//! Task groups and lost connections have files of their own.

mod support;

use nix::sys::signal::Signal;
use support::{Run, of_type, policy, shell};
use tepui_protocol::v1::executor::event;
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{self, DurationInfo, TaskState};

#[test]
fn a_command_finishes() {
    let mut run = Run::subscribed(&[("FROM_EXECUTOR", "1"), ("OVERRIDDEN", "by executor")]);
    let mut task = shell(
        "t1",
        "echo $FROM_EXECUTOR $OVERRIDDEN $MESOS_EXECUTOR_ID; pwd; echo E >&2",
    );
    task.command.as_mut().unwrap().environment = Some(v1::Environment {
        variables: vec![v1::environment::Variable {
            name: "OVERRIDDEN".into(),
            value: Some("by command".into()),
            ..Default::default()
        }],
    });
    run.launch(task);
    let starting = run.expect("t1", TaskState::TaskStarting);
    assert_eq!(starting.source(), Source::Executor);
    assert_eq!(starting.executor_id.unwrap().value, "e1");
    assert_eq!(starting.uuid.unwrap().len(), 16);
    assert!(starting.timestamp.unwrap() > 1e9);
    assert_eq!((starting.message, starting.container_status), (None, None));
    run.expect("t1", TaskState::TaskRunning);
    let finished = run.expect("t1", TaskState::TaskFinished);
    assert_eq!(finished.message(), "Command exited with status 0");
    assert_eq!(finished.reason, None);
    assert_eq!(run.exit_code(), Some(0));
    let here = run.sandbox.path().canonicalize().unwrap();
    assert_eq!(
        run.read("stdout"),
        format!("1 by command e1\n{}\n", here.display())
    );
    assert_eq!(run.read("stderr"), "E\n");
}

#[test]
fn a_program_gets_its_arguments_without_a_shell() {
    let mut run = Run::subscribed(&[]);
    let mut task = shell("t1", "printf");
    let command = task.command.as_mut().unwrap();
    command.shell = Some(false);
    command.arguments = vec!["printf".into(), "<%s>".into(), "$HOME".into(), "a b".into()];
    run.launch(task);
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    run.expect("t1", TaskState::TaskFinished);
    assert_eq!(run.exit_code(), Some(0));
    assert_eq!(run.read("stdout"), "<$HOME><a b>");
}

#[test]
fn exit_status_and_signal_are_told() {
    for (script, message) in [
        ("exit 3", "Command exited with status 3"),
        ("no-such-program", "Command exited with status 127"),
        ("kill -KILL $$", "Command terminated with signal Killed"),
        (
            "kill -USR1 $$",
            "Command terminated with signal User defined signal 1",
        ),
    ] {
        let mut run = Run::subscribed(&[]);
        run.launch(shell("t1", script));
        run.expect("t1", TaskState::TaskStarting);
        run.expect("t1", TaskState::TaskRunning);
        let failed = run.expect("t1", TaskState::TaskFailed);
        assert_eq!((failed.message(), failed.reason), (message, None));
        assert_eq!(run.exit_code(), Some(0));
    }
}

#[test]
fn a_kill_ends_the_whole_tree_of_processes() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    // One child in the same group, one in a session of its own; both hold the pipe open.
    let script = "exec 3>pipe; sleep 1000 & setsid sleep 1000 & echo ready >&3; wait";
    run.launch(shell("t1", script));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("ready"));
    run.kill("t1", None);
    let killing = run.expect("t1", TaskState::TaskKilling);
    assert_eq!(killing.message, None);
    let killed = run.expect("t1", TaskState::TaskKilled);
    assert_eq!(
        killed.message(),
        "Command terminated with signal Terminated"
    );
    assert_eq!(run.exit_code(), Some(0));
    assert_eq!(pipe.line(), None);
}

#[test]
fn what_a_finished_command_left_running_ends_with_it() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    let lock = run.path("lock");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&lock)
            .status()
            .unwrap()
            .success()
    );
    run.launch(shell(
        "t1",
        "exec 3>pipe; setsid sh -c 'echo up >&3; sleep 1000' & read x <lock",
    ));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("up"));
    std::fs::write(lock, "go\n").unwrap();
    run.expect("t1", TaskState::TaskFinished);
    assert_eq!(run.exit_code(), Some(0));
    assert_eq!(pipe.line(), None);
}

#[test]
fn a_command_that_ignores_sigterm_gets_sigkill() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    let mut task = shell(
        "t1",
        "trap '' TERM; echo ready >pipe; while :; do sleep 1000; done",
    );
    task.kill_policy = Some(policy(50));
    run.launch(task);
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("ready"));
    run.kill("t1", None);
    run.expect("t1", TaskState::TaskKilling);
    let killed = run.expect("t1", TaskState::TaskKilled);
    assert_eq!(killed.message(), "Command terminated with signal Killed");
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_later_kill_with_a_shorter_grace_shortens_the_wait() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    run.launch(shell(
        "t1",
        "trap '' TERM; echo ready >pipe; while :; do sleep 1000; done",
    ));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("ready"));
    // Longer than any test waits: only the second kill can end the task.
    run.kill("t1", Some(3_600_000));
    run.expect("t1", TaskState::TaskKilling);
    run.kill("t1", Some(10));
    let killed = run.expect("t1", TaskState::TaskKilled);
    assert_eq!(killed.message(), "Command terminated with signal Killed");
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_command_may_not_exceed_its_maximum_completion_time() {
    let mut run = Run::subscribed(&[]);
    let mut task = shell("t1", "sleep 1000");
    task.max_completion_time = Some(DurationInfo {
        nanoseconds: 50_000_000,
    });
    run.launch(task);
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    let failed = run.expect("t1", TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::MaxCompletionTimeReached);
    assert_eq!(
        failed.message(),
        "Command terminated with signal Terminated"
    );
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_program_that_cannot_be_executed_ran_and_ended_with_1() {
    let mut task = shell("t1", "/no/such/program");
    task.command.as_mut().unwrap().shell = Some(false);
    let mut run = Run::subscribed(&[]);
    run.launch(task);
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    let failed = run.expect("t1", TaskState::TaskFailed);
    assert_eq!(failed.message(), "Command exited with status 1");
    assert_eq!(run.exit_code(), Some(0));
    let told = run.read("stderr");
    assert!(
        told.contains("Failed to execute '/no/such/program': No such file"),
        "{told}"
    );
}

#[test]
fn a_command_that_cannot_be_started_fails_with_the_cause() {
    let nobody = {
        let mut task = shell("t1", "true");
        task.command.as_mut().unwrap().user = Some("no-such-user".into());
        task
    };
    for (task, message) in [
        (nobody, "No such user 'no-such-user'"),
        (
            shell("t1", ""),
            "'CommandInfo.value' is empty, expected a shell command",
        ),
        (
            v1::TaskInfo {
                command: None,
                ..shell("t1", "")
            },
            "the task has no command",
        ),
    ] {
        let mut run = Run::subscribed(&[]);
        run.launch(task);
        run.expect("t1", TaskState::TaskStarting);
        let failed = run.expect("t1", TaskState::TaskFailed);
        assert_eq!(failed.message(), message);
        assert_eq!(run.exit_code(), Some(0));
    }
}

#[test]
fn a_command_runs_as_its_user() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can become somebody else; everybody else must be told so.
        let mut run = Run::subscribed(&[]);
        let mut task = shell("t1", "true");
        task.command.as_mut().unwrap().user = Some("root".into());
        run.launch(task);
        run.expect("t1", TaskState::TaskStarting);
        let failed = run.expect("t1", TaskState::TaskFailed);
        let message = "Cannot run as user 'root': the executor does not run as root";
        assert_eq!(failed.message(), message);
        return;
    }
    let mut run = Run::subscribed(&[]);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(run.sandbox.path(), open).unwrap();
    let mut task = shell("t1", "id -un; id -Gn");
    task.command.as_mut().unwrap().user = Some("nobody".into());
    run.launch(task);
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    let finished = run.expect("t1", TaskState::TaskFinished);
    assert_eq!(finished.message(), "Command exited with status 0");
    assert_eq!(run.exit_code(), Some(0));
    let output = run.read("stdout");
    assert!(output.starts_with("nobody\n"), "{output}");
    assert!(!output.contains("root"), "{output}");
}

#[test]
fn a_second_command_is_refused() {
    let mut run = Run::subscribed(&[]);
    run.launch(shell("t1", "sleep 1000"));
    run.expect("t1", TaskState::TaskStarting);
    run.expect("t1", TaskState::TaskRunning);
    run.launch(shell("t2", "true"));
    let failed = run.expect("t2", TaskState::TaskFailed);
    let message = "Attempted to run multiple tasks using a \"command\" executor";
    assert_eq!(failed.message(), message);
    run.kill("t1", None);
    run.expect("t1", TaskState::TaskKilling);
    run.expect("t1", TaskState::TaskKilled);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn shutdown_and_sigterm_kill_the_command() {
    for by_signal in [false, true] {
        let mut run = Run::subscribed(&[]);
        run.launch(shell("t1", "sleep 1000"));
        run.expect("t1", TaskState::TaskStarting);
        run.expect("t1", TaskState::TaskRunning);
        match by_signal {
            true => run.signal(Signal::SIGTERM),
            false => run.send(&of_type(event::Type::Shutdown)),
        }
        run.expect("t1", TaskState::TaskKilling);
        run.expect("t1", TaskState::TaskKilled);
        assert_eq!(run.exit_code(), Some(0));
    }
}
