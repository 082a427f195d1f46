//! `tepui group`: groups of apps.
//! They are created by `tepui app create`.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use tepui_actors::client::Method;
use tepui_protocol::marathon::PathId;

use super::change::{Change, Options};
use super::manager::{EMBED, group_path, parse};
use super::shapes::Group;
use super::table::{NOTHING, Table, age, fields};
use super::trouble::Trouble;
use super::{Common, EXIT_STATUSES, json, now, print_answer, read};

/// What `tepui group` is given.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, after_help = EXIT_STATUSES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List groups
    #[command(visible_alias = "ls")]
    List,
    /// Show a group with all apps below it
    Show {
        /// Id of the group; / is the root
        id: String,
    },
    /// Change a group: apps and groups that the document leaves out are removed
    #[command(after_help = "Example:\n  tepui group update /shop shop.json --dry-run")]
    Update {
        /// Id of the group
        id: String,
        /// JSON of the group; - reads the standard input
        file: String,
        #[command(flatten)]
        options: Options,
    },
    /// Multiply the instances of all apps below a group
    #[command(after_help = "Example:\n  tepui group scale /shop 1.5 --wait")]
    Scale {
        /// Id of the group
        id: String,
        /// What the number of instances of each app is multiplied by, rounded up
        #[arg(value_parser = factor)]
        factor: f64,
        #[command(flatten)]
        options: Options,
    },
    /// Remove a group with all apps below it
    #[command(visible_alias = "rm")]
    Delete {
        /// Id of the group
        id: String,
        #[command(flatten)]
        options: Options,
    },
}

impl Command {
    /// The id of the group that it is about.
    fn group_id(&mut self) -> Option<&mut String> {
        match self {
            Command::List => None,
            Command::Show { id }
            | Command::Update { id, .. }
            | Command::Scale { id, .. }
            | Command::Delete { id, .. } => Some(id),
        }
    }
}

/// Runs a command.
pub(super) async fn run(mut args: Args) -> Result<(), Trouble> {
    if let Some(id) = args.command.group_id() {
        *id = args.common.manager()?.whole_id(id, "group").await?;
    }
    let common = &args.common;
    let change = |method, id: &str, body, done: &str, options| Change {
        method,
        path: group_path(id),
        query: Vec::new(),
        body,
        done: format!("group {} is {done}", PathId::new(id)),
        options,
    };
    let change = match &args.command {
        Command::List => return list(common).await,
        Command::Show { id } => return show(common, id).await,
        Command::Update { id, file, options } => {
            let (body, _) = json::read(file, "a group, as {\"id\": \"/g\", \"apps\": [...]}")?;
            change(Method::Put, id, Some(body), "changed", options)
        }
        Command::Scale {
            id,
            factor,
            options,
        } => {
            let body = json!({"scaleBy": factor}).to_string().into_bytes();
            change(Method::Put, id, Some(body), "scaled", options)
        }
        Command::Delete { id, .. } if PathId::new(id).is_root() => {
            return Err(Trouble::Usage(
                "the root group cannot be removed; name a group below it, as /shop".to_owned(),
            ));
        }
        Command::Delete { id, options } => change(Method::Delete, id, None, "removed", options),
    };
    change.send(common).await
}

/// Reads a factor.
fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok();
    let factor = factor.filter(|factor: &f64| factor.is_finite() && *factor >= 0.0);
    factor.ok_or_else(|| "expected a number of at least 0, as 0.5 or 2".to_owned())
}

async fn list(common: &Common) -> Result<(), Trouble> {
    let body = common.manager()?.get("/v2/groups", &EMBED).await?;
    print_answer(common.output(), &body, || {
        let root: Group = parse(&body)?;
        let mut table = Table::new(&["ID", "APPS", "RUNNING", "ROLE", "CHANGED"]);
        add(&root, now(), &mut table);
        Ok(table.fitted(0, common.form().columns))
    })
}

fn add(group: &Group, now: i64, table: &mut Table) {
    let mut apps = Vec::new();
    all_apps(group, &mut apps);
    let running: u32 = apps.iter().filter_map(|app| app.tasks_running).sum();
    let wanted: u32 = apps.iter().map(|app| app.instances).sum();
    table.row(vec![
        group.id.clone(),
        apps.len().to_string(),
        format!("{running}/{wanted}"),
        match group.enforce_role {
            Some(true) => group.id.trim_start_matches('/').to_owned(),
            Some(false) | None => NOTHING.to_owned(),
        },
        group
            .version
            .as_deref()
            .map_or_else(|| NOTHING.to_owned(), |version| age(version, now)),
    ]);
    for group in &group.groups {
        add(group, now, table);
    }
}

/// All apps below a group.
fn all_apps<'a>(group: &'a Group, into: &mut Vec<&'a super::shapes::App>) {
    into.extend(&group.apps);
    for group in &group.groups {
        all_apps(group, into);
    }
}

async fn show(common: &Common, id: &str) -> Result<(), Trouble> {
    let body = common.manager()?.get(&group_path(id), &EMBED).await?;
    print_answer(common.output(), &body, || {
        let group: Group = parse(&body)?;
        let mut apps = Vec::new();
        all_apps(&group, &mut apps);
        let facts = fields(&[
            ("id", group.id.clone()),
            ("version", group.version.clone().unwrap_or_default()),
            ("dependencies", group.dependencies.join(", ")),
        ]);
        let apps = read::apps(&apps, now(), common.form());
        Ok(format!("{facts}\n{apps}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_count_all_apps_below_them() {
        let group: Group = serde_json::from_value(json!({"id": "/", "apps": [
            {"id": "/a", "instances": 2, "tasksRunning": 1}], "groups": [{"id": "/g",
            "enforceRole": true, "apps": [{"id": "/g/b", "instances": 1, "tasksRunning": 1}]}]}))
        .expect("a group");
        let mut table = Table::new(&["ID", "APPS", "RUNNING", "ROLE", "CHANGED"]);
        add(&group, 0, &mut table);
        let expected = "ID  APPS  RUNNING  ROLE  CHANGED\n/   2     2/3      -     -\n\
                        /g  1     1/1      g     -\n";
        assert_eq!(table.text(0), expected);
    }

    #[test]
    fn factors_are_numbers_that_make_sense() {
        assert_eq!(factor("1.5"), Ok(1.5));
        for text in ["-1", "x", "inf", "NaN"] {
            assert!(factor(text).is_err(), "{text}");
        }
    }
}
