//! Earlier root groups and definitions of apps, as many as are worth keeping.
//! Decides what may be forgotten; writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::records::{Change, RootBase, RootStep};
use crate::marathon::group::RootGroup;

/// Definitions of one app by version.
pub(super) type Versions = OrdMap<Timestamp, Arc<App>>;

/// The history of the root group. Copies share memory.
#[derive(Debug, Clone)]
pub(super) struct History {
    base: Arc<RootBase>,
    steps: OrdMap<Timestamp, Arc<RootStep>>,
    roots: OrdMap<Timestamp, RootGroup>,
    apps: OrdMap<PathId, Versions>,
}

impl History {
    /// Of a root group without a past.
    pub(super) fn new(root: &RootGroup) -> History {
        History {
            base: Arc::new(RootBase::of(root)),
            steps: OrdMap::new(),
            roots: OrdMap::unit(root.version(), root.clone()),
            apps: OrdMap::new(),
        }
    }

    /// Of the oldest root group and what followed it; `apps` are all definitions that are stored.
    ///
    /// # Errors
    /// The apps of some root group whose definitions are missing.
    pub(super) fn restored(
        base: RootBase,
        steps: impl IntoIterator<Item = RootStep>,
        apps: impl IntoIterator<Item = Arc<App>>,
    ) -> Result<(History, RootGroup), Vec<PathId>> {
        let mut all: OrdMap<PathId, Versions> = OrdMap::new();
        for app in apps {
            all.entry(app.id.clone())
                .or_default()
                .insert(app.version, app);
        }
        let find = |id: &PathId, version| all.get(id)?.get(&version).cloned();
        let mut current = base.clone();
        let mut root = current.root(find)?;
        let mut history = History {
            base: Arc::new(base),
            steps: OrdMap::new(),
            roots: OrdMap::unit(root.version(), root.clone()),
            apps: OrdMap::new(),
        };
        for step in steps {
            current.follow(&step);
            root = current.root(find)?;
            history.roots.insert(step.version, root.clone());
            history.steps.insert(step.version, Arc::new(step));
        }
        history.apps = all;
        Ok((history, root))
    }

    /// What is to be stored of a root group without a past.
    pub(super) fn base(&self) -> &Arc<RootBase> {
        &self.base
    }

    /// All root groups that are kept, by version.
    pub(super) fn roots(&self) -> &OrdMap<Timestamp, RootGroup> {
        &self.roots
    }

    /// All definitions that are kept.
    pub(super) fn apps(&self) -> &OrdMap<PathId, Versions> {
        &self.apps
    }

    /// The definition an app had at a version.
    pub(super) fn app(&self, id: &PathId, version: Timestamp) -> Option<Arc<App>> {
        self.apps.get(id)?.get(&version).cloned()
    }

    /// The root group before the one of `version`.
    pub(super) fn before(&self, version: Timestamp) -> Option<&RootGroup> {
        let mut earlier = self.roots.range(..version);
        earlier.next_back().map(|(_, root)| root)
    }

    /// Goes on from `old` to `new`; what is to be stored is appended to `changes`.
    pub(super) fn push(&mut self, old: &RootGroup, new: &RootGroup, changes: &mut Vec<Change>) {
        let step = Arc::new(RootStep::between(old, new));
        for (id, version) in &step.apps {
            let Some(app) = new.app(id) else { continue };
            let versions = self.apps.entry(id.clone()).or_default();
            if versions.insert(*version, app.clone()).is_none() {
                changes.push(Change::App(app.clone()));
            }
        }
        self.roots.insert(step.version, new.clone());
        self.steps.insert(step.version, step.clone());
        changes.push(Change::RootStep(step));
    }

    /// Forgets the oldest root groups when there are more than twice `most`, but none that is not
    /// older than `needed`; with them the definitions that nothing else has. `is_used` tells of a
    /// definition whether an instance still runs it.
    pub(super) fn forget(
        &mut self,
        most: usize,
        needed: Option<Timestamp>,
        is_used: impl Fn(&App) -> bool,
        changes: &mut Vec<Change>,
    ) {
        let most = most.max(1);
        if self.steps.len() <= 2 * most {
            return;
        }
        let surplus = self.steps.len() - most;
        let before = needed.unwrap_or(Timestamp::from_millis(i64::MAX));
        let old: Vec<Arc<RootStep>> = self
            .steps
            .values()
            .take(surplus)
            .take_while(|step| step.version < before)
            .cloned()
            .collect();
        if old.is_empty() {
            return;
        }
        let mut base = (*self.base).clone();
        let mut touched = BTreeSet::new();
        for step in &old {
            self.roots.remove(&base.version);
            base.follow(step);
            self.steps.remove(&step.version);
            touched.extend(step.apps.keys().chain(&step.removed_apps).cloned());
        }
        self.base = Arc::new(base);
        changes.push(Change::RootBase(self.base.clone()));
        changes.extend(old.iter().map(|step| Change::ForgetRootStep(step.version)));
        for id in touched {
            self.forget_definitions(&id, &is_used, changes);
        }
    }

    /// Forgets the definitions of an app that neither a root group nor an instance has.
    fn forget_definitions(
        &mut self,
        id: &PathId,
        is_used: &impl Fn(&App) -> bool,
        changes: &mut Vec<Change>,
    ) {
        let mut named: BTreeSet<Timestamp> = self.base.apps.get(id).copied().into_iter().collect();
        named.extend(self.steps.values().filter_map(|step| step.apps.get(id)));
        let Some(versions) = self.apps.get_mut(id) else {
            return;
        };
        let useless: Vec<Timestamp> = versions
            .iter()
            .filter(|(version, app)| !named.contains(version) && !is_used(app))
            .map(|(version, _)| *version)
            .collect();
        for version in useless {
            versions.remove(&version);
            changes.push(Change::ForgetApp(id.clone(), version));
        }
        if versions.is_empty() {
            self.apps.remove(id);
        }
    }

    /// The same for all apps, after a start: an instance may have kept one alive that is gone now.
    pub(super) fn forget_all_definitions(
        &mut self,
        is_used: impl Fn(&App) -> bool,
        changes: &mut Vec<Change>,
    ) {
        let ids: Vec<PathId> = self.apps.keys().cloned().collect();
        let mut named: BTreeSet<(&PathId, Timestamp)> =
            self.base.apps.iter().map(|(id, at)| (id, *at)).collect();
        let steps = self.steps.values();
        named.extend(steps.flat_map(|step| step.apps.iter().map(|(id, at)| (id, *at))));
        let is_named = |app: &App| named.contains(&(&app.id, app.version));
        let useless: Vec<PathId> = ids
            .into_iter()
            .filter(|id| {
                let versions = self.apps.get(id).into_iter().flat_map(OrdMap::values);
                versions
                    .into_iter()
                    .any(|app| !is_named(app) && !is_used(app))
            })
            .collect();
        for id in useless {
            self.forget_definitions(&id, &is_used, changes);
        }
    }
}
