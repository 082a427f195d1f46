//! The master's operator API: its reads, its stream of events, its limits.
//! What operators change is tested elsewhere.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::RecvTimeoutError;

use serde_json::{Value, json};
use tepui_protocol::prost::Message;
use tepui_protocol::v1::master;

use crate::support::PATIENCE;
use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Encoding, Framework, info, task};
use crate::support::http;

/// Streams that are open.
const SUBSCRIBERS: &str = "master/operator_event_stream_subscribers";

fn encode(encoding: Encoding, call: &Value) -> Vec<u8> {
    let json = call.to_string().into_bytes();
    match encoding {
        Encoding::Json => json,
        Encoding::Protobuf => {
            let call: master::Call = tepui_protocol::json::from_slice(&json).expect("a call");
            call.encode_to_vec()
        }
    }
}

fn headers(encoding: Encoding) -> [(&'static str, &'static str); 2] {
    let name = encoding.content_type();
    [("Content-Type", name), ("Accept", name)]
}

fn call(to: SocketAddr, encoding: Encoding, call: &Value) -> http::Response {
    let body = encode(encoding, call);
    http::request(to, "POST", "/api/v1", &headers(encoding), &body)
}

/// What a read answers, whatever the encoding.
fn read(to: SocketAddr, encoding: Encoding, kind: &str) -> Value {
    let answer = call(to, encoding, &json!({"type": kind}));
    assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some(encoding.content_type()));
    let response = match encoding {
        Encoding::Json => tepui_protocol::json::from_slice(&answer.body).expect("a response"),
        Encoding::Protobuf => master::Response::decode(&answer.body[..]).expect("a response"),
    };
    serde_json::to_value(response).expect("JSON")
}

/// A stream of events, all JSON to the test.
struct Watcher {
    encoding: Encoding,
    stream: http::Stream,
}

impl Watcher {
    fn open(to: SocketAddr, encoding: Encoding) -> Watcher {
        let body = encode(encoding, &json!({"type": "SUBSCRIBE"}));
        let stream = http::open(to, "/api/v1", &headers(encoding), &body).expect("a stream");
        assert_eq!(stream.header("content-type"), Some(encoding.content_type()));
        assert_eq!(stream.header("mesos-stream-id"), None);
        Watcher { encoding, stream }
    }

    fn next(&self) -> Result<Value, RecvTimeoutError> {
        let chunk = self.stream.chunks.recv_timeout(PATIENCE)?;
        let end = chunk
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("length");
        let data = &chunk[end + 1..];
        let length = String::from_utf8_lossy(&chunk[..end]);
        assert_eq!(length, data.len().to_string(), "a chunk is one record");
        Ok(match self.encoding {
            Encoding::Json => serde_json::from_slice(data).expect("an event"),
            Encoding::Protobuf => {
                let event = master::Event::decode(data).expect("an event");
                serde_json::to_value(event).expect("JSON")
            }
        })
    }

    /// The next event that is no heartbeat.
    fn event(&self) -> Value {
        loop {
            let event = self.next().expect("an event");
            if event["type"] != "HEARTBEAT" {
                return event;
            }
        }
    }
}

