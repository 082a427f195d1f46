//! The agent's HTTP face: which path leads where, and what the handlers share.
//! Takes no decision of its own.

mod containers;
mod executor;
mod operator;
mod pages;
mod reads;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use actix_server::Server;
use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse, web};
use arc_swap::ArcSwap;
use tepui_core::agent::messages::ConnectionId;
use tepui_core::agent::model::Snapshot;

use super::actor::AgentActor;
use super::containerizer::Containerizers;
use super::containerizer::config::ImageGc;
use super::fetcher::Figures;
use super::files::AgentFiles;
use super::usage::Usage;
use crate::clock::Clock;
use crate::http::body::Memory;
use crate::http::compress::compress;
use crate::http::files::{self, Log};
use crate::http::form::Fields;
use crate::http::path::Table;
use crate::http::serve::{self, Limits, OnlyHttp};
use crate::http::toggle::toggle;
use crate::http::{system, text};

/// Threads that serve requests; executors' calls are small and few.
const WORKERS: usize = 1;

/// Threads for reads of large files.
const BLOCKING_THREADS: usize = 4;

/// Connections served at a time: every executor keeps one open and makes calls on another.
const MAX_CONNECTIONS: usize = 65_536;

/// What the server may take.
const LIMITS: Limits = Limits {
    workers: WORKERS,
    blocking_threads: BLOCKING_THREADS,
    connections: MAX_CONNECTIONS,
    head: Duration::from_secs(10),
    disconnect: Duration::from_secs(1),
    shutdown_seconds: 1,
};

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Containerizer,
    Containers,
    Executor,
    Files(files::Route),
    Flags,
    Health,
    Logging,
    Metrics,
    Operator,
    Pages,
    Prometheus,
    State,
    Statistics,
    SystemStats,
    Version,
}

const TABLE: Table<Route> = Table {
    delegate: "slave(1)",
    own: &[
        (&["files", "browse"], Route::Files(files::Route::Browse)),
        (&["files", "debug"], Route::Files(files::Route::Debug)),
        (&["files", "download"], Route::Files(files::Route::Download)),
        (&["files", "read"], Route::Files(files::Route::Read)),
        (&["logging", "toggle"], Route::Logging),
        (&["metrics", "prometheus"], Route::Prometheus),
        (&["metrics", "snapshot"], Route::Metrics),
        (&["system", "stats.json"], Route::SystemStats),
        (&["ui"], Route::Pages),
        (&["version"], Route::Version),
    ],
    delegated: &[
        (&["api", "v1"], Route::Operator),
        (&["api", "v1", "executor"], Route::Executor),
        (&["containerizer", "debug"], Route::Containerizer),
        (&["containers"], Route::Containers),
        (&["flags"], Route::Flags),
        (&["health"], Route::Health),
        (&["monitor", "statistics"], Route::Statistics),
        (&["state"], Route::State),
    ],
};

/// What all handlers need.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) actor: Addr<AgentActor>,
    /// The agent as it published itself last.
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) usage: Arc<Usage>,
    pub(super) containerizer: Arc<Containerizers>,
    /// Which images stay, whoever has the others removed.
    pub(super) images: Option<ImageGc>,
    /// What was fetched.
    pub(super) fetches: Arc<Figures>,
    /// Numbers executors' streams.
    pub(super) next: Arc<AtomicU64>,
    pub(super) flags: Arc<BTreeMap<String, String>>,
    pub(super) address: SocketAddr,
    pub(super) work_dir: Arc<Path>,
    pub(super) clock: Clock,
    pub(super) memory: Memory,
    /// How long it took to take up what an earlier run had left.
    pub(super) recovery: Duration,
}

impl Shared {
    fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A view of the agent, for which nobody waits.
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The agent's name as a process of libprocess.
    fn pid(&self) -> String {
        format!("slave(1)@{}", self.address)
    }

    /// What `/files`, LIST_FILES and READ_FILE show.
    fn files(&self) -> AgentFiles {
        AgentFiles {
            snapshot: self.snapshot(),
            work_dir: self.work_dir.clone(),
            log: Log::of_agent(&self.flags),
        }
    }
}

/// Starts to serve requests on `listener`.
///
/// # Errors
/// When the listener cannot be used.
pub(super) fn serve(listener: TcpListener, shared: Shared) -> std::io::Result<Server> {
    let shared = web::Data::new(shared);
    let routes = move |config: &mut ServiceConfig| {
        config
            .app_data(shared.clone())
            .default_service(web::to(dispatch));
    };
    serve::start(listener, LIMITS, OnlyHttp, routes)
}

async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let response = match Fields::decode(request.query_string().as_bytes()) {
        Ok(_) => route(&request, payload, &shared).await,
        // Mesos hangs up without a word.
        Err(error) => text(
            StatusCode::BAD_REQUEST,
            format!("Unable to decode query string: {error}"),
        ),
    };
    let mut response = compress(&request, response).await;
    // Names of headers are written as Mesos writes them, for clients that compare them exactly.
    response.head_mut().set_camel_case_headers(true);
    response
}

async fn route(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> HttpResponse {
    match TABLE.find(&decoded(request.path())) {
        Some(Route::Containerizer) => containers::debug(request, shared),
        Some(Route::Containers) => containers::containers(request, shared).await,
        Some(Route::Executor) => executor::call(request, payload, shared).await,
        Some(Route::Files(route)) => files::answer(route, request, &shared.files()).await,
        Some(Route::Flags) => reads::flags(request, shared),
        Some(Route::Health) => HttpResponse::Ok().finish(),
        Some(Route::Logging) => toggle(request),
        Some(Route::Metrics) => reads::metrics(request, shared),
        Some(Route::Operator) => operator::call(request, payload, shared).await,
        Some(Route::Pages) => pages::page(request, shared),
        Some(Route::Prometheus) => reads::prometheus(shared),
        Some(Route::State) => reads::state(request, shared).await,
        Some(Route::Statistics) => containers::statistics(request, shared).await,
        Some(Route::SystemStats) => system::stats(request),
        Some(Route::Version) => reads::version(request),
        None => pages::root(request),
    }
}

/// Clients may write the parentheses of `slave(1)` percent-encoded.
fn decoded(path: &str) -> String {
    path.replace("%28", "(").replace("%29", ")")
}

fn ended() -> HttpResponse {
    text(StatusCode::SERVICE_UNAVAILABLE, "The agent is ending")
}
