//! Checks, health checks and statuses of checks.

use tepui_protocol::v1;

use super::fixtures::command;
use crate::validation::checks::{validate_check, validate_health_check, validate_status};

fn health(kind: v1::health_check::Type) -> v1::HealthCheck {
    v1::HealthCheck {
        r#type: Some(kind as i32),
        command: Some(command()),
        http: Some(Default::default()),
        tcp: Some(Default::default()),
        ..Default::default()
    }
}

fn check(kind: v1::check_info::Type) -> v1::CheckInfo {
    v1::CheckInfo {
        r#type: Some(kind as i32),
        command: Some(v1::check_info::Command { command: command() }),
        http: Some(Default::default()),
        tcp: Some(Default::default()),
        ..Default::default()
    }
}

/// An environment no command may have.
fn bad_environment() -> v1::Environment {
    v1::Environment {
        variables: vec![v1::environment::Variable {
            name: "A".to_string(),
            ..Default::default()
        }],
    }
}

const BAD_VARIABLE: &str = "Environment variable 'A' of type 'VALUE' must have a value set";

#[test]
fn health_checks_need_a_type_and_its_payload() {
    use v1::health_check::Type;
    let text = Err("HealthCheck must specify 'type'".to_string());
    for kind in [None, Some(99)] {
        let check = v1::HealthCheck {
            r#type: kind,
            ..health(Type::Tcp)
        };
        assert_eq!(validate_health_check(&check), text);
    }
    let cases = [
        (
            Type::Command,
            "Expecting 'command' to be set for COMMAND health check",
        ),
        (
            Type::Http,
            "Expecting 'http' to be set for HTTP health check",
        ),
        (Type::Tcp, "Expecting 'tcp' to be set for TCP health check"),
        (Type::Unknown, "'UNKNOWN' is not a valid health check type"),
    ];
    for (kind, text) in cases {
        if kind != Type::Unknown {
            assert_eq!(validate_health_check(&health(kind)), Ok(()));
        }
        let empty = v1::HealthCheck {
            r#type: Some(kind as i32),
            ..Default::default()
        };
        assert_eq!(validate_health_check(&empty), Err(text.to_string()));
    }
}

#[test]
fn health_check_commands_name_what_to_run() {
    let with = |command: v1::CommandInfo| v1::HealthCheck {
        command: Some(command),
        ..health(v1::health_check::Type::Command)
    };
    let cases = [
        (
            v1::CommandInfo::default(),
            "Command health check must contain 'shell command'".to_string(),
        ),
        (
            v1::CommandInfo {
                shell: Some(false),
                ..Default::default()
            },
            "Command health check must contain 'executable path'".to_string(),
        ),
        (
            v1::CommandInfo {
                environment: Some(bad_environment()),
                ..command()
            },
            format!("Health check's `CommandInfo` is invalid: {BAD_VARIABLE}"),
        ),
    ];
    for (command, text) in cases {
        assert_eq!(validate_health_check(&with(command)), Err(text));
    }
}

#[test]
fn health_checks_over_http_have_a_scheme_and_an_absolute_path() {
    let with = |scheme: Option<&str>, path: Option<&str>| v1::HealthCheck {
        http: Some(v1::health_check::HttpCheckInfo {
            scheme: scheme.map(str::to_string),
            path: path.map(str::to_string),
            ..Default::default()
        }),
        ..health(v1::health_check::Type::Http)
    };
    let cases = [
        (Some("http"), Some("/"), Ok(())),
        (Some("https"), None, Ok(())),
        (
            Some("ftp"),
            None,
            Err("Unsupported HTTP health check scheme: 'ftp'"),
        ),
        (
            None,
            Some("nopath"),
            Err("The path 'nopath' of HTTP health check must start with '/'"),
        ),
    ];
    for (scheme, path, wanted) in cases {
        let result = validate_health_check(&with(scheme, path));
        assert_eq!(result, wanted.map_err(str::to_string));
    }
}

