//! `/containers`, `/monitor/statistics` and `/containerizer/debug`, and GET_CONTAINERS.
//! Reads what containers use, and changes nothing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use tepui_core::agent::model::{Executor, ExecutorState, Framework, Snapshot};
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;
use tepui_protocol::v1::agent::call::GetContainers;
use tepui_protocol::v1::agent::response::get_containers::Container;

use super::super::usage::Subject;
use super::Shared;
use crate::http::{json, text};

/// Which containers are shown.
#[derive(Debug)]
struct Wanted {
    container: Option<String>,
    framework: Option<String>,
    executor: Option<String>,
}

/// All containers.
const ALL: &Wanted = &Wanted {
    container: None,
    framework: None,
    executor: None,
};

/// A container that has not ended, and what it uses.
struct Shown<'a> {
    framework: &'a Framework,
    executor: &'a Executor,
    statistics: Option<v1::ResourceStatistics>,
}

pub(super) async fn containers(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let wanted = match Wanted::of(request) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    let snapshot = shared.snapshot();
    let shown = select(&snapshot, &wanted, shared).await;
    let entries: Vec<Value> = shown.iter().map(Shown::entry).collect();
    json::answer(request, &entries)
}

/// Containers without figures are left out here, as in Mesos.
pub(super) async fn statistics(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let snapshot = shared.snapshot();
    let shown = select(&snapshot, ALL, shared).await;
    let counted = shown.iter().filter(|known| known.statistics.is_some());
    let entries: Vec<Value> = counted.map(|known| Value::Object(known.usage())).collect();
    json::answer(request, &entries)
}

/// What the launcher was ordered to do and has not done yet.
pub(super) fn debug(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let snapshot = shared.snapshot();
    let starting = |executor: &Executor| {
        executor.state == ExecutorState::Registering && executor.pid.is_none()
    };
    let pending: Vec<Value> = live(&snapshot, ALL)
        .filter(|(_, executor)| starting(executor))
        .map(|(_, executor)| {
            let args = json!({ "containerId": executor.container.as_str() });
            json!({ "operation": "launch", "args": args })
        })
        .collect();
    json::answer(request, &json!({ "pending": pending }))
}

/// What GET_CONTAINERS answers: containers in others, and those that stand alone, are shown if that
/// is asked for.
pub(super) async fn list(asked: Option<&GetContainers>, shared: &Shared) -> Vec<Container> {
    let snapshot = shared.snapshot();
    let shown = select(&snapshot, ALL, shared).await;
    let container = |known: Shown<'_>| Container {
        framework_id: Some(known.framework.id.to_v1()),
        executor_id: Some(known.executor.id.to_v1()),
        executor_name: Some(known.executor.info.name().to_owned()),
        container_id: id(known.executor),
        container_status: Some(status(known.executor)),
        resource_statistics: known.statistics,
    };
    let mut all: Vec<Container> = shown.into_iter().map(container).collect();
    let is_wanted = |id: &ContainerId| match id.depth() {
        0 => asked.is_some_and(GetContainers::show_standalone),
        _ => asked.is_some_and(GetContainers::show_nested),
    };
    let called = snapshot.containers.values();
    let called: Vec<_> = called
        .filter(|one| !one.has_ended() && is_wanted(&one.id))
        .collect();
    let subjects = called.iter().map(|one| Subject::of_called(one)).collect();
    let statistics = shared.usage.statistics(shared.clock, subjects).await;
    let statistics = statistics.into_iter().chain(std::iter::repeat(None));
    all.extend(
        called
            .into_iter()
            .zip(statistics)
            .map(|(one, statistics)| Container {
                container_id: one.id.to_chain(),
                container_status: Some(v1::ContainerStatus {
                    container_id: Some(one.id.to_chain()),
                    executor_pid: one.pid(),
                    ..v1::ContainerStatus::default()
                }),
                resource_statistics: statistics,
                ..Container::default()
            }),
    );
    all
}

impl Wanted {
    fn of(request: &HttpRequest) -> Result<Self, HttpResponse> {
        let wanted = Wanted {
            container: json::query(request, "container_id"),
            framework: json::query(request, "framework_id"),
            executor: json::query(request, "executor_id"),
        };
        let has_other = wanted.framework.is_some() || wanted.executor.is_some();
        let is_executor_alone = wanted.executor.is_some() && wanted.framework.is_none();
        if (wanted.container.is_some() && has_other) || is_executor_alone {
            return Err(text(
                StatusCode::BAD_REQUEST,
                "Supported query parameters are container_id only, framework_id only, or \
                 executor_id and framework_id only",
            ));
        }
        Ok(wanted)
    }

    fn accepts(&self, framework: &Framework, executor: &Executor) -> bool {
        let is = |wanted: &Option<String>, id: &str| wanted.as_deref().is_none_or(|it| it == id);
        is(&self.container, executor.container.as_str())
            && is(&self.framework, framework.id.as_str())
            && is(&self.executor, executor.id.as_str())
    }
}

impl Shown<'_> {
    /// An entry of `/monitor/statistics`.
    fn usage(&self) -> Map<String, Value> {
        let mut entry = Map::new();
        let mut put = |name: &str, value: &str| {
            entry.insert(name.to_owned(), Value::from(value));
        };
        put("framework_id", self.framework.id.as_str());
        put("executor_id", self.executor.id.as_str());
        put("executor_name", self.executor.info.name());
        put("source", self.executor.info.source());
        if let Some(statistics) = &self.statistics {
            entry.insert("statistics".to_owned(), message(statistics));
        }
        entry
    }

    /// An entry of `/containers`.
    fn entry(&self) -> Value {
        let mut entry = self.usage();
        let id = Value::from(self.executor.container.as_str());
        entry.insert("container_id".to_owned(), id);
        entry.insert("status".to_owned(), message(&status(self.executor)));
        Value::Object(entry)
    }
}

async fn select<'a>(
    snapshot: &'a Arc<Snapshot>,
    wanted: &'a Wanted,
    shared: &Shared,
) -> Vec<Shown<'a>> {
    let live: Vec<_> = live(snapshot, wanted).collect();
    let subjects = live.iter().map(|(_, executor)| Subject::of(executor));
    let statistics = shared
        .usage
        .statistics(shared.clock, subjects.collect())
        .await;
    // One is missing only when the agent ends.
    let statistics = statistics.into_iter().chain(std::iter::repeat(None));
    let shown = live.into_iter().zip(statistics);
    let shown = shown.map(|((framework, executor), statistics)| Shown {
        framework,
        executor,
        statistics,
    });
    shown.collect()
}

/// The executors whose containers have not ended.
fn live<'a>(
    snapshot: &'a Snapshot,
    wanted: &'a Wanted,
) -> impl Iterator<Item = (&'a Framework, &'a Executor)> {
    snapshot.frameworks.values().flat_map(move |framework| {
        let executors = framework.executors.values().map(|known| &**known);
        executors
            .filter(move |executor| executor.state != ExecutorState::Terminated)
            .filter(move |executor| wanted.accepts(framework, executor))
            .map(move |executor| (&**framework, executor))
    })
}

fn status(executor: &Executor) -> v1::ContainerStatus {
    v1::ContainerStatus {
        container_id: Some(id(executor)),
        executor_pid: executor.pid,
        ..v1::ContainerStatus::default()
    }
}

fn id(executor: &Executor) -> v1::ContainerId {
    v1::ContainerId {
        value: executor.container.to_string(),
        parent: None,
    }
}

/// A message of the API in its JSON form.
fn message<M: serde::Serialize>(message: &M) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}
