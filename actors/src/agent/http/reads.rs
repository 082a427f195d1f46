//! Reads of the agent's own state.
//! Changes nothing.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::super::state;
use super::Shared;
use crate::http::{json, metrics, version};
use crate::metrics::agent::{self, AgentFigures};
use crate::metrics::sink::Published;

pub(super) fn version(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &version::version())
}

pub(super) fn flags(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    json::answer(request, &json!({ "flags": *shared.flags }))
}

pub(super) async fn state(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let (snapshot, flags, pid) = (shared.snapshot(), shared.flags.clone(), shared.pid());
    // An agent may have a thousand tasks, and its worker has connections to serve meanwhile.
    json::answer_long(request, move || state::agent(&snapshot, &flags, &pid)).await
}

pub(super) fn metrics(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    metrics::snapshot(request, || published(shared))
}

pub(super) fn prometheus(shared: &Shared) -> HttpResponse {
    metrics::prometheus(with_figures(shared, agent::prometheus))
}

/// All metrics as they are now.
pub(super) fn published(shared: &Shared) -> Published {
    with_figures(shared, agent::publish)
}

fn with_figures<T>(shared: &Shared, tell: impl FnOnce(&AgentFigures<'_>) -> T) -> T {
    let (snapshot, now) = (shared.snapshot(), shared.clock.now());
    tell(&AgentFigures {
        snapshot: &snapshot,
        used: &state::used(&snapshot),
        now: now.wall,
        recovery: shared.recovery,
        fetches: shared.fetches.read(),
        image_pulls: (shared.containerizer.image_pulls(), now.mono),
    })
}
