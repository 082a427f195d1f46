//! Reads of the agent's own state.
//! Changes nothing.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use tepui_core::agent::model::Snapshot;

use super::super::state;
use super::Shared;
use crate::http::{json, metrics, version};
use crate::metrics::agent::{self, AgentFigures};

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
    let read = |snapshot: &Snapshot| {
        metrics::snapshot(request, || with_figures(shared, snapshot, agent::publish))
    };
    shared
        .snapshot()
        .await
        .map_or_else(|ended| ended, |snapshot| read(&snapshot))
}

pub(super) async fn prometheus(shared: &Shared) -> HttpResponse {
    let read = |snapshot: &Snapshot| {
        metrics::prometheus(with_figures(shared, snapshot, agent::prometheus))
    };
    shared
        .snapshot()
        .await
        .map_or_else(|ended| ended, |snapshot| read(&snapshot))
}

fn with_figures<T>(
    shared: &Shared,
    snapshot: &Snapshot,
    tell: impl FnOnce(&AgentFigures<'_>) -> T,
) -> T {
    tell(&AgentFigures {
        snapshot,
        used: &state::used(snapshot),
        now: shared.clock.now().wall,
        recovery: shared.recovery,
    })
}
