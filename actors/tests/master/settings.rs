//! Flags of a master whose effect is seen from outside: the whitelist, fault domains.
//! How flags are read is tested with the flags, what they mean in core.

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::{json as mesos_json, v1};

use super::agent::{Agent, registration};
use super::client::{Master, new_framework};

/// The agents in the next offers.
fn offered(master: &Master, framework: &Value) -> Vec<String> {
    let mut subscription = master.subscribe(framework);
    let offers = subscription.event("OFFERS");
    let offers = offers["offers"]["offers"].as_array().unwrap().iter();
    offers
        .map(|offer| offer["hostname"].as_str().unwrap().to_owned())
        .collect()
}

fn named(hostname: &str) -> impl FnOnce(&mut v1::AgentInfo) {
    let hostname = hostname.to_owned();
    |info| info.hostname = hostname
}

#[test]
fn only_whitelisted_hosts_are_offered() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    std::fs::write(&file, "listed\n").unwrap();
    let master = Master::with(&[&format!("--whitelist={}", file.display())]);
    let _other = Agent::register_as(&master, 5051, named("other"));
    let _listed = Agent::register_as(&master, 5052, named("listed"));
    assert_eq!(offered(&master, &new_framework("plain")), ["listed"]);
}

fn domain(region: &str) -> Value {
    json!({"fault_domain": {"region": {"name": region}, "zone": {"name": "z"}}})
}

fn in_region(hostname: &str, region: &str) -> impl FnOnce(&mut v1::AgentInfo) {
    let hostname = hostname.to_owned();
    let domain = mesos_json::from_slice(domain(region).to_string().as_bytes()).unwrap();
    |info| {
        info.hostname = hostname;
        info.domain = Some(domain);
    }
}

#[test]
fn agents_of_other_regions_are_offered_to_frameworks_that_know_regions_only() {
    let master = Master::with(&[&format!("--domain={}", domain("east"))]);
    let _far = Agent::register_as(&master, 5051, in_region("far", "west"));
    let _near = Agent::register_as(&master, 5052, in_region("near", "east"));
    let state = master.get("/state").json();
    assert_eq!(state["domain"], domain("east"));
    assert_eq!(state["leader_info"]["domain"], domain("east"));
    assert_eq!(offered(&master, &new_framework("plain")), ["near"]);
    let mut aware = new_framework("aware");
    aware["subscribe"]["framework_info"]["capabilities"] = json!([{"type": "REGION_AWARE"}]);
    let mut both = offered(&master, &aware);
    both.sort();
    // What the first framework holds is given back when its stream ends.
    assert!(both.contains(&"far".to_owned()), "{both:?}");
}

#[test]
fn an_agent_without_domain_is_ignored_when_domains_are_required() {
    let east = format!("--domain={}", domain("east"));
    let master = Master::with(&[&east, "--require_agent_domain"]);
    let mut agent = Agent::connect(&master);
    let mut registration = registration(5051);
    agent.send(AgentToMaster::Register(Box::new(registration.clone())));
    in_region("near", "east")(&mut registration.info);
    agent.send(AgentToMaster::Register(Box::new(registration)));
    assert!(matches!(
        agent.receive(),
        Some(MasterToAgent::Registered { .. })
    ));
    let state = master.state_when(|state| state["slaves"] != json!([]));
    assert_eq!(state["slaves"].as_array().unwrap().len(), 1);
    assert_eq!(state["slaves"][0]["hostname"], "near");
}
