//! Operations of an ACCEPT that change resources: RESERVE, UNRESERVE, CREATE, DESTROY,
//! GROW_VOLUME, SHRINK_VOLUME. Sending and tracking them is the duty of `operations`.

use std::borrow::Cow;
use std::sync::Arc;

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::{Filters, Resource};

use super::accept::Accepted;
use super::agent_sums::AgentSums;
use super::agents::facts_of;
use super::messages::Effect;
use super::{Master, offers, to_allocator};
use crate::allocator::messages::{Command, Refusal};
use crate::ids::{AgentId, OfferId};
use crate::resources::Resources;
use crate::resources::conversion::{Conversion, conversions};
use crate::validation::operation::known_type;

impl Accepted {
    /// What a launch may use: what is left, and every shared volume there was, however often it
    /// is used already.
    pub(super) fn available(&self) -> Cow<'_, Resources> {
        if self.shared.is_empty() {
            return Cow::Borrowed(&self.remaining);
        }
        let mut available = self.remaining.non_shared();
        available.add(&self.shared);
        Cow::Owned(available)
    }
}

impl Master {
    /// Carries out an operation on the resources that are left, or tells why it cannot be.
    pub(super) fn change(
        &mut self,
        accepted: &mut Accepted,
        operation: Operation,
        out: &mut Vec<Effect>,
    ) {
        match self.try_change(accepted, &operation, out) {
            Ok(done) => {
                for conversion in done {
                    out.push(to_allocator(Command::Transform {
                        framework: accepted.framework.clone(),
                        agent: accepted.agent.clone(),
                        consumed: conversion.consumed,
                        converted: conversion.converted,
                    }));
                }
                self.count_operation(accepted, known_type(&operation));
                let framework = Some(&accepted.framework);
                self.send_operation(&accepted.agent, framework, operation, out);
            }
            Err(error) => {
                let id = accepted.framework.clone();
                self.refuse_operation(&id, &operation, error, out);
            }
        }
    }

    /// Changes what is left and what the agent has, all or nothing.
    fn try_change(
        &mut self,
        accepted: &mut Accepted,
        operation: &Operation,
        out: &mut Vec<Effect>,
    ) -> Result<Vec<Conversion>, String> {
        self.check_change(accepted, operation)?;
        let kind = known_type(operation);
        if kind == Type::Destroy {
            let volumes = operation.destroy.as_ref().map_or(&[][..], |d| &d.volumes);
            self.rescind_volumes(&accepted.agent, volumes, out);
        }
        if let Some(source) = source_of(operation) {
            let source = Resources::from_v1(std::slice::from_ref(source)).unwrap_or_default();
            return Err(format!(
                "Invalid {} Operation: {} does not contain {source}",
                kind.as_str_name(),
                accepted.remaining
            ));
        }
        let conversions = conversions(operation).map_err(|error| error.0)?;
        let mut remaining = accepted.remaining.clone();
        let mut resized = accepted.resized.clone();
        match kind {
            Type::GrowVolume | Type::ShrinkVolume => {
                for Conversion {
                    consumed,
                    converted,
                } in &conversions
                {
                    if !remaining.contains(consumed) {
                        return Err(format!(
                            "Invalid {} operation: {remaining} does not contain {consumed}",
                            kind.as_str_name()
                        ));
                    }
                    remaining.subtract(consumed);
                    // As in Mesos, no later operation of the same ACCEPT can use the result.
                    resized.add(converted);
                }
            }
            _ => remaining.convert(&conversions).map_err(|error| error.0)?,
        }
        self.change_total(&accepted.agent, &conversions)?;
        if matches!(kind, Type::Create | Type::Destroy) {
            accepted.shared = remaining.shared();
        }
        accepted.remaining = remaining;
        accepted.resized = resized;
        accepted.is_changed = true;
        Ok(conversions)
    }

    /// Changes what an agent has; master and allocator do it alike.
    pub(super) fn change_total(
        &mut self,
        agent: &AgentId,
        conversions: &[Conversion],
    ) -> Result<(), String> {
        let bare: Vec<Conversion> = conversions
            .iter()
            .map(|conversion| Conversion {
                consumed: conversion.consumed.unallocated(),
                converted: conversion.converted.unallocated(),
            })
            .collect();
        self.change_agent(agent, |agent| agent.total.convert(&bare))
            .ok_or("Agent removed")?
            .map_err(|error| error.0)
    }

