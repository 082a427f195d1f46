//! Makes the stored definition of an app of a body without old members: fills in every default.
//! What cannot be stored as such is noted; the other rules are checked on the result.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{
    App, Constraint, Container, ContainerType, Disabled, HealthCheck, HealthProtocol, Network,
    NetworkMode, PathId, PortDefinition, PortMapping, Protocol, Residency, ResourceLimit,
    ResourceLimits, Timestamp, Unlimited, UnreachableStrategy, UnreachableTimes, UpgradeStrategy,
    Volume,
};

use super::Roles;
use super::body::{AppBody, ContainerBody, LimitBody, LimitsBody};
use super::constraints::read_constraint;
use super::rejection::Findings;
use super::settings::Settings;

/// The only word a resource limit may be.
pub(crate) const UNLIMITED: &str = "unlimited";

/// Makes it at most one instance and upgrades it by stopping it first.
pub(crate) const SINGLE_INSTANCE_LABEL: &str = "MARATHON_SINGLE_INSTANCE_APP";

/// Name of the port an app gets that asks for none.
const DEFAULT_PORT_NAME: &str = "default";

/// Whether the health checks of a body are new, so that they get the index of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortIndices {
    /// The body lists them and its ports.
    Fill {
        /// The body itself lists port definitions.
        definitions_listed: bool,
    },
    /// They are stored ones and stay as they are.
    Keep,
}

/// The definition that `body` stands for, as app `id` at `version`.
pub(crate) fn convert(
    body: AppBody,
    id: PathId,
    indices: PortIndices,
    (roles, settings): (&Roles, &Settings),
    version: Timestamp,
    findings: &mut Findings,
) -> App {
    let (upgrade_strategy, unreachable_strategy, residency) = strategies_of(&body);
    let networks = networks_of(body.networks, settings);
    let host = networks
        .iter()
        .all(|network| network.mode == NetworkMode::Host);
    let (container, port_definitions) =
        ports_of(body.container, body.port_definitions, &networks, host);
    let mapped = container.as_ref().and_then(|c| c.port_mappings.as_ref());
    let mapped = mapped.is_some_and(|mappings| !mappings.is_empty());
    let health_checks = body.health_checks.unwrap_or_default().into_iter();
    let health_checks = health_checks.map(|check| health_check(check, indices, mapped));
    let dependencies = body.dependencies.unwrap_or_default();
    App {
        accepted_resource_roles: body.accepted_resource_roles,
        args: body.args.unwrap_or_default(),
        backoff_factor: body.backoff_factor.unwrap_or(1.15),
        backoff_seconds: body.backoff_seconds.unwrap_or(1),
        cmd: body.cmd,
        constraints: constraints_of(body.constraints, findings),
        cpus: body.cpus.unwrap_or(1.0),
        dependencies: dependencies_of(dependencies, &id),
        disk: body.disk.unwrap_or(0.0),
        env: body.env.unwrap_or_default(),
        executor: body.executor.unwrap_or_default(),
        executor_resources: body.executor_resources,
        fetch: body.fetch.unwrap_or_default(),
        health_checks: health_checks.collect(),
        check: body.check,
        instances: body.instances.unwrap_or(1),
        max_launch_delay_seconds: body.max_launch_delay_seconds.unwrap_or(300),
        mem: body.mem.unwrap_or(128.0),
        gpus: body.gpus.unwrap_or(0),
        port_definitions,
        readiness_checks: body.readiness_checks.unwrap_or_default(),
        residency,
        resource_limits: body
            .resource_limits
            .map(|limits| limits_of(limits, findings)),
        require_ports: host && body.require_ports.unwrap_or(false),
        secrets: body.secrets.unwrap_or_default(),
        task_kill_grace_period_seconds: body.task_kill_grace_period_seconds,
        upgrade_strategy,
        user: body.user,
        version,
        version_info: None,
        kill_selection: body.kill_selection.unwrap_or_default(),
        unreachable_strategy,
        tty: body.tty,
        role: body.role.unwrap_or_else(|| roles.default.clone()),
        container,
        labels: body.labels.unwrap_or_default(),
        networks,
        id,
    }
}

