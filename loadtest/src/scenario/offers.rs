//! `offers`: how soon frameworks are offered all agents, and freed resources again.
//! Frameworks decline what they are offered, but for a few tasks at the end.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use tepui_protocol::v1::OfferId;
use tepui_protocol::v1::scheduler::{Event, call};

use super::{Common, Stage, TargetKind, agents, progress, within};
use crate::clock::Clock;
use crate::framework::{Error, Framework, of_type};
use crate::histogram;
use crate::ledger::{Ledger, Plan, REFUSE_SECONDS, decline};
use crate::report::Run;

/// Time in which nothing may be offered before the next framework comes.
const QUIET: Duration = Duration::from_millis(50);

/// Frameworks come one after the other; each is offered every agent and declines. Then tasks show
/// how soon freed resources are offered again.
#[derive(Debug, Clone, Args)]
pub struct Offers {
    /// Simulated agents.
    #[arg(long, default_value_t = 10_000, value_parser = agents())]
    pub agents: u64,
    /// Frameworks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub frameworks: u64,
    /// Tasks, one after the other, after whose end the agent's next offer is waited for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub freed: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a framework is not offered every agent in time.
pub async fn run(clock: Clock, arguments: &Offers) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Offers) -> Result<Run, Error> {
    let mut run = Run::new("offers");
    run.parameter("agents", arguments.agents)
        .parameter("frameworks", arguments.frameworks);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let wanted = usize::try_from(arguments.agents)?;
    let sampler = stage.watch_master()?;
    let bar = progress("offers", arguments.frameworks);
    let mut times = histogram();
    let mut frameworks = Vec::new();
    for index in 0..arguments.frameworks {
        let begun = stage.clock.now();
        let mut framework = stage.framework(&format!("offers-{index}")).await?;
        let offers = all_offers(&mut framework, wanted);
        let offers = within("offers of all agents", stage.limit(), offers).await?;
        let took = stage.clock.now().saturating_sub(begun);
        crate::record(&mut times, took);
        framework.send(decline(offers, REFUSE_SECONDS)).await?;
        framework.settle().await?;
        // The next framework is to meet a master at rest.
        tokio::time::sleep(QUIET).await;
        frameworks.push(framework);
        bar.inc(1);
    }
    bar.finish_and_clear();
    run.latency("subscription until all agents are offered", &times);
    if let Some(sampler) = &sampler {
        let offers = arguments.agents * arguments.frameworks;
        let each = sampler.cpu()?.as_secs_f64() * 1e6 / offers as f64;
        run.measure("master cpu per offer and decline", each, "us");
    }
    if arguments.freed > 0 {
        let mut framework = stage.framework("freed").await?;
        let freed = freed(&mut framework, stage, arguments.freed);
        let times = within("freed resources", stage.limit(), freed).await?;
        run.latency("end of a task until its agent is offered again", &times);
        framework.tear_down().await?;
    }
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    if stage.common.target == TargetKind::MesosV1 {
        run.note("The agents are the master's own; --agents says how many offers were waited for.");
    }
    drop((frameworks, fleet));
    Ok(run)
}

/// Takes offers until they are of so many agents.
async fn all_offers(framework: &mut Framework, agents: usize) -> Result<Vec<OfferId>, Error> {
    let mut seen = HashSet::new();
    let mut offers = Vec::new();
    while seen.len() < agents {
        for offer in offers_of(framework.next_event().await?) {
            seen.insert(offer.agent_id.value);
            offers.push(offer.id);
        }
    }
    Ok(offers)
}

fn offers_of(event: Event) -> Vec<tepui_protocol::v1::Offer> {
    event.offers.map(|offers| offers.offers).unwrap_or_default()
}

/// Runs tasks one by one; measures from each one's end until its agent is offered again.
async fn freed(
    framework: &mut Framework,
    stage: &Stage,
    tasks: u64,
) -> Result<hdrhistogram::Histogram<u64>, Error> {
    let clock = stage.clock;
    let mut times = histogram();
    let mut plan = Plan {
        tasks: usize::MAX,
        ..Plan::default()
    };
    plan.prefix = "freed".into();
    let mut ledger = Ledger::new(plan, clock.now());
    let mut ended: Option<(String, Duration)> = None;
    let mut accepted = 0;
    while times.len() < tasks {
        if ended.is_none()
            && accepted == times.len()
            && let Some(call) = ledger.next_call(clock.now())
        {
            accepted += 1;
            framework.send(call).await?;
        }
        let event = framework.next_event().await?;
        let now = clock.now();
        if let Some(offers) = &event.offers
            && let Some((agent, at)) = &ended
            && offers
                .offers
                .iter()
                .any(|offer| offer.agent_id.value == *agent)
        {
            let took = now.saturating_sub(*at);
            crate::record(&mut times, took);
            ended = None;
        }
        if let Some(update) = &event.update
            && crate::ledger::is_terminal(update.status.state())
        {
            let agent = update.status.agent_id.clone().unwrap_or_default();
            ended = Some((agent.value, now));
        }
        if let Some(call) = crate::driver::take(&mut ledger, now, event) {
            framework.send(call).await?;
        }
        if let Some(why) = ledger.failure() {
            return Err(why.into());
        }
    }
    framework.send(of_type(call::Type::Suppress)).await?;
    Ok(times)
}
