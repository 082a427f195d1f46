//! Paths outside of /v2: /ping, /metrics, /logging, /config and the redirects to the web pages.
//! Serves no web page itself.

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use tepui_core::marathon::definition::{Detail, Rejection};

use super::info::LoggerChange;
use super::{Answered, Call, answers, change, headers};

/// Levels that a logger may have.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Routes of all that is not below /v2.
pub(super) async fn route(call: &Call<'_>, path: &[&str], payload: Payload) -> Answered {
    match (path, call.method()) {
        ([], "GET") => Ok(answers::found("/ui/")),
        (["ping"], "GET") => Ok(ping(call)),
        (["metrics"], "GET") => answers::ok(&call.face.info.metrics.json()),
        (["metrics", "prometheus"], "GET") => prometheus(call),
        (["logging"], "GET") => answers::ok(&call.face.info.loggers.levels()),
        (["logging"], "POST") => change_logger(call, payload).await,
        (["config"], "GET") => config(call),
        (["help"], "GET") => Ok(answers::found("/api-console/index.html")),
        (["ui", rest @ ..], "GET") => ui(call, rest),
        (["ping" | "metrics" | "logging" | "config" | "help", ..] | [], _) => {
            Err(answers::not_allowed())
        }
        _ => Err(answers::no_uri()),
    }
}

/// Whoever embeds the web pages serves them before requests come here; what is left are redirects.
fn ui(call: &Call<'_>, rest: &[&str]) -> Answered {
    let path = call.request.path();
    let is_file = rest.last().is_some_and(|last| last.contains('.'));
    if path.ends_with('/') || is_file {
        return Err(answers::message(StatusCode::NOT_FOUND, "URI not found"));
    }
    // As it was sent, so that nothing needs to be encoded again; one slash, lest it name a host.
    Ok(answers::found(&format!(
        "/{}/",
        path.trim_start_matches('/')
    )))
}

/// Marathon answers in the type that is asked for, and with nothing in types it does not have.
fn ping(call: &Call<'_>) -> HttpResponse {
    let request = call.request;
    let answer = |kind: &'static str, body: &'static str| {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, kind))
            .body(body)
    };
    let accepts = |kind| headers::asks(request, kind);
    if !request.headers().contains_key(ACCEPT) || accepts("text/plain") {
        answer("text/plain;charset=utf-8", "pong")
    } else if accepts("text/html") {
        answer("text/html;charset=utf-8", "pong")
    } else if accepts("application/json") {
        answer("application/json", "\"pong\"")
    } else if headers::accepts(request, "text/plain") {
        answer("text/plain;charset=utf-8", "pong")
    } else {
        HttpResponse::NoContent().finish()
    }
}

fn prometheus(call: &Call<'_>) -> Answered {
    let text = call.face.info.metrics.prometheus().ok_or_else(|| {
        answers::detailed(StatusCode::NOT_FOUND, "Prometheus reporter is disabled")
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, crate::metrics::text::CONTENT_TYPE))
        .body(text))
}

/// There is no actor system to tell of; its place takes what the process was started with.
fn config(call: &Call<'_>) -> Answered {
    answers::ok(&call.face.info.flags())
}

async fn change_logger(call: &Call<'_>, payload: Payload) -> Answered {
    let body = call.body(payload).await?;
    let change = read_change(&body).map_err(|rejection| answers::refuse(&rejection))?;
    if call.is_dry() {
        return change::no_steps();
    }
    call.face.info.loggers.change(change.clone());
    answers::ok(&change)
}

fn read_change(body: &Value) -> Result<LoggerChange, Rejection> {
    let Some(members) = body.as_object() else {
        return Err(wrong("/", "error.expected.jsobject"));
    };
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => {
            let error = format!("'{name}' is undefined on object: {body}");
            Err(wrong(&format!("/{name}"), error))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(wrong(&format!("/{name}"), "error.expected.jsstring")),
    };
    let level = text("level")?.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        return Err(wrong("/level", "error.unknown.enum.literal"));
    }
    let logger = text("logger")?;
    if logger.is_empty() {
        return Err(wrong("/logger", "error.minLength"));
    }
    let duration_seconds = match members.get("durationSeconds") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_i64() {
            Some(seconds) => Some(seconds),
            None => return Err(wrong("/durationSeconds", "error.expected.int")),
        },
    };
    Ok(LoggerChange {
        level,
        logger,
        duration_seconds,
    })
}

/// 422: something of the wrong shape.
pub(super) fn wrong(path: &str, error: impl Into<String>) -> Rejection {
    Rejection::invalid_json(vec![Detail {
        path: path.to_owned(),
        errors: vec![error.into()],
    }])
}
