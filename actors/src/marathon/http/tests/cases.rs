//! The cases in `testdata`, here and in the core: requests with what Marathon answers, each against an empty state.
//! What they mean is in `expect`.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value;

use super::expect::{check, string};
use super::stream::Stream;
use super::support::{Played, Reply};

fn request(of: &Value, path: &str) -> TestRequest {
    let method = Method::from_bytes(string(&of["method"]).as_bytes()).expect("a method");
    let mut request = TestRequest::with_uri(path)
        .method(method)
        .peer_addr(([10, 0, 0, 2], 4711).into());
    request = match (of.get("body"), of.get("raw_body")) {
        (Some(body), _) => request.set_json(body),
        (None, Some(raw)) => request
            .set_payload(string(raw).to_owned())
            .insert_header(("Content-Type", "application/json")),
        (None, None) => request,
    };
    for (name, value) in of["headers"].as_object().into_iter().flatten() {
        request = request.insert_header((name.as_str(), string(value)));
    }
    request
}

/// Puts headers of earlier answers into a path: `${setup[0].headers.Location}`.
fn filled_in(path: &str, setup: &[Reply]) -> String {
    let mut path = path.to_owned();
    while let Some((before, rest)) = path.split_once("${setup[") {
        let (index, rest) = rest.split_once("].headers.").expect("a header");
        let (name, after) = rest.split_once('}').expect("an end");
        let index: usize = index.parse().expect("an index");
        let value = setup.get(index).expect("an answer").header(name);
        path = format!("{before}{value}{after}");
    }
    path
}

async fn run(case: &Value) -> Vec<String> {
    let played = Played::start();
    let mut setup = Vec::new();
    for before in case["setup"].as_array().into_iter().flatten() {
        let reply = played.send(request(before, string(&before["path"]))).await;
        if before["status"] != reply.status {
            return vec![format!("setup: {} {}", reply.status, reply.text())];
        }
        setup.push(reply);
    }
    let path = filled_in(string(&case["request"]["path"]), &setup);
    let mut wrong = one(&played, &case["request"], &path, &case["expect"]).await;
    let then = [&case["then"], &case["expect"]["then"]];
    for then in then.into_iter().filter_map(Value::as_array).flatten() {
        let path = string(&then["request"]["path"]);
        wrong.extend(one(&played, &then["request"], path, &then["expect"]).await);
    }
    wrong
}

async fn one(played: &Played, of: &Value, path: &str, expect: &Value) -> Vec<String> {
    let answer = played.open(request(of, path)).await;
    if expect["stream"] != true {
        return check(expect, &super::support::read(answer).await);
    }
    let head = Reply {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: bytes::Bytes::new(),
    };
    let mut wrong = check(expect, &head);
    let mut stream = Stream::new(answer);
    let first = stream.event().await;
    let wanted = &expect["first_event"];
    let present = wanted["data_present"].as_array().into_iter().flatten();
    let are_there = present.map(string).all(|name| !first.data[name].is_null());
    if wanted["event"] != first.name.as_str() || !are_there {
        wrong.push(format!("first_event: {wanted}, got {first:?}"));
    }
    wrong
}

async fn run_all(text: &str) {
    let cases: Vec<Value> = serde_json::from_str(text).expect("cases");
    let mut failures = Vec::new();
    for case in &cases {
        for wrong in run(case).await {
            failures.push(format!("{}: {wrong}", string(&case["name"])));
        }
    }
    assert!(!cases.is_empty());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! cases {
    ($($name:ident: $file:literal,)*) => {$(
        #[actix_web::test]
        async fn $name() {
            run_all(include_str!(concat!("../", $file))).await;
        }
    )*};
}

cases! {
    apps_are_changed: "../../../core/src/marathon/testdata/apps-change.json",
    bad_apps_are_refused: "../../../core/src/marathon/testdata/apps-create-bad.json",
    apps_are_created: "../../../core/src/marathon/testdata/apps-create.json",
    apps_are_read: "testdata/apps-read.json",
    deployments_and_the_queue: "testdata/deployments-queue.json",
    groups_are_read_and_changed: "../../../core/src/marathon/testdata/groups.json",
    the_system_tells_of_itself: "testdata/system.json",
    tasks_are_read_and_killed: "testdata/tasks.json",
}