#[test]
fn health_check_times_are_not_negative() {
    let names = [
        "delay_seconds",
        "grace_period_seconds",
        "interval_seconds",
        "timeout_seconds",
    ];
    for (index, name) in names.into_iter().enumerate() {
        for (seconds, refused) in [(-0.1, true), (f64::NAN, true), (0.0, false), (5.0, false)] {
            let mut check = health(v1::health_check::Type::Tcp);
            let fields = [
                &mut check.delay_seconds,
                &mut check.grace_period_seconds,
                &mut check.interval_seconds,
                &mut check.timeout_seconds,
            ];
            *fields.into_iter().nth(index).unwrap() = Some(seconds);
            let text = format!("Expecting '{name}' to be non-negative");
            let wanted = if refused { Err(text) } else { Ok(()) };
            assert_eq!(validate_health_check(&check), wanted, "{seconds}");
        }
    }
}

#[test]
fn checks_need_a_type_and_its_payload() {
    use v1::check_info::Type;
    let untyped = v1::CheckInfo::default();
    assert_eq!(
        validate_check(&untyped),
        Err("CheckInfo must specify 'type'".to_string())
    );
    let cases = [
        (
            Type::Command,
            "Expecting 'command' to be set for COMMAND check",
        ),
        (Type::Http, "Expecting 'http' to be set for HTTP check"),
        (Type::Tcp, "Expecting 'tcp' to be set for TCP check"),
        (Type::Unknown, "'UNKNOWN' is not a valid check type"),
    ];
    for (kind, text) in cases {
        if kind != Type::Unknown {
            assert_eq!(validate_check(&check(kind)), Ok(()));
        }
        let empty = v1::CheckInfo {
            r#type: Some(kind as i32),
            ..Default::default()
        };
        assert_eq!(validate_check(&empty), Err(text.to_string()));
    }
}

#[test]
fn check_payloads_are_complete() {
    let with = |command: v1::CommandInfo| v1::CheckInfo {
        command: Some(v1::check_info::Command { command }),
        ..check(v1::check_info::Type::Command)
    };
    assert_eq!(
        validate_check(&with(v1::CommandInfo::default())),
        Err("Command check must contain 'shell command'".to_string())
    );
    let environment = Some(bad_environment());
    assert_eq!(
        validate_check(&with(v1::CommandInfo {
            environment,
            ..command()
        })),
        Err(format!("Check's `CommandInfo` is invalid: {BAD_VARIABLE}"))
    );
    let mut http = check(v1::check_info::Type::Http);
    http.http.as_mut().unwrap().path = Some("x".to_string());
    assert_eq!(
        validate_check(&http),
        Err("The path 'x' of HTTP check must start with '/'".to_string())
    );
    let late = v1::CheckInfo {
        delay_seconds: Some(-1.0),
        ..check(v1::check_info::Type::Tcp)
    };
    assert_eq!(
        validate_check(&late),
        Err("Expecting 'delay_seconds' to be non-negative".to_string())
    );
    let busy = v1::CheckInfo {
        interval_seconds: Some(-1.0),
        ..check(v1::check_info::Type::Tcp)
    };
    assert_eq!(
        validate_check(&busy),
        Err("Expecting 'interval_seconds' to be non-negative".to_string())
    );
    let hasty = v1::CheckInfo {
        timeout_seconds: Some(-1.0),
        ..check(v1::check_info::Type::Tcp)
    };
    assert_eq!(
        validate_check(&hasty),
        Err("Expecting 'timeout_seconds' to be non-negative".to_string())
    );
}

#[test]
fn a_checks_status_matches_its_type() {
    use v1::check_info::Type;
    let cases = [
        (
            Type::Command,
            "Expecting 'command' to be set for COMMAND check's status",
        ),
        (
            Type::Http,
            "Expecting 'http' to be set for HTTP check's status",
        ),
        (
            Type::Tcp,
            "Expecting 'tcp' to be set for TCP check's status",
        ),
        (
            Type::Unknown,
            "'UNKNOWN' is not a valid check's status type",
        ),
    ];
    for (kind, text) in cases {
        let empty = v1::CheckStatusInfo {
            r#type: Some(kind as i32),
            ..Default::default()
        };
        assert_eq!(validate_status(&empty), Err(text.to_string()));
        let full = v1::CheckStatusInfo {
            r#type: Some(kind as i32),
            command: Some(Default::default()),
            http: Some(Default::default()),
            tcp: Some(Default::default()),
        };
        assert_eq!(validate_status(&full).is_ok(), kind != Type::Unknown);
    }
}
