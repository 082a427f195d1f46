//! Measures a request: how long it takes, how much comes and goes, how it is answered.
//! Looks into no body and changes nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tepui_core::time::Mono;

use super::Face;
use crate::clock::Clock;
use crate::metrics::marathon::{HttpMetrics, MarathonMetrics};

/// A request that has not been answered yet.
pub(super) struct Measured {
    metrics: Arc<MarathonMetrics>,
    clock: Clock,
    began: Mono,
    method: Method,
}

impl Measured {
    /// A request came.
    pub(super) fn begin(request: &HttpRequest, face: &Data<Face>) -> Measured {
        face.metrics.http.active.add();
        Measured {
            metrics: face.metrics.clone(),
            clock: face.clock,
            began: face.clock.now().mono,
            method: request.method().clone(),
        }
    }

    /// Its body, counted as it is read.
    pub(super) fn received(&self, payload: Payload) -> Payload {
        if matches!(payload, Payload::None) {
            return payload;
        }
        let metrics = self.metrics.clone();
        let counted = payload.inspect(move |piece| {
            if let Ok(piece) = piece {
                metrics.http.received_bytes.add(piece.len() as u64);
            }
        });
        let counted: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(counted);
        Payload::from(counted)
    }

    /// It is answered; the body is counted as it is sent, at once where its length is known.
    pub(super) fn answered(self, answer: HttpResponse) -> HttpResponse {
        let now = self.clock.now().mono;
        let status = answer.status().as_u16();
        let http = &self.metrics.http;
        http.answered(self.method.as_str(), status, now, now.since(self.began));
        let kind = Kind::of(&answer);
        match answer.body().size() {
            BodySize::None => answer,
            // Only its headers are sent.
            _ if self.method == Method::HEAD => answer,
            BodySize::Sized(length) => {
                kind.count(http, length);
                answer
            }
            BodySize::Stream => answer.map_body(|_, body| {
                BoxBody::new(Counted {
                    body,
                    kind,
                    metrics: self.metrics.clone(),
                })
            }),
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.metrics.http.active.remove(1);
    }
}

/// What the bytes of a body are counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Gzipped,
    Events,
}

impl Kind {
    fn of(answer: &HttpResponse) -> Kind {
        let begins = |name, text: &[u8]| {
            let value = answer.headers().get(name);
            value.is_some_and(|value| value.as_bytes().starts_with(text))
        };
        if begins(CONTENT_ENCODING, b"gzip") {
            Kind::Gzipped
        } else if begins(CONTENT_TYPE, b"text/event-stream") {
            Kind::Events
        } else {
            Kind::Plain
        }
    }

    fn count(self, http: &HttpMetrics, bytes: u64) {
        http.sent_bytes.add(bytes);
        match self {
            Kind::Plain => {}
            Kind::Gzipped => http.gzipped_bytes.add(bytes),
            Kind::Events => http.event_bytes.add(bytes),
        }
    }
}

/// A body of unknown length.
struct Counted {
    body: BoxBody,
    kind: Kind,
    metrics: Arc<MarathonMetrics>,
}

impl MessageBody for Counted {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.kind.count(&self.metrics.http, piece.len() as u64);
        }
        polled
    }
}