#[test]
fn subscribers_are_told_of_a_task_from_its_launch_to_the_end_of_its_framework() {
    let mut cluster = Cluster::start(0);
    let master = cluster.master.address;
    let watchers = [Encoding::Json, Encoding::Protobuf].map(|one| Watcher::open(master, one));
    let each = |kind: &str| {
        let [json, protobuf] = watchers.each_ref().map(Watcher::event);
        assert_eq!(json, protobuf, "both encodings tell the same");
        assert_eq!(json["type"], kind, "{json}");
        json
    };
    for watcher in &watchers {
        let first = watcher.next().expect("SUBSCRIBED");
        assert_eq!(first["type"], "SUBSCRIBED");
        assert_eq!(first["subscribed"]["heartbeat_interval_seconds"], 15.0);
        assert_eq!(watcher.next().expect("an event")["type"], "HEARTBEAT");
    }
    assert_eq!(metric(master, SUBSCRIBERS), 2.0);
    cluster.add_agent(&[]);
    let agent = each("AGENT_ADDED");
    let agent = &agent["agent_added"]["agent"]["agent_info"]["id"];
    let mut framework = Framework::subscribe(master, Encoding::Json, info("watched", &[]));
    let added = each("FRAMEWORK_ADDED");
    let added = &added["framework_added"]["framework"]["framework_info"];
    assert_eq!(added["id"]["value"], framework.id.as_str());
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, "exit 0")]);
    let added = each("TASK_ADDED");
    assert_eq!(&added["task_added"]["task"]["agent_id"], agent);

    // One that comes later begins with what has happened, and goes on from there.
    let late = Watcher::open(master, Encoding::Json);
    let state = &late.event()["subscribed"]["get_state"];
    assert_eq!(state["get_tasks"]["tasks"][0]["task_id"]["value"], "t");
    let known = &state["get_tasks"]["tasks"][0]["statuses"];
    let known = known.as_array().map_or(0, Vec::len);
    framework.await_state("t", "TASK_FINISHED");
    let mut told = Vec::new();
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        let updated = each("TASK_UPDATED");
        let status = &updated["task_updated"]["status"];
        assert_eq!(
            (&status["state"], &status["task_id"]["value"]),
            (&json!(state), &json!("t"))
        );
        told.push(updated);
    }
    for updated in &told[known..] {
        assert_eq!(&late.event(), updated, "nothing is lost or told twice");
    }
    framework.teardown();
    each("FRAMEWORK_REMOVED");
    assert_eq!(late.event()["type"], "FRAMEWORK_REMOVED");

    let agent = cluster.agents.remove(0);
    drop(agent);
    drop(late);
    drop(watchers);
    until("the end of all streams", || {
        (metric(master, SUBSCRIBERS) == 0.0).then_some(())
    });
}

#[test]
fn reads_say_the_same_in_both_encodings() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::subscribe(master, Encoding::Json, info("reader", &[]));
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, "sleep 1000")]);
    framework.await_state("t", "TASK_RUNNING");
    for kind in [
        "GET_HEALTH",
        "GET_FLAGS",
        "GET_VERSION",
        "GET_STATE",
        "GET_AGENTS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_OPERATIONS",
        "GET_TASKS",
        "GET_ROLES",
        "GET_WEIGHTS",
        "GET_MASTER",
        "GET_MAINTENANCE_STATUS",
        "GET_MAINTENANCE_SCHEDULE",
        "GET_QUOTA",
        "GET_LOGGING_LEVEL",
    ] {
        let [json, protobuf] = [Encoding::Json, Encoding::Protobuf].map(|one| {
            // What is offered meanwhile is shown, too.
            let answer = read(master, one, kind);
            assert_eq!(answer["type"], kind);
            answer
        });
        if !["GET_STATE", "GET_AGENTS", "GET_FRAMEWORKS"].contains(&kind) {
            assert_eq!(json, protobuf);
        }
    }
    let metrics = json!({"type": "GET_METRICS", "get_metrics": {}});
    let metrics = call(master, Encoding::Json, &metrics).json();
    let metrics = metrics["get_metrics"]["metrics"]
        .as_array()
        .expect("metrics");
    let elected = metrics.iter().find(|one| one["name"] == "master/elected");
    assert_eq!(elected.expect("a metric")["value"], 1.0);
}

#[test]
fn one_stream_more_than_allowed_ends_the_oldest() {
    let cluster = Cluster::with(0, &["--max_operator_event_stream_subscribers=2"], &[]);
    let master = cluster.master.address;
    let streams = [(); 3].map(|()| {
        let watcher = Watcher::open(master, Encoding::Json);
        assert_eq!(watcher.event()["type"], "SUBSCRIBED");
        watcher
    });
    let ended = until("the end of the first", || {
        loop {
            match streams[0].next() {
                Ok(_heartbeat) => {}
                Err(end) => return Some(end),
            }
        }
    });
    assert_eq!(ended, RecvTimeoutError::Disconnected);
    assert_eq!(metric(master, SUBSCRIBERS), 2.0);
    let framework = Framework::simple(master, "seen", &[]);
    for watcher in &streams[1..] {
        assert_eq!(watcher.event()["type"], "FRAMEWORK_ADDED");
    }
    framework.teardown();
}

