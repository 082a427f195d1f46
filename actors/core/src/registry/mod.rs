//! The registry: the little that must outlive a master, and the operations on it.
//! Does not store anything; the registrar's stores do.

mod deactivations;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tepui_protocol::packed::Packed;
use tepui_protocol::v1;

use crate::ids::{AgentId, Role};
use crate::maintenance::{Change, ChangeError, MachineKey, Maintenance};
use crate::quota::Quota;
use crate::time::Wall;

pub use deactivations::{Deactivation, DeactivationChange};
pub use rows::{Row, RowsError};

/// A change to the registry. The registrar applies it, stores the result, and answers with the token.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Admit a new agent.
    AdmitAgent(Box<v1::AgentInfo>),
    /// Replace the data of an admitted agent.
    UpdateAgent(Box<v1::AgentInfo>),
    /// Move an admitted agent to the unreachable list.
    MarkUnreachable {
        /// The agent.
        agent_id: AgentId,
        /// When it was found unreachable.
        at: Wall,
    },
    /// Move an unreachable (or unknown) agent back to the admitted ones.
    MarkReachable(Box<v1::AgentInfo>),
    /// Forget an agent that left for good.
    RemoveAgent(AgentId),
    /// Remember that an agent is gone by an operator's word: it must not come back under this id.
    MarkGone {
        /// The agent.
        agent_id: AgentId,
        /// When the operator said so.
        at: Wall,
    },
    /// Drain, deactivate or reactivate an admitted or unreachable agent.
    ChangeDeactivation {
        /// The agent.
        agent_id: AgentId,
        /// What becomes of its deactivation.
        change: DeactivationChange,
    },
    /// Forget these unreachable and gone agents, as far as they still are that.
    Prune {
        /// Ids of unreachable agents.
        unreachable: Vec<AgentId>,
        /// Ids of gone agents.
        gone: Vec<AgentId>,
    },
    /// Give roles new quotas, in this order; the default quota ends a role's.
    UpdateQuota(Vec<(Role, Quota)>),
    /// Give roles new weights, in this order; those of other roles stay.
    UpdateWeights(Vec<(Role, f64)>),
    /// Change the maintenance schedule, or bring its machines down or up.
    ChangeMaintenance(Change),
}

/// Names a part of the registry that is stored on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Everything about an agent, but that it is deactivated or gone.
    Agent(AgentId),
    /// That an agent is drained or deactivated.
    Deactivation(AgentId),
    /// That an agent is gone.
    GoneAgent(AgentId),
    /// The quota of a role.
    Quota(Role),
    /// The weight of a role.
    Weight(Role),
    /// A scheduled machine.
    Machine(MachineKey),
}

/// Why an operation was refused; the registry is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The data of the agent carries no id.
    #[error("agent info carries no id; the master must assign one first")]
    NoId,
    /// An agent of this id but with other data is there already.
    #[error("agent {0} is already admitted with other data")]
    AlreadyAdmitted(AgentId),
    /// The operation needs an admitted agent.
    #[error("agent {0} is not admitted")]
    NotAdmitted(AgentId),
    /// An operator marked the agent gone.
    #[error("agent {0} was marked gone; it must register anew, under another id")]
    Gone(AgentId),
    /// A role cannot be guaranteed more than it may get.
    #[error("quota of role '{0}' guarantees more than its limits allow")]
    BadQuota(Role),
    /// Weights are finite numbers above zero.
    #[error("weight of role '{0}' must be a finite number above 0")]
    BadWeight(Role),
    /// The machines are in another state by now.
    #[error(transparent)]
    Maintenance(#[from] ChangeError),
}

