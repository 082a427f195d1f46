//! Tables of bodies and what becomes of them: defaults, rewriting of old forms, refusals.
//! The recorded cases are run in the room of groups.

use proptest::prelude::*;
use serde_json::{Value, json};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::*;

fn settings() -> Settings {
    Settings::default()
}

fn all_features() -> Settings {
    let mut settings = settings();
    settings.features.extend([
        Feature::GpuResources,
        Feature::Secrets,
        Feature::ExternalVolumes,
    ]);
    settings
}

fn made(body: &Value, settings: &Settings) -> Result<App, Rejection> {
    let body = read_body(body, |at| read_app(at, false))?;
    let id = PathId::new(body.id.as_deref().unwrap_or_default());
    let roles = Roles {
        default: "*".into(),
        allowed: vec!["*".into(), "prod".into()],
    };
    define(body, id, (&roles, settings), Timestamp::from_millis(7))
}

fn shown(body: Value, settings: &Settings) -> Value {
    let app = made(&body, settings).unwrap_or_else(|error| panic!("{error}: {body}"));
    serde_json::to_value(app).expect("json")
}

#[track_caller]
fn refused(body: Value, status: u16, path: &str, error: &str) {
    let rejection = made(&body, &settings()).expect_err("refused");
    assert_eq!(rejection.status, status, "{rejection}");
    let text = format!("{rejection}; ");
    match path {
        "" => assert!(rejection.message.contains(error), "{rejection}"),
        path => assert!(
            text.contains(&format!("; {path}: ")),
            "{path} in {rejection}"
        ),
    }
    assert!(text.contains(error), "{error} in {rejection}");
}

/// Adds members to a body.
fn with(mut body: Value, members: Value) -> Value {
    let members = members.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(members);
    body
}

fn cmd(members: Value) -> Value {
    with(json!({"id": "/a", "cmd": "sleep 60"}), members)
}

fn docker(members: Value, app: Value) -> Value {
    let docker = with(json!({"image": "x"}), members);
    with(json!({"id": "/a", "container": {"docker": docker}}), app)
}

#[test]
fn a_minimal_app_gets_every_default_in_marathons_order() {
    let app = made(&json!({"id": "/hello", "cmd": "sleep 60"}), &settings()).expect("an app");
    let text = r#"{"id":"/hello","backoffFactor":1.15,"backoffSeconds":1,"cmd":"sleep 60","cpus":1.0,"disk":0.0,"executor":"","instances":1,"labels":{},"maxLaunchDelaySeconds":300,"mem":128.0,"gpus":0,"networks":[{"mode":"host"}],"portDefinitions":[{"port":0,"name":"default","protocol":"tcp"}],"requirePorts":false,"upgradeStrategy":{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0},"version":"1970-01-01T00:00:00.007Z","killSelection":"YOUNGEST_FIRST","unreachableStrategy":{"inactiveAfterSeconds":0,"expungeAfterSeconds":0},"role":"*"}"#;
    assert_eq!(serde_json::to_string(&app).expect("text"), text);
}

#[test]
fn an_old_docker_app_is_rewritten() {
    let app = shown(
        json!({"id": "/web", "cpus": 0.5, "mem": 64, "container": {"type": "DOCKER", "docker": {
            "image": "nginx:1.21", "network": "BRIDGE", "portMappings": [
                {"containerPort": 80, "hostPort": 0, "servicePort": 9000, "protocol": "tcp"},
                {"containerPort": 443}]}},
            "uris": ["http://files.example/a.tgz"]}),
        &settings(),
    );
    let container = json!({
        "type": "DOCKER",
        "docker": {"forcePullImage": false, "image": "nginx:1.21", "parameters": [], "privileged": false},
        "volumes": [],
        "portMappings": [
            {"containerPort": 80, "hostPort": 0, "labels": {}, "protocol": "tcp", "servicePort": 9000},
            {"containerPort": 443, "hostPort": 0, "labels": {}, "protocol": "tcp", "servicePort": 0},
        ],
    });
    assert_eq!(app["container"], container);
    assert_eq!(app["networks"], json!([{"mode": "container/bridge"}]));
    let fetch = json!([{"uri": "http://files.example/a.tgz", "extract": true, "executable": false, "cache": false}]);
    assert_eq!(app["fetch"], fetch);
    assert_eq!(app.get("portDefinitions"), None);
}

