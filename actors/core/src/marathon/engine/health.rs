//! Verdicts of health and readiness probes, and what follows.
//! Probes nothing.

use std::sync::Arc;

use tepui_protocol::marathon::{HealthCheck, ReadinessCheckResult};

use super::{Effect, Engine, EventKind, event, stamp};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Condition, Instance};
use crate::time::Now;

/// What a probe found out. One that counts neither way is not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthVerdict {
    /// The instance answered as it should.
    Alive,
    /// It did not, and why.
    Failed(String),
}

impl Engine {
    /// A probe by Marathon itself of the check at `index` in the instance's definition ended.
    pub fn health_result(
        &mut self,
        id: &InstanceId,
        index: usize,
        verdict: &HealthVerdict,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some((before, check)) = self.probed(id, index) else {
            return;
        };
        let failures = before.health.get(index);
        let failures = failures.map_or(0, |health| health.consecutive_failures);
        match verdict {
            HealthVerdict::Alive => self.passed(&before, index, now, out),
            HealthVerdict::Failed(cause) => {
                if is_graceful(&before, index, &check, now) {
                    return;
                }
                self.failed(&before, index, &check, cause, now, out);
                let most = check.max_consecutive_failures;
                // Marathon looks at the number before this failure.
                if most > 0 && i64::from(failures) >= most {
                    self.kill_unhealthy(&before, cause, now, out);
                }
            }
        }
        self.run(now, out);
    }

    /// A running instance and the check that Marathon probes it by.
    fn probed(&self, id: &InstanceId, index: usize) -> Option<(Arc<Instance>, HealthCheck)> {
        let app = self.apps.get(&id.app())?;
        let instance = app.entry(id)?.instance.clone();
        let check = app.definition_of(&instance)?.health_checks.get(index)?;
        let is_ours = !check.protocol.is_of_executor();
        (is_ours && instance.condition == Condition::Running).then(|| (instance, check.clone()))
    }

    fn passed(&mut self, before: &Arc<Instance>, index: usize, now: Now, out: &mut Vec<Effect>) {
        self.change(&before.id, |instance| {
            if let Some(check) = instance.health.get_mut(index) {
                check.alive = Some(true);
                check.consecutive_failures = 0;
                check.first_success.get_or_insert(stamp(now));
                check.last_success = Some(stamp(now));
            }
        });
        self.tell_verdict(before, index, now, out);
    }

    fn failed(
        &mut self,
        before: &Arc<Instance>,
        index: usize,
        check: &HealthCheck,
        cause: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.change(&before.id, |instance| {
            if let Some(check) = instance.health.get_mut(index) {
                check.alive = Some(false);
                check.consecutive_failures = check.consecutive_failures.saturating_add(1);
                check.last_failure = Some(stamp(now));
                check.last_failure_cause = Some(cause.to_owned());
            }
        });
        let kind = EventKind::FailedHealthCheck {
            app_id: before.app.clone(),
            task_id: before.id.clone(),
            health_check: check.clone(),
        };
        out.push(event(kind, now));
        self.tell_verdict(before, index, now, out);
    }

    /// Tells what a result changed.
    fn tell_verdict(&self, before: &Instance, index: usize, now: Now, out: &mut Vec<Effect>) {
        let Some(after) = self.instance(&before.id) else {
            return;
        };
        let alive = |instance: &Instance| instance.health.get(index).and_then(|h| h.alive);
        if let Some(is_alive) = alive(after)
            && alive(before) != Some(is_alive)
        {
            let kind = EventKind::HealthStatusChanged {
                app_id: before.app.clone(),
                instance_id: before.id.clone(),
                version: before.version,
                alive: is_alive,
            };
            out.push(event(kind, now));
        }
        if before.healthy() != after.healthy() {
            self.tell_health(before, after.healthy(), now, out);
        }
    }

    fn kill_unhealthy(
        &mut self,
        instance: &Arc<Instance>,
        cause: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if !instance.counts() {
            return;
        }
        let agent = instance.place.agent_id.clone();
        let kind = EventKind::UnhealthyInstanceKill {
            app_id: instance.app.clone(),
            task_id: instance.task().map(|id| id.to_string()).unwrap_or_default(),
            instance_id: instance.id.clone(),
            version: instance.version,
            reason: cause.to_owned(),
            host: instance.place.host.clone(),
            slave_id: (!agent.is_empty()).then_some(agent),
        };
        out.push(event(kind, now));
        self.give_up(&instance.id, now, out);
    }

    /// A probe for readiness ended.
    pub fn readiness_result(
        &mut self,
        id: &InstanceId,
        result: ReadinessCheckResult,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let path = id.app();
        let Some(app) = self.apps.get_mut(&path) else {
            return;
        };
        if !app.asks_readiness() {
            return;
        }
        let Some(entry) = app.entry_mut(id) else {
            return;
        };
        // An answer of an earlier run says nothing about this one.
        if entry.instance.task().map(|task| task.to_string()) != Some(result.task_id.clone()) {
            return;
        }
        entry.readiness = Some(result);
        app.reindex(id);
        self.dirty.insert(path);
        self.update_probes(id, out);
        self.run(now, out);
    }
}

/// Whether a failure does not count yet: before the first success, a while after the start.
fn is_graceful(instance: &Instance, index: usize, check: &HealthCheck, now: Now) -> bool {
    let health = instance.health.get(index);
    let had_success = health.is_some_and(|health| health.first_success.is_some());
    let since = instance.started_at.unwrap_or(instance.since).as_millis();
    let age = stamp(now).as_millis().saturating_sub(since);
    !had_success && age < check.grace_period_seconds.saturating_mul(1000)
}
