//! Launches: from the match with an offer to the running task.
//! Matches no offers.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::marathon::{PathId, Timestamp};

use super::{Effect, Engine, Timer, lifecycle, mono_of, stamp};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Condition, Goal, Instance};
use crate::marathon::place::Place;
use crate::time::{Mono, Now};

/// A match of an offer with an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The app.
    pub app: PathId,
    /// Config version of the definition that was matched.
    pub version: Timestamp,
    /// A new instance, or one that waits with its reservation.
    pub instance: InstanceId,
    /// The agent of the offer.
    pub place: Place,
    /// Ports of the host that were taken.
    pub host_ports: Vec<u16>,
}

/// Why a match comes to nothing; the offer is declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaunchRefused {
    /// The app is gone, or is another by now.
    #[error("the app or its version is not the one that was matched; match it again")]
    Outdated,
    /// Enough run or are about to.
    #[error("no more instances are wanted; decline the offer")]
    NotWanted,
    /// The app must wait because it failed before.
    #[error("launches of the app are delayed; decline the offer")]
    Delayed,
    /// Too many launches began since the last refill.
    #[error("no launch token is left; wait for the next refill")]
    NoToken,
}

impl Engine {
    /// A launch was matched. The instance is stored as Provisioned; only then may the operation be
    /// sent. Nothing has changed when it is refused.
    pub fn launched(
        &mut self,
        launch: Launch,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<Arc<Instance>, LaunchRefused> {
        let known = self.admissible(&launch, now)?;
        self.tokens.refresh(now.mono);
        if !self.tokens.take() {
            return Err(LaunchRefused::NoToken);
        }
        let id = launch.instance.clone();
        let (app, version) = (launch.app.clone(), launch.version);
        if !known {
            self.admit(blank(&launch, now));
        }
        self.change_stored(&id, out, |instance| provision(instance, launch, now));
        if let Some(state) = self.apps.get_mut(&app) {
            state.stats.used(stamp(now));
        }
        self.backoffs.advance(&app, version, now.mono);
        let at = now.mono + self.settings.task_launch_confirm_timeout;
        self.timers.add(at, Timer::Launch(id.clone()));
        let instance = self.instance(&id).cloned();
        let instance = instance.ok_or(LaunchRefused::Outdated)?;
        self.tell(&instance, now, out);
        self.run(now, out);
        Ok(instance)
    }

    /// A reservation was matched: the first half of the launch of a resident instance. It is stored
    /// before the operation is sent, and waits for its reservation to be offered.
    pub fn reserved(
        &mut self,
        launch: Launch,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<Arc<Instance>, LaunchRefused> {
        if self.admissible(&launch, now)? {
            return Err(LaunchRefused::NotWanted);
        }
        let id = launch.instance.clone();
        self.admit(blank(&launch, now));
        self.change_stored(&id, out, |instance| instance.place = launch.place);
        let at = now.mono + self.settings.task_reservation_timeout;
        self.timers.add(at, Timer::Launch(id.clone()));
        let instance = self.instance(&id).cloned();
        let instance = instance.ok_or(LaunchRefused::Outdated)?;
        self.tell(&instance, now, out);
        self.run(now, out);
        Ok(instance)
    }

    /// Whether a match may be used; tells whether its instance waits with a reservation.
    fn admissible(&self, launch: &Launch, now: Now) -> Result<bool, LaunchRefused> {
        let app = self.apps.get(&launch.app);
        let app = app.filter(|app| app.version() == Some(launch.version));
        let app = app.ok_or(LaunchRefused::Outdated)?;
        if launch.instance.app() != launch.app {
            return Err(LaunchRefused::Outdated);
        }
        let delay = self.backoffs.until(&launch.app, launch.version, now.mono);
        if delay.is_some() {
            return Err(LaunchRefused::Delayed);
        }
        let exists = app.entry(&launch.instance).is_some();
        if exists && app.scheduled.contains(&launch.instance) {
            return Ok(true);
        }
        match !exists && app.moves().launch > 0 {
            true => Ok(false),
            false => Err(LaunchRefused::NotWanted),
        }
    }

    /// Gives up a launch that takes too long.
    pub(super) fn check_launch(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        let Some(instance) = self.instance(id).cloned() else {
            return;
        };
        let Some(at) = self.launch_deadline(&instance, now) else {
            return;
        };
        if at > now.mono {
            self.timers.add(at, Timer::Launch(id.clone()));
        } else if instance.condition == Condition::Scheduled {
            self.forget(id, out);
        } else {
            self.give_up(id, now, out);
            self.kills.note_overdue(id);
        }
    }

    /// Until when an instance must have come further; none when it may take all time.
    pub(super) fn launch_deadline(&self, instance: &Instance, now: Now) -> Option<Mono> {
        let settings = &self.settings;
        let after = |from: Option<Timestamp>, limit: Duration| {
            let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
            let at = from.unwrap_or(instance.since).as_millis();
            let at = mono_of(at.saturating_add(limit), now);
            at.max(self.started.mono + settings.overdue_initial_delay)
        };
        if instance.goal != Goal::Running {
            return None;
        }
        match instance.condition {
            Condition::Scheduled if instance.incarnation == 0 => {
                Some(after(None, settings.task_reservation_timeout))
            }
            Condition::Provisioned => Some(after(
                instance.staged_at,
                settings.task_launch_confirm_timeout,
            )),
            Condition::Staging | Condition::Starting => {
                Some(after(instance.staged_at, settings.task_launch_timeout))
            }
            Condition::Scheduled
            | Condition::Running
            | Condition::Killing
            | Condition::Unreachable
            | Condition::UnreachableInactive
            | Condition::Finished
            | Condition::Killed
            | Condition::Failed
            | Condition::Error
            | Condition::Gone
            | Condition::Dropped
            | Condition::Unknown => None,
        }
    }
}

/// A new instance that was never launched.
fn blank(launch: &Launch, now: Now) -> Instance {
    let mut instance = Instance {
        id: launch.instance.clone(),
        app: launch.app.clone(),
        version: launch.version,
        place: Place::default(),
        condition: Condition::Scheduled,
        goal: Goal::Running,
        since: stamp(now),
        active_since: None,
        incarnation: 0,
        staged_at: None,
        started_at: None,
        mesos_state: None,
        host_ports: Vec::new(),
        ip_addresses: Vec::new(),
        unreachable_since: None,
        health: Vec::new(),
    };
    lifecycle::schedule(&mut instance, launch.version, now);
    instance
}

fn provision(instance: &mut Instance, launch: Launch, now: Now) {
    instance.version = launch.version;
    instance.place = launch.place;
    instance.condition = Condition::Provisioned;
    instance.since = stamp(now);
    instance.incarnation += 1;
    instance.staged_at = Some(stamp(now));
    instance.host_ports = launch.host_ports;
}
