//! What the reads of the operator API show, and that both encodings show the same.
//! Recorded answers are replayed over a real connection.

use std::sync::Arc;

use serde_json::{Value, json};
use tepui_core::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use tepui_core::master::messages::{Input, LinkId};
use tepui_core::master::model::{Executor, Framework, Offer, Snapshot, Task};
use tepui_core::memo::Memo;
use tepui_core::quota::Quota;
use tepui_core::resources::{Limits, Quantities, Resources};
use tepui_core::time::Now;
use tepui_protocol::v1::master::{Event, Response};
use tepui_protocol::{json as v1_json, v1, wire};

use super::super::testing::{read, with_framework};
use super::large::{Large, Section, View, subscribed};
use super::reads::roles;
use crate::http::media::MediaType;
use crate::http::pieces::{PieceWriter, Pieces};

const ALL: [Large; 5] = [
    Large::State,
    Large::One(Section::Tasks),
    Large::One(Section::Executors),
    Large::One(Section::Frameworks),
    Large::One(Section::Agents),
];

fn task(id: &str, state: v1::TaskState) -> Arc<Memo<Task>> {
    let info: v1::Task = read(&json!({
        "name": "name", "task_id": {"value": id}, "framework_id": {"value": "M-0000"},
        "agent_id": {"value": "M-S0"}, "state": state.as_str_name(),
        "statuses": [{"task_id": {"value": id}, "state": "TASK_STARTING"},
            {"task_id": {"value": id}, "state": "TASK_RUNNING", "uuid": "AQI="}],
        "labels": {"labels": [{"key": "tier", "value": "web"}]}}));
    let resources = Resources::parse("cpus:0.5;ports:[1-2]", "*").unwrap();
    let key = (FrameworkId::from("M-0000"), TaskId::from(id));
    let resources = resources.allocated_to("eng/web");
    Arc::new(Task::new(key, AgentId::from("M-S0"), info, resources).into())
}

/// A snapshot in which there is something of everything.
fn full() -> Snapshot {
    let mut snapshot = with_framework().0.snapshot();
    let (agent_id, id) = (AgentId::from("M-S0"), FrameworkId::from("M-0000"));
    let running = task("running", v1::TaskState::TaskRunning);
    let offered = Resources::parse("cpus:1", "*")
        .unwrap()
        .allocated_to("eng/web");
    let offer = Offer {
        id: OfferId::from("M-O0"),
        framework: id.clone(),
        agent: agent_id.clone(),
        role: "eng/web".into(),
        resources: offered,
        expires: None,
    };
    let agent = Arc::make_mut(snapshot.agents.get_mut(&agent_id).unwrap());
    agent.used.insert(id.clone(), running.resources.clone());
    agent.offers.insert(offer.id.clone());
    let framework = Arc::make_mut(snapshot.frameworks.get_mut(&id).unwrap());
    framework.offers.insert(offer.id.clone());
    snapshot.offers.insert(offer.id.clone(), Arc::new(offer));
    framework.tasks.insert(running.id.clone(), running);
    let away = task("away", v1::TaskState::TaskUnreachable);
    framework.unreachable_tasks.insert(away.id.clone(), away);
    let done = task("done", v1::TaskState::TaskFinished);
    framework.completed_tasks.push_back(done.clone());
    let info: v1::ExecutorInfo = read(&json!({"executor_id": {"value": "e"},
        "framework_id": {"value": "M-0000"}, "command": {"value": "true"}}));
    let executor = Executor {
        info: Arc::new(info),
        resources: Resources::parse("cpus:0.1", "*")
            .unwrap()
            .allocated_to("eng/web"),
    };
    framework
        .executors
        .insert((agent_id, ExecutorId::from("e")), executor);
    let mut ended = Framework::clone(framework);
    ended.id = FrameworkId::from("old");
    ended.tasks = Default::default();
    ended.unreachable_tasks = Default::default();
    ended.executors = Default::default();
    ended.offers = Default::default();
    snapshot.completed_frameworks.push_back(Arc::new(ended));
    let lost = v1::AgentInfo {
        hostname: "lost".to_owned(),
        ..Default::default()
    };
    let recovered = &mut snapshot.recovered_agents;
    recovered.insert(AgentId::from("old-S1"), Arc::new(lost));
    snapshot
}

