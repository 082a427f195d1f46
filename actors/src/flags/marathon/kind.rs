//! The kinds of values the app manager's flags have, and their checks.
//! Knows no flag.

/// The longest time a flag may give, in seconds: a hundred years. Deadlines of that size can still
/// be reckoned with.
const MOST_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// The largest `int` of Marathon's flags.
const MOST_INT: u64 = 2_147_483_647;

/// The kind of a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--name` switches on, `--disable_name` off; without value.
    Toggle,
    /// `--name` switches on; without value, and without a way to say no.
    Switch,
    /// Any text.
    Text,
    /// The name of a file or directory.
    Path,
    /// Texts with commas between; space around them does not count.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Number(Range),
}

/// What a number may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// What it counts.
    pub unit: Unit,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    Plain,
    /// Nothing: it names a TCP port.
    Port,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// A number of things.
    pub(super) const COUNT: Kind = Kind::number(Unit::Plain, 0, MOST_INT);
    /// A number of things where none would stop everything.
    pub(super) const COUNT_FROM_1: Kind = Kind::number(Unit::Plain, 1, MOST_INT);
    /// A port; 0 takes a free one.
    pub(super) const PORT: Kind = Kind::number(Unit::Port, 0, 65_535);
    /// A port that is named to others.
    pub(super) const PORT_FROM_1: Kind = Kind::number(Unit::Port, 1, 65_535);
    /// A time in milliseconds.
    pub(super) const MILLIS: Kind = Kind::number(Unit::Millis, 0, MOST_SECONDS * 1000);
    /// A time in milliseconds that something happens after, again and again.
    pub(super) const MILLIS_FROM_1: Kind = Kind::number(Unit::Millis, 1, MOST_SECONDS * 1000);
    /// A time in seconds.
    pub(super) const SECONDS: Kind = Kind::number(Unit::Seconds, 0, MOST_SECONDS);
    /// A size.
    pub(super) const BYTES: Kind = Kind::number(Unit::Bytes, 0, i64::MAX as u64);

    /// A number within bounds.
    pub(super) const fn number(unit: Unit, least: u64, most: u64) -> Kind {
        Kind::Number(Range { unit, least, most })
    }

    /// Whether it is given without a value.
    pub(super) fn is_switch(self) -> bool {
        matches!(self, Kind::Toggle | Kind::Switch)
    }

    /// How a value is written in the help text; nothing where there is none.
    pub(super) fn placeholder(self) -> String {
        match self {
            Kind::Toggle | Kind::Switch => String::new(),
            Kind::Text => "TEXT".to_owned(),
            Kind::Path => "PATH".to_owned(),
            Kind::List => "A,B,...".to_owned(),
            Kind::Choice(words) => words.join("|"),
            Kind::Number(range) => match range.unit {
                Unit::Plain => "N",
                Unit::Port => "PORT",
                Unit::Millis => "MS",
                Unit::Seconds => "SECONDS",
                Unit::Bytes => "BYTES",
            }
            .to_owned(),
        }
    }

    /// What a right value looks like, to end the sentence "expected ...".
    pub(super) fn expected(self) -> String {
        match self {
            Kind::Toggle | Kind::Switch => "no value".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Path => "the path of a file or directory".to_owned(),
            Kind::List => "names with commas between".to_owned(),
            Kind::Choice(words) => quoted(words),
            Kind::Number(Range { unit, least, most }) => {
                let what = match unit {
                    Unit::Plain => "a whole number",
                    Unit::Port => "a port number",
                    Unit::Millis => "a whole number of milliseconds",
                    Unit::Seconds => "a whole number of seconds",
                    Unit::Bytes => "a whole number of bytes",
                };
                format!("{what} from {least} to {most}")
            }
        }
    }

    /// Whether a value is of this kind.
    pub(super) fn accepts(self, value: &str) -> bool {
        match self {
            Kind::Toggle | Kind::Switch => matches!(value, "true" | "false"),
            Kind::Text | Kind::List => true,
            Kind::Path => !value.is_empty(),
            Kind::Choice(words) => words.contains(&value),
            Kind::Number(range) => value
                .parse()
                .is_ok_and(|number: u64| (range.least..=range.most).contains(&number)),
        }
    }
}

/// The parts of a list; empty ones do not count.
pub(super) fn parts(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// `'a' or 'b'`.
pub(super) fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" or ")
}
