//! `state`: readers of the whole state, while tasks are launched.
//! Compares no answers with each other; it measures them.

use std::time::Duration;

use clap::Args;
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::v1::master::{Call, call::Type};

use super::{Common, Stage, agents, positive, tell_probe};
use crate::clock::Clock;
use crate::framework::{Error, framework_info};
use crate::ledger::{Latencies, Plan};
use crate::prober::{Pace, Prober, Question};
use crate::report::Run;
use crate::sampler::Sampler;
use crate::subscribers::Subscribers;

/// Readers read what is large while tasks run and others are launched.
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
    /// A call of the operator API that they make instead, such as GET_STATE, in the encoding of
    /// --wire.
    #[arg(long, conflicts_with = "path")]
    pub call: Option<String>,
    /// Streams of the operator API's events that are open meanwhile, and read.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub subscribers: u64,
    /// Short tasks that are launched per second meanwhile.
    #[arg(long, default_value_t = 50.0, value_parser = positive)]
    pub rate: f64,
    /// Launch nothing meanwhile, so that nothing changes: what reading alone costs.
    #[arg(long)]
    pub idle: bool,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Time in which the framework that launches them is offered all agents: a first launch that waits
/// for offers tells nothing of the readers.
const SETTLING: Duration = Duration::from_secs(1);

/// Most tasks that are launched meanwhile.
const MAX_TASKS: f64 = 1e7;

/// A call of the operator API that needs nothing but its name.
fn call(master: &str, media: MediaType, name: &str) -> Result<Question, Error> {
    let kind = Type::from_str_name(name)
        .ok_or_else(|| format!("unknown call '{name}'; expected one such as GET_STATE"))?;
    let call = Call {
        r#type: Some(kind as i32),
        ..Call::default()
    };
    let body = media::encode(media, &call);
    Ok(Question {
        url: format!("http://{master}/api/v1"),
        post: Some((media.name().to_owned(), body.to_vec())),
    })
}

/// Plays the scenario.
///
/// # Errors
/// When tasks are not launched in time.
pub async fn run(clock: Clock, arguments: &State) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

/// Launches tasks at a fixed rate for as long as wanted: what a user who launches something feels.
/// Each counts from when it was due, so that what holds one up is not hidden by those behind it.
async fn launch(stage: &Stage, arguments: &State) -> Result<Latencies, Error> {
    let tasks = arguments.rate * arguments.seconds as f64;
    let plan = Plan {
        tasks: tasks.clamp(1.0, MAX_TASKS) as usize,
        concurrency: usize::MAX,
        rate: Some(arguments.rate),
        begin_after: SETTLING,
        prefix: "probe".into(),
        ..Plan::default()
    };
    let done = stage.run_plans("probe", vec![plan]).await?;
    let latencies = done.latencies.clone();
    done.tear_down().await?;
    Ok(latencies)
}

async fn play(stage: &mut Stage, arguments: &State) -> Result<Run, Error> {
    let mut run = Run::new("state");
    match arguments.idle {
        true => run.parameter("idle", "yes"),
        false => run.parameter("launches per second", arguments.rate),
    };
    run.parameter("agents", arguments.agents)
        .parameter("tasks", arguments.tasks)
        .parameter("readers", arguments.readers)
        .parameter("subscribers", arguments.subscribers);
    let media = MediaType::from(arguments.common.wire);
    let reading = match &arguments.call {
        None => {
            run.parameter("reading", &arguments.path);
            Question::get(format!("http://{}{}", stage.target.master, arguments.path))
        }
        Some(name) => {
            run.parameter("reading", format!("{name} {}", media.name()));
            call(&stage.target.master, media, name)?
        }
    };
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let per_agent = arguments.tasks.div_ceil(arguments.agents).max(1);
    let resident = stage
        .populate(framework_info("resident"), arguments.tasks, per_agent)
        .await?;
    let sampler = stage.watch_master()?;
    let subscribing = call(&stage.target.master, media, "SUBSCRIBE")?;
    let subscribers = Subscribers::open(&subscribing, arguments.subscribers).await?;
    let count = usize::try_from(arguments.readers)?;
    let cpu_before = sampler.as_ref().map(Sampler::cpu).transpose()?;
    let readers = Prober::start(stage.clock, &reading, Pace::Continuous, count)?;
    let health = stage.probe("/health")?;
    let metrics = stage.probe("/metrics/snapshot")?;
    let length = Duration::from_secs(arguments.seconds);
    let outcome = match arguments.idle {
        true => {
            tokio::time::sleep(length).await;
            None
        }
        false => Some(launch(stage, arguments).await?),
    };
    let found = readers.finish();
    subscribers.tell(&mut run)?;
    if count > 0 {
        run.measure("size of the answer", found.largest as f64 / 1e6, "MB");
        tell_probe(&mut run, "read", &found);
        if let (Some(sampler), Some(before)) = (&sampler, cpu_before) {
            let spent = sampler.cpu()?.saturating_sub(before).as_secs_f64();
            let per_read = spent * 1000.0 / found.times.len().max(1) as f64;
            run.measure("master cpu per read", per_read, "ms");
        }
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
