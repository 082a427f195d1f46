//! What is done to the cluster and when: a schedule made from a seed.
//! Does nothing itself; whom a fault meets is decided from its numbers when its time has come.

use std::time::Duration;

use tepui_core::ids::IdSource;

use crate::network::Direction;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillMaster,
    StopMaster,
    CutMaster,
    KillAgent,
    /// SIGTERM: its tasks are to go on.
    EndAgent,
    StopAgent,
    CutAgent,
    /// Nothing passes between one agent and one master.
    CutAgentFromMaster,
    CutFramework,
    KillExecutor,
    StopExecutor,
    KillTask,
    StopTask,
    KillServer,
    StopServer,
    CutServer,
    /// Two of three ZooKeeper servers at once.
    LoseQuorum,
}

/// Every kind, with how often it occurs in a round and how long it lasts, in milliseconds.
///
/// What the times are to outlast now and then, and now and then not: a ZooKeeper session, after
/// which another master leads; the pings a master sends before it gives an agent up; the time in
/// which executors must be back after a restart of their agent.
const KINDS: &[(Kind, usize, (u64, u64))] = &[
    (Kind::KillMaster, 1, (300, 5_000)),
    (Kind::StopMaster, 1, (500, 10_000)),
    (Kind::CutMaster, 1, (500, 10_000)),
    (Kind::KillAgent, 3, (300, 6_000)),
    (Kind::EndAgent, 2, (300, 3_000)),
    (Kind::StopAgent, 2, (500, 12_000)),
    (Kind::CutAgent, 3, (1_000, 14_000)),
    (Kind::CutAgentFromMaster, 2, (1_000, 14_000)),
    (Kind::CutFramework, 1, (500, 8_000)),
    (Kind::KillExecutor, 4, (0, 0)),
    (Kind::StopExecutor, 2, (500, 15_000)),
    (Kind::KillTask, 2, (0, 0)),
    (Kind::StopTask, 2, (500, 8_000)),
    (Kind::KillServer, 1, (300, 5_000)),
    (Kind::StopServer, 1, (500, 8_000)),
    (Kind::CutServer, 1, (500, 8_000)),
    (Kind::LoseQuorum, 1, (2_000, 8_000)),
];

/// Longest time between two faults, in milliseconds.
const MAX_PAUSE_MS: u64 = 2_000;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Since the begin of the disturbed time.
    pub at: Duration,
    pub kind: Kind,
    /// Chooses among those it may meet.
    pub pick: u64,
    /// Whether a fault of masters meets the one that leads.
    pub leader: bool,
    pub direction: Direction,
    pub lasts: Duration,
}

/// How many faults of a kind `length` sees at least: all but those still in the last, unfinished
/// round, and some that found nobody to meet.
pub fn least(kind: Kind, schedule: &[Fault]) -> usize {
    schedule.iter().filter(|fault| fault.kind == kind).count() / 2
}

pub fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.iter().map(|(kind, ..)| *kind)
}

/// The faults of a run, in rounds: each holds every kind, in an order of its own.
pub fn schedule(seed: u64, length: Duration) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let mut faults = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        let mut round: Vec<_> = KINDS
            .iter()
            .flat_map(|(kind, times, lasts)| std::iter::repeat_n((*kind, *lasts), *times))
            .collect();
        while !round.is_empty() {
            let (kind, (shortest, longest)) = round.swap_remove(random.below(round.len()));
            at += Duration::from_millis(random.between(0, MAX_PAUSE_MS));
            if at > length {
                return faults;
            }
            let directions = [Direction::Both, Direction::Out, Direction::In];
            faults.push(Fault {
                at,
                kind,
                pick: random.next(),
                leader: random.below(2) == 0,
                direction: directions[random.below(directions.len())],
                lasts: Duration::from_millis(random.between(shortest, longest)),
            });
        }
    }
}

/// Numbers from a seed.
pub struct Random(IdSource);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Random(IdSource::from_seed(bytes))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `count`, which is not zero.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).expect("a small number");
        usize::try_from(self.next() % count).expect("a small number")
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

#[test]
fn a_seed_decides_the_schedule_and_every_kind_occurs() {
    let two_minutes = Duration::from_secs(120);
    let first = schedule(1, two_minutes);
    assert_eq!(first, schedule(1, two_minutes));
    assert_ne!(first, schedule(2, two_minutes));
    for kind in kinds() {
        assert!(least(kind, &first) >= 1, "{kind:?}");
    }
    assert!(first.iter().all(|fault| fault.at <= two_minutes));
}
