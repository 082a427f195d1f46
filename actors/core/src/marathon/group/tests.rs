//! Trees that are changed: versions, service ports, roles, groups, dependencies, size.
//! The recorded cases are run in a file of their own.

use std::sync::Arc;

use serde_json::{Value, json};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::ports::service_ports;
use super::*;
use crate::marathon::definition::{Rejection, Settings};

fn path(text: &str) -> PathId {
    PathId::new(text)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn put(root: &RootGroup, body: Value, version: i64) -> Result<RootGroup, Rejection> {
    let id = path(body["id"].as_str().expect("an id"));
    let older: OlderApp = &|_, _| None;
    let how = (true, older);
    let changed = root.put_app_body(&id, &body, how, &Settings::default(), at(version))?;
    Ok(changed.root)
}

fn tree(bodies: &[Value]) -> RootGroup {
    bodies
        .iter()
        .zip(1..)
        .fold(RootGroup::empty(at(0)), |root, (body, version)| {
            put(&root, body.clone(), version).expect("a tree")
        })
}

fn app<'a>(root: &'a RootGroup, id: &str) -> &'a Arc<App> {
    root.app(&path(id)).expect("an app")
}

fn stamps(app: &App) -> (i64, i64, i64) {
    let info = app.version_info.expect("version info");
    (
        app.version.as_millis(),
        info.last_scaling_at.as_millis(),
        info.last_config_change_at.as_millis(),
    )
}

#[test]
fn versions_tell_what_changed() {
    let root = tree(&[
        json!({"id": "/g/a", "cmd": "sleep 1"}),
        json!({"id": "/h", "cmd": "sleep 1"}),
    ]);
    assert_eq!(stamps(app(&root, "/g/a")), (1, 1, 1));
    let scaled = put(&root, json!({"id": "/g/a", "instances": 3}), 10).expect("scaled");
    assert_eq!(stamps(app(&scaled, "/g/a")), (10, 10, 1));
    let changed = put(&scaled, json!({"id": "/g/a", "cmd": "sleep 2"}), 11).expect("changed");
    assert_eq!(stamps(app(&changed, "/g/a")), (11, 11, 11));
    let restarted = changed
        .restart_app(&path("/g/a"), &Settings::default(), at(12))
        .expect("restarted");
    assert_eq!(stamps(app(&restarted, "/g/a")), (12, 11, 12));
    let same = put(&restarted, json!({"id": "/g/a", "cmd": "sleep 2"}), 13).expect("the same");
    assert!(Arc::ptr_eq(app(&same, "/g/a"), app(&restarted, "/g/a")));
    assert_eq!(same.version(), at(13));
    let group = |root: &RootGroup| root.group(&path("/g")).expect("a group").version;
    assert_eq!((group(&same), group(&restarted)), (at(12), at(12)));
    assert!(Arc::ptr_eq(app(&same, "/h"), app(&root, "/h")));
}

#[test]
fn service_ports_are_the_lowest_free_ones_and_are_kept() {
    let two = json!([{"port": 0}, {"port": 0, "name": "b"}]);
    let root = tree(&[
        json!({"id": "/a", "cmd": "sleep 1"}),
        json!({"id": "/b", "cmd": "sleep 1", "portDefinitions": [{"port": 10001}, {"port": 7}]}),
        json!({"id": "/c", "cmd": "sleep 1", "portDefinitions": two}),
    ]);
    let ports = |root: &RootGroup, id: &str| service_ports(app(root, id)).collect::<Vec<_>>();
    assert_eq!(ports(&root, "/a"), [10000]);
    assert_eq!(ports(&root, "/c"), [10002, 10003]);
    let again = put(
        &root,
        json!({"id": "/c", "portDefinitions": [{"port": 10003}, {"port": 0}]}),
        20,
    );
    assert_eq!(ports(&again.expect("changed"), "/c"), [10003, 10002]);
    // What the change itself frees is not handed out yet.
    let settings = Settings::default();
    let body = json!({"apps": [{"id": "n", "cmd": "sleep 1"}]});
    let (moved, _) = root
        .put_group_body(&PathId::root(), &body, None, &settings, at(21))
        .expect("moved");
    assert_eq!((ports(&moved, "/n"), moved.app_count()), (vec![10004], 1));
    let later = put(&moved, json!({"id": "/o", "cmd": "sleep 1"}), 22).expect("put");
    assert_eq!(ports(&later, "/o"), [10000]);
}

