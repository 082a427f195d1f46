//! What readers see: a copy of the state that costs nothing to make.
//! Writes no JSON.

use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::Manager;
use super::figures::Figures;
use super::history::Versions;
use crate::marathon::deployment::DeploymentListing;
use crate::marathon::engine::{QueueItem, TaskFailure};
use crate::marathon::group::RootGroup;
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Instance, TaskCounts};
use crate::time::Now;

/// What is shown of one app beside its definition.
#[derive(Debug, Clone, Default)]
pub struct AppView {
    /// Its instances.
    pub instances: OrdMap<InstanceId, Arc<Instance>>,
    /// The four numbers it shows.
    pub counts: TaskCounts,
}

/// The state at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Now,
    /// Apps and groups.
    pub root: RootGroup,
    /// Earlier root groups, and this one, by version.
    pub roots: OrdMap<Timestamp, RootGroup>,
    /// Definitions of apps by version.
    pub versions: OrdMap<PathId, Versions>,
    /// Instances of apps; also of removed ones until the last of them is gone.
    pub apps: OrdMap<PathId, AppView>,
    /// How a task of each app failed last.
    pub failures: OrdMap<PathId, Arc<TaskFailure>>,
    /// Deployments under way, in the order in which they began.
    pub deployments: Vec<DeploymentListing>,
    /// Apps that wait for offers.
    pub queue: Vec<QueueItem>,
    /// The framework's id.
    pub framework_id: Option<String>,
    /// Region of the master, if it has one.
    pub local_region: Option<String>,
    /// What is counted.
    pub figures: Figures,
}

impl Snapshot {
    /// The instances of an app, and its numbers.
    pub fn view(&self, app: &PathId) -> AppView {
        self.apps.get(app).cloned().unwrap_or_default()
    }

    /// The definition an app had at a version; the current one too.
    pub fn definition(&self, id: &PathId, version: Timestamp) -> Option<&Arc<App>> {
        self.versions.get(id)?.get(&version)
    }

    /// Ids of the deployments that change an app.
    pub fn deployments_of<'a>(&'a self, app: &'a PathId) -> impl Iterator<Item = &'a str> {
        let deployments = self.deployments.iter();
        let touching = deployments.filter(|listing| listing.stored.changes.contains_key(app));
        touching.map(|listing| listing.stored.plan.id.as_str())
    }
}

impl Manager {
    /// The state now. Costs as much as there are deployments and waiting apps.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            taken: now,
            local_region: self.settings.matching.local_region.clone(),
            root: self.root.clone(),
            roots: self.history.roots().clone(),
            versions: self.history.apps().clone(),
            apps: self.views.clone(),
            failures: self.failures.clone(),
            deployments: self.engine.deployments(),
            queue: self.engine.queue(now),
            framework_id: self.framework_id.clone(),
            figures: self.figures(now),
        }
    }
}
