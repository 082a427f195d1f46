//! Hostile and broken clients: each gets an answer or is cut off, and nothing else changes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::PATIENCE;
use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Framework, task};
use crate::support::http;

const PATH: &str = "/api/v1/scheduler";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A whole task still runs: nothing broke.
fn still_works(cluster: &Cluster) {
    let mut framework = Framework::simple(cluster.master.address, "probe", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("probe", &offer, "true")]);
    framework.await_state("probe", "TASK_FINISHED");
    framework.teardown();
}

#[test]
fn bodies_that_are_too_large_too_deep_or_nonsense_are_refused() {
    let cluster = Cluster::start(1);
    for address in [cluster.master.address, cluster.agents[0].address] {
        let path = if address == cluster.master.address {
            PATH
        } else {
            "/api/v1/executor"
        };
        let deep = "[".repeat(10_000);
        let nested = format!(
            "{{\"type\":\"SUBSCRIBE\",\"subscribe\":{}",
            "{\"a\":".repeat(10_000)
        );
        for body in [
            deep.as_str(),
            nested.as_str(),
            "\u{0}\u{1}",
            "{\"type\":\"SUBSCRIBE\"",
        ] {
            let answer = http::request(address, "POST", path, &[JSON], body.as_bytes());
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        let proto = [("Content-Type", "application/x-protobuf")];
        let answer = http::request(address, "POST", path, &proto, &[0xff; 4096]);
        assert_eq!(answer.status, 400, "{}", answer.text());
        announces_too_much(address, path);
    }
    still_works(&cluster);
}

/// A body that is announced larger than any limit is refused before it is sent.
fn announces_too_much(address: SocketAddr, path: &str) {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 99999999999\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("send");
    let mut answer = [0; 64];
    let count = socket.read(&mut answer).expect("an answer");
    let line = String::from_utf8_lossy(&answer[..count]);
    assert!(line.starts_with("HTTP/1.1 413"), "{line}");
}

#[test]
fn calls_that_are_refused_for_their_form_are_counted_as_mesos_counts_them() {
    let cluster = Cluster::start(0);
    let master = cluster.master.address;
    let id = json!({"value": "x"});
    let of = |key: &str| metric(master, &format!("master/invalid_{key}"));
    for (call, key) in [
        (
            json!({"type": "ACKNOWLEDGE", "framework_id": id, "acknowledge":
                {"agent_id": id, "task_id": id, "uuid": "AQI="}}),
            "status_update_acknowledgements",
        ),
        (
            json!({"type": "ACKNOWLEDGE_OPERATION_STATUS", "framework_id": id,
                "acknowledge_operation_status": {"operation_id": id, "uuid": "AQI="}}),
            "operation_status_update_acknowledgements",
        ),
        (
            json!({"type": "MESSAGE", "framework_id": id}),
            "framework_to_executor_messages",
        ),
    ] {
        assert_eq!(of(key), 0.0);
        let body = call.to_string();
        let answer = http::request(master, "POST", PATH, &[JSON], body.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(of(key), 1.0, "{key}");
    }
    let others = json!({"type": "KILL", "framework_id": id}).to_string();
    let answer = http::request(master, "POST", PATH, &[JSON], others.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(of("framework_to_executor_messages"), 1.0);
}

#[test]
fn half_a_request_holds_nothing_up() {
    let cluster = Cluster::start(1);
    let mut halves = Vec::new();
    for _ in 0..50 {
        let mut socket = TcpStream::connect(cluster.master.address).expect("connect");
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{{\"type\":"
        );
        socket.write_all(head.as_bytes()).expect("send");
        halves.push(socket);
    }
    still_works(&cluster);
    // And they are cut off in the end.
    let mut first = halves.swap_remove(0);
    first.set_read_timeout(Some(2 * PATIENCE)).expect("timeout");
    let mut rest = Vec::new();
    let _ = first.read_to_end(&mut rest);
    let line = String::from_utf8_lossy(&rest);
    assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_disturbs_nobody() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let call = json!({"type": "SUBSCRIBE", "subscribe":
        {"framework_info": {"user": "root", "name": "deaf", "failover_timeout": 3600.0}}});
    let body = call.to_string().into_bytes();
    let mut deaf = http::send(master, "POST", PATH, &[JSON], &body).expect("connect");
    let text = read_head(&mut deaf);
    let stream_id = text
        .lines()
        .find_map(|line| line.strip_prefix("mesos-stream-id: ").map(str::to_owned))
        .expect("stream id");
    // The head of the answer is sent before the master has taken the framework in.
    let id = until("the framework in /state", || {
        let state = http::request(master, "GET", "/state", &[], &[]).json();
        state["frameworks"][0]["id"].as_str().map(str::to_owned)
    });
    // Each explicit reconciliation of many unknown tasks makes as many events nobody reads.
    let tasks: Vec<_> = (0..2000)
        .map(|n| json!({"task_id": {"value": format!("{n:0200}")}}))
        .collect();
    let flood = json!({"type": "RECONCILE", "framework_id": {"value": id},
        "reconcile": {"tasks": tasks}})
    .to_string();
    let headers = [JSON, ("Mesos-Stream-Id", stream_id.as_str())];
    until("the end of the deaf framework's stream", || {
        let answer = http::request(master, "POST", PATH, &headers, flood.as_bytes());
        (answer.status == 403).then_some(())
    });
    assert_eq!(metric(master, "master/frameworks_disconnected"), 1.0);
    still_works(&cluster);
}

/// Reads up to the end of an answer's head, in lower case.
fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("a byte of the head");
        head.extend_from_slice(&byte);
    }
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}

#[test]
fn odd_paths_and_methods_are_answered() {
    let cluster = Cluster::start(0);
    let master = cluster.master.address;
    for (method, path, status) in [
        ("GET", "/nope", 404),
        ("GET", "/api/v2", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
        ("GET", "/health", 200),
        ("GET", "//state", 200),
        ("GET", "/master/state", 200),
    ] {
        let answer = http::request(master, method, path, &[], &[]);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    let garbage = send_raw(master, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(
        garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"),
        "{garbage}"
    );
}

fn send_raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("timeout");
    socket.write_all(bytes).expect("send");
    socket
        .shutdown(std::net::Shutdown::Write)
        .expect("shutdown");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_stranger_on_the_agent_link_is_turned_away() {
    let cluster = Cluster::start(1);
    let answer = http::request(
        cluster.master.address,
        "GET",
        tepui_protocol::link::PATH,
        &[],
        &[],
    );
    assert_eq!(answer.status, 426, "{}", answer.text());
    still_works(&cluster);
}
