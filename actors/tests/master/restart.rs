//! Masters that end and start again with the registry of the one before.
//! What the registry file survives is tested with the registrar.

use tepui_actors::flags::{self, Parsed};
use tepui_actors::master::{RunError, run};

use super::agent::Agent;
use super::client::Master;

fn error(args: &[&str]) -> RunError {
    let args = args.iter().map(std::ffi::OsString::from);
    let Ok(Parsed::Run(config)) = flags::master(args, std::iter::empty()) else {
        panic!("flags must be right");
    };
    match run(config) {
        Ok(_) => panic!("the master must not start"),
        Err(error) => error,
    }
}

#[test]
fn admitted_agents_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        "--registry=file".to_owned(),
        format!("--work_dir={}", dir.path().display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let master = Master::with(&flags);
    let agent = Agent::register(&master, 5051);
    let id = agent.id.clone();
    master.stop();
    let master = Master::with(&flags);
    let state = master.get("/state").json();
    assert_eq!(state["recovered_slaves"][0]["id"], id.as_str());
    assert_eq!(state["slaves"], serde_json::json!([]));
}

#[test]
fn a_damaged_registry_is_reported_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registry.redb");
    std::fs::write(
        &file,
        b"this is no registry, and long enough to be looked at",
    )
    .unwrap();
    let work_dir = format!("--work_dir={}", dir.path().display());
    let error = error(&["--ip=127.0.0.1", "--port=0", "--registry=file", &work_dir]);
    let text = error.to_string();
    assert!(matches!(error, RunError::Registry(_)), "{text}");
    assert!(
        text.contains("registry.redb") && text.contains("move it away"),
        "{text}"
    );
    assert!(
        std::fs::read(&file)
            .unwrap()
            .starts_with(b"this is no registry")
    );
}

#[test]
fn an_address_in_use_is_reported() {
    let master = Master::start();
    let port = format!("--port={}", master.address.port());
    let error = error(&["--ip=127.0.0.1", &port, "--registry=in_memory"]);
    assert!(matches!(error, RunError::Listen { .. }), "{error}");
    assert!(
        error.to_string().contains(&master.address.to_string()),
        "{error}"
    );
}
