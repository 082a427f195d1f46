//! The forms of answers: JSON, messages, refusals, and lists that are written off the worker's thread.
//! Knows nothing of what they tell.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::Serialize;
use tepui_core::marathon::definition::Rejection;

use super::Answered;
use crate::http::json::JSON;
use crate::http::pieces::{PieceWriter, PiecesBody};

/// What writing a list may fail with.
pub(super) type Written = Result<(), serde_json::Error>;

/// A JSON answer.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, body),
        Err(error) => {
            tracing::error!(%error, "answer cannot be written as JSON");
            message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written",
            )
        }
    }
}

/// 200 with JSON.
pub(super) fn ok<T: Serialize + ?Sized>(value: &T) -> Answered {
    Ok(json(StatusCode::OK, value))
}

/// A JSON answer that is written already.
pub(super) fn bytes(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, JSON))
        .body(body)
}

/// 200 with JSON that may be long: it is written on a thread of its own, since the worker's has
/// connections to serve meanwhile.
pub(super) async fn long(
    write: impl FnOnce(&mut PieceWriter) -> Written + Send + 'static,
) -> Answered {
    long_of(JSON, write).await
}

/// As [`long`], of another type.
pub(super) async fn long_of(
    kind: &'static str,
    write: impl FnOnce(&mut PieceWriter) -> Written + Send + 'static,
) -> Answered {
    let written = actix_web::rt::task::spawn_blocking(move || {
        let mut body = PieceWriter::default();
        write(&mut body).map(|()| body.finish())
    });
    match written.await {
        Ok(Ok(pieces)) => Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, kind))
            .body(PiecesBody::from(pieces))),
        Ok(Err(error)) => Err(not_written(&error)),
        Err(error) => Err(not_written(&error)),
    }
}

fn not_written(error: &dyn std::error::Error) -> HttpResponse {
    tracing::error!(%error, "answer was not written");
    message(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the answer cannot be written",
    )
}

/// A message and nothing more.
pub fn message(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    json(status, &Rejection::message(status.as_u16(), text))
}

/// A message with an empty list of details, as the resources of Marathon write it themselves.
pub(super) fn detailed(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    let rejection = Rejection::message(status.as_u16(), text);
    json(status, &rejection.with_empty_details())
}

/// What a rejection says.
pub(super) fn refuse(rejection: &Rejection) -> HttpResponse {
    let status = StatusCode::from_u16(rejection.status);
    json(
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        rejection,
    )
}

/// What Marathon answers to paths that lead nowhere.
pub(super) fn no_uri() -> HttpResponse {
    message(StatusCode::INTERNAL_SERVER_ERROR, "URI not found")
}

/// 405.
pub(super) fn not_allowed() -> HttpResponse {
    message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// 404 of reads.
pub(super) fn no_app(id: &tepui_protocol::marathon::PathId) -> HttpResponse {
    refuse(&Rejection::no_app(id).with_empty_details())
}

/// 404 of reads.
pub(super) fn no_group(id: &tepui_protocol::marathon::PathId) -> HttpResponse {
    refuse(&Rejection::no_group(id).with_empty_details())
}

/// 422 for a version that is no timestamp.
pub(super) fn bad_timestamp(text: &str) -> HttpResponse {
    let text = format!("Invalid timestamp provided '{text}'. Expecting ISO-8601 datetime string.");
    message(StatusCode::UNPROCESSABLE_ENTITY, text)
}

/// 302.
pub(super) fn found(location: &str) -> HttpResponse {
    match HeaderValue::from_str(location) {
        Ok(location) => HttpResponse::Found()
            .insert_header((LOCATION, location))
            .finish(),
        // Only what cannot be in a header, and then no path of ours is meant.
        Err(_) => no_uri(),
    }
}
