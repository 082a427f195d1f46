//! `containers`: real containers on one real agent, launched and destroyed.
//! What is measured is the agent's part: cgroups, namespaces, processes, and their end.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::agent_restart::{Watch, kill_left};
use super::{Common, FOREVER, Stage};
use crate::clock::Clock;
use crate::cluster::{Agent, POSIX, RESOURCES};
use crate::framework::Error;
use crate::ledger::{Goal, Plan};
use crate::proc;
use crate::report::Run;

/// What containers are isolated by.
const ISOLATION: &str = "cgroups/cpu,cgroups/mem,cgroups/pids,filesystem/linux,namespaces/pid,\
                         namespaces/ipc";

/// Where the kernel shows cgroups.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// Containers of one real agent, with cgroups and namespaces: how many are launched in a second, and
/// how many destroyed? Needs root.
#[derive(Debug, Clone, Args)]
pub struct Containers {
    /// Containers, all of which run at once in the end.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub containers: u64,
    /// Most of them that are being launched at once.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub at_once: u64,
    /// Names of isolators; 'none' for the posix launcher.
    #[arg(long, default_value = ISOLATION)]
    pub isolation: String,
    /// A further flag for the agent; may be repeated.
    #[arg(long = "agent-flag", allow_hyphen_values = true)]
    pub agent_flags: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a container does not run, or something is left of one.
pub async fn run(clock: Clock, arguments: &Containers) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Containers) -> Result<Run, Error> {
    let master = stage.own_master()?.address();
    let root = format!("tepui-loadtest-{}", std::process::id());
    let mut flags = vec![RESOURCES.to_owned()];
    if arguments.isolation != "none" {
        flags.push("--launcher=linux".to_owned());
        flags.push(format!("--isolation={}", arguments.isolation));
        flags.push(format!("--cgroups_root={root}"));
    } else {
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
    let left = remove_root(&root);
    let run = played.map_err(|error| format!("{error}\n{log}"))?;
    match left {
        0 => Ok(run),
        left => Err(format!("{left} cgroups are left").into()),
    }
}

async fn play_on(
    stage: &mut Stage,
    agent: &mut Agent,
    arguments: &Containers,
) -> Result<Run, Error> {
    let mut run = Run::new("containers");
    run.parameter("containers", arguments.containers)
        .parameter("at once", arguments.at_once)
        .parameter("isolation", &arguments.isolation);
    let clock = stage.clock;
    let watch = Watch::new(stage.limit());
    let count = usize::try_from(arguments.containers)?;
    let at_once = usize::try_from(arguments.at_once)?.min(count);
    // The first ones tell whether the last ones take longer.
    let mut frameworks = Vec::new();
    let mut elapsed = Duration::ZERO;
    let mut rest = count;
    while rest > 0 {
        let part = at_once.min(rest);
        let plan = Plan {
            tasks: part,
            command: FOREVER.into(),
            concurrency: part,
            prefix: format!("part-{rest}"),
            goal: Goal::Running,
            ..Plan::default()
        };
        let outcome = stage
            .run_plans(&format!("launch-{rest}"), vec![plan])
            .await?;
        let name = if rest == count {
            "launched, the first ones"
        } else {
            "launched, the last ones"
        };
        if rest == count || rest == part {
            run.measure(name, rate(part, outcome.elapsed), "containers/s");
        }
        elapsed += outcome.elapsed;
        rest -= part;
        frameworks.extend(outcome.frameworks);
    }
    run.measure("launched", rate(count, elapsed), "containers/s");
    let cpu = proc::cpu(agent.pid()?)?;
    run.measure("agent cpu until then", cpu.as_secs_f64(), "s");

    let begun = clock.now();
    for framework in frameworks {
        framework.tear_down().await?;
    }
    for state in ["registering", "running", "terminating"] {
        let key = format!("slave/executors_{state}");
        watch.until(agent.address(), &key, 0.0).await?;
    }
    let destroyed = clock.now() - begun;
    run.measure("destroyed", rate(count, destroyed), "containers/s");
    let cpu = proc::cpu(agent.pid()?)?.saturating_sub(cpu);
    run.measure("agent cpu from then on", cpu.as_secs_f64(), "s");
    match proc::below(&agent.work_dir())?.len() {
        0 => Ok(run),
        left => Err(format!("{left} processes are left").into()),
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-6)
}

/// Removes the cgroup that held those of the containers; gives how many of them are left.
fn remove_root(root: &str) -> usize {
    let hierarchy = Path::new(HIERARCHY);
    let trees = std::fs::read_dir(hierarchy).into_iter().flatten().flatten();
    let trees = trees.map(|tree| tree.path().join(root));
    let mut left = 0;
    for parent in trees.chain([hierarchy.join(root)]) {
        let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten();
        left += entries.filter(|entry| entry.path().is_dir()).count();
        // One that is not there, or still has something in it, is no matter here.
        let _ = std::fs::remove_dir(parent);
    }
    left
}
