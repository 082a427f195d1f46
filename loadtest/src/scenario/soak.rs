//! `soak`: an ordinary load for hours, with agents that come and go.
//! Fails when the master's memory or its number of open files keeps growing.

use std::time::Duration;

use clap::Args;

use super::{Common, Stage, agents, positive};
use crate::clock::Clock;
use crate::framework::{Error, framework_info};
use crate::ledger::Plan;
use crate::report::Run;

/// Share by which memory may be larger in the last third than in the one before: what caches and
/// the memory allocator keep settles long before a soak's second third.
const MAX_GROWTH: f64 = 0.10;

/// Growth that is never held against the master, in MiB: on a short run it is noise.
const SLACK_MIB: f64 = 16.0;

/// Mean time after which a link is cut: a soak without any would miss what cuts leave behind.
const TIME_TO_CUT_SECS: f64 = 600.0;

/// Files that may be open at the end beyond those at the beginning of the load.
const SLACK_FILES: usize = 64;

/// A steady load for a long time while links are cut now and then, each about every 600 s unless
/// --mean-time-to-cut-secs says another time. Memory and open files of the master must stay flat.
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Tasks per second.
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    pub rate: f64,
    /// For how long, in minutes.
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    pub minutes: f64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When memory or open files have grown.
pub async fn run(clock: Clock, arguments: &Soak) -> Result<Run, Error> {
    let mut common = arguments.common.clone();
    let seconds = arguments.minutes * 60.0;
    // The one step of this scenario lasts as long as the load.
    common.timeout_secs = common.timeout_secs.saturating_add(seconds.ceil() as u64);
    if common.mean_time_to_cut_secs == 0.0 {
        common.mean_time_to_cut_secs = TIME_TO_CUT_SECS;
    }
    let stage = Stage::set(clock, &common).await?;
    stage
        .play(async |stage| play(stage, arguments, seconds).await)
        .await
}

async fn play(stage: &mut Stage, arguments: &Soak, seconds: f64) -> Result<Run, Error> {
    stage.own_master()?;
    let mut run = Run::new("soak");
    run.parameter("agents", arguments.agents)
        .parameter("rate", arguments.rate)
        .parameter("minutes", arguments.minutes);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let pid = stage.own_master()?.pid()?;
    let sampler = stage
        .watch_master()?
        .ok_or("this scenario watches a master of its own")?;
    let files_before = crate::proc::open_files(pid)?;
    let plan = Plan {
        tasks: (arguments.rate * seconds).round().max(1.0) as usize,
        command: "sleep 1".into(),
        concurrency: usize::MAX,
        rate: Some(arguments.rate),
        prefix: "soak".into(),
        // An agent whose link is cut at the wrong moment may lose a launch.
        may_fail: true,
        ..Plan::default()
    };
    let outcome = stage
        .run_as("soak", vec![(framework_info("soak"), plan)])
        .await?;
    outcome.tell(&mut run);
    outcome.tear_down().await?;
    // Connections of the framework end a moment after it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let files_after = crate::proc::open_files(pid)?;
    let memory = sampler.finish(&mut run)?;
    run.measure("open files before", files_before as f64, "files");
    run.measure("open files after", files_after as f64, "files");
    drop(fleet);
    if files_after > files_before + SLACK_FILES {
        return Err(format!("{files_before} files were open before, {files_after} after").into());
    }
    match growth(&memory) {
        Some((middle, last)) => Err(format!(
            "the master's memory grows: {middle:.1} MiB on average in the second third of the \
             run, {last:.1} MiB in the last"
        )
        .into()),
        None => Ok(run),
    }
}

/// Mean memory of the second and the last third, when it has grown too much between them.
fn growth(memory: &[f64]) -> Option<(f64, f64)> {
    let third = memory.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let middle = mean(memory.get(third..2 * third)?);
    let last = mean(memory.get(2 * third..)?);
    (last > middle * (1.0 + MAX_GROWTH) + SLACK_MIB).then_some((middle, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_told_from_a_warm_up() {
        let warm: Vec<f64> = (0..300)
            .map(|step| 100.0 + f64::from(step.min(80)))
            .collect();
        assert_eq!(growth(&warm), None);
        let leak: Vec<f64> = (0..300).map(|step| 100.0 + f64::from(step)).collect();
        assert!(growth(&leak).is_some());
        assert_eq!(growth(&[]), None);
    }
}
