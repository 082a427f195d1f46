//! Frameworks that fail over, disconnect and end; agents whose link breaks.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::cluster::{Cluster, metric, start_master_at, until};
use crate::support::framework::{Encoding, Framework, info, task};

fn durable(name: &str) -> serde_json::Value {
    let mut info = info(name, &[]);
    info["failover_timeout"] = json!(3600.0);
    info
}

#[test]
fn a_second_scheduler_takes_over() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut first = Framework::subscribe(master, Encoding::Json, durable("over"));
    let offer = first.offer();
    first.launch(&offer, &[task("kept", &offer, "sleep 1000")]);
    first.await_state("kept", "TASK_RUNNING");
    let mut again = durable("over");
    again["id"] = json!({"value": first.id});
    let mut second = Framework::subscribe(master, Encoding::Protobuf, again);
    assert_eq!(second.id, first.id);
    let last = first.end();
    assert_eq!(
        last.last().expect("an event")["error"]["message"],
        "Framework failed over"
    );
    let refused = first.call(json!({"type": "REVIVE"}));
    assert_eq!(refused.status, 400);
    second.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    assert_eq!(second.update("kept")["state"], "TASK_RUNNING");
    second.kill("kept");
    second.await_state("kept", "TASK_KILLED");
}

#[test]
fn tasks_outlive_a_scheduler_that_comes_back_in_time() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut first = Framework::subscribe(master, Encoding::Json, durable("back"));
    let offer = first.offer();
    first.launch(&offer, &[task("kept", &offer, "sleep 1; exit 7")]);
    first.await_state("kept", "TASK_RUNNING");
    let mut again = durable("back");
    again["id"] = json!({"value": first.id});
    drop(first);
    until("the disconnection", || {
        (metric(master, "master/frameworks_disconnected") == 1.0).then_some(())
    });
    let mut second = Framework::subscribe(master, Encoding::Json, again);
    let failed = second.await_state("kept", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 7");
}

#[test]
fn a_scheduler_without_failover_timeout_is_gone_when_it_disconnects() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "brief", &[]);
    let offer = framework.offer();
    let mark = cluster.dir.path().join("pid");
    let command = format!("echo $$ > {}; exec sleep 1000", mark.display());
    framework.launch(&offer, &[task("brief", &offer, &command)]);
    framework.await_state("brief", "TASK_RUNNING");
    let pid = until("the task's pid", || {
        std::fs::read_to_string(&mark)
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    });
    drop(framework);
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    until("the task's end", || (!process.exists()).then_some(()));
    assert_eq!(metric(master, "master/frameworks_connected"), 0.0);
}

#[test]
fn a_torn_down_framework_may_not_come_back() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let framework = Framework::subscribe(master, Encoding::Json, durable("ended"));
    let id = framework.id.clone();
    framework.teardown();
    let call = json!({"type": "SUBSCRIBE", "framework_id": {"value": id}, "subscribe":
        {"framework_info": {"user": "root", "name": "ended", "id": {"value": id}}}});
    let headers = [("Content-Type", "application/json")];
    let body = call.to_string().into_bytes();
    let stream = crate::support::http::open(master, "/api/v1/scheduler", &headers, &body)
        .unwrap_or_else(|refused| panic!("{}", refused.text()));
    let chunk = stream
        .chunks
        .recv_timeout(crate::support::PATIENCE)
        .expect("an event");
    assert!(String::from_utf8_lossy(&chunk).contains("Framework has been removed"));
}

#[test]
fn an_agent_whose_master_restarts_registers_again_with_its_tasks() {
    let mut cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut first = Framework::subscribe(master, Encoding::Json, durable("moved"));
    let offer = first.offer();
    first.launch(&offer, &[task("kept", &offer, "sleep 1000")]);
    first.await_state("kept", "TASK_RUNNING");
    let mut again = durable("moved");
    again["id"] = json!({"value": first.id});
    cluster.master.signal(Signal::SIGKILL);
    cluster.master.wait();
    drop(first);
    cluster.master = start_master_at(master.port(), cluster.dir.path(), &[]);
    let master = cluster.master.address;
    cluster.wait_for_agents(1);
    let mut second = Framework::subscribe(master, Encoding::Json, again);
    second.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    let kept = second.update("kept");
    assert_eq!(kept["state"], "TASK_RUNNING");
    assert_eq!(kept["agent_id"], offer["agent_id"]);
    second.kill("kept");
    second.await_state("kept", "TASK_KILLED");
}
