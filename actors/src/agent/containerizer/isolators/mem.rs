//! `cgroups/mem`: limits of memory, and the end of containers that meet theirs.
//! (Mesos: `MemorySubsystemProcess`.)

use std::sync::Arc;

use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::Limitation;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use crate::agent::containerizer::cgroups::{Cgroups, Controller, HardLimit, OutOfMemory, Wait};
use crate::agent::containerizer::isolator::{Container, Isolator, Plan};
use crate::flags::format_bytes;

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// The least limit in bytes, as in Mesos: a process needs some to start at all.
const MIN_MEMORY: u64 = 32 * BYTES_PER_MEGABYTE;

/// Limits memory.
pub(in super::super) struct Mem {
    pub(in super::super) cgroups: Arc<dyn Cgroups>,
    /// Whether swap counts.
    pub(in super::super) limit_swap: bool,
}

/// What a container keeps when memory is scarce, and what it may use, in bytes.
fn limits(resources: &ContainerResources) -> (u64, HardLimit) {
    let milli = resources.requests.scalar_milli("mem").max(0).unsigned_abs();
    let soft = milli.saturating_mul(BYTES_PER_MEGABYTE) / 1000;
    let soft = soft.max(MIN_MEMORY);
    let hard = match resources.limits.get("mem") {
        Some(limit) if limit.is_infinite() => None,
        // Saturates: a float that is out of range becomes the nearest integer.
        Some(megabytes) => {
            let bytes = (*megabytes as u64).saturating_mul(BYTES_PER_MEGABYTE);
            Some(bytes.max(MIN_MEMORY))
        }
        None => Some(soft),
    };
    (soft, hard)
}

/// What is told of a container that has met its limit, in Mesos's words.
fn limitation(seen: &OutOfMemory) -> Limitation {
    use std::fmt::Write;
    let mut message = "Memory limit exceeded: ".to_owned();
    if let Some(limit) = seen.limit {
        let _ = write!(message, "Requested: {} ", format_bytes(limit));
    }
    if let Some(most) = seen.most {
        let _ = writeln!(message, "Maximum Used: {}", format_bytes(most));
    }
    let _ = write!(message, "\nMEMORY STATISTICS: \n{}\n", seen.statistics);
    let used = seen.most.unwrap_or(0) as f64 / BYTES_PER_MEGABYTE as f64;
    Limitation {
        reason: v1::task_status::Reason::ContainerLimitationMemory,
        message,
        resources: vec![v1::Resource {
            name: "mem".to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: used }),
            ..v1::Resource::default()
        }],
    }
}

impl Isolator for Mem {
    fn name(&self) -> &'static str {
        "cgroups/mem"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        if let Some(other) = container.shares_limits_of() {
            let entrances = self.cgroups.entrances(Controller::Memory, other.as_str());
            plan.cgroups.extend(entrances);
            return Ok(());
        }
        let id = container.id.as_str();
        self.cgroups
            .create(Controller::Memory, id)
            .map_err(|error| format!("Failed to create the cgroup: {error}"))?;
        let (soft, hard) = limits(&container.resources);
        self.cgroups.set_soft_limit(id, soft)?;
        self.cgroups.set_hard_limit(id, hard, self.limit_swap)?;
        let entrances = self.cgroups.entrances(Controller::Memory, id);
        plan.cgroups.extend(entrances);
        Ok(())
    }

    fn watch(&self, container: &Container) -> Option<Wait<Limitation>> {
        if container.shares_limits_of().is_some() {
            return None;
        }
        let wait = self.cgroups.out_of_memory(container.id.as_str());
        let id = container.id.clone();
        Some(Box::pin(async move {
            match wait.await {
                Ok(seen) => limitation(&seen),
                Err(error) => {
                    // A container that has ended has no cgroup either.
                    tracing::info!(container = %id, %error, "cannot watch memory");
                    std::future::pending().await
                }
            }
        }))
    }

    /// The limit only rises while the container runs: less than it has in use would end it. What
    /// it should do with is told by the other one. (As in Mesos.)
    fn update(&self, id: &ContainerId, resources: &ContainerResources) -> Result<(), String> {
        let (soft, hard) = limits(resources);
        self.cgroups.set_soft_limit(id.as_str(), soft)?;
        let before = self.cgroups.hard_limit(id.as_str());
        let before = before.map_err(|error| format!("Failed to read the limit: {error}"))?;
        let rises = match (before, hard) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(hard)) => hard > before,
        };
        match rises {
            true => self
                .cgroups
                .set_hard_limit(id.as_str(), hard, self.limit_swap),
            false => Ok(()),
        }
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        if let Ok(limit) = self.cgroups.hard_limit(id.as_str()) {
            statistics.mem_limit_bytes = limit.or(statistics.mem_limit_bytes);
        }
        let Ok(figures) = self.cgroups.memory(id.as_str()) else {
            return;
        };
        statistics.mem_total_bytes = Some(figures.total);
        statistics.mem_cache_bytes = figures.cache;
        statistics.mem_file_bytes = figures.cache;
        statistics.mem_rss_bytes = figures.anonymous;
        statistics.mem_anon_bytes = figures.anonymous;
        statistics.mem_mapped_file_bytes = figures.mapped;
        statistics.mem_swap_bytes = figures.swap;
        statistics.mem_unevictable_bytes = figures.unevictable;
    }

    fn cleanup(&self, id: &ContainerId) -> Result<(), String> {
        self.cgroups
            .remove(Controller::Memory, id.as_str())
            .map_err(|error| format!("Failed to remove the cgroup: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(mem: &str, limit: Option<f64>) -> ContainerResources {
        let limits = limit.map(|limit| ("mem".to_owned(), limit));
        ContainerResources {
            requests: tepui_core::resources::Resources::parse(mem, "*").unwrap(),
            limits: limits.into_iter().collect(),
        }
    }

    #[test]
    fn limits_follow_requests_and_limits() {
        const MB: u64 = BYTES_PER_MEGABYTE;
        for (mem, limit, expected) in [
            ("mem:64", None, (64 * MB, Some(64 * MB))),
            ("mem:1", None, (32 * MB, Some(32 * MB))),
            ("mem:64", Some(128.0), (64 * MB, Some(128 * MB))),
            ("mem:64", Some(f64::INFINITY), (64 * MB, None)),
            ("cpus:1", Some(4.0), (32 * MB, Some(32 * MB))),
        ] {
            assert_eq!(limits(&resources(mem, limit)), expected, "{mem} {limit:?}");
        }
    }

    #[test]
    fn the_end_is_told_with_figures() {
        let seen = OutOfMemory {
            limit: Some(64 * BYTES_PER_MEGABYTE),
            most: Some(48 * BYTES_PER_MEGABYTE),
            statistics: "cache 0\n".to_owned(),
        };
        let told = limitation(&seen);
        let text = "Memory limit exceeded: Requested: 64MB Maximum Used: 48MB\n\
                    \nMEMORY STATISTICS: \ncache 0\n\n";
        assert_eq!(told.message, text);
        assert_eq!(told.resources[0].scalar.unwrap().value, 48.0);
    }
}
