//! `bounds`: peers that misbehave, while an ordinary framework launches tasks one by one.
//! Fails when the master's memory is not bounded or the framework is not given up and named.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use tepui_protocol::media;
use tepui_protocol::v1::scheduler::call;
use tepui_protocol::v1::{FrameworkInfo, TaskId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Common, Stage, agents, within};
use crate::clock::Clock;
use crate::fleet::{FleetHandle, Order};
use crate::framework::{Error, Framework, Target, framework_info, of_type};
use crate::ledger::{Latencies, Plan};
use crate::report::Run;

/// Memory the master may take beyond what it had before the offenders came, in MiB.
const MAX_GROWTH_MIB: f64 = 400.0;

/// Time each offender has, once it has done its worst.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Tasks of the ordinary framework between two looks at the time.
const PROBES: usize = 10;

/// Tasks the framework that stops reading asks about in one call.
const ASKED_AT_ONCE: usize = 500;

/// Seconds the framework that stops reading may be away.
const FAILOVER_SECONDS: f64 = 3600.0;

/// A framework stops reading, an agent floods, thousands of connections idle, all tasks end at
/// once: memory must stay bounded, and an ordinary framework must still get its tasks run.
#[derive(Debug, Clone, Args)]
pub struct Bounds {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Running tasks that end all at once, each with a status update.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub burst: u64,
    /// Messages of the agent that floods.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub flood: u64,
    /// Connections that send nothing.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub idle: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When something is not bounded.
pub async fn run(clock: Clock, arguments: &Bounds) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Bounds) -> Result<Run, Error> {
    stage.own_master()?;
    let mut run = Run::new("bounds");
    run.parameter("agents", arguments.agents)
        .parameter("burst", arguments.burst)
        .parameter("flood", arguments.flood)
        .parameter("idle", arguments.idle);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let fleet = fleet.ok_or("this scenario simulates the agents itself")?;
    let per_agent = arguments.burst.div_ceil(arguments.agents);
    let info = FrameworkInfo {
        failover_timeout: Some(FAILOVER_SECONDS),
        ..framework_info("burst")
    };
    let resident = stage
        .populate(info.clone(), arguments.burst, per_agent)
        .await?;
    let sampler = stage.watch_master()?;
    let sampler = sampler.ok_or("this scenario watches a master of its own")?;
    let before = stage.master_memory()?.unwrap_or_default();
    let quiet = async {
        tokio::time::sleep(AFTERMATH).await;
        Ok(())
    };
    phase(stage, &mut run, "quiet", quiet).await?;
    let idle = idle(stage, arguments.idle);
    phase(stage, &mut run, "idle connections", idle).await?;
    let flood = flood(&fleet, arguments.flood);
    phase(stage, &mut run, "agent that floods", flood).await?;
    let info = FrameworkInfo {
        id: Some(resident.id.clone()),
        ..info
    };
    drop(resident);
    let target = stage.target.clone();
    let deaf = deaf(&target, info.clone());
    phase(stage, &mut run, "framework that does not read", deaf).await?;
    let burst = burst(stage, &fleet, arguments, info);
    phase(stage, &mut run, "all tasks end at once", burst).await?;

    let memory = sampler.finish(&mut run)?;
    let peak = memory.iter().copied().fold(0.0, f64::max);
    run.measure("master memory before", before, "MiB");
    run.measure("master memory beyond that, at most", peak - before, "MiB");
    tell_offenders(&mut run, &stage.own_master()?.log())?;
    if peak - before > MAX_GROWTH_MIB {
        return Err(format!(
            "the master took {before:.0} MiB before the offenders came and {peak:.0} MiB with them"
        )
        .into());
    }
    Ok(run)
}

/// Quotes what the master's log says of each offender. A framework that does not read is always
/// given up and named; an agent that floods only needs to be held up where it outruns the master.
fn tell_offenders(run: &mut Run, log: &str) -> Result<(), Error> {
    let says = |text: &str| log.lines().find(|line| line.contains(text));
    let framework = says("framework is too slow");
    let framework = framework.ok_or("the master's log does not name the framework")?;
    run.note(framework.trim());
    let agent = says("agent sends faster").map(str::trim);
    run.note(agent.unwrap_or("The master kept up with the agent that floods."));
    Ok(())
}

/// The framework with many tasks comes back, all of them end at once, and it is told of each.
async fn burst(
    stage: &Stage,
    fleet: &FleetHandle,
    arguments: &Bounds,
    info: FrameworkInfo,
) -> Result<(), Error> {
    // It wants no offers: those are for the ordinary framework.
    let suppressed = vec!["*".to_owned()];
    let mut back = Framework::subscribe_with(&stage.target, info, suppressed).await?;
    fleet.order(0..usize::try_from(arguments.agents)?, Order::Finish);
    ends(&mut back, arguments.burst).await?;
    back.tear_down().await
}

