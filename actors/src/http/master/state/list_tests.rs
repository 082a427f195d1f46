//! Tests of what lists of agents, frameworks and tasks show, and in which order.
//! How one of them is shown is tested in `tests`.

use std::sync::Arc;

use imbl::OrdMap;
use serde_json::{Value, json};
use tepui_core::ids::{AgentId, FrameworkId, TaskId};
use tepui_core::master::model::{Framework, FrameworkState, Snapshot, Task};
use tepui_core::memo::Memo;
use tepui_core::resources::Resources;
use tepui_core::time::Mono;
use tepui_protocol::v1;

use super::tests::{master_of, reserved_to_web};
use super::{Frameworks, Page, Slaves, TaskList};
use crate::http::json::Content;

fn written(content: &impl Content) -> Value {
    let mut bytes = Vec::new();
    content.write(&mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A task whose first status was made then, if it has one.
fn task(framework: &str, id: &str, made: Option<f64>, state: v1::TaskState) -> Arc<Memo<Task>> {
    let statuses = made.into_iter().map(|timestamp| v1::TaskStatus {
        state: state.into(),
        timestamp: Some(timestamp),
        ..Default::default()
    });
    let info = v1::Task {
        state: state.into(),
        statuses: statuses.collect(),
        ..Default::default()
    };
    let key = (FrameworkId::from(framework), TaskId::from(id));
    let resources = Resources::parse("cpus:1", "*").unwrap().allocated_to("*");
    let task = Task::new(key, AgentId::from("S"), info, resources);
    Arc::new(Memo::from(task))
}

fn framework(id: &str, tasks: &[(&str, Option<f64>)]) -> Framework {
    let running = |(name, made): &(&str, Option<f64>)| {
        let task = task(id, name, *made, v1::TaskState::TaskRunning);
        (task.id.clone(), task)
    };
    Framework {
        id: FrameworkId::from(id),
        info: Arc::default(),
        roles: vec!["*".into()],
        suppressed: Default::default(),
        constraints: None,
        generation: Default::default(),
        state: FrameworkState::Disconnected(Mono(0)),
        tasks: tasks.iter().map(running).collect(),
        task_counts: Default::default(),
        unreachable_tasks: OrdMap::new(),
        completed_tasks: Default::default(),
        executors: OrdMap::new(),
        operations: OrdMap::new(),
        operation_ids: OrdMap::new(),
        offers: Default::default(),
        registered_time: Default::default(),
        reregistered_time: None,
        unregistered_time: None,
    }
}

/// Two frameworks, one of them completed, with tasks of all sorts.
fn filled() -> Arc<Snapshot> {
    let mut snapshot = master_of(vec![reserved_to_web("cpus", 1.5)]);
    let mut first = framework("F1", &[("a", Some(3.0)), ("b", None), ("c", Some(1.0))]);
    let unreachable = task("F1", "u", Some(2.0), v1::TaskState::TaskUnreachable);
    first
        .unreachable_tasks
        .insert(TaskId::from("u"), unreachable);
    let ended = task("F1", "e", Some(2.0), v1::TaskState::TaskFinished);
    first.completed_tasks.push_back(ended);
    let first = Arc::new(first);
    snapshot.frameworks.insert(first.id.clone(), first);
    let second = framework("F2", &[("a", Some(4.0))]);
    snapshot.completed_frameworks.push_back(Arc::new(second));
    Arc::new(snapshot)
}

/// The tasks of a page, as framework and id.
fn listed(query: &[(&str, &str)]) -> Vec<String> {
    let field = |name: &str| {
        let mut fields = query.iter();
        let field = fields.find(|(known, _)| *known == name);
        field.map(|(_, value)| (*value).to_owned())
    };
    let list = TaskList {
        snapshot: filled(),
        page: Page::read(field),
    };
    let shown = written(&list);
    let tasks = shown["tasks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tasks
        .map(|task| text(&task["framework_id"]) + &text(&task["id"]))
        .collect()
}

#[test]
fn tasks_are_sorted_by_their_first_status() {
    let youngest_first = ["F2a", "F1a", "F1u", "F1e", "F1c", "F1b"];
    assert_eq!(listed(&[]), youngest_first);
    assert_eq!(listed(&[("order", "other")]), youngest_first);
    let oldest_first = ["F1b", "F1c", "F1u", "F1e", "F1a", "F2a"];
    assert_eq!(listed(&[("order", "asc")]), oldest_first);
}

#[test]
fn tasks_are_selected_and_paged_through() {
    assert_eq!(listed(&[("limit", "2")]), ["F2a", "F1a"]);
    assert_eq!(listed(&[("limit", "2"), ("offset", "3")]), ["F1e", "F1c"]);
    assert_eq!(listed(&[("task_id", "a")]), ["F2a", "F1a"]);
    assert_eq!(listed(&[("framework_id", "F2")]), ["F2a"]);
    for none in [
        ("limit", "0"),
        ("offset", "6"),
        ("offset", "-1"),
        ("framework_id", ""),
        ("task_id", "nope"),
    ] {
        assert!(listed(&[none]).is_empty(), "{none:?}");
    }
    for all in [
        ("limit", "abc"),
        ("limit", ""),
        ("limit", "99999999999"),
        ("limit", "-1"),
        ("offset", "x"),
        ("offset", "1.5"),
    ] {
        assert_eq!(listed(&[all]).len(), 6, "{all:?}");
    }
}

#[test]
fn a_page_has_a_hundred_tasks_unless_more_are_wanted() {
    let page = Page::read(|_| None);
    assert_eq!((page.limit, page.offset, page.ascending), (100, 0, false));
}

#[test]
fn frameworks_can_be_selected() {
    let shown = |id: Option<&str>| {
        let list = Frameworks {
            snapshot: filled(),
            id: id.map(str::to_owned),
        };
        let shown = written(&list);
        assert_eq!(shown["unregistered_frameworks"], json!([]));
        let count = |name: &str| shown[name].as_array().unwrap().len();
        (count("frameworks"), count("completed_frameworks"))
    };
    assert_eq!(shown(None), (1, 1));
    assert_eq!(shown(Some("F1")), (1, 0));
    assert_eq!(shown(Some("F2")), (0, 1));
    assert_eq!(shown(Some("nope")), (0, 0));
}

#[test]
fn agents_are_shown_with_every_resource() {
    let snapshot = filled();
    let id = snapshot.agents.keys().next().unwrap().to_string();
    let slaves = |id: &str| Slaves {
        snapshot: snapshot.clone(),
        id: Some(id.to_owned()),
    };
    let none = json!({"slaves": [], "recovered_slaves": []});
    assert_eq!(written(&slaves("nope")), none);
    let shown = written(&slaves(&id));
    let agent = &shown["slaves"][0];
    assert_eq!(agent["resources"]["cpus"], 4.0);
    let reserved = json!({"web": [{
        "name": "cpus", "type": "SCALAR", "scalar": {"value": 1.5}, "role": "web",
        "reservation": {}, "reservations": [{"type": "DYNAMIC", "role": "web"}]
    }]});
    assert_eq!(agent["reserved_resources_full"], reserved);
    let free = &agent["unreserved_resources_full"];
    assert_eq!(free[0]["scalar"]["value"], 2.5);
    assert_eq!(free[0]["role"], "*");
    assert_eq!(agent["used_resources_full"], json!([]));
    assert_eq!(agent["offered_resources_full"], json!([]));
}
