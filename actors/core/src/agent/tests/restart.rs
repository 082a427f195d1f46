//! What an agent that starts again knows of what it was doing.

use tepui_protocol::link::Reregister;
use tepui_protocol::v1::task_status::Reason;

use super::super::model::{Executor, MAX_COMPLETED_TASKS};
use super::*;

/// Has the agent reach the master again, which knows it; gives what it reports.
fn back(agent: &mut Fixture) -> Box<Reregister> {
    agent.link_up(9);
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
        reconcile: Vec::new(),
    });
    report
}

fn status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: state as i32,
        uuid: Some(vec![uuid; 16]),
        ..Default::default()
    }
}

fn update(agent: &mut Fixture, state: TaskState, uuid: u8) {
    agent.executor_update("ex", status("t", state, uuid));
}

#[test]
fn tasks_executors_and_unacknowledged_updates_are_still_known() {
    let (mut agent, _) = Fixture::with_running_executor("t");
    update(&mut agent, TaskState::TaskStarting, 1);
    let starting = agent.update();
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    update(&mut agent, TaskState::TaskRunning, 2);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.acknowledge(&starting);
    assert_eq!(agent.update().status.state(), TaskState::TaskRunning);

    let mut agent = agent.crashed(settings());
    let report = back(&mut agent);
    assert_eq!(report.register.info.id.as_ref().unwrap().value, AGENT);
    assert_eq!(report.tasks.len(), 1);
    assert_eq!(report.tasks[0].state(), TaskState::TaskRunning);
    assert_eq!(report.executors[0].executor_id.value, "ex");
    assert_eq!(report.frameworks.len(), 1);
    // The framework may not have the last update; the one before it has.
    let running = agent.update();
    assert_eq!(running.status.uuid(), [2; 16]);
    agent.subscribe("ex", 2);
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    // What the executor sends again is known already.
    update(&mut agent, TaskState::TaskStarting, 1);
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    update(&mut agent, TaskState::TaskRunning, 2);
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    agent.acknowledge(&running);
    update(&mut agent, TaskState::TaskFinished, 3);
    let finished = agent.update();
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    // The end outlives the agent, too.
    let mut agent = agent.crashed(settings());
    let report = back(&mut agent);
    assert_eq!(report.tasks[0].state(), TaskState::TaskFinished);
    assert_eq!(agent.update().status.uuid(), [3; 16]);
    agent.acknowledge(&finished);
    let mut agent = agent.crashed(settings());
    assert!(back(&mut agent).tasks.is_empty());
    let executor = &agent.snapshot().frameworks[FRAMEWORK].executors["ex"];
    assert!(executor.recovered && executor.ever_sent && !executor.has_incomplete_tasks());
    assert_eq!(executor.completed[0].state(), TaskState::TaskFinished);
}

#[test]
fn an_executor_that_died_meanwhile_takes_its_tasks_with_it() {
    let (mut agent, container) = Fixture::with_running_executor("t");
    update(&mut agent, TaskState::TaskRunning, 1);
    agent.update();
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    let mut agent = agent.crashed(settings());
    agent.input(Input::Exited {
        container,
        status: None,
    });
    let report = back(&mut agent);
    assert!(report.executors.is_empty());
    // In order: what happened first is told first.
    let running = agent.update();
    assert_eq!(running.status.state(), TaskState::TaskRunning);
    agent.acknowledge(&running);
    let failed = agent.update();
    assert_eq!(failed.status.state(), TaskState::TaskFailed);
    assert_eq!(failed.status.reason(), Reason::ExecutorTerminated);
    agent.acknowledge(&failed);
    assert!(agent.snapshot().frameworks.is_empty());
    let mut agent = agent.crashed(settings());
    assert!(back(&mut agent).frameworks.is_empty());
}

#[test]
fn an_executor_that_does_not_come_back_is_killed() {
    let (agent, container) = Fixture::with_running_executor("t");
    let mut agent = agent.crashed(settings());
    back(&mut agent);
    agent.pass(Duration::from_secs(2));
    assert_eq!(agent.effect(), Effect::Kill(container.clone()));
    agent.input(Input::Exited {
        container,
        status: Some(9),
    });
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    let failed = agent.update();
    assert_eq!(
        failed.status.reason(),
        Reason::ExecutorReregistrationTimeout
    );
    assert_eq!(
        failed.status.message(),
        "Executor did not reregister within 2secs"
    );
}

