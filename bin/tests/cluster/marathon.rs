//! Apps as users of Marathon meet them: real tasks that are upgraded, go bad, lose their agents.
//! What the API answers in detail is tested beside it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary, until};
use crate::support::framework::{Encoding, Framework, info};
use crate::support::http;
use crate::support::marathon::{Marathon, live_tasks, running};

/// An app whose instances are checked by their agents.
fn checked(cmd: &str, check: &str) -> Value {
    json!({
        "id": "/a", "cmd": cmd, "instances": 4, "cpus": 0.1, "mem": 8, "backoffSeconds": 0,
        "portDefinitions": [],
        "healthChecks": [{
            "protocol": "COMMAND", "command": {"value": check}, "intervalSeconds": 1,
            "gracePeriodSeconds": 600, "delaySeconds": 0, "timeoutSeconds": 5, "maxConsecutiveFailures": 3,
        }],
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25},
    })
}

#[test]
fn a_version_that_never_becomes_healthy_stays_within_its_limits_and_is_rolled_back() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let marathon = Marathon::start(cluster.dir.path(), master, &[]);
    marathon.change("POST", "/v2/apps", &checked("exec sleep 1000", "true"));
    marathon.await_deployments();
    let app = marathon.app("/a").expect("the app");
    assert_eq!(app["tasksHealthy"], 4, "{app:#}");

    let bad = checked("exec sleep 2000", "false");
    let deployment = marathon.change("PUT", "/v2/apps/a", &bad);
    let is_within = || {
        let tasks = live_tasks(master);
        let old = tasks.iter().filter(|task| task["state"] == "TASK_RUNNING");
        assert!(tasks.len() <= 5, "{} tasks", tasks.len());
        assert!(old.count() >= 2);
    };
    // Two old ones go at once, and new ones take all the room there is.
    until("new tasks that are not healthy", || {
        is_within();
        let app = marathon.app("/a")?;
        (app["tasksRunning"] == 5 && app["tasksHealthy"] == 2).then_some(())
    });
    let deployments = marathon.get("/v2/deployments");
    assert_eq!(deployments[0]["id"], deployment["deploymentId"]);
    let refused = marathon.send("PATCH", "/v2/apps/a", &json!({"cpus": 0.2}));
    assert_eq!(refused.status, 409, "{}", refused.text());

    let id = deployment["deploymentId"].as_str().expect("an id");
    let path = format!("/v2/deployments/{id}");
    marathon.change("DELETE", &path, &Value::Null);
    until("the end of the rollback", || {
        is_within();
        (marathon.get("/v2/deployments") == json!([])).then_some(())
    });
    let app = marathon.app("/a").expect("the app");
    assert_eq!(
        (&app["cmd"], &app["tasksHealthy"]),
        (&json!("exec sleep 1000"), &json!(4))
    );
}

#[test]
fn instances_of_an_agent_that_is_lost_during_an_upgrade_are_replaced() {
    let flags = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=1"];
    let mut cluster = Cluster::with(2, &flags, &[]);
    let master = cluster.master.address;
    let marathon = Marathon::start(cluster.dir.path(), master, &[]);
    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 6, "cpus": 0.1, "mem": 8,
        "portDefinitions": [], "constraints": [["hostname", "LIKE", ".*"], ["level", "MAX_PER", "5"]],
    });
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_deployments();
    let port = cluster.agents[1].address.port();
    let state = http::request(master, "GET", "/state", &[], &[]).json();
    let agents = state["slaves"].as_array().expect("agents");
    let second = agents.iter().find(|agent| agent["port"] == port);
    let second = second.expect("the second agent")["id"].clone();
    let on_second = |task: &&Value| task["slave_id"] == second;
    assert!(live_tasks(master).iter().filter(on_second).count() >= 1);

    // What the agent leaves are its executors; they end with the machine it stands for.
    let next = json!({"cmd": "exec sleep 2000", "constraints": []});
    marathon.change("PATCH", "/v2/apps/a", &next);
    let agent = &mut cluster.agents[1];
    agent.signal(Signal::SIGKILL);
    agent.wait();
    marathon.await_deployments();
    // The upgrade may have ended before the agent was given up.
    until("all tasks elsewhere", || {
        let tasks = live_tasks(master);
        let elsewhere = tasks.iter().filter(on_second).count() == 0;
        (tasks.len() == 6 && running(&tasks) == 6 && elsewhere).then_some(())
    });

    // Back again, it has nothing that is still wanted.
    cluster.restart_agent(1, &[]);
    cluster.wait_for_agents(2);
    until("only the wanted tasks", || {
        let tasks = live_tasks(master);
        (tasks.len() == 6 && running(&tasks) == 6).then_some(())
    });
    marathon.await_running("/a", 6);
}

