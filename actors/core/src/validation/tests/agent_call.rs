//! What a call of the agent's operator API must say.
//! Most texts are compared with recordings elsewhere.

use tepui_protocol::json;
use tepui_protocol::v1::agent::Call;
use tepui_protocol::v1::agent::call::Type;

use crate::validation::agent_call::validate;

fn check(text: &str) -> Result<Type, String> {
    validate(&json::from_slice::<Call>(text.as_bytes()).unwrap())
}

fn refusal(text: &str) -> String {
    check(text).unwrap_err()
}

#[test]
fn calls_that_need_nothing_are_fine() {
    for name in [
        "UNKNOWN",
        "GET_HEALTH",
        "GET_FLAGS",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_STATE",
        "GET_CONTAINERS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_TASKS",
        "GET_AGENT",
        "GET_RESOURCE_PROVIDERS",
        "GET_OPERATIONS",
        "PRUNE_IMAGES",
    ] {
        let call = format!(r#"{{"type":"{name}"}}"#);
        assert_eq!(check(&call).map(|kind| kind.as_str_name()), Ok(name));
    }
    assert_eq!(refusal("{}"), "Expecting 'type' to be present");
}

#[test]
fn ids_of_containers_are_safe_and_short() {
    let wait = |id: &str| {
        let value = format!(r#"{{"container_id":{id}}}"#);
        check(&format!(
            r#"{{"type":"WAIT_CONTAINER","wait_container":{value}}}"#
        ))
    };
    assert_eq!(wait(r#"{"value":"a"}"#), Ok(Type::WaitContainer));
    let long = "x".repeat(243);
    for (id, why) in [
        (
            r#"{"value":"a b"}"#,
            "'ContainerID.value' 'a b' contains invalid characters".to_owned(),
        ),
        (
            r#"{"value":"a","parent":{"value":"b/c"}}"#,
            "'ContainerID.parent' is invalid: 'b/c' contains invalid characters".to_owned(),
        ),
        (
            r#"{"value":"a","parent":{"value":"b","parent":{"value":""}}}"#,
            "'ContainerID.parent' is invalid: 'ContainerID.parent' is invalid: ID must not be \
             empty"
                .to_owned(),
        ),
        (
            &format!(r#"{{"value":"{long}"}}"#),
            format!("'ContainerID.value' '{long}' exceeds the maximum length (242)"),
        ),
    ] {
        let why = format!("'wait_container.container_id' is invalid: {why}");
        assert_eq!(wait(id), Err(why), "{id}");
    }
    let deep = (0..80).fold(r#"{"value":"a"}"#.to_owned(), |id, _| {
        format!(r#"{{"value":"a","parent":{id}}}"#)
    });
    assert!(wait(&deep).unwrap_err().contains("at most 64 levels"));
}

#[test]
fn containers_without_a_parent_use_what_was_never_offered() {
    let launch = |more: &str| {
        let value = format!(r#"{{"container_id":{{"value":"a"}}{more}}}"#);
        check(&format!(
            r#"{{"type":"LAUNCH_CONTAINER","launch_container":{value}}}"#
        ))
    };
    let cpus = |more: &str| {
        let cpus = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}"#;
        launch(&format!(r#","resources":[{cpus}{more}}}]"#))
    };
    assert_eq!(launch(""), Ok(Type::LaunchContainer));
    assert_eq!(cpus(""), Ok(Type::LaunchContainer));
    let reserved = cpus(r#","reservations":[{"type":"DYNAMIC","role":"r"}]"#);
    assert_eq!(
        reserved.unwrap_err(),
        "'launch_container.resources' must be unreserved"
    );
    let revocable = cpus(r#","revocable":{}"#);
    assert_eq!(
        revocable.unwrap_err(),
        "'launch_container.resources' must be non-revocable"
    );
    let gpus = r#","resources":[{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}]"#;
    assert!(
        launch(gpus)
            .unwrap_err()
            .starts_with("Invalid GPU resources: ")
    );
    let shares = r#","container":{"type":"MESOS","linux_info":{"share_cgroups":true}}"#;
    assert!(
        launch(shares)
            .unwrap_err()
            .contains("cannot set 'share_cgroups' to 'true'")
    );
    assert_eq!(
        launch(&shares.replace("true", "false")),
        Ok(Type::LaunchContainer)
    );
}

#[test]
fn containers_in_nested_ones_get_nothing_of_their_own() {
    let launch = |more: &str| {
        let id = r#"{"value":"c","parent":{"value":"b","parent":{"value":"a"}}}"#;
        let value = format!(r#"{{"container_id":{id}{more}}}"#);
        check(&format!(
            r#"{{"type":"LAUNCH_CONTAINER","launch_container":{value}}}"#
        ))
    };
    assert_eq!(launch(""), Ok(Type::LaunchContainer));
    let resources = r#","resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]"#;
    assert!(
        launch(resources)
            .unwrap_err()
            .ends_with("cannot specify resources")
    );
    let limits = r#","limits":{"cpus":{"value":1}}"#;
    assert!(
        launch(limits)
            .unwrap_err()
            .ends_with("cannot specify resource limits")
    );
    let own = r#","container":{"type":"MESOS","linux_info":{"share_cgroups":false}}"#;
    assert!(
        launch(own)
            .unwrap_err()
            .ends_with("cannot set 'share_cgroups' to 'false'")
    );
}

#[test]
fn commands_and_ids_of_providers_are_checked() {
    let nested = r#"{"value":"b","parent":{"value":"a"}}"#;
    let command = r#"{"environment":{"variables":[{"name":"X","type":"VALUE"}]}}"#;
    for (kind, name) in [
        ("LAUNCH_NESTED_CONTAINER", "launch_nested_container"),
        (
            "LAUNCH_NESTED_CONTAINER_SESSION",
            "launch_nested_container_session",
        ),
        ("LAUNCH_CONTAINER", "launch_container"),
    ] {
        let why = refusal(&format!(
            r#"{{"type":"{kind}","{name}":{{"container_id":{nested},"command":{command}}}}}"#
        ));
        assert!(
            why.starts_with(&format!("'{name}.command' is invalid: ")),
            "{why}"
        );
    }
    let info = r#"{"type":"t","name":"n","id":{"value":"i"}}"#;
    for (kind, name) in [
        (
            "ADD_RESOURCE_PROVIDER_CONFIG",
            "add_resource_provider_config",
        ),
        (
            "UPDATE_RESOURCE_PROVIDER_CONFIG",
            "update_resource_provider_config",
        ),
    ] {
        let why = refusal(&format!(
            r#"{{"type":"{kind}","{name}":{{"info":{info}}}}}"#
        ));
        assert_eq!(why, format!("Expecting '{name}.info.id' to be unset"));
    }
}
