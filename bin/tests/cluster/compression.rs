//! Long answers of all three servers come compressed for those who ask; short ones and streams do not.
//! What is compressed how is for unit tests.

use std::io::Read;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::http::{self, Response};
use crate::support::marathon::Marathon;

const CODINGS: [&str; 2] = ["gzip", "zstd"];

const CALL: [(&str, &str); 2] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
];

fn plain(packed: &Response) -> Vec<u8> {
    let mut plain = Vec::new();
    let body = packed.body.as_slice();
    match packed.header("Content-Encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(body)
            .read_to_end(&mut plain)
            .expect("gzip"),
        Some("zstd") => zstd::Decoder::new(body)
            .and_then(|mut decoder| decoder.read_to_end(&mut plain))
            .expect("zstd"),
        other => panic!("an answer in the form {other:?}"),
    };
    plain
}

/// Whether `later` has all that `earlier` has. It may have more: metrics of a framework that has just subscribed.
fn has_all_of(later: &Value, earlier: &Value) -> bool {
    let (later, earlier) = (later.as_object(), earlier.as_object());
    let (later, earlier) = (later.expect("an object"), earlier.expect("an object"));
    earlier.keys().all(|key| later.contains_key(key))
}

/// Asks for a long answer in every form, and holds each to what was told plainly before and after it.
fn check(server: SocketAddr, method: &str, path: &str, body: &[u8]) {
    let ask = |coding: &str| {
        let accepted = ("Accept-Encoding", coding);
        http::request(server, method, path, &[CALL[0], CALL[1], accepted], body)
    };
    let shown = ask("identity");
    assert_eq!(shown.header("Content-Encoding"), None, "{path}");
    let mut shown: Value = shown.json();
    for coding in CODINGS {
        let packed = ask(coding);
        assert_eq!(packed.status, 200, "{path}");
        assert_eq!(packed.header("Content-Encoding"), Some(coding), "{path}");
        let plain = plain(&packed);
        assert!(packed.body.len() < plain.len(), "{path}");
        let told: Value = serde_json::from_slice(&plain).expect("JSON");
        assert!(has_all_of(&told, &shown), "{path}");
        shown = ask("identity").json();
        assert!(has_all_of(&shown, &told), "{path}");
    }
}

#[test]
fn long_answers_are_compressed_by_all_servers_and_streams_by_none() {
    let cluster = Cluster::start(1);
    let (master, agent) = (cluster.master.address, cluster.agents[0].address);
    let marathon = Marathon::start(cluster.dir.path(), master, &[]);
    let flags = json!({"type": "GET_FLAGS"}).to_string();
    for server in [master, agent] {
        for path in ["/state", "/flags", "/metrics/snapshot"] {
            check(server, "GET", path, &[]);
        }
        check(server, "POST", "/api/v1", flags.as_bytes());
        let short = [("Accept-Encoding", "zstd, gzip")];
        let short = http::request(server, "GET", "/version", &short, &[]);
        assert_eq!(short.header("Content-Encoding"), None);
    }
    let agents = json!({"type": "GET_AGENTS"}).to_string();
    check(master, "POST", "/api/v1", agents.as_bytes());
    check(marathon.address(), "GET", "/v2/info", &[]);

    let subscribe = json!({"type": "SUBSCRIBE"}).to_string();
    let wanted = [CALL[0], CALL[1], ("Accept-Encoding", "gzip, zstd")];
    let stream = http::open(master, "/api/v1", &wanted, subscribe.as_bytes());
    let stream = stream.unwrap_or_else(|answer| panic!("{}", answer.text()));
    assert_eq!(stream.header("Content-Encoding"), None);
    let first = stream.chunks.recv().expect("the first record");
    let text = String::from_utf8(first).expect("plain text");
    assert!(text.contains("SUBSCRIBED"), "{text}");
}
