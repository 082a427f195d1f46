//! `/state`, and what shows parts of it, as Mesos does: written straight from a snapshot.
//! Holds no copy of the state; each part is built as it is written.

mod agent;
mod framework;
mod frameworks;
#[cfg(test)]
mod list_tests;
mod resources;
mod roles;
mod slaves;
mod summary;
mod task;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::to_raw_value;
use tepui_core::master::model::{Framework, Snapshot};
use tepui_core::memo::Written;
use tepui_core::resources::Resources;
use tepui_protocol::json::RawValue;
use tepui_protocol::v1;

use super::extended::{self, Extended};
use crate::http::json::Content;
use crate::http::version::{Version, version};
use crate::master::config::MasterConfig;
use agent::{RecoveredView, agent};
use framework::{FrameworkView, Used};
pub use frameworks::Frameworks;
pub use roles::Roles;
pub use slaves::Slaves;
pub use summary::Summary;
pub use tasks::{Page, TaskList};

/// What `/state` tells.
pub struct State {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// The master's settings.
    pub config: Arc<MasterConfig>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Content for State {
    /// Mesos: `ReadOnlyHandler::state`.
    fn write(&self, out: &mut impl Write) -> extended::Written {
        let snapshot = &*self.snapshot;
        let used = Used::of(snapshot);
        let mut whole = Extended::of(out, &self.head())?;
        whole.list("slaves", snapshot.agents.values(), |one, out| {
            agent(out, one, snapshot)?.end()
        })?;
        let recovered = snapshot.recovered_agents.iter();
        whole.list("recovered_slaves", recovered, |(id, info), out| {
            serde_json::to_writer(out, &RecoveredView::new(id.as_str(), info))
        })?;
        let mut frameworks = |name, frameworks: &mut dyn Iterator<Item = &Arc<Framework>>| {
            whole.list(name, frameworks, |one, out| {
                serde_json::to_writer(out, &FrameworkView::new(one, &used, snapshot))
            })
        };
        frameworks("frameworks", &mut snapshot.frameworks.values())?;
        frameworks(
            "completed_frameworks",
            &mut snapshot.completed_frameworks.iter(),
        )?;
        // Always empty in Mesos too.
        whole.field("orphan_tasks", &[(); 0])?;
        whole.field("unregistered_frameworks", &[(); 0])?;
        whole.end()
    }
}

impl State {
    /// What stands before the lists.
    fn head(&self) -> impl Serialize {
        let snapshot = &*self.snapshot;
        let agents = snapshot.agents.values();
        let activated = agents.filter(|agent| agent.is_active()).count();
        let master = &snapshot.master;
        let pid = master.pid.clone();
        let pid = pid.unwrap_or_else(|| format!("master@{}", self.address));
        let hostname = master.hostname.as_deref().unwrap_or(&self.config.hostname);
        Head {
            version: version(),
            start_time: snapshot.start_time.as_secs_f64(),
            elected_time: snapshot.elected_time.as_secs_f64(),
            id: &master.id,
            hostname,
            capabilities: capabilities(master),
            activated_slaves: activated as f64,
            deactivated_slaves: (snapshot.agents.len() - activated) as f64,
            unreachable_slaves: snapshot.unreachable_agents.len() as f64,
            leader: pid.clone(),
            leader_info: LeaderView {
                id: &master.id,
                pid: pid.clone(),
                port: master.port,
                hostname,
                domain: master.domain.as_ref(),
            },
            pid,
            domain: master.domain.as_ref(),
            cluster: self.config.cluster.as_deref(),
            flags: &self.config.flags,
        }
    }
}

#[derive(Serialize)]
struct Head<'a> {
    #[serde(flatten)]
    version: Version,
    start_time: f64,
    elected_time: f64,
    id: &'a str,
    pid: String,
    hostname: &'a str,
    capabilities: Vec<&'static str>,
    activated_slaves: f64,
    deactivated_slaves: f64,
    unreachable_slaves: f64,
    leader: String,
    leader_info: LeaderView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a v1::DomainInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    flags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct LeaderView<'a> {
    id: &'a str,
    pid: String,
    port: u32,
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a v1::DomainInfo>,
}

fn capabilities(master: &v1::MasterInfo) -> Vec<&'static str> {
    master
        .capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name())
        .collect()
}

/// A list that is made as it is written, one entry at a time.
pub(in crate::http::master) struct Seq<F>(pub(in crate::http::master) F);

impl<F, I> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Writes a part that is remembered.
pub(in crate::http::master) fn write(part: &impl Serialize) -> Written {
    to_raw_value(part).unwrap_or_else(|error| {
        // Nothing that is shown here has keys that JSON cannot write.
        tracing::error!(%error, "a part of the state cannot be written as JSON");
        RawValue::NULL.to_owned()
    })
}

/// The role that resources are allocated to.
fn role(resources: &Resources) -> Option<&str> {
    let roles = resources.iter().filter_map(|entry| entry.allocation_role());
    roles.map(|role| &**role).min()
}

/// Labels as the v0 reads write them: without the enclosing object.
fn labels(labels: Option<&v1::Labels>) -> Option<Vec<LabelView<'_>>> {
    Some(labels?.labels.iter().map(LabelView::new).collect())
}

#[derive(Serialize)]
struct LabelView<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> LabelView<'a> {
    fn new(label: &'a v1::Label) -> Self {
        LabelView {
            key: &label.key,
            value: label.value.as_deref(),
        }
    }
}
