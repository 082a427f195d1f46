//! The output of tasks in files that are rotated: no line is lost, whatever happens to the agent.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::agent_restart::{PATIENT, careful, crash};
use super::groups::launch_group;
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Encoding, Framework, task};

/// Small files, and enough of them for all that a test writes.
const FLAGS: &[&str] = &[
    "--container_logger=logrotate",
    "--max_stdout_size=8KB",
    "--logrotate_stdout_options=rotate 1000",
];

fn sandbox(cluster: &Cluster, framework: &Framework, executor: &str) -> PathBuf {
    let own = format!("frameworks/{}/executors/{executor}", framework.id);
    let slaves = cluster.work_dir(0).join("slaves/latest");
    slaves.join(own).join("runs/latest")
}

/// A log and its rotated files, the newest first.
fn files(sandbox: &Path, name: &str) -> Vec<String> {
    let rotated = (1..).map(|number| sandbox.join(format!("{name}.{number}")));
    std::iter::once(sandbox.join(name))
        .chain(rotated)
        .map_while(|path| std::fs::read_to_string(path).ok())
        .collect()
}

/// All that was written, but for what the executor says itself.
fn lines(files: &[String]) -> Vec<u32> {
    let whole: String = files.iter().rev().map(String::as_str).collect();
    whole.lines().filter_map(|line| line.parse().ok()).collect()
}

/// A shell command that writes numbers, with a pause until a file is there.
fn counting(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "seq 1 5000; touch {dir}/half; while ! test -e {dir}/go; do sleep 0.05; done; \
         seq 5001 10000; printf 'no newline'"
    )
}

fn all() -> Vec<u32> {
    (1..=10_000).collect()
}

#[test]
fn no_line_is_lost_when_the_agent_crashes_in_between() {
    let mut cluster = Cluster::with(1, &[], FLAGS);
    let mut framework =
        Framework::subscribe(cluster.master.address, Encoding::Json, careful("logs"));
    let offer = framework.offer();
    let command = counting(cluster.dir.path());
    let other = "seq 2000; seq 2000 >&2";
    let mut small = task("small", &offer, other);
    small["command"]["environment"] = json!({"variables": [
        {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": "4KB"},
        {"name": "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "value": "rotate 1"},
    ]});
    framework.launch(&offer, &[task("t", &offer, &command), small]);
    framework.await_state("small", "TASK_FINISHED");
    let half = cluster.dir.path().join("half");
    until("half of it", || half.exists().then_some(()));
    crash(&mut cluster);
    let flags = [FLAGS, PATIENT].concat();
    cluster.restart_agent(0, &flags);
    std::fs::write(cluster.dir.path().join("go"), "").expect("file");
    framework.await_state("t", "TASK_FINISHED");
    let own = sandbox(&cluster, &framework, "t");
    let written = until("all of it", || {
        let written = files(&own, "stdout");
        (lines(&written).len() == 10_000).then_some(written)
    });
    assert_eq!(lines(&written), all());
    assert!(written.len() > 5, "{} files", written.len());
    assert!(written.iter().all(|file| file.len() <= 8192));
    until("the last line", || {
        let last = files(&own, "stdout").remove(0);
        last.contains("no newline").then_some(())
    });

    let small = sandbox(&cluster, &framework, "small");
    let kept = until("the other's output", || {
        let kept = files(&small, "stdout");
        (lines(&kept).last() == Some(&2000)).then_some(kept)
    });
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|file| file.len() <= 4096));
    // Its standard error is not changed.
    until("the other's errors", || {
        (lines(&files(&small, "stderr")).len() == 2000).then_some(())
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    let cluster = Cluster::with(1, &[], FLAGS);
    let mut framework = Framework::simple(cluster.master.address, "wrong", &[]);
    let offer = framework.offer();
    let mut wrong = task("wrong", &offer, "true");
    wrong["command"]["environment"] = json!({"variables": [
        {"name": "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "value": "compress"},
    ]});
    framework.launch(&offer, &[wrong]);
    let failed = framework.await_state("wrong", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(message.contains("'rotate COUNT'"), "{message}");
}

#[test]
fn what_members_of_groups_write_is_rotated() {
    let mut cluster = Cluster::with(1, &[], FLAGS);
    let mut framework = Framework::subscribe(
        cluster.master.address,
        Encoding::Json,
        careful("group-logs"),
    );
    let offer = framework.offer();
    let command = counting(cluster.dir.path());
    let mut small = task("small", &offer, "seq 2000");
    small["command"]["environment"] = json!({"variables": [
        {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": "4KB"},
        {"name": "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "value": "rotate 1"},
    ]});
    let members = [task("counts", &offer, &command), small];
    launch_group(&framework, &offer, &members);
    framework.await_state("small", "TASK_FINISHED");
    let own = |name: &str| {
        sandbox(&cluster, &framework, "group")
            .join("tasks")
            .join(name)
    };
    let (counts, small) = (own("counts"), own("small"));
    let half = cluster.dir.path().join("half");
    until("half of it", || half.exists().then_some(()));
    crash(&mut cluster);
    let flags = [FLAGS, PATIENT].concat();
    cluster.restart_agent(0, &flags);
    std::fs::write(cluster.dir.path().join("go"), "").expect("file");
    framework.await_state("counts", "TASK_FINISHED");
    let written = until("all of it", || {
        let written = files(&counts, "stdout");
        (lines(&written).len() == 10_000).then_some(written)
    });
    assert_eq!(lines(&written), all());
    assert!(written.len() > 5, "{} files", written.len());
    assert!(written.iter().all(|file| file.len() <= 8192));
    let kept = until("the other's output", || {
        let kept = files(&small, "stdout");
        (lines(&kept).last() == Some(&2000)).then_some(kept)
    });
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|file| file.len() <= 4096));
}
