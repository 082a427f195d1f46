//! Agents in `/state`.
//! Shows what the master knows; asks no agent.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use tepui_core::master::model::{Agent, Snapshot};
use tepui_core::memo::Memo;
use tepui_core::time::Wall;
use tepui_protocol::v1;

use super::super::extended::Extended;
use super::resources::{Amount, ResourcesView, attributes, reserved, unreserved};
use super::write;

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

/// Begins an admitted agent, so that more can be added to it.
///
/// What seldom changes of it and what often does are remembered apart: with each offer only the
/// latter is written anew. Its offers are listed in it, and an offer never changes.
pub(super) fn agent<'w, W: Write>(
    out: &'w mut W,
    agent: &Memo<Agent>,
    snapshot: &Snapshot,
) -> Result<Extended<'w, W>, serde_json::Error> {
    let still = agent.still();
    let still = still.v0.get_or_init(|| write(&StillView::new(agent)));
    let mut shown = Extended::of_written(out, still)?;
    shown.fields_written(agent.written(|agent| write(&NowView::new(agent, snapshot))))?;
    Ok(shown)
}

/// What seldom changes of an admitted agent: see [`Agent::still`].
#[derive(Serialize)]
struct StillView<'a> {
    #[serde(flatten)]
    info: RecoveredView<'a>,
    pid: &'a str,
    registered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reregistered_time: Option<f64>,
    resources: ResourcesView<'a>,
    reserved_resources: BTreeMap<&'a str, ResourcesView<'a>>,
    unreserved_resources: ResourcesView<'a>,
    version: &'a str,
    capabilities: &'a [String],
}

impl<'a> StillView<'a> {
    fn new(agent: &'a Agent) -> Self {
        StillView {
            info: RecoveredView::new(agent.id.as_str(), &agent.info),
            pid: &agent.pid,
            registered_time: agent.registered_time.as_secs_f64(),
            reregistered_time: agent.reregistered_time.map(|time| time.as_secs_f64()),
            resources: ResourcesView::of(&agent.total),
            reserved_resources: reserved(&agent.total),
            unreserved_resources: unreserved(&agent.total),
            version: &agent.version,
            capabilities: &agent.capabilities,
        }
    }
}

/// The rest.
#[derive(Serialize)]
struct NowView<'a> {
    used_resources: ResourcesView<'a>,
    offered_resources: ResourcesView<'a>,
    active: bool,
    deactivated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_info: Option<&'a v1::DrainInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_drain_start_time_seconds: Option<f64>,
}

impl<'a> NowView<'a> {
    fn new(agent: &'a Agent, snapshot: &'a Snapshot) -> Self {
        let offers = agent.offers.iter().filter_map(|id| snapshot.offers.get(id));
        let deactivation = agent.deactivation.as_ref();
        NowView {
            used_resources: ResourcesView::of_all(agent.used.values()),
            offered_resources: ResourcesView::of_all(offers.map(|offer| &offer.resources)),
            active: agent.is_active(),
            deactivated: deactivation.is_some(),
            drain_info: deactivation.and_then(|it| it.drain.as_ref()),
            estimated_drain_start_time_seconds: agent.drain_started.map(Wall::as_secs_f64),
        }
    }
}
