//! The manager at the start: from what was stored to a state that carries on.
//! Reads no store.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::marathon::{App, PathId};

use super::figures::Figures;
use super::history::History;
use super::look::Look;
use super::messages::Effect;
use super::offers::{MAX_COMPILED, Placements};
use super::records::{Change, Stored};
use super::translate::store;
use super::{Manager, ManagerSettings, stamp};
use crate::ids::{IdSource, Role};
use crate::marathon::constraint::RulesCache;
use crate::marathon::engine::{Engine, Restored};
use crate::marathon::group::RootGroup;
use crate::marathon::instance::config_version;
use crate::time::Now;

/// Why what was stored cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Root groups name apps whose definitions are not there.
    #[error(
        "the stored state has no definition of {}; restore a backup", 
        .0.iter().map(PathId::as_str).collect::<Vec<_>>().join(", ")
    )]
    MissingDefinitions(Vec<PathId>),
    /// There are apps, but no root group.
    #[error("the stored state has {0} definitions of apps but no root group; restore a backup")]
    NoRoot(usize),
}

impl Manager {
    /// Starts with what was stored, which is nothing the first time.
    ///
    /// # Errors
    /// When the stored state contradicts itself; nothing is to be written then.
    pub fn restore(
        settings: ManagerSettings,
        stored: Stored,
        random: IdSource,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<Manager, RestoreError> {
        let (history, root) = match stored.base {
            Some(base) => History::restored(base, stored.steps.into_values(), stored.apps)
                .map_err(RestoreError::MissingDefinitions)?,
            None if !stored.apps.is_empty() => {
                return Err(RestoreError::NoRoot(stored.apps.len()));
            }
            None => {
                let root = RootGroup::empty(stamp(now));
                let history = History::new(&root);
                store(Change::RootBase(history.base().clone()), out);
                (history, root)
            }
        };
        let definitions = history.apps().values().flat_map(OrdMap::values).cloned();
        let restored = Restored {
            apps: root.apps().cloned().collect(),
            definitions: definitions.collect(),
            instances: stored.instances,
            deployments: stored.deployments,
        };
        let roles = roles_of(&settings, &root, &restored);
        let mut wanted = Vec::new();
        let engine = Engine::restore(settings.engine.clone(), restored, now, &mut wanted);
        let failures = stored.failures.into_iter();
        let failures = failures.map(|failure| (failure.app_id.clone(), Arc::new(failure)));
        let mut manager = Manager {
            settings,
            root,
            history,
            engine,
            views: OrdMap::new(),
            failures: failures.collect(),
            placements: Placements::default(),
            look: Look::default(),
            rules: RulesCache::new(MAX_COMPILED),
            random,
            framework_id: stored.framework_id,
            roles,
            figures: Figures::default(),
            wanted: Vec::new(),
        };
        let known: Vec<_> = manager.engine.instances().map(|it| it.id.clone()).collect();
        for app in manager.root.apps() {
            manager.placements.set_app(app, &OrdMap::new());
        }
        for id in known {
            manager.refresh(&id);
        }
        manager.perform(&mut wanted, out);
        manager.forget_useless(out);
        Ok(manager)
    }

    /// Forgets what an earlier run could not: definitions whose last instance ended later than their
    /// place in the history, and failures of apps that are gone.
    fn forget_useless(&mut self, out: &mut Vec<Effect>) {
        let mut changes = Vec::new();
        let used = self.used_definitions();
        let is_used = |app: &App| used.contains(&(app.id.clone(), config_version(app)));
        self.history.forget_all_definitions(is_used, &mut changes);
        let gone: Vec<PathId> = self
            .failures
            .keys()
            .filter(|id| !self.engine.knows(id))
            .cloned()
            .collect();
        for id in gone {
            self.failures.remove(&id);
            changes.push(Change::ForgetTaskFailure(id));
        }
        for change in changes {
            store(change, out);
        }
    }

    fn used_definitions(&self) -> BTreeSet<(PathId, tepui_protocol::marathon::Timestamp)> {
        let instances = self.engine.instances();
        instances.map(|it| (it.app.clone(), it.version)).collect()
    }
}

/// Roles of all apps, and of those that are being removed: their tasks belong to them.
fn roles_of(settings: &ManagerSettings, root: &RootGroup, restored: &Restored) -> BTreeSet<Role> {
    let owners: BTreeSet<_> = restored
        .instances
        .iter()
        .map(|it| (&it.app, it.version))
        .collect();
    let definitions = restored.definitions.iter();
    let running = definitions.filter(|app| owners.contains(&(&app.id, config_version(app))));
    let roles = root.apps().chain(running).map(|app| app.role.as_str());
    roles
        .chain([settings.definition.mesos_role.as_str()])
        .map(Role::from)
        .collect()
}
