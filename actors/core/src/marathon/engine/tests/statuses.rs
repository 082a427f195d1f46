//! Launches, statuses, kills.

use std::time::Duration;

use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Reason;

use super::super::*;
use super::fixture::*;
use crate::marathon::instance::Condition;

#[test]
fn an_app_starts_and_its_deployment_ends() {
    let mut f = Fixture::new();
    let app = f.stamp(app("/a", 1));
    f.deploy(app.clone());
    assert_eq!(
        f.lines(),
        [
            "plan plan-1",
            "deployment_info StartApplication:/a",
            "deployment_step_success StartApplication:/a",
            "deployment_info ScaleApplication:/a",
            "revive *",
        ]
    );
    let ids = f.launch_all("/a");
    assert_eq!(
        f.lines(),
        [
            "store a#1 Provisioned Running",
            "instance_changed a#1 Provisioned",
            "suppress *"
        ]
    );
    f.status(&ids[0], TaskState::TaskStaging);
    assert_eq!(
        f.lines(),
        [
            "store a#1 Staging Running",
            "status_update a#1 TASK_STAGING",
            "instance_changed a#1 Staging",
            "ack a#1",
        ]
    );
    f.status(&ids[0], TaskState::TaskRunning);
    assert_eq!(
        f.lines(),
        [
            "store a#1 Running Running",
            "status_update a#1 TASK_RUNNING",
            "instance_changed a#1 Running",
            "ack a#1",
            "deployment_step_success ScaleApplication:/a",
            "end plan-1 Success",
            "deployment_success plan-1",
        ]
    );
    f.status(&ids[0], TaskState::TaskRunning);
    assert_eq!(f.lines(), ["ack a#1"], "nothing is new");
    f.status(&ids[0], TaskState::TaskStaging);
    assert_eq!(f.lines(), ["ack a#1"], "late news");
    assert_eq!(f.engine.task_counts(&path("/a")).tasks_running, 1);
}

#[test]
fn what_fails_is_told_forgotten_and_replaced_after_a_delay() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 1));
    let mut update = f.update(&ids[0], TaskState::TaskFailed);
    update.message = "x".repeat(20_000);
    f.send(&update);
    let effects = f.take();
    let lines: Vec<String> = effects.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "failure a#1 TASK_FAILED",
            "forget a#1",
            "status_update a#1 TASK_FAILED",
            "instance_changed a#1 Failed",
            "ack a#1",
        ]
    );
    let Effect::TaskFailure(failure) = &effects[0] else {
        panic!("a failure first");
    };
    assert_eq!(
        (failure.message.len(), failure.host.as_str()),
        (10_000, "host-1")
    );
    assert_eq!(f.launch_all("/a"), [], "one second of delay");
    f.seconds(1);
    assert_eq!(f.lines(), ["revive *"]);
    assert_eq!(f.launch_all("/a").len(), 1);
}

#[test]
fn failures_lengthen_the_delay_and_kills_do_not() {
    let mut f = Fixture::new();
    let mut app = app("/a", 1);
    (app.backoff_seconds, app.backoff_factor) = (10, 2.0);
    let mut id = f.running(app)[0].clone();
    for delay in [10, 20, 40] {
        f.status(&id, TaskState::TaskFinished);
        let left = f.engine.queue(f.now)[0].time_left;
        assert_eq!(left, Duration::from_secs(delay));
        f.seconds(delay);
        id = f.launch_all("/a")[0].clone();
        f.status(&id, TaskState::TaskRunning);
    }
    f.status(&id, TaskState::TaskKilled);
    // The last run kept the delay and restarted its clock.
    assert_eq!(f.engine.queue(f.now)[0].time_left, Duration::from_secs(40));
    let (now, out) = (f.now, &mut f.out);
    assert!(f.engine.reset_delay(&path("/a"), now, out));
    id = f.launch_all("/a")[0].clone();
    f.status_why(&id, TaskState::TaskFailed, Reason::CommandExecutorFailed);
    f.seconds(310);
    id = f.launch_all("/a")[0].clone();
    f.status(&id, TaskState::TaskRunning);
    f.seconds(310);
    f.status(&id, TaskState::TaskKilled);
    assert_eq!(f.launch_all("/a").len(), 1, "a stable app loses its delay");
}

#[test]
fn a_drained_agent_costs_no_delay() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 2));
    f.status(&ids[0], TaskState::TaskFailed);
    assert_eq!(f.launch_all("/a").len(), 0);
    f.status_why(
        &ids[1],
        TaskState::TaskGoneByOperator,
        Reason::AgentDraining,
    );
    assert_eq!(f.launch_all("/a").len(), 2);
}

