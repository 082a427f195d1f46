//! `tepui why`: why an app's instances do not run, why nothing is offered, or what became of a task.
//! Judges nothing; the app manager and the master do.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::super::marathon;
use super::super::output::now;
use super::super::table::{Table, amount, fields, plain};
use super::super::trouble::Trouble;
use super::master::Master;
use super::value::{age_ms, is_set, list, number, text};
use super::{Common, MasterArg, framework};

/// Where a master tells why.
const PATH: &str = "/api/tepui/v1/why";

/// What `tepui why` is given.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Args {
    /// Id of an app whose instances do not run
    #[arg(conflicts_with_all = ["framework", "role", "task"], required_unless_present_any = ["framework", "role", "task"])]
    app: Option<String>,
    /// A framework that nothing is offered to: its id or the beginning of it, or its name
    #[arg(long)]
    framework: Option<String>,
    /// A role that nothing is offered to; with --framework, to that framework
    #[arg(long)]
    role: Option<String>,
    /// A task: its whole id, of the framework that is given
    #[arg(long, requires = "framework", conflicts_with = "role")]
    task: Option<String>,
    #[command(flatten)]
    place: MasterArg,
    #[command(flatten)]
    apps: marathon::Common,
}

const EXAMPLES: &str = "\
Of apps the app manager is asked, of all else the master.

Examples:
  tepui why /shop/cart
  tepui why --framework marathon
  tepui why --role web -o wide
  tepui why --framework spark --task t.1

Exit status: 0 when done, 1 when refused or failed, 2 when the command line or a file is wrong,
3 when nobody can be reached.";

/// Runs the command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    if let Some(app) = &args.app {
        return marathon::why(app, &args.apps).await;
    }
    let common = Common {
        place: args.place,
        output: args.apps.output_arg(),
    };
    let master = common.master().await?;
    let framework = match (&args.framework, &args.task) {
        // A task outlives its framework in the master's memory.
        (Some(wanted), Some(_)) => match framework::meant(&master, wanted).await {
            Err(Trouble::Failed(text)) if text.starts_with("there is no") => Some(wanted.clone()),
            found => Some(found?),
        },
        (Some(wanted), None) => Some(framework::meant(&master, wanted).await?),
        (None, _) => None,
    };
    match (&framework, &args.task) {
        (Some(framework), Some(task)) => of_task(&common, &master, framework, task).await,
        _ => of_offers(&common, &master, framework.as_deref(), args.role.as_deref()).await,
    }
}

/// Asks the master, and says so if it cannot tell.
async fn ask(master: &Master, query: &[(&str, &str)]) -> Result<Value, Trouble> {
    master
        .get(PATH, query)
        .await
        .map_err(|trouble| match trouble {
            // One of our masters says what it does not find.
            Trouble::Refused { status: 404, text } if text.contains("without a word") => {
                let text = "this master cannot tell why, as that of Apache Mesos cannot";
                Trouble::Failed(text.to_owned())
            }
            other => other,
        })
}

/// Tells what has become of a task.
pub(super) async fn of_task(
    common: &Common,
    master: &Master,
    framework: &str,
    task: &str,
) -> Result<(), Trouble> {
    let why = ask(master, &[("framework_id", framework), ("task_id", task)]).await?;
    common.show(&why, || about_task(&why, now()))
}

fn about_task(why: &Value, now: i64) -> String {
    let of = |pointer: &str| text(why, pointer).to_owned();
    let since = number(why, "/since").map(|seconds| age_ms((seconds * 1000.0) as i64, now));
    let since = since.map_or_else(String::new, |age| format!(" for {age}"));
    let mut text = format!(
        "task {}: {}{since}\n  {}\n\n",
        of("/task_id"),
        of("/state"),
        plain(&of("/text"))
    );
    text.push_str(&fields(&[
        ("message", of("/message")),
        ("reason", of("/reason")),
        ("source", of("/source")),
        ("agent", of("/agent_id")),
        ("hostname", of("/hostname")),
        ("framework", of("/framework_id")),
    ]));
    text
}

