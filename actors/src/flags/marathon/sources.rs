//! Collects the app manager's flags as they were written: command line and environment.
//! Checks no value.

use std::ffi::OsString;

use super::error::MarathonFlagError;
use super::kind::Kind;
use super::table::Flag;
use super::tables;
use crate::flags::Origin;
use crate::flags::values::close_names;

/// What the names of environment variables begin with. Marathon.
const ENV_PREFIX: &str = "MARATHON_";

/// Variables that begin so are those of tasks, among which this program may be one. Marathon.
const TASK_PREFIX: &str = "MARATHON_APP_";

/// A flag as it was written. It may hold a secret, so it is never shown.
pub(super) struct Written {
    /// The flag.
    pub flag: &'static Flag,
    /// Its value; that of switches is `true` or `false`.
    pub value: String,
    /// How it was spelled.
    pub spelling: String,
    /// Where.
    pub origin: Origin,
}

impl Written {
    /// As it was written, without its value.
    pub(super) fn shown_spelling(&self) -> String {
        match &self.origin {
            Origin::Environment(variable) => variable.clone(),
            Origin::CommandLine | Origin::ConfigFile(_) | Origin::Default => {
                format!("--{}", self.spelling)
            }
        }
    }
}

/// The words of the command line; what is not UTF-8 is wrong.
pub(super) fn words(
    args: impl Iterator<Item = OsString>,
) -> Result<Vec<String>, MarathonFlagError> {
    // The word itself may be a secret.
    let word = |(index, arg): (usize, OsString)| {
        let what = || MarathonFlagError::NotUnicode(format!("argument {}", index + 1));
        arg.into_string().map_err(|_| what())
    };
    args.enumerate().map(word).collect()
}

/// Whether a flag without value stands on the command line.
pub(super) fn has(words: &[String], flag: &str) -> bool {
    let flags = words.iter().take_while(|word| *word != "--");
    let mut names = flags.filter_map(|word| word.strip_prefix("--"));
    names.any(|name| name == flag)
}

/// Reads `--name VALUE`, `--name=VALUE`, `--name` and `--disable_name`; nothing may follow `--`.
pub(super) fn command_line(words: Vec<String>) -> Result<Vec<Written>, MarathonFlagError> {
    let mut written: Vec<Written> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let Some(spelled) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            if word == "--" && words.peek().is_none() {
                break;
            }
            let behind_secret = written
                .last()
                .is_some_and(|flag| tables::is_secret(flag.flag));
            return Err(MarathonFlagError::Argument(
                (!behind_secret).then_some(word),
            ));
        };
        let (name, value) = match spelled.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (spelled, None),
        };
        let (flag, off) = find(name, &Origin::CommandLine)?;
        let value = match value {
            None if !flag.kind.is_switch() => words.next_if(|word| !word.starts_with("--")),
            value => value,
        };
        written.push(resolve(flag, off, name, value, Origin::CommandLine)?);
    }
    Ok(written)
}

/// Reads the variables `MARATHON_NAME`; an empty one gives the flag without a value.
pub(super) fn environment(env: &[(OsString, OsString)]) -> Result<Vec<Written>, MarathonFlagError> {
    let mut variables: Vec<(&str, &OsString)> = env
        .iter()
        .filter_map(|(key, value)| Some((key.to_str()?, value)))
        .filter(|(key, _)| key.starts_with(ENV_PREFIX) && !key.starts_with(TASK_PREFIX))
        .collect();
    variables.sort_unstable();
    let read = |(key, value): (&str, &OsString)| {
        let name = key.strip_prefix(ENV_PREFIX).unwrap_or(key).to_lowercase();
        let origin = Origin::Environment(key.to_owned());
        let value = text(key, value)?;
        let value = Some(value).filter(|value| !value.is_empty());
        let (flag, off) = find(&name, &origin)?;
        resolve(flag, off, &name, value, origin)
    };
    variables.into_iter().map(read).collect()
}

/// Reads the variables with other names.
pub(super) fn other_environment(
    env: &[(OsString, OsString)],
) -> Result<Vec<Written>, MarathonFlagError> {
    let mut written = Vec::new();
    for (name, variable) in tables::OTHER_ENV {
        let Some((_, value)) = env.iter().find(|(key, _)| key == variable) else {
            continue;
        };
        let origin = Origin::Environment((*variable).to_owned());
        let (flag, off) = find(name, &origin)?;
        let value = Some(text(variable, value)?);
        written.push(resolve(flag, off, name, value, origin)?);
    }
    Ok(written)
}

fn text(variable: &str, value: &OsString) -> Result<String, MarathonFlagError> {
    let what = || format!("the value of the environment variable {variable}");
    let value = value.to_str().map(str::to_owned);
    value.ok_or_else(|| MarathonFlagError::NotUnicode(what()))
}

fn find(spelling: &str, origin: &Origin) -> Result<(&'static Flag, bool), MarathonFlagError> {
    tables::find(spelling).ok_or_else(|| {
        let names = tables::flags().flat_map(|flag| std::iter::once(flag.name).chain(flag.alias));
        MarathonFlagError::Unknown {
            name: spelling.to_owned(),
            origin: origin.clone(),
            close: close_names(names, spelling),
        }
    })
}

/// Gives switches their value; others must have one.
fn resolve(
    flag: &'static Flag,
    off: bool,
    spelling: &str,
    value: Option<String>,
    origin: Origin,
) -> Result<Written, MarathonFlagError> {
    let value = match (flag.kind.is_switch(), value) {
        (true, None) => (!off).to_string(),
        (false, Some(value)) => value,
        (true, Some(_)) => {
            let right = right_switch(flag, &origin);
            return Err(MarathonFlagError::NeedlessValue {
                spelling: spelling.to_owned(),
                origin,
                right,
            });
        }
        (false, None) => {
            return Err(MarathonFlagError::MissingValue {
                name: flag.name,
                origin,
            });
        }
    };
    Ok(Written {
        flag,
        value,
        spelling: spelling.to_owned(),
        origin,
    })
}

/// How a flag without value is written.
fn right_switch(flag: &Flag, origin: &Origin) -> String {
    let name = flag.name;
    let upper = name.to_uppercase();
    match (origin, flag.kind) {
        (Origin::Environment(_), Kind::Toggle) => {
            format!("set MARATHON_{upper} or MARATHON_DISABLE_{upper} to the empty text")
        }
        (Origin::Environment(_), _) => format!("set MARATHON_{upper} to the empty text"),
        (_, Kind::Toggle) => format!("write --{name} or --disable_{name}"),
        _ => format!("write --{name}"),
    }
}
