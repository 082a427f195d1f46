//! Reads of the agent's own state.
//! Changes nothing.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::super::state;
use super::Shared;
use crate::http::{json, version};
use crate::metrics;
use crate::metrics::system::System;

pub(super) fn version(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &version::version())
}

pub(super) fn flags(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    json::answer(request, &json!({ "flags": *shared.flags }))
}

pub(super) async fn state(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let snapshot = match shared.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(answer) => return answer,
    };
    let pid = format!("slave(1)@{}", shared.address);
    json::answer(request, &state::agent(&snapshot, &shared.flags, &pid))
}

pub(super) async fn metrics(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let snapshot = match shared.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(answer) => return answer,
    };
    let (used, now) = (state::used(&snapshot), shared.clock.now().wall);
    let published = metrics::agent::agent(&snapshot, &used, now, &System::read());
    json::answer(request, &published)
}
