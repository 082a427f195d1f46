//! `tepui maintenance`: shows and sets when machines are maintained, and takes them down and up.
//! Judges no schedule; the master does.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::super::json;
use super::super::output::now;
use super::super::table::{NOTHING, Table, duration};
use super::super::trouble::Trouble;
use super::doubt::Yes;
use super::master::Master;
use super::value::{list, text};
use super::{Common, Noun};

/// What `tepui maintenance` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show which machines are drained for maintenance, and which are down
    #[command(after_help = "Example:\n  tepui maintenance status")]
    Status,
    /// Show the schedule, or replace it by that of a file
    #[command(after_help = SCHEDULE_EXAMPLES)]
    Schedule {
        /// JSON of a schedule; - reads the standard input
        file: Option<String>,
    },
    /// Take scheduled machines down: their agents are removed, and are not let in
    #[command(after_help = "Example:\n  tepui maintenance down host-a.example --yes")]
    Down {
        #[command(flatten)]
        machines: Machines,
        #[command(flatten)]
        yes: Yes,
    },
    /// Take machines up again that are down; they leave the schedule
    #[command(after_help = "Example:\n  tepui maintenance up host-a.example")]
    Up(Machines),
}

const SCHEDULE_EXAMPLES: &str = "\
Times are nanoseconds, those of a start since the Unix epoch. Machines are named as agents name
themselves, by hostname and ip. A schedule without windows ends all maintenance.

Examples:
  tepui maintenance schedule
  echo '{\"windows\": [{\"machine_ids\": [{\"hostname\": \"host-a.example\", \"ip\": \"10.0.0.1\"}],
    \"unavailability\": {\"start\": {\"nanoseconds\": 1924988400000000000},
      \"duration\": {\"nanoseconds\": 3600000000000}}}]}' | tepui maintenance schedule -
  echo '{\"windows\": []}' | tepui maintenance schedule -";

/// What a file is to hold.
const A_SCHEDULE: &str = r#"a schedule, as {"windows": [...]}"#;

#[derive(Debug, ClapArgs)]
pub struct Machines {
    /// Hostname or IP address of a machine
    #[arg(required = true, value_name = "MACHINE")]
    machines: Vec<String>,
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::Status => status(common, &master).await,
        Command::Schedule { file: None } => schedule(common, &master).await,
        Command::Schedule { file: Some(file) } => replace(common, &master, file).await,
        Command::Down { machines, yes } => down(common, &master, machines, yes).await,
        Command::Up(machines) => up(common, &master, machines).await,
    }
}

async fn status(common: &Common, master: &Master) -> Result<(), Trouble> {
    let status = master.ask("GET_MAINTENANCE_STATUS").await?;
    let mut table = Table::new(&["MACHINE", "IP", "STATE"]);
    let draining = list(&status, "/status/draining_machines").iter();
    let draining = draining.map(|it| (&it["id"], "draining"));
    let down = list(&status, "/status/down_machines")
        .iter()
        .map(|it| (it, "down"));
    for (machine, state) in draining.chain(down) {
        let of = |pointer: &str| text(machine, pointer).to_owned();
        table.row(vec![of("/hostname"), of("/ip"), state.to_owned()]);
    }
    common.show_table(&status, "no machine is maintained", &table)
}

async fn schedule(common: &Common, master: &Master) -> Result<(), Trouble> {
    let schedule = master.ask("GET_MAINTENANCE_SCHEDULE").await?;
    let now = now();
    let mut table = Table::new(&["MACHINE", "IP", "BEGINS", "LASTS"]);
    for window in list(&schedule, "/schedule/windows") {
        let when = &window["unavailability"];
        for machine in list(window, "/machine_ids") {
            let of = |pointer: &str| text(machine, pointer).to_owned();
            table.row(vec![
                of("/hostname"),
                of("/ip"),
                begins(when, now),
                lasts(when),
            ]);
        }
    }
    common.show_table(&schedule, "no maintenance is scheduled", &table)
}

/// When a window begins, as seen from now.
fn begins(when: &Value, now: i64) -> String {
    let Some(start) = when["start"]["nanoseconds"].as_i64() else {
        return NOTHING.to_owned();
    };
    let seconds = (start / 1_000_000 - now) / 1000;
    match seconds {
        ..0 => format!("{} ago", duration(-seconds)),
        _ => format!("in {}", duration(seconds)),
    }
}

fn lasts(when: &Value) -> String {
    match when["duration"]["nanoseconds"].as_i64() {
        Some(nanoseconds) => duration(nanoseconds / 1_000_000_000),
        None => "for ever".to_owned(),
    }
}

