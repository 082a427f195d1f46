//! JSON answers of the v0 reads, with JSONP.
//! Knows nothing of what they tell.

use std::io::{self, BufWriter};

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::background;
use super::compress;
use super::form::Fields;
use super::pieces::{PieceWriter, Pieces, PiecesBody};
use super::shared::{SharedAnswers, SharedError};

/// Content type of JSON answers.
pub const JSON: &str = "application/json";

/// Bytes that are compressed at a time.
const PACKED_BYTES: usize = 64 * 1024;

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
    if function.is_some() || !compress::wants_gzip(request) {
        let written = shared.plain.get(move |body| make().write(body)).await;
        return long(function, written);
    }
    let written = shared.gzip.get(move |body| pack(body, &make())).await;
    let mut answer = long(None, written);
    if answer.status() == StatusCode::OK {
        let headers = answer.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    answer
}

/// As [`answer_shared`], for a value that is different for each who asks.
pub async fn answer_long<T: Content>(
    request: &HttpRequest,
    make: impl FnOnce() -> T + Send + 'static,
) -> HttpResponse {
    let written = background::spawn(move || {
        let mut body = PieceWriter::default();
        make().write(&mut body).map(|()| body.finish())
    });
    let written = written.await.map_err(SharedError::from);
    let written = written.and_then(|written| written.map_err(SharedError::from));
    long(jsonp(request), written)
}

fn long(function: Option<String>, written: Result<Pieces, SharedError>) -> HttpResponse {
    match (written, function) {
        (Ok(body), None) => ok(JSON, PiecesBody::from(body)),
        (Ok(body), Some(function)) => {
            let call = Bytes::from(format!("{function}("));
            let body = body.between(call, Bytes::from_static(b")"));
            ok(JAVASCRIPT, PiecesBody::from(body))
        }
        (Err(error), _) => {
            tracing::error!(%error, "answer was not written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Writes in gzip's form, as fast as can be: an answer is read once.
fn pack(body: &mut PieceWriter, content: &impl Content) -> Result<(), serde_json::Error> {
    let encoder = GzEncoder::new(body, Compression::fast());
    // The encoder takes long pieces faster than the many short ones of JSON.
    let mut out = BufWriter::with_capacity(PACKED_BYTES, encoder);
    content.write(&mut out)?;
    let encoder = out.into_inner().map_err(|error| error.into_error());
    let packed = encoder.and_then(GzEncoder::finish);
    packed.map(drop).map_err(serde::ser::Error::custom)
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
