//! Launching tasks and groups, and everything that may go wrong before delivery.

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::task_status::Reason;

use super::*;

#[test]
fn a_command_gets_an_executor_of_its_own() {
    let mut agent = Fixture::registered();
    let task = v1::TaskInfo {
        kill_policy: Some(v1::KillPolicy {
            grace_period: Some(v1::DurationInfo {
                nanoseconds: 7_000_000_000,
            }),
        }),
        ..command_task("t1", "echo 1234567890")
    };
    agent.run(task);
    let launch = agent.launch();
    let snapshot = agent.snapshot();
    let executor = snapshot
        .frameworks
        .get(FRAMEWORK)
        .unwrap()
        .executors
        .get("t1")
        .unwrap();
    #[allow(deprecated)]
    let source = executor.info.source().to_owned();
    assert_eq!(source, "t1");
    assert_eq!(
        executor.info.name(),
        "Command Executor (Task: t1) (Command: sh -c 'echo 1234567890')"
    );
    // Kill grace, reap interval and a second on top.
    let grace = executor
        .info
        .shutdown_grace_period
        .as_ref()
        .unwrap()
        .nanoseconds;
    assert_eq!(grace, 9_000_000_000);
    let mut overhead = vec![scalar("cpus", 0.1), scalar("mem", 32.0)];
    assert_eq!(executor.info.resources, std::mem::take(&mut overhead));

    assert_eq!(launch.program, "/libexec/tepui-executor");
    assert_eq!(
        launch.arguments,
        [
            "tepui-executor",
            "--launcher_dir=/libexec",
            "--switch_user=false"
        ]
    );
    let container = launch.container.as_str();
    let sandbox = format!(
        "/var/lib/tepui/slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/t1/runs/{container}"
    );
    assert_eq!(launch.directory, sandbox);
    assert_eq!(launch.user, None);
    for (name, value) in [
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_AGENT_ENDPOINT", "10.0.0.1:5051"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_DIRECTORY", &sandbox),
        ("MESOS_SANDBOX", &sandbox),
        ("MESOS_EXECUTOR_ID", "t1"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "9secs"),
        ("MESOS_FRAMEWORK_ID", FRAMEWORK),
        ("MESOS_SLAVE_ID", AGENT),
        ("MESOS_SLAVE_PID", "slave(1)@10.0.0.1:5051"),
        ("MESOS_ALLOCATION_ROLE", "role"),
    ] {
        assert_eq!(
            launch.environment.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn tasks_wait_for_the_executor_and_are_delivered_in_order() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let launch = agent.launch();
    assert_eq!(launch.program, "/bin/sh");
    assert_eq!(launch.arguments, ["sh", "-c", "run-it"]);
    agent.run_as(framework(&[]), custom_task("t2", "ex"), false);
    agent.nothing();
    agent.subscribe("ex", 5);
    let subscribed = agent.event(5).subscribed.unwrap();
    assert_eq!(subscribed.executor_info.executor_id.value, "ex");
    assert_eq!(
        subscribed.executor_info.framework_id.unwrap().value,
        FRAMEWORK
    );
    assert_eq!(subscribed.framework_info.name, "test");
    assert_eq!(subscribed.agent_info.id.unwrap().value, AGENT);
    assert_eq!(
        subscribed.container_id.unwrap().value,
        launch.container.as_str()
    );
    for expected in ["t1", "t2"] {
        let task = agent.event(5).launch.unwrap().task;
        assert_eq!(task.task_id.value, expected);
    }
    // From now on they are delivered at once.
    agent.run_as(framework(&[]), custom_task("t3", "ex"), false);
    assert_eq!(agent.event(5).launch.unwrap().task.task_id.value, "t3");
}

#[test]
fn a_group_is_delivered_at_once_by_tepuis_executor() {
    let mut agent = Fixture::registered();
    agent.run_group(vec![command_task("g1", "true"), command_task("g2", "true")]);
    let launch = agent.launch();
    assert_eq!(launch.program, "/libexec/tepui-executor");
    agent.subscribe("group", 1);
    assert_eq!(agent.event_type(1), event::Type::Subscribed);
    let group = agent.event(1).launch_group.unwrap().task_group;
    assert_eq!(group.tasks.len(), 2);
    let snapshot = agent.snapshot();
    let executor = snapshot
        .frameworks
        .get(FRAMEWORK)
        .unwrap()
        .executors
        .get("group")
        .unwrap();
    assert_eq!(executor.launched.len(), 2);
}

#[test]
fn programs_users_and_variables_come_from_the_command() {
    let mut settings = settings();
    settings.switch_user = true;
    settings
        .executor_environment
        .insert("COLOUR".into(), "red".into());
    settings
        .executor_environment
        .insert("PATH".into(), "/own".into());
    let mut agent = Fixture::registered_with(settings);
    let mut task = custom_task("t1", "ex");
    task.executor.as_mut().unwrap().command = Some(Box::new(v1::CommandInfo {
        shell: Some(false),
        value: Some("./server".into()),
        arguments: vec!["server".into(), "-v".into()],
        user: Some("alice".into()),
        environment: Some(v1::Environment {
            variables: vec![v1::environment::Variable {
                name: "COLOUR".into(),
                value: Some("blue".into()),
                ..Default::default()
            }],
        }),
        ..Default::default()
    }));
    agent.run(task);
    let launch = agent.launch();
    assert_eq!(launch.program, "./server");
    assert_eq!(launch.arguments, ["server", "-v"]);
    assert_eq!(launch.user.as_deref(), Some("alice"));
    assert_eq!(launch.environment["COLOUR"], "blue");
    assert_eq!(launch.environment["PATH"], "/own");
}

#[test]
fn the_frameworks_user_is_the_default() {
    let settings = Settings {
        switch_user: true,
        ..settings()
    };
    let mut agent = Fixture::registered_with(settings);
    agent.run(custom_task("t1", "ex"));
    assert_eq!(agent.launch().user.as_deref(), Some("nobody"));
}

/// Runs a task that is dropped and returns its update.
fn dropped(agent: &mut Fixture, task: v1::TaskInfo, launch_executor: bool) -> StatusUpdate {
    agent.run_as(
        framework(&[Capability::PartitionAware]),
        task,
        launch_executor,
    );
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskDropped);
    assert_eq!(update.status.source(), Source::Agent);
    update
}

