//! What masters and agents measure of themselves, and what dashboards and rules ask for.
//! Measures no speed.

mod queries;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::support::cluster::{Cluster, find_metric, metric, until};
use crate::support::framework::{Encoding, Framework, info, task};
use crate::support::http;
use crate::support::marathon::Marathon;
use queries::Asked;
use text::Family;

/// Keys of Mesos's metrics.
const MESOS: &str = include_str!("../../data/metrics/mesos.json");

/// Where users read what is missing, what is more, and what Prometheus is told.
const DOCS: &str = include_str!("../../../../docs/metrics.md");

const DASHBOARD: &str = include_str!("../../../../docs/grafana/tepui.json");
const RULES: &str = include_str!("../../../../docs/alerts.yml");

/// Labels that Prometheus adds itself, or that variables of the dashboard fill in.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

fn snapshot(address: SocketAddr) -> Map<String, Value> {
    let answer = http::request(address, "GET", "/metrics/snapshot", &[], &[]);
    answer.json().as_object().expect("an object").clone()
}

fn prometheus(address: SocketAddr) -> BTreeMap<String, Family> {
    let answer = http::request(address, "GET", "/metrics/prometheus", &[], &[]);
    assert_eq!(answer.status, 200);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("Content-Type"), Some(kind));
    text::parse(&answer.text()).unwrap_or_else(|why| panic!("{why}"))
}

/// The one value with these labels, among others.
fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&text::Sample| {
        let has = |(name, value): &(&str, &str)| {
            sample.labels.get(*name).map(String::as_str) == Some(*value)
        };
        sample.name == name && labels.iter().all(has)
    };
    let samples = families.values().flat_map(|family| &family.samples);
    let found: Vec<f64> = samples.filter(fits).map(|sample| sample.value).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0]
}

/// Words of the documents in backquotes, below the heading `title`.
fn documented(title: &str) -> BTreeSet<&'static str> {
    let start = DOCS.find(title).unwrap_or_else(|| panic!("no {title}"));
    let section = &DOCS[start + title.len()..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    section.split('`').skip(1).step_by(2).collect()
}

/// Whether a key is one of a pattern, such as `a/<b>/c`.
fn fits(key: &str, pattern: &str) -> bool {
    match pattern.split_once('<') {
        None => key == pattern,
        Some((begin, rest)) => {
            let end = rest.split_once('>').map_or("", |(_, end)| end);
            let Some(mut key) = key.strip_prefix(begin) else {
                return false;
            };
            while let Some(c) = key.chars().next() {
                key = &key[c.len_utf8()..];
                if fits(key, end) {
                    return true;
                }
            }
            false
        }
    }
}

fn is_percentile(key: &str) -> bool {
    let ends = [
        "count", "min", "max", "p50", "p90", "p95", "p99", "p999", "p9999",
    ];
    let timer = key.rsplit_once('/').filter(|(_, end)| ends.contains(end));
    timer.is_some_and(|(timer, _)| timer.ends_with("_ms"))
}

/// Every key of Mesos's list is there or said to be missing, and every other one is said to be more.
fn check_keys(found: &Map<String, Value>, program: &str) {
    let list: Value = serde_json::from_str(MESOS).expect("a list");
    let of = |name: &str| -> BTreeSet<&str> {
        let keys = list[name].as_array().expect("keys");
        keys.iter().map(|key| key.as_str().expect("text")).collect()
    };
    let (missing, more) = (
        documented("## Keys that are missing"),
        documented("## Keys that Mesos does not have"),
    );
    let keys = &of(program) | &of("both");
    let absent = keys.iter().filter(|key| !found.contains_key(**key));
    let absent: BTreeSet<&str> = absent.copied().collect();
    let undocumented: Vec<_> = absent.difference(&missing).collect();
    assert!(undocumented.is_empty(), "{program}: {undocumented:?}");
    let there: Vec<_> = keys
        .difference(&absent)
        .filter(|key| missing.contains(*key))
        .collect();
    assert!(there.is_empty(), "{program} has them: {there:?}");
    let patterns = of(&format!("{program}_patterns"));
    for key in found.keys() {
        let known = keys.contains(key.as_str())
            || more.contains(key.as_str())
            || is_percentile(key)
            || patterns.iter().any(|pattern| fits(key, pattern));
        assert!(known, "{program} has {key}, which is not documented");
        assert!(found[key].is_number(), "{key}");
    }
}

