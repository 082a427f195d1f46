//! `tepui local` and `tepui run` as a user meets them: real programs on free ports.
//! What master and agent do in detail is tested elsewhere.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A local cluster, ended when dropped.
struct Local {
    process: Child,
    master: String,
    dir: PathBuf,
}

impl Local {
    /// Starts a cluster with one agent and waits until it says that it is ready.
    fn start() -> Self {
        let mut process = tepui(&[
            "local",
            "--port",
            "0",
            "--agent-port",
            "0",
            "--marathon-port",
            "0",
        ])
        .args(["--resources", "cpus:2;mem:256"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tepui local starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        // The output ends when the program fails, so this ends in any case.
        for line in lines.by_ref().map_while(Result::ok) {
            said.push(line);
            if said.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
                break;
            }
        }
        let after = |start: &str| {
            let found = said.iter().find_map(|line| line.strip_prefix(start));
            found
                .unwrap_or_else(|| panic!("no '{start}' in {said:?}"))
                .trim()
                .to_owned()
        };
        let master = after("master ").trim_start_matches("http://").to_owned();
        let dir = PathBuf::from(after("state, logs and sandboxes are in "));
        Local {
            process,
            master,
            dir,
        }
    }

    fn run(&self, args: &[&str]) -> Command {
        let mut command = tepui(&[
            "run",
            "--master",
            &self.master,
            "--resources",
            "cpus:1;mem:64",
        ]);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.run(args).output().expect("tepui run starts")
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tepui(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tepui"));
    command.args(args).env_remove("TEPUI_MASTER");
    command
}

fn signal(process: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a small number"));
    kill(pid, signal).expect("the process runs");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_command_runs_on_a_local_cluster_with_its_output_and_status() {
    let mut local = Local::start();

    let script = "echo \"out $A\"; echo err >&2; exit 3";
    let done = local.output(&[
        "--name", "a task", "--env", "A=x y", "--", "sh", "-c", script,
    ]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert_eq!(text(&done.stdout), "out x y\n", "{said}");
    assert!(said.lines().any(|line| line == "err"), "{said}");
    assert!(
        said.contains("TASK_RUNNING") && said.contains("TASK_FAILED"),
        "{said}"
    );

    let killed = local.output(&["--name", "signal", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(
        killed.status.code(),
        Some(128 + 9),
        "{}",
        text(&killed.stderr)
    );

    signal(&local.process, Signal::SIGTERM);
    assert_eq!(local.process.wait().expect("it ends").code(), Some(0));
    assert!(!local.dir.exists(), "a temporary directory is removed");
    assert!(
        std::net::TcpStream::connect(&local.master).is_err(),
        "the master has ended"
    );
}

#[test]
fn an_interrupt_kills_the_task_and_the_end_of_the_cluster_ends_everything() {
    let mut local = Local::start();
    let script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.05; done";

    let mut run = local
        .run(&["--name", "t", "--", "sh", "-c", script])
        .spawn()
        .expect("started");
    let mut out = BufReader::new(run.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("output");
    assert_eq!(line, "ready\n");
    signal(&run, Signal::SIGINT);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("output");
    let ended = run.wait_with_output().expect("it ends");
    assert_eq!(rest, "told\n", "{}", text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(7), "{}", text(&ended.stderr));

    signal(&local.process, Signal::SIGINT);
    assert_eq!(local.process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn errors_tell_what_to_do() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = free.local_addr().expect("an address");
    let port = taken.port().to_string();
    let local = tepui(&["local", "--no-marathon", "--port", &port])
        .output()
        .expect("started");
    assert_eq!(local.status.code(), Some(1));
    let said = text(&local.stderr);
    assert!(said.contains(&port) && said.contains("--port"), "{said}");

    drop(free);
    let run = tepui(&[
        "run",
        "--master",
        &taken.to_string(),
        "--name",
        "x",
        "--",
        "true",
    ]);
    let run = { run }.output().expect("started");
    assert_eq!(run.status.code(), Some(1));
    let said = text(&run.stderr);
    assert!(
        said.contains("tepui local") && said.contains("--master"),
        "{said}"
    );

    let local = tepui(&[
        "local",
        "--no-marathon",
        "--port",
        "0",
        "--agent-port",
        "0",
        "--resources",
        "cpus:x",
    ]);
    let local = { local }.output().expect("started");
    assert_eq!(local.status.code(), Some(1));
    let said = text(&local.stderr);
    assert!(
        said.contains("agent-1 has ended") && said.contains("--resources"),
        "{said}"
    );
    let kept = said
        .lines()
        .find_map(|line| line.split(" are kept in ").nth(1));
    std::fs::remove_dir_all(kept.expect("logs are kept")).expect("the directory of the logs");
}