#[test]
fn of_two_forced_changes_at_once_one_wins_and_all_tasks_are_of_it() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let marathon = Marathon::start(cluster.dir.path(), master, &[]);
    let app = |seconds: u32| {
        json!({
            "id": "/a", "cmd": format!("exec sleep {seconds}"), "instances": 3, "cpus": 0.1, "mem": 8,
            "portDefinitions": [],
        })
    };
    marathon.change("POST", "/v2/apps", &app(1000));
    marathon.await_deployments();
    let force = |seconds| {
        let answer = marathon.send("PUT", "/v2/apps/a?force=true", &app(seconds));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    std::thread::scope(|scope| {
        for seconds in 1001..=1008 {
            scope.spawn(move || force(seconds));
        }
    });
    marathon.await_deployments();
    let app = marathon.app("/a").expect("the app");
    let version = &app["versionInfo"]["lastConfigChangeAt"];
    let tasks = app["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 3, "{app:#}");
    assert!(
        tasks.iter().all(|task| task["version"] == *version),
        "{app:#}"
    );
    until("only the wanted tasks", || {
        (live_tasks(master).len() == 3).then_some(())
    });
}

#[test]
fn a_framework_that_was_torn_down_is_registered_anew_and_its_apps_start_again() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut marathon = Marathon::start(cluster.dir.path(), master, &[]);
    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 2, "cpus": 0.1, "mem": 8,
        "portDefinitions": [],
    });
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_deployments();
    let id = marathon.get("/v2/info")["frameworkId"].clone();
    let id = id.as_str().expect("an id").to_owned();
    marathon.kill();
    let mut info = info("marathon", &[]);
    info["id"] = json!({"value": id});
    Framework::subscribe(master, Encoding::Json, info).teardown();
    let (code, said) = marathon.run_to_its_end();
    assert_eq!(code, Some(110), "{said}");
    marathon.start_again();
    until("new tasks", || {
        (running(&live_tasks(master)) == 2).then_some(())
    });
    marathon.await_running("/a", 2);
    assert_ne!(marathon.get("/v2/info")["frameworkId"], id);
}

#[test]
fn wrong_flags_end_it_with_marathons_code_and_a_reason() {
    let run = |flags: &[&str]| {
        let output = std::process::Command::new(binary("tepui-marathon"))
            .args(flags)
            .output();
        let output = output.expect("started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run(&["--master=127.0.0.1:5050", "--max_instance_per_offer=5"]);
    assert_eq!(code, Some(112), "{said}");
    assert!(said.contains("max_instances_per_offer"), "{said}");
    let (code, said) = run(&[]);
    assert_eq!(code, Some(112), "{said}");
    assert!(said.contains("master"), "{said}");
    let (code, said) = run(&["--master=127.0.0.1:5050", "--ssl_keystore_path=/x"]);
    assert_eq!(code, Some(112), "{said}");
    assert!(said.contains("ssl_keystore_path"), "{said}");
    assert_eq!(run(&["--help"]).0, Some(0));
}
