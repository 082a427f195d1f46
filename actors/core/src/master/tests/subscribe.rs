//! Subscribing, failing over, disconnecting, changing and ending frameworks; order of checks.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::{AgentInfo, TaskState};

use super::super::MasterSettings;
use super::super::call::is_accepted_at_once;
use super::super::messages::{Answer, Input};
use super::super::model::FrameworkState;
use super::fixture::{AGENT_RESOURCES, TestMaster, read};
use crate::allocator::messages::{Command, FrameworkFacts};
use crate::ids::FrameworkId;
use crate::resources::attributes::parse_attributes;

fn refused(status: u16, text: &str) -> Answer {
    Answer::Refused(status, text.to_string())
}

#[test]
fn a_new_framework_gets_the_next_id_and_the_master() {
    let mut test = TestMaster::new();
    let stream = test.subscribe(json!({"user": "root", "name": "a"}));
    let subscribed = test.event(&stream).subscribed.unwrap();
    assert_eq!(subscribed.framework_id.value, "M-0000");
    assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
    assert_eq!(subscribed.master_info.unwrap().id, "M");
    let Command::AddFramework { facts, active, .. } = test.command() else {
        panic!("expected AddFramework");
    };
    assert!(active);
    assert_eq!(facts.roles, vec!["*".into()]);
    assert_eq!(facts.info.id.as_ref().unwrap().value, "M-0000");
    let second = test.framework(json!({}));
    assert_eq!(second.id.as_str(), "M-0001");
}

#[test]
fn a_refused_subscription_is_an_error_and_the_end_of_the_stream() {
    let mut test = TestMaster::with(MasterSettings {
        root_submissions: false,
        ..Default::default()
    });
    let stream = test.subscribe(json!({"user": "root", "name": "a"}));
    assert_eq!(
        test.event(&stream).error.unwrap().message,
        "User 'root' is not allowed to run frameworks without --root_submissions set"
    );
    assert_eq!(test.closed_stream(), stream);
    assert!(test.master.snapshot().frameworks.is_empty());
}

#[test]
fn nothing_is_served_before_the_registry_was_read() {
    let mut test = TestMaster::recovering(MasterSettings::default());
    let stream = test.subscribe(json!({"user": "root", "name": "a"}));
    let text = "Master has not finished recovery";
    assert_eq!(test.event(&stream).error.unwrap().message, text);
    test.closed_stream();
    let call = json!({"type": "TEARDOWN", "framework_id": {"value": "x"}});
    assert_eq!(test.raw_call(&call, None), refused(503, text));
}

#[test]
fn calls_are_checked_in_order() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"failover_timeout": 100.0}));
    let id = framework.id.to_string();
    let call = |id: &str| json!({"type": "REVIVE", "framework_id": {"value": id}});
    let answer = test.raw_call(&call("ghost"), None);
    assert_eq!(answer, refused(400, "Framework cannot be found"));
    let answer = test.raw_call(&call(&id), None);
    let text = "All non-subscribe calls should include the 'Mesos-Stream-Id' header";
    assert_eq!(answer, refused(400, text));
    let answer = test.raw_call(&call(&id), Some(""));
    let text = "The stream ID '' included in this request didn't match the stream ID currently \
                associated with framework ID M-0000";
    assert_eq!(answer, refused(400, text));
    let unknown = json!({"type": "UNKNOWN", "framework_id": {"value": id}});
    let Answer::Refused(400, _) = test.raw_call(&unknown, Some(&framework.stream.0)) else {
        panic!("an UNKNOWN call must be refused");
    };
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    let answer = test.raw_call(&call(&id), Some(&framework.stream.0));
    assert_eq!(answer, refused(403, "Framework is not subscribed"));
}

