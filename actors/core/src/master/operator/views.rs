//! Agents, frameworks and executors as the operator API shows them.
//! Reads a snapshot and changes nothing; tasks show themselves.

use std::collections::BTreeMap;

use tepui_protocol::v1::agent_info::{Capability, capability};
use tepui_protocol::v1::master::response::{get_agents, get_executors, get_frameworks};
use tepui_protocol::v1::resource::AllocationInfo;
use tepui_protocol::v1::{self, ExecutorInfo, FrameworkInfo, TimeInfo};

use super::super::events::time_info;
use super::super::model::{Agent, Framework, FrameworkState, InverseOffer, Offer, Snapshot};
use super::super::offers::url_of;
use crate::ids::FrameworkId;
use crate::resources::{Format, Resources};
use crate::time::Wall;

/// An agent with what is offered of it. Mesos: `createAgentResponse`.
pub(super) fn agent<'a>(
    agent: &Agent,
    offered: impl Iterator<Item = &'a Resources>,
) -> get_agents::Agent {
    let now = agent_now(agent, offered);
    get_agents::Agent {
        active: now.active,
        allocated_resources: now.allocated_resources,
        offered_resources: now.offered_resources,
        deactivated: now.deactivated,
        drain_info: now.drain_info,
        estimated_drain_start_time: now.estimated_drain_start_time,
        ..agent_still(agent)
    }
}

/// What seldom changes of an agent: see [`Agent::still`].
pub fn agent_still(agent: &Agent) -> get_agents::Agent {
    get_agents::Agent {
        agent_info: agent.description(),
        version: agent.version.clone(),
        pid: Some(agent.pid.clone()),
        registered_time: Some(time_info(agent.registered_time)),
        reregistered_time: agent.reregistered_time.map(time_info),
        total_resources: agent.total.to_v1(Format::Endpoint),
        capabilities: capabilities(&agent.capabilities),
        ..get_agents::Agent::default()
    }
}

/// The rest.
pub fn agent_now<'a>(
    agent: &Agent,
    offered: impl Iterator<Item = &'a Resources>,
) -> get_agents::Agent {
    let deactivation = agent.deactivation.as_ref();
    get_agents::Agent {
        active: agent.is_active(),
        allocated_resources: sum(agent.used.values()).to_v1(Format::Endpoint),
        offered_resources: sum(offered).to_v1(Format::Endpoint),
        deactivated: Some(deactivation.is_some()),
        drain_info: deactivation.and_then(|it| it.drain),
        estimated_drain_start_time: agent.drain_started.map(time_info),
        ..get_agents::Agent::default()
    }
}

/// Those that this version has a name for.
fn capabilities(names: &[String]) -> Vec<Capability> {
    let known = names
        .iter()
        .filter_map(|name| capability::Type::from_str_name(name));
    known
        .map(|kind| Capability {
            r#type: Some(kind as i32),
        })
        .collect()
}

/// What frameworks use on all agents.
///
/// It is added up once for a whole answer: there are far fewer agents than tasks.
#[derive(Debug, Default)]
pub struct Usage(BTreeMap<FrameworkId, Resources>);

impl Usage {
    /// Adds up what is used in a snapshot.
    pub fn of(snapshot: &Snapshot) -> Usage {
        let mut all: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
        for agent in snapshot.agents.values() {
            for (framework, used) in &agent.used {
                match all.get_mut(framework) {
                    Some(sum) => sum.add(used),
                    None => {
                        all.insert(framework.clone(), used.clone());
                    }
                }
            }
        }
        Usage(all)
    }

    /// What this framework uses, with allocation roles; none when it is nothing.
    pub fn by(&self, framework: &FrameworkId) -> Option<&Resources> {
        self.0.get(framework)
    }
}