#[test]
fn old_networks_are_rewritten() {
    let ip = json!({"networkName": "n", "labels": {"k": "v"}});
    let named = json!([{"name": "n", "mode": "container", "labels": {"k": "v"}}]);
    for (network, ip_address, wanted) in [
        ("HOST", None, json!([{"mode": "host"}])),
        ("HOST", Some(&ip), json!([{"mode": "host"}])),
        ("bridge", None, json!([{"mode": "container/bridge"}])),
        (
            "BRIDGE",
            Some(&ip),
            json!([{"mode": "container/bridge", "labels": {"k": "v"}}]),
        ),
        ("USER", Some(&ip), named.clone()),
    ] {
        let app = match ip_address {
            Some(ip) => json!({"ipAddress": ip}),
            None => json!({}),
        };
        let app = shown(docker(json!({"network": network}), app), &settings());
        assert_eq!(app["networks"], wanted, "{network} {ip_address:?}");
    }
    assert_eq!(
        shown(cmd(json!({"ipAddress": ip})), &settings())["networks"],
        named
    );
    let bridge = cmd(json!({"ipAddress": {"networkName": "mesos-bridge"}}));
    let app = shown(bridge, &settings());
    assert_eq!(app["networks"], json!([{"mode": "container/bridge"}]));
    assert_eq!(app["container"]["type"], "MESOS");
    let mut named = settings();
    named.default_network_name = Some("dcos".into());
    let app = shown(docker(json!({"network": "USER"}), json!({})), &named);
    assert_eq!(
        app["networks"],
        json!([{"name": "dcos", "mode": "container"}])
    );
}

#[test]
fn contradictions_found_while_rewriting_are_answered_with_500() {
    let none = docker(json!({"network": "NONE"}), json!({}));
    refused(none, 500, "", "unsupported docker network type None");
    let both = json!({"id": "/a", "cmd": "ls", "container": {"type": "MESOS", "portMappings": [{}]},
        "ipAddress": {"networkName": "n", "discovery": {"ports": [{"number": 1, "name": "p"}]}}});
    let text = "container.portMappings and ipAddress.discovery.ports must not both be set";
    refused(both, 500, "", text);
}

