//! The commands about the cluster at a master on standby, which sends them on to the one that leads.
//! What the commands print is tested elsewhere.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::Elected;
use crate::support::cluster::{binary, metric, until};
use crate::support::framework::{Framework, task};

fn command(master: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(binary("tepui"));
    command
        .args(args)
        .env("TEPUI_MASTER", master.to_string())
        .env_remove("TEPUI_MARATHON")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn done(master: SocketAddr, args: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command(master, args).output().expect("tepui");
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert_eq!(status.code(), Some(0), "{args:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn every_noun_works_at_a_master_on_standby() {
    let mut elected = Elected::start(1, 3, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let standby = elected.masters[(leader + 1) % 3].address;
    assert_eq!(metric(standby, "master/elected"), 0.0);
    let mut framework = Framework::simple(elected.masters[leader].address, "worker", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, "echo said; exec sleep 1000")]);
    framework.await_state("t", "TASK_RUNNING");
    let agent = offer["agent_id"]["value"]
        .as_str()
        .expect("an id")
        .to_owned();
    let id = framework.id.clone();
    let schedule = elected.dir.path().join("schedule.json");
    let machine = json!({"hostname": "localhost", "ip": "127.0.0.1"});
    let windows = json!({"windows": [{"machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": 4_000_000_000_000_000_000_u64}}}]});
    std::fs::write(&schedule, windows.to_string()).expect("a schedule");
    let schedule = schedule.display().to_string();

    for (args, expected) in [
        (vec!["agent", "list"], agent.as_str()),
        (vec!["agent", "show", &agent], &agent),
        (vec!["agent", "deactivate", &agent], "is deactivated"),
        (vec!["agent", "reactivate", &agent], "is active again"),
        (vec!["framework", "list"], &id),
        (vec!["framework", "show", "worker"], &id),
        (vec!["task", "list"], "TASK_RUNNING"),
        (vec!["task", "show", "t"], "TASK_RUNNING"),
        (vec!["task", "why", "t"], "TASK_RUNNING"),
        (vec!["role", "list"], "ROLE"),
        (vec!["role", "show", "*"], "weight"),
        (vec!["quota", "set", "web", "--limits", "cpus:1"], "web"),
        (vec!["quota", "get"], "cpus:1"),
        (vec!["quota", "remove", "web"], "web"),
        (vec!["weights", "set", "web=2"], "web"),
        (vec!["weights", "get"], "web"),
        (vec!["maintenance", "schedule", &schedule], ""),
        (vec!["maintenance", "schedule"], "localhost"),
        (vec!["maintenance", "status"], "localhost"),
        (vec!["offer", "list"], ""),
        (vec!["state"], "1 active"),
        (vec!["events"], "TASK "),
        (vec!["why", "--framework", "worker"], "worker"),
        (vec!["version"], "master:"),
    ] {
        let out = done(standby, &args);
        assert!(out.contains(expected), "{args:?}: {out}");
    }
    until("what the task has written", || {
        let out = done(standby, &["task", "logs", "t"]);
        out.contains("said").then_some(())
    });
    let named = format!("--master={standby}");
    let run = ["run", "--name=hello", &named, "--", "echo", "found"];
    assert!(done(standby, &run).contains("found"));
    done(standby, &["framework", "teardown", "worker", "--yes"]);
    framework.end();
    // What is maintained is not drained.
    std::fs::write(&schedule, r#"{"windows": []}"#).expect("a schedule");
    done(standby, &["maintenance", "schedule", &schedule]);
    done(standby, &["agent", "drain", &agent, "--yes"]);
}

#[test]
fn events_are_followed_to_the_next_leader() {
    let mut elected = Elected::start(1, 3, 0);
    let leader = elected.leader();
    let standby = elected.masters[(leader + 1) % 3].address;
    let mut children: Vec<_> = [standby.to_string(), elected.zk.clone()]
        .iter()
        .map(|named| {
            let follow = ["events", "-f", "-o", "json", "--master", named];
            command(standby, &follow).spawn().expect("started")
        })
        .collect();
    let mut streams: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().expect("a pipe")).lines())
        .collect();
    let mut next = |stream: usize| -> Value {
        let line = streams[stream].next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    for stream in 0..2 {
        assert_eq!(next(stream)["type"], "SUBSCRIBED");
    }
    elected.masters[leader].signal(Signal::SIGKILL);
    elected.masters.remove(leader).wait();
    let leader = elected.leader();
    for stream in 0..2 {
        assert_eq!(next(stream)["type"], "SUBSCRIBED");
    }
    let framework = Framework::simple(elected.masters[leader].address, "told", &[]);
    for stream in 0..2 {
        let added = next(stream);
        let told = &added["framework_added"]["framework"]["framework_info"];
        assert_eq!(told["id"]["value"], framework.id.as_str());
    }
    for mut child in children {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}
