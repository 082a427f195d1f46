//! Changes: plans without effect, kills, leadership, loggers, pods.
//! What a change does is tested with the manager.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::super::Abdication;
use super::expect::{find, string};
use super::support::{Played, Reply};

async fn send(played: &Played, method: &str, path: &str, body: Option<&Value>) -> Reply {
    match body {
        Some(body) => played.json(method, path, body).await,
        None => {
            let method = actix_web::http::Method::from_bytes(method.as_bytes());
            let request = TestRequest::with_uri(path).method(method.expect("a method"));
            played.send(request).await
        }
    }
}

/// Changes with an action of the plan that each one has; without one no deployment would begin.
const DRY_RUNS: &str = include_str!("../testdata/dry-runs.json");

fn with_dry_run(path: &str) -> String {
    let and = if path.contains('?') { '&' } else { '?' };
    format!("{path}{and}dryRun=true")
}

#[actix_web::test]
async fn every_change_can_be_asked_for_its_plan() {
    let played = Played::start();
    played.connect().await;
    let app = json!({"id": "/g/a", "cmd": "sleep 9", "cpus": 0.1});
    played.create(app).await;
    let task = played.run_one("a1").await.task_id.value;
    let app = json!({"id": "/w", "cmd": "sleep 9"});
    let waiting = played.create(app).await;
    let deployment = waiting.header("Marathon-Deployment-Id");
    let changes = DRY_RUNS.replace("${task}", &task);
    let changes = changes.replace("${deployment}", deployment);
    let changes: Vec<Value> = serde_json::from_str(&changes).expect("changes");
    let apps = played.get("/v2/apps").await.json();
    let groups = played.get("/v2/groups").await.json();
    for change in &changes {
        let path = with_dry_run(string(&change["path"]));
        let body = change.get("body").filter(|body| !body.is_null());
        let reply = send(&played, string(&change["method"]), &path, body).await;
        assert_eq!(reply.status, 200, "{change}: {}", reply.text());
        let json = reply.json();
        let actions = find(&json, "$.steps[*].actions[*].action");
        let is_right = match &change["action"] {
            Value::Null => json == json!({"steps": []}),
            action => actions.contains(&action),
        };
        assert!(is_right, "{change}: {json}");
    }
    assert_eq!(played.get("/v2/apps").await.json(), apps);
    assert_eq!(played.get("/v2/groups").await.json(), groups);
    assert!(played.get("/logging").await.json().get("x").is_none());
    // Longer than it would take to step down; the paused clock makes it certain.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(*played.process.abdicated.lock().expect("a lock"), None);
}

#[actix_web::test]
async fn a_plan_tells_where_instances_would_go() {
    let played = Played::start();
    played.connect().await;
    let app = json!({"id": "/a", "cmd": "run", "cpus": 1, "instances": 3, "portDefinitions": []});
    let asking = played.json("POST", "/v2/apps?dryRun=true", &app);
    // Offers that come before it asks are of no use to it.
    let offering = async {
        loop {
            let launched = played.offer("a1", "cpus:2.5;mem:500").await;
            assert!(launched.is_empty(), "a dry run launches: {launched:?}");
            tokio::task::yield_now().await;
        }
    };
    let reply = tokio::select! {
        reply = asking => reply,
        _ = offering => panic!("offers do not end"),
    };
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut placement = reply.json()["placement"].clone();
    let as_of = placement.as_object_mut().and_then(|it| it.remove("asOf"));
    assert!(as_of.is_some_and(|at| at.is_string()));
    let host = json!({"hostname": "host-a1", "agentId": "a1", "instances": 2});
    let reason = json!({"reason": "InsufficientCpus", "offers": 1,
        "example": "host-a1: wanted 1 cpus, offered 0.5",
        "unblock": "free 0.5 more cpus on the agent, or ask for at most 0.5"});
    let of_app = json!({"id": "/a", "launch": 3, "replace": 0, "hosts": [host], "unplaced": 1,
        "reasons": [reason]});
    assert_eq!(placement, json!({"offers": 1, "apps": [of_app]}));
    let path = "/v2/apps?dryRun=true&placement=false";
    let steps = played.json("POST", path, &app).await.json();
    assert!(
        steps.get("placement").is_none() && !steps["steps"].is_null(),
        "{steps}"
    );
    assert_eq!(played.get("/v2/apps").await.json(), json!({"apps": []}));
}

#[actix_web::test]
async fn plans_of_what_is_not_there_are_refused() {
    let played = Played::start();
    for path in [
        "/v2/deployments/nope",
        "/v2/deployments/nope?force=true",
        "/v2/queue/nope/delay",
        "/v2/apps/nope",
        "/v2/apps/nope/tasks",
        "/v2/groups/nope",
    ] {
        let reply = send(&played, "DELETE", &with_dry_run(path), None).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    // Enforcing a role starts no deployment.
    let body = json!({"enforceRole": true});
    let path = "/v2/groups/g?dryRun=true";
    assert_eq!(send(&played, "PATCH", path, Some(&body)).await.status, 404);
    let group = json!({"id": "/g"});
    let reply = send(&played, "POST", "/v2/groups", Some(&group)).await;
    assert_eq!(reply.status, 201);
    let reply = send(&played, "PATCH", path, Some(&body)).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"steps": []})));
    let group = played.get("/v2/groups/g").await.json();
    assert_eq!(group["enforceRole"], false);
}

