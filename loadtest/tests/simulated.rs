//! Scenarios with simulated agents against the real master, small enough for every test run.
//! Judges no speed: only that everything arrives, and that what is told adds up.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only sees in #[test]"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the load test; the programs it starts lie beside it.
fn loadtest(arguments: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_tepui-loadtest"));
    for other in ["tepui-master", "tepui-marathon"] {
        let other = program.with_file_name(other);
        assert!(
            other.exists(),
            "{} is missing: build it with 'cargo build --workspace --bins'",
            other.display()
        );
    }
    Command::new(program).args(arguments).output().unwrap()
}

/// The only or first run of a scenario that must succeed.
fn run(arguments: &str) -> Value {
    runs(arguments).swap_remove(0)
}

/// All runs of a scenario that must succeed.
fn runs(arguments: &str) -> Vec<Value> {
    let mut all: Vec<&str> = arguments.split(' ').collect();
    all.extend(["--json", "--timeout-secs=60"]);
    let output = loadtest(&all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {errors}");
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = report["runs"].take();
    runs.as_array().unwrap().clone()
}

fn measure(run: &Value, name: &str) -> f64 {
    let measures = run["measures"].as_array().unwrap();
    let found = measures.iter().find(|measure| measure["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {measures:#?}"));
    found["value"].as_f64().unwrap()
}

/// How often something was measured.
fn count(run: &Value, name: &str) -> u64 {
    let latencies = run["latencies"].as_array().unwrap();
    let found = latencies.iter().find(|latency| latency["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {latencies:#?}"));
    found["count"].as_u64().unwrap()
}

#[test]
fn agents_register() {
    let run = run("register --agents=200");
    assert!(count(&run, "to registered") >= 200);
    assert!(count(&run, "metrics while registering") > 0);
    assert!(measure(&run, "master memory") > 1.0);
    assert!(measure(&run, "agents") > 0.0);
    let memory = &run["series"].as_array().unwrap()[1];
    assert_eq!(memory["name"], "master memory");
    assert!(!memory["points"].as_array().unwrap().is_empty());
}

#[test]
fn every_framework_is_offered_every_agent_and_freed_resources_come_back() {
    let run = run("offers --agents=50 --frameworks=3 --freed=5");
    let offered = "subscription until all agents are offered";
    assert_eq!(count(&run, offered), 3);
    let again = "end of a task until its agent is offered again";
    assert_eq!(count(&run, again), 5);
}

#[test]
fn tasks_of_many_frameworks_run_in_both_encodings_over_a_slow_network() {
    let quick = run("launch --agents=20 --tasks=300 --frameworks=3");
    assert_eq!(count(&quick, "to TASK_RUNNING"), 300);
    assert_eq!(count(&quick, "to terminal state"), 300);
    let slow = run("launch --agents=20 --tasks=60 --wire=json --delay-ms=30 --jitter-ms=5");
    assert_eq!(count(&slow, "to terminal state"), 60);
    let latencies = slow["latencies"].as_array().unwrap();
    let fastest = &latencies[0]["distribution"][0][1];
    assert!(
        fastest.as_u64().unwrap() >= 60_000,
        "an order and its answer are each delayed: {latencies:#?}"
    );
}

#[test]
fn some_tasks_fail_when_they_are_to() {
    let run = run("launch --agents=20 --tasks=400 --failing-tasks=0.5");
    let failed = measure(&run, "failed tasks");
    assert!((100.0..300.0).contains(&failed), "{failed}");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let run = run("steady --agents=20 --rate=50 --seconds=2 --task-seconds=0.1");
    assert_eq!(count(&run, "to terminal state"), 100);
    // The last task is due after 1.98 s, and runs for another tenth.
    assert!(measure(&run, "elapsed") >= 2.08);
}

#[test]
fn a_killed_master_finds_every_agent_and_task_again() {
    for registry in ["in_memory", "file"] {
        let flag = format!("--master-flag=--registry={registry}");
        let run = run(&format!("failover --agents=60 --tasks-per-agent=5 {flag}"));
        assert!(count(&run, "lost link until registered") >= 60);
        assert!(measure(&run, "elapsed") >= measure(&run, "until the master answers"));
    }
}

#[test]
fn the_state_is_read_while_tasks_are_launched() {
    let run = run("state --agents=20 --tasks=100 --readers=3 --seconds=2");
    assert!(count(&run, "read") > 3);
    assert!(count(&run, "ACCEPT to TASK_RUNNING meanwhile") >= 20);
    assert!(measure(&run, "size of the answer") > 0.01);
}

#[test]
fn the_operator_api_is_read_while_others_subscribe() {
    for wire in ["json", "protobuf"] {
        let run = run(&format!(
            "state --agents=20 --tasks=100 --readers=2 --seconds=2 --call=GET_STATE \
             --subscribers=10 --wire={wire}"
        ));
        assert!(count(&run, "read") > 2);
        assert!(measure(&run, "size of the answer") > 0.01);
        // The first one tells of all 100 tasks, and all of those that are launched meanwhile.
        assert!(measure(&run, "chunks on all streams") > 10.0 * 60.0);
    }
}

#[test]
fn nothing_is_missing_after_agents_and_frameworks_came_and_went() {
    let run = run("flap --agents=60 --cuts=40 --frameworks=2 --leaving=5 --seconds=3");
    assert!(measure(&run, "links lost") > 0.0);
    assert!(measure(&run, "frameworks gone") > 0.0);
}

#[test]
fn every_role_gets_what_it_is_guaranteed() {
    let run = run("quota --agents=30 --roles=120");
    assert_eq!(
        count(&run, "subscription until the guarantee is offered"),
        120
    );
    assert_eq!(count(&run, "a decline"), 120);
}

#[test]
fn a_soak_watches_memory_and_files() {
    let run = run("soak --agents=30 --rate=50 --minutes=0.05 --mean-time-to-cut-secs=20");
    assert_eq!(count(&run, "to terminal state"), 150);
    assert!(measure(&run, "open files after") > 30.0);
}

#[test]
fn offenders_are_dealt_with_and_named() {
    let run = run("bounds --agents=50 --burst=20000 --flood=50000 --idle=300");
    let notes = run["notes"].as_array().unwrap();
    let says = |text: &str| {
        let named = |note: &Value| note.as_str().unwrap().contains(text);
        notes.iter().any(named)
    };
    assert!(
        says("framework is too slow") && says("framework=\""),
        "{notes:#?}"
    );
    // An unoptimised agent may be no faster than the master.
    let named = says("agent sends faster") && says("agent=\"");
    assert!(named || says("kept up with the agent"), "{notes:#?}");
    assert!(count(&run, "to TASK_RUNNING, all tasks end at once") > 0);
}

#[test]
fn many_apps_are_created_and_all_their_tasks_run() {
    for (by, requests) in [("group", 3), ("app", 25)] {
        let size = "--agents=20 --apps=25 --instances=2 --per-group=10 --clients=3";
        let run = run(&format!("apps --part=create {size} --create-by={by}"));
        assert_eq!(count(&run, "a request that creates"), requests);
        assert_eq!(
            count(&run, "request until its deployment is over"),
            requests
        );
        assert!(measure(&run, "until all tasks run") > 0.0);
        assert!(measure(&run, "marathon memory, at most") > 1.0);
        assert!(measure(&run, "marathon files") > 0.0);
    }
}

#[test]
fn lists_of_apps_are_read_at_rest_and_while_an_app_is_scaled() {
    let run = run(
        "apps --part=read --agents=20 --apps=20 --instances=1 --rate=20 --pollers=4 \
                   --scale=30 --seconds=1",
    );
    assert!((15..=25).contains(&count(&run, "GET /v2/apps at rest")));
    for path in ["", "/ID"] {
        assert!(count(&run, &format!("GET /v2/apps{path} while scaling")) > 0);
    }
    assert!(count(&run, "scaling an app up without reads") > 0);
    assert!(count(&run, "scaling an app to 0 while reading") > 0);
    // Each of the apps takes some hundred bytes.
    assert!(measure(&run, "size of the list at rest") > 0.005);
}

#[test]
fn an_app_is_scaled_up_and_down_with_few_and_many_tokens_and_never_has_a_task_too_many() {
    let runs = runs("apps --part=scale --agents=20 --scale=90");
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(measure(run, "most tasks at any time"), 90.0);
        assert!(measure(run, "until all tasks are gone") > 0.0);
    }
    assert_eq!(runs[0]["parameters"]["launch tokens"], "default");
}

