//! `agent-restart`: a real agent is killed under running tasks, and started again.
//! Everything must go on as it was: the same agent, the same processes, no task lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tepui_protocol::v1::FrameworkInfo;

use super::failover::reconcile;
use super::{Common, FOREVER, Stage, within};
use crate::clock::Clock;
use crate::cluster::{Agent, POSIX, RESOURCES};
use crate::framework::{Error, Framework, framework_info};
use crate::ledger::{Goal, Plan};
use crate::proc::{self, Process};
use crate::report::Run;

/// Time between two looks at a figure that is waited for: an agent sums up its executors for each.
const POLL: Duration = Duration::from_millis(50);

/// A real agent is killed while it runs tasks, and started again. How long until the master has it
/// back, and it has all its executors back? Fails when a task is lost or started anew.
#[derive(Debug, Clone, Args)]
pub struct AgentRestart {
    /// Real tasks, each with an executor of its own.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub tasks: u64,
    /// Time the agent is away, in ms.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub away_ms: u64,
    /// A flag for the agent, such as --agent-flag=--executor_reregistration_timeout=15secs; may be
    /// repeated.
    #[arg(long = "agent-flag", allow_hyphen_values = true)]
    pub agent_flags: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a task is lost or started anew, or something does not come back in time.
pub async fn run(clock: Clock, arguments: &AgentRestart) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &AgentRestart) -> Result<Run, Error> {
    let master = stage.own_master()?.address();
    let mut flags = vec![RESOURCES.to_owned()];
    if !arguments
        .agent_flags
        .iter()
        .any(|flag| flag.starts_with("--launcher"))
    {
        flags.push(POSIX.to_owned());
    }
    flags.extend_from_slice(&arguments.agent_flags);
    let mut agent = Agent::start(master, &flags).await?;
    let played = play_on(stage, &mut agent, arguments).await;
    let log = agent.last_lines();
    if played.is_err() {
        kill_left(&agent)?;
    }
    agent.end().await;
    played.map_err(|error| format!("{error}\n{log}").into())
}