#[test]
fn an_executor_has_its_time_from_when_it_was_found() {
    let (agent, container) = Fixture::with_running_executor("t");
    let mut agent = agent.crashed(settings());
    // So long it took to find out what is left.
    agent.pass(Duration::from_millis(1_500));
    assert!(matches!(agent.effect(), Effect::Connect(_)));
    agent.input(Input::Launched {
        container: container.clone(),
        result: Ok(4711),
    });
    agent.pass(Duration::from_secs(1));
    agent.nothing();
    agent.pass(Duration::from_secs(1));
    assert_eq!(agent.effect(), Effect::Kill(container));
}

#[test]
fn a_task_the_executor_never_got_is_dropped() {
    let (agent, _) = Fixture::with_running_executor("t");
    let mut agent = agent.crashed(settings());
    back(&mut agent);
    // It does not speak of the task, and never said anything about it.
    agent.subscribe("ex", 2);
    let lost = agent.update();
    assert_eq!(lost.status.state(), TaskState::TaskLost);
    assert_eq!(lost.status.reason(), Reason::AgentRestarted);
    // It has nothing to do, and would wait for ever.
    assert_eq!(agent.event_type(2), event::Type::Shutdown);
    agent.acknowledge(&lost);
    // Nor does it get anything to do when it comes back to the next agent.
    let mut agent = agent.crashed(settings());
    back(&mut agent);
    agent.subscribe("ex", 3);
    assert_eq!(agent.event_type(3), event::Type::Shutdown);
}

#[test]
fn a_launch_without_a_process_is_known() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t", "ex"));
    let container = agent.launch().container;
    let agent = agent.crashed(settings());
    let restored = Restored::read(agent.records.clone());
    assert_eq!(restored.tasks(), 1);
    let survivors = restored.survivors();
    assert_eq!(survivors.len(), 1);
    assert_eq!(survivors[0].container, container);
    assert_eq!(survivors[0].pid, None);
}

#[test]
fn nothing_is_recorded_for_frameworks_that_do_not_ask_for_it() {
    let mut agent = Fixture::registered();
    agent.run_as(careless(), custom_task("t", "ex"), true);
    let launch = agent.launch();
    assert_eq!(launch.environment["MESOS_CHECKPOINT"], "0");
    let mut agent = agent.crashed(settings());
    assert!(back(&mut agent).frameworks.is_empty());
    agent.run(custom_task("u", "ex"));
    let launch = agent.launch();
    for (name, value) in [
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "1secs"),
    ] {
        assert_eq!(launch.environment[name], value);
    }
}

#[test]
fn an_agent_that_stops_leaves_what_outlives_it() {
    let (mut agent, _) = Fixture::with_running_executor("t");
    agent.input(Input::Stop);
    assert_eq!(agent.effect(), Effect::Exit("stopped".into()));
    // Its process is still there for a moment: who comes back now is not told to end.
    agent.subscribe("ex", 2);
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(2)));
    agent.nothing();
    let mut agent = agent.crashed(settings());
    assert_eq!(back(&mut agent).tasks.len(), 1);
}

#[test]
fn a_kill_waits_for_an_executor_whose_stream_is_down() {
    let (mut agent, _) = Fixture::with_running_executor("t");
    update(&mut agent, TaskState::TaskRunning, 1);
    agent.update();
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    let mut agent = agent.crashed(settings());
    back(&mut agent);
    agent.update();
    for _ in 0..2 {
        agent.master_says(MasterToAgent::KillTask {
            framework_id: FRAMEWORK.into(),
            task_id: "t".into(),
            kill_policy: None,
        });
    }
    agent.subscribe("ex", 2);
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    let kill = agent.event(2).kill.unwrap();
    assert_eq!(kill.task_id.value, "t");
    agent.nothing();
    // Told once, it is not told again.
    agent.subscribe("ex", 3);
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(2)));
    assert_eq!(agent.event_type(3), event::Type::Subscribed);
}

#[test]
fn an_executor_hears_that_an_end_was_taken_before_the_agent_started_again() {
    let (mut agent, _) = Fixture::with_running_executor("t");
    update(&mut agent, TaskState::TaskFinished, 1);
    let finished = agent.update();
    // This never reaches the executor.
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.acknowledge(&finished);
    let mut agent = agent.crashed(settings());
    back(&mut agent);
    let again = call::Subscribe {
        unacknowledged_updates: vec![call::Update {
            status: status("t", TaskState::TaskFinished, 1),
        }],
        ..Default::default()
    };
    agent.subscribe_with("ex", 2, again);
    let taken = agent.event(2).acknowledged.unwrap();
    assert_eq!(
        (taken.task_id.value.as_str(), &taken.uuid[..]),
        ("t", &[1; 16][..])
    );
    // The framework has it, and the agent knows that.
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
}

