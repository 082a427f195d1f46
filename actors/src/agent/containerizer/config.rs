//! What containers are started with, typed and checked.
//! Knows nothing of flags; `crate::flags` reads those.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, Uid, access};
use tepui_protocol::v1::CapabilityInfo;

pub use super::docker::{ContainerDns, DockerConfig, Logins};
pub use super::images::{ImageGc, ImageProvider, ImagesConfig};
pub use super::provisioner::Backend;

/// How containers' processes are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LauncherKind {
    /// As process groups of their own. Needs no right.
    Posix,
    /// In cgroups, and namespaces if isolators ask for them. Needs root.
    Linux,
}

impl LauncherKind {
    /// Its name in `--launcher`.
    pub const fn name(self) -> &'static str {
        match self {
            LauncherKind::Posix => "posix",
            LauncherKind::Linux => "linux",
        }
    }

    /// What is used where nothing is said: cgroups where this process can make them. (Mesos:
    /// `LinuxLauncher::available`, which does not ask whether they can be made.)
    pub fn of_machine(cgroups_hierarchy: &Path) -> Self {
        let freezer = cgroups_hierarchy.join("freezer");
        let trees = [
            (cgroups_hierarchy, "cgroup.controllers"),
            (freezer.as_path(), "cgroup.procs"),
        ];
        let can_make = |(tree, file): (&Path, &str)| {
            tree.join(file).exists() && access(tree, AccessFlags::W_OK).is_ok()
        };
        match Uid::effective().is_root() && trees.into_iter().any(can_make) {
            true => LauncherKind::Linux,
            false => LauncherKind::Posix,
        }
    }
}

/// Who makes containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerizerKind {
    /// The agent itself.
    Mesos,
    /// The Docker Engine, for those of type DOCKER.
    Docker,
}

impl ContainerizerKind {
    /// Its name in `--containerizers`.
    pub const fn name(self) -> &'static str {
        match self {
            ContainerizerKind::Mesos => "mesos",
            ContainerizerKind::Docker => "docker",
        }
    }
}

/// Settings of the containerizers; each field's flag has the same name.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerizerConfig {
    /// Those that are tried, in this order.
    pub containerizers: Vec<ContainerizerKind>,
    /// Settings of the Docker containerizer.
    pub docker: DockerConfig,
    /// Where images come from, if containers may have any.
    pub images: Option<ImagesConfig>,
    /// How file systems are made of images; the better way that works where nobody says.
    pub image_provisioner_backend: Option<Backend>,
    /// Whether what images say of their programs counts for nothing.
    pub docker_ignore_runtime: bool,
    /// Where the sandbox is seen in the root file system of an image.
    pub sandbox_directory: PathBuf,
    /// Names of isolators.
    pub isolation: Vec<String>,
    /// How containers' processes are started.
    pub launcher: LauncherKind,
    /// Where cgroups are mounted.
    pub cgroups_hierarchy: PathBuf,
    /// Name of the cgroup that holds those of the containers.
    pub cgroups_root: String,
    /// Whether the CPUs that a container is given are also the most that it may use.
    pub cgroups_enable_cfs: bool,
    /// Whether swap counts as memory.
    pub cgroups_limit_swap: bool,
    /// The most processes and threads that a container may have, if there is a limit.
    pub cgroups_pids_limit: Option<u64>,
    /// Time the processes of a container have to end once they are killed.
    pub cgroups_destroy_timeout: Duration,
    /// Whether CPUs that may be taken back give few shares.
    pub revocable_cpu_low_priority: bool,
    /// Time between two looks at the disk that containers take.
    pub container_disk_watch_interval: Duration,
    /// Whether containers that take more disk than they may are ended.
    pub enforce_container_disk_quota: bool,
    /// Size of `/dev/shm` in bytes for containers that have one of their own.
    pub default_container_shm_size: Option<u64>,
    /// Whether containers must have an IPC namespace of their own.
    pub disallow_sharing_agent_ipc_namespace: bool,
    /// Whether containers must have a pid namespace of their own.
    pub disallow_sharing_agent_pid_namespace: bool,
    /// Directories in which what a volume names is made if it is not there.
    pub host_path_volume_force_creation: Vec<PathBuf>,
    /// Directories of which volumes may show what is in them; none stands for all.
    pub host_path_volume_prefixes: Option<Vec<PathBuf>>,
    /// Capabilities of containers where the framework says nothing.
    pub effective_capabilities: Option<CapabilityInfo>,
    /// Capabilities that containers can get at most.
    pub bounding_capabilities: Option<CapabilityInfo>,
}

impl Default for ContainerizerConfig {
    /// What the flags say where nothing is given, on a machine without cgroups.
    fn default() -> Self {
        ContainerizerConfig {
            containerizers: vec![ContainerizerKind::Mesos],
            docker: DockerConfig::default(),
            images: None,
            image_provisioner_backend: None,
            docker_ignore_runtime: false,
            sandbox_directory: "/mnt/mesos/sandbox".into(),
            isolation: vec!["posix/cpu".to_owned(), "posix/mem".to_owned()],
            launcher: LauncherKind::Posix,
            cgroups_hierarchy: "/sys/fs/cgroup".into(),
            cgroups_root: "mesos".to_owned(),
            cgroups_enable_cfs: false,
            cgroups_limit_swap: false,
            cgroups_pids_limit: None,
            cgroups_destroy_timeout: Duration::from_secs(60),
            revocable_cpu_low_priority: true,
            container_disk_watch_interval: Duration::from_secs(15),
            enforce_container_disk_quota: false,
            default_container_shm_size: None,
            disallow_sharing_agent_ipc_namespace: false,
            disallow_sharing_agent_pid_namespace: false,
            host_path_volume_force_creation: Vec::new(),
            host_path_volume_prefixes: None,
            effective_capabilities: None,
            bounding_capabilities: None,
        }
    }
}
