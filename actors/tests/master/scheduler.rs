//! The scheduler API over real connections: subscriptions, calls, refusals, a task's life.
//! The rules themselves are tested in core.

use serde_json::{Value, json};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::prost::Message;
use tepui_protocol::v1;
use tepui_protocol::v1::scheduler::event::Type;

use super::agent::{Agent, uuid_of};
use super::client::{Master, Subscription, new_framework, request};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PATH: &str = "/api/v1/scheduler";

#[test]
fn subscribes_in_json_with_one_chunk_per_record() {
    let master = Master::start();
    // Opening the stream checks that the first record is one chunk of its own.
    let mut subscription = master.subscribe(&new_framework("json"));
    assert_eq!(
        subscription.head.header("Content-Type"),
        Some("application/json")
    );
    assert_eq!(
        subscription.head.header("Transfer-Encoding"),
        Some("chunked")
    );
    assert_eq!(subscription.stream.len(), 36, "a stream id is a UUID");
    assert!(
        subscription.framework_id.ends_with("-0000"),
        "{}",
        subscription.framework_id
    );
    let heartbeat = subscription.any_event().unwrap();
    assert_eq!(heartbeat, json!({"type": "HEARTBEAT"}));
}

#[test]
fn subscribes_in_protobuf() {
    let master = Master::start();
    let call = v1::scheduler::Call {
        r#type: Some(v1::scheduler::call::Type::Subscribe.into()),
        subscribe: Some(v1::scheduler::call::Subscribe {
            framework_info: v1::FrameworkInfo {
                user: "root".to_owned(),
                name: "protobuf".to_owned(),
                ..Default::default()
            },
            ..Default::default()
        }),
        ..Default::default()
    };
    let protobuf = "application/x-protobuf";
    let headers = [("Content-Type", protobuf), ("Accept", protobuf)];
    let mut connection = master.connect();
    connection.send(&request("POST", PATH, &headers, &call.encode_to_vec()));
    let head = connection.head();
    assert_eq!(
        (head.status, head.header("Content-Type")),
        (200, Some(protobuf))
    );
    for expected in [Type::Subscribed, Type::Heartbeat] {
        let chunk = connection.chunk().unwrap();
        let border = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let record = &chunk[border + 1..];
        assert_eq!(
            std::str::from_utf8(&chunk[..border]).unwrap(),
            record.len().to_string()
        );
        let event = v1::scheduler::Event::decode(record).unwrap();
        assert_eq!(event.r#type(), expected);
    }
}

/// Method, headers and body of a request; status and text of its answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, String);

#[test]
fn refuses_what_is_wrong_with_the_form_in_mesos_order_and_words() {
    let master = Master::start();
    let subscribe = new_framework("x").to_string();
    let kinds = "application/json or application/x-protobuf";
    let cases: &[Case] = &[
        ("GET", &[], "", 405, method_text("GET")),
        ("PUT", &[JSON], "{}", 405, method_text("PUT")),
        ("DELETE", &[JSON], "", 405, method_text("DELETE")),
        (
            "POST",
            &[],
            &subscribe,
            400,
            "Expecting 'Content-Type' to be present".into(),
        ),
        (
            "POST",
            &[("Content-Type", "application/json; charset=utf-8")],
            &subscribe,
            415,
            format!("Expecting 'Content-Type' of {kinds}"),
        ),
        (
            "POST",
            &[JSON, ("Accept", "text/html")],
            &subscribe,
            406,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'".into(),
        ),
        (
            "POST",
            &[
                JSON,
                ("Mesos-Stream-Id", "11111111-2222-3333-4444-555555555555"),
            ],
            &subscribe,
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header".into(),
        ),
        (
            "POST",
            &[JSON],
            "{}",
            400,
            call_text("Expecting 'type' to be present"),
        ),
        (
            "POST",
            &[JSON],
            r#"{"type":"SUBSCRIBE"}"#,
            400,
            call_text("Expecting 'subscribe' to be present"),
        ),
        (
            "POST",
            &[JSON],
            r#"{"type":"REVIVE","framework_id":{"value":"ghost"}}"#,
            400,
            "Framework cannot be found".into(),
        ),
        (
            "POST",
            &[("Content-Type", "application/x-protobuf")],
            "\u{7f}junk",
            400,
            "Failed to parse body into Call protobuf".into(),
        ),
    ];
    for (method, headers, body, status, text) in cases {
        let response = master.request(method, PATH, headers, body.as_bytes());
        assert_eq!(
            (response.status, response.text()),
            (*status, text.as_str()),
            "{method} {body}"
        );
        assert_eq!(
            response.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
    }
    assert_eq!(master.get(PATH).header("Allow"), Some("POST"));
    assert_eq!(frameworks(&master), 0, "nothing has changed");
}

fn method_text(method: &str) -> String {
    format!("405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{method}'.")
}

fn call_text(reason: &str) -> String {
    format!("Failed to validate scheduler::Call: {reason}")
}

fn frameworks(master: &Master) -> usize {
    master.get("/state").json()["frameworks"]
        .as_array()
        .unwrap()
        .len()
}

fn revive(subscription: &Subscription) -> Value {
    json!({"type": "REVIVE", "framework_id": {"value": subscription.framework_id}})
}

#[test]
fn calls_need_the_id_of_the_stream() {
    let master = Master::start();
    let subscription = master.subscribe(&new_framework("x"));
    let call = revive(&subscription);
    let missing = master.call(&call, None);
    assert_eq!(missing.status, 400);
    assert_eq!(
        missing.text(),
        "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
    );
    let wrong = master.call(&call, Some(""));
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.text(),
        format!(
            "The stream ID '' included in this request didn't match the stream ID currently \
             associated with framework ID {}",
            subscription.framework_id
        )
    );
    let right = master.call(&call, Some(&subscription.stream));
    assert_eq!((right.status, right.body.len()), (202, 0));
}

#[test]
fn paths_lead_to_their_longest_known_prefix() {
    let master = Master::start();
    for path in [
        "/master/api/v1/scheduler",
        "//api//v1/scheduler",
        "/api/v1/scheduler/",
        "/api/v1/scheduler/more",
    ] {
        let response = master.request("POST", path, &[JSON], b"{}");
        assert_eq!(
            response.text(),
            call_text("Expecting 'type' to be present"),
            "{path}"
        );
    }
    let response = master.request("POST", "/api/v1/schedule", &[JSON], b"{}");
    let operators = "Failed to validate master::Call: Expecting 'type' to be present";
    assert_eq!(response.text(), operators);
    for path in ["/api", "/nope", "/master/nope", "/api/v2"] {
        let response = master.request("POST", path, &[JSON], b"{}");
        assert_eq!(
            (response.status, response.text()),
            (404, "404 Not Found."),
            "{path}"
        );
    }
}

#[test]
fn bodies_may_be_chunked_and_compressed_and_requests_pipelined() {
    let master = Master::start();
    let chunked = b"5\r\n{\"typ\r\n4\r\ne\":1\r\n1\r\n}\r\n0\r\n\r\n";
    let headers = [JSON, ("Transfer-Encoding", "chunked")];
    let response = master.request("POST", PATH, &headers, chunked);
    assert_eq!(response.status, 400);
    assert!(
        response
            .text()
            .contains("Not expecting a JSON number for field 'type'"),
        "{response:?}"
    );

    let headers = [JSON, ("Content-Encoding", "gzip")];
    let response = master.request("POST", PATH, &headers, GZIPPED_TEARDOWN);
    assert_eq!(
        (response.status, response.text()),
        (400, "Framework cannot be found")
    );
    let response = master.request("POST", PATH, &headers, b"this is not gzip");
    assert_eq!(response.status, 400);

    let mut connection = master.connect();
    let mut both = request("POST", PATH, &[JSON], b"{}");
    both.extend(request("GET", "/health", &[], b""));
    connection.send(&both);
    assert_eq!(connection.response().status, 400);
    assert_eq!(connection.response().status, 200);
}

/// `{"type":"TEARDOWN","framework_id":{"value":"ghost"}}`, compressed.
const GZIPPED_TEARDOWN: &[u8] = include_bytes!("data/teardown.json.gz");

fn accept(subscription: &Subscription, offers: &Value, task: &str) -> Value {
    let offer = &offers["offers"]["offers"][0];
    json!({
        "type": "ACCEPT",
        "framework_id": {"value": subscription.framework_id},
        "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{
                "name": task,
                "task_id": {"value": task},
                "agent_id": offer["agent_id"],
                "resources": [
                    {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
                    {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}}
                ],
                "command": {"value": "exit 0"}
            }]}}]
        }
    })
}

