//! The commands about the cluster as a user meets them: the program, a real master, real agents.
//! What the master decides is tested elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary, start_master, start_master_at, until};
use crate::support::framework::{Framework, info, task};

/// The command line of one user, who has a directory for settings.
struct User {
    master: String,
    dir: tempfile::TempDir,
}

/// What a command has printed, and how it ended.
#[derive(Debug)]
struct Done {
    status: Option<i32>,
    out: String,
    err: String,
}

impl User {
    fn of(master: SocketAddr) -> User {
        User {
            master: master.to_string(),
            dir: tempfile::tempdir().expect("a directory"),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("tepui"));
        command
            .args(args)
            .env("TEPUI_MASTER", &self.master)
            .env("XDG_CONFIG_HOME", self.dir.path())
            .env_remove("TEPUI_MARATHON")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        finished(self.command(args), "")
    }

    /// Runs a command that must succeed; gives what it printed.
    fn out(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.status, Some(0), "{args:?}: {done:?}");
        done.out
    }

    /// The JSON that a command prints.
    fn json(&self, args: &[&str]) -> Value {
        let out = self.out(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// Runs a command that must fail with this status, and say all of this.
    fn fails(&self, args: &[&str], status: i32, texts: &[&str]) {
        let done = self.run(args);
        assert_eq!(done.status, Some(status), "{args:?}: {done:?}");
        assert_eq!(done.out, "", "{args:?}");
        for text in texts {
            assert!(done.err.contains(text), "{args:?}: no '{text}' in {done:?}");
        }
    }
}

fn finished(mut command: Command, input: &str) -> Done {
    let mut child = command.spawn().expect("tepui starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that reads no input may have ended already; what it did is in its output.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Done {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The lines of a table below its names.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().skip(1);
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// The ids of the agents, as the command line lists them.
fn agents(user: &User) -> Vec<String> {
    let agents = user.json(&["agent", "list"]);
    let agents = agents["agents"].as_array().expect("a list").iter();
    let id = |agent: &Value| {
        agent["agent_info"]["id"]["value"]
            .as_str()
            .map(str::to_owned)
    };
    agents.map(|agent| id(agent).expect("an id")).collect()
}

#[test]
fn agents_are_listed_drained_taken_back_and_declared_gone() {
    let cluster = Cluster::start(2);
    let user = User::of(cluster.master.address);
    let ids = agents(&user);
    let table = user.out(&["agent", "list"]);
    assert!(
        table.starts_with("ID ") && !table.contains('\x1b'),
        "{table}"
    );
    for row in rows(&table) {
        assert!(ids.iter().any(|id| id == row[0]), "{row:?}");
        assert_eq!(&row[1..5], ["localhost", "active", "0/4", "0/2048"]);
    }
    let wide = user.out(&["agent", "list", "-o", "wide"]);
    assert!(
        wide.contains("ATTRIBUTES") && wide.contains("rack:r1"),
        "{wide}"
    );
    let yaml = user.out(&["agent", "show", &ids[0], "-o", "yaml"]);
    assert!(
        yaml.contains("agent_info:\n") && yaml.contains(&ids[0]),
        "{yaml}"
    );
    let shown = user.out(&["agent", "show", &ids[0]]);
    assert!(
        shown.contains("state:") && shown.contains("cpus:4"),
        "{shown}"
    );

    // Both have the same beginning, and the same hostname.
    let both = [ids[0].as_str(), ids[1].as_str(), "2 agents"];
    user.fails(&["agent", "show", "localhost"], 1, &both);
    user.fails(&["agent", "show", &ids[0][..8]], 1, &both);
    user.fails(
        &["agent", "drain", "nobody"],
        1,
        &["no agent 'nobody'", "tepui agent list"],
    );

    let state = |index: usize| {
        let table = user.out(&["agent", "list"]);
        let row = rows(&table).into_iter().find(|row| row[0] == ids[index]);
        row.expect("the agent")[2].to_owned()
    };
    let drain = ["agent", "drain", &ids[0], "--max-grace-period", "30s"];
    assert!(user.out(&drain).contains("is draining"));
    until("the end of the drain", || {
        (state(0) == "drained").then_some(())
    });
    let info = user.json(&["agent", "show", &ids[0]]);
    let longest = &info["drain_info"]["config"]["max_grace_period"];
    assert_eq!(longest["nanoseconds"], 30_000_000_000_i64);
    user.out(&["agent", "reactivate", &ids[0]]);
    assert_eq!(state(0), "active");
    user.out(&["agent", "deactivate", &ids[1]]);
    assert_eq!(state(1), "deactivated");

    for args in [
        &["agent", "gone", &ids[1]][..],
        &["agent", "drain", &ids[1], "--gone"],
    ] {
        user.fails(args, 2, &["--yes", "never let in again"]);
    }
    assert_eq!(agents(&user).len(), 2, "nothing was done");
    user.out(&["agent", "gone", &ids[1], "--yes"]);
    until("its end", || (agents(&user).len() == 1).then_some(()));
    // Now that one is left, its hostname is enough.
    user.out(&["agent", "drain", "localhost", "--gone", "--yes"]);
    until("its end", || agents(&user).is_empty().then_some(()));
    assert_eq!(user.out(&["agent", "list"]), "there are no agents\n");
}

#[test]
fn frameworks_and_tasks_are_shown_explained_and_ended() {
    let cluster = Cluster::start(1);
    let user = User::of(cluster.master.address);
    let mut framework = Framework::simple(cluster.master.address, "batch", &[]);
    let offer = framework.offer();
    let offers = user.json(&["offer", "list"]);
    assert_eq!(offers["offers"][0]["id"], offer["id"]["value"]);
    assert!(user.out(&["offer", "list"]).contains("batch"));
    let runs = "echo one; echo two; echo wrong >&2; exec sleep 1000";
    let tasks = [
        task("runs-1", &offer, runs),
        task("fails-1", &offer, "exit 7"),
    ];
    framework.launch(&offer, &tasks);
    framework.await_state("runs-1", "TASK_RUNNING");
    framework.await_state("fails-1", "TASK_FAILED");

    let listed = user.json(&[
        "task",
        "list",
        "--framework",
        "batch",
        "--state",
        "TASK_RUNNING",
    ]);
    assert_eq!(listed["tasks"][0]["task_id"]["value"], "runs-1");
    let agent = agents(&user).remove(0);
    until("the end of the other task", || {
        let table = user.out(&["task", "list", "--agent", &agent[..10]]);
        (rows(&table).len() == 1 && table.contains("TASK_RUNNING")).then_some(())
    });
    let all = user.out(&["task", "list", "--completed", "-o", "wide"]);
    assert!(
        all.contains("TASK_FAILED") && all.contains(&framework.id),
        "{all}"
    );
    let shown = user.out(&["task", "show", "fails"]);
    assert!(shown.contains("Command exited with status 7"), "{shown}");
    let why = user.out(&["task", "why", "fails-1"]);
    assert!(why.contains("it failed; its sandbox tells more"), "{why}");
    let why = ["why", "--framework", "batch", "--task", "runs-1"];
    assert_eq!(user.json(&why)["state"], "TASK_RUNNING");
    user.fails(
        &["why", "--framework", "batch", "--task", "x"],
        1,
        &["404", "no task 'x'"],
    );
    user.fails(&["task", "show", "x"], 1, &["no task 'x'", "--completed"]);
    user.fails(
        &["task", "kill", "runs"],
        1,
        &[
            "batch",
            &format!("tepui framework teardown {}", framework.id),
        ],
    );

    let reasons = user.json(&["why", "--framework", &framework.id[..12]]);
    let told = &reasons["frameworks"][0];
    assert_eq!(told["name"], "batch");
    let name = told["roles"][0]["reasons"][0]["reason"]
        .as_str()
        .expect("a reason");
    let words = user.out(&["why", "--role", "*", "-o", "wide"]);
    assert!(words.contains(name) && words.contains("FREE"), "{words}");

    let framework_shown = user.out(&["framework", "show", "batch"]);
    assert!(framework_shown.contains("runs-1"), "{framework_shown}");
    assert!(!framework_shown.contains("fails-1"), "{framework_shown}");
    user.fails(
        &["framework", "teardown", "batch"],
        2,
        &["--yes", "are killed"],
    );
    user.out(&["framework", "teardown", "batch", "--yes"]);
    assert_eq!(
        user.out(&["framework", "list"]),
        "there are no frameworks\n"
    );
    let ended = user.out(&["framework", "list", "--completed"]);
    assert_eq!(rows(&ended)[0][1..3], ["batch", "completed"], "{ended}");
    let shown = user.json(&["framework", "show", "batch"]);
    assert_eq!(shown["framework_info"]["name"], "batch");
}

#[test]
fn what_a_task_writes_is_read_and_followed_to_its_end() {
    let cluster = Cluster::start(1);
    let user = User::of(cluster.master.address);
    let mut framework = Framework::simple(cluster.master.address, "writer", &[]);
    let offer = framework.offer();
    let writes = "echo one; echo two; echo wrong >&2; exec sleep 1000";
    framework.launch(&offer, &[task("t", &offer, writes)]);
    framework.await_state("t", "TASK_RUNNING");
    until("what it writes", || {
        (user.out(&["task", "logs", "t"]) == "one\ntwo\n").then_some(())
    });
    assert_eq!(user.out(&["task", "logs", "t", "-n", "1"]), "two\n");
    until("its errors", || {
        (user.out(&["task", "logs", "t", "--stderr"]) == "wrong\n").then_some(())
    });
    let mut follow = user
        .command(&["task", "logs", "t", "-f"])
        .spawn()
        .expect("started");
    let mut out = BufReader::new(follow.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "one\n");
    framework.accepted(json!({"type": "KILL", "kill": {"task_id": {"value": "t"}}}));
    framework.await_state("t", "TASK_KILLED");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert!(rest.starts_with("two\n"), "{rest}");
    let ended = follow.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");
    user.fails(&["task", "logs", "other"], 1, &["no task 'other'"]);
}

#[test]
fn quota_and_weights_are_set_shown_and_refused() {
    let cluster = Cluster::start(1);
    let user = User::of(cluster.master.address);
    assert_eq!(user.out(&["quota", "get"]), "no role has a quota\n");
    let set = [
        "quota",
        "set",
        "web",
        "--guarantees",
        "cpus:1;mem:64",
        "--limits",
        "cpus:2",
    ];
    assert_eq!(
        user.out(&set),
        "role web is guaranteed cpus:1; mem:64 and limited to cpus:2\n"
    );
    let quota = user.json(&["quota", "get", "web"]);
    assert_eq!(quota["guarantees"]["mem"]["value"], 64.0);
    let table = user.out(&["quota", "get"]);
    assert!(table.contains("web   cpus:1; mem:64  cpus:2"), "{table}");
    let huge = ["quota", "set", "web", "--guarantees", "cpus:1000"];
    user.fails(&huge, 1, &["refused (400)", "guarantees"]);
    user.out(&[&huge[..], &["--force"]].concat());
    user.fails(
        &["quota", "set", "web", "--limits", "all"],
        2,
        &["expected name:amount"],
    );

    assert_eq!(
        user.out(&["weights", "get"]),
        "no weights are set; all are 1\n"
    );
    user.out(&["weights", "set", "web=2.5", "batch=0.5"]);
    assert_eq!(
        rows(&user.out(&["weights", "get", "web"])),
        [["web", "2.5"]]
    );
    assert_eq!(rows(&user.out(&["weights", "get"])).len(), 2);
    user.fails(
        &["weights", "set", "web=0"],
        1,
        &["Weights must be positive"],
    );

    let roles = user.out(&["role", "list"]);
    assert!(
        rows(&roles).iter().any(|row| row[..2] == ["web", "2.5"]),
        "{roles}"
    );
    let role = user.json(&["role", "show", "web"]);
    assert_eq!(role["quota"]["guarantees"]["cpus"]["value"], 1000.0);
    let shown = user.out(&["role", "show", "web"]);
    assert!(shown.contains("cpus:1000"), "{shown}");
    user.fails(&["role", "show", "none"], 1, &["no role 'none'"]);
    user.out(&["quota", "remove", "web"]);
    user.fails(&["quota", "get", "web"], 1, &["has no quota"]);
}

#[test]
fn a_machine_is_scheduled_taken_down_and_up() {
    let mut cluster = Cluster::start(1);
    let user = User::of(cluster.master.address);
    let status = ["maintenance", "status"];
    assert_eq!(user.out(&status), "no machine is maintained\n");
    user.fails(
        &["maintenance", "down", "localhost", "--yes"],
        1,
        &["is not scheduled"],
    );
    let schedule = json!({"windows": [{"machine_ids": [{"hostname": "localhost",
        "ip": "127.0.0.1"}], "unavailability": {"start": {"nanoseconds": 1_000_000_000_i64},
        "duration": {"nanoseconds": 3_600_000_000_000_i64}}}]});
    let set = || user.command(&["maintenance", "schedule", "-"]);
    let done = finished(set(), &schedule.to_string());
    assert_eq!(done.status, Some(0), "{done:?}");
    let wrong = finished(set(), "{\"window\": []}");
    assert!(
        wrong.status == Some(2) && wrong.err.contains("windows"),
        "{wrong:?}"
    );
    let shown = user.json(&["maintenance", "schedule"]);
    assert_eq!(shown["schedule"]["windows"], schedule["windows"]);
    let table = user.out(&["maintenance", "schedule"]);
    assert_eq!(rows(&table)[0][..2], ["localhost", "127.0.0.1"], "{table}");
    assert_eq!(
        rows(&user.out(&status)),
        [["localhost", "127.0.0.1", "draining"]]
    );
    user.fails(&["maintenance", "up", "localhost"], 1, &["is not down"]);
    user.fails(&["maintenance", "down", "localhost"], 2, &["--yes"]);
    user.out(&["maintenance", "down", "localhost", "--yes"]);
    assert_eq!(
        rows(&user.out(&status)),
        [["localhost", "127.0.0.1", "down"]]
    );
    until("the end of the agent", || {
        cluster.agents[0].has_ended().then_some(())
    });
    user.out(&["maintenance", "up", "127.0.0.1"]);
    assert_eq!(user.out(&status), "no machine is maintained\n");
    assert_eq!(
        user.out(&["maintenance", "schedule"]),
        "no maintenance is scheduled\n"
    );
}

#[test]
fn the_state_and_what_happens_are_told() {
    let cluster = Cluster::start(1);
    let user = User::of(cluster.master.address);
    let state = user.out(&["state"]);
    assert!(state.contains("agents:      1 active"), "{state}");
    assert!(state.contains("cpus      0/4"), "{state}");
    let whole = user.json(&["state"]);
    let agents = &whole["get_state"]["get_agents"]["agents"];
    assert_eq!(agents.as_array().map(Vec::len), Some(1));

    let there = user.out(&["events"]);
    assert!(
        there.starts_with("AGENT ") && there.ends_with("on localhost\n"),
        "{there}"
    );
    let mut child = user
        .command(&["events", "-f", "-o", "json", "--give-up-after", "1s"])
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(next()["type"], "SUBSCRIBED");
    let framework = Framework::subscribe(
        cluster.master.address,
        crate::support::framework::Encoding::Json,
        info("told", &[]),
    );
    let added = next();
    let told = &added["framework_added"]["framework"]["framework_info"];
    assert_eq!(told["id"]["value"], framework.id.as_str());
    // Whoever follows hears that the master has gone, not silence.
    drop(cluster);
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("; connecting again\n"), "{said}");
    assert!(
        said.contains("no master was reached again within 1 s"),
        "{said}"
    );
}

#[test]
fn events_are_followed_beyond_the_end_of_a_master() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut master = start_master(dir.path(), &[]);
    let user = User::of(master.address);
    let mut child = user.command(&["events", "-f"]).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "SUBSCRIBED         to an empty cluster");
    let port = master.address.port();
    master.signal(Signal::SIGKILL);
    master.wait();
    let again = start_master_at(port, dir.path(), &[]);
    assert_eq!(next(), "SUBSCRIBED         to an empty cluster");
    let framework = Framework::simple(again.address, "told", &[]);
    assert!(next().starts_with("FRAMEWORK_ADDED"));
    // Whoever reads no more ends it without a complaint.
    drop(lines);
    drop(framework);
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(
        said.contains("; connecting again\ntepui: connected again; what"),
        "{said}"
    );
    user.fails(&["events", "--give-up-after", "1s"], 2, &["--follow"]);
}