fn await_metric(address: SocketAddr, key: &str, expected: f64) {
    until(&format!("{key} to be {expected}"), || {
        (find_metric(address, key) == Some(expected)).then_some(())
    });
}

/// A framework with a role of its own, and an offer to it.
fn framework(master: SocketAddr) -> (Framework, Value) {
    let mut info = info("meter me/1", &["MULTI_ROLE", "RESERVATION_REFINEMENT"]);
    info["roles"] = json!(["metered"]);
    info["principal"] = json!("p");
    let mut framework = Framework::subscribe(master, Encoding::Json, info);
    let offer = framework.offer();
    (framework, offer)
}

fn reserve() -> Value {
    json!({"type": "RESERVE", "reserve": {"resources": [{
        "name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5},
        "allocation_info": {"role": "metered"},
        "reservations": [{"type": "DYNAMIC", "role": "metered", "principal": "p"}],
    }]}})
}

/// Lets things happen that metrics tell of, and holds the metrics to them.
#[test]
fn metrics_are_those_of_mesos_and_follow_what_happens() {
    let cluster = Cluster::start(1);
    let (master, agent) = (cluster.master.address, cluster.agents[0].address);
    assert_eq!(metric(master, "master/messages_register_slave"), 1.0);
    assert_eq!(metric(master, "master/cpus_total"), 4.0);
    assert_eq!(metric(agent, "slave/registered"), 1.0);
    let (mut framework, offer) = framework(master);
    let prefix = format!("master/frameworks/meter%20me%2F1/{}", framework.id);
    let of = |name: &str| format!("{prefix}/{name}");
    assert_eq!(metric(master, &of("subscribed")), 1.0);
    assert_eq!(metric(master, &of("offers/sent")), 1.0);
    await_metric(master, &of("events/heartbeat"), 1.0);
    assert_eq!(metric(master, "master/outstanding_offers"), 1.0);
    await_metric(
        master,
        "allocator/mesos/resources/cpus/offered_or_allocated",
        4.0,
    );

    check_reservation(&framework, &offer, &prefix);
    let offer = framework.offer();
    framework.launch(
        &offer,
        &[
            task("stays", &offer, "exec sleep 1000"),
            task("fails", &offer, "exit 3"),
        ],
    );
    framework.await_state("fails", "TASK_FAILED");
    framework.await_state("stays", "TASK_RUNNING");
    await_metric(master, "master/tasks_failed", 1.0);
    await_metric(master, "master/tasks_running", 1.0);
    await_metric(agent, "slave/tasks_running", 1.0);
    await_metric(agent, "slave/tasks_failed", 1.0);
    await_metric(agent, "slave/executors_terminated", 1.0);
    await_metric(master, "master/cpus_used", 0.1);
    // The agent counts the executor that it made for the command, too.
    await_metric(agent, "slave/cpus_used", 0.2);
    assert_eq!(metric(master, "master/cpus_percent"), 0.1 / 4.0);
    assert_eq!(metric(master, &of("tasks/active/task_running")), 1.0);
    assert_eq!(metric(master, &of("tasks/terminal/task_failed")), 1.0);
    assert_eq!(metric(master, &of("operations/launch")), 2.0);
    assert_eq!(metric(master, &of("calls/accept")), 2.0);

    framework.launch(&offer, &[task("late", &offer, "true")]);
    await_metric(
        master,
        "master/task_lost/source_master/reason_invalid_offers",
        1.0,
    );
    framework.accepted(json!({"type": "SUPPRESS", "suppress": {}}));
    await_metric(master, &of("roles/metered/suppressed"), 1.0);
    framework.accepted(json!({"type": "DECLINE", "decline": {"offer_ids": []}}));
    await_metric(master, "master/messages_decline_offers", 1.0);
    await_metric(
        agent,
        "slave/valid_status_updates",
        metric(master, "master/valid_status_updates"),
    );

    check_keys(&snapshot(master), "master");
    check_keys(&snapshot(agent), "agent");
    check_prometheus(master, agent, &framework.id);
    framework.teardown();
    await_metric(master, &of("subscribed"), 0.0);
    await_metric(master, &of("tasks/terminal/task_killed"), 1.0);
    await_metric(agent, "slave/executors_running", 0.0);
}

