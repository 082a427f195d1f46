//! Containers in containers, and those that stand alone, launched by calls of the agent's API.
//! Some need root, and cgroups of either version at `/sys/fs/cgroup`.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::agent_restart::{PATIENT, careful, is_alive};
use super::groups::launch_group;
use super::isolation::{ALL, Isolated, read, sized};
use crate::support::cgroups::{Figure, cgroup_of, is_v2};
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Encoding, Framework, scalar, task};
use crate::support::http;

/// Calls the agent of a cluster.
pub(super) fn call(cluster: &Cluster, body: &Value) -> http::Response {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let text = serde_json::to_vec(body).expect("JSON");
    let agent = cluster.agents[0].address;
    http::request(agent, "POST", "/api/v1", &headers, &text)
}

/// The id of a container within others, outermost first.
pub(super) fn chain(names: &[&str]) -> Value {
    let (name, outer) = names.split_last().expect("a name");
    match outer {
        [] => json!({ "value": name }),
        outer => json!({ "value": name, "parent": chain(outer) }),
    }
}

pub(super) fn launch_with(id: &Value, script: &str, more: &Value) -> Value {
    let mut launch = json!({"container_id": id, "command": {"value": script}});
    for (key, value) in more.as_object().expect("an object") {
        launch[key] = value.clone();
    }
    json!({"type": "LAUNCH_CONTAINER", "launch_container": launch})
}

/// Launches a container, which must work.
pub(super) fn launch(cluster: &Cluster, id: &Value, script: &str, more: &Value) {
    let answer = call(cluster, &launch_with(id, script, more));
    assert_eq!(answer.status, 200, "{id}: {}", answer.text());
}

/// How a container ends; waits for that.
pub(super) fn wait(cluster: &Cluster, id: &Value) -> Value {
    let wait = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": id}});
    let answer = call(cluster, &wait);
    assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    answer.json()["wait_container"].clone()
}

pub(super) fn signal(cluster: &Cluster, id: &Value, signal: Signal) {
    let kill = json!({"container_id": id, "signal": signal as i32});
    let answer = call(
        cluster,
        &json!({"type": "KILL_CONTAINER", "kill_container": kill}),
    );
    assert_eq!(answer.status, 200, "{id}: {}", answer.text());
}

pub(super) fn remove(cluster: &Cluster, id: &Value) -> http::Response {
    call(
        cluster,
        &json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": id}}),
    )
}

/// Ids of all containers, as words.
pub(super) fn shown(cluster: &Cluster) -> Vec<String> {
    fn word(id: &Value) -> String {
        let name = id["value"].as_str().expect("an id");
        match id["parent"].is_object() {
            true => format!("{}.{name}", word(&id["parent"])),
            false => name.to_owned(),
        }
    }
    let all = json!({"show_nested": true, "show_standalone": true});
    let answer = call(
        cluster,
        &json!({"type": "GET_CONTAINERS", "get_containers": all}),
    );
    let containers = answer.json()["get_containers"]["containers"].clone();
    // An empty list is left out.
    let containers = containers.as_array().cloned().unwrap_or_default();
    let mut words: Vec<String> = containers
        .iter()
        .map(|container| word(&container["container_id"]))
        .collect();
    words.sort();
    words
}

/// The container of a task that runs and its sandbox.
fn container(running: &Value) -> String {
    running["container_status"]["container_id"]["value"]
        .as_str()
        .expect("container")
        .to_owned()
}

