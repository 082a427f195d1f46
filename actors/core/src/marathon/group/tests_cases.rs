//! Runs recorded requests and expectations against the tree, without HTTP.
//! What only the HTTP side can answer is listed by name and counted.

use serde_json::Value;
use tepui_protocol::marathon::{PathId, Timestamp};

use super::{Embed, RootGroup};
use crate::marathon::definition::{Rejection, Settings, parse_body, version_wanted};
use crate::marathon::plan::plan;

/// Cases whose answers are made by the HTTP side: media types, methods, locks, lists of versions.
const OF_HTTP: [&str; 8] = [
    "wrong media type",
    "method not allowed",
    "no bulk delete",
    "locked without force",
    "delete with force=false while locked",
    "missing group",
    "versions",
    "versions of a missing group",
];

/// Members of answers that the HTTP side adds.
const ADDED: [&str; 7] = [
    "$.tasks",
    "$.app.tasks",
    "$.deployments",
    "$.deploymentId",
    "$.version",
    "$.message.deployments",
    "$.app.deployments",
];

struct World {
    root: RootGroup,
    history: Vec<RootGroup>,
    settings: Settings,
}

type Answer = Result<(u16, Value), Rejection>;

fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("json")
}

impl World {
    fn new() -> World {
        World {
            root: RootGroup::empty(Timestamp::from_millis(1_625_133_600_000)),
            history: Vec::new(),
            settings: Settings::default(),
        }
    }

    fn version(&self) -> Timestamp {
        self.root.next_version(crate::time::Now::default())
    }

    fn keep(&mut self, root: RootGroup) {
        self.history.push(std::mem::replace(&mut self.root, root));
    }

    fn send(&mut self, request: &Value) -> Answer {
        let method = request["method"].as_str().expect("a method");
        let target = request["path"].as_str().expect("a path");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = match request.get("raw_body") {
            Some(raw) => parse_body(raw.as_str().expect("text").as_bytes())?,
            None => request.get("body").cloned().unwrap_or_default(),
        };
        if let Some(rest) = path.strip_prefix("/v2/apps") {
            return self.apps(method, rest, query, &body);
        }
        let rest = path.strip_prefix("/v2/groups").expect("apps or groups");
        self.groups(method, rest, query, &body)
    }

    fn apps(&mut self, method: &str, rest: &str, query: &str, body: &Value) -> Answer {
        let history = self.history.clone();
        let older = move |id: &PathId, version| {
            let found = history.iter().filter_map(|root| root.app(id));
            found.rev().find(|app| app.version == version).cloned()
        };
        let (settings, version) = (self.settings.clone(), self.version());
        let partial = !query.contains("partialUpdate=false");
        let id = PathId::new(rest.trim_end_matches("/restart"));
        if method == "GET" {
            let found = self.root.app(&id).ok_or_else(|| Rejection::no_app(&id))?;
            return Ok((200, serde_json::json!({ "app": found })));
        }
        let (status, root, body) = match (method, rest) {
            ("POST", "") => {
                let changed = self.root.create_app(body, &settings, version)?;
                (201, changed.root, json(changed.app))
            }
            ("POST", _) => (
                200,
                self.root.restart_app(&id, &settings, version)?,
                Value::Null,
            ),
            ("PUT" | "PATCH", "") => {
                let how = (partial, method == "PUT");
                let root = self.root.put_apps(body, how, &older, &settings, version)?;
                (200, root, Value::Null)
            }
            ("PUT", _) => {
                let how = (partial, &older as super::OlderApp);
                let changed = self.root.put_app_body(&id, body, how, &settings, version)?;
                let status = if changed.created { 201 } else { 200 };
                (status, changed.root, Value::Null)
            }
            ("PATCH", _) => {
                let changed = self.root.patch_app(&id, body, &older, &settings, version)?;
                (200, changed.root, Value::Null)
            }
            ("DELETE", _) => (
                200,
                self.root.remove_app(&id, &settings, version)?,
                Value::Null,
            ),
            other => panic!("{other:?}"),
        };
        self.keep(root);
        Ok((status, body))
    }

