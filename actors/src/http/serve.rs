//! The HTTP server of master and agent: its workers, its limits, the connections it is given.
//! Knows no routes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, Error};
use bytes::BytesMut;
use nix::sys::socket::sockopt::{
    KeepAlive as KeepAliveOn, TcpKeepIdle, TcpKeepInterval, TcpNoDelay, TcpUserTimeout,
};
use nix::sys::socket::{Backlog, listen, setsockopt};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::paced::Paced;

/// Time a peer may leave what was sent to it unread or unacknowledged before its connection is
/// cut: longer than any hiccup of a network, shorter than the kernel's own patience.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds after which the kernel asks an idle peer whether it is there.
const PEER_ASKED_AFTER_SECS: u32 = 60;

/// Seconds between two such questions.
const PEER_ASKED_AGAIN_SECS: u32 = 15;

/// What a client is told whose request does not come.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Connections that may wait to be accepted, as when all agents or executors come back at once; the
/// system allows no more than `net.core.somaxconn`. One that finds no place tries again after a
/// second, then three, seven and fifteen.
const BACKLOG: i32 = 65_535;

/// A connection whose requests are paced.
pub type Connection = Paced<TcpStream>;

/// Calls of one connection that may wait for whoever handles them.
pub const MAX_CALLS_PER_CONNECTION: usize = 64;

/// Room for the calls of one connection; each has its own.
#[derive(Debug, Clone)]
pub struct ConnectionCalls(pub Arc<Semaphore>);

/// What a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads that serve connections.
    pub workers: usize,
    /// Threads per worker for what would hold a worker up.
    pub blocking_threads: usize,
    /// Connections open for HTTP at a time, per worker.
    pub connections: usize,
    /// Time a client has to send the head of a request, from its first byte on.
    pub head: Duration,
    /// Time a client has to read the rest of an answer when its connection is closed.
    pub disconnect: Duration,
    /// Seconds that requests being served have when the server ends.
    pub shutdown_seconds: u64,
}

/// Takes connections that are not for the HTTP server.
pub trait Admission: Clone + Send + 'static {
    /// Whether a connection is not for the HTTP server, as far as the beginning of its first
    /// request tells; none while that is not enough to tell.
    fn wants(&self, beginning: &[u8]) -> Option<bool>;
    /// Takes a connection that it wants, and what has been read of it.
    fn take(&self, connection: TcpStream, peer: Option<SocketAddr>, read: BytesMut);
}

/// Gives every connection to the HTTP server.
#[derive(Debug, Clone, Copy)]
pub struct OnlyHttp;

impl Admission for OnlyHttp {
    fn wants(&self, _: &[u8]) -> Option<bool> {
        Some(false)
    }

    fn take(&self, _: TcpStream, _: Option<SocketAddr>, _: BytesMut) {}
}

/// Takes an address; port 0 takes a free one. Peers that come before anybody serves wait.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // The standard library asks for a short queue; asking again lengthens it.
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    listen(&listener, backlog)?;
    Ok(listener)
}

/// Serves a listener; `routes` is called once for each worker.
///
/// # Errors
/// When the listener cannot be used.
pub fn start(
    listener: TcpListener,
    limits: Limits,
    admission: impl Admission,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    prepare(&listener);
    let builder = Server::build()
        .workers(limits.workers)
        .worker_max_blocking_threads(limits.blocking_threads)
        .max_concurrent_connections(limits.connections)
        .shutdown_timeout(limits.shutdown_seconds)
        .disable_signals();
    let ending = builder.graceful_shutdown_signal();
    let serve = move || {
        let (ending, admission) = (ending.clone(), admission.clone());
        let app = App::new().configure(routes.clone());
        let app = actix_service::IntoServiceFactory::into_factory(app)
            .map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            // Mesos's libraries keep a connection for the calls they will make, however long that
            // takes, and take its end for the end of the master. A peer that is gone without a
            // word is found by the kernel.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(limits.head)
            .client_disconnect_timeout(limits.disconnect)
            // A peer that is gone is noticed by the end of its half of the connection.
            .h1_allow_half_closed(false)
            .local_addr(address)
            .on_connect_ext(|_: &Connection, data: &mut Extensions| {
                data.insert(ConnectionCalls(Arc::new(Semaphore::new(
                    MAX_CALLS_PER_CONNECTION,
                ))));
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| admit(stream, admission.clone(), limits.head))
            .and_then(http)
    };
    let server = builder.listen("http", listener, serve)?;
    Ok(server.run())
}

/// Looks at a new connection; gives it on when it is for the HTTP server.
async fn admit(
    stream: TcpStream,
    admission: impl Admission,
    limit: Duration,
) -> Result<(Connection, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    let mut connection = Paced::new(stream, limit);
    match connection
        .begins_with(|beginning| admission.wants(beginning))
        .await
    {
        Ok(false) => Ok((connection, peer)),
        Ok(true) => {
            let (stream, read) = connection.into_parts();
            admission.take(stream, peer, read);
            Err(DispatchError::Upgrade)
        }
        Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(DispatchError::Io(error)),
        Err(_) => {
            // The client may be gone, and then needs no answer.
            let _ = connection.write_all(TOO_SLOW).await;
            Err(DispatchError::SlowRequestTimeout)
        }
    }
}

/// Sets what is to hold for every connection: on Linux they have it from their listener.
fn prepare(listener: &TcpListener) {
    if let Err(error) = setsockopt(listener, TcpNoDelay, &true) {
        tracing::warn!(%error, "small answers may be late");
    }
    if let Err(error) = keep_alive(listener) {
        tracing::warn!(%error, "connections have no limit on how long their peers may be gone");
    }
    let millis = u32::try_from(UNREAD_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(listener, TcpUserTimeout, &millis) {
        tracing::warn!(%error, "connections have no limit on what their peers leave unread");
    }
}

/// Has the kernel ask idle peers now and then whether they are still there.
fn keep_alive(listener: &TcpListener) -> nix::Result<()> {
    setsockopt(listener, KeepAliveOn, &true)?;
    setsockopt(listener, TcpKeepIdle, &PEER_ASKED_AFTER_SECS)?;
    setsockopt(listener, TcpKeepInterval, &PEER_ASKED_AGAIN_SECS)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn connections_have_the_settings_of_their_listener() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        prepare(&listener);
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        assert!(connection.nodelay().unwrap());
        assert!(getsockopt(&connection, KeepAliveOn).unwrap());
        let seconds = [
            getsockopt(&connection, TcpKeepIdle).unwrap(),
            getsockopt(&connection, TcpKeepInterval).unwrap(),
            getsockopt(&connection, TcpUserTimeout).unwrap() / 1000,
        ];
        assert_eq!(seconds, [60, 15, 60]);
    }

    #[test]
    fn many_peers_may_wait_until_they_are_served() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        // More than the standard library has wait, if the kernel lets us.
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let count = limit.trim().parse::<usize>().unwrap().min(300);
        let patience = Duration::from_secs(10);
        let connect = |_| std::net::TcpStream::connect_timeout(&address, patience);
        let waiting: Result<Vec<_>, _> = (0..count).map(connect).collect();
        assert_eq!(waiting.unwrap().len(), count);
    }
}
