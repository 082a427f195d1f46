//! What waits for the registrar, and what follows when it answers.
//! The registry itself is `crate::registry`.

use tepui_protocol::link::{Register, Reregister};

use super::messages::{Effect, LinkId, Token};
use super::model::Phase;
use super::{Deadline, Master};
use crate::ids::AgentId;
use crate::registry::Registry;
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
    Remove { id: AgentId, cause: String },
}

impl Master {
    /// The registrar answered.
    ///
    /// A failure ends this master: the registry may have a new owner.
    pub(super) fn applied(
        &mut self,
        now: Now,
        token: Token,
        result: Result<bool, String>,
        out: &mut Vec<Effect>,
    ) {
        let changed = match result {
            Ok(changed) => changed,
            Err(error) => {
                out.push(Effect::Exit(format!(
                    "failed to update the registry: {error}"
                )));
                return;
            }
        };
        let Some(pending) = self.pending.remove(&token) else {
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
                self.was_removed(now, &id, &cause, out);
                id
            }
        };
        let transition = self.transitions.remove(&id);
        let waiting = transition.and_then(|transition| transition.waiting);
        if let Some((link, report)) = waiting.filter(|(link, _)| self.links.contains_key(link)) {
            self.reregister(now, link, report, out);
        }
    }

    /// The registry was read: the agents in it have a while to come back.
    pub(super) fn recovered(&mut self, now: Now, registry: Registry) {
        if self.phase == Phase::Serving {
            return;
        }
        self.phase = Phase::Serving;
        for (id, info) in registry.admitted {
            self.recovered_agents.insert(id, info.into());
        }
        self.unreachable_agents.extend(registry.unreachable);
        if !self.recovered_agents.is_empty() {
            let timeout = self.settings.agent_reregister_timeout;
            self.deadlines
                .set(Deadline::RecoveredAgents, now.mono + timeout);
        }
    }
}
