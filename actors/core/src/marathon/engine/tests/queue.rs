//! What waits, launch tokens, asking for offers.

use std::sync::Arc;

use tepui_protocol::marathon::Timestamp;
use tepui_protocol::v1;
use tepui_protocol::v1::TaskState;

use super::super::*;
use super::fixture::*;
use crate::marathon::matching::Reason;
use crate::marathon::queue::UnusedOffer;

#[test]
fn tokens_limit_launches_and_come_back() {
    let settings = EngineSettings {
        launch_tokens: 2,
        ..EngineSettings::default()
    };
    let mut f = Fixture::with(settings);
    let app = f.stamp(app("/a", 5));
    f.deploy(app);
    f.skip();
    let ids = f.launch_all("/a");
    assert_eq!(ids.len(), 2);
    assert_eq!(f.some(&["suppress", "revive"]), [""; 0]);
    f.status(&ids[0], TaskState::TaskRunning);
    f.seconds(5);
    assert_eq!(f.some(&["suppress", "revive"]), ["revive *"]);
    assert_eq!(f.launch_all("/a").len(), 1);
    f.seconds(25);
    assert_eq!(f.engine.launch_tokens(f.now), 2);
    assert_eq!(f.launch_all("/a").len(), 2);
    assert_eq!(f.engine.waiting(f.now).len(), 0);
}

#[test]
fn the_queue_shows_offers_until_nothing_waits() {
    let mut f = Fixture::new();
    let app = f.stamp(app("/a", 1));
    f.deploy(app);
    let unused = UnusedOffer {
        offer: Arc::new(v1::Offer::default()),
        reasons: vec![Reason::InsufficientCpus],
        timestamp: Timestamp::from_millis(1),
    };
    f.engine.offer_unused(&path("/a"), unused.clone());
    let queue = f.engine.queue(f.now);
    assert_eq!(
        (queue.len(), queue[0].count, queue[0].stats.unused),
        (1, 1, 1)
    );
    assert_eq!(queue[0].since, stamp(f.now));
    f.launch_all("/a");
    assert!(f.engine.queue(f.now).is_empty());
    f.engine.offer_unused(&path("/a"), unused);
    assert!(f.engine.waiting(f.now).is_empty());
}

#[test]
fn a_role_is_revived_at_once_until_what_was_saved_up_is_used() {
    let mut f = Fixture::new();
    for n in 0..10 {
        let app = f.stamp(app(&format!("/{n}"), 1));
        f.deploy(app);
        assert_eq!(f.some(&["revive"]), ["revive *"], "{n}");
    }
    let late = f.stamp(app("/late", 1));
    f.deploy(late);
    assert_eq!(f.some(&["revive"]), [""; 0]);
    f.seconds(4);
    assert_eq!(f.some(&["revive"]), [""; 0]);
    f.seconds(1);
    assert_eq!(f.some(&["revive"]), ["revive *"]);
    f.seconds(5);
    assert_eq!(f.some(&["revive"]), ["revive *"], "once more");
    f.seconds(1000);
    assert_eq!(f.some(&["revive"]), [""; 0]);
    let mut third = app("/c", 1);
    third.role = "prod".to_owned();
    let third = f.stamp(third);
    f.deploy(third);
    assert_eq!(f.some(&["revive"]), ["revive prod"]);
}
