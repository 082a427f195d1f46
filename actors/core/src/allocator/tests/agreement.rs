//! The allocator and a slow, obvious model of it agree on random events in a small cluster.
//!
//! The order of agents in a run is by lot, and any is right. So the model tries all orders of
//! both stages, and one must lead to the same offers, whole and exact: who gets what, where, in
//! which role. Everything else is fixed, hence nothing but the lot is left open. The model also
//! looks at all agents in each run, so agreement shows that the allocator, which looks only at
//! what changed, misses nothing.

use proptest::prelude::*;

use super::events::{Event, World, events};

fn follow(events: &[Event]) {
    let mut world = World::new();
    for event in events {
        world.perform(event);
    }
    world.perform(&Event::Allocate);
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn without_quota_the_model_agrees(events in events(false)) {
        follow(&events);
    }

    #[test]
    fn with_quota_the_model_agrees(events in events(true)) {
        follow(&events);
    }
}

/// The model itself must be able to disagree: it is no copy of what it judges.
#[test]
#[should_panic(expected = "the model")]
fn the_model_notices_a_limit_that_is_not_kept() {
    let mut world = World::new();
    for model in &mut world.models {
        let quota = super::quota("", "cpus:0.5");
        model.quotas.insert("x".into(), quota);
    }
    world.perform(&Event::AddAgent(0, 0));
    world.perform(&Event::Allocate);
}

#[test]
#[should_panic(expected = "the model")]
fn the_model_notices_who_is_next() {
    let mut world = World::new();
    // Only two roles are left, and each gets an agent.
    for (framework, role) in [(2, 2), (2, 3), (3, 4)] {
        world.perform(&Event::Suppress(framework, role));
    }
    for agent in [0, 1] {
        world.perform(&Event::AddAgent(agent, 0));
        world.perform(&Event::Allocate);
    }
    for model in &mut world.models {
        model.weights.insert("y".into(), 2.0);
    }
    world.perform(&Event::AddAgent(2, 0));
    world.perform(&Event::Allocate);
}
