//! Ends of executors: exits, timeouts, orders to shut down.

use tepui_protocol::link::TaskRef;
use tepui_protocol::v1::task_status::Reason;

use super::*;

#[test]
fn tasks_of_an_executor_that_exits_have_failed() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.input(Input::Exited {
        container,
        status: Some(1280),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert_eq!(
        agent.told_master(),
        AgentToMaster::ExecutorExited {
            framework_id: FRAMEWORK.into(),
            executor_id: "ex".into(),
            status: 1280
        }
    );
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskFailed);
    assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.status.source(), Source::Agent);
    assert_eq!(update.status.message(), "Executor terminated");
    assert_eq!(update.status.executor_id.as_ref().unwrap().value, "ex");
    assert_eq!(update.status.container_status, None);
    assert_eq!(update.latest_state, TaskState::TaskFailed as i32);
    // The executor is shown until its tasks' ends are acknowledged.
    assert_eq!(
        agent
            .snapshot()
            .frameworks
            .get(FRAMEWORK)
            .unwrap()
            .executors
            .len(),
        1
    );
    agent.acknowledge(&update);
    let snapshot = agent.snapshot();
    assert!(snapshot.frameworks.is_empty());
    let executor = &snapshot.completed_frameworks[0].completed_executors[0];
    assert_eq!(executor.completed.len(), 1);
    assert_eq!(snapshot.counters.executors_terminated, 1);
    assert_eq!(snapshot.counters.tasks_failed, 1);
}

#[test]
fn the_end_of_a_commands_executor_is_not_told() {
    let mut agent = Fixture::registered();
    agent.run(command_task("t1", "true"));
    let container = agent.launch().container;
    agent.input(Input::Exited {
        container,
        status: Some(9),
    });
    assert_eq!(agent.updates(), [("t1".to_owned(), TaskState::TaskFailed)]);
}

#[test]
fn an_executor_that_never_subscribes_is_killed() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let container = agent.launch().container;
    agent.input(Input::Launched {
        container: container.clone(),
        result: Ok(5),
    });
    agent.pass(Duration::from_secs(60));
    assert_eq!(agent.effect(), Effect::Kill(container.clone()));
    agent.input(Input::Exited {
        container,
        status: Some(9),
    });
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskFailed);
    assert_eq!(update.status.reason(), Reason::ExecutorRegistrationTimeout);
    assert_eq!(
        update.status.message(),
        "Executor did not register within 1mins"
    );
}

#[test]
fn a_subscribed_executor_is_not_timed_out() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::Ping { connected: true });
    agent.told_master();
    agent.pass(Duration::from_secs(61));
    agent.nothing();
}

#[test]
fn a_launch_that_fails_fails_its_tasks() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let container = agent.launch().container;
    agent.input(Input::Launched {
        container,
        result: Err("no such file".into()),
    });
    let AgentToMaster::ExecutorExited { status, .. } = agent.told_master() else {
        panic!("the master must forget the executor")
    };
    assert_eq!(status, -1);
    let update = agent.update();
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        update.status.message(),
        "Failed to launch container: no such file"
    );
}

#[test]
fn shutdown_is_asked_first_and_enforced_later() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    });
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.pass(Duration::from_millis(4999));
    agent.nothing();
    agent.pass(Duration::from_millis(1));
    assert_eq!(agent.effect(), Effect::Kill(container.clone()));
    agent.input(Input::Exited {
        container,
        status: Some(9),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    let AgentToMaster::ExecutorExited { status: 9, .. } = agent.told_master() else {
        panic!("wrong status")
    };
    assert_eq!(agent.update().status.reason(), Reason::ExecutorTerminated);
}

#[test]
fn an_executors_own_grace_period_counts() {
    let mut agent = Fixture::registered();
    let mut task = custom_task("t1", "ex");
    task.executor.as_mut().unwrap().shutdown_grace_period = Some(v1::DurationInfo {
        nanoseconds: 20_000_000_000,
    });
    agent.run(task);
    let launch = agent.launch();
    assert_eq!(
        launch.environment["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"],
        "20secs"
    );
    agent.master_says(MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    });
    agent.pass(Duration::from_secs(19));
    agent.nothing();
    agent.pass(Duration::from_secs(1));
    assert_eq!(agent.effect(), Effect::Kill(launch.container));
}

#[test]
fn an_executor_told_to_end_before_it_started_is_killed_at_once() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let container = agent.launch().container;
    agent.master_says(MasterToAgent::ShutdownFramework {
        framework_id: FRAMEWORK.into(),
    });
    agent.input(Input::Launched {
        container: container.clone(),
        result: Ok(5),
    });
    assert_eq!(agent.effect(), Effect::Kill(container));
}

#[test]
fn a_framework_that_is_shut_down_says_nothing_more() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    agent.update();
    agent.event(1);
    agent.master_says(MasterToAgent::ShutdownFramework {
        framework_id: FRAMEWORK.into(),
    });
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    // Its unacknowledged updates are not repeated, and new ones are dropped.
    agent.executor_update("ex", status("t1", TaskState::TaskKilled, 2));
    agent.nothing();
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    let snapshot = agent.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert_eq!(snapshot.completed_frameworks.len(), 1);
    assert_eq!(snapshot.counters.invalid_status_updates, 1);
}

#[test]
fn a_framework_that_one_master_has_ended_may_go_on_for_the_next() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::ShutdownFramework {
        framework_id: FRAMEWORK.into(),
    });
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.link_down();
    agent.link_up(4);
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no reregistration")
    };
    assert!(report.tasks.is_empty() && report.executors.is_empty() && report.frameworks.is_empty());
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
        reconcile: vec![TaskRef {
            framework_id: FRAMEWORK.into(),
            task_id: "t1".into(),
        }],
    });
    let update = agent.update();
    assert_eq!(update.status.task_id.value, "t1");
    assert_eq!(update.status.state(), TaskState::TaskLost);
    // Nothing more is started, and the next master hears of that.
    agent.run(custom_task("t2", "ex2"));
    let update = agent.update();
    assert_eq!(update.status.task_id.value, "t2");
    assert_eq!(update.status.state(), TaskState::TaskLost);
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    assert!(agent.snapshot().frameworks.is_empty());
}

#[test]
fn a_terminated_executor_goes_with_its_framework() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    agent.effect();
    agent.told_master();
    agent.update();
    agent.master_says(MasterToAgent::ShutdownFramework {
        framework_id: FRAMEWORK.into(),
    });
    assert!(agent.snapshot().frameworks.is_empty());
}

#[test]
fn completed_frameworks_are_bounded() {
    let mut agent = Fixture::registered();
    for number in 0..60 {
        let id = Some(v1::FrameworkId {
            value: format!("f{number}"),
        });
        let info = v1::FrameworkInfo {
            id,
            ..framework(&[])
        };
        agent.run_as(info, command_task("t", "true"), true);
        let container = agent.launch().container;
        agent.input(Input::Exited {
            container,
            status: Some(0),
        });
        let update = agent.update();
        agent.acknowledge(&update);
    }
    let completed = agent.snapshot().completed_frameworks;
    assert_eq!(
        completed.len(),
        super::super::model::MAX_COMPLETED_FRAMEWORKS
    );
    assert_eq!(completed.last().unwrap().id.as_str(), "f59");
}
