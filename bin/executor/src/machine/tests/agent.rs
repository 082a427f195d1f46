//! Agents that are lost, come back or do not answer.

use super::*;

#[test]
fn a_lost_agent_without_checkpoint_ends_the_tasks_and_the_executor() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("lost the agent (gone), ending");
    fixture.expect(Action::Terminate(7));
    fixture.expect_nothing();
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    fixture.expect(Action::Exit(1));
}

#[test]
fn a_lost_agent_with_checkpoint_is_subscribed_to_again_with_what_it_missed() {
    let mut fixture = Fixture::subscribed(true);
    fixture.launch(task("t"));
    let starting = fixture.expect_update("t", TaskState::TaskStarting);
    fixture.expect_start("t");
    fixture.started("t", 7);
    let running = fixture.expect_update("t", TaskState::TaskRunning);
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("trying to reach it again");
    fixture.expect_nothing();

    let deadline = fixture.machine.next_deadline().unwrap_or_default();
    assert!(deadline <= fixture.now.mono + seconds(2));
    fixture.now.mono = deadline;
    fixture.input(Input::Tick);
    let again = fixture.expect_subscribe();
    assert_eq!(again.unacknowledged_tasks, [task("t")]);
    let uuids: Vec<_> = again
        .unacknowledged_updates
        .into_iter()
        .map(|update| update.status.uuid)
        .collect();
    assert_eq!(uuids, [starting.uuid.clone(), running.uuid]);

    // What happens while the subscription is on its way is sent after it, and only that.
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(0),
    });
    fixture.expect_nothing();
    fixture.acknowledge(&starting);
    fixture.subscribe(true);
    fixture.expect_update("t", TaskState::TaskFinished);
    fixture.expect_nothing();
}

#[test]
fn acknowledged_tasks_and_updates_are_not_repeated() {
    let mut fixture = Fixture::subscribed(true);
    fixture.run(task("t"), 7);
    fixture.input(Input::Busy("503".into()));
    fixture.expect_log("not ready");
    fixture.now.mono = fixture.machine.next_deadline().unwrap_or_default();
    fixture.input(Input::Tick);
    let again = fixture.expect_subscribe();
    assert!(again.unacknowledged_tasks.is_empty() && again.unacknowledged_updates.is_empty());
}

#[test]
fn the_recovery_timeout_counts_from_the_first_loss() {
    let mut fixture = Fixture::subscribed(true);
    fixture.run(task("t"), 7);
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("trying");
    let start = fixture.now.mono;
    let mut attempts = 0;
    while fixture.machine.next_deadline().unwrap_or_default() < start + seconds(900) {
        fixture.now.mono = fixture.machine.next_deadline().unwrap_or_default();
        fixture.input(Input::Tick);
        fixture.expect_subscribe();
        fixture.input(Input::Lost("refused".into()));
        fixture.expect_nothing();
        attempts += 1;
    }
    assert!(attempts > 450, "{attempts}");
    fixture.now.mono = start + seconds(900);
    fixture.input(Input::Tick);
    fixture.expect_log("did not come back in time");
    fixture.expect(Action::Terminate(7));
    fixture.input(Input::Lost("refused".into()));
    fixture.expect_nothing();
    fixture.tick_after(seconds(3));
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    fixture.expect(Action::Exit(1));
}

#[test]
fn an_agent_that_never_acknowledges_is_given_up() {
    let mut fixture = Fixture::subscribed(false);
    for number in 0..MAX_UNACKNOWLEDGED {
        fixture.launch(task(&number.to_string()));
        assert!(!fixture.actions.contains(&Action::Exit(1)));
        fixture.actions.clear();
    }
    fixture.launch(task("last"));
    fixture.expect_log("left 8192 status updates unacknowledged");
    fixture.expect(Action::Exit(1));
}

#[test]
fn idle_connections_are_kept_open() {
    let mut fixture = Fixture::subscribed(false);
    fixture.tick_after(seconds(1800));
    match fixture.next() {
        Action::Send(call) => assert_eq!(call.r#type(), call::Type::Heartbeat),
        other => panic!("expected a call, got {other:?}"),
    }
    fixture.tick_after(seconds(1800));
}
