//! Tasks that harm: each ends with a word on what happened, and nobody else notices.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::isolation::{Isolated, executor_pid, sized};
use crate::support::cluster::{Cluster, start_agent_on, start_master, until};
use crate::support::framework::{Framework, task};

/// An agent with a task that must not notice anything.
struct Scene {
    cluster: Cluster,
    framework: Framework,
    offer: Value,
    neighbour: i64,
}

impl Scene {
    fn new(flags: &[&str]) -> Scene {
        Scene::of(Cluster::with(1, &[], flags))
    }

    fn of(cluster: Cluster) -> Scene {
        let mut framework = Framework::simple(cluster.master.address, "abuse", &[]);
        let offer = framework.offer();
        let tasks = [task("neighbour", &offer, "exec sleep 1000")];
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]);
        framework.accept(&offer, launch, 0.0);
        let running = framework.await_state("neighbour", "TASK_RUNNING");
        Scene {
            offer: framework.offer(),
            cluster,
            framework,
            neighbour: executor_pid(&running),
        }
    }

    /// What becomes of a task, which must be this.
    fn end(&mut self, task: Value, state: &str) -> String {
        let id = task["task_id"]["value"].as_str().expect("id").to_owned();
        self.framework.launch(&self.offer, &[task]);
        let ended = self.framework.await_state(&id, state);
        ended["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The agent goes on, and so does the neighbour.
    fn assert_well(mut self) {
        assert!(!self.cluster.agents[0].has_ended());
        let neighbour = i32::try_from(self.neighbour).expect("pid");
        assert!(is_alive(neighbour), "the neighbour has ended");
        self.framework.kill("neighbour");
        self.framework.await_state("neighbour", "TASK_KILLED");
    }
}

#[test]
fn a_user_that_nobody_knows() {
    let mut scene = Scene::new(&[]);
    let mut task = task("t", &scene.offer, "true");
    task["command"]["user"] = json!("no-such-user");
    let message = scene.end(task, "TASK_FAILED");
    assert!(
        message.contains("'no-such-user': no such user"),
        "{message}"
    );
    scene.assert_well();
}

#[test]
fn an_archive_and_an_address_that_lead_nowhere() {
    let mut scene = Scene::new(&[]);
    let dir = scene.cluster.dir.path().to_owned();
    std::fs::write(dir.join("evil"), "overwritten").expect("file");
    std::fs::create_dir(dir.join("inner")).expect("directory");
    let made = Command::new("tar")
        .args(["-cPf", "archive.tar", "../evil"])
        .current_dir(dir.join("inner"))
        .status();
    assert!(made.expect("tar").success());
    let archive = dir.join("inner/archive.tar");
    let mut unpacked = task("archive", &scene.offer, "true");
    unpacked["command"]["uris"] = json!([{"value": archive, "extract": true}]);
    let agent = scene.cluster.agents[0].address;
    let mut fetched = task("missing", &scene.offer, "true");
    fetched["command"]["uris"] = json!([{"value": format!("http://{agent}/no/such/file")}]);
    scene.framework.launch(&scene.offer, &[unpacked, fetched]);
    let failed = scene.framework.await_state("archive", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(message.contains("archive.tar"), "{message}");
    let failed = scene.framework.await_state("missing", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("404") && message.contains("/no/such/file"),
        "{message}"
    );
    let evil = Command::new("find")
        .arg(scene.cluster.work_dir(0).join("slaves"))
        .args(["-name", "evil"])
        .output();
    assert!(evil.expect("find").stdout.is_empty());
    scene.assert_well();
}

#[test]
fn a_check_of_a_port_where_nobody_listens() {
    let mut scene = Scene::new(&[]);
    let port = crate::support::cluster::free_port();
    let mut checked = task("t", &scene.offer, "exec sleep 1000");
    checked["health_check"] = json!({
        "type": "TCP", "tcp": {"port": port}, "delay_seconds": 0.0, "interval_seconds": 0.1,
        "timeout_seconds": 10.0, "grace_period_seconds": 0.0, "consecutive_failures": 2,
    });
    scene.framework.launch(&scene.offer, &[checked]);
    let ended = scene.framework.await_end("t");
    assert_eq!(ended["healthy"], json!(false), "{ended}");
    scene.assert_well();
}

#[test]
fn a_disk_that_is_full() {
    let (unmount, cluster) = on_small_disk();
    let mut scene = Scene::of(cluster);
    let greedy = task("t", &scene.offer, "cat /dev/zero > much; exit 3");
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [greedy]}}]);
    scene.framework.accept(&scene.offer, launch, 0.0);
    let failed = scene.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 3");
    // A further task fails for want of room, and says so.
    let offer = scene.framework.offer();
    let fill = "while head -c 4096 /dev/zero >> more; do :; done; exit 4";
    scene.framework.launch(&offer, &[task("u", &offer, fill)]);
    let failed = scene.framework.await_state("u", "TASK_FAILED");
    assert!(!failed["message"].as_str().expect("message").is_empty());
    scene.assert_well();
    drop(unmount);
}

