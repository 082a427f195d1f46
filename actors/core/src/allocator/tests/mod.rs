//! Tests of the allocator: a small cluster described in a few words per test.

mod accounting;
mod agreement;
mod capabilities;
mod events;
mod fairness;
mod fairness_properties;
mod filters;
mod lots;
mod maintenance;
mod model;
mod operator;
mod properties;
mod quota;
mod quota_examples;
mod quota_properties;
mod reasons;
mod recovery;
mod roles;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1;
use v1::framework_info::capability::Type as Capability;

use super::messages::{AgentFacts, Command, FrameworkFacts, Notice, Proposal, Refusal};
use super::*;
use crate::ids::{AgentId, FrameworkId, Role};
use crate::quota::Quota;
use crate::resources::{Limits, Name, Resources};

/// So many cases of a property, or as many as `PROPTEST_CASES` says, for a long search.
pub(super) fn cases(count: u32) -> proptest::test_runner::Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => proptest::test_runner::Config::default(),
        None => proptest::test_runner::Config::with_cases(count),
    }
}

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

/// A scalar in its v1 form, for what the text form cannot say.
pub(super) fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

pub(super) fn revocable(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        revocable: Some(Default::default()),
        ..scalar(name, value)
    }
}

/// A disk that can only be taken whole.
pub(super) fn mount_disk(value: f64) -> v1::Resource {
    use v1::resource::{DiskInfo, disk_info};
    let source = disk_info::Source {
        r#type: disk_info::source::Type::Mount as i32,
        mount: Some(disk_info::source::Mount {
            root: Some("/mnt".to_owned()),
        }),
        ..Default::default()
    };
    let disk = DiskInfo {
        source: Some(source),
        ..Default::default()
    };
    v1::Resource {
        disk: Some(Box::new(disk)),
        ..scalar("disk", value)
    }
}

/// What the text says and the others in addition.
pub(super) fn bag_with(text: &str, others: &[v1::Resource]) -> Resources {
    let mut resources = bag(text);
    resources.add(&Resources::from_v1(others).unwrap());
    resources
}

/// A quota from `cpus:1;mem:2` for both, limits of zero included; empty texts set nothing.
pub(super) fn quota(guarantees: &str, limits: &str) -> Quota {
    let limits = limits.split(';').filter(|part| !part.is_empty());
    Quota {
        guarantees: Quantities::parse(guarantees).unwrap(),
        limits: Limits::from_amounts(limits.map(|limit| {
            let (name, value) = limit.split_once(':').unwrap();
            (name, value.parse().unwrap())
        })),
    }
}

pub(super) fn agent_facts(attributes: &str) -> AgentFacts {
    AgentFacts {
        info: Arc::new(v1::AgentInfo {
            hostname: "host".to_owned(),
            attributes: crate::resources::attributes::parse_attributes(attributes).unwrap(),
            ..Default::default()
        }),
        capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE"]
            .map(str::to_owned)
            .into(),
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
        self.answer(command);
    }

    /// As [`Cluster::apply`], for commands that are answered.
    pub fn answer(&mut self, command: Command) -> Option<Notice> {
        let notice = self.allocator.apply(self.now, command);
        self.check();
        notice
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

    /// Runs, and compares what was proposed, in any order, as `framework/role/agent`.
    #[track_caller]
    pub fn expect(&mut self, wanted: &[(&str, &str)]) {
        let wanted = wanted.iter().map(|(to, text)| (*to, bag(text)));
        self.expect_bags(&wanted.collect::<Vec<_>>());
    }

    /// As [`Cluster::expect`], for what the text form cannot say.
    #[track_caller]
    pub fn expect_bags(&mut self, wanted: &[(&str, Resources)]) {
        let wanted: BTreeMap<String, Resources> = wanted
            .iter()
            .map(|(to, resources)| ((*to).to_owned(), resources.clone()))
            .collect();
        let got = self.offers();
        if got != wanted {
            let lines = |offers: &BTreeMap<String, Resources>| -> Vec<String> {
                offers.iter().map(|(to, r)| format!("{to}: {r}")).collect()
            };
            panic!("proposed {:#?}, wanted {:#?}", lines(&got), lines(&wanted));
        }
    }

    /// Runs, and gives what was proposed by `framework/role/agent`.
    #[track_caller]
    pub fn offers(&mut self) -> BTreeMap<String, Resources> {
        let mut offers = BTreeMap::new();
        for p in self.propose() {
            let to = format!("{}/{}/{}", p.framework, p.role, p.agent);
            let earlier = offers.insert(to, p.resources.unallocated());
            assert_eq!(
                earlier, None,
                "two offers of one run for one role and agent"
            );
        }
        offers
    }

    pub fn set_quota(&mut self, role: &str, guarantees: &str, limits: &str) {
        self.apply(Command::SetQuota {
            role: Role::from(role),
            quota: quota(guarantees, limits),
        });
    }

    pub fn set_weights(&mut self, weights: &[(&str, f64)]) {
        let weights = weights
            .iter()
            .map(|(role, weight)| (Role::from(*role), *weight));
        self.apply(Command::UpdateWeights(weights.collect()));
    }

    pub fn set_whitelist(&mut self, hosts: Option<&[&str]>) {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
        self.apply(Command::SetWhitelist(hosts));
    }

    pub fn add_agent_of(&mut self, id: &str, total: Resources) {
        self.apply(Command::AddAgent {
            id: AgentId::from(id),
            generation: 1,
            facts: agent_facts(""),
            total,
            used: Vec::new(),
            unavailability: None,
        });
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
