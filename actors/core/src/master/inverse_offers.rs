//! Inverse offers: frameworks are asked to leave agents that are planned to be away.
//! Who is asked, and how often, the allocator decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::v1::{self, Filters};

use super::messages::Effect;
use super::model::{InverseOffer, InverseOfferAnswer};
use super::{Deadline, Master, events, offers, to_allocator};
use crate::allocator::messages::{Command, InverseProposal, Refusal};
use crate::ids::{AgentId, FrameworkId, OfferId};
use crate::time::Now;

/// The outstanding inverse offers, at most one per agent and framework, and the last answers.
#[derive(Debug, Default)]
pub(super) struct InverseOffers {
    by_id: OrdMap<OfferId, Arc<InverseOffer>>,
    by_agent: BTreeMap<(AgentId, FrameworkId), OfferId>,
    by_framework: BTreeSet<(FrameworkId, OfferId)>,
    answers: OrdMap<(AgentId, FrameworkId), InverseOfferAnswer>,
}

impl InverseOffers {
    pub(super) fn by_id(&self) -> &OrdMap<OfferId, Arc<InverseOffer>> {
        &self.by_id
    }

    pub(super) fn answers(&self) -> &OrdMap<(AgentId, FrameworkId), InverseOfferAnswer> {
        &self.answers
    }

    /// Whether the indices list exactly the outstanding inverse offers.
    pub(super) fn is_consistent(&self) -> bool {
        let listed = |(id, offer): (&OfferId, &Arc<InverseOffer>)| {
            let pair = (offer.agent.clone(), offer.framework.clone());
            offer.id == *id
                && self.by_agent.get(&pair) == Some(id)
                && self
                    .by_framework
                    .contains(&(offer.framework.clone(), id.clone()))
        };
        self.by_agent.len() == self.by_id.len()
            && self.by_framework.len() == self.by_id.len()
            && self.by_id.iter().all(listed)
    }

    /// What a framework said of an agent is of no more use: the agent's schedule changed, or the
    /// agent is gone.
    pub(super) fn forget_answers_about(&mut self, agent: &AgentId) {
        let first = (agent.clone(), FrameworkId::from(""));
        let own = self.answers.range(first..).map(|(pair, _)| pair);
        let own: Vec<_> = own
            .take_while(|(about, _)| about == agent)
            .cloned()
            .collect();
        for pair in own {
            self.answers.remove(&pair);
        }
    }

    /// A framework is gone, and its answers with it.
    pub(super) fn forget_answers_of(&mut self, framework: &FrameworkId) {
        let own = self.answers.keys().filter(|(_, of)| of == framework);
        let own: Vec<_> = own.cloned().collect();
        for pair in own {
            self.answers.remove(&pair);
        }
    }

    fn insert(&mut self, offer: InverseOffer) {
        let id = offer.id.clone();
        let pair = (offer.agent.clone(), offer.framework.clone());
        self.by_agent.insert(pair, id.clone());
        self.by_framework
            .insert((offer.framework.clone(), id.clone()));
        self.by_id.insert(id, Arc::new(offer));
    }

    fn remove(&mut self, id: &OfferId) -> Option<Arc<InverseOffer>> {
        let offer = self.by_id.remove(id)?;
        self.by_agent
            .remove(&(offer.agent.clone(), offer.framework.clone()));
        self.by_framework
            .remove(&(offer.framework.clone(), id.clone()));
        Some(offer)
    }

    fn of_agent(&self, agent: &AgentId) -> Vec<OfferId> {
        let first = (agent.clone(), FrameworkId::from(""));
        let own = self
            .by_agent
            .range(first..)
            .take_while(|((of, _), _)| of == agent);
        own.map(|(_, id)| id.clone()).collect()
    }

    fn of_framework(&self, framework: &FrameworkId) -> Vec<OfferId> {
        let first = (framework.clone(), OfferId::from(""));
        let own = self
            .by_framework
            .range(first..)
            .take_while(|(to, _)| to == framework);
        own.map(|(_, id)| id.clone()).collect()
    }
}

/// What becomes of a proposal.
enum Verdict {
    /// It can be offered.
    Good,
    /// It cannot be offered, and the allocator believes it to be outstanding.
    Stale,
    /// The allocator knows, or will know, by other means that it is not outstanding.
    Void,
}

impl Master {
    /// Makes inverse offers of what the allocator proposes; each framework gets one event.
    pub(super) fn proposed_inverse(
        &mut self,
        now: Now,
        proposals: Vec<InverseProposal>,
        out: &mut Vec<Effect>,
    ) {
        let mut batches: Vec<(FrameworkId, Vec<v1::InverseOffer>)> = Vec::new();
        for proposal in proposals {
            match self.check_inverse(&proposal) {
                Verdict::Good => {}
                Verdict::Stale => {
                    out.push(end(&proposal.framework, &proposal.agent, None));
                    continue;
                }
                Verdict::Void => continue,
            }
            let framework = proposal.framework.clone();
            if let Some(offer) = self.make_inverse_offer(now, proposal) {
                match batches.iter_mut().find(|(to, _)| *to == framework) {
                    Some((_, batch)) => batch.push(offer),
                    None => batches.push((framework, vec![offer])),
                }
            }
        }
        for (framework, batch) in batches {
            self.send(&framework, events::inverse_offers(batch), out);
        }
    }

