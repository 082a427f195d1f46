//! What a master publishes: figures counted over its state, and those its actors measure.
//! Names nothing; the keys are in `names.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tepui_core::master::model::{AgentState, Framework, FrameworkState, Phase, Snapshot};
use tepui_core::resources::{Name, Resources};
use tepui_core::time::Now;
use tepui_protocol::v1::TaskState;

use super::names::{self, Published};
use super::system::System;
use super::{AllocatorMetrics, MasterQueue, RegistrarMetrics};

/// What the actors of a master measure.
#[derive(Debug)]
pub struct MasterMetrics {
    /// The master's queue.
    pub queue: Arc<MasterQueue>,
    /// The allocator.
    pub allocator: Arc<AllocatorMetrics>,
    /// The registrar.
    pub registrar: Arc<RegistrarMetrics>,
    /// Streams of the operator API's events that are open.
    pub subscribers: Arc<AtomicUsize>,
}

/// Amount of one resource over all agents, in units of the resource (cores, MB).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amount {
    /// What agents have.
    pub total: f64,
    /// What tasks and executors use.
    pub used: f64,
}

impl Amount {
    /// Used share, 0 to 1; 0 when there is nothing.
    pub fn percent(self) -> f64 {
        if self.total > 0.0 {
            self.used / self.total
        } else {
            0.0
        }
    }
}

/// One resource, by whether it may be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceAmounts {
    /// Not revocable.
    pub plain: Amount,
    /// Revocable.
    pub revocable: Amount,
}

/// Figures counted over a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Seconds since the master started.
    pub uptime_secs: f64,
    /// 1 while it leads.
    pub elected: f64,
    /// Agents by state.
    pub slaves_connected: usize,
    /// Agents whose link is down.
    pub slaves_disconnected: usize,
    /// Agents that may be offered.
    pub slaves_active: usize,
    /// Agents that may not.
    pub slaves_inactive: usize,
    /// Agents known to be unreachable.
    pub slaves_unreachable: usize,
    /// Agents that are not given up until an operator says so.
    pub slaves_held: usize,
    /// Frameworks with a stream.
    pub frameworks_connected: usize,
    /// Frameworks without.
    pub frameworks_disconnected: usize,
    /// Frameworks that may get offers.
    pub frameworks_active: usize,
    /// Frameworks that may not.
    pub frameworks_inactive: usize,
    /// Offers not answered yet.
    pub outstanding_offers: usize,
    /// Tasks by state, in the order of [`LIVE_STATES`].
    pub tasks: [usize; LIVE_STATES.len()],
    /// Tasks on unreachable agents.
    pub tasks_unreachable: usize,
    /// In the order of [`names::RESOURCES`].
    pub resources: [ResourceAmounts; names::RESOURCES.len()],
}

/// States of tasks that have not ended, each counted by a gauge.
pub const LIVE_STATES: [TaskState; 4] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
];

impl Gauges {
    /// Counts over a snapshot.
    pub fn count(snapshot: &Snapshot, now: Now) -> Gauges {
        let mut gauges = Gauges {
            uptime_secs: now.wall.as_secs_f64() - snapshot.start_time.as_secs_f64(),
            elected: match snapshot.phase {
                Phase::Standby => 0.0,
                // A master that recovers is elected already.
                Phase::Recovering | Phase::Serving => 1.0,
            },
            slaves_unreachable: snapshot.unreachable_agents.len(),
            slaves_held: snapshot.held_agents.len(),
            outstanding_offers: snapshot.offers.len(),
            ..Gauges::default()
        };
        gauges.count_agents(snapshot);
        for framework in snapshot.frameworks.values() {
            gauges.count_framework(framework);
        }
        gauges
    }

    fn count_agents(&mut self, snapshot: &Snapshot) {
        for agent in snapshot.agents.values() {
            match agent.state {
                AgentState::Connected(_) => {
                    self.slaves_connected += 1;
                    self.slaves_active += 1;
                }
                AgentState::Disconnected(_) => {
                    self.slaves_disconnected += 1;
                    self.slaves_inactive += 1;
                }
            }
            self.add_amounts(&agent.total, |amount| &mut amount.total);
            for used in agent.used.values() {
                self.add_amounts(used, |amount| &mut amount.used);
            }
        }
    }

    fn add_amounts(&mut self, resources: &Resources, field: fn(&mut Amount) -> &mut f64) {
        for entry in resources {
            // In the order of `names::RESOURCES`. There may be very many entries.
            let place = match entry.kind() {
                Name::Cpus => 0,
                Name::Gpus => 1,
                Name::Mem => 2,
                Name::Disk => 3,
                Name::Ports | Name::Other(_) => continue,
            };
            let amounts = &mut self.resources[place];
            let amount = match entry.is_revocable() {
                true => &mut amounts.revocable,
                false => &mut amounts.plain,
            };
            *field(amount) += units(entry.scalar_milli().unwrap_or(0));
        }
    }

    fn count_framework(&mut self, framework: &Framework) {
        match framework.state {
            FrameworkState::Active(_) => {
                self.frameworks_connected += 1;
                self.frameworks_active += 1;
            }
            FrameworkState::Disconnected(_) | FrameworkState::Recovered => {
                self.frameworks_disconnected += 1;
                self.frameworks_inactive += 1;
            }
        }
        self.tasks_unreachable += framework.unreachable_tasks.len();
        for (count, state) in self.tasks.iter_mut().zip(LIVE_STATES) {
            *count += framework.task_counts.of(state);
        }
    }
}

fn units(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

impl MasterMetrics {
    /// Nothing measured yet, but how long the registry took to read.
    pub fn new(fetch: Duration) -> Self {
        MasterMetrics {
            queue: Arc::new(MasterQueue::default()),
            allocator: Arc::new(AllocatorMetrics::default()),
            registrar: Arc::new(RegistrarMetrics::new(fetch)),
            subscribers: Arc::default(),
        }
    }

    /// Everything there is to publish at `now`, sorted by key.
    pub fn publish(&self, snapshot: &Snapshot, now: Now) -> Published {
        let mut out = Published::default();
        names::publish_counters(&snapshot.counters, &mut out);
        names::publish_gauges(&Gauges::count(snapshot, now), &mut out);
        names::publish_queue(&self.queue, &mut out);
        names::publish_system(&System::read(), &mut out);
        let runs = self.allocator.runs.load(Ordering::Relaxed);
        names::publish_allocator(&self.allocator, runs, now.mono, &mut out);
        names::publish_registrar(&self.registrar, now.mono, &mut out);
        names::publish_subscribers(self.subscribers.load(Ordering::Relaxed), &mut out);
        out
    }
}
