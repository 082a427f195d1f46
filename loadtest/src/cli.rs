//! The command line: which scenario with which options, and in which form it is reported.
//! Measures nothing.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::clock::Clock;
use crate::framework::Error;
use crate::machine;
use crate::report::{Report, Run};
use crate::scenario::{
    agent_restart, apps, bench, bounds, containers, failover, flap, launch, offers, quota,
    register, soak, state, steady, tasks,
};

/// First words of the generated page about performance.
const INTRO: &str = "What was measured, and on what. Master and load test ran on the same machine, \
so that each took time from the other; on machines of their own, both would be faster.";

/// Measures clusters and reports latencies as histograms.
#[derive(Debug, Parser)]
#[command(name = "tepui-loadtest", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

/// How the figures are given.
#[derive(Debug, Args)]
struct Output {
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Also write the figures as JSON to this file.
    #[arg(long, global = true, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Also write them as an HTML page with plots to this file.
    #[arg(long, global = true, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain the scenarios.
    List,
    /// Show figures that were saved with --save, of several runs together.
    Report(Saved),
    Register(register::Register),
    Offers(offers::Offers),
    Launch(launch::Launch),
    Steady(steady::Steady),
    Failover(failover::Failover),
    State(state::State),
    Flap(flap::Flap),
    Quota(quota::Quota),
    Soak(soak::Soak),
    Bounds(bounds::Bounds),
    Tasks(tasks::Tasks),
    AgentRestart(agent_restart::AgentRestart),
    Containers(containers::Containers),
    Apps(apps::Apps),
    Bench(bench::Bench),
}

#[derive(Debug, Args)]
struct Saved {
    /// Files written with --save.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write them as a Markdown page to this file, and its plots beside it.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// A remark about the machine or the runs, for the page.
    #[arg(long, default_value = "")]
    note: String,
}

/// Does what the command line says; gives what is to be printed.
///
/// # Errors
/// When a scenario fails or a file cannot be read or written.
pub async fn run(cli: Cli) -> Result<String, Error> {
    let clock = Clock::start();
    let report = match &cli.command {
        Command::List => return Ok(list()),
        Command::Report(saved) => read(saved)?,
        command => Report {
            machine: machine::describe(clock),
            runs: play(clock, command).await?,
        },
    };
    let output = cli.output;
    if let Some(file) = &output.save {
        write(file, &report.json())?;
    }
    if let Some(file) = &output.html {
        write(file, &report.html())?;
    }
    Ok(match output.json {
        true => report.json() + "\n",
        false => report.table(),
    })
}

async fn play(clock: Clock, command: &Command) -> Result<Vec<Run>, Error> {
    Ok(match command {
        Command::List | Command::Report(_) => Vec::new(),
        Command::Register(arguments) => vec![register::run(clock, arguments).await?],
        Command::Offers(arguments) => vec![offers::run(clock, arguments).await?],
        Command::Launch(arguments) => vec![launch::run(clock, arguments).await?],
        Command::Steady(arguments) => vec![steady::run(clock, arguments).await?],
        Command::Failover(arguments) => vec![failover::run(clock, arguments).await?],
        Command::State(arguments) => vec![state::run(clock, arguments).await?],
        Command::Flap(arguments) => vec![flap::run(clock, arguments).await?],
        Command::Quota(arguments) => vec![quota::run(clock, arguments).await?],
        Command::Soak(arguments) => vec![soak::run(clock, arguments).await?],
        Command::Bounds(arguments) => vec![bounds::run(clock, arguments).await?],
        Command::Tasks(arguments) => tasks::run(clock, arguments).await?,
        Command::AgentRestart(arguments) => vec![agent_restart::run(clock, arguments).await?],
        Command::Containers(arguments) => vec![containers::run(clock, arguments).await?],
        Command::Apps(arguments) => apps::run(clock, arguments).await?,
        Command::Bench(arguments) => bench::run(clock, arguments).await?,
    })
}

