//! Kills: which are asked for, how many at a time, and again.
//! Does not say who is to be killed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Effect, Engine, Timer, agent_of};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Instance;
use crate::time::Now;

/// Instances to kill.
#[derive(Debug, Clone, Default)]
pub(super) struct Kills {
    /// Not asked for yet, in order; some may have ended meanwhile.
    pending: VecDeque<InstanceId>,
    /// All that are to be killed.
    wanted: BTreeSet<InstanceId>,
    /// Asked for and not confirmed, with how often each was asked for.
    in_flight: BTreeMap<InstanceId, u64>,
    /// The sum of these numbers.
    attempts: u64,
    /// Those to be killed because their launch took too long.
    overdue: BTreeSet<InstanceId>,
}

/// How many kills there are, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KillFigures {
    /// Asked for and not confirmed.
    pub in_flight: usize,
    /// How often these were asked for, together.
    pub attempts: u64,
    /// Instances whose launch took too long and that have not ended yet.
    pub launch_overdue: usize,
}

impl Kills {
    /// An instance is to be killed.
    pub(super) fn want(&mut self, id: &InstanceId) {
        if self.wanted.insert(id.clone()) {
            self.pending.push_back(id.clone());
        }
    }

    /// There is nothing to kill of it any more.
    pub(super) fn done(&mut self, id: &InstanceId) {
        self.wanted.remove(id);
        self.overdue.remove(id);
        self.attempts -= self.in_flight.remove(id).unwrap_or(0);
    }

    /// The launch of an instance took too long, if it is to be killed at all.
    pub(super) fn note_overdue(&mut self, id: &InstanceId) {
        if self.wanted.contains(id) {
            self.overdue.insert(id.clone());
        }
    }

    pub(super) fn figures(&self) -> KillFigures {
        KillFigures {
            in_flight: self.in_flight.len(),
            attempts: self.attempts,
            launch_overdue: self.overdue.len(),
        }
    }

    fn asked(&mut self, id: &InstanceId) {
        if let Some(attempts) = self.in_flight.get_mut(id) {
            *attempts += 1;
            self.attempts += 1;
        }
    }

    fn next(&mut self) -> Option<InstanceId> {
        loop {
            let id = self.pending.pop_front()?;
            if self.wanted.contains(&id) && !self.in_flight.contains_key(&id) {
                self.in_flight.insert(id.clone(), 0);
                return Some(id);
            }
        }
    }
}

impl Engine {
    /// Asks for as many kills as may be in flight.
    pub(super) fn pump_kills(&mut self, now: Now, out: &mut Vec<Effect>) {
        while self.connected && self.kills.in_flight.len() < self.settings.kill_chunk_size {
            let Some(id) = self.kills.next() else {
                return;
            };
            self.ask_to_die(&id, now, out);
        }
    }

    /// Asks again for a kill that was not confirmed.
    pub(super) fn repeat_kill(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        if self.kills.in_flight.contains_key(id) {
            self.ask_to_die(id, now, out);
        }
    }

    fn ask_to_die(&mut self, id: &InstanceId, now: Now, out: &mut Vec<Effect>) {
        let asked = self.instance(id).and_then(kill_of);
        let Some(kill) = asked else {
            self.kills.done(id);
            return;
        };
        if self.connected {
            out.push(kill);
            self.kills.asked(id);
        }
        let at = now.mono + self.settings.kill_retry_timeout;
        self.timers.add(at, Timer::Kill(id.clone()));
    }
}

/// Unreachable instances are not asked to die.
fn kill_of(instance: &std::sync::Arc<Instance>) -> Option<Effect> {
    if instance.condition.is_unreachable() || !instance.is_dying() {
        return None;
    }
    let task = instance.task()?;
    let agent = agent_of(instance);
    Some(Effect::Kill { task, agent })
}
