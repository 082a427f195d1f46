//! Checks that the executor carries out: at most one health check and one plain check.
//! HTTP, HTTPS and TCP health checks are Marathon's own and go nowhere near a task.

use tepui_protocol::marathon::{Command, HealthCheck, HealthProtocol, IpProtocol};
use tepui_protocol::v1;
use v1::check_info;
use v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};

use super::Launch;

/// The first of the app's health checks that the executor carries out and that has a port where
/// it needs one. Mesos knows one for each task. Marathon.
pub(super) fn health_check(launch: &Launch<'_>) -> Option<v1::HealthCheck> {
    let mut checks = launch.app.health_checks.iter();
    checks.find_map(|check| {
        let mut sent = v1::HealthCheck {
            delay_seconds: Some(check.delay_seconds as f64),
            interval_seconds: Some(check.interval_seconds as f64),
            timeout_seconds: Some(check.timeout_seconds as f64),
            consecutive_failures: Some(failures(check.max_consecutive_failures)),
            grace_period_seconds: Some(check.grace_period_seconds as f64),
            ..Default::default()
        };
        let port = || port(launch, check.port, check.port_index);
        match check.protocol {
            HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Tcp => return None,
            HealthProtocol::Command => {
                let line = check.command.as_ref()?.value.clone();
                sent.r#type = Some(Type::Command as i32);
                sent.command = Some(shell(line));
            }
            HealthProtocol::MesosTcp => {
                sent.r#type = Some(Type::Tcp as i32);
                sent.tcp = Some(TcpCheckInfo {
                    port: port()?,
                    protocol: Some(family(check.ip_protocol)),
                });
            }
            HealthProtocol::MesosHttp => {
                sent.r#type = Some(Type::Http as i32);
                sent.http = Some(http(check, "http", port()?));
            }
            HealthProtocol::MesosHttps => {
                sent.r#type = Some(Type::Http as i32);
                sent.http = Some(http(check, "https", port()?));
            }
        }
        Some(sent)
    })
}

/// The app's plain check, whose result is only shown.
pub(super) fn check(launch: &Launch<'_>) -> Option<v1::CheckInfo> {
    let check = launch.app.check.as_ref()?;
    let mut sent = v1::CheckInfo {
        delay_seconds: Some(check.delay_seconds as f64),
        interval_seconds: Some(check.interval_seconds as f64),
        timeout_seconds: Some(check.timeout_seconds as f64),
        ..Default::default()
    };
    if let Some(http) = &check.http {
        sent.r#type = Some(check_info::Type::Http as i32);
        sent.http = Some(check_info::Http {
            port: port(launch, http.port, http.port_index)?,
            path: http.path.clone(),
        });
    } else if let Some(tcp) = &check.tcp {
        sent.r#type = Some(check_info::Type::Tcp as i32);
        sent.tcp = Some(check_info::Tcp {
            port: port(launch, tcp.port, tcp.port_index)?,
        });
    } else {
        let command = match &check.exec.as_ref()?.command {
            Command::Shell(line) => shell(line.clone()),
            Command::Argv(argv) => v1::CommandInfo {
                value: argv.first().cloned(),
                shell: Some(false),
                arguments: argv.clone(),
                ..Default::default()
            },
        };
        sent.r#type = Some(check_info::Type::Command as i32);
        sent.command = Some(check_info::Command { command });
    }
    Some(sent)
}

/// Where the task itself listens: checks run inside its container. Without a port or an index the
/// first one is meant.
fn port(launch: &Launch<'_>, port: Option<u16>, index: Option<u16>) -> Option<u32> {
    let port = port.or_else(|| {
        let index = usize::from(index.unwrap_or(0));
        launch.matched.ports.get(index)?.inside()
    })?;
    Some(u32::from(port))
}

fn http(check: &HealthCheck, scheme: &str, port: u32) -> HttpCheckInfo {
    HttpCheckInfo {
        port,
        path: check.path.clone(),
        scheme: Some(scheme.to_owned()),
        statuses: Vec::new(),
        protocol: Some(family(check.ip_protocol)),
    }
}

fn family(protocol: IpProtocol) -> i32 {
    match protocol {
        IpProtocol::IPv4 => v1::network_info::Protocol::IPv4 as i32,
        IpProtocol::IPv6 => v1::network_info::Protocol::IPv6 as i32,
    }
}

fn shell(line: String) -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some(line),
        shell: Some(true),
        ..Default::default()
    }
}

fn failures(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}
