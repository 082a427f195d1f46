//! What containers use: figures of their processes, and what they were given.
//! Limits nothing.

mod processes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tepui_core::agent::model::Executor;
use tepui_core::resources::Resources;
use tepui_core::time::{Now, Wall};
use tepui_protocol::v1;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::metrics::system::System;
use processes::{Figures, Processes};

/// How long figures are shown before they are read anew: Mesos lets two readers in per second.
const MAX_AGE: Duration = Duration::from_millis(500);

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// The processes of the machine, read at most once at a time for all who ask.
#[derive(Debug, Default)]
pub(super) struct Usage {
    last: Mutex<Option<Scan>>,
}

/// The processes as they were at one moment.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    at: Now,
    processes: Arc<Processes>,
    system: System,
}

impl Usage {
    /// The processes, with those that lead one of `executors` if they still run.
    pub(super) async fn scan(&self, clock: Clock, executors: &[&Executor]) -> Scan {
        let mut last = self.last.lock().await;
        let is_new = |scan: &&Scan| clock.now().mono.since(scan.at.mono) < MAX_AGE;
        let has_all = |scan: &&Scan| {
            let mut leaders = executors.iter().filter_map(|executor| executor.pid);
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

impl Scan {
    /// The figures of an executor's container, if it has any process.
    pub(super) fn statistics(&self, executor: &Executor) -> Option<v1::ResourceStatistics> {
        let figures = self.processes.figures(executor.pid?)?;
        Some(statistics(self.at.wall, &figures, &self.system, executor))
    }
}

/// Mesos: `MesosContainerizerProcess::_usage`. Where a limit is infinite, what the machine has is the
/// limit.
fn statistics(
    at: Wall,
    figures: &Figures,
    system: &System,
    executor: &Executor,
) -> v1::ResourceStatistics {
    let requested = requested(executor);
    let cpus_milli = requested.scalar_milli("cpus");
    let mem_milli = requested.scalar_milli("mem");
    let mem_bytes = (mem_milli > 0).then(|| bytes(mem_milli as f64 / 1000.0));
    let machine_cpus = system.cpus_total.map(|cpus| cpus as f64);
    v1::ResourceStatistics {
        timestamp: at.as_secs_f64(),
        cpus_user_time_secs: Some(figures.user_secs),
        cpus_system_time_secs: Some(figures.system_secs),
        cpus_soft_limit: (cpus_milli > 0).then(|| cpus_milli as f64 / 1000.0),
        cpus_limit: match limit(executor, "cpus") {
            Some(limit) if limit.is_infinite() => machine_cpus,
            limit => limit,
        },
        mem_rss_bytes: Some(figures.rss_bytes),
        mem_soft_limit_bytes: mem_bytes,
        mem_limit_bytes: match limit(executor, "mem") {
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

/// What an executor and its tasks were given together.
fn requested(executor: &Executor) -> Resources {
    let mut sum = Resources::from_v1(&executor.info.resources).unwrap_or_default();
    for task in tasks(executor) {
        sum.add(&Resources::from_v1(task.resources).unwrap_or_default());
    }
    sum
}

/// What an executor and its tasks may use at most of a resource, if any task says so: the sum of
/// their limits, where what a task was given is the limit of one that has none. Infinite when one
/// of them is. (Mesos: `Slave::computeExecutorLimits`.)
fn limit(executor: &Executor, name: &str) -> Option<f64> {
    if !tasks(executor).any(|task| task.limits.contains_key(name)) {
        return None;
    }
    let given = |resources: &[v1::Resource]| {
        let resources = Resources::from_v1(resources).unwrap_or_default();
        resources.scalar_milli(name) as f64 / 1000.0
    };
    let of_tasks = tasks(executor).map(|task| match task.limits.get(name) {
        Some(limit) => limit.value,
        None => given(task.resources),
    });
    Some(given(&executor.info.resources) + of_tasks.sum::<f64>())
}

/// What the usage of a container depends on of a task.
struct Given<'a> {
    resources: &'a [v1::Resource],
    limits: &'a BTreeMap<String, v1::value::Scalar>,
}

fn tasks(executor: &Executor) -> impl Iterator<Item = Given<'_>> {
    let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
    let queued = queued.map(|task| Given {
        resources: &task.resources,
        limits: &task.limits,
    });
    let launched = executor.launched.values().map(|task| Given {
        resources: &task.resources,
        limits: &task.limits,
    });
    queued.chain(launched)
}