#[test]
fn the_latest_subscription_takes_over() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"failover_timeout": 100.0}));
    test.offer(&framework, &agent, AGENT_RESOURCES);
    let id = framework.id.as_str();
    let info = json!({"user": "other", "name": "new", "id": {"value": id}, "checkpoint": true});
    let stream = test.subscribe(info);
    let told = test.event(&framework.stream);
    assert_eq!(told.error.unwrap().message, "Framework failed over");
    assert_eq!(test.closed_stream(), framework.stream);
    // The old offer is gone without a RESCIND.
    assert_eq!(test.released().1, None);
    let Command::UpdateFramework { facts, .. } = test.command() else {
        panic!("expected UpdateFramework");
    };
    assert_eq!(
        (facts.info.user.as_str(), facts.info.name.as_str()),
        ("root", "new")
    );
    assert!(!facts.info.checkpoint());
    let Command::ActivateFramework { generation, .. } = test.command() else {
        panic!("expected ActivateFramework");
    };
    assert_eq!(
        generation,
        test.master.snapshot().frameworks[&framework.id].generation
    );
    assert_eq!(
        test.event(&stream).subscribed.unwrap().framework_id.value,
        id
    );
    // The end of the old stream does not disconnect the new one.
    test.input(Input::StreamClosed {
        stream: framework.stream,
    });
    assert_eq!(test.master.next_deadline(), None);
}

#[test]
fn another_principal_is_refused_on_the_new_stream_only() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"principal": "a"}));
    let id = framework.id.as_str();
    let info = json!({"user": "root", "name": "x", "id": {"value": id}, "principal": "b"});
    let stream = test.subscribe(info);
    let text = "Changing framework's principal is not allowed.";
    assert_eq!(test.event(&stream).error.unwrap().message, text);
    assert_eq!(test.closed_stream(), stream);
    test.accepted(&framework, json!({"type": "REVIVE"}));
    assert!(matches!(test.command(), Command::Revive { .. }));
}

#[test]
fn an_unknown_id_is_accepted_and_a_completed_one_is_not() {
    let mut test = TestMaster::new();
    let stream = test.subscribe(json!({"user": "root", "name": "x", "id": {"value": "mine"}}));
    assert_eq!(
        test.event(&stream).subscribed.unwrap().framework_id.value,
        "mine"
    );
    assert!(matches!(
        test.command(),
        Command::AddFramework { active: true, .. }
    ));
    let call = json!({"type": "TEARDOWN", "framework_id": {"value": "mine"}});
    assert_eq!(test.raw_call(&call, Some(&stream.0)), Answer::Accepted);
    assert_eq!(test.closed_stream(), stream);
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    assert!(matches!(test.command(), Command::RemoveFramework(_)));
    let again = test.subscribe(json!({"user": "root", "name": "x", "id": {"value": "mine"}}));
    assert_eq!(
        test.event(&again).error.unwrap().message,
        "Framework has been removed"
    );
    test.closed_stream();
}

#[test]
fn completed_frameworks_are_bounded() {
    let mut test = TestMaster::with(MasterSettings {
        max_completed_frameworks: 2,
        ..Default::default()
    });
    for _ in 0..3 {
        let framework = test.framework(json!({}));
        test.accepted(&framework, json!({"type": "TEARDOWN"}));
        test.skip();
    }
    let completed = test.master.snapshot().completed_frameworks;
    let ids: Vec<_> = completed.iter().map(|f| f.id.to_string()).collect();
    assert_eq!(ids, ["M-0001", "M-0002"]);
}

#[test]
fn a_disconnected_framework_is_removed_when_its_time_is_over() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"failover_timeout": 10.0}));
    test.launch(&framework, &agent, "t");
    test.offer(&framework, &agent, "cpus:1");
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    assert_eq!(test.released().0, "cpus(allocated: *):1");
    test.pass(Duration::from_secs(9));
    test.done();
    test.pass(Duration::from_secs(1));
    assert!(matches!(
        test.order(agent.link),
        MasterToAgent::ShutdownFramework { .. }
    ));
    test.released();
    assert!(matches!(test.command(), Command::RemoveFramework(_)));
    let snapshot = test.master.snapshot();
    let ended = &snapshot.completed_frameworks[0].completed_tasks[0];
    assert_eq!(ended.state, TaskState::TaskKilled as i32);
    assert_eq!(
        ended.statuses().next().unwrap().message(),
        "Framework M-0000 removed"
    );
    assert_eq!(test.master.next_deadline(), None);
}

#[test]
fn a_framework_that_comes_back_in_time_stays() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"failover_timeout": 10.0}));
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    test.command();
    let id = framework.id.as_str();
    let info = json!({"user": "root", "name": "x", "id": {"value": id}, "failover_timeout": 10.0});
    let stream = test.subscribe(info);
    test.event(&stream);
    assert!(matches!(test.command(), Command::UpdateFramework { .. }));
    assert!(matches!(test.command(), Command::ActivateFramework { .. }));
    test.pass(Duration::from_secs(20));
    let snapshot = test.master.snapshot();
    assert_eq!(
        snapshot.frameworks[&framework.id].state,
        FrameworkState::Active(stream)
    );
}

