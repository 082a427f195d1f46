//! The v1 executor API: decoding, the checks that need no state, streams of events.
//! What a call means is decided by the core.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use tepui_core::agent::messages::{Answer, ConnectionId, Input};
use tepui_core::validation::executor_call;
use tepui_protocol::media::{self, MediaType, Refusal};
use tepui_protocol::recordio;
use tepui_protocol::v1::executor::{Call, Event, call};
use tokio::sync::{mpsc, oneshot};

use super::super::actor::{AgentActor, ExecutorCall, MAX_EXECUTOR_EVENTS, Tell};
use super::{Shared, ended};
use crate::http::{body, method_not_allowed, text};

pub(super) async fn call(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> HttpResponse {
    match checked(request, payload, shared).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn checked(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    if request.method() != "POST" {
        return Err(method_not_allowed("POST", request.method().as_str()));
    }
    let encoding = media::content_type(header(request, CONTENT_TYPE)).map_err(worded)?;
    let body = body::read(request, payload.into_inner(), &shared.memory).await?;
    let bad = |why: String| text(StatusCode::BAD_REQUEST, why);
    let call: Call = media::decode_call(encoding, &body.bytes).map_err(bad)?;
    executor_call::validate(&call)
        .map_err(|why| bad(format!("Failed to validate Executor::Call: {why}")))?;
    if call.r#type() == call::Type::Subscribe {
        let encoding = media::accept(header(request, ACCEPT)).map_err(worded)?;
        return subscribe(call, encoding, shared).await;
    }
    let connection = shared.next_connection();
    match ask(call, connection, None, shared).await? {
        Answer::Accepted | Answer::Stream | Answer::Done | Answer::Ended(_) => {
            Ok(HttpResponse::Accepted().finish())
        }
        Answer::Refused(status, why) => Err(refused(status, why)),
    }
}

async fn subscribe(
    call: Call,
    encoding: MediaType,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    let connection = shared.next_connection();
    let (sender, events) = mpsc::channel(MAX_EXECUTOR_EVENTS);
    // Made before the call is handed on, so that a client that leaves at once is noticed too.
    let stream = EventStream {
        events,
        connection,
        actor: shared.actor.clone(),
    };
    match ask(call, connection, Some(sender), shared).await? {
        Answer::Stream | Answer::Accepted | Answer::Done | Answer::Ended(_) => {
            Ok(HttpResponse::Ok()
                .content_type(encoding.name())
                .streaming(records(stream, encoding)))
        }
        Answer::Refused(status, why) => Err(refused(status, why)),
    }
}

async fn ask(
    call: Call,
    connection: ConnectionId,
    events: Option<mpsc::Sender<Event>>,
    shared: &Shared,
) -> Result<Answer, HttpResponse> {
    let (reply, answer) = oneshot::channel();
    let message = ExecutorCall {
        call: Box::new(call),
        connection,
        events,
        reply,
    };
    shared.actor.send(message).await.map_err(|_| ended())?;
    answer.await.map_err(|_| ended())
}

/// An executor's events; when it is dropped, the executor's connection has ended.
struct EventStream {
    events: mpsc::Receiver<Event>,
    connection: ConnectionId,
    actor: actix::Addr<AgentActor>,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.actor.do_send(Tell(Input::ConnectionClosed {
            connection: self.connection,
        }));
    }
}

/// One record per item: each becomes one HTTP chunk, which some clients rely on.
fn records(
    events: EventStream,
    encoding: MediaType,
) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(events, move |mut stream| async move {
        let event = stream.events.recv().await?;
        Some((
            Ok(recordio::encode(&media::encode(encoding, &event))),
            stream,
        ))
    })
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    // What is no text is no media type either.
    request
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap_or_default())
}

fn worded(refusal: Refusal) -> HttpResponse {
    refused(refusal.status, refusal.text)
}

fn refused(status: u16, why: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, why)
}