    fn groups(&mut self, method: &str, rest: &str, query: &str, body: &Value) -> Answer {
        let (settings, version) = (self.settings.clone(), self.version());
        let id = PathId::new(rest.trim_end_matches("/apps"));
        let (status, root, body) = match method {
            "GET" if rest.ends_with("/apps") => {
                return Ok((200, json(self.root.apps_below(&id).collect::<Vec<_>>())));
            }
            "GET" => {
                let embeds = query
                    .split('&')
                    .filter_map(|pair| pair.strip_prefix("embed="));
                let embed = Embed::from_query(embeds);
                let info = self.root.info(&id, embed, |app| Some(app.clone()));
                return Ok((200, json(info.ok_or_else(|| Rejection::no_group(&id))?)));
            }
            "POST" => {
                let (root, _) = self.root.create_group(&id, body, &settings, version)?;
                (201, root, Value::Null)
            }
            "PUT" => {
                let wanted = version_wanted(body);
                let older = self
                    .history
                    .iter()
                    .find(|root| Some(root.version()) == wanted);
                let changed = self
                    .root
                    .put_group_body(&id, body, older, &settings, version);
                let (root, _) = changed?;
                if query.contains("dryRun=true") {
                    return Ok((200, json(plan(&self.root, &root, "p".into(), version))));
                }
                (200, root, Value::Null)
            }
            "PATCH" => {
                let root = self.root.patch_group(&id, body, &settings, version)?;
                (200, root, Value::Null)
            }
            "DELETE" => {
                let root = self.root.remove_group(&id, &settings, version)?;
                (200, root, Value::Null)
            }
            other => panic!("{other}"),
        };
        self.keep(root);
        Ok((status, body))
    }
}

/// The value at a path like `$.a[0].b`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = path
        .trim_start_matches('$')
        .replace(['.', '['], "/")
        .replace(']', "");
    value.pointer(&pointer)
}

fn is_added(path: &str) -> bool {
    ADDED.iter().any(|added| path.starts_with(added))
}

fn entries<'a>(expect: &'a Value, key: &str) -> Vec<(&'a str, &'a Value)> {
    let members = expect.get(key).and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.as_str(), v))
        .collect()
}

fn texts<'a>(expect: &'a Value, key: &str) -> Vec<&'a str> {
    let list = expect.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn judge(name: &str, world: &mut World, answer: &(u16, Value), expect: &Value) {
    let (status, body) = answer;
    let text = body.to_string();
    assert_eq!(
        Some(u64::from(*status)),
        expect["status"].as_u64(),
        "{name}: {text}"
    );
    if let Some(whole) = expect.get("json_equals") {
        assert_eq!(body, whole, "{name}");
    }
    for (path, wanted) in entries(expect, "json_paths") {
        if !is_added(path) {
            assert_eq!(at(body, path), Some(wanted), "{name}: {path} in {text}");
        }
    }
    for (path, other) in entries(expect, "json_not_equal") {
        assert_ne!(at(body, path), Some(other), "{name}: {path}");
    }
    for (path, range) in entries(expect, "json_range") {
        let (value, range) = (at(body, path).and_then(Value::as_i64), range.as_array());
        let (value, range) = (value.expect("a number"), range.expect("a range"));
        let bounds = (
            range[0].as_i64().expect("min"),
            range[1].as_i64().expect("max"),
        );
        assert!(
            (bounds.0..=bounds.1).contains(&value),
            "{name}: {path} is {value}"
        );
    }
    for path in texts(expect, "json_absent") {
        assert_eq!(at(body, path), None, "{name}: {path}");
    }
    for path in texts(expect, "json_present")
        .into_iter()
        .filter(|path| !is_added(path))
    {
        assert!(at(body, path).is_some(), "{name}: {path} in {text}");
    }
    judge_shapes(name, body, expect);
    judge_details(name, body, expect);
    if let Some(part) = expect.get("body_contains").and_then(Value::as_str) {
        let escaped = json(part).to_string();
        assert!(
            text.contains(escaped.trim_matches('"')),
            "{name}: {part} in {text}"
        );
    }
    for next in expect
        .get("then")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let answer = answer_of(world, &next["request"]);
        judge(name, world, &answer, &next["expect"]);
    }
}

