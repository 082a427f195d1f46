//! Makes an `AgentConfig` of the flags.
//! Reads no source itself; `values` has done that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tepui_core::agent::garbage::GarbageSettings;
use tepui_core::agent::recovery::ReconfigurationPolicy;

use super::error::FlagError;
use super::start::log_level;
use super::values::Values;
use super::{Startup, containers, host, logs};
use crate::agent::config::{AgentConfig, BOOT_ID, Recover};
use crate::election::Masters;

/// The longest time executors have to come back (Mesos's agent).
const MAX_REREGISTRATION_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration and how to start with it.
pub(super) fn config(mut values: Values) -> Result<(AgentConfig, Startup), FlagError> {
    let ip = host::ip(&mut values)?;
    let work_dir = values.path("work_dir")?.ok_or(FlagError::Required {
        name: "work_dir",
        why: "sandboxes are kept below it; give --work_dir=DIR",
    })?;
    let launcher_dir = launcher_dir(&values)?;
    let containerizer = containers::config(&values, ip)?;
    let mut flags = values.all();
    // What was found out is shown as if it had been given.
    flags.insert(
        "launcher_dir".to_owned(),
        launcher_dir.to_string_lossy().into_owned(),
    );
    flags.insert(
        "launcher".to_owned(),
        containerizer.launcher.name().to_owned(),
    );
    let config = AgentConfig {
        ip,
        port: values.number("port")?,
        hostname: host::hostname(&values, ip)?,
        master: master(&values)?,
        zk_session_timeout: host::zk_session_timeout(&values)?,
        work_dir,
        boot_id_file: BOOT_ID.into(),
        resources: values.text("resources").map(str::to_owned),
        attributes: values.text("attributes").map(str::to_owned),
        domain: host::domain(&values)?,
        default_role: values.parse("default_role", "a role", |role| Some(role.to_owned()))?,
        launcher_dir,
        frameworks_home: values
            .text("frameworks_home")
            .unwrap_or_default()
            .to_owned(),
        fetcher_cache_dir: values.parse("fetcher_cache_dir", "a path", |text| {
            std::path::absolute(text).ok()
        })?,
        fetcher_cache_size: values.bytes("fetcher_cache_size")?,
        fetcher_stall_timeout: values.duration("fetcher_stall_timeout")?,
        executor_registration_timeout: values.duration("executor_registration_timeout")?,
        executor_shutdown_grace_period: values.duration("executor_shutdown_grace_period")?,
        executor_environment_variables: executor_environment(&values)?,
        switch_user: values.bool("switch_user")?,
        container_logger: logs::config(&values)?,
        no_new_privs: values.bool("no_new_privs")?,
        containerizer,
        recover: recover(&values)?,
        reconfiguration_policy: reconfiguration_policy(&values)?,
        recovery_timeout: values.duration("recovery_timeout")?,
        executor_reregistration_timeout: executor_reregistration_timeout(&values)?,
        registration_backoff_factor: values.duration("registration_backoff_factor")?,
        max_completed_executors_per_framework: values
            .number("max_completed_executors_per_framework")?,
        garbage: garbage(&values)?,
        disk_watch_interval: values.duration("disk_watch_interval")?,
        flags,
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

fn garbage(values: &Values) -> Result<GarbageSettings, FlagError> {
    Ok(GarbageSettings {
        delay: values.duration("gc_delay")?,
        disk_headroom: headroom(values)?,
        containers: values.bool("gc_non_executor_container_sandboxes")?,
    })
}

/// The flag `master`: an address, or where masters meet in ZooKeeper.
fn master(values: &Values) -> Result<Masters, FlagError> {
    let Some(text) = values.text("master") else {
        return Err(FlagError::Required {
            name: "master",
            why: "the agent belongs to a master; give --master=HOST:PORT, or \
                  --master=zk://HOST:PORT,.../PATH",
        });
    };
    text.parse::<Masters>()
        .map_err(|error| values.bad("master", &error.to_string()))
}

/// The flag `gc_disk_headroom`: a share of the disk.
fn headroom(values: &Values) -> Result<f64, FlagError> {
    values.parse("gc_disk_headroom", "a number from 0 to 1", |text| {
        let share = text.parse::<f64>().ok();
        share.filter(|share| (0.0..=1.0).contains(share))
    })
}

fn recover(values: &Values) -> Result<Recover, FlagError> {
    match values.text("recover") {
        Some("reconnect") => Ok(Recover::Reconnect),
        Some("cleanup") => Ok(Recover::Cleanup),
        _ => Err(values.bad("recover", "'reconnect' or 'cleanup'")),
    }
}

fn reconfiguration_policy(values: &Values) -> Result<ReconfigurationPolicy, FlagError> {
    match values.text("reconfiguration_policy") {
        Some("equal") => Ok(ReconfigurationPolicy::Equal),
        Some("additive") => Ok(ReconfigurationPolicy::Additive),
        _ => Err(values.bad("reconfiguration_policy", "'equal' or 'additive'")),
    }
}

fn executor_reregistration_timeout(values: &Values) -> Result<Duration, FlagError> {
    let timeout = values.duration("executor_reregistration_timeout")?;
    if timeout > MAX_REREGISTRATION_TIMEOUT {
        return Err(values.bad(
            "executor_reregistration_timeout",
            "a duration of at most 15secs",
        ));
    }
    Ok(timeout)
}

/// The flag `launcher_dir`; the directory of this very program when not given, as all programs of
/// Tepui are installed together. (Mesos's default is a directory of its own installation.)
fn launcher_dir(values: &Values) -> Result<PathBuf, FlagError> {
    if values.is_given("launcher_dir") {
        return values.parse("launcher_dir", "a path", |text| {
            std::path::absolute(text).ok()
        });
    }
    let own = std::env::current_exe().ok();
    let dir = own
        .as_deref()
        .and_then(|program| program.parent())
        .map(PathBuf::from);
    dir.ok_or(FlagError::Required {
        name: "launcher_dir",
        why: "the directory of this program cannot be found out; give --launcher_dir=DIR",
    })
}

/// The flag `executor_environment_variables`: a JSON object of strings.
fn executor_environment(values: &Values) -> Result<Option<BTreeMap<String, String>>, FlagError> {
    let expected = "a JSON object in which every value is a string";
    values.optional("executor_environment_variables", expected, |text| {
        serde_json::from_str(text).ok()
    })
}
