//! Dry runs: the plan of a change, and where its instances would go.
//! What a plan is made of is tested with the planner.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::marathon::{ActionKind, PathId};

use super::super::messages::Token;
use super::super::{AppPlacement, Caller, Placement};
use super::fixture::{Fixture, refusal};
use super::{Answer, Input, Request};
use crate::marathon::matching::Reason;

fn dry(request: Request) -> Request {
    Request::DryRun {
        request: Box::new(request),
        places: true,
    }
}

fn creation(body: Value) -> Request {
    Request::CreateApp {
        body,
        force: false,
        caller: Caller::default(),
    }
}

fn change(id: &str, body: Value) -> Request {
    Request::ChangeApp {
        id: PathId::new(id),
        body,
        partial: true,
        may_create: false,
        force: false,
        caller: Caller::default(),
    }
}

fn placement(test: &mut Fixture, token: Token) -> Placement {
    match test.answered(token) {
        Some(Answer::Plan(run)) => run.placing.expect("something to place").place(test.now),
        other => panic!("{other:?}"),
    }
}

fn hosts(app: &AppPlacement) -> Vec<(&str, u32)> {
    let hosts = app.hosts.iter();
    hosts
        .map(|host| (host.hostname.as_str(), host.instances))
        .collect()
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let mut test = Fixture::new();
    test.create(json!({"id": "/a", "cmd": "run"}));
    test.pass(2);
    let before = test.view().root.version();
    let disk = format!("{:?}", test.disk);
    let answer = test.ask(dry(Request::DeleteGroup {
        id: PathId::root(),
        force: false,
    }));
    let Answer::Plan(run) = answer else {
        panic!("{answer:?}");
    };
    assert!(run.placing.is_none());
    let actions: Vec<_> = run
        .plan
        .steps
        .iter()
        .flat_map(|step| &step.actions)
        .collect();
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].action, ActionKind::StopApplication);
    assert_eq!(test.view().root.version(), before);
    assert_eq!(format!("{:?}", test.disk), disk);
    let patch = |id: &str| {
        dry(Request::PatchGroup {
            id: PathId::new(id),
            body: json!({"enforceRole": true}),
        })
    };
    assert_eq!(refusal(&test.ask(patch("/nope"))).0, 404);
    test.ask(Request::CreateGroup {
        base: PathId::root(),
        body: json!({"id": "/g"}),
        force: false,
    });
    let (before, disk) = (test.view().root.version(), format!("{:?}", test.disk));
    let answer = test.ask(patch("/g"));
    assert!(matches!(answer, Answer::Plan(run) if run.plan.steps.is_empty()));
    assert_eq!(test.view().root.version(), before);
    assert_eq!(format!("{:?}", test.disk), disk);
}

#[test]
fn offers_are_asked_for_to_see_where_instances_would_go() {
    let mut test = Fixture::new();
    let disk = format!("{:?}", test.disk);
    let app = json!({"id": "/a", "cmd": "run", "cpus": 1, "instances": 12, "portDefinitions": []});
    let token = test.send(dry(creation(app.clone())));
    assert_eq!(test.asked, ["*"]);
    // Others who ask meanwhile look together with it.
    let small = json!({"id": "/b", "cmd": "run", "cpus": 1, "portDefinitions": []});
    let other = test.send(dry(creation(small)));
    assert_eq!(test.asked, ["*"]);
    test.offer_of("a1", "cpus:7.5;mem:10000;disk:100");
    test.offer_of("a2", "cpus:2;mem:10000;disk:100");
    test.offer_of("a3", "cpus:8;mem:100;disk:100");
    assert!(test.answered(token).is_none());
    assert_eq!(test.declined.len(), 3);
    test.tick(Duration::from_millis(100));
    let placed = placement(&mut test, token);
    assert_eq!((placed.offers, &placed.note), (3, &None));
    let [app_a] = &placed.apps[..] else {
        panic!("{placed:?}");
    };
    assert_eq!(hosts(app_a), [("host-a1", 7), ("host-a2", 2)]);
    assert_eq!((app_a.launch, app_a.replace, app_a.unplaced), (12, 0, 3));
    let reasons = app_a.reasons.iter().map(|lack| (lack.reason, lack.offers));
    let reasons: Vec<_> = reasons.collect();
    let expected = [
        (Reason::InsufficientCpus, 2),
        (Reason::InsufficientMemory, 1),
    ];
    assert_eq!(reasons, expected);
    let example = "host-a1: wanted 1 cpus, offered 0.5";
    assert_eq!(app_a.reasons[0].example, example);
    assert_eq!(
        hosts(&placement(&mut test, other).apps[0]),
        [("host-a1", 1)]
    );
    // What was seen just now is good enough, and offers are not wanted any more afterwards.
    assert!(test.answered(token).is_none());
    let again = test.send(dry(creation(app)));
    assert_eq!(placement(&mut test, again), placed);
    test.tick(Duration::from_secs(2));
    assert_eq!(test.asked, ["*", "-*"]);
    assert_eq!(format!("{:?}", test.disk), disk);
}

