//! The engine at the start: from what the store holds to a state that carries on.
//! Reads no store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tepui_protocol::marathon::{App, PathId};

use super::app::Mode;
use super::{Effect, Engine, EngineSettings, Timer, Timers};
use crate::marathon::deployment::StoredDeployment;
use crate::marathon::instance::{Instance, config_version};
use crate::marathon::queue::{Backoffs, LaunchTokens};
use crate::time::Now;

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The apps of the root group.
    pub apps: Vec<Arc<App>>,
    /// Earlier definitions, for instances that still run them; others do no harm.
    pub definitions: Vec<Arc<App>>,
    /// All instances.
    pub instances: Vec<Instance>,
    /// The deployments that had not ended, in the order in which they began.
    pub deployments: Vec<StoredDeployment>,
}

impl Engine {
    /// Starts with what the store holds, which is nothing the first time. Nothing is asked of Mesos
    /// until the scheduler has connected.
    pub fn restore(
        settings: EngineSettings,
        restored: Restored,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Engine {
        let mut engine = Engine::empty(settings, now);
        for app in restored.apps {
            let path = app.id.clone();
            engine.set_app(&path, Some(app), Mode::Keep);
        }
        // Also those that a deployment was about to remove, or that were removed while an instance
        // could not be killed.
        let changes = restored.deployments.iter().flat_map(|d| d.changes.iter());
        let removed = changes.filter(|(_, change)| change.from.is_some());
        let paths = removed.map(|(path, _)| path.clone());
        let owners = restored.instances.iter().map(|i| i.app.clone());
        for path in paths.chain(owners).collect::<BTreeSet<PathId>>() {
            if !engine.apps.contains_key(&path) {
                engine.set_app(&path, None, Mode::Stop);
            }
        }
        let changes = restored.deployments.iter().flat_map(|d| d.changes.values());
        let both = changes.flat_map(|change| [&change.from, &change.to]);
        let definitions = restored.definitions.into_iter();
        engine.define(definitions.chain(both.flatten().cloned()));
        for instance in restored.instances {
            engine.take_back(instance, now, out);
        }
        for deployment in restored.deployments {
            engine.begin(Arc::new(deployment), now, out);
        }
        let apps = engine
            .apps
            .iter()
            .map(|(path, app)| (path.clone(), app.mode));
        for (path, mode) in apps.collect::<Vec<_>>() {
            match mode {
                Mode::Stop => engine.stop_all(&path, now, out),
                Mode::Keep | Mode::Wait | Mode::Start | Mode::Scale { .. } | Mode::Upgrade => {
                    engine.announce_checks(&path, now, out);
                }
            }
        }
        engine.run(now, out);
        engine
    }

    fn empty(settings: EngineSettings, now: Now) -> Engine {
        let mut timers = Timers::default();
        let initial = [
            (settings.backoff_sweep_interval, Timer::Sweep),
            (settings.scale_apps_initial_delay, Timer::ScaleCheck),
            (settings.reconciliation_initial_delay, Timer::Reconcile),
        ];
        for (delay, timer) in initial {
            timers.add(now.mono + delay, timer);
        }
        let tokens = LaunchTokens::new(
            settings.launch_tokens,
            settings.launch_token_refresh_interval,
            now.mono,
        );
        Engine {
            settings,
            apps: BTreeMap::new(),
            agents: BTreeMap::new(),
            backoffs: Backoffs::default(),
            tokens,
            waiting: Default::default(),
            roles: BTreeMap::new(),
            kills: Default::default(),
            timers,
            deployments: Vec::new(),
            dirty: Default::default(),
            connected: false,
            started: now,
        }
    }

    /// Notes definitions of apps that are known.
    fn define(&mut self, definitions: impl Iterator<Item = Arc<App>>) {
        for definition in definitions {
            if let Some(app) = self.apps.get_mut(&definition.id) {
                let version = config_version(&definition);
                app.definitions.entry(version).or_default().app = Some(definition);
            }
        }
    }

    /// Takes an instance back from the store.
    fn take_back(&mut self, mut instance: Instance, now: Now, out: &mut Vec<Effect>) {
        let id = instance.id.clone();
        if instance.condition.is_terminal() {
            out.push(Effect::Forget(id));
            return;
        }
        self.make_room_for_health(&mut instance);
        let is_dying = instance.is_dying();
        let deadline = self.launch_deadline(&instance, now);
        let is_unreachable = instance.condition.is_unreachable();
        self.admit(instance);
        if is_unreachable {
            self.check_unreachable(&id, now, out);
        } else if is_dying {
            self.kills.want(&id);
        }
        if let Some(at) = deadline {
            self.timers.add(at, Timer::Launch(id.clone()));
        }
        self.update_probes(&id, out);
    }
}
