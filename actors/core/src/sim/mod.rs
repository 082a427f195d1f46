//! A whole cluster in one thread: real cores of master, allocator, registry and agents, with played
//! frameworks and executors, on a network that loses, delays and holds back. One seed, one run.
//! Decides nothing the cores decide, and reads no clock: time is what the next event says.
//!
//! A run has two parts. First the cluster works while faults of all kinds happen. Then they stop,
//! everything is started again, and after a while the cluster must be quiet and whole. Checkers
//! look at every step at what is cheap to look at, and in the end at everything.

mod agents;
mod changes;
mod checks;
mod counts;
mod disk;
mod election;
mod events;
mod executor_api;
mod executors;
mod faults;
mod framework_acts;
mod framework_calls;
mod framework_hears;
mod framework_info;
mod frameworks;
mod history;
mod launches;
mod maintenance;
mod master_wires;
mod masters;
mod messages;
mod net;
mod operator;
mod orders;
mod quiet;
mod random;
mod registrar;
mod sabotage;
#[cfg(test)]
mod tests;
mod trace;
mod view;
mod wires;
mod world;

use std::time::Duration;

pub use counts::Counts;
pub use sabotage::Sabotage;
use world::World;

/// How a run is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time during which frameworks work and faults happen.
    pub busy: Duration,
    /// Whether any faults happen.
    pub has_faults: bool,
    /// How seldom the cores' own state is checked: every so many inputs.
    pub check_every: u64,
    /// What is broken on purpose, to see that the checkers find it.
    pub sabotage: Option<Sabotage>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            busy: Duration::from_secs(3600),
            has_faults: true,
            check_every: 1,
            sabotage: None,
        }
    }
}

/// A run that went well.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Time that passed in the cluster.
    pub simulated: Duration,
    /// Events that were looked at.
    pub steps: u64,
    /// Equal for equal runs.
    pub hash: u64,
    /// What happened how often.
    pub counts: Counts,
}

/// A run in which something went wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Replays the run.
    pub seed: u64,
    /// The event at which it was noticed, counted from 1.
    pub step: u64,
    /// Time that had passed in the cluster.
    pub at: Duration,
    /// What was wrong.
    pub what: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
}

/// Runs a cluster from a seed.
///
/// # Errors
/// When a checker found something.
pub fn run(seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, options.clone());
    world.run();
    match world.failure.take() {
        None => Ok(Report {
            simulated: Duration::from_micros(world.now_us),
            steps: world.trace.steps(),
            hash: world.trace.hash(),
            counts: world.counts,
        }),
        Some(what) => Err(Box::new(Failure {
            seed,
            step: world.trace.steps(),
            at: Duration::from_micros(world.now_us),
            what,
            trace: world.trace.last(),
        })),
    }
}
