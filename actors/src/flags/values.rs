//! Brings the sources together: which flags were given, with which checked values.
//! Does not know what a flag means; `master` and `agent` do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{FlagError, Origin};
use super::sources::{self, Written};
use super::table::{Flag, Support, Table};
use super::{Parsed, help, kind, units};

/// How many names an error suggests.
const MAX_SUGGESTIONS: usize = 3;

/// A flag that was given, its value checked against its type.
#[derive(Debug, Clone)]
struct Given {
    value: String,
    canonical: String,
    spelling: String,
    origin: Origin,
}

/// All flags of a program, given or defaulted.
#[derive(Debug)]
pub(super) struct Values {
    table: &'static Table,
    given: BTreeMap<&'static str, Given>,
    notes: Vec<String>,
}

/// Reads all sources. The one that comes first in this order wins: command line, environment,
/// configuration directory.
pub(super) fn load(
    table: &'static Table,
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<Values>, FlagError> {
    let written = sources::command_line(args)?;
    // Help and version are given even when something else is wrong: that is when help is needed.
    if let Some(text) = wanted_text(table, &written) {
        return Ok(Parsed::Print(text));
    }
    let mut values = Values {
        table,
        given: BTreeMap::new(),
        notes: Vec::new(),
    };
    values.merge(written)?;
    let known = |flag: &Written| table.find(negation(&flag.name).0).is_some();
    values.merge(
        sources::environment(env)
            .into_iter()
            .filter(known)
            .collect(),
    )?;
    if let Some(dir) = values.given.get("config_dir").cloned() {
        let files = sources::config_dir(Path::new(&dir.value), &dir.origin)?;
        if let Some(file) = files.iter().find(|file| file.name == "config_dir") {
            return Err(FlagError::BadValue {
                name: "config_dir",
                origin: file.origin.clone(),
                value: file.value.clone().unwrap_or_default(),
                expected: "it on the command line or in the environment only".to_owned(),
            });
        }
        values.merge(files)?;
    }
    Ok(Parsed::Run(values))
}

impl Parsed<Values> {
    /// Makes a configuration of the values, unless there is only text to print.
    pub(super) fn run<C>(
        self,
        config: impl FnOnce(Values) -> Result<C, FlagError>,
    ) -> Result<Parsed<C>, FlagError> {
        match self {
            Parsed::Run(values) => config(values).map(Parsed::Run),
            Parsed::Print(text) => Ok(Parsed::Print(text)),
        }
    }
}

impl Values {
    /// Adds flags from one source; those already given by an earlier source stay.
    fn merge(&mut self, written: Vec<Written>) -> Result<(), FlagError> {
        let mut here: BTreeMap<&'static str, Given> = BTreeMap::new();
        for item in written {
            let (flag, old_name) = self.lookup(&item)?;
            if let Some(first) = here.get(flag.name) {
                return Err(FlagError::Twice {
                    name: flag.name,
                    first: first.spelling.clone(),
                    second: item.name.clone(),
                    origin: item.origin,
                });
            }
            if old_name {
                self.notes.push(format!(
                    "flag '{}' {} is an old name; write '{}'",
                    item.name, item.origin, flag.name
                ));
            }
            here.insert(flag.name, check(flag, item, &mut self.notes)?);
        }
        for (name, given) in here {
            self.given.entry(name).or_insert(given);
        }
        Ok(())
    }

    /// Finds the flag that is meant.
    fn lookup(&self, item: &Written) -> Result<(&'static Flag, bool), FlagError> {
        let name = negation(&item.name).0;
        self.table.find(name).ok_or_else(|| FlagError::Unknown {
            name: item.name.clone(),
            origin: item.origin.clone(),
            close: close_names(self.table.flags().flat_map(names), name),
        })
    }

    /// Adds a sentence to log at the start.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Hands over the sentences to log at the start.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Whether the flag was given rather than defaulted.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The value, given or defaulted.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        if let Some(given) = self.given.get(name) {
            return Some(&given.value);
        }
        let (flag, _) = self.table.find(name)?;
        self.table.default_of(flag)
    }

    /// The value of a boolean.
    pub(super) fn bool(&self, name: &'static str) -> Result<bool, FlagError> {
        self.parse(name, "'true' or 'false'", kind::parse_bool)
    }

    /// The value of a duration that has a default.
    pub(super) fn duration(&self, name: &'static str) -> Result<Duration, FlagError> {
        self.parse(name, "a duration", units::parse_duration)
    }

    /// The value of a size that has a default.
    pub(super) fn bytes(&self, name: &'static str) -> Result<u64, FlagError> {
        self.parse(name, "a size", units::parse_bytes)
    }

    /// The value of a number that has a default.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, FlagError> {
        self.parse(name, "a whole number that is not too large", |text| {
            text.parse().ok()
        })
    }

    /// A path made absolute, so that it stays right whatever becomes the current directory.
    pub(super) fn path(&self, name: &'static str) -> Result<Option<PathBuf>, FlagError> {
        self.optional(name, "a path", |text| std::path::absolute(text).ok())
    }

    /// Reads the value with `read`; a flag without value is wrong.
    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FlagError> {
        let parsed = self.optional(name, expected, read)?;
        parsed.ok_or(FlagError::Required {
            name,
            why: "it has no default; give it",
        })
    }

    /// Reads the value, if there is one, with `read`.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, FlagError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(text).map(Some).ok_or_else(|| self.bad(name, expected))
    }

    /// The error that says the value of this flag is wrong.
    pub(super) fn bad(&self, name: &'static str, expected: &str) -> FlagError {
        FlagError::BadValue {
            name,
            origin: self
                .given
                .get(name)
                .map_or(Origin::Default, |given| given.origin.clone()),
            value: shown(name, self.text(name).unwrap_or_default()),
            expected: expected.to_owned(),
        }
    }

    /// All flags with a value, in Mesos's form, for `/flags` and `/state`.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for flag in self.table.flags() {
            let value = match self.given.get(flag.name) {
                Some(given) => Some(given.canonical.as_str()),
                None if self.table.build_conditional.contains(&flag.name) => None,
                None => self.table.default_of(flag),
            };
            if let Some(value) = value {
                all.insert(flag.name.to_owned(), shown(flag.name, value));
            }
        }
        all
    }
}

