//! Plans between trees: order, levels, what counts as a change, the way back.
//! Trees are made from bodies, as users make them.

use serde_json::{Value, json};

use super::*;
use crate::marathon::definition::Settings;

fn tree(root: &RootGroup, apps: Value, version: i64) -> RootGroup {
    let settings = Settings::default();
    let version = Timestamp::from_millis(version);
    let body = json!({ "apps": apps });
    let made = root.put_group_body(&PathId::new("/g"), &body, None, &settings, version);
    made.expect("a tree").0
}

fn empty() -> RootGroup {
    RootGroup::empty(Timestamp::from_millis(0))
}

fn one(id: &str, members: Value) -> Value {
    let mut body = json!({"id": id, "cmd": "sleep 1"});
    let members = members.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(members);
    body
}

/// Steps as text: `Start a,Start b|Scale a`.
fn steps(old: &RootGroup, new: &RootGroup) -> String {
    let plan = plan(old, new, "id".into(), new.version());
    let action = |action: &DeploymentAction| {
        let name = format!("{:?}", action.action).replace("Application", "");
        let app = action.app.as_ref().expect("an app");
        format!("{name} {}", app.as_str().trim_start_matches("/g/"))
    };
    let step = |step: &DeploymentStep| {
        step.actions
            .iter()
            .map(action)
            .collect::<Vec<_>>()
            .join(",")
    };
    plan.steps.iter().map(step).collect::<Vec<_>>().join("|")
}

#[test]
fn steps_stop_then_start_then_scale_by_level() {
    let old = tree(
        &empty(),
        json!([one("gone", json!({})), one("b", json!({}))]),
        1,
    );
    let new = tree(
        &old,
        json!([
            one("a", json!({"dependencies": ["b"]})),
            one("b", json!({"instances": 2})),
            one("c", json!({"dependencies": ["a", "/g/nothing"]})),
            one("d", json!({})),
        ]),
        2,
    );
    let wanted = "Stop gone|Start a,Start c,Start d|Scale b,Scale d|Scale a|Scale c";
    assert_eq!(steps(&old, &new), wanted);
    assert_eq!(steps(&new, &new), "");
}

#[test]
fn only_configuration_restarts() {
    let old = tree(&empty(), json!([one("a", json!({}))]), 1);
    for (members, wanted) in [
        (json!({}), ""),
        (json!({"instances": 3}), "Scale a"),
        (json!({"executorResources": {"cpus": 1}}), ""),
        (json!({"cmd": "sleep 2"}), "Restart a"),
        (json!({"cmd": "sleep 2", "instances": 3}), "Restart a"),
        (json!({"cmd": "sleep 2", "instances": 0}), "Scale a"),
        (json!({"labels": {"a": "b"}}), "Restart a"),
        (json!({"killSelection": "OLDEST_FIRST"}), "Restart a"),
        (json!({"tty": true}), "Restart a"),
        (json!({"resourceLimits": {"mem": "unlimited"}}), "Restart a"),
        (
            json!({"upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}),
            "Restart a",
        ),
        (json!({"backoffFactor": 2}), "Restart a"),
    ] {
        let new = tree(&old, json!([one("a", members.clone())]), 2);
        assert_eq!(steps(&old, &new), wanted, "{members}");
    }
    let settings = Settings::default();
    let version = Timestamp::from_millis(2);
    let restarted = old
        .restart_app(&PathId::new("/g/a"), &settings, version)
        .expect("restarted");
    assert_eq!(steps(&old, &restarted), "Restart a");
}

#[test]
fn a_revert_keeps_what_was_changed_meanwhile() {
    let settings = Settings::default();
    let at = Timestamp::from_millis;
    let original = tree(
        &empty(),
        json!([one("a", json!({})), one("gone", json!({}))]),
        1,
    );
    let target = tree(
        &original,
        json!([one("a", json!({"cmd": "sleep 2"})), one("new", json!({}))]),
        2,
    );
    let other = one("/other/x", json!({}));
    let current = target
        .create_app(&other, &settings, at(3))
        .expect("meanwhile")
        .root;
    let back = revert(&current, (&original, &target), &settings, at(4)).expect("reverted");
    let ids: Vec<String> = back.apps().map(|app| app.id.to_string()).collect();
    assert_eq!(ids, ["/g/a", "/g/gone", "/other/x"]);
    assert_eq!(
        back.app(&PathId::new("/g/a"))
            .and_then(|app| app.cmd.clone())
            .as_deref(),
        Some("sleep 1")
    );
    assert_eq!(
        steps(&current, &back),
        "Stop new|Start gone|Restart a,Scale gone"
    );
    // An added group goes when nothing else is in it; a restart is taken back by another.
    let gone = revert(&target, (&empty(), &target), &settings, at(5)).expect("reverted");
    assert_eq!((gone.app_count(), gone.groups().count()), (0, 1));
    let id = PathId::new("/g/a");
    let restarted = original
        .restart_app(&id, &settings, at(6))
        .expect("restarted");
    let back = revert(&restarted, (&original, &restarted), &settings, at(7)).expect("reverted");
    assert_eq!(steps(&restarted, &back), "Restart a");
}
