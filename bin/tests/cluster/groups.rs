//! Task groups under the default executor.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::nested::{call, pid_in, sandbox, shown};
use super::operations;
use crate::support::cgroups::Cgroups;
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Encoding, Framework, info, scalar, task};

pub(super) fn launch_group(framework: &Framework, offer: &Value, tasks: &[Value]) {
    let executor = json!({
        "type": "DEFAULT", "executor_id": {"value": "group"},
        "framework_id": {"value": framework.id},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 16.0)],
    });
    let launch = json!({"executor": executor, "task_group": {"tasks": tasks}});
    framework.accept(
        offer,
        json!([{"type": "LAUNCH_GROUP", "launch_group": launch}]),
        1000.0,
    );
}

#[test]
fn a_group_runs_and_finishes() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let tasks = [
        task("one", &offer, "true"),
        task("two", &offer, "sleep 0.2"),
    ];
    launch_group(&framework, &offer, &tasks);
    for name in ["one", "two"] {
        let finished = framework.await_state(name, "TASK_FINISHED");
        assert_eq!(finished["executor_id"]["value"], "group");
    }
    let failure = framework.expect("FAILURE");
    assert_eq!(failure["failure"]["executor_id"]["value"], "group");
    assert_eq!(failure["failure"]["status"], 0);
}

#[test]
fn a_failing_member_takes_its_group_along() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let tasks = [
        task("long", &offer, "sleep 1000"),
        task("short", &offer, "sleep 0.5; exit 4"),
    ];
    launch_group(&framework, &offer, &tasks);
    framework.await_state("long", "TASK_RUNNING");
    let failed = framework.await_state("short", "TASK_FAILED");
    assert_eq!(failed["message"], "Command exited with status 4");
    framework.await_state("long", "TASK_KILLED");
}

#[test]
fn a_group_outlives_the_agents_crash() {
    let mut cluster = Cluster::start(1);
    let mut info = info("group", &["PARTITION_AWARE"]);
    info["checkpoint"] = json!(true);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = framework.offer();
    let go = cluster.dir.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.1; done", go.display());
    let tasks = [task("one", &offer, &wait), task("two", &offer, &wait)];
    launch_group(&framework, &offer, &tasks);
    for name in ["one", "two"] {
        framework.await_state(name, "TASK_RUNNING");
    }
    cluster.agents[0].signal(Signal::SIGKILL);
    cluster.agents[0].wait();
    cluster.restart_agent(0, &["--executor_reregistration_timeout=15secs"]);
    cluster.wait_for_agents(1);
    std::fs::write(&go, "").expect("file");
    for name in ["one", "two"] {
        framework.await_state(name, "TASK_FINISHED");
    }
}

#[test]
fn a_group_with_a_bad_member_is_refused_whole() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "group", &[]);
    let offer = framework.offer();
    let twice = [task("same", &offer, "true"), task("same", &offer, "true")];
    launch_group(&framework, &offer, &twice);
    let error = framework.update("same");
    assert_eq!(error["state"], "TASK_ERROR");
    assert_eq!(error["reason"], "REASON_TASK_GROUP_INVALID");
}

/// Settings of agents with either launcher.
const LAUNCHERS: [&[&str]; 2] = [
    &["--launcher=linux", "--isolation=cgroups/cpu,cgroups/mem"],
    &["--launcher=posix", "--isolation=posix/cpu,posix/mem"],
];

/// A cluster with such an agent; its cgroups are gone with it.
fn with_launcher(name: &str, flags: &[&str]) -> (Cgroups, Cluster) {
    let root = format!("tepui-test-{name}-{}", std::process::id());
    let own = format!("--cgroups_root={root}");
    let cluster = Cluster::with(1, &[], &[flags, &[&own]].concat());
    (Cgroups { root }, cluster)
}

/// The container of a task, as its status says.
fn container_of(status: &Value) -> Value {
    status["container_status"]["container_id"].clone()
}