#[test]
fn a_full_range_of_ports_is_told() {
    let settings = Settings {
        local_port_max: 10_000,
        ..Settings::default()
    };
    let create = |root: &RootGroup, id: &str, version| {
        root.create_app(&json!({"id": id, "cmd": "sleep 1"}), &settings, at(version))
    };
    let one = create(&RootGroup::empty(at(0)), "/a", 1).expect("one").root;
    let rejection = create(&one, "/b", 2).expect_err("full");
    let text = "All ports in the range [10000-10000) are already in use";
    assert_eq!((rejection.status, rejection.message.as_str()), (500, text));
}

#[test]
fn roles_follow_the_top_level_group() {
    let settings = Settings::default();
    let root = tree(&[json!({"id": "/dev/a", "cmd": "sleep 1", "role": "dev"})]);
    let roles = |root: &RootGroup, id: &str| {
        let roles = root.roles_of(&path(id), &settings);
        (roles.default, roles.allowed.join(","))
    };
    assert_eq!(roles(&root, "/x"), ("*".into(), "*".into()));
    assert_eq!(roles(&root, "/dev/b"), ("*".into(), "*,dev".into()));
    let enforced = json!({"enforceRole": true});
    let root = root
        .patch_group(&path("/dev"), &enforced, &settings, at(5))
        .expect("enforced");
    assert_eq!(roles(&root, "/dev/deep/b"), ("dev".into(), "dev".into()));
    assert!(root.enforces_role(&path("/dev/a")) && !root.enforces_role(&path("/dev2/a")));
    let other = tree(&[json!({"id": "/ops/a", "cmd": "sleep 1"})]);
    let other = other
        .patch_group(&path("/ops"), &enforced, &settings, at(5))
        .expect("enforced");
    assert_eq!(roles(&other, "/ops/a"), ("ops".into(), "ops,*".into()));
    let both = json!({"enforceRole": false, "apps": []});
    let refused = other.put_group_body(&path("/ops"), &both, None, &settings, at(6));
    assert_eq!(refused.expect_err("refused").status, 422);
}

#[test]
fn an_app_and_a_group_do_not_share_an_id() {
    let root = tree(&[json!({"id": "/a/b", "cmd": "sleep 1"})]);
    for id in ["/a", "/a/b/c"] {
        let rejection = put(&root, json!({"id": id, "cmd": "sleep 1"}), 9).expect_err("refused");
        assert!(
            rejection
                .to_string()
                .contains("may not have the same identifier"),
            "{rejection}"
        );
    }
    put(&root, json!({"id": "/a-b", "cmd": "sleep 1"}), 9).expect("a neighbour");
}

