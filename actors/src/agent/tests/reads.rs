//! What can be read of an agent: state, metrics, files.

use serde_json::json;
use tepui_protocol::link::AgentToMaster;

use super::{AGENT, FRAMEWORK, Fixture};

#[actix_web::test]
async fn the_agent_tells_what_it_is() {
    let mut fixture = Fixture::start().await;
    let health = fixture
        .client
        .get(fixture.url("/health"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    assert_eq!(fixture.json("/version").await["version"], "1.12.0");
    assert_eq!(fixture.json("/slave(1)/flags").await["flags"]["port"], "0");
    fixture.run_script("exec sleep 20").await;
    let _events = fixture.subscribe_when_started().await;
    let state = fixture.json("/slave(1)/state").await;
    assert_eq!(state["id"], AGENT);
    assert_eq!(
        state["pid"],
        format!("slave(1)@{}", fixture.agent.address())
    );
    assert_eq!(state["resources"]["cpus"], json!(4.0));
    assert_eq!(state["resources"]["ports"], "[31000-31100]");
    assert_eq!(state["attributes"], json!({ "rack": "r1", "level": 1.0 }));
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["id"], "ex");
    assert_eq!(executor["type"], "CUSTOM");
    assert_eq!(executor["tasks"][0]["state"], "TASK_STAGING");
    let metrics = fixture.json("/metrics/snapshot").await;
    assert_eq!(metrics["slave/registered"], json!(1.0));
    assert_eq!(metrics["slave/executors_running"], json!(1.0));
    assert_eq!(metrics["slave/tasks_staging"], json!(1.0));
    assert_eq!(metrics["slave/cpus_total"], json!(4.0));
    for nothing in ["/", "/nope", "/state.json", "/api/v2"] {
        let answer = fixture
            .client
            .get(fixture.url(nothing))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{nothing}");
        assert_eq!(answer.text().await.unwrap(), "404 Not Found.");
    }
    fixture.stop().await;
}

#[actix_web::test]
async fn browsers_are_shown_the_pages_of_the_agent() {
    let fixture = Fixture::start().await;
    let told = fixture.json("/ui/face.json").await;
    assert_eq!(told["face"], "agent");
    assert_eq!(told["id"], AGENT);
    assert_eq!(told["registered"], true);
    let state = fixture.json("/state").await;
    assert_eq!(told["hostname"], state["hostname"]);
    let master = told["master"].as_str().unwrap();
    assert!(master.contains(':'), "{master}");
    for (path, accepted) in [("/", "text/html,*/*;q=0.8"), ("/ui/", "*/*")] {
        let asked = fixture.client.get(fixture.url(path));
        let answer = asked.header("accept", accepted).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = &answer.headers()["content-security-policy"];
        assert!(policy.to_str().unwrap().contains("connect-src 'self'"));
        assert!(answer.text().await.unwrap().contains("<div id=\"app\">"));
    }
    let asked = fixture.client.get(fixture.url("/slave(1)"));
    let answer = asked.header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 404, "the agent's own routes have no page");
    let answer = fixture.client.get(fixture.url("/ui/nothing.js")).send();
    assert_eq!(answer.await.unwrap().status(), 404);
    fixture.stop().await;
}

#[actix_web::test]
async fn files_of_sandboxes_can_be_read_and_no_others() {
    let mut fixture = Fixture::start().await;
    fixture
        .run_script("printf 'hello sandbox\\n'; mkdir sub; ln -s /etc/hostname leak")
        .await;
    assert!(matches!(
        fixture.receive().await,
        AgentToMaster::ExecutorExited { .. }
    ));
    fixture.update().await;
    let sandbox = fixture.sandbox();
    let sandbox = sandbox.to_string_lossy();
    let get = |path: String| fixture.client.get(fixture.url(&path)).send();

    let read = fixture
        .json(&format!(
            "/files/read?path={sandbox}/stdout&offset=6&length=3"
        ))
        .await;
    assert_eq!(read, json!({ "data": "san", "offset": 6 }));
    let size = fixture
        .json(&format!("/files/read?path={sandbox}/stdout&offset=-1"))
        .await;
    assert_eq!(size, json!({ "data": "", "offset": 14 }));
    let latest = format!("/frameworks/{FRAMEWORK}/executors/ex/runs/latest/stdout");
    let read = fixture
        .json(&format!("/files/read?path={latest}&offset=0"))
        .await;
    assert_eq!(read["data"], "hello sandbox\n");
    let listed = fixture.json(&format!("/files/browse?path={sandbox}")).await;
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(
        names,
        [
            &json!(format!("{sandbox}/leak")),
            &json!(format!("{sandbox}/stderr")),
            &json!(format!("{sandbox}/stdout")),
            &json!(format!("{sandbox}/sub")),
        ]
    );
    let download = get(format!("/files/download?path={sandbox}/stdout"))
        .await
        .unwrap();
    assert_eq!(
        download.headers()["content-disposition"],
        "attachment; filename=stdout"
    );
    assert_eq!(download.text().await.unwrap(), "hello sandbox\n");

    for (query, status, text) in [
        ("read".to_owned(), 400, "Expecting 'path=value' in query.\n"),
        (
            format!("read?path={sandbox}/stdout&offset=abc"),
            400,
            "Failed to parse offset: Failed to convert 'abc' to number.\n",
        ),
        (
            format!("read?path={sandbox}/stdout&offset=0&length=-2"),
            400,
            "Negative length provided: -2.\n",
        ),
        (
            format!("read?path={sandbox}&offset=0"),
            400,
            "Cannot read a directory.\n",
        ),
        (format!("read?path={sandbox}/leak&offset=0"), 404, ""),
        (
            format!("read?path={sandbox}/../../latest/stdout&offset=0"),
            404,
            "",
        ),
        (format!("read?path={sandbox}/%2e%2e/x&offset=0"), 404, ""),
        ("read?path=/etc/hostname&offset=0".to_owned(), 404, ""),
        ("browse?path=/".to_owned(), 404, ""),
        (format!("download?path={sandbox}/no"), 404, "404 Not Found."),
        (
            format!("download?path={sandbox}/sub"),
            400,
            "Cannot download a directory.\n",
        ),
    ] {
        let answer = get(format!("/files/{query}")).await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        assert_eq!(answer.text().await.unwrap(), text, "{query}");
    }
    fixture.stop().await;
}
