//! Changes of groups: create, replace, scale, go back to an older version, remove, enforce the role.
//! Pods are not among what a group body can hold.

use std::collections::BTreeSet;

use serde_json::Value;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::body::{GroupBody, read_group, read_group_patch};
use super::{Edit, RootGroup, apps, is_top_level};
use crate::marathon::definition::{
    self, AppBody, Details, Findings, Rejection, Settings, check_id, read_body,
};

const ALONE: &str = "not allowed in conjunction with other properties.";

impl RootGroup {
    /// POST /v2/groups[/{base}]: 409 when the group exists or an app has its id. Returns the id.
    pub fn create_group(
        &self,
        base: &PathId,
        body: &Value,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<(RootGroup, PathId), Rejection> {
        let body = read_body(body, read_group)?;
        let id = base.resolve(body.id.as_deref().unwrap_or_default());
        check_alone(&body)?;
        if self.group(&id).is_some() {
            let text = format!("Group {id} is already created. Use PUT to change this group.");
            return Err(Rejection::message(409, text));
        }
        if self.app(&id).is_some() {
            let text = format!("An app with the path {id} already exists.");
            return Err(Rejection::message(409, text));
        }
        let root = self.with_group(&id, body, None, settings, version)?;
        Ok((root, id))
    }

    /// PUT /v2/groups[/{id}]: makes the group or changes it, scales it, or goes back to how it was
    /// in `older`, the tree at the version the body names; none when that is not stored.
    pub fn put_group_body(
        &self,
        base: &PathId,
        body: &Value,
        older: Option<&RootGroup>,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<(RootGroup, PathId), Rejection> {
        let body = read_body(body, read_group)?;
        check_alone(&body)?;
        let id = base.resolve(body.id.as_deref().unwrap_or_default());
        let root = self.with_group(&id, body, older, settings, version)?;
        Ok((root, id))
    }

    /// PATCH /v2/groups/{id}: sets `enforceRole` of a top-level group; absent means the default for
    /// new groups. No deployment follows, services keep their roles.
    pub fn patch_group(
        &self,
        id: &PathId,
        body: &Value,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        let enforce_role = read_body(body, read_group_patch)?;
        if !is_top_level(id) {
            return Err(Rejection::one("", "Path needs to be top-level"));
        }
        if self.group(id).is_none() {
            return Err(Rejection::no_group(id).with_empty_details());
        }
        let enforce_role = enforce_role.unwrap_or(settings.new_group_enforce_role);
        let mut edit = Edit::new(self, settings, version);
        edit.put_group(id, |group| group.enforce_role = Some(enforce_role));
        edit.finish()
    }

    /// DELETE /v2/groups[/{id}]: removes a group with all it holds; 404 when it is missing.
    pub fn remove_group(
        &self,
        id: &PathId,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        self.group(id).ok_or_else(|| Rejection::no_group(id))?;
        let mut edit = Edit::new(self, settings, version);
        edit.remove_group(id);
        edit.finish()
    }

    fn with_group(
        &self,
        id: &PathId,
        body: GroupBody,
        older: Option<&RootGroup>,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        let mut edit = Edit::new(self, settings, version);
        if let Some(wanted) = body.version {
            go_back(&mut edit, id, wanted, older)?;
        } else if let Some(factor) = body.scale_by {
            self.group(id).ok_or_else(|| Rejection::no_group(id))?;
            scale(&mut edit, id, factor)?;
        } else {
            let mut findings = Findings::default();
            apply(&mut edit, id, body, "", &mut findings)?;
            findings.into_result()?;
        }
        edit.finish()
    }
}

/// `version` and `scaleBy` exclude every other member.
fn check_alone(body: &GroupBody) -> Result<(), Rejection> {
    let version = GroupBody {
        version: body.version,
        ..GroupBody::default()
    };
    let scale_by = GroupBody {
        scale_by: body.scale_by,
        ..GroupBody::default()
    };
    let mut findings = Findings::default();
    let fine = body.version.is_none() || *body == version;
    findings.check(fine, "/version", ALONE);
    let fine = body.scale_by.is_none() || *body == scale_by;
    findings.check(fine, "/scaleBy", ALONE);
    findings.into_result()
}

/// Lays a body over a group. Lists that are given replace what is there; mistakes of all apps are
/// noted below `path`. Bodies nest no deeper than ids may, so recursion is bounded.
fn apply(
    edit: &mut Edit,
    id: &PathId,
    body: GroupBody,
    path: &str,
    findings: &mut Findings,
) -> Result<(), Rejection> {
    if !id.is_root() {
        check_id(id, &format!("{path}/id"), findings);
    }
    check_enforce_role(edit, id, &body, path, findings);
    if !findings.is_empty() {
        return Ok(());
    }
    edit.put_group(id, |group| {
        if let Some(dependencies) = body.dependencies {
            group.dependencies = dependencies.iter().map(|text| id.resolve(text)).collect();
        }
        if body.enforce_role.is_some() {
            group.enforce_role = body.enforce_role;
        }
    });
    if let Some(groups) = body.groups {
        apply_groups(edit, id, groups, path, findings)?;
    }
    if let Some(apps) = body.apps {
        apply_apps(edit, id, apps, path, findings)?;
    }
    Ok(())
}

fn check_enforce_role(
    edit: &Edit,
    id: &PathId,
    body: &GroupBody,
    path: &str,
    findings: &mut Findings,
) {
    let Some(wanted) = body.enforce_role else {
        return;
    };
    let at = format!("{path}/enforceRole");
    let text =
        format!("enforceRole can only be set for top-level groups, and {id} is not top-level");
    findings.check(is_top_level(id), &at, text);
    let current = edit.tree().group(id).and_then(|group| group.enforce_role);
    let changes = current.is_some_and(|current| current != wanted);
    let services = body.apps.is_some() || body.groups.is_some();
    let text = "enforceRole cannot be changed together with apps or groups; change it first";
    findings.check(!(changes && services), &at, text);
}

fn not_child(parent: &PathId) -> String {
    format!("Identifier is not child of '{parent}'. Hint: use relative paths.")
}

fn apply_groups(
    edit: &mut Edit,
    id: &PathId,
    groups: Vec<GroupBody>,
    path: &str,
    findings: &mut Findings,
) -> Result<(), Rejection> {
    let resolve = |body: &GroupBody| id.resolve(body.id.as_deref().unwrap_or_default());
    let listed: BTreeSet<PathId> = groups.iter().map(resolve).collect();
    // A listed group further down keeps the groups on the way to it.
    let kept = |group: &PathId| listed.iter().any(|listed| group.holds(listed));
    let tree = edit.tree();
    let children = tree.groups_below(id).map(|group| &group.id);
    let children = children.filter(|child| child.parent() == *id && !kept(child));
    let gone: Vec<PathId> = children.cloned().collect();
    for child in &gone {
        edit.remove_group(child);
    }
    for (index, body) in groups.into_iter().enumerate() {
        let at = format!("{path}/groups({index})");
        let child = resolve(&body);
        if child == *id || !id.holds(&child) {
            findings.add(&format!("{at}/id"), not_child(id));
            continue;
        }
        if body.version.is_some() || body.scale_by.is_some() {
            findings.add(
                &at,
                "version and scaleBy are only allowed for the outermost group",
            );
            continue;
        }
        apply(edit, &child, body, &at, findings)?;
    }
    Ok(())
}

fn apply_apps(
    edit: &mut Edit,
    id: &PathId,
    bodies: Vec<AppBody>,
    path: &str,
    findings: &mut Findings,
) -> Result<(), Rejection> {
    let resolve = |body: &AppBody| id.resolve(body.id.as_deref().unwrap_or_default());
    let listed: BTreeSet<PathId> = bodies.iter().map(resolve).collect();
    let tree = edit.tree();
    let children = tree.apps_below(id).map(|app| &app.id);
    let children = children.filter(|child| child.parent() == *id && !listed.contains(*child));
    let gone: Vec<PathId> = children.cloned().collect();
    for child in &gone {
        edit.remove_app(child);
    }
    for (index, body) in bodies.into_iter().enumerate() {
        let at = format!("{path}/apps({index})");
        let child = resolve(&body);
        if child == *id || !id.holds(&child) {
            findings.add(&format!("{at}/id"), not_child(id));
            continue;
        }
        match edit
            .tree()
            .define(body, child, edit.settings(), edit.version())
        {
            Ok(app) => edit.put_app(app),
            Err(rejection) => absorb(rejection, &at, findings)?,
        }
    }
    Ok(())
}

/// Notes what is wrong with an app below the place where the group lists it.
fn absorb(rejection: Rejection, at: &str, findings: &mut Findings) -> Result<(), Rejection> {
    let Some(Details::List(details)) = rejection.details else {
        return Err(rejection);
    };
    for detail in details {
        let path = format!("{at}{}", detail.path.trim_end_matches('/'));
        for error in detail.errors {
            findings.add(&path, error);
        }
    }
    Ok(())
}

/// Multiplies the instances of every app below a group, rounded up.
fn scale(edit: &mut Edit, id: &PathId, factor: f64) -> Result<(), Rejection> {
    let scaled = |app: &App| {
        let wanted = (f64::from(app.instances) * factor).ceil();
        // The cast saturates, and too many instances are refused.
        let instances = apps::instances(wanted as i64)?;
        Ok(App {
            instances,
            ..app.clone()
        })
    };
    let tree = edit.tree();
    let all: Result<Vec<App>, Rejection> = tree.apps_below(id).map(|app| scaled(app)).collect();
    for app in all? {
        let roles = edit.tree().roles_of(&app.id, edit.settings());
        definition::check(&app, &roles, edit.settings())?;
        edit.put_app(app);
    }
    Ok(())
}

/// Makes a group what it was in an older tree.
fn go_back(
    edit: &mut Edit,
    id: &PathId,
    wanted: Timestamp,
    older: Option<&RootGroup>,
) -> Result<(), Rejection> {
    let found = older.filter(|older| older.group(id).is_some());
    let older = found.ok_or_else(|| Rejection::no_version(id, wanted))?;
    edit.remove_group(id);
    let groups = older.group(id).into_iter().chain(older.groups_below(id));
    for group in groups {
        edit.put_group(&group.id, |new| {
            new.dependencies.clone_from(&group.dependencies);
            new.enforce_role = group.enforce_role;
        });
    }
    for app in older.apps_below(id) {
        let roles = edit.tree().roles_of(&app.id, edit.settings());
        let roles = definition::Roles {
            allowed: roles
                .allowed
                .into_iter()
                .chain([app.role.clone()])
                .collect(),
            ..roles
        };
        definition::check(app, &roles, edit.settings())?;
        edit.put_back(app);
    }
    Ok(())
}
