//! Makes a `MarathonConfig` of the flags.
//! Reads no source itself; `values` has done that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tepui_core::marathon::definition::{self, AcceptedRoles, Feature};
use tepui_core::marathon::engine::EngineSettings;
use tepui_core::marathon::manager::ManagerSettings;
use tepui_core::marathon::matching::{DefaultRoles, GpuScheduling, MatchSettings};
use tepui_core::marathon::task::TaskSettings;
use tepui_core::resources::roles::validate_role;
use tracing::Level;

use super::connect;
use super::error::MarathonFlagError;
use super::shown;
use super::values::Values;
use crate::flags::{Startup, host};
use crate::marathon::config::{
    HttpSettings, MarathonConfig, MetricsSettings, ProxySettings, StatePlace,
};

/// What `--deprecated_features` may have named once; all have been removed. Marathon.
const REMOVED_FEATURES: [&str; 8] = [
    "api_heavy_events",
    "app_c",
    "json_schemas_resource",
    "kamon_metrics",
    "proxy_events",
    "sanitize_accepted_resource_roles",
    "sync_proxy",
    "text_plain_tasks",
];

/// The configuration and how to start with it.
pub(super) fn config(mut values: Values) -> Result<(MarathonConfig, Startup), MarathonFlagError> {
    removed_features(&values)?;
    let master = connect::master(&values)?;
    let state = connect::state(&mut values)?;
    let http = http(&values)?;
    let http_address = http_address(&mut values, http.http_credentials.is_some())?;
    let hostname = hostname(&mut values, http_address, &state)?;
    let framework = connect::framework(&values)?;
    let manager = manager(&values)?;
    let features = &manager.definition.features;
    let shown = shown::flags(&values, &hostname, &framework.mesos_user, features)?;
    let config = MarathonConfig {
        master,
        credentials: connect::credentials(&mut values)?,
        driver: connect::limits(&values)?,
        framework,
        http_address,
        http_port: values.number("http_port")?,
        hostname,
        http,
        proxy: ProxySettings {
            leader_proxy_max_open_connections: values
                .number("leader_proxy_max_open_connections")?,
            leader_proxy_connection_timeout: values.millis("leader_proxy_connection_timeout")?,
            leader_proxy_read_timeout: values.millis("leader_proxy_read_timeout")?,
        },
        state,
        on_elected_prepare_timeout: values.millis("on_elected_prepare_timeout")?,
        graceful_shutdown_timeout: values.millis("graceful_shutdown_timeout")?,
        manager,
        max_concurrent_marathon_health_checks: values
            .number("max_concurrent_marathon_health_checks")?,
        metrics: metrics(&values)?,
        shown,
    };
    let startup = Startup {
        log_level: log_level(&values),
        notes: values.take_notes(),
    };
    Ok((config, startup))
}

/// The flag `logging_level`; what it cannot be has been refused before.
fn log_level(values: &Values) -> Option<Level> {
    match values.text("logging_level") {
        Some("off") => None,
        Some("error") => Some(Level::ERROR),
        Some("warn") => Some(Level::WARN),
        Some("debug") => Some(Level::DEBUG),
        Some("trace" | "all") => Some(Level::TRACE),
        _ => Some(Level::INFO),
    }
}

/// The flag `deprecated_features`: there is none left to be kept.
fn removed_features(values: &Values) -> Result<(), MarathonFlagError> {
    for entry in values.list("deprecated_features") {
        let name = entry.strip_prefix("disable_").unwrap_or(&entry);
        if !REMOVED_FEATURES.contains(&name) {
            let known = format!(
                "names of features that Marathon once had with disable_ in front; '{name}' is none \
                 of them: {}",
                REMOVED_FEATURES.join(", ")
            );
            return Err(values.bad("deprecated_features", &known));
        }
        if name == entry {
            let removed = format!(
                "no feature to be kept: '{name}' has been removed; leave it out, or write \
                 disable_{name}"
            );
            return Err(values.bad("deprecated_features", &removed));
        }
    }
    Ok(())
}

