//! The engine ends and starts again.

use tepui_protocol::v1::TaskState;

use super::fixture::*;

#[test]
fn a_deployment_carries_on_from_any_step() {
    // After which input the engine is restarted.
    for moment in 0..6 {
        let mut f = Fixture::new();
        f.running(app("/a", 2));
        let next = f.stamp(app("/a", 3));
        let target = f
            .root
            .update(path("/b"), std::sync::Arc::new(f.stamp(app("/b", 1))));
        let target = target.update(path("/a"), std::sync::Arc::new(next));
        f.deploy_root(target, Default::default(), false)
            .expect("no conflict");
        for turn in 0..12 {
            if turn == moment {
                f.restart();
                f.connect();
            }
            f.confirm_kills();
            let mut new = f.launch_all("/b");
            if turn > 1 {
                new.extend(f.launch_all("/a"));
            }
            for id in &new {
                f.status(id, TaskState::TaskRunning);
            }
            f.seconds(31);
        }
        assert!(f.engine.deployments().is_empty(), "moment {moment}");
        assert_eq!(f.conditions("/a")["Running Running"], 3);
        assert_eq!(f.conditions("/b")["Running Running"], 1);
        assert_eq!(f.store.len(), 4);
    }
}

#[test]
fn kills_that_were_not_confirmed_are_asked_again() {
    let mut f = Fixture::new();
    let ids = f.running(app("/a", 2));
    f.kill(&ids[..1], false);
    f.skip();
    f.restart();
    f.connect();
    assert_eq!(
        f.some(&["kill", "reconcile"]),
        ["reconcile 2", "reconcile 0", "kill a#1"]
    );
}

#[test]
fn instances_of_no_app_are_killed() {
    let mut f = Fixture::new();
    f.running(app("/a", 1));
    f.root = f.root.without(&path("/a"));
    f.restart();
    f.connect();
    assert_eq!(f.confirm_kills(), 1);
    assert!(!f.engine.knows(&path("/a")) && f.store.is_empty());
}
