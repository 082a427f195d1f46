//! Sandboxes go after their time, also those of an earlier run; what is used and volumes stay.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::agent_restart::{PATIENT, careful, crash};
use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Encoding, Framework, task};
use crate::support::http;

/// The sandbox of an executor's newest run.
fn sandbox(cluster: &Cluster, framework: &Framework, executor: &str) -> PathBuf {
    let slaves = cluster.work_dir(0).join("slaves/latest");
    let own = format!("frameworks/{}/executors/{executor}", framework.id);
    std::fs::canonicalize(slaves.join(own).join("runs/latest")).expect("a sandbox")
}

fn is_gone(path: &Path) -> Option<()> {
    (!path.exists()).then_some(())
}

/// What the agent answers for the files of a directory.
fn browse(cluster: &Cluster, directory: &Path) -> u16 {
    let path = format!("/files/browse?path={}", directory.display());
    http::request(cluster.agents[0].address, "GET", &path, &[], &[]).status
}

#[test]
fn a_sandbox_goes_after_its_time_and_its_files_with_it() {
    let mut cluster = Cluster::with(1, &[], &["--gc_delay=2secs"]);
    let kept = cluster.dir.path().join("kept");
    std::fs::create_dir(&kept).expect("directory");
    std::fs::write(kept.join("data"), "of a volume").expect("file");
    let mut framework =
        Framework::subscribe(cluster.master.address, Encoding::Json, careful("gone"));
    let offer = framework.offer();
    let many = format!(
        "ln -s {} volume; mkdir -p a/b/c && cd a/b/c && seq 20000 | xargs touch",
        kept.display()
    );
    let tasks = [
        task("gone", &offer, &many),
        task("used", &offer, "exec sleep 1000"),
    ];
    framework.launch(&offer, &tasks);
    framework.await_state("used", "TASK_RUNNING");
    framework.await_state("gone", "TASK_FINISHED");
    let (gone, used) = (
        sandbox(&cluster, &framework, "gone"),
        sandbox(&cluster, &framework, "used"),
    );
    assert_eq!(browse(&cluster, &gone), 200);
    let executor = gone.ancestors().nth(2).expect("executor's directory");
    until("the end of the sandbox", || is_gone(executor));
    assert_eq!(browse(&cluster, &gone), 404);
    let agent = cluster.agents[0].address;
    until("the end of its files", || {
        (metric(agent, "gc/path_removals_succeeded") >= 1.0
            && metric(agent, "gc/path_removals_pending") == 0.0)
            .then_some(())
    });
    assert_eq!(metric(agent, "gc/path_removals_failed"), 0.0);
    let left = cluster.work_dir(0).join("slaves/.removed");
    assert_eq!(std::fs::read_dir(left).expect("directory").count(), 0);
    let data = std::fs::read_to_string(kept.join("data"));
    assert_eq!(data.expect("the volume's data"), "of a volume");
    assert!(used.join("stdout").exists());
    // The same executor may come again, in the directory that was removed.
    framework.accepted(json!({"type": "REVIVE"}));
    let offer = framework.offer();
    framework.launch(&offer, &[task("gone", &offer, "exec sleep 1000")]);
    framework.await_state("gone", "TASK_RUNNING");
    assert!(sandbox(&cluster, &framework, "gone").exists());
    framework.teardown();
    cluster.agents.clear();
}

#[test]
fn what_an_earlier_run_has_left_goes_too() {
    let mut cluster = Cluster::with(1, &[], &[]);
    let mut framework =
        Framework::subscribe(cluster.master.address, Encoding::Json, careful("left"));
    let offer = framework.offer();
    let tasks = [
        task("ended", &offer, "true"),
        task("used", &offer, "exec sleep 1000"),
    ];
    framework.launch(&offer, &tasks);
    framework.await_state("used", "TASK_RUNNING");
    framework.await_state("ended", "TASK_FINISHED");
    let (ended, used) = (
        sandbox(&cluster, &framework, "ended"),
        sandbox(&cluster, &framework, "used"),
    );
    let old = cluster.work_dir(0).join("slaves/older-S7/frameworks/f");
    std::fs::create_dir_all(&old).expect("directories");
    let agent = cluster.agents[0].address;
    until("the end of what it has to do", || {
        (metric(agent, "gc/path_removals_pending") >= 2.0).then_some(())
    });
    crash(&mut cluster);
    assert!(ended.exists());
    // Something that an earlier run has moved away, and not deleted.
    let moved = cluster.work_dir(0).join("slaves/.removed/7/inner");
    std::fs::create_dir_all(&moved).expect("directories");
    let flags = [PATIENT, &["--gc_delay=1secs"]].concat();
    cluster.restart_agent(0, &flags);
    cluster.wait_for_agents(1);
    until("the end of the sandbox", || {
        // What the crash has kept from being recorded is told again.
        for event in framework.events_within(Duration::from_millis(20)) {
            framework.acknowledge(&event["update"]["status"]);
        }
        is_gone(&ended)
    });
    until("the end of the older agent's", || is_gone(&old));
    until("the end of what was moved away", || is_gone(&moved));
    assert!(used.join("stdout").exists());
    framework.kill("used");
    framework.await_state("used", "TASK_KILLED");
    until("the end of the other sandbox", || is_gone(&used));
}

#[test]
fn a_full_disk_takes_sandboxes_at_once() {
    // All of the disk is to stay free.
    let flags = ["--gc_disk_headroom=1", "--disk_watch_interval=100ms"];
    let cluster = Cluster::with(1, &[], &flags);
    let mut framework =
        Framework::subscribe(cluster.master.address, Encoding::Json, careful("full"));
    let offer = framework.offer();
    framework.launch(&offer, &[task("ended", &offer, "true")]);
    framework.await_state("ended", "TASK_FINISHED");
    let agent = cluster.agents[0].address;
    until("the end of the sandbox", || {
        (metric(agent, "gc/path_removals_succeeded") >= 1.0).then_some(())
    });
    let allowed = metric(agent, "slave/executor_directory_max_allowed_age_secs");
    assert_eq!(allowed, 0.0);
}