fn http(values: &Values) -> Result<HttpSettings, MarathonFlagError> {
    let read = |text: &str| {
        let (user, password) = text.split_once(':')?;
        let both = !user.is_empty() && !password.is_empty();
        both.then(|| (user.to_owned(), password.to_owned()))
    };
    let in_header = |text: &str| {
        let right = text.chars().all(|c| !c.is_control() && !"\"\\".contains(c));
        (right && !text.is_empty()).then(|| text.to_owned())
    };
    let realm = "a text without quotation marks, backslashes and control characters";
    let origins = values.list("access_control_allow_origin");
    let is_origin = |origin: &String| origin.chars().all(|c| c.is_ascii_graphic());
    if !origins.iter().all(is_origin) {
        let expected = "'*', or origins such as http://example.com with commas between";
        return Err(values.bad("access_control_allow_origin", expected));
    }
    Ok(HttpSettings {
        http_credentials: values.optional(
            "http_credentials",
            "user:password, neither of them empty",
            read,
        )?,
        http_realm: values
            .optional("http_realm", realm, in_header)?
            .unwrap_or_default(),
        http_compression: values.is_on("http_compression"),
        access_control_allow_origin: origins,
        http_max_concurrent_requests: values.optional_number("http_max_concurrent_requests")?,
    })
}

/// The flag `http_address`; loopback when not given, so that nothing is open to others by accident.
fn http_address(values: &mut Values, is_guarded: bool) -> Result<IpAddr, MarathonFlagError> {
    const EXPECTED: &str = "an IP address such as 127.0.0.1, or 0.0.0.0 for all";
    let address = values.optional("http_address", EXPECTED, |text| text.trim().parse().ok())?;
    let address: IpAddr = address.ok_or_else(|| values.bad("http_address", EXPECTED))?;
    if !address.is_loopback() && !is_guarded {
        values.note(format!(
            "listening on {address}, which others can reach, without --http_credentials: whoever can \
             connect can run programs on this cluster"
        ));
    }
    Ok(address)
}

/// The flag `hostname`; else the name that belongs to the address, else the address.
fn hostname(
    values: &mut Values,
    address: IpAddr,
    state: &StatePlace,
) -> Result<String, MarathonFlagError> {
    let name = |text: &str| {
        let text = text.trim();
        let right = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/');
        right.then(|| text.to_owned())
    };
    let given = values.optional("hostname", "a name or an address, without port", name)?;
    if let Some(given) = given {
        return Ok(given);
    }
    if address.is_loopback() && matches!(state, StatePlace::ZooKeeper { .. }) {
        values.note(format!(
            "listening on {address}, where other instances on other machines cannot pass requests \
             on to; give --http_address and --hostname to let them"
        ));
    }
    Ok(host::lookup(address).unwrap_or_else(|| address.to_string()))
}

fn manager(values: &Values) -> Result<ManagerSettings, MarathonFlagError> {
    Ok(ManagerSettings {
        definition: definition_settings(values)?,
        engine: engine_settings(values)?,
        matching: match_settings(values)?,
        task: TaskSettings {
            env_vars_prefix: values
                .text("env_vars_prefix")
                .unwrap_or_default()
                .to_owned(),
            mesos_bridge_name: values.full_text("mesos_bridge_name")?,
            executor: values.full_text("executor")?,
        },
        max_instances_per_offer: values.number("max_instances_per_offer")?,
        decline_offer_duration: values.millis("decline_offer_duration")?,
        max_versions: values.number("zk_max_versions")?,
    })
}

fn definition_settings(values: &Values) -> Result<definition::Settings, MarathonFlagError> {
    let mesos_role = values.full_text("mesos_role")?;
    validate_role(&mesos_role)
        .map_err(|error| values.bad("mesos_role", &format!("the name of a role ({error})")))?;
    let (local_port_min, local_port_max): (u16, u16) = (
        values.number("local_port_min")?,
        values.number("local_port_max")?,
    );
    if local_port_min > local_port_max {
        let expected = format!("a port of at most {local_port_max}, which is --local_port_max");
        return Err(values.bad("local_port_min", &expected));
    }
    let accepted = match values.text("accepted_resource_roles_default_behavior") {
        Some("unreserved") => AcceptedRoles::Unreserved,
        Some("reserved") => AcceptedRoles::Reserved,
        _ => AcceptedRoles::Any,
    };
    Ok(definition::Settings {
        mesos_role,
        default_network_name: values.optional_text("default_network_name")?,
        mesos_bridge_name: values.full_text("mesos_bridge_name")?,
        features: features(values)?,
        local_port_min,
        local_port_max,
        new_group_enforce_role: values.text("new_group_enforce_role") == Some("top"),
        accepted_resource_roles_default_behavior: accepted,
    })
}

