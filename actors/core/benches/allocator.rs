//! Times the allocator on clusters of the sizes it is made for.
//! Asserts nothing about time: the figures depend on the machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tepui_core::allocator::messages::{AgentFacts, Command, FrameworkFacts, Proposal, Refusal};
use tepui_core::allocator::{Allocator, AllocatorConfig};
use tepui_core::ids::{AgentId, FrameworkId, Role};
use tepui_core::resources::Resources;
use tepui_core::time::{Mono, Now};
use tepui_protocol::v1;

const AGENT_RESOURCES: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";

fn now() -> Now {
    Now {
        mono: Mono(1),
        ..Now::default()
    }
}

fn add_frameworks(allocator: &mut Allocator, count: usize) {
    for number in 0..count {
        let facts = FrameworkFacts {
            info: Arc::new(v1::FrameworkInfo::default()),
            roles: vec![Role::from("*")],
            suppressed: Vec::new(),
            constraints: None,
        };
        let id = FrameworkId::from(format!("framework-{number}").as_str());
        let (generation, used) = (1, Vec::new());
        let command = Command::AddFramework {
            id,
            generation,
            facts,
            used,
            active: true,
        };
        allocator.apply(now(), command);
    }
}

fn agent_commands(count: usize) -> Vec<Command> {
    let facts = AgentFacts {
        info: Arc::new(v1::AgentInfo {
            hostname: "host".to_owned(),
            ..Default::default()
        }),
        capabilities: vec!["MULTI_ROLE".to_owned(), "HIERARCHICAL_ROLE".to_owned()],
    };
    let total = Resources::parse(AGENT_RESOURCES, "*").unwrap_or_default();
    let add = |number: usize| Command::AddAgent {
        id: AgentId::from(format!("agent-{number}").as_str()),
        generation: 1,
        facts: facts.clone(),
        total: total.clone(),
        used: Vec::new(),
        unavailability: None,
    };
    (0..count).map(add).collect()
}

fn declines(proposals: Vec<Proposal>) -> Vec<Command> {
    let refusal = Some(Refusal {
        timeout: Duration::from_secs(1_000_000),
    });
    let decline = |proposal: Proposal| Command::Release {
        framework: proposal.framework,
        agent: proposal.agent,
        resources: proposal.resources,
        refusal,
    };
    proposals.into_iter().map(decline).collect()
}

fn apply_all(allocator: &mut Allocator, commands: Vec<Command>) {
    for command in commands {
        allocator.apply(now(), command);
    }
}

/// All offers of one run are declined for long, then the next run: after `rounds` rounds.
fn decline_cycle(c: &mut Criterion, rounds: usize) {
    let setup = || {
        let mut allocator = Allocator::new(AllocatorConfig::default());
        add_frameworks(&mut allocator, 200);
        apply_all(&mut allocator, agent_commands(1000));
        let mut proposals = allocator.allocate(now()).offers;
        for _ in 0..rounds {
            apply_all(&mut allocator, declines(proposals));
            proposals = allocator.allocate(now()).offers;
        }
        (allocator, declines(proposals))
    };
    let name = format!("decline cycle, 1000 agents, 200 frameworks, round {rounds}");
    c.bench_function(&name, |b| {
        b.iter_batched(
            setup,
            |(mut allocator, commands)| {
                apply_all(&mut allocator, commands);
                let proposals = allocator.allocate(now()).offers;
                (allocator, proposals)
            },
            BatchSize::PerIteration,
        );
    });
}

fn first_decline_cycle(c: &mut Criterion) {
    decline_cycle(c, 0);
}

fn late_decline_cycle(c: &mut Criterion) {
    decline_cycle(c, 100);
}

fn last_decline_cycle(c: &mut Criterion) {
    decline_cycle(c, 199);
}

fn add_agents(c: &mut Criterion) {
    let setup = || {
        let mut allocator = Allocator::new(AllocatorConfig::default());
        add_frameworks(&mut allocator, 200);
        (allocator, agent_commands(10_000))
    };
    c.bench_function("add 10000 agents, 200 frameworks, one run", |b| {
        b.iter_batched(
            setup,
            |(mut allocator, commands)| {
                apply_all(&mut allocator, commands);
                let proposals = allocator.allocate(now()).offers;
                (allocator, proposals)
            },
            BatchSize::PerIteration,
        );
    });
    c.bench_function("add 10000 agents, 200 frameworks, a run after each", |b| {
        b.iter_batched(
            setup,
            |(mut allocator, commands)| {
                let mut proposals = Vec::new();
                for command in commands {
                    allocator.apply(now(), command);
                    proposals.extend(allocator.allocate(now()).offers);
                }
                (allocator, proposals)
            },
            BatchSize::PerIteration,
        );
    });
}

fn idle_run(c: &mut Criterion) {
    let mut allocator = Allocator::new(AllocatorConfig::default());
    add_frameworks(&mut allocator, 200);
    apply_all(&mut allocator, agent_commands(1000));
    allocator.allocate(now()).offers;
    c.bench_function("idle run, 1000 agents, 200 frameworks", |b| {
        b.iter(|| black_box(allocator.allocate(now()).offers));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_secs(1));
    targets = first_decline_cycle, late_decline_cycle, last_decline_cycle, add_agents, idle_run
}
criterion_main!(benches);
