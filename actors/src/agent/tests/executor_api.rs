//! The executor API over real sockets.

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::prost::Message as _;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::executor::event::Acknowledged;
use tepui_protocol::v1::executor::{Event, event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Events, FRAMEWORK, Fixture};

/// An `update` field with a TASK_RUNNING whose uuid is made of `number`.
pub(super) fn running(task: &str, number: u8) -> Value {
    let bytes = uuid::Builder::from_random_bytes([number; 16])
        .into_uuid()
        .as_bytes()
        .to_vec();
    let uuid = serde_json::to_value(Acknowledged {
        uuid: bytes,
        ..Default::default()
    });
    let uuid = uuid.unwrap()["uuid"].clone();
    json!({ "status": {
        "task_id": { "value": task },
        "state": "TASK_RUNNING",
        "source": "SOURCE_EXECUTOR",
        "executor_id": { "value": "ex" },
        "uuid": uuid,
        "timestamp": 1.5,
    }})
}

impl Fixture {
    /// Subscribes once the agent has been told of the executor.
    pub(super) async fn subscribe_when_started(&mut self) -> Events {
        // A launch waits for what is being checkpointed, which a ping does not.
        while self.json("/state").await["frameworks"] == json!([]) {}
        self.subscribe().await
    }
}

#[actix_web::test]
async fn a_custom_executor_lives_its_life() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exec sleep 20").await;
    let mut events = fixture.subscribe_when_started().await;
    let subscribed = events.expect("SUBSCRIBED").await;
    assert_eq!(subscribed["subscribed"]["framework_info"]["name"], "test");
    let launch = events.expect("LAUNCH").await;
    assert_eq!(launch["launch"]["task"]["task_id"]["value"], "t1");

    let update = running("t1", 1);
    let uuid = update["status"]["uuid"].clone();
    let answer = fixture
        .call(json!({ "type": "UPDATE", "update": update }))
        .await;
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap()),
        (202, String::new())
    );
    let update = fixture.update().await;
    assert_eq!(update.status.state(), TaskState::TaskRunning);
    fixture.acknowledge(&update).await;
    let acknowledged = events.expect("ACKNOWLEDGED").await;
    assert_eq!(acknowledged["acknowledged"]["uuid"], uuid);

    let message = json!({ "type": "MESSAGE", "message": { "data": "aGk=" } });
    assert_eq!(fixture.call(message).await.status(), 202);
    let AgentToMaster::ExecutorMessage { data, .. } = fixture.receive().await else {
        panic!("no message")
    };
    assert_eq!(data, b"hi");
    let kill = MasterToAgent::KillTask {
        framework_id: FRAMEWORK.into(),
        task_id: "t1".into(),
        kill_policy: None,
    };
    fixture.send(kill).await;
    assert_eq!(
        events.expect("KILL").await["kill"]["task_id"]["value"],
        "t1"
    );
    let shutdown = MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    };
    fixture.send(shutdown).await;
    events.expect("SHUTDOWN").await;
    // It does not, so it is killed after its grace period, and its stream ends.
    assert!(matches!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited { status: 9, .. }
    ));
    assert_eq!(events.next().await, None);
    fixture.update().await;
    fixture.stop().await;
}

#[actix_web::test]
async fn a_second_subscription_ends_the_first() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exec sleep 20").await;
    let mut first = fixture.subscribe_when_started().await;
    first.expect("SUBSCRIBED").await;
    let launch = first.expect("LAUNCH").await;
    let task = &launch["launch"]["task"];
    let mut second = fixture
        .subscribe_with(json!({ "unacknowledged_tasks": [task] }))
        .await;
    second.expect("SUBSCRIBED").await;
    assert_eq!(first.next().await, None);
    fixture.stop().await;
}

#[actix_web::test]
async fn an_executor_that_hangs_up_is_noticed() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exec sleep 20").await;
    let mut events = fixture.subscribe_when_started().await;
    events.expect("SUBSCRIBED").await;
    drop(events);
    // Only then a framework's message is counted as undeliverable.
    let message = MasterToAgent::FrameworkMessage {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
        data: b"x".to_vec(),
    };
    let mut undelivered = 0.0;
    while undelivered == 0.0 {
        fixture.send(message.clone()).await;
        let metrics = fixture.json("/metrics/snapshot").await;
        undelivered = metrics["slave/invalid_framework_messages"]
            .as_f64()
            .unwrap();
    }
    fixture.stop().await;
}

