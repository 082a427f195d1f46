//! `failover`: the master is killed under load of running tasks, and started again.
//! Everything must be back: each agent, and each task with its framework.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use tepui_protocol::v1::scheduler::call;
use tepui_protocol::v1::{FrameworkInfo, TaskState};

use super::{Common, Stage, agents, progress, watched, within};
use crate::clock::Clock;
use crate::framework::{Error, Framework, framework_info, of_type};
use crate::report::Run;
use crate::sampler::Sampler;

/// Time the master has to come to rest before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// Seconds a framework may be away.
const FAILOVER_SECONDS: f64 = 3600.0;

/// The master is killed while tasks run, and started again at once. How long until every agent is
/// registered again and every task reconciled with its framework?
#[derive(Debug, Clone, Args)]
pub struct Failover {
    /// Simulated agents.
    #[arg(long, default_value_t = 2_000, value_parser = agents())]
    pub agents: u64,
    /// Running tasks of each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub tasks_per_agent: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When something does not come back in time.
pub async fn run(clock: Clock, arguments: &Failover) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Failover) -> Result<Run, Error> {
    stage.own_master()?;
    let mut run = Run::new("failover");
    run.parameter("agents", arguments.agents)
        .parameter("tasks per agent", arguments.tasks_per_agent);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let fleet = fleet.ok_or("this scenario simulates the agents itself")?;
    let tasks = arguments.agents * arguments.tasks_per_agent;
    let info = FrameworkInfo {
        failover_timeout: Some(FAILOVER_SECONDS),
        ..framework_info("failover")
    };
    let resident = stage
        .populate(info.clone(), tasks, arguments.tasks_per_agent)
        .await?;
    run.measure(
        "launching them",
        tasks as f64 / resident.elapsed.as_secs_f64(),
        "tasks/s",
    );
    let id = Some(resident.id.clone());
    tokio::time::sleep(REST).await;
    tell_memory(&mut run, stage, "before", tasks)?;

    fleet.figures().take_register_times();
    let master = stage.own_master()?;
    master.kill().await?;
    drop(resident);
    let begun = stage.clock.now();
    stage.own_master()?.start_again().await?;
    run.measure(
        "until the master answers",
        (stage.clock.now() - begun).as_secs_f64(),
        "s",
    );
    let pid = stage.own_master()?.pid()?;
    let sampler = Sampler::start(stage.clock, "master", pid)?;
    let info = FrameworkInfo { id, ..info };
    let limit = stage.limit();
    // It wants no offers, only its tasks.
    let suppressed = vec!["*".to_owned()];
    let mut framework = Framework::subscribe_with(&stage.target, info, suppressed).await?;
    let bar = progress("agents back", arguments.agents);
    let wait = fleet.wait_for(usize::try_from(arguments.agents)?, limit);
    let back = watched(&bar, || fleet.figures().registered() as u64, wait);
    tokio::select! {
        back = back => back?,
        error = read_on(&mut framework) => return Err(error),
    }
    run.measure(
        "until all agents are back",
        (fleet.figures().last_registered().saturating_sub(begun)).as_secs_f64(),
        "s",
    );
    let reconciled = reconcile(&mut framework, usize::try_from(tasks)?);
    within("reconciliation", limit, reconciled).await?;
    run.measure("elapsed", (stage.clock.now() - begun).as_secs_f64(), "s");
    run.latency(
        "lost link until registered",
        &fleet.figures().take_register_times(),
    );
    run.measure("master cpu until then", sampler.cpu()?.as_secs_f64(), "s");
    tokio::time::sleep(REST).await;
    tell_memory(&mut run, stage, "after", tasks)?;
    sampler.finish(&mut run)?;
    drop((framework, fleet));
    Ok(run)
}

/// Reads events of no interest, until the stream breaks.
async fn read_on(framework: &mut Framework) -> Error {
    loop {
        if let Err(error) = framework.next_event().await {
            return error;
        }
    }
}

fn tell_memory(run: &mut Run, stage: &Stage, when: &str, tasks: u64) -> Result<(), Error> {
    if let Some(mib) = stage.master_memory()? {
        run.measure(&format!("master memory {when}"), mib, "MiB");
        let each = mib * 1024.0 / tasks as f64;
        run.measure(&format!("master memory per task {when}"), each, "KiB");
    }
    Ok(())
}

/// Asks what has become of all tasks, and waits until each was told to run.
///
/// # Errors
/// When one does not run.
pub(super) async fn reconcile(framework: &mut Framework, tasks: usize) -> Result<(), Error> {
    let mut reconcile = of_type(call::Type::Reconcile);
    reconcile.reconcile = Some(call::Reconcile::default());
    framework.send(reconcile).await?;
    let mut seen = HashSet::with_capacity(tasks);
    while seen.len() < tasks {
        let event = framework.next_event().await?;
        let Some(update) = event.update else {
            continue;
        };
        if update.status.state() != TaskState::TaskRunning {
            let (id, state) = (update.status.task_id.value.clone(), update.status.state());
            return Err(format!("task {id} is {} after the failover", state.as_str_name()).into());
        }
        seen.insert(update.status.task_id.value);
    }
    Ok(())
}
