//! The master's own rules accept every task made here.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::{AgentId, FrameworkId};
use crate::marathon::matching::OpenOffer;
use crate::marathon::matching::testing::{app, large};
use crate::validation::normalise;
use crate::validation::task::{KnownTasks, TaskContext, validate};

struct Nobody;

impl KnownTasks for Nobody {
    fn is_active(&self, _: &str) -> bool {
        false
    }
    fn is_unreachable(&self, _: &str) -> bool {
        false
    }
    fn executor(&self, _: &str) -> Option<&v1::ExecutorInfo> {
        None
    }
    fn each_task_of(&self, _: &str, _: &mut dyn FnMut(&v1::Task)) {}
}

/// What the master says to a launch of this task on the large offer.
fn judged(task: v1::TaskInfo) -> Result<(), String> {
    let mut operation = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(v1::offer::operation::Launch {
            task_infos: vec![task],
        }),
        ..Default::default()
    };
    let framework_id = FrameworkId::from("F");
    normalise::operation(&mut operation, &framework_id, "web");
    let launch = operation.launch.expect("it was put there");
    let context = TaskContext {
        framework_id: &framework_id,
        agent_id: &AgentId::from("S"),
        agent_capabilities: &["TASK_RESOURCE_LIMITS".to_owned()],
        tasks: &Nobody,
        offered: &OpenOffer::read(&large()).expect("an offer").remaining,
    };
    validate(&launch.task_infos[0], &context)
}

#[test]
fn the_master_refuses_what_it_must() {
    let mut foreign = task(json!({}));
    foreign.agent_id.value = "other".to_owned();
    assert!(judged(foreign).is_err());
}

fn some_app() -> impl Strategy<Value = App> {
    let networks = prop_oneof![
        Just(json!([{"mode": "host"}])),
        Just(json!([{"mode": "container/bridge"}])),
        Just(json!([{"mode": "container", "name": "n"}, {"mode": "container", "name": "m"}])),
    ];
    let kind = prop::option::of(prop_oneof![Just("DOCKER"), Just("MESOS")]);
    let mapping = (
        0..100_u16,
        prop::option::of(prop_oneof![Just(0_u16), 31000..31100_u16]),
    );
    let mapping = mapping.prop_map(|(container, host)| {
        json!({"containerPort": container, "hostPort": host, "protocol": "udp,tcp",
            "servicePort": 0, "networkNames": ["m"]})
    });
    let mappings = prop::collection::vec(mapping, 0..4);
    let protocol = prop_oneof![
        Just("HTTP"),
        Just("COMMAND"),
        Just("MESOS_TCP"),
        Just("MESOS_HTTP"),
        Just("MESOS_HTTPS")
    ];
    let checks = (
        protocol,
        prop::option::of(0..5_u16),
        prop::option::of(1..9_u16),
    );
    let rest = (
        any::<bool>(),
        prop_oneof![Just(""), Just("/x y")],
        "[a-z -]{0,9}",
        any::<bool>(),
    );
    (networks, kind, mappings, checks, rest).prop_map(|(networks, kind, mappings, checks, rest)| {
        let (protocol, index, port) = checks;
        let (tty, executor, text, shell) = rest;
        let docker = json!({"image": "x", "forcePullImage": false, "parameters": [],
            "privileged": false});
        let container = kind.map(|kind| {
            json!({"type": kind, "docker": docker, "portMappings": mappings,
                "volumes": [{"containerPath": text, "hostPath": "/h", "mode": "RW"}]})
        });
        let check = health(
            protocol,
            json!({"portIndex": index, "port": port, "path": "/",
            "command": {"value": text}}),
        );
        app(json!({
            "networks": networks, "container": container, "healthChecks": [check],
            "tty": tty, "executor": executor, "cmd": shell.then(|| text.clone()),
            "args": if shell { Vec::new() } else { vec![text.clone()] },
            "executorResources": {"cpus": 0.1, "mem": 32.0, "disk": 0.0},
            "portDefinitions": [{"port": 0, "protocol": "tcp"}, {"port": 0, "protocol": "udp"}],
            "env": {text.clone(): text}, "labels": {text.clone(): text},
            "resourceLimits": {"cpus": "unlimited", "mem": 512.0},
        }))
    })
}

proptest! {
    #[test]
    fn the_master_accepts_every_task(app in some_app()) {
        let (task, _) = with_settings(&app, &TaskSettings::default());
        prop_assert_eq!(judged(task), Ok(()));
    }
}
