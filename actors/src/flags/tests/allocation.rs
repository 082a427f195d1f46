//! Tests of the flags about offers, their division and fault domains.
//! Errors in them are tested with those of the other flags.

use std::path::Path;
use std::time::Duration;

use tepui_core::allocator::SorterKind;
use tepui_protocol::v1;

use super::{agent_with, master_with, pairs, run, words};

const DOMAIN: &str = r#"{"fault_domain":{"region":{"name":"east"},"zone":{"name":"east-1"}}}"#;

fn region(domain: Option<&v1::DomainInfo>) -> Option<&str> {
    let place = domain?.fault_domain.as_ref()?;
    Some(&place.region.name)
}

#[test]
fn flags_about_allocation_reach_the_configuration() {
    let config = master_with(&[], &[]);
    assert_eq!(config.role_sorter, SorterKind::Drf);
    assert_eq!(config.framework_sorter, SorterKind::Drf);
    assert_eq!(config.allocator_agent_recovery_factor, 0.8);
    assert_eq!(config.allocator_recovery_timeout, Duration::from_secs(600));
    assert_eq!((config.whitelist, config.domain), (None, None));
    assert!(!config.require_agent_domain);
    let domain = format!("--domain={DOMAIN}");
    let config = master_with(
        &[
            "--user_sorter=random",
            "--framework_sorter=random",
            "--allocator=HierarchicalDRF",
            "--allocator_agent_recovery_factor=0",
            "--allocator_recovery_timeout=5secs",
            "--whitelist=file:///etc/hosts.list",
            "--require_agent_domain",
            &domain,
        ],
        &[],
    );
    assert_eq!(config.role_sorter, SorterKind::Random);
    assert_eq!(config.framework_sorter, SorterKind::Random);
    assert_eq!(config.allocator_agent_recovery_factor, 0.0);
    assert_eq!(config.allocator_recovery_timeout, Duration::from_secs(5));
    assert_eq!(
        config.whitelist.as_deref(),
        Some(Path::new("/etc/hosts.list"))
    );
    assert!(config.require_agent_domain);
    assert_eq!(region(config.domain.as_ref()), Some("east"));
    assert_eq!(config.flags["whitelist"], "file:///etc/hosts.list");
    let agent = agent_with(&[&domain]);
    assert_eq!(region(agent.domain.as_ref()), Some("east"));
}

#[test]
fn a_whitelist_may_be_a_plain_path_and_a_star_means_none() {
    let config = master_with(&["--whitelist=hosts.list"], &[]);
    let path = config.whitelist.expect("given");
    assert!(
        path.is_absolute() && path.ends_with("hosts.list"),
        "{path:?}"
    );
    let args = ["--registry=in_memory", "--whitelist=*"];
    let (config, startup) = run(crate::flags::master_with_startup(words(&args), pairs(&[])));
    assert_eq!(config.whitelist, None);
    assert!(
        startup
            .notes
            .iter()
            .any(|note| note.contains("leave it out")),
        "{startup:?}"
    );
}
