//! `/maintenance/schedule`, `/maintenance/status`, `/machine/down`, `/machine/up`.
//! What a schedule must be like is decided by the master's core.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tepui_core::master::operator::Request;
use tepui_protocol::json::JsonError;
use tepui_protocol::v1::MachineId;

use super::{Face, bad_request, operator, parse};
use crate::http::{body, json, method_not_allowed};

pub(super) async fn schedule(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    if request.method() == Method::GET {
        return sorted(request, &face.snapshot.load().maintenance.schedule());
    }
    if request.method() != Method::POST {
        return method_not_allowed("GET, POST", request.method().as_str());
    }
    let read = |body: &[u8]| parse::object(body).map(Request::UpdateMaintenanceSchedule);
    change(request, payload, face, read).await
}

pub(super) fn status(request: &HttpRequest, face: &Face) -> HttpResponse {
    match *request.method() {
        Method::GET => sorted(request, &face.snapshot.load().maintenance_status()),
        _ => method_not_allowed("GET", request.method().as_str()),
    }
}

pub(super) async fn down(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    machines(request, payload, face, Request::StartMaintenance).await
}

pub(super) async fn up(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    machines(request, payload, face, Request::StopMaintenance).await
}

async fn machines(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
    of: impl Fn(Vec<MachineId>) -> Request,
) -> HttpResponse {
    if request.method() != Method::POST {
        return method_not_allowed("POST", request.method().as_str());
    }
    change(request, payload, face, |body| parse::array(body).map(of)).await
}

async fn change(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
    read: impl FnOnce(&[u8]) -> Result<Request, JsonError>,
) -> HttpResponse {
    let asked = async {
        let body = body::read(request, payload, &face.memory).await?;
        let call = read(&body.bytes).map_err(|error| bad_request(error.to_string()))?;
        operator::ask(face, call).await
    };
    match asked.await {
        Ok(response) | Err(response) => response,
    }
}

/// Answers with keys in alphabetical order, as Mesos writes the messages of these endpoints.
pub(super) fn sorted(request: &HttpRequest, message: &impl Serialize) -> HttpResponse {
    match serde_json::to_value(message) {
        Ok(value) => json::answer(request, &value),
        Err(error) => {
            tracing::error!(%error, "answer cannot be written as JSON");
            HttpResponse::InternalServerError().finish()
        }
    }
}
