//! What queries of dashboards and rules ask for: names, and the labels they choose by.
//! Does not evaluate them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Labels asked for, by the name of what is asked.
pub type Asked = BTreeMap<String, BTreeSet<String>>;

/// Beginnings of the names that our own programs serve.
const OURS: [&str; 2] = ["tepui_", "marathon_"];

/// Every query of a dashboard, in panels, rows and variables.
pub fn of_dashboard(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" || name == "query" => {
                        found.push(text.clone());
                    }
                    member => of_dashboard(member, found),
                }
            }
        }
        Value::Array(members) => members
            .iter()
            .for_each(|member| of_dashboard(member, found)),
        _ => {}
    }
}

/// Every query of a file of rules; each is on one line of its own.
pub fn of_rules(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("expr: "))
        .map(str::to_owned)
        .collect()
}

/// Adds what a query asks of our programs.
pub fn asked(query: &str, asked: &mut Asked) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut rest = query;
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        rest = after;
        if !OURS.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let labels = asked.entry(name.to_owned()).or_default();
        let chosen = after.strip_prefix('{').and_then(|of| of.split_once('}'));
        let Some((chosen, after)) = chosen else {
            continue;
        };
        rest = after;
        let matchers = chosen
            .split(',')
            .filter(|matcher| !matcher.trim().is_empty());
        for matcher in matchers {
            let end = matcher.find(['=', '!']).unwrap_or(matcher.len());
            labels.insert(matcher[..end].trim().to_owned());
        }
    }
}

#[test]
fn names_and_labels_are_found() {
    let mut found = Asked::new();
    let query = "sum by (state) (rate(tepui_a_total{state=~\"x|y\", job!=\"z\"}[5m])) \
                 / tepui_b > 0.5 and marathon_c{}";
    asked(query, &mut found);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["marathon_c", "tepui_a_total", "tepui_b"]);
    let labels: Vec<&str> = found["tepui_a_total"].iter().map(String::as_str).collect();
    assert_eq!(labels, ["job", "state"]);
}