#[test]
fn suppress_and_revive_name_only_subscribed_roles() {
    let mut test = TestMaster::new();
    let roles = json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}]});
    let framework = test.framework(roles);
    let suppressed = |test: &TestMaster| {
        let snapshot = test.master.snapshot();
        let suppressed = &snapshot.frameworks[&framework.id].suppressed;
        suppressed
            .iter()
            .map(|role| role.to_string())
            .collect::<Vec<_>>()
    };
    test.accepted(
        &framework,
        json!({"type": "SUPPRESS", "suppress": {"roles": ["a", "x"]}}),
    );
    assert!(suppressed(&test).is_empty());
    test.accepted(&framework, json!({"type": "SUPPRESS"}));
    assert!(matches!(test.command(), Command::Suppress { roles, .. } if roles.is_empty()));
    assert_eq!(suppressed(&test), ["a", "b"]);
    test.accepted(
        &framework,
        json!({"type": "REVIVE", "revive": {"roles": ["b"]}}),
    );
    assert!(matches!(test.command(), Command::Revive { roles, .. } if roles.len() == 1));
    assert_eq!(suppressed(&test), ["a"]);
    assert_eq!(test.master.snapshot().counters.dropped_messages, 1);
}

#[test]
fn update_framework_replaces_what_may_change() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    let offer = test.offer(&framework, &agent, "cpus:1");
    let update = |info: serde_json::Value| {
        let mut info = info;
        info["id"] = json!({"value": "M-0000"});
        json!({"type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": info}})
    };
    let answer = test.call(&framework, update(json!({"user": "nobody", "name": "x"})));
    let text = "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; \
                attempted to update from 'root' to 'nobody'";
    assert_eq!(answer, refused(400, text));
    test.done();
    let other_role = json!({"user": "root", "name": "x", "role": "other"});
    assert_eq!(test.call(&framework, update(other_role)), Answer::Ok);
    assert!(matches!(test.command(), Command::UpdateFramework { .. }));
    let rescinded = test.event(&framework.stream).rescind.unwrap().offer_id;
    assert_eq!(rescinded.value, offer.as_str());
    test.released();
    let MasterToAgent::UpdateFramework { info } = test.order(agent.link) else {
        panic!("the agent must be told");
    };
    assert_eq!(info.role(), "other");
}

/// Offer constraints of role `*`: the rack matches the pattern.
fn rack_matches(regex: &str) -> Value {
    let constraint = json!({
        "selector": {"attribute_name": "rack"},
        "predicate": {"text_matches": {"regex": regex}},
    });
    json!({"role_constraints": {"*": {"groups": [{"attribute_constraints": [constraint]}]}}})
}

/// Which of the racks `r1` and `r2` the allocator may offer to role `*`.
fn admitted_racks(facts: &FrameworkFacts) -> [bool; 2] {
    ["rack:r1", "rack:r2"].map(|attributes| {
        let agent = AgentInfo {
            attributes: parse_attributes(attributes).unwrap(),
            ..Default::default()
        };
        let filter = facts.constraints.as_ref();
        filter.is_none_or(|filter| !filter.is_agent_excluded("*", &agent))
    })
}

#[test]
fn the_allocator_gets_constraints_compiled_and_readers_as_sent() {
    let mut test = TestMaster::new();
    let mut info = json!({"user": "root", "name": "x"});
    let sent = |test: &TestMaster| {
        let framework = test.master.snapshot().frameworks[&FrameworkId::from("M-0000")].clone();
        framework.constraints.as_deref().cloned()
    };
    // RE2's quoting, which the regex crate would refuse.
    let first = rack_matches(r"\Qr1\E");
    let stream = test.subscribe_with(json!({"framework_info": info, "offer_constraints": first}));
    let Command::AddFramework { facts, .. } = test.command() else {
        panic!("expected AddFramework");
    };
    assert_eq!(admitted_racks(&facts), [true, false]);
    assert_eq!(sent(&test), Some(read(&first)));

    info["id"] = json!({"value": "M-0000"});
    let second = rack_matches("r2");
    let mut call = json!({
        "type": "UPDATE_FRAMEWORK",
        "framework_id": info["id"],
        "update_framework": {"framework_info": info, "offer_constraints": second},
    });
    assert_eq!(test.raw_call(&call, Some(&stream.0)), Answer::Ok);
    let Command::UpdateFramework { facts, .. } = test.command() else {
        panic!("expected UpdateFramework");
    };
    assert_eq!(admitted_racks(&facts), [false, true]);
    assert_eq!(sent(&test), Some(read(&second)));

    // A pattern that is refused changes nothing.
    call["update_framework"]["offer_constraints"] = rack_matches("(");
    let Answer::Refused(400, _) = test.raw_call(&call, Some(&stream.0)) else {
        panic!("a broken pattern must be refused");
    };
    assert_eq!(sent(&test), Some(read(&second)));

    // Coming back without constraints withdraws them.
    test.subscribe(info);
    let Command::UpdateFramework { facts, .. } = test.command() else {
        panic!("expected UpdateFramework");
    };
    assert_eq!(admitted_racks(&facts), [true, true]);
    assert_eq!(sent(&test), None);
    test.skip();
}

