//! The engine of the app manager: instances, launches, kills and deployments.
//! Matches no offers, makes no plans, probes nothing, and performs none of its effects.

mod app;
mod effects;
mod health;
mod kills;
mod launches;
mod lifecycle;
mod listing;
mod restore;
mod roles;
mod settings;
mod settle;
mod status;
mod steps;
mod timers;
mod unreachable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::marathon::{PathId, Timestamp};

use self::app::AppState;
use self::kills::Kills;
use self::roles::RoleState;
use self::steps::Deployment;
use self::timers::{Timer, Timers};
use crate::ids::{AgentId, Role, TaskId};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Instance;
use crate::marathon::queue::{Backoffs, LaunchTokens};
use crate::time::{Mono, Now};

pub use effects::{Effect, Event, EventKind, TaskFailure};
pub use health::HealthVerdict;
pub use kills::KillFigures;
pub use launches::{Launch, LaunchRefused};
pub use listing::{QueueItem, Waiting};
pub use restore::Restored;
pub use settings::EngineSettings;
pub use status::StatusUpdate;

/// Owns the instances of all apps, what waits for offers, and the deployments under way. Every input
/// takes the time and appends to a list of effects, which the skin performs in order.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    apps: BTreeMap<PathId, AppState>,
    /// Instances by agent.
    agents: BTreeMap<AgentId, BTreeSet<InstanceId>>,
    backoffs: Backoffs,
    tokens: LaunchTokens,
    /// Apps in which something waits for an offer.
    waiting: BTreeSet<PathId>,
    roles: BTreeMap<Role, RoleState>,
    kills: Kills,
    timers: Timers,
    /// In the order in which they began.
    deployments: Vec<Deployment>,
    /// Apps to compare with what is wanted before the input has been dealt with.
    dirty: BTreeSet<PathId>,
    connected: bool,
    started: Now,
}

impl Engine {
    /// The scheduler has subscribed, for the first time or again. Asks for the state of all tasks:
    /// what happened meanwhile was told to nobody.
    pub fn scheduler_connected(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.connected = true;
        for role in self.roles.values_mut() {
            role.forget();
        }
        self.reconcile(now, out);
        self.run(now, out);
    }

    /// The connection to the master is lost: nothing is asked of it until it is back.
    pub fn scheduler_disconnected(&mut self) {
        self.connected = false;
    }

    /// Whether the master can be asked for anything.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The agent is lost. What became of its tasks is asked of Mesos, which answers for each.
    pub fn agent_lost(&mut self, agent: &AgentId, out: &mut Vec<Effect>) {
        let instances = self.agents.get(agent).into_iter().flatten();
        let known = instances.filter_map(|id| self.instance(id));
        let tasks: Vec<_> = known
            .filter_map(|instance| Some((instance.task()?, Some(agent.clone()))))
            .collect();
        if self.connected && !tasks.is_empty() {
            out.push(Effect::Reconcile(tasks));
        }
    }

    /// Kills instances: without `wipe` they are replaced, and resident ones keep their reservations.
    /// Killing and lowering the number of instances is a deployment. Gives back those that exist.
    pub fn kill(
        &mut self,
        ids: &[InstanceId],
        wipe: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Vec<Arc<Instance>> {
        let mut found = Vec::new();
        for id in ids {
            let Some(instance) = self.instance(id).cloned() else {
                continue;
            };
            found.push(instance);
            match wipe {
                true => self.decommission(id, now, out),
                false => self.give_up(id, now, out),
            }
        }
        self.run(now, out);
        found
    }

    /// Forgets the launch delays of an app; tells whether the app is in the queue at all.
    pub fn reset_delay(&mut self, app: &PathId, now: Now, out: &mut Vec<Effect>) -> bool {
        let had_delay = self.backoffs.reset(app);
        let is_queued = self.waiting.contains(app) || had_delay;
        self.dirty.insert(app.clone());
        self.run(now, out);
        is_queued
    }

    /// When [`Engine::timer`] is to be called next.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn timer(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop(now.mono) {
            self.due(timer, now, out);
        }
        self.run(now, out);
    }

    fn due(&mut self, timer: Timer, now: Now, out: &mut Vec<Effect>) {
        let again = |delay: Duration| now.mono + delay;
        match timer {
            Timer::Launch(id) => self.check_launch(&id, now, out),
            Timer::Unreachable(id) => self.check_unreachable(&id, now, out),
            Timer::Kill(id) => self.repeat_kill(&id, now, out),
            Timer::Delay(app) => {
                self.dirty.insert(app);
            }
            // Roles are looked at after every input.
            Timer::Revive(_) => {}
            Timer::Tokens => {
                self.tokens.refresh(now.mono);
                self.dirty.extend(self.waiting.iter().cloned());
            }
            Timer::Sweep => {
                self.backoffs.sweep(now.mono);
                let at = again(self.settings.backoff_sweep_interval);
                self.timers.add(at, Timer::Sweep);
            }
            Timer::ScaleCheck => {
                self.dirty.extend(self.apps.keys().cloned());
                let at = again(self.settings.scale_apps_interval);
                self.timers.add(at, Timer::ScaleCheck);
            }
            Timer::Reconcile => {
                self.reconcile(now, out);
                let at = again(self.settings.reconciliation_interval);
                self.timers.add(at, Timer::Reconcile);
            }
            Timer::Step(id, step) => self.step_overdue(&id, step, now, out),
        }
    }

    /// Asks for all known tasks by name, then for all that Mesos knows. A task launched a moment ago
    /// is not asked for: Mesos may not have heard of it, and would call it lost.
    fn reconcile(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.connected {
            return;
        }
        let settled = self.settings.overdue_initial_delay;
        let before = stamp(now).as_millis() - i64::try_from(settled.as_millis()).unwrap_or(0);
        let entries = self.apps.values().flat_map(AppState::entries);
        let known = entries.filter_map(|entry| {
            let instance = &entry.instance;
            let is_new = instance.mesos_state.is_none()
                && instance.staged_at.is_some_and(|at| at.as_millis() > before)
                && instance.staged_at >= Some(stamp(self.started));
            (!is_new).then(|| Some((instance.task()?, agent_of(instance))))?
        });
        let tasks: Vec<(TaskId, Option<AgentId>)> = known.collect();
        if !tasks.is_empty() {
            out.push(Effect::Reconcile(tasks));
        }
        out.push(Effect::Reconcile(Vec::new()));
    }
}

/// The wall-clock time in Marathon's form.
fn stamp(now: Now) -> Timestamp {
    Timestamp::from_millis(i64::try_from(now.wall.0 / 1000).unwrap_or(i64::MAX))
}

/// The monotonic time of a point in wall-clock time, which may lie before the start; never earlier
/// than now.
fn mono_of(at_ms: i64, now: Now) -> Mono {
    let left = at_ms.saturating_sub(stamp(now).as_millis());
    now.mono + Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

/// The agent an instance is on.
fn agent_of(instance: &Instance) -> Option<AgentId> {
    let id = instance.place.agent_id.as_str();
    (!id.is_empty()).then(|| AgentId::new(id))
}

fn event(kind: EventKind, now: Now) -> Effect {
    let timestamp = stamp(now);
    Effect::Event(Event { kind, timestamp })
}

#[cfg(test)]
mod tests;