    /// An agent could not carry an operation out: what all ledgers show already is taken back.
    ///
    /// The result may have been changed further by later operations, which then fail too: what
    /// cannot be taken back yet is tried again when they are.
    pub(super) fn undo(
        &mut self,
        agent_id: &AgentId,
        operation: &Operation,
        out: &mut Vec<Effect>,
    ) {
        let Some(agent) = self.agents.get_mut(agent_id).map(Arc::make_mut) else {
            return;
        };
        let steps = conversions(operation).unwrap_or_default();
        let undone = self.undone.entry(agent_id.clone()).or_default();
        undone.push(steps.iter().rev().map(reversed).collect());
        let sums = AgentSums::of(agent);
        let before = agent.total.clone();
        loop {
            let waiting = undone.len();
            undone.retain(|steps| agent.total.convert(steps).is_err());
            if undone.len() == waiting {
                break;
            }
        }
        if undone.is_empty() {
            self.undone.remove(agent_id);
        }
        self.agent_sums.subtract(&sums);
        self.agent_sums.add(&AgentSums::of(agent));
        let mut lost = before;
        lost.subtract(&agent.total);
        let update = Command::UpdateAgent {
            id: agent_id.clone(),
            facts: facts_of(agent),
            total: agent.total.clone(),
        };
        for offer in self.offers_with(agent_id, &lost) {
            self.rescind_offer(&offer, out);
        }
        out.push(to_allocator(update));
        self.abandon_changes(agent_id, "an operation on the agent failed", out);
    }

    /// The offers of an agent that hold some of these resources.
    pub(super) fn offers_with(&self, agent: &AgentId, wanted: &Resources) -> Vec<OfferId> {
        let offers = self.agents.get(agent).map(|agent| &agent.offers);
        let offers = offers.into_iter().flatten();
        offers
            .filter(|id| {
                let offer = self.offers.get(*id);
                offer.is_some_and(|offer| overlap(wanted, &offer.resources.unallocated()))
            })
            .cloned()
            .collect()
    }

    /// Takes back every offer that has one of the volumes: several frameworks may be offered one
    /// shared volume, and it is about to be destroyed.
    pub(super) fn rescind_volumes(
        &mut self,
        agent: &AgentId,
        volumes: &[Resource],
        out: &mut Vec<Effect>,
    ) {
        let volumes = Resources::from_v1(volumes).unwrap_or_default();
        for offer in self.offers_with(agent, &volumes.unallocated()) {
            self.rescind_offer(&offer, out);
        }
    }

    /// Gives back what no operation has used. What operations made is wanted, so it comes back
    /// without a filter; the rest was declined.
    ///
    /// Who has launched something and wants the rest at once (`refuse_seconds` 0) has it at once.
    /// That is no loop: each turn takes resources.
    pub(super) fn give_back(
        &self,
        accepted: Accepted,
        filters: Option<&Filters>,
        out: &mut Vec<Effect>,
    ) {
        let is_used = accepted.remaining != accepted.offered;
        let mut declined = accepted.remaining;
        let mut made = Resources::new();
        if accepted.is_changed {
            declined.add(&accepted.resized);
            made = declined.clone();
            made.subtract(&accepted.offered);
            declined.subtract(&made);
        }
        let mut release = |resources: Resources, refusal: Option<Refusal>| {
            if !resources.is_empty() {
                out.push(to_allocator(Command::Release {
                    framework: accepted.framework.clone(),
                    agent: accepted.agent.clone(),
                    resources,
                    refusal,
                }));
            }
        };
        release(made, None);
        let refusal = offers::refusal(filters);
        let is_wanted = is_used && refusal.timeout.is_zero();
        release(declined, (!is_wanted).then_some(refusal));
    }
}

/// The disk of CREATE_DISK or DESTROY_DISK. Only resource providers have such disks, and no agent
/// has a resource provider, so it is never there.
fn source_of(operation: &Operation) -> Option<&Resource> {
    match known_type(operation) {
        Type::CreateDisk => operation.create_disk.as_ref().map(|create| &create.source),
        Type::DestroyDisk => operation
            .destroy_disk
            .as_ref()
            .map(|destroy| &destroy.source),
        _ => None,
    }
}

/// Whether some of `wanted` is among `held`.
pub(super) fn overlap(wanted: &Resources, held: &Resources) -> bool {
    let mut missing = wanted.clone();
    missing.subtract(held);
    missing != *wanted
}

/// What takes a conversion back, as the agent's total has it.
fn reversed(conversion: &Conversion) -> Conversion {
    Conversion {
        consumed: conversion.converted.unallocated(),
        converted: conversion.consumed.unallocated(),
    }
}
