//! `tepui role`: lists and shows roles, with what they have and what they may have.
//! Changes nothing.

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::table::{Table, amount, fields};
use super::super::trouble::Trouble;
use super::find::{Candidate, one};
use super::master::Master;
use super::value::{amounts, joined, list, number, resources, scalar, text};
use super::{Common, Noun, quota};

/// What `tepui role` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List roles that have frameworks, quota, weights or resources
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  tepui role list -o wide"
    )]
    List,
    /// Show a role with its frameworks and its quota
    #[command(after_help = "Example:\n  tepui role show web")]
    Show {
        /// Name of the role or its beginning
        role: String,
    },
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::List => all(common, &master).await,
        Command::Show { role } => show(common, &master, role).await,
    }
}

async fn all(common: &Common, master: &Master) -> Result<(), Trouble> {
    let roles = master.ask("GET_ROLES").await?;
    let mut columns = vec!["ROLE", "WEIGHT", "FRAMEWORKS", "CPUS", "MEM"];
    if common.is_wide() {
        columns.extend(["DISK", "GPUS", "IDS OF FRAMEWORKS"]);
    }
    let mut table = Table::new(&columns);
    for role in list(&roles, "/roles") {
        let (held, frameworks) = (list(role, "/resources"), list(role, "/frameworks"));
        let of = |name: &str| amount(scalar(held, name));
        let mut row = vec![
            text(role, "/name").to_owned(),
            amount(number(role, "/weight").unwrap_or(1.0)),
            frameworks.len().to_string(),
            of("cpus"),
            of("mem"),
        ];
        if common.is_wide() {
            row.extend([of("disk"), of("gpus"), joined(frameworks, "/value")]);
        }
        table.row(row);
    }
    common.show_table(&roles, "there are no roles", &table)
}

async fn show(common: &Common, master: &Master, wanted: &str) -> Result<(), Trouble> {
    let roles = master.ask("GET_ROLES").await?;
    let all = list(&roles, "/roles").iter().map(|role| Candidate {
        id: text(role, "/name"),
        name: "",
        it: role,
    });
    let role = one("role", wanted, &all.collect::<Vec<_>>())?;
    let quota = master.ask("GET_QUOTA").await?;
    let name = text(role, "/name");
    let quota = quota::of_role(&quota, name).cloned().unwrap_or_default();
    let shown = json!({"role": role, "quota": quota});
    common.show(&shown, || described(role, &quota))
}

fn described(role: &Value, quota: &Value) -> String {
    fields(&[
        ("role", text(role, "/name").to_owned()),
        ("weight", amount(number(role, "/weight").unwrap_or(1.0))),
        ("frameworks", joined(list(role, "/frameworks"), "/value")),
        ("resources", resources(list(role, "/resources"))),
        ("guarantees", amounts(&quota["guarantees"])),
        ("limits", amounts(&quota["limits"])),
    ])
}
