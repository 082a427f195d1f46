//! What an agent is started with, typed and checked.
//! Knows nothing of flags; `crate::flags` reads those.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tepui_core::agent::garbage::GarbageSettings;
use tepui_core::agent::recovery::ReconfigurationPolicy;
use tepui_protocol::v1;

pub use super::containerizer::config::{
    Backend, ContainerDns, ContainerizerConfig, ContainerizerKind, DockerConfig, ImageGc,
    ImageProvider, ImagesConfig, LauncherKind, Logins,
};
use super::fetcher::{FETCHER_PROGRAM, FetcherSettings};
pub use super::logger::{ContainerLogger, LOG_SIZE, OPTIONS, Rotation, kept, log_size};
use crate::election::Masters;

/// Where Linux tells the id of its present boot.
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What becomes of executors that an earlier run has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recover {
    /// They and their tasks go on.
    Reconnect,
    /// They are ended, and the agent with them: for an update that could not take them over.
    Cleanup,
}

/// An agent's settings; each field's flag has the same name unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Address to listen on.
    pub ip: IpAddr,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Name told to others; the address when not given.
    pub hostname: String,
    /// Where the master is to be found.
    pub master: Masters,
    /// Session timeout asked of ZooKeeper.
    pub zk_session_timeout: Duration,
    /// Directory of sandboxes and checkpoints.
    pub work_dir: PathBuf,
    /// File that tells the id of the host's present boot; no flag changes it.
    pub boot_id_file: PathBuf,
    /// Text or JSON as given; the rest is detected.
    pub resources: Option<String>,
    /// Text as given.
    pub attributes: Option<String>,
    /// The agent's fault domain.
    pub domain: Option<v1::DomainInfo>,
    /// Role of resources given without one.
    pub default_role: String,
    /// Directory that holds `tepui-executor` and `tepui-fetcher`.
    pub launcher_dir: PathBuf,
    /// Directory of relative paths among the URIs of tasks; empty when there is none.
    pub frameworks_home: String,
    /// Directory that holds the caches of fetchers.
    pub fetcher_cache_dir: PathBuf,
    /// Bytes of this agent's.
    pub fetcher_cache_size: u64,
    /// How long a server that something is fetched from may send nothing.
    pub fetcher_stall_timeout: Duration,
    /// Time a launched executor has to subscribe.
    pub executor_registration_timeout: Duration,
    /// Time an executor has to end when told to.
    pub executor_shutdown_grace_period: Duration,
    /// Environment given to executors beside Mesos's own variables.
    pub executor_environment_variables: Option<BTreeMap<String, String>>,
    /// Whether tasks run as their framework's or command's user.
    pub switch_user: bool,
    /// Where the output of containers goes.
    pub container_logger: ContainerLogger,
    /// Whether no program of a container may get more rights than its user has, as one that is
    /// setuid root would.
    pub no_new_privs: bool,
    /// How containers are isolated.
    pub containerizer: ContainerizerConfig,
    /// What becomes of what an earlier run has left.
    pub recover: Recover,
    /// How the agent may differ from what it was.
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// Time executors wait for an agent that is gone.
    pub recovery_timeout: Duration,
    /// Time executors have to come back after a restart of the agent.
    pub executor_reregistration_timeout: Duration,
    /// Base of the random delay before (re-)registration attempts.
    pub registration_backoff_factor: Duration,
    /// Finished executors remembered per framework.
    pub max_completed_executors_per_framework: usize,
    /// How long sandboxes are kept: `gc_delay` and `gc_disk_headroom`.
    pub garbage: GarbageSettings,
    /// Time between two looks at how full the disk is.
    pub disk_watch_interval: Duration,
    /// All flags as given or defaulted, for `/flags` and `/state`.
    pub flags: BTreeMap<String, String>,
}

impl AgentConfig {
    /// What the fetcher of an agent with this work directory is started with.
    pub(super) fn fetcher(&self, work_dir: &Path) -> FetcherSettings {
        let program = self.launcher_dir.join(FETCHER_PROGRAM);
        FetcherSettings {
            // It is started from another directory.
            program: std::path::absolute(&program).unwrap_or(program),
            frameworks_home: self.frameworks_home.clone(),
            stall_timeout: self.fetcher_stall_timeout,
            cache_dir: self.fetcher_cache_dir.clone(),
            cache_size: self.fetcher_cache_size,
            work_dir: work_dir.to_owned(),
        }
    }
}
