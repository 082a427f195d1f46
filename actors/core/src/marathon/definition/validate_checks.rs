//! Rules for the health checks, readiness checks and checks of an app.
//! Knows the app's ports only by number and name.

use tepui_protocol::marathon::{
    App, AppCheck, ContainerType, HealthCheck, HealthProtocol, IpProtocol,
};

use super::rejection::Findings;

const PORT_INDEX: &str = "Health check port indices must address an element of the ports array or container port mappings.";
const IPV6: &str =
    "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks";

/// Notes what is wrong with the checks of an app.
pub(crate) fn check_checks(app: &App, findings: &mut Findings) {
    for (index, check) in app.health_checks.iter().enumerate() {
        check_health(app, check, &format!("/healthChecks({index})"), findings);
    }
    let mesos = app
        .health_checks
        .iter()
        .filter(|check| is_mesos(check.protocol));
    let text = "AppDefinition can contain at most one Mesos health check";
    findings.check(mesos.count() <= 1, "", text);
    check_readiness(app, findings);
    if let Some(check) = &app.check {
        check_check(app, check, findings);
    }
}

/// Names of the app's ports by index, whether they stand in definitions or in mappings.
fn port_names(app: &App) -> Vec<Option<&str>> {
    let mappings = app
        .container
        .as_ref()
        .and_then(|container| container.port_mappings.as_ref());
    match mappings {
        Some(mappings) => mappings.iter().map(|m| m.name.as_deref()).collect(),
        None => {
            let definitions = app.port_definitions.iter().flatten();
            definitions.map(|d| d.name.as_deref()).collect()
        }
    }
}

fn is_mesos(protocol: HealthProtocol) -> bool {
    match protocol {
        HealthProtocol::MesosHttp | HealthProtocol::MesosHttps | HealthProtocol::MesosTcp => true,
        HealthProtocol::Http
        | HealthProtocol::Https
        | HealthProtocol::Tcp
        | HealthProtocol::Command => false,
    }
}

fn check_health(app: &App, check: &HealthCheck, path: &str, findings: &mut Findings) {
    let command = check.protocol != HealthProtocol::Command || check.command.is_some();
    findings.check(command, &format!("{path}/command"), "not defined");
    if !check.protocol.is_of_executor() {
        let count = port_names(app).len();
        let fine = match check.port_index {
            Some(index) => usize::from(index) < count,
            None => check.port.is_some() || count == 1,
        };
        findings.check(fine, path, PORT_INDEX);
    }
    if check.ip_protocol == IpProtocol::IPv6 {
        let kind = app.container.as_ref().map(|container| container.kind);
        let fine = kind == Some(ContainerType::Docker) && is_mesos(check.protocol);
        findings.check(fine, path, IPV6);
    }
}

fn check_readiness(app: &App, findings: &mut Findings) {
    let text = "at most one readiness check is supported";
    findings.check(app.readiness_checks.len() <= 1, "/readinessChecks", text);
    let names = port_names(app);
    for (index, check) in app.readiness_checks.iter().enumerate() {
        let path = format!("/readinessChecks({index})");
        let known = names.contains(&Some(check.port_name.as_str()));
        let text = format!(
            "No port definition reference for portName {}",
            check.port_name
        );
        findings.check(known, &format!("{path}/portName"), text);
        let (timeout, interval) = (check.timeout_seconds, check.interval_seconds);
        let text = format!("got {timeout}, expected less than {interval}");
        findings.check(timeout < interval, &format!("{path}/timeoutSeconds"), text);
    }
}

fn check_check(app: &App, check: &AppCheck, findings: &mut Findings) {
    let kinds = [
        check.http.is_some(),
        check.tcp.is_some(),
        check.exec.is_some(),
    ];
    let one = kinds.into_iter().filter(|given| *given).count() == 1;
    let text = "Only one of http, tcp, or command may be specified";
    findings.check(one, "/check", text);
    let http = check.http.as_ref().and_then(|http| http.port_index);
    let tcp = check.tcp.as_ref().and_then(|tcp| tcp.port_index);
    for index in http.into_iter().chain(tcp) {
        let fine = usize::from(index) < port_names(app).len();
        findings.check(fine, "/check", PORT_INDEX);
    }
}
