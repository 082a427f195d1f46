//! Health checks, readiness checks and plain checks of apps.
//! How they are carried out is not said here.

use serde::{Deserialize, Serialize};

/// Says whether an instance is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Of COMMAND checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// Failures before the first success do not count so long, seconds.
    pub grace_period_seconds: i64,
    /// A status below 200 counts neither way; HTTP and HTTPS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_http1xx: Option<bool>,
    /// Between two probes, seconds.
    pub interval_seconds: i64,
    /// The instance is killed after more than so many; 0 means never.
    pub max_consecutive_failures: i64,
    /// Path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A fixed port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u16>,
    /// How it probes, and who does.
    pub protocol: HealthProtocol,
    /// Address family.
    #[serde(default)]
    pub ip_protocol: IpProtocol,
    /// A probe that takes longer has failed, seconds.
    pub timeout_seconds: i64,
    /// Before the first probe, seconds.
    pub delay_seconds: i64,
}

/// How a health check probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthProtocol {
    /// By Marathon.
    Http,
    /// By Marathon.
    Https,
    /// By Marathon.
    Tcp,
    /// By the executor.
    Command,
    /// By the executor.
    MesosTcp,
    /// By the executor.
    MesosHttp,
    /// By the executor.
    MesosHttps,
}

impl HealthProtocol {
    /// Whether the executor probes, not Marathon.
    pub fn is_of_executor(self) -> bool {
        match self {
            HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Tcp => false,
            HealthProtocol::Command
            | HealthProtocol::MesosTcp
            | HealthProtocol::MesosHttp
            | HealthProtocol::MesosHttps => true,
        }
    }
}

/// A shell command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// Given to the shell.
    pub value: String,
}

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IpProtocol {
    /// Version 4.
    #[default]
    IPv4,
    /// Version 6.
    IPv6,
}

/// Says whether a new instance may take work, during deployments only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// Its name in results.
    pub name: String,
    /// Plain or with TLS.
    pub protocol: HttpScheme,
    /// Path of the request.
    pub path: String,
    /// Name of the app's port.
    pub port_name: String,
    /// Between two probes, seconds.
    pub interval_seconds: i64,
    /// A probe that takes longer has failed, seconds.
    pub timeout_seconds: i64,
    /// Any of these says ready.
    pub http_status_codes_for_ready: Vec<i32>,
    /// Keep the last answer in the deployment.
    pub preserve_last_response: bool,
}

/// Plain or with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpScheme {
    /// Plain.
    #[default]
    Http,
    /// With TLS.
    Https,
}

/// A check of an app whose result is only shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppCheck {
    /// By a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<AppHttpCheck>,
    /// By connecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<AppTcpCheck>,
    /// By a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<CommandCheck>,
    /// Between two probes, seconds.
    pub interval_seconds: i64,
    /// A probe that takes longer has failed, seconds.
    pub timeout_seconds: i64,
    /// Before the first probe, seconds.
    pub delay_seconds: i64,
}

/// A check by a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppHttpCheck {
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u16>,
    /// A fixed port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Plain or with TLS.
    pub scheme: HttpScheme,
}

/// A check by connecting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppTcpCheck {
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u16>,
    /// A fixed port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A check by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCheck {
    /// Succeeds with status 0.
    pub command: Command,
}

/// A command, with a shell or without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Given to the shell.
    Shell(String),
    /// Run as it is.
    Argv(Vec<String>),
}
