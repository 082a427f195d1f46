//! The master's HTTP server: its socket, its workers, its limits.
//! Knows no routes; those are in `crate::http::master`.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use nix::sys::socket::sockopt::TcpUserTimeout;
use nix::sys::socket::{Backlog, listen, setsockopt};

use super::run::RunError;
use crate::http::master::{Face, dispatch};

/// Threads that serve connections, links and streams.
const WORKERS: usize = 2;

/// Threads per worker for what would hold a worker up, such as writing `/state`.
const BLOCKING_THREADS: usize = 2;

/// Connections that may wait to be accepted, as when all agents come back at once.
const BACKLOG: i32 = 4096;

/// Connections open at a time, per worker.
const MAX_CONNECTIONS: usize = 50_000;

/// Time an idle connection is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// Time a client has to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a client has to read the rest of an answer when its connection is closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time a peer may leave what was sent to it unread or unacknowledged before its connection is
/// cut: longer than any hiccup of a network, shorter than the kernel's own patience.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds that requests being served have when the master ends.
const SHUTDOWN_SECONDS: u64 = 2;

/// Takes the address; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    let failed = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    // The standard library asks for a short queue; asking again lengthens it.
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    listen(&listener, backlog).map_err(|error| failed(error.into()))?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening beyond this machine WITHOUT AUTHENTICATION: whoever reaches this address \
             controls the cluster; listen on 127.0.0.1 or guard the address"
        );
    }
    Ok(listener)
}

/// Starts to serve; ends when the handle says so.
///
/// # Errors
/// When the socket cannot be used.
pub fn start(listener: TcpListener, face: Face) -> Result<ServerHandle, RunError> {
    let face = Data::new(face);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(face.clone())
            .default_service(web::to(dispatch))
    })
    .workers(WORKERS)
    .worker_max_blocking_threads(BLOCKING_THREADS)
    .max_connections(MAX_CONNECTIONS)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .tcp_nodelay(true)
    // A framework that is gone is noticed by the end of its half of the connection.
    .h1_allow_half_closed(false)
    .on_connect(|connection, _| limit_unread(connection))
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP server failed");
        }
    });
    Ok(handle)
}

fn limit_unread(connection: &dyn Any) {
    let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else {
        return;
    };
    let millis = u32::try_from(UNREAD_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(stream, TcpUserTimeout, &millis) {
        tracing::warn!(%error, "connection has no limit on what its peer leaves unread");
    }
}
