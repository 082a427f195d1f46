//! Reads request bodies within limits of size, time and memory.
//! Does not look at what they say.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Decompress, Payload};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::text;

/// Largest body that is accepted, after decompression.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Bodies of all requests together may take so much memory at a time.
pub const MAX_BODIES_BYTES: usize = 256 * 1024 * 1024;

/// Time a client has to send a whole body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 4 * 1024;

/// Memory that bodies of requests may still take.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Memory(Arc::new(Semaphore::new(MAX_BODIES_BYTES / PERMIT_BYTES)))
    }
}

/// A body, and the right to keep it in memory.
#[derive(Debug)]
pub struct Body {
    /// The bytes, decompressed.
    pub bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Reads and decompresses the body of a request.
///
/// # Errors
/// The answer to give: 400 for a broken body, 408 for a slow one, 413 for a large one, 503 when
/// too many bodies are being read.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    memory: &Memory,
) -> Result<Body, HttpResponse> {
    read_within(MAX_BODY_BYTES, request, payload, memory).await
}

async fn read_within(
    limit: usize,
    request: &HttpRequest,
    payload: Payload,
    memory: &Memory,
) -> Result<Body, HttpResponse> {
    if declared_length(request).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let read = collect(limit, request, payload, memory);
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(body) => body,
        Err(_elapsed) => {
            let seconds = BODY_TIMEOUT.as_secs();
            let reason = format!("Request body did not arrive within {seconds} seconds");
            Err(text(StatusCode::REQUEST_TIMEOUT, reason))
        }
    }
}

async fn collect(
    limit: usize,
    request: &HttpRequest,
    payload: Payload,
    memory: &Memory,
) -> Result<Body, HttpResponse> {
    let mut chunks = Decompress::from_headers(payload, request.headers());
    let mut bytes = BytesMut::new();
    let mut permit: Option<OwnedSemaphorePermit> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(too_large(limit));
        }
        reserve(memory, &mut permit, length)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body {
        bytes: bytes.freeze(),
        _memory: permit,
    })
}

/// Grows `permit` until it covers `length` bytes.
fn reserve(
    memory: &Memory,
    permit: &mut Option<OwnedSemaphorePermit>,
    length: usize,
) -> Result<(), HttpResponse> {
    let held = permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = length.div_ceil(PERMIT_BYTES).saturating_sub(held);
    if more == 0 {
        return Ok(());
    }
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    let Ok(added) = memory.0.clone().try_acquire_many_owned(more) else {
        return Err(text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many requests are being received",
        ));
    };
    match permit {
        Some(permit) => permit.merge(added),
        None => *permit = Some(added),
    }
    Ok(())
}

fn declared_length(request: &HttpRequest) -> Option<usize> {
    request
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large(limit: usize) -> HttpResponse {
    let reason = format!("Request body exceeds the limit of {limit} bytes");
    text(StatusCode::PAYLOAD_TOO_LARGE, reason)
}

fn broken(error: &PayloadError) -> HttpResponse {
    text(
        StatusCode::BAD_REQUEST,
        format!("Failed to read request body: {error}"),
    )
}
