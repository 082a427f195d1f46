//! `/api/v1`: the operator API. Reads are answered from what the master published.
//! Checks what needs no state, in Mesos's order; the rest is checked by the master's core.

mod files;
mod large;
mod reads;
mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::operator::{CallError, Read, Request};
use tepui_protocol::v1::master::Call;
use tokio::sync::{Semaphore, oneshot};

use super::{Face, answered, bad_request, read_call, unavailable};
use crate::http::{media, text};
use crate::master::ToMaster;

/// Streams that may be beginning at a time: each takes the whole state once. Others wait.
const MAX_BEGINNING_STREAMS: usize = 2;

/// What the handlers of all workers share for the reads of the operator API.
pub struct OperatorShared {
    /// Answers that may be large.
    answers: large::Answers,
    /// Turns to begin a stream.
    beginning: Semaphore,
    /// Number of the next stream.
    next_subscriber: AtomicU64,
}

impl Default for OperatorShared {
    fn default() -> Self {
        OperatorShared {
            answers: large::Answers::default(),
            beginning: Semaphore::new(MAX_BEGINNING_STREAMS),
            next_subscriber: AtomicU64::new(1),
        }
    }
}

/// What a call is about.
enum Asked {
    File(files::Wanted),
    Read(Read),
    Change(Request),
}

pub(super) async fn handle(
    request: &HttpRequest,
    payload: Payload,
    face: &Data<Face>,
) -> HttpResponse {
    match serve(request, payload, face).await {
        Ok(response) | Err(response) => response,
    }
}

async fn serve(
    request: &HttpRequest,
    payload: Payload,
    face: &Data<Face>,
) -> Result<HttpResponse, HttpResponse> {
    let (call, _body) = read_call(request, payload, face).await?;
    let asked = asked(call).map_err(refuse)?;
    let media = media::accepted(request.headers())?;
    match asked {
        Asked::Change(change) => ask(face, change).await,
        Asked::File(wanted) => files::answer(face, wanted, media).await,
        Asked::Read(read) => reads::answer(request, face, read, media).await,
    }
}

fn asked(call: Call) -> Result<Asked, CallError> {
    if let Some(wanted) = files::Wanted::from_call(&call)? {
        return Ok(Asked::File(wanted));
    }
    match Read::from_call(&call)? {
        Some(read) => Ok(Asked::Read(read)),
        None => Request::from_call(call).map(Asked::Change),
    }
}

fn refuse(error: CallError) -> HttpResponse {
    match error {
        CallError::Invalid(why) => bad_request(format!("Failed to validate master::Call: {why}")),
        CallError::Unsupported("UNKNOWN") => {
            text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented.")
        }
        CallError::Unsupported(name) => text(
            StatusCode::NOT_IMPLEMENTED,
            format!("{name} is not supported by this version"),
        ),
    }
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
