//! What is in the headers of all answers, and what clients say in theirs.
//! Knows no routes.

use actix_web::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderMap, HeaderName, HeaderValue, PRAGMA,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use actix_web::{HttpRequest, HttpResponse};

use super::info::InfoSource;
use crate::http::compress::{compress, listed};

/// Adds the headers that every answer has, and compresses it if the client wants that.
pub(super) async fn finish(
    request: &HttpRequest,
    info: &InfoSource,
    is_leader: bool,
    mut answer: HttpResponse,
) -> HttpResponse {
    let headers = answer.headers_mut();
    put(
        headers,
        CACHE_CONTROL,
        "no-cache, no-store, must-revalidate",
    );
    put(headers, PRAGMA, "no-cache");
    put(headers, EXPIRES, "0");
    if is_leader {
        let leader = HeaderName::from_static("x-marathon-leader");
        put(
            headers,
            leader,
            &format!("{}://{}", info.scheme, info.address),
        );
        put(headers, X_FRAME_OPTIONS, "DENY");
        put(headers, X_XSS_PROTECTION, "1; mode=block");
    }
    // Of several origins Marathon sends the last one.
    if let Some(origin) = info.access_control_allow_origin.last() {
        put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        put(headers, ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS");
        put(headers, ACCESS_CONTROL_MAX_AGE, "86400");
        if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    // Names of headers are written in capitals as Marathon does, for clients that compare them.
    answer.head_mut().set_camel_case_headers(true);
    match info.compresses {
        true => compress(request, answer).await,
        false => answer,
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether a client takes answers of this type; without an `Accept` it takes any.
pub(super) fn accepts(request: &HttpRequest, kind: &str) -> bool {
    if !request.headers().contains_key(ACCEPT) {
        return true;
    }
    let family = kind.split('/').next().unwrap_or_default();
    listed(request, ACCEPT).any(|(entry, wanted)| {
        wanted && (entry == kind || entry == "*/*" || entry == format!("{family}/*"))
    })
}

/// Whether a client names exactly this type among those it takes.
pub(super) fn asks(request: &HttpRequest, kind: &str) -> bool {
    request.headers().contains_key(ACCEPT)
        && listed(request, ACCEPT).any(|(entry, wanted)| wanted && entry == kind)
}

/// Whether a client asks for exactly this type, and not for `other` before it.
pub(super) fn prefers(request: &HttpRequest, kind: &str, other: &str) -> bool {
    let mut wanted = listed(request, ACCEPT).filter(|(_, wanted)| *wanted);
    let first = wanted.find(|(entry, _)| entry == kind || entry == other);
    first.is_some_and(|(entry, _)| entry == kind)
}

/// Whether the body of a request is said to be JSON.
pub(super) fn is_json(request: &HttpRequest) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}
