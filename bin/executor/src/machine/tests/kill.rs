//! How tasks are killed.

use super::*;

#[test]
fn a_kill_escalates_after_the_first_grace_that_is_given() {
    for (own, given, wait) in [
        (None, None, seconds(3)),
        (Some(7000), None, seconds(7)),
        (Some(7000), Some(500), Duration::from_millis(500)),
        (Some(-7000), None, Duration::ZERO),
    ] {
        let mut fixture = Fixture::subscribed(false);
        fixture.run(
            TaskInfo {
                kill_policy: own.map(policy),
                ..task("t")
            },
            7,
        );
        fixture.kill("t", given);
        fixture.expect_update("t", TaskState::TaskKilling);
        fixture.expect(Action::Terminate(7));
        fixture.tick_after(wait);
        fixture.expect_log("sending SIGKILL");
        fixture.expect(Action::Kill(7));
        fixture.input(Input::Tick);
        fixture.expect_nothing();
        fixture.input(Input::Exited {
            pid: 7,
            ended: Ended::Exited(0),
        });
        let killed = fixture.expect_update("t", TaskState::TaskKilled);
        assert_eq!(killed.message(), "Command exited with status 0");
    }
}

#[test]
fn a_repeated_kill_can_only_shorten_the_wait() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.kill("t", Some(20_000));
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    fixture.now.mono += seconds(2);
    fixture.kill("t", Some(30_000));
    assert_eq!(fixture.machine.next_deadline(), Some(seconds(20)));
    fixture.kill("t", Some(5_000));
    assert_eq!(fixture.machine.next_deadline(), Some(seconds(5)));
    fixture.kill("t", Some(1_000));
    fixture.expect_nothing();
    fixture.tick_after(Duration::ZERO);
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
}

#[test]
fn task_killing_is_only_told_to_frameworks_that_know_it() {
    let mut fixture = Fixture::new(false);
    fixture.expect_subscribe();
    fixture.subscribe(false);
    fixture.run(task("t"), 7);
    fixture.kill("t", None);
    fixture.expect(Action::Terminate(7));
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    fixture.expect_update("t", TaskState::TaskKilled);
}

#[test]
fn the_maximum_completion_time_kills_without_grace_and_without_task_killing() {
    let mut fixture = Fixture::subscribed(false);
    let limit = Some(DurationInfo {
        nanoseconds: 10_000_000_000,
    });
    fixture.run(
        TaskInfo {
            max_completion_time: limit,
            ..task("t")
        },
        7,
    );
    fixture.tick_after(seconds(10));
    fixture.expect_log("maximum completion time");
    fixture.expect(Action::Terminate(7));
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    let failed = fixture.expect_update("t", TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::MaxCompletionTimeReached);
    assert_eq!(
        failed.message(),
        "Command terminated with signal Terminated"
    );
}

#[test]
fn a_kill_takes_the_place_of_the_maximum_completion_time() {
    let mut fixture = Fixture::subscribed(false);
    let limit = Some(DurationInfo {
        nanoseconds: 1_000_000_000,
    });
    fixture.run(
        TaskInfo {
            max_completion_time: limit,
            ..task("t")
        },
        7,
    );
    fixture.kill("t", Some(5_000));
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    assert_eq!(fixture.machine.next_deadline(), Some(seconds(5)));
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    let killed = fixture.expect_update("t", TaskState::TaskKilled);
    assert_eq!(killed.reason, None);
}

#[test]
fn shutdown_leaves_time_to_report() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.event(event::Type::Shutdown, Event::default());
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    // A second one changes nothing.
    fixture.event(event::Type::Shutdown, Event::default());
    fixture.expect_nothing();
    fixture.tick_after(seconds(3));
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
}

#[test]
fn shutdown_without_tasks_ends_the_executor() {
    let mut fixture = Fixture::subscribed(false);
    fixture.event(event::Type::Shutdown, Event::default());
    fixture.expect(Action::Exit(0));
}
