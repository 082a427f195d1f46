//! Reads of the agent's own state.
//! Changes nothing.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::super::state;
use super::{Shared, ended};
use crate::http::{json, version};
use crate::metrics;
use crate::metrics::names::Published;
use crate::metrics::system::System;

pub(super) fn version(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &version::version())
}

pub(super) fn flags(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    json::answer(request, &json!({ "flags": *shared.flags }))
}

pub(super) async fn state(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let (snapshot, flags, pid) = (shared.snapshot(), shared.flags.clone(), shared.pid());
    // An agent may have a thousand tasks, and its worker has connections to serve meanwhile.
    let written = web::block(move || state::agent(&snapshot, &flags, &pid)).await;
    written.map_or_else(
        |_pool_is_gone| ended(),
        |state| json::answer(request, &state),
    )
}

pub(super) async fn metrics(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    json::answer(request, &published(shared))
}

/// All metrics as they are now.
pub(super) fn published(shared: &Shared) -> Published {
    let snapshot = shared.snapshot();
    let (used, now) = (state::used(&snapshot), shared.clock.now().wall);
    metrics::agent::agent(&snapshot, &used, now, &System::read())
}
