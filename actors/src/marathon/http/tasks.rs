//! Tasks as answers show them, and the calls that list and kill them by their own ids.
//! What belongs to one app is with the apps.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tepui_core::ids::TaskId;
use tepui_core::marathon::definition::Rejection;
use tepui_core::marathon::ids::{InstanceId, instance_of};
use tepui_core::marathon::instance::{Condition, Health, Instance, IpAddress};
use tepui_core::marathon::manager::{Request, Snapshot};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::answers::Written;
use super::change::Said;
use super::system::wrong;
use super::{Answered, Call, answers, tasks_text};

/// A task as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskInfo<'a> {
    app_id: &'a PathId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    health_check_results: Vec<HealthInfo<'a>>,
    host: &'a str,
    id: String,
    ip_addresses: &'a [IpAddress],
    ports: &'a [u16],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    service_ports: Vec<u16>,
    slave_id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    staged_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    version: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    role: &'a str,
}

/// What one check said of a task.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthInfo<'a> {
    alive: bool,
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_success: Option<Timestamp>,
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_cause: Option<&'a str>,
}

#[derive(Serialize)]
struct Tasks<'a> {
    tasks: Vec<TaskInfo<'a>>,
}

impl<'a> TaskInfo<'a> {
    /// The task of an instance; none while it only waits for an offer. `app` is its definition, if
    /// there still is one.
    pub(super) fn new(instance: &'a Instance, app: Option<&'a App>) -> Option<TaskInfo<'a>> {
        if instance.condition == Condition::Scheduled {
            return None;
        }
        let id = instance.task()?.as_str().to_owned();
        let results = instance.health.iter();
        let results = results.filter_map(|health| HealthInfo::new(instance.id.as_str(), health));
        Some(TaskInfo {
            app_id: &instance.app,
            health_check_results: results.collect(),
            host: &instance.place.host,
            id,
            ip_addresses: &instance.ip_addresses,
            ports: &instance.host_ports,
            service_ports: app.into_iter().flat_map(service_ports).collect(),
            slave_id: &instance.place.agent_id,
            state: instance.condition.api_state(),
            staged_at: instance.staged_at,
            started_at: instance.started_at,
            version: instance.version,
            region: instance.place.region.as_deref(),
            zone: instance.place.zone.as_deref(),
            role: app.map_or("*", |app| &app.role),
        })
    }
}

impl<'a> HealthInfo<'a> {
    fn new(instance_id: &'a str, health: &'a Health) -> Option<HealthInfo<'a>> {
        Some(HealthInfo {
            alive: health.alive?,
            consecutive_failures: health.consecutive_failures,
            first_success: health.first_success,
            instance_id,
            last_success: health.last_success,
            last_failure: health.last_failure,
            last_failure_cause: health.last_failure_cause.as_deref(),
        })
    }
}

/// Service ports in the order of the definition.
pub(super) fn service_ports(app: &App) -> impl Iterator<Item = u16> {
    let container = app.container.iter();
    let mappings = container.flat_map(|container| container.port_mappings.iter().flatten());
    let definitions = app.port_definitions.iter().flatten();
    mappings
        .map(|mapping| mapping.service_port)
        .chain(definitions.map(|definition| definition.port))
}

/// The definition of an app, or of one that is removed but has instances left.
pub(super) fn definition_of<'a>(snapshot: &'a Snapshot, id: &PathId) -> Option<&'a App> {
    let last = || snapshot.versions.get(id)?.get_max().map(|(_, app)| app);
    snapshot.root.app(id).or_else(last).map(|app| &**app)
}

/// Writes the tasks of these apps that `wanted` takes.
pub(super) fn write_tasks<'a>(
    snapshot: &'a Snapshot,
    apps: impl Iterator<Item = &'a PathId>,
    wanted: impl Fn(&Instance) -> bool,
    body: impl std::io::Write,
) -> Written {
    let tasks = apps.flat_map(|id| {
        let app = definition_of(snapshot, id);
        let view = snapshot.apps.get(id).into_iter();
        let instances = view.flat_map(|view| view.instances.values());
        let instances = instances.filter(|instance| wanted(instance));
        instances.filter_map(move |instance| TaskInfo::new(instance, app))
    });
    serde_json::to_writer(
        body,
        &Tasks {
            tasks: tasks.collect(),
        },
    )
}

