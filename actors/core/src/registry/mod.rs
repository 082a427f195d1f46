//! The registry: the little that must outlive a master, and the operations on it.
//! Does not store anything; the registrar's stores do.

mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tepui_protocol::v1;

use crate::ids::AgentId;
use crate::time::Wall;

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
}

impl Operation {
    /// The agent the operation is about; nothing when its data carries no id.
    pub fn agent_id(&self) -> Option<AgentId> {
        match self {
            Operation::AdmitAgent(info)
            | Operation::UpdateAgent(info)
            | Operation::MarkReachable(info) => info.id.as_ref().map(AgentId::from),
            Operation::MarkUnreachable { agent_id, .. } | Operation::RemoveAgent(agent_id) => {
                Some(agent_id.clone())
            }
        }
    }
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
}

/// What must outlive a master.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registry {
    /// Admitted agents by id.
    pub admitted: BTreeMap<AgentId, v1::AgentInfo>,
    /// Unreachable agents and since when.
    pub unreachable: BTreeMap<AgentId, Wall>,
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
        }
    }

    fn admit(&mut self, info: &v1::AgentInfo) -> Result<bool, OperationError> {
        let id = id_of(info)?;
        match self.admitted.get(&id) {
            Some(known) if known == info => Ok(false),
            Some(_) => Err(OperationError::AlreadyAdmitted(id)),
            None => {
                self.unreachable.remove(&id);
                self.admitted.insert(id, info.clone());
                Ok(true)
            }
        }
    }

    fn update(&mut self, info: &v1::AgentInfo) -> Result<bool, OperationError> {
        let id = id_of(info)?;
        let Some(known) = self.admitted.get_mut(&id) else {
            return Err(OperationError::NotAdmitted(id));
        };
        if known == info {
            return Ok(false);
        }
        *known = info.clone();
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
        let was_unreachable = self.unreachable.remove(&id).is_some();
        let before = self.admitted.insert(id, info.clone());
        Ok(was_unreachable || before.as_ref() != Some(info))
    }

    fn remove(&mut self, id: &AgentId) -> bool {
        let admitted = self.admitted.remove(id).is_some();
        let unreachable = self.unreachable.remove(id).is_some();
        admitted || unreachable
    }
}

fn id_of(info: &v1::AgentInfo) -> Result<AgentId, OperationError> {
    info.id
        .as_ref()
        .map(AgentId::from)
        .ok_or(OperationError::NoId)
}
