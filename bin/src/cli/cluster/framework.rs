//! `tepui framework`: lists and shows frameworks, and ends them.
//! Decides nothing; the master does.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::super::output::now;
use super::super::table::{Table, amount, fields};
use super::super::trouble::Trouble;
use super::doubt::Yes;
use super::find::{Candidate, one};
use super::master::Master;
use super::value::{ago, is_set, joined, list, number, resources, scalar, text};
use super::{Common, Noun, task};

/// What `tepui framework` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List frameworks
    #[command(visible_alias = "ls", after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show a framework with its tasks
    #[command(after_help = "Example:\n  tepui framework show marathon")]
    Show(FrameworkArg),
    /// End a framework: kill all of its tasks, and let it in no more
    #[command(after_help = "Example:\n  tepui framework teardown old-batch --yes")]
    Teardown(TeardownArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  tepui framework list
  tepui framework list --completed -o wide";

#[derive(Debug, ClapArgs)]
pub struct ListArgs {
    /// Those that have ended, too
    #[arg(short, long)]
    completed: bool,
}

#[derive(Debug, ClapArgs)]
pub struct FrameworkArg {
    /// Id of the framework or its beginning, or its name
    framework: String,
}

#[derive(Debug, ClapArgs)]
pub struct TeardownArgs {
    #[command(flatten)]
    framework: FrameworkArg,
    #[command(flatten)]
    yes: Yes,
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::List(args) => all(common, &master, args).await,
        Command::Show(args) => show(common, &master, args).await,
        Command::Teardown(args) => teardown(common, &master, args).await,
    }
}

/// The frameworks of an answer to GET_FRAMEWORKS that have not ended.
pub(super) fn candidates(frameworks: &Value) -> Vec<Candidate<'_, Value>> {
    let all = list(frameworks, "/frameworks").iter();
    all.map(candidate).collect()
}

fn candidate(framework: &Value) -> Candidate<'_, Value> {
    Candidate {
        id: text(framework, "/framework_info/id/value"),
        name: text(framework, "/framework_info/name"),
        it: framework,
    }
}

/// The id of the framework that is meant.
pub(super) async fn meant(master: &Master, wanted: &str) -> Result<String, Trouble> {
    let frameworks = master.ask("GET_FRAMEWORKS").await?;
    let framework = one("framework", wanted, &candidates(&frameworks))?;
    Ok(text(framework, "/framework_info/id/value").to_owned())
}

/// What a framework is like, in a word.
fn condition(framework: &Value, has_ended: bool) -> &'static str {
    if has_ended {
        return "completed";
    }
    let is = |pointer: &str| is_set(framework, pointer);
    match (is("/recovered"), is("/connected"), is("/active")) {
        (true, ..) => "recovered",
        (_, false, _) => "disconnected",
        (_, _, false) => "inactive",
        _ => "active",
    }
}

/// The roles of a framework, which has one or several of them.
fn roles(framework: &Value) -> String {
    let info = &framework["framework_info"];
    let several = list(info, "/roles").iter().filter_map(Value::as_str);
    let several: Vec<&str> = several.collect();
    match (several.as_slice(), text(info, "/role")) {
        ([], "") => "*".to_owned(),
        ([], one) => one.to_owned(),
        (several, _) => several.join(", "),
    }
}

async fn all(common: &Common, master: &Master, args: &ListArgs) -> Result<(), Trouble> {
    let mut frameworks = master.ask("GET_FRAMEWORKS").await?;
    if !args.completed
        && let Some(answer) = frameworks.as_object_mut()
    {
        answer.remove("completed_frameworks");
    }
    let table = table(&frameworks, now(), common.is_wide());
    common.show_table(&frameworks, "there are no frameworks", &table)
}