#[actix_web::test]
async fn protobuf_is_spoken_too_and_each_record_is_one_chunk() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exec sleep 20").await;
    fixture.settle().await;
    let body = json!({
        "type": "SUBSCRIBE",
        "framework_id": { "value": FRAMEWORK },
        "executor_id": { "value": "ex" },
        "subscribe": {},
    })
    .to_string();
    let mut socket = tokio::net::TcpStream::connect(fixture.agent.address())
        .await
        .unwrap();
    let request = format!(
        "POST /slave(1)/api/v1/executor HTTP/1.1\r\nHost: agent\r\n\
         Content-Type: application/json\r\nAccept: application/x-protobuf\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let (mut records, mut rest) = (Vec::new(), 0);
    while records.len() < 2 {
        assert_ne!(
            socket.read_buf(&mut answer).await.unwrap(),
            0,
            "the stream has ended"
        );
        if rest == 0 {
            let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            assert!(
                head.contains("content-type: application/x-protobuf"),
                "{head}"
            );
            rest = end + 4;
        }
        while let Some((record, length)) = chunk(&answer[rest..]) {
            records.push(record);
            rest += length;
        }
    }
    let types: Vec<_> = records
        .iter()
        .map(|record| decode(record).r#type())
        .collect();
    assert_eq!(types, [event::Type::Subscribed, event::Type::Launch]);
    drop(socket);
    fixture.stop().await;
}

/// The first whole chunk of a body, and its length with its frame.
fn chunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
    let data = bytes.get(line + 2..line + 2 + size)?;
    let whole = line + 2 + size + 2;
    (bytes.len() >= whole).then(|| (data.to_vec(), whole))
}

/// The one event of a chunk that is one whole record.
fn decode(record: &[u8]) -> Event {
    let line = record.iter().position(|byte| *byte == b'\n').unwrap();
    let size: usize = std::str::from_utf8(&record[..line])
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(record.len(), line + 1 + size);
    Event::decode(&record[line + 1..]).unwrap()
}

#[actix_web::test]
async fn bad_calls_are_refused_as_mesos_does() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exec sleep 20").await;
    fixture.settle().await;
    let known = |kind: &str| {
        json!({
            "type": kind,
            "framework_id": { "value": FRAMEWORK },
            "executor_id": { "value": "ex" },
            "message": { "data": "aGk=" },
        })
    };
    for (body, status, text) in [
        (
            json!({ "type": "HEARTBEAT" }),
            400,
            "Failed to convert JSON into Call protobuf: \
             Missing required fields: executor_id, framework_id",
        ),
        (
            known("SUBSCRIBE"),
            400,
            "Failed to validate Executor::Call: Expecting 'subscribe' to be present",
        ),
        (known("MESSAGE"), 403, "Executor is not subscribed"),
        (known("HEARTBEAT"), 202, ""),
    ] {
        let answer = fixture.post(body.clone()).await;
        assert_eq!(answer.status(), status, "{body}");
        assert_eq!(answer.text().await.unwrap(), text, "{body}");
    }
    let mut ghost = known("MESSAGE");
    ghost["executor_id"]["value"] = json!("no");
    let answer = fixture.post(ghost.clone()).await;
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.text().await.unwrap().as_str()
        ),
        (400, "Executor cannot be found")
    );
    ghost["framework_id"]["value"] = json!("no");
    assert_eq!(
        fixture.post(ghost).await.text().await.unwrap(),
        "Framework cannot be found"
    );
    fixture.stop().await;
}

#[actix_web::test]
async fn methods_and_headers_are_checked_before_the_body() {
    let fixture = Fixture::start().await;
    let url = fixture.url("/api/v1/executor");
    let answer = fixture.client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "POST");
    assert_eq!(
        answer.text().await.unwrap(),
        "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    );
    let post = |content_type: Option<&str>, accept: &str, body: &'static str| {
        let mut request = fixture
            .client
            .post(&url)
            .header("Accept", accept)
            .body(body);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        request.send()
    };
    let subscribe = r#"{"type":"SUBSCRIBE","subscribe":{},"framework_id":{"value":"f"},"executor_id":{"value":"e"}}"#;
    for (content_type, accept, body, status) in [
        (None, "*/*", subscribe, 400),
        (
            Some("application/json; charset=utf-8"),
            "*/*",
            subscribe,
            415,
        ),
        (Some("application/json"), "text/html", subscribe, 406),
        (Some("application/json"), "*/*", "{", 400),
        (Some("application/x-protobuf"), "*/*", "{", 400),
    ] {
        let answer = post(content_type, accept, body).await.unwrap();
        assert_eq!(answer.status(), status, "{content_type:?} {accept} {body}");
    }
    fixture.stop().await;
}
