//! Where and how Marathon itself probes an instance, by its checks and its readiness checks.
//! Probes nothing; what a result means is decided by the engine.

use std::time::Duration;

use tepui_protocol::marathon::{
    App, HealthCheck, HealthProtocol, HttpScheme, NetworkMode, PortMapping,
};

use super::instance::Instance;

/// What is asked of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A page by HTTP.
    Http {
        /// With TLS.
        tls: bool,
        /// The path, perhaps with a query.
        path: String,
        /// A status below 200 says nothing.
        ignore_1xx: bool,
    },
    /// A connection.
    Tcp,
}

/// One check of one instance, ready to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// What is asked.
    pub kind: ProbeKind,
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Time from one probe to the next.
    pub interval: Duration,
    /// Time for one probe.
    pub timeout: Duration,
}

/// The probes of an instance's health that Marathon makes itself, by the place of the check in the
/// app. Checks whose port the instance does not have are left out.
pub fn health_probes(app: &App, instance: &Instance) -> Vec<(usize, ProbePlan)> {
    let checks = app.health_checks.iter().enumerate();
    let probe = |(index, check): (usize, &HealthCheck)| {
        let tls = check.protocol == HealthProtocol::Https;
        let kind = match check.protocol {
            HealthProtocol::Http | HealthProtocol::Https => ProbeKind::Http {
                tls,
                path: check.path.clone().unwrap_or_else(|| "/".to_owned()),
                ignore_1xx: check.ignore_http1xx.unwrap_or(false),
            },
            HealthProtocol::Tcp => ProbeKind::Tcp,
            HealthProtocol::Command
            | HealthProtocol::MesosTcp
            | HealthProtocol::MesosHttp
            | HealthProtocol::MesosHttps => return None,
        };
        let (host, port) = match check.port {
            Some(port) => fixed(app, instance, port)?,
            None => address(app, instance, usize::from(check.port_index.unwrap_or(0)))?,
        };
        let plan = ProbePlan {
            kind,
            host,
            port,
            interval: seconds(check.interval_seconds),
            timeout: seconds(check.timeout_seconds),
        };
        Some((index, plan))
    };
    checks.filter_map(probe).collect()
}

/// The probe of an instance's readiness; none for apps that do not ask, or whose port it lacks.
pub fn readiness_probe(app: &App, instance: &Instance) -> Option<ProbePlan> {
    let check = app.readiness_checks.first()?;
    let (host, port) = address(app, instance, port_named(app, &check.port_name)?)?;
    Some(ProbePlan {
        kind: ProbeKind::Http {
            tls: check.protocol == HttpScheme::Https,
            path: check.path.clone(),
            ignore_1xx: false,
        },
        host,
        port,
        interval: seconds(check.interval_seconds),
        timeout: seconds(check.timeout_seconds),
    })
}

/// The port mappings of an app that is not on the host's network.
fn mappings(app: &App) -> Option<&[PortMapping]> {
    let is_host = app.networks.iter().any(|it| it.mode == NetworkMode::Host);
    if is_host || app.networks.is_empty() {
        return None;
    }
    let container = app.container.as_ref();
    let mappings = container.and_then(|container| container.port_mappings.as_deref());
    Some(mappings.unwrap_or_default())
}

fn port_named(app: &App, name: &str) -> Option<usize> {
    let is_named = |given: &Option<String>| given.as_deref() == Some(name);
    match mappings(app) {
        Some(mappings) => mappings.iter().position(|it| is_named(&it.name)),
        None => {
            let definitions = app.port_definitions.as_deref().unwrap_or_default();
            definitions.iter().position(|it| is_named(&it.name))
        }
    }
}

/// Where the port at `index` of an app is reached: on the agent's host if it has a port there, else
/// at the container's own address.
fn address(app: &App, instance: &Instance, index: usize) -> Option<(String, u16)> {
    let on_host = |place: usize| {
        let port = instance.host_ports.get(place).copied()?;
        Some((instance.place.host.clone(), port))
    };
    let Some(mappings) = mappings(app) else {
        return on_host(index);
    };
    let mapping = mappings.get(index)?;
    if mapping.host_port.is_some() {
        // Only mapped ports are among the instance's.
        let before = mappings.iter().take(index);
        return on_host(before.filter(|it| it.host_port.is_some()).count());
    }
    let port = Some(mapping.container_port).filter(|port| *port != 0)?;
    Some((own_address(instance)?, port))
}

/// Where a port with a number of its own is reached: at the container's own address on a container
/// network, else on the agent's host. Marathon.
fn fixed(app: &App, instance: &Instance, port: u16) -> Option<(String, u16)> {
    let mut networks = app.networks.iter();
    match networks.any(|it| it.mode == NetworkMode::Container) {
        true => Some((own_address(instance)?, port)),
        false => Some((instance.place.host.clone(), port)),
    }
}

