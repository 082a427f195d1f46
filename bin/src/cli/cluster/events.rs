//! `tepui events`: what happens in the cluster, as the master's operator API streams it.
//! Cannot tell what was missed while no master was reached; it says so, and what there is then.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;
use tepui_actors::client::{ClientError, RecordStream};

use super::super::marathon::span;
use super::super::output::{Output, print, print_plain, say, yaml};
use super::super::table::plain;
use super::super::trouble::Trouble;
use super::Common;
use super::master::no_answer;
use super::value::{list, text};

/// What `tepui events` is given.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Go on with what happens, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Time to look for a master when the one that was followed is gone, as 90, 90s, 10m or 1h
    #[arg(long, requires = "follow", value_name = "TIME", value_parser = span, default_value = "10m")]
    give_up_after: Duration,
}

/// Time before the first attempt to connect again; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest time between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Begins with what there is: agents, frameworks, tasks. Each event is a line; as YAML it is a document.
Signs of life are left out, unless all is wanted by -o wide.
With -f another master is looked for when the one that leads is gone, and what there is then is told
again; what happened meanwhile is not.

Examples:
  tepui events
  tepui events -f
  tepui events -f -o json | jq 'select(.type == \"TASK_UPDATED\")'

Exit status: 0 when done, 1 when refused or failed, 2 when the command line is wrong, 3 when no master
can be reached, or no more.";

/// Runs the command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let mut events = open(&args.common).await?;
    while let Some(lost) = tell(&args, &mut events).await? {
        events = again(&args, &lost).await?;
    }
    Ok(())
}

async fn open(common: &Common) -> Result<RecordStream, Trouble> {
    common.master().await?.events().await
}

/// Prints events; none when that is all, else why the stream that was to be followed has ended.
async fn tell(args: &Args, events: &mut RecordStream) -> Result<Option<ClientError>, Trouble> {
    loop {
        let record = match events.next().await {
            Ok(record) => record,
            Err(error) if args.follow && is_lost(&error) => return Ok(Some(error)),
            Err(error) => return Err(no_answer(error)),
        };
        let event: Value = serde_json::from_slice(&record)
            .map_err(|error| Trouble::Failed(format!("an event cannot be read: {error}")))?;
        let is_sign_of_life = text(&event, "/type") == "HEARTBEAT";
        if !is_sign_of_life || args.common.is_wide() {
            match args.common.output() {
                Output::Table | Output::Wide => print(&told(&event))?,
                Output::Json => print_plain(&format!("{event}\n"))?,
                Output::Yaml => print_plain(&format!("---\n{}", yaml(&record)?))?,
            }
        }
        if !args.follow {
            return Ok(None);
        }
    }
}

/// Whether it is the connection that has failed, and not what came over it.
fn is_lost(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Closed | ClientError::Silent(_) | ClientError::Unreachable { .. }
    )
}

/// Connects again, to the master that leads then.
async fn again(args: &Args, lost: &ClientError) -> Result<RecordStream, Trouble> {
    say(&format!("{lost}; connecting again"));
    let mut last = String::new();
    let mut pause = FIRST_PAUSE;
    let attempts = async {
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            match open(&args.common).await {
                // A master on standby that knows no other yet has nowhere to send anybody on to.
                Err(trouble @ Trouble::Refused { status: 307, .. }) => last = shown(&trouble),
                Err(trouble) if trouble.may_pass() => last = shown(&trouble),
                opened => return opened,
            }
        }
    };
    match tokio::time::timeout(args.give_up_after, attempts).await {
        Ok(opened) => {
            let opened = opened?;
            say("connected again; what happened meanwhile is not told, what there is now is");
            Ok(opened)
        }
        Err(_elapsed) => {
            let seconds = args.give_up_after.as_secs();
            let why = format!("no master was reached again within {seconds} s");
            Err(Trouble::Unreachable(match last.as_str() {
                "" => why,
                last => format!("{why}: {last}"),
            }))
        }
    }
}

fn shown(trouble: &Trouble) -> String {
    trouble.text().unwrap_or_default().to_owned()
}

