//! How commands print: as a table or a document, and with colour where a person looks on.
//! Makes no tables and asks no server.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use clap::{Args as ClapArgs, ValueEnum};
use tepui_actors::clock::Clock;

use super::json;
use super::trouble::Trouble;

/// Ends what a colour has begun.
const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A table
    Table,
    /// A table with more columns, however wide the terminal is
    Wide,
    /// The server's JSON, indented
    Json,
    /// The same as YAML
    Yaml,
}

/// The option that chooses.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct OutputArg {
    /// How to print: table, wide (more columns), or the server's answer as json or yaml
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "table",
        hide_possible_values = true
    )]
    pub(super) output: Output,
}

/// What tables are made for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Form {
    /// Whether there are more columns than the most important ones.
    pub is_wide: bool,
    /// Characters that a line may have; as many as it takes when nothing limits them.
    pub columns: Option<usize>,
}

impl OutputArg {
    /// What tables are made for.
    pub(super) fn form(&self) -> Form {
        Form {
            is_wide: self.output == Output::Wide,
            columns: self.columns(),
        }
    }

    /// Characters that a line of a table may have; as many as it takes where no terminal limits
    /// them, or they are asked for.
    pub(super) fn columns(&self) -> Option<usize> {
        match self.output {
            Output::Wide => None,
            Output::Table | Output::Json | Output::Yaml => Screen::of_stdout().columns,
        }
    }
}

/// What is known of the terminal that is printed to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Screen {
    /// Its width in characters, if there is a terminal.
    pub columns: Option<usize>,
    /// Whether to use colour.
    pub has_colour: bool,
}

impl Screen {
    /// The one behind the standard output.
    pub(super) fn of_stdout() -> Screen {
        let out = std::io::stdout();
        if !out.is_terminal() {
            return Screen::default();
        }
        let size = rustix::termios::tcgetwinsize(&out);
        let columns = size.ok().map(|size| usize::from(size.ws_col));
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen {
            columns: columns.filter(|columns| *columns > 0),
            // https://no-color.org
            has_colour: !set("NO_COLOR") && !is_dumb,
        }
    }
}

/// Tells the user something beside the output.
pub(super) fn say(text: &str) {
    eprintln!("tepui: {text}");
}

/// Writes to the standard output, with colour if it is a terminal.
pub(super) fn print(text: &str) -> Result<(), Trouble> {
    let text = match Screen::of_stdout().has_colour {
        true => Cow::Owned(coloured(text)),
        false => Cow::Borrowed(text),
    };
    print_plain(&text)
}

/// Writes to the standard output as it is.
pub(super) fn print_plain(text: &str) -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Trouble::output(&error))
}

/// Milliseconds since the epoch, to tell ages from.
pub(super) fn now() -> i64 {
    i64::try_from(Clock::start().now().wall.0 / 1000).unwrap_or(i64::MAX)
}

/// Prints a server's answer as a document, or what `shown` makes of it.
pub(super) fn print_answer(
    output: Output,
    body: &[u8],
    shown: impl FnOnce() -> Result<String, Trouble>,
) -> Result<(), Trouble> {
    match output {
        // Some answers have no body.
        Output::Json | Output::Yaml if body.is_empty() => Ok(()),
        Output::Json => print_plain(&json::pretty(body)),
        Output::Yaml => print_plain(&yaml(body)?),
        Output::Table | Output::Wide => print(&shown()?),
    }
}

/// JSON as YAML; what is no JSON is a text.
pub(super) fn yaml(body: &[u8]) -> Result<String, Trouble> {
    let value = serde_json::from_slice(body);
    let value: serde_json::Value =
        value.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into());
    serde_norway::to_string(&value)
        .map_err(|error| Trouble::Failed(format!("cannot write the answer as YAML: {error}")))
}

/// Lines of names in bold, and words for states in the colour of how good they are.
fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.split_inclusive('\n') {
        let letters = line.chars().any(|c| c.is_ascii_uppercase());
        if letters && !line.contains('_') && !line.chars().any(|c| c.is_lowercase()) {
            let names = line.trim_end_matches('\n');
            out.push_str(&format!("{BOLD}{names}{RESET}"));
            out.push_str(&line[names.len()..]);
            continue;
        }
        for word in line.split_inclusive([' ', '\n', ',']) {
            let bare = word.trim_end_matches([' ', '\n', ',']);
            match colour_of(bare) {
                Some(colour) => out.push_str(&format!("{colour}{bare}{RESET}")),
                None => out.push_str(bare),
            }
            out.push_str(&word[bare.len()..]);
        }
    }
    out
}

fn colour_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "TASK_RUNNING" | "TASK_FINISHED" | "active" | "healthy" | "up" => GREEN,
        "TASK_FAILED"
        | "TASK_LOST"
        | "TASK_ERROR"
        | "TASK_DROPPED"
        | "TASK_GONE"
        | "TASK_GONE_BY_OPERATOR"
        | "TASK_UNREACHABLE"
        | "TASK_UNKNOWN"
        | "unreachable"
        | "down"
        | "disconnected"
        | "unhealthy" => RED,
        "TASK_STAGING" | "TASK_STARTING" | "TASK_KILLING" | "TASK_KILLED" | "draining"
        | "drained" | "deactivated" | "inactive" | "recovered" => YELLOW,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_states_have_colours_and_nothing_else_has() {
        let text = "ID    STATE\ntask  TASK_FAILED\nB  active, drained\n";
        let expected = "\x1b[1mID    STATE\x1b[0m\ntask  \x1b[31mTASK_FAILED\x1b[0m\n\
                        B  \x1b[32mactive\x1b[0m, \x1b[33mdrained\x1b[0m\n";
        assert_eq!(coloured(text), expected);
        assert_eq!(coloured("a TASK_ b"), "a TASK_ b");
        assert_eq!(
            coloured("TASK_RUNNING  5\n"),
            "\x1b[32mTASK_RUNNING\x1b[0m  5\n"
        );
    }

    #[test]
    fn answers_become_yaml() {
        let text = yaml(br#"{"a": [1, {"b": "x: y"}], "c": "2"}"#).expect("YAML");
        let read: serde_json::Value = serde_norway::from_str(&text).expect("YAML");
        assert_eq!(read, serde_json::json!({"a": [1, {"b": "x: y"}], "c": "2"}));
        assert!(text.starts_with("a:\n"), "{text}");
        assert_eq!(yaml(b"no json").expect("YAML"), "no json\n");
    }
}
