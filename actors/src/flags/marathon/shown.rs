//! What GET /v2/info shows of the app manager's flags.
//! Shows no password, and nothing of the flags that Marathon does not show.

use std::collections::BTreeSet;

use tepui_core::marathon::definition::Feature;

use super::connect;
use super::error::MarathonFlagError;
use super::values::{Values, without_password};
use crate::marathon::config::{ShownFlags, ShownHttp, ShownMarathon, ShownZooKeeper};

/// What stands for a password. Marathon.
const HIDDEN: &str = "xxxxxxxx";

/// What stands for a password in a ZooKeeper URL as it is written by `ZkUrl`.
const HIDDEN_IN_URL: &str = ":***@";

/// The flags, with what was found out where none was given.
pub(super) fn flags(
    values: &Values,
    hostname: &str,
    mesos_user: &str,
    features: &BTreeSet<Feature>,
) -> Result<ShownFlags, MarathonFlagError> {
    let names = features.iter().map(|feature| feature.as_str());
    Ok(ShownFlags {
        marathon_config: marathon(values, hostname, mesos_user, names.collect())?,
        zookeeper_config: zookeeper(values)?,
        http_config: ShownHttp {
            http_port: values.optional_number("http_port")?,
            https_port: None,
        },
    })
}

fn marathon(
    values: &Values,
    hostname: &str,
    mesos_user: &str,
    features: Vec<&'static str>,
) -> Result<ShownMarathon, MarathonFlagError> {
    let text = |name: &str| values.text(name).map(str::to_owned);
    let origins = values.is_given("access_control_allow_origin");
    Ok(ShownMarathon {
        access_control_allow_origin: origins.then(|| values.list("access_control_allow_origin")),
        checkpoint: values.is_on("checkpoint"),
        decline_offer_duration: values.number("decline_offer_duration")?,
        default_network_name: text("default_network_name"),
        env_vars_prefix: text("env_vars_prefix"),
        executor: values.full_text("executor")?,
        failover_timeout: values.number("failover_timeout")?,
        features,
        framework_name: values.full_text("framework_name")?,
        ha: values.is_on("ha"),
        hostname: hostname.to_owned(),
        launch_token: values.number("launch_tokens")?,
        launch_token_refresh_interval: values.number("launch_token_refresh_interval")?,
        leader_proxy_connection_timeout_ms: values.number("leader_proxy_connection_timeout")?,
        leader_proxy_read_timeout_ms: values.number("leader_proxy_read_timeout")?,
        local_port_max: values.number("local_port_max")?,
        local_port_min: values.number("local_port_min")?,
        master: master(values)?,
        max_instances_per_offer: values.number("max_instances_per_offer")?,
        mesos_bridge_name: values.full_text("mesos_bridge_name")?,
        mesos_heartbeat_failure_threshold: values.number("mesos_heartbeat_failure_threshold")?,
        mesos_heartbeat_interval: values.number("mesos_heartbeat_interval")?,
        mesos_leader_ui_url: text("mesos_leader_ui_url"),
        mesos_role: values.full_text("mesos_role")?,
        mesos_user: mesos_user.to_owned(),
        new_group_enforce_role: match values.text("new_group_enforce_role") {
            Some("top") => "Top",
            _ => "Off",
        },
        min_revive_offers_interval: values.number("min_revive_offers_interval")?,
        offer_matching_timeout: values.number("offer_matching_timeout")?,
        on_elected_prepare_timeout: values.number("on_elected_prepare_timeout")?,
        reconciliation_initial_delay: values.number("reconciliation_initial_delay")?,
        reconciliation_interval: values.number("reconciliation_interval")?,
        scale_apps_initial_delay: values.number("scale_apps_initial_delay")?,
        scale_apps_interval: values.number("scale_apps_interval")?,
        store_cache: values.is_on("store_cache"),
        task_launch_confirm_timeout: values.number("task_launch_confirm_timeout")?,
        task_launch_timeout: values.number("task_launch_timeout")?,
        task_lost_expunge_initial_delay: values.number("task_lost_expunge_initial_delay")?,
        task_lost_expunge_interval: values.number("task_lost_expunge_interval")?,
        task_reservation_timeout: values.number("task_reservation_timeout")?,
        webui_url: text("webui_url"),
        maintenance_mode: values.is_on("maintenance_mode"),
    })
}

/// As it was given, or as the file holds it that was given.
fn master(values: &Values) -> Result<String, MarathonFlagError> {
    let text = values.text("master").unwrap_or_default().trim();
    if text.starts_with("file://") {
        return Ok(hidden(&connect::master(values)?.to_string()));
    }
    Ok(without_password(text, HIDDEN))
}

/// What was hidden in our way, hidden in Marathon's.
fn hidden(url: &str) -> String {
    url.replace(HIDDEN_IN_URL, &format!(":{HIDDEN}@"))
}

fn zookeeper(values: &Values) -> Result<ShownZooKeeper, MarathonFlagError> {
    let url = connect::zk(values)?.map(|url| hidden(&url.to_string()));
    Ok(ShownZooKeeper {
        zk: url.unwrap_or_default(),
        zk_compression: values.is_on("zk_compression"),
        zk_compression_threshold: values.number("zk_compression_threshold")?,
        zk_connection_timeout: values.number("zk_connection_timeout")?,
        zk_max_node_size: values.number("zk_max_node_size")?,
        zk_max_versions: values.number("zk_max_versions")?,
        zk_session_timeout: values.number("zk_session_timeout")?,
        zk_timeout: values.number("zk_timeout")?,
    })
}
