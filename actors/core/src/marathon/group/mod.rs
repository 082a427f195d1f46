//! The tree of groups and apps: a value that is never changed; every change makes a new one.
//! Starts no deployment and keeps no history.

mod apps;
mod body;
mod dependencies;
mod edit;
mod groups;
mod info;
mod ports;
mod roles;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cases;

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use crate::time::Now;

pub use apps::{Changed, OlderApp};
pub use info::{Embed, GroupInfo};

pub(crate) use dependencies::levels;
pub(crate) use edit::Edit;

use ports::ServicePorts;

/// A group without what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Where it stands in the tree.
    pub id: PathId,
    /// When it changed last.
    pub version: Timestamp,
    /// Apps and groups that must run before anything in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<PathId>,
    /// Whether its services must have its name as role; of top-level groups only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_role: Option<bool>,
}

/// All groups and apps at one version. Copies share memory, so that a copy costs nothing.
#[derive(Debug, Clone)]
pub struct RootGroup {
    apps: OrdMap<PathId, Arc<App>>,
    /// Every group, the root included.
    groups: OrdMap<PathId, Arc<Group>>,
    /// Apps and groups with dependencies of their own.
    dependents: OrdSet<PathId>,
    ports: ServicePorts,
}

impl RootGroup {
    /// A root group that holds nothing.
    pub fn empty(version: Timestamp) -> RootGroup {
        RootGroup::from_parts([], [], version)
    }

    /// The tree of stored groups and apps. Groups on the way to one of them that are not stored
    /// themselves are made; `version` is that of the root unless it is stored itself.
    pub fn from_parts(
        groups: impl IntoIterator<Item = Group>,
        apps: impl IntoIterator<Item = Arc<App>>,
        version: Timestamp,
    ) -> RootGroup {
        let mut root = RootGroup {
            apps: OrdMap::new(),
            groups: OrdMap::new(),
            dependents: OrdSet::new(),
            ports: ServicePorts::default(),
        };
        root.put_group(empty_group(PathId::root(), version, None));
        for group in groups {
            root.make_parents(&group.id, version, false);
            root.put_group(group);
        }
        for app in apps {
            root.make_parents(&app.id, version, false);
            root.put_app(app);
        }
        root
    }

    /// Version of the whole tree.
    pub fn version(&self) -> Timestamp {
        self.group(&PathId::root())
            .map(|group| group.version)
            .unwrap_or_default()
    }

    /// The version of a change made now: the time, but always later than the version before.
    pub fn next_version(&self, now: Now) -> Timestamp {
        let millis = i64::try_from(now.wall.0 / 1000).unwrap_or(i64::MAX);
        let after = self.version().as_millis().saturating_add(1);
        Timestamp::from_millis(millis.max(after))
    }

    /// An app by its id.
    pub fn app(&self, id: &PathId) -> Option<&Arc<App>> {
        self.apps.get(id)
    }

    /// A group by its id.
    pub fn group(&self, id: &PathId) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// How many apps there are.
    pub fn app_count(&self) -> usize {
        self.apps.len()
    }

    /// How many groups there are, the root included.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// All apps, sorted by id.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.values()
    }

    /// All groups, the root first, sorted by id.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// All apps anywhere below a group; costs no more than there are.
    pub fn apps_below(&self, group: &PathId) -> impl Iterator<Item = &Arc<App>> {
        let (from, to) = range_below(group);
        self.apps
            .range::<_, str>((Bound::Excluded(&*from), Bound::Excluded(&*to)))
            .map(|(_, app)| app)
    }

    /// All groups anywhere below a group.
    pub fn groups_below(&self, group: &PathId) -> impl Iterator<Item = &Arc<Group>> {
        let (from, to) = range_below(group);
        self.groups
            .range::<_, str>((Bound::Excluded(&*from), Bound::Excluded(&*to)))
            .map(|(_, group)| group)
    }

    /// Whether services of an app's top-level group must have its name as role.
    pub fn enforces_role(&self, id: &PathId) -> bool {
        let group = top_level(id).and_then(|top| self.group(&top).cloned());
        group.and_then(|group| group.enforce_role).unwrap_or(false)
    }

    /// The maps of apps of this and another root, for comparison.
    pub(crate) fn app_map(&self) -> &OrdMap<PathId, Arc<App>> {
        &self.apps
    }

    pub(crate) fn group_map(&self) -> &OrdMap<PathId, Arc<Group>> {
        &self.groups
    }

    fn put_app(&mut self, app: Arc<App>) {
        let id = app.id.clone();
        self.note_dependencies(&id, app.dependencies.is_empty());
        self.ports.take(&app);
        if let Some(old) = self.apps.insert(id, app) {
            self.ports.release(&old);
        }
    }

    fn remove_app_entry(&mut self, id: &PathId) -> Option<Arc<App>> {
        let app = self.apps.remove(id)?;
        self.ports.release(&app);
        self.dependents.remove(id);
        Some(app)
    }

    fn put_group(&mut self, group: Group) {
        self.note_dependencies(&group.id, group.dependencies.is_empty());
        self.groups.insert(group.id.clone(), Arc::new(group));
    }

    fn remove_group_entry(&mut self, id: &PathId) {
        self.groups.remove(id);
        self.dependents.remove(id);
    }

    fn note_dependencies(&mut self, id: &PathId, none: bool) {
        match none {
            true => self.dependents.remove(id),
            false => self.dependents.insert(id.clone()),
        };
    }

    /// Makes the groups above `id` that are missing.
    fn make_parents(&mut self, id: &PathId, version: Timestamp, enforce_role: bool) {
        let mut parent = id.parent();
        while !self.groups.contains_key(&parent) {
            let enforce_role = is_top_level(&parent).then_some(enforce_role);
            self.put_group(empty_group(parent.clone(), version, enforce_role));
            parent = parent.parent();
        }
    }
}

fn empty_group(id: PathId, version: Timestamp, enforce_role: Option<bool>) -> Group {
    Group {
        id,
        version,
        dependencies: Vec::new(),
        enforce_role,
    }
}

/// Bounds, both excluded, of the ids below a group: `/` is followed by `0` in the order of bytes.
fn range_below(group: &PathId) -> (String, String) {
    let path = group.as_str().trim_end_matches('/');
    (format!("{path}/"), format!("{path}0"))
}

/// Whether an id is a direct child of the root.
pub(crate) fn is_top_level(id: &PathId) -> bool {
    !id.is_root() && id.parent().is_root()
}

/// The top-level group a service or group is in or is; none for services at root level.
fn top_level(id: &PathId) -> Option<PathId> {
    let mut segments = id.segments();
    let first = segments.next()?;
    segments.next().map(|_| PathId::new(first))
}
