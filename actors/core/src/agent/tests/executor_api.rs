//! Calls of executors: checks, subscriptions, messages, heartbeats.

use tepui_protocol::v1::task_status::Reason;

use super::*;

fn message() -> Call {
    Call {
        r#type: Some(call::Type::Message as i32),
        message: Some(call::Message {
            data: b"hi".to_vec(),
        }),
        ..Call::default()
    }
}

fn refused(status: u16, text: &str) -> Answer {
    Answer::Refused(status, text.to_owned())
}

#[test]
fn calls_are_checked_in_order() {
    let mut agent = Fixture::registered();
    assert_eq!(
        agent.call("ex", 1, message()),
        refused(400, "Framework cannot be found")
    );
    agent.run(custom_task("t1", "ex"));
    agent.launch();
    assert_eq!(
        agent.call("no", 1, message()),
        refused(400, "Executor cannot be found")
    );
    assert_eq!(
        agent.call("ex", 1, message()),
        refused(403, "Executor is not subscribed")
    );
    let heartbeat = Call {
        r#type: Some(call::Type::Heartbeat as i32),
        ..Call::default()
    };
    assert_eq!(agent.call("no", 1, heartbeat), Answer::Accepted);
    agent.subscribe("ex", 1);
    agent.event(1);
    agent.event(1);
    let unknown = Call {
        r#type: Some(call::Type::Unknown as i32),
        ..Call::default()
    };
    assert_eq!(
        agent.call("ex", 1, unknown),
        refused(501, "501 Not Implemented.")
    );
}

#[test]
fn messages_pass_both_ways_while_the_master_is_there() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    assert_eq!(agent.call("ex", 0, message()), Answer::Accepted);
    assert_eq!(
        agent.told_master(),
        AgentToMaster::ExecutorMessage {
            framework_id: FRAMEWORK.into(),
            executor_id: "ex".into(),
            data: b"hi".to_vec()
        }
    );
    let to_executor = |executor: &str| MasterToAgent::FrameworkMessage {
        framework_id: FRAMEWORK.into(),
        executor_id: executor.into(),
        data: b"ho".to_vec(),
    };
    agent.master_says(to_executor("ex"));
    assert_eq!(agent.event(1).message.unwrap().data, b"ho");
    agent.master_says(to_executor("other"));
    agent.link_down();
    assert_eq!(agent.call("ex", 0, message()), Answer::Accepted);
    agent.nothing();
    let counters = agent.snapshot().counters;
    assert_eq!(counters.valid_framework_messages, 2);
    assert_eq!(counters.invalid_framework_messages, 2);
}

#[test]
fn a_new_subscription_ends_the_earlier_one() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let known = v1::TaskInfo {
        ..custom_task("t1", "ex")
    };
    let subscribe = call::Subscribe {
        unacknowledged_tasks: vec![known],
        ..Default::default()
    };
    agent.subscribe_with("ex", 2, subscribe);
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    // The end of the earlier stream changes nothing any more.
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    agent.run_as(framework(&[]), custom_task("t2", "ex"), false);
    assert_eq!(agent.event_type(2), event::Type::Launch);
}

#[test]
fn launches_that_never_arrived_are_dropped_on_resubscription() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    agent.subscribe("ex", 2);
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskLost);
    assert_eq!(update.status.reason(), Reason::AgentRestarted);
    assert_eq!(
        update.status.message(),
        "Task launched during agent restart"
    );
    assert_eq!(agent.event_type(2), event::Type::Shutdown);
}

#[test]
fn updates_of_a_resubscription_come_first() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    let updates = [(TaskState::TaskRunning, 1), (TaskState::TaskFinished, 2)];
    let unacknowledged_updates = updates
        .map(|(state, number)| call::Update {
            status: status("t1", state, number),
        })
        .to_vec();
    let invalid = TaskStatus {
        uuid: None,
        ..status("t1", TaskState::TaskRunning, 3)
    };
    let mut subscribe = call::Subscribe {
        unacknowledged_updates,
        ..Default::default()
    };
    subscribe
        .unacknowledged_updates
        .push(call::Update { status: invalid });
    agent.subscribe_with("ex", 2, subscribe);
    assert_eq!(agent.update().status.state(), TaskState::TaskRunning);
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    assert_eq!(agent.snapshot().counters.invalid_status_updates, 1);
}

#[test]
fn what_is_launched_while_the_stream_is_down_waits() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    agent.update();
    agent.event(1);
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    agent.run_as(framework(&[]), custom_task("t2", "ex"), false);
    agent.nothing();
    agent.subscribe("ex", 2);
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    assert_eq!(agent.event(2).launch.unwrap().task.task_id.value, "t2");
}

#[test]
fn an_ending_executor_is_told_so_and_sent_away() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    });
    agent.event(1);
    agent.subscribe("ex", 2);
    assert_eq!(agent.event_type(2), event::Type::Shutdown);
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(2)));
}

#[test]
fn executors_of_an_ending_framework_or_agent_are_sent_away() {
    for input in [Input::Stop, Input::Leave] {
        let mut agent = Fixture::registered();
        agent.run_as(careless(), custom_task("t1", "ex"), true);
        agent.launch();
        let leaves = matches!(input, Input::Leave);
        agent.input(input);
        if leaves {
            assert_eq!(agent.told_master(), AgentToMaster::Unregister);
        }
        agent.subscribe("ex", 2);
        assert_eq!(agent.event_type(2), event::Type::Shutdown);
        assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(2)));
    }
}

#[test]
fn heartbeats_come_every_half_hour() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    for minute in 1..=60 {
        agent.pass(Duration::from_secs(60));
        if minute % 30 == 0 {
            assert_eq!(agent.event_type(1), event::Type::Heartbeat);
        }
        agent.master_says(MasterToAgent::Ping { connected: true });
        agent.told_master();
    }
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    agent.pass(Duration::from_secs(60));
    agent.nothing();
}