/// The directory of this name below the work directory.
pub(super) fn sandbox(cluster: &Cluster, name: &str) -> PathBuf {
    let mut open = vec![cluster.work_dir(0).join("slaves")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_str() == Some(name) && entry.path().is_dir() {
                return entry.path();
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    panic!("no directory {name}");
}

/// A cluster that isolates, with a task to launch containers in.
fn isolated(name: &str, isolation: &str) -> (Isolated, String) {
    let mut isolated = Isolated::with(name, isolation, &[]);
    let offer = isolated.framework.offer();
    let task = sized("t", &offer, 96.0, "exec sleep 1000");
    isolated.framework.launch(&offer, &[task]);
    let running = isolated.framework.await_state("t", "TASK_RUNNING");
    (isolated, container(&running))
}

/// A cluster that does not isolate, with a task to launch containers in.
fn plain(name: &str) -> (Cluster, Framework, String) {
    let cluster = Cluster::with(1, &[], PATIENT);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, careful(name));
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, "exec sleep 1000")]);
    let running = framework.await_state("t", "TASK_RUNNING");
    (cluster, framework, container(&running))
}

fn own_limits(mem: f64) -> Value {
    json!({
        "container": {"type": "MESOS", "linux_info": {"share_cgroups": false}},
        "resources": [scalar("cpus", 0.1), scalar("mem", mem)],
    })
}

pub(super) fn pid_in(file: &Path) -> i32 {
    until("a pid", || {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    })
}

fn wait_until_no_status_is_left(statuses: &Path) {
    until("the end of all statuses", || {
        let left = std::fs::read_dir(statuses).expect("statuses").count();
        (left == 0).then_some(())
    });
}

