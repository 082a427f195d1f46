//! The numbers of rolling upgrades.

use tepui_protocol::marathon::UpgradeStrategy;

use super::*;

fn strategy(min: f64, over: f64) -> UpgradeStrategy {
    UpgradeStrategy {
        maximum_over_capacity: over,
        minimum_health_capacity: min,
    }
}

/// All old ones serve, no new one exists.
fn at_start(wanted: u32, healthy: u32, resident: bool) -> UpgradeState {
    UpgradeState {
        wanted,
        old: healthy,
        old_serving: healthy,
        old_active: healthy,
        resident,
        ..UpgradeState::default()
    }
}

#[test]
fn the_first_move_is_marathons() {
    for (n, min, over, healthy, kill, capacity, resident) in [
        (10, 1.0, 1.0, 10, 0, 20, false),
        (10, 0.5, 0.5, 10, 5, 15, false),
        (10, 0.5, 0.0, 10, 5, 10, false),
        (10, 0.9, 0.25, 10, 1, 12, false),
        (10, 1.0, 0.0, 10, 0, 11, false),
        (1, 1.0, 0.0, 1, 0, 2, false),
        (1, 0.0, 0.0, 1, 1, 1, false),
        (3, 0.5, 0.0, 3, 1, 3, true),
        (1, 1.0, 0.0, 1, 1, 1, true),
    ] {
        let moves = upgrade_moves(strategy(min, over), at_start(n, healthy, resident));
        let case = format!("{n} {min} {over} {healthy} {resident}");
        assert_eq!((moves.kill, moves.max_capacity), (kill, capacity), "{case}");
        assert_eq!(moves.launch, (capacity - healthy).min(n), "{case}");
    }
}

#[test]
fn fewer_wanted_than_there_are_ends_the_surplus_first() {
    let moves = upgrade_moves(strategy(1.0, 1.0), at_start(4, 10, false));
    assert_eq!((moves.kill, moves.launch), (6, 0));
}

#[test]
fn each_new_one_that_serves_lets_an_old_one_go() {
    let mut state = at_start(10, 10, false);
    (state.new, state.new_serving) = (10, 3);
    assert_eq!(upgrade_moves(strategy(1.0, 1.0), state).kill, 3);
    (state.old, state.old_serving) = (7, 7);
    assert_eq!(upgrade_moves(strategy(1.0, 1.0), state).kill, 0);
}

#[test]
fn old_ones_that_are_dying_hold_their_place() {
    let mut state = at_start(1, 1, false);
    (state.old, state.old_serving) = (0, 0);
    let dying = upgrade_moves(strategy(0.0, 0.0), state);
    assert_eq!((dying.kill, dying.launch), (0, 0));
    state.old_active = 0;
    assert_eq!(upgrade_moves(strategy(0.0, 0.0), state).launch, 1);
}

#[test]
fn old_ones_that_never_serve_do_not_block_an_upgrade() {
    let mut state = at_start(3, 3, false);
    state.old_serving = 0;
    let moves = upgrade_moves(strategy(1.0, 0.0), state);
    assert_eq!((moves.kill, moves.launch), (1, 0));
}