/// Lets an offender do its worst while tasks are launched one by one, and a little longer.
async fn phase(
    stage: &Stage,
    run: &mut Run,
    name: &str,
    offender: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let done = std::cell::Cell::new(false);
    let offend = async {
        let result = within(name, stage.limit(), offender).await;
        tokio::time::sleep(AFTERMATH).await;
        done.set(true);
        result
    };
    let ordinary = async {
        let mut latencies = Latencies::new();
        while !done.get() {
            let plan = Plan {
                tasks: PROBES,
                prefix: format!("ordinary-{}", stage.clock.now().as_micros()),
                ..Plan::default()
            };
            let outcome = stage.run_plans("ordinary", vec![plan]).await?;
            latencies.add(&outcome.latencies);
            outcome.tear_down().await?;
        }
        Ok::<_, Error>(latencies)
    };
    let both = futures_util::future::try_join(offend, ordinary).await;
    let ((), latencies) = both.map_err(|error| format!("{name}: {error}"))?;
    run.latency(&format!("to TASK_RUNNING, {name}"), &latencies.to_running);
    if let Some(memory) = stage.master_memory()? {
        run.measure(&format!("master memory after: {name}"), memory, "MiB");
    }
    Ok(())
}

/// Connections that never say a word, and are let live.
async fn idle(stage: &Stage, count: u64) -> Result<(), Error> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(TcpStream::connect(&stage.target.master).await?);
    }
    tokio::time::sleep(AFTERMATH).await;
    Ok(())
}

/// One agent sends what no agent would, and what it sends is taken in the end.
async fn flood(fleet: &FleetHandle, messages: u64) -> Result<(), Error> {
    let before = fleet.figures().floods();
    fleet.order(0..1, Order::Flood(usize::try_from(messages)?));
    while fleet.figures().floods() == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A framework with many tasks asks what has become of them again and again, and reads nothing.
async fn deaf(target: &Target, info: FrameworkInfo) -> Result<(), Error> {
    let id = info.id.clone();
    let mut subscribe = of_type(call::Type::Subscribe);
    subscribe.framework_id.clone_from(&id);
    subscribe.subscribe = Some(call::Subscribe {
        framework_info: info,
        suppressed_roles: vec!["*".to_owned()],
        ..Default::default()
    });
    let mut stream = TcpStream::connect(&target.master).await?;
    post(
        &mut stream,
        target,
        "",
        &media::encode(target.media, &subscribe),
    )
    .await?;
    let stream_id = stream_id(&stream).await?;
    let mut reconcile = of_type(call::Type::Reconcile);
    reconcile.framework_id = id;
    // Asked for one by one, as all tasks are told only as fast as they are read.
    reconcile.reconcile = Some(call::Reconcile {
        tasks: (0..ASKED_AT_ONCE).map(unknown_task).collect(),
    });
    let body = media::encode(target.media, &reconcile);
    let header = format!("Mesos-Stream-Id: {stream_id}\r\n");
    loop {
        let mut calls = TcpStream::connect(&target.master).await?;
        post(&mut calls, target, &header, &body).await?;
        let answer = first_bytes(&calls).await?;
        // Once the master has given the stream up, its calls are refused.
        if !answer.starts_with("HTTP/1.1 202") {
            return Ok(());
        }
    }
}

fn unknown_task(number: usize) -> call::reconcile::Task {
    call::reconcile::Task {
        task_id: TaskId {
            value: format!("unknown-{number}"),
        },
        agent_id: None,
    }
}

async fn post(
    stream: &mut TcpStream,
    target: &Target,
    header: &str,
    body: &[u8],
) -> Result<(), Error> {
    let media = target.media.name();
    let head = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {}\r\nContent-Type: {media}\r\n\
         Accept: {media}\r\n{header}Content-Length: {}\r\n\r\n",
        target.master,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    Ok(())
}

/// The beginning of an answer, which is left to be read.
async fn first_bytes(stream: &TcpStream) -> Result<String, Error> {
    let mut bytes = [0; 512];
    let count = stream.peek(&mut bytes).await?;
    Ok(String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned())
}

async fn stream_id(stream: &TcpStream) -> Result<String, Error> {
    let head = first_bytes(stream).await?;
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Mesos-Stream-Id: "));
    let id = line.ok_or_else(|| format!("the master gave no Mesos-Stream-Id: {head}"))?;
    Ok(id.trim().to_owned())
}

/// Acknowledges updates until so many tasks have ended.
async fn ends(framework: &mut Framework, tasks: u64) -> Result<(), Error> {
    let mut left = tasks;
    while left > 0 {
        let Some(update) = framework.next_event().await?.update else {
            continue;
        };
        left -= u64::from(crate::ledger::is_terminal(update.status.state()));
        if let Some(call) = crate::ledger::acknowledge(&update.status) {
            framework.send(call).await?;
        }
    }
    framework.settle().await
}
