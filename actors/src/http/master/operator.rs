//! `/api/v1`: the operator API, as far as it changes something.
//! Checks what needs no state, in Mesos's order; the rest is checked by the master's core.

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::model::Phase;
use tepui_core::master::operator::{CallError, Request};
use tepui_protocol::v1::master::Call;
use tokio::sync::oneshot;

use super::{Face, answered, bad_request, unavailable};
use crate::http::{body, media, method_not_allowed, text};
use crate::master::ToMaster;

pub(super) async fn handle(request: &HttpRequest, payload: Payload, face: &Face) -> HttpResponse {
    match serve(request, payload, face).await {
        Ok(response) | Err(response) => response,
    }
}

async fn serve(
    request: &HttpRequest,
    payload: Payload,
    face: &Face,
) -> Result<HttpResponse, HttpResponse> {
    if face.snapshot.load().phase == Phase::Recovering {
        return Err(unavailable("Master has not finished recovery"));
    }
    if request.method() != Method::POST {
        return Err(method_not_allowed("POST", request.method().as_str()));
    }
    let content = media::content_type(request.headers())?;
    let body = body::read(request, payload, &face.memory).await?;
    let call: Call = content.decode_call(&body.bytes).map_err(bad_request)?;
    let call = Request::from_call(call).map_err(|error| match error {
        CallError::Invalid(why) => bad_request(format!("Failed to validate master::Call: {why}")),
        CallError::Unsupported(name) => text(
            StatusCode::NOT_IMPLEMENTED,
            format!("{name} is not supported by this version"),
        ),
    })?;
    media::accepted(request.headers())?;
    ask(face, call).await
}

/// Has the master carry out a request, and waits for its answer.
pub(super) async fn ask(face: &Face, request: Request) -> Result<HttpResponse, HttpResponse> {
    let Ok(permit) = face.calls.clone().try_acquire_owned() else {
        return Err(unavailable("Too many calls are waiting; try again later"));
    };
    let (reply, answer) = oneshot::channel();
    face.master.send(ToMaster::Operate {
        request: Box::new(request),
        principal: None,
        reply,
        permit,
    });
    answered(answer.await)
}
