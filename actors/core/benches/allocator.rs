//! Times the allocator on clusters of the sizes it is made for, up to those of
//! `TEPUI_BENCH_SIZES` (say `50000x6000`). Asserts nothing about time: machines differ.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main,
};
use tepui_core::allocator::Allocator;
use tepui_core::allocator::messages::{Command, Proposal};
use tepui_core::resources::Resources;

mod common;

use common::{
    Size, agent, apply, at, busy_agents, cluster, framework, framework_id, give_back, quota,
    set_quota, sizes, time_cycle,
};

const SIZES: &str = "1000x50,1000x200,5000x500,10000x1000,20000x2000,30000x3000,50000x6000";

/// Rounds of declined offers on one cluster before it is built anew.
const ROUNDS: usize = 20;

/// Filters in the clusters where half of all frameworks have refused every agent.
const MAX_FILTERS: usize = 5_000_000;

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group
}

fn each(c: &mut Criterion, name: &str, bench: impl Fn(&mut BenchmarkGroup<'_, WallTime>, Size)) {
    let mut group = group(c, name);
    for size in sizes(SIZES) {
        bench(&mut group, size);
    }
    group.finish();
}

/// All agents are added, with tasks on them, and one run offers the rest of each.
fn add_agents(c: &mut Criterion) {
    each(c, "add all agents", |group, size| {
        let agents = busy_agents(size);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            let setup = || {
                let mut allocator = common::allocator();
                let frameworks = (0..size.frameworks).map(|number| framework(number, "*"));
                apply(&mut allocator, frameworks);
                (allocator, agents.clone())
            };
            let routine = |(mut allocator, commands): (Allocator, Vec<Command>)| {
                apply(&mut allocator, commands);
                let proposals = allocator.allocate(at(1));
                (allocator, proposals)
            };
            b.iter_batched(setup, routine, BatchSize::PerIteration);
        });
    });
}

/// A cluster in which all offers are declined, round after round.
struct Declining {
    size: Size,
    agents: Vec<Command>,
    /// Rounds before the first that counts.
    before: usize,
    rounds: usize,
    allocator: Allocator,
    proposals: Vec<Proposal>,
}

impl Declining {
    fn new(size: Size, before: usize) -> Self {
        let agents = busy_agents(size);
        let mut declining = Declining {
            size,
            allocator: cluster(size, &agents),
            agents,
            before,
            rounds: 0,
            proposals: Vec::new(),
        };
        declining.begin();
        declining
    }

    fn begin(&mut self) {
        self.allocator = cluster(self.size, &self.agents);
        self.proposals = self.allocator.allocate(at(1)).offers;
        for _ in 0..self.before {
            self.decline();
        }
        self.rounds = 0;
    }

    /// One round; the cluster is built anew when no frameworks are left to offer to, or the
    /// filters become too many to speak of an early round.
    fn round(&mut self) -> Duration {
        if self.rounds == ROUNDS.min(self.size.frameworks / 2 - 1) {
            self.begin();
        }
        self.rounds += 1;
        self.decline()
    }

    /// Declines all offers for long, and runs.
    fn decline(&mut self) -> Duration {
        let commands = give_back(std::mem::take(&mut self.proposals), true);
        let (time, proposals) = time_cycle(&mut self.allocator, commands);
        let wanted = self.size.agents;
        assert_eq!(proposals.len(), wanted, "every agent has a next one");
        self.proposals = proposals;
        time
    }
}

fn decline(c: &mut Criterion, name: &str, before: fn(Size) -> Option<usize>) {
    each(c, name, |group, size| {
        let Some(before) = before(size) else {
            return;
        };
        let mut declining = Declining::new(size, before);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| declining.round()).sum());
        });
    });
}

/// Every offer is declined with a filter, and the next run offers all agents to others.
fn decline_early(c: &mut Criterion) {
    decline(c, "decline all offers", |_| Some(0));
}

/// The same when half of the frameworks have refused every agent before.
fn decline_late(c: &mut Criterion) {
    decline(c, "decline all offers, half refused before", |size| {
        let before = size.frameworks / 2;
        (before * size.agents <= MAX_FILTERS).then_some(before)
    });
}

/// All frameworks but one have suppressed; the one gets all that comes back.
fn suppressed(c: &mut Criterion) {
    each(c, "all but one suppressed", |group, size| {
        let mut allocator = cluster(size, &busy_agents(size));
        let suppress = |number: usize| Command::Suppress {
            framework: framework_id(number),
            roles: Vec::new(),
        };
        apply(&mut allocator, (1..size.frameworks).map(suppress));
        let mut proposals = allocator.allocate(at(1)).offers;
        let mut round = || {
            let commands = give_back(std::mem::take(&mut proposals), false);
            let (time, offers) = time_cycle(&mut allocator, commands);
            proposals = offers;
            assert_eq!(proposals.len(), size.agents);
            time
        };
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum());
        });
    });
}

/// A run when nothing has changed since the last.
fn idle(c: &mut Criterion) {
    each(c, "empty cycle", |group, size| {
        let mut allocator = cluster(size, &busy_agents(size));
        let proposals = allocator.allocate(at(1)).offers;
        apply(&mut allocator, give_back(proposals, true));
        allocator.allocate(at(1));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| black_box(allocator.allocate(at(1))));
        });
    });
}

/// A run over all agents with nothing to give: all frameworks but one have suppressed, and this
/// one has refused every agent.
fn fruitless(c: &mut Criterion) {
    each(
        c,
        "cycle over all agents with nothing to give",
        |group, size| {
            let mut allocator = cluster(size, &busy_agents(size));
            let suppress = |number: usize| Command::Suppress {
                framework: framework_id(number),
                roles: Vec::new(),
            };
            apply(&mut allocator, (1..size.frameworks).map(suppress));
            let proposals = allocator.allocate(at(1)).offers;
            apply(&mut allocator, give_back(proposals, true));
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    allocator.apply(at(1), Command::SetWhitelist(None));
                    assert!(black_box(allocator.allocate(at(1))).is_empty());
                });
            });
        },
    );
}

/// Figures for metrics, with a role and a quota for every framework, all agents offered.
fn metrics(c: &mut Criterion) {
    each(c, "metrics", |group, size| {
        let mut allocator = common::allocator();
        for number in 0..size.frameworks {
            let role = number.to_string();
            let commands = [
                set_quota(&role, quota(1.0, 512.0, 256.0)),
                framework(number, &role),
            ];
            apply(&mut allocator, commands);
        }
        let agents = (0..size.agents).map(|number| agent(number, "cpus:16;mem:2048;disk:1024"));
        apply(&mut allocator, agents);
        let proposals = allocator.allocate(at(1)).offers;
        let offered: Vec<&Resources> = proposals.iter().map(|one| &one.resources).collect();
        assert!(!offered.is_empty());
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| black_box(allocator.figures()));
        });
    });
}

criterion_group!(
    benches,
    add_agents,
    decline_early,
    decline_late,
    suppressed,
    idle,
    fruitless,
    metrics
);
criterion_main!(benches);
