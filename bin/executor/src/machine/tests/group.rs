//! Task groups.

use super::*;

#[test]
fn a_group_starts_together_and_ends_with_its_first_failure() {
    let mut fixture = Fixture::subscribed(false);
    fixture.launch_group(&["a", "b"]);
    let first = fixture.expect_update("a", TaskState::TaskStarting);
    let second = fixture.expect_update("b", TaskState::TaskStarting);
    let id = |status: &TaskStatus| {
        status
            .container_status
            .clone()
            .and_then(|it| it.container_id)
            .unwrap_or_default()
    };
    assert_ne!(id(&first), id(&second));
    assert_eq!(
        id(&first).parent.map(|parent| parent.value),
        Some("c1".into())
    );
    assert_eq!(fixture.expect_start("a"), Some(id(&first).value));
    assert_eq!(fixture.expect_start("b"), Some(id(&second).value));
    fixture.started("a", 7);
    fixture.expect_update("a", TaskState::TaskRunning);
    fixture.started("b", 8);
    fixture.expect_update("b", TaskState::TaskRunning);
    fixture.launch_group(&["c"]);
    fixture.expect_update("c", TaskState::TaskStarting);
    fixture.expect_start("c");
    fixture.started("c", 9);
    fixture.expect_update("c", TaskState::TaskRunning);

    fixture.input(Input::Exited {
        pid: 8,
        ended: Ended::Exited(4),
    });
    let failed = fixture.expect_update("b", TaskState::TaskFailed);
    assert_eq!(id(&failed), id(&second));
    fixture.expect_update("a", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    fixture.expect_nothing();
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    fixture.expect_update("a", TaskState::TaskKilled);
    fixture.input(Input::Exited {
        pid: 9,
        ended: Ended::Exited(0),
    });
    fixture.expect_update("c", TaskState::TaskFinished);
    fixture.expect_nothing();
}

#[test]
fn a_member_that_finishes_leaves_its_group_alone() {
    let mut fixture = Fixture::subscribed(false);
    fixture.launch_group(&["a", "b"]);
    fixture.actions.clear();
    fixture.started("a", 7);
    fixture.started("b", 8);
    fixture.actions.clear();
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(0),
    });
    fixture.expect_update("a", TaskState::TaskFinished);
    fixture.expect_nothing();
}

#[test]
fn a_member_that_cannot_start_dooms_those_still_starting() {
    let mut fixture = Fixture::subscribed(false);
    fixture.launch_group(&["a", "b"]);
    fixture.actions.clear();
    fixture.input(Input::StartFailed {
        task: "a".into(),
        message: "no".into(),
    });
    fixture.expect_log("task 'a': no");
    let failed = fixture.expect_update("a", TaskState::TaskFailed);
    assert_eq!(failed.message(), "no");
    fixture.expect_nothing();
    fixture.started("b", 8);
    fixture.expect_update("b", TaskState::TaskRunning);
    fixture.expect_update("b", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(8));
}

#[test]
fn more_tasks_than_the_limit_are_refused() {
    let mut fixture = Fixture::subscribed(false);
    let ids: Vec<String> = (0..=MAX_TASKS).map(|number| number.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    fixture.launch_group(&ids);
    for id in ids {
        let failed = fixture.expect_update(id, TaskState::TaskFailed);
        assert_eq!(failed.message(), "Executor runs 0 of at most 1024 tasks");
    }
    fixture.expect_nothing();
}

#[test]
fn command_and_group_do_not_mix() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.launch_group(&["a"]);
    fixture.expect_log("LAUNCH_GROUP event is not supported");
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));

    let mut fixture = Fixture::subscribed(false);
    fixture.launch_group(&["a"]);
    fixture.actions.clear();
    fixture.started("a", 7);
    fixture.actions.clear();
    fixture.launch(task("t"));
    fixture.expect_log("LAUNCH event is not supported");
    fixture.expect_update("a", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
}

#[test]
fn what_the_agent_says_of_a_containers_end_goes_first() {
    use tepui_protocol::v1::TaskResourceLimitation;
    use tepui_protocol::v1::agent::response::WaitContainer;
    use tepui_protocol::v1::task_status::Reason;
    let mut fixture = Fixture::subscribed(false);
    fixture.launch_group(&["a", "b"]);
    for name in ["a", "b"] {
        fixture.expect_update(name, TaskState::TaskStarting);
    }
    let number = 1 << 30;
    for name in ["a", "b"] {
        fixture.expect_start(name);
    }
    for (name, pid) in [("a", number), ("b", number + 1)] {
        fixture.started(name, pid);
        fixture.expect_update(name, TaskState::TaskRunning);
    }
    let how = WaitContainer {
        exit_status: Some(9),
        state: Some(TaskState::TaskFailed as i32),
        reason: Some(Reason::ContainerLimitationMemory as i32),
        message: Some("Memory limit exceeded".into()),
        limitation: Some(TaskResourceLimitation::default()),
    };
    fixture.input(Input::ContainerEnded {
        pid: number,
        how: Box::new(how),
    });
    let failed = fixture.expect_update("a", TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLimitationMemory);
    assert!(failed.limitation.is_some());
    let text = "Command terminated with signal Killed: Memory limit exceeded";
    assert_eq!(failed.message(), text);
    fixture.expect_update("b", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(number + 1));
    // Nobody knows how it ended, but that it was to.
    fixture.input(Input::ContainerEnded {
        pid: number + 1,
        how: Box::default(),
    });
    fixture.expect_update("b", TaskState::TaskKilled);
    fixture.expect_nothing();
}