/// A framework with its offers, and what it uses. Mesos: `model` of a framework.
pub fn framework(
    framework: &Framework,
    snapshot: &Snapshot,
    usage: &Usage,
) -> get_frameworks::Framework {
    let offers = framework.offers.iter();
    let offers: Vec<&Offer> = offers
        .filter_map(|id| snapshot.offers.get(id).map(|offer| &**offer))
        .collect();
    let offered = sum(offers.iter().map(|offer| &offer.resources));
    let inverse = snapshot.inverse_offers.values();
    let inverse = inverse.filter(|offer| offer.framework == framework.id);
    let used = usage.by(&framework.id);
    // Mesos leaves out the times that are not known; a framework that was recovered has none yet.
    let time = |time: Wall| (framework.state != FrameworkState::Recovered).then(|| time_info(time));
    let constraints = framework.constraints.as_deref();
    get_frameworks::Framework {
        registered_time: time(framework.registered_time),
        reregistered_time: time(last_registered(framework)),
        unregistered_time: framework.unregistered_time.map(time_info),
        offers: offers
            .iter()
            .filter_map(|offer| offer_to_v1(offer, snapshot))
            .collect(),
        inverse_offers: inverse
            .map(|offer| inverse_offer_to_v1(offer, snapshot))
            .collect(),
        allocated_resources: used.map_or_else(Vec::new, |used| used.to_v1(Format::Endpoint)),
        offered_resources: offered.to_v1(Format::Endpoint),
        offer_constraints: Some(constraints.cloned().unwrap_or_default()),
        ..framework_itself(framework)
    }
}

/// A framework without what it has, as events show it: all times are there, 0 when not known.
pub(super) fn framework_itself(framework: &Framework) -> get_frameworks::Framework {
    let is_connected = matches!(framework.state, FrameworkState::Active(_));
    let is_recovered = framework.state == FrameworkState::Recovered;
    let time = |time: Wall| match is_recovered {
        true => TimeInfo::default(),
        false => time_info(time),
    };
    get_frameworks::Framework {
        framework_info: FrameworkInfo::clone(&framework.info),
        active: is_connected,
        connected: is_connected,
        recovered: is_recovered,
        registered_time: Some(time(framework.registered_time)),
        reregistered_time: Some(time(last_registered(framework))),
        unregistered_time: Some(
            framework
                .unregistered_time
                .map(time_info)
                .unwrap_or_default(),
        ),
        ..get_frameworks::Framework::default()
    }
}

/// In Mesos the first registration counts as the last, until there is another one.
fn last_registered(framework: &Framework) -> Wall {
    let last = framework.reregistered_time;
    last.unwrap_or(framework.registered_time)
}

/// An offer as the master keeps it, whatever form its framework was sent it in.
fn offer_to_v1(offer: &Offer, snapshot: &Snapshot) -> Option<v1::Offer> {
    let agent = snapshot.agents.get(&offer.agent)?;
    let executors = agent.executors_of(&offer.framework);
    let unavailability = snapshot.maintenance.unavailability(&agent.machine);
    Some(v1::Offer {
        id: offer.id.to_v1(),
        framework_id: offer.framework.to_v1(),
        agent_id: offer.agent.to_v1(),
        hostname: agent.info.hostname.clone(),
        url: Some(url_of(agent)),
        resources: offer.resources.to_v1(Format::PostRefinement),
        executor_ids: executors.map(|(id, _)| id.to_v1()).collect(),
        attributes: agent.info.attributes.clone(),
        allocation_info: Some(AllocationInfo {
            role: Some(offer.role.to_string()),
        }),
        domain: agent.info.domain.clone(),
        unavailability: unavailability.copied(),
    })
}

fn inverse_offer_to_v1(offer: &InverseOffer, snapshot: &Snapshot) -> v1::InverseOffer {
    v1::InverseOffer {
        id: offer.id.to_v1(),
        url: snapshot.agents.get(&offer.agent).map(|agent| url_of(agent)),
        framework_id: offer.framework.to_v1(),
        agent_id: Some(offer.agent.to_v1()),
        unavailability: offer.unavailability,
        resources: Vec::new(),
    }
}

/// A framework's executors on all agents.
pub fn executors(framework: &Framework) -> impl Iterator<Item = get_executors::Executor> + '_ {
    let executors = framework.executors.iter();
    executors.map(|((agent, _), executor)| get_executors::Executor {
        executor_info: ExecutorInfo {
            resources: executor.resources.to_v1(Format::PostRefinement),
            ..ExecutorInfo::clone(&executor.info)
        },
        agent_id: agent.to_v1(),
    })
}

fn sum<'a>(parts: impl Iterator<Item = &'a Resources>) -> Resources {
    let mut sum = Resources::new();
    parts.for_each(|part| sum.add(part));
    sum
}
