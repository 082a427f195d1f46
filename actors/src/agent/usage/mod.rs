//! What containers use: figures of their processes, and what they were given.
//! Limits nothing.

mod processes;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::model::{Container, Executor};
use tepui_core::ids::ContainerId;
use tepui_core::time::{Now, Wall};
use tepui_protocol::v1;
use tokio::sync::Mutex;

use super::containerizer::Containerizers;
use crate::clock::Clock;
use crate::metrics::system::System;
use processes::{Figures, Processes};

/// How long figures are shown before they are read anew: Mesos lets two readers in per second.
const MAX_AGE: Duration = Duration::from_millis(500);

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// The processes of the machine, read at most once at a time for all who ask.
pub(super) struct Usage {
    last: Mutex<Option<Scan>>,
    containerizer: Arc<Containerizers>,
}

/// A container whose figures are wanted.
pub(super) struct Subject {
    container: ContainerId,
    pid: Option<u32>,
    given: ContainerResources,
}

impl Subject {
    /// That of an executor.
    pub(super) fn of(executor: &Executor) -> Self {
        Subject {
            container: executor.container.clone(),
            pid: executor.pid,
            given: ContainerResources::of(executor),
        }
    }

    /// One that was launched by a call.
    pub(super) fn of_called(container: &Container) -> Self {
        Subject {
            container: container.id.clone(),
            pid: container.pid(),
            given: container.given(),
        }
    }
}

/// The processes as they were at one moment.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    at: Now,
    processes: Arc<Processes>,
    system: System,
}

impl Usage {
    /// Figures of the containers of this containerizer.
    pub(super) fn of(containerizer: Arc<Containerizers>) -> Self {
        Usage {
            last: Mutex::default(),
            containerizer,
        }
    }

    /// The processes, with those that lead one of `subjects` if they still run.
    async fn scan(&self, clock: Clock, subjects: &[Subject]) -> Scan {
        let mut last = self.last.lock().await;
        let is_new = |scan: &&Scan| clock.now().mono.since(scan.at.mono) < MAX_AGE;
        let has_all = |scan: &&Scan| {
            let mut leaders = subjects.iter().filter_map(|subject| subject.pid);
            leaders.all(|pid| scan.processes.knows(pid))
        };
        if let Some(scan) = last.as_ref().filter(is_new).filter(has_all) {
            return scan.clone();
        }
        // Its threads are gone only when the agent ends; nobody reads these figures any more.
        let read = web::block(|| (Processes::read(), System::read())).await;
        let (processes, system) = read.unwrap_or_default();
        let scan = Scan {
            at: clock.now(),
            processes: Arc::new(processes),
            system,
        };
        *last = Some(scan.clone());
        scan
    }
}

impl Usage {
    /// The figures of each container, if it has any process.
    pub(super) async fn statistics(
        &self,
        clock: Clock,
        subjects: Vec<Subject>,
    ) -> Vec<Option<v1::ResourceStatistics>> {
        let scan = self.scan(clock, &subjects).await;
        let found = subjects.into_iter().map(|subject| {
            let figures = scan.processes.figures(subject.pid?)?;
            let known = statistics(scan.at.wall, &figures, &scan.system, &subject.given);
            Some((subject.container, known))
        });
        let mut all: Vec<_> = found.collect();
        let containerizer = self.containerizer.clone();
        // The kernel answers at once, but there may be many containers to ask it about.
        let asked = web::block(move || {
            for (container, known) in all.iter_mut().flatten() {
                containerizer.usage(container, known);
            }
            all
        });
        let all = asked.await.unwrap_or_default();
        all.into_iter().map(|known| Some(known?.1)).collect()
    }
}

/// Mesos: `MesosContainerizerProcess::_usage`. Where a limit is infinite, what the machine has is the
/// limit.
fn statistics(
    at: Wall,
    figures: &Figures,
    system: &System,
    given: &ContainerResources,
) -> v1::ResourceStatistics {
    let requested = &given.requests;
    let limit = |kind: &str| given.limits.get(kind).copied();
    let cpus_milli = requested.scalar_milli("cpus");
    let mem_milli = requested.scalar_milli("mem");
    let mem_bytes = (mem_milli > 0).then(|| bytes(mem_milli as f64 / 1000.0));
    let machine_cpus = system.cpus_total.map(|cpus| cpus as f64);
    v1::ResourceStatistics {
        timestamp: at.as_secs_f64(),
        cpus_user_time_secs: Some(figures.user_secs),
        cpus_system_time_secs: Some(figures.system_secs),
        cpus_soft_limit: (cpus_milli > 0).then(|| cpus_milli as f64 / 1000.0),
        cpus_limit: match limit("cpus") {
            Some(limit) if limit.is_infinite() => machine_cpus,
            limit => limit,
        },
        mem_rss_bytes: Some(figures.rss_bytes),
        mem_soft_limit_bytes: mem_bytes,
        mem_limit_bytes: match limit("mem") {
            Some(limit) if limit.is_infinite() => system.mem_total_bytes,
            Some(megabytes) => Some(bytes(megabytes)),
            None => mem_bytes,
        },
        processes: Some(figures.processes),
        threads: Some(figures.threads),
        ..v1::ResourceStatistics::default()
    }
}

fn bytes(megabytes: f64) -> u64 {
    // Saturates: a float that is out of range becomes the nearest integer.
    (megabytes * BYTES_PER_MEGABYTE as f64) as u64
}
