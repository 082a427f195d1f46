//! What can be wrong with the flags of the app manager, said so that a user can put it right.
//! Decides nothing, and never holds a secret: values are hidden before they come here.

use thiserror::Error;

use super::kind::quoted;
use crate::flags::Origin;

/// Why flags of the app manager are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MarathonFlagError {
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
    /// The flag is known and refused.
    #[error("flag '{name}' {origin} is refused: {why}")]
    Refused {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// Why, and what to do instead.
        why: &'static str,
    },
    /// The value is known and refused.
    #[error(
        "flag '{name}' {origin} has the value '{value}', which is refused: {why}; expected {}",
        quoted(supported)
    )]
    RefusedValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// The value.
        value: String,
        /// The values that are accepted.
        supported: &'static [&'static str],
        /// Why no others are.
        why: &'static str,
    },
    /// The value does not fit the flag.
    #[error("flag '{name}' {origin} has the value '{value}'; expected {expected}")]
    BadValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
        /// The value, as far as it may be shown.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A flag with a value was given without one.
    #[error("flag '{name}' {origin} has no value; {}", with_value(name, origin))]
    MissingValue {
        /// The flag.
        name: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// A flag that is switched was given with a value.
    #[error("flag '{spelling}' {origin} takes no value; {right}")]
    NeedlessValue {
        /// The flag as written.
        spelling: String,
        /// Where it was given.
        origin: Origin,
        /// What would be right.
        right: String,
    },
    /// The same flag twice at the same place, perhaps once to switch it off.
    #[error("flag '{name}' is given twice, as {first} and {second}; give it once")]
    Twice {
        /// The flag.
        name: &'static str,
        /// One spelling.
        first: String,
        /// The other spelling.
        second: String,
    },
    /// A flag is missing.
    #[error("flag '{name}' is required: {why}")]
    Required {
        /// The flag.
        name: &'static str,
        /// Why and what to give.
        why: &'static str,
    },
    /// Two flags exclude each other.
    #[error("flags '{name}' and '{other}' are both given; {right}")]
    Both {
        /// One flag.
        name: &'static str,
        /// The other one.
        other: &'static str,
        /// What would be right.
        right: &'static str,
    },
    /// A word on the command line that is no flag and no value.
    #[error("unexpected argument{}; flags are written --name VALUE or --name=VALUE", shown(.0))]
    Argument(
        /// The word; none when it stands behind a secret, of which it may be a part.
        Option<String>,
    ),
    /// Something that is not UTF-8.
    #[error("{0} is not valid UTF-8; write it in UTF-8")]
    NotUnicode(
        /// Which argument or variable.
        String,
    ),
}

/// `; did you mean 'a' or 'b'?`, or where to look.
fn suggestion(close: &[&'static str]) -> String {
    match close {
        [] => "; --help lists all flags".to_owned(),
        close => format!("; did you mean {}?", quoted(close)),
    }
}

/// How a flag with a value is written.
fn with_value(name: &str, origin: &Origin) -> String {
    match origin {
        Origin::Environment(variable) => format!("set {variable} to one, or unset it"),
        Origin::CommandLine | Origin::ConfigFile(_) | Origin::Default => {
            format!("write --{name} VALUE, or --{name}=VALUE when the value begins with two dashes")
        }
    }
}

fn shown(argument: &Option<String>) -> String {
    match argument {
        Some(argument) => format!(" '{argument}'"),
        None => " after a flag that holds a secret".to_owned(),
    }
}
