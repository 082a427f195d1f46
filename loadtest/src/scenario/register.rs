//! `register`: many agents at once, as after a power failure.
//! Launches nothing.

use std::time::Duration;

use clap::Args;

use super::{Common, Stage, agents, progress, tell_probe, watched};
use crate::clock::Clock;
use crate::framework::Error;
use crate::report::Run;

/// Time the master has to come to rest before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// All agents register at once; how long until the master has admitted the last?
#[derive(Debug, Clone, Args)]
pub struct Register {
    /// Simulated agents.
    #[arg(long, default_value_t = 10_000, value_parser = agents())]
    pub agents: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When not all agents are registered in time.
pub async fn run(clock: Clock, arguments: &Register) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage
        .play(async |stage| play(stage, arguments.agents).await)
        .await
}

async fn play(stage: &mut Stage, agents: u64) -> Result<Run, Error> {
    let mut run = Run::new("register");
    run.parameter("agents", agents);
    let before = stage.master_memory()?;
    let sampler = stage.watch_master()?;
    let probe = stage.probe("/metrics/snapshot")?;
    let fleet = stage
        .fleet(agents)?
        .ok_or("this scenario simulates the agents itself")?;
    let bar = progress("register", agents);
    let wait = fleet.wait_for(usize::try_from(agents)?, stage.limit());
    watched(&bar, || fleet.figures().registered() as u64, wait).await?;
    let elapsed = fleet.last_registered().as_secs_f64();
    let found = probe.finish();
    run.measure("elapsed", elapsed, "s");
    run.measure("agents", agents as f64 / elapsed.max(1e-6), "agents/s");
    if let Some(sampler) = &sampler {
        run.measure(
            "master cpu per agent",
            sampler.cpu()?.as_secs_f64() * 1e6 / agents as f64,
            "us",
        );
    }
    run.latency("to registered", &fleet.figures().take_register_times());
    tell_probe(&mut run, "metrics while registering", &found);
    tokio::time::sleep(REST).await;
    if let (Some(before), Some(after)) = (before, stage.master_memory()?) {
        run.measure("master memory", after, "MiB");
        run.measure(
            "master memory per agent",
            (after - before) * 1024.0 / agents as f64,
            "KiB",
        );
    }
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    let lost = fleet.figures().links_lost();
    if lost > 0 {
        run.measure("links lost", lost as f64, "links");
    }
    Ok(run)
}