fn table(frameworks: &Value, now: i64, is_wide: bool) -> Table {
    let mut columns = vec!["ID", "NAME", "STATE", "ROLES", "CPUS", "MEM", "SINCE"];
    if is_wide {
        columns.extend(["DISK", "GPUS", "USER", "PRINCIPAL", "HOST", "WEB"]);
    }
    let mut table = Table::new(&columns);
    let there = list(frameworks, "/frameworks").iter().map(|it| (it, false));
    let ended = list(frameworks, "/completed_frameworks")
        .iter()
        .map(|it| (it, true));
    for (framework, has_ended) in there.chain(ended) {
        let Candidate { id, name, .. } = candidate(framework);
        let used = list(framework, "/allocated_resources");
        let held = |name: &str| amount(scalar(used, name));
        let info = |pointer: &str| text(&framework["framework_info"], pointer).to_owned();
        let mut row = vec![
            id.to_owned(),
            name.to_owned(),
            condition(framework, has_ended).to_owned(),
            roles(framework),
            held("cpus"),
            held("mem"),
            ago(framework, "/registered_time", now),
        ];
        if is_wide {
            row.extend([held("disk"), held("gpus")]);
            row.extend(["/user", "/principal", "/hostname", "/webui_url"].map(info));
        }
        table.row(row);
    }
    table
}

async fn show(common: &Common, master: &Master, args: &FrameworkArg) -> Result<(), Trouble> {
    let frameworks = master.ask("GET_FRAMEWORKS").await?;
    let there = candidates(&frameworks);
    let ended = list(&frameworks, "/completed_frameworks")
        .iter()
        .map(candidate);
    // One that has ended is meant only if no other is.
    let found = match one("framework", &args.framework, &there) {
        Err(Trouble::Failed(text)) if text.starts_with("there is no") => {
            one("framework", &args.framework, &ended.collect::<Vec<_>>())
        }
        found => found,
    };
    let framework = found?;
    let has_ended = !there.iter().any(|it| std::ptr::eq(it.it, framework));
    let tasks = master.ask("GET_TASKS").await?;
    let id = candidate(framework).id;
    common.show(framework, || {
        let mut shown = described(framework, has_ended, now());
        let own = task::table(&tasks, now(), common.is_wide(), |it| {
            !it.has_ended && text(it.task, "/framework_id/value") == id
        });
        if !own.is_empty() {
            shown.push_str(&format!("\ntasks:\n{}", own.fitted(2, common.columns())));
        }
        shown
    })
}

fn described(framework: &Value, has_ended: bool, now: i64) -> String {
    let info = &framework["framework_info"];
    let of = |pointer: &str| text(info, pointer).to_owned();
    let held = |pointer: &str| resources(list(framework, pointer));
    let labels = list(info, "/labels/labels").iter().map(|label| {
        let (key, value) = (text(label, "/key"), text(label, "/value"));
        format!("{key}={value}")
    });
    fields(&[
        ("id", of("/id/value")),
        ("name", of("/name")),
        ("state", condition(framework, has_ended).to_owned()),
        ("roles", roles(framework)),
        ("user", of("/user")),
        ("principal", of("/principal")),
        ("hostname", of("/hostname")),
        ("web", of("/webui_url")),
        (
            "failover timeout",
            number(info, "/failover_timeout")
                .map_or_else(String::new, |it| format!("{}s", amount(it))),
        ),
        ("registered", ago(framework, "/registered_time", now)),
        ("reregistered", ago(framework, "/reregistered_time", now)),
        ("allocated", held("/allocated_resources")),
        ("offered", held("/offered_resources")),
        ("capabilities", joined(list(info, "/capabilities"), "/type")),
        ("labels", labels.collect::<Vec<_>>().join(", ")),
    ])
}

async fn teardown(common: &Common, master: &Master, args: &TeardownArgs) -> Result<(), Trouble> {
    let frameworks = master.ask("GET_FRAMEWORKS").await?;
    let found = one(
        "framework",
        &args.framework.framework,
        &candidates(&frameworks),
    )?;
    let Candidate { id, name, .. } = candidate(found);
    args.yes.must_be_meant(&format!(
        "all tasks of framework {id} ({name}) are killed, and it is let in no more"
    ))?;
    let payload = json!({"framework_id": {"value": id}});
    master.call("TEARDOWN", Some(payload)).await?;
    common.done(&format!("framework {id} ({name}) is torn down"))
}
