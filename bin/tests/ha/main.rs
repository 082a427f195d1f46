//! Several masters, elected through a real ZooKeeper: failover, redirects, lost leadership.
//! The election itself is tested where it is made.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../../../actors/tests/zookeeper/support/mod.rs"]
mod zookeeper;

mod cli;
mod marathon;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use support::cluster::{Program, metric, start_agent_of, start_master_at_zk, until};
use support::framework::{Encoding, Framework, info, task};
use support::http;
use zookeeper::Ensemble;

/// The session timeout of the masters under test: no shorter than a busy machine may pause.
const SESSION: Duration = Duration::from_secs(6);

/// ZooKeeper, masters and agents.
struct Elected {
    masters: Vec<Program>,
    agents: Vec<Program>,
    zk: String,
    dir: tempfile::TempDir,
    ensemble: Ensemble,
}

impl Elected {
    fn start(servers: usize, masters: usize, agents: usize) -> Elected {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let ensemble = runtime.block_on(Ensemble::start(servers));
        let zk = format!("zk://{}/mesos", ensemble.hosts());
        let dir = tempfile::tempdir().expect("directory");
        let mut elected = Elected {
            masters: Vec::new(),
            agents: Vec::new(),
            zk,
            dir,
            ensemble,
        };
        for _ in 0..masters {
            elected.add_master();
        }
        for number in 0..agents {
            let work_dir = elected.dir.path().join(format!("agent-{number}"));
            let agent = start_agent_of(&work_dir, &elected.zk, &["--resources=cpus:4;mem:2048"]);
            elected.agents.push(agent);
        }
        elected
    }

    fn add_master(&mut self) {
        let master = start_master_at_zk(self.dir.path(), &self.zk, SESSION, &[]);
        self.masters.push(master);
    }

    /// The place of the one master that leads and has read its registry.
    fn leader(&mut self) -> usize {
        let masters = &mut self.masters;
        until("a leader", || {
            let leads = |master: &mut Program| {
                !master.has_ended()
                    && http::try_request(master.address, "GET", "/state", &[], &[])
                        .is_ok_and(|answer| answer.status == 200)
            };
            masters.iter_mut().position(leads)
        })
    }

    fn wait_for_agents(&self, leader: usize) {
        let address = self.masters[leader].address;
        until("registered agents", || {
            let connected = metric(address, "master/slaves_connected");
            (connected == self.agents.len() as f64).then_some(())
        });
    }
}

fn durable(name: &str) -> serde_json::Value {
    let mut info = info(name, &["PARTITION_AWARE"]);
    info["failover_timeout"] = json!(3600.0);
    info["checkpoint"] = json!(true);
    info
}

#[test]
fn another_master_takes_over_agents_tasks_and_frameworks() {
    let mut elected = Elected::start(1, 3, 2);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let mut first = Framework::subscribe(
        elected.masters[leader].address,
        Encoding::Json,
        durable("kept"),
    );
    let offer = first.offer();
    first.launch(&offer, &[task("kept", &offer, "sleep 1000")]);
    let running = first.await_state("kept", "TASK_RUNNING");

    elected.masters[leader].signal(Signal::SIGKILL);
    let killed = Instant::now();
    elected.masters.remove(leader).wait();
    let next = elected.leader();
    let outage = killed.elapsed();
    println!("a new leader serves after {outage:?}");
    // What is promised, and what a busy machine may add.
    assert!(outage < SESSION + Duration::from_secs(10), "{outage:?}");
    elected.wait_for_agents(next);

    // Told the way by one that does not lead, as Mesos's libraries are.
    let follower = 1 - next;
    let mut again = durable("kept");
    again["id"] = json!({"value": first.id});
    let address = elected.masters[next].address;
    let answer = http::request(
        elected.masters[follower].address,
        "POST",
        "/api/v1/scheduler",
        &[("Content-Type", "application/json")],
        b"{}",
    );
    assert_eq!(answer.status, 307);
    let location = format!("//localhost:{}/master/api/v1/scheduler", address.port());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let mut second = Framework::subscribe(address, Encoding::Protobuf, again);
    second.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    let known = second.update("kept");
    assert_eq!(known["state"], "TASK_RUNNING");
    assert_eq!(known["agent_id"], running["agent_id"]);
    second.kill("kept");
    second.await_state("kept", "TASK_KILLED");
    let state = http::request(address, "GET", "/state", &[], &[]).json();
    assert_eq!(state["slaves"].as_array().expect("agents").len(), 2);
}

