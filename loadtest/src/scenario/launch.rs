//! `launch`: as many short tasks as the master can take.
//! A closed loop: a task starts when offers allow, so latencies are those of a full master.

use clap::Args;

use super::{Common, Stage, agents, positive, tell_probe};
use crate::clock::Clock;
use crate::framework::Error;
use crate::ledger::Plan;
use crate::report::Run;

/// Short tasks through some frameworks, as fast as offers allow.
#[derive(Debug, Clone, Args)]
pub struct Launch {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Tasks of all frameworks together.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub tasks: u64,
    /// Frameworks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub frameworks: u64,
    /// Tasks alive at once, of all frameworks together.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub concurrency: u64,
    /// Most tasks of one ACCEPT.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub per_accept: u64,
    /// Shell command of each task; simulated agents know `true` and `sleep SECONDS`.
    #[arg(long, default_value = "true")]
    pub command: String,
    /// CPUs of each task.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub cpus: f64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a task does not finish, or not in time.
pub async fn run(clock: Clock, arguments: &Launch) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Launch) -> Result<Run, Error> {
    let mut run = Run::new("launch");
    run.parameter("agents", arguments.agents)
        .parameter("tasks", arguments.tasks)
        .parameter("frameworks", arguments.frameworks)
        .parameter("wire", format!("{:?}", stage.common.wire).to_lowercase());
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let sampler = stage.watch_master()?;
    let probe = stage.probe("/metrics/snapshot")?;
    let plans = plans(arguments, stage.common.failing_tasks > 0.0)?;
    let outcome = stage.run_plans("launch", plans).await?;
    outcome.tell(&mut run);
    if let Some(sampler) = &sampler {
        let each = sampler.cpu()?.as_secs_f64() * 1e6 / arguments.tasks as f64;
        run.measure("master cpu per task", each, "us");
    }
    tell_probe(&mut run, "metrics while launching", &probe.finish());
    outcome.tear_down().await?;
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    drop(fleet);
    Ok(run)
}

fn plans(arguments: &Launch, may_fail: bool) -> Result<Vec<Plan>, Error> {
    let frameworks = usize::try_from(arguments.frameworks)?;
    let tasks = usize::try_from(arguments.tasks)?;
    let concurrency = usize::try_from(arguments.concurrency)?;
    let plan = |index: usize| Plan {
        // What cannot be divided goes to the first frameworks.
        tasks: tasks / frameworks + usize::from(index < tasks % frameworks),
        command: arguments.command.clone(),
        concurrency: (concurrency / frameworks).max(1),
        per_accept: usize::try_from(arguments.per_accept).unwrap_or(usize::MAX),
        cpus: arguments.cpus,
        prefix: format!("t{index}"),
        may_fail,
        ..Plan::default()
    };
    Ok((0..frameworks).map(plan).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        launch: Launch,
    }

    #[test]
    fn every_task_belongs_to_one_framework() {
        let cli = Cli::parse_from(["x", "--tasks=10", "--frameworks=4", "--concurrency=2"]);
        let plans = plans(&cli.launch, false).unwrap();
        let tasks: Vec<usize> = plans.iter().map(|plan| plan.tasks).collect();
        assert_eq!(tasks, [3, 3, 2, 2]);
        assert!(plans.iter().all(|plan| plan.concurrency == 1));
    }
}
