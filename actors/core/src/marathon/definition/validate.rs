//! The rules for a normalised app, each with Marathon's text and path.
//! Rules that concern more than one app are in the room of groups.

use tepui_protocol::marathon::{
    App, ContainerType, EnvValue, PathId, ResourceLimit, UnreachableStrategy, Volume,
};

use super::Roles;
use super::convert::SINGLE_INSTANCE_LABEL;
use super::names::is_uri;
use super::rejection::Findings;
use super::settings::{Feature, Settings};
use super::validate_checks::check_checks;
use super::validate_container::{check_container, check_networks};

/// Last segments that are parts of the API's own paths.
const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];

/// Deepest nesting of groups; deeper ids are refused. Marathon has no such bound.
pub const MAX_SEGMENTS: usize = 64;

/// Notes every rule that `app` breaks.
pub(crate) fn validate(app: &App, roles: &Roles, settings: &Settings, findings: &mut Findings) {
    check_id(&app.id, "/id", findings);
    check_command(app, findings);
    check_labels(app, findings);
    check_networks(app, findings);
    check_container(app, settings, findings);
    check_ports(app, findings);
    check_checks(app, findings);
    check_roles(app, roles, findings);
    check_resources(app, settings, findings);
    check_secrets(app, settings, findings);
    check_resident(app, findings);
    for (index, artifact) in app.fetch.iter().enumerate() {
        let path = format!("/fetch({index})/uri");
        findings.check(is_uri(&artifact.uri), &path, "URI has invalid syntax.");
    }
    if let UnreachableStrategy::Enabled(times) = &app.unreachable_strategy {
        let (inactive, expunge) = (times.inactive_after_seconds, times.expunge_after_seconds);
        let text = format!(
            "inactiveAfterSeconds ({inactive}) must be less or equal to expungeAfterSeconds, which is {expunge}"
        );
        findings.check(inactive <= expunge, "/unreachableStrategy", text);
    }
}

/// Rules for the id of a service or a group.
pub(crate) fn check_id(id: &PathId, path: &str, findings: &mut Findings) {
    let last = id.segments().next_back();
    findings.check(
        last.is_some(),
        path,
        "must not be the path of the root group",
    );
    let text =
        "must not end with any of the following reserved keywords: restart, tasks, versions, ., ..";
    let reserved = last.is_some_and(|last| RESERVED.contains(&last));
    findings.check(!reserved, path, text);
    let text = format!("must not have more than {MAX_SEGMENTS} segments");
    findings.check(id.segments().count() <= MAX_SEGMENTS, path, text);
}

fn check_command(app: &App, findings: &mut Findings) {
    let cmd = app.cmd.is_some();
    let args = !app.args.is_empty();
    let container = app.container.as_ref().is_some_and(|container| {
        container.kind == ContainerType::Mesos || container.docker.is_some()
    });
    findings.check(
        (cmd != args) || (!cmd && container),
        "",
        "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
    );
    let short = app.cmd.as_ref().is_some_and(|cmd| cmd.chars().count() < 2);
    findings.check(!short, "", "must not be an empty string");
}

fn check_labels(app: &App, findings: &mut Findings) {
    let label = |name: &str| app.labels.get(name);
    if label(SINGLE_INSTANCE_LABEL).is_some_and(|label| label == "true") {
        let text = "Single instance app may only have one instance";
        findings.check(app.instances <= 1, "", text);
        let strategy = &app.upgrade_strategy;
        for (value, name) in [
            (strategy.minimum_health_capacity, "minimumHealthCapacity"),
            (strategy.maximum_over_capacity, "maximumOverCapacity"),
        ] {
            let path = format!("/upgradeStrategy/{name}");
            findings.check(value == 0.0, &path, format!("got {value:?}, expected 0.0"));
        }
    }
    let companions = ["DCOS_PACKAGE_FRAMEWORK_NAME", "DCOS_MIGRATION_API_PATH"];
    if label("DCOS_MIGRATION_API_VERSION").is_some() {
        let all = companions.into_iter().all(|name| label(name).is_some());
        let text = "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using DCOS_MIGRATION_API_VERSION";
        findings.check(all, "", text);
    }
}

fn check_ports(app: &App, findings: &mut Findings) {
    let definitions = app.port_definitions.as_deref().unwrap_or_default();
    let path = "/portDefinitions";
    let ports = definitions.iter().map(|d| d.port).filter(|port| *port != 0);
    findings.check(distinct(ports), path, "Ports must be unique.");
    let names = definitions.iter().filter_map(|d| d.name.as_deref());
    findings.check(distinct(names), path, "Port names must be unique.");
}