#[test]
fn more_tasks_than_fit_are_scaled_down() {
    let resources = "--resources=cpus:0.1;mem:1024;disk:10;ports:[31000-32000]";
    let run = run(&format!(
        "apps --part=scale --agents=2 --scale=1000 {resources}"
    ));
    assert_eq!(measure(&run, "most tasks at any time"), 20.0);
    let note = run["notes"][0].as_str().unwrap();
    assert!(
        note.contains("1000 instances were wanted, and 20 fit"),
        "{note}"
    );
}

#[test]
fn upgrades_keep_to_their_strategy_and_deployments_run_side_by_side() {
    let run = run("apps --part=upgrade --agents=20 --upgrade=20 --parallel=3");
    for name in ["upgrade", "restart"] {
        assert!(measure(&run, &format!("fewest tasks during {name}")) >= 10.0);
        assert!(measure(&run, &format!("most tasks during {name}")) <= 24.0);
    }
    assert_eq!(count(&run, "deployments side by side"), 3);
}

#[test]
fn saved_figures_become_one_page() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let mut files = Vec::new();
    for agents in [10, 20, 40] {
        let saved = file(&format!("{agents}.json"));
        let output = loadtest(&[
            "register",
            &format!("--agents={agents}"),
            &format!("--save={saved}"),
        ]);
        assert!(output.status.success());
        files.push(saved);
    }
    let page = file("page.md");
    let markdown = format!("--markdown={page}");
    let mut arguments = vec!["report", &markdown];
    arguments.extend(files.iter().map(String::as_str));
    assert!(loadtest(&arguments).status.success());
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("## Growth"), "{text}");
    let plots = std::fs::read_dir(directory.path()).unwrap();
    let plots = plots.filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension().is_some_and(|extension| extension == "svg")
    });
    assert!(plots.count() > 0);
    let broken = loadtest(&["report", "/dev/null"]);
    assert_eq!(broken.status.code(), Some(1));
    let text = String::from_utf8_lossy(&broken.stderr);
    assert!(text.contains("is no saved report"), "{text}");
}

#[test]
fn what_cannot_be_played_is_told() {
    for (arguments, expected) in [
        ("register --agents=5 --resources=cpus", "--resources"),
        (
            "launch --target=mesos-v1 --master=127.0.0.1:1",
            "127.0.0.1:1",
        ),
        ("failover --master=127.0.0.1:1", "leave --master out"),
        ("tasks", "needs --master"),
        ("flap --agents=5 --leaving=5", "no agent would stay"),
        ("apps --agents=5 --marathon-flag=--none=1", "none"),
        (
            "apps --part=create --agents=100 --apps=2 --instances=1000 --launch-tokens=1",
            "deployments of new apps: not done in 2s",
        ),
    ] {
        let mut all: Vec<&str> = arguments.split(' ').collect();
        all.push("--timeout-secs=2");
        let output = loadtest(&all);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {text}");
        assert!(text.contains(expected), "{arguments}: {text}");
    }
}