#[actix_web::test]
async fn tasks_are_killed_by_host_by_id_and_with_scaling() {
    let played = Played::start();
    played.connect().await;
    played
        .create(json!({"id": "/a", "cmd": "sleep 9", "instances": 3}))
        .await;
    let mut tasks = Vec::new();
    for agent in ["a1", "a2", "a3"] {
        tasks.push(played.run_one(agent).await.task_id.value);
    }
    let reply = send(&played, "DELETE", "/v2/apps/a/tasks?host=host-a1", None).await;
    let ids = reply.json();
    assert_eq!(find(&ids, "$.tasks[*].id"), [&json!(tasks[0])]);
    let path = format!("/v2/apps/a/tasks/{}", tasks[1]);
    let reply = send(&played, "DELETE", &path, None).await;
    assert_eq!(reply.json()["task"]["id"], tasks[1].as_str());
    let elsewhere = format!("/v2/apps/b/tasks/{}", tasks[1]);
    assert_eq!(send(&played, "DELETE", &elsewhere, None).await.status, 404);
    let body = json!({"ids": [tasks[2]]});
    let reply = played
        .json("POST", "/v2/tasks/delete?scale=true&force=true", &body)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["deploymentId"],
        reply.header("Marathon-Deployment-Id")
    );
    assert_eq!(played.get("/v2/apps/a").await.json()["app"]["instances"], 2);
}

#[actix_web::test]
async fn the_leader_steps_down_a_moment_after_it_said_so() {
    let played = Played::start();
    tokio::time::pause();
    let path = "/v2/leader?backup=file%3A%2F%2F%2Ftmp%2Fb";
    let reply = send(&played, "DELETE", path, None).await;
    assert_eq!(
        reply.json(),
        json!({"message": "Leadership abdicated", "details": []})
    );
    let abdicated = || played.process.abdicated.lock().expect("a lock").clone();
    assert_eq!(abdicated(), None);
    tokio::time::sleep(Duration::from_millis(501)).await;
    let wishes = Abdication {
        backup: Some("file:///tmp/b".to_owned()),
        restore: None,
    };
    assert_eq!(abdicated(), Some(wishes));
    played.process.is_leaderless.store(true, Ordering::SeqCst);
    let reply = played.get("/v2/leader").await;
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.json(),
        json!({"message": "There is no leader", "details": []})
    );
}

#[actix_web::test]
async fn loggers_are_changed() {
    let played = Played::start();
    let change = json!({"level": "WARN", "logger": "a.b", "durationSeconds": 5});
    let reply = played.json("POST", "/logging", &change).await;
    assert_eq!(
        reply.json(),
        json!({"level": "warn", "logger": "a.b", "durationSeconds": 5})
    );
    assert_eq!(
        played.get("/logging").await.json(),
        json!({"ROOT": "info", "a.b": "warn"})
    );
    for bad in [
        json!([]),
        json!({"level": "warn"}),
        json!({"level": "warn", "logger": "x", "durationSeconds": "y"}),
    ] {
        assert_eq!(
            played.json("POST", "/logging", &bad).await.status,
            422,
            "{bad}"
        );
    }
}

#[actix_web::test]
async fn pods_are_none_and_refused() {
    let played = Played::start();
    for (method, path, status, text) in [
        ("HEAD", "/v2/pods", 200, ""),
        ("GET", "/v2/pods", 200, "[]"),
        ("GET", "/v2/pods::status", 200, "[]"),
        ("POST", "/v2/pods", 422, "pods are not supported yet"),
        ("PUT", "/v2/pods/a", 422, "pods are not supported yet"),
        ("GET", "/v2/pods/a/b", 404, "pod with /a/b does not exist"),
        ("GET", "/v2/pods/a::status", 404, "Pod '/a' does not exist"),
        (
            "GET",
            "/v2/pods/a::versions",
            404,
            "Pod '/a' does not exist",
        ),
        (
            "GET",
            "/v2/pods/a::versions/never",
            422,
            "Invalid timestamp provided 'never'.",
        ),
        ("DELETE", "/v2/pods/a", 404, "Pod '/a' does not exist"),
        (
            "DELETE",
            "/v2/pods/a::instances/i",
            404,
            "Task 'i' does not exist",
        ),
        ("PATCH", "/v2/pods/a", 405, "Method Not Allowed"),
    ] {
        let reply = send(&played, method, path, None).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(
            reply.text().contains(text),
            "{method} {path}: {}",
            reply.text()
        );
    }
}