/// Checks one written flag against its declaration.
fn check(flag: &'static Flag, item: Written, notes: &mut Vec<String>) -> Result<Given, FlagError> {
    let Written {
        name: spelling,
        value,
        origin,
    } = item;
    if flag.support == Support::No {
        return Err(FlagError::Unsupported {
            name: flag.name,
            origin,
        });
    }
    let value = raw_value(flag, &spelling, value, &origin)?;
    let value = file_value(flag, value, &origin)?;
    let Some(canonical) = flag.kind.canonical(&value) else {
        return Err(FlagError::BadValue {
            name: flag.name,
            origin,
            value: shown(flag.name, &value),
            expected: flag.kind.expected().to_owned(),
        });
    };
    match flag.support {
        Support::Only(supported) if !supported.contains(&canonical.as_str()) => {
            Err(FlagError::UnsupportedValue {
                name: flag.name,
                origin,
                value,
                supported: supported.to_vec(),
            })
        }
        Support::Inert(why) => {
            notes.push(format!(
                "flag '{}' {origin} makes no difference: {why}",
                flag.name
            ));
            Ok(Given {
                value,
                canonical,
                spelling,
                origin,
            })
        }
        Support::Yes | Support::Only(_) | Support::No => Ok(Given {
            value,
            canonical,
            spelling,
            origin,
        }),
    }
}

