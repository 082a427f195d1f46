//! What containers in containers, and those that stand alone, may use and do use, as the kernel and
//! the agent tell it. Needs root, and cgroups of version 1 at `/sys/fs/cgroup`.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::groups::launch_group;
use super::isolation::{Isolated, read};
use super::nested::{call, chain, launch, limited, signal, wait};
use crate::support::cluster::until;
use crate::support::framework::scalar;

const MEGABYTE: u64 = 1 << 20;

/// Holds much memory of its own, has read much of a file, and uses all the CPU it gets.
const BUSY: &str = "held=$(head -c 12000000 /dev/zero | tr '\\0' a); \
                    head -c 8000000 /dev/zero > file; cat file > /dev/null; \
                    touch ready; while :; do :; done";

/// A file of the kernel's about a container of an agent.
fn kernel(isolated: &Isolated, tree: &str, container: &str, file: &str) -> String {
    let inner = container.replace('.', "/mesos/");
    let root = &isolated.cgroups.root;
    let path = format!("/sys/fs/cgroup/{tree}/{root}/{inner}/{file}");
    read(path).trim().to_owned()
}

/// The figures of a container, whichever it is.
fn statistics(isolated: &mut Isolated, id: &Value) -> Option<Value> {
    let all = json!({"show_nested": true, "show_standalone": true});
    let body = json!({"type": "GET_CONTAINERS", "get_containers": all});
    let answer = call(isolated.cluster(), &body).json();
    let containers = answer["get_containers"]["containers"].as_array()?.clone();
    let mut containers = containers.into_iter();
    let found = containers.find(|one| one["container_id"] == *id)?;
    let known = found["resource_statistics"].clone();
    known.is_object().then_some(known)
}

fn limits(cpus: f64, mem: Value) -> Value {
    json!({"cpus": {"value": cpus}, "mem": {"value": mem}})
}

#[test]
fn a_member_may_use_as_much_as_its_limits_say() {
    let mut isolated = Isolated::with("member-limits", "cgroups/cpu,cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let member = |id: &str, limits: Value| {
        let mut member = limited(id, &offer, "exec sleep 1000", 40.0);
        member["limits"] = limits;
        member
    };
    let tasks = [
        member("some", limits(0.5, json!(64.0))),
        member("all", limits(1.5, json!("Infinity"))),
        limited("none", &offer, "exec sleep 1000", 40.0),
    ];
    launch_group(&isolated.framework, &offer, &tasks);
    let mut containers = Vec::new();
    for id in ["some", "all", "none"] {
        let running = isolated.framework.await_state(id, "TASK_RUNNING");
        let id = &running["container_status"]["container_id"];
        let name = |id: &Value| id["value"].as_str().expect("an id").to_owned();
        containers.push(format!("{}.{}", name(&id["parent"]), name(id)));
    }
    let of = |container: &str, tree: &str, file: &str| kernel(&isolated, tree, container, file);
    let [some, all, none] = containers.as_slice() else {
        panic!("three containers")
    };
    let megabytes = |count: u64| (count * MEGABYTE).to_string();
    // What it asks for is its share; what it may have at most is its limit.
    for container in &containers {
        assert_eq!(of(container, "cpu", "cpu.shares"), "102");
        let soft = of(container, "memory", "memory.soft_limit_in_bytes");
        assert_eq!(soft, megabytes(40));
    }
    assert_eq!(of(some, "cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(of(some, "memory", "memory.limit_in_bytes"), megabytes(64));
    assert_eq!(of(all, "cpu", "cpu.cfs_quota_us"), "150000");
    let infinite: u64 = of(all, "memory", "memory.limit_in_bytes")
        .parse()
        .expect("a number");
    assert!(infinite > 1 << 60, "{infinite}");
    assert_eq!(of(none, "cpu", "cpu.cfs_quota_us"), "-1");
    assert_eq!(of(none, "memory", "memory.limit_in_bytes"), megabytes(40));
    isolated.framework.kill("none");
    for id in ["none", "some", "all"] {
        isolated.framework.await_state(id, "TASK_KILLED");
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn figures_of_containers_launched_by_calls_are_their_own() {
    let mut isolated = Isolated::with("figures", "cgroups/cpu,cgroups/mem,cgroups/pids", &[]);
    let offer = isolated.framework.offer();
    let tasks = [super::isolation::sized(
        "t",
        &offer,
        64.0,
        "exec sleep 1000",
    )];
    isolated.framework.launch(&offer, &tasks);
    let running = isolated.framework.await_state("t", "TASK_RUNNING");
    let root = running["container_status"]["container_id"]["value"].clone();
    let root = root.as_str().expect("an id").to_owned();
    let alone = json!({
        "resources": [scalar("cpus", 0.1), scalar("mem", 48.0)],
        "limits": limits(0.2, json!(64.0)),
    });
    let mut nested = alone.clone();
    nested["container"] = json!({"type": "MESOS", "linux_info": {"share_cgroups": false}});
    let all = [(chain(&[&root, "own"]), nested), (chain(&["alone"]), alone)];
    for (id, asked) in &all {
        launch(isolated.cluster(), id, BUSY, asked);
    }
    let shares = chain(&[&root, "shares"]);
    launch(isolated.cluster(), &shares, "exec sleep 1000", &json!({}));
    for (id, _) in &all {
        let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or_default();
        let known = until("the figures of what it uses", || {
            let known = statistics(&mut isolated, id)?;
            let held = number(&known, "mem_anon_bytes") >= 12e6;
            let cached = number(&known, "mem_file_bytes") >= 8e6;
            let throttled = number(&known, "cpus_nr_throttled") >= 2.0;
            // The helper and the shell, once all else has ended.
            let loops = known["processes"] == 2;
            (held && cached && throttled && loops).then_some(known)
        });
        assert_eq!(known["mem_limit_bytes"], json!(64 * MEGABYTE), "{known}");
        assert_eq!(
            known["mem_soft_limit_bytes"],
            json!(48 * MEGABYTE),
            "{known}"
        );
        assert_eq!(known["cpus_limit"], 0.2, "{known}");
        assert_eq!(known["cpus_soft_limit"], 0.1, "{known}");
        assert_eq!(known["mem_rss_bytes"], known["mem_anon_bytes"], "{known}");
        assert_eq!(known["mem_cache_bytes"], known["mem_file_bytes"], "{known}");
        let parts = number(&known, "mem_anon_bytes") + number(&known, "mem_file_bytes");
        assert!(number(&known, "mem_total_bytes") >= parts, "{known}");
        assert!(number(&known, "cpus_throttled_time_secs") > 0.0, "{known}");
        assert!(number(&known, "cpus_nr_periods") >= number(&known, "cpus_nr_throttled"));
        assert!(number(&known, "cpus_user_time_secs") > 0.0, "{known}");
    }
    // What shares the limits of the container around has no figures of the kernel's.
    let known = statistics(&mut isolated, &shares).expect("figures of its processes");
    assert!(
        known["mem_anon_bytes"].is_null() && known["processes"] == 2,
        "{known}"
    );
    for (id, _) in &all {
        signal(isolated.cluster(), id, Signal::SIGKILL);
        assert_eq!(wait(isolated.cluster(), id)["exit_status"], 9);
    }
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}
