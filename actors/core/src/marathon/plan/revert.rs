//! Takes back what a plan changed and keeps what was changed meanwhile.
//! Makes a tree; the plan to it is made like any other.

use imbl::ordmap::DiffItem;
use tepui_protocol::marathon::{PathId, Timestamp};

use crate::marathon::definition::{Rejection, Settings};
use crate::marathon::group::{Edit, RootGroup};

/// The tree that DELETE of a deployment leads to: of `current`, what the deployment from `original`
/// to `target` changed is as it was in `original`. Apps it added are removed, apps it removed are
/// back, groups it added are removed if nothing else is in them.
pub fn revert(
    current: &RootGroup,
    (original, target): (&RootGroup, &RootGroup),
    settings: &Settings,
    version: Timestamp,
) -> Result<RootGroup, Rejection> {
    let mut edit = Edit::new(current, settings, version);
    revert_apps(&mut edit, original, target);
    revert_groups(&mut edit, original, target);
    edit.finish()
}

fn revert_apps(edit: &mut Edit, original: &RootGroup, target: &RootGroup) {
    for item in original.app_map().diff(target.app_map()) {
        match item {
            DiffItem::Add(id, _) => edit.remove_app(id),
            DiffItem::Remove(_, app) => edit.put_back(app),
            DiffItem::Update { old: (_, app), .. } => edit.put_back(app),
        }
    }
}

fn revert_groups(edit: &mut Edit, original: &RootGroup, target: &RootGroup) {
    let mut added: Vec<&PathId> = Vec::new();
    for item in original.group_map().diff(target.group_map()) {
        match item {
            DiffItem::Add(id, _) => added.push(id),
            DiffItem::Remove(id, group) => edit.put_group(id, |new| {
                new.dependencies.clone_from(&group.dependencies);
                new.enforce_role = group.enforce_role;
            }),
            DiffItem::Update {
                old: (id, before),
                new: (_, after),
            } => {
                let same = before.dependencies == after.dependencies
                    && before.enforce_role == after.enforce_role;
                if !same && edit.tree().group(id).is_some() {
                    edit.put_group(id, |new| {
                        new.dependencies.clone_from(&before.dependencies);
                        new.enforce_role = before.enforce_role;
                    });
                }
            }
        }
    }
    // The innermost first: a group is empty once those in it are gone.
    for id in added.into_iter().rev() {
        let tree = edit.tree();
        let holds = tree.apps_below(id).next().is_some() || tree.groups_below(id).next().is_some();
        if !holds && tree.group(id).is_some() {
            edit.remove_group(id);
        }
    }
}
