//! The real program drives a tiny master that runs every task at once.
//! Real masters and agents are measured by `tepui-loadtest bench`.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only sees in #[test]"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use tepui_protocol::media::{self, MediaType};
use tepui_protocol::recordio;
use tepui_protocol::v1::scheduler::{Call, Event, call, event};
use tepui_protocol::v1::{
    AgentId, FrameworkId, Offer, OfferId, Resource, TaskState, TaskStatus, value,
};

/// What the master remembers.
#[derive(Default)]
struct State {
    stream: Option<TcpStream>,
    calls: Vec<Call>,
    offers: usize,
    fails: bool,
}

#[derive(Clone)]
struct Master {
    media: MediaType,
    state: Arc<Mutex<State>>,
}

impl Master {
    /// Starts a master; its address is the second part.
    fn start(media: MediaType, fails: bool) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            fails,
            ..State::default()
        }));
        let master = Master { media, state };
        let own = master.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, stream) = (own.clone(), stream.unwrap());
                thread::spawn(move || own.serve(stream));
            }
        });
        (master, address)
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some((headers, body)) = read_request(&mut reader) {
            assert!(headers.contains(&format!("content-type: {}", self.media.name())));
            let call: Call = media::decode_call(self.media, &body).unwrap();
            let mut state = self.state.lock().unwrap();
            state.calls.push(call.clone());
            if call.r#type() == call::Type::Subscribe {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nMesos-Stream-Id: s1\r\n\
                     Transfer-Encoding: chunked\r\n\r\n",
                    self.media.name()
                );
                writer.write_all(head.as_bytes()).unwrap();
                state.stream = Some(writer);
                self.subscribed(&mut state);
                self.offer(&mut state);
                return;
            }
            assert!(
                headers.contains(&"mesos-stream-id: s1".to_owned()),
                "{headers:?}"
            );
            assert_eq!(call.framework_id.as_ref().unwrap().value, "f1");
            writer
                .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            self.answer(&mut state, &call);
        }
    }

    fn answer(&self, state: &mut State, call: &Call) {
        match call.r#type() {
            call::Type::Accept => {
                let accept = call.accept.as_ref().unwrap();
                for task in &accept.operations[0].launch.as_ref().unwrap().task_infos {
                    self.update(state, &task.task_id.value, TaskState::TaskRunning);
                    let failed = if state.fails {
                        TaskState::TaskFailed
                    } else {
                        TaskState::TaskFinished
                    };
                    self.update(state, &task.task_id.value, failed);
                }
                self.offer(state);
            }
            call::Type::Acknowledge
            | call::Type::Teardown
            | call::Type::Suppress
            | call::Type::Decline => {}
            other => panic!("unexpected {other:?}"),
        }
    }

    fn subscribed(&self, state: &mut State) {
        let subscribed = event::Subscribed {
            framework_id: FrameworkId { value: "f1".into() },
            ..Default::default()
        };
        let kind = event::Type::Subscribed;
        self.send(
            state,
            kind,
            Event {
                subscribed: Some(subscribed),
                ..Default::default()
            },
        );
    }

    fn offer(&self, state: &mut State) {
        state.offers += 1;
        let scalar = |name: &str, amount| Resource {
            name: name.into(),
            r#type: value::Type::Scalar as i32,
            scalar: Some(value::Scalar { value: amount }),
            ..Default::default()
        };
        let offer = Offer {
            id: OfferId {
                value: format!("o{}", state.offers),
            },
            framework_id: FrameworkId { value: "f1".into() },
            agent_id: AgentId { value: "a1".into() },
            hostname: "h".into(),
            resources: vec![scalar("cpus", 0.05), scalar("mem", 100.0)],
            ..Default::default()
        };
        let offers = event::Offers {
            offers: vec![offer],
        };
        let kind = event::Type::Offers;
        self.send(
            state,
            kind,
            Event {
                offers: Some(offers),
                ..Default::default()
            },
        );
    }

    fn update(&self, state: &mut State, task: &str, kind: TaskState) {
        let status = TaskStatus {
            task_id: tepui_protocol::v1::TaskId { value: task.into() },
            agent_id: Some(AgentId { value: "a1".into() }),
            state: kind as i32,
            uuid: Some(vec![7; 16]),
            ..Default::default()
        };
        let update = Some(event::Update { status });
        self.send(
            state,
            event::Type::Update,
            Event {
                update,
                ..Default::default()
            },
        );
    }

    fn send(&self, state: &mut State, kind: event::Type, event: Event) {
        let event = Event {
            r#type: Some(kind as i32),
            ..event
        };
        let record = recordio::encode(&media::encode(self.media, &event));
        let stream = state.stream.as_mut().unwrap();
        let mut chunk = format!("{:x}\r\n", record.len()).into_bytes();
        chunk.extend_from_slice(&record);
        chunk.extend_from_slice(b"\r\n");
        stream.write_all(&chunk).unwrap();
    }

    fn count(&self, kind: call::Type) -> usize {
        let state = self.state.lock().unwrap();
        state
            .calls
            .iter()
            .filter(|call| call.r#type() == kind)
            .count()
    }
}

