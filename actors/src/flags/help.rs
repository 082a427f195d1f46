//! The text of `--help`, made from the table of flags.
//! Declares no flag.

use std::fmt::Write as _;

use super::table::{Flag, Group, Support, Table};

/// The longest line of the text, in characters.
const WIDTH: usize = 96;

/// Space before a flag's description.
pub(super) const INDENT: &str = "        ";

/// All flags of a program: those that work, by group, then those that are refused.
pub(super) fn text(table: &'static Table) -> String {
    let mut out = format!(
        "{}\n\nUsage: {} [--name=value]...\n\n",
        table.about, table.program
    );
    out.push_str(&wrap(
        "Each flag may also be given as environment variable MESOS_NAME or as a file in the \
         directory --config_dir; the command line wins over the environment, the environment over \
         the directory. A value file:///path stands for the content of that file. Durations have a \
         unit (ns, us, ms, secs, mins, hrs, days, weeks), sizes too (B, KB, MB, GB, TB).",
        "",
    ));

    let mut flags: Vec<&'static Flag> = table.flags().collect();
    flags.sort_by_key(|flag| (flag.group, flag.name));
    let (refused, supported): (Vec<&Flag>, Vec<&Flag>) = flags
        .into_iter()
        .partition(|flag| flag.support == Support::No);

    let mut group: Option<Group> = None;
    for flag in supported {
        if group != Some(flag.group) {
            let _ = write!(out, "\n{}\n", flag.group.title());
            group = Some(flag.group);
        }
        out.push_str(&entry(table, flag));
    }

    out.push_str(
        "\nFlags of Mesos that this version does not support; they are refused when given\n",
    );
    let names: Vec<&str> = refused.iter().map(|flag| flag.name).collect();
    out.push_str(&wrap(&names.join(", "), "    "));
    out
}

/// One flag with its spellings, its default and its description.
fn entry(table: &'static Table, flag: &Flag) -> String {
    let mut head = format!("    {}", spelling(flag, flag.name));
    if let Some(alias) = flag.alias {
        let _ = write!(head, ", {} (old name)", spelling(flag, alias));
    }
    // A description that tells the default itself knows better than Mesos's table.
    let told = flag.help.contains("Default:");
    if let Some(default) = table.default_of(flag).filter(|_| !told) {
        let _ = write!(head, "  [default: {default}]");
    }
    let mut description = flag.help.to_owned();
    match flag.support {
        Support::Only(values) => {
            let _ = write!(
                description,
                " This version accepts only: {}.",
                values.join(", ")
            );
        }
        Support::Inert(why) => {
            let _ = write!(description, " Makes no difference here: {why}.");
        }
        Support::Yes | Support::No => {}
    }
    format!("{head}\n{}", wrap(&description, INDENT))
}

/// How a flag is written on the command line.
fn spelling(flag: &Flag, name: &str) -> String {
    match flag.kind {
        super::kind::Kind::Bool => format!("--[no-]{name}"),
        kind => format!("--{name}={}", kind.placeholder()),
    }
}

/// Breaks a text into lines of at most `WIDTH` characters, each with `indent` in front.
pub(super) fn wrap(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let filled = line.len() > indent.len();
        if filled && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = indent.to_owned();
        } else if filled {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}
