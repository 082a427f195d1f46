//! The agent's metrics, by Mesos's names.
//! Counts nothing itself: the core does.

use std::borrow::Cow;

use tepui_core::agent::Counters;
use tepui_core::agent::model::{Executor, ExecutorState, Snapshot};
use tepui_core::resources::Resources;
use tepui_core::time::Wall;
use tepui_protocol::v1::TaskState;

use super::names::{self, Published, RESOURCES};
use super::system::System;

type Counter = (&'static str, fn(&Counters) -> u64);

const COUNTERS: &[Counter] = &[
    ("slave/container_launch_errors", |c| {
        c.container_launch_errors
    }),
    ("slave/executors_terminated", |c| c.executors_terminated),
    ("slave/invalid_framework_messages", |c| {
        c.invalid_framework_messages
    }),
    ("slave/valid_framework_messages", |c| {
        c.valid_framework_messages
    }),
    ("slave/invalid_status_updates", |c| c.invalid_status_updates),
    ("slave/valid_status_updates", |c| c.valid_status_updates),
    ("slave/tasks_failed", |c| c.tasks_failed),
    ("slave/tasks_finished", |c| c.tasks_finished),
    ("slave/tasks_gone", |c| c.tasks_gone),
    ("slave/tasks_killed", |c| c.tasks_killed),
    ("slave/tasks_lost", |c| c.tasks_lost),
];

/// All metrics of an agent at the time `now`; `used` is what its executors and tasks use.
pub fn agent(snapshot: &Snapshot, used: &Resources, now: Wall, system: &System) -> Published {
    let mut out = Published::new();
    let uptime_secs = now.0.saturating_sub(snapshot.start_time.0) as f64 / 1e6;
    put("slave/uptime_secs", uptime_secs, &mut out);
    put(
        "slave/registered",
        f64::from(u8::from(snapshot.registered)),
        &mut out,
    );
    put(
        "slave/frameworks_active",
        snapshot.frameworks.len() as f64,
        &mut out,
    );
    for (key, read) in COUNTERS {
        put(key, read(&snapshot.counters) as f64, &mut out);
    }
    for (key, count) in tasks(snapshot).into_iter().chain(executors(snapshot)) {
        put(key, count as f64, &mut out);
    }
    let total = &snapshot.total;
    resources("", &total.non_revocable(), &used.non_revocable(), &mut out);
    resources(
        "_revocable",
        &total.revocable(),
        &used.revocable(),
        &mut out,
    );
    names::publish_system(system, &mut out);
    out
}

fn put(key: &'static str, value: f64, out: &mut Published) {
    out.insert(Cow::Borrowed(key), value);
}

fn resources(infix: &str, total: &Resources, used: &Resources, out: &mut Published) {
    for kind in RESOURCES {
        let (total, used) = (total.scalar_milli(kind), used.scalar_milli(kind));
        let share = if total == 0 {
            0.0
        } else {
            used as f64 / total as f64
        };
        for (end, value) in [
            ("total", total as f64 / 1e3),
            ("used", used as f64 / 1e3),
            ("percent", share),
        ] {
            out.insert(Cow::Owned(format!("slave/{kind}{infix}_{end}")), value);
        }
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
        (
            "slave/tasks_staging",
            in_state(TaskState::TaskStaging) + queued,
        ),
        ("slave/tasks_starting", in_state(TaskState::TaskStarting)),
        ("slave/tasks_running", in_state(TaskState::TaskRunning)),
        ("slave/tasks_killing", in_state(TaskState::TaskKilling)),
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
        ("slave/executors_registering", counts[0]),
        ("slave/executors_running", counts[1]),
        ("slave/executors_terminating", counts[2]),
    ]
}
