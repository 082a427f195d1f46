//! Runs of many seeds, replays, and proofs that the checkers find what is broken.
//! Longer runs are `make sim`'s.

use std::time::Duration;

use super::{Counts, Failure, Options, Report, Sabotage, run};

/// Seeds of one test; they run in parallel.
const SEEDS: u64 = 50;

/// Short runs, whose cores are checked now and then: unoptimised, the checks take most of the time.
fn short() -> Options {
    Options {
        busy: Duration::from_secs(150),
        check_every: 7,
        ..Options::default()
    }
}

fn shown(failure: &Failure) -> String {
    format!(
        "{}\nseed {} at step {} after {:?}: {}",
        failure.trace.join("\n"),
        failure.seed,
        failure.step,
        failure.at,
        failure.what
    )
}

fn good(seed: u64, options: &Options) -> Report {
    run(seed, options).unwrap_or_else(|failure| panic!("{}", shown(&failure)))
}

/// Runs these seeds, which are worth nothing unless they reach what they are for.
fn many(first: u64) {
    let mut all = Counts::default();
    for seed in first..first + SEEDS {
        let counts = good(seed, &short()).counts;
        all.tasks_started += counts.tasks_started;
        all.tasks_ended += counts.tasks_ended;
        all.operations_ended += counts.operations_ended;
        all.agent_crashes += counts.agent_crashes;
        all.master_crashes += counts.master_crashes;
        all.framework_crashes += counts.framework_crashes;
        all.broken_connections += counts.broken_connections;
        all.held_connections += counts.held_connections;
        all.pauses += counts.pauses;
    }
    assert!(all.tasks_started > 200, "{all:?}");
    assert!(all.tasks_ended > 200, "{all:?}");
    assert!(all.operations_ended > 20, "{all:?}");
    assert!(all.agent_crashes > 30 && all.master_crashes > 10, "{all:?}");
    assert!(all.framework_crashes > 30 && all.pauses > 50, "{all:?}");
    assert!(all.broken_connections > 50, "{all:?}");
    assert!(all.held_connections > 50, "{all:?}");
}

#[test]
fn clusters_are_whole_after_all_faults_1() {
    many(0);
}

#[test]
fn clusters_are_whole_after_all_faults_2() {
    many(SEEDS);
}

#[test]
fn clusters_are_whole_after_all_faults_3() {
    many(2 * SEEDS);
}

#[test]
fn clusters_are_whole_after_all_faults_4() {
    many(3 * SEEDS);
}

#[test]
fn without_faults_hardly_a_task_is_lost() {
    let options = Options {
        has_faults: false,
        ..short()
    };
    for seed in 0..10 {
        let counts = good(seed, &options).counts;
        assert_eq!(counts.executors_refused, 0, "{counts:?}");
        assert_eq!(counts.unresponsive, 0, "{counts:?}");
        assert_eq!(counts.agent_crashes, 0, "{counts:?}");
    }
}

#[test]
fn a_seed_replays_bit_for_bit() {
    for seed in [3, 17, 42] {
        let first = good(seed, &short());
        let again = good(seed, &short());
        assert_eq!(first, again);
        let other = good(seed + 1, &short());
        assert_ne!(first.hash, other.hash);
    }
}

/// What is found when this is broken, for every seed in which it is.
fn found(what: Sabotage) -> Vec<String> {
    let options = Options {
        has_faults: false,
        sabotage: Some(what),
        ..short()
    };
    let failures = (0..12).filter_map(|seed| run(seed, &options).err());
    failures.map(|failure| failure.what).collect()
}

fn assert_found(what: Sabotage, by: &[&str]) {
    let found = found(what);
    assert!(found.len() > 3, "{what:?} is found in {found:?} only");
    for finding in found {
        let expected = by.iter().any(|text| finding.contains(text));
        assert!(expected, "{what:?} leads to: {finding}");
    }
}

#[test]
fn lost_acknowledgements_are_found() {
    assert_found(
        Sabotage::LoseAcknowledgements,
        &[
            "still reports the end of task",
            "is not acknowledged",
            "for its agent",
            "for the master",
            "but it is over",
        ],
    );
}

#[test]
fn forgotten_releases_are_found() {
    assert_found(Sabotage::ForgetRelease, &["allocator"]);
}

#[test]
fn double_charges_are_found() {
    assert_found(Sabotage::ChargeTwice, &["allocator"]);
}

#[test]
fn a_task_launched_twice_is_found() {
    assert_found(Sabotage::LaunchTwice, &["handed twice"]);
}

#[test]
fn a_lost_update_is_found() {
    assert_found(
        Sabotage::LoseUpdate,
        &[
            "the master has no task",
            "is not acknowledged",
            "for its agent",
            "for the master",
        ],
    );
}

#[test]
fn a_repeated_update_is_found() {
    assert_found(Sabotage::RepeatUpdate, &["repeats an acknowledged update"]);
}

#[test]
fn a_lost_write_is_found() {
    assert_found(
        Sabotage::LoseWrite,
        &["the registry reads", "not in the registry"],
    );
}
