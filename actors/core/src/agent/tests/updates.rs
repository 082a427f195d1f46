//! Status updates: filling in, order, repetition, acknowledgement.

use super::*;

fn acknowledged(agent: &mut Fixture) -> Vec<u8> {
    agent
        .event(1)
        .acknowledged
        .expect("no acknowledgement")
        .uuid
}

#[test]
fn an_update_is_filled_in_sent_on_and_acknowledged() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    let update = agent.update();
    assert_eq!(update.framework_id, FRAMEWORK);
    assert_eq!(update.executor_id.as_deref(), Some("ex"));
    assert_eq!(update.latest_state, TaskState::TaskRunning as i32);
    let status = &update.status;
    assert_eq!(status.agent_id.as_ref().unwrap().value, AGENT);
    assert_eq!(status.source(), Source::Executor);
    assert_eq!(status.timestamp, Some(12.5));
    let filled = status.container_status.as_ref().unwrap();
    assert_eq!(
        filled.container_id.as_ref().unwrap().value,
        container.as_str()
    );
    assert_eq!(filled.executor_pid, Some(4711));
    let address = &filled.network_infos[0].ip_addresses[0];
    assert_eq!(address.ip_address.as_deref(), Some("10.0.0.1"));
    assert_eq!(acknowledged(&mut agent), vec![1; 16]);
}

#[test]
fn the_executors_own_container_status_is_kept() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let nested = v1::ContainerId {
        value: "nested".into(),
        parent: None,
    };
    let own = v1::ContainerStatus {
        container_id: Some(nested.clone()),
        ..Default::default()
    };
    let status = TaskStatus {
        container_status: Some(Box::new(own)),
        executor_id: None,
        timestamp: None,
        ..status("t1", TaskState::TaskRunning, 1)
    };
    agent.executor_update("ex", status);
    let update = agent.update();
    let filled = update.status.container_status.as_ref().unwrap();
    assert_eq!(filled.container_id, Some(nested));
    assert_eq!(filled.network_infos.len(), 1);
    // A missing executor id stays missing, a missing time does not.
    assert_eq!(update.status.executor_id, None);
    assert_eq!(
        update.status.timestamp,
        Some(agent.now().wall.as_secs_f64())
    );
    agent.event(1);
}

#[test]
fn one_update_is_in_flight_and_the_next_follows_its_acknowledgement() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskStarting, 1));
    let first = agent.update();
    agent.event(1);
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 2));
    assert_eq!(acknowledged(&mut agent), vec![2; 16]);
    agent.executor_update("ex", status("t1", TaskState::TaskFinished, 3));
    assert_eq!(acknowledged(&mut agent), vec![3; 16]);
    agent.acknowledge(&first);
    let second = agent.update();
    assert_eq!(second.status.state(), TaskState::TaskRunning);
    assert_eq!(second.latest_state, TaskState::TaskFinished as i32);
    // A second acknowledgement of the first does not count for the second.
    agent.acknowledge(&first);
    agent.nothing();
    agent.acknowledge(&second);
    let third = agent.update();
    assert_eq!(third.status.state(), TaskState::TaskFinished);
    agent.acknowledge(&third);
    let snapshot = agent.snapshot();
    let executor = snapshot
        .frameworks
        .get(FRAMEWORK)
        .unwrap()
        .executors
        .get("ex")
        .unwrap();
    assert!(executor.terminated.is_empty());
    assert_eq!(executor.completed[0].state(), TaskState::TaskFinished);
    assert_eq!(executor.completed[0].statuses.len(), 3);
}

#[test]
fn unacknowledged_updates_are_repeated_ever_more_rarely() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    let first = agent.update();
    agent.event(1);
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    let mut waited = 0;
    let mut sent_after = Vec::new();
    while waited < 4000 {
        agent.pass(Duration::from_secs(1));
        waited += 1;
        if !agent.effects.is_empty() {
            assert_eq!(agent.update(), first);
            sent_after.push(waited);
        }
        if waited % 60 == 0 {
            agent.master_says(MasterToAgent::Ping { connected: true });
            agent.told_master();
        }
    }
    let gaps: Vec<i32> = std::iter::once(sent_after[0])
        .chain(sent_after.windows(2).map(|pair| pair[1] - pair[0]))
        .collect();
    assert_eq!(gaps, [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]);
    agent.acknowledge(&first);
    agent.pass(Duration::from_secs(70));
    agent.nothing();
}

