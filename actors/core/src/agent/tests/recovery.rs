//! What a restarted agent makes of its checkpoint.

use super::super::recovery::ReconfigurationPolicy::{Additive, Equal};
use super::super::recovery::{Resumed, check_reconfiguration, recover, resume};
use super::operations::{DIRECTORY, bare, create, destroy, reserve, reserved, rich, volume};
use super::*;

fn stored(resources: Vec<v1::Resource>) -> ResourcesAndOperations {
    let plain = |resource: v1::Resource| v1::Resource {
        allocation_info: None,
        ..resource
    };
    ResourcesAndOperations {
        resources: resources.into_iter().map(plain).map(Pb).collect(),
        ..Default::default()
    }
}

fn recovered(stored: ResourcesAndOperations) -> Result<super::super::recovery::Recovered, String> {
    let settings = rich();
    recover(&settings.work_dir, &settings.info.resources, stored)
}

#[test]
fn reservations_and_volumes_are_part_of_the_total_again() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(
        reserve(vec![reserved("disk", 100.0), reserved("cpus", 1.0)]),
        1,
    );
    let state = agent.done(create(vec![volume("v1", 64.0)]), 2).state;
    let again = Fixture::restarted(rich(), state.clone());
    assert_eq!(again.snapshot().total, agent.snapshot().total);
    let recovered = recovered(state).unwrap();
    let paths: Vec<&str> = recovered
        .to_make()
        .iter()
        .map(|v| v.path.as_str())
        .collect();
    assert_eq!(paths, [DIRECTORY]);
    assert_eq!(recovered.to_remove().count(), 0);
}

#[test]
fn a_destroyed_volume_whose_data_may_be_left_is_to_be_removed() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    agent.done(create(vec![volume("v1", 64.0)]), 2);
    let state = agent.done(destroy(vec![volume("v1", 64.0)]), 3).state;
    let mut recovered = recovered(state).unwrap();
    assert!(recovered.to_make().is_empty());
    let paths: Vec<&str> = recovered.to_remove().map(|v| v.path.as_str()).collect();
    assert_eq!(paths, [DIRECTORY]);
    recovered.removed(DIRECTORY);
    assert_eq!(recovered.to_remove().count(), 0);
}

#[test]
fn a_volume_that_exists_again_is_not_removed() {
    let one = volume("v1", 64.0);
    let mut state = stored(vec![one.clone()]);
    state.removing = stored(vec![one]).resources;
    assert_eq!(recovered(state).unwrap().to_remove().count(), 0);
}

#[test]
fn resources_that_shrank_below_what_is_reserved_are_refused() {
    let error = recovered(stored(vec![reserved("cpus", 5.0)])).unwrap_err();
    assert!(
        error.starts_with("Incompatible agent resources: "),
        "{error}"
    );
    assert!(error.ends_with("does not contain cpus:5"), "{error}");
}

#[test]
fn what_no_agent_checkpoints_is_refused() {
    let error = recovered(stored(vec![bare("cpus", 1.0)])).unwrap_err();
    assert_eq!(error, "Unexpected checkpointed resources cpus:1");
    let mut state = stored(Vec::new());
    state.operations.push(Pb(v1::Operation {
        framework_id: framework(&[]).id,
        info: reserve(Vec::new()),
        ..Default::default()
    }));
    assert!(recovered(state).is_err());
    let evil = stored(vec![volume("../x", 1.0)]);
    assert!(recovered(evil).is_err());
}

#[test]
fn path_disks_have_volumes_below_their_own_roots() {
    let recovered = recovered(ResourcesAndOperations::default()).unwrap();
    let roots = recovered.roots("/var/lib/tepui");
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    assert_eq!(roots, ["/disks/path", "/var/lib/tepui"]);
}

