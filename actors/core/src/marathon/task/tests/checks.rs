//! Checks of the executor, and those that are none.

use serde_json::{Value, json};

use super::*;

#[test]
fn only_checks_of_the_executor_are_part_of_a_task() {
    let own = [
        health("HTTP", json!({"portIndex": 0})),
        health("HTTPS", json!({})),
        health("TCP", json!({})),
    ];
    assert!(task(json!({"healthChecks": own})).health_check.is_none());
    let checked = |check: Value| {
        let task = task(json!({
            "networks": [{"mode": "container/bridge"}],
            "container": {"type": "MESOS", "portMappings": [
                {"containerPort": 79, "hostPort": 0, "protocol": "tcp", "servicePort": 1},
                {"containerPort": 80, "hostPort": 0, "protocol": "tcp", "servicePort": 2}]},
            "healthChecks": [health("TCP", json!({})), check],
        }));
        *task.health_check.expect("a health check")
    };
    let http = checked(health(
        "MESOS_HTTP",
        json!({"path": "/ok", "portIndex": 1,
        "ipProtocol": "IPv6"}),
    ));
    assert_eq!(http.r#type, Some(v1::health_check::Type::Http as i32));
    assert_eq!(http.delay_seconds, Some(15.0));
    assert_eq!(http.interval_seconds, Some(60.0));
    assert_eq!(http.timeout_seconds, Some(20.0));
    assert_eq!(http.grace_period_seconds, Some(300.0));
    assert_eq!(http.consecutive_failures, Some(3));
    let http = http.http.expect("an HTTP part");
    assert_eq!((http.port, http.path.as_deref()), (80, Some("/ok")));
    assert_eq!(http.scheme.as_deref(), Some("http"));
    assert_eq!(http.protocol, Some(v1::network_info::Protocol::IPv6 as i32));
    let https = checked(health("MESOS_HTTPS", json!({"port": 443})))
        .http
        .expect("HTTP");
    assert_eq!((https.port, https.scheme.as_deref()), (443, Some("https")));
    let tcp = checked(health("MESOS_TCP", json!({})));
    assert_eq!(tcp.r#type, Some(v1::health_check::Type::Tcp as i32));
    assert_eq!(tcp.tcp.map(|tcp| tcp.port), Some(79));
    let command = checked(health("COMMAND", json!({"command": {"value": "true"}})));
    assert_eq!(command.r#type, Some(v1::health_check::Type::Command as i32));
    assert_eq!(
        command.command.and_then(|one| one.value).as_deref(),
        Some("true")
    );
}

#[test]
fn on_the_host_network_checks_use_the_host_port() {
    let task = task(json!({
        "requirePorts": true, "portDefinitions": [{"port": 31000, "protocol": "tcp"}],
        "healthChecks": [health("MESOS_TCP", json!({"portIndex": 0}))],
    }));
    let tcp = task.health_check.and_then(|check| check.tcp);
    assert_eq!(tcp.map(|tcp| tcp.port), Some(31000));
}

#[test]
fn plain_checks_are_handed_on() {
    let with = |check: Value| {
        let mut whole = json!({"intervalSeconds": 5, "timeoutSeconds": 6, "delaySeconds": 7});
        for (member, value) in check.as_object().expect("an object") {
            whole[member] = value.clone();
        }
        *task(json!({"check": whole})).check.expect("a check")
    };
    let http = with(json!({"http": {"port": 80, "path": "/x", "scheme": "HTTP"}}));
    assert_eq!(http.r#type, Some(v1::check_info::Type::Http as i32));
    assert_eq!(
        (
            http.interval_seconds,
            http.timeout_seconds,
            http.delay_seconds
        ),
        (Some(5.0), Some(6.0), Some(7.0))
    );
    assert_eq!(
        http.http.map(|http| (http.port, http.path)),
        Some((80, Some("/x".into())))
    );
    let tcp = with(json!({"tcp": {"port": 81}}));
    assert_eq!(tcp.tcp.map(|tcp| tcp.port), Some(81));
    let exec = with(json!({"exec": {"command": {"argv": ["a", "b"]}}}));
    let command = exec.command.expect("a command").command;
    assert_eq!(
        (command.value.as_deref(), command.shell),
        (Some("a"), Some(false))
    );
    assert_eq!(command.arguments, ["a", "b"]);
    let shell = with(json!({"exec": {"command": {"shell": "x"}}}));
    assert_eq!(shell.command.expect("a command").command.shell, Some(true));
}
