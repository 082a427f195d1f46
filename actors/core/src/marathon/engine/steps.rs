//! Deployments: begun, carried out step by step, ended, cancelled.
//! Makes no plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::marathon::{App, DeploymentAction, DeploymentPlan, PathId};

use super::app::{AppState, Mode};
use super::{Effect, Engine, EventKind, Timer, event};
use crate::marathon::deployment::{
    AppChange, DeployError, DeploymentOutcome, StoredDeployment, Verb, affected_apps, verb,
};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::config_version;
use crate::time::Now;

/// A deployment under way.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) stored: Arc<StoredDeployment>,
    /// Counts from 0.
    pub(super) step: usize,
    /// Apps whose action in this step has not reached its goal.
    pub(super) pending: BTreeSet<PathId>,
    /// Whether the step takes longer than it should.
    pub(super) is_overdue: bool,
}

impl Deployment {
    fn new(stored: Arc<StoredDeployment>) -> Deployment {
        Deployment {
            stored,
            step: 0,
            pending: BTreeSet::new(),
            is_overdue: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.stored.plan.id
    }

    /// The actions of the current step.
    pub(super) fn actions(&self) -> &[DeploymentAction] {
        let step = self.stored.plan.steps.get(self.step);
        step.map_or(&[], |step| &step.actions)
    }
}

impl Engine {
    /// Begins to carry a plan out. `kill` names instances that scale actions give up first. With
    /// `force`, deployments that touch the same apps are cancelled first.
    #[allow(
        clippy::too_many_arguments,
        reason = "a plan comes with both of its ends"
    )]
    pub fn deploy(
        &mut self,
        plan: DeploymentPlan,
        original: &OrdMap<PathId, Arc<App>>,
        target: &OrdMap<PathId, Arc<App>>,
        kill: BTreeMap<PathId, Vec<InstanceId>>,
        force: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), DeployError> {
        let conflicts = self.conflicts(&affected_apps(&plan.steps));
        if !conflicts.is_empty() && !force {
            return Err(DeployError::Conflict(conflicts));
        }
        let others = self.deployments.len() - conflicts.len();
        if others >= self.settings.max_running_deployments && !plan.steps.is_empty() {
            return Err(DeployError::TooMany(others));
        }
        for id in &conflicts {
            let reason = format!("cancelled by deployment {}", plan.id);
            self.fail(id, Some(reason), now, out);
        }
        if plan.steps.is_empty() {
            let id = plan.id.clone();
            out.push(event(EventKind::DeploymentSuccess { id, plan }, now));
        } else {
            let stored = Arc::new(StoredDeployment::new(plan, original, target, kill));
            out.push(Effect::DeploymentStored(stored.clone()));
            self.begin(stored, now, out);
        }
        self.run(now, out);
        Ok(())
    }

    /// Ends a deployment where it is: its apps go straight to what the target wants. False when there
    /// is none of that id.
    pub fn cancel(&mut self, id: &str, now: Now, out: &mut Vec<Effect>) -> bool {
        let is_known = self.fail(id, Some("cancelled".to_owned()), now, out);
        self.run(now, out);
        is_known
    }

    /// The deployments that touch some of these apps.
    fn conflicts(&self, apps: &BTreeSet<PathId>) -> Vec<String> {
        let touches = |deployment: &&Deployment| {
            let changes = &deployment.stored.changes;
            apps.iter().any(|app| changes.contains_key(app))
        };
        let conflicts = self.deployments.iter().filter(touches);
        conflicts
            .map(|deployment| deployment.id().to_owned())
            .collect()
    }

    /// Locks the apps of a deployment and begins its first step.
    pub(super) fn begin(&mut self, stored: Arc<StoredDeployment>, now: Now, out: &mut Vec<Effect>) {
        let id = stored.plan.id.clone();
        for (path, change) in &stored.changes {
            if change.from.is_some() || self.apps.contains_key(path) {
                self.set_app(path, change.from.clone(), Mode::Wait);
            }
            if let Some(app) = self.apps.get_mut(path) {
                app.deployment = Some(id.clone());
            }
        }
        self.deployments.push(Deployment::new(stored));
        self.begin_step(&id, now, out);
    }

    fn begin_step(&mut self, id: &str, now: Now, out: &mut Vec<Effect>) {
        let found = self.deployments.iter_mut().find(|other| other.id() == id);
        let Some(deployment) = found else {
            return;
        };
        let stored = deployment.stored.clone();
        let index = deployment.step;
        let Some(step) = stored.plan.steps.get(index) else {
            self.succeed(id, now, out);
            return;
        };
        deployment.is_overdue = false;
        deployment.pending = affected_apps(std::slice::from_ref(step));
        let is_empty = deployment.pending.is_empty();
        let kind = EventKind::DeploymentInfo {
            plan: stored.plan.clone(),
            current_step: step.clone(),
        };
        out.push(event(kind, now));
        if let Some(timeout) = self.settings.deployment_step_timeout {
            let timer = Timer::Step(id.to_owned(), index);
            self.timers.add(now.mono + timeout, timer);
        }
        for action in &step.actions {
            self.begin_action(id, &stored, action, now, out);
        }
        if is_empty {
            self.step_reached(id, now, out);
        }
    }

    fn begin_action(
        &mut self,
        id: &str,
        stored: &StoredDeployment,
        action: &DeploymentAction,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let found = action.app.as_ref().and_then(|path| {
            let change = stored.changes.get(path)?;
            Some((path, change))
        });
        let Some((path, change)) = found else {
            return;
        };
        // A plan that names an app which its target does not have can only mean to stop it.
        let verb = match &change.to {
            Some(_) => verb(action.action),
            None => Verb::Stop,
        };
        match verb {
            Verb::Start => self.set_app(path, change.to.clone(), Mode::Start),
            Verb::Stop => self.set_app(path, None, Mode::Stop),
            Verb::Scale => {
                let up = is_up(change);
                self.set_app(path, change.to.clone(), Mode::Scale { up });
            }
            Verb::Restart => {
                self.backoffs.reset(path);
                self.set_app(path, change.to.clone(), Mode::Upgrade);
            }
        }
        if let Some(app) = self.apps.get_mut(path) {
            app.deployment = Some(id.to_owned());
        }
        self.announce_checks(path, now, out);
        self.forget_readiness(path);
        match verb {
            Verb::Start => {}
            Verb::Stop => self.stop_all(path, now, out),
            Verb::Scale => {
                for instance in &change.kill {
                    self.give_up(instance, now, out);
                }
            }
            Verb::Restart => self.renew_scheduled(path, out),
        }
        self.refresh_probes(path, out);
    }

    /// Gives an app another definition and another thing to do.
    pub(super) fn set_app(&mut self, path: &PathId, spec: Option<Arc<App>>, mode: Mode) {
        self.dirty.insert(path.clone());
        if let Some(spec) = &spec {
            self.know_role(&spec.role);
        }
        match self.apps.get_mut(path) {
            Some(app) => app.set(spec, mode),
            None => {
                let mut app = AppState::new(None, mode);
                app.set(spec, mode);
                self.apps.insert(path.clone(), app);
            }
        }
    }

    /// Readiness is found out anew in each action.
    fn forget_readiness(&mut self, path: &PathId) {
        let Some(app) = self.apps.get_mut(path) else {
            return;
        };
        let ids: Vec<InstanceId> = app
            .entries()
            .filter(|entry| entry.readiness.is_some())
            .map(|entry| entry.instance.id.clone())
            .collect();
        for id in ids {
            if let Some(entry) = app.entry_mut(&id) {
                entry.readiness = None;
            }
            app.reindex(&id);
        }
    }

    fn refresh_probes(&mut self, path: &PathId, out: &mut Vec<Effect>) {
        for id in self.ids(path) {
            self.update_probes(&id, out);
        }
    }

    /// All instances of a removed app end, also those that count nowhere.
    pub(super) fn stop_all(&mut self, path: &PathId, now: Now, out: &mut Vec<Effect>) {
        for id in self.ids(path) {
            self.decommission(&id, now, out);
        }
    }

    /// What waits with a reservation is launched as the new version: there is nothing to replace.
    fn renew_scheduled(&mut self, path: &PathId, out: &mut Vec<Effect>) {
        let Some((app, version)) = self.apps.get(path).and_then(|a| Some((a, a.version()?))) else {
            return;
        };
        for id in app.scheduled.clone() {
            self.change_stored(&id, out, |instance| instance.version = version);
        }
    }

    fn ids(&self, path: &PathId) -> Vec<InstanceId> {
        let entries = self.apps.get(path).into_iter().flat_map(AppState::entries);
        entries.map(|entry| entry.instance.id.clone()).collect()
    }

    /// An action of the current step has reached its goal.
    pub(super) fn action_reached(
        &mut self,
        id: &str,
        path: &PathId,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let found = self.deployments.iter_mut().find(|other| other.id() == id);
        let Some(deployment) = found else {
            return;
        };
        if !deployment.pending.remove(path) {
            return;
        }
        let is_last = deployment.pending.is_empty();
        let starts = deployment.stored.changes.get(path);
        let to = starts.and_then(|change| change.to.clone());
        // A new app waits, with no instances, until the step that scales it.
        if let Some(app) = self.apps.get(path)
            && app.mode != Mode::Start
        {
            self.set_app(path, to, Mode::Keep);
            self.refresh_probes(path, out);
        }
        if is_last {
            self.step_reached(id, now, out);
        }
    }

    fn step_reached(&mut self, id: &str, now: Now, out: &mut Vec<Effect>) {
        let found = self.deployments.iter_mut().find(|other| other.id() == id);
        let Some(deployment) = found else {
            return;
        };
        let plan = deployment.stored.plan.clone();
        let step = plan.steps.get(deployment.step).cloned();
        deployment.step += 1;
        let current_step = step.unwrap_or_default();
        out.push(event(
            EventKind::DeploymentStepSuccess { plan, current_step },
            now,
        ));
        self.begin_step(id, now, out);
    }

    /// A step takes longer than it should. It goes on; the listing tells.
    pub(super) fn step_overdue(&mut self, id: &str, step: usize, now: Now, out: &mut Vec<Effect>) {
        let found = self.deployments.iter_mut().find(|other| other.id() == id);
        let Some(deployment) = found.filter(|deployment| deployment.step == step) else {
            return;
        };
        deployment.is_overdue = true;
        let plan = deployment.stored.plan.clone();
        let current_step = plan.steps.get(step).cloned().unwrap_or_default();
        out.push(event(
            EventKind::DeploymentStepFailure { plan, current_step },
            now,
        ));
    }

    fn succeed(&mut self, id: &str, now: Now, out: &mut Vec<Effect>) {
        let Some(stored) = self.release(id, out) else {
            return;
        };
        let plan = stored.plan.clone();
        let id = id.to_owned();
        out.push(Effect::DeploymentEnded {
            id: id.clone(),
            outcome: DeploymentOutcome::Success,
        });
        out.push(event(EventKind::DeploymentSuccess { id, plan }, now));
    }

    fn fail(&mut self, id: &str, reason: Option<String>, now: Now, out: &mut Vec<Effect>) -> bool {
        let Some(stored) = self.release(id, out) else {
            return false;
        };
        for path in stored.changes.keys() {
            self.announce_checks(path, now, out);
            if stored.changes[path].to.is_none() {
                self.stop_all(path, now, out);
            }
        }
        let plan = stored.plan.clone();
        let id = id.to_owned();
        out.push(Effect::DeploymentEnded {
            id: id.clone(),
            outcome: DeploymentOutcome::Cancelled,
        });
        out.push(event(EventKind::DeploymentFailed { id, plan, reason }, now));
        true
    }

    /// Takes a deployment out; its apps keep to the target from now on.
    fn release(&mut self, id: &str, out: &mut Vec<Effect>) -> Option<Arc<StoredDeployment>> {
        let at = self.deployments.iter().position(|other| other.id() == id)?;
        let deployment = self.deployments.remove(at);
        for (path, change) in &deployment.stored.changes {
            match (&change.to, self.apps.contains_key(path)) {
                (Some(to), _) => self.set_app(path, Some(to.clone()), Mode::Keep),
                (None, true) => self.set_app(path, None, Mode::Stop),
                (None, false) => {}
            }
            if let Some(app) = self.apps.get_mut(path) {
                app.deployment = None;
            }
            self.refresh_probes(path, out);
        }
        Some(deployment.stored)
    }
}

/// Whether a scale action adds instances, which are waited for.
fn is_up(change: &AppChange) -> bool {
    let to = change.to.as_deref().map_or(0, |app| app.instances);
    // A change of configuration that comes as a scale action is one to or from no instances.
    let from = change.from.as_deref();
    let same = from.filter(|from| {
        let version = change.to.as_deref().map(config_version);
        version == Some(config_version(from))
    });
    to > same.map_or(0, |app| app.instances)
}