#[test]
fn an_agent_may_come_back_as_it_was_or_with_more() {
    let info = |resources: &str, attributes: &str| v1::AgentInfo {
        hostname: "h".to_owned(),
        port: Some(5051),
        resources: crate::resources::Resources::parse(resources, "*")
            .unwrap()
            .to_v1(crate::resources::Format::PostRefinement),
        attributes: crate::resources::attributes::parse_attributes(attributes).unwrap(),
        ..Default::default()
    };
    let old = info("cpus:2;mem:64", "rack:a");
    let fits = |policy, new: &v1::AgentInfo| check_reconfiguration(policy, &old, new);
    for policy in [Equal, Additive] {
        assert_eq!(fits(policy, &old), Ok(()));
        // The id was given by the master.
        let admitted = v1::AgentInfo {
            id: Some(v1::AgentId { value: "S".into() }),
            ..old.clone()
        };
        assert_eq!(check_reconfiguration(policy, &admitted, &old), Ok(()));
    }
    let more = [
        info("cpus:3;mem:64", "rack:a"),
        info("cpus:2;mem:64;gpus:1", "rack:a"),
        info("cpus:2;mem:64", "rack:a;zone:b"),
    ];
    for new in &more {
        assert!(fits(Equal, new).is_err(), "{new:?}");
        assert_eq!(fits(Additive, new), Ok(()));
    }
    let other = [
        info("cpus:1;mem:64", "rack:a"),
        info("cpus:2", "rack:a"),
        info("cpus:2;mem:64", "rack:b"),
        info("cpus:2;mem:64", ""),
        v1::AgentInfo {
            port: Some(5052),
            ..old.clone()
        },
        v1::AgentInfo {
            hostname: "i".to_owned(),
            ..old.clone()
        },
    ];
    for new in &other {
        assert!(fits(Additive, new).is_err(), "{new:?}");
    }
    let error = fits(Equal, &other[0]).unwrap_err();
    assert_eq!(
        error,
        "the resources differ: it was cpus:2; mem:64, and is cpus:1; mem:64 now"
    );
}

/// What the journal says of an agent with a running task, written in the first boot.
fn past() -> Restored {
    let (agent, _) = Fixture::with_running_executor("t");
    Restored::read(agent.records.clone())
}

fn in_boot(boot_id: Option<&str>) -> Settings {
    Settings {
        boot_id: boot_id.map(str::to_owned),
        ..settings()
    }
}

#[test]
fn an_agent_goes_on_in_every_boot_but_knows_when_nothing_can_have_outlived_one() {
    let past = past();
    assert_eq!((past.tasks(), past.survivors().len()), (1, 1));
    for boot in [Some("first boot"), None] {
        let resumed = resume(past.clone(), &in_boot(boot), Some(Equal));
        assert_eq!(resumed, Ok(Resumed::GoesOn(past.clone())), "{boot:?}");
    }
    let second = in_boot(Some("second boot"));
    for policy in [Some(Equal), Some(Additive), None] {
        let resumed = resume(past.clone(), &second, policy);
        assert_eq!(resumed, Ok(Resumed::AfterReboot(past.clone())));
    }
    // One that could not be read then says nothing now.
    let mut unknown = Fixture::registered_with(in_boot(None));
    unknown.run(custom_task("t", "ex"));
    unknown.launch();
    let unknown = Restored::read(unknown.records.clone());
    let resumed = resume(unknown.clone(), &second, Some(Equal));
    assert_eq!(resumed, Ok(Resumed::GoesOn(unknown)));
}

#[test]
fn another_agent_is_refused_until_the_host_was_started_anew() {
    let past = past();
    let other = |boot| {
        let mut other = in_boot(Some(boot));
        other.info.hostname = "other".into();
        other
    };
    let why = "the hostname differs: it was host, and is other now".to_owned();
    let same_boot = resume(past.clone(), &other("first boot"), Some(Equal));
    assert_eq!(same_boot, Err(why.clone()));
    let rebooted = resume(past.clone(), &other("second boot"), Some(Additive));
    assert_eq!(rebooted, Ok(Resumed::Dropped(why)));
    // To end what is left it may be any other.
    let cleanup = resume(past.clone(), &other("first boot"), None);
    assert_eq!(cleanup, Ok(Resumed::GoesOn(past)));
    let nothing = Restored::default();
    let first = resume(nothing.clone(), &other("first boot"), Some(Equal));
    assert_eq!(first, Ok(Resumed::GoesOn(nothing)));
}

#[test]
fn each_run_records_its_own_boot() {
    let (agent, _) = Fixture::with_running_executor("t");
    let agent = agent.crashed(in_boot(Some("second boot")));
    let past = Restored::read(agent.agent.records());
    assert!(past.is_rebooted(Some("first boot")));
    assert!(!past.is_rebooted(Some("second boot")));
}