#[test]
fn a_task_goes_from_offer_to_acknowledged_end() {
    let master = Master::start();
    let mut subscription = master.subscribe(&new_framework("x"));
    let mut agent = Agent::register(&master, 5051);
    let offers = subscription.event("OFFERS");
    assert_eq!(
        offers["offers"]["offers"][0]["agent_id"]["value"],
        agent.id.as_str()
    );
    let call = accept(&subscription, &offers, "t1");
    assert_eq!(master.call(&call, Some(&subscription.stream)).status, 202);
    match agent.receive() {
        Some(MasterToAgent::RunTask(run)) => {
            assert_eq!(run.task.task_id.value, "t1");
            assert_eq!(
                run.framework.id.as_ref().unwrap().value,
                subscription.framework_id
            );
        }
        other => panic!("the task must be launched: {other:?}"),
    }
    for (uuid, state, name) in [
        (1, v1::TaskState::TaskRunning, "TASK_RUNNING"),
        (2, v1::TaskState::TaskFinished, "TASK_FINISHED"),
    ] {
        agent.update(&subscription.framework_id, "t1", state, uuid);
        let update = subscription.event("UPDATE");
        let status = &update["update"]["status"];
        assert_eq!(status["state"], name);
        let acknowledge = json!({
            "type": "ACKNOWLEDGE",
            "framework_id": {"value": subscription.framework_id},
            "acknowledge": {
                "agent_id": status["agent_id"],
                "task_id": status["task_id"],
                "uuid": status["uuid"]
            }
        });
        assert_eq!(
            master.call(&acknowledge, Some(&subscription.stream)).status,
            202
        );
        match agent.receive() {
            Some(MasterToAgent::AcknowledgeStatus {
                uuid: acknowledged, ..
            }) => {
                assert_eq!(acknowledged, uuid_of(uuid));
            }
            other => panic!("the update must be acknowledged: {other:?}"),
        }
    }
    // What was used is offered again at once, with what was left over when the task was launched:
    // the filter set then hides no more than that.
    let offers = subscription.event("OFFERS");
    let resources = offers["offers"]["offers"][0]["resources"]
        .as_array()
        .unwrap();
    let cpus = resources
        .iter()
        .find(|resource| resource["name"] == "cpus")
        .unwrap();
    assert_eq!(cpus["scalar"]["value"], 4.0);
}

