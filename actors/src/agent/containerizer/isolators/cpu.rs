//! `cgroups/cpu`: shares of the CPUs by what a container is given, and quotas.
//! Counts the time that is used, too. (Mesos: `CpuSubsystemProcess`, `CpuacctSubsystemProcess`.)

use std::sync::Arc;

use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use crate::agent::containerizer::cgroups::{CFS_PERIOD_US, Cgroups, Controller, Quota};
use crate::agent::containerizer::isolator::{Container, Isolator, Plan};

/// Shares of one CPU, of one that may be taken back, and the least that the kernel knows.
const SHARES_PER_CPU: f64 = 1024.0;
const SHARES_PER_REVOCABLE_CPU: f64 = 10.0;
const MIN_SHARES: u64 = 2;

/// The least quota in microseconds, as in Mesos.
const MIN_QUOTA_US: u64 = 1_000;

/// Limits CPUs.
pub(in super::super) struct Cpu {
    pub(in super::super) cgroups: Arc<dyn Cgroups>,
    /// Whether what a container is given is also the most that it may use.
    pub(in super::super) enable_cfs: bool,
    /// Whether CPUs that may be taken back give few shares.
    pub(in super::super) revocable_low_priority: bool,
}

impl Cpu {
    fn set(&self, id: &ContainerId, resources: &ContainerResources) -> Result<(), String> {
        let (shares, quota) = self.figures(resources);
        self.cgroups.set_cpu(id.as_str(), shares, quota)
    }

    fn figures(&self, resources: &ContainerResources) -> (u64, Quota) {
        let cpus = resources.requests.scalar_milli("cpus") as f64 / 1000.0;
        let revocable = resources.requests.revocable().scalar_milli("cpus") > 0;
        let per_cpu = match self.revocable_low_priority && revocable {
            true => SHARES_PER_REVOCABLE_CPU,
            false => SHARES_PER_CPU,
        };
        // Saturates: a float that is out of range becomes the nearest integer.
        let shares = ((per_cpu * cpus) as u64).max(MIN_SHARES);
        let micros = |cpus: f64| {
            let micros = (CFS_PERIOD_US as f64 * cpus) as u64;
            Quota::Micros(micros.max(MIN_QUOTA_US))
        };
        let quota = match resources.limits.get("cpus") {
            Some(limit) if limit.is_infinite() => Quota::Infinite,
            Some(limit) => micros(*limit),
            None if self.enable_cfs => micros(cpus),
            None => Quota::Unset,
        };
        (shares, quota)
    }
}

impl Isolator for Cpu {
    fn name(&self) -> &'static str {
        "cgroups/cpu"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        if let Some(other) = container.shares_limits_of() {
            let entrances = self.cgroups.entrances(Controller::Cpu, other.as_str());
            plan.cgroups.extend(entrances);
            return Ok(());
        }
        let id = container.id.as_str();
        self.cgroups
            .create(Controller::Cpu, id)
            .map_err(|error| format!("Failed to create the cgroup: {error}"))?;
        self.set(&container.id, &container.resources)?;
        let entrances = self.cgroups.entrances(Controller::Cpu, id);
        plan.cgroups.extend(entrances);
        Ok(())
    }

    fn update(&self, id: &ContainerId, resources: &ContainerResources) -> Result<(), String> {
        self.set(id, resources)
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        let Ok(figures) = self.cgroups.cpu(id.as_str()) else {
            return;
        };
        statistics.cpus_user_time_secs = Some(figures.user_secs);
        statistics.cpus_system_time_secs = Some(figures.system_secs);
        if self.enable_cfs || figures.periods > 0 {
            let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            statistics.cpus_nr_periods = Some(count(figures.periods));
            statistics.cpus_nr_throttled = Some(count(figures.throttled));
            statistics.cpus_throttled_time_secs = Some(figures.throttled_secs);
        }
    }

    fn cleanup(&self, id: &ContainerId) -> Result<(), String> {
        self.cgroups
            .remove(Controller::Cpu, id.as_str())
            .map_err(|error| format!("Failed to remove the cgroup: {error}"))
    }
}
