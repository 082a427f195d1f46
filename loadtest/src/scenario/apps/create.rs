//! Many apps, created in groups or one by one by several clients at once.
//! A closed loop: each client waits for an answer, not for the deployment.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{progress, tell_probe};
use super::scene::{Scene, app, latencies};
use super::{Apps, By};
use crate::framework::Error;
use crate::report::Run;

/// A request that creates.
#[derive(Debug, PartialEq)]
struct Request {
    method: Method,
    path: String,
    body: Value,
    apps: u64,
}

/// Plays the part.
///
/// # Errors
/// When a request is refused, or not all tasks of all apps run in time, or one too many does.
pub async fn play(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<(), Error> {
    let health = scene.probe("/ping")?;
    let queue = scene.watch("/v2/queue")?;
    let apps = create(scene, arguments, run).await?;
    tell_probe(run, "GET /ping meanwhile", &health.finish());
    tell_probe(run, "GET /v2/queue meanwhile", &queue.finish());
    let list = scene.now();
    scene
        .expect_counts(apps, apps * arguments.instances)
        .await?;
    run.measure(
        "first list of all apps",
        (scene.now() - list).as_secs_f64(),
        "s",
    );
    Ok(())
}

/// Creates the apps and waits until all their tasks run; gives how many apps there are.
///
/// # Errors
/// When a request is refused, or not all tasks of all apps run in time, or one too many does.
pub async fn create(scene: &Scene<'_>, arguments: &Apps, run: &mut Run) -> Result<u64, Error> {
    let apps = scene.fit(run, "apps", arguments.apps, arguments.instances);
    let tasks = apps * arguments.instances;
    run.parameter("instances", arguments.instances)
        .parameter("clients", arguments.clients)
        .parameter(
            "created by",
            match arguments.create_by {
                By::Group => format!("groups of {}", arguments.per_group),
                By::App => "app".into(),
            },
        );
    let requests = requests(arguments, apps);
    scene.tasks().mark();
    let begun = scene.now();
    let sent = send(scene, arguments.clients, requests, apps).await?;
    let created = scene.now() - begun;
    run.measure("creating", created.as_secs_f64(), "s");
    run.measure(
        "apps created",
        apps as f64 / created.as_secs_f64().max(1e-6),
        "apps/s",
    );
    run.latency(
        "a request that creates",
        &latencies(&sent.begun, &sent.answered),
    );

    let ended = scene.ended("deployments of new apps", &sent.ids).await?;
    let last = ended.iter().copied().max().unwrap_or(begun);
    run.measure(
        "until all deployments are over",
        last.saturating_sub(begun).as_secs_f64(),
        "s",
    );
    run.latency(
        "request until its deployment is over",
        &latencies(&sent.begun, &ended),
    );
    scene.reached("tasks of new apps", tasks).await?;
    let running = (scene.now() - begun).as_secs_f64();
    run.measure("until all tasks run", running, "s");
    run.measure("tasks started", tasks as f64 / running.max(1e-6), "tasks/s");
    scene.expect("new apps", 0, tasks).await?;
    Ok(apps)
}

/// What became of the requests.
#[derive(Default)]
struct Sent {
    ids: Vec<String>,
    begun: Vec<Duration>,
    answered: Vec<Duration>,
}

async fn send(
    scene: &Scene<'_>,
    clients: u64,
    requests: Vec<Request>,
    apps: u64,
) -> Result<Sent, Error> {
    let bar = progress("apps", apps);
    let sent = RefCell::new(Sent::default());
    let next = Cell::new(0);
    let client = || async {
        while let Some(request) = requests.get(next.replace(next.get() + 1)) {
            let Request {
                method, path, body, ..
            } = request;
            let begun = scene.now();
            let id = scene.api.change(method.clone(), path, Some(body)).await?;
            let mut sent = sent.borrow_mut();
            sent.ids.push(id);
            sent.begun.push(begun);
            sent.answered.push(scene.now());
            bar.inc(request.apps);
        }
        Ok::<_, Error>(())
    };
    let result = try_join_all((0..clients).map(|_| client())).await;
    bar.finish_and_clear();
    result?;
    Ok(sent.take())
}

fn requests(arguments: &Apps, apps: u64) -> Vec<Request> {
    let instances = arguments.instances;
    let groups = (0..apps).step_by(usize::try_from(arguments.per_group).unwrap_or(1));
    match arguments.create_by {
        By::App => {
            let one = |index: u64| Request {
                method: Method::POST,
                path: "/v2/apps".into(),
                body: app(&id(arguments, index), instances),
                apps: 1,
            };
            (0..apps).map(one).collect()
        }
        By::Group => {
            let one = |first: u64| {
                let end = apps.min(first + arguments.per_group);
                let apps: Vec<Value> = (first..end)
                    .map(|index| app(&id(arguments, index), instances))
                    .collect();
                Request {
                    method: Method::PUT,
                    path: format!("/v2/groups{}", group(arguments, first)),
                    apps: end - first,
                    body: json!({ "apps": apps }),
                }
            };
            groups.map(one).collect()
        }
    }
}

fn group(arguments: &Apps, app: u64) -> String {
    format!("/group-{}", app / arguments.per_group)
}

/// The id of an app that is created: apps lie in groups however they are created.
pub fn id(arguments: &Apps, index: u64) -> String {
    format!("{}/app-{index}", group(arguments, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        apps: Apps,
    }

    #[test]
    fn every_app_is_created_once() {
        let line = ["x", "--per-group=4", "--instances=3"];
        let mut arguments = Line::parse_from(line).apps;
        let groups = requests(&arguments, 10);
        assert_eq!(
            groups.iter().map(|it| it.apps).collect::<Vec<_>>(),
            [4, 4, 2]
        );
        assert_eq!(groups[2].path, "/v2/groups/group-2");
        assert_eq!(groups[2].body["apps"][1]["id"], "/group-2/app-9");
        arguments.create_by = By::App;
        let apps = requests(&arguments, 10);
        assert_eq!(apps.len(), 10);
        assert_eq!(apps[9].body["id"], "/group-2/app-9");
        assert_eq!(apps[9].body["instances"], 3);
    }
}
