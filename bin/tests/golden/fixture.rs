//! The content that recorded exchanges expect: frameworks, tasks, reservations, quota, maintenance.
//! Compares nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::matching::fill_text;
use crate::replay::Replay;
use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Encoding, Framework, info, scalar, task};
use crate::support::http;

const JSON: [(&str, &str); 2] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
];

/// What must stay for as long as exchanges are replayed.
pub struct Fixture {
    _live: Framework,
    _one: Framework,
    _two: Framework,
    _executor: http::Stream,
}

/// Brings a cluster of two agents into the state that was recorded, and binds its names.
pub fn prepare(cluster: &Cluster, replay: &mut Replay<'_>) -> Fixture {
    finished_framework(cluster, replay);
    let (mut two, executor) = custom_executor(cluster, replay);
    let mut one = busy_framework(cluster, replay);
    let mut live = Framework::simple(cluster.master.address, "golden-live", &[]);
    let stream = live.stream.header("mesos-stream-id").expect("id");
    bind(replay, "STREAM-1", stream);
    bind(replay, "FRAMEWORK-1", &live.id);
    settle(cluster, &mut [&mut live, &mut one, &mut two]);
    operate(cluster, &replay.bindings["AGENT-1"]);
    Fixture {
        _live: live,
        _one: one,
        _two: two,
        _executor: executor,
    }
}

fn bind(replay: &mut Replay<'_>, name: &str, value: &str) {
    replay.bindings.insert(name.to_owned(), value.to_owned());
}

/// The next offer of the agent that was recorded as the first.
fn offer(cluster: &Cluster, framework: &mut Framework) -> Value {
    let first = cluster.agents[0].address.port();
    loop {
        let offer = framework.offer();
        if offer["url"]["address"]["port"] == first {
            return offer;
        }
        decline(framework, &[&offer["id"]]);
    }
}

fn decline(framework: &Framework, offers: &[&Value]) {
    let decline = json!({"offer_ids": offers, "filters": {"refuse_seconds": 1e6}});
    framework.accepted(json!({"type": "DECLINE", "decline": decline}));
}

/// Ends all offers, and asks for no more.
fn settle(cluster: &Cluster, frameworks: &mut [&mut Framework]) {
    for framework in frameworks.iter() {
        framework.accepted(json!({"type": "SUPPRESS"}));
    }
    until("the end of all offers", || {
        for framework in frameworks.iter_mut() {
            for event in framework.events_within(Duration::from_millis(20)) {
                let offers = event["offers"]["offers"].as_array().into_iter().flatten();
                let ids: Vec<&Value> = offers.map(|offer| &offer["id"]).collect();
                if !ids.is_empty() {
                    decline(framework, &ids);
                }
            }
        }
        let left = metric(cluster.master.address, "master/outstanding_offers");
        (left == 0.0).then_some(())
    });
}

/// `golden-done`: torn down, with one finished task.
fn finished_framework(cluster: &Cluster, replay: &mut Replay<'_>) {
    let mut info = info("golden-done", &[]);
    info["hostname"] = json!("localhost");
    let mut done = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = offer(cluster, &mut done);
    let agent = offer["agent_id"]["value"].as_str().expect("id");
    bind(replay, "AGENT-1", agent);
    bind(replay, "FRAMEWORK-4", &done.id);
    let work_dir = cluster.work_dir(0).canonicalize().expect("work directory");
    bind(replay, "WORK_DIR", &work_dir.display().to_string());
    launch(&mut done, &offer, "done", "true");
    done.await_state("done", "TASK_FINISHED");
    bind(replay, "TASK-DONE", "done");
    done.teardown();
}

fn launch(framework: &mut Framework, offer: &Value, id: &str, command: &str) {
    let mut task = task(id, offer, command);
    task["name"] = json!("t");
    framework.launch(offer, &[task]);
}

/// `golden-one`: a finished, a failed and a running command task.
fn busy_framework(cluster: &Cluster, replay: &mut Replay<'_>) -> Framework {
    let capabilities = ["MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE"];
    let mut info = info("golden-one", &capabilities);
    info["roles"] = json!(["golden-a"]);
    info["hostname"] = json!("localhost");
    info["webui_url"] = json!("http://localhost:1/ui");
    info["checkpoint"] = json!(true);
    info["failover_timeout"] = json!(3600.0);
    info["labels"] = json!({"labels": [{"key": "team", "value": "golden"}, {"key": "flag"}]});
    let mut one = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    bind(replay, "FRAMEWORK-3", &one.id);
    for (name, id, command, state) in [
        (
            "TASK-FINISHED",
            "finished",
            "echo out; echo err 1>&2",
            "TASK_FINISHED",
        ),
        ("TASK-FAILED", "failed", "exit 3", "TASK_FAILED"),
    ] {
        let found = offer(cluster, &mut one);
        launch(&mut one, &found, id, command);
        one.await_state(id, state);
        bind(replay, name, id);
        one.accepted(json!({"type": "REVIVE"}));
    }
    let found = offer(cluster, &mut one);
    one.launch(&found, &[rich_task(&found)]);
    let status = one.await_state("running", "TASK_RUNNING");
    bind(replay, "TASK-RUNNING", "running");
    let container = status["container_status"]["container_id"]["value"].as_str();
    bind(replay, "CONTAINER-1", container.expect("container"));
    let sandbox =
        "<WORK_DIR>/slaves/<AGENT-1>/frameworks/<FRAMEWORK-3>/executors/running/runs/<CONTAINER-1>";
    let sandbox = fill_text(sandbox, &replay.bindings);
    bind(replay, "SANDBOX-1", &sandbox);
    one
}

