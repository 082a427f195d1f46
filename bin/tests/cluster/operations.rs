//! Reservations and volumes: made, used, reported, destroyed, and kept over a master's restart.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, start_master_at, until};
use crate::support::framework::{Encoding, Framework, info, scalar, task};
use crate::support::http;

const CAPABILITIES: [&str; 2] = ["MULTI_ROLE", "RESERVATION_REFINEMENT"];

/// A framework of role `web` that may stay away for long.
pub(super) fn web() -> Value {
    let mut info = info("web", &CAPABILITIES);
    info["roles"] = json!(["web"]);
    info["failover_timeout"] = json!(3600.0);
    info
}

fn reserved(name: &str, amount: f64) -> Value {
    let mut resource = scalar(name, amount);
    resource["reservations"] = json!([{"type": "DYNAMIC", "role": "web"}]);
    resource
}

fn volume(amount: f64) -> Value {
    let mut resource = reserved("disk", amount);
    resource["disk"] = json!({
        "persistence": {"id": "kept"},
        "volume": {"mode": "RW", "container_path": "data"},
    });
    resource
}

pub(super) fn reserve(id: &str) -> Value {
    json!({"type": "RESERVE", "id": {"value": id},
        "reserve": {"resources": [reserved("disk", 64.0)]}})
}

pub(super) fn create(id: &str) -> Value {
    json!({"type": "CREATE", "id": {"value": id}, "create": {"volumes": [volume(32.0)]}})
}

/// A command task with the volume.
pub(super) fn task_on_volume(id: &str, offer: &Value, command: &str) -> Value {
    let mut task = task(id, offer, command);
    let resources = task["resources"].as_array_mut().expect("resources");
    resources.push(volume(32.0));
    task
}

/// The same, which may only read it.
pub(super) fn task_reading_volume(id: &str, offer: &Value, command: &str) -> Value {
    let mut task = task_on_volume(id, offer, command);
    let resources = task["resources"].as_array_mut().expect("resources");
    let volume = resources.last_mut().expect("the volume");
    volume["disk"]["volume"]["mode"] = json!("RO");
    task
}

/// The end of an operation, acknowledged.
pub(super) fn finished(framework: &mut Framework, id: &str) -> Value {
    let event = framework.find(&format!("end of {id}"), |event| {
        event["update_operation_status"]["status"]["operation_id"]["value"] == id
    });
    let status = event["update_operation_status"]["status"].clone();
    assert_eq!(status["state"], "OPERATION_FINISHED", "{status:#}");
    framework.accepted(json!({
        "type": "ACKNOWLEDGE_OPERATION_STATUS",
        "acknowledge_operation_status": {
            "agent_id": status["agent_id"],
            "operation_id": status["operation_id"],
            "uuid": status["uuid"]["value"],
        },
    }));
    status
}

/// The next offer that holds the volume.
pub(super) fn offer_with_volume(framework: &mut Framework) -> Value {
    until("an offer with the volume", || {
        let offer = framework.offer();
        let resources = offer["resources"].as_array()?.clone();
        let has = resources
            .iter()
            .any(|resource| resource["disk"]["persistence"]["id"] == "kept");
        if !has {
            let decline = json!({"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0.0}});
            framework.accepted(json!({"type": "DECLINE", "decline": decline}));
        }
        has.then_some(offer)
    })
}

/// What `/state` says is reserved for `web` on the only agent, in MB of disk.
fn reserved_disk(cluster: &Cluster) -> f64 {
    let state = http::request(cluster.master.address, "GET", "/state", &[], &[]).json();
    let reserved = &state["slaves"][0]["reserved_resources"];
    reserved["web"]["disk"].as_f64().unwrap_or_default()
}

#[test]
fn a_volume_is_made_used_and_destroyed() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, web());
    let offer = framework.offer();
    framework.accept(&offer, json!([reserve("reserve")]), 0.0);
    let status = finished(&mut framework, "reserve");
    assert_eq!(status["agent_id"], offer["agent_id"]);
    assert_eq!(
        status["converted_resources"][0]["reservations"][0]["role"],
        "web"
    );
    assert_eq!(reserved_disk(&cluster), 64.0);

    let offer = framework.offer();
    let write = task_on_volume("write", &offer, "echo kept > data/file");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    framework.accept(&offer, json!([create("create"), launch]), 0.0);
    finished(&mut framework, "create");
    framework.await_state("write", "TASK_FINISHED");

    let offer = offer_with_volume(&mut framework);
    let read = task_on_volume("read", &offer, "test \"$(cat data/file)\" = kept");
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [read]}}]);
    framework.accept(&offer, launch, 0.0);
    framework.await_state("read", "TASK_FINISHED");

    let offer = offer_with_volume(&mut framework);
    let operations = json!([
        {"type": "DESTROY", "id": {"value": "destroy"}, "destroy": {"volumes": [volume(32.0)]}},
        {"type": "UNRESERVE", "id": {"value": "unreserve"},
            "unreserve": {"resources": [reserved("disk", 64.0)]}},
    ]);
    framework.accept(&offer, operations, 0.0);
    finished(&mut framework, "destroy");
    finished(&mut framework, "unreserve");
    assert_eq!(reserved_disk(&cluster), 0.0);
    framework.accepted(json!({"type": "RECONCILE_OPERATIONS",
        "reconcile_operations": {"operations": [{"operation_id": {"value": "destroy"},
            "agent_id": offer["agent_id"]}]}}));
    let event = framework.expect("UPDATE_OPERATION_STATUS");
    let status = &event["update_operation_status"]["status"];
    assert_eq!(
        status["state"], "OPERATION_UNKNOWN",
        "it was acknowledged: {status:#}"
    );
    framework.teardown();
}

