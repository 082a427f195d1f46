//! Apps whose instances keep reservations.

use tepui_protocol::marathon::{App, Residency, TaskLostBehavior, UpgradeStrategy};
use tepui_protocol::v1::TaskState;

use super::super::*;
use super::fixture::*;
use crate::marathon::place::Place;

fn resident(instances: u32) -> App {
    let mut app = app("/a", instances);
    app.residency = Some(Residency {
        relaunch_escalation_timeout_seconds: 3600,
        task_lost_behavior: TaskLostBehavior::WaitForever,
    });
    app.upgrade_strategy = UpgradeStrategy {
        maximum_over_capacity: 0.0,
        minimum_health_capacity: 0.5,
    };
    app
}

#[test]
fn one_that_fails_is_launched_again_on_its_reservation() {
    let mut f = Fixture::new();
    let ids = f.running(resident(1));
    f.status(&ids[0], TaskState::TaskKilled);
    assert_eq!(
        f.lines(),
        [
            "store a#1 Scheduled Running",
            "status_update a#1 TASK_KILLED",
            "instance_changed a#1 Killed",
            "instance_changed a#1 Scheduled",
            "ack a#1",
            "revive *",
        ]
    );
    assert_eq!(f.launch_all("/a"), ids);
    let held = f.engine.instance(&ids[0]).expect("an instance");
    assert_eq!(held.incarnation, 2);
    f.status(&ids[0], TaskState::TaskGoneByOperator);
    assert!(
        f.engine.instance(&ids[0]).is_none(),
        "the reservation is given up"
    );
}

#[test]
fn an_upgrade_stops_and_relaunches_each() {
    let mut f = Fixture::new();
    let ids = f.running(resident(3));
    let next = f.stamp(resident(3));
    f.deploy(next);
    for _ in 0..10 {
        f.confirm_kills();
        for id in f.launch_all("/a") {
            assert!(ids.contains(&id));
            f.status(&id, TaskState::TaskRunning);
        }
    }
    assert!(f.engine.deployments().is_empty());
    assert_eq!(f.conditions("/a")["Running Running"], 3);
}

#[test]
fn scaling_down_keeps_reservations_for_scaling_up_and_wiping_does_not() {
    let mut f = Fixture::new();
    let ids = f.running(resident(2));
    let down = f.scaled("/a", 1);
    f.deploy(down);
    assert_eq!(f.confirm_kills(), 1);
    assert_eq!(f.conditions("/a")["Scheduled Stopped"], 1);
    assert!(f.engine.deployments().is_empty());
    let up = f.scaled("/a", 2);
    f.deploy(up);
    assert_eq!(f.launch_all("/a"), [ids[1].clone()]);
    f.kill(&ids[..1], true);
    f.status(&ids[0], TaskState::TaskKilled);
    assert!(f.engine.instance(&ids[0]).is_none());
}

#[test]
fn a_reservation_that_does_not_come_is_given_up() {
    let mut f = Fixture::new();
    let app = f.stamp(resident(1));
    let version = app.version;
    f.deploy(app);
    f.seconds(60);
    let launch = Launch {
        app: path("/a"),
        version,
        instance: f.new_id("/a"),
        place: Place::default(),
        host_ports: Vec::new(),
    };
    let id = launch.instance.clone();
    f.engine
        .reserved(launch, f.now, &mut f.out)
        .expect("wanted");
    assert_eq!(
        f.engine.waiting(f.now)[0].relaunch,
        std::slice::from_ref(&id)
    );
    f.skip();
    f.seconds(20);
    assert_eq!(f.some(&["forget"]), ["forget a#1"]);
}
