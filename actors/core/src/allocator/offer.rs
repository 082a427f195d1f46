//! What an agent can offer to a framework, and what speaks against it.
//! Looks only: the run and the explanations ask here, and neither changes anything by asking.

use super::AllocatorConfig;
use super::amounts::Amounts;
use super::capabilities::Kinds;
use super::filters::{Compared, Filters};
use super::holdings::is_plain;
use super::keys::{AgentKey, RoleKey, SubKey};
use super::ledger::{Ledger, Sub};
use super::quotas::Cut;
use super::reasons::Reason;
use super::sorter::Totals;
use crate::resources::{Entry, Quantities, Resources};

/// The two stages of Mesos's allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Roles get what they are guaranteed and do not have yet.
    Guarantees,
    /// Roles get their fair share of the rest.
    FairShare,
}

/// What decides about offers.
pub(super) struct Rules<'a> {
    pub ledger: &'a Ledger,
    pub filters: &'a Filters,
    pub config: &'a AllocatorConfig,
}

/// Something that may be offered, without allocation role.
pub(super) struct Candidate {
    pub resources: Resources,
    /// Quota kept a part of it back.
    pub is_cut: bool,
}

/// What an agent can offer to a role, prepared once for all of its frameworks.
pub(super) struct View {
    pub available: Resources,
    special: Kinds,
    parts: Vec<Part>,
}

/// What one kind of framework can use of it, in the order of an offer.
struct Part {
    stripped: Kinds,
    whole: Resources,
    /// What quota counts of it.
    plain: Amounts,
    meets_minimum: bool,
    compared: Compared,
    /// What is left when quota allows nothing of what it counts.
    rest: Option<Rest>,
}

struct Rest {
    resources: Resources,
    meets_minimum: bool,
    compared: Compared,
}

impl Rules<'_> {
    /// What the agent has for the role; `shared_out` are the shared volumes that were offered in
    /// this run already: each goes to one framework per run.
    pub fn view(&self, agent: AgentKey, role: RoleKey, shared_out: Option<&Resources>) -> View {
        let path = &self.ledger.roles[role.0].path;
        let free = &self.ledger.agents[agent.0].free;
        let mut available = match free.iter().all(|entry| entry.is_allocatable_to(path)) {
            true => free.clone(),
            false => free.allocatable_to(path),
        };
        if let Some(shared_out) = shared_out {
            available.subtract(shared_out);
        }
        View {
            special: Kinds::among(&available),
            available,
            parts: Vec::new(),
        }
    }

    /// What the framework would be offered in a stage, unless something speaks against it.
    pub fn judge(
        &self,
        agent_key: AgentKey,
        sub_key: SubKey,
        view: &mut View,
        stage: Stage,
    ) -> Result<Candidate, Reason> {
        let sub = &self.ledger.subs[sub_key.0];
        let agent = &self.ledger.agents[agent_key.0];
        let role = &self.ledger.roles[sub.role.0];
        if view.available.is_empty() {
            return Err(Reason::NothingForRole);
        }
        let filter_gpus = self.config.filter_gpu_resources;
        agent.traits.admits(sub.traits, role.nested, filter_gpus)?;
        let part = view.part(sub.traits.cannot_use, self);
        if part.whole.is_empty() {
            return Err(Reason::NothingUsable);
        }
        let candidate = match stage {
            Stage::FairShare => self.fair_share(agent_key, sub_key, part)?,
            Stage::Guarantees => self.guaranteed(agent_key, sub_key, part)?,
        };
        let constraints = sub.constraints.as_ref();
        match constraints.is_some_and(|c| c.is_agent_excluded(&role.path, &agent.facts.info)) {
            true => Err(Reason::OfferConstraints),
            false => Ok(candidate),
        }
    }

    /// Everything, cut to the role's limit and to what others' guarantees leave.
    fn fair_share(
        &self,
        agent: AgentKey,
        sub_key: SubKey,
        part: &mut Part,
    ) -> Result<Candidate, Reason> {
        let sub = &self.ledger.subs[sub_key.0];
        let top = self.ledger.roles[sub.role.0].top;
        let Some((allowed, cut)) = self.ledger.quotas.allowed(top, &part.plain) else {
            if !meets_own(sub, &part.whole, part.meets_minimum) {
                return Err(Reason::BelowMinimum);
            }
            let compared = &mut part.compared;
            if let Some(until) = self.filters.hide(agent, sub_key, &part.whole, compared) {
                return Err(Reason::Filtered { until });
            }
            let resources = part.whole.clone();
            return Ok(Candidate {
                resources,
                is_cut: false,
            });
        };
        let reason = match cut {
            Cut::Limit => Reason::QuotaLimit,
            Cut::Headroom => Reason::Headroom,
        };
        if allowed.is_zero() {
            let rest = part.rest(self.config);
            if !meets_own(sub, &rest.resources, rest.meets_minimum) {
                return Err(reason);
            }
            let compared = &mut rest.compared;
            if let Some(until) = self.filters.hide(agent, sub_key, &rest.resources, compared) {
                return Err(Reason::Filtered { until });
            }
            let resources = rest.resources.clone();
            return Ok(Candidate {
                resources,
                is_cut: true,
            });
        }
        let mut resources = part.rest(self.config).resources.clone();
        let plain = part.whole.iter().filter(|entry| is_plain(entry));
        shrink(plain, allowed, &self.ledger.totals, &mut resources);
        self.if_large_enough(agent, sub_key, resources, reason)
    }

    /// What the role's guarantees miss, its reservations and what quota does not count; and of
    /// the rest what limit and headroom allow, so that the offer can be used.
    fn guaranteed(
        &self,
        agent: AgentKey,
        sub_key: SubKey,
        part: &mut Part,
    ) -> Result<Candidate, Reason> {
        let role = &self.ledger.roles[self.ledger.subs[sub_key.0].role.0];
        let top = self.ledger.quotas.top(role.top);
        let mut missing = Amounts::default();
        for (kind, unmet) in top.unmet().as_slice().iter().enumerate() {
            missing.set(kind, part.plain.get(kind).min(*unmet));
        }
        let totals = &self.ledger.totals;
        let plain = || part.whole.iter().filter(|entry| is_plain(entry));
        let mut resources = Resources::new();
        shrink(plain(), missing, totals, &mut resources);
        if resources.is_empty() {
            return Err(Reason::GuaranteesMet);
        }
        let mut rest: Resources = plain().cloned().collect();
        rest.subtract(&resources);
        let mut given = Amounts::default();
        let mut left = Amounts::default();
        for (amounts, bag) in [(&mut given, &resources), (&mut left, &rest)] {
            for entry in bag {
                if let (Some(kind), Some(milli)) =
                    (totals.known_kind(entry.kind()), entry.scalar_milli())
                {
                    amounts.change(kind, milli);
                }
            }
        }
        let quotas = &self.ledger.quotas;
        let more = quotas.allowed_beyond(role.top, &given, &left);
        for entry in part.whole.iter().filter(|entry| !is_plain(entry)) {
            resources.add_entry(entry.clone());
        }
        shrink(rest.iter(), more, totals, &mut resources);
        self.if_large_enough(agent, sub_key, resources, Reason::BelowMinimum)
    }

    /// The last two conditions of every offer, for one that was made to measure.
    fn if_large_enough(
        &self,
        agent: AgentKey,
        sub_key: SubKey,
        resources: Resources,
        otherwise: Reason,
    ) -> Result<Candidate, Reason> {
        let sub = &self.ledger.subs[sub_key.0];
        let meets_minimum = meets(&resources, &self.config.min_allocatable_resources);
        if !meets_own(sub, &resources, meets_minimum) {
            return Err(otherwise);
        }
        if let Some(until) = self.filters.hide(agent, sub_key, &resources, &mut None) {
            return Err(Reason::Filtered { until });
        }
        Ok(Candidate {
            resources,
            is_cut: true,
        })
    }
}

