//! Changes of single instances: stored, told, probed, indexed, ended.
//! Does not say when an instance is to change.

use std::sync::Arc;

use tepui_protocol::marathon::Timestamp;

use super::{Effect, Engine, EventKind, agent_of, event, stamp};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Condition, Goal, Health, Instance, has_own_checks};
use crate::time::Now;

impl Engine {
    /// The instance, if it is known.
    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        let app = self.apps.get(&id.app())?;
        app.entry(id).map(|entry| &entry.instance)
    }

    /// Adds an instance; nothing is stored or told.
    pub(super) fn admit(&mut self, instance: Instance) {
        let id = instance.id.clone();
        if let Some(agent) = agent_of(&instance) {
            self.agents.entry(agent).or_default().insert(id.clone());
        }
        self.dirty.insert(instance.app.clone());
        if let Some(app) = self.apps.get_mut(&instance.app) {
            app.insert(Arc::new(instance));
        }
    }

    /// Changes an instance and stores it.
    pub(super) fn change_stored(
        &mut self,
        id: &InstanceId,
        out: &mut Vec<Effect>,
        change: impl FnOnce(&mut Instance),
    ) {
        let before = self.instance(id).and_then(|instance| agent_of(instance));
        self.change(id, change);
        let Some(instance) = self.instance(id).cloned() else {
            return;
        };
        let after = agent_of(&instance);
        if before != after {
            self.leave_agent(before, id);
            if let Some(agent) = after {
                self.agents.entry(agent).or_default().insert(id.clone());
            }
        }
        out.push(Effect::Store(instance));
    }

    /// Changes what is not stored of an instance, or what is stored by the caller.
    pub(super) fn change(&mut self, id: &InstanceId, change: impl FnOnce(&mut Instance)) {
        let path = id.app();
        let Some(app) = self.apps.get_mut(&path) else {
            return;
        };
        let served = |app: &super::AppState| app.entry(id).is_some_and(|e| e.instance.serves());
        let before = served(app);
        app.change(id, change);
        if !before && served(app) {
            // Marathon gives a launch token back for each instance that comes to serve.
            self.tokens.give_back();
        }
        self.dirty.insert(path);
    }

    fn leave_agent(&mut self, agent: Option<crate::ids::AgentId>, id: &InstanceId) {
        let Some(agent) = agent else {
            return;
        };
        if let Some(ids) = self.agents.get_mut(&agent) {
            ids.remove(id);
            if ids.is_empty() {
                self.agents.remove(&agent);
            }
        }
    }

    /// Starts and stops probes as the condition of an instance asks for.
    pub(super) fn update_probes(&mut self, id: &InstanceId, out: &mut Vec<Effect>) {
        let Some(app) = self.apps.get_mut(&id.app()) else {
            return;
        };
        let Some(entry) = app.entry(id) else {
            return;
        };
        let instance = entry.instance.clone();
        let runs = instance.condition == Condition::Running;
        let definition = app.definition_of(&instance).cloned();
        let probe = runs && definition.as_deref().is_some_and(has_own_checks);
        let is_ready = entry.readiness.as_ref().is_some_and(|result| result.ready);
        let readiness = runs
            && instance.goal == Goal::Running
            && app.asks_readiness()
            && !app.is_old(&instance)
            && !is_ready;
        let Some(entry) = app.entry_mut(id) else {
            return;
        };
        let was_probed = std::mem::replace(&mut entry.is_probed, probe);
        let was_readiness = std::mem::replace(&mut entry.is_readiness_probed, readiness);
        let id = id.clone();
        match (was_probed, probe, definition.clone()) {
            (false, true, Some(app)) => out.push(Effect::StartProbing {
                instance: instance.clone(),
                app,
            }),
            (true, false, _) => out.push(Effect::StopProbing(id.clone())),
            (false, false, _) | (true, true, _) | (false, true, None) => {}
        }
        match (was_readiness, readiness, definition) {
            (false, true, Some(app)) => out.push(Effect::StartReadiness { instance, app }),
            (true, false, _) => out.push(Effect::StopReadiness(id)),
            (false, false, _) | (true, true, _) | (false, true, None) => {}
        }
    }

    /// Tells the condition of an instance.
    pub(super) fn tell(&self, instance: &Instance, now: Now, out: &mut Vec<Effect>) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let kind = EventKind::InstanceChanged {
            instance_id: instance.id.clone(),
            condition: instance.condition,
            run_spec_id: instance.app.clone(),
            agent_id: some(&instance.place.agent_id),
            host: some(&instance.place.host),
            run_spec_version: instance.version,
        };
        out.push(event(kind, now));
    }

    /// An instance shall not run: it is killed and replaced where it is wanted. Resident ones keep
    /// their reservations.
    pub(super) fn give_up(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        let app = self.apps.get(&id.app());
        let resident = app.and_then(|app| Some(app.is_resident(&app.entry(id)?.instance)));
        match resident {
            Some(true) => self.set_goal(id, Goal::Stopped, now, out),
            Some(false) => self.set_goal(id, Goal::Decommissioned, now, out),
            None => {}
        }
    }

    /// An instance shall end and be forgotten, with its reservation.
    pub(super) fn decommission(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        self.set_goal(id, Goal::Decommissioned, now, out);
    }

    fn set_goal(&mut self, id: &InstanceId, goal: Goal, now: Now, out: &mut Vec<Effect>) {
        let Some(instance) = self.instance(id).cloned() else {
            return;
        };
        // What was to be forgotten is not kept after all.
        if instance.goal == goal || instance.goal == Goal::Decommissioned {
            return;
        }
        let has_no_task = match instance.condition {
            Condition::Scheduled => true,
            condition => condition.is_unreachable(),
        };
        if has_no_task && goal == Goal::Decommissioned {
            self.forget(id, out);
            return;
        }
        self.change_stored(id, out, |instance| instance.goal = goal);
        self.update_probes(id, out);
        if !has_no_task {
            self.kills.want(id);
        }
        self.dirty.insert(instance.app.clone());
        self.pump_kills(now, out);
    }

    /// The task of an instance has ended. The caller has told of it. Most instances are forgotten;
    /// resident ones wait for their reservation to be offered.
    pub(super) fn ended(&mut self, id: &InstanceId, keeps: bool, now: Now, out: &mut Vec<Effect>) {
        self.kills.done(id);
        let path = id.app();
        let app = self.apps.get(&path);
        let found = app.and_then(|app| Some((app, app.entry(id)?.instance.clone())));
        let Some((app, instance)) = found else {
            return;
        };
        let keeps = keeps && app.is_resident(&instance) && instance.goal != Goal::Decommissioned;
        if !keeps {
            self.forget(id, out);
            self.pump_kills(now, out);
            return;
        }
        // A failed one is relaunched as what the app is now; a stopped one stays as it was until it
        // is wanted again.
        let version = match instance.goal {
            Goal::Running => app.version().unwrap_or(instance.version),
            Goal::Stopped | Goal::Decommissioned => instance.version,
        };
        self.change_stored(id, out, |instance| schedule(instance, version, now));
        self.update_probes(id, out);
        if let Some(instance) = self.instance(id).cloned() {
            self.tell(&instance, now, out);
        }
        self.pump_kills(now, out);
    }

    /// Deletes an instance.
    pub(super) fn forget(&mut self, id: &InstanceId, out: &mut Vec<Effect>) {
        self.kills.done(id);
        let path = id.app();
        let removed = self.apps.get_mut(&path).and_then(|app| app.remove(id));
        let Some(entry) = removed else {
            return;
        };
        if entry.is_probed {
            out.push(Effect::StopProbing(id.clone()));
        }
        if entry.is_readiness_probed {
            out.push(Effect::StopReadiness(id.clone()));
        }
        self.leave_agent(agent_of(&entry.instance), id);
        out.push(Effect::Forget(id.clone()));
        self.dirty.insert(path);
    }

    /// Makes room for the results of all checks of an instance's definition.
    pub(super) fn make_room_for_health(&self, instance: &mut Instance) {
        let app = self.apps.get(&instance.app);
        let definition = app.and_then(|app| app.definition_of(instance));
        let checks = definition.map_or(0, |app| app.health_checks.len());
        instance.health.resize(checks, Health::default());
    }
}

/// Makes an instance wait for an offer with its reservation.
pub(super) fn schedule(instance: &mut Instance, version: Timestamp, now: Now) {
    instance.version = version;
    instance.condition = Condition::Scheduled;
    instance.since = stamp(now);
    instance.active_since = None;
    instance.staged_at = None;
    instance.started_at = None;
    instance.mesos_state = None;
    instance.host_ports.clear();
    instance.ip_addresses.clear();
    instance.unreachable_since = None;
    instance.health.clear();
}