/// Kills what an agent has started: it would outlive everything else.
pub(super) fn kill_left(agent: &Agent) -> Result<(), Error> {
    for process in proc::below(&agent.work_dir())? {
        let pid = i32::try_from(process.pid)?;
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Ok(())
}

async fn play_on(
    stage: &mut Stage,
    agent: &mut Agent,
    arguments: &AgentRestart,
) -> Result<Run, Error> {
    let mut run = Run::new("agent-restart");
    run.parameter("tasks", arguments.tasks)
        .parameter("away ms", arguments.away_ms);
    let tasks = usize::try_from(arguments.tasks)?;
    let mut framework = launch(stage, tasks).await?;
    let before = proc::below(&agent.work_dir())?;

    agent.kill().await?;
    let watch = Watch::new(stage.limit());
    let master = stage.own_master()?.address();
    watch.until(master, "master/slaves_connected", 0.0).await?;
    tokio::time::sleep(Duration::from_millis(arguments.away_ms)).await;
    let cpu_before = cpu(&before)?;
    restart(stage, agent, &watch, arguments, &mut run).await?;

    let spent = cpu(&before)?.saturating_sub(cpu_before);
    run.measure("executors cpu until then", spent.as_secs_f64(), "s");
    let reconciled = reconcile(&mut framework, tasks);
    within("reconciliation", stage.limit(), reconciled).await?;
    let after = proc::below(&agent.work_dir())?;
    if after != before {
        let (lost, new) = (before.difference(&after), after.difference(&before));
        let (lost, new) = (lost.count(), new.count());
        return Err(format!("{lost} processes have ended, and {new} are new").into());
    }
    framework.tear_down().await?;
    let all_gone = watch.until(agent.address(), "slave/executors_running", 0.0);
    all_gone.await?;
    watch
        .until(agent.address(), "slave/executors_terminating", 0.0)
        .await?;
    Ok(run)
}

/// Starts tasks of a framework that asks for checkpoints; gives it when all run.
async fn launch(stage: &Stage, tasks: usize) -> Result<Framework, Error> {
    let info = FrameworkInfo {
        checkpoint: Some(true),
        ..framework_info("agent-restart")
    };
    let plan = Plan {
        tasks,
        command: FOREVER.into(),
        concurrency: tasks,
        prefix: "resident".into(),
        goal: Goal::Running,
        ..Plan::default()
    };
    let outcome = stage.run_as("resident", vec![(info, plan)]).await?;
    let framework = outcome.frameworks.into_iter().next();
    framework.ok_or_else(|| "there is no framework".into())
}

/// Starts the agent again, and tells how long it takes until all is as it was.
async fn restart(
    stage: &mut Stage,
    agent: &mut Agent,
    watch: &Watch,
    arguments: &AgentRestart,
    run: &mut Run,
) -> Result<(), Error> {
    let clock = stage.clock;
    let master = stage.own_master()?.address();
    let begun = clock.now();
    agent.start_again()?;
    agent.answers().await?;
    run.measure("until the agent answers", since(clock, begun), "s");
    let pid = agent.pid()?;
    run.measure(
        "agent cpu until it answers",
        proc::cpu(pid)?.as_secs_f64(),
        "s",
    );
    let address = agent.address();
    let registered = async {
        watch.until(master, "master/slaves_connected", 1.0).await?;
        Ok::<_, Error>((since(clock, begun), proc::cpu(pid)?))
    };
    let back = async {
        watch.all_running(address, arguments.tasks).await?;
        Ok::<_, Error>((since(clock, begun), proc::cpu(pid)?))
    };
    let ((registered, cpu), (back, cpu_back)) = tokio::try_join!(registered, back)?;
    run.measure("until registered", registered, "s");
    run.measure("agent cpu until registered", cpu.as_secs_f64(), "s");
    run.measure("until all executors are back", back, "s");
    run.measure("agent cpu until then", cpu_back.as_secs_f64(), "s");
    Ok(())
}

fn since(clock: Clock, begun: Duration) -> f64 {
    (clock.now() - begun).as_secs_f64()
}

/// CPU time of all these processes.
fn cpu(processes: &BTreeSet<Process>) -> Result<Duration, Error> {
    let times = processes.iter().map(|process| proc::run_time(process.pid));
    times.sum()
}

/// Waits for figures of masters and agents.
pub(super) struct Watch {
    client: reqwest::Client,
    limit: Duration,
}

impl Watch {
    /// One that gives up after this time.
    pub(super) fn new(limit: Duration) -> Self {
        Watch {
            client: reqwest::Client::new(),
            limit,
        }
    }

    /// Waits until a figure has this value.
    pub(super) async fn until(
        &self,
        address: SocketAddr,
        name: &str,
        value: f64,
    ) -> Result<(), Error> {
        let reached = async {
            while self.metrics(address).await?[name].as_f64() != Some(value) {
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        within(&format!("{name} = {value}"), self.limit, reached).await
    }

    /// Waits until so many executors of an agent run, of which none may end.
    async fn all_running(&self, address: SocketAddr, executors: u64) -> Result<(), Error> {
        let all = async {
            loop {
                let metrics = self.metrics(address).await?;
                let count = |name: &str| metrics[name].as_f64().unwrap_or_default();
                let ended = ["slave/executors_terminating", "slave/executors_terminated"];
                let lost: f64 = ended.into_iter().map(count).sum();
                if lost > 0.0 {
                    return Err(format!("{lost} executors did not come back").into());
                }
                if count("slave/executors_running") == executors as f64 {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        within("the executors", self.limit, all).await
    }

    async fn metrics(&self, address: SocketAddr) -> Result<serde_json::Value, Error> {
        let url = format!("http://{address}/metrics/snapshot");
        let answer = self.client.get(url).send().await?.bytes().await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}
