//! An app manager that is killed with -9 in the middle of what it does: nothing is lost or doubled,
//! and deployments go on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::http;
use crate::support::marathon::{Marathon, live_tasks, running};

const CREATE: &str = "/v2/apps";
const APP: &str = "/v2/apps/a";

/// Times after which it is killed, counted from the answer to the change or from its new start:
/// before, within and after what a step needs.
const KILLS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(15),
    Duration::from_millis(60),
    Duration::from_millis(150),
    Duration::from_millis(400),
];

fn app(instances: u32, cmd: &str) -> Value {
    json!({
        "id": "/a", "cmd": cmd, "instances": instances, "cpus": 0.1, "mem": 8,
        "backoffSeconds": 0, "portDefinitions": [],
    })
}

/// How many tasks there may be, and must run, at any moment.
struct Bounds {
    most: usize,
    least_running: usize,
}

struct Scene {
    cluster: Cluster,
    marathon: Marathon,
}

impl Scene {
    fn start() -> Scene {
        let cluster = Cluster::start(1);
        let master = cluster.master.address;
        // So that many kills fit into a short test.
        let flags = ["--min_revive_offers_interval=100"];
        let marathon = Marathon::start(cluster.dir.path(), master, &flags);
        Scene { cluster, marathon }
    }

    fn check(&self, bounds: &Bounds) -> Vec<Value> {
        let tasks = live_tasks(self.cluster.master.address);
        assert!(
            tasks.len() <= bounds.most,
            "{} tasks: {tasks:#?}",
            tasks.len()
        );
        let running = running(&tasks);
        assert!(running >= bounds.least_running, "{running} run: {tasks:#?}");
        tasks
    }

    /// Makes a change, kills the app manager again and again, and waits for the deployment's end.
    fn change(&mut self, method: &str, path: &str, body: &Value, bounds: &Bounds) {
        self.marathon.change(method, path, body);
        for after in KILLS {
            std::thread::sleep(after);
            self.marathon.kill();
            self.check(bounds);
            self.marathon.start_again();
        }
        until("the deployment's end", || {
            self.check(bounds);
            (self.marathon.get("/v2/deployments") == json!([])).then_some(())
        });
    }

    /// The tasks that run are those that are wanted, for master and app manager.
    fn settled(&self, count: usize, command: &str) {
        let tasks = until("no other tasks", || {
            let tasks = live_tasks(self.cluster.master.address);
            (tasks.len() == count && running(&tasks) == count).then_some(tasks)
        });
        let app = self.marathon.app("/a").expect("the app");
        assert_eq!(app["cmd"], command);
        assert_eq!(app["tasksRunning"], count, "{app:#}");
        let mut known: Vec<&Value> = tasks.iter().map(|task| &task["id"]).collect();
        known.sort_by_key(|id| id.as_str());
        let listed = app["tasks"].as_array().expect("tasks");
        let mut listed: Vec<&Value> = listed.iter().map(|task| &task["id"]).collect();
        listed.sort_by_key(|id| id.as_str());
        assert_eq!(known, listed);
    }
}

#[test]
fn killed_at_any_moment_of_any_deployment_nothing_is_lost_or_doubled() {
    let mut scene = Scene::start();
    let up_to = |most, least_running| Bounds {
        most,
        least_running,
    };
    scene.change("POST", CREATE, &app(4, "exec sleep 1000"), &up_to(4, 0));
    scene.settled(4, "exec sleep 1000");
    scene.change("PATCH", APP, &json!({"instances": 6}), &up_to(6, 4));
    scene.settled(6, "exec sleep 1000");
    // Twice as many at most while both run, never fewer than wanted.
    let next = json!({"cmd": "exec sleep 2000"});
    scene.change("PATCH", APP, &next, &up_to(12, 6));
    scene.settled(6, "exec sleep 2000");
    scene.change("POST", "/v2/apps/a/restart", &json!({}), &up_to(12, 6));
    scene.settled(6, "exec sleep 2000");
    scene.change("PATCH", APP, &json!({"instances": 2}), &up_to(6, 2));
    scene.settled(2, "exec sleep 2000");
    scene.change("DELETE", APP, &Value::Null, &up_to(2, 0));
    until("no tasks", || {
        live_tasks(scene.cluster.master.address)
            .is_empty()
            .then_some(())
    });
    assert_eq!(scene.marathon.app("/a"), None);
    let state = http::request(scene.cluster.master.address, "GET", "/state", &[], &[]).json();
    assert_eq!(state["frameworks"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["completed_frameworks"], json!([]));
}

#[test]
fn killed_while_a_request_is_on_its_way_it_is_done_whole_or_not_at_all() {
    let mut scene = Scene::start();
    let bounds = Bounds {
        most: 20,
        least_running: 0,
    };
    let group = json!({"id": "/g", "apps": (0..10).map(|at| json!({
        "id": format!("a{at}"), "cmd": "exec sleep 1000", "instances": 2, "cpus": 0.01, "mem": 1,
        "portDefinitions": [],
    })).collect::<Vec<_>>()});
    let mut answered = false;
    for after in (0..6).map(|at| Duration::from_millis(at * 4)) {
        let marathon = &scene.marathon;
        answered |= std::thread::scope(|scope| {
            let sent = scope.spawn(|| marathon.try_send("PUT", "/v2/groups/g", &group));
            std::thread::sleep(after);
            marathon.program.signal(nix::sys::signal::Signal::SIGKILL);
            let answer = sent.join().expect("no panic");
            answer.is_ok_and(|it| matches!(it.status, 200 | 201))
        });
        scene.marathon.program.wait();
        scene.marathon.start_again();
        let apps = scene.marathon.get("/v2/apps?id=/g");
        let count = apps["apps"].as_array().expect("apps").len();
        assert!(
            count == 10 || (count == 0 && !answered),
            "{count} apps, {answered}"
        );
        scene.check(&bounds);
    }
    if scene.marathon.app("/g/a0").is_none() {
        scene.marathon.change("PUT", "/v2/groups/g", &group);
    }
    scene.marathon.await_deployments();
    let tasks = scene.check(&bounds);
    assert_eq!(running(&tasks), 20);
}
