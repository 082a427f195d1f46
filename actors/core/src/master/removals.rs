//! Agents that the master gives up, one after another: paced, and with a guard against mass kills.
//! What giving up an agent does to its tasks is in `agent_loss`.
//!
//! A few agents die every day. When a large part of a cluster seems to die at once, it is rather
//! this master that cannot be reached, or its registry that is not this cluster's: then it waits
//! for an operator's word before it gives anybody's tasks up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use imbl::OrdMap;
use tepui_protocol::v1::AgentInfo;
use tracing::{error, info};

use super::messages::{Answer, Effect, Token};
use super::model::{Held, HeldFrom};
use super::{Deadline, Master};
use crate::ids::AgentId;
use crate::time::{Mono, Now};

/// So many agents in [`WINDOW`] are no mass yet, whatever their share: small clusters must not
/// need an operator for every failure.
const FEW: usize = 4;
/// Time in which agents that are given up are counted together.
const WINDOW: Duration = Duration::from_secs(600);
/// After a start nobody is shut down on the registry's word for so long: first it is seen how many
/// that would be.
const SETTLE_TIME: Duration = Duration::from_secs(60);

/// On whose word an agent that comes back is to be shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// An operator's, given to this master.
    Operator,
    /// That of the registry which was read at start.
    Registry,
    /// The master's own.
    Master,
}

/// Agents that are given up.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// Those to be marked unreachable, why, and how many tasks they had when that was decided.
    queued: BTreeMap<AgentId, (String, usize)>,
    /// All tasks of the queued ones.
    pub(super) queued_tasks: usize,
    /// In which order; also names some that are no longer queued.
    pub(super) order: VecDeque<AgentId>,
    /// When the next of them may be.
    next: Mono,
    /// Those marked unreachable lately, when, and with how many tasks.
    recent: BTreeMap<AgentId, (Mono, usize)>,
    /// In which order; also names some that have come back.
    recent_order: VecDeque<(Mono, AgentId)>,
    /// All tasks of the recent ones.
    recent_tasks: usize,
    /// Of the recent ones, how many the registry does not yet hold as unreachable.
    unstored: usize,
    /// Those that an operator must speak of first.
    held: OrdMap<AgentId, Held>,
    /// Agents that came back and are to be shut down, and when they last tried.
    unwanted: BTreeMap<AgentId, Mono>,
    /// Held ones that an operator gave up: they are shut down when they try again.
    released: BTreeSet<AgentId>,
    /// When the registry had been read.
    started: Mono,
}

impl Removals {
    /// Whether an agent is to be marked unreachable, sooner or later.
    pub(super) fn has(&self, id: &AgentId) -> bool {
        self.queued.contains_key(id) || self.holds(id)
    }

    fn holds(&self, id: &AgentId) -> bool {
        let held = self.held.get(id);
        held.is_some_and(|held| held.from == HeldFrom::Removal)
    }

    /// Agents that wait for an operator's word.
    pub(super) fn held(&self) -> &OrdMap<AgentId, Held> {
        &self.held
    }

    /// Every agent that is to be marked unreachable.
    pub(super) fn condemned(&self) -> impl Iterator<Item = &AgentId> {
        self.queued.keys().chain(self.held_removals())
    }

    fn held_removals(&self) -> impl Iterator<Item = &AgentId> {
        let held = self.held.iter();
        let held = held.filter(|(_, held)| held.from == HeldFrom::Removal);
        held.map(|(id, _)| id)
    }

    pub(super) fn start(&mut self, now: Now) {
        self.started = now.mono;
    }

    /// An agent lives, or is no longer known; true when it was to be marked unreachable.
    pub(super) fn forget(&mut self, id: &AgentId) -> bool {
        let had = self.has(id);
        self.unqueue(id);
        self.held.remove(id);
        self.unwanted.remove(id);
        self.released.remove(id);
        had
    }

    /// An agent that was marked unreachable came back: it was not lost after all.
    pub(super) fn came_back(&mut self, id: &AgentId) {
        if let Some((_, tasks)) = self.recent.remove(id) {
            self.recent_tasks -= tasks;
        }
    }

    fn queue(&mut self, id: AgentId, why: String, tasks: usize) {
        self.order.push_back(id.clone());
        self.queued.insert(id, (why, tasks));
        self.queued_tasks += tasks;
    }

    fn unqueue(&mut self, id: &AgentId) -> Option<String> {
        let (why, tasks) = self.queued.remove(id)?;
        self.queued_tasks -= tasks;
        // Agents that come and go before their turn must not make it grow for ever.
        if self.queued.is_empty() {
            self.order.clear();
        }
        Some(why)
    }