#[test]
fn ports_follow_the_network() {
    let mapping = |members| {
        let default =
            json!({"containerPort": 0, "labels": {}, "protocol": "tcp", "servicePort": 0});
        with(default, members)
    };
    let bridge = json!([{"mode": "container/bridge"}]);
    let named = json!([{"mode": "container", "name": "n"}]);
    for (networks, members, wanted) in [
        (
            &bridge,
            json!({}),
            json!([mapping(json!({"hostPort": 0, "name": "default"}))]),
        ),
        (
            &named,
            json!({}),
            json!([mapping(json!({"name": "default"}))]),
        ),
        (
            &bridge,
            json!({"container": {"type": "MESOS", "portMappings": [{"containerPort": 1}]}, "ports": [0, 0]}),
            json!([
                mapping(json!({"containerPort": 1, "hostPort": 0})),
                mapping(json!({"hostPort": 0})),
            ]),
        ),
        (&named, json!({"portDefinitions": []}), json!([])),
    ] {
        let body = with(
            cmd(json!({"networks": networks, "requirePorts": true})),
            members,
        );
        let app = shown(body, &settings());
        assert_eq!(app["container"]["portMappings"], wanted);
        assert_eq!(app["requirePorts"], false);
        assert_eq!(app.get("portDefinitions"), None);
    }
    for members in [
        json!({"networks": [{"mode": "host"}], "container": {"type": "MESOS", "portMappings": [{}]}}),
        json!({"container": {"docker": {"image": "x"}}}),
    ] {
        let app = shown(cmd(members), &settings());
        assert_eq!(app["container"].get("portMappings"), None);
        assert_eq!(app["portDefinitions"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn a_mesos_container_keeps_its_image_and_linux_info() {
    let info = json!({"seccomp": {"profileName": "p", "unconfined": false}, "ipcInfo": {"mode": "PRIVATE", "shmSize": 64}});
    let container = json!({"type": "MESOS", "docker": {"image": "alpine", "forcePullImage": true}, "linuxInfo": info});
    let app = shown(cmd(json!({"container": container})), &settings());
    let docker =
        json!({"forcePullImage": true, "image": "alpine", "parameters": [], "privileged": false});
    assert_eq!(
        app["container"],
        json!({"type": "MESOS", "docker": docker, "linuxInfo": info, "volumes": []})
    );
    for (member, value) in [
        ("parameters", json!([{"key": "a", "value": "b"}])),
        ("portMappings", json!([{}])),
        ("credential", json!({"principal": "p"})),
    ] {
        let docker = with(json!({"image": "x"}), json!({member: value}));
        let body = cmd(json!({"container": {"type": "MESOS", "docker": docker}}));
        refused(
            body,
            422,
            &format!("/container/docker/{member}"),
            "must be empty",
        );
    }
}

#[test]
fn a_resident_app_has_other_defaults_and_is_not_launched_yet() {
    let volume = json!({"containerPath": "data", "mode": "RW", "persistent": {"size": 512}});
    let body = json!({"id": "/store", "role": "prod", "cmd": "./db", "container": {"type": "MESOS", "volumes": [volume]}});
    let app = shown(body.clone(), &settings());
    let volume = json!({"containerPath": "data", "persistent": {"type": "root", "size": 512, "constraints": []}, "mode": "RW"});
    assert_eq!(app["container"]["volumes"], json!([volume]));
    assert_eq!(
        app["residency"],
        json!({"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"})
    );
    assert_eq!(
        app["upgradeStrategy"],
        json!({"maximumOverCapacity": 0.0, "minimumHealthCapacity": 0.5})
    );
    assert_eq!(app["unreachableStrategy"], "disabled");
    let text = r#"A resident app must have `acceptedResourceRoles = ["*"]`."#;
    refused(
        with(body.clone(), json!({"acceptedResourceRoles": ["prod"]})),
        422,
        "/acceptedResourceRoles",
        text,
    );
    let rejection = refuse_unsupported(&made(&body, &settings()).expect("an app"));
    assert_eq!(rejection.expect_err("refused").status, 422);
}

#[test]
fn health_checks_are_normalised_by_protocol() {
    let common = json!({"gracePeriodSeconds": 300, "intervalSeconds": 60, "maxConsecutiveFailures": 3, "ipProtocol": "IPv4", "timeoutSeconds": 20, "delaySeconds": 15});
    for (protocol, members) in [
        (
            "HTTP",
            json!({"ignoreHttp1xx": false, "path": "/ok", "portIndex": 0}),
        ),
        (
            "HTTPS",
            json!({"ignoreHttp1xx": false, "path": "/ok", "portIndex": 0}),
        ),
        ("TCP", json!({"portIndex": 0})),
        (
            "MESOS_HTTP",
            json!({"path": "/ok", "portIndex": 0, "delaySeconds": 3}),
        ),
        ("MESOS_TCP", json!({"portIndex": 0, "delaySeconds": 3})),
    ] {
        let check = json!({"protocol": protocol, "path": "/ok", "delaySeconds": 3});
        let app = shown(
            cmd(json!({"portDefinitions": [{}], "healthChecks": [check]})),
            &settings(),
        );
        let wanted = with(with(common.clone(), json!({"protocol": protocol})), members);
        assert_eq!(app["healthChecks"][0], wanted, "{protocol}");
    }
    let check = json!({"command": {"value": "true"}, "portIndex": 0, "path": "/"});
    let app = shown(cmd(json!({"healthChecks": [check]})), &settings());
    let wanted = with(
        common,
        json!({"protocol": "COMMAND", "command": {"value": "true"}}),
    );
    assert_eq!(app["healthChecks"][0], wanted);
    let app = shown(cmd(json!({"healthChecks": [{}]})), &settings());
    assert_eq!(app["healthChecks"][0].get("portIndex"), None);
}

#[test]
fn secrets_are_kept_with_the_feature_and_not_launched_yet() {
    let env = json!({"MODE": "fast", "DB_PASS": {"secret": "db"}});
    let secrets = json!({"db": {"source": "team/db/pass"}});
    let body = cmd(json!({"env": env, "secrets": secrets}));
    let app = shown(body.clone(), &all_features());
    assert_eq!((&app["env"], &app["secrets"]), (&env, &secrets));
    refused(
        body.clone(),
        422,
        "/secrets",
        "Feature secrets is not enabled.",
    );
    let rejection = refuse_unsupported(&made(&body, &all_features()).expect("an app"));
    assert!(rejection.expect_err("refused").to_string().contains("/env"));
    assert_eq!(
        refuse_unsupported(&made(&cmd(json!({})), &settings()).expect("an app")),
        Ok(())
    );
}

#[test]
fn strategies_have_defaults_of_their_own() {
    let single = cmd(json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}}));
    let none = json!({"maximumOverCapacity": 0.0, "minimumHealthCapacity": 0.0});
    assert_eq!(shown(single, &settings())["upgradeStrategy"], none);
    let app = shown(
        cmd(json!({"unreachableStrategy": {"expungeAfterSeconds": 9}})),
        &settings(),
    );
    let wanted = json!({"inactiveAfterSeconds": 0, "expungeAfterSeconds": 9});
    assert_eq!(app["unreachableStrategy"], wanted);
    let app = shown(cmd(json!({"unreachableStrategy": "whatever"})), &settings());
    assert_eq!(app["unreachableStrategy"], "disabled");
}

#[test]
fn wrong_types_and_bounds_are_refused_at_their_path() {
    for (members, path, error) in [
        (
            json!({"instances": 1e30}),
            "/instances",
            "error.expected.int",
        ),
        (
            json!({"instances": 1.5}),
            "/instances",
            "error.expected.int",
        ),
        (
            json!({"backoffSeconds": u64::MAX}),
            "/backoffSeconds",
            "error.expected.int",
        ),
        (
            json!({"requirePorts": 1}),
            "/requirePorts",
            "error.expected.jsboolean",
        ),
        (json!({"args": {}}), "/args", "error.expected.jsarray"),
        (
            json!({"container": []}),
            "/container",
            "error.expected.jsobject",
        ),
        (
            json!({"env": {"A": 1}}),
            "/env/A",
            "error.expected.jsstring",
        ),
        (
            json!({"acceptedResourceRoles": []}),
            "/acceptedResourceRoles",
            "error.minLength",
        ),
        (
            json!({"networks": [{"name": "A"}]}),
            "/networks(0)/name",
            "error.pattern",
        ),
        (
            json!({"container": {"docker": {}}}),
            "/container/docker/image",
            "'image' is undefined on object: {}",
        ),
        (
            json!({"id": format!("/{}", "a/".repeat(100))}),
            "/id",
            "64 segments",
        ),
    ] {
        refused(cmd(members), 422, path, error);
    }
}

#[test]
fn deep_nesting_is_refused_by_the_parser() {
    let deep = "[".repeat(100_000);
    assert_eq!(
        parse_body(deep.as_bytes()).expect_err("refused").status,
        400
    );
    assert_eq!(
        parse_body(b"{\"id\":1e999}").expect_err("refused").status,
        400
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9/._ -]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("container"),
        Just("docker"),
        Just("image"),
        Just("portMappings"),
        Just("networks"),
        Just("healthChecks"),
        Just("ports"),
        Just("uris"),
        Just("ipAddress"),
        Just("volumes"),
        Just("persistent"),
        Just("external"),
        Just("env"),
        Just("id"),
        Just("cmd"),
        Just("size"),
        Just("constraints"),
        Just("upgradeStrategy"),
        Just("check"),
        Just("readinessChecks"),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone().prop_map(String::from), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_app() -> impl Strategy<Value = Value> {
    let networks = prop_oneof![
        Just(json!({})),
        Just(json!({"networks": [{"mode": "container/bridge"}]})),
        Just(json!({"networks": [{"name": "n"}, {"name": "m"}], "container": {"type": "MESOS"}})),
        Just(json!({"container": {"docker": {"image": "i", "network": "BRIDGE"}}})),
        Just(json!({"ipAddress": {"networkName": "n"}, "uris": ["http://h/a.zip"]})),
    ];
    let ports = prop::option::of(prop::collection::btree_set(1u16.., 1..4));
    let numbers = (0u32..9, 0.0..64.0f64, 0.0..1.0f64, 0i64..99);
    (networks, ports, numbers).prop_map(|(networks, ports, (instances, mem, share, seconds))| {
        let body = with(
            cmd(networks),
            json!({
                "instances": instances, "mem": mem, "backoffSeconds": seconds,
                "upgradeStrategy": {"minimumHealthCapacity": share, "maximumOverCapacity": share},
                "constraints": [["hostname", "unique"], ["rack", "GROUP_BY", "3"]],
                "dependencies": ["b", "/c"],
                "healthChecks": [{"protocol": "TCP", "port": 80}, {"command": {"value": "true"}}],
            }),
        );
        match (ports, body.get("ipAddress")) {
            (Some(ports), None) => with(
                body,
                json!({"portDefinitions":
                ports.iter().map(|port| json!({"port": port})).collect::<Vec<_>>()}),
            ),
            _ => body,
        }
    })
}

proptest! {
    #[test]
    fn reading_never_panics(body in any_json()) {
        let as_app = made(&body, &settings());
        let object = body.as_object().cloned().map(Value::Object).unwrap_or_default();
        if object.is_object() {
            let named = with(object, json!({"id": "/a", "cmd": "ls"}));
            if let Ok(app) = made(&named, &all_features()) {
                prop_assert_eq!(app.id.as_str(), "/a");
            }
        }
        prop_assert!(as_app.is_err() || body.is_object());
    }

    #[test]
    fn normalising_is_idempotent(body in any_app()) {
        let once = made(&body, &settings());
        let once = once.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again = made(&serde_json::to_value(&once).expect("json"), &settings());
        prop_assert_eq!(again, Ok(once));
    }
}
