//! Tests of the limits of request bodies, under a paused clock.
//! Bodies over real sockets are tested with the master.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tepui_core::time::Mono;
use tokio::sync::Semaphore;

use crate::clock::Clock;

use super::{BODY_TIMEOUT, Memory, PERMIT_BYTES, read, read_within};

/// Seconds since the clock was started.
fn elapsed(clock: &Clock) -> u64 {
    clock.now().mono.since(Mono::default()).as_secs()
}

/// One megabyte of spaces, compressed to about one kilobyte.
const MEGABYTE: &[u8] = include_bytes!("megabyte.gz");

fn request(headers: &[(&'static str, &'static str)]) -> HttpRequest {
    let mut request = TestRequest::post();
    for header in headers {
        request = request.insert_header(*header);
    }
    request.to_http_request()
}

fn payload(chunks: &[&'static [u8]]) -> Payload {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|chunk| Ok(Bytes::from_static(chunk)))
        .collect();
    streamed(stream::iter(chunks))
}

fn streamed(chunks: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Payload {
    Payload::Stream {
        payload: Box::pin(chunks),
    }
}

#[actix::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let memory = Memory::default();
    let within = read_within(8, &request(&[]), payload(&[b"1234", b"5678"]), &memory).await;
    assert_eq!(within.unwrap().bytes, "12345678");
    let beyond = read_within(8, &request(&[]), payload(&[b"1234", b"56789"]), &memory).await;
    assert_eq!(beyond.unwrap_err().status(), 413);
}

#[actix::test]
async fn a_body_that_is_announced_too_large_is_not_read() {
    let never = stream::pending::<Result<Bytes, PayloadError>>();
    let payload = streamed(never);
    let request = request(&[("Content-Length", "67108865")]);
    let refused = read(&request, payload, &Memory::default()).await;
    assert_eq!(refused.unwrap_err().status(), 413);
}

#[actix::test]
async fn what_a_body_inflates_to_counts() {
    let request = request(&[("Content-Encoding", "gzip")]);
    let memory = Memory::default();
    let small = read_within(65_536, &request, payload(&[MEGABYTE]), &memory).await;
    assert_eq!(small.unwrap_err().status(), 413);
    let large = read_within(1_048_576, &request, payload(&[MEGABYTE]), &memory)
        .await
        .unwrap();
    assert_eq!(large.bytes.len(), 1_048_576);
}

#[actix::test]
async fn a_body_that_does_not_come_is_given_up() {
    tokio::time::pause();
    let begun = stream::iter([Ok(Bytes::from_static(b"{"))]);
    let never = begun.chain(stream::pending::<Result<Bytes, PayloadError>>());
    let payload = streamed(never);
    let clock = Clock::start();
    let refused = read(&request(&[]), payload, &Memory::default()).await;
    assert_eq!(refused.unwrap_err().status(), 408);
    assert_eq!(elapsed(&clock), BODY_TIMEOUT.as_secs());
}

#[actix::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    let broken = stream::iter([Err(PayloadError::Incomplete(None))]);
    let payload = streamed(broken);
    let refused = read(&request(&[]), payload, &Memory::default()).await;
    assert_eq!(refused.unwrap_err().status(), 400);
}

#[actix::test]
async fn bodies_share_a_limit_of_memory_and_give_it_back() {
    let memory = Memory(Arc::new(Semaphore::new(1)));
    let small = || payload(&[b"1234"]);
    let first = read(&request(&[]), small(), &memory).await.unwrap();
    let second = read(&request(&[]), small(), &memory).await;
    assert_eq!(second.unwrap_err().status(), 503);
    drop(first);
    assert!(read(&request(&[]), small(), &memory).await.is_ok());
    let large = vec![b'x'; PERMIT_BYTES + 1].leak();
    let refused = read(&request(&[]), payload(&[large]), &memory).await;
    assert_eq!(refused.unwrap_err().status(), 503);
    assert!(
        read(&request(&[]), small(), &memory).await.is_ok(),
        "a refused body holds nothing"
    );
}