    /// The next in the queue.
    fn pop(&mut self) -> Option<(AgentId, String)> {
        while let Some(id) = self.order.pop_front() {
            if let Some(why) = self.unqueue(&id) {
                return Some((id, why));
            }
        }
        None
    }

    fn note_removal(&mut self, at: Mono, id: AgentId, tasks: usize) {
        self.came_back(&id);
        self.recent_order.push_back((at, id.clone()));
        self.recent.insert(id, (at, tasks));
        self.recent_tasks += tasks;
        self.unstored += 1;
    }

    /// The registry holds that an agent is unreachable.
    pub(super) fn stored(&mut self) {
        self.unstored -= 1;
    }

    fn forget_old(&mut self, now: Mono) {
        let is_old = |at: Mono| now.since(at) > WINDOW;
        while let Some((at, id)) = self.recent_order.pop_front() {
            if !is_old(at) {
                self.recent_order.push_front((at, id));
                break;
            }
            // The entry may be that of a later removal.
            if self.recent.get(&id).is_some_and(|(last, _)| *last == at) {
                self.came_back(&id);
            }
        }
        self.unwanted.retain(|_, at| !is_old(*at));
    }
}

impl Master {
    /// An agent is given up for this reason. Whether it is marked unreachable at once, later or
    /// only on an operator's word is decided here.
    pub(super) fn give_up(&mut self, now: Now, id: &AgentId, why: &str, out: &mut Vec<Effect>) {
        self.give_up_all(now, vec![id.clone()], why, out);
    }

    /// The same for many: it is looked at how many they are before one of them is given up.
    pub(super) fn give_up_all(
        &mut self,
        now: Now,
        mut ids: Vec<AgentId>,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        // Whatever is being stored of an agent now also decides what becomes of it.
        ids.retain(|id| !self.transitions.contains_key(id) && !self.removals.has(id));
        if ids.is_empty() {
            return;
        }
        self.counters.slave_unreachable_scheduled += ids.len() as u64;
        self.removals.forget_old(now.mono);
        let (replaced, lost) = self.tell_replaced(ids);
        let is_mass = self.would_be_a_mass(&lost);
        for id in lost {
            match is_mass {
                true => self.hold(now, id, HeldFrom::Removal, why),
                false => self.queue_removal(id, why.to_string()),
            }
        }
        for id in replaced {
            self.queue_removal(id, why.to_string());
        }
        self.remove_next(now, out);
    }

    fn queue_removal(&mut self, id: AgentId, why: String) {
        let tasks = self.tasks_on(&id);
        self.removals.queue(id, why, tasks);
    }

    /// Agents of the registry in whose places others have registered since, and the rest: who was
    /// installed anew is not cut off.
    fn tell_replaced(&self, ids: Vec<AgentId>) -> (Vec<AgentId>, Vec<AgentId>) {
        let place = |info: &AgentInfo| (info.hostname.clone(), info.port);
        if !ids.iter().any(|id| self.recovered_agents.contains_key(id)) {
            return (Vec::new(), ids);
        }
        let registered = self.agents.values();
        let taken: BTreeSet<_> = registered.map(|agent| place(&agent.info)).collect();
        ids.into_iter().partition(|id| {
            let info = self.recovered_agents.get(id);
            info.is_some_and(|info| taken.contains(&place(info)))
        })
    }

    /// Whether giving these agents up beside the others would go beyond the limit. While some are
    /// held, nobody else is given up.
    fn would_be_a_mass(&self, ids: &[AgentId]) -> bool {
        let limit = self.settings.mass_removal_limit;
        let are_held = self.removals.held_removals().next().is_some();
        limit < 100.0 && !ids.is_empty() && (are_held || self.is_mass(ids, limit))
    }

    fn is_mass(&self, ids: &[AgentId], limit: f64) -> bool {
        let (recent, queued) = (&self.removals.recent, &self.removals.queued);
        let lost = recent.len() + queued.len() + ids.len();
        if lost <= FEW {
            return false;
        }
        let gone = recent.len().saturating_sub(self.removals.unstored);
        let all = self.agents.len() + self.recovered_agents.len() + gone;
        let recent_tasks = self.removals.recent_tasks;
        let leaving = ids.iter().map(|id| self.tasks_on(id));
        let lost_tasks = recent_tasks + self.removals.queued_tasks + leaving.sum::<usize>();
        let frameworks = self.frameworks.values();
        let all_tasks: usize = frameworks.map(|f| f.tasks.len()).sum::<usize>() + recent_tasks;
        share(lost, all) > limit || share(lost_tasks, all_tasks) > limit
    }

