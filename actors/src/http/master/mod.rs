//! The master's HTTP face: which path does what, and what its handlers share.
//! Decides nothing: handlers check the form of a request, the master's core the rest.

mod guard;
mod link;
mod operator;
mod reads;
mod scheduler;
mod standby;
pub mod state;
mod why;

pub use link::Links;
pub use operator::OperatorShared;
pub use standby::{Standby, answer as answer_standby};

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use actix::Addr;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use arc_swap::ArcSwap;
use tepui_core::ids::IdSource;
use tepui_core::master::messages::Answer;
use tepui_core::master::model::Snapshot;
use tepui_protocol::v1;
use tokio::sync::Semaphore;
use tokio::sync::oneshot::error::RecvError;

use super::body::Memory;
use super::path::Table;
use super::shared::SharedAnswer;
use super::unread;
use crate::allocator::AllocatorActor;
use crate::clock::Clock;
use crate::master::MasterMailbox;
use crate::master::config::MasterConfig;
use crate::metrics::master::MasterMetrics;

/// Calls that may wait for the master at a time; more are answered 503.
pub const MAX_CALLS_IN_FLIGHT: usize = 1024;

/// What the handlers of all workers share.
pub struct Face {
    /// The master's settings.
    pub config: Arc<MasterConfig>,
    /// The master as it presents itself.
    pub info: Arc<v1::MasterInfo>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its state, as last published.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The way to it.
    pub master: MasterMailbox,
    /// The allocator, which is asked for its reasons.
    pub allocator: Addr<AllocatorActor>,
    /// What its actors measure.
    pub metrics: Arc<MasterMetrics>,
    /// The clock.
    pub clock: Clock,
    /// Draws the ids of streams.
    pub ids: Mutex<IdSource>,
    /// Epoch of the next agent link.
    pub next_link: AtomicU64,
    /// Memory that bodies may take.
    pub memory: Memory,
    /// Calls that may wait for the master.
    pub calls: Arc<Semaphore>,
    /// What `/state` answers.
    pub state: SharedAnswer,
    /// What the reads of the operator API share.
    pub operator: OperatorShared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Scheduler,
    Operator,
    AgentLink,
    Guard,
    Why,
    Health,
    Logging,
    Version,
    Flags,
    State,
    Metrics,
    Prometheus,
    Redirect,
}

const ROUTES: Table<Route> = Table {
    delegate: "master",
    own: &[
        (&["version"], Route::Version),
        (&["metrics", "snapshot"], Route::Metrics),
        (&["logging", "toggle"], Route::Logging),
        (&["metrics", "prometheus"], Route::Prometheus),
    ],
    delegated: &[
        (&["api", "v1", "scheduler"], Route::Scheduler),
        (&["api", "v1"], Route::Operator),
        // The segments of `tepui_protocol::link::PATH`, which a test holds this to.
        (&["api", "tepui", "v1", "agent-link"], Route::AgentLink),
        (&["api", "tepui", "v1", "guard"], Route::Guard),
        (&["api", "tepui", "v1", "why"], Route::Why),
        (&["health"], Route::Health),
        (&["flags"], Route::Flags),
        (&["state"], Route::State),
        (&["redirect"], Route::Redirect),
    ],
};

/// Answers every request.
pub async fn dispatch(request: HttpRequest, payload: Payload, face: Data<Face>) -> HttpResponse {
    let (payload, unread) = unread::watch(payload.into_inner());
    let mut response = route(&request, payload, &face).await;
    unread.answered();
    // Names of headers are written as Mesos writes them, for clients that compare them exactly.
    response.head_mut().set_camel_case_headers(true);
    response
}

async fn route(
    request: &HttpRequest,
    payload: actix_web::dev::Payload,
    face: &Data<Face>,
) -> HttpResponse {
    match ROUTES.find(request.path()) {
        Some(Route::Scheduler) => scheduler::handle(request, payload, face).await,
        Some(Route::Operator) => operator::handle(request, payload, face).await,
        Some(Route::AgentLink) => link::refuse(),
        Some(Route::Guard) => guard::handle(request, payload, face).await,
        Some(Route::Why) => why::handle(request, face).await,
        Some(Route::Health) => HttpResponse::Ok().finish(),
        Some(Route::Logging) => super::toggle::toggle(request),
        Some(Route::Version) => reads::version(request),
        Some(Route::Flags) => reads::flags(request, &face.config),
        Some(Route::State) => reads::state(request, face).await,
        Some(Route::Metrics) => reads::metrics(request, face),
        Some(Route::Prometheus) => reads::prometheus(face),
        Some(Route::Redirect) => standby::redirect(&face.info, ""),
        None => super::not_found(),
    }
}

/// The HTTP form of what the master's core answers.
fn answered(answer: Result<Answer, RecvError>) -> Result<HttpResponse, HttpResponse> {
    match answer {
        Ok(Answer::Accepted) => Ok(HttpResponse::Accepted().finish()),
        Ok(Answer::Ok) => Ok(HttpResponse::Ok().finish()),
        Ok(Answer::Refused(status, reason)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Err(super::text(status, reason))
        }
        // The master drops the channel without an answer only when it ends.
        Err(_ended) => Err(unavailable("Master is shutting down")),
    }
}

fn bad_request(reason: String) -> HttpResponse {
    super::text(StatusCode::BAD_REQUEST, reason)
}

fn unavailable(reason: &str) -> HttpResponse {
    super::text(StatusCode::SERVICE_UNAVAILABLE, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_reach_the_link() {
        assert_eq!(
            ROUTES.find(tepui_protocol::link::PATH),
            Some(Route::AgentLink)
        );
    }
}
