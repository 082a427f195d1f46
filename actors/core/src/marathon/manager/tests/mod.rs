//! The manager with its parts together: requests, offers, news, restarts.
//! The parts themselves are tested in their rooms.

mod dry_runs;
mod figures;
mod fixture;

use std::time::Duration;

use serde_json::json;
use tepui_protocol::marathon::{PathId, Timestamp};

use self::fixture::{Fixture, deployment, refusal};
use super::{Answer, Input, ManagerSettings, Request};
use crate::marathon::ids::{InstanceId, instance_of};

fn instances(test: &Fixture, app: &str) -> Vec<InstanceId> {
    let view = test.view().view(&PathId::new(app));
    view.instances.keys().cloned().collect()
}

#[test]
fn an_app_is_created_launched_and_its_deployment_ends() {
    let mut test = Fixture::new();
    test.event_names();
    let answer = test.create(json!({"id": "/a/b", "cmd": "sleep 1", "instances": 3}));
    let Answer::Created { app, .. } = &answer else {
        panic!("{answer:?}");
    };
    assert_eq!(app.version_info, None);
    assert_eq!(test.view().deployments.len(), 1);
    assert_eq!(test.view().queue.len(), 1);
    test.pass(3);
    assert_eq!(test.running_of("/a/b").len(), 3);
    assert!(test.view().deployments.is_empty());
    assert!(test.disk.deployments.is_empty());
    assert!(test.view().queue.is_empty());
    let counts = test.view().view(&PathId::new("/a/b")).counts;
    assert_eq!((counts.tasks_staged, counts.tasks_running), (0, 3));
    let names = test.event_names();
    let order = |name: &str| names.iter().position(|other| *other == name);
    let steps = [
        "deployment_info",
        "api_post_event",
        "group_change_success",
        "instance_changed_event",
        "status_update_event",
        "deployment_success",
    ];
    for name in steps {
        assert!(order(name).is_some(), "{name} in {names:?}");
    }
    let infos = names.iter().filter(|name| **name == "deployment_info");
    assert_eq!(infos.count(), 2);
    assert_eq!(names.last(), Some(&"deployment_success"));
}

#[test]
fn what_is_launched_was_stored_before_and_tasks_carry_their_definition() {
    let mut test = Fixture::new();
    test.create(
        json!({"id": "/a", "cmd": "run", "instances": 1, "cpus": 0.5, "mem": 32,
        "env": {"KEY": "value"}}),
    );
    test.pass(1);
    let [task] = &test.launched[..] else {
        panic!("{:?}", test.launched);
    };
    assert_eq!(task.name, "a");
    let command = task.command.as_ref().expect("a command");
    assert_eq!(command.value.as_deref(), Some("run"));
    let environment = command.environment.as_ref().expect("an environment");
    let value = |name: &str| {
        let mut all = environment.variables.iter();
        let found = all.find(|it| it.name == name);
        found.and_then(|it| it.value.clone())
    };
    assert_eq!(value("KEY").as_deref(), Some("value"));
    assert_eq!(value("MARATHON_APP_ID").as_deref(), Some("/a"));
    let port = value("PORT0").and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| (31000..=32000).contains(&port)));
    let id = &task.task_id.value;
    assert_eq!(value("MESOS_TASK_ID").as_deref(), Some(id.as_str()));
}

#[test]
fn scaling_never_overshoots_and_goes_both_ways() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run", "instances": 2}));
    test.pass(2);
    test.change("/a", json!({"instances": 12}));
    for _ in 0..10 {
        test.pass(1);
        assert!(test.running_of("/a").len() <= 12);
    }
    assert_eq!(test.running_of("/a").len(), 12);
    test.change("/a", json!({"instances": 1}));
    test.pass(2);
    assert_eq!(test.running_of("/a").len(), 1);
    assert_eq!(test.disk.instances.len(), 1);
    assert!(test.view().deployments.is_empty());
}

#[test]
fn locked_apps_need_force_and_another_app_does_not_mind() {
    let mut test = Fixture::new();
    let first = deployment(&test.create(json!({"id": "/a", "cmd": "run"})));
    let answer = test.change("/a", json!({"cmd": "other"}));
    let Answer::Refused(rejection) = &answer else {
        panic!("{answer:?}");
    };
    assert_eq!(rejection.status, 409);
    let named = rejection.deployments.as_ref().expect("deployments");
    assert_eq!(named[0].id, first);
    // Nothing was changed by what was refused.
    assert_eq!(
        test.view()
            .root
            .app(&PathId::new("/a"))
            .expect("an app")
            .cmd
            .as_deref(),
        Some("run")
    );
    deployment(&test.create(json!({"id": "/b", "cmd": "run"})));
    assert_eq!(test.view().deployments.len(), 2);
}

