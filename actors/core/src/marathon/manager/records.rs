//! What the manager has stored, and how the history of the root group is kept small.
//! Writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use crate::marathon::deployment::StoredDeployment;
use crate::marathon::engine::TaskFailure;
use crate::marathon::group::{Group, RootGroup};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Instance;

/// One change of what is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The framework's id.
    FrameworkId(String),
    /// The oldest root group that is kept; steps up to its version are to be deleted with it.
    RootBase(Arc<RootBase>),
    /// One step of the root group's history.
    RootStep(Arc<RootStep>),
    /// A step is part of the base now.
    ForgetRootStep(Timestamp),
    /// A definition of an app.
    App(Arc<App>),
    /// A definition that nothing needs any more.
    ForgetApp(PathId, Timestamp),
    /// An instance.
    Instance(Arc<Instance>),
    /// An instance that is gone.
    ForgetInstance(InstanceId),
    /// A deployment that has not ended, with its place among the others.
    Deployment(Arc<StoredDeployment>),
    /// A deployment that has ended.
    ForgetDeployment(String),
    /// How a task of an app failed last.
    TaskFailure(Arc<TaskFailure>),
    /// The app is gone.
    ForgetTaskFailure(PathId),
}

/// A whole root group, its apps by the versions of their definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootBase {
    /// Its version.
    pub version: Timestamp,
    /// All groups.
    pub groups: Vec<Group>,
    /// All apps.
    pub apps: BTreeMap<PathId, Timestamp>,
}

/// The difference between one root group and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootStep {
    /// Version of the later one.
    pub version: Timestamp,
    /// Groups that are new or other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Groups that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_groups: Vec<PathId>,
    /// Apps that are new or have another version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<PathId, Timestamp>,
    /// Apps that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_apps: Vec<PathId>,
}

impl RootBase {
    /// All of a root group.
    pub fn of(root: &RootGroup) -> RootBase {
        RootBase {
            version: root.version(),
            groups: root.groups().map(|group| (**group).clone()).collect(),
            apps: root
                .apps()
                .map(|app| (app.id.clone(), app.version))
                .collect(),
        }
    }

    /// The root group after a step.
    pub fn follow(&mut self, step: &RootStep) {
        self.version = step.version;
        let changed = |group: &Group| {
            step.removed_groups.contains(&group.id)
                || step.groups.iter().any(|new| new.id == group.id)
        };
        self.groups.retain(|group| !changed(group));
        self.groups.extend(step.groups.iter().cloned());
        for id in &step.removed_apps {
            self.apps.remove(id);
        }
        self.apps
            .extend(step.apps.iter().map(|(id, at)| (id.clone(), *at)));
    }

    /// The root group itself; apps whose definitions are not found are named.
    pub fn root(
        &self,
        find: impl Fn(&PathId, Timestamp) -> Option<Arc<App>>,
    ) -> Result<RootGroup, Vec<PathId>> {
        let mut missing = Vec::new();
        let apps: Vec<Arc<App>> = self
            .apps
            .iter()
            .filter_map(|(id, version)| {
                let app = find(id, *version);
                if app.is_none() {
                    missing.push(id.clone());
                }
                app
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let groups = self.groups.iter().cloned();
        Ok(RootGroup::from_parts(groups, apps, self.version))
    }
}

impl RootStep {
    /// What differs; costs no more than that.
    pub fn between(old: &RootGroup, new: &RootGroup) -> RootStep {
        let mut step = RootStep {
            version: new.version(),
            groups: Vec::new(),
            removed_groups: Vec::new(),
            apps: BTreeMap::new(),
            removed_apps: Vec::new(),
        };
        for item in old.app_map().diff(new.app_map()) {
            match item {
                DiffItem::Add(id, app) => {
                    step.apps.insert(id.clone(), app.version);
                }
                DiffItem::Update { new: (id, app), .. } => {
                    step.apps.insert(id.clone(), app.version);
                }
                DiffItem::Remove(id, _) => step.removed_apps.push(id.clone()),
            }
        }
        for item in old.group_map().diff(new.group_map()) {
            match item {
                DiffItem::Add(_, group) => step.groups.push((**group).clone()),
                DiffItem::Update {
                    new: (_, group), ..
                } => step.groups.push((**group).clone()),
                DiffItem::Remove(id, _) => step.removed_groups.push(id.clone()),
            }
        }
        step
    }
}

/// All that was stored.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The framework's id.
    pub framework_id: Option<String>,
    /// The oldest root group.
    pub base: Option<RootBase>,
    /// What followed, by version.
    pub steps: BTreeMap<Timestamp, RootStep>,
    /// Definitions of apps.
    pub apps: Vec<Arc<App>>,
    /// Instances.
    pub instances: Vec<Instance>,
    /// Deployments that had not ended.
    pub deployments: Vec<StoredDeployment>,
    /// Last failures.
    pub failures: Vec<TaskFailure>,
}
