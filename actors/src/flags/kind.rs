//! The types a flag's value may have, their checks, and the form in which Mesos prints them.
//! Knows no flag.

use super::units;

/// The type of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`; alone it means true, with `no-` in front false.
    Bool,
    /// Any text.
    Text,
    /// The name of a file or directory; never read in its place.
    Path,
    /// A whole number.
    Int,
    /// A whole number, not negative.
    Uint,
    /// A port number.
    Port,
    /// A decimal number.
    Double,
    /// A number with a unit of time.
    Duration,
    /// A whole number with a unit of size.
    Bytes,
    /// A JSON object, or a file that holds it, given as `file:///path` or as an absolute path.
    Json,
    /// Texts with commas between, none twice.
    List,
}

impl Kind {
    /// How a value is written in the help text.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Kind::Bool => "BOOL",
            Kind::Text => "TEXT",
            Kind::Path => "PATH",
            Kind::Int | Kind::Uint => "N",
            Kind::Port => "PORT",
            Kind::Double => "NUMBER",
            Kind::Duration => "DURATION",
            Kind::Bytes => "BYTES",
            Kind::Json => "JSON",
            Kind::List => "A,B,...",
        }
    }

    /// What a right value looks like, to end the sentence "expected ...".
    pub(super) fn expected(self) -> &'static str {
        match self {
            Kind::Bool => "'true' or 'false'",
            Kind::Text => "a text",
            Kind::Path => "a path",
            Kind::Int => "a whole number",
            Kind::Uint => "a whole number of at least 0",
            Kind::Port => "a port number between 0 and 65535",
            Kind::Double => "a decimal number",
            Kind::Duration => {
                "a number with one of the units ns, us, ms, secs, mins, hrs, days, weeks, \
                 such as '10secs'"
            }
            Kind::Bytes => "a whole number with one of the units B, KB, MB, GB, TB, such as '4KB'",
            Kind::Json => "a JSON object",
            Kind::List => "names with commas between, none of them twice",
        }
    }

    /// Whether `file:///path` stands for the content of that file, as for most types in Mesos.
    pub(super) fn reads_file_urls(self) -> bool {
        self != Kind::Path
    }

    /// Whether an absolute path stands for the content of that file.
    pub(super) fn reads_absolute_paths(self) -> bool {
        self == Kind::Json
    }

    /// The value as Mesos would print it, or nothing when it is not of this type.
    pub(super) fn canonical(self, value: &str) -> Option<String> {
        match self {
            Kind::Bool => parse_bool(value).map(|on| on.to_string()),
            Kind::Text | Kind::Path => Some(value.to_owned()),
            Kind::Int => value.parse::<i32>().ok().map(|number| number.to_string()),
            Kind::Uint => value.parse::<usize>().ok().map(|number| number.to_string()),
            Kind::Port => value.parse::<u16>().ok().map(|number| number.to_string()),
            Kind::Double => {
                let number = value.parse::<f64>().ok()?;
                number.is_finite().then(|| number.to_string())
            }
            Kind::Duration => units::parse_duration(value).map(units::format_duration),
            Kind::Bytes => units::parse_bytes(value).map(units::format_bytes),
            Kind::Json => {
                let json = serde_json::from_str::<serde_json::Value>(value).ok()?;
                json.is_object().then(|| json.to_string())
            }
            Kind::List => parse_list(value).map(|names| names.join(",")),
        }
    }
}

/// Reads `true`, `1`, `false` or `0`.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Splits at commas, drops empty parts as Mesos does, and accepts no part twice.
pub(super) fn parse_list(value: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in value.split(',').filter(|name| !name.is_empty()) {
        if names.iter().any(|known| known == name) {
            return None;
        }
        names.push(name.to_owned());
    }
    Some(names)
}
