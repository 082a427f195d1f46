//! `flap`: agents and frameworks that come and go while tasks are launched.
//! At the end nothing may be missing: every agent is back and offered whole.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use tepui_core::resources::{Quantities, Resources};

use super::{Common, Stage, agents, positive, within};
use crate::clock::Clock;
use crate::fleet::{FleetHandle, Order};
use crate::framework::{Error, Framework};
use crate::ledger::Plan;
use crate::report::Run;

/// Agents that are cut at a time.
const CUT_AT_ONCE: usize = 10;

/// Links are cut and frameworks come and go, with tasks launched meanwhile. Afterwards a new
/// framework must be offered every agent with all its resources.
#[derive(Debug, Clone, Args)]
pub struct Flap {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Links cut per second.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    pub cuts: f64,
    /// Frameworks at a time; each runs some tasks, is torn down, and another one comes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub frameworks: u64,
    /// Agents that leave the cluster for good meanwhile.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub leaving: u64,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When something is missing at the end.
pub async fn run(clock: Clock, arguments: &Flap) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Flap) -> Result<Run, Error> {
    let mut run = Run::new("flap");
    run.parameter("agents", arguments.agents)
        .parameter("cuts", arguments.cuts)
        .parameter("frameworks", arguments.frameworks);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let fleet = fleet.ok_or("this scenario simulates the agents itself")?;
    let sampler = stage.watch_master()?;
    let staying = arguments.agents.checked_sub(arguments.leaving);
    let staying = staying
        .filter(|staying| *staying > 0)
        .ok_or("no agent would stay")?;
    let deadline = stage.clock.now() + Duration::from_secs(arguments.seconds);
    let leavers = usize::try_from(staying)?..usize::try_from(arguments.agents)?;
    fleet.order(leavers, Order::Leave);
    let shared: &Stage = stage;
    let comers = (0..arguments.frameworks).map(|index| come_and_go(shared, index, deadline));
    let cuts = cut(shared, &fleet, arguments, deadline);
    let (gone, ()) =
        futures_util::future::try_join(futures_util::future::try_join_all(comers), cuts).await?;
    run.measure("links lost", fleet.figures().links_lost() as f64, "links");
    run.measure(
        "frameworks gone",
        gone.iter().sum::<u64>() as f64,
        "frameworks",
    );
    let times = fleet.figures().take_register_times();
    run.latency("start or lost link until registered", &times);
    fleet
        .wait_for(usize::try_from(staying)?, stage.limit())
        .await?;
    if fleet.figures().running() as u64 != staying {
        return Err(format!("{} agents have not left", arguments.leaving).into());
    }
    let begun = stage.clock.now();
    let mut framework = stage.framework("whole").await?;
    let whole = all_whole(&mut framework, stage, staying);
    within(
        "offers of every agent with all its resources",
        stage.limit(),
        whole,
    )
    .await?;
    run.measure(
        "until every agent is offered whole",
        (stage.clock.now() - begun).as_secs_f64(),
        "s",
    );
    framework.tear_down().await?;
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    Ok(run)
}

/// Frameworks, one after the other: each runs tasks that may be lost, and goes.
async fn come_and_go(stage: &Stage, index: u64, deadline: Duration) -> Result<u64, Error> {
    let mut count = 0;
    while stage.clock.now() < deadline {
        let name = format!("flap-{index}-{count}");
        let plan = Plan {
            tasks: 50,
            command: "sleep 0.1".into(),
            concurrency: 50,
            per_accept: 5,
            prefix: name.clone(),
            may_fail: true,
            ..Plan::default()
        };
        stage
            .run_plans(&name, vec![plan])
            .await?
            .tear_down()
            .await?;
        count += 1;
    }
    Ok(count)
}

/// Cuts links, one group of agents after the other.
async fn cut(
    stage: &Stage,
    fleet: &FleetHandle,
    arguments: &Flap,
    deadline: Duration,
) -> Result<(), Error> {
    let staying = usize::try_from(arguments.agents - arguments.leaving)?;
    let pause = Duration::try_from_secs_f64(CUT_AT_ONCE as f64 / arguments.cuts)?;
    let mut next = 0;
    while stage.clock.now() < deadline {
        fleet.order(next..(next + CUT_AT_ONCE).min(staying), Order::Cut);
        next = (next + CUT_AT_ONCE) % staying;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Waits until the offers held add up to all resources of every agent.
async fn all_whole(framework: &mut Framework, stage: &Stage, agents: u64) -> Result<(), Error> {
    let read = |error| format!("resources: {error}");
    let wanted = Resources::parse(&stage.common.resources, "*").map_err(read)?;
    let wanted = wanted.quantities();
    let mut held: HashMap<String, (String, Quantities)> = HashMap::new();
    let mut sums: HashMap<String, Quantities> = HashMap::new();
    while (sums.values().filter(|sum| sum.contains(&wanted)).count() as u64) < agents {
        let event = framework.next_event().await?;
        if let Some(rescind) = event.rescind
            && let Some((agent, quantities)) = held.remove(&rescind.offer_id.value)
        {
            sums.entry(agent).or_default().subtract(&quantities);
        }
        for offer in event.offers.unwrap_or_default().offers {
            let quantities = Resources::from_v1(&offer.resources)
                .map_err(read)?
                .quantities();
            let agent = offer.agent_id.value;
            sums.entry(agent.clone()).or_default().add(&quantities);
            held.insert(offer.id.value, (agent, quantities));
        }
    }
    Ok(())
}