fn judge_shapes(name: &str, body: &Value, expect: &Value) {
    for (path, length) in entries(expect, "json_length") {
        let found = at(body, path).and_then(Value::as_array).map(Vec::len);
        assert_eq!(found.map(|n| n as u64), length.as_u64(), "{name}: {path}");
    }
    for (path, kind) in entries(expect, "json_types") {
        let found = match at(body, path) {
            Some(Value::Array(_)) => "array",
            Some(Value::String(_)) => "string",
            other => panic!("{name}: {path} is {other:?}"),
        };
        assert_eq!(Some(found), kind.as_str(), "{name}: {path}");
    }
    for (path, wanted) in entries(expect, "json_any") {
        let (list, member) = path.split_once("[*].").expect("a list");
        let list = at(body, list).and_then(Value::as_array).expect("a list");
        let found = list.iter().any(|entry| entry.get(member) == Some(wanted));
        assert!(found, "{name}: {path}");
    }
}

fn judge_details(name: &str, body: &Value, expect: &Value) {
    let details = body
        .get("details")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let find = |path: &str| details.iter().find(|detail| detail["path"] == path);
    let wanted = expect.get("details_include").and_then(Value::as_array);
    for wanted in wanted.into_iter().flatten() {
        let path = wanted["path"].as_str().expect("a path");
        let detail = find(path).unwrap_or_else(|| panic!("{name}: {path} in {body}"));
        let error = wanted["error"].as_str().expect("an error");
        let errors = detail["errors"].as_array().expect("errors");
        let found = errors
            .iter()
            .any(|e| e.as_str().is_some_and(|e| e.contains(error)));
        assert!(found, "{name}: {error} in {body}");
    }
    for path in texts(expect, "details_paths") {
        assert!(find(path).is_some(), "{name}: {path} in {body}");
    }
}

fn answer_of(world: &mut World, request: &Value) -> (u16, Value) {
    match world.send(request) {
        Ok(answer) => answer,
        Err(rejection) => (rejection.status, json(&rejection)),
    }
}

/// Runs the cases of a file; returns how many were judged.
fn run(text: &str) -> usize {
    let cases: Vec<Value> = serde_json::from_str(text).expect("cases");
    let of_http = |case: &&Value| OF_HTTP.iter().any(|name| case["name"] == *name);
    let judged = cases.iter().filter(|case| !of_http(case));
    let mut count = 0;
    for case in judged {
        let name = case["name"].as_str().expect("a name");
        let mut world = World::new();
        for request in case
            .get("setup")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let (status, body) = answer_of(&mut world, request);
            let wanted = request["status"].as_u64();
            assert_eq!(Some(u64::from(status)), wanted, "{name}: {body}");
        }
        let answer = answer_of(&mut world, &case["request"]);
        judge(name, &mut world, &answer, &case["expect"]);
        count += 1;
    }
    count
}

#[test]
fn apps_that_can_be_made() {
    assert_eq!(run(include_str!("../testdata/apps-create.json")), 22);
}

#[test]
fn apps_that_are_refused() {
    assert_eq!(run(include_str!("../testdata/apps-create-bad.json")), 69);
}

#[test]
fn changes_of_apps() {
    assert_eq!(run(include_str!("../testdata/apps-change.json")), 21);
}

#[test]
fn changes_of_groups() {
    assert_eq!(run(include_str!("../testdata/groups.json")), 29);
}