/// What must outlive a master.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registry {
    /// Admitted agents by id; packed, as nobody looks into them while the master runs.
    pub admitted: BTreeMap<AgentId, Packed<v1::AgentInfo>>,
    /// Unreachable agents and since when.
    pub unreachable: BTreeMap<AgentId, Wall>,
    /// Admitted and unreachable agents that an operator keeps out of offers.
    pub deactivated: BTreeMap<AgentId, Deactivation>,
    /// Agents that an operator marked gone, and when.
    pub gone: BTreeMap<AgentId, Wall>,
    /// Quotas by role; none of them is the default.
    pub quotas: BTreeMap<Role, Quota>,
    /// Weights by role path, where they were set.
    pub weights: BTreeMap<Role, f64>,
    /// The maintenance schedule.
    pub maintenance: Maintenance,
}

impl Registry {
    /// Applies one operation; `false` when the registry already was in the wanted state.
    ///
    /// # Errors
    /// When the operation does not fit the registry's state, which is then unchanged.
    pub fn apply(&mut self, operation: &Operation) -> Result<bool, OperationError> {
        match operation {
            Operation::AdmitAgent(info) => self.admit(info),
            Operation::UpdateAgent(info) => self.update(info),
            Operation::MarkUnreachable { agent_id, at } => self.mark_unreachable(agent_id, *at),
            Operation::MarkReachable(info) => self.mark_reachable(info),
            Operation::RemoveAgent(agent_id) => Ok(self.remove(agent_id)),
            Operation::MarkGone { agent_id, at } => Ok(self.mark_gone(agent_id, *at)),
            Operation::ChangeDeactivation { agent_id, change } => {
                self.change_deactivation(agent_id, change)
            }
            Operation::Prune { unreachable, gone } => Ok(self.prune(unreachable, gone)),
            Operation::UpdateQuota(quotas) => self.update_quotas(quotas),
            Operation::UpdateWeights(weights) => self.update_weights(weights),
            Operation::ChangeMaintenance(change) => Ok(self.maintenance.apply(change)?),
        }
    }

    /// What an operation may change; to be asked before it is applied.
    pub fn touched_by(&self, operation: &Operation) -> Vec<Key> {
        match operation {
            Operation::AdmitAgent(info)
            | Operation::UpdateAgent(info)
            | Operation::MarkReachable(info) => {
                let id = info.id.as_ref().map(AgentId::from);
                id.map(Key::Agent).into_iter().collect()
            }
            Operation::MarkUnreachable { agent_id, .. } => vec![Key::Agent(agent_id.clone())],
            Operation::ChangeDeactivation { agent_id, .. } => {
                vec![Key::Deactivation(agent_id.clone())]
            }
            Operation::RemoveAgent(agent_id) => self.keys_of(agent_id),
            Operation::MarkGone { agent_id, .. } => {
                let mut keys = self.keys_of(agent_id);
                keys.push(Key::GoneAgent(agent_id.clone()));
                keys
            }
            Operation::Prune { unreachable, gone } => {
                let unreachable = unreachable.iter().flat_map(|id| self.keys_of(id));
                let gone = gone.iter().cloned().map(Key::GoneAgent);
                unreachable.chain(gone).collect()
            }
            Operation::UpdateQuota(quotas) => {
                let roles = quotas.iter();
                roles.map(|(role, _)| Key::Quota(role.clone())).collect()
            }
            Operation::UpdateWeights(weights) => {
                let roles = weights.iter();
                roles.map(|(role, _)| Key::Weight(role.clone())).collect()
            }
            Operation::ChangeMaintenance(change) => {
                let machines = self.maintenance.touched_by(change).into_iter();
                machines.map(Key::Machine).collect()
            }
        }
    }

    /// The parts that hold something of an agent which goes.
    fn keys_of(&self, id: &AgentId) -> Vec<Key> {
        let mut keys = vec![Key::Agent(id.clone())];
        if self.deactivated.contains_key(id) {
            keys.push(Key::Deactivation(id.clone()));
        }
        keys
    }

    fn admit(&mut self, info: &v1::AgentInfo) -> Result<bool, OperationError> {
        let id = id_of(info)?;
        self.refuse_gone(&id)?;
        let info = Packed::new(info);
        match self.admitted.get(&id) {
            Some(known) if *known == info => Ok(false),
            Some(_) => Err(OperationError::AlreadyAdmitted(id)),
            None => {
                self.unreachable.remove(&id);
                self.admitted.insert(id, info);
                Ok(true)
            }
        }
    }

