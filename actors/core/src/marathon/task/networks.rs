//! How a task's container is connected, in the terms of Docker Engine and of Mesos.
//! Which host ports it has was decided before.

use tepui_protocol::marathon::{App, ContainerType, Network, NetworkMode, PortMapping};
use tepui_protocol::v1;
use v1::container_info::docker_info;

use crate::marathon::ports::AssignedPort;

use super::discovery::protocols;
use super::{Launch, labels};

/// The network of a DOCKER container: that of the app's first network.
pub(super) fn docker_network(app: &App) -> docker_info::Network {
    match app.networks.first().map(|network| network.mode) {
        None | Some(NetworkMode::Host) => docker_info::Network::Host,
        Some(NetworkMode::Bridge) => docker_info::Network::Bridge,
        Some(NetworkMode::Container) => docker_info::Network::User,
    }
}

/// Ports of a DOCKER container that are mapped to the host, one entry for each protocol.
pub(super) fn docker_port_mappings(launch: &Launch<'_>) -> Vec<docker_info::PortMapping> {
    let mapped = mapped(launch, |_| true);
    let mapping =
        |(host_port, container_port, protocol): (u32, u32, &str)| docker_info::PortMapping {
            host_port,
            container_port,
            protocol: Some(protocol.to_owned()),
        };
    mapped.into_iter().map(mapping).collect()
}

/// The networks a container joins. Docker Engine is told of its host network and its bridge
/// otherwise, and has all port mappings; with Mesos they belong to the networks.
pub(super) fn network_infos(launch: &Launch<'_>, kind: ContainerType) -> Vec<v1::NetworkInfo> {
    let networks = launch.app.networks.iter();
    networks
        .filter_map(|network| {
            let is_docker = kind == ContainerType::Docker;
            let name = match network.mode {
                NetworkMode::Host => return None,
                NetworkMode::Bridge if is_docker => return None,
                NetworkMode::Bridge => Some(launch.settings.mesos_bridge_name.clone()),
                NetworkMode::Container => network.name.clone(),
            };
            Some(v1::NetworkInfo {
                name,
                labels: labels(&network.labels),
                port_mappings: match is_docker {
                    true => Vec::new(),
                    false => mesos_port_mappings(launch, network),
                },
                ..Default::default()
            })
        })
        .collect()
}

fn mesos_port_mappings(
    launch: &Launch<'_>,
    network: &Network,
) -> Vec<v1::network_info::PortMapping> {
    // Mappings name container networks; a bridge has no name they could give.
    let is_for = |mapping: &PortMapping| {
        let mut names = mapping.network_names.iter();
        network.mode == NetworkMode::Bridge
            || mapping.network_names.is_empty()
            || names.any(|name| Some(name) == network.name.as_ref())
    };
    let mapping =
        |(host_port, container_port, protocol): (u32, u32, &str)| v1::network_info::PortMapping {
            host_port,
            container_port,
            protocol: Some(protocol.to_owned()),
        };
    mapped(launch, is_for).into_iter().map(mapping).collect()
}

/// Host port, container port and protocol of the chosen mappings that have a host port.
fn mapped(
    launch: &Launch<'_>,
    chosen: impl Fn(&PortMapping) -> bool,
) -> Vec<(u32, u32, &'static str)> {
    let container = launch.app.container.iter();
    let mappings = container.flat_map(|container| container.port_mappings.iter().flatten());
    let pairs = mappings.zip(&launch.matched.ports);
    let numbers = |port: &AssignedPort| Some((port.host?.into(), port.container?.into()));
    pairs
        .filter(|(mapping, _)| chosen(mapping))
        .filter_map(|(mapping, port)| Some((mapping, numbers(port)?)))
        .flat_map(|(mapping, (host, container))| {
            let protocols = protocols(mapping.protocol).iter();
            protocols.map(move |protocol| (host, container, *protocol))
        })
        .collect()
}
