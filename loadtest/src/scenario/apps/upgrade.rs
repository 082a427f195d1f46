//! A rolling upgrade and a restart of a large app, then several apps scaled side by side.
//! Fails when the upgrade strategy is broken: too few tasks or too many at any time.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{progress, tell_probe};
use super::Apps;
use super::scene::{Scene, app, latencies};
use crate::framework::Error;
use crate::report::Run;

/// The app that is upgraded.
const UPGRADED: &str = "/upgraded";

/// Share of the instances that must be there at any time.
const MINIMUM_HEALTH_CAPACITY: f64 = 0.5;

/// Share of the instances that there may be beside them at any time.
const MAXIMUM_OVER_CAPACITY: f64 = 0.2;

/// Instances of each app that is scaled side by side with others.
const PARALLEL_INSTANCES: u64 = 50;

/// Plays the part.
///
/// # Errors
/// When the upgrade strategy is broken, a task of an old version is left, or a deployment is late.
pub async fn play(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<(), Error> {
    let over = 1.0 + MAXIMUM_OVER_CAPACITY;
    let fits = scene.fit(run, "tasks", (arguments.upgrade as f64 * over) as u64, 1);
    let instances = (fits as f64 / over) as u64;
    let instances = instances.min(arguments.upgrade);
    run.parameter("instances", instances);
    let mut new = app(UPGRADED, instances);
    new["upgradeStrategy"] = json!({
        "minimumHealthCapacity": MINIMUM_HEALTH_CAPACITY,
        "maximumOverCapacity": MAXIMUM_OVER_CAPACITY,
    });
    let took = scene
        .deploy("a new app", Method::POST, "/v2/apps", Some(&new))
        .await?;
    run.measure("the first deployment", took.as_secs_f64(), "s");
    scene.expect_counts(1, instances).await?;

    let path = format!("/v2/apps{UPGRADED}");
    let body = json!({"env": {"VERSION": "2"}});
    roll(
        scene,
        run,
        instances,
        "upgrade",
        (Method::PUT, &path, Some(&body)),
    )
    .await?;
    let path = format!("{path}/restart");
    roll(
        scene,
        run,
        instances,
        "restart",
        (Method::POST, &path, None),
    )
    .await?;
    let path = format!("/v2/apps{UPGRADED}");
    let took = scene
        .deploy("removing the app", Method::DELETE, &path, None)
        .await?;
    run.measure("removing the app", took.as_secs_f64(), "s");
    scene.reached("removing the app", 0).await?;
    parallel(scene, arguments, run).await
}

/// Replaces all tasks by a change, and looks whether the strategy is kept.
async fn roll(
    scene: &Scene<'_>,
    run: &mut Run,
    instances: u64,
    name: &str,
    (method, path, body): (Method, &str, Option<&Value>),
) -> Result<(), Error> {
    let one = scene.watch(&format!("/v2/apps{UPGRADED}"))?;
    let list = scene.probe("/v2/apps")?;
    let deployments = scene.probe("/v2/deployments")?;
    let tasks = scene.tasks().clone();
    tasks.mark();
    let took = scene.deploy(name, method, path, body).await?;
    run.measure(&format!("{name} until over"), took.as_secs_f64(), "s");
    for (path, probe) in [
        ("/v2/apps/ID", one),
        ("/v2/apps", list),
        ("/v2/deployments", deployments),
    ] {
        tell_probe(run, &format!("GET {path} during {name}"), &probe.finish());
    }
    scene.reached(name, instances).await?;
    let (fewest, most) = (tasks.fewest(), tasks.most());
    run.measure(
        &format!("fewest tasks during {name}"),
        fewest as f64,
        "tasks",
    );
    run.measure(&format!("most tasks during {name}"), most as f64, "tasks");
    let (least, highest) = bounds(instances);
    scene.expect(name, least, highest).await?;
    scene.expect_counts(1, instances).await?;
    expect_version(scene, instances).await
}

/// Fewest and most tasks that the upgrade strategy allows. Marathon rounds the former up and the
/// latter down.
fn bounds(instances: u64) -> (u64, u64) {
    let fewest = (instances as f64 * MINIMUM_HEALTH_CAPACITY).ceil() as u64;
    let over = (instances as f64 * (1.0 + MAXIMUM_OVER_CAPACITY) + 1e-9).floor() as u64;
    (fewest, over)
}

/// Fails unless all tasks are of the app's version.
async fn expect_version(scene: &Scene<'_>, instances: u64) -> Result<(), Error> {
    let app = scene.api.get(&format!("/v2/apps{UPGRADED}")).await?;
    let version = &app["app"]["version"];
    let answer = scene.api.get(&format!("/v2/apps{UPGRADED}/tasks")).await?;
    let tasks = answer["tasks"].as_array();
    let tasks = tasks.ok_or("the app manager gives no list of tasks")?;
    let new = tasks.iter().filter(|task| task["version"] == *version);
    let new = new.count() as u64;
    match (new, tasks.len() as u64) == (instances, instances) {
        true => Ok(()),
        false => Err(format!(
            "{new} of {} tasks have version {version}, and {instances} should",
            tasks.len()
        )
        .into()),
    }
}

/// Several apps, each with a deployment of its own, at the same time.
async fn parallel(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<(), Error> {
    let apps = scene.fit(run, "parallel", arguments.parallel, PARALLEL_INSTANCES);
    let wanted = apps * PARALLEL_INSTANCES;
    let id = |index: u64| format!("/parallel-{index}");
    for index in 0..apps {
        let new = app(&id(index), 0);
        scene
            .deploy("a new app", Method::POST, "/v2/apps", Some(&new))
            .await?;
    }
    let list = scene.probe("/v2/apps")?;
    let deployments = scene.probe("/v2/deployments")?;
    let bar = progress("parallel", wanted);
    scene.tasks().mark();
    let one = |index: u64| async move {
        let begun = scene.now();
        let deployment = scene.api.scale(&id(index), PARALLEL_INSTANCES).await?;
        Ok::<_, Error>((begun, deployment))
    };
    let sent = try_join_all((0..apps).map(one)).await?;
    let (begun, ids): (Vec<Duration>, Vec<String>) = sent.into_iter().unzip();
    let ended = scene.ended("deployments side by side", &ids).await?;
    bar.finish_and_clear();
    run.latency("deployments side by side", &latencies(&begun, &ended));
    tell_probe(run, "GET /v2/apps during deployments", &list.finish());
    tell_probe(
        run,
        "GET /v2/deployments during deployments",
        &deployments.finish(),
    );
    scene.reached("apps side by side", wanted).await?;
    scene.expect("apps side by side", 0, wanted).await?;
    scene.expect_counts(apps, wanted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_is_rounded_to_the_safe_side() {
        assert_eq!(bounds(1_000), (500, 1_200));
        assert_eq!(bounds(11), (6, 13));
    }
}
