//! Reads the members of an app body: their types, bounds and patterns.
//! Rules that need more than one member are not looked at.

use serde_json::Value;
use tepui_protocol::marathon::{
    Disabled, EnvValue, ExecutorResources, KillSelection, Residency, Secret, TaskLostBehavior,
    Timestamp, UnreachableStrategy, UnreachableTimes, UpgradeStrategy,
};

use super::body::{AppBody, DiscoveryPort, IpAddress, LimitBody, LimitsBody};
use super::names::{is_executor, is_legacy_name, is_path};
use super::read_checks::{read_check, read_health_check, read_readiness_check};
use super::read_container::{
    read_artifact, read_container, read_network, read_port_definition, read_protocol,
};
use super::reader::At;

const ANY: f64 = f64::MAX;

/// Reads a body whose members are all optional: Marathon's `AppUpdate`.
pub(crate) fn read_update(at: &At) -> Option<AppBody> {
    at.object()?;
    read_members(at)
}

/// Reads a body that must hold an id: Marathon's `App`. The path of the URL may stand in for it.
pub(crate) fn read_app(at: &At, id_from_url: bool) -> Option<AppBody> {
    if !id_from_url {
        at.required("id", read_path)?;
    }
    at.object()?;
    read_members(at)
}

fn read_members(at: &At) -> Option<AppBody> {
    let mut body = AppBody {
        id: at.maybe("id", read_path),
        accepted_resource_roles: at.maybe("acceptedResourceRoles", read_roles),
        args: at.maybe("args", |args| args.list(At::text)),
        backoff_factor: at.maybe("backoffFactor", |factor| factor.number(1.0, ANY)),
        backoff_seconds: at.maybe("backoffSeconds", At::count),
        cmd: at.maybe("cmd", |cmd| cmd.text_from(1)),
        constraints: at.maybe("constraints", |all| all.set(|one| one.list(At::text))),
        container: at.maybe("container", read_container),
        cpus: at.maybe("cpus", amount),
        dependencies: at.maybe("dependencies", |all| all.set(read_path)),
        disk: at.maybe("disk", amount),
        env: at.maybe("env", |env| env.map(read_env_value)),
        executor: at.maybe("executor", |path| {
            path.pattern((0, usize::MAX), is_executor)
        }),
        executor_resources: at.maybe("executorResources", read_executor_resources),
        fetch: at.maybe("fetch", |all| all.list(read_artifact)),
        health_checks: at.maybe("healthChecks", |all| all.set(read_health_check)),
        check: at.maybe("check", read_check),
        instances: at.maybe("instances", small_count),
        labels: at.maybe("labels", At::labels),
        ..AppBody::default()
    };
    read_more_members(at, &mut body);
    Some(body)
}

fn read_more_members(at: &At, body: &mut AppBody) {
    body.max_launch_delay_seconds = at.maybe("maxLaunchDelaySeconds", At::count);
    body.mem = at.maybe("mem", amount);
    body.gpus = at.maybe("gpus", small_count);
    body.ip_address = at.maybe("ipAddress", read_ip_address);
    body.networks = at.maybe("networks", |all| all.list(read_network));
    body.ports = at.maybe("ports", |all| all.list(At::port));
    body.port_definitions = at.maybe("portDefinitions", |all| all.list(read_port_definition));
    body.readiness_checks = at.maybe("readinessChecks", |all| all.list(read_readiness_check));
    body.residency = at.maybe("residency", read_residency);
    body.resource_limits = at.maybe("resourceLimits", read_limits);
    body.require_ports = at.maybe("requirePorts", At::boolean);
    body.secrets = at.maybe("secrets", |all| all.map(read_secret));
    body.task_kill_grace_period_seconds = at.maybe("taskKillGracePeriodSeconds", At::count);
    body.upgrade_strategy = at.maybe("upgradeStrategy", read_upgrade_strategy);
    body.uris = at.maybe("uris", |all| all.list(|uri| uri.text_between(1, 1024)));
    body.user = at.maybe("user", At::text);
    body.version = at.maybe("version", read_timestamp);
    body.version_info_given = at.maybe("versionInfo", read_version_info).is_some();
    body.kill_selection = at.maybe("killSelection", read_kill_selection);
    body.unreachable_strategy = at.maybe("unreachableStrategy", read_unreachable_strategy);
    body.tty = at.maybe("tty", At::boolean);
    body.role = at.maybe("role", |role| role.text_from(1));
}

/// An id of an app or a group, as sent.
pub(crate) fn read_path(at: &At) -> Option<String> {
    at.pattern((1, usize::MAX), is_path)
}

/// A version.
pub(crate) fn read_timestamp(at: &At) -> Option<Timestamp> {
    match at.text()?.parse() {
        Ok(time) => Some(time),
        Err(_) => at.wrong("error.expected.date.isoformat"),
    }
}