impl View {
    fn part(&mut self, cannot_use: Kinds, rules: &Rules<'_>) -> &mut Part {
        let stripped = self.special.and(cannot_use);
        let known = self.parts.iter().position(|part| part.stripped == stripped);
        let at = known.unwrap_or_else(|| {
            self.parts.push(Part::of(&self.available, stripped, rules));
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

impl Part {
    fn of(available: &Resources, stripped: Kinds, rules: &Rules<'_>) -> Self {
        let whole = arrange(available, stripped);
        let totals = &rules.ledger.totals;
        let mut plain = Amounts::default();
        for entry in whole.iter().filter(|entry| is_plain(entry)) {
            if let (Some(kind), Some(milli)) =
                (totals.known_kind(entry.kind()), entry.scalar_milli())
            {
                plain.change(kind, milli);
            }
        }
        let meets_minimum = meets(&whole, &rules.config.min_allocatable_resources);
        Part {
            stripped,
            whole,
            plain,
            meets_minimum,
            compared: None,
            rest: None,
        }
    }

    fn rest(&mut self, config: &AllocatorConfig) -> &mut Rest {
        let whole = &self.whole;
        self.rest.get_or_insert_with(|| {
            let resources = whole.filter(|entry| !is_plain(entry));
            Rest {
                meets_minimum: meets(&resources, &config.min_allocatable_resources),
                resources,
                compared: None,
            }
        })
    }
}

/// Whether an offer is large enough for the framework, which may have its own idea of that.
fn meets_own(sub: &Sub, resources: &Resources, meets_minimum: bool) -> bool {
    match &sub.minimum {
        None => meets_minimum,
        Some(minimum) => meets(resources, minimum),
    }
}

/// Whether an offer has at least one of the alternatives; without any, all but nothing will do.
pub(super) fn meets(resources: &Resources, minimum: &[Quantities]) -> bool {
    !resources.is_empty()
        && (minimum.is_empty() || minimum.iter().any(|one| resources.contains_quantities(one)))
}

/// The order in which Mesos lists an offer: first what quota never limits, then the rest.
fn arrange(available: &Resources, stripped: Kinds) -> Resources {
    let is_usable = |entry: &&Entry| !stripped.include(entry);
    let is_arranged = available.iter().all(|entry| is_usable(&entry))
        && available.iter().is_sorted_by_key(is_plain);
    if is_arranged {
        return available.clone();
    }
    let usable = || available.iter().filter(is_usable);
    let unlimited = usable().filter(|entry| !is_plain(entry));
    let limited = usable().filter(|entry| is_plain(entry));
    unlimited.chain(limited).cloned().collect()
}

/// Adds as much of the entries as `target` allows. Exclusive disks are taken whole or not at all.
fn shrink<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    mut target: Amounts,
    totals: &Totals,
    into: &mut Resources,
) {
    for entry in entries {
        let (Some(kind), Some(milli)) = (totals.known_kind(entry.kind()), entry.scalar_milli())
        else {
            continue;
        };
        let left = target.get(kind);
        let taken = match left >= milli {
            true => milli,
            false if entry.is_divisible() => left,
            false => 0,
        };
        if taken > 0 {
            into.add_entry(entry.with_milli(taken));
            target.change(kind, -taken);
        }
    }
}
