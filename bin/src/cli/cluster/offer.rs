//! `tepui offer`: lists what is offered to frameworks now.
//! Accepts and declines nothing; only the frameworks can.

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::table::{Table, amount};
use super::super::trouble::Trouble;
use super::Noun;
use super::value::{list, number, text};

/// What `tepui offer` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List offers that are neither accepted nor declined yet
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  tepui offer list\n  tepui offer list -o json"
    )]
    List,
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let Command::List = &args.command;
    // The operator API tells of no offers.
    let state = common.master().await?.get("/state", &[]).await?;
    let offers: Vec<&Value> = list(&state, "/frameworks")
        .iter()
        .flat_map(|framework| list(framework, "/offers"))
        .collect();
    let mut columns = vec!["ID", "FRAMEWORK", "AGENT", "ROLE", "CPUS", "MEM", "DISK"];
    if common.is_wide() {
        columns.extend(["GPUS", "PORTS", "AGENT ID", "FRAMEWORK ID"]);
    }
    let mut table = Table::new(&columns);
    for offer in &offers {
        table.row(row(&state, offer, common.is_wide()));
    }
    common.show_table(&json!({"offers": offers}), "nothing is offered now", &table)
}

fn row(state: &Value, offer: &Value, is_wide: bool) -> Vec<String> {
    let of = |pointer: &str| text(offer, pointer).to_owned();
    let held = |name: &str| amount(number(offer, &format!("/resources/{name}")).unwrap_or(0.0));
    let named = |all: &str, id: &str, name: &str| {
        let mut all = list(state, all).iter();
        let found = all.find(|it| text(it, "/id") == text(offer, id));
        found
            .map(|it| text(it, name).to_owned())
            .unwrap_or_default()
    };
    let mut row = vec![
        of("/id"),
        named("/frameworks", "/framework_id", "/name"),
        named("/slaves", "/slave_id", "/hostname"),
        of("/allocation_info/role"),
        held("cpus"),
        held("mem"),
        held("disk"),
    ];
    if is_wide {
        row.extend([
            held("gpus"),
            of("/resources/ports"),
            of("/slave_id"),
            of("/framework_id"),
        ]);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_told_with_names() {
        let state = json!({"slaves": [{"id": "S1", "hostname": "host-a"}],
            "frameworks": [{"id": "F1", "name": "web"}]});
        let offer = json!({"id": "O1", "framework_id": "F1", "slave_id": "S1",
            "allocation_info": {"role": "*"}, "resources": {"cpus": 1.5, "mem": 64.0,
            "ports": "[1-2]"}});
        let told = row(&state, &offer, true);
        assert_eq!(
            told,
            [
                "O1", "web", "host-a", "*", "1.5", "64", "0", "0", "[1-2]", "S1", "F1"
            ]
        );
    }
}
