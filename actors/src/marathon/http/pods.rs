//! /v2/pods as long as there are none: lists are empty, and what would make one is refused.
//! Runs no pod.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use tepui_protocol::marathon::{PathId, Timestamp};

use super::{Answered, Call, answers};

/// Routes of `/v2/pods`; `path` is what follows /v2/, decoded.
pub(super) fn route(call: &Call<'_>, path: &str) -> Answered {
    let path = path.strip_prefix("pods").unwrap_or(path);
    let (id, what) = match path.split_once("::") {
        Some((id, what)) => (id, Some(what)),
        None => (path, None),
    };
    let is_all = id.trim_matches('/').is_empty();
    let id = PathId::new(id);
    let method = call.request.method().as_str();
    match (
        what.map(|what| what.split_once('/').unwrap_or((what, ""))),
        method,
    ) {
        (None, "HEAD") if is_all => Ok(HttpResponse::Ok().finish()),
        (None, "GET") if is_all => answers::ok::<[u8; 0]>(&[]),
        (None, "POST") if is_all => Err(unsupported()),
        (None, "PUT") if !is_all => Err(unsupported()),
        (None, "GET" | "HEAD") => {
            // The message is itself a JSON text. Marathon.
            let text = format!("{{\"message\": \"pod with {id} does not exist\"}}");
            Err(answers::detailed(StatusCode::NOT_FOUND, text))
        }
        (None, "DELETE") if !is_all => Err(no_pod(&id)),
        (Some(("status", "")), "GET" | "HEAD") if is_all => answers::ok::<[u8; 0]>(&[]),
        (Some(("status" | "versions", "")), "GET" | "HEAD") => Err(no_pod(&id)),
        (Some(("versions", version)), "GET" | "HEAD") => match version.parse::<Timestamp>() {
            Ok(_) => Err(no_pod(&id)),
            Err(_) => Err(answers::bad_timestamp(version)),
        },
        // Ids of instances that are not there are passed over. Marathon.
        (Some(("instances", "")), "DELETE") => answers::ok::<[u8; 0]>(&[]),
        (Some(("instances", instance)), "DELETE") => {
            let text = format!("Task '{instance}' does not exist");
            Err(answers::detailed(StatusCode::NOT_FOUND, text))
        }
        (None | Some(("status" | "versions" | "instances", _)), _) => Err(answers::not_allowed()),
        _ => Err(answers::no_uri()),
    }
}

fn unsupported() -> HttpResponse {
    let text = "pods are not supported yet; run each container as an app, by POST /v2/apps";
    answers::message(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn no_pod(id: &PathId) -> HttpResponse {
    answers::detailed(StatusCode::NOT_FOUND, format!("Pod '{id}' does not exist"))
}
