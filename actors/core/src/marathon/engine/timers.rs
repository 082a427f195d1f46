//! What the engine does at which time.
//! Arms no timer: the skin does, for the earliest.

use std::collections::BTreeSet;

use tepui_protocol::marathon::PathId;

use crate::ids::Role;
use crate::marathon::ids::InstanceId;
use crate::time::Mono;

/// Something to look at. Whether there is still something to do is found out then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The task of an instance may not have been staged or run in time.
    Launch(InstanceId),
    /// An instance may have been unreachable for too long.
    Unreachable(InstanceId),
    /// A kill may have to be repeated.
    Kill(InstanceId),
    /// The launch delay of an app is over.
    Delay(PathId),
    /// A role may be revived.
    Revive(Role),
    /// There are new launch tokens.
    Tokens,
    /// Look for launch delays that are over for good.
    Sweep,
    /// Compare all apps with what is wanted.
    ScaleCheck,
    /// Ask Mesos for all tasks.
    Reconcile,
    /// A step of a deployment may take too long; its number tells whether it is still that one.
    Step(String, usize),
}

/// Timers by time.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers(BTreeSet<(Mono, Timer)>);

impl Timers {
    /// Adds a timer.
    pub(super) fn add(&mut self, at: Mono, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// The time of the earliest.
    pub(super) fn next(&self) -> Option<Mono> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest one that is due.
    pub(super) fn pop(&mut self, now: Mono) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