/// Header lines in lower case, and the body.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(Vec<String>, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some((lines, body))
}

fn loadtest(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_tepui-loadtest"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn runs_the_wanted_tasks_in_both_modes_and_encodings() {
    for (media, wire) in [(MediaType::Protobuf, "protobuf"), (MediaType::Json, "json")] {
        let (master, address) = Master::start(media, false);
        let directory = tempfile::tempdir().unwrap();
        let html = directory.path().join("report.html");
        let output = loadtest(&[
            "tasks",
            "--json",
            &format!("--html={}", html.display()),
            &format!("--master={address}"),
            &format!("--wire={wire}"),
            "--tasks=20",
            "--concurrency=8",
            &format!("--pid=this={}", std::process::id()),
        ]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["runs"].as_array().unwrap().len(), 2);
        for (index, name) in ["latency", "throughput"].into_iter().enumerate() {
            let run = &report["runs"][index];
            assert_eq!(run["parameters"]["mode"], name);
            let latency = |name: &str| {
                let latencies = run["latencies"].as_array().unwrap();
                let found = latencies.iter().find(|latency| latency["name"] == name);
                found.unwrap().clone()
            };
            let (running, end) = (latency("to TASK_RUNNING"), latency("to terminal state"));
            assert_eq!((&running["count"], &end["count"]), (&20.into(), &20.into()));
            assert!(running["p50_us"].as_u64().unwrap() > 0);
            assert!(end["max_us"].as_u64() >= end["p50_us"].as_u64());
            // Every call was answered: an ACCEPT at least, and two acknowledgements for each task.
            assert!(latency("calls")["count"].as_u64().unwrap() > 40);
        }
        let memory = &report["runs"][1]["measures"];
        let memory = memory.as_array().unwrap().iter();
        let pss = memory.clone().find(|measure| measure["name"] == "this PSS");
        assert!(pss.unwrap()["value"].as_f64().unwrap() > 0.0);
        let page = std::fs::read_to_string(html).unwrap();
        assert!(page.contains("to TASK_RUNNING") && page.contains("<svg"));
        assert_eq!(master.count(call::Type::Subscribe), 2);
        assert_eq!(master.count(call::Type::Teardown), 2);
        // Two updates of each of 2 x 20 tasks; the latency run needs an ACCEPT for each task.
        assert_eq!(master.count(call::Type::Acknowledge), 80);
        assert!(master.count(call::Type::Accept) >= 20 + 4);
    }
}

#[test]
fn a_task_that_fails_fails_the_run() {
    let (_, address) = Master::start(MediaType::Protobuf, true);
    let output = loadtest(&[
        "tasks",
        &format!("--master={address}"),
        "--tasks=2",
        "--mode=latency",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("1 of 2 tasks failed: latency-0: TASK_FAILED"),
        "{text}"
    );
}

#[test]
fn a_master_that_is_not_there_is_told() {
    let output = loadtest(&["tasks", "--master=127.0.0.1:1", "--tasks=1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("tepui-loadtest: "));
}