    fn check_inverse(&self, proposal: &InverseProposal) -> Verdict {
        let agent = self.agents.get(&proposal.agent);
        let Some(agent) = agent.filter(|agent| agent.generation == proposal.agent_generation)
        else {
            return Verdict::Void;
        };
        // A change of the schedule was told to the allocator, which ended the proposal then.
        let planned = self.maintenance.unavailability(&agent.machine);
        if planned != Some(&proposal.unavailability) {
            return Verdict::Void;
        }
        let pair = (proposal.agent.clone(), proposal.framework.clone());
        if self.inverse_offers.by_agent.contains_key(&pair) {
            return Verdict::Void;
        }
        let framework = self.frameworks.get(&proposal.framework);
        let listens = framework.is_some_and(|framework| {
            framework.generation == proposal.framework_generation && framework.stream().is_some()
        });
        match listens && agent.link().is_some() {
            true => Verdict::Good,
            false => Verdict::Stale,
        }
    }

    fn make_inverse_offer(
        &mut self,
        now: Now,
        proposal: InverseProposal,
    ) -> Option<v1::InverseOffer> {
        let agent = self.agents.get(&proposal.agent)?;
        let url = offers::url_of(agent);
        let id = self.new_offer_id();
        let timeout = self.settings.offer_timeout;
        let offer = InverseOffer {
            id: id.clone(),
            framework: proposal.framework,
            agent: proposal.agent,
            unavailability: proposal.unavailability,
            expires: timeout.map(|timeout| now.mono + timeout),
        };
        if let Some(at) = offer.expires {
            self.deadlines.set(Deadline::InverseOffer(id.clone()), at);
        }
        let event = v1::InverseOffer {
            id: id.to_v1(),
            url: Some(url),
            framework_id: offer.framework.to_v1(),
            agent_id: Some(offer.agent.to_v1()),
            unavailability: offer.unavailability,
            resources: Vec::new(),
        };
        self.inverse_offers.insert(offer);
        Some(event)
    }

    /// ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS: unknown ids, and those of others, are
    /// ignored. Both set a filter: the framework need not be asked again soon.
    pub(super) fn answer_inverse_offers(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        accepted: bool,
        ids: &[v1::OfferId],
        filters: Option<&Filters>,
        out: &mut Vec<Effect>,
    ) {
        let refusal = offers::refusal(filters);
        let at = now.wall;
        for id in ids.iter().map(OfferId::from) {
            let known = self.inverse_offers.by_id.get(&id);
            let Some(offer) = known.filter(|offer| offer.framework == *framework) else {
                continue;
            };
            let pair = (offer.agent.clone(), framework.clone());
            let answer = InverseOfferAnswer { accepted, at };
            self.inverse_offers.answers.insert(pair, answer);
            self.end_inverse_offer(&id, Some(refusal), out);
        }
    }

    /// Takes an inverse offer back and tells its framework.
    pub(super) fn rescind_inverse_offer(&mut self, id: &OfferId, out: &mut Vec<Effect>) {
        if let Some(offer) = self.inverse_offers.by_id.get(id) {
            self.send(&offer.framework, events::rescind_inverse(id), out);
            self.end_inverse_offer(id, None, out);
        }
    }

    /// Takes back all inverse offers about an agent.
    pub(super) fn rescind_inverse_offers_of(&mut self, agent: &AgentId, out: &mut Vec<Effect>) {
        for id in self.inverse_offers.of_agent(agent) {
            self.rescind_inverse_offer(&id, out);
        }
    }

    /// Ends all inverse offers to a framework, which does not listen any more.
    pub(super) fn end_inverse_offers_to(&mut self, framework: &FrameworkId, out: &mut Vec<Effect>) {
        for id in self.inverse_offers.of_framework(framework) {
            self.end_inverse_offer(&id, None, out);
        }
    }

    fn end_inverse_offer(&mut self, id: &OfferId, refusal: Option<Refusal>, out: &mut Vec<Effect>) {
        let Some(offer) = self.inverse_offers.remove(id) else {
            return;
        };
        if offer.expires.is_some() {
            self.deadlines.clear(&Deadline::InverseOffer(id.clone()));
        }
        // Of an agent that is gone the allocator keeps nothing.
        if self.agents.contains_key(&offer.agent) {
            out.push(end(&offer.framework, &offer.agent, refusal));
        }
    }
}

fn end(framework: &FrameworkId, agent: &AgentId, refusal: Option<Refusal>) -> Effect {
    to_allocator(Command::EndInverseOffer {
        framework: framework.clone(),
        agent: agent.clone(),
        refusal,
    })
}
