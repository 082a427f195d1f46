//! Rolling upgrades.

use tepui_protocol::marathon::{App, UpgradeStrategy};
use tepui_protocol::v1::TaskState;

use super::fixture::*;
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Goal;

fn upgraded(f: &mut Fixture, instances: u32, min: f64, over: f64) -> Vec<InstanceId> {
    let ids = f.running(strategy(app("/a", instances), min, over));
    let next = f.stamp(strategy(app("/a", instances), min, over));
    f.deploy(next);
    ids
}

fn strategy(mut app: App, min: f64, over: f64) -> App {
    app.upgrade_strategy = UpgradeStrategy {
        maximum_over_capacity: over,
        minimum_health_capacity: min,
    };
    app
}

/// Launches what may be launched, has it run and confirms kills, until nothing moves; gives the most
/// tasks there were at a time and the fewest that served.
fn carry_on(f: &mut Fixture) -> (usize, usize) {
    let (mut most, mut fewest) = (0, usize::MAX);
    let path = path("/a");
    loop {
        let new = f.launch_all("/a");
        most = most.max(f.engine.instances_of(&path).count());
        for id in &new {
            f.status(id, TaskState::TaskRunning);
        }
        let serving = |f: &Fixture| {
            let instances = f.engine.instances_of(&path);
            instances
                .filter(|i| i.serves() && i.goal == Goal::Running)
                .count()
        };
        fewest = fewest.min(serving(f));
        let killed = f.confirm_kills();
        if new.is_empty() && killed == 0 && f.engine.waiting(f.now).is_empty() {
            return (most, fewest);
        }
        f.seconds(1);
    }
}

#[test]
fn capacity_stays_within_its_bounds() {
    for (n, min, over, most, fewest) in [
        (10, 1.0, 1.0, 20, 10),
        (10, 0.5, 0.5, 15, 5),
        (10, 0.5, 0.0, 10, 5),
        (10, 0.9, 0.25, 12, 9),
        (10, 1.0, 0.0, 11, 10),
        (1, 0.0, 0.0, 1, 0),
    ] {
        let mut f = Fixture::new();
        upgraded(&mut f, n, min, over);
        let (seen_most, seen_fewest) = carry_on(&mut f);
        assert!(seen_most <= most, "{n} {min} {over}: {seen_most} at a time");
        assert!(
            seen_fewest >= fewest,
            "{n} {min} {over}: {seen_fewest} served"
        );
        assert!(f.engine.deployments().is_empty());
        assert_eq!(f.conditions("/a")["Running Running"], n as usize);
        let version = f.root[&path("/a")].version;
        assert!(
            f.engine
                .instances_of(&path("/a"))
                .all(|i| i.version == version)
        );
    }
}

#[test]
fn an_upgrade_with_room_for_one_goes_one_by_one() {
    let mut f = Fixture::new();
    let ids = upgraded(&mut f, 2, 1.0, 0.0);
    assert_eq!(
        f.some(&["kill", "deployment"]),
        ["deployment_info RestartApplication:/a"]
    );
    let new = f.launch_all("/a");
    assert_eq!(new.len(), 1);
    f.skip();
    f.status(&new[0], TaskState::TaskRunning);
    // The youngest old one goes first.
    assert_eq!(f.some(&["kill"]), ["kill a#2"]);
    assert_eq!(f.launch_all("/a"), []);
    f.status(&ids[1], TaskState::TaskKilled);
    assert_eq!(f.launch_all("/a").len(), 1);
}

#[test]
fn a_version_that_fails_keeps_the_old_one_and_can_be_rolled_back() {
    let mut f = Fixture::new();
    upgraded(&mut f, 4, 1.0, 0.5);
    for _ in 0..50 {
        let new = f.launch_all("/a");
        assert!(f.engine.instances_of(&path("/a")).count() <= 6);
        for id in &new {
            f.status(id, TaskState::TaskFailed);
        }
        f.seconds(60);
        assert_eq!(f.conditions("/a")["Running Running"], 4);
        assert_eq!(f.confirm_kills(), 0);
    }
    let back = f.stamp(strategy(app("/a", 4), 1.0, 0.5));
    assert!(f.try_deploy(back.clone(), false).is_err());
    f.try_deploy(back, true).expect("forced");
    assert_eq!(f.some(&["deployment_failed"]), ["deployment_failed plan-2"]);
    carry_on(&mut f);
    assert!(f.engine.deployments().is_empty());
    assert_eq!(f.conditions("/a").len(), 1);
}

#[test]
fn an_agent_lost_during_an_upgrade_does_not_stop_it() {
    let mut f = Fixture::new();
    let ids = upgraded(&mut f, 4, 0.5, 0.5);
    f.skip();
    let new = f.launch_all("/a");
    f.status(&new[0], TaskState::TaskUnreachable);
    for id in &ids {
        if f.engine.instance(id).is_some() {
            f.status(id, TaskState::TaskUnreachable);
        }
    }
    for id in &new[1..] {
        f.status(id, TaskState::TaskRunning);
    }
    carry_on(&mut f);
    assert!(f.engine.deployments().is_empty());
    assert_eq!(f.conditions("/a")["Running Running"], 4);
}
