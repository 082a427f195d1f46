//! Makes a `ContainerLogger` of the flags.
//! Rotates nothing.

use super::error::FlagError;
use super::values::Values;
use crate::agent::config::{ContainerLogger, LOG_SIZE, OPTIONS, Rotation, kept, log_size};

/// The names of the loggers: one of our own for Mesos's default, which has none, and that of Mesos's
/// module.
const SANDBOX: &str = "sandbox";
const LOGROTATE: [&str; 2] = ["logrotate", "org_apache_mesos_LogrotateContainerLogger"];

/// The flag `container_logger`, and those that say how it rotates: named as the parameters of
/// Mesos's module.
pub(super) fn config(values: &Values) -> Result<ContainerLogger, FlagError> {
    let rotation = |size: &'static str, options: &'static str| {
        Ok(Rotation {
            max_size: values.parse(size, LOG_SIZE, log_size)?,
            keep: values.parse(options, OPTIONS, |text| kept(text, 0))?,
        })
    };
    let stdout = rotation("max_stdout_size", "logrotate_stdout_options")?;
    let stderr = rotation("max_stderr_size", "logrotate_stderr_options")?;
    match values.text("container_logger") {
        None | Some(SANDBOX) => Ok(ContainerLogger::Sandbox),
        Some(name) if LOGROTATE.contains(&name) => Ok(ContainerLogger::Logrotate { stdout, stderr }),
        Some(_) => Err(values.bad(
            "container_logger",
            "'sandbox', 'logrotate', or 'org_apache_mesos_LogrotateContainerLogger', which is the same",
        )),
    }
}
