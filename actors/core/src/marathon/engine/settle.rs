//! After each input: every app that changed is compared with what is wanted of it.
//! Looks at no app that did not change.

use tepui_protocol::marathon::PathId;

use super::app::Mode;
use super::{Effect, Engine, EventKind, Timer, event, stamp};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Goal, is_resident};
use crate::marathon::queue::OfferStats;
use crate::time::Now;

impl Engine {
    /// Brings everything to rest: nothing more follows from what is known.
    pub(super) fn run(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(path) = self.dirty.pop_first() {
            self.settle(&path, now, out);
        }
        self.pump_kills(now, out);
        self.update_roles(now, out);
    }

    fn settle(&mut self, path: &PathId, now: Now, out: &mut Vec<Effect>) {
        self.shed(path, now, out);
        self.use_parked(path, out);
        self.drop_definitions(path, now, out);
        self.update_queue(path, now);
        let Some(app) = self.apps.get(path) else {
            return;
        };
        let deployment = app.deployment.clone().filter(|_| app.is_reached());
        if app.mode == Mode::Stop && app.is_empty() {
            self.apps.remove(path);
            self.backoffs.reset(path);
            let app_id = path.clone();
            out.push(event(EventKind::AppTerminated { app_id }, now));
        }
        if let Some(id) = deployment {
            self.action_reached(&id, path, now, out);
        }
    }

    /// Gives up what is too much, one after the other: each changes what is too much.
    fn shed(&mut self, path: &PathId, now: Now, out: &mut Vec<Effect>) {
        while let Some((id, mode)) = self.next_victim(path) {
            match mode {
                Mode::Stop => self.decommission(&id, now, out),
                Mode::Keep | Mode::Wait | Mode::Start | Mode::Scale { .. } | Mode::Upgrade => {
                    self.give_up(&id, now, out);
                }
            }
        }
    }

    fn next_victim(&mut self, path: &PathId) -> Option<(InstanceId, Mode)> {
        let app = self.apps.get(path)?;
        if matches!(app.mode, Mode::Upgrade | Mode::Stop)
            && let Some(id) = app.first_old_inactive()
        {
            // It was replaced long ago and counts nowhere; it must not come back.
            return Some((id, Mode::Stop));
        }
        match app.moves().kill {
            0 => None,
            _ => Some((app.first_victim()?, app.mode)),
        }
    }

    /// Instances that kept their reservations are wanted again before new ones are.
    fn use_parked(&mut self, path: &PathId, out: &mut Vec<Effect>) {
        while let Some(app) = self.apps.get(path) {
            let Some(id) = app.parked.first().cloned() else {
                return;
            };
            let spec = app.spec.clone().filter(|_| app.mode != Mode::Stop);
            match (spec.as_deref().map(is_resident), app.version()) {
                (Some(true), Some(version)) if app.moves().launch > 0 => {
                    self.change_stored(&id, out, |instance| {
                        instance.goal = Goal::Running;
                        instance.version = version;
                    });
                }
                (Some(true), _) => return,
                // Nothing can use the reservation any more.
                (Some(false) | None, _) => self.forget(&id, out),
            }
        }
    }

    /// Ends the checks of definitions that nothing runs any more.
    fn drop_definitions(&mut self, path: &PathId, now: Now, out: &mut Vec<Effect>) {
        let Some(app) = self.apps.get_mut(path) else {
            return;
        };
        let unused = app.unused_definitions();
        for _ in unused.iter().filter(|definition| definition.is_announced) {
            let app_id = path.clone();
            out.push(event(EventKind::RemoveHealthCheck { app_id }, now));
        }
    }

    /// Tells the checks of the current definition, once.
    pub(super) fn announce_checks(&mut self, path: &PathId, now: Now, out: &mut Vec<Effect>) {
        let Some(app) = self.apps.get_mut(path) else {
            return;
        };
        let Some((version, spec)) = app.version().zip(app.spec.clone()) else {
            return;
        };
        let definition = app.definitions.entry(version).or_default();
        if definition.is_announced || spec.health_checks.is_empty() {
            return;
        }
        definition.is_announced = true;
        for check in &spec.health_checks {
            let kind = EventKind::AddHealthCheck {
                app_id: path.clone(),
                version,
                health_check: check.clone(),
            };
            out.push(event(kind, now));
        }
    }

    /// Notes whether something of an app waits for an offer, and whether it may be launched now.
    fn update_queue(&mut self, path: &PathId, now: Now) {
        let app = self.apps.get_mut(path);
        let waiting = app.as_ref().map_or(0, |app| app.waiting());
        let Some((app, version)) = app.and_then(|app| app.version().map(|v| (app, v))) else {
            self.waiting.remove(path);
            self.leave_roles(path, None);
            return;
        };
        if waiting == 0 {
            app.stats = OfferStats::default();
            app.waiting_since = None;
            app.asked_for = 0;
            self.waiting.remove(path);
            self.leave_roles(path, None);
            return;
        }
        app.waiting_since.get_or_insert(stamp(now));
        self.waiting.insert(path.clone());
        if let Some(until) = self.backoffs.until(path, version, now.mono) {
            app.asked_for = 0;
            self.timers.add(until, Timer::Delay(path.clone()));
            self.leave_roles(path, None);
            return;
        }
        let more = waiting > app.asked_for;
        app.asked_for = waiting;
        let role = app.role().unwrap_or_default().to_owned();
        self.leave_roles(path, Some(&role));
        self.roles.entry(role.into()).or_default().want(path, more);
    }
}
