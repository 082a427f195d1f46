//! /v2/apps and all that is below: apps, their tasks, their versions, and why they do not run.
//! Takes paths apart; what a change means is decided by the manager.

use std::io::Write;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use tepui_core::ids::TaskId;
use tepui_core::marathon::ids::{InstanceId, instance_of};
use tepui_core::marathon::instance::Instance;
use tepui_core::marathon::manager::Request;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::app_info::{AppEmbed, Shown};
use super::change::Said;
use super::label::Selector;
use super::tasks::{Kill, write_tasks};
use super::{Answered, Call, answers, path, tasks_text, why};

/// What a path below /v2/apps means.
enum Place {
    All,
    /// All apps below a group: a path that ends in `*`.
    Below(PathId),
    App(PathId),
    Restart(PathId),
    Tasks(PathId),
    TasksBelow(PathId),
    Task(PathId, String),
    Versions(PathId),
    Version(PathId, String),
    Why(PathId),
}

/// Routes of /v2/apps.
pub(super) async fn route(call: &Call<'_>, rest: &[&str], payload: Payload) -> Answered {
    let place = place(call, rest);
    match (place, call.method()) {
        (Place::All, "GET") => list(call).await,
        (Place::All, "POST") => create(call, payload).await,
        (Place::All, "PUT") => change_all(call, payload, true).await,
        (Place::All, "PATCH") => change_all(call, payload, false).await,
        (Place::Below(group), "GET") => below(call, group).await,
        (Place::App(id), "GET") => read(call, id).await,
        (Place::App(id), "PUT") => change(call, id, payload, true).await,
        (Place::App(id), "PATCH") => change(call, id, payload, false).await,
        (Place::App(id), "DELETE") => delete(call, id).await,
        (Place::Restart(id), "POST") => restart(call, id).await,
        (Place::Tasks(id), "GET") => tasks(call, id).await,
        (Place::Tasks(id), "DELETE") => kill_all(call, id).await,
        (Place::TasksBelow(group), "GET") => tasks_below(call, group).await,
        (Place::Task(id, task), "DELETE") => kill_one(call, &id, &task).await,
        (Place::Versions(id), "GET") => versions(call, &id),
        (Place::Version(id, version), "GET") => version_of(call, &id, &version),
        (Place::Why(id), "GET") => why::answer(call, &id),
        _ => Err(answers::not_allowed()),
    }
}

/// The words `restart`, `tasks` and `versions` end no id; inside of ids they may stand, and an app
/// that has such an id, or one that ends in `why`, comes first.
fn place(call: &Call<'_>, rest: &[&str]) -> Place {
    let is_app = || call.snapshot().root.app(&path::id(rest)).is_some();
    match (rest, call.method()) {
        ([], _) => Place::All,
        ([group @ .., "*"], _) => Place::Below(path::id(group)),
        ([group @ .., "*", "tasks"], _) => Place::TasksBelow(path::id(group)),
        ([app @ .., "restart"], "POST") if !app.is_empty() => Place::Restart(path::id(app)),
        ([app @ .., "tasks"], _) if !app.is_empty() => Place::Tasks(path::id(app)),
        ([app @ .., "tasks", task], "DELETE") if !app.is_empty() && !is_app() => {
            Place::Task(path::id(app), (*task).to_owned())
        }
        ([app @ .., "versions"], "GET") if !app.is_empty() => Place::Versions(path::id(app)),
        ([app @ .., "versions", version], "GET") if !app.is_empty() && !is_app() => {
            Place::Version(path::id(app), (*version).to_owned())
        }
        ([app @ .., "why"], "GET") if !app.is_empty() && !is_app() => Place::Why(path::id(app)),
        (app, _) => Place::App(path::id(app)),
    }
}

/// What apps are asked for.
struct Filter {
    cmd: Option<String>,
    id: Option<String>,
    labels: Option<Selector>,
}

impl Filter {
    fn of(call: &Call<'_>) -> Result<Filter, HttpResponse> {
        let lower = |name| call.query.get(name).map(str::to_lowercase);
        let labels = call.query.get("label").map(Selector::parse).transpose();
        Ok(Filter {
            cmd: lower("cmd"),
            id: lower("id"),
            labels: labels
                .map_err(|text| answers::message(StatusCode::UNPROCESSABLE_ENTITY, text))?,
        })
    }

