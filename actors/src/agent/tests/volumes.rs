//! Persistent volumes as tasks see them: links in sandboxes, ownership, what is in the way.

use std::fs;

use serde_json::json;
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::{self, TaskState, task_status::Reason};

use super::operations::{VOLUME, volume};
use super::{FRAMEWORK, Fixture};

fn shell(script: &str) -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some(script.into()),
        ..Default::default()
    }
}

#[actix_web::test]
async fn a_task_finds_its_volume_in_its_sandbox_until_it_ends() {
    let mut fixture = Fixture::with_volume("data").await;
    let script = "echo kept > data/file; mkfifo ready; echo > ready; exec sleep 20";
    fixture
        .run_using(shell(script), vec![volume("v1", "data")])
        .await;
    let mut events = fixture.subscribe_when_started().await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    fixture.read_pipe("ready").await;
    let link = fixture.sandbox().join("data");
    let target = fixture.work.path().canonicalize().unwrap().join(VOLUME);
    assert_eq!(fs::read_link(&link).unwrap(), target);
    assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "kept\n");
    // The volume can be read where it is seen.
    let read = format!(
        "/files/read?path={}/data/file&offset=0",
        fixture.sandbox().display()
    );
    assert_eq!(fixture.json(&read).await["data"], "kept\n");

    let mut update = json!({ "type": "UPDATE" });
    update["update"] = super::executor_api::running("t1", 1);
    update["update"]["status"]["state"] = json!("TASK_FINISHED");
    assert_eq!(fixture.call(update).await.status(), 202);
    fixture.update().await;
    events.expect("ACKNOWLEDGED").await;
    let gone = link.clone();
    let unlinked = actix_web::web::block(move || {
        while fs::symlink_metadata(&gone).is_ok() {
            std::thread::yield_now();
        }
    });
    unlinked.await.unwrap();
    assert!(target.join("file").exists());
    fixture.stop().await;
}

#[actix_web::test]
async fn a_later_task_of_an_executor_gets_its_volume_before_it_starts() {
    let mut fixture = Fixture::with_volume("data").await;
    let script = "mkfifo ready; echo > ready; exec sleep 20";
    fixture.run_using(shell(script), Vec::new()).await;
    let mut events = fixture.subscribe_when_started().await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    // The test may be quicker than the process whose sandbox it looks into.
    fixture.read_pipe("ready").await;
    let link = fixture.sandbox().join("data");
    assert!(fs::symlink_metadata(&link).is_err());
    fixture.run_another("t2", vec![volume("v1", "data")]).await;
    let launched = events.expect("LAUNCH").await;
    assert_eq!(launched["launch"]["task"]["task_id"]["value"], "t2");
    assert!(fs::read_link(&link).unwrap().ends_with(VOLUME));
    fixture.stop().await;
}

#[actix_web::test]
async fn a_volume_does_not_replace_what_is_in_the_sandbox() {
    let mut fixture = Fixture::with_volume("data").await;
    fixture
        .run_using(shell("true"), vec![volume("v1", "stdout")])
        .await;
    assert!(matches!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited { status: -1, .. }
    ));
    let update = fixture.update().await;
    assert_eq!(update.status.state(), TaskState::TaskFailed);
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    let text = update.status.message();
    let start = "Failed to launch container: The existing symlink '";
    assert!(text.starts_with(start), "{text}");
    fixture.stop().await;
}

#[actix_web::test]
async fn what_an_executor_put_in_the_way_ends_it() {
    let mut fixture = Fixture::with_volume("data").await;
    let script = "ln -s /etc data; mkfifo ready; echo > ready; exec sleep 20";
    fixture.run_using(shell(script), Vec::new()).await;
    let mut events = fixture.subscribe_when_started().await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    fixture.read_pipe("ready").await;
    fixture.run_another("t2", vec![volume("v1", "data")]).await;
    assert!(matches!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited { status: 9, .. }
    ));
    for _ in 0..2 {
        let update = fixture.update().await;
        assert_eq!(update.status.state(), TaskState::TaskLost);
        assert_eq!(update.status.reason(), Reason::ContainerUpdateFailed);
        let text = update.status.message();
        let start = "Failed to update resources for container: The existing symlink '";
        assert!(text.starts_with(start), "{text}");
    }
    fixture.stop().await;
}

#[actix_web::test]
async fn a_task_on_a_volume_the_agent_does_not_have_is_lost() {
    let mut fixture = Fixture::start().await;
    fixture
        .run_using(shell("true"), vec![volume("v1", "data")])
        .await;
    let update = fixture.update().await;
    assert_eq!(update.framework_id, FRAMEWORK);
    assert_eq!(update.status.state(), TaskState::TaskLost);
    assert_eq!(update.status.reason(), Reason::ResourcesUnknown);
    fixture.stop().await;
}
