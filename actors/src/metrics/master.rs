//! What a master publishes: what it has, what it counted, and what its actors measure.
//! Names nothing; the names are in files of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tepui_core::master::counters::Counters;
use tepui_core::master::model::{Framework, FrameworkState, Phase, Snapshot};
use tepui_core::time::Now;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::scheduler::call::Type;

use super::marathon::process::{self, Process};
use super::sink::{Exposition, Family, Published, Sink, counter, gauge};
use super::system::System;
use super::{AllocatorMetrics, Counter, MasterQueue, RegistrarMetrics};
use super::{allocator_names, common_names, framework_names, names, operation_names};

/// What the actors and the HTTP face of a master measure.
#[derive(Debug)]
pub struct MasterMetrics {
    /// The master's queue.
    pub queue: Arc<MasterQueue>,
    /// The allocator.
    pub allocator: Arc<AllocatorMetrics>,
    /// The registrar.
    pub registrar: Arc<RegistrarMetrics>,
    /// Requests that got an answer which was being written for another one already.
    pub cache_hits: Arc<Counter>,
    /// Frameworks' calls that were refused for their form, which the master does not see.
    pub refused: RefusedCalls,
    /// Streams of the operator API's events that are open.
    pub subscribers: Arc<AtomicUsize>,
    /// Whether frameworks are told one by one: `--publish_per_framework_metrics`.
    per_framework: bool,
}

/// Calls of the scheduler API that were refused for their form.
#[derive(Debug, Default)]
pub struct RefusedCalls {
    acknowledgements: Counter,
    operation_acknowledgements: Counter,
    messages: Counter,
}

impl RefusedCalls {
    /// Counts a call if it is of a kind that is counted. Mesos:
    /// `Metrics::incrementInvalidSchedulerCalls`.
    pub fn count(&self, kind: Type) {
        match kind {
            Type::Acknowledge => self.acknowledgements.add(1),
            Type::AcknowledgeOperationStatus => self.operation_acknowledgements.add(1),
            Type::Message => self.messages.add(1),
            _ => {}
        }
    }

    /// The master's counts of what was of no use, and these.
    fn added_to(&self, counters: &Counters) -> Counters {
        let mut all = counters.clone();
        all.invalid_status_update_acknowledgements += self.acknowledgements.get();
        all.invalid_operation_status_update_acknowledgements +=
            self.operation_acknowledgements.get();
        all.invalid_framework_to_executor_messages += self.messages.get();
        all
    }
}

/// What a master has, counted over a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Seconds since the master started.
    pub uptime_secs: f64,
    /// 1 while it leads.
    pub elected: u8,
    /// Agents whose link is up.
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
    /// Tasks by state.
    pub tasks_staging: usize,
    /// TASK_STARTING.
    pub tasks_starting: usize,
    /// TASK_RUNNING.
    pub tasks_running: usize,
    /// TASK_KILLING.
    pub tasks_killing: usize,
    /// Tasks on unreachable agents.
    pub tasks_unreachable: usize,
}

impl Gauges {
    /// Counts over a snapshot; takes time in proportion to frameworks, not to agents or tasks.
    pub fn count(snapshot: &Snapshot, now: Now) -> Gauges {
        let agents = &snapshot.agent_sums;
        let mut gauges = Gauges {
            uptime_secs: now.wall.as_secs_f64() - snapshot.start_time.as_secs_f64(),
            elected: match snapshot.phase {
                Phase::Standby => 0,
                // A master that recovers is elected already.
                Phase::Recovering | Phase::Serving => 1,
            },
            slaves_connected: agents.connected,
            slaves_disconnected: agents.disconnected,
            slaves_active: agents.active,
            slaves_inactive: agents.connected + agents.disconnected - agents.active,
            slaves_unreachable: snapshot.unreachable_agents.len(),
            slaves_held: snapshot.held_agents.len(),
            outstanding_offers: snapshot.offers.len(),
            ..Gauges::default()
        };
        for framework in snapshot.frameworks.values() {
            gauges.count_framework(framework);
        }
        gauges
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
        let counts = &framework.task_counts;
        self.tasks_staging += counts.of(TaskState::TaskStaging);
        self.tasks_starting += counts.of(TaskState::TaskStarting);
        self.tasks_running += counts.of(TaskState::TaskRunning);
        self.tasks_killing += counts.of(TaskState::TaskKilling);
        self.tasks_unreachable += framework.unreachable_tasks.len();
    }
}

static CACHE_HITS: Family = counter(
    "tepui_master_http_cache_hits_total",
    "Requests that got an answer which was being written for others, too.",
);
static OPERATOR_STREAMS: Family = gauge(
    "tepui_master_operator_event_stream_subscribers",
    "Streams of the operator API's events that are open.",
);

impl MasterMetrics {
    /// Nothing measured yet, but how long the registry took to read; `per_framework` says whether
    /// frameworks are told one by one.
    pub fn new(fetch: Duration, per_framework: bool) -> Self {
        MasterMetrics {
            queue: Arc::default(),
            allocator: Arc::default(),
            registrar: Arc::new(RegistrarMetrics::new(fetch)),
            cache_hits: Arc::default(),
            refused: RefusedCalls::default(),
            subscribers: Arc::default(),
            per_framework,
        }
    }

    /// Everything that Mesos's `/metrics/snapshot` has, at `now`, sorted by key.
    pub fn publish(&self, snapshot: &Snapshot, now: Now) -> Published {
        let mut out = Published::new();
        self.tell(snapshot, now, &mut out);
        out
    }

    /// Everything for Prometheus, at `now`.
    pub fn prometheus(&self, snapshot: &Snapshot, now: Now) -> String {
        let mut out = Exposition::default();
        self.tell(snapshot, now, &mut out);
        common_names::process(&Process::read(), process::cpu_seconds(), &mut out);
        out.text()
    }

    fn tell(&self, snapshot: &Snapshot, now: Now, out: &mut impl Sink) {
        names::counters(&self.refused.added_to(&snapshot.counters), out);
        operation_names::operations(&snapshot.counters, out);
        operation_names::ends(&snapshot.counters, out);
        names::gauges(&Gauges::count(snapshot, now), out);
        let agents = &snapshot.agent_sums;
        let names = &common_names::OF_MASTER;
        common_names::resources(names, &agents.total, &agents.used, out);
        names::queue(&self.queue, out);
        let hits = self.cache_hits.get() as f64;
        out.put(
            format_args!("master/http_cache_hits"),
            &CACHE_HITS,
            &[],
            hits,
        );
        let streams = self.subscribers.load(Ordering::Relaxed) as f64;
        let key = format_args!("master/operator_event_stream_subscribers");
        out.put(key, &OPERATOR_STREAMS, &[], streams);
        common_names::system(&System::read(), out);
        allocator_names::allocator(&self.allocator, now.mono, out);
        allocator_names::registrar(&self.registrar, now.mono, out);
        if self.per_framework {
            for framework in &snapshot.completed_frameworks {
                framework_names::framework(framework, out);
            }
            for framework in snapshot.frameworks.values() {
                framework_names::framework(framework, out);
                framework_names::roles(framework, out);
            }
        }
    }
}
