//! The text of the app manager's `--help`, made from the tables of flags.
//! Declares no flag.

use std::fmt::Write as _;

use super::kind::Kind;
use super::table::{Flag, Group, Support};
use super::tables;
use crate::flags::help::{INDENT, wrap};

/// How flags are given, besides on the command line.
const SOURCES: &str = "Each flag may also be given as environment variable MARATHON_NAME, with its \
    name in capitals; the command line wins. A variable with an empty value gives the flag without \
    value, as toggles want it; variables MARATHON_APP_... are left alone. Toggles are switched on \
    with --name and off with --disable_name. MS are milliseconds.";

/// All flags: those that work, by group, then those that are refused.
pub(super) fn text() -> String {
    let program = tables::PROGRAM;
    let about = tables::ABOUT;
    let mut out =
        format!("{about}\n\nUsage: {program} --master HOST:PORT [--name VALUE | --toggle]...\n\n");
    out.push_str(&wrap(SOURCES, ""));

    let mut flags: Vec<&'static Flag> = tables::flags().collect();
    flags.sort_by_key(|flag| (flag.group, flag.name));
    let is_refused = |flag: &&Flag| matches!(flag.support, Support::No(_));
    let (refused, supported): (Vec<&Flag>, Vec<&Flag>) = flags.into_iter().partition(is_refused);

    let mut group: Option<Group> = None;
    for flag in supported {
        if group != Some(flag.group) {
            let _ = write!(out, "\n{}\n", flag.group.title());
            group = Some(flag.group);
        }
        out.push_str(&entry(flag));
    }

    out.push_str(
        "\nFlags of Marathon that this version does not support; they are refused when given\n",
    );
    for flag in refused {
        if let Support::No(why) = flag.support {
            let _ = write!(out, "    --{}\n{}", flag.name, wrap(&sentence(why), INDENT));
        }
    }
    out
}

/// One flag with its spellings, its default, its description and its variables.
fn entry(flag: &Flag) -> String {
    let mut head = format!("    {}", spelling(flag, flag.name));
    if let Some(alias) = flag.alias {
        let _ = write!(head, ", {}", spelling(flag, alias));
    }
    // A description that tells the default itself knows better than Marathon's table.
    let told = flag.help.contains("Default:");
    if let Some(default) = tables::default_of(flag).filter(|_| !told) {
        let _ = write!(head, "  [default: {}]", default_text(flag, default));
    }
    let mut description = flag.help.to_owned();
    match flag.support {
        Support::Only(values, why) => {
            let only: Vec<&str> = values
                .iter()
                .map(|value| default_text(flag, value))
                .collect();
            let _ = write!(
                description,
                " This version accepts only: {}; {why}.",
                only.join(", ")
            );
        }
        Support::Inert(why) => {
            let _ = write!(description, " Makes no difference here: {why}.");
        }
        Support::Yes | Support::No(_) => {}
    }
    if let Some(variables) = variables(flag) {
        let _ = write!(description, " [{variables}]");
    }
    format!("{head}\n{}", wrap(&description, INDENT))
}

/// How a flag is written on the command line.
fn spelling(flag: &Flag, name: &str) -> String {
    match flag.kind {
        Kind::Toggle => format!("--[disable_]{name}"),
        Kind::Switch => format!("--{name}"),
        kind => format!("--{name} {}", kind.placeholder()),
    }
}

/// A default as people say it.
fn default_text(flag: &Flag, value: &'static str) -> &'static str {
    match (flag.kind, value) {
        (Kind::Toggle | Kind::Switch, "true") => "on",
        (Kind::Toggle | Kind::Switch, _) => "off",
        (_, "") => "none",
        _ => value,
    }
}

/// The variables that give a flag.
fn variables(flag: &Flag) -> Option<String> {
    // A name with capitals has no variable: names of variables are taken in small letters.
    if flag.name != flag.name.to_lowercase() || matches!(flag.name, "help" | "version") {
        return None;
    }
    let upper = flag.name.to_uppercase();
    let mut text = match flag.kind {
        Kind::Toggle => format!("MARATHON_{upper}, MARATHON_DISABLE_{upper}"),
        _ => format!("MARATHON_{upper}"),
    };
    let others = tables::OTHER_ENV
        .iter()
        .filter(|(name, _)| *name == flag.name);
    for (_, variable) in others {
        let _ = write!(text, ", {variable}");
    }
    Some(text)
}

/// With a capital at its beginning and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).collect::<String>() + "."
}
