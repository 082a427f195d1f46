//! `tepui state`: the cluster in a few lines.
//! Shows no single task; `tepui task` does.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::super::output::now;
use super::super::table::{Table, fields};
use super::super::trouble::Trouble;
use super::value::{age_ms, list, number, share, text};
use super::{Common, agent, task};

/// What `tepui state` is given.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
As JSON or YAML, all that the master knows is printed.

Examples:
  tepui state
  tepui state -o json

Exit status: 0 when done, 1 when refused or failed, 2 when the command line or a file is wrong,
3 when no master can be reached.";

/// Runs the command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    let state = master.ask("GET_STATE").await?;
    let leader = master.ask("GET_MASTER").await?;
    let version = master.ask("GET_VERSION").await?;
    let document = json!({"get_state": state, "get_master": leader, "get_version": version});
    common.show(&document, || described(&document, now(), common.columns()))
}

fn described(document: &Value, now: i64, columns: Option<usize>) -> String {
    let state = &document["get_state"];
    let master = &document["get_master"]["master_info"];
    let since = number(&document["get_master"], "/elected_time");
    let agents = agent::candidates(&state["get_agents"]);
    let tasks = task::listed(&state["get_tasks"]);
    let mut text = fields(&[
        (
            "leader",
            format!("{}:{}", text_of(master, "/hostname"), master["port"]),
        ),
        (
            "version",
            text_of(&document["get_version"], "/version_info/version"),
        ),
        (
            "leads for",
            since.map_or_else(String::new, |it| age_ms((it * 1000.0) as i64, now)),
        ),
        (
            "agents",
            counted(agents.iter().map(|it| agent::condition(it.it))),
        ),
        (
            "frameworks",
            list(state, "/get_frameworks/frameworks").len().to_string(),
        ),
        (
            "tasks",
            counted(tasks.iter().map(|it| text(it.task, "/state"))),
        ),
    ]);
    let of_all = |pointer: &str| -> Vec<Value> {
        let all = list(state, "/get_agents/agents").iter();
        all.flat_map(|it| list(it, pointer).to_vec()).collect()
    };
    let (used, offered) = (of_all("/allocated_resources"), of_all("/offered_resources"));
    let total = of_all("/total_resources");
    let mut table = Table::new(&["RESOURCE", "ALLOCATED", "OFFERED"]);
    for name in ["cpus", "mem", "disk", "gpus"] {
        let (used, offered) = (share(&used, &total, name), share(&offered, &total, name));
        if !used.ends_with("/0") {
            table.row(vec![name.to_owned(), used, offered]);
        }
    }
    if !table.is_empty() {
        text.push_str(&format!("\n{}", table.fitted(0, columns)));
    }
    text
}

fn text_of(value: &Value, pointer: &str) -> String {
    text(value, pointer).to_owned()
}

/// How many there are of each kind, as `2 active, 1 drained`.
fn counted<'a>(kinds: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    match counts.is_empty() {
        true => "0".to_owned(),
        false => {
            let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
            counts.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_told_in_a_few_lines() {
        let cpus = |amount: f64| json!([{"name": "cpus", "scalar": {"value": amount}}]);
        let agent = |used| {
            json!({"agent_info": {"id": {"value": "S"}}, "active": true,
                "total_resources": cpus(4.0), "allocated_resources": cpus(used)})
        };
        let document = json!({"get_state": {"get_agents": {"agents": [agent(1.0), agent(0.5)]},
            "get_tasks": {"tasks": [{"state": "TASK_RUNNING"}]}}, "get_master": {"master_info":
            {"hostname": "h", "port": 5050}, "elected_time": 10.0},
            "get_version": {"version_info": {"version": "1.0"}}});
        let expected = "\
leader:      h:5050
version:     1.0
leads for:   60s
agents:      2 active
frameworks:  0
tasks:       1 TASK_RUNNING

RESOURCE  ALLOCATED  OFFERED
cpus      1.5/8      0/8
";
        assert_eq!(described(&document, 70_000, None), expected);
    }
}
