//! App managers that share a ZooKeeper, at an elected master: one is killed in the middle of a
//! deployment, and the other one goes on.

use serde_json::json;

use crate::support::cluster::until;
use crate::support::http;
use crate::support::marathon::{Marathon, live_tasks, running};
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
