//! One app, scaled from nothing to many instances and back.
//! Fails when there is ever one task more than is wanted.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::super::tell_probe;
use super::Apps;
use super::scene::{Scene, app};
use crate::framework::Error;
use crate::report::Run;

/// The app that is scaled.
const SCALED: &str = "/scaled";

/// Share of a step's time after which what is not there is given up.
const PATIENCE: f64 = 0.8;

/// Plays the part.
///
/// # Errors
/// When there is a task too many at any time, or scaling is late.
pub async fn play(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<(), Error> {
    let instances = scene.fit(run, "instances", arguments.scale, 1);
    let new = app(SCALED, 0);
    scene
        .deploy("a new app", Method::POST, "/v2/apps", Some(&new))
        .await?;
    let one = scene.watch(&format!("/v2/apps{SCALED}"))?;
    let list = scene.probe("/v2/apps")?;
    let queue = scene.probe("/v2/queue")?;
    let tasks = scene.tasks().clone();

    tasks.mark();
    let (there, over, instances) = up(scene, run, instances).await?;
    run.measure("until all tasks run", there.as_secs_f64(), "s");
    run.measure("until the deployment is over", over.as_secs_f64(), "s");
    run.measure(
        "tasks started",
        instances as f64 / there.as_secs_f64().max(1e-6),
        "tasks/s",
    );
    run.measure("most tasks at any time", tasks.most() as f64, "tasks");
    scene.expect("scaling up", 0, instances).await?;
    scene.expect_counts(1, instances).await?;

    tasks.mark();
    let (gone, over) = scene.scale(SCALED, 0).await?;
    run.measure("until all tasks are gone", gone.as_secs_f64(), "s");
    run.measure("until scaling down is over", over.as_secs_f64(), "s");
    scene.expect("scaling down", 0, instances).await?;
    scene.expect_counts(1, 0).await?;
    tell_probe(run, "GET /v2/apps/ID meanwhile", &one.finish());
    tell_probe(run, "GET /v2/apps meanwhile", &list.finish());
    tell_probe(run, "GET /v2/queue meanwhile", &queue.finish());
    Ok(())
}

/// Scales up; gives how long that took until all tasks were there and until the deployment was
/// over, and to how many instances. What is not there when most of the time of a step is over is
/// given up.
async fn up(
    scene: &Scene<'_>,
    run: &mut Run,
    instances: u64,
) -> Result<(Duration, Duration, u64), Error> {
    let patience = scene.limit().mul_f64(PATIENCE);
    let scaling = scene.scale(SCALED, instances);
    if let Ok(done) = tokio::time::timeout(patience, scaling).await {
        return done.map(|(there, over)| (there, over, instances));
    }
    let fits = scene.tasks().now();
    run.note(format!(
        "Scaled down: {fits} of {instances} tasks ran after {patience:?}, and no more were wanted \
         then."
    ));
    run.parameter("instances", fits);
    let path = format!("/v2/apps{SCALED}?force=true");
    let body = json!({ "instances": fits });
    let took = scene
        .deploy("giving up", Method::PUT, &path, Some(&body))
        .await?;
    // Those that were on their way are killed again; there were never more than first wanted.
    scene.reached("giving up", fits).await?;
    scene.bounded("scaling up", 0, instances)?;
    scene.tasks().mark();
    Ok((patience, patience + took, fits))
}
