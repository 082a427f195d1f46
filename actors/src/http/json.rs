//! JSON answers of the v0 reads, with JSONP.
//! Knows nothing of what they tell.

use std::io;

use actix_web::body::MessageBody;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;

use super::compress::{Coding, Packed};
use super::form::Fields;
use super::pieces::PiecesBody;
use super::shared::{self, SharedAnswers, SharedError};

/// Content type of JSON answers.
pub const JSON: &str = "application/json";

/// Content type of JSONP answers.
pub const JAVASCRIPT: &str = "text/javascript";

/// Answers 200 with `value`, wrapped in a call of the function named by `?jsonp=`, if given.
pub fn answer<T: Serialize>(request: &HttpRequest, value: &T) -> HttpResponse {
    finish(request, |body| serde_json::to_writer(body, value))
}

/// What can be written as a JSON text that may be long.
pub trait Content: Send + 'static {
    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, out: &mut impl io::Write) -> Result<(), serde_json::Error>;
}

impl<T: Serialize + Send + 'static> Content for T {
    fn write(&self, out: &mut impl io::Write) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, self)
    }
}

/// As [`answer`], for a large value that many read: it is written off the worker's thread, which
/// has connections to serve meanwhile, and shared by those who ask while another one is written.
/// `make` is called when writing begins.
pub async fn answer_shared<T: Content>(
    request: &HttpRequest,
    shared: &SharedAnswers,
    make: impl FnOnce() -> T + Send + 'static,
) -> HttpResponse {
    let function = jsonp(request);
    let shared = shared.of(wanted(request, &function));
    long(function, shared.get(move |body| make().write(body)).await)
}

/// As [`answer_shared`], for a value that is different for each who asks.
pub async fn answer_long<T: Content>(
    request: &HttpRequest,
    make: impl FnOnce() -> T + Send + 'static,
) -> HttpResponse {
    let function = jsonp(request);
    let wanted = wanted(request, &function);
    let written = shared::written(wanted, move |body| make().write(body)).await;
    long(function, written)
}

/// The form to write an answer in. What is put into a call is compressed after that.
fn wanted(request: &HttpRequest, function: &Option<String>) -> Option<Coding> {
    Coding::wanted(request).filter(|_| function.is_none())
}

fn long(function: Option<String>, written: Result<Packed, SharedError>) -> HttpResponse {
    match (written, function) {
        (Ok(body), None) => body.answer(JSON),
        (Ok(body), Some(function)) => {
            let call = Bytes::from(format!("{function}("));
            let body = body.pieces.between(call, Bytes::from_static(b")"));
            ok(JAVASCRIPT, PiecesBody::from(body))
        }
        (Err(error), _) => {
            tracing::error!(%error, "answer was not written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The value of `name` in a query, unescaped.
pub fn query(request: &HttpRequest, name: &str) -> Option<String> {
    let fields = Fields::decode(request.query_string().as_bytes()).ok()?;
    fields.get(name).map(str::to_owned)
}

type Written = Result<Vec<u8>, serde_json::Error>;

fn finish(
    request: &HttpRequest,
    write_value: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> HttpResponse {
    respond(request, write(jsonp(request).as_deref(), write_value))
}

fn jsonp(request: &HttpRequest) -> Option<String> {
    query(request, "jsonp").filter(|function| !function.is_empty())
}

fn write(
    function: Option<&str>,
    write_value: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Written {
    let mut body = Vec::new();
    if let Some(function) = function {
        body.extend_from_slice(function.as_bytes());
        body.push(b'(');
    }
    write_value(&mut body)?;
    if function.is_some() {
        // A semicolon is not needed, and Mesos writes none.
        body.push(b')');
    }
    Ok(body)
}

fn respond(request: &HttpRequest, body: Written) -> HttpResponse {
    let content_type = if jsonp(request).is_some() {
        JAVASCRIPT
    } else {
        JSON
    };
    match body {
        Ok(body) => ok(content_type, body),
        Err(error) => {
            tracing::error!(%error, "answer cannot be written as JSON");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn ok(content_type: &str, body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Content-Type", content_type))
        .body(body)
}
