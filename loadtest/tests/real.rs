//! Scenarios with a real master, real agents and real tasks, small enough for every test run.
//! Judges no speed: only that everything goes on, and that what is told adds up.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only sees in #[test]"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn containers_are_launched_and_destroyed() {
    let report = report(&["containers", "--containers=12", "--at-once=5"]);
    let measures = report["runs"][0]["measures"].as_array().unwrap();
    for name in [
        "launched, the first ones",
        "launched, the last ones",
        "launched",
        "destroyed",
    ] {
        let found = measures.iter().find(|measure| measure["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {measures:#?}"));
        assert!(found["value"].as_f64().unwrap() > 0.0, "{name}");
    }
}

/// What the program reports with these arguments.
fn report(arguments: &[&str]) -> Value {
    let program = Path::new(env!("CARGO_BIN_EXE_tepui-loadtest"));
    for name in ["tepui-master", "tepui-agent", "tepui-executor"] {
        let path = program.with_file_name(name);
        assert!(
            path.exists(),
            "{} is missing: build it with 'cargo build --workspace --bins'",
            path.display()
        );
    }
    let output = Command::new(program)
        .args(arguments)
        .args(["--json", "--timeout-secs=60"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tasks_go_on_while_their_agent_is_killed_and_started_again() {
    let report = report(&[
        "agent-restart",
        "--tasks=10",
        "--away-ms=100",
        "--agent-flag=--executor_reregistration_timeout=15secs",
    ]);
    let measures = report["runs"][0]["measures"].as_array().unwrap();
    let measure = |name: &str| {
        let found = measures.iter().find(|measure| measure["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {measures:#?}"));
        found["value"].as_f64().unwrap()
    };
    let answers = measure("until the agent answers");
    assert!(answers > 0.0);
    assert!(measure("until registered") >= answers);
    assert!(measure("until all executors are back") >= answers);
    assert!(measure("agent cpu until then") >= measure("agent cpu until it answers"));
}