#[test]
fn members_are_containers_that_the_agent_knows() {
    for flags in LAUNCHERS {
        let (cgroups, cluster) = with_launcher("members", flags);
        let mut framework = Framework::simple(cluster.master.address, "members", &[]);
        let offer = framework.offer();
        let tasks = ["a", "b"].map(|id| task(id, &offer, "exec sleep 1000"));
        launch_group(&framework, &offer, &tasks);
        let ids = ["a", "b"].map(|id| container_of(&framework.await_state(id, "TASK_RUNNING")));
        let word = |id: &Value| {
            let outer = id["parent"]["value"].as_str().expect("a parent");
            format!("{outer}.{}", id["value"].as_str().expect("an id"))
        };
        let known = shown(&cluster);
        assert_eq!(known.len(), 3, "{known:?}");
        assert!(ids.iter().all(|id| known.contains(&word(id))), "{known:?}");

        // A container may be launched in that of a member, by the older calls, too.
        let inner = json!({"value": "inner", "parent": ids[0]});
        let nested = |kind: &str, mut what: Value| {
            what["container_id"] = inner.clone();
            let field = kind.to_lowercase();
            call(&cluster, &json!({"type": kind, field: what}))
        };
        let script = "trap 'exit 3' TERM; touch ready; while :; do sleep 0.05; done";
        let command = json!({"command": {"value": script}});
        assert_eq!(nested("LAUNCH_NESTED_CONTAINER", command).status, 200);
        let own = sandbox(&cluster, ids[0]["value"].as_str().expect("an id"));
        let ready = own.join("containers/inner/ready");
        until("its trap", || ready.exists().then_some(()));
        let refused = nested("REMOVE_NESTED_CONTAINER", json!({}));
        assert_eq!(refused.status, 500, "{}", refused.text());
        let killed = nested("KILL_NESTED_CONTAINER", json!({"signal": 15}));
        assert_eq!(killed.status, 200, "{}", killed.text());
        let ended = nested("WAIT_NESTED_CONTAINER", json!({})).json();
        assert_eq!(
            ended["wait_nested_container"]["exit_status"],
            3 << 8,
            "{ended}"
        );
        assert_eq!(nested("REMOVE_NESTED_CONTAINER", json!({})).status, 200);
        assert!(!own.join("containers/inner").exists());
        assert_eq!(nested("WAIT_NESTED_CONTAINER", json!({})).status, 404);

        // The member itself is waited for and killed by the same calls; its group ends with it.
        let member = json!({"container_id": ids[1], "signal": 9});
        let kill = json!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": member});
        assert_eq!(call(&cluster, &kill).status, 200);
        let failed = framework.await_state("b", "TASK_FAILED");
        assert_eq!(failed["message"], "Command terminated with signal Killed");
        framework.await_state("a", "TASK_KILLED");
        framework.expect("FAILURE");
        drop(cluster);
        cgroups.remove();
    }
}

#[test]
fn a_daemon_of_a_member_ends_with_the_member() {
    for flags in LAUNCHERS {
        let (cgroups, cluster) = with_launcher("daemons", flags);
        let dir = cluster.dir.path().to_owned();
        let mut framework = Framework::simple(cluster.master.address, "daemons", &[]);
        // It has neither parent, session, group nor environment in common with its task.
        let daemon = |id: &str, then: &str| {
            let file = dir.join(id);
            format!(
                "env -i /usr/bin/setsid sh -c 'setsid sleep 1000 & echo $! > {}' & wait; {then}",
                file.display()
            )
        };
        let offer = framework.offer();
        let tasks = [
            task("stays", &offer, "exec sleep 1000"),
            task("ends", &offer, &daemon("ends", "exit 0")),
            task("killed", &offer, &daemon("killed", "exec sleep 1000")),
        ];
        launch_group(&framework, &offer, &tasks);
        framework.await_state("ends", "TASK_FINISHED");
        let ended = pid_in(&dir.join("ends"));
        until("the end of the first daemon", || {
            (!is_alive(ended)).then_some(())
        });
        framework.await_state("killed", "TASK_RUNNING");
        let killed = pid_in(&dir.join("killed"));
        assert!(is_alive(killed));
        framework.kill("killed");
        framework.await_state("killed", "TASK_KILLED");
        until("the end of the second daemon", || {
            (!is_alive(killed)).then_some(())
        });
        framework.await_state("stays", "TASK_KILLED");
        framework.expect("FAILURE");
        drop(cluster);
        cgroups.remove();
    }
}

#[test]
fn each_member_has_its_own_sandbox() {
    let mut cluster = Cluster::with(
        1,
        &[],
        &["--executor_environment_variables={\"SEEN\": \"1\"}"],
    );
    let mut framework = Framework::simple(cluster.master.address, "sandboxes", &[]);
    let offer = framework.offer();
    let script = "echo out $SEEN; echo err >&2; pwd; echo $MESOS_CONTAINER_IP; \
                  test \"$MESOS_SANDBOX\" = \"$(pwd)\"";
    let tasks = [task("one", &offer, script), task("two", &offer, "echo two")];
    launch_group(&framework, &offer, &tasks);
    let one = container_of(&framework.await_state("one", "TASK_FINISHED"));
    let two = container_of(&framework.await_state("two", "TASK_FINISHED"));
    assert_ne!(one, two);
    framework.expect("FAILURE");
    cluster.agents.clear();
    let own = sandbox(&cluster, one["value"].as_str().expect("an id"));
    let executor = own.ancestors().nth(2).expect("the executor's");
    let read = |path: &str| std::fs::read_to_string(executor.join(path)).expect("a file");
    let link = std::fs::read_link(executor.join("tasks/one")).expect("a link");
    assert_eq!(link, own.canonicalize().expect("a sandbox"));
    let expected = format!("out\n{}\n127.0.0.1\n", link.display());
    assert_eq!(read("tasks/one/stdout"), expected);
    assert_eq!(read("tasks/one/stderr"), "err\n");
    assert_eq!(read("tasks/two/stdout"), "two\n");
    assert_eq!(read("stdout"), "");
}

