//! `state`: readers of the whole state, while tasks are launched.
//! Compares no answers with each other; it measures them.

use std::time::Duration;

use clap::Args;

use super::{Common, Stage, agents, tell_probe};
use crate::clock::Clock;
use crate::framework::{Error, framework_info};
use crate::ledger::Plan;
use crate::prober::{Pace, Prober};
use crate::report::Run;

/// Readers read what is large while tasks run and others are launched one by one.
#[derive(Debug, Clone, Args)]
pub struct State {
    /// Simulated agents.
    #[arg(long, default_value_t = 5_000, value_parser = agents())]
    pub agents: u64,
    /// Running tasks of all agents together.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(0..=5_000_000))]
    pub tasks: u64,
    /// Readers at a time; 0 launches without any.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub readers: u64,
    /// What they read.
    #[arg(long, default_value = "/state")]
    pub path: String,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When tasks are not launched in time.
pub async fn run(clock: Clock, arguments: &State) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &State) -> Result<Run, Error> {
    let mut run = Run::new("state");
    run.parameter("agents", arguments.agents)
        .parameter("tasks", arguments.tasks)
        .parameter("readers", arguments.readers)
        .parameter("path", &arguments.path);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let per_agent = arguments.tasks.div_ceil(arguments.agents).max(1);
    let resident = stage
        .populate(framework_info("resident"), arguments.tasks, per_agent)
        .await?;
    let sampler = stage.watch_master()?;
    let url = format!("http://{}{}", stage.target.master, arguments.path);
    let count = usize::try_from(arguments.readers)?;
    let readers = Prober::start(stage.clock, &url, Pace::Continuous, count)?;
    let health = stage.probe("/health")?;
    let metrics = stage.probe("/metrics/snapshot")?;
    // One task at a time for as long as wanted: what a user who launches something feels.
    let deadline = stage.clock.now() + Duration::from_secs(arguments.seconds);
    let mut outcome = None;
    while stage.clock.now() < deadline {
        let plan = Plan {
            tasks: 20,
            prefix: format!("probe-{}", stage.clock.now().as_micros()),
            ..Plan::default()
        };
        let done = stage.run_plans("probe", vec![plan]).await?;
        let latencies = done.latencies.clone();
        done.tear_down().await?;
        outcome
            .get_or_insert_with(crate::ledger::Latencies::new)
            .add(&latencies);
    }
    let found = readers.finish();
    if count > 0 {
        run.measure("size of the answer", found.largest as f64 / 1e6, "MB");
        tell_probe(&mut run, "read", &found);
    }
    if let Some(latencies) = outcome {
        run.latency("ACCEPT to TASK_RUNNING meanwhile", &latencies.to_running);
    }
    tell_probe(&mut run, "health meanwhile", &health.finish());
    tell_probe(&mut run, "metrics meanwhile", &metrics.finish());
    if let Some(memory) = stage.master_memory()? {
        run.measure("master memory", memory, "MiB");
    }
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    drop((resident, fleet));
    Ok(run)
}
