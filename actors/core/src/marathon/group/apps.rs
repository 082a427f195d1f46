//! Changes of apps: create, replace, update, remove, scale, restart, one or several at a time.
//! Groups are changed elsewhere.

use std::sync::Arc;

use serde_json::Value;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::{Edit, RootGroup};
use crate::marathon::definition::{
    self, AppBody, Rejection, Settings, read_app, read_body, read_update,
};

/// Finds the definition an app had at a version; none when it is not stored.
pub type OlderApp<'a> = &'a dyn Fn(&PathId, Timestamp) -> Option<Arc<App>>;

/// What a change of one app made.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The tree with the change.
    pub root: RootGroup,
    /// The definition before it became part of the tree: service ports that are not assigned yet
    /// are 0 and `versionInfo` is absent. Answers and `api_post_event` show it so.
    pub app: App,
    /// The app did not exist before.
    pub created: bool,
}

impl RootGroup {
    /// POST /v2/apps: 409 when the id is taken, 422 when the body is not a valid app.
    pub fn create_app(
        &self,
        body: &Value,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<Changed, Rejection> {
        let body = read_body(body, |at| read_app(at, false))?;
        let id = PathId::new(body.id.as_deref().unwrap_or_default());
        let app = self.define(body, id.clone(), settings, version)?;
        if self.app(&id).is_some() {
            let text = format!("An app with id [{id}] already exists.");
            return Err(Rejection::message(409, text));
        }
        self.with_app(app, settings, version)
    }

    /// PUT /v2/apps/{id}: changes the app, or makes it when it is missing. Unless `partial`, the
    /// body is a complete definition.
    pub fn put_app_body(
        &self,
        id: &PathId,
        body: &Value,
        (partial, older): (bool, OlderApp),
        settings: &Settings,
        version: Timestamp,
    ) -> Result<Changed, Rejection> {
        let app = match self.app(id) {
            Some(stored) if partial => {
                let update = read_body(body, read_update)?;
                self.updated(stored, update, older, settings, version)?
            }
            _ => {
                let body = read_body(body, |at| read_app(at, true))?;
                self.define(body, id.clone(), settings, version)?
            }
        };
        self.with_app(app, settings, version)
    }

    /// PATCH /v2/apps/{id}: 404 when the app is missing, after the body was checked as a whole one.
    pub fn patch_app(
        &self,
        id: &PathId,
        body: &Value,
        older: OlderApp,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<Changed, Rejection> {
        if self.app(id).is_none() {
            let body = read_body(body, |at| read_app(at, true))?;
            self.define(body, id.clone(), settings, version)?;
            return Err(Rejection::no_app(id));
        }
        self.put_app_body(id, body, (true, older), settings, version)
    }

    /// PUT /v2/apps, and PATCH when not `may_create`: several apps in one change.
    pub fn put_apps(
        &self,
        body: &Value,
        (partial, may_create): (bool, bool),
        older: OlderApp,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        let read = |at: &definition::At| match partial {
            true => at.list(read_update),
            false => at.list(|app| read_app(app, false)),
        };
        let bodies = read_body(body, read)?;
        let mut edit = Edit::new(self, settings, version);
        for body in bodies {
            let Some(id) = body.id.as_deref().map(PathId::new) else {
                let text = "requirement failed: App Update must have app id set";
                return Err(Rejection::message(422, text));
            };
            let tree = edit.tree();
            let app = match tree.app(&id) {
                Some(stored) if partial => tree.updated(stored, body, older, settings, version)?,
                None if !may_create => return Err(Rejection::no_app(&id)),
                _ => tree.define(body, id, settings, version)?,
            };
            edit.put_app(app);
        }
        edit.finish()
    }

    /// Removes an app: 404 when it is missing. Its group stays.
    pub fn remove_app(
        &self,
        id: &PathId,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        let mut edit = Edit::new(self, settings, version);
        self.app(id).ok_or_else(|| Rejection::no_app(id))?;
        edit.remove_app(id);
        edit.finish()
    }

    /// Adds `delta` to the wanted instances of an app, not going below none: 404 when it is missing.
    pub fn scale_app_by(
        &self,
        id: &PathId,
        delta: i64,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        let stored = self.app(id).ok_or_else(|| Rejection::no_app(id))?;
        let mut app = (**stored).clone();
        let wanted = i64::from(app.instances).saturating_add(delta);
        app.instances = instances(wanted)?;
        definition::check(&app, &self.roles_of(id, settings), settings)?;
        let mut edit = Edit::new(self, settings, version);
        edit.put_app(app);
        edit.finish()
    }

    /// Gives an app a new version, so that its instances are replaced: 404 when it is missing.
    pub fn restart_app(
        &self,
        id: &PathId,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<RootGroup, Rejection> {
        self.app(id).ok_or_else(|| Rejection::no_app(id))?;
        let mut edit = Edit::new(self, settings, version);
        edit.restart(id);
        edit.finish()
    }

    pub(super) fn define(
        &self,
        body: AppBody,
        id: PathId,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<App, Rejection> {
        let roles = self.roles_of(&id, settings);
        definition::define(body, id, (&roles, settings), version)
    }

    /// An update laid over a stored app, or the older definition that it names.
    fn updated(
        &self,
        stored: &App,
        update: AppBody,
        older: OlderApp,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<App, Rejection> {
        let roles = self.roles_of(&stored.id, settings);
        let wanted = update.version;
        let app = definition::change(stored, update, (&roles, settings), version)?;
        let Some(wanted) = wanted else {
            return Ok(app);
        };
        let found = older(&stored.id, wanted).ok_or_else(|| Rejection::no_app(&stored.id))?;
        definition::check(&found, &roles, settings)?;
        Ok((*found).clone())
    }

    fn with_app(
        &self,
        app: App,
        settings: &Settings,
        version: Timestamp,
    ) -> Result<Changed, Rejection> {
        let created = self.app(&app.id).is_none();
        let mut edit = Edit::new(self, settings, version);
        edit.put_app(app.clone());
        let root = edit.finish()?;
        Ok(Changed { root, app, created })
    }
}

/// A number of wanted instances; none below zero.
pub(super) fn instances(wanted: i64) -> Result<u32, Rejection> {
    let most = i64::from(i32::MAX);
    if wanted > most {
        let text = format!("got {wanted}, expected at most {most}");
        return Err(Rejection::one("/instances", text));
    }
    Ok(u32::try_from(wanted.max(0)).unwrap_or(0))
}
