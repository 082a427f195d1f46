//! Times quota as Mesos's benchmark `LargeAndSmallQuota` does: as many agents as roles, most
//! with a quota that agents are cut for, some with one of several agents.
//! Asserts nothing about time: machines differ.

use std::hint::black_box;
use std::time::Duration;

use criterion::criterion_main;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group};
use tepui_core::allocator::messages::Command;
use tepui_core::allocator::{Allocator, AllocatorConfig, SorterKind};
use tepui_core::ids::Role;

mod common;

use common::{QUOTA_AGENT, agent, apply, at, framework, give_back, quota, set_quota, time_cycle};

/// Roles with a small and a large quota.
#[derive(Debug, Clone, Copy)]
struct Roles {
    small: usize,
    large: usize,
}

const ROLES: [Roles; 3] = [
    Roles {
        small: 25,
        large: 5,
    },
    Roles {
        small: 250,
        large: 50,
    },
    Roles {
        small: 2500,
        large: 500,
    },
];

impl Roles {
    /// Small quotas take half an agent, large ones two; some agents stay free.
    fn agents(self) -> usize {
        self.small / 5 + self.large * 5
    }

    fn names(self) -> impl Iterator<Item = String> {
        let small = (0..self.small).map(|role| format!("smallQuotaRole{role}"));
        small.chain((0..self.large).map(|role| format!("largeQuotaRole{role}")))
    }

    fn offers(self) -> usize {
        self.small + self.large * 2
    }

    fn frameworks(self) -> Vec<Command> {
        let names = self.names().enumerate();
        names
            .map(|(number, role)| framework(number, &role))
            .collect()
    }

    fn cluster(self, sorter: SorterKind) -> Allocator {
        let mut allocator = Allocator::new(AllocatorConfig {
            role_sorter: sorter,
            framework_sorter: sorter,
            ..Default::default()
        });
        apply(
            &mut allocator,
            (0..self.agents()).map(|number| agent(number, QUOTA_AGENT)),
        );
        apply(&mut allocator, self.frameworks());
        let quotas = self.names().map(|role| {
            let factor = if role.starts_with("small") { 1.0 } else { 4.0 };
            set_quota(&role, quota(factor, 1024.0 * factor, 1024.0 * factor))
        });
        apply(&mut allocator, quotas);
        allocator
    }

    /// After the run that meets all guarantees.
    fn settled(self) -> Allocator {
        let mut allocator = self.cluster(SorterKind::Drf);
        let offers = allocator.allocate(at(1)).offers;
        assert!(offers.len() >= self.offers(), "{} offers", offers.len());
        allocator
    }
}

fn each(c: &mut Criterion, name: &str, bench: impl Fn(&mut BenchmarkGroup<'_, WallTime>, Roles)) {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for roles in ROLES {
        bench(&mut group, roles);
    }
    group.finish();
}

fn id(roles: Roles) -> BenchmarkId {
    BenchmarkId::from_parameter(format!("{} agents and roles", roles.agents()))
}

/// The run that meets all guarantees.
fn allocate(c: &mut Criterion) {
    let kinds = [("drf", SorterKind::Drf), ("random", SorterKind::Random)];
    for (name, sorter) in kinds {
        each(
            c,
            &format!("quota, all guarantees, {name}"),
            |group, roles| {
                group.bench_function(id(roles), |b| {
                    let routine = |mut allocator: Allocator| {
                        let proposals = allocator.allocate(at(1));
                        assert!(proposals.offers.len() >= roles.offers());
                        (allocator, proposals)
                    };
                    b.iter_batched(|| roles.cluster(sorter), routine, BatchSize::PerIteration);
                });
            },
        );
    }
}

/// The run after it: nothing has changed.
fn idle(c: &mut Criterion) {
    each(c, "quota, nothing to do", |group, roles| {
        let mut allocator = roles.settled();
        group.bench_function(id(roles), |b| {
            b.iter(|| assert!(black_box(allocator.allocate(at(1))).is_empty()));
        });
    });
}

/// A run forced over all agents that have something free, when no role may have more.
fn forced(c: &mut Criterion) {
    each(
        c,
        "quota, a forced cycle with nothing to give",
        |group, roles| {
            let mut allocator = roles.settled();
            group.bench_function(id(roles), |b| {
                b.iter(|| {
                    allocator.apply(at(1), Command::SetWhitelist(None));
                    assert!(black_box(allocator.allocate(at(1))).is_empty());
                });
            });
        },
    );
}

/// A run after new weights, which change the order of all roles.
fn new_weights(c: &mut Criterion) {
    each(c, "quota, new weights", |group, roles| {
        let mut allocator = roles.settled();
        let weights = |weight: f64| {
            let name = |name: String| (Role::from(name.as_str()), weight);
            Command::UpdateWeights(roles.names().map(name).collect())
        };
        let mut weight = 1.0;
        group.bench_function(id(roles), |b| {
            b.iter(|| {
                weight = 3.0 - weight;
                allocator.apply(at(1), weights(weight));
                assert!(black_box(allocator.allocate(at(1))).is_empty());
            });
        });
    });
}

/// All that was given for guarantees comes back, and is given again.
fn all_over(c: &mut Criterion) {
    each(c, "quota, everything comes back", |group, roles| {
        let mut allocator = roles.cluster(SorterKind::Drf);
        let mut proposals = allocator.allocate(at(1)).offers;
        let mut round = || {
            let commands = give_back(std::mem::take(&mut proposals), false);
            let (time, offers) = time_cycle(&mut allocator, commands);
            proposals = offers;
            time
        };
        group.bench_function(id(roles), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum());
        });
    });
}

/// All frameworks are added, each in a role of its own, to a cluster with agents.
fn add_frameworks(c: &mut Criterion) {
    each(c, "quota, add frameworks", |group, roles| {
        group.bench_function(id(roles), |b| {
            let setup = || {
                let mut allocator = common::allocator();
                let agents = (0..roles.agents()).map(|number| agent(number, QUOTA_AGENT));
                apply(&mut allocator, agents);
                (allocator, roles.frameworks())
            };
            let routine = |(mut allocator, commands): (Allocator, Vec<Command>)| {
                apply(&mut allocator, commands);
                allocator
            };
            b.iter_batched(setup, routine, BatchSize::PerIteration);
        });
    });
}

criterion_group!(
    benches,
    allocate,
    idle,
    forced,
    new_weights,
    all_over,
    add_frameworks
);
criterion_main!(benches);
