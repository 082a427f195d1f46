//! The environment of a task, in the order in which Marathon lets variables override each other.
//! Secrets are left out: only a plugin could resolve them.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{App, ContainerType, EnvValue};
use tepui_protocol::v1;
use v1::environment::Variable;

use crate::marathon::ports::{AssignedPort, is_on_host_network};

use super::Launch;

/// Labels with names this long (UTF-16 units) get no variable.
const LABEL_NAME_LIMIT: usize = 493;

/// Labels with values this long (UTF-16 units) get no variable.
const LABEL_VALUE_LIMIT: usize = 512;

/// The variables of a task: those about it, then those of its ports with HOST, then the app's own.
/// Later ones win. Sorted by name.
pub fn environment(launch: &Launch<'_>) -> v1::Environment {
    let app = launch.app;
    let mut all = about(launch);
    all.extend(label_variables(&app.labels));
    let prefix = &launch.settings.env_vars_prefix;
    for (name, value) in port_variables(app, &launch.matched.ports) {
        all.insert(format!("{prefix}{name}"), value);
    }
    all.insert(format!("{prefix}HOST"), launch.matched.place.host.clone());
    for (name, value) in &app.env {
        match value {
            EnvValue::Text(value) => {
                all.insert(name.clone(), value.clone());
            }
            EnvValue::Secret { .. } => {}
        }
    }
    let variable = |(name, value)| Variable {
        name,
        value: Some(value),
        r#type: Some(v1::environment::variable::Type::Value as i32),
        secret: None,
    };
    v1::Environment {
        variables: all.into_iter().map(variable).collect(),
    }
}

/// Variables about the task and its app.
fn about(launch: &Launch<'_>) -> BTreeMap<String, String> {
    let app = launch.app;
    let version = app
        .version_info
        .map_or(app.version, |info| info.last_config_change_at);
    let enforced = if launch.enforce_role { "TRUE" } else { "FALSE" };
    let mut variables: BTreeMap<String, String> = [
        ("MESOS_TASK_ID", launch.task_id.to_string()),
        ("MARATHON_APP_ID", app.id.to_string()),
        ("MARATHON_APP_VERSION", version.to_string()),
        ("MARATHON_APP_RESOURCE_CPUS", number(app.cpus)),
        ("MARATHON_APP_RESOURCE_MEM", number(app.mem)),
        ("MARATHON_APP_RESOURCE_DISK", number(app.disk)),
        ("MARATHON_APP_RESOURCE_GPUS", app.gpus.to_string()),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", enforced.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(container) = &app.container
        && container.kind == ContainerType::Docker
        && let Some(docker) = &container.docker
    {
        let name = "MARATHON_APP_DOCKER_IMAGE".to_owned();
        variables.insert(name, docker.image.clone());
    }
    variables
}

/// A number as Marathon writes it, which is Java's way: with a fraction, and with an exponent
/// from ten millions up and below a thousandth.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) || !value.is_finite() {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => {
            format!("{mantissa}.0E{exponent}")
        }
        _ => text,
    }
}

/// One variable for each label that is short enough, and one with their names.
fn label_variables(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_short = |(name, value): &(&String, &String)| {
        name.encode_utf16().count() < LABEL_NAME_LIMIT
            && value.encode_utf16().count() < LABEL_VALUE_LIMIT
    };
    let mut names: Vec<String> = Vec::new();
    let mut variables = BTreeMap::new();
    for (name, value) in labels.iter().filter(is_short) {
        let name = in_variable_form(name);
        variables.insert(format!("MARATHON_APP_LABEL_{name}"), value.clone());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    variables.insert("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    variables
}

/// Upper case, and one `_` for each run of other characters.
fn in_variable_form(name: &str) -> String {
    let mut form = String::with_capacity(name.len());
    let mut in_run = false;
    for c in name.to_uppercase().chars() {
        let is_plain = matches!(c, 'A'..='Z' | '0'..='9' | '_');
        match (is_plain, in_run) {
            (true, _) => form.push(c),
            (false, false) => form.push('_'),
            (false, true) => {}
        }
        in_run = !is_plain;
    }
    form
}

/// Variables of the ports, without prefix.
fn port_variables(app: &App, ports: &[AssignedPort]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Some(first) = ports.first() else {
        return variables;
    };
    let texts: Vec<String> = ports.iter().map(|port| port.variable.to_string()).collect();
    for (at, text) in texts.iter().enumerate() {
        variables.insert(format!("PORT{at}"), text.clone());
    }
    for (port, text) in ports.iter().zip(&texts) {
        let declared = match port.declared {
            0 => port.variable,
            declared => declared,
        };
        variables.insert(format!("PORT_{declared}"), text.clone());
    }
    for (name, text) in port_names(app).into_iter().zip(&texts) {
        if let Some(name) = name {
            variables.insert(format!("PORT_{}", name.to_uppercase()), text.clone());
        }
    }
    variables.insert("PORT".to_owned(), first.variable.to_string());
    variables.insert("PORTS".to_owned(), texts.join(","));
    variables
}

/// Names of the declared ports, in order.
fn port_names(app: &App) -> Vec<Option<&str>> {
    if is_on_host_network(app) {
        let definitions = app.port_definitions.iter().flatten();
        return definitions.map(|port| port.name.as_deref()).collect();
    }
    let container = app.container.iter();
    let mappings = container.flat_map(|container| container.port_mappings.iter().flatten());
    mappings.map(|port| port.name.as_deref()).collect()
}
