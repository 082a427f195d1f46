//! Which frameworks may see which agents and resources, and how small an offer may be.

use v1::domain_info::{FaultDomain, fault_domain};
use v1::offer_filters::{MinAllocatableResources, ResourceQuantities};

use super::*;

fn offered(c: &mut Cluster) -> bool {
    !c.allocate().is_empty()
}

/// Whether a framework with these capabilities is offered an agent with these facts.
fn sees(
    capabilities: &[Capability],
    role: &str,
    facts: AgentFacts,
    config: AllocatorConfig,
) -> bool {
    let mut c = Cluster::with(config);
    c.add_framework_with("F", framework_facts(&[role], capabilities));
    c.add_agent_with("A", "cpus:1", facts, &[]);
    offered(&mut c)
}

fn facts_with(capabilities: &[&str]) -> AgentFacts {
    let capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
    AgentFacts {
        capabilities,
        ..agent_facts("")
    }
}

#[test]
fn multi_role_frameworks_need_multi_role_agents() {
    let config = AllocatorConfig::default;
    assert!(!sees(
        &[Capability::MultiRole],
        "a",
        facts_with(&[]),
        config()
    ));
    assert!(sees(
        &[Capability::MultiRole],
        "a",
        facts_with(&["MULTI_ROLE"]),
        config()
    ));
    assert!(sees(&[], "a", facts_with(&[]), config()));
}

#[test]
fn nested_roles_need_hierarchical_agents() {
    let config = AllocatorConfig::default;
    assert!(!sees(&[], "a/b", facts_with(&["MULTI_ROLE"]), config()));
    assert!(sees(
        &[],
        "a/b",
        facts_with(&["HIERARCHICAL_ROLE"]),
        config()
    ));
}

#[test]
fn other_regions_need_region_aware_frameworks() {
    let config = |region: Option<&str>| AllocatorConfig {
        master_region: region.map(str::to_owned),
        ..Default::default()
    };
    let mut facts = agent_facts("");
    facts.info = Arc::new(v1::AgentInfo {
        domain: Some(v1::DomainInfo {
            fault_domain: Some(FaultDomain {
                region: fault_domain::RegionInfo {
                    name: "eu".to_owned(),
                },
                zone: fault_domain::ZoneInfo {
                    name: "eu-1".to_owned(),
                },
            }),
        }),
        ..Default::default()
    });
    assert!(sees(&[], "a", facts.clone(), config(Some("eu"))));
    assert!(!sees(&[], "a", facts.clone(), config(Some("us"))));
    assert!(sees(
        &[Capability::RegionAware],
        "a",
        facts,
        config(Some("us"))
    ));
    assert!(sees(&[], "a", agent_facts(""), config(Some("us"))));
}

#[test]
fn gpus_are_kept_for_frameworks_that_ask() {
    let try_it = |filter_gpu_resources: bool, capable: bool| {
        let config = AllocatorConfig {
            filter_gpu_resources,
            ..Default::default()
        };
        let mut c = Cluster::with(config);
        let capabilities: &[Capability] = if capable {
            &[Capability::GpuResources]
        } else {
            &[]
        };
        c.add_framework_with("F", framework_facts(&["a"], capabilities));
        c.add_agent("A", "cpus:1;gpus:1");
        offered(&mut c)
    };
    assert!(!try_it(true, false));
    assert!(try_it(true, true));
    assert!(try_it(false, false));
}

#[test]
fn revocable_resources_are_stripped() {
    let total = bag_with("cpus:1", &[revocable("cpus", 2.0)]);
    let mut c = Cluster::new();
    c.add_framework_with("F", framework_facts(&["a"], &[]));
    c.add_agent_of("A", total);
    assert_eq!(c.allocate(), ["F/a/A: cpus:1"]);
    c.add_framework_with(
        "G",
        framework_facts(&["a"], &[Capability::RevocableResources]),
    );
    assert_eq!(c.allocate(), ["G/a/A: cpus{REV}:2"]);
}

fn reservation(role: &str) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some(role.to_owned()),
        ..Default::default()
    }
}