/// A message as JSON, which shows defaults whether they are set or not.
fn plain(message: &impl serde::Serialize) -> Value {
    serde_json::to_value(message).unwrap()
}

fn bytes(pieces: &Pieces) -> Vec<u8> {
    pieces.iter().flatten().copied().collect()
}

fn written(snapshot: &Arc<Snapshot>, large: Large, media: MediaType) -> Vec<u8> {
    let mut out = PieceWriter::default();
    let view = View::new(snapshot.clone());
    view.write_response(large, media, &mut out).unwrap();
    bytes(&out.finish())
}

fn shown(snapshot: &Arc<Snapshot>, large: Large) -> Value {
    serde_json::from_slice(&written(snapshot, large, MediaType::JSON)).unwrap()
}

#[test]
fn both_encodings_say_the_same() {
    let snapshot = Arc::new(full());
    for large in ALL {
        let json = written(&snapshot, large, MediaType::JSON);
        let from_json: Response = v1_json::from_slice(&json).unwrap();
        let protobuf = written(&snapshot, large, MediaType::PROTOBUF);
        let from_protobuf: Response = wire::decode(&protobuf).unwrap();
        assert_eq!(plain(&from_json), plain(&from_protobuf), "{large:?}");
        // What was remembered is the same as what was written first.
        assert_eq!(written(&snapshot, large, MediaType::JSON), json);
    }
    let json = bytes(&subscribed(snapshot.clone(), MediaType::JSON));
    let from_json: Event = v1_json::from_slice(&json).unwrap();
    let protobuf = bytes(&subscribed(snapshot, MediaType::PROTOBUF));
    let from_protobuf: Event = wire::decode(&protobuf).unwrap();
    assert_eq!(plain(&from_json), plain(&from_protobuf));
    let subscribed = from_json.subscribed.unwrap();
    assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
    assert_eq!(
        subscribed
            .get_state
            .unwrap()
            .get_agents
            .unwrap()
            .agents
            .len(),
        1
    );
}

#[test]
fn the_state_is_its_four_parts() {
    let snapshot = Arc::new(full());
    let state = &shown(&snapshot, Large::State)["get_state"];
    let parts = ["get_tasks", "get_executors", "get_frameworks", "get_agents"];
    for (part, large) in parts.into_iter().zip(&ALL[1..]) {
        assert_eq!(state[part], shown(&snapshot, *large)[part]);
    }
    assert_eq!(state.as_object().unwrap().len(), parts.len());
}

#[test]
fn tasks_are_listed_by_what_became_of_them() {
    let tasks = shown(&Arc::new(full()), Large::One(Section::Tasks));
    assert_eq!(tasks["type"], "GET_TASKS");
    let ids = |list: &str| -> Vec<String> {
        let tasks = tasks["get_tasks"][list].as_array().unwrap().iter();
        let id = |task: &Value| task["task_id"]["value"].as_str().unwrap().to_owned();
        tasks.map(id).collect()
    };
    assert_eq!(ids("tasks"), ["running"]);
    assert_eq!(ids("unreachable_tasks"), ["away"]);
    assert_eq!(
        ids("completed_tasks"),
        ["done", "done"],
        "of both frameworks"
    );
    let task = &tasks["get_tasks"]["tasks"][0];
    assert_eq!(task["statuses"][1]["uuid"], "AQI=");
    assert_eq!(task["resources"][0]["allocation_info"]["role"], "eng/web");
    assert_eq!(task["resources"][0].get("role"), None);
}