/// Answers with instances that are being killed, or with the only one.
pub(super) fn killed(call: &Call<'_>, instances: &[Arc<Instance>], is_single: bool) -> Answered {
    let snapshot = call.snapshot();
    let info = |instance| TaskInfo::new(instance, definition_of(&snapshot, &instance.app));
    let mut tasks = instances
        .iter()
        .map(|instance| &**instance)
        .filter_map(info);
    match tasks.next() {
        Some(task) if is_single => answers::ok(&BTreeMap::from([("task", task)])),
        first => answers::ok(&Tasks {
            tasks: first.into_iter().chain(tasks).collect(),
        }),
    }
}

/// Routes of /v2/tasks.
pub(super) async fn route(call: &Call<'_>, rest: &[&str], payload: Payload) -> Answered {
    match (rest, call.method()) {
        ([], "GET") => list(call).await,
        (["delete"], "POST") => delete(call, payload).await,
        ([] | ["delete"], _) => Err(answers::not_allowed()),
        _ => Err(answers::no_uri()),
    }
}

async fn list(call: &Call<'_>) -> Answered {
    let snapshot = call.snapshot();
    if tasks_text::is_wanted(call) {
        let networks = tasks_text::Networks::of(&call.query);
        let write = move |body: &mut _| tasks_text::write(&snapshot, None, &networks, body);
        return answers::long_of(tasks_text::TEXT, write).await;
    }
    let statuses = call.query.all("status").chain(call.query.all("status[]"));
    let conditions: Vec<Condition> = statuses.filter_map(condition).collect();
    let write = move |body: &mut _| {
        let wanted =
            |instance: &Instance| conditions.is_empty() || conditions.contains(&instance.condition);
        write_tasks(&snapshot, snapshot.apps.keys(), wanted, body)
    };
    answers::long(write).await
}

/// The statuses that can be asked for; others say nothing. Marathon.
fn condition(status: &str) -> Option<Condition> {
    match status.to_ascii_lowercase().as_str() {
        "running" => Some(Condition::Running),
        "staging" => Some(Condition::Staging),
        _ => None,
    }
}

/// What killing calls have in common.
pub(super) struct Kill {
    pub scale: bool,
    pub wipe: bool,
    pub force: bool,
}

impl Kill {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 when it contradicts itself.
    pub(super) fn of(call: &Call<'_>) -> Result<Kill, HttpResponse> {
        let kill = Kill {
            scale: call.query.flag("scale", false),
            wipe: call.query.flag("wipe", false),
            force: call.is_forced(),
        };
        if kill.scale && kill.wipe {
            let text = "You cannot use scale and wipe at the same time.";
            return Err(answers::message(StatusCode::BAD_REQUEST, text));
        }
        Ok(kill)
    }

    /// Kills instances.
    pub(super) fn request(&self, instances: Vec<InstanceId>) -> Request {
        Request::KillTasks {
            instances,
            scale: self.scale,
            wipe: self.wipe,
            force: self.force,
        }
    }
}

async fn delete(call: &Call<'_>, payload: Payload) -> Answered {
    let kill = Kill::of(call)?;
    let body = call.body(payload).await?;
    let ids = read_ids(&body).map_err(|rejection| answers::refuse(&rejection))?;
    let instances: Result<Vec<_>, _> = ids.iter().map(|id| read_task_id(id)).collect();
    call.ask(kill.request(instances?), Said::Tasks).await
}

fn read_task_id(text: &str) -> Result<InstanceId, HttpResponse> {
    instance_of(&TaskId::new(text)).ok_or_else(|| {
        let text = format!(
            "Invalid task id '{text}'. [taskId {text} no valid identifier (of class \
             java.lang.String)]"
        );
        answers::message(StatusCode::BAD_REQUEST, text)
    })
}

fn read_ids(body: &Value) -> Result<Vec<String>, Rejection> {
    let Some(members) = body.as_object() else {
        return Err(wrong("/", "error.expected.jsobject"));
    };
    let ids = match members.get("ids") {
        None | Some(Value::Null) => {
            return Err(wrong(
                "/ids",
                format!("'ids' is undefined on object: {body}"),
            ));
        }
        Some(Value::Array(ids)) => ids,
        Some(_) => return Err(wrong("/ids", "error.expected.jsarray")),
    };
    let text = |(place, id): (usize, &Value)| match id.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(&format!("/ids({place})"), "error.expected.jsstring")),
    };
    ids.iter().enumerate().map(text).collect()
}
