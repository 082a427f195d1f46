//! Containers of the Docker Engine, from frameworks and app definitions to what the Engine shows.
//! Needs root, `dockerd` and a static busybox; see `engine`.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod engine;
mod failures;
mod hangs;
mod life;
mod networks;
mod pulls;
mod registry;
mod resources;
mod saved;
mod volumes;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::cluster::{Cluster, until};
use support::framework::{Encoding, Framework, info, scalar};

/// Flags of an agent that runs both kinds of containers and keeps none that has ended.
const FLAGS: &[&str] = &[
    "--containerizers=docker,mesos",
    "--docker_remove_delay=0ns",
    "--executor_reregistration_timeout=15secs",
];

/// A cluster whose agent uses the Docker Engine, and a framework that asks for checkpoints. Its
/// containers are gone with it.
struct Dockered {
    cluster: Cluster,
    framework: Framework,
    work_dir: PathBuf,
}

impl Dockered {
    fn start(name: &str) -> Dockered {
        Dockered::with(name, FLAGS)
    }

    fn with(name: &str, flags: &[&str]) -> Dockered {
        Dockered::of(
            info(name, &["PARTITION_AWARE", "TASK_KILLING_STATE"]),
            flags,
        )
    }

    /// The same with another framework.
    fn of(mut info: Value, flags: &[&str]) -> Dockered {
        engine::ready();
        let cluster = Cluster::with(1, &[], flags);
        info["checkpoint"] = json!(true);
        let framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
        let work_dir = cluster.work_dir(0).canonicalize().expect("work dir");
        Dockered {
            cluster,
            framework,
            work_dir,
        }
    }

    /// Launches a task of this command, or of the image's own, and gives its first update.
    fn launch(&mut self, id: &str, command: Option<&str>, docker: Value) {
        let offer = self.framework.offer();
        let task = task(id, &offer, command, docker);
        self.framework.launch(&offer, &[task]);
    }

    /// The containers that the Engine has of the agent.
    fn containers(&self) -> Vec<String> {
        engine::containers(self.work_dir.to_str().expect("a path"))
    }

    fn wait_until_nothing_is_left(&self) {
        until("the end of all containers", || {
            self.containers().is_empty().then_some(())
        });
    }
}

impl Drop for Dockered {
    fn drop(&mut self) {
        self.containers()
            .iter()
            .for_each(|name| engine::remove(name));
    }
}

/// A task of 0.1 CPUs, 64 MB and all ports of this offer.
fn task(id: &str, offer: &Value, command: Option<&str>, docker: Value) -> Value {
    let resources = offer["resources"].as_array().expect("resources").iter();
    let ports = resources.filter(|it| it["name"] == "ports").cloned();
    let mut all = vec![scalar("cpus", 0.1), scalar("mem", 64.0)];
    all.extend(ports);
    let mut own = json!({"image": engine::IMAGE});
    for (key, value) in docker.as_object().into_iter().flatten() {
        own[key] = value.clone();
    }
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": offer["agent_id"],
        "resources": all,
        "command": match command {
            Some(command) => json!({"shell": true, "value": command}),
            None => json!({"shell": false}),
        },
        "container": {"type": "DOCKER", "docker": own},
    })
}

/// The name of a task's container, by one of its updates.
fn name(status: &Value) -> String {
    let id = status["container_status"]["container_id"]["value"].as_str();
    format!("mesos-{}", id.expect("a container"))
}

/// The sandbox of a task by one of its updates.
fn sandbox(work_dir: &Path, task: &str, status: &Value) -> PathBuf {
    let container = status["container_status"]["container_id"]["value"].as_str();
    let container = container.expect("a container").to_owned();
    let executors = std::fs::read_dir(work_dir.join("slaves/latest/frameworks"))
        .expect("frameworks")
        .flatten();
    let mut found = executors.map(|framework| {
        let executor = framework.path().join("executors").join(task);
        executor.join("runs").join(&container)
    });
    found.find(|path| path.is_dir()).expect("a sandbox")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
