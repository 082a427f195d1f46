//! What the HTTP faces of master and agent share.
//! Knows no state of either.

pub mod background;
pub mod body;
pub mod compress;
pub mod files;
pub mod form;
pub mod help;
pub mod json;
pub mod master;
pub mod media;
pub mod metrics;
pub mod paced;
pub mod pages;
pub mod path;
pub mod pieces;
pub mod serve;
pub mod shared;
pub mod system;
pub mod toggle;
mod turns;
pub mod unread;
pub mod version;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

/// Content type of plain answers, as Mesos writes it.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// A plain-text answer.
pub fn text(status: StatusCode, body: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type(TEXT)
        .body(body.into())
}

/// 404 with Mesos's text.
pub fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "404 Not Found.")
}

/// 405 with Mesos's text and the `Allow` header; several methods are separated by `, `.
pub fn method_not_allowed(expected: &str, received: &str) -> HttpResponse {
    let listed = expected.replace(", ", "', '");
    HttpResponse::MethodNotAllowed()
        .insert_header(("Allow", expected))
        .content_type(TEXT)
        .body(format!(
            "405 Method Not Allowed. Expecting one of {{ '{listed}' }}, but received '{received}'."
        ))
}
