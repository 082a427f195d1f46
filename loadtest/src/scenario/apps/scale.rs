//! One app, scaled from nothing to many instances and back.
//! Fails when there is ever one task more than is wanted.

use reqwest::Method;

use super::super::tell_probe;
use super::Apps;
use super::scene::{Scene, app};
use crate::framework::Error;
use crate::report::Run;

/// The app that is scaled.
const SCALED: &str = "/scaled";

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
    let one = scene.watch(SCALED)?;
    let list = scene.probe("/v2/apps")?;
    let queue = scene.probe("/v2/queue")?;
    let tasks = scene.tasks().clone();

    tasks.mark();
    let (there, over) = scene.scale(SCALED, instances).await?;
    let most = tasks.most();
    run.measure("until all tasks run", there.as_secs_f64(), "s");
    run.measure("until the deployment is over", over.as_secs_f64(), "s");
    run.measure(
        "tasks started",
        instances as f64 / there.as_secs_f64().max(1e-6),
        "tasks/s",
    );
    run.measure("most tasks at any time", most as f64, "tasks");
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
