//! What is measured of requests, answers and streams, as GET /metrics then tells it; levels of logging.
//! Names and forms are tested beside the metrics.

use std::time::Duration;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::stream::Stream;
use super::support::{Played, read};
use crate::marathon::loggers::MarathonLoggers;
use crate::metrics::marathon::METHODS;

async fn metrics(played: &Played) -> Value {
    played.get("/metrics").await.json()
}

fn counter(metrics: &Value, name: &str) -> u64 {
    let counter = &metrics["counters"][format!("marathon.{name}")]["count"];
    counter.as_u64().unwrap_or_else(|| panic!("{name}"))
}

fn gauge(metrics: &Value, name: &str) -> u64 {
    let gauge = &metrics["gauges"][format!("marathon.{name}")]["value"];
    gauge.as_u64().unwrap_or_else(|| panic!("{name}"))
}

fn timed(metrics: &Value, method: &str) -> u64 {
    let name = format!("marathon.http.requests.{method}duration.timer.seconds");
    let count = &metrics["timers"][&name]["count"];
    count.as_u64().unwrap_or_else(|| panic!("{name}"))
}

fn answered(metrics: &Value, class: &str) -> u64 {
    let name = format!("marathon.http.responses.{class}.rate.meter");
    let count = &metrics["meters"][&name]["count"];
    count.as_u64().unwrap_or_else(|| panic!("{name}"))
}

#[actix_web::test]
async fn requests_are_counted_by_method_status_and_size() {
    let played = Played::start();
    let app = json!({"id": "/a", "cmd": "sleep 9"});
    let created = played.create(app.clone()).await;
    let refused = played.json("POST", "/v2/apps", &json!({"id": 1})).await;
    let found = played.get("/v2/apps/a").await;
    let head = TestRequest::with_uri("/v2/apps/a").method(actix_web::http::Method::HEAD);
    played.send(head).await;
    let redirect = played.get("/ui").await;
    let metrics = metrics(&played).await;
    let replies = [&created, &refused, &found, &redirect];
    let sent: usize = replies.iter().map(|reply| reply.body.len()).sum();
    assert_eq!(
        counter(&metrics, "http.responses.size.counter.bytes"),
        sent as u64
    );
    let bodies = app.to_string().len() + json!({"id": 1}).to_string().len();
    assert_eq!(
        counter(&metrics, "http.requests.size.counter.bytes"),
        bodies as u64
    );
    assert_eq!(answered(&metrics, "2xx"), 3);
    assert_eq!(answered(&metrics, "3xx"), 1);
    assert_eq!(answered(&metrics, "4xx"), 1);
    assert_eq!(answered(&metrics, "5xx"), 0);
    let expected = [("post.", 2), ("get.", 2), ("head.", 1), ("", 5)];
    for (method, count) in expected {
        assert_eq!(timed(&metrics, method), count, "{method}");
    }
    let others: u64 = METHODS[2..]
        .iter()
        .filter(|method| **method != "HEAD")
        .map(|method| timed(&metrics, &format!("{}.", method.to_lowercase())))
        .sum();
    assert_eq!(others, 0);
    assert_eq!(gauge(&metrics, "http.requests.active.gauge"), 1, "itself");
    let answer = played.get("/metrics/prometheus").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let line = "marathon_http_requests_post_duration_timer_seconds_count 2\n";
    assert!(answer.text().contains(line), "{}", answer.text());
}

#[actix_web::test]
async fn requests_that_wait_are_active_until_nobody_waits_for_them() {
    let played = Played::start();
    let active = || played.face.metrics.http.active.get();
    let body = json!({"id": "/a", "cmd": "sleep 9"});
    let request = TestRequest::post().uri("/v2/apps").set_json(&body);
    let mut waiting = Box::pin(played.open(request));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert_eq!(active(), 1);
    drop(waiting);
    assert_eq!(active(), 0);
    let metrics = metrics(&played).await;
    assert_eq!(timed(&metrics, ""), 0, "it was never answered");
}

