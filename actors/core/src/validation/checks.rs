//! Rules for a task's check and health check, and for the status of a check.
//! Runs no check.

use tepui_protocol::v1;
use tepui_protocol::v1::{CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck};
use tepui_protocol::v1::{check_info, health_check};

use super::container::validate_command;

/// Checks a health check; its type must have been filled in before (see `normalise`).
///
/// Mesos: `common::validation::validateHealthCheck`.
pub fn validate_health_check(check: &HealthCheck) -> Result<(), String> {
    use health_check::Type;
    let kind = check.r#type.and_then(|kind| Type::try_from(kind).ok());
    match kind.ok_or("HealthCheck must specify 'type'")? {
        Type::Command => {
            let command = check.command.as_ref();
            let command =
                command.ok_or("Expecting 'command' to be set for COMMAND health check")?;
            validate_check_command(command, "Command health check", "Health check's")?;
        }
        Type::Http => {
            let http = check.http.as_ref();
            let http = http.ok_or("Expecting 'http' to be set for HTTP health check")?;
            validate_health_http(http)?;
        }
        Type::Tcp if check.tcp.is_none() => {
            return Err("Expecting 'tcp' to be set for TCP health check".to_string());
        }
        Type::Tcp => {}
        Type::Unknown => return Err("'UNKNOWN' is not a valid health check type".to_string()),
    }
    non_negative(check.delay_seconds, "delay_seconds")?;
    non_negative(check.grace_period_seconds, "grace_period_seconds")?;
    non_negative(check.interval_seconds, "interval_seconds")?;
    non_negative(check.timeout_seconds, "timeout_seconds")
}

/// Checks a check.
///
/// Mesos: `common::validation::validateCheckInfo`.
pub fn validate_check(check: &CheckInfo) -> Result<(), String> {
    use check_info::Type;
    let kind = check.r#type.and_then(|kind| Type::try_from(kind).ok());
    match kind.ok_or("CheckInfo must specify 'type'")? {
        Type::Command => {
            let command = check.command.as_ref();
            let command = command.ok_or("Expecting 'command' to be set for COMMAND check")?;
            validate_check_command(&command.command, "Command check", "Check's")?;
        }
        Type::Http => {
            let http = check.http.as_ref();
            let http = http.ok_or("Expecting 'http' to be set for HTTP check")?;
            validate_path(http.path.as_deref(), "HTTP check")?;
        }
        Type::Tcp if check.tcp.is_none() => {
            return Err("Expecting 'tcp' to be set for TCP check".to_string());
        }
        Type::Tcp => {}
        Type::Unknown => return Err("'UNKNOWN' is not a valid check type".to_string()),
    }
    non_negative(check.delay_seconds, "delay_seconds")?;
    non_negative(check.interval_seconds, "interval_seconds")?;
    non_negative(check.timeout_seconds, "timeout_seconds")
}

/// Checks the status of a check that an executor reports.
///
/// Mesos: `common::validation::validateCheckStatusInfo`.
pub fn validate_status(status: &CheckStatusInfo) -> Result<(), String> {
    use check_info::Type;
    let kind = status.r#type.and_then(|kind| Type::try_from(kind).ok());
    let kind = kind.ok_or("CheckStatusInfo must specify 'type'")?;
    let (name, field, set) = match kind {
        Type::Command => ("COMMAND", "command", status.command.is_some()),
        Type::Http => ("HTTP", "http", status.http.is_some()),
        Type::Tcp => ("TCP", "tcp", status.tcp.is_some()),
        Type::Unknown => {
            return Err("'UNKNOWN' is not a valid check's status type".to_string());
        }
    };
    if set {
        return Ok(());
    }
    Err(format!(
        "Expecting '{field}' to be set for {name} check's status"
    ))
}

/// `kind` and `owner` are how the two sorts of check name themselves in Mesos's texts.
fn validate_check_command(command: &CommandInfo, kind: &str, owner: &str) -> Result<(), String> {
    if command.value.is_none() {
        let wanted = match command.shell() {
            true => "'shell command'",
            false => "'executable path'",
        };
        return Err(format!("{kind} must contain {wanted}"));
    }
    validate_command(command).map_err(|error| format!("{owner} `CommandInfo` is invalid: {error}"))
}

fn validate_health_http(http: &v1::health_check::HttpCheckInfo) -> Result<(), String> {
    if let Some(scheme) = &http.scheme
        && scheme != "http"
        && scheme != "https"
    {
        return Err(format!("Unsupported HTTP health check scheme: '{scheme}'"));
    }
    validate_path(http.path.as_deref(), "HTTP health check")
}

fn validate_path(path: Option<&str>, kind: &str) -> Result<(), String> {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(format!("The path '{path}' of {kind} must start with '/'"))
        }
        _ => Ok(()),
    }
}

/// A number that is none passes in Mesos and then breaks its timers; it is refused here.
fn non_negative(seconds: Option<f64>, name: &str) -> Result<(), String> {
    match seconds {
        Some(seconds) if seconds < 0.0 || seconds.is_nan() => {
            Err(format!("Expecting '{name}' to be non-negative"))
        }
        _ => Ok(()),
    }
}
