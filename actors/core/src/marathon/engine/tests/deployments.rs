//! Deployments: steps, scaling, conflicts, ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1::TaskState;

use super::super::*;
use super::fixture::*;
use crate::marathon::deployment::DeployError;

#[test]
fn a_plan_without_steps_is_only_reported() {
    let mut f = Fixture::new();
    let root = f.root.clone();
    f.deploy_root(root, BTreeMap::new(), false)
        .expect("nothing to do");
    assert_eq!(f.lines(), ["deployment_success plan-1"]);
}

#[test]
fn scaling_down_ends_the_youngest_and_scaling_up_waits_for_all() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 3));
    let down = f.scaled("/a", 1);
    f.deploy(down);
    assert_eq!(f.some(&["kill"]), ["kill a#3", "kill a#2"]);
    f.status(&ids[1], TaskState::TaskKilled);
    assert_eq!(f.engine.deployments().len(), 1);
    f.status(&ids[2], TaskState::TaskKilled);
    assert_eq!(
        f.some(&["deployment_success"]),
        ["deployment_success plan-2"]
    );
    let up = f.scaled("/a", 2);
    f.deploy(up);
    let new = f.launch_all("/a");
    assert_eq!(f.engine.deployments().len(), 1);
    f.status(&new[0], TaskState::TaskRunning);
    assert!(f.engine.deployments().is_empty());
}

#[test]
fn named_instances_go_first() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 3));
    let down = f.scaled("/a", 2);
    let target = f.root.update(path("/a"), Arc::new(down));
    let kill = BTreeMap::from([(path("/a"), vec![ids[0].clone()])]);
    f.deploy_root(target, kill, false).expect("no conflict");
    assert_eq!(f.confirm_kills(), 1);
    assert!(f.engine.instance(&ids[0]).is_none() && f.engine.deployments().is_empty());
}

#[test]
fn a_removed_app_ends_with_its_last_instance() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 2));
    f.remove("/a");
    assert_eq!(f.some(&["kill"]).len(), 2);
    f.status(&ids[0], TaskState::TaskKilled);
    assert!(f.engine.knows(&path("/a")));
    f.skip();
    f.status(&ids[1], TaskState::TaskFailed);
    assert_eq!(
        f.some(&["app", "deployment", "end"]),
        [
            "app_terminated /a",
            "deployment_step_success StopApplication:/a",
            "end plan-2 Success",
            "deployment_success plan-2",
        ]
    );
    assert!(!f.engine.knows(&path("/a")));
}

#[test]
fn apps_that_do_not_touch_each_other_are_deployed_at_once() {
    let mut f = Fixture::new();
    let first = f.stamp(app("/a", 1));
    f.deploy(first);
    let second = f.stamp(app("/b", 1));
    f.deploy(second);
    assert_eq!(f.engine.deployments().len(), 2);
    let b = f.launch_all("/b");
    f.status(&b[0], TaskState::TaskRunning);
    let left = f.engine.deployments();
    assert_eq!((left.len(), left[0].current_step), (1, 2));
    assert_eq!(f.engine.deployments_of(&path("/a")).count(), 1);
}

#[test]
fn conflicts_and_too_many_are_refused_and_force_cancels() {
    let settings = EngineSettings {
        max_running_deployments: 1,
        ..EngineSettings::default()
    };
    let mut f = Fixture::with(settings);
    let first = f.stamp(app("/a", 1));
    f.deploy(first);
    let other = f.stamp(app("/b", 1));
    assert_eq!(f.try_deploy(other, false), Err(DeployError::TooMany(1)));
    let more = f.scaled("/a", 2);
    let conflict = DeployError::Conflict(vec!["plan-1".to_owned()]);
    assert_eq!(f.try_deploy(more.clone(), false), Err(conflict));
    f.skip();
    f.try_deploy(more, true).expect("forced");
    assert_eq!(
        f.some(&["end", "deployment", "plan"]),
        [
            "end plan-1 Cancelled",
            "deployment_failed plan-1",
            "plan plan-4",
            "deployment_info ScaleApplication:/a",
        ]
    );
    assert!(!f.engine.cancel("plan-1", f.now, &mut f.out));
    assert!(f.engine.cancel("plan-4", f.now, &mut f.out));
    assert_eq!(
        f.some(&["end", "deployment"]),
        ["end plan-4 Cancelled", "deployment_failed plan-4"]
    );
    assert_eq!(
        f.launch_all("/a").len(),
        2,
        "the target stays what is wanted"
    );
}

#[test]
fn a_step_that_takes_long_is_reported_and_goes_on() {
    let settings = EngineSettings {
        deployment_step_timeout: Some(Duration::from_secs(60)),
        ..EngineSettings::default()
    };
    let mut f = Fixture::with(settings);
    let first = f.stamp(app("/a", 1));
    f.deploy(first);
    f.skip();
    f.seconds(60);
    assert_eq!(
        f.some(&["deployment"]),
        ["deployment_step_failure ScaleApplication:/a"]
    );
    assert!(f.engine.deployments()[0].is_overdue);
    let ids = f.launch_all("/a");
    f.status(&ids[0], TaskState::TaskRunning);
    assert!(f.engine.deployments().is_empty());
}
