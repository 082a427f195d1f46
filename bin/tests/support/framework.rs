//! A framework driven by hand: subscribes, calls, reads events.
//! Decides nothing: a test says what to accept and what to acknowledge.

use std::net::SocketAddr;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tepui_protocol::prost::Message;
use tepui_protocol::v1::scheduler;

use super::{PATIENCE, http};

/// How calls are sent and events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Protobuf => "application/x-protobuf",
        }
    }
}

/// A subscribed framework; everything is JSON to the test, whatever is on the wire.
pub struct Framework {
    pub master: SocketAddr,
    pub encoding: Encoding,
    pub stream: http::Stream,
    pub id: String,
    /// Events read ahead of what the test asked for.
    pending: Vec<Value>,
}

impl Framework {
    /// Subscribes with the given `FrameworkInfo`.
    pub fn subscribe(master: SocketAddr, encoding: Encoding, info: Value) -> Framework {
        let id = info["id"]["value"].as_str().map(str::to_owned);
        let mut call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
        if let Some(id) = &id {
            call["framework_id"] = json!({"value": id});
        }
        let content_type = encoding.content_type();
        let headers = [("Content-Type", content_type), ("Accept", content_type)];
        let stream = http::open(
            master,
            "/api/v1/scheduler",
            &headers,
            &encode(encoding, &call),
        )
        .unwrap_or_else(|refused| panic!("refused: {} {}", refused.status, refused.text()));
        let mut framework = Framework {
            master,
            encoding,
            stream,
            id: id.unwrap_or_default(),
            pending: Vec::new(),
        };
        let subscribed = framework.expect("SUBSCRIBED");
        framework.id = subscribed["subscribed"]["framework_id"]["value"]
            .as_str()
            .expect("id")
            .to_owned();
        framework
    }

    /// A framework of role `*` with these capabilities.
    pub fn simple(master: SocketAddr, name: &str, capabilities: &[&str]) -> Framework {
        Framework::subscribe(master, Encoding::Json, info(name, capabilities))
    }

    /// Sends a call; `framework_id` is added.
    pub fn call(&self, mut call: Value) -> http::Response {
        call["framework_id"] = json!({"value": self.id});
        let stream = self
            .stream
            .header("mesos-stream-id")
            .expect("stream id")
            .to_owned();
        let headers = [
            ("Content-Type", self.encoding.content_type()),
            ("Mesos-Stream-Id", stream.as_str()),
        ];
        let body = encode(self.encoding, &call);
        http::request(self.master, "POST", "/api/v1/scheduler", &headers, &body)
    }

    /// Sends a call that must be accepted.
    pub fn accepted(&self, call: Value) {
        let answer = self.call(call.clone());
        assert_eq!(answer.status, 202, "{call}: {}", answer.text());
    }

    /// The next event of this type; others stay for later, heartbeats are dropped.
    pub fn expect(&mut self, kind: &str) -> Value {
        self.find(kind, |event| event["type"] == kind)
    }

    /// The next event that fits; others stay for later.
    pub fn find(&mut self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        if let Some(position) = self.pending.iter().position(&mut fits) {
            return self.pending.remove(position);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.next(deadline).unwrap_or_else(|end| {
                panic!(
                    "{}: no {what} ({end:?}); seen: {:#?}",
                    self.id, self.pending
                )
            });
            if fits(&event) {
                return event;
            }
            self.pending.push(event);
        }
    }

