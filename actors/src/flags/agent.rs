//! Makes an `AgentConfig` of the flags.
//! Reads no source itself; `values` has done that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::FlagError;
use super::start::log_level;
use super::values::Values;
use super::{Startup, host};
use crate::agent::config::AgentConfig;

/// The configuration and how to start with it.
pub(super) fn config(mut values: Values) -> Result<(AgentConfig, Startup), FlagError> {
    let ip = host::ip(&mut values)?;
    let work_dir = values.path("work_dir")?.ok_or(FlagError::Required {
        name: "work_dir",
        why: "sandboxes are kept below it; give --work_dir=DIR",
    })?;
    let launcher_dir = launcher_dir(&values)?;
    let mut flags = values.all();
    flags.insert(
        "launcher_dir".to_owned(),
        launcher_dir.to_string_lossy().into_owned(),
    );
    let config = AgentConfig {
        ip,
        port: values.number("port")?,
        hostname: host::hostname(&values, ip)?,
        master: master(&values)?,
        work_dir,
        resources: values.text("resources").map(str::to_owned),
        attributes: values.text("attributes").map(str::to_owned),
        domain: host::domain(&values)?,
        default_role: values.parse("default_role", "a role", |role| Some(role.to_owned()))?,
        launcher_dir,
        executor_registration_timeout: values.duration("executor_registration_timeout")?,
        executor_shutdown_grace_period: values.duration("executor_shutdown_grace_period")?,
        executor_environment_variables: executor_environment(&values)?,
        switch_user: values.bool("switch_user")?,
        registration_backoff_factor: values.duration("registration_backoff_factor")?,
        max_completed_executors_per_framework: values
            .number("max_completed_executors_per_framework")?,
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

/// The flag `master` as `host:port`; Mesos also writes `master@host:port`.
fn master(values: &Values) -> Result<String, FlagError> {
    let Some(text) = values.text("master") else {
        return Err(FlagError::Required {
            name: "master",
            why: "the agent belongs to a master; give --master=HOST:PORT",
        });
    };
    let text = text.trim();
    if text.starts_with("zk://") {
        let expected =
            "host:port; masters found through ZooKeeper are not supported in this version";
        return Err(values.bad("master", expected));
    }
    let address = text.strip_prefix("master@").unwrap_or(text);
    let right = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !right {
        return Err(values.bad("master", "host:port, such as 127.0.0.1:5050"));
    }
    Ok(address.to_owned())
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