#[test]
fn killing_with_scale_takes_just_those_and_lowers_the_number() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run", "instances": 3}));
    test.pass(3);
    let victim = test.running_of("/a").remove(1);
    let victim = instance_of(&crate::ids::TaskId::new(victim)).expect("an instance");
    let answer = test.ask(Request::KillTasks {
        instances: vec![victim.clone()],
        scale: true,
        wipe: false,
        force: false,
    });
    deployment(&answer);
    test.pass(2);
    assert_eq!(instances(&test, "/a").len(), 2);
    assert!(!instances(&test, "/a").contains(&victim));
    let app = test.view().root.app(&PathId::new("/a")).cloned();
    assert_eq!(app.expect("an app").instances, 2);
    // Without scale they are replaced.
    let victim = instances(&test, "/a").remove(0);
    let answer = test.ask(Request::KillTasks {
        instances: vec![victim.clone()],
        scale: false,
        wipe: false,
        force: false,
    });
    assert!(matches!(answer, Answer::Killed(killed) if killed[0].id == victim));
    test.pass(2);
    assert_eq!(test.running_of("/a").len(), 2);
    assert!(!instances(&test, "/a").contains(&victim));
}

#[test]
fn a_deployment_is_taken_back_or_stopped() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run", "instances": 2}));
    test.pass(2);
    let change = test.change(
        "/a",
        json!({"cmd": "other", "upgradeStrategy":
        {"minimumHealthCapacity": 1, "maximumOverCapacity": 0.5}}),
    );
    let id = deployment(&change);
    let cancel = |id: &str, force| Request::CancelDeployment {
        id: id.into(),
        force,
    };
    assert_eq!(refusal(&test.ask(cancel("nope", false))).0, 404);
    assert_eq!(refusal(&test.ask(cancel("nope", true))).0, 404);
    let back = deployment(&test.ask(cancel(&id, false)));
    assert_ne!(back, id);
    test.pass(5);
    assert!(test.view().deployments.is_empty());
    let app = test
        .view()
        .root
        .app(&PathId::new("/a"))
        .cloned()
        .expect("an app");
    assert_eq!(app.cmd.as_deref(), Some("run"));
    assert_eq!(test.running_of("/a").len(), 2);
    let stopped = deployment(&test.change("/a", json!({"instances": 50})));
    assert!(matches!(test.ask(cancel(&stopped, true)), Answer::Done));
    assert!(test.view().deployments.is_empty());
}

#[test]
fn groups_go_back_to_an_earlier_version() {
    let mut test = Fixture::new();
    let group = json!({"id": "/g", "apps": [{"id": "x", "cmd": "one"}, {"id": "y", "cmd": "one"}]});
    let answer = test.ask(Request::CreateGroup {
        base: PathId::root(),
        body: group,
        force: false,
    });
    let Answer::Deployment { version, .. } = answer else {
        panic!("{answer:?}");
    };
    test.pass(3);
    test.change("/g/x", json!({"cmd": "two"}));
    test.pass(5);
    let back = |version: Timestamp| Request::ChangeGroup {
        base: PathId::new("/g"),
        body: json!({"version": version}),
        force: false,
    };
    let never = Timestamp::from_millis(5);
    let (status, text) = refusal(&test.ask(back(never)));
    assert_eq!(status, 422);
    assert_eq!(
        text,
        "Group /g not available in version 1970-01-01T00:00:00.005Z"
    );
    test.restart();
    deployment(&test.ask(back(version)));
    test.pass(5);
    let app = test
        .view()
        .root
        .app(&PathId::new("/g/x"))
        .cloned()
        .expect("an app");
    assert_eq!(app.cmd.as_deref(), Some("one"));
    assert!(test.view().deployments.is_empty());
}

#[test]
fn constraints_spread_instances_over_agents_after_a_restart_too() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run", "instances": 3,
        "constraints": [["hostname", "UNIQUE"]]}));
    test.pass(3);
    assert_eq!(test.running_of("/a").len(), 2, "there are two hosts");
    test.restart();
    test.pass(3);
    assert_eq!(test.running_of("/a").len(), 2);
    let hosts = test.view().view(&PathId::new("/a"));
    let hosts: std::collections::BTreeSet<_> = hosts
        .instances
        .values()
        .filter(|it| it.has_task())
        .map(|it| it.place.host.clone())
        .collect();
    assert_eq!(hosts.len(), 2);
    // The queue tells why.
    let queue = test.view().queue;
    assert_eq!(queue[0].count, 1);
    assert!(queue[0].stats.unused > 0);
}

