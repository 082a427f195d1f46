//! The agent's HTTP face: which path leads where, and what the handlers share.
//! Takes no decision of its own.

mod executor;
mod files;
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
use tepui_core::agent::messages::ConnectionId;
use tepui_core::agent::model::Snapshot;

use super::actor::{AgentActor, Read};
use crate::clock::Clock;
use crate::http::body::Memory;
use crate::http::path::Table;
use crate::http::serve::{self, Limits, OnlyHttp};
use crate::http::toggle::toggle;
use crate::http::{not_found, text};

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
    Executor,
    Browse,
    Download,
    ReadFile,
    Flags,
    Health,
    Logging,
    Metrics,
    Prometheus,
    State,
    Version,
}

const TABLE: Table<Route> = Table {
    delegate: "slave(1)",
    own: &[
        (&["files", "browse"], Route::Browse),
        (&["files", "download"], Route::Download),
        (&["files", "read"], Route::ReadFile),
        (&["logging", "toggle"], Route::Logging),
        (&["metrics", "prometheus"], Route::Prometheus),
        (&["metrics", "snapshot"], Route::Metrics),
        (&["version"], Route::Version),
    ],
    delegated: &[
        (&["api", "v1", "executor"], Route::Executor),
        (&["flags"], Route::Flags),
        (&["health"], Route::Health),
        (&["state"], Route::State),
    ],
};

/// What all handlers need.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) actor: Addr<AgentActor>,
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

    /// A view of the agent, or the answer when it has just ended.
    async fn snapshot(&self) -> Result<Snapshot, HttpResponse> {
        self.actor.send(Read).await.map_err(|_| ended())
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
    match TABLE.find(&decoded(request.path())) {
        Some(Route::Executor) => executor::call(&request, payload, &shared).await,
        Some(Route::Browse) => files::browse(&request, &shared).await,
        Some(Route::Download) => files::download(&request, &shared).await,
        Some(Route::ReadFile) => files::read(&request, &shared).await,
        Some(Route::Flags) => reads::flags(&request, &shared),
        Some(Route::Health) => HttpResponse::Ok().finish(),
        Some(Route::Logging) => toggle(&request),
        Some(Route::Metrics) => reads::metrics(&request, &shared).await,
        Some(Route::Prometheus) => reads::prometheus(&shared).await,
        Some(Route::State) => reads::state(&request, &shared).await,
        Some(Route::Version) => reads::version(&request),
        None => not_found(),
    }
}

/// Clients may write the parentheses of `slave(1)` percent-encoded.
fn decoded(path: &str) -> String {
    path.replace("%28", "(").replace("%29", ")")
}

fn ended() -> HttpResponse {
    text(StatusCode::SERVICE_UNAVAILABLE, "The agent is ending")
}
