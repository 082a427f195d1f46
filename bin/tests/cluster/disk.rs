//! How much disk tasks take: of their sandboxes and of their persistent volumes, each by itself.

use serde_json::{Value, json};

use super::operations::{create, finished, reserve, task_on_volume, web};
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Encoding, Framework, scalar, task};
use crate::support::http;

const FLAGS: &[&str] = &[
    "--isolation=posix/cpu,posix/mem,disk/du",
    "--enforce_container_disk_quota",
    "--container_disk_watch_interval=100ms",
];

/// What the agent tells of the disk of its only container.
fn figures(cluster: &Cluster) -> Value {
    let agent = cluster.agents[0].address;
    let shown = http::request(agent, "GET", "/monitor/statistics", &[], &[]).json();
    shown[0]["statistics"].clone()
}

#[test]
fn a_task_that_was_given_no_disk_has_no_quota() {
    let cluster = Cluster::with(1, &[], FLAGS);
    let mut framework = Framework::simple(cluster.master.address, "none", &[]);
    let offer = framework.offer();
    let go = cluster.dir.path().join("go");
    let script = format!(
        "head -c 1000000 /dev/zero > much; while [ ! -e {} ]; do sleep 0.05; done",
        go.display()
    );
    // One beside it is given some, so that it is known when disks were looked at.
    let mut greedy = task(
        "greedy",
        &offer,
        "head -c 20000000 /dev/zero > much; sleep 1000",
    );
    let resources = greedy["resources"].as_array_mut().expect("resources");
    resources.push(scalar("disk", 8.0));
    framework.launch(&offer, &[task("none", &offer, &script), greedy]);
    framework.await_state("none", "TASK_RUNNING");
    let failed = framework.await_state("greedy", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_DISK");
    let shown = figures(&cluster);
    assert!(shown["mem_limit_bytes"].is_u64(), "{shown}");
    assert!(shown["disk_limit_bytes"].is_null(), "{shown}");
    assert!(shown["disk_statistics"].is_null(), "{shown}");
    std::fs::write(&go, "").expect("file");
    framework.await_state("none", "TASK_FINISHED");
}

#[test]
fn a_volume_has_its_own_quota() {
    let cluster = Cluster::with(1, &[], FLAGS);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, web());
    let offer = framework.offer();
    framework.accept(&offer, json!([reserve("reserve")]), 0.0);
    finished(&mut framework, "reserve");
    let offer = framework.offer();
    let go = cluster.dir.path().join("go");
    // More than the sandbox may take, but in the volume, and then more than that may take.
    let script = format!(
        "head -c 20000000 /dev/zero > data/much; while [ ! -e {} ]; do sleep 0.05; done; \
         head -c 20000000 /dev/zero > data/more; exec sleep 1000",
        go.display()
    );
    let mut write = task_on_volume("write", &offer, &script);
    let resources = write["resources"].as_array_mut().expect("resources");
    resources.retain(|resource| resource["name"] != "disk" || resource["disk"].is_object());
    resources.push(scalar("disk", 8.0));
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    framework.accept(&offer, json!([create("create"), launch]), 0.0);
    framework.await_state("write", "TASK_RUNNING");
    let of_volume = until("the figures of the volume", || {
        let all = figures(&cluster)["disk_statistics"].as_array()?.clone();
        let own = all
            .into_iter()
            .find(|one| one["persistence"]["id"] == "kept")?;
        let used = own["used_bytes"].as_u64()?;
        (used >= 20_000_000).then_some(own)
    });
    assert_eq!(of_volume["limit_bytes"], json!(32 << 20));
    let whole = figures(&cluster);
    assert_eq!(whole["disk_limit_bytes"], json!(8 << 20));
    let used = whole["disk_used_bytes"].as_u64().expect("the sandbox's");
    assert!(used < 8 << 20, "{whole}");
    std::fs::write(&go, "").expect("file");
    let failed = framework.await_state("write", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_DISK");
    let message = failed["message"].as_str().expect("message");
    let end = "exceeds quota (32MB) of persistent volume 'kept'";
    assert!(message.ends_with(end), "{message}");
    let limited = &failed["limitation"]["resources"][0];
    assert_eq!(limited["disk"]["persistence"]["id"], "kept", "{failed}");
}
