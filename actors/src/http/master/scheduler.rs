//! `/api/v1/scheduler`: the calls of frameworks, and the opening of their event streams.
//! Checks what needs no state, in Mesos's order; the rest is checked by the master's core.

use std::sync::Arc;
use std::sync::PoisonError;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::call::is_accepted_at_once;
use tepui_core::master::messages::StreamId;
use tepui_core::validation::scheduler_call;
use tepui_protocol::v1::scheduler::Call;
use tepui_protocol::v1::scheduler::call::{Subscribe, Type};
use tokio::sync::{Semaphore, oneshot};

use super::{Face, answered, bad_request, read_call, unavailable};
use crate::http::media;
use crate::http::media::MediaType;
use crate::http::serve::ConnectionCalls;
use crate::master::{CallPermits, ToMaster, proxy};

/// Names the subscription a call belongs to.
const STREAM_ID: &str = "Mesos-Stream-Id";

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
    let (call, body): (Call, _) = read_call(request, payload, face).await?;
    scheduler_call::validate(&call, None).map_err(|error| {
        face.metrics.refused.count(call.r#type());
        bad_request(format!("Failed to validate scheduler::Call: {error}"))
    })?;
    let accepted = match call.r#type() {
        Type::Subscribe | Type::ReconcileOperations => Some(media::accepted(request.headers())?),
        _ => None,
    };
    let stream = stream_id(request.headers());
    match (call.r#type(), accepted, call.subscribe) {
        (Type::Subscribe, Some(media), Some(subscribe)) => {
            if stream.is_some() {
                return Err(bad_request(format!(
                    "Subscribe calls should not include the '{STREAM_ID}' header"
                )));
            }
            Ok(open_stream(face, media, subscribe))
        }
        (_, _, subscribe) => {
            // The body's share of memory is kept until the master's queue has room for the call.
            let call = Call { subscribe, ..call };
            let answer = forward(request, face, call, stream).await;
            drop(body);
            answer
        }
    }
}

fn open_stream(face: &Face, media: MediaType, subscribe: Subscribe) -> HttpResponse {
    let id = {
        let mut ids = face.ids.lock().unwrap_or_else(PoisonError::into_inner);
        StreamId(Arc::from(ids.uuid().to_string()))
    };
    let (proxy, events) = proxy::open(
        media,
        id.clone(),
        face.master.clone(),
        face.snapshot.clone(),
    );
    face.master.send(ToMaster::OpenStream {
        stream: id.clone(),
        subscribe: Box::new(subscribe),
        principal: None,
        address: Arc::new(proxy),
    });
    HttpResponse::Ok()
        .insert_header(("Content-Type", media.name()))
        .insert_header((STREAM_ID, &*id.0))
        .streaming(events)
}

/// Hands a call to the master. Most need not wait for it: their answer is the same whatever becomes
/// of them, and calls that follow each other on one connection would wait for each other.
async fn forward(
    request: &HttpRequest,
    face: &Face,
    call: Call,
    stream: Option<String>,
) -> Result<HttpResponse, HttpResponse> {
    // A connection that calls faster than the master handles it waits here, and is not read.
    let own = match request.conn_data::<ConnectionCalls>() {
        Some(calls) => calls.0.clone().acquire_owned().await,
        None => Arc::new(Semaphore::new(1)).acquire_owned().await,
    };
    let send = |permits, reply, call| {
        face.master.send(ToMaster::Call {
            call: Box::new(call),
            stream: stream.clone(),
            principal: None,
            reply,
            permits,
        });
    };
    let ended = |_| unavailable("Master is shutting down");
    let own = own.map_err(ended)?;
    if is_accepted_at_once(&face.snapshot.load(), &call, stream.as_deref(), None) {
        let all = face.calls.clone().acquire_owned().await.map_err(ended)?;
        send(CallPermits { all, own }, None, call);
        return Ok(HttpResponse::Accepted().finish());
    }
    let Ok(all) = face.calls.clone().try_acquire_owned() else {
        return Err(unavailable("Too many calls are waiting; try again later"));
    };
    let (reply, answer) = oneshot::channel();
    send(CallPermits { all, own }, Some(reply), call);
    answered(answer.await)
}

/// An empty header counts as present, as in Mesos.
fn stream_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get(STREAM_ID)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
