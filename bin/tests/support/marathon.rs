//! Starts real app managers and drives them over Marathon's API.
//! Knows of tasks only what the API and the master tell.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::cluster::{Program, marathon_command, start_marathon_at, until};
use super::http::{self, Response};

/// Time between the end of a process and the start of the next, as a supervisor would have it.
const RESTART_PAUSE: Duration = Duration::from_millis(20);

/// An app manager with its state in a directory, so that it can be killed and started again.
pub struct Marathon {
    pub program: Program,
    master: String,
    dir: PathBuf,
    flags: Vec<String>,
}

impl Marathon {
    /// Starts one at a master, with its state below `dir`, and waits until it leads.
    pub fn start(dir: &Path, master: SocketAddr, flags: &[&str]) -> Marathon {
        let work_dir = dir.join("marathon");
        std::fs::create_dir_all(&work_dir).expect("a directory");
        let state = format!("--work_dir={}", work_dir.display());
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        flags.push(state);
        Marathon::of(&work_dir, &master.to_string(), flags)
    }

    /// Starts one with its state in ZooKeeper; it may follow another one.
    pub fn start_at_zk(dir: &Path, master: &str, zk: &str, flags: &[&str]) -> Marathon {
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        flags.push(format!("--zk={zk}"));
        Marathon::of(dir, master, flags)
    }

    fn of(dir: &Path, master: &str, flags: Vec<String>) -> Marathon {
        Marathon {
            program: start_marathon_at(0, dir, master, &flags),
            master: master.to_owned(),
            dir: dir.to_owned(),
            flags,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.program.signal(Signal::SIGKILL);
        self.program.wait();
    }

    /// Starts it again after it has ended, where it was.
    pub fn start_again(&mut self) {
        std::thread::sleep(RESTART_PAUSE);
        let port = self.address().port();
        self.program = start_marathon_at(port, &self.dir, &self.master, &self.flags);
    }

    /// Starts it again and waits until it ends by itself; gives its exit code and what it said.
    pub fn run_to_its_end(&self) -> (Option<i32>, String) {
        let output = marathon_command(0, &self.master, &self.flags).output();
        let output = output.expect("started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        self.try_send(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn try_send(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Response> {
        let headers = [("Content-Type", "application/json")];
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        http::try_request(self.address(), method, path, &headers, body.as_bytes())
    }

    /// A change that must be accepted; gives the answer.
    pub fn change(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body);
        assert!(
            matches!(answer.status, 200 | 201),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        answer.json()
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// An app, if there is one.
    pub fn app(&self, id: &str) -> Option<Value> {
        let answer = self.send("GET", &format!("/v2/apps{id}"), &Value::Null);
        (answer.status == 200).then(|| answer.json()["app"].clone())
    }

    /// Waits until no deployment is under way.
    pub fn await_deployments(&self) {
        until("the end of all deployments", || {
            let deployments = self.get("/v2/deployments");
            (deployments == json!([])).then_some(())
        });
    }

    /// Waits until an app has so many running tasks.
    pub fn await_running(&self, id: &str, count: usize) {
        until("running tasks", || {
            let app = self.app(id)?;
            (app["tasksRunning"] == count).then_some(())
        });
    }
}

/// The tasks of all frameworks that a master has not seen the end of, by state.
pub fn live_tasks(master: SocketAddr) -> Vec<Value> {
    let state = http::request(master, "GET", "/state", &[], &[]).json();
    let frameworks = state["frameworks"].as_array().expect("frameworks").iter();
    let tasks = frameworks.flat_map(|it| it["tasks"].as_array().expect("tasks").clone());
    tasks.collect()
}

/// How many of these tasks run.
pub fn running(tasks: &[Value]) -> usize {
    let running = tasks.iter().filter(|it| it["state"] == "TASK_RUNNING");
    running.count()
}