/// A cluster whose agent has 16 MB of disk, which is unmounted after it.
pub(super) fn on_small_disk() -> (Unmount, Cluster) {
    let dir = tempfile::tempdir().expect("directory");
    let work_dir = dir.path().join("agent-1");
    std::fs::create_dir(&work_dir).expect("directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&work_dir)
        .status();
    assert!(mounted.expect("mount").success(), "mounting needs root");
    let unmount = Unmount(work_dir.clone());
    let master = start_master(dir.path(), &[]);
    let address = master.address.to_string();
    let flags = ["--resources=cpus:4;mem:2048;disk:16;ports:[31000-31100]"];
    let agent = start_agent_on(
        crate::support::cluster::free_port(),
        &work_dir,
        &address,
        &flags,
    );
    let cluster = Cluster {
        agents: vec![agent],
        master,
        dir,
    };
    (unmount, cluster)
}

/// Unmounts a file system, whatever still uses it.
pub(super) struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn volumes_that_lead_out_and_memory_that_does_not_do() {
    let isolation = "cgroups/mem,filesystem/linux";
    let mut isolated = Isolated::with("abuse", isolation, &["--host_path_volume_prefixes=/usr"]);
    let offer = isolated.framework.offer();
    let neighbour = sized("neighbour", &offer, 32.0, "exec sleep 1000");
    let volume = |id: &str, host: &str, container: &str| {
        let mut task = sized(id, &offer, 32.0, "true");
        task["container"] = json!({"type": "MESOS", "volumes": [
            {"mode": "RW", "container_path": container, "host_path": host},
        ]});
        task
    };
    // Its executor is the one that needs more than it is given.
    let mut hungry = sized("hungry", &offer, 16.0, "");
    hungry.as_object_mut().expect("task").remove("command");
    hungry["executor"] = json!({
        "executor_id": {"value": "hungry"},
        "command": {"value": "exec tail /dev/zero"},
    });
    let tasks = [
        neighbour,
        volume("out", "/usr", "../out"),
        volume("shadow", "/etc", "inner"),
        hungry,
    ];
    isolated.framework.launch(&offer, &tasks);
    let running = isolated.framework.await_state("neighbour", "TASK_RUNNING");
    let message = |framework: &mut Framework, id: &str| {
        let failed = framework.await_state(id, "TASK_FAILED");
        failed["message"].as_str().expect("message").to_owned()
    };
    let out = message(&mut isolated.framework, "out");
    assert!(out.contains("must not leave it"), "{out}");
    let shadow = message(&mut isolated.framework, "shadow");
    assert!(shadow.contains("--host_path_volume_prefixes"), "{shadow}");
    let hungry = message(&mut isolated.framework, "hungry");
    assert!(hungry.starts_with("Memory limit exceeded"), "{hungry}");
    assert!(is_alive(
        i32::try_from(executor_pid(&running)).expect("pid")
    ));
    isolated.framework.kill("neighbour");
    isolated.framework.await_state("neighbour", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn processes_that_multiply() {
    let mut isolated = Isolated::with("bomb", "cgroups/pids", &["--cgroups_pids_limit=60"]);
    let offer = isolated.framework.offer();
    let bomb = "b() { b | b & b | b & sleep 1; }; b; exec sleep 1000";
    let tasks = [
        sized("neighbour", &offer, 32.0, "exec sleep 1000"),
        sized("bomb", &offer, 32.0, bomb),
    ];
    isolated.framework.launch(&offer, &tasks);
    let neighbour = isolated.framework.await_state("neighbour", "TASK_RUNNING");
    let bomb = isolated.framework.await_state("bomb", "TASK_RUNNING");
    let pid = executor_pid(&bomb);
    let container = bomb["container_status"]["container_id"]["value"].clone();
    let container = container.as_str().expect("container").to_owned();
    until("as many processes as may be", || {
        let refused = isolated.cgroups.refused_forks(&container);
        (refused > 0 || !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    isolated.framework.kill("bomb");
    let ended = isolated.framework.await_end("bomb");
    assert!(
        !ended["message"].as_str().expect("message").is_empty(),
        "{ended}"
    );
    until("the end of all its processes", || {
        (isolated.cgroups.containers().len() == 1).then_some(())
    });
    let neighbour = i32::try_from(executor_pid(&neighbour)).expect("pid");
    assert!(is_alive(neighbour));
    isolated.framework.kill("neighbour");
    isolated.framework.await_state("neighbour", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}
