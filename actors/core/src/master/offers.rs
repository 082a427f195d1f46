//! Life cycle of offers: proposed by the allocator, offered, declined, rescinded or discarded.
//! What an accepted offer is used for is decided in `accept`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::resource::AllocationInfo;
use tepui_protocol::v1::scheduler::call::Decline;
use tepui_protocol::v1::{self, Filters};

use super::framework_counters::OfferEvent;
use super::messages::Effect;
use super::model::{Agent, Framework, Offer};
use super::{Deadline, Master, events, to_allocator};
use crate::allocator::messages::{Command, Proposal, Refusal};
use crate::ids::{FrameworkId, OfferId};
use crate::resources::{Format, Resources};
use crate::time::Now;

/// `Filters.refuse_seconds` when it is not given, or not usable.
const DEFAULT_REFUSE_SECONDS: f64 = 5.0;
/// Longest time a filter lasts, in seconds.
const MAX_REFUSE_SECONDS: f64 = 365.0 * 86_400.0;
/// Seconds that a signed 64-bit count of nanoseconds holds; Mesos cannot represent more.
const REPRESENTABLE_SECONDS: f64 = 9_223_372_036.0;

impl Master {
    /// Makes offers of what the allocator has set aside; each framework gets one event.
    pub(super) fn proposed(&mut self, now: Now, proposals: Vec<Proposal>, out: &mut Vec<Effect>) {
        let mut order = Vec::new();
        let mut batches: BTreeMap<FrameworkId, Vec<v1::Offer>> = BTreeMap::new();
        for proposal in proposals {
            match self.check_proposal(&proposal) {
                Verdict::Good => {}
                Verdict::Stale => {
                    release(proposal, out);
                    continue;
                }
                Verdict::Void => continue,
            }
            let framework = proposal.framework.clone();
            if let Some(offer) = self.make_offer(now, proposal) {
                batches.entry(framework.clone()).or_insert_with(|| {
                    order.push(framework);
                    Vec::new()
                });
                if let Some(batch) = batches.get_mut(&FrameworkId::from(&offer.framework_id)) {
                    batch.push(offer);
                }
            }
        }
        for framework in order {
            let batch = batches.remove(&framework).unwrap_or_default();
            self.counters.offers_sent += batch.len() as u64;
            self.count_offers(&framework, OfferEvent::Sent, batch.len());
            self.send(&framework, events::offers(batch), out);
        }
    }

    fn check_proposal(&self, proposal: &Proposal) -> Verdict {
        let agent = self.agents.get(&proposal.agent);
        let Some(agent) = agent.filter(|agent| agent.generation == proposal.agent_generation)
        else {
            return Verdict::Void;
        };
        let framework = self.frameworks.get(&proposal.framework);
        let listens = framework.is_some_and(|framework| {
            framework.generation == proposal.framework_generation
                && framework.stream().is_some()
                && framework.roles.contains(&proposal.role)
        });
        // The allocator may have made it before it heard that the agent is not to be offered.
        let is_active = agent.link().is_some() && agent.deactivation.is_none();
        match listens && is_active && self.is_free(agent, &proposal.resources) {
            true => Verdict::Good,
            false => Verdict::Stale,
        }
    }

    /// Whether an agent has these resources, and nobody uses or is offered them.
    ///
    /// That is so unless things have changed while the proposal was under way: a shared volume was
    /// destroyed, an operation has failed and was taken back, or the agent came back with tasks
    /// that were given up.
    fn is_free(&self, agent: &Agent, wanted: &Resources) -> bool {
        let wanted = wanted.unallocated();
        if agent.used.is_empty() && agent.offers.is_empty() {
            return agent.total.contains(&wanted);
        }
        let mut free = agent.total.clone();
        for used in agent.used.values() {
            free.subtract(&used.non_shared().unallocated());
        }
        for offer in agent.offers.iter().filter_map(|id| self.offers.get(id)) {
            free.subtract(&offer.resources.non_shared().unallocated());
        }
        free.contains(&wanted)
    }

    fn make_offer(&mut self, now: Now, proposal: Proposal) -> Option<v1::Offer> {
        let id = self.new_offer_id();
        let expires = self
            .settings
            .offer_timeout
            .map(|timeout| now.mono + timeout);
        let offer = Offer {
            id: id.clone(),
            framework: proposal.framework,
            agent: proposal.agent,
            role: proposal.role,
            resources: proposal.resources,
            expires,
        };
        self.agent_mut(&offer.agent)?.offers.insert(id.clone());
        self.framework_mut(&offer.framework)?
            .offers
            .insert(id.clone());
        if let Some(at) = expires {
            self.deadlines.set(Deadline::Offer(id.clone()), at);
        }
        let agent = self.agents.get(&offer.agent)?;
        let framework = self.frameworks.get(&offer.framework)?;
        let mut event = describe(&offer, framework, agent);
        event.unavailability = self.maintenance.unavailability(&agent.machine).copied();
        self.offers.insert(id, Arc::new(offer));
        Some(event)
    }

    /// DECLINE: unknown offers, and those of others, are ignored.
    pub(super) fn decline(&mut self, id: &FrameworkId, call: Decline, out: &mut Vec<Effect>) {
        self.counters.messages_decline_offers += 1;
        let refusal = refusal(call.filters.as_ref());
        for offer in call.offer_ids.iter().map(OfferId::from) {
            if self.offers.get(&offer).is_some_and(|o| o.framework == *id) {
                self.counters.offers_declined += 1;
                self.count_offers(id, OfferEvent::Declined, 1);
                self.discard_offer(&offer, Some(refusal), out);
            }
        }
    }

