//! Makes a `MasterConfig` of the flags.
//! Reads no source itself; `values` has done that.

use std::path::PathBuf;
use std::time::Duration;

use super::error::FlagError;
use super::start::log_level;
use super::values::Values;
use super::{Startup, allocation, host, kind};
use crate::election::{ZkUrl, ZkUrlError};
use crate::master::config::{MasterConfig, RegistryStore};

/// The shortest and longest wait for one ping (Mesos's master flags).
const PING_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));

/// The shortest time agents have to come back (Mesos's master).
const MIN_REREGISTER_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The configuration and how to start with it.
pub(super) fn config(mut values: Values) -> Result<(MasterConfig, Startup), FlagError> {
    let ip = host::ip(&mut values)?;
    let zk: Option<ZkUrl> = match values.text("zk") {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|error: ZkUrlError| values.bad("zk", &error.to_string()))?,
        ),
    };
    let registry = registry(&mut values, zk.is_some())?;
    let work_dir = work_dir(&values, &registry)?;
    let roles = roles(&values);
    let listed = roles.as_ref().map(|roles| roles.iter().cloned().collect());
    let config = MasterConfig {
        ip,
        port: values.number("port")?,
        hostname: host::hostname(&values, ip)?,
        cluster: values.text("cluster").map(str::to_owned),
        work_dir,
        registry,
        zk,
        zk_session_timeout: host::zk_session_timeout(&values)?,
        allocation_interval: allocation::interval(&values)?,
        offer_timeout: values.optional("offer_timeout", "a duration", super::parse_duration)?,
        agent_ping_timeout: agent_ping_timeout(&values)?,
        max_agent_ping_timeouts: max_agent_ping_timeouts(&values)?,
        agent_reregister_timeout: agent_reregister_timeout(&values)?,
        recovery_agent_removal_limit: share(&values, "recovery_agent_removal_limit")?,
        agent_removal_rate_limit: agent_removal_rate_limit(&values)?,
        mass_removal_limit: share(&values, "mass_removal_limit")?,
        registry_fetch_timeout: values.duration("registry_fetch_timeout")?,
        registry_store_timeout: values.duration("registry_store_timeout")?,
        registry_gc_interval: registry_gc_interval(&values)?,
        registry_max_agent_age: values.duration("registry_max_agent_age")?,
        registry_max_agent_count: values.number("registry_max_agent_count")?,
        max_completed_frameworks: values.number("max_completed_frameworks")?,
        publish_per_framework_metrics: values.bool("publish_per_framework_metrics")?,
        max_completed_tasks_per_framework: values.number("max_completed_tasks_per_framework")?,
        max_unreachable_tasks_per_framework: values
            .number("max_unreachable_tasks_per_framework")?,
        max_operator_event_stream_subscribers: values
            .number("max_operator_event_stream_subscribers")?,
        roles,
        root_submissions: values.bool("root_submissions")?,
        weights: allocation::weights(&values, listed.as_ref())?,
        role_sorter: allocation::sorter(&values, "role_sorter")?,
        framework_sorter: allocation::sorter(&values, "framework_sorter")?,
        allocator_agent_recovery_factor: allocation::recovery_factor(&values)?,
        allocator_recovery_timeout: values.duration("allocator_recovery_timeout")?,
        whitelist: allocation::whitelist(&mut values)?,
        domain: host::domain(&values)?,
        require_agent_domain: values.bool("require_agent_domain")?,
        min_allocatable_resources: allocation::min_allocatable_resources(&values)?,
        filter_gpu_resources: values.bool("filter_gpu_resources")?,
        fair_sharing_excluded_resource_names: allocation::excluded_names(&values)?,
        offer_constraints_re2_max_mem: re2_max_mem(&values)?,
        offer_constraints_re2_max_program_size: values
            .number("offer_constraints_re2_max_program_size")?,
        flags: values.all(),
    };
    let log_level = log_level(&values)?;
    Ok((
        config,
        Startup {
            notes: values.take_notes(),
            log_level,
        },
    ))
}

