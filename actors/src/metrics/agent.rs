//! The names of what an agent counts and of what it has.
//! Counts nothing itself: the core does.

use std::sync::LazyLock;
use std::time::Duration;

use tepui_core::agent::Counters;
use tepui_core::agent::garbage::GarbageFigures;
use tepui_core::agent::model::{Executor, ExecutorState, Snapshot};
use tepui_core::master::agent_sums::Amounts;
use tepui_core::resources::Resources;
use tepui_core::time::{Mono, Wall};
use tepui_protocol::v1::TaskState;

use super::common_names;
use super::marathon::process::{self, Process};
use super::sink::{Entry, Exposition, Family, Published, Sink, counter, gauge, put_all, summary};
use super::system::System;
use super::timer::Timer;

/// Time over which it is summarised how long images take. Mesos.
pub const IMAGE_PULL_WINDOW: Duration = Duration::from_secs(3600);

/// What is known of an agent at one moment.
#[derive(Debug)]
pub struct AgentFigures<'a> {
    /// Its state.
    pub snapshot: &'a Snapshot,
    /// What its executors and tasks use.
    pub used: &'a Resources,
    /// The time.
    pub now: Wall,
    /// How long it took to take up what an earlier run had left.
    pub recovery: Duration,
    /// What its fetcher has done.
    pub fetches: Fetches,
    /// How long it took to unpack images, if it has any, and when this is asked.
    pub image_pulls: (Option<&'a Timer>, Mono),
}

/// What an agent's fetcher has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetches {
    /// Containers whose URIs were all fetched.
    pub succeeded: u64,
    /// Containers that failed because of one.
    pub failed: u64,
    /// Bytes the cache may hold.
    pub total: u64,
    /// Bytes it holds, or has set aside.
    pub used: u64,
}

static LAUNCH_ERRORS: Family = counter(
    "tepui_agent_container_launch_errors_total",
    "Containers that could not be started.",
);
static TERMINATED: Family = counter(
    "tepui_agent_executors_terminated_total",
    "Executors that ended.",
);
static VALID: Family = counter(
    "tepui_agent_valid_messages_total",
    "Messages that were passed on, by kind.",
);
static INVALID: Family = counter(
    "tepui_agent_invalid_messages_total",
    "Messages that were of no use, by kind.",
);
static ENDED: Family = counter(
    "tepui_agent_tasks_ended_total",
    "Tasks that ended, by their last state.",
);

static COUNTERS: &[Entry<Counters>] = &[
    ("slave/container_launch_errors", &LAUNCH_ERRORS, &[], |c| {
        c.container_launch_errors as f64
    }),
    ("slave/executors_terminated", &TERMINATED, &[], |c| {
        c.executors_terminated as f64
    }),
    (
        "slave/valid_framework_messages",
        &VALID,
        &[("kind", "framework_message")],
        |c| c.valid_framework_messages as f64,
    ),
    (
        "slave/valid_status_updates",
        &VALID,
        &[("kind", "status_update")],
        |c| c.valid_status_updates as f64,
    ),
    (
        "slave/invalid_framework_messages",
        &INVALID,
        &[("kind", "framework_message")],
        |c| c.invalid_framework_messages as f64,
    ),
    (
        "slave/invalid_status_updates",
        &INVALID,
        &[("kind", "status_update")],
        |c| c.invalid_status_updates as f64,
    ),
    ("slave/tasks_failed", &ENDED, &[("state", "failed")], |c| {
        c.tasks_failed as f64
    }),
    (
        "slave/tasks_finished",
        &ENDED,
        &[("state", "finished")],
        |c| c.tasks_finished as f64,
    ),
    ("slave/tasks_gone", &ENDED, &[("state", "gone")], |c| {
        c.tasks_gone as f64
    }),
    ("slave/tasks_killed", &ENDED, &[("state", "killed")], |c| {
        c.tasks_killed as f64
    }),
    ("slave/tasks_lost", &ENDED, &[("state", "lost")], |c| {
        c.tasks_lost as f64
    }),
];

static FETCHES: Family = counter(
    "tepui_agent_task_fetches_total",
    "Containers whose URIs were fetched, or not, by the outcome.",
);
static CACHE_TOTAL: Family = gauge(
    "tepui_agent_fetcher_cache_size_bytes",
    "Bytes that the fetcher's cache may hold.",
);
static CACHE_USED: Family = gauge(
    "tepui_agent_fetcher_cache_used_bytes",
    "Bytes that the fetcher's cache holds or has set aside.",
);

static FETCHER: &[Entry<Fetches>] = &[
    (
        "containerizer/fetcher/task_fetches_succeeded",
        &FETCHES,
        &[("outcome", "succeeded")],
        |fetches| fetches.succeeded as f64,
    ),
    (
        "containerizer/fetcher/task_fetches_failed",
        &FETCHES,
        &[("outcome", "failed")],
        |fetches| fetches.failed as f64,
    ),
    (
        "containerizer/fetcher/cache_size_total_bytes",
        &CACHE_TOTAL,
        &[],
        |fetches| fetches.total as f64,
    ),
    (
        "containerizer/fetcher/cache_size_used_bytes",
        &CACHE_USED,
        &[],
        |fetches| fetches.used as f64,
    ),
];

static IMAGE_PULLS: Family = summary(
    "tepui_agent_image_pull_seconds",
    "How long it took to unpack images, over an hour.",
);

/// That of an agent without images.
static NO_PULLS: LazyLock<Timer> = LazyLock::new(|| Timer::new(IMAGE_PULL_WINDOW));

