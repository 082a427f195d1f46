//! Inverse offers: frameworks are asked to leave agents that are planned to be away.
//! Makes none itself: it proposes, the master sends.

use std::collections::BTreeSet;

use super::Allocator;
use super::holdings::Maintenance;
use super::keys::{AgentKey, FrameworkKey};
use super::messages::{InverseProposal, Refusal};
use crate::ids::{AgentId, FrameworkId};
use crate::time::{Mono, Now};
use tepui_protocol::v1;

/// Which agents are planned to be away, and when frameworks may be asked again.
#[derive(Debug, Default)]
pub(super) struct Inverse {
    agents: BTreeSet<AgentKey>,
    /// Ends of the filters on inverse offers.
    ends: BTreeSet<(Mono, AgentKey, FrameworkKey)>,
    /// Something changed that may lead to an inverse offer.
    pub is_due: bool,
}

impl Inverse {
    /// Whether there is somebody to ask.
    pub fn wants_run(&self) -> bool {
        self.is_due && !self.agents.is_empty()
    }

    /// When the next filter ends.
    pub fn next_end(&self) -> Option<Mono> {
        self.ends.first().map(|(end, _, _)| *end)
    }
}

impl Allocator {
    /// A plan for an agent to be away, or none any more. Inverse offers of an older plan and
    /// their filters are void.
    pub(super) fn set_unavailability(
        &mut self,
        key: AgentKey,
        unavailability: Option<v1::Unavailability>,
    ) {
        self.inverse.ends.retain(|(_, agent, _)| *agent != key);
        let agent = &mut self.ledger.agents[key.0];
        let Some(unavailability) = unavailability else {
            agent.maintenance = None;
            self.inverse.agents.remove(&key);
            return;
        };
        agent.maintenance = Some(Box::new(Maintenance {
            unavailability,
            outstanding: Vec::new(),
            refused: Default::default(),
        }));
        self.inverse.agents.insert(key);
        self.inverse.is_due = true;
    }

    /// The framework answered (`refusal` is set), or the inverse offer came to nothing.
    pub(super) fn end_inverse_offer(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        agent: &AgentId,
        refusal: Option<Refusal>,
    ) {
        let Some(agent) = self.ledger.agent_key(agent) else {
            return;
        };
        let Some(framework) = self.ledger.framework_key(framework) else {
            return;
        };
        let Some(maintenance) = &mut self.ledger.agents[agent.0].maintenance else {
            return;
        };
        maintenance.outstanding.retain(|other| *other != framework);
        self.inverse.is_due = true;
        if let Some(refusal) = refusal {
            // Without a shortest time, an answer of no time would be asked again at once.
            let end = now.mono + refusal.timeout.max(self.config.allocation_interval);
            if let Some(old) = maintenance.refused.insert(framework, end) {
                self.inverse.ends.remove(&(old, agent, framework));
            }
            self.inverse.ends.insert((end, agent, framework));
        }
    }

    /// Drops the framework's filters on inverse offers.
    pub(super) fn clear_inverse_filters(&mut self, framework: FrameworkKey) {
        let ends = std::mem::take(&mut self.inverse.ends);
        let (cleared, kept) = ends
            .into_iter()
            .partition(|(_, _, other)| *other == framework);
        self.inverse.ends = kept;
        self.forget_refusals(cleared);
    }

    /// Ends everything between the framework and agents planned to be away.
    pub(super) fn forget_inverse_offers(&mut self, framework: FrameworkKey) {
        self.clear_inverse_filters(framework);
        for agent in &self.inverse.agents {
            if let Some(maintenance) = &mut self.ledger.agents[agent.0].maintenance {
                maintenance.outstanding.retain(|other| *other != framework);
            }
        }
    }

    /// Asks every framework that holds something on an agent planned to be away, unless it is
    /// asked already or wants to be left alone.
    pub(super) fn propose_inverse_offers(&mut self, now: Now) -> Vec<InverseProposal> {
        let later = (
            Mono(now.mono.0.saturating_add(1)),
            AgentKey(0),
            FrameworkKey(0),
        );
        let pending = self.inverse.ends.split_off(&later);
        let ended = std::mem::replace(&mut self.inverse.ends, pending);
        self.inverse.is_due |= !ended.is_empty();
        self.forget_refusals(ended);
        if !std::mem::take(&mut self.inverse.is_due) {
            return Vec::new();
        }
        let mut proposals = Vec::new();
        for key in &self.inverse.agents {
            let agent = &mut self.ledger.agents[key.0];
            let Some(maintenance) = &mut agent.maintenance else {
                continue;
            };
            // The master could tell nothing of it: its framework is asked when it is back.
            if !agent.active {
                continue;
            }
            for holding in &agent.held {
                let holder = self.ledger.subs[holding.sub.0].framework;
                let framework = &self.ledger.frameworks[holder.0];
                let is_asked = maintenance.outstanding.contains(&holder)
                    || maintenance.refused.contains_key(&holder);
                if is_asked || !framework.active {
                    continue;
                }
                maintenance.outstanding.push(holder);
                proposals.push(InverseProposal {
                    framework: framework.id.clone(),
                    framework_generation: framework.generation,
                    agent: agent.id.clone(),
                    agent_generation: agent.generation,
                    unavailability: maintenance.unavailability,
                });
            }
        }
        proposals
    }

    /// Checks that plans, filters and their ends agree.
    pub(super) fn check_inverse(&self) -> Result<(), String> {
        let mut ends = BTreeSet::new();
        for (key, agent) in &self.ledger.agents {
            let key = AgentKey(key);
            if agent.maintenance.is_some() != self.inverse.agents.contains(&key) {
                return Err(format!("agent {}: the plan is listed wrongly", agent.id));
            }
            let Some(maintenance) = &agent.maintenance else {
                continue;
            };
            let refused = maintenance.refused.iter();
            ends.extend(refused.map(|(framework, end)| (*end, key, *framework)));
            let mut asked = maintenance
                .outstanding
                .iter()
                .chain(maintenance.refused.keys());
            if let Some(gone) = asked.find(|key| !self.ledger.frameworks.contains(key.0)) {
                return Err(format!("agent {}: {gone:?} is gone but asked", agent.id));
            }
        }
        match ends == self.inverse.ends {
            true => Ok(()),
            false => Err("ends of filters on inverse offers are wrong".to_owned()),
        }
    }

    fn forget_refusals(&mut self, ended: BTreeSet<(Mono, AgentKey, FrameworkKey)>) {
        for (_, agent, framework) in ended {
            let agent = self.ledger.agents.get_mut(agent.0);
            if let Some(maintenance) = agent.and_then(|agent| agent.maintenance.as_mut()) {
                maintenance.refused.remove(&framework);
            }
        }
    }
}