/// An event as a line; the first one as a line for each thing that there is.
fn told(event: &Value) -> String {
    let kind = text(event, "/type");
    let payload = &event[kind.to_ascii_lowercase()];
    match kind {
        "SUBSCRIBED" => there(payload),
        "AGENT_ADDED" => line(kind, &[agent(&payload["agent"])]),
        "AGENT_REMOVED" => line(kind, &[text(payload, "/agent_id/value").to_owned()]),
        "FRAMEWORK_ADDED" | "FRAMEWORK_UPDATED" => line(kind, &[framework(&payload["framework"])]),
        "FRAMEWORK_REMOVED" => line(kind, &[named(&payload["framework_info"])]),
        "TASK_ADDED" => line(kind, &[task(&payload["task"])]),
        "TASK_UPDATED" => {
            let status = &payload["status"];
            let of = |pointer: &str| text(status, pointer).to_owned();
            let framework = text(payload, "/framework_id/value");
            line(
                kind,
                &[
                    of("/task_id/value"),
                    text(payload, "/state").to_owned(),
                    format!("of {framework}"),
                    of("/reason"),
                    of("/message"),
                ],
            )
        }
        _ => line(kind, &[]),
    }
}

fn there(subscribed: &Value) -> String {
    let state = &subscribed["get_state"];
    let mut lines = String::new();
    for it in list(state, "/get_agents/agents") {
        lines.push_str(&line("AGENT", &[agent(it)]));
    }
    for it in list(state, "/get_frameworks/frameworks") {
        lines.push_str(&line("FRAMEWORK", &[framework(it)]));
    }
    for it in list(state, "/get_tasks/tasks") {
        lines.push_str(&line("TASK", &[task(it)]));
    }
    match lines.as_str() {
        "" => line("SUBSCRIBED", &["to an empty cluster".to_owned()]),
        lines => lines.to_owned(),
    }
}

fn line(kind: &str, said: &[String]) -> String {
    let mut line = format!("{kind:<17}");
    for part in said.iter().filter(|part| !part.is_empty()) {
        line.push_str(&format!("  {}", plain(part)));
    }
    format!("{}\n", line.trim_end())
}

fn agent(agent: &Value) -> String {
    let (id, host) = (
        text(agent, "/agent_info/id/value"),
        text(agent, "/agent_info/hostname"),
    );
    format!("{id}  on {host}")
}

fn framework(framework: &Value) -> String {
    named(&framework["framework_info"])
}

fn named(info: &Value) -> String {
    let (id, name) = (text(info, "/id/value"), text(info, "/name"));
    format!("{id}  ({name})")
}

fn task(task: &Value) -> String {
    let of = |pointer: &str| text(task, pointer);
    let (id, state) = (of("/task_id/value"), of("/state"));
    let (framework, agent) = (of("/framework_id/value"), of("/agent_id/value"));
    format!("{id}  {state}  of {framework}  on {agent}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_event_is_a_line() {
        let id = |id: &str| json!({"value": id});
        let info = json!({"id": id("F"), "name": "web"});
        let updated = json!({"type": "TASK_UPDATED", "task_updated": {"framework_id": id("F"),
            "state": "TASK_FAILED", "status": {"task_id": id("t"), "message": "exit\n1"}}});
        let one = json!({"agent_info": {"id": id("S"), "hostname": "h"}});
        for (event, expected) in [
            (updated, "TASK_UPDATED       t  TASK_FAILED  of F  exit 1\n"),
            (
                json!({"type": "FRAMEWORK_REMOVED", "framework_removed": {"framework_info": info}}),
                "FRAMEWORK_REMOVED  F  (web)\n",
            ),
            (
                json!({"type": "AGENT_REMOVED", "agent_removed": {"agent_id": id("S")}}),
                "AGENT_REMOVED      S\n",
            ),
            (
                json!({"type": "SUBSCRIBED", "subscribed": {"get_state": {"get_agents":
                    {"agents": [one]}, "get_frameworks": {"frameworks": [{"framework_info": info}]}}}}),
                "AGENT              S  on h\nFRAMEWORK          F  (web)\n",
            ),
            (
                json!({"type": "SUBSCRIBED", "subscribed": {"get_state": {}}}),
                "SUBSCRIBED         to an empty cluster\n",
            ),
            (json!({"type": "HEARTBEAT"}), "HEARTBEAT\n"),
        ] {
            assert_eq!(told(&event), expected);
        }
    }
}
