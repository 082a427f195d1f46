//! Walks all invariants of the allocator, for tests and simulations.
//! Repairs nothing.

use std::collections::BTreeMap;

use super::Allocator;
use super::amounts::Amounts;
use super::holdings::{Agent, is_plain};
use super::keys::{RoleKey, SubKey};
use super::ledger::Ledger;
use crate::ids::{AgentId, FrameworkId};
use crate::resources::{Amount, Name, Resources};

/// What an agent has in the allocator's books.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Book {
    /// All its resources, without allocation roles.
    pub total: Resources,
    /// Who holds what of it, with allocation roles.
    pub held: BTreeMap<FrameworkId, Resources>,
}

impl Allocator {
    /// The books of all agents, to be compared with the master's.
    pub fn books(&self) -> BTreeMap<AgentId, Book> {
        let agents = self.ledger.agents.iter().map(|(_, agent)| agent);
        agents
            .map(|agent| (agent.id.clone(), self.book(agent)))
            .collect()
    }

    fn book(&self, agent: &Agent) -> Book {
        let mut book = Book {
            total: agent.total.clone(),
            held: BTreeMap::new(),
        };
        for holding in &agent.held {
            let framework = self.ledger.subs[holding.sub.0].framework;
            let id = self.ledger.frameworks[framework.0].id.clone();
            book.held.entry(id).or_default().add(&holding.resources);
        }
        book
    }

    /// Checks that nothing is given away twice, that all sums agree with what is held, and
    /// that every list says what the others say. The error names the first disagreement.
    pub fn sanity_check(&self) -> Result<(), String> {
        for (_, agent) in &self.ledger.agents {
            check_agent(agent)?;
        }
        self.check_waiting()?;
        self.check_inverse()?;
        check_totals(&self.ledger)?;
        check_quotas(&self.ledger)?;
        check_subs(&self.ledger)?;
        check_sums(&self.ledger)?;
        for sub in self.filters.subs() {
            if !self
                .ledger
                .subs
                .get(sub.0)
                .is_some_and(|entry| entry.subscribed)
            {
                return Err(format!("a filter is left of {sub:?}"));
            }
        }
        self.filters.sanity_check()
    }
}

fn check_agent(agent: &Agent) -> Result<(), String> {
    let mut used = Resources::new();
    for holding in &agent.held {
        if holding.resources.is_empty() {
            return Err(format!("agent {}: an empty holding is left", agent.id));
        }
        used.add(&holding.resources.unallocated().non_shared());
    }
    if !agent.held.is_sorted_by(|a, b| a.sub < b.sub) {
        return Err(format!("agent {}: holdings are not sorted", agent.id));
    }
    if !agent.overcommitted && !agent.total.contains(&used) {
        return Err(format!(
            "agent {}: {used} is more than {}",
            agent.id, agent.total
        ));
    }
    let mut free = agent.total.non_shared();
    free.subtract(&used);
    free.add(&agent.total.shared());
    if free != agent.free {
        return Err(format!(
            "agent {}: free is {}, should be {free}",
            agent.id, agent.free
        ));
    }
    Ok(())
}

fn check_totals(ledger: &Ledger) -> Result<(), String> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, agent) in &ledger.agents {
        for entry in &agent.total {
            if let Amount::Scalar(milli) = entry.amount() {
                *sums.entry(entry.name()).or_insert(0) += milli;
            }
        }
    }
    for (name, milli) in ledger.totals.iter() {
        let sum = sums.remove(Name::as_str(name)).unwrap_or(0);
        if sum != milli {
            return Err(format!(
                "total of {} is {milli}, should be {sum}",
                name.as_str()
            ));
        }
    }
    match sums.into_iter().next() {
        Some((name, _)) => Err(format!("total of {name} is missing")),
        None => Ok(()),
    }
}

/// Compares the books of quota with what agents have and what is held on them.
fn check_quotas(ledger: &Ledger) -> Result<(), String> {
    let mut free = Amounts::default();
    let mut reserved: BTreeMap<String, Amounts> = BTreeMap::new();
    let mut allocated: BTreeMap<String, Amounts> = BTreeMap::new();
    let top_of = |role: &str| role.split('/').next().unwrap_or(role).to_owned();
    for (_, agent) in &ledger.agents {
        let plain = plain_of(ledger, &agent.free);
        if plain != agent.plain {
            return Err(format!("agent {}: plain is {:?}", agent.id, agent.plain));
        }
        free.add(&plain, 1);
        for entry in &agent.total {
            let kind = ledger.totals.known_kind(entry.kind());
            if let (Some(role), Some(milli), Some(kind)) =
                (entry.reservation_role(), entry.scalar_milli(), kind)
            {
                let own = reserved.entry(top_of(role)).or_default();
                own.change(kind, milli);
            }
        }
        for holding in &agent.held {
            let role = &ledger.roles[ledger.subs[holding.sub.0].role.0].path;
            let own = allocated.entry(top_of(role)).or_default();
            own.add(&plain_of(ledger, &holding.resources), 1);
        }
    }
    ledger.quotas.sanity_check(&free)?;
    for top in ledger.quotas.tops() {
        let none = Amounts::default();
        let held = allocated.get(&*top.name).unwrap_or(&none);
        let kept = reserved.remove(&*top.name).unwrap_or_default();
        if *held != top.allocated || kept != top.reserved {
            return Err(format!("quota's books of {} are wrong", top.name));
        }
    }
    match reserved.into_iter().find(|(_, kept)| !kept.is_zero()) {
        Some((role, _)) => Err(format!("reservations of {role} are not in the books")),
        None => Ok(()),
    }
}

