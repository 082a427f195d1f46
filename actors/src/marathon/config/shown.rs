//! What GET /v2/info shows of the flags, in the order in which Marathon shows it.
//! Reads no flags; `crate::flags` fills it, without passwords.

use serde::Serialize;

/// Flags as GET /v2/info shows them. What has no value is written as null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownFlags {
    /// Most flags.
    pub marathon_config: ShownMarathon,
    /// Those about ZooKeeper.
    pub zookeeper_config: ShownZooKeeper,
    /// Those about HTTP.
    pub http_config: ShownHttp,
}

/// `marathon_config`. Times are in milliseconds unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownMarathon {
    /// `--access_control_allow_origin`.
    pub access_control_allow_origin: Option<Vec<String>>,
    /// `--checkpoint`.
    pub checkpoint: bool,
    /// `--decline_offer_duration`.
    pub decline_offer_duration: u64,
    /// `--default_network_name`.
    pub default_network_name: Option<String>,
    /// `--env_vars_prefix`.
    pub env_vars_prefix: Option<String>,
    /// `--executor`.
    pub executor: String,
    /// `--failover_timeout`, in seconds.
    pub failover_timeout: u64,
    /// `--enable_features`.
    pub features: Vec<&'static str>,
    /// `--framework_name`.
    pub framework_name: String,
    /// `--ha`.
    pub ha: bool,
    /// `--hostname`, as it is in effect.
    pub hostname: String,
    /// `--launch_tokens`.
    pub launch_token: u64,
    /// `--launch_token_refresh_interval`.
    pub launch_token_refresh_interval: u64,
    /// `--leader_proxy_connection_timeout`.
    pub leader_proxy_connection_timeout_ms: u64,
    /// `--leader_proxy_read_timeout`.
    pub leader_proxy_read_timeout_ms: u64,
    /// `--local_port_max`.
    pub local_port_max: u64,
    /// `--local_port_min`.
    pub local_port_min: u64,
    /// `--master`, without its password.
    pub master: String,
    /// `--max_instances_per_offer`.
    pub max_instances_per_offer: u64,
    /// `--mesos_bridge_name`.
    pub mesos_bridge_name: String,
    /// `--mesos_heartbeat_failure_threshold`.
    pub mesos_heartbeat_failure_threshold: u64,
    /// `--mesos_heartbeat_interval`.
    pub mesos_heartbeat_interval: u64,
    /// `--mesos_leader_ui_url`.
    pub mesos_leader_ui_url: Option<String>,
    /// `--mesos_role`.
    pub mesos_role: String,
    /// `--mesos_user`, as it is in effect.
    pub mesos_user: String,
    /// `--new_group_enforce_role`: `Off` or `Top`.
    pub new_group_enforce_role: &'static str,
    /// `--min_revive_offers_interval`.
    pub min_revive_offers_interval: u64,
    /// `--offer_matching_timeout`.
    pub offer_matching_timeout: u64,
    /// `--on_elected_prepare_timeout`.
    pub on_elected_prepare_timeout: u64,
    /// `--reconciliation_initial_delay`.
    pub reconciliation_initial_delay: u64,
    /// `--reconciliation_interval`.
    pub reconciliation_interval: u64,
    /// `--scale_apps_initial_delay`.
    pub scale_apps_initial_delay: u64,
    /// `--scale_apps_interval`.
    pub scale_apps_interval: u64,
    /// `--store_cache`.
    pub store_cache: bool,
    /// `--task_launch_confirm_timeout`.
    pub task_launch_confirm_timeout: u64,
    /// `--task_launch_timeout`.
    pub task_launch_timeout: u64,
    /// `--task_lost_expunge_initial_delay`.
    pub task_lost_expunge_initial_delay: u64,
    /// `--task_lost_expunge_interval`.
    pub task_lost_expunge_interval: u64,
    /// `--task_reservation_timeout`.
    pub task_reservation_timeout: u64,
    /// `--webui_url`.
    pub webui_url: Option<String>,
    /// `--maintenance_mode`.
    pub maintenance_mode: bool,
}

/// `zookeeper_config`. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownZooKeeper {
    /// `--zk`, without its password; empty when there is none.
    pub zk: String,
    /// `--zk_compression`.
    pub zk_compression: bool,
    /// `--zk_compression_threshold`.
    pub zk_compression_threshold: u64,
    /// `--zk_connection_timeout`.
    pub zk_connection_timeout: u64,
    /// `--zk_max_node_size`.
    pub zk_max_node_size: u64,
    /// `--zk_max_versions`.
    pub zk_max_versions: u64,
    /// `--zk_session_timeout`.
    pub zk_session_timeout: u64,
    /// `--zk_timeout`.
    pub zk_timeout: u64,
}

/// `http_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownHttp {
    /// `--http_port`: 0 when a free one is taken.
    pub http_port: Option<u64>,
    /// Always none: there is no HTTPS.
    pub https_port: Option<u64>,
}
