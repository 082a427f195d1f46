//! Tasks of plain apps and of custom executors; the other parts have files of their own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::marathon::matching::testing::{app, large, try_match};
use crate::resources::Resources;

mod accepted;
mod checks;
mod container;
mod env;

const TASK: &str = "shop_cart.instance-u._app.1";

fn with_settings(app: &App, settings: &TaskSettings) -> (v1::TaskInfo, Match) {
    let matched = try_match(app, &large()).expect("the offer has all");
    let task = task_info(&Launch {
        app,
        task_id: &TaskId::new(TASK),
        matched: &matched,
        enforce_role: true,
        settings,
    });
    (task, matched)
}

fn task(changes: Value) -> v1::TaskInfo {
    with_settings(&app(changes), &TaskSettings::default()).0
}

fn variables(task: &v1::TaskInfo) -> BTreeMap<String, String> {
    let command = task.command.as_ref().expect("a command");
    let environment = command.environment.as_ref().expect("an environment");
    let pair = |variable: &v1::environment::Variable| {
        (
            variable.name.clone(),
            variable.value.clone().expect("a value"),
        )
    };
    environment.variables.iter().map(pair).collect()
}

fn container(task: &v1::TaskInfo) -> &v1::ContainerInfo {
    task.container.as_deref().expect("a container")
}

#[test]
fn a_plain_command_becomes_a_task() {
    let task = task(json!({
        "user": "nobody", "labels": {"a": "b"}, "taskKillGracePeriodSeconds": 30,
        "resourceLimits": {"cpus": 2.0, "mem": "unlimited"},
        "fetch": [{"uri": "http://x/a.tgz", "extract": true, "executable": false,
            "cache": true, "destPath": "a"}],
    }));
    assert_eq!(task.name, "cart.shop");
    assert_eq!(
        (task.task_id.value.as_str(), task.agent_id.value.as_str()),
        (TASK, "S")
    );
    let resources = Resources::from_v1(&task.resources).expect("valid resources");
    let expected = Resources::parse("cpus:1;mem:128", "*").expect("resources");
    assert_eq!(resources, expected.allocated_to("web"));
    let command = task.command.as_ref().expect("a command");
    assert_eq!(
        (command.value.as_deref(), command.shell),
        (Some("run"), Some(true))
    );
    assert_eq!(command.user.as_deref(), Some("nobody"));
    let uri = &command.uris[0];
    assert_eq!(
        (uri.cache, uri.output_file.as_deref()),
        (Some(true), Some("a"))
    );
    assert_eq!(task.labels.as_ref().expect("labels").labels[0].key, "a");
    let grace = task.kill_policy.and_then(|policy| policy.grace_period);
    assert_eq!(grace.map(|grace| grace.nanoseconds), Some(30_000_000_000));
    assert_eq!(task.limits["cpus"].value, 2.0);
    assert_eq!(task.limits["mem"].value, f64::INFINITY);
    assert!(task.container.is_none() && task.executor.is_none());
    assert!(task.health_check.is_none() && task.check.is_none());
    assert_eq!(task.max_completion_time, None);
    let discovery = task.discovery.as_ref().expect("discovery");
    assert_eq!(discovery.name.as_deref(), Some("cart.shop"));
    assert_eq!(
        discovery.visibility,
        v1::discovery_info::Visibility::Framework as i32
    );
}

#[test]
fn arguments_are_run_without_a_shell() {
    let of = |changes: Value| {
        let task = task(changes);
        let command = task.command.expect("a command");
        (command.value, command.shell, command.arguments)
    };
    let args = vec!["sleep".to_owned(), "1".to_owned()];
    let image = json!({"type": "DOCKER", "docker": {"image": "x", "forcePullImage": false,
        "parameters": [], "privileged": false}});
    assert_eq!(
        of(json!({"cmd": null, "args": args})),
        (Some("sleep".to_owned()), Some(false), args.clone())
    );
    assert_eq!(
        of(json!({"cmd": null, "args": args, "container": image})),
        (None, Some(false), args.clone())
    );
    assert_eq!(
        of(json!({"cmd": null, "container": image})),
        (None, Some(false), Vec::new())
    );
    let bare = json!({"type": "MESOS"});
    assert_eq!(
        of(json!({"cmd": null, "args": args, "container": bare})).0,
        Some("sleep".into())
    );
}

fn health(protocol: &str, more: Value) -> Value {
    let mut check = json!({"gracePeriodSeconds": 300, "intervalSeconds": 60,
        "maxConsecutiveFailures": 3, "protocol": protocol, "timeoutSeconds": 20,
        "delaySeconds": 15});
    for (member, value) in more.as_object().expect("an object") {
        check[member] = value.clone();
    }
    check
}

#[test]
fn a_custom_executor_runs_the_command() {
    let task = task(json!({
        "executor": "/opt/it's", "cmd": "go", "env": {"A": "b"},
        "executorResources": {"cpus": 0.1, "mem": 32.0, "disk": 0.0},
        "container": {"type": "MESOS"},
    }));
    assert!(task.command.is_none() && task.container.is_none());
    let executor = task.executor.expect("an executor");
    assert_eq!(executor.executor_id.value, format!("marathon-{TASK}"));
    assert!(executor.container.is_some());
    let resources = Resources::from_v1(&executor.resources).expect("valid resources");
    assert_eq!(resources.scalar_milli("cpus"), 100);
    let command = executor.command.expect("a command");
    let quoted = r"'/opt/it'\''s'";
    let line = format!("chmod ug+rx {quoted} && exec {quoted} go");
    assert_eq!(command.value, Some(line));
    let variables = command.environment.expect("an environment").variables;
    assert!(variables.iter().any(|one| one.name == "A"));
}
