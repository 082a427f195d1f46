//! What waits for the registrar, and what follows when it answers.
//! The registry itself is `crate::registry`.

use tepui_protocol::link::{Register, Reregister};

use super::agent_loss::Departure;
use super::messages::{Answer, Effect, LinkId, Token};
use super::model::Phase;
use super::{Deadline, Master, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{AgentId, Role};
use crate::maintenance::{Change, Mode};
use crate::quota::Quota;
use crate::registry::{DeactivationChange, Operation, Registry};
use crate::time::{Now, Wall};

/// An open link of an agent.
#[derive(Debug)]
pub(super) struct Link {
    /// Address of the other end.
    pub(super) peer_ip: String,
    /// The agent it belongs to, once admitted.
    pub(super) agent: Option<AgentId>,
    /// Whether a new agent's admission is being stored.
    pub(super) registering: bool,
}

impl Link {
    pub(super) fn new(peer_ip: String) -> Self {
        Link {
            peer_ip,
            agent: None,
            registering: false,
        }
    }
}

/// From where an agent came.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) link: LinkId,
    pub(super) pid: String,
}

/// An agent's entry in the registry is being changed; nothing else is decided of it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Transition {
    /// Where a re-registration that is being stored came from: the same link need not say it
    /// again, as nothing is lost on it.
    pub(super) link: Option<LinkId>,
    /// The latest re-registration that came meanwhile: it is looked at afterwards.
    pub(super) waiting: Option<(LinkId, Box<Reregister>)>,
}

/// What follows when an operation was stored.
#[derive(Debug)]
pub(super) enum Pending {
    /// A new agent is admitted.
    Admit {
        arrival: Arrival,
        register: Box<Register>,
    },
    /// An agent is back.
    Return {
        arrival: Arrival,
        id: AgentId,
        report: Box<Reregister>,
    },
    /// An agent is unreachable.
    Unreachable {
        id: AgentId,
        at: Wall,
        message: String,
    },
    /// An agent left for good.
    Remove { id: AgentId, cause: Departure },
    /// An operator marked an agent gone.
    Gone {
        id: AgentId,
        at: Wall,
        /// None when the agent is gone because it was drained.
        reply: Option<Token>,
    },
    /// An agent is kept out of offers, or no longer.
    Deactivation {
        id: AgentId,
        change: DeactivationChange,
        /// None when nobody asked for it.
        reply: Option<Token>,
    },
    /// Agents that were away for too long are forgotten.
    Prune {
        unreachable: Vec<AgentId>,
        gone: Vec<AgentId>,
    },
    /// An operator gave roles new quotas.
    Quota {
        quotas: Vec<(Role, Quota)>,
        reply: Token,
    },
    /// An operator ended a role's quota.
    QuotaRemoval { role: Role, reply: Token },
    /// An operator, or a flag at start, gave roles new weights.
    Weights {
        weights: Vec<(Role, f64)>,
        reply: Option<Token>,
    },
    /// An operator changed the maintenance schedule or its machines.
    Maintenance { change: Change, reply: Token },
}

impl Pending {
    /// Who is told of a failure, where that is no reason to end.
    fn reply(&self) -> Option<Token> {
        match self {
            Pending::Admit { .. }
            | Pending::Return { .. }
            | Pending::Unreachable { .. }
            | Pending::Remove { .. }
            | Pending::Gone { .. }
            | Pending::Prune { .. } => None,
            Pending::Quota { reply, .. }
            | Pending::QuotaRemoval { reply, .. }
            | Pending::Maintenance { reply, .. } => Some(*reply),
            Pending::Weights { reply, .. } | Pending::Deactivation { reply, .. } => *reply,
        }
    }
}