fn features(values: &Values) -> Result<BTreeSet<Feature>, MarathonFlagError> {
    let read = |name: String| {
        Feature::from_name(&name).ok_or_else(|| {
            let expected = format!(
                "some of vips, task_killing, external_volumes, secrets and gpu_resources, with \
                 commas between; '{name}' is none of them"
            );
            values.bad("enable_features", &expected)
        })
    };
    let names = values.list("enable_features").into_iter();
    names.map(read).collect()
}

fn engine_settings(values: &Values) -> Result<EngineSettings, MarathonFlagError> {
    let step = values.optional_number("deployment_step_timeout")?;
    Ok(EngineSettings {
        launch_tokens: values.number("launch_tokens")?,
        launch_token_refresh_interval: values.millis("launch_token_refresh_interval")?,
        kill_chunk_size: values.number("kill_chunk_size")?,
        kill_retry_timeout: values.millis("kill_retry_timeout")?,
        task_launch_confirm_timeout: values.millis("task_launch_confirm_timeout")?,
        task_launch_timeout: values.millis("task_launch_timeout")?,
        task_reservation_timeout: values.millis("task_reservation_timeout")?,
        task_lost_expunge_initial_delay: values.millis("task_lost_expunge_initial_delay")?,
        reconciliation_initial_delay: values.millis("reconciliation_initial_delay")?,
        reconciliation_interval: values.millis("reconciliation_interval")?,
        scale_apps_initial_delay: values.millis("scale_apps_initial_delay")?,
        scale_apps_interval: values.millis("scale_apps_interval")?,
        min_revive_offers_interval: values.millis("min_revive_offers_interval")?,
        suppress_offers: values.is_on("suppress_offers"),
        max_running_deployments: values.number("max_running_deployments")?,
        deployment_step_timeout: step.map(Duration::from_millis),
        ..EngineSettings::default()
    })
}

fn match_settings(values: &Values) -> Result<MatchSettings, MarathonFlagError> {
    let default_roles = match values.text("accepted_resource_roles_default_behavior") {
        Some("unreserved") => DefaultRoles::Unreserved,
        Some("reserved") => DefaultRoles::Reserved,
        _ => DefaultRoles::Any,
    };
    let gpu_scheduling = match values.text("gpu_scheduling_behavior") {
        Some("unrestricted") => GpuScheduling::Unrestricted,
        _ => GpuScheduling::Restricted,
    };
    Ok(MatchSettings {
        default_roles,
        gpu_scheduling,
        maintenance_mode: values.is_on("maintenance_mode"),
        draining: values.seconds("draining_seconds")?,
        // The master tells it.
        local_region: None,
        executor: values.full_text("executor")?,
    })
}

fn metrics(values: &Values) -> Result<MetricsSettings, MarathonFlagError> {
    let interval = values.millis("metrics_histogram_reservoir_resetting_interval_ms")?;
    let resets = values.is_on("metrics_histogram_reservoir_reset_periodically");
    Ok(MetricsSettings {
        metrics_name_prefix: values.full_text("metrics_name_prefix")?,
        metrics_prometheus: values.is_on("metrics_prometheus"),
        metrics_histogram_reservoir_highest_trackable_value: values
            .number("metrics_histogram_reservoir_highest_trackable_value")?,
        metrics_histogram_reservoir_significant_digits: values
            .number("metrics_histogram_reservoir_significant_digits")?,
        metrics_histogram_reservoir_resetting_interval: resets.then_some(interval),
    })
}
