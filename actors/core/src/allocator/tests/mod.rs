//! Tests of the allocator: a small cluster described in a few words per test.

mod accounting;
mod capabilities;
mod fairness;
mod filters;
mod properties;
mod reasons;
mod roles;

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1;
use v1::framework_info::capability::Type as Capability;

use super::messages::{AgentFacts, Command, FrameworkFacts, Proposal, Refusal};
use super::*;
use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::{Name, Resources};

/// Time in whole seconds.
pub(super) fn at(seconds: u64) -> Now {
    Now {
        mono: Mono(seconds * 1_000_000),
        ..Now::default()
    }
}

pub(super) fn bag(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

pub(super) fn agent_facts(attributes: &str) -> AgentFacts {
    AgentFacts {
        info: Arc::new(v1::AgentInfo {
            hostname: "host".to_owned(),
            attributes: crate::resources::attributes::parse_attributes(attributes).unwrap(),
            ..Default::default()
        }),
        capabilities: vec!["MULTI_ROLE".to_owned(), "HIERARCHICAL_ROLE".to_owned()],
    }
}

pub(super) fn framework_facts(roles: &[&str], capabilities: &[Capability]) -> FrameworkFacts {
    let capability = |kind: &Capability| v1::framework_info::Capability {
        r#type: Some(*kind as i32),
    };
    FrameworkFacts {
        info: Arc::new(v1::FrameworkInfo {
            capabilities: capabilities.iter().map(capability).collect(),
            ..Default::default()
        }),
        roles: roles.iter().map(|role| Role::from(*role)).collect(),
        suppressed: Vec::new(),
        constraints: None,
    }
}

/// An allocator with shorthands; checks all invariants after every step.
pub(super) struct Cluster {
    pub allocator: Allocator,
    pub now: Now,
}

impl Cluster {
    pub fn new() -> Self {
        Cluster::with(AllocatorConfig::default())
    }

    pub fn with(config: AllocatorConfig) -> Self {
        Cluster {
            allocator: Allocator::new(config),
            now: at(1),
        }
    }

    pub fn apply(&mut self, command: Command) {
        self.allocator.apply(self.now, command);
        self.check();
    }

    /// Runs, and writes what was proposed as `framework/role/agent: resources`, sorted.
    pub fn allocate(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .propose()
            .iter()
            .map(|p| {
                let bare = p.resources.unallocated();
                assert_eq!(
                    p.resources,
                    bare.allocated_to(&p.role),
                    "wrong allocation role"
                );
                format!("{}/{}/{}: {bare}", p.framework, p.role, p.agent)
            })
            .collect();
        lines.sort();
        lines
    }

    pub fn propose(&mut self) -> Vec<Proposal> {
        let proposals = self.allocator.allocate(self.now).offers;
        self.check();
        assert!(!self.allocator.wants_run(), "a run leaves no candidates");
        proposals
    }

    pub fn check(&self) {
        if let Err(problem) = self.allocator.sanity_check() {
            panic!("{problem}");
        }
    }

    pub fn add_agent(&mut self, id: &str, total: &str) {
        self.add_agent_with(id, total, agent_facts(""), &[]);
    }

    pub fn add_agent_with(
        &mut self,
        id: &str,
        total: &str,
        facts: AgentFacts,
        used: &[(&str, &str, &str)],
    ) {
        let used = used
            .iter()
            .map(|(framework, role, text)| {
                (FrameworkId::from(*framework), bag(text).allocated_to(role))
            })
            .collect();
        let (id, total) = (AgentId::from(id), bag(total));
        self.apply(Command::AddAgent {
            id,
            generation: 1,
            facts,
            total,
            used,
            unavailability: None,
        });
    }

    pub fn add_framework(&mut self, id: &str, roles: &[&str]) {
        self.add_framework_with(id, framework_facts(roles, &[Capability::MultiRole]));
    }

    pub fn add_framework_with(&mut self, id: &str, facts: FrameworkFacts) {
        self.apply(Command::AddFramework {
            id: FrameworkId::from(id),
            generation: 1,
            facts,
            used: Vec::new(),
            active: true,
        });
    }

    pub fn update_framework(&mut self, id: &str, facts: FrameworkFacts) {
        self.apply(Command::UpdateFramework {
            id: FrameworkId::from(id),
            facts,
        });
    }

    /// Gives resources back without a filter, as when a task ends.
    pub fn release(&mut self, framework: &str, role: &str, agent: &str, text: &str) {
        self.give_back(framework, role, agent, text, None);
    }

    /// Declines resources for some seconds.
    pub fn decline(&mut self, framework: &str, role: &str, agent: &str, text: &str, seconds: u64) {
        let refusal = Refusal {
            timeout: Duration::from_secs(seconds),
        };
        self.give_back(framework, role, agent, text, Some(refusal));
    }

    fn give_back(
        &mut self,
        framework: &str,
        role: &str,
        agent: &str,
        text: &str,
        refusal: Option<Refusal>,
    ) {
        self.apply(Command::Release {
            framework: FrameworkId::from(framework),
            agent: AgentId::from(agent),
            resources: bag(text).allocated_to(role),
            refusal,
        });
    }

    pub fn revive(&mut self, framework: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| Role::from(*role)).collect();
        self.apply(Command::Revive {
            framework: FrameworkId::from(framework),
            roles,
        });
    }

    pub fn suppress(&mut self, framework: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| Role::from(*role)).collect();
        self.apply(Command::Suppress {
            framework: FrameworkId::from(framework),
            roles,
        });
    }
}