/// The value as written, with `--name` and `--no-name` of booleans resolved.
fn raw_value(
    flag: &'static Flag,
    spelling: &str,
    value: Option<String>,
    origin: &Origin,
) -> Result<String, FlagError> {
    let negated = negation(spelling).1;
    let bad_negation = |why| FlagError::BadNegation {
        name: flag.name,
        origin: origin.clone(),
        why,
    };
    if flag.kind != kind::Kind::Bool {
        if negated {
            return Err(bad_negation("only a boolean flag can be switched off"));
        }
        let missing = || FlagError::MissingValue {
            name: flag.name,
            origin: origin.clone(),
        };
        return value.ok_or_else(missing);
    }
    match value {
        Some(value) if !value.is_empty() && negated => Err(bad_negation("it takes no value")),
        Some(value) if !value.is_empty() => Ok(value),
        _ => Ok((!negated).to_string()),
    }
}

/// The content of the file the value names, where the flag's type allows that.
fn file_value(flag: &Flag, value: String, origin: &Origin) -> Result<String, FlagError> {
    let path = match value.strip_prefix("file://") {
        Some(path) if flag.kind.reads_file_urls() => path,
        None if flag.kind.reads_absolute_paths() && value.starts_with('/') => value.as_str(),
        _ => return Ok(value),
    };
    sources::read_file(Path::new(path), flag.name, origin)
}

/// The name without `no-`, and whether that stood in front.
fn negation(name: &str) -> (&str, bool) {
    name.strip_prefix("no-")
        .map_or((name, false), |name| (name, true))
}

/// The text to print when the command line asks for help or the version.
fn wanted_text(table: &'static Table, written: &[Written]) -> Option<String> {
    let wanted = |name: &str| {
        written.iter().any(|flag| {
            let on = flag
                .value
                .as_deref()
                .is_none_or(|value| matches!(value, "" | "true" | "1"));
            flag.name == name && on
        })
    };
    if wanted("help") {
        return Some(help::text(table));
    }
    wanted("version").then(|| format!("{} {}\n", table.program, env!("CARGO_PKG_VERSION")))
}

/// All names of a flag.
fn names(flag: &'static Flag) -> impl Iterator<Item = &'static str> {
    std::iter::once(flag.name).chain(flag.alias)
}

/// Names among `all` that look like `name`, the most similar first.
pub(super) fn close_names(
    all: impl Iterator<Item = &'static str>,
    name: &str,
) -> Vec<&'static str> {
    let limit = (name.len() / 3 + 1).min(4);
    let mut close: Vec<(usize, &'static str)> = all
        .map(|known| (distance(known, name), known))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    close.sort_unstable();
    close
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, known)| known)
        .collect()
}

/// How many letters must be inserted, dropped or replaced to turn `a` into `b`; `-` equals `_`.
fn distance(a: &str, b: &str) -> usize {
    let normal = |c: char| if c == '-' { '_' } else { c };
    let mut previous: Vec<usize> = (0..=b.chars().count()).collect();
    for (row, x) in a.chars().enumerate() {
        let mut left = row + 1;
        let mut current = vec![left];
        for (y, pair) in b.chars().zip(previous.windows(2)) {
            let (diagonal, above) = (pair.first().copied(), pair.last().copied());
            let replace = diagonal.unwrap_or(0) + usize::from(normal(x) != normal(y));
            left = replace.min(above.unwrap_or(0) + 1).min(left + 1);
            current.push(left);
        }
        previous = current;
    }
    previous.last().copied().unwrap_or(0)
}
/// Flags of which nothing may be shown.
const SECRETS: &[&str] = &["docker_config"];

/// The value of a flag as it may be shown.
fn shown(name: &str, value: &str) -> String {
    match SECRETS.contains(&name) {
        true => "***".to_owned(),
        false => without_password(value),
    }
}

/// A value as it may be shown: without the user and password of a ZooKeeper URL.
pub(super) fn without_password(value: &str) -> String {
    match (value.strip_prefix("zk://"), value.rsplit_once('@')) {
        (Some(_), Some((_, rest))) => format!("zk://***@{rest}"),
        _ => value.to_owned(),
    }
}