#[test]
fn without_the_executor_the_master_expects_the_task_is_dropped() {
    let mut agent = Fixture::registered();
    let update = dropped(&mut agent, custom_task("t1", "ex"), false);
    assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    assert_eq!(
        update.status.message(),
        "No executor is expected to launch and there is none running"
    );
    assert_eq!(update.executor_id.as_deref(), Some("ex"));
    assert_eq!(update.status.container_status, None);
    // The framework is remembered until it has seen the update.
    agent.acknowledge(&update);
    assert!(agent.snapshot().frameworks.is_empty());
}

#[test]
fn without_partition_awareness_the_task_is_lost() {
    let mut agent = Fixture::registered();
    agent.run_as(framework(&[]), custom_task("t1", "ex"), false);
    assert_eq!(agent.update().status.state(), TaskState::TaskLost);
}

#[test]
fn a_second_executor_of_one_id_is_not_started() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let update = dropped(&mut agent, custom_task("t2", "ex"), true);
    assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    assert_eq!(
        update.status.message(),
        "Master wants to launch executor, but one already exists"
    );
    // The executor the master does not know of is ended.
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    let update = dropped(&mut agent, custom_task("t3", "ex"), false);
    assert_eq!(update.status.message(), "Executor terminating");
    assert_eq!(update.executor_id, None);
}

#[test]
fn a_commands_executor_takes_no_second_task() {
    let mut agent = Fixture::registered();
    agent.run(command_task("t1", "true"));
    agent.launch();
    let update = dropped(&mut agent, command_task("t1", "true"), true);
    assert_eq!(update.status.reason(), Reason::TaskInvalid);
    assert_eq!(
        update.status.message(),
        "Cannot reuse an already existing executor for a command task"
    );
}