async fn replace(common: &Common, master: &Master, file: &str) -> Result<(), Trouble> {
    let (_, document) = json::read(file, A_SCHEDULE)?;
    // An answer of `tepui maintenance schedule -o json` does, too.
    let schedule = document.get("schedule").unwrap_or(&document);
    if !schedule["windows"].is_array() {
        return Err(Trouble::Usage(format!("expected {A_SCHEDULE}")));
    }
    let payload = json!({"schedule": schedule});
    master
        .call("UPDATE_MAINTENANCE_SCHEDULE", Some(payload))
        .await?;
    let count = list(schedule, "/windows").len();
    common.done(&format!("the schedule has {count} windows now"))
}

async fn down(
    common: &Common,
    master: &Master,
    machines: &Machines,
    yes: &Yes,
) -> Result<(), Trouble> {
    let schedule = master.ask("GET_MAINTENANCE_SCHEDULE").await?;
    let scheduled = list(&schedule, "/schedule/windows").iter();
    let scheduled: Vec<&Value> = scheduled
        .flat_map(|window| list(window, "/machine_ids"))
        .collect();
    let missing =
        "is not scheduled for maintenance; `tepui maintenance schedule` tells how it can be";
    let meant = meant(machines, &scheduled, missing)?;
    let names = machines.machines.join(", ");
    yes.must_be_meant(&format!(
        "the agents on {names} are removed, their tasks are lost, and they are not let in before \
         `tepui maintenance up`"
    ))?;
    let payload = json!({"machines": meant});
    master.call("START_MAINTENANCE", Some(payload)).await?;
    common.done(&format!("down for maintenance: {names}"))
}

async fn up(common: &Common, master: &Master, machines: &Machines) -> Result<(), Trouble> {
    let status = master.ask("GET_MAINTENANCE_STATUS").await?;
    let down: Vec<&Value> = list(&status, "/status/down_machines").iter().collect();
    let meant = meant(
        machines,
        &down,
        "is not down; `tepui maintenance status` lists those that are",
    )?;
    let payload = json!({"machines": meant});
    master.call("STOP_MAINTENANCE", Some(payload)).await?;
    common.done(&format!("up again: {}", machines.machines.join(", ")))
}

/// The known machines that are meant; `missing` is what is said of one that is not known.
fn meant<'a>(
    machines: &Machines,
    known: &[&'a Value],
    missing: &str,
) -> Result<Vec<&'a Value>, Trouble> {
    let mut all = Vec::new();
    for name in &machines.machines {
        let is_meant = |it: &&&Value| text(it, "/hostname") == name || text(it, "/ip") == name;
        let found: Vec<&'a Value> = known.iter().filter(is_meant).copied().collect();
        match found.as_slice() {
            [] => return Err(Trouble::Failed(format!("machine {name} {missing}"))),
            [one] => all.push(*one),
            several => {
                let ips: Vec<&str> = several.iter().map(|it| text(it, "/ip")).collect();
                let ips = ips.join(", ");
                let text = format!("'{name}' may mean several machines; give one's ip: {ips}");
                return Err(Trouble::Failed(text));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_found_by_hostname_and_by_address() {
        let known = [
            json!({"hostname": "a", "ip": "10.0.0.1"}),
            json!({"hostname": "b", "ip": "10.0.0.2"}),
            json!({"hostname": "b", "ip": "10.0.0.3"}),
            json!({"ip": "10.0.0.4"}),
        ];
        let all: Vec<&Value> = known.iter().collect();
        let find = |name: &str| {
            let machines = Machines {
                machines: vec![name.to_owned()],
            };
            meant(&machines, &all, "is missing")
                .map_err(|trouble| trouble.text().map(str::to_owned))
        };
        assert_eq!(find("a").expect("one"), [&known[0]]);
        assert_eq!(find("10.0.0.3").expect("one"), [&known[2]]);
        assert_eq!(find("10.0.0.4").expect("one"), [&known[3]]);
        let ambiguous = find("b").expect_err("two").expect("a text");
        assert!(ambiguous.ends_with("10.0.0.2, 10.0.0.3"), "{ambiguous}");
        assert_eq!(
            find("c").expect_err("none").as_deref(),
            Some("machine c is missing")
        );
    }

    #[test]
    fn windows_are_told_as_seen_from_now() {
        let when = json!({"start": {"nanoseconds": 100_000_000_000_i64},
            "duration": {"nanoseconds": 3_600_000_000_000_i64}});
        assert_eq!(begins(&when, 40_000), "in 60s");
        assert_eq!(begins(&when, 130_000), "30s ago");
        assert_eq!(
            (lasts(&when), lasts(&json!({}))),
            ("60m".to_owned(), "for ever".to_owned())
        );
    }
}