#[test]
fn lists_are_written_even_when_there_is_nothing() {
    let (mut master, mut effects) = with_framework();
    let closed = Input::LinkClosed { link: LinkId(1) };
    master.handle(Now::default(), closed, &mut effects);
    let mut snapshot = master.snapshot();
    snapshot.agents = Default::default();
    snapshot.frameworks = Default::default();
    let snapshot = Arc::new(snapshot);
    assert_eq!(
        shown(&snapshot, Large::State),
        json!({"type": "GET_STATE", "get_state": {
            "get_tasks": {"tasks": [], "unreachable_tasks": [], "completed_tasks": []},
            "get_executors": {"executors": []},
            "get_frameworks": {"frameworks": [], "completed_frameworks": []},
            "get_agents": {"agents": [], "recovered_agents": []}}})
    );
}

#[test]
fn an_agent_is_shown_as_mesos_shows_it() {
    let agents = shown(&Arc::new(full()), Large::One(Section::Agents));
    let list = &agents["get_agents"];
    assert_eq!(list["recovered_agents"][0]["hostname"], "lost");
    let agent = &list["agents"][0];
    let keys: Vec<&String> = agent.as_object().unwrap().keys().collect();
    let mut expected = [
        "agent_info",
        "active",
        "deactivated",
        "version",
        "pid",
        "registered_time",
        "total_resources",
        "allocated_resources",
        "offered_resources",
        "capabilities",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(agent["agent_info"]["resources"][0].get("role"), None);
    assert_eq!(agent["agent_info"]["checkpoint"], true);
    assert_eq!(agent["total_resources"][0]["role"], "*");
    assert_eq!(agent["allocated_resources"][0]["scalar"]["value"], 0.5);
    assert_eq!(
        agent["offered_resources"][0]["allocation_info"]["role"],
        "eng/web"
    );
    assert_eq!(agent["capabilities"], json!([{"type": "MULTI_ROLE"}]));
}

#[test]
fn a_framework_is_shown_with_its_offers_and_constraints() {
    let frameworks = shown(&Arc::new(full()), Large::One(Section::Frameworks));
    let framework = &frameworks["get_frameworks"]["frameworks"][0];
    assert_eq!(framework["active"], true);
    assert_eq!(framework["registered_time"], framework["reregistered_time"]);
    assert_eq!(framework.get("unregistered_time"), None);
    assert_eq!(framework["offer_constraints"], json!({}));
    assert_eq!(framework["allocated_resources"][0]["scalar"]["value"], 0.5);
    let offer = &framework["offers"][0];
    assert_eq!(offer["id"]["value"], "M-O0");
    assert_eq!(offer["hostname"], "host");
    assert_eq!(offer["allocation_info"]["role"], "eng/web");
    assert_eq!(offer["url"]["path"], "/slave(1)");
    let completed = &frameworks["get_frameworks"]["completed_frameworks"];
    assert_eq!(completed.as_array().unwrap().len(), 1);
    let executors = shown(&Arc::new(full()), Large::One(Section::Executors));
    let executor = &executors["get_executors"]["executors"][0];
    assert_eq!(executor["agent_id"]["value"], "M-S0");
    assert_eq!(
        executor["executor_info"]["resources"][0]["scalar"]["value"],
        0.1
    );
}

#[test]
fn roles_hold_what_roles_below_them_hold() {
    let mut snapshot = full();
    snapshot.weights.insert("ops".into(), 2.5);
    let quota = Quota {
        guarantees: Quantities::from_amounts([("cpus", 1.0)]),
        limits: Limits::default(),
    };
    snapshot.quotas.insert("batch".into(), quota);
    let shown = |listed: Option<&[String]>| {
        let response = serde_json::to_value(roles(&snapshot, listed)).unwrap();
        response["get_roles"]["roles"].clone()
    };
    let cpus = json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.5}}]);
    assert_eq!(
        shown(None),
        json!([
            {"name": "batch", "weight": 1.0},
            {"name": "eng", "weight": 1.0, "resources": cpus},
            {"name": "eng/web", "weight": 1.0, "frameworks": [{"value": "M-0000"}],
                "resources": cpus},
            {"name": "ops", "weight": 2.5},
        ])
    );
    let listed = ["eng/db".to_owned()];
    assert_eq!(
        shown(Some(&listed)),
        json!([
            {"name": "eng", "weight": 1.0, "resources": cpus},
            {"name": "eng/db", "weight": 1.0},
        ])
    );
}