#[test]
fn an_executor_that_has_ended_takes_no_task() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    agent.effect();
    agent.told_master();
    agent.update();
    let update = dropped(&mut agent, custom_task("t2", "ex"), false);
    assert_eq!(update.status.message(), "Executor terminated");
}

#[test]
fn ids_that_lead_out_of_the_work_directory_are_refused() {
    let mut agent = Fixture::registered();
    let update = dropped(&mut agent, custom_task("t1", "../../etc"), true);
    assert_eq!(update.status.reason(), Reason::TaskInvalid);
    let AgentToMaster::ExecutorExited { status, .. } = agent.told_master() else {
        panic!("the master must forget the executor")
    };
    assert_eq!(status, -1);
}

#[test]
fn launches_for_an_earlier_agent_id_are_ignored() {
    let mut agent = Fixture::registered();
    let agent_id = v1::AgentId {
        value: "older".into(),
    };
    agent.run(v1::TaskInfo {
        agent_id,
        ..command_task("t1", "true")
    });
    agent.nothing();
}

#[test]
fn what_is_not_supported_fails_the_launch_clearly() {
    let secret = v1::environment::Variable {
        name: "KEY".into(),
        secret: Some(v1::Secret::default()),
        ..Default::default()
    };
    let mut with_secret = command_task("t1", "true");
    with_secret.command.as_mut().unwrap().environment = Some(v1::Environment {
        variables: vec![secret],
    });
    let docker = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    };
    let in_docker = v1::TaskInfo {
        container: Some(Box::new(docker)),
        ..command_task("t2", "true")
    };
    for (task, text) in [(with_secret, "'KEY' is a secret"), (in_docker, "DOCKER")] {
        let mut agent = Fixture::registered();
        agent.run(task);
        let update = agent.update();
        assert_eq!(update.status.state(), TaskState::TaskFailed);
        assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
        assert!(
            update
                .status
                .message()
                .starts_with("Failed to launch container: ")
        );
        assert!(
            update.status.message().contains(text),
            "{}",
            update.status.message()
        );
        assert_eq!(agent.snapshot().counters.container_launch_errors, 1);
    }
}

#[test]
fn a_container_needs_a_containerizer_that_takes_it() {
    let only_docker = Settings {
        isolation: Isolation {
            mesos: false,
            docker: true,
            ..Isolation::default()
        },
        ..settings()
    };
    let mut agent = Fixture::registered_with(only_docker);
    agent.run(command_task("t1", "true"));
    let update = agent.update();
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    let message = update.status.message();
    assert!(
        message.ends_with(
            "need the containerizer 'mesos', which this agent does not use (see --containerizers)"
        ),
        "{message}"
    );
}

#[test]
fn a_framework_that_comes_back_keeps_its_history() {
    let mut agent = Fixture::registered();
    for id in ["t1", "t2"] {
        agent.run(command_task(id, "true"));
        let container = agent.launch().container;
        let result = Err("no such program".to_owned());
        agent.input(Input::Launched { container, result });
        let update = agent.update();
        agent.acknowledge(&update);
        assert!(agent.snapshot().frameworks.is_empty());
    }
    let snapshot = agent.snapshot();
    assert_eq!(snapshot.completed_frameworks.len(), 1);
    let ids: Vec<_> = snapshot.completed_frameworks[0]
        .completed_executors
        .iter()
        .map(|e| e.id.as_str())
        .collect();
    assert_eq!(ids, ["t1", "t2"]);
}

#[test]
fn finished_executors_are_remembered_up_to_the_limit() {
    let settings = Settings {
        max_completed_executors_per_framework: 2,
        ..settings()
    };
    let mut agent = Fixture::registered_with(settings);
    for id in ["t1", "t2", "t3"] {
        agent.run(command_task(id, "true"));
        let container = agent.launch().container;
        agent.input(Input::Exited {
            container,
            status: Some(0),
        });
        let update = agent.update();
        agent.acknowledge(&update);
    }
    assert_eq!(
        agent.snapshot().completed_frameworks[0]
            .completed_executors
            .len(),
        2
    );
}