/// The scenarios with their explanations and own options.
fn list() -> String {
    const OWN: [&str; 3] = ["list", "report", "help"];
    let mut cli = Cli::command();
    cli.build();
    let shared: Vec<String> = Defaults::command()
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .collect();
    let mut text = String::new();
    for scenario in cli
        .get_subcommands()
        .filter(|it| !OWN.contains(&it.get_name()))
    {
        let about = scenario
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        text.push_str(&format!("{}\n    {about}\n", scenario.get_name()));
        let own = scenario
            .get_arguments()
            .filter(|argument| !shared.contains(&argument.get_id().to_string()));
        for argument in own {
            let Some(name) = argument.get_long().filter(|name| *name != "help") else {
                continue;
            };
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let default: Vec<_> = argument.get_default_values().iter().collect();
            let default = match default.first() {
                Some(value) => format!(" [{}]", value.to_string_lossy()),
                None => String::new(),
            };
            text.push_str(&format!("      --{name}{default}: {help}\n"));
        }
    }
    text.push_str("\nOptions of all scenarios: tepui-loadtest register --help\n");
    text
}

/// The options all scenarios share.
#[derive(Debug, Parser)]
struct Defaults {
    #[command(flatten)]
    common: crate::scenario::Common,
    #[command(flatten)]
    output: Output,
}

fn read(saved: &Saved) -> Result<Report, Error> {
    let mut reports = Vec::new();
    for file in &saved.files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let report = Report::parse(&text)
            .map_err(|error| format!("{} is no saved report: {error}", file.display()))?;
        reports.push(report);
    }
    let mut report = Report::merge(reports);
    if !saved.note.is_empty() {
        report.machine.note.clone_from(&saved.note);
    }
    if let Some(file) = &saved.markdown {
        let page = report.markdown("Performance", INTRO);
        write(file, &page.text)?;
        let directory = file.parent().unwrap_or(Path::new("."));
        for (name, plot) in &page.plots {
            write(&directory.join(name), plot)?;
        }
    }
    Ok(report)
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(file, text)
        .map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_well_formed_and_bounded() {
        Cli::command().debug_assert();
        let parses = |line: &str| {
            Cli::try_parse_from(["tepui-loadtest"].into_iter().chain(line.split(' '))).is_ok()
        };
        for right in [
            "tasks --master=h:1 --pid=master=7 --rate=10 --wire=json --mode=throughput",
            "register --agents=5 --delay-ms=1.5 --master-flag=--registry=file --json",
            "launch --target=mesos-v1 --master=h:1 --failing-tasks=0",
            "report a.json b.json --markdown=c.md --html=d.html",
            "apps --part=scale,read --rate=50.5 --create-by=app --marathon-flag=--launch_tokens=5",
            "list",
        ] {
            assert!(parses(right), "{right}");
        }
        for wrong in [
            "tasks --pid=7",
            "tasks --pid=a=b",
            "tasks --tasks=0",
            "tasks --rate=inf",
            "launch --target=mesos-v1",
            "launch --failing-tasks=1.5",
            "register --agents=0",
            "register --wire=xml",
            "register --timeout-secs=0",
            "register --delay-ms=-1",
            "apps --part=all",
            "apps --rate=0",
            "apps --apps=0",
            "report",
        ] {
            assert!(!parses(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_list_explains_every_scenario() {
        let text = list();
        for name in [
            "register",
            "offers",
            "launch",
            "steady",
            "failover",
            "state",
            "flap",
            "quota",
            "soak",
            "bounds",
            "tasks",
            "agent-restart",
            "containers",
            "apps",
            "bench",
        ] {
            let at = text.find(&format!("{name}\n    ")).unwrap();
            assert!(text[at..].lines().nth(1).unwrap().len() > 30, "{name}");
        }
        assert!(
            text.contains("--agents [10000]: Simulated agents"),
            "{text}"
        );
        assert!(!text.contains("--jitter-ms"), "{text}");
    }
}
