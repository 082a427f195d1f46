//! What service discovery learns of a task: its name and its ports.
//! Does not allocate ports.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{NetworkMode, PortMapping, Protocol};
use tepui_protocol::v1;
use v1::discovery_info::Visibility;

use crate::marathon::ports::{AssignedPort, is_on_host_network};

use super::{Launch, labels};

/// The label that says where a port is reachable. Marathon.
const SCOPE: &str = "network-scope";

/// The label with the network of a port that is not mapped to the host. Marathon.
const NETWORK: &str = "network-name";

/// Name and ports of a task.
pub(super) fn discovery_info(launch: &Launch<'_>) -> v1::DiscoveryInfo {
    v1::DiscoveryInfo {
        visibility: Visibility::Framework as i32,
        name: Some(launch.app.id.reversed_dotted()),
        ports: Some(v1::Ports {
            ports: match is_on_host_network(launch.app) {
                true => defined_ports(launch),
                false => mapped_ports(launch),
            },
        }),
        ..Default::default()
    }
}

/// The names of the protocols of a port, one by one.
pub(super) fn protocols(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &["tcp"],
        Protocol::Udp => &["udp"],
        Protocol::Both => &["udp", "tcp"],
    }
}

fn defined_ports(launch: &Launch<'_>) -> Vec<v1::Port> {
    let definitions = launch.app.port_definitions.iter().flatten();
    definitions
        .zip(&launch.matched.ports)
        .flat_map(|(definition, port)| {
            let number = port.host.unwrap_or(port.variable);
            let name = definition.name.as_deref();
            entries(number, name, definition.protocol, &definition.labels)
        })
        .collect()
}

fn mapped_ports(launch: &Launch<'_>) -> Vec<v1::Port> {
    let container = launch.app.container.iter();
    let mappings = container.flat_map(|container| container.port_mappings.iter().flatten());
    mappings
        .zip(&launch.matched.ports)
        .flat_map(|(mapping, port)| mapped_port(launch, mapping, port))
        .collect()
}

/// A port on the host is announced there; one that is not, on each of its networks.
fn mapped_port(launch: &Launch<'_>, mapping: &PortMapping, port: &AssignedPort) -> Vec<v1::Port> {
    let name = mapping.name.as_deref();
    let with = |more: &[(&str, &str)]| {
        let mut labels = mapping.labels.clone();
        for (key, value) in more {
            labels.insert((*key).to_owned(), (*value).to_owned());
        }
        labels
    };
    if let Some(host) = port.host {
        return entries(host, name, mapping.protocol, &with(&[(SCOPE, "host")]));
    }
    let number = port.container.unwrap_or(port.variable);
    let entries = |more: &[(&str, &str)]| entries(number, name, mapping.protocol, &with(more));
    let networks = networks_of(launch, mapping);
    if networks.is_empty() {
        return entries(&[(SCOPE, "container")]);
    }
    let each = networks.into_iter();
    each.flat_map(|network| entries(&[(SCOPE, "container"), (NETWORK, network)]))
        .collect()
}

/// Names of the container networks that a mapping is for.
fn networks_of<'a>(launch: &Launch<'a>, mapping: &PortMapping) -> Vec<&'a str> {
    let networks = launch.app.networks.iter();
    let networks = networks.filter(|network| network.mode == NetworkMode::Container);
    networks
        .filter_map(|network| network.name.as_deref())
        .filter(|name| {
            let mut names = mapping.network_names.iter();
            mapping.network_names.is_empty() || names.any(|own| own == name)
        })
        .collect()
}

fn entries(
    number: u16,
    name: Option<&str>,
    protocol: Protocol,
    of_port: &BTreeMap<String, String>,
) -> Vec<v1::Port> {
    let entry = |protocol: &&str| v1::Port {
        number: u32::from(number),
        name: name.map(str::to_owned),
        protocol: Some((*protocol).to_owned()),
        visibility: Some(Visibility::Framework as i32),
        labels: labels(of_port),
    };
    protocols(protocol).iter().map(entry).collect()
}
