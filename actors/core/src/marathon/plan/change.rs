//! What counts as a change of an app's configuration, for which its instances are replaced.
//! Compares two definitions and nothing else.

use tepui_protocol::marathon::App;

/// Whether instances of `old` must be replaced for `new`. The number of instances, executor
/// resources and versions do not count; nor does the order of lists that Marathon keeps as sets.
pub fn is_config_change(old: &App, new: &App) -> bool {
    runs_otherwise(old, new) || is_placed_otherwise(old, new) || is_watched_otherwise(old, new)
}

fn runs_otherwise(old: &App, new: &App) -> bool {
    old.cmd != new.cmd
        || old.args != new.args
        || old.user != new.user
        || old.env != new.env
        || old.executor != new.executor
        || old.fetch != new.fetch
        || old.container != new.container
        || old.labels != new.labels
        || old.secrets != new.secrets
        || old.tty != new.tty
        || old.task_kill_grace_period_seconds != new.task_kill_grace_period_seconds
}

fn is_placed_otherwise(old: &App, new: &App) -> bool {
    old.cpus != new.cpus
        || old.mem != new.mem
        || old.disk != new.disk
        || old.gpus != new.gpus
        || old.resource_limits != new.resource_limits
        || !same_set(&old.constraints, &new.constraints)
        || old.port_definitions != new.port_definitions
        || old.require_ports != new.require_ports
        || old.networks != new.networks
        || old.role != new.role
        || !same_roles(old, new)
}

fn is_watched_otherwise(old: &App, new: &App) -> bool {
    old.backoff_seconds != new.backoff_seconds
        || old.backoff_factor != new.backoff_factor
        || old.max_launch_delay_seconds != new.max_launch_delay_seconds
        || !same_set(&old.health_checks, &new.health_checks)
        || old.check != new.check
        || old.readiness_checks != new.readiness_checks
        || !same_set(&old.dependencies, &new.dependencies)
        || old.upgrade_strategy != new.upgrade_strategy
        || old.unreachable_strategy != new.unreachable_strategy
        || old.kill_selection != new.kill_selection
}

fn same_roles(old: &App, new: &App) -> bool {
    let (old, new) = (&old.accepted_resource_roles, &new.accepted_resource_roles);
    match (old, new) {
        (Some(old), Some(new)) => same_set(old, new),
        (old, new) => old.is_none() && new.is_none(),
    }
}

/// Both lists are free of repetitions.
fn same_set<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|entry| other.contains(entry))
}
