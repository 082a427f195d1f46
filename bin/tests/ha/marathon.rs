//! App managers that share a ZooKeeper, at an elected master: one is killed in the middle of a
//! deployment, and the other one goes on.

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::http;
use crate::support::marathon::{Marathon, live_tasks, running};
use crate::zookeeper::Ensemble;
use crate::{Elected, SESSION};

#[test]
fn when_the_leading_app_manager_is_killed_another_one_ends_its_deployment() {
    let mut elected = Elected::start(1, 1, 1);
    let leader = elected.leader();
    elected.wait_for_agents(leader);
    let master = elected.masters[leader].address;
    let zk = format!("zk://{}/marathon", elected.ensemble.hosts());
    let session = format!("--zk_session_timeout={}", SESSION.as_millis());
    let start = || Marathon::start_at_zk(elected.dir.path(), &elected.zk, &zk, &[&session]);
    let (mut first, second) = (start(), start());
    let leads = second.get("/v2/leader")["leader"].clone();
    assert_eq!(leads, first.address().to_string());

    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 4, "cpus": 0.1, "mem": 8,
        "portDefinitions": [],
    });
    second.change("POST", "/v2/apps", &app);
    second.await_deployments();
    let framework = second.get("/v2/info")["frameworkId"].clone();
    second.change("PATCH", "/v2/apps/a", &json!({"cmd": "exec sleep 2000"}));
    first.kill();
    until("another leader", || {
        let answer = http::try_request(second.address(), "GET", "/v2/leader", &[], &[]).ok()?;
        (answer.status == 200 && answer.json()["leader"] == second.address().to_string())
            .then_some(())
    });
    second.await_deployments();
    until("only the wanted tasks", || {
        let tasks = live_tasks(master);
        assert!(running(&tasks) >= 4, "{tasks:#?}");
        (tasks.len() == 4).then_some(())
    });
    let app = second.app("/a").expect("the app");
    assert_eq!(
        (&app["cmd"], &app["tasksRunning"]),
        (&json!("exec sleep 2000"), &json!(4))
    );
    assert_eq!(second.get("/v2/info")["frameworkId"], framework);

    // One that starts again follows.
    first.start_again();
    let leads = first.get("/v2/leader")["leader"].clone();
    assert_eq!(leads, second.address().to_string());
}

#[test]
fn when_zookeeper_is_gone_for_longer_than_a_session_its_leader_ends_and_later_goes_on() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let mut ensemble = runtime.block_on(Ensemble::start(1));
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let dir = tempfile::tempdir().expect("a directory");
    let zk = format!("zk://{}/marathon", ensemble.hosts());
    let session = format!("--zk_session_timeout={}", SESSION.as_millis());
    let mut marathon = Marathon::start_at_zk(dir.path(), &master.to_string(), &zk, &[&session]);
    let app = json!({
        "id": "/a", "cmd": "exec sleep 1000", "instances": 3, "cpus": 0.1, "mem": 8,
        "portDefinitions": [],
    });
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_deployments();
    let before = ids(&live_tasks(master));
    assert_eq!(before.len(), 3);

    ensemble.server(0).pause();
    let status = marathon.program.wait();
    assert!(!status.success(), "{}", marathon.program.log_text());
    assert_eq!(ids(&live_tasks(master)), before, "instances go on");
    ensemble.server(0).resume();

    marathon.start_again();
    marathon.await_running("/a", 3);
    assert_eq!(ids(&live_tasks(master)), before, "none was started again");
    marathon.change("PUT", "/v2/apps/a", &json!({"instances": 4}));
    marathon.await_deployments();
    let after = ids(&live_tasks(master));
    assert_eq!(after.len(), 4);
    assert!(before.iter().all(|id| after.contains(id)));
}

/// Names of tasks, in their order.
fn ids(tasks: &[Value]) -> Vec<String> {
    let ids = tasks.iter().map(|task| task["id"].as_str());
    let mut ids: Vec<String> = ids.map(|id| id.expect("an id").to_owned()).collect();
    ids.sort();
    ids
}
