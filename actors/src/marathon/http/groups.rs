//! /v2/groups: groups, their versions, and the apps in them.
//! Takes paths apart; what a change means is decided by the manager.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use serde_json::value::RawValue;
use tepui_core::marathon::group::{Embed, RootGroup};
use tepui_core::marathon::manager::{Request, Snapshot};
use tepui_protocol::marathon::{App, PathId, Timestamp};

use super::app_info::{AppEmbed, Shown};
use super::change::Said;
use super::{Answered, Call, answers, apps, path};

/// Routes of /v2/groups.
pub(super) async fn route(call: &Call<'_>, rest: &[&str], payload: Payload) -> Answered {
    match (rest, call.method()) {
        ([group @ .., "apps"], "GET") => list_apps(call, path::id(group)).await,
        ([group @ .., "versions"], "GET") => versions(call, &path::id(group)),
        ([group @ .., "versions", version], "GET") => {
            version_of(call, path::id(group), version).await
        }
        (group, "GET") => read(call, path::id(group)).await,
        (group, "POST") => {
            let request = Request::CreateGroup {
                base: path::id(group),
                body: call.body(payload).await?,
                force: call.is_forced(),
            };
            call.ask(request, Said::Deployment).await
        }
        (group, "PUT") => {
            let request = Request::ChangeGroup {
                base: path::id(group),
                body: call.body(payload).await?,
                force: call.is_forced(),
            };
            call.ask(request, Said::Deployment).await
        }
        (group @ [_, ..], "PATCH") => {
            let request = Request::PatchGroup {
                id: path::id(group),
                body: call.body(payload).await?,
            };
            call.ask(request, Said::Nothing(StatusCode::OK)).await
        }
        (group, "DELETE") => {
            let (id, force) = (path::id(group), call.is_forced());
            call.ask(Request::DeleteGroup { id, force }, Said::Deployment)
                .await
        }
        _ => Err(answers::not_allowed()),
    }
}

async fn read(call: &Call<'_>, id: PathId) -> Answered {
    let snapshot = call.snapshot();
    if snapshot.root.group(&id).is_none() {
        return Err(answers::no_group(&id));
    }
    write(call, id, |snapshot| Some(&snapshot.root)).await
}

async fn version_of(call: &Call<'_>, id: PathId, text: &str) -> Answered {
    let version: Timestamp = text.parse().map_err(|_| answers::bad_timestamp(text))?;
    let snapshot = call.snapshot();
    let root = snapshot.roots.get(&version);
    if root.is_none_or(|root| root.group(&id).is_none()) {
        return Err(answers::no_group(&id));
    }
    write(call, id, move |snapshot| snapshot.roots.get(&version)).await
}

/// Writes a group as it is in one of the root groups of a snapshot.
async fn write(
    call: &Call<'_>,
    id: PathId,
    root: impl FnOnce(&Snapshot) -> Option<&RootGroup> + Send + 'static,
) -> Answered {
    let embed = Embed::from_query(call.query.all("embed"));
    let of_apps = call.query.all("embed");
    let of_apps =
        AppEmbed::default().with(of_apps.filter(|value| value.starts_with("group.apps.")));
    let (snapshot, now) = (call.snapshot(), call.face.clock.now());
    let write = move |body: &mut crate::http::pieces::PieceWriter| {
        let shown = Shown::new(&snapshot, now, of_apps);
        let show = |app: &std::sync::Arc<App>| {
            let mut text = Vec::new();
            shown.write(app, &mut text).ok()?;
            RawValue::from_string(String::from_utf8(text).ok()?).ok()
        };
        let info = root(&snapshot).and_then(|root| root.info(&id, embed, show));
        serde_json::to_writer(body, &info)
    };
    answers::long(write).await
}

/// A bare list; for groups that are not there an empty one. Marathon.
async fn list_apps(call: &Call<'_>, group: PathId) -> Answered {
    apps::write_apps(call, ("[", "]"), Some(group), |_| true).await
}

/// Newest first: the versions of the root group that have this group, each one of which can be read.
fn versions(call: &Call<'_>, id: &PathId) -> Answered {
    let snapshot = call.snapshot();
    if snapshot.root.group(id).is_none() {
        return Err(answers::no_group(id));
    }
    let roots = snapshot.roots.iter().rev();
    let versions = roots.filter(|(_, root)| root.group(id).is_some());
    let versions: Vec<Timestamp> = versions.map(|(version, _)| *version).collect();
    answers::ok(&versions)
}