#[test]
fn what_is_of_no_use_is_declined() {
    let mut test = Fixture::new();
    test.offer("a1");
    assert_eq!(test.declined, [("o1".to_string(), 120.0)]);
}

#[test]
fn roles_of_apps_are_subscribed() {
    let mut test = Fixture::new();
    let body = json!({"id": "/team", "enforceRole": true, "apps": [{"id": "a", "cmd": "run"}]});
    let answer = test.ask(Request::CreateGroup {
        base: PathId::root(),
        body,
        force: false,
    });
    deployment(&answer);
    assert_eq!(test.roles.last().expect("roles"), &["*", "team"]);
    test.restart();
    let roles: Vec<String> = test.manager.roles().map(ToString::to_string).collect();
    assert_eq!(roles, ["*", "team"]);
}

#[test]
fn a_failed_task_is_remembered_until_its_app_is_gone() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run"}));
    test.pass(2);
    let task = test.running_of("/a").remove(0);
    test.fails(&task);
    let id = PathId::new("/a");
    assert_eq!(test.view().failures[&id].task_id, task);
    test.restart();
    assert_eq!(test.view().failures[&id].task_id, task);
    test.pass(5);
    assert_eq!(test.running_of("/a").len(), 1);
    test.ask(Request::DeleteApp {
        id: id.clone(),
        force: true,
    });
    test.pass(2);
    assert!(test.view().failures.is_empty());
    assert!(test.disk.failures.is_empty());
    assert!(test.disk.instances.is_empty());
    assert!(test.view().apps.is_empty());
}

#[test]
fn the_history_is_kept_small_and_survives_restarts() {
    let mut test = Fixture::with(ManagerSettings {
        max_versions: 3,
        ..ManagerSettings::default()
    });
    test.create(json!({"id": "/keep", "cmd": "run"}));
    test.create(json!({"id": "/a", "cmd": "run", "instances": 0}));
    test.pass(2);
    for round in 0..20 {
        test.tick(Duration::from_secs(1));
        deployment(&test.change("/a", json!({"labels": {"round": round.to_string()}})));
        test.pass(1);
        if round % 7 == 0 {
            test.restart();
        }
    }
    assert!(test.disk.steps.len() <= 6, "{}", test.disk.steps.len());
    assert!(test.disk.apps.len() <= 8, "{}", test.disk.apps.len());
    let view = test.view();
    assert_eq!(view.roots.len(), test.disk.steps.len() + 1);
    let versions = &view.versions[&PathId::new("/a")];
    assert!(versions.len() >= 3);
    let kept = &view.versions[&PathId::new("/keep")];
    assert_eq!(kept.len(), 1, "what runs is not forgotten");
    assert_eq!(test.running_of("/keep").len(), 1);
}

#[test]
fn nothing_is_lost_or_doubled_when_it_dies_between_any_two_inputs() {
    for rounds in 0..12 {
        let mut test = Fixture::new();
        test.create(json!({"id": "/a", "cmd": "run", "instances": 4}));
        test.pass(2);
        test.change("/a", json!({"cmd": "other"}));
        for _ in 0..rounds {
            test.tick(Duration::from_millis(400));
            test.offer("a1");
        }
        test.restart();
        test.pass(30);
        let tasks = test.running_of("/a");
        assert_eq!(tasks.len(), 4, "after {rounds} rounds: {tasks:?}");
        assert_eq!(test.disk.instances.len(), 4);
        assert!(test.view().deployments.is_empty(), "after {rounds} rounds");
        let view = test.view().view(&PathId::new("/a"));
        let app = test
            .view()
            .root
            .app(&PathId::new("/a"))
            .cloned()
            .expect("an app");
        let version = crate::marathon::instance::config_version(&app);
        assert!(view.instances.values().all(|it| it.version == version));
    }
}

#[test]
fn news_of_strangers_and_lost_connections_do_no_harm() {
    let mut test = Fixture::new();
    test.is_obliging = false;
    let stranger = crate::ids::TaskId::new("none.of.ours");
    let status = fixture::status(&stranger, tepui_protocol::v1::TaskState::TaskRunning);
    test.input(Input::Update(Box::new(status)));
    test.input(Input::Disconnected);
    test.input(Input::AgentLost(crate::ids::AgentId::new("x")));
    test.connect();
    test.input(Input::Message {
        executor: "e".into(),
        agent: "a".into(),
        data: vec![1, 255],
    });
    let names = test.event_names();
    assert!(names.contains(&"scheduler_disconnected_event"));
    assert!(names.contains(&"scheduler_reregistered_event"));
    assert!(names.contains(&"framework_message_event"));
}
