//! Numbers that only the manager knows, for those who measure it.
//! Names no metric, and says nothing that the rest of a snapshot says.

use super::Manager;
use crate::marathon::deployment::DeployError;
use crate::marathon::engine::KillFigures;
use crate::time::Now;

/// What the manager counts, since it began to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Deployments that were taken in, also those without a step.
    pub deployments: u64,
    /// Deployments that were refused because too many were under way.
    pub deployments_dismissed: u64,
    /// Offers that could not be read, and were declined.
    pub offers_unprocessable: u64,
    /// Launches that may begin now.
    pub launch_tokens: u32,
    /// Kills under way.
    pub kills: KillFigures,
}

impl Figures {
    /// A deployment was taken in, or was not.
    pub(super) fn deployed(&mut self, result: &Result<(), DeployError>) {
        match result {
            Ok(()) => self.deployments += 1,
            Err(DeployError::TooMany(_)) => self.deployments_dismissed += 1,
            Err(DeployError::Conflict(_)) => {}
        }
    }
}

impl Manager {
    /// The numbers now.
    pub(super) fn figures(&self, now: Now) -> Figures {
        Figures {
            launch_tokens: self.engine.launch_tokens_left(now),
            kills: self.engine.kill_figures(),
            ..self.figures
        }
    }
}
