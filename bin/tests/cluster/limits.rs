//! Limits of CPUs and memory as the kernel shows them: at the launch, and as tasks join a container.
//! Needs root, and cgroups of either version at `/sys/fs/cgroup`.

use serde_json::{Value, json};

use super::isolation::{Isolated, sized};
use crate::support::cgroups::{Figure, is_unlimited, shares};
use crate::support::cluster::until;
use crate::support::framework::{scalar, task};

/// The outermost container of a task.
fn outermost(status: &Value) -> String {
    let mut id = &status["container_status"]["container_id"];
    while id["parent"].is_object() {
        id = &id["parent"];
    }
    id["value"].as_str().expect("a container").to_owned()
}

#[test]
fn a_task_may_use_more_than_it_is_given_where_it_says_so() {
    let flags = ["--cgroups_enable_cfs"];
    let mut isolated = Isolated::with("limits", "cgroups/cpu,cgroups/mem", &flags);
    let limited = |id: &str, offer: &Value, cpus: Value, mem: Value| {
        let mut task = sized(id, offer, 64.0, "exec sleep 1000");
        task["limits"] = json!({"cpus": {"value": cpus}, "mem": {"value": mem}});
        task
    };
    let offer = isolated.framework.offer();
    let tasks = [
        limited("some", &offer, json!(1.0), json!(160.0)),
        limited("any", &offer, json!("Infinity"), json!("Infinity")),
    ];
    isolated.framework.launch(&offer, &tasks);
    let [some, any] =
        ["some", "any"].map(|id| outermost(&isolated.framework.await_state(id, "TASK_RUNNING")));
    let figure = |container: &str, figure| isolated.cgroups.figure(container, figure);
    // The executor's own 32 MB and 0.1 CPUs come on top.
    assert_eq!(figure(&some, Figure::MemoryLimit), (192 << 20).to_string());
    assert_eq!(figure(&some, Figure::CpuQuota), "110000");
    assert!(is_unlimited(&figure(&any, Figure::MemoryLimit)));
    assert!(is_unlimited(&figure(&any, Figure::CpuQuota)));
    for container in [some, any] {
        // What they keep when others want it, too, is what they were given.
        assert_eq!(figure(&container, Figure::CpuShares), shares(614));
        let kept = figure(&container, Figure::MemoryKept);
        assert_eq!(kept, (96 << 20).to_string());
    }
    for id in ["some", "any"] {
        isolated.framework.kill(id);
        isolated.framework.await_state(id, "TASK_KILLED");
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_container_gets_more_when_a_task_joins_it() {
    let flags = ["--cgroups_enable_cfs", "--cgroups_limit_swap"];
    let mut isolated = Isolated::with("joins", "cgroups/cpu,cgroups/mem", &flags);
    let mut container = String::new();
    for (id, expected) in [
        ("first", (64_u64, 204, 20_000)),
        ("second", (96, 307, 30_000)),
    ] {
        let offer = isolated.framework.offer();
        let executor = json!({
            "type": "DEFAULT", "executor_id": {"value": "group"},
            "framework_id": {"value": isolated.framework.id},
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 16.0)],
        });
        let tasks = [task(id, &offer, "exec sleep 1000")];
        let group = json!({"executor": executor, "task_group": {"tasks": tasks}});
        let launch = json!([{"type": "LAUNCH_GROUP", "launch_group": group}]);
        isolated.framework.accept(&offer, launch, 0.0);
        let running = isolated.framework.await_state(id, "TASK_RUNNING");
        container = outermost(&running);
        let (megabytes, of_cpus, micros) = expected;
        // The group runs before the figures have changed.
        until("the figures of all its tasks", || {
            let figure = |figure| isolated.cgroups.figure(&container, figure);
            let are_there = figure(Figure::MemoryLimit) == (megabytes << 20).to_string()
                && figure(Figure::CpuShares) == shares(of_cpus)
                && figure(Figure::CpuQuota) == micros.to_string();
            are_there.then_some(())
        });
        isolated.cgroups.assert_no_swap(&container, megabytes << 20);
    }
    assert_eq!(isolated.cgroups.containers(), [container].into());
    for id in ["first", "second"] {
        isolated.framework.kill(id);
        isolated.framework.await_state(id, "TASK_KILLED");
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn the_kernel_throttles_who_uses_more_cpu_than_allowed() {
    let flags = ["--cgroups_enable_cfs"];
    let mut isolated = Isolated::with("throttled", "cgroups/cpu", &flags);
    let offer = isolated.framework.offer();
    let mut busy = sized("busy", &offer, 32.0, "while :; do :; done");
    busy["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0)]);
    isolated.framework.launch(&offer, &[busy]);
    let running = isolated.framework.await_state("busy", "TASK_RUNNING");
    let container = outermost(&running);
    let throttled = until("a period in which it had to wait", || {
        Some(isolated.cgroups.throttled(&container)).filter(|count| *count > 0)
    });
    let shown = isolated.agent("/monitor/statistics")[0]["statistics"].clone();
    let told = shown["cpus_nr_throttled"].as_u64().expect("a count");
    assert!(told >= throttled, "{shown}");
    let waited = shown["cpus_throttled_time_secs"].as_f64().expect("time");
    assert!(waited > 0.0, "{shown}");
    isolated.framework.kill("busy");
    isolated.framework.await_state("busy", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn an_executor_that_meets_the_limit_itself_ends_for_that_reason() {
    let mut isolated = Isolated::with("leader", "cgroups/mem", &[]);
    // Whether its end or the limit is noticed first is a race: all of them must end the same way.
    for number in 0..8 {
        let id = format!("t{number}");
        let offer = isolated.framework.offer();
        let mut hungry = sized(&id, &offer, 16.0, "");
        hungry.as_object_mut().expect("task").remove("command");
        hungry["executor"] = json!({
            "executor_id": {"value": id},
            "command": {"value": "exec tail /dev/zero"},
        });
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [hungry]}}]);
        isolated.framework.accept(&offer, launch, 0.0);
        let failed = isolated.framework.await_state(&id, "TASK_FAILED");
        assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
        let message = failed["message"].as_str().expect("message");
        assert!(message.starts_with("Memory limit exceeded"), "{message}");
    }
    isolated.wait_until_nothing_is_left();
}
