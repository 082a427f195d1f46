//! The master's HTTP server: its socket, its workers, its limits.
//! Knows no routes; those are in `crate::http::master`.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_server::Server;
use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data, ServiceConfig};

use super::run::RunError;
use crate::http::master::{Face, Links, Standby, answer_standby, dispatch};
use crate::http::serve::{self, Limits, OnlyHttp};

/// Most threads that serve connections, links and streams: the master itself is one thread, and
/// could not keep more of them busy.
const MAX_WORKERS: usize = 16;

/// Threads per worker for what would hold a worker up, such as writing `/state`.
const BLOCKING_THREADS: usize = 2;

/// Connections open at a time.
const MAX_CONNECTIONS: usize = 100_000;

/// What the server may take.
///
/// Half of the machine's cores serve connections; the others are for the master, its allocator and
/// its registrar. With more threads than cores, messages wait for threads instead of the master.
fn limits() -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (cores / 2).clamp(1, MAX_WORKERS);
    Limits {
        workers,
        blocking_threads: BLOCKING_THREADS,
        connections: MAX_CONNECTIONS / workers,
        head: Duration::from_secs(10),
        disconnect: Duration::from_secs(1),
        shutdown_seconds: 2,
    }
}

/// Takes the address; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    let failed = |source| RunError::Listen { address, source };
    let listener = serve::bind(address).map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening beyond this machine WITHOUT AUTHENTICATION: whoever reaches this address \
             controls the cluster; listen on 127.0.0.1 or guard the address"
        );
    }
    Ok(listener)
}

/// Starts to answer for a master that does not lead; ends when the handle says so.
///
/// # Errors
/// When the socket cannot be used.
pub fn start_standby(listener: TcpListener, standby: Standby) -> Result<ServerHandle, RunError> {
    let standby = Data::new(standby);
    let routes = move |config: &mut ServiceConfig| {
        config
            .app_data(standby.clone())
            .default_service(web::to(answer_standby));
    };
    run(serve::start(listener, limits(), OnlyHttp, routes)?)
}

/// Starts to serve; ends when the handle says so.
///
/// # Errors
/// When the socket cannot be used.
pub fn start(listener: TcpListener, face: Face) -> Result<ServerHandle, RunError> {
    let face = Data::new(face);
    let links = Links::new(face.clone());
    let routes = move |config: &mut ServiceConfig| {
        config
            .app_data(face.clone())
            .default_service(web::to(dispatch));
    };
    run(serve::start(listener, limits(), links, routes)?)
}

fn run(server: Server) -> Result<ServerHandle, RunError> {
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP server failed");
        }
    });
    Ok(handle)
}
