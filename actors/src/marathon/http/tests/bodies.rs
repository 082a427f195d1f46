//! Requests that are broken, too large, or come in part; and headers of all answers.
//! What is wrong with well-formed definitions is tested with them.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use actix_web::dev::{Payload, Service};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;

use super::super::{MAX_STREAMS, respond, routes};
use super::support::{Played, read};

#[actix_web::test]
async fn bad_escapes_are_refused_wherever_they_are() {
    let played = Played::start();
    for path in [
        "/v2/apps/%zz",
        "/v2/apps/a%2",
        "/%ff",
        "/v2/apps?id=%",
        "/v2/groups/%C3",
    ] {
        let reply = played.get(path).await;
        assert_eq!(reply.status, 400, "{path}");
        let text = reply.json()["message"].to_string();
        assert!(text.contains("percent-encoded"), "{path}: {text}");
    }
    played.create(json!({"id": "/a/b", "cmd": "sleep 9"})).await;
    for path in [
        "/v2/apps/a%2Fb",
        "/v2/apps/%2Fa/b",
        "/v2//apps//a/b",
        "/v2/apps/x/../a/b/",
    ] {
        let reply = played.get(path).await;
        assert_eq!(
            (reply.status, &reply.json()["app"]["id"]),
            (200, &json!("/a/b")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn no_path_and_no_method_is_without_an_answer() {
    let played = Played::start();
    let words = [
        "",
        "/v2",
        "/v2/apps",
        "/v2/apps/a",
        "/v2/apps/restart",
        "/v2/apps/tasks",
        "/v2/apps/versions",
        "/v2/apps/why",
        "/v2/apps/*",
        "/v2/apps/*/tasks",
        "/v2/apps/a/tasks/b",
        "/v2/apps/a/versions/b",
        "/v2/groups",
        "/v2/groups/versions",
        "/v2/groups/versions/x",
        "/v2/groups/apps",
        "/v2/tasks",
        "/v2/tasks/x",
        "/v2/queue/delay",
        "/v2/queue/a/delay",
        "/v2/deployments/x/y",
        "/v2/pods",
        "/v2/pods::status",
        "/v2/pods/a::versions/b",
        "/v2/pods/a::instances/b",
        "/v2/pods/::",
        "/v2/plugins/a/b",
        "/v2/info/x",
        "/v2/leader",
        "/v2/schemas/x",
        "/v2/events/x",
        "/ui/a/b",
        "/ui/x.js",
        "/metrics/x",
        "/help",
        "/v3",
    ];
    for path in words {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let path = if path.is_empty() { "/" } else { path };
            let request = TestRequest::with_uri(path).method(method.clone());
            let reply = played.send(request.set_json(json!({}))).await;
            let is_fine = (200..500).contains(&reply.status)
                || reply.json() == json!({"message": "URI not found"});
            assert!(
                is_fine,
                "{method} {path}: {} {}",
                reply.status,
                reply.text()
            );
        }
    }
}

#[actix_web::test]
async fn deep_and_broken_json_is_refused() {
    let played = Played::start();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.as_str(), "{", "\u{0}", "{\"id\": \"\\ud800\"}"] {
        let request = TestRequest::post()
            .uri("/v2/apps")
            .set_payload(body.to_owned());
        let request = request.insert_header(("Content-Type", "application/json; charset=utf-8"));
        let reply = played.send(request).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.json()["message"], "Invalid JSON");
    }
}

#[actix_web::test]
async fn large_bodies_are_not_even_read() {
    let played = Played::start();
    let request = TestRequest::put()
        .uri("/v2/groups")
        .insert_header(("Content-Length", "99999999"));
    let request = request.insert_header(("Content-Type", "application/json"));
    assert_eq!(played.send(request).await.status, 413);
}

#[actix_web::test]
async fn half_a_body_is_refused_and_changes_nothing() {
    let played = Played::start();
    let request = TestRequest::put().uri("/v2/groups");
    let request = request.insert_header(("Content-Type", "application/json"));
    let half = Bytes::from_static(b"{\"apps\": [{\"id\": \"a\", \"cmd\": \"sleep 9\"}");
    let chunks = stream::iter([Ok(half), Err(PayloadError::Incomplete(None))]);
    let chunks: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(chunks);
    let payload = Payload::from(chunks);
    let answer = respond(request.to_http_request(), payload, &played.face).await;
    assert_eq!(read(answer).await.status, 400);
    assert_eq!(played.get("/v2/apps").await.json(), json!({"apps": []}));
}

#[actix_web::test]
async fn long_answers_are_compressed_for_those_who_want_it() {
    let played = Played::start();
    for at in 0..50 {
        played
            .create(json!({"id": format!("/a{at}"), "cmd": "sleep 9"}))
            .await;
    }
    let plain = played.get("/v2/apps").await;
    assert_eq!(plain.header("content-encoding"), "");
    let get = |path: &str, encoding: &'static str| {
        TestRequest::get()
            .uri(path)
            .insert_header(("Accept-Encoding", encoding))
    };
    let packed = played.send(get("/v2/apps", "deflate, gzip;q=0.5")).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 5 < plain.body.len());
    let chunk = stream::iter([Ok(packed.body)]);
    let mut unpacked =
        actix_web::dev::Decompress::new(chunk, actix_web::http::header::ContentEncoding::Gzip);
    let mut bytes = Vec::new();
    while let Some(chunk) = futures_util::StreamExt::next(&mut unpacked).await {
        bytes.extend_from_slice(&chunk.map_err(|error: PayloadError| error).expect("gzip"));
    }
    assert_eq!(bytes, plain.body);
    for (path, encoding) in [("/v2/apps", "gzip;q=0"), ("/v2/leader", "gzip")] {
        assert_eq!(
            played
                .send(get(path, encoding))
                .await
                .header("content-encoding"),
            ""
        );
    }
}

