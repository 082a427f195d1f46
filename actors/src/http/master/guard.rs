//! `/api/tepui/v1/guard`: agents that the mass-kill guard holds, and an operator's word on them.
//! Not in Mesos. What is held is decided in the master's core.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use tepui_core::master::model::{Held, HeldFrom};
use tepui_core::master::operator::Request;

use super::{Face, bad_request, operator};
use crate::http::media::{self, MediaType};
use crate::http::{body, json, method_not_allowed};

/// What GET answers.
#[derive(Serialize)]
struct Guard {
    /// Share of agents or tasks that may be given up without an operator's word, in percent.
    limit_percent: f64,
    held: Vec<HeldAgent>,
}

#[derive(Serialize)]
struct HeldAgent {
    agent_id: String,
    /// What the master would do: `mark_unreachable` or `shut_down`.
    action: &'static str,
    reason: String,
    /// Since when it is held, in seconds since the Unix epoch.
    since: f64,
}

/// What POST takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// Whether all that are held are given up.
    release: bool,
}

pub(super) async fn handle(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    if request.method() == Method::GET {
        return show(request, face);
    }
    if request.method() != Method::POST {
        return method_not_allowed("GET, POST", request.method().as_str());
    }
    match release(request, payload, face).await {
        Ok(response) | Err(response) => response,
    }
}

fn show(request: &HttpRequest, face: &Face) -> HttpResponse {
    let snapshot = face.snapshot.load_full();
    let held = snapshot.held_agents.iter();
    let held = held.map(|(id, held)| shown(id.to_string(), held));
    let guard = Guard {
        limit_percent: face.config.mass_removal_limit,
        held: held.collect(),
    };
    json::answer(request, &guard)
}

fn shown(agent_id: String, held: &Held) -> HeldAgent {
    HeldAgent {
        agent_id,
        action: match held.from {
            HeldFrom::Removal => "mark_unreachable",
            HeldFrom::ShutDown => "shut_down",
        },
        reason: held.why.clone(),
        since: held.since.as_secs_f64(),
    }
}

async fn release(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
) -> Result<HttpResponse, HttpResponse> {
    // Browsers do not send JSON to another site unasked, so no page can speak for an operator.
    if media::content_type(request.headers())? != MediaType::JSON {
        return Err(bad_request(
            "expected 'Content-Type: application/json'".to_string(),
        ));
    }
    let body = body::read(request, payload, &face.memory).await?;
    let word: Result<Word, _> = serde_json::from_slice(&body.bytes);
    if !word.is_ok_and(|word| word.release) {
        return Err(bad_request(
            "expected the JSON object {\"release\": true}".to_string(),
        ));
    }
    operator::ask(face, Request::ReleaseHeld).await
}