    pub(super) fn count_offers(&self, framework: &FrameworkId, event: OfferEvent, count: usize) {
        if let Some(framework) = self.frameworks.get(framework) {
            framework.counters.offers.add(event as i32, count as u64);
        }
    }

    /// Takes an offer back and tells its framework.
    pub(super) fn rescind_offer(&mut self, id: &OfferId, out: &mut Vec<Effect>) {
        if let Some(offer) = self.offers.get(id).cloned() {
            self.counters.offers_rescinded += 1;
            self.count_offers(&offer.framework, OfferEvent::Rescinded, 1);
            self.send(&offer.framework, events::rescind(id), out);
            self.discard_offer(id, None, out);
        }
    }

    /// Ends an offer and gives its resources back.
    pub(super) fn discard_offer(
        &mut self,
        id: &OfferId,
        refusal: Option<Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(offer) = self.take_offer(id) else {
            return;
        };
        // The allocator was told before that a removed agent is gone with all that was on it.
        if self.agents.contains_key(&offer.agent) {
            out.push(to_allocator(Command::Release {
                framework: offer.framework.clone(),
                agent: offer.agent.clone(),
                resources: offer.resources.clone(),
                refusal,
            }));
        }
    }

    /// Forgets an offer; what becomes of its resources is the caller's to say.
    pub(super) fn take_offer(&mut self, id: &OfferId) -> Option<Arc<Offer>> {
        let offer = self.offers.remove(id)?;
        if offer.expires.is_some() {
            self.deadlines.clear(&Deadline::Offer(id.clone()));
        }
        if let Some(framework) = self.framework_mut(&offer.framework) {
            framework.offers.remove(id);
        }
        if let Some(agent) = self.agent_mut(&offer.agent) {
            agent.offers.remove(id);
        }
        Some(offer)
    }

    /// An id for an offer or an inverse offer.
    pub(super) fn new_offer_id(&mut self) -> OfferId {
        let id = OfferId::new(format!("{}-O{}", self.info.id, self.next_offer));
        self.next_offer += 1;
        id
    }

    pub(super) fn offers_of_framework(&self, id: &FrameworkId) -> Vec<OfferId> {
        let framework = self.frameworks.get(id);
        framework.map_or_else(Vec::new, |framework| {
            framework.offers.iter().cloned().collect()
        })
    }
}

/// What becomes of a proposal.
enum Verdict {
    /// It can be offered.
    Good,
    /// It cannot be offered; its resources are to be given back.
    Stale,
    /// Its agent is gone, and the allocator knows or will: there is nothing to give back.
    Void,
}

fn release(proposal: Proposal, out: &mut Vec<Effect>) {
    out.push(to_allocator(Command::Release {
        framework: proposal.framework,
        agent: proposal.agent,
        resources: proposal.resources,
        refusal: None,
    }));
}

/// The filter that a refusal sets, by Mesos's rules for `refuse_seconds`.
///
/// That a filter lasts at least one allocation interval is the allocator's rule.
pub(super) fn refusal(filters: Option<&Filters>) -> Refusal {
    let given = filters.and_then(|filters| filters.refuse_seconds);
    let seconds = match given.unwrap_or(DEFAULT_REFUSE_SECONDS) {
        seconds if !(0.0..=REPRESENTABLE_SECONDS).contains(&seconds) => DEFAULT_REFUSE_SECONDS,
        seconds => seconds.min(MAX_REFUSE_SECONDS),
    };
    Refusal {
        timeout: Duration::from_secs_f64(seconds),
    }
}

/// An offer in the form its framework understands.
fn describe(offer: &Offer, framework: &Framework, agent: &Agent) -> v1::Offer {
    let multi_role = framework.has_capability(Capability::MultiRole);
    let format = match framework.has_capability(Capability::ReservationRefinement) {
        true => Format::PostRefinement,
        false => Format::PreRefinement,
    };
    let resources = match multi_role {
        true => offer.resources.to_v1(format),
        false => Resources::unallocated(&offer.resources).to_v1(format),
    };
    let executors = agent.executors_of(&framework.id);
    v1::Offer {
        id: offer.id.to_v1(),
        framework_id: framework.id.to_v1(),
        agent_id: agent.id.to_v1(),
        hostname: agent.info.hostname.clone(),
        resources,
        executor_ids: executors.map(|(id, _)| id.to_v1()).collect(),
        attributes: agent.info.attributes.clone(),
        url: Some(url_of(agent)),
        allocation_info: multi_role.then(|| AllocationInfo {
            role: Some(offer.role.to_string()),
        }),
        domain: agent.info.domain.clone(),
        ..Default::default()
    }
}

/// Where the agent serves, read from its pid.
pub(super) fn url_of(agent: &Agent) -> v1::Url {
    let (name, address) = agent
        .pid
        .split_once('@')
        .unwrap_or(("slave(1)", &agent.pid));
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    v1::Url {
        scheme: "http".to_string(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(ip.trim_matches(['[', ']']).to_string()),
            port: port.parse().unwrap_or_default(),
        },
        path: Some(format!("/{name}")),
        ..Default::default()
    }
}