fn own_address(instance: &Instance) -> Option<String> {
    let first = instance.ip_addresses.first()?;
    Some(first.ip_address.clone())
}

fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tepui_protocol::marathon::{IpProtocol, PathId, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::marathon::definition::Settings;
    use crate::marathon::group::RootGroup;
    use crate::marathon::ids::InstanceId;
    use crate::marathon::instance::{Condition, Goal, IpAddress};
    use crate::marathon::place::Place;

    fn app(body: serde_json::Value) -> App {
        let root = RootGroup::empty(Timestamp::from_millis(0));
        let version = Timestamp::from_millis(1);
        let changed = root.create_app(&body, &Settings::default(), version);
        changed.expect("an app").app
    }

    fn instance(ports: &[u16], address: Option<&str>) -> Instance {
        let app = PathId::new("/a");
        let address = address.map(|text| IpAddress {
            ip_address: text.to_owned(),
            protocol: IpProtocol::IPv4,
        });
        Instance {
            id: InstanceId::new(&app, Uuid::from_u128(1)),
            app,
            version: Timestamp::from_millis(1),
            place: Place {
                host: "h".into(),
                ..Place::default()
            },
            condition: Condition::Running,
            goal: Goal::Running,
            since: Timestamp::from_millis(1),
            active_since: None,
            incarnation: 1,
            staged_at: None,
            started_at: None,
            mesos_state: None,
            host_ports: ports.to_vec(),
            ip_addresses: address.into_iter().collect(),
            unreachable_since: None,
            health: Vec::new(),
        }
    }

    fn places(app: &App, instance: &Instance) -> Vec<(usize, String, u16)> {
        let probes = health_probes(app, instance).into_iter();
        probes
            .map(|(at, plan)| (at, plan.host, plan.port))
            .collect()
    }

    #[test]
    fn ports_of_the_host_are_found_by_their_index_or_number() {
        let app = app(json!({
            "id": "/a", "cmd": "run",
            "portDefinitions": [{"port": 0, "name": "x"}, {"port": 0, "name": "y"}],
            "healthChecks": [
                {"protocol": "HTTP", "portIndex": 1, "path": "/ok", "ignoreHttp1xx": true,
                 "intervalSeconds": 7, "timeoutSeconds": 3},
                {"protocol": "MESOS_TCP", "portIndex": 0},
                {"protocol": "TCP", "port": 99},
            ],
            "readinessChecks": [{"portName": "y", "protocol": "HTTPS", "path": "/r"}],
        }));
        let instance = instance(&[31000, 31001], None);
        let expected = [(0, "h".to_owned(), 31001), (2, "h".to_owned(), 99)];
        assert_eq!(places(&app, &instance), expected);
        let probes = health_probes(&app, &instance);
        let http = ProbeKind::Http {
            tls: false,
            path: "/ok".into(),
            ignore_1xx: true,
        };
        assert_eq!(probes[0].1.kind, http);
        assert_eq!(probes[0].1.interval, Duration::from_secs(7));
        assert_eq!(probes[0].1.timeout, Duration::from_secs(3));
        assert_eq!(probes[1].1.kind, ProbeKind::Tcp);
        let ready = readiness_probe(&app, &instance).expect("a probe");
        assert_eq!(
            (ready.port, ready.interval),
            (31001, Duration::from_secs(30))
        );
        let tls = matches!(ready.kind, ProbeKind::Http { tls: true, ref path, .. } if path == "/r");
        assert!(tls, "{ready:?}");
    }

    #[test]
    fn ports_without_one_on_the_host_are_reached_at_the_containers_address() {
        let app = app(json!({
            "id": "/a", "cmd": "run",
            "networks": [{"mode": "container", "name": "net"}],
            "container": {"type": "MESOS", "portMappings": [
                {"containerPort": 80}, {"containerPort": 81, "hostPort": 0}, {"containerPort": 0},
            ]},
            "healthChecks": [
                {"protocol": "TCP", "portIndex": 0}, {"protocol": "TCP", "portIndex": 1},
                {"protocol": "TCP", "portIndex": 2}, {"protocol": "TCP", "port": 5},
            ],
        }));
        let known = instance(&[31000], Some("10.1.1.1"));
        let own = "10.1.1.1".to_owned();
        let expected = [
            (0, own.clone(), 80),
            (1, "h".to_owned(), 31000),
            (3, own, 5),
        ];
        assert_eq!(places(&app, &known), expected);
        // Its address is not known yet.
        let new = instance(&[31000], None);
        assert_eq!(places(&app, &new), [(1, "h".to_owned(), 31000)]);
        assert_eq!(readiness_probe(&app, &new), None);
    }
}
