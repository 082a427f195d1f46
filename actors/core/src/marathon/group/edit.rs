//! One change of the tree in the making: what is put and removed, then ports, versions and rules.
//! Knows nothing of bodies.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tepui_protocol::marathon::{App, PathId, Timestamp, VersionInfo};

use super::{Group, RootGroup, dependencies, empty_group, is_top_level, ports};
use crate::marathon::definition::{Findings, Rejection, Settings, check_id};
use crate::marathon::instance::config_version;
use crate::marathon::plan::is_config_change;

/// A change of the tree in the making.
pub(crate) struct Edit<'a> {
    old: &'a RootGroup,
    new: RootGroup,
    settings: &'a Settings,
    version: Timestamp,
    touched: BTreeSet<PathId>,
    restarts: HashSet<PathId>,
}

impl<'a> Edit<'a> {
    /// Begins a change of `old` that becomes `version`.
    pub fn new(old: &'a RootGroup, settings: &'a Settings, version: Timestamp) -> Edit<'a> {
        Edit {
            old,
            new: old.clone(),
            settings,
            version,
            touched: BTreeSet::new(),
            restarts: HashSet::new(),
        }
    }

    /// The tree as it is so far.
    pub fn tree(&self) -> &RootGroup {
        &self.new
    }

    /// The configuration.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The version the change becomes.
    pub fn version(&self) -> Timestamp {
        self.version
    }

    /// Adds or replaces an app; groups on the way to it are made.
    pub fn put_app(&mut self, app: App) {
        let enforce_role = self.settings.new_group_enforce_role;
        self.new.make_parents(&app.id, self.version, enforce_role);
        self.touched.insert(app.id.clone());
        self.new.put_app(Arc::new(app));
    }

    /// Puts an app back as it was stored; a new version of it is begun even if only the version of
    /// its configuration differs.
    pub fn put_back(&mut self, app: &App) {
        let current = self.old.app(&app.id);
        if current.is_some_and(|current| config_version(current) != config_version(app)) {
            self.restarts.insert(app.id.clone());
        }
        self.put_app(app.clone());
    }

    /// Gives an app a new version although nothing of it changes.
    pub fn restart(&mut self, id: &PathId) {
        self.restarts.insert(id.clone());
        self.touched.insert(id.clone());
    }

    /// Removes an app; its group stays.
    pub fn remove_app(&mut self, id: &PathId) {
        self.new.remove_app_entry(id);
        self.touched.insert(id.clone());
    }

    /// Removes a group and all it holds; of the root only what it holds.
    pub fn remove_group(&mut self, id: &PathId) {
        let apps: Vec<PathId> = self.new.apps_below(id).map(|app| app.id.clone()).collect();
        let groups: Vec<PathId> = self.new.groups_below(id).map(|g| g.id.clone()).collect();
        for app in &apps {
            self.remove_app(app);
        }
        for group in &groups {
            self.new.remove_group_entry(group);
        }
        if id.is_root() {
            self.new
                .put_group(empty_group(PathId::root(), self.version, None));
            return;
        }
        self.new.remove_group_entry(id);
        self.renew_group(&id.parent());
    }

    /// Adds a group, or changes the one that is there; those on the way to it are made.
    pub fn put_group(&mut self, id: &PathId, change: impl FnOnce(&mut Group)) {
        let default = self.settings.new_group_enforce_role;
        self.new.make_parents(id, self.version, default);
        let enforce_role = is_top_level(id).then_some(default);
        let before = self.new.group(id).map(|group| (**group).clone());
        let is_new = before.is_none();
        let mut group =
            before.unwrap_or_else(|| empty_group(id.clone(), self.version, enforce_role));
        change(&mut group);
        group.version = self.version;
        self.new.put_group(group);
        if is_new {
            self.renew_group(&id.parent());
        }
    }

    fn renew_group(&mut self, id: &PathId) {
        if let Some(group) = self.new.group(id) {
            let mut group = (**group).clone();
            group.version = self.version;
            self.new.put_group(group);
        }
    }

    /// Assigns service ports, fills in versions and checks the rules for the whole tree. Only what
    /// was touched is looked at, and what has dependencies.
    pub fn finish(mut self) -> Result<RootGroup, Rejection> {
        let mut findings = Findings::default();
        let touched = std::mem::take(&mut self.touched);
        for id in &touched {
            self.check_place(id, &mut findings);
        }
        findings.into_result()?;
        for id in &touched {
            self.settle(id)?;
        }
        self.renew_group(&PathId::root());
        if dependencies::check(&self.new).is_err() {
            let text = "Dependency graph has cyclic dependencies.";
            return Err(Rejection::one("", text));
        }
        Ok(self.new)
    }

    /// A group and an app may not share an id, nor may an app stand above another.
    fn check_place(&self, id: &PathId, findings: &mut Findings) {
        if self.new.app(id).is_none() {
            return;
        }
        check_id(id, "/id", findings);
        let mut above = id.parent();
        let mut shared = self.new.group(id).is_some();
        while !above.is_root() {
            shared |= self.new.app(&above).is_some();
            above = above.parent();
        }
        let text = "Groups and Applications may not have the same identifier.";
        findings.check(!shared, "", text);
    }

    fn settle(&mut self, id: &PathId) -> Result<(), Rejection> {
        let before = self.old.app(id).cloned();
        let Some(app) = self.new.app(id).cloned() else {
            if before.is_some() {
                self.renew_group(&id.parent());
            }
            return Ok(());
        };
        let mut after = (*app).clone();
        let changed = before
            .as_ref()
            .is_none_or(|before| is_config_change(before, &after));
        if changed {
            let ports = (&self.old.ports, &self.new.ports);
            ports::assign(&mut after, before.as_deref(), ports, self.settings)?;
        }
        let restart = self.restarts.contains(id);
        set_version(&mut after, before.as_deref(), restart, self.version);
        match before {
            // The same value keeps its memory, so that comparing trees skips it.
            Some(before) if *before == after => self.new.put_app(before),
            _ => {
                self.new.put_app(Arc::new(after));
                self.renew_group(&id.parent());
            }
        }
        Ok(())
    }
}

/// New configuration: all three stamps are new; other number of instances: version and last scaling;
/// restart: version and last configuration change; nothing of these: the stamps stay.
fn set_version(app: &mut App, before: Option<&App>, restart: bool, version: Timestamp) {
    let stamps = before.map(|before| {
        let info = before.version_info.unwrap_or(VersionInfo {
            last_scaling_at: before.version,
            last_config_change_at: before.version,
        });
        (before, info)
    });
    let (scaling, config) = match stamps {
        Some((before, info)) if !is_config_change(before, app) => {
            let scaled = before.instances != app.instances;
            if !scaled && !restart {
                app.version = before.version;
                app.version_info = before.version_info;
                return;
            }
            let scaling = if scaled {
                version
            } else {
                info.last_scaling_at
            };
            let config = if restart {
                version
            } else {
                info.last_config_change_at
            };
            (scaling, config)
        }
        _ => (version, version),
    };
    app.version = version;
    app.version_info = Some(VersionInfo {
        last_scaling_at: scaling,
        last_config_change_at: config,
    });
}
