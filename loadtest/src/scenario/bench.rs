//! `bench`: the standard small set of figures, real tasks first, then simulated agents.
//! Each part is a scenario of its own; this one only chooses sizes.

use std::time::Duration;

use clap::{Args, Parser};
use tepui_protocol::v1::scheduler::call;
use tepui_protocol::v1::{TaskId, TaskStatus};

use super::tasks::tell_memory;
use super::{
    Common, FOREVER, Outcome, Stage, apps, failover, launch, offers, register, state, steady,
};
use crate::clock::Clock;
use crate::cluster::{Agent, POSIX, RESOURCES, START_LIMIT};
use crate::framework::{Error, Framework, of_type};
use crate::ledger::{Goal, Plan, acknowledge, is_terminal};
use crate::proc;
use crate::report::Run;

/// Time processes have to give back what they only needed at their start.
const REST: Duration = Duration::from_secs(1);

/// The standard small set: real tasks on one agent, then simulated agents.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// Number of real tasks run one after the other.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub tasks: u64,
    /// Number of real tasks run in parallel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub throughput_tasks: u64,
    /// How many of them at once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub concurrency: u64,
    /// Simulated agents of the larger scenarios; 0 leaves simulation out.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub agents: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Runs everything.
///
/// # Errors
/// When a program is missing or fails, or a task does not finish in time.
pub async fn run(clock: Clock, arguments: &Bench) -> Result<Vec<Run>, Error> {
    if arguments.common.master.is_some() {
        return Err("bench starts a master of its own: leave --master out".into());
    }
    let mut runs = Vec::new();
    for (mode, tasks, concurrency) in [
        ("latency", arguments.tasks, 1),
        (
            "throughput",
            arguments.throughput_tasks,
            arguments.concurrency,
        ),
    ] {
        let stage = Stage::set(clock, &arguments.common).await?;
        let play = async |stage: &mut Stage| real(stage, mode, tasks, concurrency).await;
        runs.push(stage.play(play).await?);
    }
    if arguments.agents > 0 {
        runs.extend(simulated(clock, arguments).await?);
    }
    Ok(runs)
}

/// Arguments of a scenario, for those that are not given here.
#[derive(Parser)]
struct Defaults<A: Args> {
    #[command(flatten)]
    arguments: A,
}

fn defaults<A: Args>() -> Result<A, Error> {
    Ok(Defaults::<A>::try_parse_from(["bench"])?.arguments)
}

async fn simulated(clock: Clock, arguments: &Bench) -> Result<Vec<Run>, Error> {
    let common = arguments.common.clone();
    let agents = arguments.agents;
    let mut runs = Vec::new();
    let register = register::Register {
        agents,
        common: common.clone(),
    };
    runs.push(register::run(clock, &register).await?);
    let offers = offers::Offers {
        agents,
        common: common.clone(),
        ..defaults()?
    };
    runs.push(offers::run(clock, &offers).await?);
    let launch = launch::Launch {
        agents: agents.div_ceil(5),
        common: common.clone(),
        ..defaults()?
    };
    runs.push(launch::run(clock, &launch).await?);
    let steady = steady::Steady {
        agents: agents.div_ceil(5),
        common: common.clone(),
        ..defaults()?
    };
    runs.push(steady::run(clock, &steady).await?);
    let failover = failover::Failover {
        agents: agents.div_ceil(5),
        tasks_per_agent: 10,
        common: common.clone(),
    };
    runs.push(failover::run(clock, &failover).await?);
    let state = state::State {
        agents,
        tasks: agents * 10,
        readers: 1,
        common: common.clone(),
        ..defaults()?
    };
    runs.push(state::run(clock, &state).await?);
    let apps = apps::Apps {
        agents: agents.div_ceil(5),
        apps: agents.div_ceil(10),
        parts: vec![apps::Part::Create],
        common,
        ..defaults()?
    };
    runs.extend(apps::run(clock, &apps).await?);
    Ok(runs)
}

