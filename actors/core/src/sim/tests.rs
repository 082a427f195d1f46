//! Runs of many seeds, replays, and proofs that the checkers find what is broken.
//! Longer runs are `make sim`'s.

use std::time::Duration;

use super::{Counts, Failure, Options, Report, Sabotage, run};

/// Seeds of one test; they run in parallel.
const SEEDS: u64 = 50;

/// Most seeds of a test that breaks something, and how many findings are enough.
const SABOTAGED: u64 = 60;
const ENOUGH: usize = 6;

/// What does not happen in every fifty runs.
const RARE: &[&str] = &[
    "task_errors",
    "executors_refused",
    "agents_released",
    "unresponsive",
    "responsive",
];

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
        all.add(&good(seed, &short()).counts);
    }
    let never: Vec<&str> = all
        .list()
        .into_iter()
        .filter(|(name, count)| *count == 0 && !RARE.contains(name))
        .map(|(name, _)| name)
        .collect();
    assert!(never.is_empty(), "never: {never:?}, but {all:?}");
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
        // Without faults there is never more than one master.
        has_faults: what == Sabotage::OpenFence,
        sabotage: Some(what),
        ..short()
    };
    let failures = (0..SABOTAGED).filter_map(|seed| run(seed, &options).err());
    let findings = failures.map(|failure| failure.what);
    findings.take(ENOUGH).collect()
}

/// The first of these is what the checker says that is meant for it; the others are what else may
/// be noticed before.
fn assert_found(what: Sabotage, by: &[&str]) {
    let found = found(what);
    assert!(found.len() == ENOUGH, "{what:?} is found in {found:?} only");
    let meant = by.iter().take(1);
    let is_meant = |finding: &String| meant.clone().any(|text| finding.contains(text));
    assert!(found.iter().any(is_meant), "{what:?} leads to {found:?}");
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
            "for the master",
            "still reports the end of task",
            "is not acknowledged",
            "for its agent",
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
            "for its agent",
            "the master has no task",
            "is not acknowledged",
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

#[test]
fn a_master_that_writes_when_it_leads_no_more_is_found() {
    assert_found(
        Sabotage::OpenFence,
        &[
            "what was stored is lost",
            "the registry reads",
            "not in the registry",
            "the registry has other quotas or weights",
        ],
    );
}

#[test]
fn an_end_that_nobody_wants_is_found() {
    assert_found(Sabotage::ShutFrameworkDown, &["is shut down without need"]);
    assert_found(Sabotage::ShutAgentDown, &["is shut down without need"]);
    assert_found(Sabotage::KillUnasked, &["is killed without need"]);
}

#[test]
fn an_inverse_offer_that_fits_no_plan_is_found() {
    assert_found(Sabotage::ForgeInverseOffer, &["is about"]);
}

#[test]
fn lost_operations_are_found() {
    assert_found(
        Sabotage::LoseOperations,
        &["total of", "waits for an operation", "has not heard of"],
    );
}

#[test]
fn lost_checkpoints_are_found() {
    assert_found(
        Sabotage::LoseCheckpoints,
        &["its checkpoint", "disk of agent"],
    );
}

#[test]
fn a_volume_destroyed_under_its_task_is_found() {
    // The master does not know of it, so its books are wrong, too.
    assert_found(
        Sabotage::DestroyUnderTask,
        &["is destroyed under task", "total of"],
    );
}

#[test]
fn messages_that_go_astray_are_found() {
    assert_found(Sabotage::DoubleMessage, &["is heard too often"]);
    assert_found(Sabotage::MisdirectMessage, &["is heard of"]);
}

#[test]
fn an_update_of_a_framework_that_agents_miss_is_found() {
    assert_found(Sabotage::LoseFrameworkUpdates, &["another description"]);
}