/// An operation is counted as the agent tells what became of it.
fn check_reservation(framework: &Framework, offer: &Value, prefix: &str) {
    let master = framework.master;
    framework.accept(offer, json!([reserve()]), 0.0);
    await_metric(master, "master/operations/reserve/finished", 1.0);
    assert_eq!(metric(master, "master/operations/reserve/pending"), 0.0);
    assert_eq!(metric(master, "master/operations/total"), 1.0);
    let key = format!("{prefix}/operations/reserve");
    assert_eq!(metric(master, &key), 1.0);
}

/// Prometheus is told the same, in base units and with labels.
fn check_prometheus(master: SocketAddr, agent: SocketAddr, framework: &str) {
    let (of_master, of_agent) = (prometheus(master), prometheus(agent));
    let megabytes = 2048.0 * 1024.0 * 1024.0;
    for (families, name) in [(&of_master, "master"), (&of_agent, "agent")] {
        let name = format!("tepui_{name}_resource_capacity");
        let labels = [
            ("resource", "mem"),
            ("unit", "bytes"),
            ("revocable", "false"),
        ];
        assert_eq!(value(families, &name, &labels), megabytes);
        assert!(value(families, "tepui_process_resident_bytes", &[]) > 0.0);
        assert!(value(families, "tepui_process_cpu_seconds_total", &[]) > 0.0);
        for (name, family) in families {
            assert!(name.starts_with("tepui_"), "{name}");
            assert!(family.help.is_some(), "{name} has no help");
            let is_counter = family.kind == "counter";
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            assert!(!family.samples.is_empty(), "{name}");
        }
    }
    let running = [("state", "running")];
    assert_eq!(value(&of_master, "tepui_master_tasks", &running), 1.0);
    assert_eq!(value(&of_agent, "tepui_agent_tasks", &running), 1.0);
    let labels = [
        ("framework_id", framework),
        ("framework", "meter me/1"),
        ("type", "accept"),
    ];
    let calls = value(&of_master, "tepui_master_framework_calls_total", &labels);
    assert_eq!(calls, 3.0);
    let reason = [
        ("state", "lost"),
        ("source", "master"),
        ("reason", "invalid_offers"),
    ];
    let ends = value(&of_master, "tepui_master_task_end_reasons_total", &reason);
    assert_eq!(ends, 1.0);
    let stored = value(&of_master, "tepui_registrar_store_seconds_count", &[]);
    assert!(stored >= 1.0);
    let runs = value(&of_master, "tepui_allocator_run_seconds_count", &[]);
    assert!(runs >= 2.0);
}

#[test]
fn frameworks_are_not_told_one_by_one_if_nobody_wants_that() {
    let cluster = Cluster::with(1, &["--publish_per_framework_metrics=false"], &[]);
    let master = cluster.master.address;
    let (framework, _) = framework(master);
    assert_eq!(metric(master, "master/frameworks_active"), 1.0);
    let told: Vec<String> = snapshot(master).keys().cloned().collect();
    assert!(
        told.iter()
            .all(|key| !key.starts_with("master/frameworks/")),
        "{told:?}"
    );
    let families = prometheus(master);
    assert!(
        families
            .keys()
            .all(|name| !name.starts_with("tepui_master_framework_"))
    );
    framework.teardown();
}

