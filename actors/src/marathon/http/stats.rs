//! Figures of an app's tasks by version, as `embed=taskStats` shows them.
//! Keeps none: they are counted when somebody asks.

use serde::Serialize;
use tepui_core::marathon::instance::{Instance, TaskCounts, config_version};
use tepui_core::time::Now;
use tepui_protocol::marathon::{App, Timestamp};

/// Figures of several selections of tasks; those without tasks are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskStatsByVersion {
    #[serde(skip_serializing_if = "Option::is_none")]
    started_after_last_scaling: Option<TaskStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_latest_config: Option<TaskStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_outdated_config: Option<TaskStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_summary: Option<TaskStats>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct TaskStats {
    stats: Stats,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    life_time: Option<LifeTime>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Counts {
    staged: u32,
    running: u32,
    healthy: u32,
    unhealthy: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LifeTime {
    average_seconds: f64,
    median_seconds: f64,
}

impl TaskStatsByVersion {
    /// Counts the tasks of an app.
    pub(super) fn new(app: &App, instances: &[&Instance], now: Now) -> TaskStatsByVersion {
        let tasks = instances.iter().filter(|instance| instance.has_task());
        let tasks: Vec<&Instance> = tasks.copied().collect();
        let config = config_version(app);
        let scaled = app.version_info.as_ref().map(|info| info.last_scaling_at);
        let of = |wanted: &dyn Fn(&Instance) -> bool| {
            let chosen = tasks.iter().copied().filter(|task| wanted(task));
            stats(&chosen.collect::<Vec<_>>(), now)
        };
        TaskStatsByVersion {
            started_after_last_scaling: of(&|task| {
                task.started_at
                    .is_some_and(|at| scaled.is_some_and(|scaled| at > scaled))
            }),
            with_latest_config: of(&|task| task.version >= config),
            with_outdated_config: of(&|task| task.version < config),
            total_summary: of(&|_| true),
        }
    }
}

fn stats(tasks: &[&Instance], now: Now) -> Option<TaskStats> {
    if tasks.is_empty() {
        return None;
    }
    let mut counts = TaskCounts::default();
    for task in tasks {
        counts += TaskCounts::of(task);
    }
    let counts = Counts {
        staged: counts.tasks_staged,
        running: counts.tasks_running,
        healthy: counts.tasks_healthy,
        unhealthy: counts.tasks_unhealthy,
    };
    let started = tasks.iter().filter_map(|task| task.started_at);
    let life_time = life_time(started.collect(), now);
    Some(TaskStats {
        stats: Stats { counts, life_time },
    })
}

fn life_time(started: Vec<Timestamp>, now: Now) -> Option<LifeTime> {
    let now = i64::try_from(now.wall.0 / 1000).unwrap_or(i64::MAX);
    let ages = started
        .iter()
        .map(|at| now.saturating_sub(at.as_millis()).max(0));
    let mut ages: Vec<f64> = ages.map(|millis| millis as f64 / 1000.0).collect();
    ages.sort_by(f64::total_cmp);
    let middle = ages.len() / 2;
    let upper = *ages.get(middle)?;
    let median = match ages.len() % 2 {
        1 => upper,
        _ => (ages[middle - 1] + upper) / 2.0,
    };
    Some(LifeTime {
        average_seconds: ages.iter().sum::<f64>() / ages.len() as f64,
        median_seconds: median,
    })
}

#[cfg(test)]
mod tests {
    use tepui_core::time::{Mono, Wall};

    use super::*;

    #[test]
    fn life_times_have_an_average_and_a_median() {
        let now = Now {
            mono: Mono(0),
            wall: Wall(100_000_000),
        };
        let of = |seconds: &[i64]| {
            let started = seconds.iter().map(|at| Timestamp::from_millis(at * 1000));
            life_time(started.collect(), now)
                .map(|life| (life.average_seconds, life.median_seconds))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[90]), Some((10.0, 10.0)));
        assert_eq!(of(&[90, 40, 99, 95]), Some((19.0, 7.5)));
        assert_eq!(of(&[200, 90, 80]), Some((10.0, 10.0)), "clocks may differ");
    }
}
