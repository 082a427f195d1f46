//! `/quota` and `/weights`: what operators set for roles.
//! What may be set is decided by the master's core.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tepui_core::ids::Role;
use tepui_core::master::operator::{Request, quota_status};
use tepui_protocol::json::JsonError;

use super::{Face, bad_request, operator, parse, standby};
use crate::http::{body, json, method_not_allowed};

pub(super) async fn quota(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    let done = match *request.method() {
        Method::GET => return json::answer(request, &quota_status(&face.snapshot.load())),
        Method::POST => set(request, payload, face).await,
        Method::DELETE => remove(request, face).await,
        ref other => Err(method_not_allowed("GET, POST, DELETE", other.as_str())),
    };
    match done {
        Ok(response) | Err(response) => response,
    }
}

/// Mesos: `QuotaHandler::set`.
async fn set(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
) -> Result<HttpResponse, HttpResponse> {
    let body = body::read(request, payload, &face.memory).await?;
    let wanted = parse::object(&body.bytes).map_err(|error| {
        let what = match error {
            JsonError::Parse(_) => "parse",
            JsonError::Convert(_) => "validate",
        };
        let body = parse::repeated(&body.bytes);
        bad_request(format!(
            "Failed to {what} set quota request JSON '{body}': {error}"
        ))
    })?;
    operator::ask(face, Request::SetQuota(wanted)).await
}

/// Mesos: `QuotaHandler::remove`.
async fn remove(request: &HttpRequest, face: &Face) -> Result<HttpResponse, HttpResponse> {
    let path = standby::delegated(request.path());
    let role = role_of(&path).map(Role::from).map_err(|count| {
        bad_request(format!(
            "Failed to parse remove quota request for path '{path}': expected 3 tokens, found \
             {count} tokens"
        ))
    })?;
    let path = Some(path);
    operator::ask(face, Request::RemoveQuota { role, path }).await
}

/// The role that a path such as `/master/quota/a/b` ends with, or how many parts there are.
fn role_of(path: &str) -> Result<&str, usize> {
    let mut rest = path.trim_start_matches('/');
    for count in 0..2 {
        if rest.is_empty() {
            return Err(count);
        }
        let end = rest.find('/').unwrap_or(rest.len());
        rest = rest[end..].trim_start_matches('/');
    }
    match rest.is_empty() {
        true => Err(2),
        false => Ok(rest),
    }
}

pub(super) async fn weights(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    match *request.method() {
        Method::GET => {
            let snapshot = face.snapshot.load();
            let weights = snapshot.weights.iter();
            let weights = weights.map(|(role, weight)| Weight {
                role,
                weight: *weight,
            });
            json::answer(request, &weights.collect::<Vec<_>>())
        }
        Method::PUT => match update_weights(request, payload, face).await {
            Ok(response) | Err(response) => response,
        },
        ref other => method_not_allowed("GET, PUT", other.as_str()),
    }
}

#[derive(Serialize)]
struct Weight<'a> {
    role: &'a str,
    weight: f64,
}

/// Mesos: `WeightsHandler::update`.
async fn update_weights(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
) -> Result<HttpResponse, HttpResponse> {
    let body = body::read(request, payload, &face.memory).await?;
    let weights = parse::array(&body.bytes).map_err(|error| {
        let failed = match error {
            JsonError::Parse(_) => "parse update weights request JSON",
            JsonError::Convert(_) => "convert weights JSON array to protobuf",
        };
        let body = parse::repeated(&body.bytes);
        bad_request(format!("Failed to {failed} '{body}': {error}"))
    })?;
    operator::ask(face, Request::UpdateWeights(weights)).await
}

#[cfg(test)]
mod tests {
    use super::role_of;

    #[test]
    fn the_rest_of_the_path_is_the_role() {
        assert_eq!(role_of("/master/quota/a"), Ok("a"));
        assert_eq!(role_of("//master//quota//a/b/"), Ok("a/b/"));
        assert_eq!(role_of("/master/quota/"), Err(2));
        assert_eq!(role_of("/master"), Err(1));
        assert_eq!(role_of("/"), Err(0));
    }
}
