//! From what the engine wants done to what the manager wants done, keeping what is shown in step.
//! Decides nothing.

use std::sync::Arc;

use super::Manager;
use super::messages::{Effect, Event};
use super::records::Change;
use crate::marathon::deployment::DeploymentOutcome;
use crate::marathon::engine::{self, EventKind};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Instance;

impl Manager {
    /// Passes on what the engine wants done.
    pub(super) fn perform(&mut self, wanted: &mut Vec<engine::Effect>, out: &mut Vec<Effect>) {
        for effect in wanted.drain(..) {
            self.pass_on(effect, out);
        }
    }

    fn pass_on(&mut self, effect: engine::Effect, out: &mut Vec<Effect>) {
        let effect = match effect {
            engine::Effect::Store(instance) => {
                self.show(&instance);
                return store(Change::Instance(instance), out);
            }
            engine::Effect::Forget(id) => {
                self.hide(&id);
                return store(Change::ForgetInstance(id), out);
            }
            engine::Effect::DeploymentStored(deployment) => {
                return store(Change::Deployment(deployment), out);
            }
            engine::Effect::DeploymentEnded { id, outcome } => {
                match outcome {
                    DeploymentOutcome::Success | DeploymentOutcome::Cancelled => {}
                }
                return store(Change::ForgetDeployment(id), out);
            }
            engine::Effect::TaskFailure(failure) => {
                let failure = Arc::new(failure);
                self.failures
                    .insert(failure.app_id.clone(), failure.clone());
                return store(Change::TaskFailure(failure), out);
            }
            engine::Effect::Event(event) => {
                self.follow(&event.kind, out);
                Effect::Event(Event::Engine(Box::new(event)))
            }
            engine::Effect::Kill { task, agent } => Effect::Kill { task, agent },
            engine::Effect::Acknowledge { task, agent, uuid } => {
                Effect::Acknowledge { task, agent, uuid }
            }
            engine::Effect::Revive(role) => Effect::Revive(role),
            engine::Effect::Suppress(role) => Effect::Suppress(role),
            engine::Effect::Reconcile(tasks) => Effect::Reconcile(tasks),
            engine::Effect::StartProbing { instance, app } => {
                Effect::StartProbing { instance, app }
            }
            engine::Effect::StopProbing(id) => Effect::StopProbing(id),
            engine::Effect::StartReadiness { instance, app } => {
                Effect::StartReadiness { instance, app }
            }
            engine::Effect::StopReadiness(id) => Effect::StopReadiness(id),
        };
        out.push(effect);
    }

    /// Events tell of changes that are not stored, too.
    fn follow(&mut self, kind: &EventKind, out: &mut Vec<Effect>) {
        match kind {
            EventKind::InstanceHealthChanged { instance_id, .. }
            | EventKind::HealthStatusChanged { instance_id, .. }
            | EventKind::FailedHealthCheck {
                task_id: instance_id,
                ..
            } => self.refresh(&instance_id.clone()),
            EventKind::AppTerminated { app_id } => {
                if self.root.app(app_id).is_none() {
                    self.views.remove(app_id);
                    self.placements.forget(app_id);
                    if self.failures.remove(app_id).is_some() {
                        store(Change::ForgetTaskFailure(app_id.clone()), out);
                    }
                }
            }
            EventKind::DeploymentInfo { .. }
            | EventKind::DeploymentStepSuccess { .. }
            | EventKind::DeploymentStepFailure { .. }
            | EventKind::DeploymentSuccess { .. }
            | EventKind::DeploymentFailed { .. }
            | EventKind::StatusUpdate { .. }
            | EventKind::InstanceChanged { .. }
            | EventKind::UnknownInstanceTerminated { .. }
            | EventKind::AddHealthCheck { .. }
            | EventKind::RemoveHealthCheck { .. }
            | EventKind::UnhealthyInstanceKill { .. } => {}
        }
    }

    /// Shows an instance as the engine has it now.
    pub(super) fn refresh(&mut self, id: &InstanceId) {
        if let Some(instance) = self.engine.instance(id).cloned() {
            self.show(&instance);
        }
    }

    fn show(&mut self, instance: &Arc<Instance>) {
        let view = self.views.entry(instance.app.clone());
        let view = view.or_default();
        let before = view.instances.insert(instance.id.clone(), instance.clone());
        view.counts = self.engine.task_counts(&instance.app);
        self.placements.changed(before.as_ref(), Some(instance));
    }

    fn hide(&mut self, id: &InstanceId) {
        let app = id.app();
        let Some(view) = self.views.get_mut(&app) else {
            return;
        };
        let before = view.instances.remove(id);
        view.counts = self.engine.task_counts(&app);
        self.placements.changed(before.as_ref(), None);
    }
}

/// Has something stored; together with what was to be stored just before.
pub(super) fn store(change: Change, out: &mut Vec<Effect>) {
    match out.last_mut() {
        Some(Effect::Store(changes)) => changes.push(change),
        _ => out.push(Effect::Store(vec![change])),
    }
}