    fn update(&mut self, info: &v1::AgentInfo) -> Result<bool, OperationError> {
        let id = id_of(info)?;
        let Some(known) = self.admitted.get_mut(&id) else {
            return Err(OperationError::NotAdmitted(id));
        };
        let info = Packed::new(info);
        if *known == info {
            return Ok(false);
        }
        *known = info;
        Ok(true)
    }

    fn mark_unreachable(&mut self, id: &AgentId, at: Wall) -> Result<bool, OperationError> {
        if self.admitted.remove(id).is_some() {
            self.unreachable.insert(id.clone(), at);
            return Ok(true);
        }
        if self.unreachable.contains_key(id) {
            return Ok(false);
        }
        Err(OperationError::NotAdmitted(id.clone()))
    }

    /// An agent the registry does not know may come back too: it was admitted by an earlier
    /// master whose registry is lost, or forgotten because it was away for too long.
    fn mark_reachable(&mut self, info: &v1::AgentInfo) -> Result<bool, OperationError> {
        let id = id_of(info)?;
        self.refuse_gone(&id)?;
        let was_unreachable = self.unreachable.remove(&id).is_some();
        let info = Packed::new(info);
        let before = self.admitted.insert(id, info.clone());
        Ok(was_unreachable || before.as_ref() != Some(&info))
    }

    fn refuse_gone(&self, id: &AgentId) -> Result<(), OperationError> {
        match self.gone.contains_key(id) {
            true => Err(OperationError::Gone(id.clone())),
            false => Ok(()),
        }
    }

    /// An agent that is on no list can be marked too: it may have been forgotten a moment ago.
    fn mark_gone(&mut self, id: &AgentId, at: Wall) -> bool {
        if self.gone.contains_key(id) {
            return false;
        }
        self.remove(id);
        self.gone.insert(id.clone(), at);
        true
    }

    fn prune(&mut self, unreachable: &[AgentId], gone: &[AgentId]) -> bool {
        let mut changed = false;
        for id in unreachable {
            if self.unreachable.remove(id).is_some() {
                self.deactivated.remove(id);
                changed = true;
            }
        }
        for id in gone {
            changed |= self.gone.remove(id).is_some();
        }
        changed
    }

    fn remove(&mut self, id: &AgentId) -> bool {
        let admitted = self.admitted.remove(id).is_some();
        let unreachable = self.unreachable.remove(id).is_some();
        self.deactivated.remove(id);
        admitted || unreachable
    }

    fn update_quotas(&mut self, quotas: &[(Role, Quota)]) -> Result<bool, OperationError> {
        if let Some((role, _)) = quotas.iter().find(|(_, q)| !q.allows(&q.guarantees)) {
            return Err(OperationError::BadQuota(role.clone()));
        }
        let mut changed = false;
        for (role, quota) in quotas {
            changed |= match quota.is_default() {
                true => self.quotas.remove(role).is_some(),
                false => {
                    let before = self.quotas.insert(role.clone(), quota.clone());
                    before.as_ref() != Some(quota)
                }
            };
        }
        Ok(changed)
    }

    fn update_weights(&mut self, weights: &[(Role, f64)]) -> Result<bool, OperationError> {
        let good = |weight: f64| weight.is_finite() && weight > 0.0;
        if let Some((role, _)) = weights.iter().find(|(_, weight)| !good(*weight)) {
            return Err(OperationError::BadWeight(role.clone()));
        }
        let mut changed = false;
        for (role, weight) in weights {
            changed |= self.weights.insert(role.clone(), *weight) != Some(*weight);
        }
        Ok(changed)
    }
}

fn id_of(info: &v1::AgentInfo) -> Result<AgentId, OperationError> {
    info.id
        .as_ref()
        .map(AgentId::from)
        .ok_or(OperationError::NoId)
}