/// Real tasks on one real agent.
async fn real(stage: &mut Stage, mode: &str, tasks: u64, concurrency: u64) -> Result<Run, Error> {
    let mut run = Run::new("bench");
    run.parameter("mode", mode)
        .parameter("tasks", tasks)
        .parameter("concurrency", concurrency);
    let master = stage.own_master()?;
    let pid = master.pid()?;
    let agent = Agent::start(master.address(), &[RESOURCES.into(), POSIX.into()]).await?;
    let played = real_on(stage, &agent, &mut run, pid, (mode, tasks, concurrency)).await;
    let log = agent.last_lines();
    agent.end().await;
    played.map_err(|error| format!("{error}\n{log}"))?;
    Ok(run)
}

async fn real_on(
    stage: &Stage,
    agent: &Agent,
    run: &mut Run,
    master: u32,
    (mode, tasks, concurrency): (&str, u64, u64),
) -> Result<(), Error> {
    // The agent has registered when the first task runs; idle figures come before the load.
    let sleeping = Plan {
        command: FOREVER.into(),
        prefix: "sleep".into(),
        goal: Goal::Running,
        ..Plan::default()
    };
    let sleeping = stage.run_plans("sleep", vec![sleeping]).await?;
    tell_executor(run, stage, sleeping).await?;
    tokio::time::sleep(REST).await;
    let agent = agent.pid()?;
    tell_memory(run, "idle master", master)?;
    tell_memory(run, "idle agent", agent)?;
    let before = [proc::cpu(master)?, proc::cpu(agent)?];
    let plan = Plan {
        tasks: usize::try_from(tasks)?,
        concurrency: usize::try_from(concurrency)?,
        prefix: mode.into(),
        ..Plan::default()
    };
    let outcome = stage.run_plans(mode, vec![plan]).await?;
    outcome.tell(run);
    outcome.tear_down().await?;
    for (name, pid, before) in [
        ("master", master, before[0]),
        ("agent and tasks", agent, before[1]),
    ] {
        let spent = proc::cpu(pid)?.saturating_sub(before).as_secs_f64() * 1e3;
        run.measure(&format!("{name} cpu per task"), spent / tasks as f64, "ms");
    }
    tell_memory(run, "master after the load", master)?;
    tell_memory(run, "agent after the load", agent)
}

/// Tells the memory of a running task's executor, and ends the task.
async fn tell_executor(run: &mut Run, stage: &Stage, sleeping: Outcome) -> Result<(), Error> {
    let mut framework = sleeping
        .frameworks
        .into_iter()
        .next()
        .ok_or("there is no framework")?;
    let mut kill = of_type(call::Type::Kill);
    let task_id = TaskId {
        value: "sleep-0".into(),
    };
    let mut reconcile = of_type(call::Type::Reconcile);
    reconcile.reconcile = Some(call::Reconcile::default());
    framework.send(reconcile).await?;
    let status = next_status(&mut framework).await?;
    let container = status.container_status.as_deref();
    // Only an agent tells the process; a reconciled status comes from the master.
    if let Some(pid) = container.and_then(|container| container.executor_pid) {
        tell_memory(run, "executor", pid)?;
    }
    kill.kill = Some(call::Kill {
        task_id,
        agent_id: status.agent_id.clone(),
        kill_policy: None,
    });
    framework.send(kill).await?;
    let end = async {
        loop {
            let status = next_status(&mut framework).await?;
            if let Some(call) = acknowledge(&status) {
                framework.send(call).await?;
            }
            if is_terminal(status.state()) {
                return Ok(());
            }
        }
    };
    super::within("the end of a task", START_LIMIT.min(stage.limit()), end).await?;
    framework.tear_down().await
}

async fn next_status(framework: &mut Framework) -> Result<TaskStatus, Error> {
    loop {
        if let Some(update) = framework.next_event().await?.update {
            return Ok(update.status);
        }
    }
}
