//! The flags of master and agent, with Mesos's names, defaults, environment names and value forms.
//! Does not act on them: it checks them and fills `MasterConfig` and `AgentConfig`. Those of the app
//! manager, which are Marathon's, are in `marathon`.
//!
//! Every flag is declared once, in `tables`. A flag that Mesos knows and this version does not
//! support is refused when given, wherever it comes from: it is never silently ignored.
//!
//! A value comes from, in this order: the command line (`--name=value`, `--name`, `--no-name`), the
//! environment (`MESOS_NAME`), the directory given by `--config_dir` (one file per flag), the default.

mod agent;
mod allocation;
mod containers;
mod error;
mod help;
mod host;
mod kind;
mod logs;
mod marathon;
mod master;
mod sources;
mod start;
mod table;
mod tables;
mod units;
mod values;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

pub use error::{FlagError, Origin};
pub use marathon::{BAD_FLAG_STATUS, MarathonFlagError, marathon};
pub use start::{PARENT_ARG, start_agent, start_marathon, start_master};
pub use units::{format_bytes, format_duration, parse_bytes, parse_duration};

use crate::agent::config::AgentConfig;
use crate::master::config::MasterConfig;

/// What the flags ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed<C> {
    /// Run with this configuration.
    Run(C),
    /// Print this text and end: `--help` or `--version` was given.
    Print(String),
}

impl<C> Parsed<C> {
    /// Applies `change` to what is to be run.
    fn map<D>(self, change: impl FnOnce(C) -> D) -> Parsed<D> {
        match self {
            Parsed::Run(config) => Parsed::Run(change(config)),
            Parsed::Print(text) => Parsed::Print(text),
        }
    }
}

/// How a program speaks of itself while it starts; kept apart from its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Startup {
    /// Sentences to log as warnings once logging has started.
    pub notes: Vec<String>,
    /// The lowest level that is logged; nothing at all with `--quiet`.
    pub log_level: Option<tracing::Level>,
}

/// Reads the flags of a master. `args` are the arguments after the program's name.
///
/// # Errors
/// A `FlagError` names the flag, where its value came from, and what would be right.
pub fn master(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<MasterConfig>, FlagError> {
    master_with_startup(args, env).map(|parsed| parsed.map(|(config, _)| config))
}

/// Reads the flags of an agent. `args` are the arguments after the program's name.
///
/// # Errors
/// A `FlagError` names the flag, where its value came from, and what would be right.
pub fn agent(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<AgentConfig>, FlagError> {
    agent_with_startup(args, env).map(|parsed| parsed.map(|(config, _)| config))
}

/// As `master`, with what `start_master` needs besides.
///
/// # Errors
/// As `master`.
pub fn master_with_startup(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<(MasterConfig, Startup)>, FlagError> {
    values::load(&tables::MASTER, args, env)?.run(master::config)
}

/// As `agent`, with what `start_agent` needs besides.
///
/// # Errors
/// As `agent`.
pub fn agent_with_startup(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<(AgentConfig, Startup)>, FlagError> {
    values::load(&tables::AGENT, args, env)?.run(agent::config)
}