#[test]
fn unknown_tasks_are_killed_or_told() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 1));
    let mut update = f.update(&ids[0], TaskState::TaskRunning);
    update.task = crate::ids::TaskId::new(f.new_id("/b").to_string() + "._app.1");
    f.send(&update);
    assert_eq!(f.lines(), ["kill b#2", "ack b#2"]);
    update.state = TaskState::TaskUnreachable;
    f.send(&update);
    assert_eq!(
        f.lines(),
        ["unknown_instance_terminated b#2 Unreachable", "ack b#2"]
    );
    update.task = "something-else".into();
    update.state = TaskState::TaskFailed;
    update.uuid = None;
    f.send(&update);
    assert_eq!(
        f.lines(),
        ["unknown_instance_terminated something-else Failed"]
    );
}

#[test]
fn launches_that_take_too_long_are_given_up() {
    let mut f = Fixture::new();
    let app = f.stamp(app("/a", 2));
    f.deploy(app);
    let ids = f.launch_all("/a");
    f.status(&ids[0], TaskState::TaskStaging);
    f.skip();
    f.seconds(299);
    assert_eq!(f.some(&["store", "kill"]), [""; 0]);
    f.seconds(2);
    assert_eq!(
        f.some(&["store", "kill"]),
        [
            "store a#1 Staging Decommissioned",
            "kill a#1",
            "store a#2 Provisioned Decommissioned",
            "kill a#2",
        ]
    );
    assert_eq!(
        f.launch_all("/a"),
        [],
        "they hold their places until they are gone"
    );
    f.status(&ids[0], TaskState::TaskKilled);
    f.status_why(&ids[1], TaskState::TaskLost, Reason::TaskUnknown);
    assert_eq!(f.launch_all("/a").len(), 2);
}

#[test]
fn a_match_that_is_outdated_or_too_much_is_refused() {
    let mut f = Fixture::new();
    f.running(app("/a", 1));
    let version = stamp(f.now);
    let id = f.new_id("/a");
    assert_eq!(f.launch("/a", version, &id), Err(LaunchRefused::Outdated));
    let version = f.root[&path("/a")].version;
    assert_eq!(f.launch("/a", version, &id), Err(LaunchRefused::NotWanted));
    let other = f.new_id("/b");
    assert_eq!(
        f.launch("/a", version, &other),
        Err(LaunchRefused::Outdated)
    );
    assert_eq!(f.lines(), [""; 0]);
}

#[test]
fn kills_are_few_at_a_time_and_repeated() {
    let settings = EngineSettings {
        kill_chunk_size: 2,
        ..EngineSettings::default()
    };
    let mut f = Fixture::with(settings);
    let ids = f.running(app("/a", 4));
    f.kill(&ids, false);
    assert_eq!(f.some(&["kill"]), ["kill a#1", "kill a#2"]);
    f.status(&ids[0], TaskState::TaskKilled);
    assert_eq!(f.some(&["kill"]), ["kill a#3"]);
    f.status(&ids[1], TaskState::TaskKilling);
    assert_eq!(f.some(&["kill"]), [""; 0]);
    f.seconds(31);
    assert_eq!(f.some(&["kill"]), ["kill a#2", "kill a#3"]);
    let figures = f.engine.kill_figures();
    assert_eq!((figures.in_flight, figures.attempts), (2, 4));
    for id in &ids[1..] {
        f.status(id, TaskState::TaskKilled);
    }
    assert_eq!(f.some(&["kill"]), ["kill a#4"]);
    assert_eq!(f.launch_all("/a").len(), 4);
}

#[test]
fn nothing_is_asked_while_there_is_no_master() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 2));
    f.engine.scheduler_disconnected();
    f.kill(&ids[..1], false);
    f.engine.agent_lost(&"agent-1".into(), &mut f.out);
    assert_eq!(f.lines(), ["store a#1 Running Decommissioned"]);
    f.connect();
    assert_eq!(
        f.lines(),
        ["reconcile 2", "reconcile 0", "kill a#1", "suppress *"]
    );
    f.engine.agent_lost(&"agent-2".into(), &mut f.out);
    assert_eq!(f.lines(), ["reconcile 1"]);
    f.seconds(620);
    assert_eq!(
        f.some(&["reconcile"]),
        ["reconcile 2", "reconcile 0", "reconcile 2", "reconcile 0"]
    );
    let held = f.engine.instance(&ids[1]).expect("an instance");
    assert_eq!(held.condition, Condition::Running);
}
