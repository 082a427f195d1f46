//! What a master is started with, typed and checked.
//! Knows nothing of flags; `crate::flags` reads those.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tepui_core::allocator::SorterKind;
use tepui_protocol::v1;

use crate::election::ZkUrl;

/// Where the registry is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryStore {
    /// Nowhere: a restarted master knows no agent until it re-registers.
    InMemory,
    /// In a file below the work directory.
    File,
    /// In ZooKeeper, where the masters meet.
    ZooKeeper,
}

/// A master's settings; each field's flag has the same name unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterConfig {
    /// Address to listen on.
    pub ip: IpAddr,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Name told to others; the address when not given.
    pub hostname: String,
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Directory of the registry file.
    pub work_dir: Option<PathBuf>,
    /// Flag `registry`.
    pub registry: RegistryStore,
    /// Where masters elect the one that leads; this one leads at once when not given.
    pub zk: Option<ZkUrl>,
    /// Session timeout asked of ZooKeeper.
    pub zk_session_timeout: Duration,
    /// Longest time between two allocations.
    pub allocation_interval: Duration,
    /// Time after which an unanswered offer is rescinded.
    pub offer_timeout: Option<Duration>,
    /// Time between two pings.
    pub agent_ping_timeout: Duration,
    /// Pings in a row that may go unanswered.
    pub max_agent_ping_timeouts: u32,
    /// Time a disconnected or recovered agent has to come back.
    pub agent_reregister_timeout: Duration,
    /// Share of the agents known at start, in percent, that may be given up after it.
    pub recovery_agent_removal_limit: f64,
    /// Time between two agents being marked unreachable.
    pub agent_removal_rate_limit: Option<Duration>,
    /// Share of agents or tasks, in percent, that may be given up without an operator's word.
    pub mass_removal_limit: f64,
    /// Longest time that reading the registry from ZooKeeper may take.
    pub registry_fetch_timeout: Duration,
    /// Longest time that writing it there may take.
    pub registry_store_timeout: Duration,
    /// How often agents that have been unreachable or gone for too long are forgotten.
    pub registry_gc_interval: Duration,
    /// For how long they are remembered.
    pub registry_max_agent_age: Duration,
    /// How many of each kind are remembered.
    pub registry_max_agent_count: usize,
    /// Completed frameworks remembered.
    pub max_completed_frameworks: usize,
    /// Whether metrics tell of each framework.
    pub publish_per_framework_metrics: bool,
    /// Completed tasks remembered per framework.
    pub max_completed_tasks_per_framework: usize,
    /// Tasks on unreachable agents remembered per framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// Streams of the operator API's events open at a time.
    pub max_operator_event_stream_subscribers: usize,
    /// The only roles frameworks may use; all when not given.
    pub roles: Option<Vec<String>>,
    /// Whether user root may run frameworks.
    pub root_submissions: bool,
    /// Weights of roles until some are stored.
    pub weights: BTreeMap<String, f64>,
    /// How roles are ordered.
    pub role_sorter: SorterKind,
    /// How the frameworks of a role are ordered.
    pub framework_sorter: SorterKind,
    /// With quota: the share of the known agents, from 0 to 1, to wait for after a restart.
    pub allocator_agent_recovery_factor: f64,
    /// Longest time of that wait.
    pub allocator_recovery_timeout: Duration,
    /// File of the hosts whose agents may be offered; all when not given.
    pub whitelist: Option<PathBuf>,
    /// The master's fault domain.
    pub domain: Option<v1::DomainInfo>,
    /// Whether agents without a domain are ignored.
    pub require_agent_domain: bool,
    /// Smallest offers: alternatives, each a set of amounts by resource name.
    pub min_allocatable_resources: Vec<BTreeMap<String, f64>>,
    /// Whether agents with GPUs are kept for frameworks that ask for them.
    pub filter_gpu_resources: bool,
    /// Resources left out of the dominant share.
    pub fair_sharing_excluded_resource_names: Vec<String>,
    /// Memory a constraint's regular expression may take, in bytes.
    pub offer_constraints_re2_max_mem: usize,
    /// Size a constraint's compiled regular expression may have.
    pub offer_constraints_re2_max_program_size: usize,
    /// All flags as given or defaulted, for `/flags` and `/state`.
    pub flags: BTreeMap<String, String>,
}
