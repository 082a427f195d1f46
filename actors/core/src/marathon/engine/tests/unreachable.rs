//! Tasks on agents that cannot be reached.

use tepui_protocol::marathon::{App, Disabled, UnreachableStrategy, UnreachableTimes};
use tepui_protocol::v1::TaskState;

use super::fixture::*;

fn patient(instances: u32) -> App {
    let mut app = app("/a", instances);
    app.unreachable_strategy = UnreachableStrategy::Enabled(UnreachableTimes {
        inactive_after_seconds: 60,
        expunge_after_seconds: 120,
    });
    app
}

#[test]
fn by_default_they_are_replaced_and_forgotten_at_once() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 1));
    let late = f.update(&ids[0], TaskState::TaskRunning);
    f.status(&ids[0], TaskState::TaskUnreachable);
    assert_eq!(
        f.lines(),
        [
            "store a#1 Unreachable Running",
            "status_update a#1 TASK_UNREACHABLE",
            "instance_changed a#1 Unreachable",
            "forget a#1",
            "ack a#1",
            "revive *",
        ]
    );
    assert_eq!(f.launch_all("/a").len(), 1);
    f.skip();
    f.send(&late);
    assert_eq!(f.lines(), ["kill a#1", "ack a#1"], "it is unknown by now");
}

#[test]
fn with_patience_they_are_first_replaced_and_later_forgotten() {
    let mut f = Fixture::new();
    let ids = f.running(patient(1));
    f.status(&ids[0], TaskState::TaskUnreachable);
    f.skip();
    f.seconds(59);
    assert_eq!(f.launch_all("/a"), []);
    f.seconds(1);
    assert_eq!(
        f.some(&["store", "instance"]),
        [
            "store a#1 UnreachableInactive Running",
            "instance_changed a#1 UnreachableInactive"
        ]
    );
    assert_eq!(f.launch_all("/a").len(), 1);
    f.skip();
    f.seconds(60);
    assert_eq!(f.some(&["forget", "kill"]), ["forget a#1"]);
}

#[test]
fn one_that_returns_in_time_stays_and_one_too_many_goes() {
    let mut f = Fixture::new();
    let ids = f.running(patient(1));
    f.status(&ids[0], TaskState::TaskUnreachable);
    f.seconds(30);
    f.status(&ids[0], TaskState::TaskRunning);
    f.seconds(200);
    assert_eq!(f.conditions("/a")["Running Running"], 1);
    f.status(&ids[0], TaskState::TaskUnreachable);
    f.seconds(60);
    let new = f.launch_all("/a");
    f.status(&new[0], TaskState::TaskRunning);
    f.skip();
    f.status(&ids[0], TaskState::TaskRunning);
    // The youngest goes.
    assert_eq!(f.some(&["kill", "forget"]), ["kill a#2"]);
}

#[test]
fn disabled_waits_for_ever_and_a_kill_forgets() {
    let mut f = Fixture::new();
    let mut app = app("/a", 1);
    app.unreachable_strategy = UnreachableStrategy::Disabled(Disabled::Disabled);
    let ids = f.running(app);
    f.status(&ids[0], TaskState::TaskUnreachable);
    f.skip();
    f.seconds(100_000);
    assert_eq!(f.conditions("/a")["Unreachable Running"], 1);
    assert_eq!(f.some(&["store", "kill", "forget"]), [""; 0]);
    f.kill(&ids, false);
    assert_eq!(f.some(&["store", "kill", "forget"]), ["forget a#1"]);
}

#[test]
fn after_a_restart_they_get_time_to_return() {
    let mut f = Fixture::new();
    let ids = f.running(patient(1));
    f.status(&ids[0], TaskState::TaskUnreachable);
    f.pass(std::time::Duration::from_secs(1000));
    f.restart();
    f.connect();
    f.seconds(299);
    assert_eq!(f.conditions("/a")["Unreachable Running"], 1);
    f.seconds(1);
    assert!(f.conditions("/a").is_empty());
}
