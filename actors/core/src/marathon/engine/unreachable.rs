//! Instances on agents that cannot be reached: replaced after a while, forgotten after a longer one.
//! Asks none of them to die.

use tepui_protocol::marathon::{UnreachableStrategy, UnreachableTimes};

use super::{Effect, Engine, Timer, mono_of, stamp};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Condition, Goal, Instance};
use crate::time::{Mono, Now};

impl Engine {
    /// Does what is due for an unreachable instance, and comes back when the next thing is.
    pub(super) fn check_unreachable(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        let Some(instance) = self.instance(id).cloned() else {
            return;
        };
        if !instance.condition.is_unreachable() {
            return;
        }
        if instance.goal == Goal::Decommissioned {
            self.forget(id, out);
            return;
        }
        let Some(times) = self.unreachable_times(&instance) else {
            return;
        };
        let expunge = self.unreachable_at(&instance, times.expunge_after_seconds, now);
        let inactive = self.unreachable_at(&instance, times.inactive_after_seconds, now);
        if expunge <= now.mono {
            self.forget(id, out);
            return;
        }
        self.timers.add(expunge, Timer::Unreachable(id.clone()));
        if instance.condition != Condition::Unreachable {
            return;
        }
        if inactive > now.mono {
            self.timers.add(inactive, Timer::Unreachable(id.clone()));
            return;
        }
        self.change_stored(id, out, |instance| {
            instance.condition = Condition::UnreachableInactive;
            instance.since = stamp(now);
        });
        if let Some(instance) = self.instance(id).cloned() {
            self.tell(&instance, now, out);
        }
    }

    /// None when nothing happens until the task returns.
    fn unreachable_times(&self, instance: &Instance) -> Option<UnreachableTimes> {
        let app = self.apps.get(&instance.app)?;
        match app.definition_of(instance)?.unreachable_strategy {
            UnreachableStrategy::Enabled(times) => Some(times),
            UnreachableStrategy::Disabled(_) => None,
        }
    }

    /// When an instance has been unreachable for so long. What was found so at the start gets time
    /// to return first: nobody heard of it while there was no leader.
    fn unreachable_at(&self, instance: &Instance, seconds: i64, now: Now) -> Mono {
        let since = instance.unreachable_since.unwrap_or(instance.since);
        let at_ms = since
            .as_millis()
            .saturating_add(seconds.saturating_mul(1000));
        let at = mono_of(at_ms, now);
        if since >= stamp(self.started) {
            return at;
        }
        at.max(self.started.mono + self.settings.task_lost_expunge_initial_delay)
    }
}
