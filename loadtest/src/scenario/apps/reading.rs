//! Pollers of lists at a rate, at rest and while an app is scaled, which is also done without them.
//! Shows whether reads and launches hold each other up; the figures are for the reader to judge.

use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::Method;

use super::super::tell_probe;
use super::Apps;
use super::create::{create, id};
use super::scene::{Scene, app};
use crate::framework::Error;
use crate::prober::{Pace, Prober};
use crate::report::Run;

/// The app that is scaled.
const SCALED: &str = "/scaled";

/// Most instances of the app that is scaled here: it goes up and down again and again.
const MAX_SCALED: u64 = 1_000;

/// Pollers of everything that is read.
struct Pollers {
    list: Prober,
    others: Vec<(&'static str, Prober)>,
    begun: Duration,
}

/// Plays the part.
///
/// # Errors
/// When a read is refused, or a deployment fails or is late, or there is a task too many.
pub async fn play(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<(), Error> {
    let mut creation = Run::new("");
    let apps = create(scene, arguments, &mut creation).await?;
    run.parameter("apps", apps)
        .parameter("instances", arguments.instances)
        .parameter("rate", arguments.rate)
        .parameter("pollers", arguments.pollers);
    run.notes.append(&mut creation.notes);
    let resident = apps * arguments.instances;
    let spare = scene.fit(run, "tasks", resident + arguments.scale.min(MAX_SCALED), 1);
    let scaled = spare - resident;
    run.parameter("scaled", scaled);
    let new = app(SCALED, 0);
    scene
        .deploy("a new app", Method::POST, "/v2/apps", Some(&new))
        .await?;
    let time = Duration::from_secs(arguments.seconds);

    let mut alone = Ups::new(resident, scaled);
    alone.go_on(scene, time).await?;
    alone.tell(run, "without reads");

    let pollers = Pollers::start(scene, arguments)?;
    tokio::time::sleep(time).await;
    pollers.tell(scene, run, "at rest")?;

    let pollers = Pollers::start(scene, arguments)?;
    let mut meanwhile = Ups::new(resident, scaled);
    meanwhile.go_on(scene, time).await?;
    pollers.tell(scene, run, "while scaling")?;
    meanwhile.tell(run, "while reading");
    scene.expect_counts(apps + 1, resident).await
}

impl Pollers {
    fn start(scene: &Scene<'_>, arguments: &Apps) -> Result<Self, Error> {
        let interval = Duration::try_from_secs_f64(arguments.pollers as f64 / arguments.rate)?;
        let pollers = usize::try_from(arguments.pollers)?;
        let mut others = Vec::new();
        let one = format!("/v2/apps{}", id(arguments, 0));
        for (name, path) in [
            ("GET /v2/apps/ID", one.as_str()),
            ("GET /v2/deployments", "/v2/deployments"),
            ("GET /v2/queue", "/v2/queue"),
        ] {
            others.push((name, scene.probe(path)?));
        }
        Ok(Pollers {
            list: scene.read("/v2/apps", Pace::Every(interval), pollers)?,
            others,
            begun: scene.now(),
        })
    }

    /// Ends the pollers and tells what they found; a read that was refused is a failure.
    fn tell(self, scene: &Scene<'_>, run: &mut Run, when: &str) -> Result<(), Error> {
        let seconds = (scene.now() - self.begun).as_secs_f64().max(1e-6);
        let list = self.list.finish();
        let answered = list.times.len() - list.unanswered;
        run.measure(
            &format!("lists read {when}"),
            answered as f64 / seconds,
            "reads/s",
        );
        run.measure(
            &format!("bytes of lists read {when}"),
            list.bytes as f64 / 1e6 / seconds,
            "MB/s",
        );
        run.measure(
            &format!("size of the list {when}"),
            list.largest as f64 / 1e6,
            "MB",
        );
        let others = self
            .others
            .into_iter()
            .map(|(name, it)| (name, it.finish()));
        for (name, found) in std::iter::once(("GET /v2/apps", list)).chain(others) {
            tell_probe(run, &format!("{name} {when}"), &found);
            if found.failures.0 > 0 {
                let (count, why) = &found.failures;
                return Err(format!("{name}: {count} reads failed, the last with: {why}").into());
            }
        }
        Ok(())
    }
}

/// One app, scaled up and down.
struct Ups {
    resident: u64,
    scaled: u64,
    up: Histogram<u64>,
    down: Histogram<u64>,
}

impl Ups {
    fn new(resident: u64, scaled: u64) -> Self {
        Ups {
            resident,
            scaled,
            up: crate::histogram(),
            down: crate::histogram(),
        }
    }

    /// Scales up and down for at least this time.
    async fn go_on(&mut self, scene: &Scene<'_>, time: Duration) -> Result<(), Error> {
        let begun = scene.now();
        while self.up.is_empty() || scene.now() - begun < time {
            for instances in [self.scaled, 0] {
                let wanted = self.resident + instances;
                scene.tasks().mark();
                let start = scene.now();
                let deployment = scene.api.scale(SCALED, instances).await?;
                scene.reached("scaling an app", wanted).await?;
                scene.ended("scaling an app", &[deployment]).await?;
                let took = scene.now() - start;
                crate::record(
                    if instances == 0 {
                        &mut self.down
                    } else {
                        &mut self.up
                    },
                    took,
                );
                let (fewest, most) = (self.resident, self.resident + self.scaled);
                scene.bounded("scaling an app", fewest, most)?;
            }
        }
        Ok(())
    }

    fn tell(&self, run: &mut Run, when: &str) {
        run.latency(&format!("scaling an app up {when}"), &self.up);
        run.latency(&format!("scaling an app to 0 {when}"), &self.down);
    }
}
