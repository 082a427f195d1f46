//! Rewrites the old members of an app body to the new ones they stand for.
//! Fills in no default that is not part of such a rewrite.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{
    Artifact, ContainerType, Network, NetworkMode, PortDefinition, PortMapping, Protocol,
};

use super::body::{AppBody, ContainerBody, DockerNetwork, IpAddress};
use super::rejection::Rejection;
use super::settings::Settings;

/// Endings of files that the fetcher unpacks.
const ARCHIVES: [&str; 9] = [
    ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip",
];

/// The same body without old members. Contradictions that only show here are answered with 500, as
/// Marathon does.
pub(crate) fn rewrite(mut body: AppBody, settings: &Settings) -> Result<AppBody, Rejection> {
    rewrite_uris(&mut body);
    rewrite_ports(&mut body);
    rewrite_docker_mappings(&mut body)?;
    rewrite_networks(&mut body, settings)?;
    rewrite_discovery(&mut body)?;
    body.ip_address = None;
    Ok(body)
}

fn failed<T>(text: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection::message(500, text))
}

fn rewrite_uris(body: &mut AppBody) {
    let Some(uris) = body.uris.take() else {
        return;
    };
    if body.fetch.as_ref().is_some_and(|fetch| !fetch.is_empty()) {
        return;
    }
    let artifact = |uri: String| Artifact {
        extract: ARCHIVES.iter().any(|ending| uri.ends_with(ending)),
        executable: false,
        cache: false,
        dest_path: None,
        uri,
    };
    body.fetch = Some(uris.into_iter().map(artifact).collect());
}

fn rewrite_ports(body: &mut AppBody) {
    let Some(ports) = body.ports.take() else {
        return;
    };
    let definition = |port| PortDefinition {
        port,
        labels: BTreeMap::new(),
        name: None,
        protocol: Protocol::Tcp,
    };
    let definitions = || ports.into_iter().map(definition).collect();
    body.port_definitions.get_or_insert_with(definitions);
}

fn rewrite_docker_mappings(body: &mut AppBody) -> Result<(), Rejection> {
    let Some(container) = &mut body.container else {
        return Ok(());
    };
    let Some(old) = container
        .docker
        .as_mut()
        .and_then(|d| d.port_mappings.take())
    else {
        return Ok(());
    };
    match &container.port_mappings {
        Some(new) if !new.is_empty() && !old.is_empty() => {
            failed("cannot specify both portMappings and docker.portMappings")
        }
        Some(new) if !new.is_empty() => Ok(()),
        _ => {
            container.port_mappings = Some(old);
            Ok(())
        }
    }
}

fn rewrite_networks(body: &mut AppBody, settings: &Settings) -> Result<(), Rejection> {
    let docker = body.container.as_mut().and_then(|c| c.docker.as_mut());
    let old = docker.and_then(|docker| docker.network.take());
    if old.is_none() && body.ip_address.is_none() {
        return Ok(());
    }
    if body.networks.as_ref().is_some_and(|all| !all.is_empty()) {
        return failed("cannot mix deprecated and canonical network APIs");
    }
    let network = network_of(old, body.ip_address.as_ref(), settings)?;
    body.networks = Some(vec![network]);
    if body.ip_address.is_some() && body.container.is_none() {
        body.container = Some(ContainerBody::empty(ContainerType::Mesos));
    }
    Ok(())
}

fn network_of(
    old: Option<DockerNetwork>,
    ip_address: Option<&IpAddress>,
    settings: &Settings,
) -> Result<Network, Rejection> {
    let name = ip_address.and_then(|ip| ip.network_name.clone());
    let labels = ip_address.map(|ip| ip.labels.clone()).unwrap_or_default();
    let bridge = name.as_ref() == Some(&settings.mesos_bridge_name);
    let (mode, name, labels) = match old {
        Some(DockerNetwork::Host) => (NetworkMode::Host, None, BTreeMap::new()),
        Some(DockerNetwork::Bridge) => (NetworkMode::Bridge, None, labels),
        Some(DockerNetwork::User) => (NetworkMode::Container, name, labels),
        Some(DockerNetwork::None) => return failed("unsupported docker network type None"),
        None if bridge => (NetworkMode::Bridge, None, labels),
        None => (NetworkMode::Container, name, labels),
    };
    Ok(Network { name, mode, labels })
}

fn rewrite_discovery(body: &mut AppBody) -> Result<(), Rejection> {
    let ports = body
        .ip_address
        .as_mut()
        .map(|ip| std::mem::take(&mut ip.discovery_ports));
    let (Some(ports), Some(container)) = (ports, &mut body.container) else {
        return Ok(());
    };
    if ports.is_empty() {
        return Ok(());
    }
    if container.kind != ContainerType::Mesos {
        return failed("ipAddress.discovery.ports do not apply for container type docker");
    }
    if container
        .port_mappings
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        return failed("container.portMappings and ipAddress.discovery.ports must not both be set");
    }
    let mapping = |port: super::body::DiscoveryPort| PortMapping {
        container_port: port.number,
        host_port: None,
        labels: port.labels,
        name: Some(port.name),
        protocol: port.protocol,
        service_port: 0,
        network_names: Vec::new(),
    };
    container.port_mappings = Some(ports.into_iter().map(mapping).collect());
    Ok(())
}