impl Master {
    /// The registrar answered.
    ///
    /// A failure ends this master: the registry may have a new owner. Only an operator's request
    /// may fail without harm: another request came first, and the registry is as that left it.
    pub(super) fn applied(
        &mut self,
        now: Now,
        token: Token,
        result: Result<bool, String>,
        out: &mut Vec<Effect>,
    ) {
        let pending = self.pending.remove(&token);
        let changed = match result {
            Ok(changed) => changed,
            Err(error) => {
                out.push(match pending.as_ref().and_then(Pending::reply) {
                    Some(reply) => Effect::Reply(reply, Answer::Refused(409, error)),
                    None => Effect::Exit(format!("failed to update the registry: {error}")),
                });
                return;
            }
        };
        let Some(pending) = pending else {
            return;
        };
        let id = match pending {
            Pending::Admit { arrival, register } => {
                return self.admitted(now, arrival, *register, changed, out);
            }
            Pending::Return {
                arrival,
                id,
                report,
            } => {
                match self.agents.contains_key(&id) {
                    true => self.reconnect_agent(now, &arrival, &id, *report, out),
                    false => self.readmit_agent(now, arrival, &id, *report, out),
                }
                id
            }
            Pending::Unreachable { id, at, message } => {
                self.became_unreachable(now, &id, at, &message, out);
                id
            }
            Pending::Remove { id, cause } => {
                self.was_removed(now, &id, cause, out);
                id
            }
            Pending::Gone { id, at, reply } => {
                self.became_gone(now, &id, at, out);
                out.extend(reply.map(|reply| Effect::Reply(reply, Answer::Ok)));
                id
            }
            Pending::Deactivation { id, change, reply } => {
                return self.deactivation_stored(now, &id, change, reply, out);
            }
            Pending::Prune { unreachable, gone } => return self.pruned(&unreachable, &gone),
            Pending::Quota { quotas, reply } => return self.quotas_stored(quotas, reply, out),
            Pending::QuotaRemoval { role, reply } => return self.quota_removed(role, reply, out),
            Pending::Weights { weights, reply } => return self.weights_stored(weights, reply, out),
            Pending::Maintenance { change, reply } => {
                return self.maintenance_stored(&change, reply, out);
            }
        };
        let transition = self.transitions.remove(&id);
        let waiting = transition.and_then(|transition| transition.waiting);
        if let Some((link, report)) = waiting.filter(|(link, _)| self.links.contains_key(link)) {
            self.reregister(now, link, report, out);
        }
        self.keep_off_down_machine(&id, out);
    }

    /// The registry was read: the agents in it have a while to come back.
    pub(super) fn recovered(&mut self, now: Now, registry: Registry, out: &mut Vec<Effect>) {
        if self.phase == Phase::Serving {
            return;
        }
        self.phase = Phase::Serving;
        self.recover_settings(&registry, out);
        for (id, info) in registry.admitted {
            self.recovered_agents.insert(id, info.unpack().into());
        }
        self.agents_at_start = self.recovered_agents.len();
        self.unreachable_agents.extend(registry.unreachable);
        self.deactivated_agents.extend(registry.deactivated);
        self.gone_at_start = registry.gone.keys().cloned().collect();
        self.gone_agents.extend(registry.gone);
        let machines = registry.maintenance.machines.into_iter();
        let down = machines.filter(|(_, machine)| machine.mode == Mode::Down);
        self.down_at_start = down.map(|(key, _)| key).collect();
        self.removals.start(now);
        self.schedule_registry_gc(now);
        if !self.recovered_agents.is_empty() {
            let timeout = self.settings.agent_reregister_timeout;
            self.deadlines
                .set(Deadline::RecoveredAgents, now.mono + timeout);
        }
    }

    /// Takes over quotas, weights and the maintenance schedule, and tells the allocator before
    /// anything else.
    ///
    /// Weights given by flag count while the registry holds none, and are then stored, as in Mesos.
    fn recover_settings(&mut self, registry: &Registry, out: &mut Vec<Effect>) {
        let from_flag = registry.weights.is_empty() && !self.settings.weights.is_empty();
        let weights: Vec<(Role, f64)> = match from_flag {
            true => {
                let given = self.settings.weights.iter();
                given
                    .map(|(role, weight)| (Role::from(role.as_str()), *weight))
                    .collect()
            }
            false => registry.weights.clone().into_iter().collect(),
        };
        self.quotas.extend(registry.quotas.clone());
        self.weights.extend(weights.iter().cloned());
        self.maintenance = registry.maintenance.clone();
        out.push(to_allocator(Command::Recover {
            expected_agents: registry.admitted.len(),
            quotas: registry.quotas.clone().into_iter().collect(),
            weights: weights.clone(),
        }));
        if from_flag {
            let operation = Operation::UpdateWeights(weights.clone());
            let reply = None;
            self.apply(operation, Pending::Weights { weights, reply }, out);
        }
    }
}