/// Whether no value occurs twice.
pub(crate) fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.windows(2).all(|pair| pair[0] != pair[1])
}

fn check_roles(app: &App, roles: &Roles, findings: &mut Findings) {
    let allowed = roles.allowed.contains(&app.role);
    let text = format!(
        "got {}, expected one of: [{}]",
        app.role,
        roles.allowed.join(", ")
    );
    findings.check(allowed, "/role", text);
    let Some(accepted) = &app.accepted_resource_roles else {
        return;
    };
    let fine = |role: &String| role == "*" || *role == app.role;
    let text = match app.role.as_str() {
        "*" => "acceptedResourceRoles can only contain *".to_owned(),
        role => format!("acceptedResourceRoles can only contain * and {role}"),
    };
    findings.check(accepted.iter().all(fine), "/acceptedResourceRoles", text);
}

fn check_resources(app: &App, settings: &Settings, findings: &mut Findings) {
    if app.gpus > 0 {
        check_feature(settings, Feature::GpuResources, "", findings);
        let kind = app.container.as_ref().map(|container| container.kind);
        let text = "GPU resources only work with the Mesos containerizer";
        findings.check(kind != Some(ContainerType::Docker), "", text);
    }
    let limits = app.resource_limits.unwrap_or_default();
    for (limit, request, path) in [
        (limits.cpus, app.cpus, "/resourceLimits/cpus"),
        (limits.mem, app.mem, "/resourceLimits/mem"),
    ] {
        if let Some(ResourceLimit::Amount(limit)) = limit {
            let text = format!(
                "resource limit must be greater than or equal to requested resource ({request:?})"
            );
            findings.check(limit >= request, path, text);
        }
    }
}

/// Notes that a feature would have to be enabled. The closing bracket is part of Marathon's text.
pub(crate) fn check_feature(
    settings: &Settings,
    feature: Feature,
    path: &str,
    findings: &mut Findings,
) {
    let name = feature.as_str();
    let text = format!("Feature {name} is not enabled. Enable with --enable_features {name})");
    findings.check(settings.has(feature), path, text);
}

/// Notes that a secret is used but not listed among the app's secrets.
pub(crate) fn check_secret(app: &App, name: &str, path: &str, findings: &mut Findings) {
    let known = app.secrets.contains_key(name);
    findings.check(known, path, "references an undefined secret");
}

fn check_secrets(app: &App, settings: &Settings, findings: &mut Findings) {
    if !app.secrets.is_empty() {
        check_feature(settings, Feature::Secrets, "/secrets", findings);
    }
    let named = !app.env.contains_key("");
    findings.check(named, "/env", "names of variables must not be empty");
    let secrets = app.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret { secret } => Some((name, secret)),
        EnvValue::Text(_) => None,
    });
    let mut any = false;
    for (name, secret) in secrets {
        any = true;
        check_secret(app, secret, &format!("/env/{name}/secret"), findings);
    }
    let text =
        "use of secret-references in the environment requires the secrets feature to be enabled";
    findings.check(!any || settings.has(Feature::Secrets), "/env", text);
}

fn check_resident(app: &App, findings: &mut Findings) {
    let volumes = app
        .container
        .iter()
        .flat_map(|container| &container.volumes);
    if !volumes
        .into_iter()
        .any(|volume| matches!(volume, Volume::Persistent { .. }))
    {
        return;
    }
    findings.check(
        app.role != "*",
        "/role",
        "Resident apps cannot have the role *",
    );
    let unreserved = app
        .accepted_resource_roles
        .as_ref()
        .is_none_or(|all| all == &["*"]);
    let text = "A resident app must have `acceptedResourceRoles = [\"*\"]`.";
    findings.check(unreserved, "/acceptedResourceRoles", text);
    let disabled = matches!(app.unreachable_strategy, UnreachableStrategy::Disabled(_));
    let text = "must be disabled for apps with persistent volumes";
    findings.check(disabled, "/unreachableStrategy", text);
    let over = app.upgrade_strategy.maximum_over_capacity;
    let text = format!("got {over:?}, expected 0.0");
    findings.check(over == 0.0, "/upgradeStrategy/maximumOverCapacity", text);
}