#[test]
fn groups_hold_what_is_below_them() {
    let ids = ["/a/x", "/a/x2/y", "/a-b/x", "/a.b/x", "/a0", "/b"];
    let bodies = ids.map(|id| json!({"id": id, "cmd": "sleep 1"}));
    let root = tree(&bodies);
    let below = |id: &str| {
        root.apps_below(&path(id))
            .map(|app| app.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(below("/a"), ["/a/x", "/a/x2/y"]);
    assert_eq!(below("/").len(), ids.len());
    let less = root
        .remove_group(&path("/a"), &Settings::default(), at(9))
        .expect("removed");
    assert_eq!(
        (less.app_count(), less.group(&path("/a/x2")).is_none()),
        (4, true)
    );
    let rest = less
        .remove_app(&path("/a-b/x"), &Settings::default(), at(10))
        .expect("removed");
    assert!(
        rest.group(&path("/a-b")).is_some(),
        "the last app leaves its group"
    );
    let info = root
        .info(&path("/"), Embed::ALL, |app| Some(app.id.clone()))
        .expect("a group");
    let text = serde_json::to_string(&info.groups[0]).expect("text");
    let start =
        r#"{"id":"/a","apps":["/a/x"],"pods":[],"groups":[{"id":"/a/x2","apps":["/a/x2/y"],"#;
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.ends_with(r#""version":"1970-01-01T00:00:00.001Z","enforceRole":false}"#),
        "{text}"
    );
}

#[test]
fn a_group_goes_back_and_lists_replace_what_is_there() {
    let settings = Settings::default();
    let old = tree(&[
        json!({"id": "/g/a", "cmd": "sleep 1"}),
        json!({"id": "/g/sub/b", "cmd": "sleep 1"}),
    ]);
    let body = json!({"groups": [], "apps": [{"id": "c", "cmd": "sleep 1"}]});
    let (new, id) = old
        .put_group_body(&path("/g"), &body, None, &settings, at(8))
        .expect("replaced");
    let apps = |root: &RootGroup| {
        root.apps()
            .map(|app| app.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!((apps(&new), id.as_str()), (vec!["/g/c".to_owned()], "/g"));
    let version = json!({"version": old.version().to_string()});
    let (back, _) = new
        .put_group_body(&path("/g"), &version, Some(&old), &settings, at(9))
        .expect("back");
    assert_eq!(apps(&back), apps(&old));
    assert_eq!(stamps(app(&back, "/g/a")), (9, 9, 9));
}

#[test]
fn circles_are_found_through_groups_and_long_chains_are_walked() {
    let chain = |id: usize| json!({"id": format!("a{id}"), "cmd": "sleep 1", "portDefinitions": [], "dependencies": [format!("a{}", id + 1)]});
    let settings = Settings::default();
    let mut body = json!({"id": "/g", "apps": (0..3000).map(chain).collect::<Vec<_>>()});
    let (root, _) = RootGroup::empty(at(0))
        .create_group(&PathId::root(), &body, &settings, at(1))
        .expect("a chain");
    let first = path("/g/a0");
    assert_eq!(levels(&root, [&first]).expect("levels")[&first], 2999);
    body["apps"][2999]["dependencies"] = json!(["/g/a0"]);
    let refused = RootGroup::empty(at(0)).create_group(&PathId::root(), &body, &settings, at(1));
    let text = "Dependency graph has cyclic dependencies.";
    assert!(refused.expect_err("a circle").to_string().contains(text));
    let inherited = json!({"groups": [
        {"id": "x", "dependencies": ["/y"], "apps": [{"id": "a", "cmd": "sleep 1"}]},
        {"id": "y", "apps": [{"id": "b", "cmd": "sleep 1", "dependencies": ["/x"]}]},
    ]});
    let refused =
        RootGroup::empty(at(0)).put_group_body(&PathId::root(), &inherited, None, &settings, at(1));
    assert!(refused.expect_err("a circle").to_string().contains(text));
}

#[test]
fn twenty_thousand_apps_are_no_burden() {
    let body = json!({"id": "/a", "cmd": "sleep 1", "portDefinitions": []});
    let seed = tree(&[body]);
    let one = app(&seed, "/a").clone();
    let apps = (0..20_000).map(|n| {
        Arc::new(App {
            id: path(&format!("/g{}/a{n}", n % 100)),
            ..(*one).clone()
        })
    });
    let mut root = RootGroup::from_parts([], apps, at(1));
    assert_eq!((root.app_count(), root.groups().count()), (20_000, 101));
    for version in 2..1_000 {
        root = put(
            &root,
            json!({"id": "/g7/a7", "instances": version}),
            version,
        )
        .expect("scaled");
    }
    assert_eq!(app(&root, "/g7/a7").instances, 999);
    assert_eq!(root.next_version(crate::time::Now::default()), at(1000));
}
