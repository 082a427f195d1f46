//! From one tree of apps to the next: what is started, stopped, scaled and restarted in which order,
//! and the way back. Carries nothing out.

mod change;
mod revert;
#[cfg(test)]
mod tests;

pub use change::is_config_change;
pub use revert::revert;

use std::collections::BTreeMap;

use imbl::ordmap::DiffItem;
use tepui_protocol::marathon::{
    ActionKind, App, DeploymentAction, DeploymentPlan, DeploymentStep, PathId, Timestamp,
};

use super::group::{RootGroup, levels};
use super::instance::config_version;

/// The plan from `old` to `new`, as in Marathon: one step stops what is gone, one starts what is new
/// without instances, then one step for each level of dependencies, the lowest first. Empty steps
/// are left out; actions of a step are sorted by app. A restart is told from its version, which
/// `new` already has.
pub fn plan(old: &RootGroup, new: &RootGroup, id: String, version: Timestamp) -> DeploymentPlan {
    let mut stops = Vec::new();
    let mut starts = Vec::new();
    let mut changes: Vec<(PathId, ActionKind)> = Vec::new();
    for item in old.app_map().diff(new.app_map()) {
        match item {
            DiffItem::Add(id, _) => {
                starts.push(action(ActionKind::StartApplication, id));
                changes.push((id.clone(), ActionKind::ScaleApplication));
            }
            DiffItem::Remove(id, _) => stops.push(action(ActionKind::StopApplication, id)),
            DiffItem::Update {
                old: (_, before),
                new: (id, after),
            } => {
                if let Some(kind) = kind_of_change(before, after) {
                    changes.push((id.clone(), kind));
                }
            }
        }
    }
    let mut steps = vec![stops, starts];
    steps.extend(by_level(new, changes));
    let step = |actions: Vec<DeploymentAction>| DeploymentStep { actions };
    let steps = steps.into_iter().filter(|actions| !actions.is_empty());
    DeploymentPlan {
        id,
        steps: steps.map(step).collect(),
        version,
    }
}

fn action(action: ActionKind, app: &PathId) -> DeploymentAction {
    DeploymentAction {
        action,
        app: Some(app.clone()),
        pod: None,
    }
}

/// Scaling to no instances needs no restart, whatever else changed.
fn kind_of_change(before: &App, after: &App) -> Option<ActionKind> {
    let restart = config_version(before) != config_version(after);
    let scaled = before.instances != after.instances;
    if is_config_change(before, after) || restart {
        return Some(match after.instances {
            0 => ActionKind::ScaleApplication,
            _ => ActionKind::RestartApplication,
        });
    }
    scaled.then_some(ActionKind::ScaleApplication)
}

fn by_level(root: &RootGroup, changes: Vec<(PathId, ActionKind)>) -> Vec<Vec<DeploymentAction>> {
    // A tree whose dependencies run in a circle is never accepted; were there one, all would be of
    // one level.
    let levels = levels(root, changes.iter().map(|(id, _)| id)).unwrap_or_default();
    let mut steps: BTreeMap<usize, Vec<DeploymentAction>> = BTreeMap::new();
    for (id, kind) in changes {
        let level = levels.get(&id).copied().unwrap_or(0);
        steps.entry(level).or_default().push(action(kind, &id));
    }
    steps.into_values().collect()
}
