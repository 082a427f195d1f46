//! Variables of a task: which there are, and which win.

use serde_json::json;

use super::*;
use crate::marathon::matching::testing::{app, large, try_match};

#[test]
fn every_variable_is_there() {
    let app = app(json!({
        "cpus": 0.1, "mem": 64.0, "gpus": 0, "labels": {"a-b c": "1", "long": "x".repeat(512)},
        "container": {"type": "DOCKER", "docker": {"image": "nginx", "forcePullImage": false,
            "parameters": [], "privileged": false}},
        "requirePorts": true,
        "portDefinitions": [
            {"port": 31005, "name": "web-ui", "protocol": "tcp"},
            {"port": 31007, "protocol": "udp"}],
        "versionInfo": {"lastScalingAt": "2021-07-02T10:00:00.123Z",
            "lastConfigChangeAt": "2021-07-01T10:00:00.123Z"},
    }));
    let (task, _) = with_settings(&app, &TaskSettings::default());
    let expected = [
        ("HOST", "host1"),
        ("MARATHON_APP_DOCKER_IMAGE", "nginx"),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", "TRUE"),
        ("MARATHON_APP_ID", "/shop/cart"),
        ("MARATHON_APP_LABELS", "A_B_C"),
        ("MARATHON_APP_LABEL_A_B_C", "1"),
        ("MARATHON_APP_RESOURCE_CPUS", "0.1"),
        ("MARATHON_APP_RESOURCE_DISK", "0.0"),
        ("MARATHON_APP_RESOURCE_GPUS", "0"),
        ("MARATHON_APP_RESOURCE_MEM", "64.0"),
        ("MARATHON_APP_VERSION", "2021-07-01T10:00:00.123Z"),
        ("MESOS_TASK_ID", TASK),
        ("PORT", "31005"),
        ("PORT0", "31005"),
        ("PORT1", "31007"),
        ("PORTS", "31005,31007"),
        ("PORT_31005", "31005"),
        ("PORT_31007", "31007"),
        ("PORT_WEB-UI", "31005"),
    ];
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(variables(&task), expected);
}

#[test]
fn later_variables_win_and_a_prefix_is_for_ports_and_host() {
    let app = app(json!({
        "env": {"P_HOST": "mine", "MESOS_TASK_ID": "mine", "S": {"secret": "db"}},
        "labels": {"x": "y"},
        "portDefinitions": [{"port": 0, "protocol": "tcp"}],
    }));
    let settings = TaskSettings {
        env_vars_prefix: "P_".to_owned(),
        ..TaskSettings::default()
    };
    let (task, matched) = with_settings(&app, &settings);
    let variables = variables(&task);
    assert_eq!(variables["P_HOST"], "mine");
    assert_eq!(variables["MESOS_TASK_ID"], "mine");
    assert_eq!(variables["MARATHON_APP_LABEL_X"], "y");
    let port = matched.ports[0].host.expect("a host port").to_string();
    for name in ["P_PORT", "P_PORT0", "P_PORTS"] {
        assert_eq!(variables[name], port, "{name}");
    }
    // A declared 0 is named by the number it got.
    assert_eq!(variables[&format!("P_PORT_{port}")], port);
    for absent in ["HOST", "PORT", "PORT0", "S", "MARATHON_APP_DOCKER_IMAGE"] {
        assert!(!variables.contains_key(absent), "{absent}");
    }
    // A variable of the app overrides a port's.
    let task = task_with_env();
    assert_eq!(self::variables(&task)["PORT"], "80");
}

fn task_with_env() -> v1::TaskInfo {
    task(json!({"env": {"PORT": "80"}, "portDefinitions": [{"port": 0, "protocol": "tcp"}]}))
}

#[test]
fn without_ports_there_are_no_port_variables() {
    let variables = variables(&task(json!({})));
    assert!(variables.keys().all(|name| !name.starts_with("PORT")));
    assert_eq!(variables["MARATHON_APP_LABELS"], "");
}

#[test]
fn numbers_are_written_as_java_does() {
    let mem = |mem: f64| {
        let matched = try_match(&app(json!({})), &large()).expect("a match");
        let app = app(json!({"mem": mem}));
        let environment = environment(&Launch {
            app: &app,
            task_id: &TaskId::new(TASK),
            matched: &matched,
            enforce_role: false,
            settings: &TaskSettings::default(),
        });
        let mut variables = environment.variables.into_iter();
        let found = variables.find(|one| one.name == "MARATHON_APP_RESOURCE_MEM");
        found.and_then(|one| one.value).expect("a value")
    };
    for (value, text) in [
        (0.0, "0.0"),
        (128.0, "128.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9_999_999.5, "9999999.5"),
        (1e7, "1.0E7"),
        (12_345_678.0, "1.2345678E7"),
    ] {
        assert_eq!(mem(value), text);
    }
}
