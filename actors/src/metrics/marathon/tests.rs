//! Names, kinds and forms of what is published, held against the list of Marathon's metrics.
//! Requests are measured in the tests of the HTTP API, calls in those with a master.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tepui_core::ids::IdSource;
use tepui_core::marathon::manager::{Manager, ManagerSettings, Snapshot, Stored};
use tepui_core::time::Now;

use super::names::{self, Figure, Published};
use super::process::Process;
use super::*;

/// Marathon's metrics.
const METRICS: &str = include_str!("testdata/metrics.json");

/// Where users read which ones are missing.
const DOCS: &str = include_str!("../../../../docs/marathon-metrics.md");

fn at(seconds: u64) -> Mono {
    Mono::default() + Duration::from_secs(seconds)
}

fn snapshot() -> Snapshot {
    let (settings, stored) = (ManagerSettings::default(), Stored::default());
    let (random, now) = (IdSource::from_seed([1; 32]), Now::default());
    let manager = Manager::restore(settings, stored, random, now, &mut Vec::new());
    manager.expect("an empty manager").snapshot(now)
}

/// Metrics in which everything that only appears when it happens has happened.
fn busy() -> Arc<MarathonMetrics> {
    let metrics = Arc::new(MarathonMetrics::default());
    for state in STATES {
        metrics.mesos.updated(Some(state), None);
    }
    metrics
}

fn published(metrics: &MarathonMetrics, now: Mono) -> Published {
    let process = Process::read();
    names::publish(metrics, &snapshot(), process, "marathon", now)
}

fn listed() -> Vec<Value> {
    let list: Value = serde_json::from_str(METRICS).expect("json");
    list["metrics"].as_array().expect("a list").clone()
}

fn kind(figure: &Figure) -> &'static str {
    match figure {
        Figure::Counter(_) => "counter",
        Figure::Gauge(_) => "gauge",
        Figure::Meter(_) => "meter",
        Figure::Timer(_) => "timer",
    }
}

#[test]
fn every_name_is_one_of_marathons_with_its_kind_and_form_for_prometheus() {
    let of = |metric: &Value, member: &str| metric[member].as_str().expect("text").to_owned();
    let known: BTreeMap<String, Value> = listed()
        .into_iter()
        .map(|metric| (of(&metric, "name"), metric))
        .collect();
    let published = published(&busy(), at(1));
    assert!(published.len() > 60, "{}", published.len());
    let text = text::prometheus(&published);
    for (name, figure) in &published {
        let metric = known.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(of(metric, "kind"), kind(figure), "{name}");
        let prometheus = of(metric, "prometheus");
        let is_there = text.lines().any(|line| line.starts_with(&prometheus));
        assert!(is_there, "{prometheus}");
    }
}

#[test]
fn every_name_that_is_missing_is_documented_with_a_reason() {
    let published = published(&busy(), at(1));
    let rows = DOCS.lines().filter_map(|line| {
        let (name, why) = line.strip_prefix("| `")?.split_once("` | ")?;
        assert!(why.trim_end_matches(" |").len() > 5, "{name}: {why}");
        Some(name.to_owned())
    });
    let missing: BTreeSet<String> = rows.collect();
    let expected = listed().into_iter().filter_map(|metric| {
        let name = metric["name"].as_str().expect("a name").to_owned();
        let is_template = name.contains('<');
        let is_of_jvm = name.starts_with("marathon.jvm.");
        (!is_template && !is_of_jvm && !published.contains_key(&name)).then_some(name)
    });
    assert_eq!(missing, expected.collect());
}

/// Holds a value against the part of JSON Schema that Marathon's metrics are described with.
fn check(value: &Value, schema: &Value, path: &str) {
    match schema["type"].as_str() {
        None => {}
        Some("string") => assert!(value.is_string(), "{path}"),
        Some("integer") => assert!(value.is_u64() || value.is_i64(), "{path}"),
        Some("number") => assert!(value.is_number(), "{path}"),
        Some("object") => {
            let members = value.as_object().unwrap_or_else(|| panic!("{path}"));
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().expect("a name");
                assert!(members.contains_key(name), "{path}/{name} is missing");
            }
            for (name, member) in members {
                let of = match schema["properties"].get(name) {
                    Some(of) => of,
                    None => &schema["additionalProperties"],
                };
                assert!(!of.is_null(), "{path}/{name} is not described");
                check(member, of, &format!("{path}/{name}"));
            }
        }
        Some(other) => panic!("{path}: {other}"),
    }
}

#[test]
fn the_json_has_the_shape_of_its_schema() {
    let metrics = busy();
    metrics
        .http
        .answered("GET", 200, at(1), Duration::from_millis(3));
    let json = text::json(&published(&metrics, at(2)));
    let schema: Value =
        serde_json::from_str(include_str!("testdata/metrics-schema.json")).expect("json");
    check(&json, &schema, "");
    assert_eq!(json["version"], "4.0.0");
    for kind in ["counters", "gauges", "meters", "timers"] {
        assert!(!json[kind].as_object().expect("an object").is_empty());
    }
    let timer = &json["timers"]["marathon.http.requests.get.duration.timer.seconds"];
    assert_eq!(timer["count"], 1);
    assert_eq!(timer["mean_rate"], 0.5);
    assert_eq!(timer["duration_units"], "seconds");
    assert_eq!(timer["rate_units"], "calls/second");
    let p50 = timer["p50"].as_f64().expect("a number");
    assert!((p50 - 0.003).abs() < 0.000_01, "{p50}");
    let meter = &json["meters"]["marathon.http.responses.2xx.rate.meter"];
    assert_eq!(meter["units"], "events/second");
    assert_eq!(json["gauges"]["marathon.groups.active.gauge"]["value"], 1);
}