#[actix_web::test]
async fn flags_are_told_in_the_order_they_were_given_in() {
    let told =
        r#""marathon_config":{"master":"zk://h/mesos","features":[],"local_port_min":10000,"#;
    for path in ["/v2/info", "/config"] {
        let text = Played::start().get(path).await.text();
        assert!(text.contains(told), "{text}");
    }
}

#[actix_web::test]
async fn origins_are_allowed_when_a_flag_says_so() {
    let played = Played::start();
    assert_eq!(
        played
            .get("/v2/info")
            .await
            .header("access-control-allow-origin"),
        ""
    );
    let origins = vec!["http://a".to_owned(), "*".to_owned()];
    let played = Played::with(|info| info.access_control_allow_origin = origins);
    let request = TestRequest::with_uri("/v2/apps").method(Method::OPTIONS);
    let asked = ("Access-Control-Request-Headers", "x-my");
    let reply = played.send(request.insert_header(asked)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-headers"), "x-my");
    assert_eq!(
        reply.header("access-control-allow-methods"),
        "GET, HEAD, OPTIONS"
    );
}

#[actix_web::test]
async fn an_instance_that_does_not_lead_asks_the_leader() {
    let played = Played::start();
    played.process.is_follower.store(true, Ordering::SeqCst);
    let reply = played.get("/v2/apps").await;
    assert_eq!(reply.text(), "the leader says: /v2/apps");
    assert_eq!(reply.header("x-marathon-leader"), "");
    let reply = played.get("/v2/events?event_type=a").await;
    let location = "http://leader.example:8080/v2/events?event_type=a";
    assert_eq!((reply.status, reply.header("location")), (302, location));

    let pages = "/v2/events?event_type=a&passOn=true";
    let open = played.open(TestRequest::get().uri(pages)).await;
    let streams = played.face.streams.clone();
    assert_eq!(streams.available_permits(), MAX_STREAMS - 1);
    let reply = read(open).await;
    assert_eq!(reply.text(), "event: of the leader\n\n");
    assert_eq!(streams.available_permits(), MAX_STREAMS);
    let all = u32::try_from(MAX_STREAMS).expect("few");
    let _taken = streams.acquire_many(all).await.expect("room");
    assert_eq!(played.get(pages).await.status, 503);
    assert_eq!(played.get("/v2/events").await.status, 302);
}

#[actix_web::test]
async fn a_server_leads_every_path_here() {
    let played = Played::start();
    let face = played.face.clone().into_inner();
    let app = actix_web::test::init_service(actix_web::App::new().configure(routes(face))).await;
    for (path, status) in [
        ("/ping", 200),
        ("/v2/apps/a/b/c", 404),
        ("/nothing/at/all", 500),
    ] {
        let request = TestRequest::get().uri(path).to_request();
        let reply = app.call(request).await.expect("an answer");
        assert_eq!(reply.status(), status, "{path}");
        assert!(reply.headers().contains_key("x-marathon-leader"));
    }
}
