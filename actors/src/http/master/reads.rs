//! The master's v0 reads: `/version`, `/flags`, `/state`, `/metrics/*`.
//! They answer any method, as Mesos's do, and never ask the master: they read what it published.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Face;
use super::state::State;
use crate::http::{json, metrics, version};
use crate::master::config::MasterConfig;
use crate::metrics::sink::Published;

pub(super) fn version(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &version::version())
}

pub(super) fn flags(request: &HttpRequest, config: &MasterConfig) -> HttpResponse {
    #[derive(Serialize)]
    struct Flags<'a> {
        flags: &'a BTreeMap<String, String>,
    }
    json::answer(
        request,
        &Flags {
            flags: &config.flags,
        },
    )
}

pub(super) async fn state(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let state = move || State {
        snapshot: of.snapshot.load_full(),
        config: of.config.clone(),
        address: of.address,
    };
    json::answer_shared(request, &face.state, state).await
}

pub(super) fn metrics(request: &HttpRequest, face: &Face) -> HttpResponse {
    metrics::snapshot(request, || measure(face))
}

/// Everything there is to publish now.
pub(super) fn measure(face: &Face) -> Published {
    let now = face.clock.now();
    face.metrics.publish(&face.snapshot.load(), now)
}

pub(super) fn prometheus(face: &Face) -> HttpResponse {
    metrics::prometheus(
        face.metrics
            .prometheus(&face.snapshot.load(), face.clock.now()),
    )
}
