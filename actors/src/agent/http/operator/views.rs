//! Frameworks, executors and tasks of an agent as GET_STATE and its parts show them.
//! In JSON these answers write lists that are empty, too, as Mesos does for them and no others.

use bytes::Bytes;
use serde::Serialize;
use tepui_core::agent::model::{Executor, Framework, Snapshot, staged};
use tepui_protocol::json;
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::v1::Task;
use tepui_protocol::v1::agent::Response;
use tepui_protocol::v1::agent::call::Type;
use tepui_protocol::v1::agent::response::get_executors::Executor as ShownExecutor;
use tepui_protocol::v1::agent::response::get_frameworks::Framework as ShownFramework;
use tepui_protocol::v1::agent::response::{
    GetExecutors, GetFrameworks, GetState, GetTasks, Type as Answered,
};

use super::typed;

/// The body of the answer to one of GET_STATE, GET_FRAMEWORKS, GET_EXECUTORS and GET_TASKS.
pub(super) fn body(kind: Type, snapshot: &Snapshot, media: MediaType) -> Bytes {
    let response = response(kind, snapshot);
    match media {
        MediaType::Protobuf => media::encode(media, &response),
        MediaType::Json => json::to_vec(&Written::of(&response)).into(),
    }
}

fn response(kind: Type, snapshot: &Snapshot) -> Response {
    match kind {
        Type::GetFrameworks => Response {
            get_frameworks: Some(frameworks(snapshot)),
            ..typed(Answered::GetFrameworks)
        },
        Type::GetExecutors => Response {
            get_executors: Some(executors(snapshot)),
            ..typed(Answered::GetExecutors)
        },
        Type::GetTasks => Response {
            get_tasks: Some(tasks(snapshot)),
            ..typed(Answered::GetTasks)
        },
        _ => Response {
            get_state: Some(GetState {
                get_tasks: Some(tasks(snapshot)),
                get_executors: Some(executors(snapshot)),
                get_frameworks: Some(frameworks(snapshot)),
            }),
            ..typed(Answered::GetState)
        },
    }
}

fn frameworks(snapshot: &Snapshot) -> GetFrameworks {
    let shown = |framework: &Framework| ShownFramework {
        framework_info: framework.info.as_ref().clone(),
    };
    let completed = snapshot.completed_frameworks.iter();
    GetFrameworks {
        frameworks: snapshot.frameworks.values().map(|it| shown(it)).collect(),
        completed_frameworks: completed.map(|it| shown(it)).collect(),
    }
}

fn executors(snapshot: &Snapshot) -> GetExecutors {
    let shown = |executor: &Executor| ShownExecutor {
        executor_info: executor.info.as_ref().clone(),
    };
    let mut all = GetExecutors::default();
    for framework in known(snapshot) {
        let live = framework.executors.values();
        all.executors.extend(live.map(|it| shown(it)));
        let completed = framework.completed_executors.iter();
        all.completed_executors
            .extend(completed.map(|it| shown(it)));
    }
    all
}

/// The agent checks a launch as soon as it comes, so that no task is ever pending.
fn tasks(snapshot: &Snapshot) -> GetTasks {
    let mut all = GetTasks::default();
    for framework in known(snapshot) {
        let live = framework.executors.values();
        for executor in live.chain(&framework.completed_executors) {
            let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
            let queued = queued.map(|task| staged(task, &framework.info, executor));
            all.queued_tasks.extend(queued);
            let of = |task: &std::sync::Arc<Task>| task.as_ref().clone();
            all.launched_tasks
                .extend(executor.launched.values().map(of));
            all.terminated_tasks
                .extend(executor.terminated.values().map(of));
            all.completed_tasks
                .extend(executor.completed.iter().map(of));
        }
    }
    all
}

fn known(snapshot: &Snapshot) -> impl Iterator<Item = &Framework> {
    let live = snapshot.frameworks.values();
    live.chain(&snapshot.completed_frameworks).map(|it| &**it)
}

/// A response whose lists are written even if they are empty.
#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_state: Option<State<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_frameworks: Option<Frameworks<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_executors: Option<Executors<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_tasks: Option<Tasks<'a>>,
}

#[derive(Serialize)]
struct State<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    get_tasks: Option<Tasks<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_executors: Option<Executors<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get_frameworks: Option<Frameworks<'a>>,
}

#[derive(Serialize)]
struct Frameworks<'a> {
    frameworks: &'a [ShownFramework],
    completed_frameworks: &'a [ShownFramework],
}

#[derive(Serialize)]
struct Executors<'a> {
    executors: &'a [ShownExecutor],
    completed_executors: &'a [ShownExecutor],
}

#[derive(Serialize)]
struct Tasks<'a> {
    pending_tasks: &'a [Task],
    queued_tasks: &'a [Task],
    launched_tasks: &'a [Task],
    terminated_tasks: &'a [Task],
    completed_tasks: &'a [Task],
}

impl<'a> Written<'a> {
    fn of(response: &'a Response) -> Self {
        Written {
            r#type: response.r#type().as_str_name(),
            get_state: response.get_state.as_ref().map(|state| State {
                get_tasks: state.get_tasks.as_ref().map(Tasks::of),
                get_executors: state.get_executors.as_ref().map(Executors::of),
                get_frameworks: state.get_frameworks.as_ref().map(Frameworks::of),
            }),
            get_frameworks: response.get_frameworks.as_ref().map(Frameworks::of),
            get_executors: response.get_executors.as_ref().map(Executors::of),
            get_tasks: response.get_tasks.as_ref().map(Tasks::of),
        }
    }
}

impl<'a> Frameworks<'a> {
    fn of(list: &'a GetFrameworks) -> Self {
        Frameworks {
            frameworks: &list.frameworks,
            completed_frameworks: &list.completed_frameworks,
        }
    }
}

impl<'a> Executors<'a> {
    fn of(list: &'a GetExecutors) -> Self {
        Executors {
            executors: &list.executors,
            completed_executors: &list.completed_executors,
        }
    }
}

impl<'a> Tasks<'a> {
    fn of(list: &'a GetTasks) -> Self {
        Tasks {
            pending_tasks: &list.pending_tasks,
            queued_tasks: &list.queued_tasks,
            launched_tasks: &list.launched_tasks,
            terminated_tasks: &list.terminated_tasks,
            completed_tasks: &list.completed_tasks,
        }
    }
}