/// Strategies and residency, whose defaults depend on the volumes and a label.
fn strategies_of(body: &AppBody) -> (UpgradeStrategy, UnreachableStrategy, Option<Residency>) {
    let volumes = body
        .container
        .iter()
        .flat_map(|container| &container.volumes);
    let (mut resident, mut external) = (false, false);
    for volume in volumes {
        match volume {
            Volume::Persistent { .. } => resident = true,
            Volume::External { .. } => external = true,
            Volume::Secret { .. } | Volume::Host { .. } => {}
        }
    }
    let label = body
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SINGLE_INSTANCE_LABEL));
    let single = label.is_some_and(|label| label == "true");
    let upgrade = body.upgrade_strategy;
    let upgrade = upgrade.unwrap_or_else(|| default_upgrade(resident || external, single));
    let unreachable = body.unreachable_strategy;
    let unreachable = unreachable.unwrap_or_else(|| default_unreachable(resident));
    let residency = resident.then(|| residency_of(body.residency, &unreachable));
    (upgrade, unreachable, residency)
}

/// What starts with `..` climbs from the app itself, as in Marathon; other relative ids are looked
/// for in its group.
fn dependencies_of(dependencies: Vec<String>, id: &PathId) -> Vec<PathId> {
    let resolve = |text: String| match text.starts_with("..") {
        true => id.resolve(&text),
        false => id.parent().resolve(&text),
    };
    let mut resolved: Vec<PathId> = Vec::new();
    for path in dependencies.into_iter().map(resolve) {
        if !resolved.contains(&path) {
            resolved.push(path);
        }
    }
    resolved
}

fn networks_of(networks: Option<Vec<Network>>, settings: &Settings) -> Vec<Network> {
    let mut networks = networks.unwrap_or_default();
    if networks.is_empty() {
        networks.push(Network {
            name: None,
            mode: NetworkMode::Host,
            labels: BTreeMap::new(),
        });
    }
    for network in &mut networks {
        if network.mode == NetworkMode::Container && network.name.is_none() {
            network.name.clone_from(&settings.default_network_name);
        }
    }
    networks
}

/// Ports stand in definitions with host networking and in the container's mappings otherwise.
fn ports_of(
    container: Option<ContainerBody>,
    definitions: Option<Vec<PortDefinition>>,
    networks: &[Network],
    host: bool,
) -> (Option<Container>, Option<Vec<PortDefinition>>) {
    if host {
        let container = container.map(|mut container| {
            container.port_mappings = None;
            container_of(container)
        });
        let definitions = definitions.unwrap_or_else(|| vec![default_definition()]);
        return (container, Some(definitions));
    }
    let bridge = networks
        .iter()
        .any(|network| network.mode == NetworkMode::Bridge);
    let mut container = container.unwrap_or_else(|| ContainerBody::empty(ContainerType::Mesos));
    let mut mappings = match (container.port_mappings.take(), definitions) {
        (None, None) => vec![default_mapping(Some(DEFAULT_PORT_NAME))],
        (mappings, definitions) => {
            let mut mappings = mappings.unwrap_or_default();
            let wanted = definitions.map_or(0, |definitions| definitions.len());
            let missing = wanted.saturating_sub(mappings.len());
            mappings.extend((0..missing).map(|_| default_mapping(None)));
            mappings
        }
    };
    if bridge {
        for mapping in &mut mappings {
            mapping.host_port.get_or_insert(0);
        }
    }
    container.port_mappings = Some(mappings);
    (Some(container_of(container)), None)
}

fn default_definition() -> PortDefinition {
    PortDefinition {
        port: 0,
        labels: BTreeMap::new(),
        name: Some(DEFAULT_PORT_NAME.into()),
        protocol: Protocol::Tcp,
    }
}