fn read_roles(at: &At) -> Option<Vec<String>> {
    let roles = at.set(At::text)?;
    if roles.is_empty() {
        return at.wrong("error.minLength");
    }
    Some(roles)
}

fn amount(at: &At) -> Option<f64> {
    at.number(0.0, ANY)
}

fn small_count(at: &At) -> Option<u32> {
    at.count().and_then(|count| u32::try_from(count).ok())
}

fn read_env_value(at: &At) -> Option<EnvValue> {
    match at.value() {
        Value::Object(_) => {
            let secret = at.required("secret", At::text)?;
            Some(EnvValue::Secret { secret })
        }
        _ => at.text().map(EnvValue::Text),
    }
}

fn read_secret(at: &At) -> Option<Secret> {
    at.object()?;
    let source = at.required("source", |source| source.text_from(1))?;
    Some(Secret { source })
}

fn read_executor_resources(at: &At) -> Option<ExecutorResources> {
    at.object()?;
    Some(ExecutorResources {
        cpus: at.maybe("cpus", amount).unwrap_or(0.1),
        mem: at.maybe("mem", |mem| mem.number(32.0, ANY)).unwrap_or(32.0),
        disk: at
            .maybe("disk", |disk| disk.number(10.0, ANY))
            .unwrap_or(10.0),
    })
}

fn read_ip_address(at: &At) -> Option<IpAddress> {
    at.object()?;
    at.maybe("groups", |groups| groups.set(At::text));
    let ports = at.maybe("discovery", |discovery| {
        discovery.object()?;
        discovery.maybe("ports", |ports| ports.list(read_discovery_port))
    });
    Some(IpAddress {
        discovery_ports: ports.unwrap_or_default(),
        labels: at.maybe("labels", At::labels).unwrap_or_default(),
        network_name: at.maybe("networkName", |name| name.text_from(1)),
    })
}

fn read_discovery_port(at: &At) -> Option<DiscoveryPort> {
    at.object()?;
    Some(DiscoveryPort {
        number: at.maybe("number", At::port).unwrap_or(0),
        name: at.required("name", |name| name.pattern((1, usize::MAX), is_legacy_name))?,
        protocol: at.maybe("protocol", read_protocol).unwrap_or_default(),
        labels: at.maybe("labels", At::labels).unwrap_or_default(),
    })
}

fn read_limits(at: &At) -> Option<LimitsBody> {
    at.object()?;
    Some(LimitsBody {
        cpus: at.maybe("cpus", read_limit),
        mem: at.maybe("mem", read_limit),
    })
}

fn read_limit(at: &At) -> Option<LimitBody> {
    match at.value() {
        Value::String(word) => Some(LimitBody::Word(word.clone())),
        _ => at.number(-ANY, ANY).map(LimitBody::Amount),
    }
}

fn read_residency(at: &At) -> Option<Residency> {
    at.object()?;
    const LOST: [(&str, TaskLostBehavior); 2] = [
        ("WAIT_FOREVER", TaskLostBehavior::WaitForever),
        (
            "RELAUNCH_AFTER_TIMEOUT",
            TaskLostBehavior::RelaunchAfterTimeout,
        ),
    ];
    Some(Residency {
        relaunch_escalation_timeout_seconds: at
            .maybe("relaunchEscalationTimeoutSeconds", At::count)
            .unwrap_or(3600),
        task_lost_behavior: at
            .maybe("taskLostBehavior", |behavior| behavior.one_of(&LOST))
            .unwrap_or_default(),
    })
}

fn read_upgrade_strategy(at: &At) -> Option<UpgradeStrategy> {
    at.object()?;
    let share = |share: &At| share.number(0.0, 1.0);
    let over = at.required("maximumOverCapacity", share);
    let health = at.required("minimumHealthCapacity", share);
    Some(UpgradeStrategy {
        maximum_over_capacity: over?,
        minimum_health_capacity: health?,
    })
}

fn read_version_info(at: &At) -> Option<()> {
    at.object()?;
    let scaling = at.required("lastScalingAt", read_timestamp);
    let config = at.required("lastConfigChangeAt", read_timestamp);
    scaling.and(config).map(|_| ())
}

fn read_kill_selection(at: &At) -> Option<KillSelection> {
    at.one_of(&[
        ("YOUNGEST_FIRST", KillSelection::YoungestFirst),
        ("OLDEST_FIRST", KillSelection::OldestFirst),
    ])
}

/// Any text means disabled, as in Marathon.
fn read_unreachable_strategy(at: &At) -> Option<UnreachableStrategy> {
    if at.value().is_string() {
        return Some(UnreachableStrategy::Disabled(Disabled::Disabled));
    }
    at.object()?;
    Some(UnreachableStrategy::Enabled(UnreachableTimes {
        inactive_after_seconds: at.maybe("inactiveAfterSeconds", At::count).unwrap_or(0),
        expunge_after_seconds: at.maybe("expungeAfterSeconds", At::count).unwrap_or(0),
    }))
}