fn work_dir(values: &Values, registry: &RegistryStore) -> Result<Option<PathBuf>, FlagError> {
    let work_dir = values.path("work_dir")?;
    if work_dir.is_none() && *registry == RegistryStore::File {
        return Err(FlagError::Required {
            name: "work_dir",
            why: "the registry is kept below it; give --work_dir=DIR, or --registry=in_memory to \
                  keep nothing",
        });
    }
    Ok(work_dir)
}

/// The flag `registry`. Mesos's replicated log becomes the store that several masters share, or
/// else the file, which is said when asked for.
fn registry(values: &mut Values, is_elected: bool) -> Result<RegistryStore, FlagError> {
    match (values.text("registry"), is_elected) {
        (Some("in_memory"), _) => Ok(RegistryStore::InMemory),
        (Some("file"), false) => Ok(RegistryStore::File),
        (Some("file"), true) => Err(values.bad(
            "registry",
            "'zk' or 'in_memory': with --zk another master may lead next, which has another file",
        )),
        (Some("zk" | "replicated_log"), true) => Ok(RegistryStore::ZooKeeper),
        (Some("zk"), false) => Err(values.bad("registry", "'file' or 'in_memory' without --zk")),
        (Some("replicated_log"), false) => {
            if values.is_given("registry") {
                values.note(
                    "flag 'registry': 'replicated_log' is kept as one file below --work_dir, which \
                     is what 'file' means; there are no replicas"
                        .to_owned(),
                );
            }
            Ok(RegistryStore::File)
        }
        _ => Err(values.bad("registry", "'file', 'zk', 'replicated_log' or 'in_memory'")),
    }
}

fn agent_ping_timeout(values: &Values) -> Result<Duration, FlagError> {
    let timeout = values.duration("agent_ping_timeout")?;
    let (least, most) = PING_TIMEOUT;
    if timeout < least || timeout > most {
        return Err(values.bad("agent_ping_timeout", "a duration between 1secs and 15mins"));
    }
    Ok(timeout)
}

fn max_agent_ping_timeouts(values: &Values) -> Result<u32, FlagError> {
    match values.number("max_agent_ping_timeouts")? {
        0 => Err(values.bad("max_agent_ping_timeouts", "a number of at least 1")),
        count => Ok(count),
    }
}

fn agent_reregister_timeout(values: &Values) -> Result<Duration, FlagError> {
    let timeout = values.duration("agent_reregister_timeout")?;
    if timeout < MIN_REREGISTER_TIMEOUT {
        return Err(values.bad("agent_reregister_timeout", "a duration of at least 10mins"));
    }
    Ok(timeout)
}

fn share(values: &Values, name: &'static str) -> Result<f64, FlagError> {
    let read = |text: &str| text.strip_suffix('%')?.trim().parse::<f64>().ok();
    values.parse(name, "a share such as 50%", |text| {
        read(text).filter(|share| (0.0..=100.0).contains(share))
    })
}

/// So many in such a time, evenly spread, as in Mesos.
fn agent_removal_rate_limit(values: &Values) -> Result<Option<Duration>, FlagError> {
    let read = |text: &str| {
        let (count, time) = text.split_once('/')?;
        let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
        let time = super::parse_duration(time.trim()).filter(|time| !time.is_zero())?;
        Some(time / count)
    };
    values.optional(
        "agent_removal_rate_limit",
        "a number of agents per time such as 1/10mins",
        read,
    )
}

fn registry_gc_interval(values: &Values) -> Result<Duration, FlagError> {
    match values.duration("registry_gc_interval")? {
        Duration::ZERO => Err(values.bad("registry_gc_interval", "a duration above 0secs")),
        interval => Ok(interval),
    }
}

fn roles(values: &Values) -> Option<Vec<String>> {
    let roles = values
        .text("roles")?
        .split(',')
        .filter(|role| !role.is_empty());
    Some(roles.map(str::to_owned).collect())
}

fn re2_max_mem(values: &Values) -> Result<usize, FlagError> {
    values.parse(
        "offer_constraints_re2_max_mem",
        kind::Kind::Bytes.expected(),
        |text| usize::try_from(super::parse_bytes(text)?).ok(),
    )
}
