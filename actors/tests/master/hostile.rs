//! Clients that do not behave: they are refused, and nobody else notices.
//! Time limits are tested under a paused clock, next to what they limit.

use serde_json::json;

use super::client::{Master, new_framework, request};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PATH: &str = "/api/v1/scheduler";

#[test]
fn an_oversized_body_is_refused_before_it_is_sent() {
    let master = Master::start();
    let mut connection = master.connect();
    connection.send(&request(
        "POST",
        PATH,
        &[JSON, ("Content-Length", "99999999")],
        b"{",
    ));
    let response = connection.response();
    assert_eq!(response.status, 413);
    assert_eq!(
        response.text(),
        "Request body exceeds the limit of 67108864 bytes"
    );
}

#[test]
fn an_oversized_chunked_body_is_refused_while_it_is_sent() {
    let master = Master::start();
    let mut connection = master.connect();
    connection.send(&request(
        "POST",
        PATH,
        &[JSON, ("Transfer-Encoding", "chunked")],
        b"",
    ));
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(vec![b' '; 0x10_0000]);
    chunk.extend(b"\r\n");
    let sent = (0..80).take_while(|_| connection.try_send(&chunk)).count();
    assert!(sent >= 64, "{sent}");
    // The connection is closed although the body never ends.
    // The answer may be lost when the connection is reset under what is still being sent.
    let answer = connection.until_closed();
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 413"),
        "{answer:?}"
    );
    assert_eq!(master.get("/health").status, 200);
}

#[test]
fn deep_nesting_is_refused() {
    let master = Master::start();
    let arrays = "[".repeat(10_000);
    let objects = r#"{"subscribe":"#.repeat(10_000);
    let known = format!(r#"{{"type":"SUBSCRIBE","subscribe":{arrays}"#);
    for body in [arrays, objects, known] {
        let response = master.request("POST", PATH, &[JSON], body.as_bytes());
        assert_eq!(response.status, 400, "{}", &body[..40]);
    }
    // Protobuf: groups and messages within messages.
    let headers = [("Content-Type", "application/x-protobuf")];
    for body in [vec![0x0b; 10_000], [0x12, 0xff, 0x7f].repeat(5_000)] {
        assert_eq!(master.request("POST", PATH, &headers, &body).status, 400);
    }
    assert_eq!(master.get("/health").status, 200);
}

#[test]
fn half_requests_hold_nobody_up() {
    let master = Master::start();
    let mut halves = Vec::new();
    for half in [
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: m\r\n",
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{\"type\":",
        "G",
    ] {
        for _ in 0..20 {
            let mut connection = master.connect();
            connection.send(half.as_bytes());
            halves.push(connection);
        }
    }
    let subscription = master.subscribe(&new_framework("x"));
    let revive = json!({
        "type": "REVIVE",
        "framework_id": {"value": subscription.framework_id}
    });
    assert_eq!(master.call(&revive, Some(&subscription.stream)).status, 202);
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let master = Master::start();
    let body = new_framework("x").to_string();
    let mut connection = master.connect();
    let length = (body.len() + 1).to_string();
    let headers = [JSON, ("Content-Length", length.as_str())];
    connection.send(&request("POST", PATH, &headers, body.as_bytes()));
    drop(connection);
    assert_eq!(master.get("/state").json()["frameworks"], json!([]));
}

#[test]
fn what_is_no_http_is_refused() {
    let master = Master::start();
    let mut connection = master.connect();
    connection.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n");
    assert!(connection.until_closed().starts_with(b"HTTP/1.1 400"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1_000_000));
    let mut connection = master.connect();
    connection.try_send(long.as_bytes());
    connection.until_closed();
    assert_eq!(master.get("/health").status, 200);
}
