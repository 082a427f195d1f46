//! The real program runs task groups for a fake agent.
//! Single commands and lost connections have files of their own.

mod support;

use support::{Run, shell};
use tepui_protocol::v1::resource::DiskInfo;
use tepui_protocol::v1::resource::disk_info::Persistence;
use tepui_protocol::v1::{Resource, TaskInfo, TaskState, TaskStatus, Volume};

/// The container id of a task of a group, whose parent is the executor's container.
fn container(status: &TaskStatus) -> String {
    let id = status
        .container_status
        .as_ref()
        .and_then(|it| it.container_id.as_ref());
    let id = id.expect("a container id");
    assert_eq!(
        id.parent.as_ref().map(|parent| parent.value.as_str()),
        Some("c1")
    );
    id.value.clone()
}

#[test]
fn a_failing_member_takes_its_group_along() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    let wait = "read x <../../pipe2; exit 4";
    let made = std::process::Command::new("mkfifo")
        .arg(run.path("pipe2"))
        .status()
        .unwrap();
    assert!(made.success());
    let long = "echo up >../../pipe; exec sleep 1000";
    run.launch_group(vec![shell("g1", long), shell("g2", wait)]);
    run.expect("g1", TaskState::TaskStarting);
    run.expect("g2", TaskState::TaskStarting);
    run.expect("g1", TaskState::TaskRunning);
    run.expect("g2", TaskState::TaskRunning);
    assert_eq!(pipe.line().as_deref(), Some("up"));
    std::fs::write(run.path("pipe2"), "go\n").unwrap();
    let failed = run.expect("g2", TaskState::TaskFailed);
    assert_eq!(failed.message(), "Command exited with status 4");
    run.expect("g1", TaskState::TaskKilling);
    let killed = run.expect("g1", TaskState::TaskKilled);
    assert_eq!(
        killed.message(),
        "Command terminated with signal Terminated"
    );
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn each_member_has_its_own_sandbox() {
    let mut run = Run::subscribed(&[("SEEN", "1")]);
    let script = "echo out $SEEN; echo err >&2; pwd; test \"$MESOS_SANDBOX\" = \"$(pwd)\"";
    run.launch_group(vec![shell("g1", script), shell("g2", "echo two")]);
    let g1 = container(&run.expect("g1", TaskState::TaskStarting));
    let g2 = container(&run.expect("g2", TaskState::TaskStarting));
    assert_ne!(g1, g2);
    let mut finished = 0;
    while finished < 2 {
        let status = run.update();
        run.acknowledge(&status);
        let expected = if status.task_id.value == "g1" {
            &g1
        } else {
            &g2
        };
        assert_eq!(&container(&status), expected);
        match status.state() {
            TaskState::TaskRunning => {}
            TaskState::TaskFinished => finished += 1,
            _ => panic!("unexpected {status:?}"),
        }
    }
    assert_eq!(run.exit_code(), Some(0));
    let sandbox = run.path(&format!("containers/{g1}"));
    assert_eq!(std::fs::read_link(run.path("tasks/g1")).unwrap(), sandbox);
    assert_eq!(
        run.read("tasks/g1/stdout"),
        format!("out\n{}\n", sandbox.display())
    );
    assert_eq!(run.read("tasks/g1/stderr"), "err\n");
    assert_eq!(run.read("tasks/g2/stdout"), "two\n");
    assert_eq!(run.read("stdout"), "");
}

#[test]
fn groups_live_and_die_apart() {
    let mut run = Run::subscribed(&[]);
    run.launch_group(vec![shell("a", "exec sleep 1000")]);
    run.expect("a", TaskState::TaskStarting);
    run.expect("a", TaskState::TaskRunning);
    run.launch_group(vec![shell("b", "exit 1")]);
    run.expect("b", TaskState::TaskStarting);
    run.expect("b", TaskState::TaskRunning);
    run.expect("b", TaskState::TaskFailed);
    // The first group goes on until it is killed itself.
    run.kill("a", None);
    run.expect("a", TaskState::TaskKilling);
    run.expect("a", TaskState::TaskKilled);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_member_that_cannot_start_takes_its_group_along() {
    let mut run = Run::subscribed(&[]);
    let mut missing = shell("g1", "/no/such/program");
    missing.command.as_mut().unwrap().shell = Some(false);
    run.launch_group(vec![missing, shell("g2", "exec sleep 1000")]);
    run.expect("g1", TaskState::TaskStarting);
    run.expect("g2", TaskState::TaskStarting);
    run.expect("g1", TaskState::TaskRunning);
    let failed = run.expect("g1", TaskState::TaskFailed);
    assert_eq!(failed.message(), "Command exited with status 1");
    run.expect("g2", TaskState::TaskRunning);
    run.expect("g2", TaskState::TaskKilling);
    run.expect("g2", TaskState::TaskKilled);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_task_id_cannot_lead_out_of_the_sandbox() {
    let mut run = Run::subscribed(&[]);
    run.launch_group(vec![shell("../x", "true")]);
    run.expect("../x", TaskState::TaskStarting);
    let failed = run.expect("../x", TaskState::TaskFailed);
    let message = "Failed to make the sandbox of task '../x': its id cannot name a file";
    assert_eq!(failed.message(), message);
    assert_eq!(run.exit_code(), Some(0));
}

/// A disk with a persistent volume that is to be seen as `name`.
fn volume(name: &str) -> Resource {
    Resource {
        name: "disk".into(),
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: "v1".into(),
                ..Default::default()
            }),
            volume: Some(Volume {
                container_path: name.into(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[test]
fn a_persistent_volume_is_seen_in_the_sandbox_of_each_member() {
    let mut run = Run::subscribed(&[]);
    let data = tempfile::tempdir().unwrap();
    // The agent links volumes in the executor's sandbox before it hands a task over.
    std::os::unix::fs::symlink(data.path(), run.path("data")).unwrap();
    let writer = TaskInfo {
        resources: vec![volume("data")],
        ..shell("g1", "echo kept >data/file")
    };
    run.launch_group(vec![writer]);
    run.expect("g1", TaskState::TaskStarting);
    run.expect("g1", TaskState::TaskRunning);
    run.expect("g1", TaskState::TaskFinished);
    let kept = std::fs::read_to_string(data.path().join("file")).unwrap();
    assert_eq!(kept, "kept\n");
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn a_volume_that_would_lead_out_of_the_sandbox_fails_the_task() {
    for name in ["../up", "/abs", "stdout"] {
        let mut run = Run::subscribed(&[]);
        let task = TaskInfo {
            resources: vec![volume(name)],
            ..shell("g1", "true")
        };
        run.launch_group(vec![task]);
        run.expect("g1", TaskState::TaskStarting);
        let failed = run.expect("g1", TaskState::TaskFailed);
        let text = format!("Failed to link the persistent volume '{name}'");
        assert!(failed.message().contains(&text), "{}", failed.message());
        assert_eq!(run.exit_code(), Some(0), "{name}");
    }
}
