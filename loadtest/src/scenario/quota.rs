//! `quota`: thousands of roles, each with a quota and a framework.
//! Sets quota through the operator API, as operators do.

use clap::Args;
use serde_json::{Value, json};
use tepui_protocol::v1::framework_info::{Capability, capability};
use tepui_protocol::v1::{FrameworkInfo, OfferId};

use super::{Common, Stage, agents, progress, within};
use crate::clock::Clock;
use crate::framework::{Error, Framework, framework_info};
use crate::histogram;
use crate::ledger::{REFUSE_SECONDS, decline};
use crate::report::Run;

/// Roles of one UPDATE_QUOTA call.
const ROLES_PER_CALL: usize = 100;

/// CPUs guaranteed to each role.
const GUARANTEE_CPUS: f64 = 1.0;

/// Every role has a guarantee, a limit and a framework. How long until each framework has been
/// offered what its role is guaranteed, and what does a decline cost then?
#[derive(Debug, Clone, Args)]
pub struct Quota {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// Roles with quota.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub roles: u64,
    #[command(flatten)]
    pub common: Common,
}

/// Plays the scenario.
///
/// # Errors
/// When a role does not get what it is guaranteed in time.
pub async fn run(clock: Clock, arguments: &Quota) -> Result<Run, Error> {
    let stage = Stage::set(clock, &arguments.common).await?;
    stage.play(async |stage| play(stage, arguments).await).await
}

async fn play(stage: &mut Stage, arguments: &Quota) -> Result<Run, Error> {
    let mut run = Run::new("quota");
    run.parameter("agents", arguments.agents)
        .parameter("roles", arguments.roles);
    let fleet = stage.registered_fleet(arguments.agents).await?;
    let sampler = stage.watch_master()?;
    let roles: Vec<String> = (0..arguments.roles)
        .map(|index| format!("role-{index}"))
        .collect();
    let begun = stage.clock.now();
    for roles in roles.chunks(ROLES_PER_CALL) {
        set_quota(stage, roles).await?;
    }
    run.measure(
        "setting quota",
        (stage.clock.now() - begun).as_secs_f64(),
        "s",
    );

    let bar = progress("quota", arguments.roles);
    let begun = stage.clock.now();
    let mut times = histogram();
    let mut frameworks = Vec::new();
    for role in &roles {
        let begun = stage.clock.now();
        let mut framework = Framework::subscribe(&stage.target, of_role(role)).await?;
        let offers = guaranteed(&mut framework);
        let offers = within("what a role is guaranteed", stage.limit(), offers).await?;
        let took = stage.clock.now() - begun;
        crate::record(&mut times, took);
        frameworks.push((framework, offers));
        bar.inc(1);
    }
    bar.finish_and_clear();
    run.measure("elapsed", (stage.clock.now() - begun).as_secs_f64(), "s");
    run.latency("subscription until the guarantee is offered", &times);

    let mut times = histogram();
    for (framework, offers) in &mut frameworks {
        framework
            .send(decline(std::mem::take(offers), REFUSE_SECONDS))
            .await?;
        framework.settle().await?;
        crate::add(&mut times, &framework.take_call_times());
    }
    run.latency("a decline", &times);
    if let Some(sampler) = sampler {
        sampler.finish(&mut run)?;
    }
    drop((frameworks, fleet));
    Ok(run)
}

fn of_role(role: &str) -> FrameworkInfo {
    let multi_role = Capability {
        r#type: Some(capability::Type::MultiRole as i32),
    };
    FrameworkInfo {
        roles: vec![role.to_owned()],
        capabilities: vec![multi_role],
        ..framework_info(role)
    }
}

async fn set_quota(stage: &Stage, roles: &[String]) -> Result<(), Error> {
    let config = |role: &String| {
        json!({
            "role": role,
            "guarantees": {"cpus": {"value": GUARANTEE_CPUS}},
            "limits": {"cpus": {"value": GUARANTEE_CPUS * 2.0}},
        })
    };
    let configs: Vec<Value> = roles.iter().map(config).collect();
    let call = json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": configs}});
    let answer = reqwest::Client::new()
        .post(format!("http://{}/api/v1", stage.target.master))
        .header("Content-Type", "application/json")
        .body(call.to_string())
        .send()
        .await?;
    let status = answer.status();
    if !status.is_success() {
        let text = answer.text().await.unwrap_or_default();
        return Err(format!("the master answered UPDATE_QUOTA with {status}: {text}").into());
    }
    Ok(())
}

/// Takes offers until they hold the guarantee.
async fn guaranteed(framework: &mut Framework) -> Result<Vec<OfferId>, Error> {
    let (mut cpus, mut offers) = (0.0, Vec::new());
    while cpus < GUARANTEE_CPUS {
        let event = framework.next_event().await?;
        for offer in event.offers.unwrap_or_default().offers {
            let scalars = offer.resources.iter().filter(|it| it.name == "cpus");
            cpus += scalars
                .filter_map(|it| it.scalar.as_ref())
                .map(|it| it.value)
                .sum::<f64>();
            offers.push(offer.id);
        }
    }
    Ok(offers)
}
