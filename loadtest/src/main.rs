//! `tepui-loadtest`: drives real clusters over the wire and reports how fast and how large they are.
//! Simulates nothing: masters, agents and executors are the real programs.

mod bench;
mod clock;
mod framework;
mod ledger;
mod proc;
mod report;
mod scenario;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tepui_protocol::media::MediaType;

use crate::clock::Clock;
use crate::framework::{Error, Framework};
use crate::ledger::Plan;
use crate::report::Report;

/// Most tasks of one run.
const MAX_TASKS: u64 = 1_000_000;

/// Most tasks at once.
const MAX_CONCURRENCY: u64 = 10_000;

/// Measures real clusters and reports latencies as histograms.
#[derive(Debug, Parser)]
#[command(name = "tepui-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Run command tasks on a running cluster.
    Tasks(Tasks),
    /// Start a master and an agent from beside this program, measure them, and end them.
    Bench(Bench),
}

#[derive(Debug, Args)]
struct Tasks {
    /// The master, as host:port.
    #[arg(long)]
    master: String,
    /// Number of tasks of each mode.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    tasks: u64,
    /// Shell command of each task.
    #[arg(long, default_value = "true")]
    command: String,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    mode: Mode,
    /// Most tasks at once in mode throughput.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MAX_CONCURRENCY))]
    concurrency: u64,
    /// Tasks due per second in mode throughput; latencies then count from when a task was due.
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// CPUs of each task.
    #[arg(long, default_value_t = 0.01, value_parser = positive)]
    cpus: f64,
    /// Memory of each task in MB.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    mem: f64,
    /// Also report the memory of this process, as name=pid; may be repeated.
    #[arg(long = "pid", value_parser = named_pid)]
    pids: Vec<(String, u32)>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Bench {
    /// Number of tasks run one after the other.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    tasks: u64,
    /// Number of tasks run in parallel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    throughput_tasks: u64,
    /// How many of them at once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MAX_CONCURRENCY))]
    concurrency: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Encoding of calls and events.
    #[arg(long, value_enum, default_value_t = Wire::Protobuf)]
    wire: Wire,
    /// Longest duration of one run in seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout_secs: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One task at a time.
    Latency,
    /// As many as `--concurrency` at once.
    Throughput,
    /// Both, one after the other.
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wire {
    Protobuf,
    Json,
}

impl From<Wire> for MediaType {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Protobuf => MediaType::Protobuf,
            Wire::Json => MediaType::Json,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let clock = Clock::start();
    let (json, result) = match Cli::parse().command {
        Commands::Tasks(tasks) => (tasks.common.json, run_tasks(clock, &tasks).await),
        Commands::Bench(bench) => (bench.common.json, run_bench(clock, &bench).await),
    };
    let (text, code) = match result {
        Ok(report) if json => (format!("{:#}\n", report.json()), ExitCode::SUCCESS),
        Ok(report) => (report.table(), ExitCode::SUCCESS),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tepui-loadtest: {error}");
            return ExitCode::FAILURE;
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run_tasks(clock: Clock, arguments: &Tasks) -> Result<Report, Error> {
    let mut report = Report::default();
    for (name, mode) in [("latency", Mode::Latency), ("throughput", Mode::Throughput)] {
        if arguments.mode != mode && arguments.mode != Mode::Both {
            continue;
        }
        let open = mode == Mode::Throughput;
        let plan = Plan {
            tasks: usize::try_from(arguments.tasks)?,
            command: arguments.command.clone(),
            concurrency: if open {
                usize::try_from(arguments.concurrency)?
            } else {
                1
            },
            rate: arguments.rate.filter(|_| open),
            cpus: arguments.cpus,
            mem_mb: arguments.mem,
            prefix: name.into(),
        };
        let media = arguments.common.wire.into();
        let limit = Duration::from_secs(arguments.common.timeout_secs);
        let info = scenario::framework_info();
        let mut framework = Framework::subscribe(&arguments.master, media, info).await?;
        let outcome = scenario::run(&mut framework, clock, name, plan, limit).await;
        framework.tear_down().await?;
        report.runs.push(outcome?);
    }
    for (name, pid) in &arguments.pids {
        report.memory.push((name.clone(), proc::memory(*pid)?));
    }
    Ok(report)
}

async fn run_bench(clock: Clock, arguments: &Bench) -> Result<Report, Error> {
    let size = bench::Size {
        latency_tasks: usize::try_from(arguments.tasks)?,
        throughput_tasks: usize::try_from(arguments.throughput_tasks)?,
        concurrency: usize::try_from(arguments.concurrency)?,
        limit: Duration::from_secs(arguments.common.timeout_secs),
    };
    bench::run(clock, size, arguments.common.wire.into()).await
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("'{text}' is not a number above zero")),
    }
}

fn named_pid(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text
        .split_once('=')
        .ok_or("expected name=pid, such as master=1234")?;
    let pid = pid
        .parse()
        .map_err(|_| format!("'{pid}' is not a process id"))?;
    Ok((name.to_owned(), pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_well_formed_and_bounded() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let tasks = |more: &[&str]| {
            let base = ["tepui-loadtest", "tasks", "--master=h:1"];
            Cli::try_parse_from(base.iter().chain(more)).is_ok()
        };
        assert!(tasks(&[
            "--pid=master=7",
            "--rate=10",
            "--wire=json",
            "--mode=throughput"
        ]));
        for wrong in [
            "--pid=7",
            "--pid=a=b",
            "--tasks=0",
            "--concurrency=0",
            "--rate=0",
        ] {
            assert!(!tasks(&[wrong]), "{wrong}");
        }
        for wrong in ["--rate=inf", "--cpus=-1", "--timeout-secs=0", "--wire=xml"] {
            assert!(!tasks(&[wrong]), "{wrong}");
        }
    }
}
