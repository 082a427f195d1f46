//! Clusters in the shapes of Mesos's own allocator benchmarks, and the ways to drive them.
//! Measures nothing.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tepui_core::allocator::messages::{AgentFacts, Command, FrameworkFacts, Proposal, Refusal};
use tepui_core::allocator::{Allocator, AllocatorConfig};
use tepui_core::ids::{AgentId, FrameworkId, Role};
use tepui_core::quota::Quota;
use tepui_core::resources::{Limits, Quantities, Resources};
use tepui_core::time::{Mono, Now};
use tepui_protocol::v1;
use v1::framework_info::capability::Type as Capability;

/// What an agent has in the benchmarks of offers that are declined or suppressed.
pub const AGENT: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";

/// What an agent has in the benchmarks of quota.
pub const QUOTA_AGENT: &str = "cpus:2;mem:2048;disk:2048";

/// How long declined offers stay hidden: longer than any benchmark.
const LONG: Duration = Duration::from_secs(1_000_000_000);

/// Agents and frameworks of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub agents: usize,
    pub frameworks: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} agents x {} frameworks", self.agents, self.frameworks)
    }
}

/// Sizes from `TEPUI_BENCH_SIZES`, such as `1000x50,50000x6000`, or else `default`.
pub fn sizes(default: &str) -> Vec<Size> {
    let given = std::env::var("TEPUI_BENCH_SIZES").ok();
    let text = given.as_deref().unwrap_or(default);
    let size = |part: &str| {
        let (agents, frameworks) = part.split_once('x')?;
        Some(Size {
            agents: agents.trim().parse().ok()?,
            frameworks: frameworks.trim().parse().ok()?,
        })
    };
    let read = |part: &str| {
        size(part).unwrap_or_else(|| panic!("'{part}' is no size, write 1000x50 or the like"))
    };
    text.split(',').map(read).collect()
}

/// The benchmarks' time, in whole seconds.
pub fn at(seconds: u64) -> Now {
    Now {
        mono: Mono(seconds * 1_000_000),
        ..Now::default()
    }
}

/// An allocator with the defaults of Mesos's flags.
pub fn allocator() -> Allocator {
    Allocator::new(AllocatorConfig::default())
}

pub fn framework_id(number: usize) -> FrameworkId {
    FrameworkId::from(format!("framework{number}").as_str())
}

/// A framework that subscribes with one role, capable of several.
pub fn framework(number: usize, role: &str) -> Command {
    let multi_role = v1::framework_info::Capability {
        r#type: Some(Capability::MultiRole as i32),
    };
    let info = v1::FrameworkInfo {
        user: "user".to_owned(),
        name: format!("framework{number}"),
        roles: vec![role.to_owned()],
        capabilities: vec![multi_role],
        ..Default::default()
    };
    let facts = FrameworkFacts {
        info: Arc::new(info),
        roles: vec![Role::from(role)],
        suppressed: Vec::new(),
        constraints: None,
    };
    Command::AddFramework {
        id: framework_id(number),
        generation: 1,
        facts,
        used: Vec::new(),
        active: true,
    }
}

/// An agent of which nothing is used.
pub fn agent(number: usize, total: &str) -> Command {
    let id = format!("agent{number}");
    let capabilities = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"];
    let facts = AgentFacts {
        info: Arc::new(v1::AgentInfo {
            hostname: id.clone(),
            ..Default::default()
        }),
        capabilities: capabilities.map(str::to_owned).into(),
    };
    Command::AddAgent {
        id: AgentId::from(id.as_str()),
        generation: 1,
        facts,
        total: parse(total),
        used: Vec::new(),
        unavailability: None,
    }
}

/// An agent on which a framework runs 16 tasks with a port each, as ports come to be after a
/// while: every second one is used.
pub fn busy_agent(number: usize, size: Size) -> Command {
    let mut command = agent(number, AGENT);
    if let Command::AddAgent { used, .. } = &mut command {
        let single = (0..15).map(|port| format!("{0}-{0}", 31_000 + 2 * port));
        let mut ranges: Vec<String> = single.collect();
        ranges.push("31030-31900".to_owned());
        let text = format!("cpus:16;mem:2014;disk:1024;ports:[{}]", ranges.join(","));
        let framework = framework_id(number % size.frameworks);
        used.push((framework, parse(&text).allocated_to("*")));
    }
    command
}

pub fn busy_agents(size: Size) -> Vec<Command> {
    (0..size.agents)
        .map(|number| busy_agent(number, size))
        .collect()
}

/// The cluster of Mesos's benchmark of declined offers: all frameworks in the default role.
pub fn cluster(size: Size, agents: &[Command]) -> Allocator {
    let mut allocator = allocator();
    let frameworks = (0..size.frameworks).map(|number| framework(number, "*"));
    apply(&mut allocator, frameworks);
    apply(&mut allocator, agents.iter().cloned());
    allocator
}

pub fn apply(allocator: &mut Allocator, commands: impl IntoIterator<Item = Command>) {
    for command in commands {
        allocator.apply(at(1), command);
    }
}

/// The offers come back, hidden from who refused them or not.
pub fn give_back(proposals: Vec<Proposal>, is_refused: bool) -> Vec<Command> {
    let refusal = is_refused.then_some(Refusal { timeout: LONG });
    let command = |proposal: Proposal| Command::Release {
        framework: proposal.framework,
        agent: proposal.agent,
        resources: proposal.resources,
        refusal,
    };
    proposals.into_iter().map(command).collect()
}

/// Applies the commands and runs; gives the time this took, and the offers.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn time_cycle(allocator: &mut Allocator, commands: Vec<Command>) -> (Duration, Vec<Proposal>) {
    let start = Instant::now();
    apply(allocator, commands);
    let offers = allocator.allocate(at(1)).offers;
    (start.elapsed(), offers)
}

/// A quota whose guarantee is its limit.
pub fn quota(cpus: f64, mem: f64, disk: f64) -> Quota {
    let amounts = [("cpus", cpus), ("mem", mem), ("disk", disk)];
    Quota {
        guarantees: Quantities::from_amounts(amounts),
        limits: Limits::from_amounts(amounts),
    }
}

pub fn set_quota(role: &str, quota: Quota) -> Command {
    Command::SetQuota {
        role: Role::from(role),
        quota,
    }
}

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").expect("the benchmark's own resources can be read")
}
