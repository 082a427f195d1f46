//! Says whether two ExecutorInfos mean the same executor, as Mesos compares them.
//! Does not say whether either is valid.

use tepui_protocol::prost::Message;
use tepui_protocol::v1::container_info::DockerInfo;
use tepui_protocol::v1::{
    CommandInfo, ContainerInfo, DiscoveryInfo, Environment, ExecutorInfo, Labels, Resource, Volume,
};

use crate::resources::Resources;

/// True when a task may join an executor described by `left` while naming it as `right`.
///
/// As in Mesos, an absent field equals its default; labels, the shutdown grace period, what a
/// volume's source says and a Mesos container's image do not count; nor does the order of
/// resources, uris, variables, volumes, ports and labels.
pub(super) fn same(left: &ExecutorInfo, right: &ExecutorInfo) -> bool {
    same_resources(&left.resources, &right.resources) && canonical(left) == canonical(right)
}

fn same_resources(left: &[Resource], right: &[Resource]) -> bool {
    match (Resources::from_v1(left), Resources::from_v1(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    }
}

/// The executor with defaults written out, lists sorted, and what does not count left out.
#[allow(deprecated)] // `source` counts although it is deprecated.
fn canonical(executor: &ExecutorInfo) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: executor.executor_id.clone(),
        data: Some(executor.data().to_vec()),
        resources: Vec::new(),
        command: Some(Box::new(command(executor.command.as_deref()))),
        framework_id: Some(executor.framework_id.clone().unwrap_or_default()),
        name: Some(executor.name().to_string()),
        source: Some(executor.source().to_string()),
        container: Some(Box::new(container(executor.container.as_deref()))),
        discovery: Some(Box::new(discovery(executor.discovery.as_deref()))),
        shutdown_grace_period: None,
        labels: None,
        r#type: super::executor::known_type(executor).map(|kind| kind as i32),
    }
}

fn command(command: Option<&CommandInfo>) -> CommandInfo {
    let mut command = command.cloned().unwrap_or_default();
    for uri in &mut command.uris {
        uri.executable = Some(uri.executable());
        uri.extract = Some(uri.extract());
        uri.output_file = Some(uri.output_file().to_string());
        // A file is the same whether it comes from the cache or not.
        uri.cache = None;
    }
    let mut variables = command.environment.unwrap_or_default().variables;
    for variable in &mut variables {
        variable.value = Some(variable.value().to_string());
        variable.r#type = None;
        variable.secret = None;
    }
    command.environment = Some(Environment {
        variables: sorted(variables),
    });
    command.uris = sorted(command.uris);
    command.value = Some(command.value.unwrap_or_default());
    command.user = Some(command.user.unwrap_or_default());
    command.shell = Some(command.shell.unwrap_or(true));
    command
}

fn container(container: Option<&ContainerInfo>) -> ContainerInfo {
    let container = container.cloned().unwrap_or_default();
    let volumes = container.volumes.into_iter().map(|volume| Volume {
        host_path: Some(volume.host_path.unwrap_or_default()),
        image: None,
        source: None,
        ..volume
    });
    ContainerInfo {
        r#type: container.r#type,
        volumes: sorted(volumes.collect()),
        docker: Some(docker(container.docker.unwrap_or_default())),
        hostname: Some(container.hostname.unwrap_or_default()),
        ..Default::default()
    }
}

fn docker(docker: DockerInfo) -> DockerInfo {
    let mut mappings = docker.port_mappings.clone();
    for mapping in &mut mappings {
        mapping.protocol = Some(mapping.protocol().to_string());
    }
    DockerInfo {
        network: Some(docker.network() as i32),
        privileged: Some(docker.privileged()),
        force_pull_image: Some(docker.force_pull_image()),
        port_mappings: sorted(mappings),
        parameters: sorted(docker.parameters),
        image: docker.image,
        ..Default::default()
    }
}

fn discovery(discovery: Option<&DiscoveryInfo>) -> DiscoveryInfo {
    let discovery = discovery.cloned().unwrap_or_default();
    let mut ports = discovery.ports.unwrap_or_default();
    for port in &mut ports.ports {
        port.name = Some(port.name().to_string());
        port.protocol = Some(port.protocol().to_string());
        port.visibility = Some(port.visibility() as i32);
        port.labels = None;
    }
    ports.ports = sorted(ports.ports);
    DiscoveryInfo {
        visibility: discovery.visibility,
        name: Some(discovery.name.unwrap_or_default()),
        environment: Some(discovery.environment.unwrap_or_default()),
        location: Some(discovery.location.unwrap_or_default()),
        version: Some(discovery.version.unwrap_or_default()),
        ports: Some(ports),
        labels: Some(labels(discovery.labels.unwrap_or_default())),
    }
}

fn labels(mut labels: Labels) -> Labels {
    for label in &mut labels.labels {
        label.value = Some(label.value().to_string());
    }
    Labels {
        labels: sorted(labels.labels),
    }
}

fn sorted<M: Message>(mut messages: Vec<M>) -> Vec<M> {
    messages.sort_by_cached_key(Message::encode_to_vec);
    messages
}