#[test]
fn teardown_ends_everything_of_the_framework() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.launch(&framework, &agent, "t");
    test.offer(&framework, &agent, "cpus:1");
    test.accepted(&framework, json!({"type": "TEARDOWN"}));
    assert!(matches!(test.command(), Command::DeactivateFramework(_)));
    assert_eq!(test.released().0, "cpus(allocated: *):1");
    assert!(matches!(
        test.order(agent.link),
        MasterToAgent::ShutdownFramework { .. }
    ));
    assert_eq!(
        test.released().0,
        "cpus(allocated: *):1; mem(allocated: *):128"
    );
    assert!(matches!(test.command(), Command::RemoveFramework(_)));
    assert_eq!(test.closed_stream(), framework.stream);
    let snapshot = test.master.snapshot();
    assert_eq!(snapshot.counters.tasks_killed, 1);
    assert!(snapshot.agents[&agent.id].tasks.is_empty());
}

#[test]
fn a_call_of_another_principal_is_refused() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"principal": "alice"}));
    let call = json!({"type": "REVIVE", "framework_id": {"value": framework.id.as_str()}});
    let stream = framework.stream.0.to_string();
    let text = "Authenticated principal 'mallory' does not match principal 'alice' set in \
                `FrameworkInfo`";
    let answer = test.call_as(Some("mallory"), &call, Some(&stream));
    assert_eq!(answer, refused(400, text));
    test.done();
    let answer = test.call_as(Some("alice"), &call, Some(&stream));
    assert_eq!(answer, Answer::Accepted);
    assert!(matches!(test.command(), Command::Revive { .. }));
}

#[test]
fn what_is_accepted_in_any_case_need_not_wait() {
    let mut test = TestMaster::new();
    let framework = test.framework(json!({"principal": "alice"}));
    let view = test.master.snapshot();
    let at_once = |kind: &str, id: &str, stream: Option<&str>, principal: Option<&str>| {
        let call = json!({"type": kind, "framework_id": {"value": id}});
        let call = read(&call);
        is_accepted_at_once(&view, &call, stream, principal)
    };
    let (id, stream) = (framework.id.as_str(), Some(&*framework.stream.0));
    for kind in ["ACCEPT", "DECLINE", "ACKNOWLEDGE", "KILL", "SUPPRESS"] {
        assert!(at_once(kind, id, stream, None), "{kind}");
        assert!(at_once(kind, id, stream, Some("alice")), "{kind}");
        assert!(!at_once(kind, id, stream, Some("mallory")), "{kind}");
        assert!(!at_once(kind, id, Some("other"), None), "{kind}");
        assert!(!at_once(kind, id, None, None), "{kind}");
        assert!(!at_once(kind, "unknown", stream, None), "{kind}");
    }
    let others = [
        "TEARDOWN",
        "UPDATE_FRAMEWORK",
        "RECONCILE",
        "RECONCILE_OPERATIONS",
        "REVIVE",
        "SUBSCRIBE",
        "UNKNOWN",
    ];
    for kind in others {
        assert!(!at_once(kind, id, stream, None), "{kind}");
    }
    // A framework that has gone away is refused.
    test.input(Input::StreamClosed {
        stream: framework.stream.clone(),
    });
    let call = json!({"type": "DECLINE", "framework_id": {"value": id}});
    let call = read(&call);
    let view = test.master.snapshot();
    assert!(!is_accepted_at_once(&view, &call, stream, None));
    test.skip();
}
