//! `tepui agent`: lists and shows agents, drains them, and takes them out of the cluster.
//! Decides nothing; the master does.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::super::marathon::span;
use super::super::output::{Output, now};
use super::super::table::{Table, fields};
use super::super::trouble::Trouble;
use super::doubt::Yes;
use super::find::{Candidate, one};
use super::master::Master;
use super::value::{ago, attributes, is_set, joined, list, resources, share, text};
use super::{Common, Noun};

/// What `tepui agent` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List agents
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  tepui agent list\n  tepui agent list -o wide"
    )]
    List,
    /// Show an agent, with its resources
    #[command(
        after_help = "Examples:\n  tepui agent show host-a.example\n  tepui agent show 5e1c -o yaml"
    )]
    Show(AgentArg),
    /// Kill an agent's tasks, within the time they are given, and offer it no more
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(DrainArgs),
    /// Offer an agent no more; its tasks go on
    #[command(after_help = "Example:\n  tepui agent deactivate host-a.example")]
    Deactivate(AgentArg),
    /// Offer an agent again that was drained or deactivated
    #[command(after_help = "Example:\n  tepui agent reactivate host-a.example")]
    Reactivate(AgentArg),
    /// Declare an agent gone for good: its tasks count as gone, and it is never let in again
    #[command(
        after_help = "Example:\n  tepui agent gone 5e1c7c4e-2b5c-4a31-9d9b-0f5a8a3e3c11-S4 --yes"
    )]
    Gone(GoneArgs),
}

const DRAIN_EXAMPLES: &str = "\
The agent stays out until `tepui agent reactivate`, also when all of its tasks have ended.

Examples:
  tepui agent drain host-a.example --max-grace-period 10m
  tepui agent drain host-a.example --gone --yes    # and it never comes back";

#[derive(Debug, ClapArgs)]
pub struct AgentArg {
    /// Id of the agent or its beginning, or its hostname
    agent: String,
}

#[derive(Debug, ClapArgs)]
pub struct DrainArgs {
    #[command(flatten)]
    agent: AgentArg,
    /// Longest time that a task may take to end, whatever it was granted, as 90, 90s, 10m or 1h
    #[arg(long, value_name = "TIME", value_parser = span)]
    max_grace_period: Option<Duration>,
    /// Declare the agent gone for good when all of its tasks have ended
    #[arg(long)]
    gone: bool,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Debug, ClapArgs)]
pub struct GoneArgs {
    #[command(flatten)]
    agent: AgentArg,
    #[command(flatten)]
    yes: Yes,
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::List => all(common, &master).await,
        Command::Show(args) => show(common, &master, args).await,
        Command::Drain(args) => drain(common, &master, args).await,
        Command::Deactivate(args) => {
            change(common, &master, args, "DEACTIVATE_AGENT", "is deactivated").await
        }
        Command::Reactivate(args) => {
            change(common, &master, args, "REACTIVATE_AGENT", "is active again").await
        }
        Command::Gone(args) => gone(common, &master, args).await,
    }
}

/// The agents of an answer to GET_AGENTS; with those that are not back since the master began.
pub(super) fn candidates(agents: &Value) -> Vec<Candidate<'_, Value>> {
    let there = list(agents, "/agents").iter().map(|agent| Candidate {
        id: text(agent, "/agent_info/id/value"),
        name: text(agent, "/agent_info/hostname"),
        it: agent,
    });
    let recovered = list(agents, "/recovered_agents")
        .iter()
        .map(|info| Candidate {
            id: text(info, "/id/value"),
            name: text(info, "/hostname"),
            it: info,
        });
    there.chain(recovered).collect()
}

/// What an agent is like, in a word.
pub(super) fn condition(agent: &Value) -> &'static str {
    match text(agent, "/drain_info/state") {
        "DRAINING" => return "draining",
        "DRAINED" => return "drained",
        _ => {}
    }
    // One that is not back is told by its info alone.
    if agent.get("agent_info").is_none() {
        return "recovered";
    }
    match (is_set(agent, "/deactivated"), is_set(agent, "/active")) {
        (true, _) => "deactivated",
        (false, true) => "active",
        (false, false) => "disconnected",
    }
}

async fn all(common: &Common, master: &Master) -> Result<(), Trouble> {
    let agents = master.ask("GET_AGENTS").await?;
    let table = table(&agents, now(), common.is_wide());
    common.show_table(&agents, "there are no agents", &table)
}

fn table(agents: &Value, now: i64, is_wide: bool) -> Table {
    let mut columns = vec!["ID", "HOST", "STATE", "CPUS", "MEM", "DISK", "SINCE"];
    if is_wide {
        columns.extend(["GPUS", "VERSION", "ADDRESS", "ATTRIBUTES"]);
    }
    let mut table = Table::new(&columns);
    for Candidate { id, name, it } in candidates(agents) {
        let (used, total) = (
            list(it, "/allocated_resources"),
            list(it, "/total_resources"),
        );
        let mut row = vec![id.to_owned(), name.to_owned(), condition(it).to_owned()];
        row.extend(["cpus", "mem", "disk"].map(|name| share(used, total, name)));
        row.push(ago(it, "/registered_time", now));
        if is_wide {
            row.push(share(used, total, "gpus"));
            row.push(text(it, "/version").to_owned());
            row.push(address(it).to_owned());
            row.push(attributes(list(it, "/agent_info/attributes")));
        }
        table.row(row);
    }
    table
}

