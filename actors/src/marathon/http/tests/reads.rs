//! Lists: apps, tasks, groups, versions, the queue; that they agree with each other.
//! Their form is tested by the cases.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use tepui_protocol::v1::TaskState;

use super::super::schemas::OPENAPI;
use super::support::Played;

#[actix_web::test]
async fn a_list_of_5000_apps_is_the_sum_of_single_reads() {
    let played = Played::start();
    let apps: Vec<Value> = (0..5000)
        .map(|at| json!({"id": format!("/g{}/a{at}", at % 7), "cmd": "sleep 9", "labels": {"n": "1"}}))
        .collect();
    let reply = played.json("PUT", "/v2/apps", &json!(apps)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let list = played
        .get("/v2/apps?embed=tasks&embed=lastTaskFailure")
        .await
        .json();
    let list = list["apps"].as_array().expect("a list");
    assert_eq!(list.len(), 5000);
    for app in list {
        let id = app["id"].as_str().expect("an id");
        let single = played.get(&format!("/v2/apps{id}")).await.json();
        assert_eq!(single["app"], *app);
        assert_eq!(app["deployments"].as_array().map(Vec::len), Some(1));
    }
    let below = played.get("/v2/apps/g3/*").await.json();
    let of_group = played.get("/v2/groups/g3/apps").await.json();
    assert_eq!(below["*"], of_group);
    let count = of_group.as_array().expect("a list").len();
    assert_eq!(count, (0..5000).filter(|at| at % 7 == 3).count());
    let group = played.get("/v2/groups/g3?embed=group.apps").await.json();
    assert_eq!(group["apps"].as_array().map(Vec::len), Some(count));
    assert!(group["apps"][0].get("tasksRunning").is_none());
}

#[actix_web::test]
async fn tasks_are_shown_as_they_are() {
    let played = Played::start();
    played.connect().await;
    played
        .create(json!({"id": "/x/web", "cmd": "sleep 9", "instances": 2}))
        .await;
    let task = played.run_one("a1").await;
    let staged = played
        .offer("a2", "cpus:1;mem:128;ports:[31000-31001]")
        .await;
    let tasks = played.get("/v2/apps/x/web/tasks").await.json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2));
    let running = played.get("/v2/tasks?status=running").await.json();
    let shown = &running["tasks"][0];
    assert_eq!(running["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["id"], task.task_id.value.as_str());
    assert_eq!(
        (&shown["host"], &shown["slaveId"]),
        (&json!("host-a1"), &json!("a1"))
    );
    assert_eq!(
        (&shown["state"], &shown["role"]),
        (&json!("TASK_RUNNING"), &json!("*"))
    );
    assert_eq!(shown["servicePorts"], json!([10000]));
    let port = shown["ports"][0].as_u64().expect("a port");
    assert!((31000..=31001).contains(&port) && shown["startedAt"].is_string());
    played
        .update(&staged[0], TaskState::TaskStaging, None)
        .await;
    let staging = played
        .get("/v2/tasks?status[]=staging&status[]=nonsense")
        .await
        .json();
    assert_eq!(staging["tasks"][0]["id"], staged[0].task_id.value.as_str());
    let app = played
        .get("/v2/apps/x/web?embed=taskStats&embed=readiness")
        .await
        .json();
    let app = &app["app"];
    assert_eq!(
        (&app["tasksRunning"], &app["tasksStaged"]),
        (&json!(1), &json!(1))
    );
    let stats = &app["tasksStats"];
    assert_eq!(stats["withLatestConfig"]["stats"]["counts"]["running"], 1);
    assert_eq!(stats["totalSummary"]["stats"]["counts"]["staged"], 1);
    assert!(stats["totalSummary"]["stats"]["lifeTime"]["medianSeconds"].is_number());
    assert!(stats.get("withOutdatedConfig").is_none());
    assert_eq!(app["readinessCheckResults"], json!([]));
}

#[actix_web::test]
async fn lists_of_tasks_are_text_where_a_flag_allows_it() {
    let played = Played::with(|info| info.text_plain_tasks = true);
    played.connect().await;
    played
        .create(json!({"id": "/x/web", "cmd": "sleep 9"}))
        .await;
    let task = played.run_one("a1").await;
    let port = &task
        .discovery
        .expect("discovery")
        .ports
        .expect("ports")
        .ports[0]
        .number;
    played
        .create(json!({"id": "/y", "cmd": "sleep 9", "portDefinitions": []}))
        .await;
    played.run_one("a2").await;
    let text = |path: &str| {
        TestRequest::get()
            .uri(path)
            .insert_header(("Accept", "text/plain"))
    };
    let all = played.send(text("/v2/tasks")).await;
    let web = format!("x_web\t10000\thost-a1:{port}\t\n");
    assert_eq!(all.text(), format!("{web}y\t \thost-a2\t\n"));
    assert_eq!(all.header("content-type"), "text/plain;charset=utf-8");
    assert_eq!(played.send(text("/v2/apps/x/web/tasks")).await.text(), web);
    assert!(played.get("/v2/tasks").await.json()["tasks"].is_array());
    for face in [played, Played::start()] {
        for accept in [
            "application/json, text/plain, */*",
            "*/*",
            "text/plain;q=0, */*",
        ] {
            let request = TestRequest::get().uri("/v2/tasks");
            let reply = face.send(request.insert_header(("Accept", accept))).await;
            assert!(reply.json()["tasks"].is_array(), "{accept}");
        }
    }
}

#[actix_web::test]
async fn selectors_that_cannot_be_read_are_refused_with_a_reason() {
    let played = Played::start();
    for selector in ["==", "a=b", "a%20in%20b", "a,", "a==b%5C"] {
        let reply = played.get(&format!("/v2/apps?label={selector}")).await;
        let text = reply.json()["message"].to_string();
        assert_eq!(reply.status, 422, "{selector}");
        assert!(
            text.contains("Can not parse label selector") && text.contains("Reason: "),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn versions_and_words_in_ids_lead_where_they_should() {
    let played = Played::start();
    for id in ["/a/why", "/a/tasks/x", "/a/versions/x"] {
        played.create(json!({"id": id, "cmd": "sleep 9"})).await;
        let reply = played.get(&format!("/v2/apps{id}")).await;
        assert_eq!(reply.json()["app"]["id"], id);
    }
    assert_eq!(
        played.get("/v2/apps/a/why/why").await.json()["appId"],
        "/a/why"
    );
    let reply = played
        .json(
            "PATCH",
            "/v2/apps/a/why?force=true",
            &json!({"cmd": "sleep 8"}),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let versions = played.get("/v2/apps/a/why/versions").await.json();
    let versions = versions["versions"].as_array().expect("a list").clone();
    assert_eq!(versions.len(), 2);
    assert!(versions[0].as_str() > versions[1].as_str(), "newest first");
    for (version, cmd) in versions.iter().zip(["sleep 8", "sleep 9"]) {
        let path = format!(
            "/v2/apps/a/why/versions/{}",
            version.as_str().expect("a text")
        );
        assert_eq!(played.get(&path).await.json()["cmd"], cmd);
    }
    let roots = played.get("/v2/groups/a/versions").await.json();
    for version in roots.as_array().expect("a list") {
        let path = format!(
            "/v2/groups/a/versions/{}",
            version.as_str().expect("a text")
        );
        assert_eq!(played.get(&path).await.json()["id"], "/a");
    }
    let delete = TestRequest::delete().uri("/v2/apps/a/why");
    assert_eq!(played.send(delete).await.status, 200);
}

#[actix_web::test]
async fn the_queue_tells_of_unused_offers() {
    let played = Played::start();
    played.connect().await;
    played
        .create(json!({"id": "/big", "cmd": "sleep 9", "cpus": 4}))
        .await;
    assert!(
        played
            .offer("a1", "cpus:1;mem:1000;ports:[31000-31001]")
            .await
            .is_empty()
    );
    let queue = played.get("/v2/queue?embed=lastUnusedOffers").await.json();
    let item = &queue["queue"][0];
    assert_eq!(
        item["delay"],
        json!({"timeLeftSeconds": 0, "overdue": true})
    );
    let summary = &item["processedOffersSummary"];
    assert_eq!(summary["unusedOffersCount"], 1);
    let cpus = json!({"reason": "InsufficientCpus", "declined": 1, "processed": 1});
    assert_eq!(summary["rejectSummaryLaunchAttempt"][4], cpus);
    assert_eq!(summary["rejectSummaryLastOffers"][5]["processed"], 0);
    let unused = &item["lastUnusedOffers"][0];
    assert_eq!(
        (&unused["reason"], &unused["offer"]["hostname"]),
        (&json!(["InsufficientCpus"]), &json!("host-a1"))
    );
    let resources = unused["offer"]["resources"].as_array().expect("a list");
    assert!(resources.contains(&json!({"name": "cpus", "role": "*", "scalar": 1.0})));
}

#[actix_web::test]
async fn the_description_of_the_api_names_paths_that_exist() {
    let played = Played::start();
    let names = played.get("/v2/schemas").await.json();
    let name = names["schemas"][0]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let shown = played.get(&format!("/v2/schemas/{name}")).await;
    assert_eq!(shown.text(), OPENAPI);
    let api: Value = serde_json::from_str(OPENAPI).expect("json");
    for (path, methods) in api["paths"].as_object().expect("paths") {
        let path = path
            .replace(['{', '}'], "")
            .replace("/name", "/openapi.json");
        for method in methods.as_object().expect("methods").keys() {
            let accept = match path.as_str() {
                "/v2/events" => "text/event-stream",
                _ => "application/json",
            };
            let request = TestRequest::with_uri(&path).insert_header(("Accept", accept));
            let method = actix_web::http::Method::from_bytes(method.to_uppercase().as_bytes());
            let answer = played.open(request.method(method.expect("a method"))).await;
            let status = answer.status().as_u16();
            assert!(status < 500 && status != 405, "{path}: {status}");
        }
    }
}