#[actix_web::test]
async fn compressed_answers_are_counted_as_they_are_sent() {
    let played = Played::start();
    let apps: Vec<Value> = (0..50)
        .map(|at| json!({"id": format!("/a{at}"), "cmd": "sleep 9"}))
        .collect();
    played.json("PUT", "/v2/apps", &json!(apps)).await;
    let plain = played.get("/v2/apps").await.body.len() as u64;
    let request = TestRequest::get().uri("/v2/apps");
    let request = request.insert_header(("Accept-Encoding", "gzip"));
    let before = metrics(&played).await;
    let before = counter(&before, "http.responses.size.gzipped.counter.bytes");
    let zipped = played.send(request).await.body.len() as u64;
    let after = metrics(&played).await;
    let after = counter(&after, "http.responses.size.gzipped.counter.bytes");
    assert_eq!((before, after), (0, zipped));
    assert!(zipped > 0 && zipped < plain / 2);
}

#[actix_web::test]
async fn streams_of_events_are_counted_while_they_are_open() {
    let played = Played::start();
    let request = TestRequest::get()
        .uri("/v2/events")
        .insert_header(("Accept", "text/event-stream"));
    let mut stream = Stream::new(played.open(request).await);
    let event = stream.event().await;
    assert_eq!(event.name, "event_stream_attached");
    let open = metrics(&played).await;
    assert_eq!(gauge(&open, "http.event-streams.active.gauge"), 1);
    let name = "http.responses.event-stream.size.counter.bytes";
    assert!(counter(&open, name) > event.data.to_string().len() as u64);
    drop(stream);
    let closed = metrics(&played).await;
    assert_eq!(gauge(&closed, "http.event-streams.active.gauge"), 0);
}

#[actix_web::test]
async fn gauges_tell_of_the_state_as_it_was_published() {
    let played = Played::start();
    played.connect().await;
    played
        .create(json!({"id": "/x/web", "cmd": "sleep 9", "instances": 2}))
        .await;
    let before = metrics(&played).await;
    assert_eq!(gauge(&before, "apps.active.gauge"), 1);
    assert_eq!(gauge(&before, "groups.active.gauge"), 2, "the root, and x");
    assert_eq!(gauge(&before, "deployments.active.gauge"), 1);
    assert_eq!(counter(&before, "deployments.counter"), 1);
    assert_eq!(gauge(&before, "debug.offer-matcher.tokens.gauge"), 100);
    played.run_one("a1").await;
    played
        .offer("a2", "cpus:1;mem:128;ports:[31000-31001]")
        .await;
    let after = metrics(&played).await;
    assert_eq!(gauge(&after, "instances.running.gauge"), 1);
    assert_eq!(gauge(&after, "instances.staged.gauge"), 1);
}

#[actix_web::test]
async fn what_a_follower_passes_on_is_counted_too() {
    let played = Played::start();
    let follows = &played.process.is_follower;
    follows.store(true, std::sync::atomic::Ordering::SeqCst);
    let request = TestRequest::get().uri("/v2/apps");
    let reply = read(played.open(request).await).await;
    follows.store(false, std::sync::atomic::Ordering::SeqCst);
    let metrics = metrics(&played).await;
    assert_eq!(timed(&metrics, "get."), 1);
    assert_eq!(
        counter(&metrics, "http.responses.size.counter.bytes"),
        reply.body.len() as u64
    );
}

#[actix_web::test]
async fn levels_of_logging_are_shown_changed_and_come_back() {
    tokio::time::pause();
    let (loggers, _layer) = MarathonLoggers::new(Some(tracing::Level::INFO));
    let played = Played::with(|info| info.loggers = Box::new(loggers));
    assert_eq!(played.get("/logging").await.json(), json!({"ROOT": "INFO"}));
    let lasting = json!({"level": "WARN", "logger": "mesosphere.marathon"});
    let reply = played.json("POST", "/logging", &lasting).await;
    let echo = json!({"level": "warn", "logger": "mesosphere.marathon"});
    assert_eq!((reply.status, reply.json()), (200, echo));
    let passing = json!({"level": "debug", "logger": "ROOT", "durationSeconds": 60});
    let reply = played.json("POST", "/logging", &passing).await;
    assert_eq!((reply.status, reply.json()), (200, passing));
    tokio::time::sleep(Duration::from_secs(59)).await;
    let changed = json!({"ROOT": "DEBUG", "mesosphere.marathon": "WARN"});
    assert_eq!(played.get("/logging").await.json(), changed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = json!({"ROOT": "INFO", "mesosphere.marathon": "WARN"});
    assert_eq!(played.get("/logging").await.json(), after);
}
