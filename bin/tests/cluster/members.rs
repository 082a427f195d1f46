//! Members of groups that are containers: how they are killed, how long they may run, and what is
//! launched beside them while their executor ends. Needs root, and cgroups at `/sys/fs/cgroup`.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::groups::launch_group;
use super::isolation::{ALL, Isolated, read, sized};
use super::nested::{call, chain, launch, launch_with, limited, pid_in, sandbox};
use crate::support::cluster::until;
use crate::support::framework::task;

/// Ends by SIGKILL only.
const STUBBORN: &str = "trap '' TERM; touch ready; while :; do sleep 0.05; done";

fn id_of(running: &Value) -> String {
    let id = running["container_status"]["container_id"]["value"].as_str();
    id.expect("container").to_owned()
}

#[test]
fn a_member_has_the_time_of_its_kill_policy() {
    let mut isolated = Isolated::with("member-kill", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let grace = Duration::from_millis(1500);
    let mut stubborn = limited("stubborn", &offer, STUBBORN, 32.0);
    stubborn["kill_policy"] = json!({"grace_period": {"nanoseconds": grace.as_nanos() as u64}});
    let polite = limited(
        "polite",
        &offer,
        "trap 'exit 0' TERM; touch ready; while :; do sleep 0.05; done",
        32.0,
    );
    launch_group(&isolated.framework, &offer, &[stubborn, polite]);
    for name in ["stubborn", "polite"] {
        let running = isolated.framework.await_state(name, "TASK_RUNNING");
        let ready = sandbox(isolated.cluster(), &id_of(&running)).join("ready");
        until("its trap", || ready.exists().then_some(()));
    }
    let before = Instant::now();
    isolated.framework.kill("stubborn");
    let killed = isolated.framework.await_state("stubborn", "TASK_KILLED");
    assert!(before.elapsed() >= grace, "{:?}", before.elapsed());
    let message = killed["message"].as_str().expect("message");
    assert_eq!(message, "Command terminated with signal Killed");
    let killed = isolated.framework.await_state("polite", "TASK_KILLED");
    assert_eq!(killed["message"], "Command exited with status 0");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_member_that_runs_too_long_fails_and_takes_its_group_along() {
    let mut isolated = Isolated::with("member-long", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let mut long = limited("long", &offer, STUBBORN, 32.0);
    long["max_completion_time"] = json!({"nanoseconds": 1_000_000_000_u64});
    let other = limited("other", &offer, "exec sleep 1000", 32.0);
    launch_group(&isolated.framework, &offer, &[long, other]);
    isolated.framework.await_state("other", "TASK_RUNNING");
    let failed = isolated.framework.await_state("long", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_MAX_COMPLETION_TIME_REACHED");
    isolated.framework.await_state("other", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn what_is_launched_under_an_executor_that_ends_goes_with_it() {
    let mut isolated = Isolated::with("ending", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let mut task = sized("t", &offer, 64.0, STUBBORN);
    task["kill_policy"] = json!({"grace_period": {"nanoseconds": 2_000_000_000_u64}});
    isolated.framework.launch(&offer, &[task]);
    let running = isolated.framework.await_state("t", "TASK_RUNNING");
    let root = id_of(&running);
    let own = sandbox(isolated.cluster(), &root);
    until("its trap", || own.join("ready").exists().then_some(()));
    isolated.framework.kill("t");
    let late = chain(&[&root, "late"]);
    let script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    launch(isolated.cluster(), &late, script, &json!({}));
    let pid = pid_in(&own.join("containers/late/pid"));
    assert!(is_alive(pid));
    isolated.framework.await_state("t", "TASK_KILLED");
    until("its end", || (!is_alive(pid)).then_some(()));
    // Nothing can be launched in what has ended.
    let refused = until("the end of the executor", || {
        let id = chain(&[&root, "later"]);
        let answer = call(
            isolated.cluster(),
            &launch_with(&id, "exec sleep 1000", &json!({})),
        );
        (answer.status == 400).then_some(answer)
    });
    assert!(
        refused.text().contains("Parent container"),
        "{}",
        refused.text()
    );
    isolated.wait_until_nothing_is_left();
}

#[test]
fn an_agent_without_cgroups_ends_what_one_with_them_has_left() {
    let mut isolated = Isolated::with("posix-after", "cgroups/mem,cgroups/pids", &[]);
    let dir = isolated.cluster().dir.path().to_owned();
    let offer = isolated.framework.offer();
    // Neither parent, group, session nor environment tell whose it is: only its cgroup does.
    let script = |name: &str| {
        let file = dir.join(name);
        format!(
            "env -i /usr/bin/setsid sh -c 'setsid sleep 1000 & echo $! > {}' & exec sleep 1000",
            file.display()
        )
    };
    let tasks = ["kept", "lost"].map(|id| sized(id, &offer, 32.0, &script(id)));
    isolated.framework.launch(&offer, &tasks);
    let leaders = ["kept", "lost"].map(|id| {
        let running = isolated.framework.await_state(id, "TASK_RUNNING");
        i32::try_from(super::isolation::executor_pid(&running)).expect("pid")
    });
    let hidden = ["kept", "lost"].map(|id| pid_in(&dir.join(id)));
    assert_eq!(isolated.cgroups.containers().len(), 2);
    isolated.cluster().agents[0].signal(Signal::SIGKILL);
    isolated.cluster().agents[0].wait();
    let lost = nix::unistd::Pid::from_raw(leaders[1]);
    nix::sys::signal::kill(lost, Signal::SIGKILL).expect("signal");
    isolated.restart_agent_with(&["--launcher=posix", "--isolation=posix/cpu,posix/mem"]);
    isolated.framework.await_state("lost", "TASK_FAILED");
    until("the end of what is hidden", || {
        (!is_alive(hidden[1])).then_some(())
    });
    until("one container", || {
        (isolated.cgroups.containers().len() == 1).then_some(())
    });
    assert!(is_alive(hidden[0]) && is_alive(leaders[0]));
    isolated.framework.kill("kept");
    isolated.framework.await_state("kept", "TASK_KILLED");
    until("the end of the other", || {
        (!is_alive(hidden[0])).then_some(())
    });
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_member_that_asks_for_nothing_has_namespaces_and_mounts_of_its_own() {
    let mut isolated = Isolated::with("member-own", ALL, &[]);
    let offer = isolated.framework.offer();
    let look = "for kind in pid mnt ipc; do readlink /proc/self/ns/$kind; done > namespaces; \
                ls /proc | grep -c '^[0-9]' > processes; touch ready; exec sleep 1000";
    let tasks = ["a", "b"].map(|id| task(id, &offer, look));
    launch_group(&isolated.framework, &offer, &tasks);
    let mut seen = Vec::new();
    for id in ["a", "b"] {
        let running = isolated.framework.await_state(id, "TASK_RUNNING");
        let own = sandbox(isolated.cluster(), &id_of(&running));
        until("its look", || own.join("ready").exists().then_some(()));
        let namespaces = read(own.join("namespaces"));
        let names: Vec<String> = namespaces.lines().map(str::to_owned).collect();
        let count: u32 = read(own.join("processes"))
            .trim()
            .parse()
            .expect("a number");
        // The helper, the shell, and what it runs: neither the executor nor the other member.
        assert!(count <= 5, "{count}");
        seen.push(names);
    }
    let [a, b] = seen.as_slice() else {
        panic!("two members")
    };
    // Where nothing is asked for, shared memory is that of the executor, as in Mesos.
    assert!(a[0] != b[0] && a[1] != b[1] && a[2] == b[2], "{a:?} {b:?}");
    isolated.framework.kill("a");
    for id in ["a", "b"] {
        isolated.framework.await_state(id, "TASK_KILLED");
    }
    isolated.wait_until_nothing_is_left();
}
