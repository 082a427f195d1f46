//! `tasks`: real tasks on a running cluster with real agents.
//! Starts no master and simulates nothing.

use clap::{Args, ValueEnum};

use super::{Common, Stage, positive};
use crate::clock::Clock;
use crate::framework::Error;
use crate::ledger::Plan;
use crate::proc;
use crate::report::Run;

/// Most tasks of one run.
const MAX_TASKS: u64 = 1_000_000;

/// Most tasks at once.
const MAX_CONCURRENCY: u64 = 10_000;

/// Command tasks on the agents of a running cluster, one by one or many at once.
#[derive(Debug, Clone, Args)]
pub struct Tasks {
    /// Number of tasks of each mode.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    pub tasks: u64,
    /// Shell command of each task.
    #[arg(long, default_value = "true")]
    pub command: String,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub mode: Mode,
    /// Most tasks at once in mode throughput.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MAX_CONCURRENCY))]
    pub concurrency: u64,
    /// Tasks due per second in mode throughput; latencies then count from when a task was due.
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// CPUs of each task.
    #[arg(long, default_value_t = 0.01, value_parser = positive)]
    pub cpus: f64,
    /// Memory of each task in MB.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub mem: f64,
    /// Also report the memory of this process, as name=pid; may be repeated.
    #[arg(long = "pid", value_parser = named_pid)]
    pub pids: Vec<(String, u32)>,
    #[command(flatten)]
    pub common: Common,
}

/// Which way tasks are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One task at a time.
    Latency,
    /// As many as `--concurrency` at once.
    Throughput,
    /// Both, one after the other.
    Both,
}

/// Plays the scenario: a run for each mode.
///
/// # Errors
/// When the master fails, or a task does not finish in time.
pub async fn run(clock: Clock, arguments: &Tasks) -> Result<Vec<Run>, Error> {
    if arguments.common.master.is_none() {
        return Err("tasks needs --master=HOST:PORT, a cluster with real agents".into());
    }
    let stage = Stage::set(clock, &arguments.common).await?;
    let mut runs = Vec::new();
    for mode in [Mode::Latency, Mode::Throughput] {
        if arguments.mode == mode || arguments.mode == Mode::Both {
            runs.push(play(&stage, arguments, mode).await?);
        }
    }
    if let Some(last) = runs.last_mut() {
        for (name, pid) in &arguments.pids {
            tell_memory(last, name, *pid)?;
        }
    }
    Ok(runs)
}

async fn play(stage: &Stage, arguments: &Tasks, mode: Mode) -> Result<Run, Error> {
    let at_once = mode == Mode::Throughput;
    let name = if at_once { "throughput" } else { "latency" };
    let concurrency = if at_once { arguments.concurrency } else { 1 };
    let plan = Plan {
        tasks: usize::try_from(arguments.tasks)?,
        command: arguments.command.clone(),
        concurrency: usize::try_from(concurrency)?,
        rate: arguments.rate.filter(|_| at_once),
        cpus: arguments.cpus,
        mem_mb: arguments.mem,
        prefix: name.into(),
        ..Plan::default()
    };
    let mut run = Run::new("tasks");
    run.parameter("mode", name)
        .parameter("tasks", arguments.tasks)
        .parameter("command", &arguments.command)
        .parameter("concurrency", concurrency);
    let outcome = stage.run_plans(name, vec![plan]).await?;
    outcome.tell(&mut run);
    outcome.tear_down().await?;
    Ok(run)
}

/// Writes the memory of a process into a run.
///
/// # Errors
/// When there is no such process.
pub fn tell_memory(run: &mut Run, name: &str, pid: u32) -> Result<(), Error> {
    let memory = proc::memory(pid)?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    run.measure(&format!("{name} RSS"), mib(memory.rss_kib), "MiB");
    run.measure(&format!("{name} PSS"), mib(memory.pss_kib), "MiB");
    Ok(())
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