/// A task with everything that endpoints show of one.
fn rich_task(offer: &Value) -> Value {
    let mut task = task("running", offer, "echo hello sandbox; exec sleep 100000");
    task["name"] = json!("t");
    task["command"]["environment"] = json!({"variables": [{"name": "X", "value": "y"}]});
    let ports = json!({"range": [{"begin": 31000, "end": 31001}]});
    task["resources"] = json!([
        scalar("cpus", 0.2),
        scalar("mem", 48.0),
        {"name": "ports", "type": "RANGES", "ranges": ports},
    ]);
    task["labels"] = json!({"labels": [{"key": "tier", "value": "web"}, {"key": "bare"}]});
    task["discovery"] = json!({
        "visibility": "CLUSTER", "name": "disc", "environment": "prod", "location": "here",
        "version": "v1",
        "ports": {"ports": [{"number": 8080, "name": "http", "protocol": "tcp"}]},
        "labels": {"labels": [{"key": "d", "value": "1"}]},
    });
    task
}

/// `golden-two`: a custom executor, which the test plays, with one running task.
fn custom_executor(cluster: &Cluster, replay: &mut Replay<'_>) -> (Framework, http::Stream) {
    let mut info = info("golden-two", &[]);
    info["hostname"] = json!("localhost");
    info["failover_timeout"] = json!(60.0);
    let mut two = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = offer(cluster, &mut two);
    let executor = json!({
        "type": "CUSTOM", "executor_id": {"value": "golden-executor"},
        "name": "golden executor", "source": "golden",
        "command": {"shell": true, "value": "echo executor here; exec sleep 100000"},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    });
    two.launch(
        &offer,
        &[json!({
            "name": "t", "task_id": {"value": "golden-task"}, "agent_id": offer["agent_id"],
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)], "executor": executor,
        })],
    );
    let agent = cluster.agents[0].address;
    let subscribe = executor_call(&two, "SUBSCRIBE", "subscribe", json!({}));
    let stream = until("the executor", || {
        http::open(agent, "/api/v1/executor", &JSON, &subscribe).ok()
    });
    let status = json!({
        "task_id": {"value": "golden-task"}, "executor_id": {"value": "golden-executor"},
        "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR",
        "message": "up", "data": "c3RhdHVzIGRhdGE=",
        "uuid": "AAECAwQFRgeICQoLDA0ODw==",
    });
    let update = executor_call(&two, "UPDATE", "update", json!({"status": status}));
    // The agent takes updates of a task that it has given to its executor.
    until("the update to be taken", || {
        let answer = http::request(agent, "POST", "/api/v1/executor", &JSON, &update);
        (answer.status == 202).then_some(())
    });
    two.await_state("golden-task", "TASK_RUNNING");
    bind(replay, "TASK-CUSTOM", "golden-task");
    bind(replay, "EXECUTOR-1", "golden-executor");
    bind(replay, "FRAMEWORK-2", &two.id);
    (two, stream)
}

fn executor_call(framework: &Framework, kind: &str, payload: &str, value: Value) -> Vec<u8> {
    let mut call = json!({
        "type": kind,
        "framework_id": {"value": framework.id},
        "executor_id": {"value": "golden-executor"},
    });
    call[payload] = value;
    call.to_string().into_bytes()
}

/// What an operator had set: a reservation with a volume, weights, quota and maintenance.
fn operate(cluster: &Cluster, agent: &str) {
    let reserved = |name: &str, value: f64| {
        let mut resource = scalar(name, value);
        let labels = json!({"labels": [{"key": "why", "value": "golden"}]});
        resource["reservations"] =
            json!([{"type": "DYNAMIC", "role": "golden-a", "labels": labels}]);
        resource
    };
    let mut volume = reserved("disk", 32.0);
    volume["disk"] = json!({
        "persistence": {"id": "golden-volume"},
        "volume": {"mode": "RW", "container_path": "data"},
    });
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let start = tomorrow.duration_since(UNIX_EPOCH).expect("time");
    let start = u64::try_from(start.as_nanos()).expect("time");
    let calls = [
        json!({"type": "RESERVE_RESOURCES", "reserve_resources": {
            "agent_id": {"value": agent},
            "resources": [reserved("cpus", 0.1), reserved("disk", 64.0)],
        }}),
        json!({"type": "CREATE_VOLUMES", "create_volumes": {
            "agent_id": {"value": agent}, "volumes": [volume],
        }}),
        json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [
            {"role": "r", "weight": 1.0}, {"role": "golden-a", "weight": 2.5},
        ]}}),
        json!({"type": "UPDATE_QUOTA", "update_quota": {"force": true, "quota_configs": [{
            "role": "golden-q",
            "guarantees": {"cpus": {"value": 0.1}},
            "limits": {"cpus": {"value": 0.5}, "mem": {"value": 128.0}},
        }]}}),
        json!({"type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": {
            "schedule": {"windows": [{
                "machine_ids": [{"hostname": "golden-host.test", "ip": "127.0.0.99"}],
                "unavailability": {
                    "start": {"nanoseconds": start},
                    "duration": {"nanoseconds": 3_600_000_000_000_u64},
                },
            }]},
        }}),
    ];
    for call in calls {
        let body = call.to_string().into_bytes();
        let answer = http::request(cluster.master.address, "POST", "/api/v1", &JSON, &body);
        let is_done = matches!(answer.status, 200 | 202);
        assert!(is_done, "{call}: {} {}", answer.status, answer.text());
    }
    // The agent is told of these, and the answer does not wait for it.
    let first = cluster.agents[0].address;
    until("the reservation on the agent", || {
        let state = http::request(first, "GET", "/state", &[], &[]).json();
        state["reserved_resources"]["golden-a"]["disk"].as_f64()
    });
}