#[test]
fn an_operation_that_does_not_fit_is_told_so() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Protobuf, web());
    let offer = framework.offer();
    let operations = json!([create("early")]);
    framework.accept(&offer, operations, 0.0);
    let event = framework.expect("UPDATE_OPERATION_STATUS");
    let status = &event["update_operation_status"]["status"];
    assert_eq!(status["state"], "OPERATION_ERROR");
    let message = status["message"].as_str().expect("message");
    assert!(message.contains("does not contain"), "{message}");
    assert!(status["uuid"].is_null());
    framework.teardown();
}

#[test]
fn reservation_and_volume_survive_the_masters_restart() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut first = Framework::subscribe(master, Encoding::Json, web());
    let offer = first.offer();
    let write = task_on_volume("write", &offer, "echo kept > data/file");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    first.accept(
        &offer,
        json!([reserve("reserve"), create("create"), launch]),
        0.0,
    );
    finished(&mut first, "reserve");
    first.await_state("write", "TASK_FINISHED");
    // The end of `create` is not acknowledged: the agent tells the next master.
    let mut again = web();
    again["id"] = json!({"value": first.id});
    cluster.master.signal(Signal::SIGKILL);
    cluster.master.wait();
    drop(first);
    cluster.master = start_master_at(master.port(), cluster.dir.path(), &[]);
    cluster.wait_for_agents(1);
    assert_eq!(reserved_disk(&cluster), 64.0);
    let mut second = Framework::subscribe(cluster.master.address, Encoding::Json, again);
    finished(&mut second, "create");
    let offer = offer_with_volume(&mut second);
    let read = task_on_volume("read", &offer, "test \"$(cat data/file)\" = kept");
    second.launch(&offer, &[read]);
    second.await_state("read", "TASK_FINISHED");
    second.teardown();
}

#[test]
fn reservation_and_volume_survive_the_agents_crash() {
    let mut cluster = Cluster::start(1);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, web());
    let offer = framework.offer();
    let write = task_on_volume("write", &offer, "echo kept > data/file");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    framework.accept(
        &offer,
        json!([reserve("reserve"), create("create"), launch]),
        0.0,
    );
    finished(&mut framework, "reserve");
    finished(&mut framework, "create");
    framework.await_state("write", "TASK_FINISHED");

    let work_dir = cluster.dir.path().join("agent-1");
    let volume_dir = work_dir.join("volumes/roles/web/kept");
    assert!(volume_dir.join("file").exists());
    let lost = offer_with_volume(&mut framework);
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    cluster.restart_agent(0, &[]);
    cluster.wait_for_agents(1);
    // All that was offered of the agent before its crash comes before this.
    framework.find("the end of the offer", |event| {
        event["rescind"]["offer_id"] == lost["id"]
    });
    let offer = offer_with_volume(&mut framework);
    assert_eq!(offer["agent_id"], lost["agent_id"], "it is the same agent");
    let read = task_on_volume("read", &offer, "test \"$(cat data/file)\" = kept");
    framework.launch(&offer, &[read]);
    framework.await_state("read", "TASK_FINISHED");

    let offer = offer_with_volume(&mut framework);
    let destroy = json!([
        {"type": "DESTROY", "id": {"value": "destroy"}, "destroy": {"volumes": [volume(32.0)]}},
    ]);
    framework.accept(&offer, destroy, 0.0);
    finished(&mut framework, "destroy");
    assert!(!volume_dir.exists());
    framework.teardown();
}
