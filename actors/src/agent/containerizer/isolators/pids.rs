//! `cgroups/pids`: counts the processes of a container, and limits them if told to.
//! Knows no limit of a single task, and ends nobody who meets the limit, as in Mesos.

use std::sync::Arc;

use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use crate::agent::containerizer::cgroups::{Cgroups, Controller};
use crate::agent::containerizer::isolator::{Container, Isolator, Plan};

/// Counts processes.
pub(in super::super) struct Pids {
    pub(in super::super) cgroups: Arc<dyn Cgroups>,
    /// The most processes and threads of a container, if there is a limit.
    pub(in super::super) limit: Option<u64>,
}

impl Isolator for Pids {
    fn name(&self) -> &'static str {
        "cgroups/pids"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        if let Some(other) = container.shares_limits_of() {
            let entrances = self.cgroups.entrances(Controller::Pids, other.as_str());
            plan.cgroups.extend(entrances);
            return Ok(());
        }
        let id = container.id.as_str();
        self.cgroups
            .create(Controller::Pids, id)
            .map_err(|error| format!("Failed to create the cgroup: {error}"))?;
        if let Some(limit) = self.limit {
            self.cgroups.set_pids(id, limit)?;
        }
        let entrances = self.cgroups.entrances(Controller::Pids, id);
        plan.cgroups.extend(entrances);
        Ok(())
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        // The kernel counts threads here.
        if let Ok(threads) = self.cgroups.threads(id.as_str()) {
            statistics.threads = Some(u32::try_from(threads).unwrap_or(u32::MAX));
        }
    }

    /// Whoever asks for a process too many is refused it, and may say of that what it likes: so the
    /// log says why. (Cgroups of version 1 tell nobody when it happens.)
    fn cleanup(&self, id: &ContainerId) -> Result<(), String> {
        if let (Some(limit), Ok(refused)) = (self.limit, self.cgroups.refused(id.as_str()))
            && refused > 0
        {
            tracing::warn!(
                container = %id, limit, refused,
                "a container was refused processes: it had as many as --cgroups_pids_limit allows"
            );
        }
        self.cgroups
            .remove(Controller::Pids, id.as_str())
            .map_err(|error| format!("Failed to remove the cgroup: {error}"))
    }
}