    /// Waits for the end of the stream; returns the events that came before.
    pub fn end(&mut self) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline) {
                Ok(event) => self.pending.push(event),
                Err(RecvTimeoutError::Disconnected) => return std::mem::take(&mut self.pending),
                Err(RecvTimeoutError::Timeout) => panic!("the stream stays open"),
            }
        }
    }

    /// Events that arrive within `time`, heartbeats left out.
    pub fn events_within(&mut self, time: Duration) -> Vec<Value> {
        let deadline = Instant::now() + time;
        while let Ok(event) = self.next(deadline) {
            self.pending.push(event);
        }
        std::mem::take(&mut self.pending)
    }

    fn next(&mut self, deadline: Instant) -> Result<Value, RecvTimeoutError> {
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let chunk = self.stream.chunks.recv_timeout(patience)?;
            let event = decode(self.encoding, &chunk);
            if event["type"] != "HEARTBEAT" {
                return Ok(event);
            }
        }
    }

    /// The next offer, whichever agent it is of.
    pub fn offer(&mut self) -> Value {
        let event = self.expect("OFFERS");
        self.first_of(event)
    }

    /// The next offer; none if there is none by then. Other events are dropped.
    pub fn offer_before(&mut self, deadline: Instant) -> Option<Value> {
        let is_offers = |event: &Value| event["type"] == "OFFERS";
        let waiting = self.pending.iter().position(is_offers);
        let mut event = waiting.map(|position| self.pending.remove(position));
        while !event.as_ref().is_some_and(is_offers) {
            event = Some(self.next(deadline).ok()?);
        }
        event.map(|event| self.first_of(event))
    }

    /// The first offer of an event; the others stay for later.
    fn first_of(&mut self, mut event: Value) -> Value {
        let offers = event["offers"]["offers"].as_array_mut().expect("offers");
        let offer = offers.remove(0);
        if !offers.is_empty() {
            self.pending.insert(0, event);
        }
        offer
    }

    /// Accepts an offer with the given operations; the rest is refused for `refuse_seconds`.
    pub fn accept(&self, offer: &Value, operations: Value, refuse_seconds: f64) {
        self.accepted(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": operations,
            "filters": {"refuse_seconds": refuse_seconds},
        }}));
    }

    /// Launches tasks on an offer.
    pub fn launch(&self, offer: &Value, tasks: &[Value]) {
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]);
        self.accept(offer, launch, 1000.0);
    }

    /// The next update of a task, acknowledged if it asks for that.
    pub fn update(&mut self, task: &str) -> Value {
        let event = self.find(&format!("update of {task}"), |event| {
            event["update"]["status"]["task_id"]["value"] == task
        });
        let status = event["update"]["status"].clone();
        self.acknowledge(&status);
        status
    }

    /// Acknowledges a status if it asks for that.
    pub fn acknowledge(&self, status: &Value) {
        if status["uuid"].is_string() {
            self.accepted(json!({"type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": status["agent_id"],
                "task_id": status["task_id"],
                "uuid": status["uuid"],
            }}));
        }
    }

    /// Reads updates of a task until it is in this state.
    pub fn await_state(&mut self, task: &str, state: &str) -> Value {
        loop {
            let status = self.update(task);
            if status["state"] == state {
                return status;
            }
            let seen = status["state"].as_str().expect("state");
            let terminal = [
                "TASK_FINISHED",
                "TASK_FAILED",
                "TASK_KILLED",
                "TASK_ERROR",
                "TASK_LOST",
            ];
            assert!(
                !terminal.contains(&seen),
                "{task} is {status:#} and not {state}"
            );
        }
    }

    /// Reads updates of a task until it has ended in whatever way.
    pub fn await_end(&mut self, task: &str) -> Value {
        let lasting = [
            "TASK_STAGING",
            "TASK_STARTING",
            "TASK_RUNNING",
            "TASK_KILLING",
        ];
        loop {
            let status = self.update(task);
            let state = status["state"].as_str().expect("state");
            if !lasting.contains(&state) {
                return status;
            }
        }
    }

    /// Kills a task.
    pub fn kill(&self, task: &str) {
        self.accepted(json!({"type": "KILL", "kill": {"task_id": {"value": task}}}));
    }

    /// Ends the framework.
    pub fn teardown(mut self) {
        self.accepted(json!({"type": "TEARDOWN"}));
        self.end();
    }
}

/// A `FrameworkInfo` of user root and role `*`.
pub fn info(name: &str, capabilities: &[&str]) -> Value {
    let capabilities: Vec<Value> = capabilities
        .iter()
        .map(|capability| json!({"type": capability}))
        .collect();
    json!({"user": "root", "name": name, "capabilities": capabilities})
}

/// A scalar resource.
pub fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
}

/// A command task of 0.1 CPUs and 32 MB for this offer.
pub fn task(id: &str, offer: &Value, command: &str) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "command": {"shell": true, "value": command},
    })
}

/// A call in the encoding's bytes.
pub fn encode(encoding: Encoding, call: &Value) -> Vec<u8> {
    let json = serde_json::to_vec(call).expect("JSON");
    match encoding {
        Encoding::Json => json,
        Encoding::Protobuf => {
            let call: scheduler::Call = tepui_protocol::json::from_slice(&json).expect("a call");
            call.encode_to_vec()
        }
    }
}

/// One chunk, which must be exactly one RecordIO record holding one event.
pub fn decode(encoding: Encoding, chunk: &[u8]) -> Value {
    let newline = chunk
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a record's length");
    let (length, data) = (&chunk[..newline], &chunk[newline + 1..]);
    let length: usize = std::str::from_utf8(length)
        .expect("digits")
        .parse()
        .expect("a number");
    assert_eq!(length, data.len(), "a chunk is one record");
    match encoding {
        Encoding::Json => serde_json::from_slice(data).expect("an event"),
        Encoding::Protobuf => {
            let event = scheduler::Event::decode(data).expect("an event");
            serde_json::to_value(&event).expect("JSON")
        }
    }
}
