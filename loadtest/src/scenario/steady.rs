//! `steady`: tasks at a fixed rate for a time, whether or not the master keeps up.
//! An open loop: latencies count from when a task was due, so that a stall is not hidden.

use clap::Args;

use super::{Common, Stage, agents, positive, tell_probe};
use crate::clock::Clock;
use crate::framework::Error;
use crate::ledger::Plan;
use crate::report::Run;

/// Tasks at a fixed rate, each of some length.
#[derive(Debug, Clone, Args)]
pub struct Steady {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Tasks that become due per second, of all frameworks together.
    #[arg(long, default_value_t = 500.0, value_parser = positive)]
    pub rate: f64,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub seconds: f64,
    /// How long each task runs, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub task_seconds: f64,
    /// Frameworks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub frameworks: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a task does not finish, or not in time.
pub async fn run(clock: Clock, arguments: &Steady) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Steady) -> Result<Run, Error> {
    let mut run = Run::new("steady");
    run.parameter("agents", arguments.agents)
        .parameter("rate", arguments.rate)
        .parameter("frameworks", arguments.frameworks)
        .parameter("task_seconds", arguments.task_seconds);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let sampler = stage.watch_master()?;
    let probe = stage.probe("/metrics/snapshot")?;
    let plans = plans(arguments, stage.common.failing_tasks > 0.0)?;
    let tasks: usize = plans.iter().map(|plan| plan.tasks).sum();
    let outcome = stage.run_plans("steady", plans).await?;
    outcome.tell(&mut run);
    if let Some(sampler) = &sampler {
        let each = sampler.cpu()?.as_secs_f64() * 1e6 / tasks as f64;
        run.measure("master cpu per task", each, "us");
    }
    tell_probe(&mut run, "metrics meanwhile", &probe.finish());
    outcome.tear_down().await?;
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    drop(fleet);
    Ok(run)
}

/// The plans of a steady load.
///
/// # Errors
/// When the number of tasks cannot be told.
pub fn plans(arguments: &Steady, may_fail: bool) -> Result<Vec<Plan>, Error> {
    let rate = arguments.rate / arguments.frameworks as f64;
    let tasks = (rate * arguments.seconds).round().max(1.0);
    if tasks > 1e9 {
        return Err(format!("{tasks} tasks are too many for one framework").into());
    }
    let plan = |index: u64| Plan {
        tasks: tasks as usize,
        command: format!("sleep {}", arguments.task_seconds),
        concurrency: usize::MAX,
        rate: Some(rate),
        prefix: format!("s{index}"),
        may_fail,
        ..Plan::default()
    };
    Ok((0..arguments.frameworks).map(plan).collect())
}