#[test]
fn a_timeout_must_be_a_duration() {
    let cluster = Cluster::start(1);
    for address in [cluster.master.address, cluster.agents[0].address] {
        let get = |query: &str| {
            let path = format!("/metrics/snapshot?timeout={query}");
            http::request(address, "GET", &path, &[], &[])
        };
        assert_eq!(get("5secs").status, 200);
        let refused = get("abc");
        assert_eq!(refused.status, 400);
        let text = "Invalid timeout 'abc': Failed to convert '' to number.\n";
        assert_eq!(refused.text(), text);
    }
}

/// All that the three programs serve once something has happened: labels by name.
fn served(cluster: &Cluster) -> BTreeMap<String, BTreeSet<String>> {
    let master = cluster.master.address;
    let marathon = Marathon::start(cluster.dir.path(), master, &[]);
    let app = json!({"id": "/metered", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 32,
        "instances": 1});
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_running("/metered", 1);
    let (mut framework, offer) = framework(master);
    framework.launch(&offer, &[task("fails", &offer, "exit 3")]);
    framework.await_state("fails", "TASK_FAILED");
    framework.launch(&offer, &[task("late", &offer, "true")]);
    framework.await_state("late", "TASK_LOST");
    set_quota(master);
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let programs = [master, cluster.agents[0].address, marathon.address()];
    for family in programs
        .into_iter()
        .flat_map(|address| prometheus(address).into_values())
    {
        for sample in family.samples {
            served
                .entry(sample.name)
                .or_default()
                .extend(sample.labels.into_keys());
        }
    }
    marathon.change("DELETE", "/v2/apps/metered", &Value::Null);
    framework.teardown();
    served
}

fn set_quota(master: SocketAddr) {
    let amount = json!({"cpus": {"value": 1.0}});
    let config = json!({"role": "metered", "guarantees": amount, "limits": amount});
    let call = json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}});
    let headers = [("Content-Type", "application/json")];
    let body = call.to_string().into_bytes();
    let answer = http::request(master, "POST", "/api/v1", &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    await_metric(
        master,
        "allocator/mesos/quota/roles/metered/resources/cpus/limit",
        1.0,
    );
}

#[test]
fn dashboard_rules_and_documents_speak_of_what_is_served() {
    let cluster = Cluster::start(1);
    let served = served(&cluster);
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("a dashboard");
    let mut of_dashboard = Vec::new();
    queries::of_dashboard(&dashboard, &mut of_dashboard);
    let of_rules = queries::of_rules(RULES);
    assert!(of_dashboard.len() > 20, "{}", of_dashboard.len());
    assert!(of_rules.len() > 8, "{}", of_rules.len());
    assert_eq!(of_rules.len(), RULES.matches("alert: ").count());
    for query in of_dashboard.iter().chain(&of_rules) {
        let mut asked = Asked::new();
        queries::asked(query, &mut asked);
        for (name, labels) in asked {
            let known = served.get(&name);
            let known = known.unwrap_or_else(|| panic!("nobody serves {name}: {query}"));
            for label in labels {
                let is_there = known.contains(&label) || OF_PROMETHEUS.contains(&label.as_str());
                assert!(is_there, "{name} has no label {label}: {query}");
            }
        }
    }
    let named = documented("## Names for Prometheus");
    let named: BTreeSet<&str> = named
        .into_iter()
        .filter(|w| w.starts_with("tepui_"))
        .collect();
    let of_summary =
        |name: &str| name.ends_with("_seconds_sum") || name.ends_with("_seconds_count");
    let families = served.keys().map(String::as_str);
    let families: BTreeSet<&str> = families
        .filter(|name| name.starts_with("tepui_") && !of_summary(name))
        .collect();
    assert_eq!(named, families);
}
