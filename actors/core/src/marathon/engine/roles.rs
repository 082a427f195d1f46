//! When offers of a role are asked for again, and when they are not wanted.
//! Matches no offers.

use std::collections::BTreeSet;
use std::time::Duration;

use tepui_protocol::marathon::PathId;

use super::{Effect, Engine, Timer};
use crate::ids::Role;
use crate::time::{Mono, Now};

/// A revival is repeated so often, in case it came too early or was lost.
const REVIVE_REPETITIONS: u32 = 1;

/// So many intervals without a revival can be saved up and used one right after the other: what is
/// changed by hand, or step by step by a deployment, does not wait then, while the number of revivals
/// over time stays what the interval allows. Marathon saves none.
const SAVED_REVIVALS: u32 = 10;

/// What the master was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    /// Nothing since the scheduler connected.
    #[default]
    Nothing,
    /// To offer.
    Revive,
    /// Not to offer.
    Suppress,
}

/// One role.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleState {
    /// Apps with something to launch now.
    apps: BTreeSet<PathId>,
    /// Offers are wanted until then although nothing waits.
    looked_at: Option<Mono>,
    asked: Asked,
    /// Whether something came to wait since the last revival.
    is_fresh: bool,
    repeat: u32,
    /// When all intervals are saved up again.
    rested: Mono,
    /// When a revival is to be repeated.
    next_repeat: Mono,
}

impl RoleState {
    /// Something of `app` may be launched; `more` than before, perhaps.
    pub(super) fn want(&mut self, app: &PathId, more: bool) {
        let is_new = self.apps.insert(app.clone());
        self.is_fresh |= is_new || more;
    }

    /// When the next revival may be, for a change or in repetition.
    fn next_revive(&self, now: Mono, is_new: bool, interval: Duration) -> Mono {
        let saved = interval.saturating_mul(SAVED_REVIVALS - 1);
        let allowed = now + self.rested.since(now).saturating_sub(saved);
        match is_new {
            true => allowed,
            false => self.next_repeat.max(allowed),
        }
    }

    /// The master knows nothing of what it was asked.
    pub(super) fn forget(&mut self) {
        self.asked = Asked::Nothing;
    }
}

impl Engine {
    /// Asks for offers of a role until a time, although nothing may wait for them; false when there
    /// is no connection. They come later when too many revivals were made lately.
    pub fn look(&mut self, role: &Role, until: Mono, now: Now, out: &mut Vec<Effect>) -> bool {
        if !self.connected {
            return false;
        }
        let state = self.roles.entry(role.clone()).or_default();
        let is_looked_at = state.looked_at.is_some_and(|until| now.mono < until);
        state.is_fresh |= !is_looked_at;
        state.looked_at = Some(until);
        self.timers.add(until, Timer::Revive(role.clone()));
        self.update_roles(now, out);
        true
    }

    /// Nothing of `app` waits for offers of any role but `stays`.
    pub(super) fn leave_roles(&mut self, app: &PathId, stays: Option<&str>) {
        for (role, state) in &mut self.roles {
            if Some(&**role) != stays {
                state.apps.remove(app);
            }
        }
    }

    /// Makes sure that a role is known, so that its offers are suppressed while nothing waits.
    pub(super) fn know_role(&mut self, role: &str) {
        if !self.roles.contains_key(role) {
            self.roles.insert(role.into(), RoleState::default());
        }
    }

    /// Asks for offers of the roles that need some, and for none of those that do not.
    pub(super) fn update_roles(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.connected {
            return;
        }
        self.tokens.refresh(now.mono);
        let has_token = self.tokens.left() > 0;
        let interval = self.settings.min_revive_offers_interval;
        for (name, role) in &mut self.roles {
            role.looked_at = role.looked_at.filter(|until| now.mono < *until);
            let is_looked_at = role.looked_at.is_some();
            if !role.apps.is_empty() && !has_token && !is_looked_at {
                // Offers are not suppressed: what is declined meanwhile comes back soon, and by then
                // tokens may have been given back.
                self.timers.add(self.tokens.refill_at(), Timer::Tokens);
                continue;
            }
            if role.apps.is_empty() && !is_looked_at {
                if role.asked != Asked::Suppress && self.settings.suppress_offers {
                    role.asked = Asked::Suppress;
                    out.push(Effect::Suppress(name.clone()));
                }
                continue;
            }
            let is_new = role.is_fresh || role.asked != Asked::Revive;
            if !is_new && role.repeat == 0 {
                continue;
            }
            let next = role.next_revive(now.mono, is_new, interval);
            if now.mono < next {
                self.timers.add(next, Timer::Revive(name.clone()));
                continue;
            }
            role.repeat = match is_new {
                true => REVIVE_REPETITIONS,
                false => role.repeat - 1,
            };
            role.is_fresh = false;
            role.asked = Asked::Revive;
            role.rested = role.rested.max(now.mono) + interval;
            role.next_repeat = now.mono + interval;
            out.push(Effect::Revive(name.clone()));
            if role.repeat > 0 {
                let next = role.next_revive(now.mono, false, interval);
                self.timers.add(next, Timer::Revive(name.clone()));
            }
        }
    }
}
