//! Agents that an operator drains or deactivates, as the registry holds them.
//! Sends nobody anything; that is the master's business.

use tepui_protocol::v1::{DrainConfig, DrainInfo, DrainState};

use super::{OperationError, Registry};
use crate::ids::AgentId;

/// How an operator keeps an agent out of offers, until it is reactivated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deactivation {
    /// How its tasks are ended, and whether they are; none when they may go on.
    pub drain: Option<DrainInfo>,
}

impl Deactivation {
    /// A drain that begins.
    pub fn draining(config: DrainConfig) -> Deactivation {
        let drain = DrainInfo {
            state: DrainState::Draining as i32,
            config,
        };
        Deactivation { drain: Some(drain) }
    }

    /// The same, with nothing left to be ended.
    #[must_use]
    pub fn drained(mut self) -> Deactivation {
        if let Some(drain) = &mut self.drain {
            drain.set_state(DrainState::Drained);
        }
        self
    }

    /// Whether tasks are still being ended.
    pub fn is_draining(&self) -> bool {
        let drain = self.drain.as_ref();
        drain.is_some_and(|drain| drain.state() != DrainState::Drained)
    }
}

impl Registry {
    /// Changes the deactivation of an admitted or unreachable agent. Mesos: `DrainAgent`,
    /// `DeactivateAgent`, `MarkAgentDrained`, `ReactivateAgent`.
    pub(super) fn change_deactivation(
        &mut self,
        id: &AgentId,
        change: &DeactivationChange,
    ) -> Result<bool, OperationError> {
        if !self.admitted.contains_key(id) && !self.unreachable.contains_key(id) {
            return match change {
                // It left, or was forgotten, when its last task had ended.
                DeactivationChange::Drained => Ok(false),
                _ => Err(OperationError::NotAdmitted(id.clone())),
            };
        }
        let before = self.deactivated.get(id).cloned();
        let after = match change {
            DeactivationChange::Drain(config) => Some(Deactivation::draining(*config)),
            DeactivationChange::Drained => before.clone().map(Deactivation::drained),
            DeactivationChange::Deactivate => Some(before.clone().unwrap_or_default()),
            DeactivationChange::Reactivate => None,
        };
        let changed = before != after;
        match after {
            Some(after) => self.deactivated.insert(id.clone(), after),
            None => self.deactivated.remove(id),
        };
        Ok(changed)
    }
}

/// What becomes of an agent's deactivation.
#[derive(Debug, Clone, PartialEq)]
pub enum DeactivationChange {
    /// Its tasks are to be ended, so.
    Drain(DrainConfig),
    /// They are, if they were to be.
    Drained,
    /// It is offered no more; what runs there goes on.
    Deactivate,
    /// It is offered again.
    Reactivate,
}