    /// Parts of words are found in any case. Marathon.
    fn takes(&self, app: &App) -> bool {
        let holds = |text: &str, part: &str| text.to_lowercase().contains(part);
        let cmd = app.cmd.as_deref();
        self.id.as_ref().is_none_or(|id| holds(app.id.as_str(), id))
            && self
                .cmd
                .as_ref()
                .is_none_or(|part| cmd.is_some_and(|cmd| holds(cmd, part)))
            && self
                .labels
                .as_ref()
                .is_none_or(|labels| labels.matches(&app.labels))
    }
}

async fn list(call: &Call<'_>) -> Answered {
    let filter = Filter::of(call)?;
    write_apps(call, ("{\"apps\":[", "]}"), None, move |app| {
        filter.takes(app)
    })
    .await
}

async fn below(call: &Call<'_>, group: PathId) -> Answered {
    if call.snapshot().root.group(&group).is_none() {
        return Err(answers::no_group(&group));
    }
    write_apps(call, ("{\"*\":[", "]}"), Some(group), |_| true).await
}

/// Writes the apps below a group, or all of them, that `takes` takes.
pub(super) async fn write_apps(
    call: &Call<'_>,
    (begin, end): (&'static str, &'static str),
    group: Option<PathId>,
    takes: impl Fn(&App) -> bool + Send + 'static,
) -> Answered {
    let embed = AppEmbed::LIST.with(call.query.all("embed"));
    let (snapshot, now) = (call.snapshot(), call.face.clock.now());
    let group = group.unwrap_or_else(PathId::root);
    let write = move |body: &mut crate::http::pieces::PieceWriter| {
        let shown = Shown::new(&snapshot, now, embed);
        let mut scratch = Vec::new();
        let io = serde_json::Error::io;
        body.write_all(begin.as_bytes()).map_err(io)?;
        let mut is_first = true;
        for app in snapshot.root.apps_below(&group).filter(|app| takes(app)) {
            scratch.clear();
            if !is_first {
                scratch.push(b',');
            }
            is_first = false;
            shown.write(app, &mut scratch)?;
            body.write_all(&scratch).map_err(io)?;
        }
        body.write_all(end.as_bytes()).map_err(io)
    };
    answers::long(write).await
}

/// Thousands of tasks may be shown with the app.
async fn read(call: &Call<'_>, id: PathId) -> Answered {
    let snapshot = call.snapshot();
    let app = snapshot.root.app(&id).cloned();
    let app = app.ok_or_else(|| answers::no_app(&id))?;
    let embed = AppEmbed::SINGLE.with(call.query.all("embed"));
    let now = call.face.clock.now();
    let write = move |body: &mut crate::http::pieces::PieceWriter| {
        let mut written = b"{\"app\":".to_vec();
        Shown::of_one(&snapshot, now, embed, &id).write(&app, &mut written)?;
        written.push(b'}');
        body.write_all(&written).map_err(serde_json::Error::io)
    };
    answers::long(write).await
}

async fn create(call: &Call<'_>, payload: Payload) -> Answered {
    let request = Request::CreateApp {
        body: call.body(payload).await?,
        force: call.is_forced(),
        caller: call.caller(),
    };
    call.ask(request, Said::Deployment).await
}

async fn change_all(call: &Call<'_>, payload: Payload, may_create: bool) -> Answered {
    let request = Request::ChangeApps {
        body: call.body(payload).await?,
        partial: !may_create || call.query.flag("partialUpdate", true),
        may_create,
        force: call.is_forced(),
    };
    call.ask(request, Said::Deployment).await
}

async fn change(call: &Call<'_>, id: PathId, payload: Payload, may_create: bool) -> Answered {
    let request = Request::ChangeApp {
        id,
        body: call.body(payload).await?,
        partial: !may_create || call.query.flag("partialUpdate", true),
        may_create,
        force: call.is_forced(),
        caller: call.caller(),
    };
    call.ask(request, Said::Deployment).await
}