/// A master on standby, which sends everybody on to the one that leads.
fn standby(leader: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(socket);
            let (mut first, mut length) = (String::new(), 0);
            let _ = reader.read_line(&mut first);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let path = first.split(' ').nth(1).unwrap_or("/");
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: //{leader}/master{path}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn masters_are_named_in_many_ways_and_found_behind_those_on_standby() {
    let cluster = Cluster::start(1);
    let leader = cluster.master.address;
    let user = User::of(standby(leader));
    assert_eq!(agents(&user).len(), 1);
    user.out(&["weights", "set", "web=2"]);
    assert_eq!(rows(&user.out(&["weights", "get"])), [["web", "2"]]);
    assert!(user.out(&["events"]).starts_with("AGENT "));
    assert_eq!(user.json(&["offer", "list"])["offers"], json!([]));

    let nobody = "127.0.0.1:1";
    let user = User::of(leader);
    let elsewhere = ["agent", "list", "--master", nobody];
    user.fails(
        &elsewhere,
        3,
        &[nobody, "Connection refused", "TEPUI_MASTER"],
    );
    user.fails(
        &["state", "--master", "no address"],
        2,
        &["expected host:port"],
    );
    let version = user.out(&["version"]);
    assert!(
        version.starts_with("tepui ") && version.contains("master:"),
        "{version}"
    );

    let unset = |args: &[&str]| {
        let mut command = user.command(args);
        command.env_remove("TEPUI_MASTER");
        finished(command, "")
    };
    let version = unset(&["version"]);
    assert_eq!(version.out.lines().count(), 1, "{version:?}");
    let dir = user.dir.path().join("tepui");
    std::fs::create_dir(&dir).expect("a directory");
    let settings = dir.join("config.toml");
    std::fs::write(&settings, format!("master = \"http://{leader}\"\n")).expect("written");
    assert_eq!(unset(&["agent", "list"]).status, Some(0));
    assert_eq!(unset(&elsewhere).status, Some(3), "an option counts more");
    std::fs::write(&settings, format!("master = \"{nobody}\"\n")).expect("written");
    assert_eq!(unset(&["agent", "list"]).status, Some(3));
    user.out(&["agent", "list"]);
    std::fs::write(&settings, "mister = \"h\"\n").expect("written");
    let wrong = unset(&["agent", "list"]);
    assert!(
        wrong.status == Some(2) && wrong.err.contains("config.toml is wrong"),
        "{wrong:?}"
    );
}

#[test]
fn shells_are_given_completions() {
    let user = User::of(SocketAddr::from(([127, 0, 0, 1], 1)));
    for (shell, text) in [
        ("bash", "complete -F _tepui"),
        ("zsh", "#compdef tepui"),
        ("fish", "complete -c tepui"),
    ] {
        let script = user.out(&["completions", shell]);
        assert!(
            script.contains(text) && script.contains("maintenance"),
            "{shell}"
        );
    }
    user.fails(&["completions", "csh"], 2, &["bash"]);
}