#[test]
fn refined_reservations_are_stripped() {
    let mut refined = scalar("cpus", 2.0);
    refined.reservations = vec![reservation("a"), reservation("a/b")];
    let mut c = Cluster::new();
    c.add_framework_with("F", framework_facts(&["a/b"], &[]));
    c.add_agent_of("A", bag_with("", &[refined]));
    assert!(!offered(&mut c));
    c.add_framework_with(
        "G",
        framework_facts(&["a/b"], &[Capability::ReservationRefinement]),
    );
    assert!(offered(&mut c));
}

fn shared_volume() -> v1::Resource {
    let mut disk = scalar("disk", 100.0);
    disk.reservations = vec![reservation("a")];
    disk.shared = Some(Default::default());
    disk.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: "v".to_owned(),
            principal: None,
        }),
        ..Default::default()
    }));
    disk
}

#[test]
fn shared_volumes_are_offered_while_in_use_but_once_per_run() {
    let mut config = AllocatorConfig::default();
    config.min_allocatable_resources.clear();
    let mut c = Cluster::with(config);
    let capable = framework_facts(&["a"], &[Capability::SharedResources]);
    c.add_framework_with("F", capable.clone());
    c.add_framework_with("G", capable);
    c.add_framework_with("H", framework_facts(&["a"], &[]));
    c.add_agent_of("A", bag_with("cpus:1", &[shared_volume()]));
    let first = c.propose();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].framework.as_str(), "F");
    assert_eq!(first[0].resources.shared().iter().count(), 1);
    // The next run offers it to the next one, and so on; each counts it once.
    assert_eq!(c.allocator.next_deadline(), Some(at(2).mono));
    assert!(c.propose().is_empty());
    c.now = at(2);
    let second = c.propose();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].framework.as_str(), "G");
    let figures = c.allocator.figures();
    assert_eq!(
        figures.resources["disk"],
        (100_000, 100_000),
        "once per agent and role"
    );
    for proposal in first.into_iter().chain(second) {
        c.apply(Command::Release {
            framework: proposal.framework,
            agent: proposal.agent,
            resources: proposal.resources,
            refusal: None,
        });
    }
    assert_eq!(c.allocator.figures().resources["disk"], (100_000, 0));
}

#[test]
fn an_offer_must_have_one_of_the_minimums() {
    let try_it = |minimum: &str, total: &str| {
        let min_allocatable_resources = Quantities::parse_alternatives(minimum).unwrap();
        let config = AllocatorConfig {
            min_allocatable_resources,
            ..Default::default()
        };
        let mut c = Cluster::with(config);
        c.add_framework("F", &["a"]);
        c.add_agent("A", total);
        offered(&mut c)
    };
    let default = "cpus:0.01|mem:32";
    assert!(try_it(default, "cpus:0.01"));
    assert!(try_it(default, "mem:32"));
    assert!(!try_it(
        default,
        "cpus:0.009;mem:31.999;disk:1000;ports:[1-9]"
    ));
    assert!(!try_it("cpus:1;mem:32", "cpus:1"));
    assert!(try_it("", "disk:0.001"));
    assert!(!try_it("", ""));
}

#[test]
fn a_framework_may_set_its_own_minimum_per_role() {
    let with = |alternatives: Vec<(&str, f64)>| {
        let quantities = alternatives
            .into_iter()
            .map(|(name, value)| ResourceQuantities {
                quantities: [(name.to_owned(), v1::value::Scalar { value })].into(),
            })
            .collect();
        let filters = v1::OfferFilters {
            min_allocatable_resources: Some(MinAllocatableResources { quantities }),
        };
        let mut facts = framework_facts(&["a"], &[]);
        Arc::make_mut(&mut facts.info).offer_filters = [("a".to_owned(), filters)].into();
        facts
    };
    let try_it = |facts: FrameworkFacts, total: &str| {
        let mut c = Cluster::new();
        c.add_framework_with("F", facts);
        c.add_agent("A", total);
        offered(&mut c)
    };
    assert!(!try_it(with(vec![("gpus", 1.0), ("cpus", 2.0)]), "cpus:1"));
    assert!(try_it(with(vec![("gpus", 1.0), ("cpus", 2.0)]), "cpus:2"));
    assert!(
        try_it(with(vec![]), "disk:1"),
        "an empty list allows any offer"
    );
    let mut other_role = with(vec![("cpus", 2.0)]);
    other_role.roles = vec![Role::from("b")];
    assert!(try_it(other_role, "cpus:1"));
}
