//! Groups as GET /v2/groups shows them, members in Marathon's order.
//! What is shown of an app is the caller's matter.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::RootGroup;

/// Which members of a group are filled; the others are shown empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embed {
    /// `group.groups`.
    pub groups: bool,
    /// `group.apps`.
    pub apps: bool,
    /// `group.pods`.
    pub pods: bool,
}

impl Embed {
    /// What is shown unless the query chooses.
    pub const ALL: Embed = Embed {
        groups: true,
        apps: true,
        pods: true,
    };

    /// The choices of `embed` parameters; without one that names a member of groups, all of them.
    /// `group.apps.<embed of apps>` chooses apps too.
    pub fn from_query<'a>(values: impl IntoIterator<Item = &'a str>) -> Embed {
        let mut embed = Embed {
            groups: false,
            apps: false,
            pods: false,
        };
        for value in values {
            embed.groups |= value == "group.groups";
            embed.pods |= value == "group.pods";
            embed.apps |= value == "group.apps" || value.starts_with("group.apps.");
        }
        if !(embed.groups || embed.apps || embed.pods) {
            return Embed::ALL;
        }
        embed
    }
}

/// A group as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo<A> {
    /// Its id.
    pub id: PathId,
    /// Apps directly in it.
    pub apps: Vec<A>,
    /// Pods directly in it; always empty until there are pods.
    pub pods: Vec<Value>,
    /// Groups directly in it.
    pub groups: Vec<GroupInfo<A>>,
    /// What must run before it.
    pub dependencies: Vec<PathId>,
    /// When it changed last.
    pub version: Timestamp,
    /// Of top-level groups only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_role: Option<bool>,
}

impl RootGroup {
    /// A group with what is embedded; none when there is no such group. `show` makes of an app what
    /// is shown of it, or leaves it out. Costs as much as the group holds.
    pub fn info<A>(
        &self,
        id: &PathId,
        embed: Embed,
        mut show: impl FnMut(&Arc<App>) -> Option<A>,
    ) -> Option<GroupInfo<A>> {
        let group = self.group(id)?;
        let mut apps: HashMap<PathId, Vec<A>> = HashMap::new();
        if embed.apps {
            for app in self.apps_below(id) {
                // Without embedded groups only the outermost one is shown.
                let parent = app.id.parent();
                if !embed.groups && parent != *id {
                    continue;
                }
                if let Some(shown) = show(app) {
                    apps.entry(parent).or_default().push(shown);
                }
            }
        }
        let mut children: HashMap<PathId, Vec<PathId>> = HashMap::new();
        if embed.groups {
            for child in self.groups_below(id) {
                let siblings = children.entry(child.id.parent()).or_default();
                siblings.push(child.id.clone());
            }
        }
        self.assemble(&group.id, &mut apps, &mut children)
    }

    /// Ids have a bounded number of segments, so recursion is bounded too.
    fn assemble<A>(
        &self,
        id: &PathId,
        apps: &mut HashMap<PathId, Vec<A>>,
        children: &mut HashMap<PathId, Vec<PathId>>,
    ) -> Option<GroupInfo<A>> {
        let group = self.group(id)?;
        let below = children.remove(id).unwrap_or_default();
        let groups = below
            .iter()
            .filter_map(|child| self.assemble(child, apps, children));
        let groups = groups.collect();
        Some(GroupInfo {
            id: id.clone(),
            apps: apps.remove(id).unwrap_or_default(),
            pods: Vec::new(),
            groups,
            dependencies: group.dependencies.clone(),
            version: group.version,
            enforce_role: group.enforce_role,
        })
    }
}
