//! The master's v0 reads of lists: `/state-summary`, `/slaves`, `/frameworks`, `/tasks`, `/roles`.
//! They answer any method, as Mesos's do, and never ask the master: they read what it published.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::Face;
use super::state::{Frameworks, Page, Roles, Slaves, Summary, TaskList};
use crate::http::json;

pub(super) async fn summary(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let summary = move || Summary {
        snapshot: of.snapshot.load_full(),
        config: of.config.clone(),
    };
    json::answer_shared(request, &face.summary, summary).await
}

/// Whoever wants one agent does not wait for those who want all.
pub(super) async fn slaves(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let (of, id) = (face.clone(), json::query(request, "slave_id"));
    let is_one = id.is_some();
    let slaves = move || Slaves {
        snapshot: of.snapshot.load_full(),
        id,
    };
    match is_one {
        true => json::answer_long(request, slaves).await,
        false => json::answer_shared(request, &face.slaves, slaves).await,
    }
}

/// Whoever wants one framework does not wait for those who want all.
pub(super) async fn frameworks(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let (of, id) = (face.clone(), json::query(request, "framework_id"));
    let is_one = id.is_some();
    let frameworks = move || Frameworks {
        snapshot: of.snapshot.load_full(),
        id,
    };
    match is_one {
        true => json::answer_long(request, frameworks).await,
        false => json::answer_shared(request, &face.frameworks, frameworks).await,
    }
}

pub(super) async fn tasks(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let page = Page::read(|name| json::query(request, name));
    let tasks = move || TaskList {
        snapshot: of.snapshot.load_full(),
        page,
    };
    json::answer_long(request, tasks).await
}

pub(super) async fn roles(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let roles = move || Roles {
        snapshot: of.snapshot.load_full(),
        config: of.config.clone(),
    };
    json::answer_long(request, roles).await
}