#[test]
fn a_framework_that_disconnects_is_noticed() {
    let master = Master::start();
    let mut call = new_framework("x");
    call["subscribe"]["framework_info"]["failover_timeout"] = json!(3600);
    let subscription = master.subscribe(&call);
    let revive = revive(&subscription);
    let stream = subscription.stream.clone();
    drop(subscription);
    loop {
        let response = master.call(&revive, Some(&stream));
        if response.status == 403 {
            assert_eq!(response.text(), "Framework is not subscribed");
            break;
        }
        assert_eq!(response.status, 202);
    }
}

#[test]
fn a_framework_that_resubscribes_takes_its_stream_over() {
    let master = Master::start();
    let mut call = new_framework("x");
    call["subscribe"]["framework_info"]["failover_timeout"] = json!(3600);
    let mut first = master.subscribe(&call);
    let id = json!({"value": first.framework_id});
    call["framework_id"] = id.clone();
    call["subscribe"]["framework_info"]["id"] = id;
    let second = master.subscribe(&call);
    assert_eq!(second.framework_id, first.framework_id);
    assert_ne!(second.stream, first.stream);
    let error = first.event("ERROR");
    assert_eq!(error["error"]["message"], "Framework failed over");
    assert_eq!(first.any_event(), None, "the old stream ends");
    assert_eq!(
        master.call(&revive(&second), Some(&second.stream)).status,
        202
    );
    assert_eq!(
        master.call(&revive(&first), Some(&first.stream)).status,
        400
    );
}

#[test]
fn a_torn_down_framework_may_not_come_back() {
    let master = Master::start();
    let mut call = new_framework("x");
    let mut subscription = master.subscribe(&call);
    let id = json!({"value": subscription.framework_id});
    let teardown = json!({"type": "TEARDOWN", "framework_id": id});
    assert_eq!(
        master.call(&teardown, Some(&subscription.stream)).status,
        202
    );
    while subscription.any_event().is_some() {}
    call["framework_id"] = id.clone();
    call["subscribe"]["framework_info"]["id"] = id;
    let mut connection = master.connect();
    connection.send(&request("POST", PATH, &[JSON], call.to_string().as_bytes()));
    let response = connection.response();
    assert_eq!(response.status, 200);
    let text = response.text();
    assert!(
        text.contains("\"ERROR\"") && text.contains("Framework has been removed"),
        "{text}"
    );
}

#[test]
fn streams_end_well_when_the_master_ends() {
    let master = Master::start();
    let mut subscription = master.subscribe(&new_framework("x"));
    let mut agent = Agent::register(&master, 5051);
    master.stop();
    while subscription.any_event().is_some() {}
    while agent.receive().is_some() {}
}

#[test]
fn calls_that_do_not_wait_for_answers_are_all_answered_in_order() {
    const CALLS: usize = 200;
    let master = Master::start();
    let subscription = master.subscribe(&new_framework("eager"));
    let id = json!({"value": subscription.framework_id});
    let stream = ("Mesos-Stream-Id", subscription.stream.as_str());
    let mut all = Vec::new();
    for number in 0..CALLS {
        // Answered at once, after the master has handled it, refused by it, and by nobody asked.
        let call = match number % 4 {
            0 => json!({"type": "SUPPRESS", "framework_id": id}),
            1 => json!({"type": "REVIVE", "framework_id": id}),
            2 => json!({"type": "SUPPRESS", "framework_id": {"value": "unknown"}}),
            _ => json!({"type": "SUPPRESS"}),
        };
        let body = call.to_string();
        all.extend(request("POST", PATH, &[JSON, stream], body.as_bytes()));
    }
    // Pieces that end anywhere in heads and bodies: what is half here when an answer is due must
    // not cost the connection.
    let mut connection = master.connect();
    for piece in all.chunks(777) {
        connection.send(piece);
    }
    for number in 0..CALLS {
        let expected = if number % 4 < 2 { 202 } else { 400 };
        let response = connection.response();
        assert_eq!(response.status, expected, "{number}: {}", response.text());
    }
    connection.send(&request("GET", "/health", &[], b""));
    assert_eq!(connection.response().status, 200);
}
