//! The app manager's HTTP server: its socket, its workers, its limits, and what its faces are given.
//! Knows no routes; those are in `crate::marathon::http`.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Semaphore;

use super::{Failed, Leading};
use crate::clock::Clock;
use crate::http::body::Memory;
use crate::http::serve::{self, Limits, OnlyHttp};
use crate::marathon::config::MarathonConfig;
use crate::marathon::handle::Handle;
use crate::marathon::http::{Face, Guard, InfoSource, MAX_STREAMS, routes};
use crate::marathon::loggers::MarathonLoggers;
use crate::marathon::proxy::Proxy;
use crate::metrics::marathon::{MarathonMetrics, MetricsPage};

/// Most threads that serve connections.
const MAX_WORKERS: usize = 16;

/// Threads per worker for what would hold a worker up, such as writing long lists.
const BLOCKING_THREADS: usize = 2;

/// Connections open at a time.
const MAX_CONNECTIONS: usize = 20_000;

/// What the server needs to know of this instance.
pub(super) struct Shared<'a> {
    pub(super) config: &'a MarathonConfig,
    /// Host and port that others reach this instance by.
    pub(super) told: &'a str,
    pub(super) clock: Clock,
    pub(super) leading: &'a Leading,
    pub(super) handle: Handle,
    pub(super) metrics: Arc<MarathonMetrics>,
    pub(super) page: MetricsPage,
    pub(super) loggers: MarathonLoggers,
}

/// Takes the address; port 0 takes a free one.
pub(super) fn bind(config: &MarathonConfig) -> Result<TcpListener, Failed> {
    let address = SocketAddr::new(config.http_address, config.http_port);
    let failed = |source| Failed::Listen { address, source };
    let listener = serve::bind(address).map_err(failed)?;
    if !address.ip().is_loopback() && config.http.http_credentials.is_none() {
        tracing::warn!(
            %address,
            "listening beyond this machine WITHOUT AUTHENTICATION: whoever reaches this address \
             controls all apps; listen on 127.0.0.1, give --http_credentials, or guard the address"
        );
    }
    Ok(listener)
}

/// Starts to serve; ends when the handle says so.
pub(super) fn start(listener: TcpListener, shared: Shared<'_>) -> Result<ServerHandle, Failed> {
    let config = shared.config;
    let info = Arc::new(InfoSource {
        scheme: "http",
        address: shared.told.to_owned(),
        marathon_config: shown(&config.shown.marathon_config)?,
        zookeeper_config: shown(&config.shown.zookeeper_config)?,
        http_config: shown(&config.shown.http_config)?,
        access_control_allow_origin: config.http.access_control_allow_origin.clone(),
        compresses: config.http.http_compression,
        // Marathon 1.11 has no such lists any more.
        text_plain_tasks: false,
        matching: config.manager.matching.clone(),
        leadership: Box::new(shared.leading.clone()),
        metrics: Box::new(shared.page),
        loggers: Box::new(shared.loggers),
    });
    let memory = Memory::default();
    let to_leader = Proxy::new(&config.proxy, info.clone(), memory.clone());
    let face = Arc::new(Face {
        handle: shared.handle,
        metrics: shared.metrics,
        info,
        clock: shared.clock,
        memory,
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        to_leader: Arc::new(to_leader?),
        guard: Guard::new(&config.http),
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The other cores are for the manager, its store and its connection to the master.
    let workers = (cores / 2).clamp(1, MAX_WORKERS);
    let limits = Limits {
        workers,
        blocking_threads: BLOCKING_THREADS,
        connections: MAX_CONNECTIONS / workers,
        head: Duration::from_secs(10),
        disconnect: Duration::from_secs(1),
        shutdown_seconds: config.graceful_shutdown_timeout.as_secs(),
    };
    let server = serve::start(listener, limits, OnlyHttp, routes(face))?;
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP server failed");
        }
    });
    Ok(handle)
}

/// Flags as JSON.
fn shown<T: serde::Serialize>(flags: &T) -> Result<Box<RawValue>, Failed> {
    to_raw_value(flags).map_err(|error| Failed::System(error.into()))
}
