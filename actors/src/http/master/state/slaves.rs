//! `/slaves`: agents with all that is known of their resources.
//! Shows no tasks.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tepui_core::master::model::{Agent, Snapshot};
use tepui_core::memo::Memo;
use tepui_core::resources::{Entry, Format, Resources};
use tepui_protocol::v1;

use super::super::extended::{Extended, Written};
use super::agent::{RecoveredView, agent};
use crate::http::json::Content;

/// What `/slaves` tells.
pub struct Slaves {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// Only the agent of this id.
    pub id: Option<String>,
}

impl Content for Slaves {
    /// Mesos: `SlavesWriter`.
    fn write(&self, out: &mut impl Write) -> Written {
        let snapshot = &*self.snapshot;
        let accepts = |id: &str| self.id.as_ref().is_none_or(|wanted| wanted == id);
        let mut whole = Extended::new(out)?;
        let agents = snapshot.agents.values();
        let agents = agents.filter(|agent| accepts(agent.id.as_str()));
        whole.list("slaves", agents, |agent, out| {
            write_agent(agent, snapshot, out)
        })?;
        let recovered = snapshot.recovered_agents.iter();
        let recovered = recovered.filter(|(id, _)| accepts(id.as_str()));
        whole.list("recovered_slaves", recovered, |(id, info), out| {
            serde_json::to_writer(out, &RecoveredView::new(id.as_str(), info))
        })?;
        whole.end()
    }
}

fn write_agent(one: &Memo<Agent>, snapshot: &Snapshot, out: &mut impl Write) -> Written {
    let offers = one.offers.iter().filter_map(|id| snapshot.offers.get(id));
    let mut shown = agent(out, one, snapshot)?;
    shown.field("reserved_resources_full", &reserved(&one.total))?;
    let unreserved = one.total.iter().filter(|entry| !entry.is_reserved());
    shown.field("unreserved_resources_full", &full(unreserved))?;
    let used = sum(one.used.values());
    shown.field("used_resources_full", &full(&used))?;
    let offered = sum(offers.map(|offer| &offer.resources));
    shown.field("offered_resources_full", &full(&offered))?;
    shown.end()
}

fn full<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<v1::Resource> {
    let entries = entries.into_iter();
    entries.map(|entry| entry.to_v1(Format::Endpoint)).collect()
}

fn reserved(resources: &Resources) -> BTreeMap<&str, Vec<v1::Resource>> {
    let mut by_role: BTreeMap<&str, Vec<v1::Resource>> = BTreeMap::new();
    for entry in resources {
        if let Some(role) = entry.reservation_role() {
            let of_role = by_role.entry(role).or_default();
            of_role.push(entry.to_v1(Format::Endpoint));
        }
    }
    by_role
}

fn sum<'a>(parts: impl Iterator<Item = &'a Resources>) -> Resources {
    let mut sum = Resources::new();
    for part in parts {
        sum.add(part);
    }
    sum
}
