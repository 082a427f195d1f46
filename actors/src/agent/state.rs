//! The agent's v0 view of itself: the JSON of `/state`.
//! Answers no request itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tepui_core::agent::CAPABILITIES;
use tepui_core::agent::model::{Executor, ExecutorKind, Framework, Snapshot};
use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1;

use crate::http::version;

/// Scalars that are shown even where there are none.
const ALWAYS_SHOWN: &[&str] = &["cpus", "disk", "gpus", "mem"];

/// The agent as a whole; `pid` is `slave(1)@ip:port`.
pub(super) fn agent(snapshot: &Snapshot, flags: &BTreeMap<String, String>, pid: &str) -> Value {
    let version = version::version();
    let total = &snapshot.total;
    let used = used(snapshot);
    let mut state = json!({
        "version": version.version,
        "tepui_version": version.tepui_version,
        "git_sha": version.git_sha,
        "build_date": version.build_date,
        "build_time": version.build_time,
        "build_user": version.build_user,
        "start_time": snapshot.start_time.as_secs_f64(),
        "id": snapshot.agent_id.as_ref().map_or("", |id| id.as_str()),
        "pid": pid,
        "hostname": snapshot.info.hostname,
        "capabilities": CAPABILITIES,
        "resources": totals(total),
        "reserved_resources": by_role(total, totals),
        "unreserved_resources": totals(&total.unreserved()),
        "reserved_resources_full": by_role(total, full),
        "unreserved_resources_full": full(&total.unreserved()),
        "reserved_resources_allocated": by_role(&used, totals),
        "unreserved_resources_allocated": totals(&used.unreserved()),
        "resource_providers": [],
        "attributes": attributes(&snapshot.info.attributes),
        "flags": flags,
        "frameworks": list(snapshot.frameworks.values(), |known| framework(known)),
        "completed_frameworks": list(snapshot.completed_frameworks.iter(), |known| framework(known)),
    });
    let Some(fields) = state.as_object_mut() else {
        return state;
    };
    if let Some(master) = &snapshot.master {
        let hostname = master.hostname.clone().unwrap_or_default();
        fields.insert("master_hostname".to_owned(), Value::from(hostname));
    }
    if let Some(domain) = &snapshot.info.domain {
        fields.insert("domain".to_owned(), message(domain));
    }
    if let Some(drain) = &snapshot.drain {
        fields.insert("drain_config".to_owned(), message(&drain.config));
        let since = Value::from(drain.started.0 / 1_000_000);
        fields.insert("estimated_drain_start_time_seconds".to_owned(), since);
    }
    // Where logs are to be found is shown beside the flags, too.
    for name in ["external_log_file", "log_dir"] {
        if let Some(path) = flags.get(name) {
            fields.insert(name.to_owned(), Value::from(path.as_str()));
        }
    }
    state
}

/// What all executors and their tasks use.
pub(super) fn used(snapshot: &Snapshot) -> Resources {
    let mut used = Resources::new();
    for framework in snapshot.frameworks.values() {
        for executor in framework.executors.values() {
            used.add(&executor_resources(executor));
        }
    }
    used.unallocated()
}

/// A bag of what the API lists; what cannot be read counts as nothing.
pub(super) fn bag(resources: &[v1::Resource]) -> Resources {
    Resources::from_v1(resources).unwrap_or_default()
}

fn executor_resources(executor: &Executor) -> Resources {
    let mut all = bag(&executor.info.resources);
    for task in executor.queued.iter().flat_map(|queued| queued.tasks()) {
        all.add(&bag(&task.resources));
    }
    for task in executor.launched.values() {
        all.add(&bag(&task.resources));
    }
    all
}

