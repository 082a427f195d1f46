//! Tasks that harm: each ends with a word on what happened, and nobody else notices.

use std::process::Command;

use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::isolation::{Isolated, executor_pid, read, sized};
use crate::support::cgroups::need_root;
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
    // A check only tells; it ends nobody.
    checked["check"] = json!({
        "type": "TCP", "tcp": {"port": port}, "delay_seconds": 0.0, "interval_seconds": 0.1,
        "timeout_seconds": 10.0,
    });
    scene.framework.launch(&scene.offer, &[checked]);
    let mut reasons = std::collections::BTreeSet::new();
    let ended = loop {
        let status = scene.framework.update("t");
        match status["state"].as_str() {
            Some("TASK_STARTING") => {}
            Some("TASK_RUNNING") => {
                let reason = status["reason"].as_str().unwrap_or_default();
                reasons.insert(reason.to_owned());
                if reason == "REASON_TASK_CHECK_STATUS_UPDATED" {
                    let tcp = &status["check_status"]["tcp"];
                    assert_eq!(tcp["succeeded"], json!(false), "{status}");
                }
                if reason == "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED" {
                    assert_eq!(status["healthy"], json!(false), "{status}");
                }
            }
            _ => break status,
        }
    };
    let both = [
        "",
        "REASON_TASK_CHECK_STATUS_UPDATED",
        "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED",
    ];
    assert_eq!(reasons, both.map(str::to_owned).into());
    assert_eq!(ended["state"], "TASK_KILLED", "{ended}");
    assert_eq!(ended["healthy"], json!(false), "{ended}");
    let message = ended["message"].as_str().expect("message");
    assert!(
        message.starts_with("Command terminated with signal"),
        "{message}"
    );
    scene.assert_well();
}

/// An agent whose work directory is a small file system, with these options of its mount, which is
/// unmounted after it.
pub(super) fn on_a_small_disk(options: &str) -> (Unmount, Cluster) {
    need_root();
    let dir = tempfile::tempdir().expect("directory");
    let work_dir = dir.path().join("agent-1");
    std::fs::create_dir(&work_dir).expect("directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
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

#[test]
fn a_sandbox_for_which_there_is_no_room() {
    let (unmount, cluster) = on_a_small_disk("size=64m,nr_inodes=2000");
    let mut scene = Scene::of(cluster);
    // All files that the file system can have, so that no directory can be made either.
    let fill = unmount.0.join("fill");
    std::fs::create_dir(&fill).expect("directory");
    let mut number = 0;
    while std::fs::write(fill.join(number.to_string()), "").is_ok() {
        number += 1;
    }
    let launch = |framework: &Framework, offer: &Value, id: &str| {
        let tasks = [task(id, offer, "true")];
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]);
        framework.accept(offer, launch, 0.0);
    };
    launch(&scene.framework, &scene.offer, "t");
    let failed = scene.framework.await_state("t", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("sandbox") && message.contains("No space left"),
        "{message}"
    );
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    std::fs::remove_dir_all(&fill).expect("room again");
    let offer = scene.framework.offer();
    launch(&scene.framework, &offer, "u");
    scene.framework.await_state("u", "TASK_FINISHED");
    scene.assert_well();
    drop(unmount);
}

#[test]
fn a_disk_that_is_full() {
    let (unmount, cluster) = on_a_small_disk("size=16m");
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
    let hungry = isolated.framework.await_state("hungry", "TASK_FAILED");
    assert_eq!(hungry["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
    let hungry = hungry["message"].as_str().expect("message");
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
    // Ends by itself, as soon as it is refused one.
    let fails = "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; exit 0";
    // Goes on whatever it is refused.
    let bomb = "(b() { b | b & b | b & wait; }; b) & exec sleep 1000";
    let tasks = [
        sized("neighbour", &offer, 32.0, "exec sleep 1000"),
        sized("fails", &offer, 32.0, fails),
        sized("bomb", &offer, 32.0, bomb),
    ];
    isolated.framework.launch(&offer, &tasks);
    let neighbour = isolated.framework.await_state("neighbour", "TASK_RUNNING");
    let failed = isolated.framework.await_state("fails", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 2");
    let said = read(isolated.sandbox("fails").join("stderr"));
    assert!(said.to_lowercase().contains("cannot fork"), "{said}");
    let log = isolated.cluster().agents[0].log_text();
    let id = &failed["container_status"]["container_id"]["value"];
    let id = id.as_str().expect("container");
    let mut lines = log
        .lines()
        .filter(|line| line.contains("--cgroups_pids_limit"));
    let line = lines.find(|line| line.contains(id));
    assert!(line.is_some_and(|line| line.contains("limit=60")), "{log}");

    let bomb = isolated.framework.await_state("bomb", "TASK_RUNNING");
    let container = bomb["container_status"]["container_id"]["value"].clone();
    let container = container.as_str().expect("container").to_owned();
    until("as many processes as may be", || {
        (isolated.cgroups.refused_forks(&container) > 0).then_some(())
    });
    isolated.framework.kill("bomb");
    let ended = isolated.framework.await_state("bomb", "TASK_KILLED");
    let message = ended["message"].as_str().expect("message");
    assert!(
        message.starts_with("Command terminated with signal"),
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