#[test]
fn bad_calls_are_refused_and_do_no_harm() {
    let cluster = Cluster::start(0);
    let master = cluster.master.address;
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let json = headers(Encoding::Json);
    for body in [
        deep.as_str(),
        "[]",
        "\"GET_STATE\"",
        "{\"type\": 9}x",
        "{\"type\": {}}",
        "{\"type\": \"GET_METRICS\", \"get_metrics\": 5}",
        "{\"type\": \"GET_METRICS\", \"get_metrics\": {\"timeout\": {\"nanoseconds\": \"soon\"}}}",
        "{\"type\": \"SET_LOGGING_LEVEL\", \"set_logging_level\": {\"level\": \"all\", \
          \"duration\": {\"nanoseconds\": 1}}}",
    ] {
        let answer = http::request(master, "POST", "/api/v1", &json, body.as_bytes());
        assert_eq!(answer.status, 400, "{:.60}: {}", body, answer.text());
    }
    let protobuf = headers(Encoding::Protobuf);
    let answer = http::request(master, "POST", "/api/v1", &protobuf, &[0xff; 64]);
    assert_eq!(answer.status, 400);
    // Half a call, and a stream that nobody reads.
    let mut half = TcpStream::connect(master).expect("connect");
    half.write_all(
        b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
          Content-Length: 1000\r\n\r\n{\"type\": \"SUBSCRIBE\"",
    )
    .expect("send");
    drop(half);
    drop(Watcher::open(master, Encoding::Json));
    until("the end of the stream", || {
        (metric(master, SUBSCRIBERS) == 0.0).then_some(())
    });
    assert_eq!(
        read(master, Encoding::Json, "GET_HEALTH")["get_health"]["healthy"],
        true
    );
}

#[test]
fn more_is_logged_for_a_while_by_master_and_agent() {
    let cluster = Cluster::start(1);
    let (master, agent) = (&cluster.master, &cluster.agents[0]);
    let level = |to| http::request(to, "GET", "/logging/toggle", &[], &[]).text();
    for program in [master, agent] {
        let to = program.address;
        assert_eq!(level(to), "0\n");
        let path = "/logging/toggle?level=2&duration=1hrs";
        let answer = http::request(to, "POST", path, &[], &[]);
        assert_eq!((answer.status, answer.text()), (200, String::new()));
        assert_eq!(level(to), "2\n");
        // Every request says something then.
        until("more in the log", || {
            http::request(to, "GET", "/version", &[], &[]);
            let text = program.log_text();
            ["DEBUG", "TRACE"]
                .iter()
                .any(|word| text.contains(word))
                .then_some(())
        });
        for (query, text) in [
            ("level=1", "Expecting 'duration=value' in query.\n"),
            ("duration=1secs", "Expecting 'level=value' in query.\n"),
            (
                "level=x&duration=1secs",
                "Failed to convert 'x' to number.\n",
            ),
        ] {
            let path = format!("/logging/toggle?{query}");
            let answer = http::request(to, "POST", &path, &[], &[]);
            assert_eq!((answer.status, answer.text().as_str()), (400, text));
        }
        http::request(
            to,
            "POST",
            "/logging/toggle?level=0&duration=1secs",
            &[],
            &[],
        );
        assert_eq!(level(to), "0\n");
    }
}

#[test]
fn the_operator_api_takes_every_number_as_a_level_as_mesos_does() {
    let cluster = Cluster::start(1);
    for server in [cluster.master.address, cluster.agents[0].address] {
        let set = |level: i64, nanoseconds: i64| {
            let set = json!({"type": "SET_LOGGING_LEVEL", "set_logging_level":
                {"level": level, "duration": {"nanoseconds": nanoseconds}}});
            let answer = call(server, Encoding::Json, &set);
            assert_eq!((answer.status, answer.text()), (200, String::new()));
        };
        let get = json!({"type": "GET_LOGGING_LEVEL"});
        let level =
            || call(server, Encoding::Json, &get).json()["get_logging_level"]["level"].clone();
        for (given, shown) in [(17, 17), (-1, u32::MAX), (2, 2)] {
            set(given, i64::MAX);
            assert_eq!(level(), shown);
        }
        set(0, 1);
        assert_eq!(level(), 0);
        for time in [200_000_000, -1, i64::MIN] {
            set(1, time);
            until("the level to come back", || (level() == 0).then_some(()));
        }
        let path = "/logging/toggle?level=3&duration=99999999weeks";
        let answer = http::request(server, "POST", path, &[], &[]);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().starts_with("Argument out of the range"));
        assert_eq!(level(), 0);
    }
}