/// Where an agent listens; its pid is as `slave(1)@host:port`.
fn address(agent: &Value) -> &str {
    let pid = text(agent, "/pid");
    pid.rsplit_once('@').map_or(pid, |(_, address)| address)
}

async fn show(common: &Common, master: &Master, args: &AgentArg) -> Result<(), Trouble> {
    let agents = master.ask("GET_AGENTS").await?;
    let agent = one("agent", &args.agent, &candidates(&agents))?;
    common.show(agent, || described(agent, now()))
}

fn described(agent: &Value, now: i64) -> String {
    let info = agent.get("agent_info").unwrap_or(agent);
    let of = |pointer: &str| text(agent, pointer).to_owned();
    let held = |pointer: &str| resources(list(agent, pointer));
    let capabilities = joined(list(agent, "/capabilities"), "/type");
    fields(&[
        ("id", text(info, "/id/value").to_owned()),
        ("hostname", text(info, "/hostname").to_owned()),
        ("state", condition(agent).to_owned()),
        ("address", address(agent).to_owned()),
        ("version", of("/version")),
        ("registered", since(&ago(agent, "/registered_time", now))),
        (
            "reregistered",
            since(&ago(agent, "/reregistered_time", now)),
        ),
        (
            "drain began",
            since(&ago(agent, "/estimated_drain_start_time", now)),
        ),
        (
            "gone after drain",
            match is_set(agent, "/drain_info/config/mark_gone") {
                true => "yes".to_owned(),
                false => String::new(),
            },
        ),
        ("total", held("/total_resources")),
        ("allocated", held("/allocated_resources")),
        ("offered", held("/offered_resources")),
        ("attributes", attributes(list(info, "/attributes"))),
        ("domain", domain(info)),
        ("capabilities", capabilities),
    ])
}

fn since(age: &str) -> String {
    match age {
        "-" => String::new(),
        age => format!("{age} ago"),
    }
}

fn domain(info: &Value) -> String {
    let part = |name: &str| text(info, &format!("/domain/fault_domain/{name}/name"));
    match (part("region"), part("zone")) {
        ("", "") => String::new(),
        (region, zone) => format!("{region}/{zone}"),
    }
}

/// The id and the hostname of the agent that is meant.
async fn meant(master: &Master, args: &AgentArg) -> Result<(String, String), Trouble> {
    let agents = master.ask("GET_AGENTS").await?;
    let agent = one("agent", &args.agent, &candidates(&agents))?;
    let info = agent.get("agent_info").unwrap_or(agent);
    let (id, hostname) = (text(info, "/id/value"), text(info, "/hostname"));
    Ok((id.to_owned(), hostname.to_owned()))
}

async fn change(
    common: &Common,
    master: &Master,
    args: &AgentArg,
    kind: &str,
    done: &str,
) -> Result<(), Trouble> {
    let (id, hostname) = meant(master, args).await?;
    let payload = json!({"agent_id": {"value": id}});
    master.call(kind, Some(payload)).await?;
    common.done(&format!("agent {id} on {hostname} {done}"))
}

async fn drain(common: &Common, master: &Master, args: &DrainArgs) -> Result<(), Trouble> {
    let (id, hostname) = meant(master, &args.agent).await?;
    if args.gone {
        args.yes.must_be_meant(&format!(
            "agent {id} on {hostname} is gone for good after its drain, and is never let in again"
        ))?;
    }
    let mut payload = json!({"agent_id": {"value": id}, "mark_gone": args.gone});
    if let Some(longest) = args.max_grace_period {
        payload["max_grace_period"] = json!({"seconds": longest.as_secs(), "nanos": 0});
    }
    master.call("DRAIN_AGENT", Some(payload)).await?;
    common.done(&format!("agent {id} on {hostname} is draining"))?;
    if matches!(common.output(), Output::Table | Output::Wide) && !args.gone {
        super::super::output::say(&format!(
            "`tepui agent show {id}` tells when it is drained, `tepui agent reactivate {id}` takes \
             it back"
        ));
    }
    Ok(())
}

async fn gone(common: &Common, master: &Master, args: &GoneArgs) -> Result<(), Trouble> {
    let (id, hostname) = meant(master, &args.agent).await?;
    args.yes.must_be_meant(&format!(
        "all tasks of agent {id} on {hostname} count as gone, and it is never let in again"
    ))?;
    let payload = json!({"agent_id": {"value": id}});
    master.call("MARK_AGENT_GONE", Some(payload)).await?;
    common.done(&format!("agent {id} on {hostname} is gone"))
}