/// Unlike everywhere else, `force` is on unless it is turned off. Marathon.
async fn delete(call: &Call<'_>, id: PathId) -> Answered {
    let force = call.query.flag("force", true);
    call.ask(Request::DeleteApp { id, force }, Said::Deployment)
        .await
}

async fn restart(call: &Call<'_>, id: PathId) -> Answered {
    let force = call.is_forced();
    call.ask(Request::RestartApp { id, force }, Said::Deployment)
        .await
}

async fn tasks(call: &Call<'_>, id: PathId) -> Answered {
    let snapshot = call.snapshot();
    if snapshot.root.app(&id).is_none() {
        return Err(answers::no_app(&id));
    }
    if tasks_text::is_wanted(call) {
        let networks = tasks_text::Networks::of(&call.query);
        let write = move |body: &mut _| tasks_text::write(&snapshot, Some(&id), &networks, body);
        return answers::long_of(tasks_text::TEXT, write).await;
    }
    answers::long(move |body| write_tasks(&snapshot, std::iter::once(&id), |_| true, body)).await
}

async fn tasks_below(call: &Call<'_>, group: PathId) -> Answered {
    let snapshot = call.snapshot();
    if snapshot.root.group(&group).is_none() {
        return Err(answers::no_group(&group));
    }
    let write = move |body: &mut _| {
        let apps = snapshot.root.apps_below(&group).map(|app| &app.id);
        write_tasks(&snapshot, apps, |_| true, body)
    };
    answers::long(write).await
}

async fn kill_all(call: &Call<'_>, id: PathId) -> Answered {
    let kill = Kill::of(call)?;
    let snapshot = call.snapshot();
    if !kill.scale && snapshot.root.app(&id).is_none() {
        return Err(answers::no_app(&id));
    }
    let view = snapshot.view(&id);
    if kill.scale && view.instances.is_empty() {
        let text = format!("Path '{id}' does not exist");
        return Err(answers::message(StatusCode::NOT_FOUND, text));
    }
    let host = call.query.get("host").filter(|host| *host != "*");
    let chosen = |instance: &Instance| host.is_none_or(|host| instance.place.host == host);
    let victims = view.instances.values().filter(|instance| chosen(instance));
    let victims = victims.map(|instance| instance.id.clone()).collect();
    call.ask(kill.request(victims), Said::Tasks).await
}

async fn kill_one(call: &Call<'_>, app: &PathId, task: &str) -> Answered {
    let kill = Kill::of(call)?;
    let instance = find_task(call, app, task).ok_or_else(|| {
        let text = format!("Task '{task}' does not exist");
        answers::detailed(StatusCode::NOT_FOUND, text)
    })?;
    call.ask(kill.request(vec![instance]), Said::Task).await
}

/// The instance whose current task it is, or whose own id.
fn find_task(call: &Call<'_>, app: &PathId, task: &str) -> Option<InstanceId> {
    let task = TaskId::new(task);
    let id = instance_of(&task)?;
    let snapshot = call.snapshot();
    let instance = snapshot.apps.get(app)?.instances.get(&id)?;
    let is_meant = id.as_str() == task.as_str() || instance.task().as_ref() == Some(&task);
    is_meant.then_some(id)
}

fn versions(call: &Call<'_>, id: &PathId) -> Answered {
    let snapshot = call.snapshot();
    if snapshot.root.app(id).is_none() {
        return Err(answers::no_app(id));
    }
    let versions = snapshot.versions.get(id).into_iter();
    let versions = versions.flat_map(|versions| versions.keys().rev());
    let versions: Vec<Timestamp> = versions.copied().collect();
    answers::ok(&std::collections::BTreeMap::from([("versions", versions)]))
}

fn version_of(call: &Call<'_>, id: &PathId, text: &str) -> Answered {
    let version: Timestamp = text.parse().map_err(|_| answers::bad_timestamp(text))?;
    let snapshot = call.snapshot();
    let app = snapshot.definition(id, version).ok_or_else(|| {
        let text = format!("App '{id}' does not exist in version {version}");
        answers::detailed(StatusCode::NOT_FOUND, text)
    })?;
    answers::ok(&**app)
}
