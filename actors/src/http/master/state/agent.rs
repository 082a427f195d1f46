//! Agents in `/state`.
//! Shows what the master knows; asks no agent.

use std::collections::BTreeMap;

use serde::Serialize;
use tepui_core::master::model::{Agent, AgentState, Snapshot};
use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1;

use super::resources::{Amount, ResourcesView, attributes, reserved, unreserved};

/// What every mention of an agent shows.
#[derive(Serialize)]
pub(super) struct RecoveredView<'a> {
    id: &'a str,
    hostname: &'a str,
    port: i32,
    attributes: BTreeMap<&'a str, Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a v1::DomainInfo>,
}

impl<'a> RecoveredView<'a> {
    pub(super) fn new(id: &'a str, info: &'a v1::AgentInfo) -> Self {
        RecoveredView {
            id,
            hostname: &info.hostname,
            port: info.port(),
            attributes: attributes(&info.attributes),
            domain: info.domain.as_ref(),
        }
    }
}

/// An admitted agent.
#[derive(Serialize)]
pub(super) struct AgentView<'a> {
    #[serde(flatten)]
    info: RecoveredView<'a>,
    pid: &'a str,
    registered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reregistered_time: Option<f64>,
    resources: ResourcesView,
    used_resources: ResourcesView,
    offered_resources: ResourcesView,
    reserved_resources: BTreeMap<String, ResourcesView>,
    unreserved_resources: ResourcesView,
    active: bool,
    deactivated: bool,
    version: &'a str,
    capabilities: &'a [String],
}

impl<'a> AgentView<'a> {
    pub(super) fn new(agent: &'a Agent, snapshot: &Snapshot) -> Self {
        let total = agent.total.to_v1(Format::PostRefinement);
        let reserved = reserved(&total).into_iter();
        AgentView {
            info: RecoveredView::new(agent.id.as_str(), &agent.info),
            pid: &agent.pid,
            registered_time: agent.registered_time.as_secs_f64(),
            reregistered_time: agent.reregistered_time.map(|time| time.as_secs_f64()),
            resources: ResourcesView::sum(&total),
            used_resources: ResourcesView::of(&sum(agent.used.values())),
            offered_resources: ResourcesView::of(&offered(agent, snapshot)),
            reserved_resources: reserved
                .map(|(role, view)| (role.to_owned(), view))
                .collect(),
            unreserved_resources: unreserved(&total),
            active: matches!(agent.state, AgentState::Connected(_)),
            deactivated: false,
            version: &agent.version,
            capabilities: &agent.capabilities,
        }
    }
}

fn offered(agent: &Agent, snapshot: &Snapshot) -> Resources {
    let offers = agent.offers.iter().filter_map(|id| snapshot.offers.get(id));
    sum(offers.map(|offer| &offer.resources))
}

/// All of these together.
pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Resources>) -> Resources {
    let mut sum = Resources::new();
    for part in parts {
        sum.add(part);
    }
    sum
}