#[test]
fn one_that_does_not_lead_answers_for_itself_and_shows_the_way() {
    let mut elected = Elected::start(1, 2, 0);
    let leader = elected.leader();
    let (leader, follower) = (
        elected.masters[leader].address,
        elected.masters[1 - leader].address,
    );
    let get = |path: &str| http::request(follower, "GET", path, &[], &[]);
    let to_leader = format!("//localhost:{}", leader.port());
    until("the way to the leader", || {
        (get("/redirect").status == 307).then_some(())
    });
    for (path, rest) in [
        ("/redirect", ""),
        ("/master/redirect", ""),
        ("/state", "/master/state"),
        ("/master/state?jsonp=f", "/master/state?jsonp=f"),
        ("/api/v1", "/master/api/v1"),
        ("/", "/"),
        ("/ui/face.json", "/ui/face.json"),
    ] {
        let answer = get(path);
        assert_eq!(answer.status, 307, "{path}");
        let expected = format!("{to_leader}{rest}");
        assert_eq!(answer.header("location"), Some(expected.as_str()), "{path}");
    }
    for path in ["/health", "/version", "/flags", "/metrics/snapshot"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    assert_eq!(get("/nowhere").status, 404);
    assert_eq!(metric(follower, "master/elected"), 0.0);
    assert_eq!(metric(leader, "master/elected"), 1.0);
    let own = http::request(leader, "GET", "/redirect", &[], &[]);
    assert_eq!(own.status, 307);
    assert_eq!(own.header("location"), Some(to_leader.as_str()));
}

#[test]
fn a_leader_out_of_reach_of_zookeeper_ends_and_nobody_leads_meanwhile() {
    let mut elected = Elected::start(1, 2, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    elected.ensemble.server(0).pause();
    let status = elected.masters[leader].wait();
    assert!(!status.success(), "a supervisor must start it again");
    let log = elected.masters[leader].log_text();
    assert!(log.contains("lost leadership"), "{log}");
    let follower = elected.masters[1 - leader].address;
    until("that the other one knows of no leader", || {
        (http::request(follower, "GET", "/state", &[], &[]).status == 503).then_some(())
    });
    elected.ensemble.server(0).resume();
    elected.masters.remove(leader);
    let next = elected.leader();
    elected.wait_for_agents(next);
}

#[test]
fn a_leader_that_is_writing_its_registry_ends_too_when_zookeeper_is_out_of_reach() {
    let mut elected = Elected::start(1, 0, 0);
    let (dir, zk) = (elected.dir.path().to_owned(), elected.zk.clone());
    let flags = ["--registry_store_timeout=12secs"];
    let master = start_master_at_zk(&dir, &zk, SESSION, &flags);
    let address = master.address;
    elected.masters.push(master);
    elected.leader();
    elected.ensemble.server(0).pause();
    // That this agent is admitted cannot be stored.
    let _agent = start_agent_of(&dir.join("agent"), &address.to_string(), &[]);
    until("a write that has begun", || {
        (metric(address, "registrar/queued_operations") == 1.0).then_some(())
    });
    let status = elected.masters[0].wait();
    assert!(!status.success(), "a supervisor must start it again");
    let log = elected.masters[0].log_text();
    assert!(log.contains("lost leadership"), "{log}");
    elected.ensemble.server(0).resume();
}

#[test]
fn a_clean_end_lets_the_next_one_lead_at_once_and_the_registry_outlives_all() {
    let mut elected = Elected::start(1, 1, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let agents = |address| {
        let state = http::request(address, "GET", "/state", &[], &[]).json();
        let all = state["slaves"].as_array().expect("agents").clone();
        all.iter()
            .map(|agent| agent["id"].clone())
            .collect::<Vec<_>>()
    };
    let before = agents(elected.masters[0].address);
    elected.masters[0].signal(Signal::SIGTERM);
    let ended = Instant::now();
    assert!(elected.masters[0].wait().success());
    elected.masters.clear();
    elected.add_master();
    let leader = elected.leader();
    assert!(
        ended.elapsed() < SESSION,
        "the node of the one that ended was in the way"
    );
    let address = elected.masters[leader].address;
    // The registry is in ZooKeeper: the new master knows the agent before it is back, or it is.
    let state = http::request(address, "GET", "/state", &[], &[]).json();
    let known = ["slaves", "recovered_slaves"]
        .iter()
        .map(|list| state[list].as_array().expect("agents").len());
    assert_eq!(known.sum::<usize>(), 1);
    elected.wait_for_agents(leader);
    assert_eq!(agents(address), before, "the agent kept its id");
}

#[test]
fn a_command_finds_the_leader_through_zookeeper() {
    let mut elected = Elected::start(1, 2, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let mut command = std::process::Command::new(support::cluster::binary("tepui"));
    command
        .args(["run", "--name=hello", "--master", &elected.zk])
        .args(["--resources=cpus:0.1;mem:32", "--", "echo", "found"])
        .current_dir(Path::new("/"));
    let output = command.output().expect("tepui");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("found"),
        "{output:?}"
    );
}

#[test]
fn a_command_and_its_task_outlive_the_leader() {
    use std::io::Read;
    let mut elected = Elected::start(1, 2, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let dir = tempfile::tempdir().expect("directory");
    let go = dir.path().join("go");
    let wait = format!(
        "echo begun; while [ ! -e {0} ]; do sleep 0.1; done; echo ended; exit 7",
        go.display()
    );
    let mut command = std::process::Command::new(support::cluster::binary("tepui"));
    command
        .args(["run", "--name=kept", "--master", &elected.zk])
        .args(["--resources=cpus:0.1;mem:32", "--", "sh", "-c", &wait])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("tepui");
    let address = elected.masters[leader].address;
    until("the running task", || {
        (metric(address, "master/tasks_running") == 1.0).then_some(())
    });
    elected.masters[leader].signal(Signal::SIGKILL);
    elected.masters.remove(leader).wait();
    let next = elected.leader();
    elected.wait_for_agents(next);
    let address = elected.masters[next].address;
    until("the framework at the next leader", || {
        (metric(address, "master/frameworks_active") == 1.0).then_some(())
    });
    std::fs::write(&go, "").expect("file");
    let status = until("the end of the command", || child.try_wait().expect("wait"));
    let (mut said, mut told) = (String::new(), String::new());
    let streams = (child.stdout.as_mut(), child.stderr.as_mut());
    let (Some(stdout), Some(stderr)) = streams else {
        panic!("both are piped");
    };
    stdout.read_to_string(&mut said).expect("output");
    stderr.read_to_string(&mut told).expect("output");
    assert_eq!(status.code(), Some(7), "{told}");
    assert_eq!(said, "begun\nended\n", "{told}");
    assert!(told.contains("lost the master"), "{told}");
}