    fn tasks_on(&self, id: &AgentId) -> usize {
        self.agents.get(id).map_or(0, |agent| agent.tasks.len())
    }

    fn hold(&mut self, now: Now, id: AgentId, from: HeldFrom, why: &str) {
        let held = Held {
            from,
            why: why.to_string(),
            since: now.wall,
        };
        if self.removals.held.insert(id.clone(), held).is_none() {
            error!(
                agent = %id,
                held = self.removals.held.len(),
                limit = self.settings.mass_removal_limit,
                why,
                "mass-kill guard: too many agents would be given up at once; this one is kept \
                 until it is back or an operator says otherwise (GET and POST \
                 /api/tepui/v1/guard; --mass_removal_limit)"
            );
        }
    }

    /// Marks those unreachable whose turn it is.
    pub(super) fn remove_next(&mut self, now: Now, out: &mut Vec<Effect>) {
        let pace = self.settings.agent_removal_rate_limit;
        while !self.removals.queued.is_empty() {
            if pace.is_some() && now.mono < self.removals.next {
                self.deadlines.set(Deadline::Removal, self.removals.next);
                return;
            }
            let Some((id, why)) = self.removals.pop() else {
                break;
            };
            if self.transitions.contains_key(&id) {
                continue;
            }
            if let Some(pace) = pace {
                self.removals.next = now.mono + pace;
            }
            let tasks = self.tasks_on(&id);
            self.removals.note_removal(now.mono, id.clone(), tasks);
            self.mark_unreachable(now, &id, &why, out);
        }
        self.deadlines.clear(&Deadline::Removal);
    }

    /// An agent answers: it is not given up.
    pub(super) fn spare(&mut self, now: Now, id: &AgentId) {
        if !self.removals.forget(id) {
            return;
        }
        self.counters.slave_unreachable_canceled += 1;
        info!(agent = %id, "agent is back; it is not marked unreachable");
        if self.removals.held_removals().next().is_some() {
            let timeout = self.settings.agent_reregister_timeout;
            self.deadlines.set(Deadline::Held, now.mono + timeout);
        }
    }

    /// Agents that were held have come back, and for a while now nobody else has: if those that
    /// are left are no mass any more, they are given up like others.
    pub(super) fn look_at_held_again(&mut self, now: Now, out: &mut Vec<Effect>) {
        let held: Vec<AgentId> = self.removals.held_removals().cloned().collect();
        self.removals.forget_old(now.mono);
        if self.is_mass(&held, self.settings.mass_removal_limit) {
            return;
        }
        for id in held {
            if let Some(held) = self.removals.held.remove(&id) {
                self.queue_removal(id, held.why);
            }
        }
        self.remove_next(now, out);
    }

    /// Whether an agent that comes back may be shut down, which ends its tasks.
    pub(super) fn may_shut_down(&mut self, now: Now, id: &AgentId, word: Word, why: &str) -> bool {
        let limit = self.settings.mass_removal_limit;
        if word == Word::Operator || limit >= 100.0 || self.removals.released.contains(id) {
            return true;
        }
        self.removals.forget_old(now.mono);
        self.removals.unwanted.insert(id.clone(), now.mono);
        let is_early = now.mono.since(self.removals.started) < SETTLE_TIME;
        if word == Word::Registry && is_early {
            return false;
        }
        let unwanted = self.removals.unwanted.len();
        let all = self.agents.len() + self.recovered_agents.len() + unwanted;
        let is_mass = unwanted > FEW && share(unwanted, all) > limit;
        if is_mass {
            self.hold(now, id.clone(), HeldFrom::ShutDown, why);
        }
        !is_mass
    }

    /// An operator's word: all agents that are held are given up.
    pub(super) fn release_held(&mut self, now: Now, reply: Token, out: &mut Vec<Effect>) {
        let held = mem::take(&mut self.removals.held);
        info!(
            held = held.len(),
            "mass-kill guard: an operator gives the held agents up"
        );
        for (id, held) in held {
            match held.from {
                HeldFrom::Removal => self.queue_removal(id, held.why),
                HeldFrom::ShutDown => {
                    self.removals.released.insert(id);
                }
            }
        }
        self.remove_next(now, out);
        out.push(Effect::Reply(reply, Answer::Ok));
    }
}

/// In percent.
fn share(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