async fn of_offers(
    common: &Common,
    master: &Master,
    framework: Option<&str>,
    role: Option<&str>,
) -> Result<(), Trouble> {
    let mut query = Vec::new();
    query.extend(framework.map(|id| ("framework_id", id)));
    query.extend(role.map(|role| ("role", role)));
    let why = ask(master, &query).await?;
    common.show(&why, || {
        about_offers(&why, common.is_wide(), common.columns())
    })
}

fn about_offers(why: &Value, is_wide: bool, columns: Option<usize>) -> String {
    let mut told = String::new();
    for framework in list(why, "/frameworks") {
        let (id, name) = (text(framework, "/framework_id"), text(framework, "/name"));
        let connected = match is_set(framework, "/connected") {
            true => "",
            false => ", disconnected",
        };
        for role in list(framework, "/roles") {
            let (role_name, offers) = (text(role, "/role"), &role["offers"]);
            told.push_str(&format!(
                "framework {id} ({}{connected}), role {role_name}: {offers} offers now\n",
                plain(name)
            ));
            told.push_str(&about_role(role, is_wide, columns));
        }
    }
    match (told.as_str(), why["left_out"].as_u64()) {
        ("", _) => "no framework is in that role\n".to_owned(),
        (_, Some(count @ 1..)) => format!("{told}{count} more frameworks are left out\n"),
        _ => told,
    }
}

fn about_role(role: &Value, is_wide: bool, columns: Option<usize>) -> String {
    let mut told = String::new();
    for reason in list(role, "/reasons") {
        let of = |pointer: &str| plain(text(reason, pointer));
        let (name, agents) = (of("/reason"), &reason["agents"]);
        told.push_str(&format!("  {name}, {agents} agents: {}\n", of("/text")));
        told.push_str(&format!("    -> {}\n", of("/unblock")));
    }
    if !is_wide {
        return told;
    }
    let mut agents = Table::new(&["AGENT", "HOST", "REASON", "ENDS IN", "FREE"]);
    for agent in list(role, "/agents") {
        let of = |pointer: &str| text(agent, pointer).to_owned();
        let ends = number(agent, "/ends_in_seconds");
        agents.row(vec![
            of("/agent_id"),
            of("/hostname"),
            of("/reason"),
            ends.map_or_else(String::new, |it| format!("{}s", amount(it))),
            of("/free"),
        ]);
    }
    if !agents.is_empty() {
        told.push_str(&format!("\n{}", agents.fitted(2, columns)));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_told_in_words() {
        let why = json!({"left_out": 2, "frameworks": [{"framework_id": "F", "name": "web",
            "connected": true, "roles": [{"role": "*", "offers": 0, "reasons": [{"reason":
            "FILTERED", "agents": 3, "text": "it declined", "unblock": "revive"}], "agents":
            [{"agent_id": "S1", "hostname": "h", "reason": "FILTERED", "free": "cpus:1",
            "ends_in_seconds": 4.5}]}]}]});
        let expected = "\
framework F (web), role *: 0 offers now
  FILTERED, 3 agents: it declined
    -> revive
2 more frameworks are left out
";
        assert_eq!(about_offers(&why, false, None), expected);
        let wide = about_offers(&why, true, None);
        assert!(
            wide.contains("S1     h     FILTERED  4.5s     cpus:1"),
            "{wide}"
        );
        assert!(about_offers(&json!({}), false, None).contains("no framework"));
    }

    #[test]
    fn the_end_of_a_task_is_told() {
        let why = json!({"task_id": "t", "state": "TASK_FAILED", "text": "it failed",
            "since": 10.0, "framework_id": "F", "message": "exit 7"});
        let told = about_task(&why, 70_000);
        assert!(
            told.starts_with("task t: TASK_FAILED for 60s\n  it failed\n\nmessage:"),
            "{told}"
        );
    }
}