static REMOVALS: Family = counter(
    "tepui_agent_gc_path_removals_total",
    "Directories of sandboxes that were removed, or not, by the outcome.",
);
static REMOVALS_PENDING: Family = gauge(
    "tepui_agent_gc_path_removals_pending",
    "Directories of sandboxes that will be removed.",
);

static ALLOWED_AGE: Family = gauge(
    "tepui_agent_executor_directory_max_allowed_age_seconds",
    "Age that a sandbox may have on a disk as full as it is.",
);

static GARBAGE: &[Entry<GarbageFigures>] = &[
    (
        "gc/path_removals_succeeded",
        &REMOVALS,
        &[("outcome", "succeeded")],
        |figures| figures.succeeded as f64,
    ),
    (
        "gc/path_removals_failed",
        &REMOVALS,
        &[("outcome", "failed")],
        |figures| figures.failed as f64,
    ),
    (
        "gc/path_removals_pending",
        &REMOVALS_PENDING,
        &[],
        |figures| figures.pending as f64,
    ),
    (
        "slave/executor_directory_max_allowed_age_secs",
        &ALLOWED_AGE,
        &[],
        |figures| figures.allowed_age.as_secs_f64(),
    ),
];

static UPTIME: Family = gauge(
    "tepui_agent_uptime_seconds",
    "Time since the agent started.",
);
static REGISTERED: Family = gauge(
    "tepui_agent_registered",
    "1 while the agent is registered with a master.",
);
static RECOVERY: Family = gauge(
    "tepui_agent_recovery_seconds",
    "How long it took to take up what an earlier run had left.",
);
static FRAMEWORKS: Family = gauge(
    "tepui_agent_frameworks_active",
    "Frameworks with executors on this agent.",
);
static TASKS: Family = gauge(
    "tepui_agent_tasks",
    "Tasks on this agent that have not ended, by their state.",
);
static EXECUTORS: Family = gauge(
    "tepui_agent_executors",
    "Executors on this agent, by their state.",
);

/// Everything that Mesos's `/metrics/snapshot` has, sorted by key.
pub fn publish(figures: &AgentFigures<'_>) -> Published {
    let mut out = Published::new();
    figures.tell(&mut out);
    out
}

/// Everything for Prometheus.
pub fn prometheus(figures: &AgentFigures<'_>) -> String {
    let mut out = Exposition::default();
    figures.tell(&mut out);
    common_names::process(&Process::read(), process::cpu_seconds(), &mut out);
    out.text()
}

impl AgentFigures<'_> {
    fn tell(&self, out: &mut impl Sink) {
        let snapshot = self.snapshot;
        let uptime = self.now.0.saturating_sub(snapshot.start_time.0) as f64 / 1e6;
        out.put(format_args!("slave/uptime_secs"), &UPTIME, &[], uptime);
        let registered = f64::from(u8::from(snapshot.registered));
        out.put(
            format_args!("slave/registered"),
            &REGISTERED,
            &[],
            registered,
        );
        let recovery = self.recovery.as_secs_f64();
        let key = format_args!("slave/recovery_time_secs");
        out.put(key, &RECOVERY, &[], recovery);
        let frameworks = snapshot.frameworks.len() as f64;
        let key = format_args!("slave/frameworks_active");
        out.put(key, &FRAMEWORKS, &[], frameworks);
        put_all(COUNTERS, &snapshot.counters, out);
        put_all(FETCHER, &self.fetches, out);
        put_all(GARBAGE, &snapshot.garbage, out);
        let key = "containerizer/mesos/provisioner/docker_store/image_pull_ms";
        let (pulls, now) = self.image_pulls;
        out.timer(key, &IMAGE_PULLS, pulls.unwrap_or(&NO_PULLS), now);
        for (state, count) in tasks(snapshot) {
            let key = format_args!("slave/tasks_{state}");
            out.put(key, &TASKS, &[("state", state)], count as f64);
        }
        for (state, count) in executors(snapshot) {
            let key = format_args!("slave/executors_{state}");
            out.put(key, &EXECUTORS, &[("state", state)], count as f64);
        }
        let (total, used) = (Amounts::of(&snapshot.total), Amounts::of(self.used));
        common_names::resources(&common_names::OF_AGENT, &total, &used, out);
        common_names::system(&System::read(), out);
    }
}

fn all_executors(snapshot: &Snapshot) -> impl Iterator<Item = &Executor> {
    snapshot
        .frameworks
        .values()
        .flat_map(|known| known.executors.values())
        .map(|known| &**known)
}

fn tasks(snapshot: &Snapshot) -> [(&'static str, usize); 4] {
    let in_state = |state: TaskState| {
        all_executors(snapshot)
            .flat_map(|executor| executor.launched.values())
            .filter(|task| task.state() == state)
            .count()
    };
    let queued: usize = all_executors(snapshot)
        .flat_map(|executor| executor.queued.iter())
        .map(|queued| queued.tasks().len())
        .sum();
    [
        ("staging", in_state(TaskState::TaskStaging) + queued),
        ("starting", in_state(TaskState::TaskStarting)),
        ("running", in_state(TaskState::TaskRunning)),
        ("killing", in_state(TaskState::TaskKilling)),
    ]
}

fn executors(snapshot: &Snapshot) -> [(&'static str, usize); 3] {
    let mut counts = [0; 3];
    for executor in all_executors(snapshot) {
        match executor.state {
            ExecutorState::Registering => counts[0] += 1,
            ExecutorState::Running(_) => counts[1] += 1,
            ExecutorState::Terminating(_) => counts[2] += 1,
            ExecutorState::Terminated => {}
        }
    }
    [
        ("registering", counts[0]),
        ("running", counts[1]),
        ("terminating", counts[2]),
    ]
}