#[allow(
    deprecated,
    reason = "old schedulers still say 'role', and old clients read it"
)]
fn framework(framework: &Framework) -> Value {
    let info = &framework.info;
    let mut value = json!({
        "id": framework.id.as_str(),
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "executors": list(framework.executors.values(), |known| executor(known)),
        "completed_executors":
            list(framework.completed_executors.iter(), |known| executor(known)),
    });
    let multi_role = info
        .capabilities
        .iter()
        .any(|capability| capability.r#type() == v1::framework_info::capability::Type::MultiRole);
    if let Some(fields) = value.as_object_mut() {
        match multi_role {
            true => fields.insert("roles".to_owned(), Value::from(info.roles.clone())),
            false => fields.insert("role".to_owned(), Value::from(info.role())),
        };
        if let Some(principal) = &info.principal {
            fields.insert("principal".to_owned(), Value::from(principal.as_str()));
        }
    }
    value
}

#[allow(deprecated, reason = "clients read 'source'")]
fn executor(executor: &Executor) -> Value {
    let info = &executor.info;
    let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
    // Those that only wait for an acknowledgement are shown as completed, too.
    let completed = executor
        .completed
        .iter()
        .chain(executor.terminated.values());
    let mut value = json!({
        "id": executor.id.as_str(),
        "name": info.name(),
        "source": info.source(),
        "container": executor.container.as_str(),
        "directory": executor.directory,
        "resources": totals(&executor_resources(executor)),
        "tasks": list(executor.launched.values(), |known| task(known)),
        "queued_tasks": list(queued, queued_task),
        "completed_tasks": list(completed, |known| task(known)),
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if let Some(role) = role(&info.resources) {
        fields.insert("role".to_owned(), Value::from(role));
    }
    add_labels(fields, info.labels.as_ref());
    match executor.kind {
        ExecutorKind::Command => {}
        ExecutorKind::Default => {
            fields.insert("type".to_owned(), Value::from("DEFAULT"));
        }
        ExecutorKind::Custom => {
            fields.insert("type".to_owned(), Value::from("CUSTOM"));
        }
    }
    value
}

fn task(task: &v1::Task) -> Value {
    let mut value = json!({
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.as_ref().map_or("", |id| id.value.as_str()),
        "slave_id": task.agent_id.value,
        "state": task.state().as_str_name(),
        "resources": totals(&bag(&task.resources)),
        "statuses": list(task.statuses.iter(), status),
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if let Some(role) = role(&task.resources) {
        fields.insert("role".to_owned(), Value::from(role));
    }
    if let Some(user) = &task.user {
        fields.insert("user".to_owned(), Value::from(user.as_str()));
    }
    if !task.limits.is_empty() {
        // An infinite limit has no number in JSON.
        let limits = task
            .limits
            .iter()
            .map(|(name, limit)| match limit.value.is_finite() {
                true => (name.clone(), Value::from(limit.value)),
                false => (name.clone(), Value::from("Infinity")),
            });
        fields.insert("limits".to_owned(), Value::Object(limits.collect()));
    }
    add_labels(fields, task.labels.as_ref());
    let messages = [
        ("discovery", task.discovery.as_deref().map(message)),
        ("container", task.container.as_deref().map(message)),
        ("health_check", task.health_check.as_deref().map(message)),
    ];
    for (name, shown) in messages {
        if let Some(shown) = shown {
            fields.insert(name.to_owned(), shown);
        }
    }
    value
}

/// A task that was not delivered yet, which is shown as it was launched.
fn queued_task(task: &v1::TaskInfo) -> Value {
    let mut value = json!({
        "id": task.task_id.value,
        "name": task.name,
        "slave_id": task.agent_id.value,
        "resources": totals(&bag(&task.resources)),
        "role": role(&task.resources).unwrap_or_default(),
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if let Some(executor) = &task.executor {
        let id = executor.executor_id.value.as_str();
        fields.insert("executor_id".to_owned(), Value::from(id));
    }
    if let Some(shown) = task.command.as_deref().map(command) {
        fields.insert("command".to_owned(), shown);
    }
    if let Some(discovery) = task.discovery.as_deref() {
        fields.insert("discovery".to_owned(), message(discovery));
    }
    value
}

fn command(command: &v1::CommandInfo) -> Value {
    let uris = command
        .uris
        .iter()
        .map(|uri| json!({ "value": uri.value, "executable": uri.executable() }));
    let mut value = json!({ "argv": command.arguments, "uris": uris.collect::<Vec<_>>() });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if let Some(shell) = command.shell {
        fields.insert("shell".to_owned(), Value::from(shell));
    }
    if let Some(text) = &command.value {
        fields.insert("value".to_owned(), Value::from(text.as_str()));
    }
    if let Some(environment) = &command.environment {
        fields.insert("environment".to_owned(), message(environment));
    }
    value
}

fn status(status: &v1::TaskStatus) -> Value {
    let mut value = json!({
        "state": status.state().as_str_name(),
        "timestamp": status.timestamp(),
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    add_labels(fields, status.labels.as_ref());
    if let Some(container) = status.container_status.as_deref() {
        // The process id is nobody's business but the agent's.
        let shown = v1::ContainerStatus {
            executor_pid: None,
            ..container.clone()
        };
        fields.insert("container_status".to_owned(), message(&shown));
    }
    if let Some(healthy) = status.healthy {
        fields.insert("healthy".to_owned(), Value::from(healthy));
    }
    value
}

fn add_labels(fields: &mut Map<String, Value>, labels: Option<&v1::Labels>) {
    let Some(labels) = labels else { return };
    let shown = labels.labels.iter().map(|label| match &label.value {
        Some(value) => json!({ "key": label.key, "value": value }),
        None => json!({ "key": label.key }),
    });
    fields.insert("labels".to_owned(), Value::Array(shown.collect()));
}

/// Amounts by name; ranges and sets as text.
fn totals(resources: &Resources) -> Value {
    let mut fields = Map::new();
    for name in ALWAYS_SHOWN {
        fields.insert((*name).to_owned(), Value::from(0.0));
    }
    for (name, milli) in resources.quantities().0 {
        fields.insert(name.to_string(), Value::from(milli as f64 / 1000.0));
    }
    for name in resources.names() {
        let ranges = resources.ranges(name);
        if !ranges.is_empty() {
            fields.insert(name.to_owned(), Value::from(ranges_text(ranges)));
        }
    }
    Value::Object(fields)
}

fn ranges_text(ranges: impl IntoIterator<Item = (u64, u64)>) -> String {
    let parts: Vec<String> = ranges
        .into_iter()
        .map(|(begin, end)| format!("{begin}-{end}"))
        .collect();
    format!("[{}]", parts.join(", "))
}

/// Every entry in the form of the API, with the fields of old and new clients.
fn full(resources: &Resources) -> Value {
    let entries = resources.to_v1(Format::Endpoint);
    Value::Array(entries.iter().map(message).collect())
}

fn by_role(resources: &Resources, show: impl Fn(&Resources) -> Value) -> Value {
    let mut roles: Vec<String> = resources
        .to_v1(Format::PostRefinement)
        .iter()
        .filter_map(|resource| resource.reservations.last()?.role.clone())
        .collect();
    roles.sort();
    roles.dedup();
    let shown = roles.into_iter().map(|role| {
        let value = show(&resources.reserved_to(&role));
        (role, value)
    });
    Value::Object(shown.collect())
}

fn attributes(attributes: &[v1::Attribute]) -> Value {
    let mut fields = Map::new();
    for attribute in attributes {
        let value = if let Some(scalar) = &attribute.scalar {
            Value::from(scalar.value)
        } else if let Some(ranges) = &attribute.ranges {
            Value::from(ranges_text(
                ranges.range.iter().map(|range| (range.begin, range.end)),
            ))
        } else {
            Value::from(
                attribute
                    .text
                    .as_ref()
                    .map_or("", |text| text.value.as_str()),
            )
        };
        fields.insert(attribute.name.clone(), value);
    }
    Value::Object(fields)
}

/// A message of the API in its JSON form.
fn message<M: serde::Serialize>(message: &M) -> Value {
    serde_json::to_value(message).unwrap_or_else(|error| {
        tracing::error!(%error, "message cannot be written as JSON");
        Value::Null
    })
}

fn role(resources: &[v1::Resource]) -> Option<&str> {
    resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
}

fn list<T>(items: impl Iterator<Item = T>, show: impl Fn(T) -> Value) -> Value {
    Value::Array(items.map(show).collect())
}
