//! What others ask of the engine: the queue, deployments, instances, numbers.
//! Changes nothing but the figures about offers.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::marathon::{App, PathId, ReadinessCheckResult, Timestamp};

use super::app::AppState;
use super::{Engine, KillFigures};
use crate::marathon::deployment::{CurrentAction, DeploymentListing};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Instance, TaskCounts};
use crate::marathon::queue::{OfferStats, UnusedOffer};
use crate::time::Now;

/// An app with instances that wait for offers.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What to launch.
    pub app: Arc<App>,
    /// Its config version.
    pub version: Timestamp,
    /// New instances to launch now.
    pub launch: u32,
    /// Instances to launch now on their reservations.
    pub relaunch: Vec<InstanceId>,
    /// How long launches are delayed; then both numbers above are of no use yet.
    pub delay: Option<Duration>,
}

/// An app in `GET /v2/queue`.
#[derive(Debug, Clone)]
pub struct QueueItem {
    /// The app.
    pub app: Arc<App>,
    /// How many instances wait.
    pub count: u32,
    /// How long they are delayed; zero when they are not.
    pub time_left: Duration,
    /// Since when some wait.
    pub since: Timestamp,
    /// What became of offers meanwhile.
    pub stats: OfferStats,
}

impl Engine {
    /// What waits for offers. No more is to be launched than there are tokens; [`Engine::launched`]
    /// sees to that, too.
    pub fn waiting(&self, now: Now) -> Vec<Waiting> {
        let apps = self.waiting.iter();
        let apps = apps.filter_map(|path| self.apps.get(path).map(|app| (path, app)));
        let item = |(path, app): (&PathId, &AppState)| {
            let spec = app.spec.clone()?;
            let version = app.version()?;
            let until = self.backoffs.until(path, version, now.mono);
            Some(Waiting {
                app: spec,
                version,
                launch: app.moves().launch,
                relaunch: app.scheduled.iter().cloned().collect(),
                delay: until.map(|until| until.since(now.mono)),
            })
        };
        apps.filter_map(item).collect()
    }

    /// How many launches may begin now, over all apps.
    pub fn launch_tokens(&mut self, now: Now) -> u32 {
        self.tokens.refresh(now.mono);
        self.tokens.left()
    }

    /// The same, without refilling.
    pub fn launch_tokens_left(&self, now: Now) -> u32 {
        self.tokens.left_at(now.mono)
    }

    /// How many kills there are.
    pub fn kill_figures(&self) -> KillFigures {
        self.kills.figures()
    }

    /// The queue as it is shown.
    pub fn queue(&self, now: Now) -> Vec<QueueItem> {
        let apps = self.waiting.iter();
        let apps = apps.filter_map(|path| self.apps.get(path).map(|app| (path, app)));
        let item = |(path, app): (&PathId, &AppState)| {
            let until = self.backoffs.until(path, app.version()?, now.mono);
            Some(QueueItem {
                app: app.spec.clone()?,
                count: app.waiting(),
                time_left: until.map(|until| until.since(now.mono)).unwrap_or_default(),
                since: app.waiting_since?,
                stats: app.stats.clone(),
            })
        };
        apps.filter_map(item).collect()
    }

    /// An offer was of no use to an app.
    pub fn offer_unused(&mut self, app: &PathId, unused: UnusedOffer) {
        if let Some(app) = self.apps.get_mut(app)
            && app.waiting_since.is_some()
        {
            app.stats.unused(unused);
        }
    }

    /// The deployments under way, in the order in which they began.
    pub fn deployments(&self) -> Vec<DeploymentListing> {
        let listing = |deployment: &super::Deployment| {
            let actions = deployment.actions().iter();
            let current = actions.map(|action| CurrentAction {
                action: action.clone(),
                readiness_check_results: self.readiness(action.app.as_ref()),
            });
            DeploymentListing {
                stored: deployment.stored.clone(),
                current_step: deployment.step + 1,
                current_actions: current.collect(),
                is_overdue: deployment.is_overdue,
            }
        };
        self.deployments.iter().map(listing).collect()
    }

    fn readiness(&self, app: Option<&PathId>) -> Vec<ReadinessCheckResult> {
        let app = app.and_then(|path| self.apps.get(path));
        let app = app.filter(|app| app.asks_readiness());
        let entries = app.into_iter().flat_map(AppState::entries);
        entries
            .filter_map(|entry| entry.readiness.clone())
            .collect()
    }

    /// The deployments that change an app.
    pub fn deployments_of<'a>(&'a self, app: &'a PathId) -> impl Iterator<Item = &'a str> {
        let touches = |deployment: &&super::Deployment| deployment.stored.changes.contains_key(app);
        let deployments = self.deployments.iter().filter(touches);
        deployments.map(super::Deployment::id)
    }

    /// The instances of an app.
    pub fn instances_of(&self, app: &PathId) -> impl Iterator<Item = &Arc<Instance>> {
        let entries = self.apps.get(app).into_iter().flat_map(AppState::entries);
        entries.map(|entry| &entry.instance)
    }

    /// All instances.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        let entries = self.apps.values().flat_map(AppState::entries);
        entries.map(|entry| &entry.instance)
    }

    /// The four numbers that an app shows.
    pub fn task_counts(&self, app: &PathId) -> TaskCounts {
        let app = self.apps.get(app);
        app.map(AppState::task_counts).unwrap_or_default()
    }

    /// Whether the engine knows the app; a removed one is known until its last instance is gone.
    pub fn knows(&self, app: &PathId) -> bool {
        self.apps.contains_key(app)
    }

    /// How often an instance was put into the indexes: a measure of the work done so far.
    pub fn work(&self) -> u64 {
        self.apps.values().map(|app| app.work).sum()
    }
}
