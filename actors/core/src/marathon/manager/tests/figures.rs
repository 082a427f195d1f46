//! What the manager counts for those who measure it.
//! What is done is tested elsewhere.

use std::time::Duration;

use serde_json::json;
use tepui_protocol::v1;

use super::fixture::{Fixture, refusal, status};
use super::{Input, ManagerSettings};
use crate::ids::TaskId;
use crate::marathon::engine::{EngineSettings, KillFigures};

#[test]
fn deployments_are_counted_whether_taken_in_or_dismissed() {
    let settings = ManagerSettings {
        engine: EngineSettings {
            max_running_deployments: 1,
            ..EngineSettings::default()
        },
        ..ManagerSettings::default()
    };
    let mut test = Fixture::with(settings);
    let counted = |test: &Fixture| {
        let figures = test.view().figures;
        (figures.deployments, figures.deployments_dismissed)
    };
    assert_eq!(counted(&test), (0, 0));
    test.create(json!({"id": "/a", "cmd": "sleep 1"}));
    assert_eq!(counted(&test), (1, 0));
    let answer = test.create(json!({"id": "/b", "cmd": "sleep 1"}));
    assert_eq!(refusal(&answer).0, 403);
    assert_eq!(counted(&test), (1, 1));
    let answer = test.change("/a", json!({"cmd": "sleep 2"}));
    assert_eq!(refusal(&answer).0, 409, "it is locked");
    assert_eq!(counted(&test), (1, 1));
    test.pass(3);
    test.create(json!({"id": "/b", "cmd": "sleep 1"}));
    assert_eq!(counted(&test), (2, 1));
    test.restart();
    assert_eq!(counted(&test), (0, 0), "it counts since it leads");
}

#[test]
fn overdue_launches_and_kills_are_counted_until_they_are_confirmed() {
    let mut test = Fixture::new();
    test.is_obliging = false;
    test.create(json!({"id": "/a", "cmd": "sleep 1", "instances": 2}));
    test.offer("a1");
    assert_eq!(test.launched.len(), 2);
    assert_eq!(test.view().figures.launch_tokens, 98);
    assert_eq!(test.view().figures.kills, KillFigures::default());
    test.tick(Duration::from_secs(31));
    assert_eq!(test.view().figures.launch_tokens, 100, "they are refilled");
    test.tick(Duration::from_secs(270));
    let kills = |attempts| KillFigures {
        in_flight: 2,
        attempts,
        launch_overdue: 2,
    };
    assert_eq!(test.view().figures.kills, kills(2));
    test.tick(Duration::from_secs(30));
    assert_eq!(test.view().figures.kills, kills(4), "they are asked again");
    for task in std::mem::take(&mut test.launched) {
        let killed = status(&TaskId::from(&task.task_id), v1::TaskState::TaskKilled);
        test.input(Input::Update(Box::new(killed)));
    }
    assert_eq!(test.view().figures.kills, KillFigures::default());
}

#[test]
fn offers_that_cannot_be_read_are_counted() {
    let mut test = Fixture::new();
    test.offer("a1");
    assert_eq!(test.view().figures.offers_unprocessable, 0);
    let cpus = v1::Resource {
        name: "cpus".into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: -1.0 }),
        ..v1::Resource::default()
    };
    let offer = v1::Offer {
        id: v1::OfferId { value: "o".into() },
        resources: vec![cpus],
        ..v1::Offer::default()
    };
    test.input(Input::Offers(vec![offer]));
    assert_eq!(test.view().figures.offers_unprocessable, 1);
    assert_eq!(test.declined.len(), 2);
}
