//! Tests of the ledger: offers in, calls out, times by hand.
//! No master is spoken to.

use super::*;

fn plan(tasks: usize, concurrency: usize, rate: Option<f64>) -> Plan {
    let command = "true".to_owned();
    let prefix = "t".to_owned();
    Plan {
        tasks,
        command,
        concurrency,
        rate,
        cpus: 0.1,
        mem_mb: 10.0,
        prefix,
        ..Plan::default()
    }
}

fn offer(id: &str, agent: &str, cpus: f64, mem: f64) -> Offer {
    let scalar = |name: &str, value| Resource {
        name: name.into(),
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    };
    Offer {
        id: OfferId { value: id.into() },
        agent_id: AgentId {
            value: agent.into(),
        },
        resources: vec![scalar("cpus", cpus), scalar("mem", mem)],
        ..Default::default()
    }
}

fn status(id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: id.into() },
        state: state as i32,
        uuid: Some(vec![1; 16]),
        ..Default::default()
    }
}

fn launched(call: Option<Call>) -> (Vec<String>, Vec<String>) {
    let accept = call.and_then(|call| call.accept).unwrap();
    let offers = accept.offer_ids.into_iter().map(|id| id.value).collect();
    let launch = accept
        .operations
        .into_iter()
        .next()
        .and_then(|it| it.launch)
        .unwrap();
    (
        offers,
        launch
            .task_infos
            .into_iter()
            .map(|info| info.task_id.value)
            .collect(),
    )
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn launches_no_more_than_concurrency_and_offers_allow() {
    let mut ledger = Ledger::new(plan(10, 4, None), ms(0));
    assert!(ledger.next_call(ms(0)).is_none());
    // Neither offer is enough for one task, both of one agent together are enough for three.
    ledger.offered(vec![
        offer("o1", "a", 0.25, 5.0),
        offer("o2", "a", 0.05, 100.0),
    ]);
    ledger.offered(vec![offer("o3", "b", 9.0, 9.0)]);
    let (offers, tasks) = launched(ledger.next_call(ms(1)));
    assert_eq!((offers.len(), tasks.len()), (2, 3));
    assert!(ledger.next_call(ms(1)).is_none());
    ledger.offered(vec![offer("o4", "b", 9.0, 900.0)]);
    let (offers, tasks) = launched(ledger.next_call(ms(1)));
    assert_eq!(
        (offers, tasks),
        (vec!["o3".into(), "o4".into()], vec!["t-3".to_owned()])
    );
    ledger.offered(vec![offer("o5", "b", 9.0, 900.0)]);
    assert!(ledger.next_call(ms(1)).is_none());
    ledger.rescinded(&OfferId { value: "o5".into() });
    ledger.updated(ms(2), &status("t-0", TaskState::TaskFinished));
    assert!(ledger.next_call(ms(2)).is_none());
}

#[test]
fn measures_from_the_launch_and_counts_ends() {
    let mut ledger = Ledger::new(plan(2, 2, None), ms(0));
    ledger.offered(vec![offer("o", "a", 1.0, 100.0)]);
    launched(ledger.next_call(ms(100)));
    for (at, state) in [(105, TaskState::TaskRunning), (106, TaskState::TaskRunning)] {
        assert!(ledger.updated(ms(at), &status("t-0", state)).is_some());
    }
    ledger.updated(ms(110), &status("t-0", TaskState::TaskFinished));
    assert!(!ledger.is_done());
    ledger.updated(ms(120), &status("t-1", TaskState::TaskFailed));
    ledger.updated(ms(130), &status("t-1", TaskState::TaskFailed));
    assert!(ledger.is_done());
    assert_eq!(
        (ledger.reached(), ledger.finished, ledger.failed),
        (2, 1, 1)
    );
    assert!(ledger.failure().is_some());
    assert_eq!(ledger.failures, ["t-1: TASK_FAILED "]);
    assert_eq!(ledger.latencies.to_running.len(), 1);
    assert!(
        ledger
            .latencies
            .to_running
            .equivalent(ledger.latencies.to_running.max(), 5000)
    );
    assert_eq!(ledger.latencies.to_end.len(), 2);
}

#[test]
fn an_open_loop_measures_from_when_a_task_was_due() {
    let mut ledger = Ledger::new(plan(3, 10, Some(10.0)), ms(1000));
    // The offer comes 150 ms late: two tasks are due, the first for 150 ms.
    ledger.offered(vec![offer("o", "a", 1.0, 100.0)]);
    let (_, tasks) = launched(ledger.next_call(ms(1150)));
    assert_eq!(tasks, ["t-0", "t-1"]);
    ledger.updated(ms(1160), &status("t-0", TaskState::TaskRunning));
    let histogram = &ledger.latencies.to_running;
    assert!(
        histogram.equivalent(histogram.max(), 160_000),
        "{}",
        histogram.max()
    );
    assert_eq!(ledger.next_due(), Some(ms(1200)));
}

#[test]
fn updates_without_uuid_are_not_acknowledged() {
    let mut ledger = Ledger::new(plan(1, 1, None), ms(0));
    let mut update = status("t-0", TaskState::TaskError);
    update.uuid = None;
    assert!(ledger.updated(ms(0), &update).is_none());
}

#[test]
fn an_open_loop_may_begin_later() {
    let begin_after = ms(500);
    let plan = Plan {
        begin_after,
        ..plan(3, 10, Some(10.0))
    };
    let mut ledger = Ledger::new(plan, ms(1000));
    ledger.offered(vec![offer("o", "a", 1.0, 100.0)]);
    assert!(ledger.next_call(ms(1499)).is_none());
    assert_eq!(ledger.next_due(), Some(ms(1500)));
    let (_, tasks) = launched(ledger.next_call(ms(1600)));
    assert_eq!(tasks, ["t-0", "t-1"]);
}
