//! App managers that share a ZooKeeper, at an elected master: one is killed in the middle of a
//! deployment, and the other one goes on.

use std::io::{BufRead, BufReader};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, TryRecvError};

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::http;
use crate::support::marathon::{Marathon, live_tasks, running};
use crate::zookeeper::Ensemble;
use crate::{Elected, SESSION};

#[test]
fn when_the_leading_app_manager_is_killed_another_one_ends_its_deployment() {
    let mut elected = Elected::start(1, 1, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let master = elected.masters[leader].address;
    let zk = format!("zk://{}/marathon", elected.ensemble.hosts());
    let session = format!("--zk_session_timeout={}", SESSION.as_millis());
    let start = || Marathon::start_at_zk(elected.dir.path(), &elected.zk, &zk, &[&session]);
    let (mut first, second) = (start(), start());
    let leads = second.get("/v2/leader")["leader"].clone();
    assert_eq!(leads, first.address().to_string());

    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 4, "cpus": 0.1, "mem": 8,
        "portDefinitions": [],
    });
    second.change("POST", "/v2/apps", &app);
    second.await_deployments();
    let framework = second.get("/v2/info")["frameworkId"].clone();
    second.change("PATCH", "/v2/apps/a", &json!({"cmd": "exec sleep 2000"}));
    first.kill();
    until("another leader", || {
        let answer = http::try_request(second.address(), "GET", "/v2/leader", &[], &[]).ok()?;
        (answer.status == 200 && answer.json()["leader"] == second.address().to_string())
            .then_some(())
    });
    second.await_deployments();
    until("only the wanted tasks", || {
        let tasks = live_tasks(master);
        assert!(running(&tasks) >= 4, "{tasks:#?}");
        (tasks.len() == 4).then_some(())
    });
    let app = second.app("/a").expect("the app");
    assert_eq!(
        (&app["cmd"], &app["tasksRunning"]),
        (&json!("exec sleep 2000"), &json!(4))
    );
    assert_eq!(second.get("/v2/info")["frameworkId"], framework);

    // One that starts again follows.
    first.start_again();
    let leads = first.get("/v2/leader")["leader"].clone();
    assert_eq!(leads, second.address().to_string());
}

/// A stream of events, read on a thread of its own.
struct Events {
    socket: TcpStream,
    lines: Receiver<String>,
}

impl Events {
    fn open(address: SocketAddr, path: &str) -> Events {
        let accepted = [("Accept", "text/event-stream")];
        let socket = http::send(address, "GET", path, &accepted, &[]).expect("connected");
        let reader = BufReader::new(socket.try_clone().expect("a socket"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Events { socket, lines }
    }

    /// Waits for a line that begins so.
    fn find(&self, beginning: &str) -> String {
        until(beginning, || {
            let line = self.lines.try_recv().ok()?;
            line.starts_with(beginning).then_some(line)
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[test]
fn pages_of_one_that_does_not_lead_are_passed_the_events_of_the_leader() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let ensemble = runtime.block_on(Ensemble::start(1));
    let cluster = Cluster::start(1);
    let master = cluster.master.address.to_string();
    let zk = format!("zk://{}/marathon", ensemble.hosts());
    let session = format!("--zk_session_timeout={}", SESSION.as_millis());
    // Streams must not be among the few requests that are passed on at a time.
    let few = ["--leader_proxy_max_open_connections=1", &session];
    let start = || Marathon::start_at_zk(cluster.dir.path(), &master, &zk, &few);
    let (mut first, second) = (start(), start());
    let leads = second.get("/v2/leader")["leader"].clone();
    assert_eq!(leads, first.address().to_string());
    let streams = |marathon: &Marathon| {
        let metrics = marathon.get("/metrics");
        metrics["gauges"]["marathon.http.event-streams.active.gauge"]["value"].clone()
    };

    let others = http::send(second.address(), "GET", "/v2/events", &[], &[]).expect("connected");
    let mut head = String::new();
    BufReader::new(others).read_line(&mut head).expect("a line");
    assert!(head.starts_with("HTTP/1.1 302 "), "{head}");

    let pages = "/v2/events?passOn=true";
    let own = Events::open(first.address(), pages);
    own.find("HTTP/1.1 200");
    let passed = [0, 1].map(|_| Events::open(second.address(), pages));
    for events in &passed {
        events.find("HTTP/1.1 200");
        events.find("event: event_stream_attached");
    }
    until("all streams at the leader", || {
        (streams(&first) == 3).then_some(())
    });
    let app = json!({"id": "/a", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 8,
        "portDefinitions": []});
    second.change("POST", "/v2/apps", &app);
    for events in [&own, &passed[0], &passed[1]] {
        events.find("event: api_post_event");
        events.find("event: deployment_success");
    }
    // The end of a reader is the end of its stream at the leader.
    let [gone, stays] = passed;
    drop(gone);
    until("the end of one stream", || {
        (streams(&first) == 2).then_some(())
    });

    // And the end of the leader is the end of what is passed on.
    first.kill();
    until("the end of the other one", || {
        matches!(stays.lines.try_recv(), Err(TryRecvError::Disconnected)).then_some(())
    });
    until("another leader", || {
        let answer = http::try_request(second.address(), "GET", "/v2/leader", &[], &[]).ok()?;
        (answer.status == 200 && answer.json()["leader"] == second.address().to_string())
            .then_some(())
    });
    let after = Events::open(second.address(), pages);
    after.find("event: event_stream_attached");
}

#[test]
fn when_zookeeper_is_gone_for_longer_than_a_session_its_leader_ends_and_later_goes_on() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let mut ensemble = runtime.block_on(Ensemble::start(1));
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let dir = tempfile::tempdir().expect("a directory");
    let zk = format!("zk://{}/marathon", ensemble.hosts());
    let session = format!("--zk_session_timeout={}", SESSION.as_millis());
    let mut marathon = Marathon::start_at_zk(dir.path(), &master.to_string(), &zk, &[&session]);
    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 3, "cpus": 0.1, "mem": 8,
        "portDefinitions": [],
    });
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_deployments();
    let before = ids(&live_tasks(master));
    assert_eq!(before.len(), 3);

    ensemble.server(0).pause();
    let status = marathon.program.wait();
    assert!(!status.success(), "{}", marathon.program.log_text());
    assert_eq!(ids(&live_tasks(master)), before, "instances go on");
    ensemble.server(0).resume();

    marathon.start_again();
    marathon.await_running("/a", 3);
    assert_eq!(ids(&live_tasks(master)), before, "none was started again");
    marathon.change("PUT", "/v2/apps/a", &json!({"instances": 4}));
    marathon.await_deployments();
    let after = ids(&live_tasks(master));
    assert_eq!(after.len(), 4);
    assert!(before.iter().all(|id| after.contains(id)));
}

/// Names of tasks, in their order.
fn ids(tasks: &[Value]) -> Vec<String> {
    let ids = tasks.iter().map(|task| task["id"].as_str());
    let mut ids: Vec<String> = ids.map(|id| id.expect("an id").to_owned()).collect();
    ids.sort();
    ids
}
