//! Why nothing is offered, and what became of a task, asked of a real master.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, info, task};
use crate::support::http;

const WHY: &str = "/api/tepui/v1/why";

fn get(master: SocketAddr, query: &str) -> http::Response {
    http::request(master, "GET", &format!("{WHY}?{query}"), &[], &[])
}

fn ask(master: SocketAddr, query: &str) -> Value {
    let answer = get(master, query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The reasons of the first framework's only role, with how many agents have them.
fn reasons(answer: &Value) -> Vec<(String, u64)> {
    let role = &answer["frameworks"][0]["roles"][0];
    let reasons = role["reasons"].as_array().expect("reasons");
    let pair = |it: &Value| {
        for words in ["text", "unblock"] {
            assert!(it[words].as_str().is_some_and(|text| !text.is_empty()));
        }
        let name = it["reason"].as_str().expect("a name").to_owned();
        (name, it["agents"].as_u64().expect("a number"))
    };
    reasons.iter().map(pair).collect()
}

#[test]
fn a_framework_is_told_why_nothing_is_offered_to_it() {
    let cluster = Cluster::start(2);
    let master = cluster.master.address;
    let framework = Framework::simple(master, "waiting", &[]);
    let query = format!("framework_id={}", framework.id);
    let expect = |wanted: &[(&str, u64)]| {
        let mut last = Vec::new();
        until(&format!("{wanted:?}"), || {
            last = reasons(&ask(master, &query));
            let found = last.iter().map(|(name, count)| (name.as_str(), *count));
            found.eq(wanted.iter().copied()).then_some(())
        });
    };
    expect(&[("HELD_BY_ITSELF", 2)]);
    assert_eq!(
        ask(master, &query)["frameworks"][0]["roles"][0]["offers"],
        2
    );
    framework.accepted(json!({"type": "SUPPRESS"}));
    expect(&[("SUPPRESSED", 2)]);
    framework.accepted(json!({"type": "REVIVE"}));
    let mut framework = framework;
    let offer = framework.offer();
    let decline = json!({"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 1000.0}});
    framework.accepted(json!({"type": "DECLINE", "decline": decline}));
    until("the filter", || {
        let answer = ask(master, &query);
        let agents = answer["frameworks"][0]["roles"][0]["agents"].as_array();
        let agents = agents.expect("agents").iter();
        let mut filtered = agents.filter(|agent| agent["reason"] == "FILTERED");
        let agent = filtered.next()?;
        assert_eq!(agent["agent_id"], offer["agent_id"]["value"]);
        assert!(agent["free"].as_str().is_some_and(|it| it.contains("cpus")));
        let left = agent["ends_in_seconds"].as_f64().expect("seconds");
        assert!(left > 900.0 && left <= 1000.0, "{left}");
        Some(())
    });
    let of_role = ask(master, "role=*&limit=1");
    assert_eq!(of_role["frameworks"][0]["name"], "waiting");
    let agents = &of_role["frameworks"][0]["roles"][0]["agents"];
    assert_eq!(agents.as_array().map(Vec::len), Some(1));
    let other = ask(master, &format!("{query}&role=other"));
    assert_eq!(reasons(&other), [("NOT_SUBSCRIBED".to_owned(), 2)]);
}

#[test]
fn what_became_of_a_task_is_told_as_long_as_it_is_remembered() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::subscribe(
        master,
        crate::support::framework::Encoding::Json,
        info("worker", &[]),
    );
    let offer = framework.offer();
    framework.launch(
        &offer,
        &[
            task("runs", &offer, "exec sleep 1000"),
            task("fails", &offer, "exit 7"),
        ],
    );
    framework.await_state("runs", "TASK_RUNNING");
    framework.await_state("fails", "TASK_FAILED");
    let query = |task: &str| format!("framework_id={}&task_id={task}", framework.id);
    let failed = ask(master, &query("fails"));
    assert_eq!(failed["state"], "TASK_FAILED");
    assert_eq!(failed["text"], "it failed; its sandbox tells more");
    assert_eq!(failed["message"], "Command exited with status 7");
    assert!(failed["since"].is_number());
    let statuses = failed["statuses"].as_array().expect("statuses");
    let states: Vec<&str> = statuses
        .iter()
        .filter_map(|it| it["state"].as_str())
        .collect();
    assert_eq!(states, ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]);
    assert_eq!(statuses[2]["message"], failed["message"]);
    assert_eq!(statuses[2]["source"], failed["source"]);
    assert_eq!(statuses[2]["timestamp"], failed["since"]);
    let runs = ask(master, &query("runs"));
    assert_eq!(
        (&runs["text"], &runs["hostname"]),
        (&json!("it runs"), &json!("localhost"))
    );
    for (query, status) in [
        (query("nothing"), 404),
        ("framework_id=nobody".to_owned(), 404),
        ("framework_id=nobody&task_id=t".to_owned(), 404),
        (String::new(), 400),
        ("task_id=t".to_owned(), 400),
        (format!("framework_id={}&limit=many", framework.id), 400),
    ] {
        let answer = get(master, &query);
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(!answer.body.is_empty(), "{query}");
    }
    let posted = http::request(master, "POST", WHY, &[], b"{}");
    assert_eq!(posted.status, 405);
}
