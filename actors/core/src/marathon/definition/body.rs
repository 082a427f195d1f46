//! The members of an app body as they were sent, old forms included, each one optional.
//! No default is filled in and no rule is checked here.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{
    AppCheck, Artifact, ContainerType, Docker, EnvValue, ExecutorResources, HealthCheck,
    KillSelection, LinuxInfo, Network, PortDefinition, PortMapping, ReadinessCheck, Residency,
    Secret, Timestamp, UnreachableStrategy, UpgradeStrategy, Volume,
};

/// The body of a request that makes or changes one app: Marathon's `App` and `AppUpdate`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AppBody {
    pub id: Option<String>,
    pub accepted_resource_roles: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub backoff_factor: Option<f64>,
    pub backoff_seconds: Option<i64>,
    pub cmd: Option<String>,
    pub constraints: Option<Vec<Vec<String>>>,
    pub container: Option<ContainerBody>,
    pub cpus: Option<f64>,
    pub dependencies: Option<Vec<String>>,
    pub disk: Option<f64>,
    pub env: Option<BTreeMap<String, EnvValue>>,
    pub executor: Option<String>,
    pub executor_resources: Option<ExecutorResources>,
    pub fetch: Option<Vec<Artifact>>,
    pub health_checks: Option<Vec<HealthCheck>>,
    pub check: Option<AppCheck>,
    pub instances: Option<u32>,
    pub labels: Option<BTreeMap<String, String>>,
    pub max_launch_delay_seconds: Option<i64>,
    pub mem: Option<f64>,
    pub gpus: Option<u32>,
    pub ip_address: Option<IpAddress>,
    pub networks: Option<Vec<Network>>,
    pub ports: Option<Vec<u16>>,
    pub port_definitions: Option<Vec<PortDefinition>>,
    pub readiness_checks: Option<Vec<ReadinessCheck>>,
    pub residency: Option<Residency>,
    pub resource_limits: Option<LimitsBody>,
    pub require_ports: Option<bool>,
    pub secrets: Option<BTreeMap<String, Secret>>,
    pub task_kill_grace_period_seconds: Option<i64>,
    pub upgrade_strategy: Option<UpgradeStrategy>,
    pub uris: Option<Vec<String>>,
    pub user: Option<String>,
    pub version: Option<Timestamp>,
    pub version_info_given: bool,
    pub kill_selection: Option<KillSelection>,
    pub unreachable_strategy: Option<UnreachableStrategy>,
    pub tty: Option<bool>,
    pub role: Option<String>,
}

/// A container as sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContainerBody {
    pub kind: ContainerType,
    pub docker: Option<DockerBody>,
    pub linux_info: Option<LinuxInfo>,
    pub volumes: Vec<Volume>,
    pub port_mappings: Option<Vec<PortMapping>>,
}

impl ContainerBody {
    /// A container without anything in it.
    pub fn empty(kind: ContainerType) -> ContainerBody {
        ContainerBody {
            kind,
            docker: None,
            linux_info: None,
            volumes: Vec::new(),
            port_mappings: None,
        }
    }
}

/// The docker part of a container with its old members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DockerBody {
    pub docker: Docker,
    pub network: Option<DockerNetwork>,
    pub port_mappings: Option<Vec<PortMapping>>,
    pub credential: bool,
}

/// `container.docker.network`, which `networks` replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DockerNetwork {
    Bridge,
    Host,
    None,
    User,
}

/// `ipAddress`, which `networks` replaced.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct IpAddress {
    pub discovery_ports: Vec<DiscoveryPort>,
    pub labels: BTreeMap<String, String>,
    pub network_name: Option<String>,
}

/// A port of `ipAddress.discovery`, which `container.portMappings` replaced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiscoveryPort {
    pub number: u16,
    pub name: String,
    pub protocol: tepui_protocol::marathon::Protocol,
    pub labels: BTreeMap<String, String>,
}

/// Limits as sent: words other than `unlimited` are refused by validation, not while reading.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct LimitsBody {
    pub cpus: Option<LimitBody>,
    pub mem: Option<LimitBody>,
}

/// One limit as sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LimitBody {
    Amount(f64),
    Word(String),
}
