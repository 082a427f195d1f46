//! Brings the sources together: which flags were given, with which checked values.
//! Does not know what a flag means; `config` does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::error::MarathonFlagError;
use super::kind::{Kind, parts};
use super::sources::{self, Written};
use super::table::{Flag, Support};
use super::{help, tables};
use crate::flags::{Origin, Parsed};

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

/// All flags, given or defaulted. They hold secrets, so they are never shown.
pub(super) struct Values {
    given: BTreeMap<&'static str, Written>,
    notes: Vec<String>,
}

/// Reads all sources: the command line wins over the variables `MARATHON_NAME`, those over
/// variables with other names.
pub(super) fn load(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Parsed<Values>, MarathonFlagError> {
    let words = sources::words(args)?;
    // Both are given even when something else is wrong: that is when help is needed.
    if sources::has(&words, "help") {
        return Ok(Parsed::Print(help::text()));
    }
    if sources::has(&words, "version") {
        let version = env!("CARGO_PKG_VERSION");
        return Ok(Parsed::Print(format!("{} {version}\n", tables::PROGRAM)));
    }
    let env: Vec<(OsString, OsString)> = env.collect();
    let mut values = Values {
        given: BTreeMap::new(),
        notes: Vec::new(),
    };
    values.merge(sources::command_line(words)?)?;
    values.merge(sources::environment(&env)?)?;
    values.merge(sources::other_environment(&env)?)?;
    Ok(Parsed::Run(values))
}

impl Values {
    /// Adds flags from one source; those already given by an earlier source stay.
    fn merge(&mut self, written: Vec<Written>) -> Result<(), MarathonFlagError> {
        let mut here: BTreeMap<&'static str, Written> = BTreeMap::new();
        for item in written {
            check(&item)?;
            let name = item.flag.name;
            if let Some(first) = here.get(name) {
                return Err(MarathonFlagError::Twice {
                    name,
                    first: first.shown_spelling(),
                    second: item.shown_spelling(),
                });
            }
            here.insert(name, item);
        }
        for (name, item) in here {
            if self.given.contains_key(name) {
                continue;
            }
            if let Support::Inert(why) = item.flag.support {
                let note = format!("flag '{name}' {} makes no difference: {why}", item.origin);
                self.notes.push(note);
            }
            self.given.insert(name, item);
        }
        Ok(())
    }

    /// Adds a sentence to log at the start.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Notes that a flag has no effect, if it was given.
    pub(super) fn note_unused(&mut self, name: &str, why: &str) {
        if let Some(given) = self.given.get(name) {
            let note = format!("flag '{name}' {} makes no difference: {why}", given.origin);
            self.notes.push(note);
        }
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
        let (flag, _) = tables::find(name)?;
        tables::default_of(flag)
    }

    /// A text that has a default and may not be empty.
    pub(super) fn full_text(&self, name: &'static str) -> Result<String, MarathonFlagError> {
        let text = self.optional_text(name)?;
        text.ok_or(MarathonFlagError::Required {
            name,
            why: "it has no default; give it",
        })
    }

    /// A text that may be missing but not empty.
    pub(super) fn optional_text(
        &self,
        name: &'static str,
    ) -> Result<Option<String>, MarathonFlagError> {
        let full = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        self.optional(
            name,
            "a text that is not empty; leave it out for none",
            full,
        )
    }

    /// Whether a toggle is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The parts of a list.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        parts(text).map(str::to_owned).collect()
    }

    /// A number that has a default.
    pub(super) fn number<N: TryFrom<u64>>(
        &self,
        name: &'static str,
    ) -> Result<N, MarathonFlagError> {
        let number = self.optional_number(name)?;
        number.ok_or(MarathonFlagError::Required {
            name,
            why: "it has no default; give it",
        })
    }

    /// A number, if there is one.
    pub(super) fn optional_number<N: TryFrom<u64>>(
        &self,
        name: &'static str,
    ) -> Result<Option<N>, MarathonFlagError> {
        let read = |text: &str| N::try_from(text.parse().ok()?).ok();
        self.optional(name, "a whole number that is not too large", read)
    }

    /// A time in milliseconds that has a default.
    pub(super) fn millis(&self, name: &'static str) -> Result<Duration, MarathonFlagError> {
        self.number(name).map(Duration::from_millis)
    }

    /// A time in seconds that has a default.
    pub(super) fn seconds(&self, name: &'static str) -> Result<Duration, MarathonFlagError> {
        self.number(name).map(Duration::from_secs)
    }

    /// A path made absolute, so that it stays right whatever becomes the current directory.
    pub(super) fn path(&self, name: &'static str) -> Result<Option<PathBuf>, MarathonFlagError> {
        self.optional(name, "a path", |text| std::path::absolute(text).ok())
    }

    /// Reads the value, if there is one, with `read`.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, MarathonFlagError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(text).map(Some).ok_or_else(|| self.bad(name, expected))
    }

    /// The error that says the value of this flag is wrong.
    pub(super) fn bad(&self, name: &'static str, expected: &str) -> MarathonFlagError {
        let given = self.given.get(name);
        let origin = given.map_or(Origin::Default, |given| given.origin.clone());
        let value = self.text(name).unwrap_or_default();
        let flag = tables::find(name).map(|(flag, _)| flag);
        MarathonFlagError::BadValue {
            name,
            origin,
            value: flag.map_or_else(String::new, |flag| shown(flag, value)),
            expected: expected.to_owned(),
        }
    }
}

/// Checks one written flag against its declaration.
fn check(item: &Written) -> Result<(), MarathonFlagError> {
    let Written {
        flag,
        value,
        origin,
        ..
    } = item;
    let refused = |why| MarathonFlagError::Refused {
        name: flag.name,
        origin: origin.clone(),
        why,
    };
    if let Support::No(why) = flag.support {
        return Err(refused(why));
    }
    // On the command line they have been found before.
    if matches!(flag.name, "help" | "version") {
        return Err(refused("it works on the command line only; unset it"));
    }
    if !flag.kind.accepts(value) {
        return Err(MarathonFlagError::BadValue {
            name: flag.name,
            origin: origin.clone(),
            value: shown(flag, value),
            expected: flag.kind.expected(),
        });
    }
    match flag.support {
        // Of a toggle it is understood that the other way is right.
        Support::Only(supported, why)
            if flag.kind == Kind::Toggle && !supported.contains(&value.as_str()) =>
        {
            Err(refused(why))
        }
        Support::Only(supported, why) if !supported.contains(&value.as_str()) => {
            Err(MarathonFlagError::RefusedValue {
                name: flag.name,
                origin: origin.clone(),
                value: shown(flag, value),
                supported,
                why,
            })
        }
        Support::Yes | Support::Only(..) | Support::Inert(_) | Support::No(_) => Ok(()),
    }
}

/// A value as errors may show it.
fn shown(flag: &Flag, value: &str) -> String {
    if tables::is_secret(flag) {
        return HIDDEN.to_owned();
    }
    match flag.kind {
        Kind::Text => without_password(value, HIDDEN),
        _ => value.to_owned(),
    }
}

/// An address without its password: what stands between the first colon and the last `@` of its
/// authority. Without a colon all before the `@` is hidden.
pub(super) fn without_password(value: &str, hidden: &str) -> String {
    let Some((before, rest)) = value.rsplit_once('@') else {
        return value.to_owned();
    };
    let (scheme, user) = match before.split_once("://") {
        Some((scheme, user)) => (format!("{scheme}://"), user),
        None => (String::new(), before),
    };
    match user.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:{hidden}@{rest}"),
        None => format!("{scheme}{hidden}@{rest}"),
    }
}
