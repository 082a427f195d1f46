//! What containers share with the host, and what they have for themselves. Needs root.

use std::path::Path;

use serde_json::{Value, json};

use super::isolation::{Isolated, read, sized};

const ISOLATION: &str = "filesystem/linux,namespaces/pid,namespaces/ipc";

/// A task with this of `LinuxInfo`.
fn with(id: &str, offer: &Value, script: &str, linux: &Value) -> Value {
    let mut task = sized(id, offer, 32.0, script);
    task["container"] = json!({"type": "MESOS", "linux_info": linux});
    task
}

#[test]
fn shared_memory_is_private_where_it_is_asked_for() {
    let flags = ["--default_container_shm_size=4MB"];
    let mut isolated = Isolated::with("shm", ISOLATION, &flags);
    let offer = isolated.framework.offer();
    let mark = format!("/dev/shm/tepui-test-{}", std::process::id());
    std::fs::write(&mark, "of the host").expect("a mark");
    let script = format!(
        "(cat {mark}; touch {mark}-own) > seen 2>&1; \
         df -k /dev/shm | tail -n 1 | (read name size rest; echo $size) > size"
    );
    let tasks = [
        with(
            "sized",
            &offer,
            &script,
            &json!({"ipc_mode": "PRIVATE", "shm_size": 8}),
        ),
        with("default", &offer, &script, &json!({"ipc_mode": "PRIVATE"})),
        with("unsaid", &offer, &script, &json!({})),
        with("wrong", &offer, &script, &json!({"shm_size": 8})),
    ];
    isolated.framework.launch(&offer, &tasks);
    for (id, size) in [("sized", "8192"), ("default", "4096")] {
        isolated.framework.await_state(id, "TASK_FINISHED");
        let sandbox = isolated.sandbox(id);
        assert!(read(sandbox.join("seen")).contains("No such file"), "{id}");
        assert_eq!(read(sandbox.join("size")).trim(), size, "{id}");
    }
    // Where nothing is said, it is the host's, as in Mesos.
    isolated.framework.await_state("unsaid", "TASK_FINISHED");
    let seen = isolated.sandbox("unsaid").join("seen");
    assert_eq!(read(seen), "of the host");
    let failed = isolated.framework.await_state("wrong", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("when the IPC mode is `PRIVATE`"),
        "{message}"
    );
    let own = format!("{mark}-own");
    assert!(Path::new(&own).exists(), "that of the one which shares it");
    for path in [mark, own] {
        std::fs::remove_file(path).expect("a mark");
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn the_hosts_namespaces_are_shared_where_the_operator_allows_it() {
    let script = "for kind in pid ipc; do readlink /proc/self/ns/$kind; done > namespaces";
    let linux = json!({"ipc_mode": "SHARE_PARENT", "share_pid_namespace": true});
    let mut isolated = Isolated::with("shared", ISOLATION, &[]);
    let offer = isolated.framework.offer();
    isolated
        .framework
        .launch(&offer, &[with("t", &offer, script, &linux)]);
    isolated.framework.await_state("t", "TASK_FINISHED");
    let of_host = ["pid", "ipc"].map(|kind| {
        let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        link.to_string_lossy().into_owned()
    });
    let seen = read(isolated.sandbox("t").join("namespaces"));
    assert_eq!(seen.lines().collect::<Vec<_>>(), of_host);
    isolated.wait_until_nothing_is_left();

    let flags = [
        "--disallow_sharing_agent_ipc_namespace",
        "--disallow_sharing_agent_pid_namespace",
    ];
    let mut isolated = Isolated::with("unshared", ISOLATION, &flags);
    let offer = isolated.framework.offer();
    let tasks = [
        with("ipc", &offer, script, &json!({"ipc_mode": "SHARE_PARENT"})),
        with("pid", &offer, script, &json!({"share_pid_namespace": true})),
        with("own", &offer, script, &json!({})),
    ];
    isolated.framework.launch(&offer, &tasks);
    for (id, kind) in [("ipc", "IPC"), ("pid", "pid")] {
        let failed = isolated.framework.await_state(id, "TASK_FAILED");
        let message = failed["message"].as_str().expect("message");
        let expected = format!("Sharing agent {kind} namespace with top-level container");
        assert!(message.contains(&expected), "{message}");
    }
    isolated.framework.await_state("own", "TASK_FINISHED");
    isolated.wait_until_nothing_is_left();
}