#[test]
fn an_agent_that_crashes_while_it_leaves_has_left() {
    let (mut agent, _) = Fixture::with_running_executor("t");
    update(&mut agent, TaskState::TaskRunning, 1);
    agent.update();
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.input(Input::Leave);
    assert_eq!(agent.told_master(), AgentToMaster::Unregister);
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    let mut agent = agent.crashed(settings());
    agent.link_up(9);
    assert!(matches!(agent.told_master(), AgentToMaster::Register(_)));
    assert!(agent.snapshot().frameworks.is_empty());
}

/// Completed frameworks with their completed executors and those with their tasks, as they are
/// shown.
fn history(agent: &Fixture) -> Vec<String> {
    let completed = agent.snapshot().completed_frameworks;
    let executors = completed.iter().flat_map(|framework| {
        let executors = framework.completed_executors.iter();
        executors.map(|executor| {
            let Executor {
                id,
                info,
                kind,
                container,
                directory,
                completed,
                ..
            } = &**executor;
            let owner = &framework.id;
            format!("{owner} {id} {container} {directory} {kind:?} {info:?} {completed:?}")
        })
    });
    executors.collect()
}

fn remembering(limit: usize) -> Settings {
    Settings {
        max_completed_executors_per_framework: limit,
        ..settings()
    }
}

/// Runs a command that fails at once, to its very end.
fn fail_command(agent: &mut Fixture, task: &str) {
    agent.run(command_task(task, "false"));
    let container = agent.launch().container;
    agent.input(Input::Exited {
        container,
        status: Some(256),
    });
    let failed = agent.update();
    agent.acknowledge(&failed);
}

#[test]
fn histories_are_still_known() {
    let mut agent = Fixture::registered_with(remembering(3));
    for task in ["t1", "t2", "t3", "t4"] {
        fail_command(&mut agent, task);
    }
    let before = history(&agent);
    assert_eq!(before.len(), 3);
    let shown = agent.snapshot().completed_frameworks[0].clone();
    let task = &shown.completed_executors[0].completed[0];
    assert_eq!(
        (task.task_id.value.as_str(), task.state()),
        ("t2", TaskState::TaskFailed)
    );
    // However often it starts.
    let agent = agent.crashed(remembering(3));
    assert_eq!(history(&agent), before);
    let mut agent = agent.crashed(remembering(2));
    assert_eq!(history(&agent), before[1..]);
    // A framework that is here again still has what it completed before.
    back(&mut agent);
    agent.run(command_task("t5", "false"));
    agent.launch();
    let agent = agent.crashed(remembering(2));
    let framework = &agent.snapshot().frameworks[FRAMEWORK];
    let ids = framework
        .completed_executors
        .iter()
        .map(|it| it.id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["t3", "t4"]);
    assert!(history(&agent).is_empty());
}

#[test]
fn completed_tasks_of_a_running_executor_are_still_known_up_to_the_limit() {
    let (mut agent, _) = Fixture::with_running_executor("t0");
    for number in 0..=MAX_COMPLETED_TASKS {
        let task = format!("t{number}");
        if number > 0 {
            agent.run_as(framework(&[]), custom_task(&task, "ex"), false);
            assert_eq!(agent.event_type(1), event::Type::Launch);
        }
        agent.executor_update("ex", status(&task, TaskState::TaskFinished, 1));
        let finished = agent.update();
        assert_eq!(agent.event_type(1), event::Type::Acknowledged);
        agent.acknowledge(&finished);
    }
    let agent = agent.crashed(settings());
    let executor = &agent.snapshot().frameworks[FRAMEWORK].executors["ex"];
    assert_eq!(executor.completed.len(), MAX_COMPLETED_TASKS);
    assert_eq!(executor.completed[0].task_id.value, "t1");
}

#[test]
fn what_a_frameworks_end_leaves_is_still_known() {
    let (mut agent, container) = Fixture::with_running_executor("t");
    agent.master_says(MasterToAgent::ShutdownFramework {
        framework_id: FRAMEWORK.into(),
    });
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    let closed = agent.effect();
    assert_eq!(closed, Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    let before = history(&agent);
    let shown = agent.snapshot().completed_frameworks[0].clone();
    let task = &shown.completed_executors[0].completed[0];
    assert_eq!(task.state(), TaskState::TaskStaging);
    let agent = agent.crashed(settings());
    assert_eq!(history(&agent), before);
}