#[test]
fn groups_of_one_executor_live_and_die_apart() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "apart", &[]);
    let offer = framework.offer();
    launch_group(&framework, &offer, &[task("a", &offer, "exec sleep 1000")]);
    framework.await_state("a", "TASK_RUNNING");
    framework.accepted(json!({"type": "REVIVE"}));
    let offer = framework.offer();
    launch_group(&framework, &offer, &[task("b", &offer, "exit 1")]);
    framework.await_state("b", "TASK_FAILED");
    // The first group goes on until it is killed itself.
    framework.kill("a");
    let killed = framework.await_state("a", "TASK_KILLED");
    assert_eq!(
        killed["message"],
        "Command terminated with signal Terminated"
    );
    assert_eq!(framework.expect("FAILURE")["failure"]["status"], 0);
}

#[test]
fn a_member_that_cannot_start_takes_its_group_along() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "missing", &[]);
    let offer = framework.offer();
    let mut missing = task("missing", &offer, "/no/such/program");
    missing["command"]["shell"] = json!(false);
    let other = task("other", &offer, "exec sleep 1000");
    launch_group(&framework, &offer, &[missing, other]);
    let failed = framework.await_state("missing", "TASK_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(
        message.contains("Failed to execute '/no/such/program'"),
        "{message}"
    );
    framework.await_state("other", "TASK_KILLED");
}

/// The volume of `task_on_volume`, to be seen at another place.
pub(super) fn seen_at(mut task: Value, path: &str) -> Value {
    let resources = task["resources"].as_array_mut().expect("resources");
    for resource in resources.iter_mut().filter(|it| it["disk"].is_object()) {
        resource["disk"]["volume"]["container_path"] = json!(path);
    }
    task
}

/// Makes the volume, and gives an offer with it.
pub(super) fn with_volume(framework: &mut Framework) -> Value {
    let offer = framework.offer();
    framework.accept(&offer, json!([operations::reserve("reserve")]), 0.0);
    operations::finished(framework, "reserve");
    let offer = framework.offer();
    framework.accept(&offer, json!([operations::create("create")]), 0.0);
    operations::finished(framework, "create");
    operations::offer_with_volume(framework)
}

#[test]
fn a_member_sees_its_volume_where_it_asks_for_it() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::subscribe(master, Encoding::Json, operations::web());
    let offer = with_volume(&mut framework);
    let script = "echo kept > deep/er/data/file; test -L deep/er/data";
    let write = seen_at(
        operations::task_on_volume("write", &offer, script),
        "deep/er/data",
    );
    let other = task("other", &offer, "test ! -e deep");
    launch_group(&framework, &offer, &[write, other]);
    for id in ["write", "other"] {
        framework.await_state(id, "TASK_FINISHED");
    }
    framework.expect("FAILURE");
    framework.accepted(json!({"type": "REVIVE"}));
    let offer = operations::offer_with_volume(&mut framework);
    let look = "test \"$(cat data/db/file)\" = kept";
    let read = seen_at(operations::task_on_volume("read", &offer, look), "data/db");
    framework.launch(&offer, &[read]);
    framework.await_state("read", "TASK_FINISHED");
}

#[test]
fn a_container_is_not_shown_the_volume_of_another_executor() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut thief = Framework::simple(master, "thief", &[]);
    let offer = thief.offer();
    thief.launch(&offer, &[task("t", &offer, "exec sleep 1000")]);
    let root = container_of(&thief.await_state("t", "TASK_RUNNING"));
    let mut framework = Framework::subscribe(master, Encoding::Json, operations::web());
    let offer = with_volume(&mut framework);
    let owner = operations::task_on_volume("owner", &offer, "exec sleep 1000");
    let resources = owner["resources"].as_array().expect("resources");
    let volume = resources.last().expect("a volume").clone();
    framework.launch(&offer, &[owner]);
    framework.await_state("owner", "TASK_RUNNING");
    let id = json!({"value": "inner", "parent": root});
    let launch = json!({"container_id": id, "command": {"value": "true"}, "resources": [volume]});
    let refused = call(
        &cluster,
        &json!({"type": "LAUNCH_CONTAINER", "launch_container": launch}),
    );
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(
        refused.text().contains("'kept' is none of the executor's"),
        "{}",
        refused.text()
    );
    framework.kill("owner");
    framework.await_state("owner", "TASK_KILLED");
}
