//! Why apps do not run, in each situation.
//! Whether an offer fits is tested with matching.

use serde_json::{Value, json};
use tepui_core::ids::TaskId;
use tepui_core::marathon::ids::instance_of;
use tepui_core::marathon::manager::Input;
use tepui_protocol::marathon::ReadinessCheckResult;
use tepui_protocol::v1::TaskState;

use super::support::Played;

async fn why(played: &Played, app: &str) -> Value {
    let reply = played.get(&format!("/v2/apps{app}/why")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let why = reply.json();
    assert!(
        !why["explanation"].as_array().expect("a list").is_empty(),
        "{why}"
    );
    why
}

fn says(why: &Value, member: &str, text: &str) -> bool {
    let list = why[member].as_array().expect("a list").iter();
    let mut texts = list.filter_map(Value::as_str);
    texts.any(|it| it.contains(text))
}

#[actix_web::test]
async fn without_a_master_or_offers_it_says_so() {
    let played = Played::start();
    assert_eq!(played.get("/v2/apps/nope/why").await.status, 404);
    played.create(json!({"id": "/a", "cmd": "sleep 9"})).await;
    assert_eq!(why(&played, "/a").await["cause"], "NotRegistered");
    played.connect().await;
    let why = why(&played, "/a").await;
    assert_eq!(
        (&why["cause"], &why["waiting"]),
        (&json!("NoOffers"), &json!(1))
    );
    assert!(says(&why, "unblock", "agents"));
    assert_eq!(why["deployments"][0]["isCurrent"], true);
}

#[actix_web::test]
async fn unsuitable_offers_are_told_per_reason_and_agent() {
    let played = Played::start();
    played.connect().await;
    played.create(json!({"id": "/a", "cmd": "sleep 9", "cpus": 2, "constraints": [["hostname", "IS", "host-a1"]]})).await;
    played
        .offer("a1", "cpus:0.5;mem:1000;ports:[31000-31001]")
        .await;
    played
        .offer("a2", "cpus:4;mem:1000;ports:[31000-31001]")
        .await;
    let why = why(&played, "/a").await;
    assert_eq!(why["cause"], "UnsuitableOffers");
    let offers = &why["offers"];
    assert_eq!(
        (&offers["processed"], &offers["unused"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(offers["reasons"].as_array().map(Vec::len), Some(2));
    let first = &offers["agents"][0];
    assert_eq!(first["hostname"], "host-a1");
    assert_eq!(first["problems"][0]["text"], "wanted 2 cpus, offered 0.5");
    assert!(says(
        &why,
        "explanation",
        "on host-a1: wanted 2 cpus, offered 0.5"
    ));
    assert!(says(&why, "unblock", "free 1.5 more cpus"));
    assert_eq!(
        offers["agents"][1]["problems"][0]["reason"],
        "UnfulfilledConstraint"
    );
}

#[actix_web::test]
async fn failures_delay_launches() {
    let played = Played::start();
    played.connect().await;
    let app =
        json!({"id": "/a", "cmd": "false", "backoffSeconds": 100, "maxLaunchDelaySeconds": 1000});
    played.create(app).await;
    let task = played.run_one("a1").await;
    played.update(&task, TaskState::TaskFailed, None).await;
    let why = why(&played, "/a").await;
    assert_eq!(why["cause"], "LaunchDelay", "{why}");
    let left = why["delaySecondsLeft"].as_f64().expect("a number");
    assert!(left > 90.0 && left <= 100.0);
    assert!(says(&why, "explanation", "as the test says"));
    assert!(says(&why, "unblock", "DELETE /v2/queue/a/delay"));
    assert_eq!(why["lastTaskFailure"]["state"], "TASK_FAILED");
    let queue = played.get("/v2/queue").await.json();
    assert_eq!(queue["queue"][0]["delay"]["overdue"], false);
}

#[actix_web::test]
async fn tasks_that_start_or_are_not_healthy_hold_deployments_up() {
    let played = Played::start();
    played.connect().await;
    let check = json!({"protocol": "COMMAND", "command": {"value": "true"}});
    played
        .create(json!({"id": "/a", "cmd": "sleep 9", "healthChecks": [check]}))
        .await;
    let task = played
        .offer("a1", "cpus:1;mem:128;ports:[31000-31001]")
        .await
        .remove(0);
    assert_eq!(why(&played, "/a").await["cause"], "Starting");
    played.update(&task, TaskState::TaskRunning, None).await;
    let now = why(&played, "/a").await;
    assert_eq!(now["cause"], "Health", "{now}");
    played
        .update(&task, TaskState::TaskRunning, Some(true))
        .await;
    let now = why(&played, "/a").await;
    assert_eq!(
        (&now["cause"], &now["tasksHealthy"]),
        (&json!("Nothing"), &json!(1))
    );
    assert!(says(&now, "explanation", "1 instances are wanted, 1 run"));
}

#[actix_web::test]
async fn readiness_and_other_steps_are_waited_for() {
    let played = Played::start();
    played.connect().await;
    let body = json!({"id": "/g", "apps": [
        {"id": "a", "cmd": "sleep 9", "portDefinitions": [{"port": 0, "name": "p"}], "readinessChecks": [{"portName": "p"}]},
        {"id": "b", "cmd": "sleep 9", "dependencies": ["a"]},
    ]});
    assert_eq!(played.json("POST", "/v2/groups", &body).await.status, 201);
    let later = why(&played, "/g/b").await;
    assert_eq!(later["cause"], "Deployment", "{later}");
    assert!(says(&later, "explanation", "which is about other apps"));
    let task = played.run_one("a1").await;
    let result = ReadinessCheckResult {
        name: "readinessCheck".to_owned(),
        task_id: task.task_id.value.clone(),
        ready: false,
        last_response: None,
    };
    let instance = instance_of(&TaskId::from(&task.task_id)).expect("an instance");
    played.tell(Input::Readiness { instance, result }).await;
    let now = why(&played, "/g/a").await;
    assert_eq!(now["cause"], "Readiness", "{now}");
    let deployment = &now["deployments"][0];
    assert_eq!(
        (&deployment["notReady"], &deployment["isCurrent"]),
        (&json!(1), &json!(true))
    );
    let app = played.get("/v2/apps/g/a?embed=readiness").await.json();
    assert_eq!(app["app"]["readinessCheckResults"][0]["ready"], false);
}
