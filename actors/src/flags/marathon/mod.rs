//! The flags of the app manager, with Marathon's names, defaults, environment names and value forms.
//! Does not act on them: it checks them and fills `MarathonConfig`.
//!
//! Every flag is declared once, in `tables`. A flag that Marathon knows and this version does not
//! support is refused when given, wherever it comes from; one that can make no difference here is
//! accepted with a logged note that says why.
//!
//! A value comes from, in this order: the command line (`--name VALUE`, `--name=VALUE`, and for
//! toggles `--name` and `--disable_name`), the environment (`MARATHON_NAME`, where an empty value
//! means a flag without one), the few variables with other names, the default.

mod config;
mod connect;
mod error;
mod help;
mod kind;
mod shown;
mod sources;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;

pub use error::MarathonFlagError;

use super::{Parsed, Startup};
use crate::marathon::config::MarathonConfig;

/// The status an app manager ends with when its flags are wrong. Marathon.
pub const BAD_FLAG_STATUS: u8 = 112;

/// Reads the flags of an app manager. `args` are the arguments after the program's name.
///
/// # Errors
/// A `MarathonFlagError` names the flag, where its value came from, and what would be right.
pub fn marathon(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<(MarathonConfig, Startup)>, MarathonFlagError> {
    match values::load(args, env)? {
        Parsed::Run(values) => config::config(values).map(Parsed::Run),
        Parsed::Print(text) => Ok(Parsed::Print(text)),
    }
}