#[test]
fn they_are_in_cgroups_below_that_of_the_container_around() {
    let (mut isolated, root) = isolated("nested", "cgroups/cpu,cgroups/mem,cgroups/pids");
    let top = format!("/{}/{root}", isolated.cgroups.root);
    let cluster = isolated.cluster();
    let script = "echo $$ > pid; exec sleep 1000";
    let own = chain(&[&root, "own"]);
    launch(cluster, &own, script, &own_limits(48.0));
    launch(cluster, &chain(&[&root, "shares"]), script, &json!({}));
    let inner = chain(&[&root, "own", "inner"]);
    launch(cluster, &inner, script, &json!({}));
    let sandbox = sandbox(cluster, &root).join("containers");
    for (directory, freezer, memory) in [
        ("own", "/mesos/own", "/mesos/own"),
        ("shares", "/mesos/shares", ""),
        (
            "own/containers/inner",
            "/mesos/own/mesos/inner",
            "/mesos/own",
        ),
    ] {
        let pid = pid_in(&sandbox.join(directory).join("pid"));
        assert_eq!(cgroup_of(pid, "freezer"), format!("{top}{freezer}"));
        // In version 2, limits hold for all that is below a cgroup, and one tree is for all.
        let memory = if is_v2() { freezer } else { memory };
        assert_eq!(cgroup_of(pid, "memory"), format!("{top}{memory}"));
    }
    let own_cgroup = format!("{root}/mesos/own");
    let limit = isolated.cgroups.figure(&own_cgroup, Figure::MemoryLimit);
    assert_eq!(limit, (48 << 20).to_string());
    let cluster = isolated.cluster();
    let words = ["", ".own", ".own.inner", ".shares"].map(|rest| format!("{root}{rest}"));
    assert_eq!(shown(cluster), words);

    // What is in a container ends with it.
    signal(cluster, &own, Signal::SIGKILL);
    assert_eq!(wait(cluster, &own)["exit_status"], 9);
    assert_eq!(wait(cluster, &inner)["exit_status"], 9);
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn one_that_uses_too_much_memory_ends_alone() {
    let (mut isolated, root) = isolated("nested-oom", "cgroups/mem");
    let cluster = isolated.cluster();
    let (greedy, modest) = (chain(&[&root, "greedy"]), chain(&[&root, "modest"]));
    launch(cluster, &modest, "exec sleep 1000", &own_limits(32.0));
    launch(cluster, &greedy, "exec tail /dev/zero", &own_limits(32.0));
    let ended = wait(cluster, &greedy);
    assert_eq!(ended["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
    assert_eq!(ended["state"], "TASK_FAILED");
    let message = ended["message"].as_str().expect("message");
    assert!(message.starts_with("Memory limit exceeded: Requested: 32MB"));
    assert_eq!(ended["limitation"]["resources"][0]["name"], "mem");
    let left = [root.clone(), format!("{root}.modest")];
    assert_eq!(shown(cluster), left);
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn namespaces_are_shared_as_they_ask() {
    let (mut isolated, root) = isolated("nested-ns", ALL);
    let cluster = isolated.cluster();
    let script = "for kind in pid ipc; do readlink /proc/self/ns/$kind; done > namespaces; \
                  ls /proc | grep -c '^[0-9]' > processes; touch /dev/shm/mark";
    let info = |linux: Value| json!({"container": {"type": "MESOS", "linux_info": linux}});
    for (name, linux) in [
        ("own", json!({"ipc_mode": "PRIVATE"})),
        ("shares", json!({"share_pid_namespace": true})),
        (
            "joins",
            json!({"share_pid_namespace": true, "ipc_mode": "SHARE_PARENT"}),
        ),
    ] {
        let id = chain(&[&root, name]);
        launch(cluster, &id, script, &info(linux));
        assert_eq!(wait(cluster, &id), json!({"exit_status": 0}), "{name}");
    }
    let top = sandbox(cluster, &root);
    let leader = isolated.agent("/containers")[0]["status"]["executor_pid"].clone();
    let namespaces = ["pid_for_children", "ipc"].map(|kind| {
        let link = std::fs::read_link(format!("/proc/{leader}/ns/{kind}"));
        link.expect("a namespace").to_string_lossy().into_owned()
    });
    let seen = |name: &str, file: &str| read(top.join("containers").join(name).join(file));
    let of_parent = namespaces.join("\n") + "\n";
    assert_ne!(seen("own", "namespaces"), of_parent);
    assert_eq!(seen("shares", "namespaces"), of_parent);
    assert_eq!(seen("joins", "namespaces"), of_parent);
    let count = |name| -> u32 { seen(name, "processes").trim().parse().expect("number") };
    // The helper, the shell, and what it runs; those that share see the executor and its task too.
    assert!(count("own") <= 5, "{}", count("own"));
    assert!((6..20).contains(&count("shares")), "{}", count("shares"));
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn they_outlive_the_agent_and_what_ended_meanwhile_is_told() {
    let (mut isolated, root) = isolated("nested-restart", "cgroups/mem");
    let go = isolated.cluster().dir.path().join("go");
    let cluster = isolated.cluster();
    let ids = ["ends", "stays", "ended"].map(|name| chain(&[&root, name]));
    let [ends, stays, ended] = &ids;
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 3",
        go.display()
    );
    launch(cluster, ends, &script, &json!({}));
    launch(
        cluster,
        stays,
        "trap 'exit 5' TERM; while :; do sleep 0.05; done",
        &json!({}),
    );
    launch(cluster, ended, "exit 4", &own_limits(32.0));
    let alone = chain(&["alone"]);
    launch(cluster, &alone, &script, &json!({}));
    assert_eq!(wait(cluster, ended)["exit_status"], 4 << 8);
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    std::fs::write(&go, "").expect("file");
    let statuses = cluster.work_dir(0).join("meta/statuses");
    until("the ends of two", || {
        let written = |name: String| read(statuses.join(name)) == "768";
        (written(format!("{root}.ends")) && written("alone".to_owned())).then_some(())
    });
    isolated.restart_agent();
    let cluster = isolated.cluster();
    for (id, status) in [(ends, 3), (ended, 4), (&alone, 3)] {
        assert_eq!(wait(cluster, id)["exit_status"], status << 8, "{id}");
    }
    assert_eq!(shown(cluster), [root.clone(), format!("{root}.stays")]);
    signal(cluster, stays, Signal::SIGTERM);
    assert_eq!(wait(cluster, stays)["exit_status"], 5 << 8);
    assert_eq!(remove(cluster, &alone).status, 200);
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
    wait_until_no_status_is_left(&statuses);
}

#[test]
fn many_run_in_one_container_and_end_with_it() {
    let (cluster, mut framework, root) = plain("many");
    let names: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
    for name in &names {
        let script = "echo $$ > pid; exec sleep 1000";
        launch(&cluster, &chain(&[&root, name]), script, &json!({}));
    }
    assert_eq!(shown(&cluster).len(), 51);
    let top = sandbox(&cluster, &root).join("containers");
    let pids: Vec<i32> = names
        .iter()
        .map(|name| pid_in(&top.join(name).join("pid")))
        .collect();
    framework.kill("t");
    framework.await_state("t", "TASK_KILLED");
    until("the end of all", || {
        pids.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    until("no container", || shown(&cluster).is_empty().then_some(()));
    let statuses = cluster.work_dir(0).join("meta/statuses");
    wait_until_no_status_is_left(&statuses);
}

#[test]
fn one_that_stands_alone_has_a_sandbox_until_it_is_removed() {
    let cluster = Cluster::start(1);
    let id = chain(&["alone"]);
    launch(&cluster, &id, "echo hello; exit 7", &json!({}));
    assert_eq!(wait(&cluster, &id)["exit_status"], 7 << 8);
    let sandbox = cluster.work_dir(0).join("containers/alone");
    assert_eq!(read(sandbox.join("stdout")), "hello\n");
    assert_eq!(remove(&cluster, &id).status, 200);
    assert!(!sandbox.exists());
    let wait = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": id}});
    assert_eq!(call(&cluster, &wait).status, 404);
    // A directory of the same name may come again.
    launch(&cluster, &id, "exec sleep 1000", &json!({}));
    assert_eq!(remove(&cluster, &id).status, 500);
    signal(&cluster, &id, Signal::SIGTERM);
    assert_eq!(self::wait(&cluster, &id)["exit_status"], 15);
}

#[test]
fn sandboxes_go_after_their_time_if_the_operator_wants_that() {
    let flags = ["--gc_delay=1secs", "--gc_non_executor_container_sandboxes"];
    let cluster = Cluster::with(1, &[], &flags);
    let (ends, stays) = (chain(&["ends"]), chain(&["stays"]));
    launch(&cluster, &stays, "exec sleep 1000", &json!({}));
    launch(&cluster, &ends, "echo hello", &json!({}));
    assert_eq!(wait(&cluster, &ends)["exit_status"], 0);
    let all = cluster.work_dir(0).join("containers");
    assert!(all.join("ends").exists());
    until("the end of its sandbox", || {
        (!all.join("ends").exists()).then_some(())
    });
    assert!(all.join("stays/stdout").exists());
    signal(&cluster, &stays, Signal::SIGKILL);
    wait(&cluster, &stays);
}

#[test]
fn bad_calls_are_refused() {
    let (cluster, _framework, root) = plain("bad");
    let deep: Vec<&str> = std::iter::once(root.as_str())
        .chain(std::iter::repeat_n("x", 80))
        .collect();
    let long = "x".repeat(240);
    let command = json!({"value": "true"});
    for (what, launch, status) in [
        (
            "unknown parent",
            json!({"container_id": chain(&["none", "a"]), "command": command}),
            400,
        ),
        (
            "a deep chain",
            json!({"container_id": chain(&deep), "command": command}),
            400,
        ),
        (
            "a path",
            json!({"container_id": chain(&[&root, "../x"]), "command": command}),
            400,
        ),
        (
            "a parent that is a path",
            json!({"container_id": chain(&["..", "x"]), "command": command}),
            400,
        ),
        (
            "a dot",
            json!({"container_id": chain(&["."]), "command": command}),
            400,
        ),
        (
            "no command",
            json!({"container_id": chain(&[&root, "a"])}),
            400,
        ),
        (
            "too long",
            json!({"container_id": chain(&[&root, &long]), "command": command}),
            400,
        ),
        ("no id", json!({"command": command}), 400),
        (
            "no such user",
            json!({"container_id": chain(&[&root, "a"]), "command": {"value": "true", "user": "no-such-user"}}),
            400,
        ),
        (
            "no such program",
            json!({"container_id": chain(&[&root, "b"]), "command": {"shell": false, "value": "/no/such"}}),
            400,
        ),
        (
            "the executor's own",
            json!({"container_id": chain(&[&root]), "command": command}),
            202,
        ),
    ] {
        let body = json!({"type": "LAUNCH_CONTAINER", "launch_container": launch});
        let answer = call(&cluster, &body);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    let unknown = json!({"container_id": chain(&[&root, "none"])});
    for (body, status) in [
        (
            json!({"type": "WAIT_NESTED_CONTAINER", "wait_nested_container": unknown}),
            404,
        ),
        (
            json!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": unknown}),
            404,
        ),
        (
            json!({"type": "REMOVE_NESTED_CONTAINER", "remove_nested_container": unknown}),
            200,
        ),
        (
            json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": chain(&["none"])}}),
            500,
        ),
        (
            json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": chain(&[&root])}}),
            500,
        ),
    ] {
        let answer = call(&cluster, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
}

/// A member of a group in a container with limits of its own, and with more in it.
pub(super) fn limited(id: &str, offer: &Value, script: &str, mem: f64) -> Value {
    let mut member = task(id, offer, script);
    member["resources"] = json!([scalar("cpus", 0.1), scalar("mem", mem)]);
    member["container"] = json!({"type": "MESOS", "linux_info": {"share_cgroups": false}});
    member
}

#[test]
fn a_member_of_a_group_that_uses_too_much_ends_the_group() {
    let mut isolated = Isolated::with("group-oom", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let tasks = [
        limited("greedy", &offer, "sleep 0.5; exec tail /dev/zero", 32.0),
        limited("modest", &offer, "exec sleep 1000", 32.0),
    ];
    launch_group(&isolated.framework, &offer, &tasks);
    for name in ["greedy", "modest"] {
        isolated.framework.await_state(name, "TASK_RUNNING");
    }
    let failed = isolated.framework.await_state("greedy", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
    assert_eq!(failed["limitation"]["resources"][0]["name"], "mem");
    isolated.framework.await_state("modest", "TASK_KILLED");
    isolated.framework.expect("FAILURE");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_group_in_containers_outlives_the_agent_and_its_members_end_meanwhile() {
    let mut isolated = Isolated::with("group-restart", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let go = isolated.cluster().dir.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let tasks = [
        limited("ends", &offer, &wait, 32.0),
        limited("stays", &offer, "exec sleep 1000", 32.0),
    ];
    launch_group(&isolated.framework, &offer, &tasks);
    let id = |status: &Value| status["container_status"]["container_id"]["value"].clone();
    let ends = isolated.framework.await_state("ends", "TASK_RUNNING");
    isolated.framework.await_state("stays", "TASK_RUNNING");
    let cluster = isolated.cluster();
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    std::fs::write(&go, "").expect("file");
    let name = id(&ends).as_str().expect("id").to_owned();
    let statuses = cluster.work_dir(0).join("meta/statuses");
    until("the end of one", || {
        let all = std::fs::read_dir(&statuses).expect("statuses").flatten();
        let mut own = all.filter(|one| one.file_name().to_string_lossy().ends_with(&name));
        own.any(|one| read(one.path()) == "0").then_some(())
    });
    isolated.restart_agent();
    isolated.framework.await_state("ends", "TASK_FINISHED");
    isolated.framework.kill("stays");
    isolated.framework.await_state("stays", "TASK_KILLED");
    isolated.framework.expect("FAILURE");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn what_members_of_a_group_need_is_fetched() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "fetching", &[]);
    let offer = framework.offer();
    let file = cluster.dir.path().join("fetched");
    std::fs::write(&file, "content").expect("file");
    let mut member = task("reads", &offer, "grep content fetched");
    member["command"]["uris"] = json!([{"value": file}]);
    launch_group(&framework, &offer, &[member, task("plain", &offer, "true")]);
    framework.await_state("reads", "TASK_FINISHED");
    framework.await_state("plain", "TASK_FINISHED");
}