#[test]
fn the_text_for_prometheus_says_the_same() {
    let metrics = busy();
    metrics
        .http
        .answered("PUT", 404, at(1), Duration::from_secs(2));
    metrics.http.sent_bytes.add(17);
    let published = published(&metrics, at(4));
    let text = text::prometheus(&published);
    let mut kinds = BTreeMap::new();
    let mut values = BTreeMap::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a kind");
            assert_eq!(kinds.insert(name, kind), None, "{name} twice");
            continue;
        }
        let (name, value) = line.split_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite(), "{line}");
        assert_eq!(values.insert(name, value), None, "{name} twice");
        let plain = name.split('{').next().expect("a name");
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(plain.chars().all(legal), "{line}");
        let is_told = kinds.contains_key(plain)
            || plain
                .strip_suffix("_count")
                .is_some_and(|name| kinds.get(name) == Some(&"summary"));
        assert!(is_told, "{line} comes before its kind");
    }
    let timer = "marathon_http_requests_put_duration_timer_seconds";
    assert_eq!(kinds[timer], "summary");
    assert_eq!(values[&*format!("{timer}_count")], 1.0);
    assert_eq!(values[&*format!("{timer}_mean_rate")], 0.25);
    for end in ["{quantile=\"0.5\"}", "{quantile=\"0.999\"}", "_min", "_max"] {
        let value = values[&*format!("{timer}{end}")];
        assert!((value - 2.0).abs() < 0.002, "{end}: {value}");
    }
    let meter = "marathon_http_responses_4xx_rate_meter";
    assert_eq!(kinds[&*format!("{meter}_count")], "gauge");
    assert_eq!(values[&*format!("{meter}_count")], 1.0);
    let sent = "marathon_http_responses_size_counter_bytes";
    assert_eq!((kinds[sent], values[sent]), ("counter", 17.0));
    let apps = "marathon_apps_active_gauge";
    assert_eq!((kinds[apps], values[apps]), ("gauge", 0.0));
    let per_figure = |figure: &Figure| match figure {
        Figure::Counter(_) | Figure::Gauge(_) => 1,
        Figure::Meter(_) => 5,
        Figure::Timer(_) => 6 + 1 + 4 + 4,
    };
    let expected: usize = published.values().map(per_figure).sum();
    assert_eq!(values.len(), expected);
}

fn gauge(metrics: &MarathonMetrics, now: Mono, name: &str) -> f64 {
    match &published(metrics, now)[name] {
        Figure::Gauge(number) => number.as_f64().expect("a number"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn leadership_lasts_until_it_ends() {
    let metrics = Arc::new(MarathonMetrics::new(&MetricsSettings::default(), at(10)));
    let name = "marathon.leadership.duration.gauge.seconds";
    assert_eq!(gauge(&metrics, at(20), name), 0.0);
    assert_eq!(
        gauge(&metrics, at(20), "marathon.uptime.gauge.seconds"),
        10.0
    );
    let leading = metrics.lead(at(30));
    metrics.mesos.accepted(&[operation::Type::Launch], 3);
    assert_eq!(gauge(&metrics, at(42), name), 12.0);
    drop(leading);
    assert_eq!(gauge(&metrics, at(50), name), 0.0);
    assert_eq!(metrics.mesos.tasks_launched.get(), 3);
    let _leading = metrics.lead(at(60));
    assert_eq!(metrics.mesos.tasks_launched.get(), 0);
    assert_eq!(metrics.mesos.launches.get(), 1);
}

#[test]
fn states_appear_with_their_first_status_and_answers_have_their_share() {
    let metrics = MarathonMetrics::default();
    let running = "marathon.mesos.task-updates.task-gone-by-operator.counter";
    assert!(!published(&metrics, at(0)).contains_key(running));
    let reason = Some(Reason::ContainerLimitationMemory);
    let state = Some(TaskState::TaskGoneByOperator);
    metrics.mesos.updated(state, reason);
    metrics.mesos.updated(None, None);
    assert_eq!(published(&metrics, at(0))[running], Figure::Counter(1));
    let oom = "marathon.mesos.task.oom.memory-limit-exceeded.counter";
    assert_eq!(published(&metrics, at(0))[oom], Figure::Counter(1));
    let ratio = "marathon.debug.http.requests.5xx-to-1m-rate-ratio.gauge";
    assert_eq!(gauge(&metrics, at(0), ratio), 0.0);
    for status in [200, 204, 302, 503] {
        metrics.http.answered("BREW", status, at(1), Duration::ZERO);
    }
    assert_eq!(gauge(&metrics, at(6), ratio), 0.25);
    let other = "marathon.http.requests.other.duration.timer.seconds";
    let Figure::Timer(timer) = &published(&metrics, at(6))[other] else {
        panic!("{other}");
    };
    assert_eq!(timer.meter.count, 4);
}
