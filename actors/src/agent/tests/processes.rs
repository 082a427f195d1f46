//! Executors as real processes: environment, sandbox, ends and kills.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::{self, TaskState, task_status::Reason};

use super::{AGENT, FRAMEWORK, Fixture};

fn shutdown() -> MasterToAgent {
    MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    }
}

/// Whether a process runs; one that only waits to be buried does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[actix_web::test]
async fn an_executor_gets_its_environment_and_sandbox() {
    let mut fixture = Fixture::start_with(|config| {
        let own = BTreeMap::from([("COLOUR".to_owned(), "red".to_owned())]);
        config.executor_environment_variables = Some(own);
    })
    .await;
    fixture.run_script("env; pwd >&2").await;
    let AgentToMaster::ExecutorExited { status, .. } = fixture.receive().await else {
        panic!("the executor has not ended")
    };
    assert_eq!(status, 0);
    fixture.update().await;
    let sandbox = fixture.sandbox();
    let printed = std::fs::read_to_string(sandbox.join("stdout")).unwrap();
    let found: BTreeMap<&str, &str> = printed
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let directory = sandbox.to_string_lossy();
    for (name, value) in [
        ("COLOUR", "red"),
        (
            "MESOS_AGENT_ENDPOINT",
            fixture.agent.address().to_string().as_str(),
        ),
        ("MESOS_SLAVE_ID", AGENT),
        ("MESOS_EXECUTOR_ID", "ex"),
        ("MESOS_SANDBOX", &directory),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "200ms"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name}");
    }
    // Nothing of the agent's own environment is inherited.
    assert!(!found.contains_key("CARGO_PKG_NAME"));
    let stderr = std::fs::read_to_string(sandbox.join("stderr")).unwrap();
    assert_eq!(stderr.trim(), directory);
    let latest = fixture.work.path().join("slaves/latest");
    assert!(
        std::fs::read_link(latest)
            .unwrap()
            .ends_with(format!("slaves/{AGENT}"))
    );
    fixture.stop().await;
}

#[actix_web::test]
async fn an_exit_status_is_told_and_fails_the_task() {
    let mut fixture = Fixture::start().await;
    fixture.run_script("exit 5").await;
    assert_eq!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited {
            framework_id: FRAMEWORK.into(),
            executor_id: "ex".into(),
            status: 5 << 8
        }
    );
    let update = fixture.update().await;
    assert_eq!(update.status.state(), TaskState::TaskFailed);
    assert_eq!(update.status.message(), "Executor terminated");
    fixture.stop().await;
}

#[actix_web::test]
async fn a_stubborn_executor_is_killed_with_all_it_has_started() {
    let mut fixture = Fixture::start().await;
    // One child in the executor's group, one in a session of its own.
    fixture
        .run_script(
            "trap '' TERM; sleep 20 & echo $! > group; setsid sleep 20 & echo $! > session; \
             mkfifo ready; echo > ready; wait; wait",
        )
        .await;
    fixture.subscribe_when_started().await;
    fixture.read_pipe("ready").await;
    let sandbox = fixture.sandbox();
    let pids = ["group", "session"].map(|name| {
        std::fs::read_to_string(sandbox.join(name))
            .unwrap()
            .trim()
            .to_owned()
    });
    assert!(pids.iter().all(|pid| runs(pid)));
    fixture.send(shutdown()).await;
    let AgentToMaster::ExecutorExited { status, .. } = fixture.receive().await else {
        panic!("the executor has not ended")
    };
    assert_eq!(status, 9);
    for pid in &pids {
        let pid = pid.clone();
        let gone = actix_web::web::block(move || {
            while runs(&pid) {
                std::thread::yield_now();
            }
        });
        gone.await.unwrap();
    }
    fixture.update().await;
    fixture.stop().await;
}

#[actix_web::test]
async fn a_program_that_is_not_there_fails_the_task_clearly() {
    let mut fixture = Fixture::start().await;
    let command = v1::CommandInfo {
        shell: Some(false),
        value: Some("/no/such/program".into()),
        ..Default::default()
    };
    fixture.run_command(command).await;
    assert!(matches!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited { status: -1, .. }
    ));
    let update = fixture.update().await;
    assert_eq!(update.status.state(), TaskState::TaskFailed);
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    let message = update.status.message();
    assert!(
        message.contains("Failed to execute '/no/such/program'"),
        "{message}"
    );
    fixture.stop().await;
}

#[actix_web::test]
async fn an_unknown_user_fails_the_task_clearly() {
    let mut fixture = Fixture::start_with(|config| config.switch_user = true).await;
    fixture.run_script("true").await;
    fixture.receive().await;
    let update = fixture.update().await;
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    let message = update.status.message();
    assert!(message.contains("'no-such-user'"), "{message}");
    fixture.stop().await;
}

#[actix_web::test]
async fn a_stopped_agent_ends_its_executors_first() {
    let mut fixture = Fixture::start().await;
    fixture
        .run_script("mkfifo pid; echo $$ > pid; exec sleep 20")
        .await;
    let pid = fixture.read_pipe("pid").await;
    let mut events = fixture.subscribe_when_started().await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    let mut update = json!({ "type": "UPDATE" });
    update["update"] = super::executor_api::running("t1", 1);
    assert_eq!(fixture.call(update).await.status(), 202);
    let update = fixture.update().await;
    fixture.acknowledge(&update).await;
    events.expect("ACKNOWLEDGED").await;
    assert!(runs(&pid));
    fixture.agent.stop();
    events.expect("SHUTDOWN").await;
    let AgentToMaster::ExecutorExited { status: 9, .. } = fixture.receive().await else {
        panic!("the executor was not killed")
    };
    assert_eq!(fixture.update().await.status.state(), TaskState::TaskFailed);
    assert_eq!(fixture.agent.ended().await.unwrap(), "stopped");
    assert!(!runs(&pid));
}

#[actix_web::test]
async fn a_leaving_agent_unregisters() {
    let mut fixture = Fixture::start().await;
    fixture.settle().await;
    fixture.agent.leave();
    assert_eq!(fixture.receive().await, AgentToMaster::Unregister);
    assert_eq!(fixture.agent.ended().await.unwrap(), "left the cluster");
}
