//! Delays, tokens and figures about offers.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::marathon::{App, PathId, Timestamp};
use tepui_protocol::v1;

use super::*;
use crate::marathon::instance::config_version;
use crate::marathon::matching::Reason;
use crate::time::Mono;

fn app() -> App {
    let text = r#"{"id":"/a","backoffFactor":2.0,"backoffSeconds":10,"cpus":1.0,"disk":0.0,"executor":"","instances":1,"maxLaunchDelaySeconds":60,"mem":64.0,"gpus":0,"requirePorts":false,"upgradeStrategy":{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0},"version":"2021-07-01T10:00:00.000Z","killSelection":"YOUNGEST_FIRST","unreachableStrategy":"disabled","role":"*"}"#;
    serde_json::from_str(text).expect("an app")
}

fn at(seconds: u64) -> Mono {
    Mono(0) + Duration::from_secs(seconds)
}

#[test]
fn delays_grow_to_their_greatest_and_are_dropped_when_nothing_fails() {
    let app = app();
    let version = config_version(&app);
    let mut delays = Backoffs::default();
    let until = |delays: &Backoffs, now| delays.until(&app.id, version, at(now));
    assert_eq!(until(&delays, 0), None);
    for (now, end) in [(0, 10), (10, 30), (30, 70), (70, 130), (130, 190)] {
        delays.failed(&app, at(now));
        assert_eq!(until(&delays, now), Some(at(end)));
        assert_eq!(
            until(&delays, end),
            None,
            "launches are allowed from {end} on"
        );
    }
    delays.advance(&app.id, version, at(150));
    assert_eq!(until(&delays, 190), Some(at(210)), "as long, from later on");
    delays.sweep(at(210));
    delays.failed(&app, at(210));
    assert_eq!(until(&delays, 210), Some(at(270)), "not dropped yet");
    delays.sweep(at(271));
    assert!(delays.is_empty());
    delays.advance(&app.id, version, at(300));
    assert!(delays.is_empty(), "to advance makes no delay");
}

#[test]
fn delays_are_kept_per_version_and_reset_for_all() {
    let mut app = app();
    let mut delays = Backoffs::default();
    delays.failed(&app, at(0));
    app.version = Timestamp::from_millis(app.version.as_millis() + 1);
    assert_eq!(delays.until(&app.id, app.version, at(0)), None);
    delays.failed(&app, at(0));
    assert!(!delays.reset(&PathId::new("/b")));
    assert!(delays.reset(&app.id) && delays.is_empty());
}

#[test]
fn a_delay_may_be_nothing_at_all() {
    let mut app = app();
    app.max_launch_delay_seconds = 0;
    let mut delays = Backoffs::default();
    delays.failed(&app, at(5));
    assert_eq!(delays.until(&app.id, config_version(&app), at(5)), None);
}

#[test]
fn tokens_are_taken_given_back_and_refilled() {
    let mut tokens = LaunchTokens::new(2, Duration::from_secs(30), at(0));
    assert!(tokens.take() && tokens.take() && !tokens.take());
    tokens.give_back();
    tokens.refresh(at(29));
    assert_eq!(tokens.left(), 1);
    tokens.refresh(tokens.refill_at());
    tokens.give_back();
    assert_eq!((tokens.left(), tokens.refill_at()), (2, at(60)));
}

fn unused(agent: &str, reasons: &[Reason]) -> UnusedOffer {
    let mut offer = v1::Offer::default();
    offer.agent_id.value = agent.to_owned();
    UnusedOffer {
        offer: Arc::new(offer),
        reasons: reasons.to_vec(),
        timestamp: Timestamp::from_millis(1),
    }
}

#[test]
fn the_summary_is_a_funnel() {
    let mut stats = OfferStats::default();
    stats.used(Timestamp::from_millis(2));
    use Reason::*;
    stats.unused(unused("a", &[InsufficientMemory, UnfulfilledConstraint]));
    stats.unused(unused("a", &[InsufficientMemory]));
    stats.unused(unused("b", &[InsufficientCpus, InsufficientMemory]));
    let numbers = |steps: Vec<RejectStep>| -> Vec<(u32, u32)> {
        steps.iter().map(|s| (s.processed, s.declined)).collect()
    };
    assert_eq!(
        numbers(stats.launch_attempt())[..7],
        [(4, 0), (4, 1), (3, 0), (3, 0), (3, 1), (2, 1), (1, 0)]
    );
    assert_eq!(
        numbers(stats.last_offers())[..7],
        [(2, 0), (2, 0), (2, 0), (2, 0), (2, 1), (1, 1), (0, 0)]
    );
    assert_eq!((stats.processed, stats.unused), (4, 3));
    assert_eq!(stats.last_used_at, Some(Timestamp::from_millis(2)));
    for agent in 0..20 {
        stats.unused(unused(&agent.to_string(), &[InsufficientPorts]));
    }
    assert_eq!(stats.last_unused().count(), 10);
    let reason = serde_json::to_string(&NoCorrespondingReservationFound).expect("text");
    assert_eq!(reason, "\"NoCorrespondingReservationFound\"");
}
