//! Health and readiness.

use tepui_protocol::marathon::{HealthProtocol, ReadinessCheckResult};
use tepui_protocol::v1::TaskState;

use super::fixture::*;

fn checked(instances: u32) -> tepui_protocol::marathon::App {
    let mut app = app("/a", instances);
    app.health_checks = vec![check()];
    app
}

#[test]
fn a_deployment_waits_for_health() {
    let mut f = Fixture::new();
    let app = f.stamp(checked(1));
    f.deploy(app);
    assert_eq!(f.some(&["add"]), ["add_health_check /a"]);
    let ids = f.launch_all("/a");
    f.skip();
    f.status(&ids[0], TaskState::TaskRunning);
    assert_eq!(f.some(&["probe", "deployment"]), ["probe a#1"]);
    f.healthy(&ids[0], true);
    assert_eq!(
        f.lines(),
        [
            "health_status_changed a#1 /a",
            "instance_health_changed a#1",
            "deployment_step_success ScaleApplication:/a",
            "end plan-1 Success",
            "deployment_success plan-1",
        ]
    );
    f.healthy(&ids[0], true);
    assert_eq!(f.lines(), [""; 0]);
    assert_eq!(f.engine.task_counts(&path("/a")).tasks_healthy, 1);
}

#[test]
fn too_many_failures_in_a_row_kill() {
    let mut f = Fixture::new();
    let ids = f.running(checked(1));
    f.healthy(&ids[0], false);
    assert_eq!(f.lines(), [""; 0], "in the grace period");
    f.healthy(&ids[0], true);
    f.skip();
    f.healthy(&ids[0], false);
    assert_eq!(
        f.lines(),
        [
            "failed_health_check a#1 /a",
            "health_status_changed a#1 /a",
            "instance_health_changed a#1",
        ]
    );
    f.healthy(&ids[0], false);
    f.healthy(&ids[0], false);
    assert_eq!(f.lines(), ["failed_health_check a#1 /a"; 2]);
    assert_eq!(f.engine.task_counts(&path("/a")).tasks_unhealthy, 1);
    f.healthy(&ids[0], false);
    assert_eq!(
        f.lines(),
        [
            "failed_health_check a#1 /a",
            "unhealthy_instance_kill a#1 a#1",
            "store a#1 Running Decommissioned",
            "kill a#1",
        ]
    );
    f.status(&ids[0], TaskState::TaskKilled);
    assert_eq!(f.some(&["unprobe"]), ["unprobe a#1"]);
    f.healthy(&ids[0], false);
    assert_eq!(f.lines(), [""; 0], "an answer that comes too late");
}

#[test]
fn executors_tell_health_with_statuses() {
    let mut f = Fixture::new();
    let mut app = checked(1);
    app.health_checks[0].protocol = HealthProtocol::MesosHttp;
    let ids = f.running(app);
    assert_eq!(f.engine.deployments().len(), 1);
    f.healthy(&ids[0], true);
    assert_eq!(f.lines(), [""; 0], "Marathon does not probe by this check");
    let mut update = f.update(&ids[0], TaskState::TaskRunning);
    update.healthy = Some(true);
    f.send(&update);
    assert_eq!(
        f.some(&["instance", "deployment_success"]),
        ["instance_health_changed a#1", "deployment_success plan-1"]
    );
}

#[test]
fn a_deployment_waits_for_readiness_and_shows_it() {
    let mut f = Fixture::new();
    let mut app = app("/a", 1);
    app.readiness_checks = vec![readiness()];
    let ids = f.running(app);
    assert_eq!(f.engine.deployments().len(), 1);
    let result = |task: &str, ready| ReadinessCheckResult {
        name: "ready".to_owned(),
        task_id: task.to_owned(),
        ready,
        last_response: None,
    };
    let task = f.engine.instance(&ids[0]).and_then(|i| i.task());
    let task = task.expect("a task").to_string();
    let now = f.now;
    f.engine
        .readiness_result(&ids[0], result("other", true), now, &mut f.out);
    f.engine
        .readiness_result(&ids[0], result(&task, false), now, &mut f.out);
    assert_eq!(f.lines(), [""; 0]);
    let shown = f.engine.deployments()[0].current_actions[0].clone();
    assert!(!shown.readiness_check_results[0].ready);
    let json = serde_json::to_value(&shown).expect("json");
    assert_eq!(
        (&json["action"], &json["app"]),
        (&"ScaleApplication".into(), &"/a".into())
    );
    f.engine
        .readiness_result(&ids[0], result(&task, true), now, &mut f.out);
    assert_eq!(
        f.lines(),
        [
            "unreadiness a#1",
            "deployment_step_success ScaleApplication:/a",
            "end plan-1 Success",
            "deployment_success plan-1",
        ]
    );
}

#[test]
fn checks_of_a_version_end_with_its_last_instance() {
    let mut f = Fixture::new();
    let ids = f.running(checked(1));
    f.healthy(&ids[0], true);
    f.skip();
    f.pass(std::time::Duration::from_secs(1));
    let next = f.stamp(checked(1));
    f.deploy(next);
    assert_eq!(f.some(&["add", "remove"]), ["add_health_check /a"]);
    let new = f.launch_all("/a");
    f.status(&new[0], TaskState::TaskRunning);
    f.skip();
    f.healthy(&new[0], true);
    assert_eq!(f.some(&["kill", "remove"]), ["kill a#1"]);
    f.status(&ids[0], TaskState::TaskKilled);
    assert_eq!(
        f.some(&["unprobe", "remove"]),
        ["unprobe a#1", "remove_health_check /a"]
    );
}