#[test]
fn instances_that_stay_are_counted_and_replaced_ones_told_of() {
    let mut test = Fixture::new();
    let one = json!({"id": "/a", "cmd": "run", "cpus": 1, "instances": 2, "portDefinitions": [],
        "constraints": [["hostname", "UNIQUE"]]});
    test.create(one);
    test.pass(3);
    assert_eq!(test.running_of("/a").len(), 2);
    let offer = |test: &mut Fixture| {
        for agent in ["a1", "a2", "a3"] {
            test.offer(agent);
        }
        test.tick(Duration::from_millis(100));
    };
    // Two agents have one each.
    let scaled = test.send(dry(change("/a", json!({"instances": 4}))));
    offer(&mut test);
    let placed = placement(&mut test, scaled);
    let app = &placed.apps[0];
    assert_eq!((app.launch, app.replace, app.unplaced), (2, 0, 1));
    assert_eq!(hosts(app), [("host-a3", 1)]);
    assert_eq!(app.reasons[0].reason, Reason::UnfulfilledConstraint);
    assert_eq!(app.reasons[0].offers, 3);
    // A new version begins anew.
    test.tick(Duration::from_secs(3));
    let changed = test.send(dry(change("/a", json!({"cmd": "other"}))));
    offer(&mut test);
    let placed = placement(&mut test, changed);
    let app = &placed.apps[0];
    assert_eq!((app.launch, app.replace, app.unplaced), (2, 2, 0));
    assert_eq!(hosts(app), [("host-a1", 1), ("host-a2", 1)]);
    assert_eq!(test.running_of("/a").len(), 2);
    let fewer = test.ask(dry(change("/a", json!({"instances": 1}))));
    assert!(matches!(fewer, Answer::Plan(run) if run.placing.is_none()));
}

#[test]
fn without_offers_it_is_said_why_none_are_known() {
    let mut test = Fixture::new();
    let app = |id: &str| creation(json!({"id": id, "cmd": "run"}));
    let token = test.send(dry(app("/a")));
    test.tick(Duration::from_millis(999));
    assert!(test.answered(token).is_none());
    test.tick(Duration::from_millis(1));
    let placed = placement(&mut test, token);
    let note = placed.note.expect("a note");
    assert!(note.starts_with("no offers came within a second"), "{note}");
    assert_eq!((placed.as_of, placed.apps[0].unplaced), (None, 1));
    test.tick(Duration::from_secs(5));
    let of_role = json!({"id": "/g/r", "cmd": "run", "role": "g"});
    let token = test.send(dry(creation(of_role)));
    let note = placement(&mut test, token).note.expect("a note");
    assert!(note.contains("roles yet"), "{note}");
    test.input(Input::Disconnected);
    let token = test.send(dry(app("/a")));
    let note = placement(&mut test, token).note.expect("a note");
    assert!(note.starts_with("there is no connection"), "{note}");
    let only = Request::DryRun {
        request: Box::new(app("/a")),
        places: false,
    };
    assert!(matches!(test.ask(only), Answer::Plan(run) if run.placing.is_none()));
}

#[test]
fn what_waits_is_launched_first_and_the_rest_is_looked_at() {
    let mut test = Fixture::new();
    let app = |id: &str| json!({"id": id, "cmd": "run", "cpus": 2, "portDefinitions": []});
    test.create(app("/waits"));
    let token = test.send(dry(creation(app("/b"))));
    test.offer_of("a1", "cpus:3;mem:1000;disk:100");
    assert_eq!(test.running_of("/waits").len(), 1);
    test.tick(Duration::from_millis(100));
    let placed = placement(&mut test, token);
    assert_eq!((placed.apps[0].unplaced, placed.offers), (1, 1));
    assert_eq!(placed.apps[0].reasons[0].reason, Reason::InsufficientCpus);
}
