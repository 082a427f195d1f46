//! What can be wrong with flags, said so that a user can put it right.
//! Decides nothing.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a flag's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// This environment variable.
    Environment(String),
    /// This file of the configuration directory.
    ConfigFile(PathBuf),
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("on the command line"),
            Origin::Environment(name) => write!(f, "in the environment variable {name}"),
            Origin::Default => f.write_str("by default"),
            Origin::ConfigFile(path) => write!(f, "in the file '{}'", path.display()),
        }
    }
}

/// Why flags are refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FlagError {
    /// No flag has this name.
    #[error("unknown flag '{name}' {origin}{}", suggestion(close))]
    Unknown {
        /// The name as given.
        name: String,
        /// Where it was given.
        origin: Origin,
        /// Names that look like it.
        close: Vec<&'static str>,
    },
    /// Mesos knows the flag, this version does not support it.
    #[error(
        "flag '{name}' {origin} is a flag of Mesos that this version of Tepui does not support yet; \
         leave it out"
    )]
    Unsupported {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// Mesos knows the value, this version does not support it.
    #[error(
        "flag '{name}' {origin} has the value '{value}', which this version of Tepui does not support; \
         expected {}",
        choices(supported)
    )]
    UnsupportedValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// The value.
        value: String,
        /// The values this version supports.
        supported: Vec<&'static str>,
    },
    /// The value does not fit the flag.
    #[error("flag '{name}' {origin} has the value '{value}'; expected {expected}")]
    BadValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// The value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A flag with a value was given without one.
    #[error("flag '{name}' {origin} has no value; write --{name}=VALUE, as one argument")]
    MissingValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// `--no-name` for a flag that is not a boolean, or together with a value.
    #[error("'--no-{name}' {origin} is wrong: {why}")]
    BadNegation {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// Why.
        why: &'static str,
    },
    /// The same flag twice at the same place, perhaps once under its old name.
    #[error("flag '{name}' is given twice {origin} (as '{first}' and '{second}'); give it once")]
    Twice {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// One spelling.
        first: String,
        /// The other spelling.
        second: String,
    },
    /// A flag without default is missing.
    #[error("flag '{name}' is required: {why}")]
    Required {
        /// The flag.
        name: &'static str,
        /// Why and what to give.
        why: &'static str,
    },
    /// A word on the command line that is no flag.
    #[error("unexpected argument '{0}'; flags are written --name=value, as one argument")]
    Argument(String),
    /// A flag or value that is not UTF-8.
    #[error("'{0}' is not valid UTF-8")]
    NotUnicode(String),
    /// A file named by a value or found in the configuration directory cannot be read.
    #[error("cannot read '{}' for flag '{name}' {origin}: {why}", path.display())]
    Unreadable {
        /// The flag.
        name: String,
        /// Where it was given.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        why: String,
    },
    /// The configuration directory cannot be read.
    #[error(
        "cannot read the directory '{}' given by flag 'config_dir' {origin}: {why}", path.display()
    )]
    ConfigDir {
        /// Where it was given.
        origin: Origin,
        /// The directory.
        path: PathBuf,
        /// The operating system's reason.
        why: String,
    },
}

/// `; did you mean 'a' or 'b'?`, or nothing.
fn suggestion(close: &[&'static str]) -> String {
    if close.is_empty() {
        return "; --help lists all flags".to_owned();
    }
    format!("; did you mean {}?", choices(close))
}

/// `'a' or 'b'`.
fn choices(values: &[&'static str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    quoted.join(" or ")
}