fn plain_of(ledger: &Ledger, resources: &Resources) -> Amounts {
    let mut amounts = Amounts::default();
    for entry in resources.iter().filter(|entry| is_plain(entry)) {
        if let (Some(kind), Some(milli)) =
            (ledger.totals.known_kind(entry.kind()), entry.scalar_milli())
        {
            amounts.change(kind, milli);
        }
    }
    amounts
}

fn check_subs(ledger: &Ledger) -> Result<(), String> {
    let mut listed: BTreeMap<RoleKey, usize> = BTreeMap::new();
    let mut count: BTreeMap<RoleKey, usize> = BTreeMap::new();
    for (key, sub) in &ledger.subs {
        let framework = &ledger.frameworks[sub.framework.0];
        let wanted = framework.active && sub.subscribed && !sub.suppressed;
        if sub.listed != wanted {
            return Err(format!("{}: listed is {}", framework.id, sub.listed));
        }
        if !framework.subs.contains(&SubKey(key)) {
            return Err(format!("{} has lost a subscription", framework.id));
        }
        let holds = |agent: &Agent| agent.held.iter().any(|holding| holding.sub.0 == key);
        let held_on = ledger
            .agents
            .iter()
            .filter(|(_, agent)| holds(agent))
            .count();
        if held_on != sub.held_on || (held_on == 0 && !sub.subscribed) {
            return Err(format!(
                "{}: held on {held_on}, not {}",
                framework.id, sub.held_on
            ));
        }
        *count.entry(sub.role).or_insert(0) += 1;
        *listed.entry(sub.role).or_insert(0) += usize::from(sub.listed);
    }
    for (key, role) in &ledger.roles {
        let key = RoleKey(key);
        let (count, listed) = (count.get(&key).copied(), listed.get(&key).copied());
        if count != Some(role.subs) || listed != Some(role.listed) {
            return Err(format!("role {}: counts are wrong", role.path));
        }
        if ledger.role_key(&role.path) != Some(key) {
            return Err(format!("role {} cannot be found", role.path));
        }
        role.sorter.sanity_check(&ledger.totals)?;
        let own = ledger
            .subs
            .iter()
            .filter(|(_, sub)| sub.role == key && sub.minimum.is_some());
        if own.count() != role.own_minimums {
            return Err(format!("role {}: own minimums are miscounted", role.path));
        }
    }
    for (key, framework) in &ledger.frameworks {
        if ledger.framework_key(&framework.id).map(|found| found.0) != Some(key) {
            return Err(format!("framework {} cannot be found", framework.id));
        }
        if !framework.known && framework.subs.is_empty() {
            return Err(format!("framework {} is left over", framework.id));
        }
    }
    ledger.role_sorter.sanity_check(&ledger.totals)
}

/// Compares what the sorters count with what is held.
fn check_sums(ledger: &Ledger) -> Result<(), String> {
    let kinds: Vec<Name> = ledger.totals.iter().map(|(name, _)| name.clone()).collect();
    let kind = |name: &str| kinds.iter().position(|known| known.as_str() == name);
    let mut by_sub: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    let mut by_role: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (_, agent) in &ledger.agents {
        let mut shared_of_role: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for holding in &agent.held {
            let role = ledger.subs[holding.sub.0].role.0;
            let own = by_sub
                .entry(holding.sub.0)
                .or_insert_with(|| vec![0; kinds.len()]);
            let all = by_role.entry(role).or_insert_with(|| vec![0; kinds.len()]);
            let shared = shared_of_role.entry(role).or_default();
            for entry in &holding.resources {
                let Amount::Scalar(milli) = entry.amount() else {
                    continue;
                };
                let Some(kind) = kind(entry.name()) else {
                    return Err(format!("{} is not counted", entry.name()));
                };
                own[kind] += milli;
                if entry.is_shared() {
                    if shared.iter().any(|seen| entry.is_same(seen)) {
                        continue;
                    }
                    shared.push(entry.clone());
                }
                all[kind] += milli;
            }
        }
    }
    let none = Vec::new();
    for (key, sub) in &ledger.subs {
        let counted = ledger.roles[sub.role.0].sorter.amounts(sub.slot);
        same(counted, by_sub.get(&key).unwrap_or(&none), "framework")?;
    }
    for (key, role) in &ledger.roles {
        let counted = ledger.role_sorter.amounts(role.slot);
        same(counted, by_role.get(&key).unwrap_or(&none), &role.path)?;
    }
    Ok(())
}

fn same(counted: &Amounts, held: &[i64], what: &str) -> Result<(), String> {
    let counted = counted.as_slice();
    let length = counted.len().max(held.len());
    let at = |list: &[i64], kind: usize| list.get(kind).copied().unwrap_or(0);
    if (0..length).all(|kind| at(counted, kind) == at(held, kind)) {
        return Ok(());
    }
    Err(format!(
        "{what}: sorter counts {counted:?}, held is {held:?}"
    ))
}