#[test]
fn repetitions_are_acknowledged_but_not_sent_on() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    let first = agent.update();
    agent.event(1);
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    assert_eq!(acknowledged(&mut agent), vec![1; 16]);
    agent.acknowledge(&first);
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    assert_eq!(acknowledged(&mut agent), vec![1; 16]);
}

#[test]
fn a_task_ends_only_once() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskFinished, 1));
    agent.update();
    agent.event(1);
    agent.executor_update("ex", status("t1", TaskState::TaskFailed, 2));
    assert_eq!(acknowledged(&mut agent), vec![2; 16]);
    agent.nothing();
    assert_eq!(agent.snapshot().counters.tasks_finished, 1);
    assert_eq!(agent.snapshot().counters.tasks_failed, 0);
}

#[test]
fn updates_of_unknown_tasks_are_sent_on_as_they_are() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let foreign = TaskStatus {
        executor_id: None,
        ..status("other", TaskState::TaskRunning, 1)
    };
    agent.executor_update("ex", foreign);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    let update = agent.update();
    assert_eq!(update.status.container_status, None);
    assert_eq!(update.executor_id, None);
    agent.acknowledge(&update);
}

#[test]
fn nothing_is_sent_while_the_master_is_away() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    agent.update();
    agent.event(1);
    agent.link_down();
    agent.executor_update("ex", status("t1", TaskState::TaskFinished, 2));
    agent.event(1);
    agent.wait_for_deadline();
    let Effect::Connect(link) = agent.effect() else {
        panic!("no attempt to connect")
    };
    agent.link = Some(link);
    agent.pass(Duration::from_secs(14));
    agent.nothing();
    let master = Pb(v1::MasterInfo::default());
    agent.master_says(MasterToAgent::Hello { epoch: 7, master });
    agent.told_master();
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
        reconcile: vec![],
    });
    assert_eq!(agent.updates(), [("t1".to_owned(), TaskState::TaskRunning)]);
}

#[test]
fn an_executor_that_floods_is_not_acknowledged_beyond_the_limit() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let numbered = |number: u32, state: TaskState| {
        let mut uuid = number.to_be_bytes().to_vec();
        uuid.resize(16, 0xff);
        TaskStatus {
            uuid: Some(uuid),
            ..status("t1", state, 0)
        }
    };
    let limit = u32::try_from(super::super::MAX_PENDING).unwrap();
    agent.executor_update("ex", numbered(0, TaskState::TaskRunning));
    agent.update();
    agent.event(1);
    for number in 1..limit {
        agent.executor_update("ex", numbered(number, TaskState::TaskRunning));
        acknowledged(&mut agent);
    }
    agent.executor_update("ex", numbered(limit, TaskState::TaskRunning));
    agent.nothing();
    // The end of a task always counts.
    agent.executor_update("ex", numbered(limit + 1, TaskState::TaskFinished));
    acknowledged(&mut agent);
}

#[test]
fn like_statuses_in_a_row_are_kept_once() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    for number in 1..=3 {
        agent.executor_update("ex", status("t1", TaskState::TaskRunning, number));
        if number == 1 {
            agent.update();
        }
        agent.event(1);
    }
    let snapshot = agent.snapshot();
    let executor = snapshot
        .frameworks
        .get(FRAMEWORK)
        .unwrap()
        .executors
        .get("ex")
        .unwrap();
    let task = executor.launched.get("t1").unwrap();
    assert_eq!(task.statuses.len(), 1);
    assert_eq!(task.statuses[0].uuid, Some(vec![3; 16]));
    // What the framework was told is told to a new master.
    assert_eq!(task.status_update_uuid, Some(vec![1; 16]));
}

#[test]
fn an_end_that_is_settled_is_not_told_again_when_the_executor_missed_that_it_was_taken() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let end = status("t1", TaskState::TaskFinished, 1);
    agent.executor_update("ex", end.clone());
    let told = agent.update();
    agent.event(1);
    agent.acknowledge(&told);
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(1),
    });
    // Mesos sends it on as that of an unknown task, and never answers the executor.
    let missed = call::Subscribe {
        unacknowledged_updates: vec![call::Update { status: end }],
        ..Default::default()
    };
    agent.subscribe_with("ex", 2, missed);
    assert_eq!(agent.event_type(2), event::Type::Acknowledged);
    assert_eq!(agent.event_type(2), event::Type::Subscribed);
    agent.nothing();
}