fn default_mapping(name: Option<&str>) -> PortMapping {
    PortMapping {
        container_port: 0,
        host_port: None,
        labels: BTreeMap::new(),
        name: name.map(Into::into),
        protocol: Protocol::Tcp,
        service_port: 0,
        network_names: Vec::new(),
    }
}

fn container_of(body: ContainerBody) -> Container {
    Container {
        kind: body.kind,
        docker: body.docker.map(|docker| docker.docker),
        linux_info: body.linux_info,
        volumes: body.volumes,
        port_mappings: body.port_mappings,
    }
}

fn health_check(mut check: HealthCheck, indices: PortIndices, mapped: bool) -> HealthCheck {
    let http = matches!(check.protocol, HealthProtocol::Http | HealthProtocol::Https);
    check.ignore_http1xx = http.then(|| check.ignore_http1xx.unwrap_or(false));
    match check.protocol {
        HealthProtocol::Command => {
            check.path = None;
            check.port = None;
            check.port_index = None;
            return check;
        }
        HealthProtocol::Tcp | HealthProtocol::MesosTcp => check.path = None,
        HealthProtocol::Http
        | HealthProtocol::Https
        | HealthProtocol::MesosHttp
        | HealthProtocol::MesosHttps => {}
    }
    // Marathon does not store the delay of the checks that it carries out itself.
    if !check.protocol.is_of_executor() {
        check.delay_seconds = 15;
    }
    let fill = match indices {
        PortIndices::Fill { definitions_listed } => definitions_listed || mapped,
        PortIndices::Keep => false,
    };
    if fill && check.port.is_none() {
        check.port_index.get_or_insert(0);
    }
    check
}

fn constraints_of(raw: Option<Vec<Vec<String>>>, findings: &mut Findings) -> Vec<Constraint> {
    let mut constraints: Vec<Constraint> = Vec::new();
    for (index, parts) in raw.unwrap_or_default().iter().enumerate() {
        match read_constraint(parts) {
            Ok(constraint) if constraints.contains(&constraint) => {}
            Ok(constraint) => constraints.push(constraint),
            Err(error) => findings.add(&format!("/constraints({index})"), error),
        }
    }
    constraints
}

fn limits_of(limits: LimitsBody, findings: &mut Findings) -> ResourceLimits {
    let mut limit = |limit: LimitBody, path: &str| match limit {
        LimitBody::Amount(amount) => Some(ResourceLimit::Amount(amount)),
        LimitBody::Word(word) if word == UNLIMITED => {
            Some(ResourceLimit::Unlimited(Unlimited::Unlimited))
        }
        LimitBody::Word(word) => {
            let text = format!(
                "'{word}' is an invalid resource limit. It must be 'unlimited' or a number"
            );
            findings.add(path, text);
            None
        }
    };
    ResourceLimits {
        cpus: limits
            .cpus
            .and_then(|cpus| limit(cpus, "/resourceLimits/cpus")),
        mem: limits.mem.and_then(|mem| limit(mem, "/resourceLimits/mem")),
    }
}

fn residency_of(given: Option<Residency>, unreachable: &UnreachableStrategy) -> Residency {
    let seconds = match unreachable {
        UnreachableStrategy::Disabled(_) => 3600,
        UnreachableStrategy::Enabled(times) => times.inactive_after_seconds,
    };
    Residency {
        relaunch_escalation_timeout_seconds: seconds,
        task_lost_behavior: given
            .map(|given| given.task_lost_behavior)
            .unwrap_or_default(),
    }
}

fn default_upgrade(volumes: bool, single: bool) -> UpgradeStrategy {
    let (over, health) = match (single, volumes) {
        (true, _) => (0.0, 0.0),
        (false, true) => (0.0, 0.5),
        (false, false) => (1.0, 1.0),
    };
    UpgradeStrategy {
        maximum_over_capacity: over,
        minimum_health_capacity: health,
    }
}

fn default_unreachable(resident: bool) -> UnreachableStrategy {
    match resident {
        true => UnreachableStrategy::Disabled(Disabled::Disabled),
        false => UnreachableStrategy::Enabled(UnreachableTimes::default()),
    }
}
