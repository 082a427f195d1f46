//! What an app manager is started with.
//! Reads no flags; `crate::flags` fills it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tepui_core::marathon::definition::Feature;
use tepui_core::marathon::manager::ManagerSettings;

use super::driver::{Credentials, Limits, MasterUrl};
use crate::election::ZkUrl;

mod shown;

pub use shown::{ShownFlags, ShownHttp, ShownMarathon, ShownZooKeeper};

/// Settings of an app manager; a field has the name of Marathon's flag unless said otherwise.
#[derive(Debug, Clone)]
pub struct MarathonConfig {
    /// Where the masters are.
    pub master: MasterUrl,
    /// Principal and secret for the master, with `--mesos_authentication`.
    pub credentials: Option<Credentials>,
    /// Silence of the master, and other bounds of the connection to it.
    pub driver: Limits,
    /// What the framework says of itself.
    pub framework: FrameworkSettings,
    /// Address to listen on.
    pub http_address: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub http_port: u16,
    /// Name under which others reach this instance.
    pub hostname: String,
    /// HTTP.
    pub http: HttpSettings,
    /// How requests are passed on to the leader.
    pub proxy: ProxySettings,
    /// Where state is kept, and whether there may be several instances.
    pub state: StatePlace,
    /// Time a new leader has to get ready.
    pub on_elected_prepare_timeout: Duration,
    /// Time requests that are being served have when this instance ends.
    pub graceful_shutdown_timeout: Duration,
    /// Decisions.
    pub manager: ManagerSettings,
    /// Probes by this instance that run at once.
    pub max_concurrent_marathon_health_checks: usize,
    /// What is measured.
    pub metrics: MetricsSettings,
    /// What /v2/info shows of the flags.
    pub shown: ShownFlags,
}

/// What the framework says of itself to the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkSettings {
    /// Its name.
    pub framework_name: String,
    /// The user its tasks run as by default.
    pub mesos_user: String,
    /// Where its web page is; none means this instance's own address.
    pub webui_url: Option<String>,
    /// How long its tasks outlive it.
    pub failover_timeout: Duration,
    /// Whether agents checkpoint its tasks.
    pub checkpoint: bool,
    /// Who it is, also where the master asks for no secret: `mesos_authentication_principal`.
    pub principal: Option<String>,
}

/// How HTTP is served.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// User and password that all requests need.
    pub http_credentials: Option<(String, String)>,
    /// Realm of the challenge.
    pub http_realm: String,
    /// Whether answers are compressed for those who ask for it.
    pub http_compression: bool,
    /// Origins that web pages may come from; empty means that none is told.
    pub access_control_allow_origin: Vec<String>,
    /// Requests served at a time; more are refused with 503.
    pub http_max_concurrent_requests: Option<usize>,
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.http_credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("HttpSettings")
            .field("user", &user)
            .field("http_realm", &self.http_realm)
            .field("http_compression", &self.http_compression)
            .field(
                "access_control_allow_origin",
                &self.access_control_allow_origin,
            )
            .field(
                "http_max_concurrent_requests",
                &self.http_max_concurrent_requests,
            )
            .finish()
    }
}

/// How an instance that does not lead passes requests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// Connections to the leader.
    pub leader_proxy_max_open_connections: usize,
    /// Time to connect.
    pub leader_proxy_connection_timeout: Duration,
    /// Time without a byte of the answer.
    pub leader_proxy_read_timeout: Duration,
}

/// Where state is kept.
#[derive(Debug, Clone)]
pub enum StatePlace {
    /// Nowhere: `--internal_store_backend=mem`.
    Memory,
    /// In a file below this directory: `--work_dir`, a flag of Tepui. There is one instance only.
    File(PathBuf),
    /// In ZooKeeper, where several instances elect their leader.
    ZooKeeper {
        /// Where: `--zk`.
        url: ZkUrl,
        /// Session timeout: `--zk_session_timeout`.
        session_timeout: Duration,
    },
}

/// What is measured, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSettings {
    /// First part of all names.
    pub metrics_name_prefix: String,
    /// Whether there is a text form for Prometheus.
    pub metrics_prometheus: bool,
    /// Largest duration that histograms tell apart, in nanoseconds.
    pub metrics_histogram_reservoir_highest_trackable_value: u64,
    /// Decimal digits of durations that histograms keep.
    pub metrics_histogram_reservoir_significant_digits: u8,
    /// Time after which histograms forget; none means never.
    pub metrics_histogram_reservoir_resetting_interval: Option<Duration>,
}

impl Default for MetricsSettings {
    /// The defaults of Marathon's flags.
    fn default() -> MetricsSettings {
        MetricsSettings {
            metrics_name_prefix: "marathon".to_owned(),
            metrics_prometheus: true,
            metrics_histogram_reservoir_highest_trackable_value: 3_600_000_000_000,
            metrics_histogram_reservoir_significant_digits: 3,
            metrics_histogram_reservoir_resetting_interval: Some(Duration::from_secs(5)),
        }
    }
}

impl MarathonConfig {
    /// Whether `feature` is enabled.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.manager.definition.has(feature)
    }
}
