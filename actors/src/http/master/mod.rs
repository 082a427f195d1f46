//! The master's HTTP face: which path does what, and what its handlers share.
//! Decides nothing: handlers check the form of a request, the master's core the rest.

mod changes;
mod extended;
mod guard;
mod link;
mod lists;
mod maintenance;
mod operator;
mod pages;
mod parse;
mod quota;
mod reads;
mod registry;
mod scheduler;
mod standby;
pub mod state;
mod web;
mod why;

pub use link::Links;
pub use operator::OperatorShared;
pub(crate) use standby::host_and_port;
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
use super::files::{self, Log};
use super::form::Fields;
use super::path::Table;
use super::shared::SharedAnswers;
use super::{compress, json, system, unread};
use crate::allocator::AllocatorActor;
use crate::clock::Clock;
use crate::master::MasterMailbox;
use crate::master::config::MasterConfig;
use crate::metrics::master::MasterMetrics;
use changes::Change;

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
    pub state: SharedAnswers,
    /// What `/state-summary` answers.
    pub summary: SharedAnswers,
    /// What `/slaves` answers.
    pub slaves: SharedAnswers,
    /// What `/frameworks` answers.
    pub frameworks: SharedAnswers,
    /// What the reads of the operator API share.
    pub operator: OperatorShared,
}

impl Face {
    /// What `/files`, LIST_FILES and READ_FILE show: the master's log.
    pub(super) fn files(&self) -> Log {
        Log::of_master(&self.config.flags)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Scheduler,
    Operator,
    AgentLink,
    Guard,
    Files(files::Route),
    Why,
    Health,
    Logging,
    Version,
    Flags,
    State,
    Metrics,
    Prometheus,
    Redirect,
    Pages,
    Summary,
    Slaves,
    Frameworks,
    Tasks,
    Roles,
    Quota,
    Weights,
    Change(Change),
    Teardown,
    Schedule,
    Status,
    MachineDown,
    MachineUp,
    Help,
    Processes,
    SystemStats,
    Profiler,
    Registry,
}

const ROUTES: Table<Route> = Table {
    delegate: "master",
    own: &[
        (&["files", "browse"], Route::Files(files::Route::Browse)),
        (&["files", "debug"], Route::Files(files::Route::Debug)),
        (&["files", "download"], Route::Files(files::Route::Download)),
        (&["files", "read"], Route::Files(files::Route::Read)),
        (&["version"], Route::Version),
        (&["ui"], Route::Pages),
        (&["metrics", "snapshot"], Route::Metrics),
        (&["logging", "toggle"], Route::Logging),
        (&["help"], Route::Help),
        (&["__processes__"], Route::Processes),
        (&["system", "stats.json"], Route::SystemStats),
        (&["profiler", "start"], Route::Profiler),
        (&["profiler", "stop"], Route::Profiler),
        (&["registrar(1)", "registry"], Route::Registry),
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
        (&["state-summary"], Route::Summary),
        (&["slaves"], Route::Slaves),
        (&["frameworks"], Route::Frameworks),
        (&["tasks"], Route::Tasks),
        (&["roles"], Route::Roles),
        (&["quota"], Route::Quota),
        (&["weights"], Route::Weights),
        (&["reserve"], Route::Change(Change::Reserve)),
        (&["unreserve"], Route::Change(Change::Unreserve)),
        (&["create-volumes"], Route::Change(Change::CreateVolumes)),
        (&["destroy-volumes"], Route::Change(Change::DestroyVolumes)),
        (&["teardown"], Route::Teardown),
        (&["maintenance", "schedule"], Route::Schedule),
        (&["maintenance", "status"], Route::Status),
        (&["machine", "down"], Route::MachineDown),
        (&["machine", "up"], Route::MachineUp),
    ],
};

/// Answers every request.
pub async fn dispatch(request: HttpRequest, payload: Payload, face: Data<Face>) -> HttpResponse {
    let (payload, unread) = unread::watch(payload.into_inner());
    let response = match Fields::decode(request.query_string().as_bytes()) {
        Ok(_) => route(&request, payload, &face).await,
        // Mesos hangs up without a word.
        Err(error) => bad_request(format!("Unable to decode query string: {error}")),
    };
    unread.answered();
    let mut response = compress::compress(&request, response);
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
        Some(Route::Files(route)) => files::answer(route, request, &face.files()).await,
        Some(Route::Why) => why::handle(request, face).await,
        Some(Route::Health) => HttpResponse::Ok().finish(),
        Some(Route::Logging) => super::toggle::toggle(request),
        Some(Route::Version) => reads::version(request),
        Some(Route::Flags) => reads::flags(request, &face.config),
        Some(Route::State) => reads::state(request, face).await,
        Some(Route::Metrics) => reads::metrics(request, face),
        Some(Route::Prometheus) => reads::prometheus(face),
        Some(Route::Redirect) if standby::goes_on(request.path()) => super::not_found(),
        Some(Route::Redirect) => standby::redirect(&face.info, ""),
        Some(Route::Summary) => lists::summary(request, face).await,
        Some(Route::Slaves) => lists::slaves(request, face).await,
        Some(Route::Frameworks) => lists::frameworks(request, face).await,
        Some(Route::Tasks) => lists::tasks(request, face).await,
        Some(Route::Roles) => lists::roles(request, face).await,
        Some(Route::Quota) => quota::quota(request, payload, face).await,
        Some(Route::Weights) => quota::weights(request, payload, face).await,
        Some(Route::Change(change)) => changes::handle(change, request, payload, face).await,
        Some(Route::Teardown) => changes::teardown(request, payload, face).await,
        Some(Route::Schedule) => maintenance::schedule(request, payload, face).await,
        Some(Route::Status) => maintenance::status(request, face),
        Some(Route::MachineDown) => maintenance::down(request, payload, face).await,
        Some(Route::MachineUp) => maintenance::up(request, payload, face).await,
        Some(Route::Help) => pages::HELP.answer(request),
        Some(Route::Processes) => system::processes(request, &pages::HELP),
        Some(Route::SystemStats) => system::stats(request),
        Some(Route::Profiler) => system::profiler(),
        Some(Route::Registry) => {
            let snapshot = face.snapshot.load_full();
            json::answer_long(request, || registry::Registry(snapshot)).await
        }
        Some(Route::Pages) => web::page(request, face),
        None => web::root(request),
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

    #[test]
    fn every_page_is_of_a_route_and_every_route_has_one() {
        let mut named: Vec<Vec<String>> = Vec::new();
        for page in pages::HELP.pages {
            let path = format!("/{}{}", page.process, page.path);
            assert!(ROUTES.find(&path).is_some(), "{path}");
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            named.push(segments.map(str::to_owned).collect());
        }
        let own = ROUTES.own.iter().map(|(path, _)| path.to_vec());
        let of_delegate = ROUTES.delegated.iter();
        let of_delegate = of_delegate.map(|(path, _)| [&[ROUTES.delegate], *path].concat());
        // None is to be called by people: one is of agents, two are where this is told, and the web
        // pages are for browsers.
        let unnamed = [
            vec!["master", "api", "tepui", "v1", "agent-link"],
            vec!["help"],
            vec!["__processes__"],
            vec!["ui"],
        ];
        for path in own.chain(of_delegate) {
            let is_named = named.iter().any(|named| *named == path);
            assert!(is_named || unnamed.contains(&path), "{path:?} has no page");
        }
    }
}
