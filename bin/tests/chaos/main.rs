//! Chaos on real processes: masters, agents and ZooKeeper servers are killed, stopped and cut off
//! while two frameworks launch tasks, and in the end nothing is lost, doubled or left behind.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]
#![allow(
    clippy::print_stdout,
    reason = "the seed and what was done must be seen when a run fails"
)]

mod driver;
mod faults;
mod framework;
mod ledger;
mod load;
mod namespaces;
mod network;
mod nodes;
mod processes;
mod quiet;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
#[path = "../../../actors/tests/zookeeper/support/mod.rs"]
mod zookeeper;

use std::time::Duration;

/// Length of the disturbed time, in minutes.
const MINUTES: &str = "TEPUI_CHAOS_MINUTES";

/// What the faults are chosen by.
const SEED: &str = "TEPUI_CHAOS_SEED";

#[test]
fn two_minutes_of_chaos() {
    if !namespaces::is_inside() {
        return namespaces::run("two_minutes_of_chaos");
    }
    namespaces::settle_in();
    let minutes: f64 = number(MINUTES).unwrap_or(2.0);
    let seed = number(SEED).unwrap_or(1);
    run::run(seed, Duration::from_secs_f64(60.0 * minutes));
}

/// A number from the environment.
fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name} is '{text}', but should be a number"),
    }
}
