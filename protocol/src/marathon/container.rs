//! Containers, networks, ports, volumes and artifacts of apps.
//! Deprecated members of containers are not among them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an app's tasks run in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Which containerizer.
    #[serde(rename = "type")]
    pub kind: ContainerType,
    /// The image, if any; always with DOCKER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    /// Seccomp and IPC settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_info: Option<LinuxInfo>,
    /// What is mounted into it.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Ports of the container; absent with host networking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_mappings: Option<Vec<PortMapping>>,
}

/// Which containerizer runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerType {
    /// The agent's own.
    Mesos,
    /// Docker Engine.
    Docker,
}

/// An image and how Docker Engine runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Docker {
    /// The secret with the registry's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_config: Option<PullConfig>,
    /// Pull even if the image is there.
    pub force_pull_image: bool,
    /// Name of the image.
    pub image: String,
    /// Options of `docker run`.
    #[serde(default)]
    pub parameters: Vec<DockerParameter>,
    /// Extended privileges.
    pub privileged: bool,
}

/// Names the secret with the registry's credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullConfig {
    /// A key of `secrets`.
    pub secret: String,
}

/// An option of `docker run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerParameter {
    /// Its name without dashes.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Seccomp and IPC settings of a MESOS container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxInfo {
    /// System call filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// Shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc_info: Option<IpcInfo>,
}

/// System call filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// A profile the agent has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// No filter at all.
    pub unconfined: bool,
}

/// Shared memory of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpcInfo {
    /// Its own, or its parent's.
    pub mode: IpcMode,
    /// MiB; only with PRIVATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<i64>,
}

/// Whose shared memory a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IpcMode {
    /// Its own.
    Private,
    /// Its parent's.
    ShareParent,
}

/// Something mounted into a container; which kind is told by the member that is present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Volume {
    /// Outlives its task, on reserved disk of the agent.
    Persistent {
        /// Name of its directory in the sandbox.
        container_path: String,
        /// Size and kind.
        persistent: PersistentVolume,
        /// Always RW.
        mode: ReadMode,
    },
    /// Comes from a volume driver.
    External {
        /// Where the container sees it.
        container_path: String,
        /// Driver and options.
        external: ExternalVolume,
        /// Read-only or not.
        mode: ReadMode,
    },
    /// A file with a secret.
    Secret {
        /// Where the container sees it.
        container_path: String,
        /// A key of `secrets`.
        secret: String,
    },
    /// A path of the host.
    Host {
        /// Where the container sees it.
        container_path: String,
        /// What it is on the host.
        host_path: String,
        /// Read-only or not.
        mode: ReadMode,
    },
}

impl Volume {
    /// Where the container sees it.
    pub fn container_path(&self) -> &str {
        match self {
            Volume::Persistent { container_path, .. }
            | Volume::External { container_path, .. }
            | Volume::Secret { container_path, .. }
            | Volume::Host { container_path, .. } => container_path,
        }
    }
}

/// Size and kind of a persistent volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersistentVolume {
    /// Kind of disk.
    #[serde(rename = "type")]
    pub kind: DiskType,
    /// MiB.
    pub size: i64,
    /// Largest mount disk that is taken, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i64>,
    /// Profile of the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// On the disk's path.
    #[serde(default)]
    pub constraints: Vec<super::Constraint>,
}

/// Kind of disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskType {
    /// Part of the agent's own disk.
    Root,
    /// Part of another file system.
    Path,
    /// A whole file system.
    Mount,
}

/// A volume of a driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalVolume {
    /// GiB; DVDI only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Name of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `dvdi` or `csi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// As the provider defines them.
    #[serde(default)]
    pub options: serde_json::Map<String, Value>,
    /// May be mounted more than once; DVDI only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// Read-only or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadMode {
    /// Read-only.
    Ro,
    /// Read and write.
    Rw,
}

/// A network an app joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Of a container network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Host, bridge or container.
    pub mode: NetworkMode,
    /// For the network's driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a container is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// An address of its own on a named network.
    #[serde(rename = "container")]
    Container,
    /// An address of its own behind the host's bridge.
    #[serde(rename = "container/bridge")]
    Bridge,
    /// The host's network.
    #[serde(rename = "host")]
    Host,
}

/// A port on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDefinition {
    /// Service port; 0 until it is assigned.
    pub port: u16,
    /// For discovery.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For discovery, variables and readiness checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Transport.
    pub protocol: Protocol,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// 0: the same as the host port.
    pub container_port: u16,
    /// 0: any; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// For discovery.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// For discovery, variables and readiness checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Transport.
    pub protocol: Protocol,
    /// 0 until it is assigned.
    pub service_port: u16,
    /// Networks it is for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_names: Vec<String>,
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP.
    #[serde(rename = "udp")]
    Udp,
    /// Both.
    #[serde(rename = "udp,tcp")]
    Both,
}

/// A file put into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Where it comes from.
    pub uri: String,
    /// Unpack it.
    pub extract: bool,
    /// Set its executable bit.
    pub executable: bool,
    /// Keep it in the agent's cache.
    pub cache: bool,
    /// Its name in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest_path: Option<String>,
}
