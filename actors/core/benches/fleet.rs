//! Prints what a failover costs the master's core and the allocator: processor time and memory for
//! agents that come back with tasks, as many as no process of this machine may have connections to.
//! Sockets and encodings are not part of it; `tepui-loadtest failover` measures those.
#![allow(
    clippy::print_stdout,
    reason = "the figures are what this program is for"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::time::{Duration, Instant};

use tepui_core::allocator::Allocator;
use tepui_core::ids::AgentId;
use tepui_core::master::messages::{Effect, Input, LinkId, StreamId};
use tepui_core::master::{Master, MasterSettings};
use tepui_core::registry::Registry;
use tepui_core::resources::{Format, Resources};
use tepui_protocol::link::{AgentToMaster, Register, Reregister};
use tepui_protocol::packed::Packed;
use tepui_protocol::v1;

mod common;
mod counting;

use common::{Size, apply, at, sizes};

/// Agents and tasks of each; the largest is what one master is to hold.
const SIZES: &str = "10000x10,20000x10,40000x10,50000x10";

/// The framework of all tasks.
const FRAMEWORK: &str = "00000000-0000-0000-0000-000000000000-0000";

fn main() {
    for size in sizes(SIZES) {
        report(size.agents, size.frameworks, size);
    }
}

/// Master and allocator, and how many events were sent to the framework.
struct Cluster {
    master: Master,
    allocator: Allocator,
    events: usize,
}

impl Cluster {
    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.master.handle(at(1), input, &mut out);
        for effect in out {
            match effect {
                Effect::ToAllocator(command) => apply(&mut self.allocator, [command]),
                Effect::ToFramework(..) => self.events += 1,
                _ => {}
            }
        }
    }
}

fn report(agents: usize, tasks: usize, size: Size) {
    println!("{} agents x {} tasks:", size.agents, size.frameworks);
    let before = counting::allocated();
    let mut cluster = Cluster {
        master: Master::new(MasterSettings::default(), v1::MasterInfo::default(), at(0)),
        allocator: common::allocator(),
        events: 0,
    };
    let mut registry = Registry::default();
    for number in 0..agents {
        let info = info(number);
        let id = AgentId::from(info.id.as_ref().expect("an id"));
        registry.admitted.insert(id, Packed::new(&info));
    }
    cluster.input(Input::Recovered(Box::new(registry)));
    let framework = framework();
    cluster.input(Input::Subscribe {
        stream: StreamId("stream".into()),
        subscribe: Box::new(v1::scheduler::call::Subscribe {
            framework_info: framework.clone(),
            ..Default::default()
        }),
        principal: None,
    });
    let mut spent = Duration::ZERO;
    for number in 0..agents {
        let link = LinkId(number as u64 + 1);
        let report = Box::new(reregister(number, tasks, &framework));
        let began = Instant::now();
        cluster.input(Input::LinkOpened {
            link,
            peer_ip: "127.0.0.1".to_owned(),
        });
        cluster.input(Input::FromAgent {
            link,
            message: Box::new(AgentToMaster::Reregister(report)),
        });
        spent += began.elapsed();
    }
    let began = Instant::now();
    let offered = cluster.allocator.allocate(at(2)).offers.len();
    let offering = began.elapsed();
    let bytes = counting::allocated().saturating_sub(before);
    let view = cluster.master.snapshot();
    let known: usize = view.frameworks.values().map(|it| it.tasks.len()).sum();
    assert_eq!((view.agents.len(), known), (agents, agents * tasks));
    assert!(offered >= agents, "all agents are offered");
    assert!(cluster.events > 0, "the framework has subscribed");
    println!(
        "{:>8.2} s until all agents are back, {:.1} us each; {:.2} s until all are offered",
        spent.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / agents as f64,
        offering.as_secs_f64(),
    );
    println!(
        "{:>8} MiB, {} bytes per agent with its tasks",
        bytes / (1024 * 1024),
        bytes / agents.max(1),
    );
}

fn info(number: usize) -> v1::AgentInfo {
    let resources = Resources::parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]", "*");
    v1::AgentInfo {
        hostname: format!("host{number}.example.org"),
        port: Some(5051),
        resources: resources.expect("resources").to_v1(Format::PostRefinement),
        id: Some(v1::AgentId {
            value: format!("00000000-0000-0000-0000-000000000000-S{number}"),
        }),
        ..Default::default()
    }
}

fn framework() -> v1::FrameworkInfo {
    let multi_role = v1::framework_info::Capability {
        r#type: Some(v1::framework_info::capability::Type::MultiRole as i32),
    };
    v1::FrameworkInfo {
        user: "root".to_owned(),
        name: "fleet".to_owned(),
        id: Some(v1::FrameworkId {
            value: FRAMEWORK.to_owned(),
        }),
        failover_timeout: Some(1e6),
        checkpoint: Some(true),
        roles: vec!["*".to_owned()],
        capabilities: vec![multi_role],
        ..Default::default()
    }
}

fn reregister(number: usize, tasks: usize, framework: &v1::FrameworkInfo) -> Reregister {
    let info = info(number);
    let mut resources = Resources::parse("cpus:0.1;mem:32", "*").expect("resources");
    resources.allocate(&"*".into());
    let resources = resources.to_v1(Format::PostRefinement);
    let task = |place: usize| v1::Task {
        name: "task".to_owned(),
        task_id: v1::TaskId {
            value: format!("task-{number}-{place}"),
        },
        framework_id: v1::FrameworkId {
            value: FRAMEWORK.to_owned(),
        },
        agent_id: info.id.clone().unwrap_or_default(),
        state: v1::TaskState::TaskRunning as i32,
        resources: resources.clone(),
        ..Default::default()
    };
    Reregister {
        tasks: (0..tasks).map(|place| task(place).into()).collect(),
        executors: Vec::new(),
        frameworks: vec![framework.clone().into()],
        completed_frameworks: Vec::new(),
        operations: Vec::new(),
        register: Register {
            info: info.into(),
            version: "1.12.0".to_owned(),
            link_version: tepui_protocol::link::VERSION,
            capabilities: tepui_core::agent::CAPABILITIES
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            checkpointed_resources: Vec::new(),
            resource_version: vec![0; 16],
        },
    }
}
